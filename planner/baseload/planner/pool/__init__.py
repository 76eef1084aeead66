"""How much worker time a pool of serverless workers bills, in mean workers: no money, no platform, no clock.

A `Pool` goes in, a `PoolEstimate` comes out: mean billed workers split into busy, idle tail, cold start and always-on,
with the name of the method and the assumptions it rests on. Rules of the pool: arrivals are Poisson at a constant
rate; a request goes to the fullest worker with room, else to the worker that became idle last; one that finds no room
waits in one queue and starts workers until (starting × concurrency) covers the queue; a started worker is not called
back; a worker idle for the timeout stops unless that leaves fewer than the minimum. Other rules of dispatch: `spread`.

Exact, for these rules: no traffic; all workers always on; one worker (any service times at concurrency 1, exponential
ones above); no cold start at concurrency 1 with exponential service times. Everything else is an approximation and
says so. The formulas, their symbols and how far off they were stand in docs/cost-model.md under "Worker time"; the
tests hold every method against an event simulation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache, lru_cache
from typing import NamedTuple

from baseload.planner.pool.gaps import followers, rest_of_gap
from baseload.planner.pool.levels import Chain, Level, chain, shares_on

_FOREVER_S = 1e12
_SHORTEST_S = 1e-6
"""Service times below a microsecond count as one: rates of service must stay finite."""


class Dispatch(StrEnum):
    """Which warm worker with room gets a request."""

    PACKED = "packed"
    """The fullest, then the one that became idle last."""
    BALANCED = "balanced"
    """The least loaded, then the one that has been idle longest."""
    RANDOM = "random"


def other_dispatches(workers_min: int, workers_max: int) -> tuple[Dispatch, ...]:
    """The rules that may hold besides the packed one where a platform documents none.

    None where no worker ever stops, or there is but one to choose.
    """
    return (Dispatch.BALANCED, Dispatch.RANDOM) if workers_max > max(workers_min, 1) else ()


@dataclass(frozen=True, kw_only=True)
class TargetTracking:
    """The start rule of scalers that look once a minute at the mean number of requests in the pool."""

    target: float
    """Requests, waiting or running, per worker that the scaler aims at."""
    out_cooldown_s: float = 0.0
    """Between two rounds of starts."""
    in_after_s: float = 900.0
    """Workers stop after fewer have been wanted for this long."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Workers of one kind behind one queue. Times are seconds, means where they vary."""

    arrivals_per_s: float
    service_s: float
    """Time of one request on a worker that serves `concurrency` of them at once."""
    service_cv: float = 1.0
    """Coefficient of variation of the service time."""
    cold_start_s: float = 0.0
    """From the start of a worker until it can take a request."""
    cold_start_billed: float = 1.0
    """Share of the cold start that is billed, 0 to 1 (kappa)."""
    start_delay_s: float = 0.0
    """A request starts a worker only after it has waited this long; not billed."""
    idle_timeout_s: float = 0.0
    concurrency: int = 1
    workers_min: int = 0
    workers_max: int = 1
    dedicated: int = 0
    """Replicas beside the pool, as concurrent as its workers, that take requests first; the pool gets the overflow."""
    arrivals_cv: float = 1.0
    """Coefficient of variation of the gaps between requests, gamma distributed: 1 is Poisson, and so is what is less
    in the closed form. The simulation has its own."""
    dispatch: Dispatch = Dispatch.PACKED

    # Only the simulation knows these.
    cold_start_cv: float = 0.0
    """Coefficient of variation of the cold start, log-normal."""
    buffer: int = 0
    """Idle workers that are kept, and started, beyond those in use."""
    requests_per_worker: int = 0
    """Start rule by count: a worker for so many requests, waiting or running; 0 is by waiting requests."""
    tracking: TargetTracking | None = None
    rejects_at_cap: bool = False
    """A request that finds all workers of the maximum full, or on their way, is rejected instead of queued. The
    maximum then holds the replicas beside the pool."""
    fails_at_zero: bool = False
    """A request that finds no worker fails (and starts one) instead of waiting for it."""
    increment_s: float = 0.0
    """Each run of a worker is billed in whole multiples of this."""
    service_alone: float = 1.0
    """Service time of a request alone on a worker, as share of `service_s` (which holds at full concurrency)."""
    schedule: tuple[tuple[float, int], ...] = ()
    """(second of the period, minimum workers from then on), from second 0; empty is `workers_min` all the time."""
    schedule_period_s: float = 86_400.0
    schedule_of_base: bool = False
    """It is that of the replicas beside the pool: those that are full when it falls serve what they have."""

    def at(self, arrivals_per_s: float) -> Pool:
        """The pool at another rate: `dataclasses.replace`, several times faster."""
        other = object.__new__(Pool)
        other.__dict__.update(self.__dict__, arrivals_per_s=arrivals_per_s)
        return other

    @property
    def load(self) -> float:
        """Mean number of requests in service where nothing limits it."""
        return self.arrivals_per_s * self.service_s

    @property
    def peakedness(self) -> float:
        """Variance over mean of the number of requests in service where nothing limits it (z); 1 for a Poisson stream.

        1/(1 − φ(1/S)) − λS with φ the transform of a gap: exact where service times are exponential (GI/M/∞).
        """
        return 1 + max(followers(self.arrivals_per_s, self.arrivals_cv, self.service_s) - self.load, 0.0)

    @property
    def slots(self) -> int:
        """Requests that all workers and replicas together can serve at once."""
        return (self.workers_max + self.dedicated) * self.concurrency


