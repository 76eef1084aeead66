"""Gaps between requests that come in bursts: gamma distributed, with a given mean and coefficient of variation.

A coefficient of variation of 1 is a Poisson stream, and so is less here. Knows no workers; the formulas stand in
docs/cost-model.md, "Bursts".
"""

from __future__ import annotations

import math
from typing import NamedTuple

_LONG = 300.0
"""In units of the gamma law's scale: from there on gaps are as good as exponential."""


class Rest(NamedTuple):
    """What is left of a gap when the last worker becomes idle."""

    ends: float
    """Chance that it outlasts the timeout."""
    idle_s: float
    """Mean time until the next request or the timeout."""
    off_s: float
    """Mean time from the timeout to the next request."""


def followers(per_s: float, cv: float, seconds: float) -> float:
    """Mean number of requests that come after one within an exponential time; λt for a Poisson stream."""
    expected, spread = per_s * seconds, cv * cv
    if spread <= 1 or expected <= 0:
        return expected
    return 1 / math.expm1(math.log1p(spread / expected) / spread)


def rest_of_gap(per_s: float, cv: float, lasted_s: float, timeout_s: float) -> Rest:
    """Of a gap that has lasted for some time already; `per_s` is above zero."""
    shape = 1 / max(cv, 1.0) ** 2
    scale = shape * per_s
    idle, off = scale * lasted_s, scale * (lasted_s + timeout_s)
    if shape == 1 or off > _LONG:
        ends = math.exp(-min(scale * timeout_s, 600.0))
        return Rest(ends, (1 - ends) / scale, 1 / scale)
    lasts, beyond = upper_gamma(shape, idle), _beyond(shape, idle)
    ends, after = upper_gamma(shape, off), _beyond(shape, off)
    return Rest(ends / lasts, max(beyond - after, 0.0) / lasts / scale, after / ends / scale)


def _beyond(shape: float, x: float) -> float:
    """E[(X − x)⁺] of a gamma law of scale 1."""
    return shape * (upper_gamma(shape, x) + _front(shape, x)) - x * upper_gamma(shape, x)


def _front(shape: float, x: float) -> float:
    return math.exp(shape * math.log(x) - x - math.lgamma(shape + 1)) if x > 0 else 0.0


def upper_gamma(shape: float, x: float) -> float:
    """Q(shape, x), the regularized upper incomplete gamma function, for shapes up to 1.

    Below 2 the series of P = 1 − Q, above Legendre's continued fraction by Lentz's method (Abramowitz and Stegun 6.5.29
    and 6.5.31): ten digits or more.
    """
    front = _front(shape, x)
    if x < 2:
        term = total = 1.0
        n = shape
        while term > 1e-16 * total:
            n += 1
            term *= x / n
            total += term
        return 1 - front * total
    b = x + 1 - shape
    c, d = math.inf, 1 / b
    fraction = d
    for n in range(1, 200):
        a = -n * (n - shape)
        b += 2
        d = 1 / (a * d + b)
        c = b + a / c
        fraction *= d * c
        if abs(d * c - 1) < 1e-13:
            break
    return front * shape * fraction
