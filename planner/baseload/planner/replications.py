"""A spec's month by simulation, beside the closed form of its plan: independent replications of the same traffic.

Each replication is one run of `simulator` over whole patterns of the traffic (a week, the length of a log, a day of a
batch), with a seed of its own; figures are means over them, intervals are Student's t. Replications are added until
the bill's interval is narrow enough or the requests are used up. Pure: the same seed gives the same result. It must
not price anything itself: unit prices come with the lines of the `Cost`.
"""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib.util import find_spec

from baseload.planner.cost import MONTH_S, Cost, cost_of
from baseload.planner.diagnostics import Location, Severity
from baseload.planner.errors import BaseloadError, UsageError
from baseload.planner.latency import Latency, latency_over
from baseload.planner.pool import Dispatch, Pool, doubts
from baseload.planner.prices import PriceBook
from baseload.planner.runpod_cost import pool_of
from baseload.planner.simulator import Arrivals, Simulated, replay, settled_s, simulate
from baseload.planner.spec.model import ModelSpec, RequestCount, Traffic
from baseload.planner.traffic.batch import DAY_S
from baseload.planner.traffic.profile import RateProfile, profile_of

REQUESTS = 400_000
"""Where nobody says how many: a second or two."""

MOST_UNASKED_S = 20
"""Dense traffic needs more than `REQUESTS` for whole patterns; what takes longer than this has to be asked for."""

TOLERANCE = 0.015
"""Half the bill's interval, as share of the bill, at which no more replications are made."""

FEWEST, MOST = 5, 40
"""Replications."""

ROWS = 24
"""Of the timeline."""

_DRAWN_REQUESTS = 10_000
"""The timeline simulates its time once for each row: a longer one would take longer than all replications."""

_PLAIN_PER_S, _COMPILED_PER_S = 200_000, 4_000_000
"""Requests that the simulation gets through in a second, about."""

_COMPILED_FROM = 2_000_000
"""Requests at which the compiled simulation is worth its import and compilation; its events are the same."""

_INCREMENT_S = 1.0
"""RunPod bills each run of a worker in whole seconds: docs.runpod.io/serverless/pricing, 2026-08-20."""

_Z = 1.959964
"""97.5 % quantile of the normal distribution."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure by simulation, and what the plan says."""

    simulated: float | None
    half_width: float | None
    """Half of the 95 % interval; None where fewer than two replications have the figure."""
    planned: float | None
    """None where the closed form does not give it."""

    @property
    def difference(self) -> float | None:
        """Plan over simulation, minus one; None where there is nothing to compare with."""
        if self.planned is None or not self.simulated:
            return None
        return self.planned / self.simulated - 1


@dataclass(frozen=True, kw_only=True)
class Amount:
    """One line of the bill: GPU-hours and dollars a month."""

    gpu_hours: Figure
    usd: Figure


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One row of the timeline: means over its time, and the queue at its end."""

    from_s: float
    requests: int
    busy: float
    idle: float
    cold_start: float
    always_on: float
    waiting: int

    @property
    def on(self) -> float:
        """Mean billed workers."""
        return self.busy + self.idle + self.cold_start + self.always_on


@dataclass(frozen=True, kw_only=True)
class Replications:
    """What the replications of one model say."""

    model: str
    cost: Cost
    seed: int
    dispatch: Dispatch
    replications: int
    seconds: float
    """Simulated time of each one, without its warm-up."""
    requests: int
    """In all of them, without warm-ups."""
    arrivals: str
    doubts: tuple[str, ...]
    """Why the plan's closed form is not to be trusted here, as `pool.doubts` knows it; at any of the rates."""
    bill: dict[str, Amount]
    """By what the workers do, and `total`."""
    starts: Figure
    """Of workers, a month."""
    cold_share: Figure
    """Share of the requests that wait for a worker to start."""
    waited_share: Figure
    latency_s: dict[str, Figure]
    """`p50`, `p95`, `p99`."""
    timeline: tuple[Slot, ...]
    """The beginning of the first replication."""
    slot_s: float
    """Length of a row of it."""

    @property
    def is_narrow(self) -> bool:
        """Whether the bill's interval reached `TOLERANCE`."""
        total = self.bill["total"].usd
        if not total.simulated:
            return True
        return total.half_width is not None and total.half_width <= TOLERANCE * total.simulated * (1 + 1e-9)

    @property
    def holds_plan(self) -> bool:
        """Whether the plan's month lies in the interval."""
        total = self.bill["total"].usd
        if total.simulated is None or total.half_width is None or total.planned is None:
            return False
        return abs(total.planned - total.simulated) <= total.half_width