SOURCES = ("spec", "measured", "default", "estimated")
"""Where an assumption may come from: said by the user; seen in a log or a simulation; taken because nothing else is
said (a document of the provider, a convention); computed from the size of the model."""


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """Something a figure rests on: what, which value, where it comes from, and which way the figure errs by it."""

    name: str
    value: str
    source: str
    """One of `SOURCES`, and after `; ` who says so or how it was found."""
    errs: str | None = None
    """How the figure is off where the assumption does not hold, None where that is not known or does not matter."""

    @property
    def kind(self) -> str:
        """The source alone, one of `SOURCES`: a reference without one is a default."""
        kind = self.source.partition("; ")[0]
        return kind if kind in SOURCES else "default"

    @property
    def reference(self) -> str | None:
        """Who says so or how it was found, None where the source is all there is to say."""
        kind, _, said = self.source.partition("; ")
        return (said or None) if kind in SOURCES else self.source

    def to_json(self) -> dict[str, str | None]:
        """The form in the documents of plans and comparisons."""
        return {
            "name": self.name,
            "value": self.value,
            "source": self.kind,
            "reference": self.reference,
            "errs": self.errs,
        }


@dataclass(frozen=True, kw_only=True)
class PoolEstimate:
    """Mean billed workers by what they do; times the seconds of a month this is worker-seconds a month."""

    busy: float
    """With at least one request in service, without the workers that are always on."""
    idle: float
    cold_start: float
    always_on: float
    starts_per_s: float
    """Worker starts, the minimum workers' own not counted."""
    method: str
    """`exact: …` or `approximation: …`."""
    assumptions: tuple[Assumption, ...] = ()
    overloaded: bool = False
    """More arrives than all workers can serve."""

    @property
    def billed(self) -> float:
        """Mean billed workers, all kinds."""
        return self.busy + self.idle + self.cold_start + self.always_on


@lru_cache(maxsize=8192)
def estimate(pool: Pool) -> PoolEstimate:
    """What the pool bills in the long run, by the best method that fits it; never more than `workers_max`."""
    pool = settled(pool)
    if pool.workers_max <= pool.workers_min:
        return _constant(pool, busy=0.0, method="exact: all workers are always on")
    if pool.arrivals_per_s <= 0:
        return _constant(pool, busy=0.0, method="exact: no traffic")
    if pool.load >= pool.slots:
        busy = float(pool.workers_max - pool.workers_min)
        return _constant(pool, busy=busy, method="exact: overload, all workers are busy all the time")
    if pool.workers_max == 1 and pool.dedicated == 0 and pool.peakedness == 1:
        return _one_worker(pool)
    if pool.dispatch is Dispatch.PACKED or pool.workers_max == 1:
        return _many_workers(pool)
    from baseload.planner.pool.spread import spread_out  # it takes its types from here

    return spread_out(pool)


