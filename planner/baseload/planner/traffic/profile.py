"""Rates over time: the one value that curves, hourly figures and logs become, and a pool's bill under it.

A `RateProfile` holds constant rates for stretches of time, in order; the pattern repeats. Its bill needs only which
rates there are for which share of the time (`nodes`), so the time zone moves pictures and never a bill. Each rate is
estimated for itself (`pool.estimate`): what workers do at a change from one rate to the next is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from baseload.planner.pool import Assumption, Pool, PoolEstimate, estimate
from baseload.planner.spec.model import Curve, Traffic

HOURS = 168
"""Of a week, from Monday 00:00 local time."""

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

MOST_NODES = 32
"""More different rates than that are merged."""

MERGED_NODES = 24
"""Groups of equal time and work; merging to 24 to 32 moved bills by less than 0.1 % against all bins of a month."""

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

    @property
    def seconds(self) -> float:
        """Length of the pattern."""
        return math.fsum(stretch.seconds for stretch in self.stretches)

    @property
    def mean_per_s(self) -> float:
        """Mean rate, in requests per second."""
        return math.fsum(seconds * rate for seconds, rate in self.stretches) / self.seconds

    @property
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
        return RateProfile(stretches=tuple(Stretch(s, rate * factor) for s, rate in self.stretches))

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

    def nodes(self, active_share: float = 1.0, most_per_s: float = math.inf) -> tuple[Node, ...]:
        """Rates with their shares of the time, at most `MOST_NODES` and one for no traffic, by rate.

        With `active_share` below 1 each rate is so much higher for that share of its time (for a larger one where that
        would be more than `most_per_s`), and zero for the rest. Shares sum to one, the mean rate is the profile's.
        """
        total = self.seconds
        shares: dict[float, float] = {0.0: 0.0}
        for seconds, rate in self.stretches:
            active = min(rate / active_share, max(most_per_s, rate))
            share = rate / active if active > 0 else 0.0
            shares[active] = shares.get(active, 0.0) + seconds * share / total
            shares[0.0] += seconds * (1 - share) / total
        quiet = shares.pop(0.0)
        nodes = [Node(share, rate) for rate, share in sorted(shares.items())]
        if len(nodes) > MOST_NODES:
            nodes = _merged(nodes)
        return (Node(quiet, 0.0), *nodes) if quiet > 0 else tuple(nodes)


def _merged(nodes: Sequence[Node]) -> list[Node]:
    """Neighbours merged into groups with equal shares of time plus work, each at its mean rate."""
    time = math.fsum(node.share for node in nodes)
    work = math.fsum(node.share * node.requests_per_s for node in nodes)
    groups: dict[int, list[Node]] = {}
    so_far = 0.0
    for node in nodes:
        weight = (node.share / time + node.share * node.requests_per_s / work) / 2
        groups.setdefault(min(int((so_far + weight / 2) * MERGED_NODES), MERGED_NODES - 1), []).append(node)
        so_far += weight
    merged = []
    for group in groups.values():
        share = math.fsum(node.share for node in group)
        merged.append(Node(share, math.fsum(node.share * node.requests_per_s for node in group) / share))
    return merged


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
    return RateProfile(stretches=tuple(Stretch(3600.0, rate) for rate in hours * (HOURS // len(hours))))


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
def estimate_over(pool: Pool, profile: RateProfile, active_share: float = 1.0) -> PoolEstimate:
    """What the pool bills under the profile instead of its own rate: the mean of its estimates over the rates."""
    most_per_s = pool.slots / pool.service_s if pool.service_s > 0 else math.inf
    nodes = profile.served(most_per_s).nodes(active_share, most_per_s)
    # A rate at the limit is overload, not a hair below it.
    rates = [rate * (1 + 1e-9) if rate >= most_per_s * (1 - 1e-9) else rate for _, rate in nodes]
    found = [estimate(replace(pool, arrivals_per_s=rate)) for rate in rates]
    if len(found) == 1:
        return found[0]
    shares = [node.share for node in nodes]

    def mean(values: Iterable[float]) -> float:
        return math.fsum(share * value for share, value in zip(shares, values, strict=True))

    methods = sorted({item.method for item in found if not item.method.startswith("exact: no traffic")})
    exact = all(method.startswith("exact") for method in methods)
    return PoolEstimate(
        busy=mean(item.busy for item in found),
        idle=mean(item.idle for item in found),
        cold_start=mean(item.cold_start for item in found),
        always_on=found[0].always_on,
        starts_per_s=mean(item.starts_per_s for item in found),
        method=methods[0]
        if exact and len(methods) == 1 and pool.workers_min >= pool.workers_max
        else f"approximation: {len(found)} rates, each for itself; of them {' | '.join(methods) or 'no traffic'}",
        assumptions=_joined(found),
        overloaded=profile.mean_per_s >= most_per_s,
    )


def _joined(found: Sequence[PoolEstimate]) -> tuple[Assumption, ...]:
    """Each assumption once, with all the values that it has at the rates."""
    values: dict[str, dict[str, Assumption]] = {}
    for assumption in (assumption for item in found for assumption in item.assumptions):
        values.setdefault(assumption.name, {})[assumption.value] = assumption
    return tuple(
        replace(next(iter(same.values())), value=" or ".join(same) + (", by the rate" if len(same) > 1 else ""))
        for same in values.values()
    )
