"""From a demand to the billed time of a fleet of workers: the pool's floating point ends here.

Knows how long workers live, not what they cost. Every time is rounded to the second once, before it meets a price.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

from baseload.planner.pool import Pool, PoolEstimate, estimate
from baseload.planner.pool.erlang import waiting
from baseload.planner.prices import MONTH_HOURS
from baseload.planner.targets.bill import Counted, Demand, Part
from baseload.planner.traffic.batch import DAY_S, BatchRun, run_batch
from baseload.planner.traffic.profile import SESSION_EVERY_S, RateProfile, Stretch, estimate_over


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Workers that come and go with the requests."""

    workers_min: int = 0
    workers_max: int = 1
    idle_timeout_s: Decimal = Decimal(0)
    start_delay_s: Decimal = Decimal(0)
    bills_cold_start: bool = True
    dedicated: int | None = None
    """Replicas beside the fleet that take requests first; their time is not the fleet's. A schedule is of their number,
    of the fleet's minimum where this is None."""
    increment_s: Decimal = Decimal(0)
    """Each run of a worker is rounded up to it: half of it per start on average."""
    buffer: int = 0
    """Idle workers beyond those in use, and beyond `workers_max`; only a simulation knows them."""
    rejects: bool = False
    """Requests that find all workers busy are sent away; workers are there at once, one request each."""
    fixed: bool = False
    """None come beyond the minimum."""
    waits: bool = True
    """What finds all workers busy waits for as long as it takes; else it fails before its turn comes."""


@dataclass(frozen=True, kw_only=True)
class WorkerTime:
    """Worker-seconds a month by what the workers do."""

    busy_s: Decimal = Decimal(0)
    idle_s: Decimal = Decimal(0)
    cold_start_s: Decimal = Decimal(0)
    always_on_s: Decimal = Decimal(0)
    starts: Decimal = Decimal(0)
    method: str | None = None
    pools: tuple[tuple[float, Pool], ...] = ()
    """The workers in each part of the month, with its share; none where a figure is missing."""
    overloaded: bool = False
    """In some part of the month more arrives than all workers serve."""
    buffer_s: Decimal = Decimal(0)
    """Of the buffer, busy or not; none in a simulation, which has it in the others."""
    counted: Counted | None = None
    """None without a simulation."""

    @property
    def total_s(self) -> Decimal:
        """All that is billed."""
        return self.come_and_go_s + self.always_on_s

    @property
    def come_and_go_s(self) -> Decimal:
        """Without the minimum."""
        return self.busy_s + self.idle_s + self.cold_start_s + self.buffer_s

    def by_kind(self) -> dict[str, Decimal]:
        """For the lines of a bill."""
        return {
            "busy": self.busy_s,
            "idle": self.idle_s,
            "cold_start": self.cold_start_s,
            "always_on": self.always_on_s,
            "buffer": self.buffer_s,
        }


Times = Callable[[Demand, Fleet, Decimal], WorkerTime]
"""How long a fleet's workers live under a demand in a month of so many hours: `worker_time`, or a simulation."""


def missing(demand: Demand, fleet: Fleet) -> tuple[str, ...]:
    """The figures without which a fleet's time is unknown, by their key in a spec."""
    asked = any(part.requests_per_day > 0 for part in demand.in_parts()) or bool(demand.batch and demand.batch.jobs)
    if not asked or fleet.fixed or all(_minimum(part, fleet) >= fleet.workers_max for part in demand.in_parts()):
        return ()
    needed = {"performance.service_time": demand.service_s, "performance.cold_start": demand.cold_start_s}
    return tuple(key for key, value in needed.items() if value is None)