def settled(pool: Pool) -> Pool:
    """The pool with a service time that can be divided by."""
    return pool if pool.service_s >= _SHORTEST_S else replace(pool, service_s=_SHORTEST_S)


def _constant(pool: Pool, *, busy: float, method: str) -> PoolEstimate:
    return PoolEstimate(
        busy=busy,
        idle=0.0,
        cold_start=0.0,
        always_on=float(pool.workers_min),
        starts_per_s=0.0,
        method=method,
        overloaded=pool.load >= pool.slots and pool.arrivals_per_s > 0,
    )


# ------------------------------------------------------------------------------------------------------ one worker
def _one_worker(pool: Pool) -> PoolEstimate:
    """One cycle: off until a request comes, start delay, cold start, then busy and idle in turn until a timeout."""
    rate, tau = pool.arrivals_per_s, pool.idle_timeout_s
    gaps = _grow(rate * tau)
    idle = gaps / rate
    waited = pool.start_delay_s + pool.cold_start_s
    drop = _drop_times(pool)
    backlog = _sum_over_batch(drop, rate * waited)
    busy = backlog + gaps * drop[0]
    cycle = 1 / rate + pool.start_delay_s + pool.cold_start_s + busy + idle
    exact = pool.concurrency == 1 or pool.service_cv == 1
    return PoolEstimate(
        busy=busy / cycle,
        idle=idle / cycle,
        cold_start=pool.cold_start_s * pool.cold_start_billed / cycle,
        always_on=0.0,
        starts_per_s=1 / cycle,
        method="exact: one worker" if exact else "approximation: one worker, exponential service times",
        assumptions=() if exact else assumptions(pool),
    )


def _full_share_of_one(pool: Pool) -> float:
    """Share of requests that find the only worker off, starting or full; exact where `_one_worker` is."""
    rate, c = pool.arrivals_per_s, pool.concurrency
    waited_s, drop = pool.start_delay_s + pool.cold_start_s, _drop_times(pool)
    full = drop[:]  # the part of each drop time with no room
    for n in range(c - 1, 0, -1):
        full[n - 1] = min(rate * full[n] * pool.service_s / n, _FOREVER_S)
    found = _one_worker(pool)
    full_s = _sum_over_batch(full, rate * waited_s) + _grow(rate * pool.idle_timeout_s) * full[0]
    return min(found.starts_per_s * (1 / rate + waited_s + full_s), 1.0)


def _full_share(pool: Pool, net: Chain, cold: float, more: float) -> float:
    """Share of requests that wait for a slot though no worker can start."""
    if pool.workers_max == 1 and pool.dedicated == 0:
        return _full_share_of_one(pool) - cold
    return (1 - cold - more) * net.full


def _grow(x: float) -> float:
    """exp(x) − 1, cut before it overflows: number of gaps shorter than the timeout before one that is not."""
    return math.expm1(min(x, 200.0))


def _drop_times(pool: Pool) -> list[float]:
    """Mean time from n requests in one worker to n−1, for n = 1 … concurrency; above it stays what it is there.

    First passage down a birth–death chain: exact for exponential service, and at concurrency 1 for any.
    """
    rate, service, c = pool.arrivals_per_s, pool.service_s, pool.concurrency
    times = [service / (c - pool.load)]
    for n in range(c - 1, 0, -1):
        times.append(min((1 + rate * times[-1]) * service / n, _FOREVER_S))
    times.reverse()
    return times


