"""One spec at other traffic and other settings: every figure that a reader of a report can step to, computed before.

Pure. Each point is priced by `cost_of`, each traffic compared by `compare`: there is no second formula, and nothing
between two points. Uses the closed form alone, which makes a hundred points a matter of seconds; it must not simulate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from baseload.planner.compare import Comparison, Status, compare
from baseload.planner.compare.row import Row
from baseload.planner.cost import Cost, Split, Spread, cost_of
from baseload.planner.diagnostics import Severity
from baseload.planner.latency import Latency, latency_over
from baseload.planner.prices import PriceBook
from baseload.planner.spec.model import ModelSpec, QueueDelay, RequestCount, RunpodMode, RunpodTarget, Traffic
from baseload.planner.targets.demand import demand_of
from baseload.planner.targets.workers import Fleet, pool_of

FACTORS = tuple(map(Decimal, ("0.1", "0.25", "0.5", "1", "2", "4", "10")))
"""Of the expected traffic: two decades, close where a decision is near."""

IDLE_TIMEOUTS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""What RunPod takes is from one second to an hour: docs.runpod.io/serverless/endpoints, 2026-08-20."""

IDLE_STEPS, MINIMUM_STEPS = 5, 3


@dataclass(frozen=True, kw_only=True)
class Point:
    """The spec's own target at one traffic, idle timeout and minimum of workers. None is unknown."""

    monthly_usd: Spread
    split_usd: Split
    at_least_usd: Decimal
    usd_per_1000_requests: Decimal | None
    hourly_worst_case_usd: Decimal | None
    p95_s: float | None
    """From arrival to answer at the expected traffic."""
    cold_share: float | None
    """Of the requests, those that wait for a worker to start."""
    warnings: tuple[str, ...]
    """For instance that more comes than all workers serve."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The points of one spec, and all targets at each traffic."""

    factors: tuple[Decimal, ...]
    requests_per_day: tuple[Decimal | None, ...]
    idle_timeouts_s: tuple[int | None, ...]
    """One None where the target has no idle timeout to set."""
    workers_min: tuple[int, ...]
    own: tuple[int, int, int]
    """Where the spec itself stands: its places in the three tuples above."""
    points: tuple[tuple[tuple[Point, ...], ...], ...]
    """By traffic, idle timeout, minimum."""
    comparisons: tuple[Comparison, ...]
    """By traffic, at the spec's own settings."""

    @property
    def here(self) -> Point:
        """The spec as it stands."""
        traffic, idle, least = self.own
        return self.points[traffic][idle][least]

    def cheapest(self, target: str) -> tuple[Row | None, ...]:
        """By traffic, the row of the smallest expected month on a target; None where it has none."""
        return tuple(
            next((row for row in found.of(Status.RANKED) if row.target == target), None) for found in self.comparisons
        )


def sweep(spec: ModelSpec, book: PriceBook) -> Sweep:
    """The spec at `FACTORS` of its traffic, about five idle timeouts and three minimums around its own."""
    factors = FACTORS if _rate(spec) else (Decimal(1),)
    specs = [spec if factor == 1 else replace(spec, traffic=scaled(spec.traffic, factor)) for factor in factors]
    timeouts, minimums = _timeouts(spec), _minimums(spec)
    return Sweep(
        factors=factors,
        requests_per_day=tuple(_rate(each) for each in specs),
        idle_timeouts_s=timeouts,
        workers_min=minimums,
        own=(factors.index(Decimal(1)), timeouts.index(_timeout(spec)), minimums.index(_minimum(spec))),
        points=tuple(
            tuple(
                tuple(_point(with_settings(each, timeout, least), book) for least in minimums) for timeout in timeouts
            )
            for each in specs
        ),
        comparisons=tuple(compare(each, book) for each in specs),
    )


