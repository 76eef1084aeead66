"""Which specs this version deploys, and which it plans and compares only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from baseload.planner.diagnostics import Diagnostic, Location, Severity
from baseload.planner.errors import UsageError
from baseload.planner.spec.choices import FILE
from baseload.planner.spec.model import Auto, RunpodTarget
from baseload.planner.targets import name_of

if TYPE_CHECKING:
    from baseload.planner.spec.choices import FILE
from baseload.planner.spec.model import ModelSpec


def not_deployed(spec: ModelSpec, severity: Severity = Severity.ERROR) -> Diagnostic | None:
    """Why the spec is planned and not deployed, at the place of its target; None where it is deployed."""
    if isinstance(spec.target, RunpodTarget) and spec.schedule is None:
        return None
    if isinstance(spec.target, Auto):
        return Diagnostic(
            code="auto/no-choice",
            summary=f"{spec.name} has `target: auto`, and no choice is recorded for it",
            severity=severity,
            where=spec.target_at or Location(spec.file),
            hint=f"`deploy plan` chooses and writes model_specs/{FILE}: commit it with the specs",
        )
    if isinstance(spec.target, RunpodTarget):
        what, hint = "has a `schedule`", "leave `schedule` out, and set `workers.min` to what shall always run"
    else:
        what = f"has the target `{name_of(spec.target)}`"
        hint = "move the file out of `model_specs`, or deploy the model on `runpod`"
    return Diagnostic(
        code="spec/not-deployed",
        summary=f"{spec.name} {what}: this version plans and compares that, and does not deploy it",
        severity=severity,
        where=spec.target_at or Location(spec.file),
        hint=hint,
    )


def refuse_what_is_not_deployed(specs: Iterable[ModelSpec]) -> None:
    """Raise UsageError with all specs that this version does not deploy."""
    if found := [item for item in map(not_deployed, specs) if item is not None]:
        raise UsageError(*found)