def _sum_over_batch(drop: Sequence[float], followers: float) -> float:
    """Mean time until a batch of 1 + Poisson(followers) requests and all that come meanwhile are served."""
    tail = _poisson_tail(followers, range(len(drop)))
    above = max(1 + followers - sum(tail), 0.0)
    return sum(time * p for time, p in zip(drop, tail, strict=True)) + drop[-1] * above


# --------------------------------------------------------------------------------------------------- several workers
class Flows(NamedTuple):
    """What passes through a pool of several workers in the long run: worker time, starts, and who waits for what."""

    warm: float
    """Mean workers above the minimum that are up."""
    occupied: float
    """Of them with at least one request."""
    starts_per_s: float
    worth: tuple[float, ...]
    """Billed share of the time of each worker above the minimum, the first one first (phi)."""
    cold_waits: float
    """Share of requests that wait for the start of an empty pool."""
    cold_first: float
    """Of them those that started it."""
    cold_slots: float
    """Requests that the workers started for them serve at once."""
    more_waits: float
    """Share of requests that wait while one more worker starts."""
    more_wait_s: float
    """Their mean wait, were it not cut off by the start."""
    more_slots: float
    """Slots that were all taken when they came, in the mean."""
    brief_waits: float
    """Share of requests that find no room and get it before the start delay is over: nothing starts for them."""
    brief_wait_s: float
    """Their mean wait, were it not cut off by the delay."""
    full_waits: float
    """Share of requests that wait because all workers of the maximum are full."""


def flows(pool: Pool, *, waits: bool = True) -> Flows:
    """Levels of a pool with a Poisson (or peaked) stream; for less load than slots, and some worker that stops.

    Without `waits` the shares of requests that wait for one more worker, or for a full pool, are left at zero.
    """
    rate, service_s, c = pool.arrivals_per_s, pool.service_s, pool.concurrency
    cold_s, tau = pool.cold_start_s, pool.idle_timeout_s
    waits_s = cold_s + pool.start_delay_s
    before = pool.dedicated + pool.workers_min
    lasting_s = 10.0 ** math.ceil(
        math.log10(tau + waits_s + service_s)
    )  # coarse: pools that differ in it share a chain
    room = pool.workers_max - pool.workers_min
    net = chain(rate, service_s, pool.slots, before * c, c, room, lasting_s, pool.peakedness)
    fragments_s, billed_cold_s = _fragmentation_s(pool), cold_s * pool.cold_start_billed

    levels = [_level(pool, level, fragments_s if level.slots else 0.0) for level in net.levels]
    occupied = math.fsum(level.occupied for level in levels)
    epochs = None if before else _epochs(pool, net, levels)
    if epochs:
        levels = [levels[0]._replace(starts_per_s=0.0), *epochs.thinned]
    fresh = hits = waited_s = taken = previous = brief = brief_s = 0.0
    for k, (level, at) in enumerate(zip(levels, net.levels, strict=True) if waits or c == 1 else ()):
        requests, wait_s = _queued(pool, at)
        outlasts = outlasts_delay(pool, at.slots)
        crossed = -math.expm1(-min(cold_s * at.births_per_s * at.blocking, 500.0))
        starts_per_s = max(level.starts_per_s - previous * crossed, 0.0)
        new = starts_per_s * requests
        previous = level.starts_per_s
        if k or before:
            fresh += new
            waited_s += new * wait_s
            taken += new * at.slots
        if outlasts < 1:
            clears_s = 1 / (at.slots / service_s - rate)
            short = starts_per_s * (1 / outlasts - 1) * (1 + rate * clears_s)
            brief += short
            brief_s += short * clears_s * wait_ratio(pool.service_cv, at.slots, pool.load / at.slots)
        hits += level.starts_per_s * requests / outlasts
    further = math.fsum(level.starts_per_s * level.stay_s for level in levels)
    worth = tuple(level.starts_per_s * (billed_cold_s + level.stay_s) for level in levels)
    if epochs is None:
        warm, starts, first, followers, cold_slots = further, sum(x.starts_per_s for x in levels), 0.0, 0.0, 1.0
    else:
        first, followers, cold_slots = epochs.per_s, epochs.followers, epochs.started * c
        starts = first * epochs.started + sum(x.starts_per_s for x in levels)
        warm = first * epochs.warm_s + further
        fresh += first * rate * epochs.spread_s * epochs.ends
        if c == 1:
            met = min((first * (1 + followers) + hits) / rate, 1.0)
            by_worker = min(pool.load, pool.workers_max) + starts * tau + epochs.reused_s * rate * (1 - met)
            warm = (warm + by_worker) / 2
        worth = (max(warm + starts * billed_cold_s - sum(worth), 0.0), *worth[1:])
    more_wait_s, more_slots = (waited_s / fresh, max(taken / fresh, 1.0)) if waited_s else (0.0, 1.0)
    cold = min(first * (1 + followers) / rate, 1.0)
    more = min(fresh / rate, 1 - cold)
    short_waits = min(brief / rate, 1 - cold - more)
    return Flows(
        warm=warm,
        occupied=occupied,
        starts_per_s=starts,
        worth=tuple(min(share, 1.0) for share in worth),
        cold_waits=cold,
        cold_first=1 / (1 + followers),
        cold_slots=cold_slots,
        more_waits=more,
        more_wait_s=more_wait_s,
        more_slots=more_slots,
        brief_waits=short_waits,
        brief_wait_s=brief_s / brief if brief else 0.0,
        full_waits=_full_share(pool, net, cold, more + short_waits) if waits else 0.0,
    )


