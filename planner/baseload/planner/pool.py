"""How much worker time a pool of serverless workers bills, in mean workers: no money, no platform, no clock.

A `Pool` goes in, a `PoolEstimate` comes out: mean billed workers split into busy, idle tail, cold start and always-on,
with the name of the method and the assumptions it rests on. Rules of the pool: arrivals are Poisson at a constant
rate; a request goes to the fullest worker with room, else to the worker that became idle last; one that finds no room
waits in one queue and starts workers until (starting × concurrency) covers the queue; a started worker is not called
back; a worker idle for the timeout stops unless that leaves fewer than the minimum.

Exact, for these rules: no traffic; all workers always on; one worker (any service times at concurrency 1, exponential
ones above); no cold start at concurrency 1 with exponential service times. Everything else is an approximation and
says so. The formulas, their symbols and how far off they were stand in docs/cost-model.md under "Worker time"; the
tests hold every method against an event simulation.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

_TALBOT_NODES = 18
"""Nodes of the Laplace inversion: about ten digits in double precision for the real-pole transforms used here."""

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
    """A request that finds all workers of the maximum full, or on their way, is rejected instead of queued."""
    fails_at_zero: bool = False
    """A request that finds no worker fails (and starts one) instead of waiting for it."""
    increment_s: float = 0.0
    """Each run of a worker is billed in whole multiples of this."""
    service_alone: float = 1.0
    """Service time of a request alone on a worker, as share of `service_s` (which holds at full concurrency)."""
    schedule: tuple[tuple[float, int], ...] = ()
    """(second of the period, minimum workers from then on), from second 0; empty is `workers_min` all the time."""
    schedule_period_s: float = 86_400.0

    @property
    def load(self) -> float:
        """Mean number of requests in service where nothing limits it."""
        return self.arrivals_per_s * self.service_s

    @property
    def slots(self) -> int:
        """Requests that all workers together can serve at once."""
        return self.workers_max * self.concurrency


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """Something a figure rests on: what, which value, where it comes from, and which way the figure errs by it."""

    name: str
    value: str
    source: str
    errs: str | None = None
    """How the figure is off where the assumption does not hold, None where that is not known or does not matter."""


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


def estimate(pool: Pool) -> PoolEstimate:
    """What the pool bills in the long run, by the best method that fits it; never more than `workers_max`."""
    pool = replace(pool, service_s=max(pool.service_s, _SHORTEST_S))
    if pool.workers_max <= pool.workers_min:
        return _constant(pool, busy=0.0, method="exact: all workers are always on")
    if pool.arrivals_per_s <= 0:
        return _constant(pool, busy=0.0, method="exact: no traffic")
    if pool.load >= pool.slots:
        busy = float(pool.workers_max - pool.workers_min)
        return _constant(pool, busy=busy, method="exact: overload, all workers are busy all the time")
    if pool.workers_max == 1:
        return _one_worker(pool)
    return _many_workers(pool)


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
        assumptions=() if exact else _assumptions(pool),
    )


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
@dataclass(frozen=True, kw_only=True)
class _Level:
    """One worker above the minimum, needed while more than `below` requests are in the system."""

    below: int
    share_below: float
    """Share of time with at most `below` requests."""
    survival: float
    """Chance that a window that starts below, in equilibrium, sees no up-crossing."""
    density: float
    """Density of the first up-crossing at the end of the window."""
    survived_s: float
    """Mean of the shorter of the window and the time to the first up-crossing."""
    unfragmented: float
    """Survival over the part of the window that stands for fragmentation alone."""

    @property
    def off(self) -> float:
        return min(max(self.share_below * self.survival, 0.0), 1.0)

    @property
    def hits_per_s(self) -> float:
        return max(self.share_below * self.density, 1e-290)

    @property
    def on_s(self) -> float:
        """Mean time from being started to being stopped."""
        return min((1 - self.off) / self.hits_per_s, _FOREVER_S)

    @property
    def off_s(self) -> float:
        return self.off / self.hits_per_s

    @property
    def occupied(self) -> float:
        """Share of time with at least one request on this worker."""
        return 1 - self.share_below * self.unfragmented


def _many_workers(pool: Pool) -> PoolEstimate:
    levels = _levels(pool)
    busy = min(sum(level.occupied for level in levels), pool.load)
    if pool.cold_start_s == 0:
        return _warm_levels(pool, levels, busy)
    return _cold_levels(pool, levels, busy)


def _warm_levels(pool: Pool, levels: Sequence[_Level], busy: float) -> PoolEstimate:
    """No cold start: the workers on are the maximum of the requests in the system over one idle timeout."""
    on = sum(1 - level.off for level in levels)
    exact = pool.concurrency == 1 and pool.service_cv == 1 and pool.start_delay_s == 0
    return PoolEstimate(
        busy=busy,
        idle=max(on - busy, 0.0),
        cold_start=0.0,
        always_on=float(pool.workers_min),
        starts_per_s=sum(level.hits_per_s for level in levels),
        method="exact: levels without cold start" if exact else "approximation: levels without cold start",
        assumptions=() if exact else _assumptions(pool),
    )


def _cold_levels(pool: Pool, levels: Sequence[_Level], busy: float) -> PoolEstimate:
    """Cold starts: set-up epochs of an empty pool, then each further level by itself."""
    waits_s = pool.start_delay_s + pool.cold_start_s
    rates = [1 / (level.off_s / _outlasts(pool, level) + waits_s + _stay_s(pool, level)) for level in levels]
    if pool.workers_min:
        warm = sum(rate * _stay_s(pool, level) for rate, level in zip(rates, levels, strict=True))
        starts = sum(rates)
    else:
        warm, starts = _with_epochs(pool, levels, rates)
    room = float(pool.workers_max - pool.workers_min)
    cold = min(starts * pool.cold_start_s * pool.cold_start_billed, room)
    busy = min(busy, room - cold)
    return PoolEstimate(
        busy=busy,
        idle=min(max(warm - busy, 0.0), room - cold - busy),
        cold_start=cold,
        always_on=float(pool.workers_min),
        starts_per_s=starts,
        method="approximation: set-up epochs and levels" if not pool.workers_min else "approximation: levels",
        assumptions=_assumptions(pool),
    )


def _outlasts(pool: Pool, level: _Level) -> float:
    """Chance that a request with no room still waits when the start delay is over.

    What is left of a running service lasts service_s · (1 + cv²) / 2 in the mean, taken as exponential.
    """
    spare = max(level.below - pool.load, 0.0)
    left_s = pool.service_s * (1 + pool.service_cv**2) / 2
    return math.exp(-min(spare * pool.start_delay_s / left_s, 20.0))


def _stay_s(pool: Pool, level: _Level) -> float:
    """Mean time a started worker is on after its cold start: still needed when it is up, or no longer."""
    slots = max(level.below, 0.5)
    still = math.exp(-slots * (pool.start_delay_s + pool.cold_start_s) / pool.service_s)
    late = (1 - level.share_below) * level.on_s + level.share_below * (
        level.survived_s + (1 - level.survival) * level.on_s
    )
    return still * level.on_s + (1 - still) * max(pool.idle_timeout_s, late)


def _with_epochs(pool: Pool, levels: Sequence[_Level], rates: Sequence[float]) -> tuple[float, float]:
    """Warm worker time and starts per second where the pool can be empty.

    A request to an empty pool starts a worker; those that follow within its cold start queue up and start more
    (an epoch). Levels above the first then come and go as in a warm pool while the epoch lasts.
    """
    rate, tau, c = pool.arrivals_per_s, pool.idle_timeout_s, pool.concurrency
    followers = rate * pool.cold_start_s
    extra = _poisson_tail(followers, [(j - 1) * c for j in range(2, pool.workers_max + 1)])
    last_start_s = c / rate * sum(_poisson_tail(followers, [(j - 1) * c + 1 for j in range(2, pool.workers_max + 1)]))
    started = 1 + sum(extra)
    end = math.exp(-min(rate * tau, 600.0))
    busy_s = min((1 / max(levels[0].share_below, 1e-290) - 1) / rate, _FOREVER_S)
    on_s = min((busy_s + (1 - end) / rate) / end, _FOREVER_S)
    tail_s = (1 - end) / rate * (1 + rate * on_s)
    clear_s = min(_backlog_s(pool, started, last_start_s) * busy_s / pool.service_s, _FOREVER_S)
    length_s = pool.start_delay_s + pool.cold_start_s + last_start_s + clear_s + tail_s
    epochs_per_s = 1 / (1 / rate + length_s)

    lasting = (length_s - pool.start_delay_s - pool.cold_start_s) * epochs_per_s / max(1 - levels[0].off, 1e-12)
    thinned = [own * lasting * (1 - end * already) for own, already in zip(rates[1:], extra, strict=False)]
    warm = epochs_per_s * ((started - 1) * tau + clear_s + tail_s)
    warm += sum(r * _stay_s(pool, level) for r, level in zip(thinned, levels[1:], strict=True))
    starts = epochs_per_s * started + sum(thinned)
    if c == 1:
        waits = min(epochs_per_s * (1 + followers + rate * pool.start_delay_s) / rate, 1.0)
        warm = (warm + pool.load + starts * tau + (1 - waits) * rate * _reused_s(pool, levels)) / 2
    return warm, starts


def _reused_s(pool: Pool, levels: Sequence[_Level]) -> float:
    """Mean idle time of a worker before a request that finds it warm, from the levels without cold starts."""
    hits = sum(level.hits_per_s for level in levels)
    idle = sum(1 - level.off - level.occupied for level in levels) - hits * pool.idle_timeout_s
    return max(idle, 0.0) / max(pool.arrivals_per_s - hits, 1e-9)


def _backlog_s(pool: Pool, started: float, last_start_s: float) -> float:
    """Mean time that is left of the longest service of an epoch's batch when the last worker has come up."""
    left = pool.service_s * math.exp(-last_start_s / pool.service_s)
    batch = (1 + pool.arrivals_per_s * pool.cold_start_s) / started
    if started >= 1.5 or batch <= 1:
        return left
    c, spread = pool.concurrency, min(pool.service_cv, 1.2)
    return left * (1 + (_harmonic(min(batch, c)) - 1) * spread)


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
        while n < min(wanted, last):
            tail -= mass
            n += 1
            mass *= mean / n
        result.append(0.0 if wanted > last else max(tail, 0.0))
    return result


