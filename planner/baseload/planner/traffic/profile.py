"""Rates over time: the one value that curves, hourly figures and logs become, and a pool's bill under it.

A `RateProfile` holds constant rates for stretches of time, in order; the pattern repeats. Each rate is estimated for
itself (`pool.estimate`), the mean is over the share of the time it has (`nodes`), and what workers do where the rate
changes comes on top. The time zone moves pictures and never a bill.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import NamedTuple

from baseload.planner.pool import Assumption, Pool, PoolEstimate, estimate, settled
from baseload.planner.spec.model import Curve, Traffic
from baseload.planner.traffic.rates import FINE, quadrature

HOURS = 168
"""Of a week, from Monday 00:00 local time."""

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

MOST_NODES = 32
"""More different rates than that are taken together: `rates.quadrature`."""

SESSION_EVERY_S = 3600.0
"""One session in each: shorter ones, with more ends, cost more. `active_share` is a share of each hour."""

QUIET = 0.1
"""An hour below this share of the busiest one is an off-hour."""


class Stretch(NamedTuple):
    """A time of one rate."""

    seconds: float
    requests_per_s: float


class Node(NamedTuple):
    """A rate and the share of the time for which it holds."""

    share: float
    requests_per_s: float


@dataclass(frozen=True, kw_only=True)
class RateProfile:
    """Rates over time, in order; after the last one the first follows again. Seconds sum to more than zero."""

    stretches: tuple[Stretch, ...]

    @cached_property
    def seconds(self) -> float:
        """Length of the pattern."""
        return math.fsum(stretch.seconds for stretch in self.stretches)

    @cached_property
    def mean_per_s(self) -> float:
        """Mean rate, in requests per second."""
        return math.fsum(seconds * rate for seconds, rate in self.stretches) / self.seconds

    @cached_property
    def peak_per_s(self) -> float:
        """Highest rate, in requests per second."""
        return max(rate for _, rate in self.stretches)

    def share_above(self, requests_per_s: float) -> float:
        """Share of the time with at least this rate."""
        return math.fsum(s for s, rate in self.stretches if rate >= requests_per_s) / self.seconds

    def longest_queue(self, most_per_s: float) -> float:
        """Most requests that wait where `most_per_s` are served; the mean rate must be below."""
        waiting = longest = 0.0
        for seconds, rate in self.stretches * 2:
            waiting = max(0.0, waiting + (rate - most_per_s) * seconds)
            longest = max(longest, waiting)
        return longest

    def times(self, factor: float) -> RateProfile:
        """All rates multiplied."""
        return self if factor == 1 else _times(self, factor)

    def served(self, most_per_s: float) -> RateProfile:
        """The rates at which requests are served where no more than `most_per_s` can be: the rest waits its turn.

        A queue that is left at the end of the pattern goes on at its beginning. The mean is kept; where it is itself
        too much, the profile is that mean throughout, and the queue grows without end.
        """
        if self.peak_per_s <= most_per_s:
            return self
        if self.mean_per_s >= most_per_s:
            return RateProfile(stretches=(Stretch(self.seconds, self.mean_per_s),))
        waiting, served = 0.0, list[Stretch]()
        for again in (False, True):  # the first round is only to know what waits at the beginning
            for seconds, rate in self.stretches:
                full_s = seconds if rate >= most_per_s else min(seconds, waiting / (most_per_s - rate))
                waiting = max(0.0, waiting + (rate - most_per_s) * seconds)
                if again:
                    served += (Stretch(full_s, most_per_s), Stretch(seconds - full_s, rate))
        return RateProfile(stretches=tuple(stretch for stretch in served if stretch.seconds > 0))

    def in_sessions(self, active_share: float) -> RateProfile:
        """One session in each hour (in each rate that holds for less): so much of it, at the rate divided by the share.

        The rest is without traffic.
        """
        if active_share >= 1:
            return self
        found = list[Stretch]()
        for seconds, rate in self.stretches:
            sessions = max(math.ceil(seconds / SESSION_EVERY_S - 1e-9), 1)
            every_s = seconds / sessions
            session = (Stretch(every_s * active_share, rate / active_share), Stretch(every_s * (1 - active_share), 0.0))
            if rate == 0:
                found.append(Stretch(seconds, 0.0))
            elif len(self.stretches) == 1:
                found += session
            else:
                found += session * sessions
        return RateProfile(stretches=tuple(found))

    def nodes(self) -> tuple[Node, ...]:
        """Rates with their shares of the time, at most `MOST_NODES` and one for no traffic, by rate.

        Shares sum to one, the mean rate is the profile's.
        """
        return _nodes(self)


@lru_cache(maxsize=256)
def _times(profile: RateProfile, factor: float) -> RateProfile:
    return RateProfile(stretches=tuple(Stretch(s, rate * factor) for s, rate in profile.stretches))


@lru_cache(maxsize=256)
def _nodes(profile: RateProfile) -> tuple[Node, ...]:
    shares: dict[float, float] = {}
    for seconds, rate in profile.stretches:
        shares[rate] = shares.get(rate, 0.0) + seconds / profile.seconds
    quiet = shares.pop(0.0, 0.0)
    nodes = [Node(share, rate) for rate, share in sorted(shares.items())]
    if len(nodes) > MOST_NODES:
        nodes = [Node(*node) for node in quadrature(nodes, FINE)]
    return (Node(quiet, 0.0), *nodes) if quiet > 0 else tuple(nodes)


# ------------------------------------------------------------------------------------------------- from a spec's words
def profile_of(traffic: Traffic) -> RateProfile | None:
    """What a spec says as rates; None where that stands in a log that has not been read. A batch has only its mean."""
    if traffic.observed is not None:
        return traffic.observed
    if traffic.requests_per_day is None:
        return None
    if traffic.batch is not None:
        return RateProfile(stretches=(Stretch(86_400.0, float(traffic.requests_per_day / 86_400)),))
    hours = [float(requests) / 3600 for requests in traffic.hourly]
    if not hours:
        mean_per_s = float(traffic.requests_per_day / 86_400)
        if traffic.curve in (None, Curve.CONSTANT):
            return RateProfile(stretches=(Stretch(3600.0 * HOURS, mean_per_s),))
        weights = curve(traffic.curve)
        hours = [mean_per_s * weight for weight in weights]
    return _week(tuple(hours * (HOURS // len(hours))))


@lru_cache(maxsize=64)
def _week(hours: tuple[float, ...]) -> RateProfile:
    return RateProfile(stretches=tuple(Stretch(3600.0, rate) for rate in hours))


def hour_of_week(hour: int) -> str:
    """`Mon 09:00` of an hour counted from Monday 00:00."""
    return f"{DAYS[hour // 24 % 7]} {hour % 24:02}:00"


@cache
def curve(name: Curve) -> tuple[float, ...]:
    """Rate over mean rate for each hour of the week from Monday 00:00. By definition, not by measurement."""
    week = [_weight(name, hour // 24 >= 5, hour % 24) for hour in range(HOURS)]
    mean = math.fsum(week) / HOURS
    return tuple(weight / mean for weight in week)


def _weight(name: Curve, weekend: bool, hour: int) -> float:
    match name:
        case Curve.CONSTANT:
            return 1.0
        case Curve.OFFICE_HOURS:
            return 0.0 if weekend or not 9 <= hour < 17 else 1.0
        case Curve.BUSINESS_WEEK:
            if weekend:
                return 0.15 if 8 <= hour < 22 else 0.05
            return 1.0 if 9 <= hour < 18 else 0.4 if 7 <= hour < 22 else 0.05
        case Curve.DIURNAL:
            return 1 + 0.8 * math.cos((hour + 0.5 - 14.5) / 24 * 2 * math.pi)  # highest from 14 to 15, a ninth at night


# ------------------------------------------------------------------------------------------------------ a pool under it
@lru_cache(maxsize=1024)
def estimate_over(pool: Pool, profile: RateProfile, active_share: float = 1.0) -> PoolEstimate:
    """What the pool bills under the profile instead of its own rate: its estimates over the rates, and the changes.

    With `active_share` below 1 what it bills under the sessions of the profile.
    """
    pool = settled(pool)
    most_per_s = pool.slots / pool.service_s
    profile = profile.in_sessions(active_share).served(most_per_s)
    nodes = profile.nodes()
    # A rate at the limit is overload, not a hair below it.
    rates = [rate * (1 + 1e-9) if rate >= most_per_s * (1 - 1e-9) else rate for _, rate in nodes]
    found = [estimate(pool.at(rate)) for rate in rates]
    if len(found) == 1:
        return found[0]
    shares = [node.share for node in nodes]

    def mean(values: Iterable[float]) -> float:
        return math.fsum(share * value for share, value in zip(shares, values, strict=True))

    busy, idle, cold_start, starts_per_s = (
        mean(getattr(item, key) for item in found) for key in ("busy", "idle", "cold_start", "starts_per_s")
    )
    lingering, herds_per_s = _transitions(pool, profile, rates, [item.billed for item in found])
    starts_per_s += herds_per_s
    cold_start += herds_per_s * pool.cold_start_s * pool.cold_start_billed
    # Nobody idles longer than the timeout, before a request or a stop: a bound where workers are rarely on.
    most_idle = (profile.mean_per_s + starts_per_s) * pool.idle_timeout_s
    idle = max(idle, min(idle + lingering + herds_per_s * pool.idle_timeout_s, most_idle))
    room = pool.workers_max - found[0].always_on - busy
    cold_start = min(cold_start, max(room, 0.0))
    idle = min(idle, max(room - cold_start, 0.0))
    methods = sorted({item.method for item in found if not item.method.startswith("exact: no traffic")})
    exact = all(method.startswith("exact") for method in methods)
    return PoolEstimate(
        busy=busy,
        idle=idle,
        cold_start=cold_start,
        always_on=found[0].always_on,
        starts_per_s=starts_per_s,
        method=methods[0]
        if exact and len(methods) == 1 and pool.workers_min >= pool.workers_max
        else f"approximation: {len(found)} rates, each for itself; of them {' | '.join(methods) or 'no traffic'}",
        assumptions=_joined(found),
        overloaded=profile.mean_per_s >= most_per_s,
    )


def _transitions(pool: Pool, profile: RateProfile, rates: Sequence[float], on: Sequence[float]) -> tuple[float, float]:
    """Mean workers that stay, and starts per second, because the rate has changed; `on` are those billed at `rates`.

    After a fall, workers stay for the idle timeout and for the requests they still hold. After a rise, what has queued
    up in one cold start starts more workers than the rate keeps busy, each for a cold start and an idle timeout.
    """
    spare_s = pool.idle_timeout_s + pool.service_s * math.fsum(1 / n for n in range(1, min(pool.concurrency, 1000) + 1))
    known = sorted(zip(rates, on, strict=True))
    level = {rate: between(known, rate) for rate in {stretch.requests_per_s for stretch in profile.stretches}}
    levels = [level[stretch.requests_per_s] for stretch in profile.stretches]
    lengths = [stretch.seconds for stretch in profile.stretches]
    stay_s = herds = 0.0
    for at, (now, before, stretch) in enumerate(zip(levels, [levels[-1], *levels], profile.stretches, strict=False)):
        if now < before or spare_s > lengths[at - 1]:
            stay_s += _lingering(levels, lengths, at, spare_s)
        queued = max(0.0, stretch.requests_per_s - before * pool.concurrency / pool.service_s)
        queued *= min(pool.cold_start_s, stretch.seconds)
        if queued > 0.5:
            herd = min(pool.workers_max, before + queued / pool.concurrency + 0.5) - now
            herds += max(herd, 0.0)
    return stay_s / profile.seconds, herds / profile.seconds


def between(known: Sequence[tuple[float, float]], rate: float) -> float:
    """The value at a rate, of (rate, value) by rate: linear between neighbours, level outside."""
    at = bisect_left(known, (rate, -math.inf))
    if at == 0 or at == len(known):
        return known[min(at, len(known) - 1)][1]
    (low, under), (high, over) = known[at - 1], known[at]
    return under + (over - under) * (rate - low) / (high - low)


def _lingering(levels: Sequence[float], lengths: Sequence[float], at: int, spare_s: float) -> float:
    """Worker-seconds in stretch `at`, above its level, of workers that earlier ones have left, each for `spare_s`."""
    steps, ago_s, most = [], 0.0, levels[at]
    for back in range(1, len(levels)):
        if ago_s >= spare_s:
            break
        most = max(most, levels[at - back])
        steps.append((min(spare_s - ago_s, lengths[at]), most))
        ago_s += lengths[at - back]
    total, until = 0.0, 0.0
    for stays_s, height in reversed(steps):  # those from long ago go first
        total += max(stays_s - until, 0.0) * (height - levels[at])
        until = max(until, stays_s)
    return total


def _joined(found: Sequence[PoolEstimate]) -> tuple[Assumption, ...]:
    """Each assumption once, with all the values that it has at the rates."""
    values: dict[str, dict[str, Assumption]] = {}
    for assumption in (assumption for item in found for assumption in item.assumptions):
        values.setdefault(assumption.name, {})[assumption.value] = assumption
    return tuple(
        replace(next(iter(same.values())), value=" or ".join(same) + (", by the rate" if len(same) > 1 else ""))
        for same in values.values()
    )