def wait_ratio(cv: float, slots: float, used: float) -> float:
    """Mean wait for one of some slots, all taken, over that with exponential service times, by how used they are.

    Busy slots: (1 + cv²)/2 (Allen and Cunneen). Idle ones: the shortest of as many remaining service times, of which a
    fixed one is spread evenly. Interpolated by the load, as Cosmetatos does for fixed service times.
    """
    spread = cv * cv
    light = spread + (1 - spread) * slots / (slots + 1) if spread <= 1 else 1 + (spread - 1) / (2 * slots)
    return (1 - used) * light + used * (1 + spread) / 2


class _Worker(NamedTuple):
    """One worker above the minimum, by itself."""

    starts_per_s: float
    stay_s: float
    """Mean time that it is up."""
    occupied: float
    on: float
    """Share of time that it would be on were there no cold starts."""
    hits_per_s: float


def _level(pool: Pool, level: Level, fragments_s: float) -> _Worker:
    service_s, below, slots = pool.service_s, level.below, level.slots
    cold_s, tau = pool.cold_start_s, pool.idle_timeout_s
    waits_s = cold_s + pool.start_delay_s
    window_s = tau + fragments_s
    survival = level.survival(window_s)
    off, hits = below * survival, max(below * level.density(window_s), 1e-290)
    on_s = min((1 - off) / hits, _FOREVER_S)
    late_s = (1 - below) * on_s + below * (level.survived_s(window_s) + (1 - survival) * on_s)
    still = math.exp(-max(slots, 0.5) * waits_s / service_s)
    stay_s = still * on_s + (1 - still) * max(tau, late_s)
    return _Worker(
        1 / (off / hits / outlasts_delay(pool, slots) + waits_s + stay_s),
        stay_s,
        1 - below * level.survival(fragments_s),
        1 - off,
        hits,
    )


def _queued(pool: Pool, level: Level) -> tuple[float, float]:
    """Requests that wait per start of the worker above the level, and their mean wait for a slot below it."""
    rate, service_s, cold_s, slots = pool.arrivals_per_s, pool.service_s, pool.cold_start_s, max(level.slots, 1)
    used, free_s = pool.load / slots, service_s / slots
    if used < 0.999:
        clears_s = 1 / (slots / service_s - rate)
        queued = level.blocking / max(1 - used * (1 - level.blocking), 1e-9)
        busy_s = min(-math.expm1(-cold_s / clears_s) * clears_s, cold_s)
    else:
        queued, busy_s = 1.0, cold_s
    requests = 1 + rate * (busy_s * (1 - queued) + queued * cold_s)
    longest_s = min(free_s * (1 + 1 / max(1 - used, 0.05)) / 2, max(cold_s, free_s))
    return requests, wait_ratio(pool.service_cv, slots, min(used, 0.95)) * longest_s