def _levels(pool: Pool) -> list[_Level]:
    """Each worker above the minimum, from the birth–death chain of the requests in the system."""
    load, c, slots = pool.load, pool.concurrency, pool.slots
    spread = 12 * math.sqrt(load) + 40
    first, last = max(0, int(load - spread)), min(int(load + spread), slots)
    needed = min(pool.workers_max, max(pool.workers_min, int(last / c)) + 1)
    below = [k * c for k in range(pool.workers_min, needed)]
    chance, at_most = _equilibrium(load, slots, first, max(last, below[-1] if below else 0))

    fragments_s = _fragmentation_s(pool)
    window_s = pool.idle_timeout_s + fragments_s
    up = {n: pool.arrivals_per_s * chance[n - first] / at_most[n - first] for n in below if n >= first}
    plain = _first_passage(pool, up, first, pool.idle_timeout_s)
    wide = _first_passage(pool, up, first, window_s) if fragments_s else plain
    apart = _first_passage(pool, up, first, fragments_s) if fragments_s else dict.fromkeys(up, (1.0, 0.0, 0.0))
    levels = []
    for n in below:
        if n < first:
            levels.append(_Level(below=n, share_below=0.0, survival=0.0, density=0.0, survived_s=0.0, unfragmented=0.0))
            continue
        survival, density, survived_s = (wide if n else plain)[n]
        levels.append(
            _Level(
                below=n,
                share_below=at_most[n - first],
                survival=survival,
                density=density,
                survived_s=survived_s,
                unfragmented=apart[n][0] if n else 1.0,
            )
        )
    return levels


