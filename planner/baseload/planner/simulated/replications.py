"""A spec's month by simulation, beside the closed form: independent replications of the same traffic.

What one replication is and how many there are, `month` says (a day of a batch is its own); figures are means over
them, intervals are Student's t. Pure: the same seed gives the same result, and that of a plan that simulates. It must
not price anything itself: unit prices come with the lines of the `Cost`, other targets' bills from `cost.target`.
"""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from importlib.util import find_spec
from typing import NamedTuple

from baseload.planner.cost import MONTH_S, Cost, cents, cost_of, unit_name
from baseload.planner.cost.runpod import discounted, pool_of, runpod_pools
from baseload.planner.diagnostics import Location, Severity
from baseload.planner.errors import BaseloadError, UsageError
from baseload.planner.pool import Dispatch, Pool
from baseload.planner.pool.latency import Latency, latency_over
from baseload.planner.prices import PriceBook
from baseload.planner.simulated.expected import as_simulated, demand_of, in_doubt, is_simulated
from baseload.planner.simulated.fleet import Seen
from baseload.planner.simulated.month import (
    FEWEST,
    MOST,
    REQUESTS,
    TOLERANCE,
    first_try,
    half_width,
    mean,
    sample_of,
    until_narrow,
    whole_patterns,
)
from baseload.planner.simulator import Simulated, replay, simulate
from baseload.planner.spec.model import ModelSpec, RunpodTarget, Traffic
from baseload.planner.targets.hybrid import Hybrid
from baseload.planner.traffic.batch import DAY_S
from baseload.planner.traffic.profile import RateProfile
from baseload.planner.traffic.schedule import always_on, minimums

ROWS = 24
"""Of the timeline."""

_DRAWN_REQUESTS = 10_000
"""The timeline simulates its time once for each row: a longer one would take longer than all replications."""

_MOST_JOBS = 4_000_000
"""In all batches, where nobody asks for more: 20 seconds or so."""

_COMPILED_FROM = 2_000_000
"""Requests at which the compiled simulation is worth its import and compilation; its events are the same."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure by simulation, and by the closed form."""

    simulated: float | None
    half_width: float | None
    """Half of the 95 % interval; None where fewer than two replications have the figure."""
    closed_form: float | None
    """None where it does not give it."""

    @property
    def difference(self) -> float | None:
        """Closed form over simulation, minus one; None where there is nothing to compare with."""
        if self.closed_form is None or not self.simulated:
            return None
        return self.closed_form / self.simulated - 1


