"""Rows of RunPod serverless: every pool, Flex and Active, priced as `deploy plan` does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from baseload.planner.compare.priced import Question, ends_of
from baseload.planner.compare.rented import most_workers
from baseload.planner.compare.row import Row, Status, envelope, judged, served
from baseload.planner.cost import Cost, Spread, expected_month_usd
from baseload.planner.cost.ranges import error_of
from baseload.planner.cost.runpod import dispatches, runpod_cost
from baseload.planner.performance.estimate import estimated
from baseload.planner.performance.gpus import POOLS
from baseload.planner.performance.on_cards import COUNTS, Times, does_not_fit, fewest_gpus
from baseload.planner.pool import Assumption, Dispatch
from baseload.planner.prices import PriceBook
from baseload.planner.spec.model import ModelSpec, RequestCount, RunpodMode, RunpodTarget
from baseload.planner.targets.bill import Demand
from baseload.planner.targets.fleet import fleet_of
from baseload.planner.targets.hardware import cards_of_pool


def runpod_rows(about: Question) -> Iterator[Row]:
    """Every pool, Flex and Active; the spec's own pool with its own number of GPUs. At another precision Flex alone."""
    spec = about.spec
    given = spec.target if isinstance(spec.target, RunpodTarget) else None
    for pool in POOLS.values():
        if not about.looks_at(about.book.find("runpod", "serverless", pool.id)):
            continue
        own = given is not None and pool.id == given.gpu and spec.serves == about.measured
        count = about.own.gpu_count if own else fewest_gpus(spec, about.own, pool.memory_gib)
        blank = {"target": "runpod", "gpu": pool.id, "deployable": True}
        if count is None:
            why = (does_not_fit(spec, pool.memory_gib, COUNTS[-1]),)
            yield Row(**blank, gpu_count=COUNTS[-1], mode="any", status=Status.IMPOSSIBLE, reasons=why)  # type: ignore[arg-type]
            continue
        times = about.times(cards_of_pool(pool), count, "runpod")
        wanted = given or RunpodTarget(gpu=pool.id, workers_max=_most(about, times))
        for mode in RunpodMode if spec.serves == about.measured else (RunpodMode.FLEX,):
            if spec.schedule is not None and mode is not wanted.mode and spec.service_level.cold_starts:
                continue  # its minimum, and so its bill, would be the same
            as_it_stands = own and mode is wanted.mode
            least = 0 if mode is RunpodMode.FLEX else max(1, wanted.workers_min)
            changed = replace(wanted, gpu=pool.id, gpu_count=count, mode=mode, workers_min=least)
            if mode is RunpodMode.ACTIVE and not spec.service_level.cold_starts:
                # A worker that is started when it is needed is a cold start: all of them are always on.
                changed = replace(changed, workers_min=_steady(about, times), workers_max=_steady(about, times))
            target = wanted if as_it_stands else changed
            yield _runpod_row(replace(spec, target=target), about, times, own=as_it_stands)


def _most(about: Question, times: Times) -> int:
    return most_workers(about.spec, _steady(about, times))


def _steady(about: Question, times: Times) -> int:
    """Always on, one where nothing is known of the need."""
    return (about.asked.steady(times, 1) if about.asked else None) or 1


def _runpod_row(spec: ModelSpec, about: Question, times: Times, *, own: bool) -> Row:
    """As `deploy plan` prices it, the spec's own to the last factor of the range, the others at its ends."""
    book, target = about.book, spec.runpod
    given = spec.performance.service_time_s is not None
    spec = replace(spec, performance=times.expected) if given else spec
    whole = own and about.ranged
    cost = runpod_cost(spec, book, about.seed if whole else None, ranged=whole)
    fast, slow = (times.fast, times.slow) if given else (spec.performance, spec.performance)
    fast_guess, slow_guess = (estimated(replace(spec, performance=end)) for end in (fast, slow))
    times = replace(
        times,
        expected=cost.performance,
        fast=fast_guess.fast if fast_guess else fast,
        slow=slow_guess.slow if slow_guess else slow,
    )
    row = Row(
        target="runpod",
        gpu=target.gpu,
        gpu_count=target.gpu_count,
        mode=str(target.mode),
        status=Status.RANKED,
        deployable=True,
        own=own,
        monthly_usd=cost.monthly_usd if own or not about.ranged else _over_range(spec, cost, times, book),
        usd_per_1000_requests=cost.usd_per_1000_requests,
        hourly_worst_case_usd=cost.hourly_worst_case_usd,
        assumptions=(*times.assumptions, *_without(cost.assumptions, times.assumptions)),
        method=cost.method,
        simulation=cost.simulation,
        price=cost.price,
        spec=replace(spec, performance=cost.performance),
        times=times,
    )
    unpriced = () if cost.price and cost.price.usd is not None else (f"runpod/serverless/{target.gpu}",)
    row = judged(row, unpriced, _missing(cost, unpriced), times.same_speed)
    if not about.ranged:
        return row
    return served(row, _demand(about, cost, target), fleet_of(target, book), cost.response)


def _demand(about: Question, cost: Cost, target: RunpodTarget) -> Demand | None:
    performance = cost.performance
    if isinstance(target.scaling, RequestCount):
        performance = replace(performance, concurrency=min(performance.concurrency, target.scaling.requests))
    return about.asked.at(performance) if about.asked else None


def _over_range(spec: ModelSpec, cost: Cost, times: Times, book: PriceBook) -> Spread:
    """With the bills at the ends: the least traffic served fast, the most served slowly."""
    if spec.traffic is None or cost.monthly_usd.expected is None:
        return cost.monthly_usd
    specs = [
        replace(spec, traffic=traffic, performance=performance)
        for low, high in ends_of(spec.traffic)
        for traffic, performance in ((low, times.fast), (high, times.slow))
    ]
    months = [expected_month_usd(each, book) for each in specs]
    if dispatches(spec) and None not in months:
        dearest = max(zip(months, specs, strict=True), key=lambda pair: pair[0] or 0)[1]
        months.append(expected_month_usd(replace(dearest, dispatch=Dispatch.BALANCED), book))
    found = [cost.monthly_usd, *(Spread(low=usd, expected=usd, high=usd) for usd in months)]
    return error_of(cost.method, cost.split_usd, cost.monthly_usd.expected).around(envelope(found))


def _missing(cost: Cost, unpriced: Sequence[str]) -> tuple[str, ...]:
    if cost.monthly_usd.expected is not None or unpriced:
        return ()
    return tuple(item.summary for item in cost.diagnostics if item.code == "plan/cost-unknown")


def _without(items: Iterable[Assumption], told: Iterable[Assumption]) -> list[Assumption]:
    names = {item.name for item in told}
    return [item for item in items if item.name not in names]