def _equilibrium(load: float, slots: int, first: int, last: int) -> tuple[list[float], list[float]]:
    """Chance of n requests in the system and of at most n, for n = first … last (below `first` it is nil)."""
    weights = [1.0]
    for n in range(first + 1, last + 1):
        weights.append(weights[-1] * load / min(n, slots))
    tail = weights[-1] * load / (slots - load) if last >= slots else 0.0
    total = math.fsum(weights) + tail
    chance = [weight / total for weight in weights]
    at_most, so_far = [], 0.0
    for p in chance:
        so_far = min(so_far + p, 1.0)
        at_most.append(so_far)
    return [max(p, 1e-290) for p in chance], [max(p, 1e-290) for p in at_most]


def _fragmentation_s(pool: Pool) -> float:
    """Requests do not move between workers: above concurrency 1 that keeps workers on as a longer window would.

    The constants are fitted to simulations.
    """
    c = pool.concurrency
    if c == 1:
        return 0.0
    return 0.6 * (_harmonic(c) - 1) * pool.service_s * min(1.0, 1.2 * pool.load / c)


def _first_passage(
    pool: Pool, up: Mapping[int, float], first: int, window_s: float
) -> dict[int, tuple[float, float, float]]:
    """For each n: survival, density and mean survived time of the first up-crossing from n, seen over the window.

    Started in equilibrium at or below n, the up-crossing has the transform (u/s)·ψₙ(s), with u its rate and
    ψₙ = 1 − E[e^(−s·T)] of the passage from n to n+1, which follows from ψₙ₋₁ (Keilson's recursion for birth–death
    chains). The transform is inverted by Talbot's method.
    """
    if window_s <= 0:
        return {n: (1.0, rate, 0.0) for n, rate in up.items()}
    sums = dict.fromkeys(up, (0.0, 0.0, 0.0))
    births, slots = pool.arrivals_per_s, pool.slots
    last = max(up, default=first)
    for s, weight in _talbot(window_s):
        psi = complex(0.0)
        for n in range(first, last + 1):
            deaths = min(n, slots) / pool.service_s if n > first else 0.0
            fall = s + deaths * psi
            psi = fall / (births + fall)
            if n in up:
                density = up[n] / s * psi
                survival = (1 - density) / s
                a, b, c = sums[n]
                sums[n] = (
                    a + (weight * survival).real,
                    b + (weight * density).real,
                    c + (weight * survival / s).real,
                )
    return {
        n: (min(max(a, 0.0), 1.0), min(max(b, 0.0), up[n]), min(max(c, 0.0), window_s)) for n, (a, b, c) in sums.items()
    }