@dataclass(frozen=True, kw_only=True)
class Amount:
    """One line of the bill, a month: in hours what is billed by time, else in the unit of its price, and in dollars."""

    quantity: Figure | None
    """None of a total of several units."""
    unit: str | None
    """`GPU-hour`, `GB`."""
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
    taken: str
    """What that is of the traffic."""
    requests: int
    """In all of them, warm-ups included."""
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
    refused_share: Figure | None
    """Share of the requests that find the target at its cap; None where they wait."""
    latency_s: dict[str, Figure]
    """`p50`, `p95`, `p99`; None where starts are not known, as the figures above."""
    timeline: tuple[Slot, ...]
    """The beginning of the first replication."""
    slot_s: float
    """Length of a row of it."""
    usd_per_worker_s: dict[str, float]
    """By what a worker does."""

    def in_rows(self, rows: int) -> Replications:
        """The same with a timeline of fewer rows, of which there are so many times more now."""
        each = len(self.timeline) // rows
        together = [self.timeline[k * each : (k + 1) * each] for k in range(rows)]
        timeline = tuple(
            Slot(
                from_s=slots[0].from_s,
                requests=sum(slot.requests for slot in slots),
                waiting=slots[-1].waiting,
                **{
                    name: math.fsum(getattr(slot, name) for slot in slots) / each
                    for name in ("busy", "idle", "cold_start", "always_on")
                },
            )
            for slots in together
        )
        return replace(self, timeline=timeline, slot_s=self.slot_s * each)

    @property
    def is_narrow(self) -> bool:
        """Whether the bill's interval reached `TOLERANCE`."""
        total = self.bill["total"].usd
        if not total.simulated:
            return True
        return total.half_width is not None and total.half_width <= TOLERANCE * total.simulated * (1 + 1e-9)

    @property
    def holds_closed_form(self) -> bool:
        """Whether the closed form's month lies in the interval."""
        total = self.bill["total"].usd
        if total.simulated is None or total.half_width is None or total.closed_form is None:
            return False
        return abs(total.closed_form - total.simulated) <= total.half_width


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
    serve, where `requests` are too few for whole patterns of the traffic, and where it is unknown which hours of a log
    a schedule's are.
    """
    if requests is not None and requests < 1:
        raise UsageError.of(
            "simulate/requests", f"cannot simulate {requests} requests", hint=f"1 or more, for instance {REQUESTS}"
        )
    given = spec
    if isinstance(spec.target, Hybrid):
        from baseload.planner.cost.target_month import with_base

        spec = with_base(spec, book, seed)
    to_the_end = spec is not given  # as its sizes were compared
    cost = cost_of(spec, book)
    spec = as_costed(spec, cost)
    traffic = _known(spec, cost)
    workers = workers_of(spec, cost, book)
    pool = as_simulated(workers.pool, spec, dispatch)
    if traffic.batch:
        setup = _batch_setup(spec, traffic, pool, cost, requests, seed)
    else:
        setup = _setup(spec, pool, cost, workers, requests, seed, to_the_end=to_the_end)
    runs = setup.runs
    told = () if pool.rejects_at_cap else runs  # when its workers start and stop is not known
    return Replications(
        model=spec.name,
        cost=cost,
        seed=seed,
        dispatch=pool.dispatch,
        replications=len(runs),
        seconds=setup.seconds,
        taken=setup.taken,
        requests=sum(run.arrived for run in runs),
        arrivals=setup.arrivals,
        doubts=setup.doubts,
        bill=_bill(cost, [workers.lines(run) for run in runs]),
        starts=_figure([run.starts_per_s * float(MONTH_S) for run in told], _starts(cost)),
        cold_share=_figure([run.cold_share for run in told], getattr(setup.closed_form, "cold_share", None)),
        waited_share=_figure([run.waited_share for run in told], getattr(setup.closed_form, "waited_share", None)),
        refused_share=_figure(
            [run.refused_share for run in runs], float(cost.response.refused_share or 0) if cost.response else None
        )
        if pool.rejects_at_cap
        else None,
        latency_s={
            name: _figure([getattr(run.latency_s, name) for run in told], getattr(setup.closed_form, f"{name}_s", None))
            for name in ("p50", "p95", "p99")
        },
        timeline=tuple(_timeline(setup, seed, rows)),
        slot_s=(setup.drawn[1] - setup.drawn[0]) / max(rows, 1),
        usd_per_worker_s=workers.usd_per_s,
    )


def as_costed(spec: ModelSpec, cost: Cost) -> ModelSpec:
    """With what the cost has found: estimated times, a hybrid's base."""
    spec = replace(spec, performance=cost.performance)
    if cost.bill is not None and cost.bill.base is not None:
        target = spec.placed
        assert isinstance(target, Hybrid), "has a base"
        spec = replace(spec, target=replace(target, base=cost.bill.base))
    return spec


# ------------------------------------------------------------------------------------------------------- what it costs
class LineOfRun(NamedTuple):
    """Of a line, a month."""

    what: str
    quantity: float
    unit: str
    usd: float


@dataclass(frozen=True, kw_only=True)
class Workers:
    """The pool of a spec, and what a replication of it costs."""

    pool: Pool
    lines: Callable[[Simulated], Sequence[LineOfRun]]
    usd_per_s: dict[str, float]
    fixed: float = 0.0
    """What is billed beside them, in workers."""
    closed: Sequence[tuple[float, Pool]] = ()
    """In each part of the month, for the closed form's latency; empty where the plan has none."""


