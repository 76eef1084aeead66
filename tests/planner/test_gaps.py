"""Bursts: what is left of a gap, by numbers that are known, and pools with bursts against the simulation."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from itertools import islice, pairwise

import pytest

from baseload.planner.pool import Pool, estimate
from baseload.planner.pool.gaps import followers, rest_of_gap, upper_gamma
from baseload.planner.simulator import Arrivals, simulate


@pytest.mark.parametrize("x", [0.0, 1e-9, 0.3, 1.99, 2.01, 30.0, 300.0])
def test_the_incomplete_gamma_function_where_it_is_elementary(x: float) -> None:
    assert upper_gamma(1.0, x) == pytest.approx(math.exp(-x), rel=1e-12)
    assert upper_gamma(0.5, x) == pytest.approx(math.erfc(math.sqrt(x)), rel=1e-12)


def test_what_is_left_of_a_poisson_gap_by_hand() -> None:
    # 0.1 a second, timeout 20 s: e^(−2) outlast it, (1 − e^(−2)) / 0.1 s idle, then 10 s off
    rest = rest_of_gap(0.1, 1.0, 5.0, 20.0)
    assert rest == pytest.approx((math.exp(-2), (1 - math.exp(-2)) * 10, 10))
    assert rest_of_gap(0.1, 0.5, 5.0, 20.0) == rest


def test_what_is_left_of_a_gap_is_that_of_drawn_ones() -> None:
    times = list(islice(Arrivals.constant(0.02, cv=2.0).times(1), 200_000))
    gaps = [late - early for early, late in pairwise(times)]
    left = [gap - 10 for gap in gaps if gap > 10]
    rest = rest_of_gap(0.02, 2.0, 10.0, 60.0)
    assert rest.ends == pytest.approx(sum(1 for gap in left if gap > 60) / len(left), rel=0.02)
    assert rest.idle_s == pytest.approx(statistics.fmean(min(gap, 60) for gap in left), rel=0.02)
    assert rest.off_s == pytest.approx(statistics.fmean(gap - 60 for gap in left if gap > 60), rel=0.02)


def test_followers_by_hand() -> None:
    # cv² = 4: φ(1/t) = (1 + 4 / λt)^(−1/4); λt = 4 gives 2^(−1/4) = 0.8409 and 0.8409 / 0.1591 requests
    assert followers(0.4, 2.0, 10.0) == pytest.approx(5.2852, abs=1e-4)
    assert followers(0.4, 1.0, 10.0) == 4
    # z = 1 + followers − λS; for many requests (1 + cv²) / 2
    assert Pool(arrivals_per_s=0.4, service_s=10.0, arrivals_cv=2.0).peakedness == pytest.approx(2.2852, abs=1e-4)
    assert Pool(arrivals_per_s=1e9, service_s=10.0, arrivals_cv=2.0).peakedness == pytest.approx(2.5, rel=1e-3)
    assert Pool(arrivals_per_s=1e-9, service_s=10.0, arrivals_cv=2.0).peakedness == pytest.approx(1, abs=0.01)


ONE = Pool(arrivals_per_s=0.01, service_s=2.0, cold_start_s=20.0, idle_timeout_s=60.0)


@pytest.mark.parametrize(
    ("pool", "within"),
    [
        (ONE, 0.04),
        (replace(ONE, idle_timeout_s=5.0), 0.04),
        (replace(ONE, arrivals_per_s=0.1, concurrency=8, workers_max=5), 0.06),
        (replace(ONE, arrivals_per_s=1.0, workers_max=10), 0.1),
        (replace(ONE, arrivals_per_s=2.0, concurrency=8, workers_max=10), 0.1),
        (replace(ONE, arrivals_per_s=1.0, concurrency=4, workers_min=1, workers_max=5), 0.1),
    ],
    ids=["one worker", "short timeout", "sparse", "concurrency 1", "dense", "a minimum"],
)
def test_bursts_in_the_closed_form_against_the_simulation(pool: Pool, within: float) -> None:
    bursty = replace(pool, arrivals_cv=2.0)
    seen = simulate(bursty, Arrivals.constant(pool.arrivals_per_s, cv=2.0), requests=60_000)
    assert estimate(bursty).billed == pytest.approx(seen.billed, rel=within)
    # and they matter: as Poisson the same traffic is further off
    assert abs(estimate(pool).billed - seen.billed) > abs(estimate(bursty).billed - seen.billed)
