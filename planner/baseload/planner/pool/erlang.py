"""Requests that find all of some places taken: the share that is sent away, or that waits and how long.

Poisson streams by Erlang's B and C, streams of gamma gaps by their counterparts for renewal streams. Places are taken
all the time, nothing starts or stops here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from baseload.planner.pool.gaps import followers


class Wait(NamedTuple):
    """Of the requests that come to places that are never more than asked for."""

    share: float
    """That wait."""
    mean: float
    """Of those that wait, in mean service times; exponential where service times are."""


def refused_share(places: int, load: float, arrivals_cv: float = 1.0) -> float:
    """The share of requests that find all places taken and are sent away.

    Poisson: Erlang B, any law of service times. Above a coefficient of variation of 1: 1 ÷ Σ C(n, j) · Π (1 − φᵢ)/φᵢ
    over j = 0 … n and i = 1 … j, φᵢ the transform of a gap at i/S: exact for exponential service times (Takács, GI/M/n
    with losses).
    """
    if load <= 0:
        return 0.0
    inverse = term = 1.0
    for j in range(1, places + 1):
        if arrivals_cv > 1:
            term *= (places - j + 1) / j / followers(load, arrivals_cv, 1 / j)
            inverse += term
        else:
            inverse = 1 + inverse * j / load
        if math.isinf(inverse):
            return 0.0
    return 1 / inverse


def waiting(places: int, load: float, arrivals_cv: float = 1.0) -> Wait:
    """How many wait for a place, for less load than places.

    Poisson: Erlang C. Above a coefficient of variation of 1 those that wait do so for 1/(n(1 − σ)) with σ the root of
    σ = φ(n(1 − σ)/S), exactly, and how many is taken from those that a system without a queue sends away: the odds of
    the one times σ(1 − φₙ)/((1 − σ)φₙ). Exact for one place, and for Poisson streams.
    """
    refused = refused_share(places, load, arrivals_cv)
    if arrivals_cv <= 1 or not refused:
        return Wait(refused / (1 - load / places * (1 - refused)), 1 / (places - load))
    sigma = _sigma(places, load, arrivals_cv)
    odds = refused / (1 - refused) * sigma / (1 - sigma) / followers(load, arrivals_cv, 1 / places)
    return Wait(odds / (1 + odds), 1 / (places * (1 - sigma)))


def _sigma(places: int, load: float, cv: float) -> float:
    low, high = 0.0, 1 - 1e-12  # halved 50 times: as near as a float is
    for _ in range(50):
        middle = (low + high) / 2
        after = followers(load, cv, 1 / (places * (1 - middle)))
        low, high = (middle, high) if after / (1 + after) > middle else (low, middle)
    return low
