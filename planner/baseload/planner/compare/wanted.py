"""What a spec asks of its target beside the bill: limits, service level, requirements, and the cost of operation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from baseload.planner.compare.row import Row, Status
from baseload.planner.requirements import answers
from baseload.planner.service_level import Latencies, promises
from baseload.planner.spec.model import RunpodTarget
from baseload.planner.targets.aws import LambdaSagemaker, SagemakerServerless
from baseload.planner.targets.hybrid import Hybrid
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.rented import Rented
from baseload.planner.targets.runpod import RunpodPod

if TYPE_CHECKING:
    from baseload.planner.spec.model import ModelSpec


def judged_by(row: Row, spec: ModelSpec) -> Row:
    """The row with everything of the spec that it breaks, or of which nothing is known."""
    if row.status not in (Status.RANKED, Status.SAME_SPEED):
        return row
    broken, unknown = tuple(_broken_promises(row, spec)), tuple(_unknown_promises(row, spec))
    found = answers(spec.requires, row.spec.placed) if row.spec is not None else ()
    if row.spec is None and spec.requires != type(spec.requires)():
        unknown = (*unknown, "requires: not known of this offer")
    return replace(
        row,
        limits_broken=tuple(_broken_limits(row, spec)),
        service_level_broken=broken,
        requires_broken=tuple(f"{item.requirement}: {item.why}" for item in found if item.met is False),
        not_known=(*unknown, *(f"{item.requirement}: {item.why}" for item in found if item.met is None)),
        ops_usd=_ops_usd(row, spec),
    )


def _broken_limits(row: Row, spec: ModelSpec) -> Iterator[str]:
    pairs = (
        ("monthly_usd", spec.limits.monthly_usd, row.monthly_usd.expected),
        ("hourly_worst_case_usd", spec.limits.hourly_worst_case_usd, row.hourly_worst_case_usd),
    )
    return (name for name, most, actual in pairs if most is not None and actual is not None and actual > most)


def _latencies(row: Row) -> Latencies:
    p95, p99, cold = (None if x is None else Decimal(repr(x)) for x in (row.p95_s, row.p99_s, row.cold_share))
    return Latencies(
        p95_s=p95, p99_s=p99, cold_share=cold, added_s=(row.added_s[0] if row.added_s else None) or Decimal(0)
    )


def _broken_promises(row: Row, spec: ModelSpec) -> Iterator[str]:
    if row.spec is not None:
        for item in promises(spec.service_level, _latencies(row), row.spec.performance):
            if item.broken:
                yield f"{item.key}: {item.why}"


def _unknown_promises(row: Row, spec: ModelSpec) -> Iterator[str]:
    for item in promises(spec.service_level, _latencies(row), spec.performance):
        if item.actual is None:
            yield f"service_level {item.key}: the latency is not known"


def _ops_usd(row: Row, spec: ModelSpec) -> Decimal | None:
    """By the target's name, else by its class; None where the spec says nothing of either."""
    said = spec.ops_cost_per_month_usd
    return said.get(row.target, said.get(_class(row)))


def _class(row: Row) -> str:
    if row.spec is None:
        return "serverless"
    match row.spec.placed:
        case Hybrid():
            return "hybrid"
        case RunpodPod() | LambdaSagemaker():
            return "dedicated"
        case Rented() as target:
            always = row.price is not None and row.price.always_on
            return "dedicated" if always or target.workers_min >= target.workers_max else "serverless"
        case RunpodTarget() | Modal() | SagemakerServerless():
            return "serverless"
