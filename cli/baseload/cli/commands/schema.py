"""`deploy schema`: the JSON Schema of model specs."""

from __future__ import annotations

import sys

from baseload.cli.options import Invocation


def schema(run: Invocation) -> None:
    """Print the JSON Schema of model specs."""
    from baseload.cli.scaffold import schema_text

    sys.stdout.write(schema_text())