def outlasts_delay(pool: Pool, slots: int) -> float:
    """Chance that a request with no room still waits when the start delay is over.

    What is left of a running service lasts service_s · (1 + cv²) / 2 in the mean, taken as exponential.
    """
    if not pool.start_delay_s:
        return 1.0
    spare = max(slots - pool.load, 0.0)
    left_s = pool.service_s * (1 + pool.service_cv**2) / 2
    return math.exp(-min(spare * pool.start_delay_s / left_s, 20.0))


class _Epochs(NamedTuple):
    """Set-up epochs: from a request that finds the pool empty until it is empty again."""

    per_s: float
    started: float
    """Workers started by the first request and its followers."""
    spread_s: float
    """From the first start to the last."""
    followers: float
    """Requests that come within the first cold start."""
    warm_s: float
    ends: float
    """Chance that an idle time outlasts the timeout."""
    reused_s: float
    """Mean idle time of a worker before a request that finds it warm."""
    thinned: tuple[_Worker, ...]
    """Workers above the first while epochs last."""


def _epochs(pool: Pool, net: Chain, levels: Sequence[_Worker]) -> _Epochs:
    rate, tau, c, service_s = pool.arrivals_per_s, pool.idle_timeout_s, pool.concurrency, pool.service_s
    births = net.levels[0].births_per_s
    waits_s = pool.cold_start_s + pool.start_delay_s
    after_first = followers(rate, pool.arrivals_cv, pool.cold_start_s)
    # More than that are not started by the followers.
    most = min(pool.workers_max, int((after_first + 8 * math.sqrt(after_first) + 12) / c) + 2)
    extra = _poisson_tail(after_first, range(c, most * c, c))
    spread_s = c / rate * math.fsum(_poisson_tail(after_first, range(c + 1, most * c + 1, c)))
    started = 1 + math.fsum(extra)
    busy_s = min((1 / net.empty - 1) / births, _FOREVER_S)
    if pool.arrivals_cv > 1:
        gap, first = (rest_of_gap(rate, pool.arrivals_cv, s, tau) for s in (service_s, pool.cold_start_s + service_s))
    else:
        gap = first = rest_of_gap(births, 1.0, 0.0, tau)
    again_s = min((busy_s + gap.idle_s) / max(gap.ends, 1e-290), _FOREVER_S)
    tail_s = first.idle_s + (1 - first.ends) * again_s
    off_s = first.ends * first.off_s + (1 - first.ends) * gap.off_s
    ends = gap.ends
    clear_s = min(_backlog_s(pool, started, spread_s, after_first) * busy_s / service_s, _FOREVER_S)
    up_s = spread_s + clear_s + tail_s
    per_s = 1 / (off_s + waits_s + up_s)

    lasting = (up_s + pool.start_delay_s) * per_s / max(levels[0].on, 1e-12)
    already = [*extra, *[0.0] * len(levels)]
    thinned = tuple(
        level._replace(starts_per_s=level.starts_per_s * lasting * (1 - ends * share))
        for level, share in zip(levels[1:], already, strict=False)
    )
    hits = math.fsum(level.hits_per_s for level in levels)
    idle = math.fsum(level.on - level.occupied for level in levels) - hits * tau
    reused_s = max(idle, 0.0) / max(rate - hits, 1e-9)
    useful_s = math.fsum(level.occupied for level in levels) / rate
    others = started - 1
    still_used_s = others * service_s * math.exp(-spread_s / (others * service_s)) if c > 1 and others > 1e-9 else 0.0
    ramp_s = min(rate * spread_s * (useful_s + (1 - ends) * reused_s), spread_s)
    return _Epochs(
        per_s=per_s,
        started=started,
        spread_s=spread_s,
        followers=after_first + rate * pool.start_delay_s,
        warm_s=others * tau + still_used_s + clear_s + tail_s + ramp_s,
        ends=ends,
        reused_s=reused_s,
        thinned=thinned,
    )


