"""What a pool bills where requests are spread over its warm workers: in turn (balanced dispatch) or by chance.

Beside `baseload.planner.pool`, whose types it takes and gives; the formulas stand in docs/cost-model.md under
"Other dispatch". Not exact, and in doubt by its own word: good for the end of a range, not for an expected month.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from baseload.planner.pool import Dispatch, Pool, PoolEstimate, assumptions, estimate, outlasts_delay
from baseload.planner.pool.gaps import followers, rest_of_gap, upper_gamma

_MONTH_S = 2_628_000.0
"""What comes less than once in it is left out."""

_BEYOND_ERROR = 1.02
"""Of what packed requests bill: as far as the formulas of either may err there is no difference."""


def spread_out(pool: Pool) -> PoolEstimate:
    """By a birth–death chain of the workers that are up, and no less than packed requests bill.

    A further worker starts when all slots of n are taken, and those that an empty pool starts come up together; one
    stops when its turn has not come within the timeout.
    """
    packed = estimate(replace(pool, dispatch=Dispatch.PACKED))
    chain = _Chain(pool)
    up, starts = chain.means()
    room = float(pool.workers_max - pool.workers_min)
    load = chain.load
    cold = min(starts * pool.cold_start_s * pool.cold_start_billed, room)
    # Nobody idles longer than the timeout, before a request or a stop.
    most = load + (chain.coming_per_s + starts) * pool.idle_timeout_s
    warm = min(max(up, load / pool.concurrency) - pool.workers_min, most, room - cold)
    if warm + cold <= (packed.billed - packed.always_on) * _BEYOND_ERROR:
        return packed
    busy = min(load, warm)
    by = "in turn" if pool.dispatch is Dispatch.BALANCED else "by chance"
    return PoolEstimate(
        busy=busy,
        idle=warm - busy,
        cold_start=cold,
        always_on=float(pool.workers_min),
        starts_per_s=starts,
        method=f"approximation: requests spread {by}",
        assumptions=assumptions(pool),
    )


class _Chain:
    """Rates between the numbers of workers that are up."""

    def __init__(self, pool: Pool) -> None:
        c, tau, cv = pool.concurrency, pool.idle_timeout_s, pool.arrivals_cv
        self.pool = pool
        self.served = in_service(pool.load, pool.peakedness)
        self.base = pool.dedicated * c
        full = _full(self.base, pool.load)
        self.coming_per_s, self.load = pool.arrivals_per_s * full, pool.load * full
        """What the base has no room for."""
        self.fewest = max(pool.workers_min, min((self.served.first - self.base) // c, pool.workers_max))
        """Fewer are as good as never up."""
        self.leaves_empty_per_s = 0.0
        if not self.fewest and self.coming_per_s > 0:
            self.leaves_empty_per_s = 1 / rest_of_gap(self.coming_per_s, cv, pool.service_s, tau).off_s
        after_first = followers(self.coming_per_s, cv, pool.cold_start_s)
        self.queued = in_service(after_first, 1.0)
        """Requests that come while the first worker of an empty pool starts."""
        self.herd = min(1 + int((after_first + 2 * math.sqrt(after_first)) / c), pool.workers_max)
        """Workers that those may start; else those that a month begins with and what queues up in a start."""
        if not self.leaves_empty_per_s:
            short_per_s = max(pool.arrivals_per_s - (self.base + self.fewest * c) / pool.service_s, 0.0)
            surge = short_per_s * (pool.cold_start_s + pool.start_delay_s) / c
            self.herd = min(self.fewest + int(min(surge, pool.workers_max)), pool.workers_max)

    def means(self) -> tuple[float, float]:
        """Workers that are up, without those that start, and starts per second."""
        pool, leaves_per_s = self.pool, self.leaves_empty_per_s
        weights, rises = self._weights()
        starts = math.fsum(weight * rise for weight, rise in zip(weights, rises, strict=True))
        total = math.fsum(weights)
        if leaves_per_s:
            further = range(pool.concurrency, (2 * self.herd + 8) * pool.concurrency, pool.concurrency)
            further = further[: pool.workers_max - 1]
            starts += weights[0] * leaves_per_s * math.fsum(self.queued.at_least(n) for n in further)
            last_s = math.fsum(self.queued.at_least(n + 1) for n in further) * pool.concurrency / self.coming_per_s
            total += weights[0] * leaves_per_s * (pool.cold_start_s + pool.start_delay_s + last_s)
        up = math.fsum(n * weight for n, weight in enumerate(weights, self.fewest)) / total
        return max(up, self._kept()), starts / total

    def _kept(self) -> int:
        """Workers of a first herd that are not gone within a month; 0 where they are."""
        more = range(self.fewest + 1, self.herd + 1)
        kept = bisect_left(more, True, key=lambda n: self._stops_per_s(n) * _MONTH_S > 1)
        return self.fewest + kept if kept else 0

    def _weights(self) -> tuple[list[float], list[float]]:
        """How often each number of workers from the fewest on is up, not normed, and how often one more starts."""
        weights, rises, n = [1.0], list[float](), self.fewest
        while n < self.pool.workers_max:
            rise = self._rises_per_s(n) if n else self.leaves_empty_per_s
            together = self.queued.at_least(n * self.pool.concurrency) if n and self.leaves_empty_per_s else 0.0
            if n > self.fewest and rise * _MONTH_S < 1 and together < 1e-3:
                break
            rises.append(rise)
            jumps = weights[0] * self.leaves_empty_per_s * together
            weights.append((weights[-1] * rise + jumps) * self._stays_s(n + 1, rise))
            if weights[-1] > 1e200:
                weights = [weight * 1e-200 for weight in weights]
            n += 1
        return weights, rises + [0.0] * (len(weights) - len(rises))

    def _rises_per_s(self, n: int) -> float:
        """Starts of a further worker; several at once where the queue outgrows it in a cold start."""
        pool, slots = self.pool, self.base + n * self.pool.concurrency
        hits = pool.arrivals_per_s * self.served.at_least(slots) * outlasts_delay(pool, slots)
        queue = max(pool.arrivals_per_s - slots / pool.service_s, 0.0) * pool.cold_start_s
        return hits * (1 + queue / pool.concurrency) / (1 + hits * (pool.cold_start_s + pool.start_delay_s))

    def _stays_s(self, n: int, rises_per_s: float) -> float:
        """Until one of n stops. After a rise all are busy, and none stops within a timeout: counted where rises are
        rare and turns come within it."""
        pool = self.pool
        rare = math.exp(-min(rises_per_s * pool.idle_timeout_s, 500.0)) * (1 - self._turn(n).missed)
        fresh_s = (pool.idle_timeout_s + pool.service_s) * (1 - 1 / n)
        return 1 / max(self._stops_per_s(n), 1e-30) + rare * fresh_s

    def _stops_per_s(self, n: int) -> float:
        """Stops among n workers."""
        turn = self._turn(n)
        return n * turn.missed / max(turn.idle_s + (0.0 if self._apart else self.pool.service_s), 1e-9)

    @property
    def _apart(self) -> bool:
        """Whether each worker has a stream of its own, that comes to it busy or not."""
        return self.pool.dispatch is Dispatch.RANDOM and self.pool.concurrency > 1

    def _turn(self, n: int) -> Turn:
        """Of one of n workers that has become idle."""
        pool, per_s, cv, tau = self.pool, self.coming_per_s, self.pool.arrivals_cv, self.pool.idle_timeout_s
        if per_s <= 0:
            return Turn(1.0, tau)
        if self._apart:
            return turn_of(n, per_s, cv, 0.0, tau + pool.service_s, by_chance=True)
        idle = self.served.below(self.base + n) - self.served.below(self.base)
        return turn_of(idle, per_s, cv, pool.service_s, tau, by_chance=pool.dispatch is Dispatch.RANDOM)


# ------------------------------------------------------------------------------------------------------- the figures
def _full(slots: int, load: float) -> float:
    """Erlang B: the share of requests that find all of them taken and go elsewhere; 1 without any."""
    inverse = 1.0
    for taken in range(1, slots + 1):
        inverse = 1 + inverse * taken / load if load > 0 else math.inf
        if inverse > 1e300:
            return 0.0
    return 1 / inverse


@dataclass(frozen=True)
class InService:
    """Requests in service where nothing limits them: Poisson, or Pascal where their variance is above the mean."""

    first: int
    """Fewer are as good as never seen."""
    tail: tuple[float, ...]
    """P(N > first), P(N > first + 1), …; then none."""
    spare: tuple[float, ...]
    """E[(n − N)⁺] for n = first, first + 1, …"""
    mean: float

    def at_least(self, n: int) -> float:
        """P(N ≥ n)."""
        at = n - self.first - 1
        return 1.0 if at < 0 else self.tail[at] if at < len(self.tail) else 0.0

    def below(self, n: int) -> float:
        """E[(n − N)⁺]."""
        at = n - self.first
        return 0.0 if at < 0 else self.spare[at] if at < len(self.spare) else n - self.mean


@lru_cache(maxsize=256)
def in_service(mean: float, peakedness: float) -> InService:
    """Requests in service with that variance over mean."""
    far = 8 * math.sqrt(peakedness * mean) + 20 * peakedness
    first = max(int(mean - far), 0)
    if mean <= 0:
        return InService(0, (), (0.0,), 0.0)
    if peakedness > 1 + 1e-9:
        shape, ratio = mean / (peakedness - 1), 1 - 1 / peakedness
        log = math.lgamma(first + shape) - math.lgamma(shape) - shape * math.log(peakedness) + first * math.log(ratio)
    else:
        shape, ratio = 0.0, 1.0
        log = first * math.log(mean) - mean
    mass, tail, left = math.exp(log - math.lgamma(first + 1)), list[float](), 1.0
    for n in range(first, int(mean + far) + 1):
        left -= mass
        if left < 1e-12:
            break
        tail.append(left)
        mass *= (shape + n if shape else mean) * ratio / (n + 1)
    return InService(first, tuple(tail), tuple(accumulate((1 - share for share in tail), initial=0.0)), mean)


class Turn(NamedTuple):
    """What becomes of a worker that has become idle."""

    missed: float
    """Chance that no request has come to it within the timeout."""
    idle_s: float
    """Mean time until one comes or the timeout is over."""


def turn_of(gaps: float, per_s: float, cv: float, lasted_s: float, timeout_s: float, *, by_chance: bool) -> Turn:
    """A request comes to it after so many gaps: exactly, or in the mean where that is by chance.

    Up to one gap, what is left of one that has lasted for some time already; more are a gamma law, and one request in
    so many by chance leaves gaps closer to exponential.
    """
    if gaps <= 0:
        return Turn(0.0, timeout_s)
    if gaps <= 1:
        rest = rest_of_gap(per_s / gaps, cv, lasted_s, timeout_s)
        return Turn(rest.ends, rest.idle_s)
    spread = max(cv, 1.0) ** 2
    shape = gaps / (gaps + spread - 1) if by_chance else gaps / spread
    mean_s = gaps / per_s
    at = shape * timeout_s / mean_s
    missed = _above(shape, at)
    return Turn(missed, mean_s * (1 - _above(shape + 1, at)) + timeout_s * missed)


def _above(shape: float, x: float) -> float:
    """Q(shape, x); above shape 1 by Wilson and Hilferty's normal approximation, within 0.01."""
    if x <= 0:
        return 1.0
    if shape <= 1:
        return upper_gamma(shape, x)
    away = ((x / shape) ** (1 / 3) - 1 + 1 / (9 * shape)) * 3 * math.sqrt(shape)
    return math.erfc(away / math.sqrt(2)) / 2