def worker_time(demand: Demand, fleet: Fleet, month_hours: Decimal = MONTH_HOURS) -> WorkerTime:
    """The billed time of a month; of the always-on workers alone where a figure is missing.

    Each part of the month is taken as if it lasted: what a change from one to the next costs is not counted, but for
    the ends of sessions, and for what waits from hours with more than all workers serve until there is less.
    """
    month_s = month_hours * 3600
    if fleet.rejects:  # nothing waits, starts or idles: its target counts the requests
        return WorkerTime(pools=tuple((float(part.share), pool_of(demand, fleet, part)) for part in demand.in_parts()))
    if demand.batch is not None and not missing(demand, fleet):
        return _batch_time(demand, fleet, month_hours)
    sums = dict.fromkeys(("busy", "idle", "cold_start", "always_on", "starts"), Decimal(0))
    parts, unknown = demand.in_parts(), bool(missing(demand, fleet))
    if unknown:
        for part in parts:
            sums["always_on"] += part.share * min(_minimum(part, fleet), fleet.workers_max) * month_s
        parts = ()
    alike = {part.workers_min: part for part in parts}
    by_minimum = {least: pool_of(demand, fleet, part) for least, part in alike.items()}
    pools = [
        (float(part.share), by_minimum[part.workers_min].at(float(part.requests_per_day / 86_400))) for part in parts
    ]
    found = [_with_ends(estimate(pool), pool, float(demand.active_share)) for _, pool in pools]
    methods = [item.method for item in found]
    late = _catching_up(pools) if fleet.waits else Decimal(0)
    if late:
        methods.append("approximation: what waits is served by all workers when there is less")
    for part, (_, pool), steady in zip(parts, pools, found, strict=True):
        full = late if pool.load < pool.slots else Decimal(0)
        for kind, workers in _billed(steady, fleet).items():
            sums[kind] += part.share * (1 - full) * Decimal(workers) * month_s
        sums["busy"] += part.share * full * (pool.workers_max - pool.workers_min) * month_s
        sums["always_on"] += part.share * full * pool.workers_min * month_s
    return WorkerTime(
        busy_s=_whole(sums["busy"]),
        idle_s=_whole(sums["idle"]),
        cold_start_s=_whole(sums["cold_start"]),
        always_on_s=_whole(sums["always_on"]),
        starts=_whole(sums["starts"]),
        method="; ".join(dict.fromkeys(methods)) or None,
        pools=tuple(pools) if demand.service_s is not None else (),
        overloaded=any(item.overloaded for item in found),
        buffer_s=_buffer_s(demand, fleet, month_s),
    )


def batch_run(demand: Demand, fleet: Fleet) -> BatchRun:
    """A day's batch on the fleet, whose times are known."""
    assert demand.batch is not None, "has a batch"
    whole = Part(share=Decimal(1), requests_per_day=Decimal(0), workers_min=demand.batch.workers_ready)
    return run_batch(pool_of(demand, fleet, whole), demand.batch.jobs, float(demand.batch.within_s))


def _batch_time(demand: Demand, fleet: Fleet, month_hours: Decimal) -> WorkerTime:
    """The minimum all the month, and what each day's batch starts beside it."""
    run, month_s = batch_run(demand, fleet), month_hours * 3600
    means = _billed(run.estimate, fleet)
    busy_s, idle_s, cold_start_s, starts = (
        _whole(Decimal(means[kind]) * month_s) for kind in ("busy", "idle", "cold_start", "starts")
    )
    up_s = min(run.seconds + float(fleet.idle_timeout_s), DAY_S) if demand.requests_per_day else 0.0
    return replace(
        worker_time(replace(demand, batch=None), fleet, month_hours),
        busy_s=busy_s,
        idle_s=idle_s,
        cold_start_s=cold_start_s,
        starts=starts,
        method=run.estimate.method,
        pools=(),
        overloaded=run.estimate.overloaded,
        buffer_s=_whole(fleet.buffer * Decimal(up_s / DAY_S) * month_s),
    )


def _catching_up(pools: Sequence[tuple[float, Pool]]) -> Decimal:
    """Of the time with room: the share in which all workers serve what had to wait; zero where there is no room."""
    waits = sum(share * (pool.load - pool.slots) for share, pool in pools if pool.load > pool.slots)
    room = sum(share * (pool.slots - pool.load) for share, pool in pools if pool.load < pool.slots)
    return Decimal(min(waits / room, 1)) if room else Decimal(0)


def _buffer_s(demand: Demand, fleet: Fleet, month_s: Decimal) -> Decimal:
    """The buffer is up while any request was in service within the idle timeout: 1 − e^(−λ(S + timeout))."""
    if not fleet.buffer or demand.service_s is None:
        return Decimal(0)
    stays_days = float(demand.service_s + fleet.idle_timeout_s) / 86_400
    up = [part.share * Decimal(-math.expm1(-float(part.requests_per_day) * stays_days)) for part in demand.in_parts()]
    return _whole(fleet.buffer * sum(up, Decimal(0)) * month_s)


def _with_ends(found: PoolEstimate, pool: Pool, active_share: float) -> PoolEstimate:
    """Within a session, with what its beginning and end cost put on its time."""
    if active_share >= 1 or pool.arrivals_per_s <= 0 or found.overloaded:
        return found
    hour = RateProfile(stretches=(Stretch(SESSION_EVERY_S, pool.arrivals_per_s * active_share),))
    whole = estimate_over(pool.at(0.0), hour, active_share)
    return replace(
        found,
        idle=whole.idle / active_share,
        cold_start=whole.cold_start / active_share,
        starts_per_s=whole.starts_per_s / active_share,
    )