def _backlog_s(pool: Pool, started: float, spread_s: float, followers: float) -> float:
    """Mean time that is left of the longest service of an epoch's batch when the last worker has come up."""
    c, service_s = pool.concurrency, pool.service_s
    batch = (1 + followers) / started
    longest = 1.0
    if started < 1.5 and batch > 1:
        cv = min(pool.service_cv, 1.2)
        longest = 1 + (_harmonic(min(batch, c)) - 1) * cv + max(batch - c, 0.0) / c
    work_s = ((1 + followers) * service_s - started * c * spread_s / 2) / (started * c)
    return max(service_s * longest * math.exp(-spread_s / service_s), work_s)


def _many_workers(pool: Pool) -> PoolEstimate:
    if pool.cold_start_s == 0 and pool.concurrency == 1 and pool.service_cv == 1 and _plain(pool):
        return _warm_levels(pool)
    found = flows(pool, waits=False)
    room = float(pool.workers_max - pool.workers_min)
    cold = min(found.starts_per_s * pool.cold_start_s * pool.cold_start_billed, room)
    least = pool.load / pool.concurrency - pool.dedicated - pool.workers_min  # all of them full all the time
    warm = max(found.warm, least)
    busy = min(found.occupied, pool.load, warm, room - cold)
    cold_levels = "levels" if pool.dedicated + pool.workers_min else "set-up epochs and levels"
    return PoolEstimate(
        busy=busy,
        idle=min(max(warm - busy, 0.0), room - cold - busy),
        cold_start=cold,
        always_on=float(pool.workers_min),
        starts_per_s=found.starts_per_s,
        method=f"approximation: {cold_levels if pool.cold_start_s else 'levels without cold start'}",
        assumptions=assumptions(pool),
    )


def _plain(pool: Pool) -> bool:
    return pool.start_delay_s == 0 and pool.dedicated == 0 and pool.peakedness == 1


def _warm_levels(pool: Pool) -> PoolEstimate:
    """No cold start: the workers on are the maximum of the requests in the system over one idle timeout."""
    most = min(pool.workers_max, int(pool.load + 12 * math.sqrt(pool.load) + 40) + 1)
    at = range(pool.workers_min, max(most, pool.workers_min + 1))
    window_s = pool.idle_timeout_s
    shares = shares_on(pool.arrivals_per_s, pool.service_s, pool.slots, at, window_s)
    now = shares_on(pool.arrivals_per_s, pool.service_s, pool.slots, at, 0.0) if window_s else shares
    on, busy = math.fsum(shares), min(math.fsum(now), pool.load)
    net = chain(pool.arrivals_per_s, pool.service_s, pool.slots, at[0], 1, len(at), window_s)
    return PoolEstimate(
        busy=busy,
        idle=max(on - busy, 0.0),
        cold_start=0.0,
        always_on=float(pool.workers_min),
        starts_per_s=math.fsum(level.below * level.density(window_s) for level in net.levels),
        method="exact: levels without cold start",
    )


def _harmonic(n: float) -> float:
    return math.log(n) + 0.5772156649 + 1 / (2 * n) - 1 / (12 * n * n) if n > 1 else n


def _poisson_tail(mean: float, at: Sequence[int]) -> list[float]:
    """P(N ≥ n) for each n of a rising sequence, N Poisson."""
    if not at:
        return []
    spread = 12 * math.sqrt(mean) + 30
    first, last = max(0, int(mean - spread)), int(mean + spread)
    mass = math.exp(first * math.log(mean) - mean - math.lgamma(first + 1)) if mean > 0 else 1.0
    tail, n, result = 1.0, first, []
    for wanted in at:
        until = min(wanted, last)
        while n < until:
            tail -= mass
            n += 1
            mass *= mean / n
        result.append(0.0 if wanted > last else max(tail, 0.0))
    return result