def replications(
    spec: ModelSpec,
    book: PriceBook,
    *,
    seed: int = 1,
    requests: int | None = None,
    dispatch: Dispatch | None = None,
    rows: int = ROWS,
) -> Replications:
    """Simulate the expected traffic of a spec, about `requests` of them; a timeline of `rows`.

    Raises UsageError where a figure that is needed is unknown, where nothing comes, where more comes than all workers
    serve, and where `requests` are too few for whole patterns of the traffic.
    """
    if requests is not None and requests < 1:
        raise UsageError.of(
            "simulate/requests", f"cannot simulate {requests} requests", hint=f"1 or more, for instance {REQUESTS}"
        )
    cost = cost_of(spec, book)
    spec = replace(spec, performance=cost.performance)
    traffic = _known(spec, cost)
    plan_pool = pool_of(spec)
    pool = _as_run(spec, plan_pool, dispatch)
    make = _batch_setup if traffic.batch else _setup
    setup = make(spec, traffic, pool, cost, requests)
    runs: list[Simulated] = []
    for number in range(setup.most):
        runs.append(setup.run(f"{seed}/{number}", setup.warm_up_s, setup.warm_up_s + setup.seconds))
        if len(runs) >= FEWEST and _narrow([run.billed for run in runs]):
            break
    return Replications(
        model=spec.name,
        cost=cost,
        seed=seed,
        dispatch=pool.dispatch,
        replications=len(runs),
        seconds=setup.seconds,
        requests=sum(run.requests for run in runs),
        arrivals=setup.arrivals,
        doubts=setup.doubts,
        bill=_bill(spec, cost, runs),
        starts=_figure([run.starts_per_s * float(MONTH_S) for run in runs], _planned_starts(cost)),
        cold_share=_figure([run.cold_share for run in runs], getattr(setup.planned, "cold_share", None)),
        waited_share=_figure([run.waited_share for run in runs], getattr(setup.planned, "waited_share", None)),
        latency_s={
            name: _figure([getattr(run.latency_s, name) for run in runs], getattr(setup.planned, f"{name}_s", None))
            for name in ("p50", "p95", "p99")
        },
        timeline=tuple(_timeline(setup, seed, rows)),
        slot_s=(setup.drawn[1] - setup.drawn[0]) / max(rows, 1),
    )


# ----------------------------------------------------------------------------------------------------------- what runs
@dataclass(frozen=True, kw_only=True)
class _Setup:
    """One replication: how to run it between two times, how long, and how many there may be."""

    run: Callable[[str, float, float], Simulated]
    """Of a seed, the start and the end of the window."""
    warm_up_s: float
    seconds: float
    most: int
    arrivals: str
    planned: Latency | None
    doubts: tuple[str, ...]
    drawn: tuple[float, float]
    """Start and end of the timeline."""


def _known(spec: ModelSpec, cost: Cost) -> Traffic:
    """The traffic, if it and all else that a run needs is known; raises UsageError."""
    traffic, performance = spec.traffic, spec.performance
    if cost.monthly_usd.expected is None:
        raise UsageError(*(replace(item, severity=Severity.ERROR) for item in cost.diagnostics))
    if not performance.service_time_s or performance.cold_start_s is None:
        raise _refused(
            spec,
            "simulate/performance",
            "its spec does not say performance.service_time and performance.cold_start",
            "measure and add them, for instance `performance: {service_time: 1.8s, cold_start: 25s}`",
        )
    if traffic is None or not traffic.requests_per_day:
        raise _refused(spec, "simulate/no-traffic", "nothing is asked of it", "say `traffic.requests_per_day`")
    return traffic


