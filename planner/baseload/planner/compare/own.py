"""The row of the spec's own target where that is not RunPod serverless, which stands among its pools."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from baseload.planner.compare.priced import Question, added, extras
from baseload.planner.compare.rented import from_least
from baseload.planner.compare.row import Row, Status, judged, timed, unknown_figure
from baseload.planner.cost import Cost, cost_of
from baseload.planner.performance.on_cards import Times
from baseload.planner.spec.model import Auto, RunpodTarget
from baseload.planner.targets.aws import LambdaSagemaker, SagemakerServerless
from baseload.planner.targets.hybrid import Hybrid
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.rented import Rented
from baseload.planner.targets.runpod import RunpodPod

if TYPE_CHECKING:
    from baseload.planner.spec.model import ModelSpec
    from baseload.planner.targets import Target


def own_rows(about: Question) -> Iterator[Row]:
    """As `deploy plan` prices it."""
    target = about.spec.target
    if isinstance(target, RunpodTarget | Auto):
        return
    cost = cost_of(about.spec, about.book, about.seed)
    hybrid = isinstance(target, Hybrid)
    row = Row(
        target=_name(target),
        gpu=f"{target.dedicated.gpu} + {target.burst.gpu}" if isinstance(target, Hybrid) else about.own.name,
        gpu_count=1 if hybrid else about.own.gpu_count,
        mode=_mode(about.spec, target, cost),
        status=Status.RANKED,
        deployable=False,
        own=True,
        monthly_usd=cost.monthly_usd,
        usd_per_1000_requests=cost.usd_per_1000_requests,
        hourly_worst_case_usd=cost.hourly_worst_case_usd,
        assumptions=cost.assumptions,
        method=cost.method,
        simulation=cost.simulation,
        price=None if hybrid else cost.price,
        spec=replace(about.spec, performance=cost.performance),
        times=Times(expected=cost.performance, fast=cost.performance, slow=cost.performance),
    )
    yield _with_bill(row, cost)


def _with_bill(row: Row, cost: Cost) -> Row:
    bill, response = cost.bill, cost.response
    assert bill is not None, "RunPod serverless alone has none"
    beside = extras(row) if row.price is not None and "memory" not in bill.amounts else ()
    row = replace(row, caveats=(*bill.caveats, *beside))
    if bill.impossible:
        return replace(row, status=Status.IMPOSSIBLE, reasons=bill.impossible, monthly_usd=Row.monthly_usd)
    if response is not None:
        row = replace(timed(row, response), added_s=added(response.added))
    unknown = [unknown_figure(name) for name in bill.unknown]
    if cost.monthly_usd.expected is None and not unknown and not bill.unpriced:
        unknown = [item.summary for item in cost.diagnostics if item.code == "plan/cost-unknown"]
    return judged(row, bill.unpriced, unknown, same_speed=False)


def _name(target: Target) -> str:
    match target:
        case LambdaSagemaker():
            return "lambda-sagemaker"
        case SagemakerServerless():
            return "sagemaker-serverless"
        case RunpodPod():
            return "runpod-pod"
        case Modal():
            return "modal"
        case Hybrid():
            return "hybrid"
        case Rented():
            return target.provider


def _mode(spec: ModelSpec, target: Target, cost: Cost) -> str:
    scheduled = spec.schedule is not None
    match target:
        case LambdaSagemaker():
            return _workers(target.instances_min, target.instances_max, scheduled)
        case SagemakerServerless():
            return f"up to {target.max_concurrency} at once"
        case RunpodPod():
            return f"{target.pods} always on, {target.tier}"
        case Modal():
            return _workers(target.containers_min, target.containers_max, scheduled)
        case Hybrid():
            base = cost.bill.base if cost.bill is not None else target.base
            return f"base {'unknown' if base is None else base}"
        case Rented():
            always = cost.price is not None and cost.price.always_on
            least = max(target.workers_min, 1) if always else target.workers_min
            return _workers(least, least if always else target.workers_max, scheduled)


def _workers(least: int, most: int, scheduled: bool) -> str:
    return f"{least} always on" if least >= most else from_least(least, scheduled=scheduled)
