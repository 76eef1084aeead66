"""`deploy status`: what really is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from baseload.cli.options import Invocation
from baseload.planner.errors import ExitCode

if TYPE_CHECKING:
    from baseload.cli.views.status import ModelStatus
    from baseload.engine.interface import ResourceView
    from baseload.planner.spec.model import ModelSpec
    from baseload.providers.runpod.client import Client


def status(
    run: Invocation,
    *,
    expect_no_changes: Annotated[
        bool, typer.Option("--expect-no-changes", help="Exit with 7 if anything differs from the specs.")
    ] = False,
) -> ExitCode:
    """Show how each endpoint is now, as RunPod answers.

    Says where one differs from its spec, also where RunPod has scaled it down by itself after days without requests,
    and where fewer workers serve than the spec keeps on.
    """
    from baseload.cli.project import choose_stack, locate, read_specs
    from baseload.cli.stack import open_stack
    from baseload.cli.views import status as view
    from baseload.cli.views.resources import ENDPOINT, label
    from baseload.planner.deployed import not_deployed
    from baseload.planner.diagnostics import Severity
    from baseload.providers.runpod.client import Client

    project = locate(run.folder)
    name = choose_stack(project, run.options.stack)
    read, _ = read_specs(project)
    planned = [item for item in (not_deployed(spec, Severity.NOTE) for spec in read) if item is not None]
    specs = [spec for spec in read if not_deployed(spec) is None]
    stack = open_stack(run, project, name)
    stack.demand()
    made = {label(item.urn): item for item in stack.resources if item.type == ENDPOINT and not item.pending}
    wanted = {spec.name: spec for spec in specs}
    with Client.from_environment(stack.cloud.variables) as client:
        models = [_model(client, item, made.get(item), wanted.get(item)) for item in dict.fromkeys([*wanted, *made])]
    found = view.Status(stack=name, cloud=stack.cloud.base_url, models=models, sandbox=stack.cloud.is_sandbox)
    run.terminal.warn(planned)
    run.terminal.show(view, found)
    return ExitCode.CHANGES_FOUND if expect_no_changes and not found.is_as_wanted else ExitCode.OK


def _model(client: Client, name: str, made: ResourceView | None, spec: ModelSpec | None) -> ModelStatus:
    from baseload.cli.drift import Condition, condition, differences
    from baseload.cli.views.status import ModelStatus
    from baseload.components import settings
    from baseload.providers.runpod.client import Unattended

    if made is None:
        return ModelStatus(name=name, condition=Condition.NOT_DEPLOYED)
    caller = Unattended()
    live = client.find(caller, made.id)
    if live is None:
        return ModelStatus(name=name, condition=Condition.GONE, id=made.id)
    workers = client.workers(caller, made.id)
    counts = workers.get("summary") or {}
    found = differences(settings(spec), live) if spec else []
    return ModelStatus(
        name=name,
        condition=condition(found, counts, spec.runpod.workers_min) if spec else Condition.WITHOUT_SPEC,
        id=made.id,
        url=str(made.outputs["url"]),
        workers=counts,
        version=workers.get("endpointVersion"),
        rollout=_rolls_out(client.releases(caller, made.id)),
        differences=found,
    )


def _rolls_out(releases: dict[str, Any]) -> bool:
    return bool((releases.get("rollout") or {}).get("inProgress"))