def scaled(traffic: Traffic | None, factor: Decimal) -> Traffic | None:
    """The same traffic, so many times: the shape of the week stays. A batch has whole jobs."""
    if traffic is None:
        return None
    batch = traffic.batch and replace(traffic.batch, jobs=max(round(traffic.batch.jobs * factor), 1))
    rate = traffic.requests_per_day and traffic.requests_per_day * factor
    return replace(
        traffic,
        requests_per_day=Decimal(batch.jobs) if batch else rate,
        hourly=tuple(requests * factor for requests in traffic.hourly),
        observed=traffic.observed and traffic.observed.times(float(factor)),
        batch=batch,
    )


def with_settings(spec: ModelSpec, idle_timeout_s: int | None, workers_min: int) -> ModelSpec:
    """The spec with these settings of its target; on RunPod a minimum above zero is mode `active`."""
    target = spec.target
    if not isinstance(target, RunpodTarget):
        return spec
    mode = RunpodMode.ACTIVE if workers_min else RunpodMode.FLEX
    return replace(spec, target=replace(target, mode=mode, workers_min=workers_min, idle_timeout_s=idle_timeout_s))


# --------------------------------------------------------------------------------------------------------------- axes
def _rate(spec: ModelSpec) -> Decimal | None:
    return spec.traffic.requests_per_day if spec.traffic else None


def _timeout(spec: ModelSpec) -> int | None:
    return spec.target.idle_timeout_s if isinstance(spec.target, RunpodTarget) else None


def _minimum(spec: ModelSpec) -> int:
    return spec.target.workers_min if isinstance(spec.target, RunpodTarget) else 0


def _timeouts(spec: ModelSpec) -> tuple[int | None, ...]:
    """The spec's own, with those next to it."""
    own = _timeout(spec)
    if own is None:
        return (None,)
    ladder = sorted({*IDLE_TIMEOUTS_S, own})
    first = min(max(ladder.index(own) - IDLE_STEPS // 2, 0), len(ladder) - IDLE_STEPS)
    return tuple(ladder[first : first + IDLE_STEPS])


def _minimums(spec: ModelSpec) -> tuple[int, ...]:
    """The spec's own, with those next to it; not where a schedule sets them, or the target has none to set."""
    own = _minimum(spec)
    if spec.schedule is not None or not isinstance(spec.target, RunpodTarget):
        return (own,)
    first = max(own - 1, 0)
    return tuple(range(first, max(min(first + MINIMUM_STEPS - 1, spec.target.workers_max), own) + 1))


def _point(spec: ModelSpec, book: PriceBook) -> Point:
    cost = cost_of(spec, book)
    latency = _latency(spec, cost)
    return Point(
        monthly_usd=cost.monthly_usd,
        split_usd=cost.split_usd,
        at_least_usd=cost.at_least_usd,
        usd_per_1000_requests=cost.usd_per_1000_requests,
        hourly_worst_case_usd=cost.hourly_worst_case_usd,
        p95_s=latency.p95_s if latency else None,
        cold_share=latency.cold_share if latency and latency.p95_s is not None else None,
        warnings=tuple(item.summary for item in cost.diagnostics if item.severity is Severity.WARNING),
    )


def _latency(spec: ModelSpec, cost: Cost) -> Latency | None:
    """As the comparison has it for the same target; None where a figure is missing or the work comes in batches."""
    demand, target = demand_of(replace(spec, performance=cost.performance)), spec.target
    if demand is None or demand.service_s is None or not isinstance(target, RunpodTarget):
        return None
    if demand.cold_start_s is None and target.workers_min < target.workers_max:
        return None
    if isinstance(target.scaling, RequestCount):
        demand = replace(demand, concurrency=min(demand.concurrency, target.scaling.requests))
    fleet = Fleet(
        workers_min=target.workers_min,
        workers_max=target.workers_max,
        idle_timeout_s=Decimal(target.idle_timeout_s or 0),
        start_delay_s=target.scaling.seconds if isinstance(target.scaling, QueueDelay) else Decimal(0),
    )
    return latency_over([(float(part.share), pool_of(demand, fleet, part)) for part in demand.in_parts()])