def _refused(spec: ModelSpec, code: str, why: str, hint: str | None) -> BaseloadError:
    return UsageError.of(code, f"{spec.name} cannot be simulated: {why}", where=Location(spec.file), hint=hint)


def _overloaded(spec: ModelSpec, cost: Cost, why: str) -> BaseloadError:
    hint = next((item.hint for item in cost.diagnostics if item.code in ("plan/overload", "plan/deadline")), None)
    return _refused(spec, "simulate/overload", f"{why}; the queue grows without end, all workers are always on", hint)


def _as_run(spec: ModelSpec, pool: Pool, dispatch: Dispatch | None) -> Pool:
    """The pool with the rules that the closed form only approximates."""
    by_count = spec.runpod.scaling.requests if isinstance(spec.runpod.scaling, RequestCount) else 0
    return replace(pool, dispatch=dispatch or pool.dispatch, requests_per_worker=by_count, increment_s=_INCREMENT_S)


def _setup(spec: ModelSpec, traffic: Traffic, pool: Pool, cost: Cost, requests: int | None) -> _Setup:
    """Whole patterns of rates, over and over."""
    profile = profile_of(traffic)
    assert profile is not None, "the rate is known"
    if profile.mean_per_s * pool.service_s >= pool.slots:
        load = profile.mean_per_s * pool.service_s
        raise _overloaded(spec, cost, f"its traffic keeps {load:,.1f} requests in service, and {pool.slots:,} fit")
    share, rates = float(traffic.active_share or 1), {rate for _, rate in profile.stretches}
    seconds = _length_s(spec, pool, profile, len(rates) == 1, requests)
    sessions_s = None
    if share < 1:
        rarer_s = 10 * _shortest_s(pool)
        sessions_s = (rarer_s * max(share / (1 - share), 1), rarer_s * max((1 - share) / share, 1))
        seconds *= max(1, math.ceil(10 * sum(sessions_s) / seconds))
    same_rate = itertools.groupby(profile.stretches, key=lambda stretch: stretch.requests_per_s)
    pieces = tuple((math.fsum(s for s, _ in same), rate) for rate, same in same_rate)
    arrivals = Arrivals(
        pieces=pieces if len(rates) > 1 else ((math.inf, profile.mean_per_s),),
        cv=float(traffic.cv or 1),
        sessions_s=sessions_s,
    )
    warm_up_s = min(settled_s(pool), 0.2 * seconds)

    fast = _compiled(FEWEST * seconds * arrivals.per_s)

    def run(seed: str, from_s: float, until_s: float) -> Simulated:
        return simulate(pool, arrivals, requests=sys.maxsize, seed=seed, warm_up_s=from_s, until_s=until_s, fast=fast)

    budget = requests or REQUESTS
    return _Setup(
        run=run,
        warm_up_s=warm_up_s,
        seconds=seconds,
        most=min(max(int(budget / (arrivals.per_s * seconds)), FEWEST), MOST),
        arrivals=_told(arrivals, len(rates), share),
        planned=_planned_latency(pool_of(spec), profile, share),
        doubts=tuple(dict.fromkeys(why for rate in sorted(rates) for why in doubts(pool.at(rate / share)))),
        drawn=_drawn(profile),
    )


def _compiled(requests: float) -> bool:
    return requests > _COMPILED_FROM and find_spec("numba") is not None


def _shortest_s(pool: Pool) -> float:
    """So long, at least, must a rate hold to show what it does."""
    return 3 * (pool.idle_timeout_s + pool.cold_start_s + pool.start_delay_s) + 10 * pool.service_s


