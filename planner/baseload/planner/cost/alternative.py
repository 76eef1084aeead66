"""A cheaper way to run the same model on the same target, where there is one: another mode, timeout, GPU or tier.

The closed form finds the ways, and each that is offered is priced as the plan of its own spec would be: where the
closed form is in doubt by simulation with the same seed, and not at all where that is not simulated. Other targets are
for `compare`; what a cheaper way does to the latency stands beside what it saves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from baseload.planner.cost import CLOSED_FORM_PERCENT, Cost, cost_of, expected_month_usd
from baseload.planner.service_level import kept
from baseload.planner.spec.model import Curve, Model, ModelSpec, RunpodMode, RunpodTarget, Schedule
from baseload.planner.traffic.schedule import office

if TYPE_CHECKING:
    from baseload.planner.prices import PriceBook
    from baseload.planner.targets.hybrid import Hybrid
    from baseload.planner.targets.modal import Modal

FROM_SHARE = Decimal("0.05")
"""Of the month: less is within the error of the method."""
FROM_USD = Decimal(1)

TIMEOUTS_S = (1, 5, 15, 60)
TRIED, REQUESTS = 3, 100_000
"""Ways that are simulated at most, and requests simulated for those that turned out to be none, after which there is no
other: a second and a half at worst, mostly 0.1 to 0.2 s."""

GPUS = 2
"""Smaller ones that are tried, the dearest first: the next sizes."""


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """The cheapest of the ways that were priced."""

    change: str
    """As a spec says it, for instance `idle_timeout: 5s`."""
    monthly_usd: Decimal
    saves_usd: Decimal
    p95_s: Decimal | None
    """None is unknown."""
    cold_share: Decimal | None
    interval_percent: Decimal | None = None
    """Half of the 95 % interval of `monthly_usd`; None where that is by the closed form."""


def cheaper(spec: ModelSpec, cost: Cost, book: PriceBook, seed: int | None = None) -> Alternative | None:
    """The cheapest way that serves as much as `cost`, which is that of `spec` with `seed`, at the spec's service level.

    None where none saves enough, and more than what simulation leaves open of both months.
    """
    expected = cost.monthly_usd.expected
    if not expected or not _serves_all(cost) or _left_in_doubt(cost):
        return None
    least = max(expected * FROM_SHARE, FROM_USD)
    priced = [(expected_month_usd(other, book), change, other) for change, other in ways(spec, cost, book)]
    known = [(usd, change, other) for usd, change, other in priced if usd is not None and usd <= expected - least]
    simulated = requests = 0
    for _, change, other in sorted(known, key=lambda way: way[:2]):
        if simulated == TRIED or requests > REQUESTS:
            return None
        there = cost_of(other, book, seed)
        if there.simulation:
            simulated, requests = simulated + 1, requests + there.simulation.requests
        usd, response = there.monthly_usd.expected, there.response
        if usd is None or response is None or not _serves_all(there) or _left_in_doubt(there):
            continue
        saves = expected - usd
        if saves < least or ((cost.simulation or there.simulation) and saves <= _open_usd(cost) + _open_usd(there)):
            continue
        if kept(spec.service_level, response, there.performance):
            return Alternative(
                change=change,
                monthly_usd=usd,
                saves_usd=saves,
                p95_s=response.p95_s,
                cold_share=response.cold_share,
                interval_percent=there.simulation.interval_percent if there.simulation else None,
            )
    return None


def _serves_all(cost: Cost) -> bool:
    return cost.response is not None and cost.response.p95_s is not None


def _left_in_doubt(cost: Cost) -> bool:
    """Whether the closed form is in doubt and used all the same."""
    return any(item.code == "plan/in-doubt" for item in cost.diagnostics)


def _open_usd(cost: Cost) -> Decimal:
    """Half of the 95 % interval of the expected month; by an approximation as much as that may be off.

    Of two months by the closed form the errors are alike; beside a simulated one they count.
    """
    usd = cost.monthly_usd.expected or Decimal(0)
    if cost.simulation:
        return usd * cost.simulation.interval_percent / 100
    return Decimal(0) if cost.method and cost.method.startswith("exact") else usd * CLOSED_FORM_PERCENT / 100


def ways(spec: ModelSpec, cost: Cost, book: PriceBook) -> Iterator[tuple[str, ModelSpec]]:
    """All that are looked at: the change as a spec says it, and the spec with it."""
    target = spec.target
    if isinstance(target, RunpodTarget):
        yield from _runpod(spec, target, cost, book)
        return
    from baseload.planner.targets.hybrid import Hybrid
    from baseload.planner.targets.modal import Modal
    from baseload.planner.targets.runpod import RunpodPod

    if isinstance(target, Modal):
        yield from _modal(spec, target)
    elif isinstance(target, Hybrid) and cost.bill is not None and cost.bill.base is not None and not spec.schedule:
        yield from _hybrid(spec, target, cost.bill.base)
    elif isinstance(target, RunpodPod) and target.tier == "secure":
        yield "tier: community", replace(spec, target=replace(target, tier="community"))


def _runpod(spec: ModelSpec, target: RunpodTarget, cost: Cost, book: PriceBook) -> Iterator[tuple[str, ModelSpec]]:
    if target.idle_timeout_s is not None:
        for seconds in TIMEOUTS_S:
            if seconds != target.idle_timeout_s:
                changed = replace(target, idle_timeout_s=seconds)
                yield f"idle_timeout: {seconds}s", replace(spec, target=changed)
    if spec.schedule is None:
        if target.workers_min:
            flex = replace(target, mode=RunpodMode.FLEX, workers_min=0)
            yield "mode: flex, workers.min: 0", replace(spec, target=flex)
        else:
            active = replace(target, mode=RunpodMode.ACTIVE, workers_min=1)
            yield "mode: active, workers.min: 1", replace(spec, target=active)
    yield from _smaller(spec, target, book)


def _smaller(spec: ModelSpec, target: RunpodTarget, book: PriceBook) -> Iterator[tuple[str, ModelSpec]]:
    """The next cheaper pools that hold the model, where its speed there can be estimated."""
    own = book.find("runpod", "serverless", target.gpu)
    if not isinstance(spec.serves, Model) or own is None or own.usd is None:
        return
    from baseload.planner.performance.gpus import POOLS
    from baseload.planner.performance.on_cards import fewest_gpus, times_on
    from baseload.planner.targets.hardware import cards_of_pool, hardware_of

    pools = []
    for pool in POOLS.values():
        price = book.find("runpod", "serverless", pool.id)
        if price is not None and price.usd is not None and price.usd < own.usd:
            pools.append((price.usd, pool))
    here = hardware_of(target, book)
    for _, pool in sorted(pools, key=lambda item: (-item[0], item[1].id))[:GPUS]:
        times = times_on(spec, here, cards_of_pool(pool), target.gpu_count)
        if fewest_gpus(spec, here, pool.memory_gib) == target.gpu_count and not times.same_speed:
            changed = replace(spec, target=replace(target, gpu=pool.id), performance=times.expected)
            yield f"gpu: {pool.id} (speed estimated)", changed


def _modal(spec: ModelSpec, target: Modal) -> Iterator[tuple[str, ModelSpec]]:
    for seconds in TIMEOUTS_S:
        if 2 <= seconds != target.scaledown_s:
            yield f"scaledown_window: {seconds}s", replace(spec, target=replace(target, scaledown_s=seconds))
    if target.buffer:
        yield "containers.buffer: 0", replace(spec, target=replace(target, buffer=0))
    if target.containers_min and spec.schedule is None:
        yield "containers.min: 0", replace(spec, target=replace(target, containers_min=0))


def _hybrid(spec: ModelSpec, target: Hybrid, base: int) -> Iterator[tuple[str, ModelSpec]]:
    """Another base where the spec names one; by office hours where the traffic knows hours."""
    for size in (base - 1, base + 1) if target.base is not None else ():
        if size >= 0:
            yield f"base: {size}", replace(spec, target=replace(target, base=size))
    traffic = spec.traffic
    if traffic is None or not (traffic.hourly or traffic.curve not in (None, Curve.CONSTANT)):
        return
    for inside, otherwise in dict.fromkeys([(base, 0), (base, base - 1), (base + 1, 0), (base + 1, base)]):
        if 0 <= otherwise < inside:
            hours = Schedule(windows=(office(inside),), otherwise=otherwise, time_zone=traffic.time_zone)
            yield (
                f"schedule: {inside} from mon to fri, 08:00 to 18:00, else {otherwise}",
                replace(spec, schedule=hours, target=replace(target, base=None)),
            )
