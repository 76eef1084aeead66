"""`deploy validate`: every problem of every model spec at once."""

from __future__ import annotations

from baseload.cli.options import Invocation


def validate(run: Invocation) -> None:
    """Check all model specs, and report every problem at once."""
    from baseload.cli.project import locate, read_specs
    from baseload.cli.views import validate as view

    specs, warnings = read_specs(locate(run.folder))
    run.terminal.warn(warnings)
    run.terminal.show(view, view.Checked(specs=specs, warnings=warnings))