def _length_s(spec: ModelSpec, pool: Pool, profile: RateProfile, constant: bool, requests: int | None) -> float:
    """Of a replication: whole patterns, or long enough for a constant rate to settle."""
    mean_per_s, shortest_s = profile.mean_per_s, 5 * _shortest_s(pool)
    fewest_s = shortest_s if constant else math.ceil(shortest_s / profile.seconds) * profile.seconds
    needed = math.ceil(FEWEST * fewest_s * mean_per_s)
    per_s = _COMPILED_PER_S if _compiled(needed) else _PLAIN_PER_S
    if needed > (MOST_UNASKED_S * per_s if requests is None else requests):
        pattern = "a settled pool" if constant else "whole patterns of its traffic"
        raise _refused(
            spec,
            "simulate/requests",
            f"{FEWEST} replications of {pattern} are {needed:,} requests",
            f"--requests {needed} takes about {max(needed // per_s, 1):,} s; the plan's closed form needs none",
        )
    wanted_s = (requests or REQUESTS) / MOST / mean_per_s
    if constant:
        return max(wanted_s, fewest_s)
    return max(int(wanted_s / profile.seconds) * profile.seconds, fewest_s)


def _told(arrivals: Arrivals, rates: int, share: float) -> str:
    gaps = "Poisson" if arrivals.cv == 1 else f"gamma gaps, cv {arrivals.cv:.3g}"
    told = f"{gaps} at {f'{rates} rates' if rates > 1 else 'a constant rate'}"
    if arrivals.sessions_s is None:
        return told
    on_s, off_s = arrivals.sessions_s
    return f"{told}, in sessions of {on_s:,.0f} s with {off_s:,.0f} s between, {share * 100:.3g} % of the time"


def _planned_latency(pool: Pool, profile: RateProfile, share: float) -> Latency:
    """The closed form's, over the same rates as the plan's bill."""
    most_per_s = pool.slots / pool.service_s
    nodes = profile.served(most_per_s).nodes(share, most_per_s)
    return latency_over([(node.share, pool.at(node.requests_per_s)) for node in nodes])


