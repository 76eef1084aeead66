"""A schedule against the target it is of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from baseload.planner.diagnostics import Diagnostic
from baseload.planner.spec.model import RunpodTarget, Schedule
from baseload.planner.spec.rules.check import Check
from baseload.planner.spec.source import At
from baseload.planner.targets.hardware import workers_max_of
from baseload.planner.targets.hybrid import Hybrid

if TYPE_CHECKING:
    from baseload.planner.targets import Target


def schedule(check: Check, target: RunpodTarget | Target, at: At, found: Schedule) -> Iterator[Diagnostic]:
    """Windows without time, and minimums above the maximum."""
    place = (*at, "schedule")
    if not check.sound(place):
        return
    for number, window in enumerate(check.value((*place, "windows"))):
        if window.get("from", "00:00") == window.get("to", "24:00"):
            yield check.say(
                "schedule/empty-window",
                f"the window begins and ends at {window['to']}",
                (*place, "windows", number, "to"),
                "leave both out for the whole day, or write the end as `24:00`",
            )
    if isinstance(target, Hybrid):
        return  # of replicas beside its workers: as many as it says
    most = workers_max_of(target)
    if not check.sound(*((*at, key) for key in ("workers", "pods", "instances", "containers", "max_concurrency"))):
        return
    wanted = [((*place, "windows", n, "min"), window.workers_min) for n, window in enumerate(found.windows)]
    for where, least in (*wanted, ((*place, "otherwise"), found.otherwise)):
        if least > most:
            yield check.say(
                "schedule/min-above-max",
                f"a minimum of {least} is more than the target's maximum of {most}",
                where,
                f"raise the maximum to {least} or more",
            )
