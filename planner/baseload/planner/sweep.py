"""One spec at other traffic and other settings: every figure that a reader of a report can step to, computed before.

Pure. Each point is priced by `cost_of`, each traffic compared by `compare`: there is no second formula, and nothing
between two points. Uses the closed form alone, which makes a hundred points a matter of seconds; it must not simulate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from baseload.planner.compare import Comparison, Status, compare
from baseload.planner.compare.row import Row
from baseload.planner.cost import ResponseTime, Spread, cost_of
from baseload.planner.diagnostics import Severity
from baseload.planner.prices import PriceBook
from baseload.planner.spec.model import ModelSpec, RunpodMode, RunpodTarget, Traffic
from baseload.planner.targets.aws import LambdaSagemaker, SagemakerServerless
from baseload.planner.targets.hybrid import Hybrid
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.rented import Rented

FACTORS = tuple(map(Decimal, ("0.1", "0.25", "0.5", "1", "2", "4", "10")))
"""Of the expected traffic: two decades, close where a decision is near."""

IDLE_TIMEOUTS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""From a second to an hour: what RunPod takes (its REST API v2, `workers.idleTimeout`, 2026-08-20)."""

MODAL_S = (2, 1200)
"""What Modal takes: `scaledown_window` of modal.com/docs/guide/cold-start as read on 2026-08-20."""

IDLE_STEPS, MINIMUM_STEPS = 5, 3

_TIMEOUT = {RunpodTarget: "idle_timeout_s", Modal: "scaledown_s", Rented: "idle_timeout_s", Hybrid: "idle_timeout_s"}
_MINIMUM = {
    RunpodTarget: ("workers_min", "workers_max"),
    Modal: ("containers_min", "containers_max"),
    Rented: ("workers_min", "workers_max"),
    LambdaSagemaker: ("instances_min", "instances_max"),
    SagemakerServerless: ("provisioned", "max_concurrency"),
}


@dataclass(frozen=True, kw_only=True)
class Point:
    """The spec's own target at one traffic, idle timeout and minimum of workers. None is unknown."""

    monthly_usd: Spread
    parts_usd: Mapping[str, Decimal]
    """The expected month by what is billed, as the lines of the bill call it."""
    at_least_usd: Decimal
    usd_per_1000_requests: Decimal | None
    hourly_worst_case_usd: Decimal | None
    response: ResponseTime | None
    warnings: tuple[str, ...]
    """For instance that more comes than all workers serve."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The points of one spec, and all targets at each traffic."""

    factors: tuple[Decimal, ...]
    requests_per_day: tuple[Decimal | None, ...]
    idle_timeouts_s: tuple[int | Decimal | None, ...]
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

    @property
    def expected(self) -> Comparison:
        """All targets at the spec's own traffic."""
        return self.comparisons[self.own[0]]

    def cheapest(self, target: str) -> tuple[Row | None, ...]:
        """By traffic, the smallest expected month on a target with the spec's precision; None where it has none."""
        return tuple(
            next(
                (row for row in found.of(Status.RANKED) if row.target == target and not row.another_precision),
                None,
            )
            for found in self.comparisons
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
        comparisons=tuple(compare(each, book, seed=None) for each in specs),
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


def with_settings(spec: ModelSpec, idle_timeout_s: int | Decimal | None, workers_min: int) -> ModelSpec:
    """The spec with these settings, as far as its target has them; on RunPod a minimum above zero is mode `active`."""
    target, changed = spec.target, dict[str, Any]()
    if type(target) in _TIMEOUT:
        changed[_TIMEOUT[type(target)]] = idle_timeout_s
    if type(target) in _MINIMUM:
        changed[_MINIMUM[type(target)][0]] = workers_min
    if isinstance(target, RunpodTarget):
        changed["mode"] = RunpodMode.ACTIVE if workers_min else RunpodMode.FLEX
    return replace(spec, target=replace(target, **changed)) if changed else spec


# --------------------------------------------------------------------------------------------------------------- axes
def _rate(spec: ModelSpec) -> Decimal | None:
    return spec.traffic.requests_per_day if spec.traffic else None


def _timeout(spec: ModelSpec) -> int | Decimal | None:
    """None where there is none to set, and where the target's own is not known."""
    name = _TIMEOUT.get(type(spec.target))
    found: int | Decimal | None = getattr(spec.target, name) if name else None
    return found


def _minimum(spec: ModelSpec) -> int:
    names = _MINIMUM.get(type(spec.target))
    return getattr(spec.target, names[0]) if names else 0


def _timeouts(spec: ModelSpec) -> tuple[int | Decimal | None, ...]:
    """The spec's own, with those next to it."""
    own = _timeout(spec)
    if own is None:
        return (None,)
    least, most = MODAL_S if isinstance(spec.target, Modal) else (IDLE_TIMEOUTS_S[0], IDLE_TIMEOUTS_S[-1])
    others = (each for each in IDLE_TIMEOUTS_S if least <= each <= most and each != own)
    ladder = sorted([own, *(type(own)(each) for each in others)])
    first = min(max(ladder.index(own) - IDLE_STEPS // 2, 0), len(ladder) - IDLE_STEPS)
    return tuple(ladder[first : first + IDLE_STEPS])


def _minimums(spec: ModelSpec) -> tuple[int, ...]:
    """The spec's own, with those next to it; not where a schedule sets them, or the target has none to set."""
    own, names = _minimum(spec), _MINIMUM.get(type(spec.target))
    if spec.schedule is not None or names is None:
        return (own,)
    lowest = min(own, 1) if isinstance(spec.target, LambdaSagemaker) else 0  # at zero instances every request fails
    first = max(own - 1, lowest)
    return tuple(range(first, max(min(first + MINIMUM_STEPS - 1, getattr(spec.target, names[1])), own) + 1))


def _point(spec: ModelSpec, book: PriceBook) -> Point:
    cost = cost_of(spec, book)
    parts: dict[str, Decimal] = {}
    for line in cost.lines:
        parts[line.what] = parts.get(line.what, Decimal(0)) + line.amount_usd
    return Point(
        monthly_usd=cost.monthly_usd,
        parts_usd=parts,
        at_least_usd=cost.at_least_usd,
        usd_per_1000_requests=cost.usd_per_1000_requests,
        hourly_worst_case_usd=cost.hourly_worst_case_usd,
        response=cost.response,
        warnings=tuple(
            item.summary
            for item in cost.diagnostics
            if item.severity is Severity.WARNING or item.code == "plan/in-doubt"
        ),
    )