def workers_of(spec: ModelSpec, cost: Cost, book: PriceBook) -> Workers:
    """Those of a spec `as_costed`. Raises UsageError where it has none."""
    return _of_runpod(spec, cost) if isinstance(spec.target, RunpodTarget) else _of_fleet(spec, cost, book)


def _of_runpod(spec: ModelSpec, cost: Cost) -> Workers:
    gpus = spec.runpod.gpu_count
    usd = {line.what: float(line.unit_price_usd) * gpus for line in cost.lines}

    def lines(run: Simulated) -> list[LineOfRun]:
        means = {
            "busy": run.busy,
            "idle": run.idle,
            "cold_start": run.cold_start + run.rounding,
            "always_on": run.always_on,
        }
        month_s = float(MONTH_S)
        return [
            LineOfRun(what, means[what] * gpus * month_s / 3600, "GPU-hour", means[what] * month_s * each)
            for what, each in usd.items()
        ]

    return Workers(pool=pool_of(spec), lines=lines, usd_per_s=usd, fixed=discounted(spec), closed=runpod_pools(spec))


def _of_fleet(spec: ModelSpec, cost: Cost, book: PriceBook) -> Workers:
    from baseload.planner.cost.target_month import beside_workers, bill_seen, fleet_pool, usd_per_worker_s

    pool = fleet_pool(spec, book)
    if pool is None:
        raise _refused(spec, "simulate/target", "it has no workers that come and go", None)

    def lines(run: Simulated) -> list[LineOfRun]:
        bill = bill_seen(spec, book, Seen.in_run(run))
        return [
            LineOfRun(line.what, *in_hours(float(line.quantity), unit_name(line.unit)), float(line.exact_usd))
            for line in bill.lines
        ]

    usd_per_s, fixed = usd_per_worker_s(spec, book), beside_workers(spec, book)
    base = float(pool.dedicated)
    if isinstance(spec.target, Hybrid) and spec.schedule is not None:
        base = float(always_on(spec.schedule, max(least for _, least in minimums(spec.schedule))))
    if base:
        usd_per_s["always_on"] = usd_per_s["busy"] * fixed / base
    return Workers(
        pool=pool,
        lines=lines,
        usd_per_s=usd_per_s,
        fixed=fixed,
        closed=cost.bill.pools if cost.bill is not None else (),
    )


def in_hours(quantity: float, unit: str) -> tuple[float, str]:
    """Hours of what is billed by time; else as it is."""
    of, _, by = unit.rpartition("-")
    per = {"second": 3600, "minute": 60, "hour": 1}.get(by)
    return (quantity, unit) if per is None else (quantity / per, f"{of}-hour" if of else "hour")


# ----------------------------------------------------------------------------------------------------------- what runs
@dataclass(frozen=True, kw_only=True)
class _Setup:
    """All replications, and how to run the beginning of a month for the timeline."""

    runs: Sequence[Simulated]
    begin: Callable[[int, float, float], Simulated]
    """Of a seed, between two times."""
    seconds: float
    taken: str
    arrivals: str
    closed_form: Latency | None
    doubts: tuple[str, ...]
    drawn: tuple[float, float]
    """Start and end of the timeline."""


def _known(spec: ModelSpec, cost: Cost) -> Traffic:
    """The traffic, if it and all else that a run needs is known; raises UsageError.

    Other targets have no known month without the cold start where they have cold starts.
    """
    traffic, performance = spec.traffic, spec.performance
    if cost.monthly_usd.expected is None:
        raise UsageError(*(replace(item, severity=Severity.ERROR) for item in cost.diagnostics))
    if not performance.service_time_s or (performance.cold_start_s is None and isinstance(spec.target, RunpodTarget)):
        raise _refused(
            spec,
            "simulate/performance",
            "its spec does not say performance.service_time and performance.cold_start",
            "measure and add them, for instance `performance: {service_time: 1.8s, cold_start: 25s}`",
        )
    if not is_simulated(spec):
        why = "it is not known which hours of its log are which of its schedule's"
        raise _refused(spec, "simulate/schedule", why, "simulate it without `schedule:`, or with `hourly:` rates")
    if traffic is None or not traffic.requests_per_day:
        raise _refused(spec, "simulate/no-traffic", "nothing is asked of it", "say `traffic.requests_per_day`")
    return traffic


