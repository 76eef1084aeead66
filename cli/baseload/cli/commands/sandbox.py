"""`deploy sandbox start | status | stop`: RunPod on this machine."""

from __future__ import annotations

from baseload.cli.options import Invocation
from baseload.planner.errors import ExitCode


def start(run: Invocation) -> None:
    """Start the sandbox of this project, with the objects and the port it had before."""
    from baseload.cli.cloud import sandbox_folder
    from baseload.cli.project import nearest
    from baseload.cli.views import sandbox as view
    from baseload.sandbox import server

    run.terminal.show(view, server.start(sandbox_folder(nearest(run.folder))))


def status(run: Invocation) -> ExitCode:
    """Say whether the sandbox runs, and where; exits with 1 if it does not."""
    from baseload.cli.cloud import sandbox_folder
    from baseload.cli.project import nearest
    from baseload.cli.views import sandbox as view
    from baseload.sandbox import server

    running = server.status(sandbox_folder(nearest(run.folder)))
    run.terminal.show(view, running)
    return ExitCode.OK if running else ExitCode.ERROR


def stop(run: Invocation) -> None:
    """Stop the sandbox; its objects are kept for the next start."""
    from baseload.cli.cloud import sandbox_folder
    from baseload.cli.project import nearest
    from baseload.cli.views import sandbox as view
    from baseload.sandbox import server

    server.stop(sandbox_folder(nearest(run.folder)))
    run.terminal.show(view, None)