def _talbot(t: float) -> Iterator[tuple[complex, complex]]:
    """Points and weights: f(t) is the sum of Re(weight · F(point)) (Abate and Valko, 2004, the fixed Talbot method)."""
    r = 2 * _TALBOT_NODES / (5 * t)
    yield complex(r), complex(0.5 * math.exp(r * t) * r / _TALBOT_NODES)
    for k in range(1, _TALBOT_NODES):
        angle = k * math.pi / _TALBOT_NODES
        cot = 1 / math.tan(angle)
        s = complex(r * angle * cot, r * angle)
        sigma = angle + (angle * cot - 1) * cot
        yield s, cmath.exp(t * s) * complex(1.0, sigma) * r / _TALBOT_NODES


def _assumptions(pool: Pool) -> tuple[Assumption, ...]:
    """What an approximation leaves out, and by how much it was off against simulation (docs/cost-model.md)."""
    herding = (
        pool.idle_timeout_s < 1.5 * pool.cold_start_s
        and pool.arrivals_per_s * pool.cold_start_s > pool.concurrency / 2
        and pool.workers_max - pool.workers_min > 1
    )
    short = pool.concurrency == 1 and pool.idle_timeout_s < 3 * pool.service_s and pool.workers_max > 3
    return (
        Assumption(
            name="error_of_the_method",
            value=f"below {25 if herding or short else 6} % in 19 of 20 cases",
            source="against simulation, docs/cost-model.md",
            errs="single cases up to half too high or a quarter too low",
        ),
    )