def _fragmentation_s(pool: Pool) -> float:
    """Requests do not move between workers: above concurrency 1 that keeps workers on as a longer window would, and
    so does a base of its own.

    The constants are fitted to simulations.
    """
    c, load, beside_s = pool.concurrency, pool.load, 0.0
    if pool.dedicated:
        spare = (pool.dedicated * c - load) / math.sqrt(max(load, 1e-9))
        beside_s = pool.service_s * min(max(0.32 + 0.2 * spare, 0.1), 0.8)
    if c == 1:
        return beside_s
    return beside_s + 0.6 * (_harmonic(c) - 1) * pool.service_s * min(1.0, 1.2 * pool.load / c)


# ------------------------------------------------------------------------------------------------------- how far off
def doubts(pool: Pool) -> tuple[str, ...]:
    """Why the closed form is not to be trusted for this pool, and a simulation is; empty where it is."""
    cold_s, tau, c = pool.cold_start_s, pool.idle_timeout_s, pool.concurrency
    several = pool.workers_max - pool.workers_min > 1
    found = []
    if tau < 1.5 * cold_s and pool.arrivals_per_s * cold_s > c / 2 and several:
        found.append("many workers start in one cold start and expire before the last is up")
    if c == 1 and tau < 3 * pool.service_s and pool.workers_max > 3:
        found.append("timeouts as short as services, at concurrency 1")
    elif c <= 2 and tau < 1.5 * pool.service_s and several and pool.load > 0.2:
        found.append("timeouts as short as services, at little concurrency")
    if pool.cold_start_billed == 0 and tau < cold_s:
        found.append("cold starts are free and longer than the timeout")
    if pool.start_delay_s > 0 and pool.load > 0.3 * c:
        found.append("a start delay under load")
    elif pool.start_delay_s > 0 and pool.workers_max > 1:
        kept = c * max(pool.workers_min + pool.dedicated, 1)
        if _poisson_tail(pool.load, [kept])[0] * pool.arrivals_per_s * tau > 0.5:
            found.append("a start delay, and further workers that keep busy enough to stay once started")
        elif c == 1 and several and tau < 3 * pool.start_delay_s and pool.arrivals_per_s * _waits_s(pool) > 0.2:
            found.append("a start delay, and a timeout hardly longer")
    if pool.dispatch is not Dispatch.PACKED:
        found.append(f"{pool.dispatch} dispatch")
    found += bursty(pool.arrivals_cv)
    left_out = (
        (pool.buffer, "buffer"),
        (pool.requests_per_worker, "start by request count"),
        (pool.tracking, "target tracking"),
        (pool.rejects_at_cap, "rejection at the cap"),
        (pool.fails_at_zero, "failure at zero"),
        (pool.service_alone != 1, "speed by occupancy"),
        (pool.schedule, "schedule"),
    )
    found += [f"not in the closed form: {name}" for given, name in left_out if given]
    return tuple(found)


def bursty(arrivals_cv: float) -> tuple[str, ...]:
    """That gaps vary otherwise than those of a Poisson stream; empty where that hardly matters."""
    if 0.8 <= arrivals_cv <= 1.25:
        return ()
    return (f"gaps with a coefficient of variation of {arrivals_cv:.3g}",)


def _waits_s(pool: Pool) -> float:
    return pool.cold_start_s + pool.start_delay_s


def assumptions(pool: Pool) -> tuple[Assumption, ...]:
    """What an approximation leaves out, and by how much it was off against simulation (docs/cost-model.md)."""
    delayed = pool.start_delay_s > 0
    if doubts(pool):
        return _within(44 if delayed else 11, "mostly low, single cases by two thirds")
    return _within(6 if delayed else 2, "single cases up to a third too high or a tenth too low")


@cache
def _within(percent: int, errs: str) -> tuple[Assumption, ...]:
    return (
        Assumption(
            name="error_of_the_method",
            value=f"below {percent} % in 19 of 20 cases",
            source="measured; against simulation, docs/cost-model.md",
            errs=errs,
        ),
    )
