"""A preview with the engine: the one step of `plan` that needs Pulumi and providers."""

from __future__ import annotations

from baseload.cli.options import Invocation
from baseload.cli.planning import Sources
from baseload.cli.stack import Stack, open_stack, rights_named
from baseload.components import build
from baseload.engine.interface import Event, Message, Outcome
from baseload.planner.deployed import not_deployed


def preview(run: Invocation, sources: Sources, *, refresh: bool = False) -> Outcome | None:
    """What `up` would do; None where the stack turns out not to exist."""
    stack = open_stack(run, sources.project, sources.stack)
    return preview_of(run, stack, sources, refresh=refresh) if stack.exists else None


def preview_of(run: Invocation, stack: Stack, sources: Sources, *, refresh: bool = False) -> Outcome:
    """What `up` would do to an open stack, also to one that does not exist yet; without specs that are not deployed."""
    deployed = [spec for spec in sources.specs if not_deployed(spec) is None]

    def pass_on(event: Event) -> None:
        if isinstance(event, Message) and event.severity in ("warning", "info"):
            run.terminal.note(f"{event.severity}: {event.text}")

    with rights_named():
        return stack.engine.preview(stack.ref, lambda: build(deployed), pass_on, refresh=refresh)
