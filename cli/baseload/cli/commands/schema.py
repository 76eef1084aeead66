"""`deploy schema`: the JSON Schema of model specs."""

from __future__ import annotations

from baseload.cli.options import Invocation


def schema(run: Invocation) -> None:
    """Print the JSON Schema of model specs, for editors and other tools."""
    from baseload.cli.terminal import print_document
    from baseload.planner.spec import schema as spec_schema

    print_document(spec_schema())
