"""When the number of requests in a queueing system passes a level: the statistics from which worker time follows.

The number N is a birth–death chain: births at the arrival rate, deaths of those in service. Worker k is needed while N
is above what the workers before it hold. Nothing here knows workers' timeouts, cold starts or money.

Symbols as in docs/cost-model.md, "Worker time".
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

_NEGLIGIBLE = 1e-14
_NEGLIGIBLE_SHARE = 1e-8
_TALBOT_NODES = 18
"""Nodes of the Laplace inversion: about ten digits in double precision for the real-pole transforms used here."""


class Level(NamedTuple):
    """A level and the time from equilibrium at or below it to the next up-crossing, as a mixture of two exponentials.

    The mixture has the exact density and slope at 0 and the exact mean.
    """

    slots: int
    """The level: requests that fit below it."""
    below: float
    """F, share of the time at or below it."""
    blocking: float
    """π/F: chance that all these slots are taken where no others exist (Erlang B for Poisson arrivals)."""
    births_per_s: float
    weight: float
    fast: float
    slow: float

    def survival(self, t: float) -> float:
        """G(t): no up-crossing for t seconds."""
        return self.weight * math.exp(-self.fast * t) + (1 - self.weight) * math.exp(-self.slow * t)

    def density(self, t: float) -> float:
        """g(t) = −G'(t)."""
        fast, slow = self.fast, self.slow
        return self.weight * fast * math.exp(-fast * t) + (1 - self.weight) * slow * math.exp(-slow * t)

    def survived_s(self, t: float) -> float:
        """Mean of the shorter of t and the time to the up-crossing."""
        fast, slow, weight = self.fast, self.slow, self.weight
        return -weight * math.expm1(-fast * t) / fast - (1 - weight) * math.expm1(-slow * t) / slow


class Chain(NamedTuple):
    """The chain seen at some levels, lowest first; those that are never reached are left out."""

    empty: float
    """π₀."""
    full: float
    """P(N ≥ slots of the whole system)."""
    levels: tuple[Level, ...]


@lru_cache(maxsize=4096)
def chain(
    rate: float,
    service_s: float,
    slots: int,
    first: int,
    step: int,
    count: int,
    lasting_s: float,
    peakedness: float = 1.0,
) -> Chain:
    """The chain with `slots` requests served at once, at the levels first, first + step, … (`count` of them).

    Levels passed so rarely that even with `lasting_s` per time they take less than 10⁻⁸ of it are left out.

    With `peakedness` z above 1 births are (λ/z + n(1 − 1/z)/S): the same mean, z times the variance. Needs less load
    than slots.
    """
    load = rate * service_s
    grows = 1 - 1 / peakedness
    start = max(0, int(load - 10 * math.sqrt(load * peakedness) - 12))
    base = load / peakedness
    weights, weight, total, n = [1.0], 1.0, 1.0, start
    while n < slots:
        weight *= (base + grows * n) / (n + 1)
        n += 1
        weights.append(weight)
        total += weight
        if n > load and weight < _NEGLIGIBLE * total:
            break
    full = 0.0
    if n == slots:
        beyond = min((base + grows * slots) / slots, 1 - 1e-9)
        full = weight / (1 - beyond)
        total += full - weight
    found = []
    level, last = first, first + step * (count - 1)
    while level < start and level <= last:
        found.append(Level(level, 0.0, 1.0, rate, 0.0, rate, rate))
        level += step
    at_most = passages = 0.0
    for n, weight in enumerate(weights, start):
        share = weight / total
        at_most += share
        births = (base + grows * n) / service_s
        passages += at_most * at_most / (share * births)
        if n == level:
            found.append(_level(n, min(at_most, 1.0), share, births, passages / at_most))
            level += step
            if level > last or (n > load and 1 - at_most + births * share * lasting_s < _NEGLIGIBLE_SHARE):
                break
    return Chain(weights[0] / total if start == 0 else 1e-290, min(full / total, 1.0), tuple(found))


def _level(n: int, at_most: float, share: float, births: float, mean_s: float) -> Level:
    up = births * share / at_most
    excess = up * mean_s - 1
    if excess > 1e-9:
        total = up * (births * mean_s - 1) / excess
        product = up * (total - births)
        fast = (total + math.sqrt(max(total * total - 4 * product, 0.0))) / 2
        slow = product / fast
        if slow > 0 and fast > up:
            return Level(n, at_most, share / at_most, births, (up - slow) / (fast - slow), fast, slow)
    return Level(n, at_most, share / at_most, births, 0.0, 1 / mean_s, 1 / mean_s)


# ------------------------------------------------------------------------------------------------------------ exactly
def shares_on(rate: float, service_s: float, slots: int, levels: Sequence[int], window_s: float) -> list[float]:
    """P(max of N over a window > level) for each of some rising levels, without the mixture: ten digits.

    Started in equilibrium at or below n, the time to the up-crossing has the transform (u/s)·ψₙ(s), with u its rate and
    ψₙ = 1 − E[e^(−s·T)] of the passage from n to n+1, which follows from ψₙ₋₁ (Keilson's recursion for birth–death
    chains). The transform is inverted by Talbot's method.
    """
    load = rate * service_s
    first = max(0, int(load - 12 * math.sqrt(load) - 40))
    weights = [1.0]
    for n in range(first + 1, max(max(levels, default=0), int(load + 12 * math.sqrt(load) + 40)) + 1):
        weights.append(weights[-1] * load / min(n, slots))
    tail = weights[-1] * load / (slots - load) if first + len(weights) > slots else 0.0
    total = math.fsum(weights) + tail
    survival, wanted = dict.fromkeys(levels, 0.0), set(levels)
    shares = _cumulative(weights, total)
    for s, weight in _talbot(window_s) if window_s > 0 else ():
        psi = complex(0.0)
        for n in range(first, max(levels) + 1):
            deaths = min(n, slots) / service_s if n > first else 0.0
            fall = s + deaths * psi
            psi = fall / (rate + fall)
            if n in wanted:
                up = rate * weights[n - first] / total / shares[n - first]
                survival[n] += (weight * (1 - up / s * psi) / s).real
    if window_s <= 0:
        survival = dict.fromkeys(levels, 1.0)
    return [1 - (shares[n - first] * min(max(survival[n], 0.0), 1.0) if n >= first else 0.0) for n in levels]


def _cumulative(weights: Sequence[float], total: float) -> list[float]:
    found, so_far = [], 0.0
    for weight in weights:
        so_far = min(so_far + weight / total, 1.0)
        found.append(max(so_far, 1e-290))
    return found


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