def _batch_setup(spec: ModelSpec, traffic: Traffic, pool: Pool, cost: Cost, requests: int | None) -> _Setup:
    """A day on which all requests come at once, on a pool that has seen none for long."""
    assert traffic.batch is not None, "has a batch"
    assert cost.deadline is not None, "all figures are known"
    jobs, takes_s = traffic.batch.jobs, cost.deadline.takes_s
    if takes_s is None:
        raise _overloaded(spec, cost, "its batch takes more than a day")
    if FEWEST * jobs > (MOST_UNASKED_S * _PLAIN_PER_S if requests is None else requests):
        raise _refused(
            spec,
            "simulate/requests",
            f"{FEWEST} batches are {FEWEST * jobs:,} requests",
            f"--requests {FEWEST * jobs}",
        )

    def run(seed: str, from_s: float, until_s: float) -> Simulated:
        services = _services(pool, random.Random(f"{seed}/service"))
        log = ((0.0, next(services)) for _ in range(jobs))
        return replay(pool, log, seed=seed, warm_up_s=from_s, until_s=until_s)

    return _Setup(
        run=run,
        warm_up_s=0.0,
        seconds=DAY_S,
        most=min(max((requests or REQUESTS) // jobs, FEWEST), MOST),
        arrivals=f"{jobs:,} requests at once, each day",
        planned=None,
        doubts=(),
        drawn=(0.0, min(DAY_S, 1.25 * float(takes_s))),
    )


def _services(pool: Pool, source: random.Random) -> Iterator[float]:
    """Service times as the simulator draws them: exponential at a coefficient of variation of 1, else log-normal."""
    sigma = math.sqrt(math.log1p(pool.service_cv**2))
    while True:
        if pool.service_cv == 1:
            yield source.expovariate(1 / pool.service_s)
        else:
            yield pool.service_s * math.exp(source.gauss(-sigma * sigma / 2, sigma))


# ------------------------------------------------------------------------------------------------------------- figures
def _bill(spec: ModelSpec, cost: Cost, runs: Sequence[Simulated]) -> dict[str, Amount]:
    """The lines of the plan's bill with the simulated quantities at the plan's unit prices."""
    hours = float(MONTH_S) / 3600 * spec.runpod.gpu_count
    seen = {
        "busy": [run.busy * hours for run in runs],
        "idle": [run.idle * hours for run in runs],
        "cold_start": [(run.cold_start + run.rounding) * hours for run in runs],
        "always_on": [run.always_on * hours for run in runs],
    }
    bill, total_h, total_usd = {}, [0.0] * len(runs), [0.0] * len(runs)
    for line in cost.lines:
        amounts = [value * 3600 * float(line.unit_price_usd) for value in seen[line.what]]
        bill[line.what] = Amount(
            gpu_hours=_figure(seen[line.what], float(line.quantity) / 3600),
            usd=_figure(amounts, float(line.amount_usd)),
        )
        total_h = [a + b for a, b in zip(total_h, seen[line.what], strict=True)]
        total_usd = [a + b for a, b in zip(total_usd, amounts, strict=True)]
    bill["total"] = Amount(
        gpu_hours=_figure(total_h, float(sum((line.quantity for line in cost.lines), Decimal(0))) / 3600),
        usd=_figure(total_usd, float(cost.monthly_usd.expected or 0)),
    )
    return bill


def _planned_starts(cost: Cost) -> float | None:
    return None if cost.worker_starts_per_month is None else float(cost.worker_starts_per_month)


def _figure(values: Sequence[float | None], planned: float | None) -> Figure:
    known = [value for value in values if value is not None]
    if not known:
        return Figure(simulated=None, half_width=None, planned=planned)
    return Figure(simulated=_mean(known), half_width=_half_width(known), planned=planned)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _half_width(values: Sequence[float]) -> float | None:
    """Half of the 95 % interval of the mean, by Student's t."""
    n = len(values)
    if n < 2:
        return None
    mean = _mean(values)
    return _student(n - 1) * math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)


def _student(freedom: int) -> float:
    """97.5 % quantile of Student's t from the normal one: Abramowitz and Stegun 26.7.5, to 1 % from 4 degrees on."""
    z, z3, z5, z7 = (_Z**k for k in (1, 3, 5, 7))
    return (
        z
        + (z3 + z) / 4 / freedom
        + (5 * z5 + 16 * z3 + 3 * z) / 96 / freedom**2
        + (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / 384 / freedom**3
    )


def _narrow(billed: Sequence[float]) -> bool:
    half = _half_width(billed)
    return half is not None and half <= TOLERANCE * _mean(billed)


def _drawn(profile: RateProfile) -> tuple[float, float]:
    """The first day, or as much of it from the first request on as `_DRAWN_REQUESTS` take."""
    begins_s, at_s, left = math.inf, 0.0, float(_DRAWN_REQUESTS)
    for seconds, rate in itertools.cycle(profile.stretches):
        seconds = min(seconds, DAY_S - at_s)
        if rate > 0:
            begins_s = min(begins_s, at_s)
            if rate * seconds > left:
                return begins_s, at_s + left / rate
            left -= rate * seconds
        at_s += seconds
        if at_s >= DAY_S:
            return 0.0, DAY_S
    raise AssertionError("a cycle does not end")


def _timeline(setup: _Setup, seed: int, rows: int) -> Iterator[Slot]:
    """The first time of the first replication, row by row; the same seed gives the same events each time."""
    from_s, until_s = setup.drawn
    for row in range(rows):
        begins_s, ends_s = (from_s + (until_s - from_s) * k / rows for k in (row, row + 1))
        run = setup.run(f"{seed}/0", begins_s, ends_s)
        yield Slot(
            from_s=begins_s,
            requests=run.requests,
            busy=run.busy,
            idle=run.idle,
            cold_start=run.cold_start,
            always_on=run.always_on,
            waiting=run.waiting,
        )