def pool_of(demand: Demand, fleet: Fleet, part: Part) -> Pool:
    """The fleet in a part of the month as the pool model takes it."""
    minimum = _minimum(part, fleet)
    most = minimum if fleet.fixed else max(fleet.workers_max, minimum)
    return Pool(
        arrivals_per_s=float(part.requests_per_day / 86_400),
        arrivals_cv=float(demand.arrivals_cv),
        service_s=float(demand.service_s or 0),
        service_cv=float(demand.service_cv),
        cold_start_s=0.0 if fleet.rejects else float(demand.cold_start_s or 0),
        cold_start_billed=1.0 if fleet.bills_cold_start else 0.0,
        start_delay_s=float(fleet.start_delay_s),
        idle_timeout_s=float(fleet.idle_timeout_s),
        concurrency=1 if fleet.rejects else demand.concurrency,
        workers_min=minimum,
        workers_max=most,
        dedicated=dedicated_in(part, fleet),
        dispatch=demand.dispatch,
        rejects_at_cap=fleet.rejects,
    )


def whole_pool_of(demand: Demand, fleet: Fleet) -> Pool:
    """The fleet over all parts of the month, with the rules that only a simulation knows."""
    pool = pool_of(demand, fleet, Part(share=Decimal(1), requests_per_day=demand.requests_per_day))
    if fleet.rejects:  # who took a place of the minimum keeps it, and a place above it is paid for to the end
        return replace(pool, workers_min=0, dedicated=pool.workers_min, schedule_of_base=True)
    return replace(
        pool,
        workers_max=pool.workers_max + fleet.buffer,
        buffer=fleet.buffer,
        increment_s=float(fleet.increment_s),
        schedule_of_base=fleet.dedicated is not None,
    )


def dedicated_in(part: Part, fleet: Fleet) -> int:
    """Replicas of the base in this part of the month."""
    if fleet.dedicated is None:
        return 0
    return fleet.dedicated if part.workers_min is None else part.workers_min


def dedicated_mean(demand: Demand, fleet: Fleet) -> Decimal:
    """Replicas of the base that run, over the month."""
    if not demand.scheduled:
        return Decimal(fleet.dedicated or 0)
    return sum((part.share * dedicated_in(part, fleet) for part in demand.in_parts()), Decimal(0))


def _minimum(part: Part, fleet: Fleet) -> int:
    if part.workers_min is None or fleet.dedicated is not None:
        return fleet.workers_min
    return min(part.workers_min, fleet.workers_max) if fleet.fixed else part.workers_min


def _billed(found: PoolEstimate, fleet: Fleet) -> dict[str, float]:
    """Mean billed workers by what they do, and starts per second; rounding up counts as cold start."""
    room = max(fleet.workers_max - found.billed, 0.0)
    rounding = min(float(fleet.increment_s) / 2 * found.starts_per_s, room)
    return {
        "busy": found.busy,
        "idle": found.idle,
        "cold_start": found.cold_start + rounding,
        "always_on": found.always_on,
        "starts": found.starts_per_s,
    }


def overloaded(demand: Demand, workers: int) -> bool:
    """Whether in some part of the month more arrives than so many workers serve; False where that is unknown."""
    if demand.service_s is None:
        return False
    places = workers * demand.concurrency
    return any(part.requests_per_day / 86_400 * demand.service_s >= places > 0 for part in demand.in_parts())


def mean_wait_s(demand: Demand, workers: int, most: int = 0, longest_s: Decimal | None = None) -> Decimal | None:
    """Mean time a request waits for a place on workers that are always on; None where unknown.

    Where a schedule has another minimum, on that; with `most`, on as many up to it as the requests need. Erlang C with
    the factor (1 + cv²)/2 (Allen and Cunneen): exact for exponential service times; `pool.erlang` for bursts. Nothing
    waits longer than `longest_s`, which is how long each waits in overload; without it the mean is None there.
    """
    if demand.service_s is None:
        return None
    service = float(demand.service_s)
    total, requests, cv = 0.0, 0.0, max(float(demand.arrivals_cv), 1.0)
    for part in demand.in_parts():
        load = float(part.requests_per_day) / 86_400 * service
        least = workers if part.workers_min is None else max(part.workers_min, 1)
        places = max(least, min(int(load / demand.concurrency) + 1, most)) * demand.concurrency
        if load >= places:
            if longest_s is None:
                return None
            wait_s = float(longest_s)
        else:
            share, mean = waiting(places, load, cv)
            wait_s = share * mean * service * (cv**2 + float(demand.service_cv) ** 2) / (cv**2 + 1)
        weight = float(part.share * part.requests_per_day)
        total += weight * (wait_s if longest_s is None else min(wait_s, float(longest_s)))
        requests += weight
    return Decimal(total / requests).quantize(Decimal("0.000001")) if requests else Decimal(0)


def _whole(quantity: Decimal) -> Decimal:
    return quantity.quantize(Decimal(1), ROUND_HALF_UP)