def _refused(spec: ModelSpec, code: str, why: str, hint: str | None) -> BaseloadError:
    return UsageError.of(code, f"{spec.name} cannot be simulated: {why}", where=Location(spec.file), hint=hint)


def _overloaded(spec: ModelSpec, cost: Cost, why: str) -> BaseloadError:
    hint = next((item.hint for item in cost.diagnostics if item.code in ("plan/overload", "plan/deadline")), None)
    return _refused(spec, "simulate/overload", f"{why}; the queue grows without end, all workers are always on", hint)


def _setup(
    spec: ModelSpec, pool: Pool, cost: Cost, workers: Workers, requests: int | None, seed: int, *, to_the_end: bool
) -> _Setup:
    """What the plan simulates where it does, with its pool's rules."""
    demand = demand_of(spec)
    profile = demand.profile
    if not pool.rejects_at_cap and profile.mean_per_s * pool.service_s >= pool.slots:
        load = profile.mean_per_s * pool.service_s
        raise _overloaded(spec, cost, f"its traffic keeps {load:,.1f} requests in service, and {pool.slots:,} fit")
    tried = first_try(pool, demand, seed, workers.fixed) if requests is None and not to_the_end else None
    sample = tried.sample if tried else sample_of(pool, demand, requests or REQUESTS, workers.fixed)
    whole = whole_patterns(pool, demand, requests or REQUESTS)
    if sample is None:
        needed = math.ceil(FEWEST * whole.requests)
        raise _refused(
            spec,
            "simulate/requests",
            f"{requests or REQUESTS:,} requests are too few for its rates; {FEWEST} replications of "
            f"{whole.taken} are {needed:,}",
            f"--requests {needed}; a part of them may do, and the plan's closed form needs none",
        )
    fewest = sample.most if to_the_end else FEWEST
    runs = tried.runs if tried else tuple(sample.runs(seed, fewest=fewest, fast=_compiled(fewest * sample.requests)))

    def begin(seed: int, from_s: float, until_s: float) -> Simulated:
        return simulate(
            whole.pool, whole.arrivals, requests=sys.maxsize, seed=f"{seed}/0", warm_up_s=from_s, until_s=until_s
        )

    return _Setup(
        runs=runs,
        begin=begin,
        seconds=sample.seconds,
        taken=sample.taken,
        arrivals=whole.told,
        closed_form=latency_over(workers.closed) if workers.closed else None,
        doubts=in_doubt(spec, workers.pool, fixed=workers.fixed),
        drawn=_drawn(profile),
    )


def _compiled(requests: float) -> bool:
    return requests > _COMPILED_FROM and find_spec("numba") is not None


