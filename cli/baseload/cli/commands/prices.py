"""`deploy prices`: the price book."""

from __future__ import annotations

from baseload.cli.options import Invocation


def prices(run: Invocation) -> None:
    """Show the prices that plans use, with source and date."""
    from baseload.cli.views import prices as view
    from baseload.planner.prices import bundled

    run.terminal.show(view, bundled())
