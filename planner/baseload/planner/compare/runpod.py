"""Rows of RunPod serverless: every pool, Flex and Active, priced as `deploy plan` does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from baseload.planner.compare.row import Row, Status, envelope, judged, served
from baseload.planner.cost import Cost, cost_of
from baseload.planner.gpus import POOLS
from baseload.planner.on_cards import COUNTS, Times, does_not_fit, fewest_gpus, times_on
from baseload.planner.pool import Assumption
from baseload.planner.prices import PriceBook
from baseload.planner.spec.model import ModelSpec, QueueDelay, RequestCount, RunpodMode, RunpodTarget
from baseload.planner.targets.demand import demand_of
from baseload.planner.targets.hardware import Hardware, cards_of_pool, workers_max_of
from baseload.planner.targets.workers import Fleet


def runpod_rows(spec: ModelSpec, own_hardware: Hardware, book: PriceBook) -> Iterator[Row]:
    """Every pool, Flex and Active; the spec's own pool with its own number of GPUs."""
    given = spec.target if isinstance(spec.target, RunpodTarget) else None
    for pool in POOLS.values():
        own = given is not None and pool.id == given.gpu
        count = own_hardware.gpu_count if own else fewest_gpus(spec, own_hardware, pool.memory_gib)
        blank = {"target": "runpod", "gpu": pool.id, "deployable": True}
        if count is None:
            why = (does_not_fit(spec, pool.memory_gib, COUNTS[-1]),)
            yield Row(**blank, gpu_count=COUNTS[-1], mode="any", status=Status.IMPOSSIBLE, reasons=why)  # type: ignore[arg-type]
            continue
        times = times_on(spec, own_hardware, cards_of_pool(pool), count)
        wanted = given or RunpodTarget(gpu=pool.id, workers_max=workers_max_of(spec.target))
        for mode in RunpodMode:
            as_it_stands = own and mode is wanted.mode
            least = 0 if mode is RunpodMode.FLEX else max(1, wanted.workers_min)
            changed = replace(wanted, gpu=pool.id, gpu_count=count, mode=mode, workers_min=least)
            target = wanted if as_it_stands else changed
            yield _runpod_row(replace(spec, target=target), book, times, own=as_it_stands)


def _runpod_row(spec: ModelSpec, book: PriceBook, times: Times, *, own: bool) -> Row:
    """As `deploy plan` prices it; the band of a service time that was carried over widens the range."""
    given = spec.performance.service_time_s is not None
    performances = times.all if given else (spec.performance,)
    costs = [cost_of(replace(spec, performance=performance), book) for performance in performances]
    cost, target = costs[0], spec.runpod
    scaling = target.scaling
    fleet = Fleet(
        workers_min=target.workers_min,
        workers_max=target.workers_max,
        idle_timeout_s=Decimal(target.idle_timeout_s or 0),
        start_delay_s=scaling.seconds if isinstance(scaling, QueueDelay) else Decimal(0),
    )
    demand = demand_of(replace(spec, performance=cost.performance))
    if demand is not None and isinstance(scaling, RequestCount):
        demand = replace(demand, concurrency=min(demand.concurrency, scaling.requests))
    row = Row(
        target="runpod",
        gpu=target.gpu,
        gpu_count=target.gpu_count,
        mode=str(target.mode),
        status=Status.RANKED,
        deployable=True,
        own=own,
        monthly_usd=envelope([cost.monthly_usd for cost in costs]),
        usd_per_1000_requests=cost.usd_per_1000_requests,
        hourly_worst_case_usd=cost.hourly_worst_case_usd,
        assumptions=(*times.assumptions, *_without(cost.assumptions, times.assumptions)),
        method=cost.method,
        price=cost.price,
    )
    unpriced = () if cost.price and cost.price.usd is not None else (f"runpod/serverless/{target.gpu}",)
    row = judged(row, unpriced, _missing(cost, unpriced), times.same_speed)
    return served(row, demand, fleet)


def _missing(cost: Cost, unpriced: Sequence[str]) -> tuple[str, ...]:
    if cost.monthly_usd.expected is not None or unpriced:
        return ()
    return tuple(item.summary for item in cost.diagnostics if item.code == "plan/cost-unknown")


def _without(items: Iterable[Assumption], told: Iterable[Assumption]) -> list[Assumption]:
    names = {item.name for item in told}
    return [item for item in items if item.name not in names]