def _batch_setup(spec: ModelSpec, traffic: Traffic, pool: Pool, cost: Cost, requests: int | None, seed: int) -> _Setup:
    """A day on which all requests come at once, on a pool that has seen none for long."""
    assert traffic.batch is not None, "has a batch"
    assert cost.deadline is not None, "all figures are known"
    jobs, takes_s = traffic.batch.jobs, cost.deadline.takes_s
    if takes_s is None:
        raise _overloaded(spec, cost, "its batch takes more than a day")
    if FEWEST * jobs > (_MOST_JOBS if requests is None else requests):
        raise _refused(
            spec,
            "simulate/requests",
            f"{FEWEST} batches are {FEWEST * jobs:,} requests",
            f"--requests {FEWEST * jobs}",
        )

    def run(seed: str, from_s: float, until_s: float) -> Simulated:
        services = service_times(pool, random.Random(f"{seed}/service"))
        log = ((0.0, next(services)) for _ in range(jobs))
        return replay(pool, log, seed=seed, warm_up_s=from_s, until_s=until_s)

    most = min(max((requests or REQUESTS) // jobs, FEWEST), MOST)
    return _Setup(
        runs=tuple(until_narrow((run(f"{seed}/{number}", 0.0, DAY_S) for number in range(most)), FEWEST)),
        begin=lambda seed, from_s, until_s: run(f"{seed}/0", from_s, until_s),
        seconds=DAY_S,
        taken="a day of one batch",
        arrivals=f"{jobs:,} requests at once, each day",
        closed_form=None,
        doubts=(),
        drawn=(0.0, min(DAY_S, 1.25 * float(takes_s))),
    )


def service_times(pool: Pool, source: random.Random) -> Iterator[float]:
    """Service times as the simulator draws them: exponential at a coefficient of variation of 1, else log-normal."""
    sigma = math.sqrt(math.log1p(pool.service_cv**2))
    while True:
        if pool.service_cv == 1:
            yield source.expovariate(1 / pool.service_s)
        else:
            yield pool.service_s * math.exp(source.gauss(-sigma * sigma / 2, sigma))


# ------------------------------------------------------------------------------------------------------------- figures
def _bill(cost: Cost, runs: Sequence[Sequence[LineOfRun]]) -> dict[str, Amount]:
    """The lines of the plan's bill with the simulated quantities at the plan's unit prices."""
    closed: dict[str, LineOfRun] = {}
    for line in cost.lines:
        quantity, unit = in_hours(float(line.quantity), line.unit)
        before = closed.get(line.what, LineOfRun(line.what, 0.0, unit, 0.0))
        closed[line.what] = before._replace(
            quantity=before.quantity + quantity, usd=before.usd + float(line.amount_usd)
        )
    units = {what: line.unit for what, line in closed.items()}
    units |= {line.what: line.unit for run in runs for line in run}
    bill = {}
    for what, unit in units.items():
        of = [[line for line in run if line.what == what] for run in runs]
        by_formula = closed.get(what, LineOfRun(what, 0.0, unit, 0.0))
        bill[what] = Amount(
            quantity=_figure([math.fsum(line.quantity for line in lines) for lines in of], by_formula.quantity),
            unit=unit,
            usd=_figure([math.fsum(line.usd for line in lines) for lines in of], by_formula.usd),
        )
        bill[what] = replace(bill[what], usd=_as_billed(bill[what], cost, what))
    same = set(units.values())
    together = [math.fsum(line.quantity for line in run) for run in runs]
    total = _figure([math.fsum(line.usd for line in run) for run in runs], float(cost.monthly_usd.expected or 0))
    billed = sum((cents(Decimal(amount.usd.simulated or 0)) for amount in bill.values()), Decimal(0))
    bill["total"] = Amount(
        quantity=_figure(together, math.fsum(line.quantity for line in closed.values())) if len(same) == 1 else None,
        unit=same.pop() if len(same) == 1 else None,
        usd=replace(total, simulated=float(billed)),
    )
    return bill


def _as_billed(amount: Amount, cost: Cost, what: str) -> Figure:
    """To the cent, as the line of a plan: on RunPod serverless, whose bill is all lines, of whole GPU-seconds."""
    usd = Decimal(amount.usd.simulated or 0)
    if cost.bill is None:
        (price,) = {line.unit_price_usd for line in cost.lines if line.what == what}
        seconds = Decimal((amount.quantity.simulated or 0) * 3600 if amount.quantity else 0)
        usd = seconds.quantize(Decimal(1), ROUND_HALF_UP) * price
    return replace(amount.usd, simulated=float(cents(usd)))


def _starts(cost: Cost) -> float | None:
    return None if cost.worker_starts_per_month is None else float(cost.worker_starts_per_month)


def _figure(values: Sequence[float | None], closed_form: float | None) -> Figure:
    known = [value for value in values if value is not None]
    if not known:
        return Figure(simulated=None, half_width=None, closed_form=closed_form)
    return Figure(simulated=mean(known), half_width=half_width(known), closed_form=closed_form)


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
        run = setup.begin(seed, begins_s, ends_s)
        yield Slot(
            from_s=begins_s,
            requests=run.requests,
            busy=run.busy,
            idle=run.idle,
            cold_start=run.cold_start,
            always_on=run.always_on + run.dedicated,
            waiting=run.waiting,
        )
