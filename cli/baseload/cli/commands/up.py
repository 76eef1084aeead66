"""`deploy up`: bring the stack to what the specs say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from baseload.cli.commands.plan import Reconsider, Refresh
from baseload.cli.options import Invocation


def up(
    run: Invocation,
    *,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Apply exactly this reviewed plan, or say what moved.")
    ] = None,
    refresh: Refresh = False,
    reconsider: Reconsider = False,
) -> None:
    """Create and change what the specs say.

    Shows the plan and asks first. Exits with 5 if a limit of a spec is breached, with 7 if a reviewed plan does not
    hold any more.
    """
    from baseload.cli.base import keep, read_plan
    from baseload.cli.planning import Sources, plan_of, refuse_breach, refuse_moved, settled
    from baseload.cli.preview import preview_of
    from baseload.cli.project import choose_stack, locate, look_up, read_specs
    from baseload.cli.stack import open_stack, operating
    from baseload.cli.views import plan as plan_view
    from baseload.cli.views import up as view
    from baseload.components import build
    from baseload.planner.deployed import refuse_what_is_not_deployed

    reviewed = read_plan(plan) if plan else None
    project = locate(run.folder)
    name = choose_stack(project, run.options.stack)
    specs, warnings = read_specs(project, choices=False)
    sources = settled(Sources(project=project, stack=name, specs=specs, warnings=warnings), reconsider=reconsider)
    specs = tuple(sources.specs)
    refuse_what_is_not_deployed(specs)
    known = look_up(project, name)
    stack = open_stack(run, project, name)
    fresh = plan_of(sources, preview_of(run, stack, sources, refresh=refresh), known.secrets)
    run.terminal.preview(lambda page: plan_view.brief(fresh, page))
    refuse_breach(fresh)
    if reviewed:
        refuse_moved(reviewed, fresh)
    run.terminal.warn(fresh.diagnostics)
    if fresh.changes:
        stack.cloud.demand_key()
        run.terminal.confirm(f"Apply this to the stack {name}?", command="deploy up")
    with operating(run) as on_event:
        outcome = stack.engine.up(stack.ref, lambda: build(specs), on_event, refresh=refresh)
    keep(project, fresh)
    made = stack.engine.resources(stack.ref)
    sandbox = stack.cloud.is_sandbox
    run.terminal.show(view, view.Deployed(plan=fresh, outcome=outcome, resources=made, sandbox=sandbox))
