"""`deploy down`: delete what the stack has."""

from __future__ import annotations

from typing import Annotated

import typer

from baseload.cli.options import Invocation


def down(
    run: Invocation,
    *,
    remove_stack: Annotated[
        bool, typer.Option("--remove-stack", help="Forget the stack too, and with it its history.")
    ] = False,
) -> None:
    """Delete every resource of the stack.

    Shows them and asks first.
    """
    from baseload.cli.base import forget
    from baseload.cli.project import choose_stack, locate
    from baseload.cli.stack import open_stack, operating
    from baseload.cli.views import down as view
    from baseload.cli.views.resources import is_shown

    project = locate(run.folder)
    name = choose_stack(project, run.options.stack)
    stack = open_stack(run, project, name)
    stack.demand()
    doomed = view.Doomed(stack=name, cloud=stack.cloud.base_url, resources=stack.resources)
    run.terminal.preview(doomed.text)
    if any(is_shown(item.type) for item in stack.resources):
        stack.cloud.demand_key()
    if stack.resources or remove_stack:
        run.terminal.confirm(f"Delete this from the stack {name}?", command="deploy down")
    with operating(run) as on_event:
        outcome = stack.engine.destroy(stack.ref, on_event, remove=remove_stack)
    forget(project, name)
    run.terminal.show(view, view.Deleted(stack=name, outcome=outcome, removed=remove_stack))
