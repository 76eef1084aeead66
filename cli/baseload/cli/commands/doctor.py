"""`deploy doctor`: is everything there that `deploy up` needs?"""

from __future__ import annotations

from baseload.cli.options import Invocation
from baseload.planner.errors import ExitCode


def doctor(run: Invocation) -> ExitCode:
    """Check what `deploy up` needs, and say how to mend it.

    Changes nothing. Exits with 1 if anything is wrong.
    """
    from baseload.cli.checkup import check
    from baseload.cli.views import doctor as view

    checks = check(run)
    run.terminal.show(view, checks)
    return ExitCode.ERROR if any(item.health is view.Health.WRONG for item in checks) else ExitCode.OK
