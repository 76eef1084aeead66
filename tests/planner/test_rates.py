"""A few rates for many: exact for what quadrature must get exactly, close for the bill of a pool."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseload.planner.pool import Pool, estimate
from baseload.planner.rates import quadrature


def test_few_rates_stay_as_they_are() -> None:
    assert quadrature([(0.25, 3.0), (0.5, 0.0), (0.25, 1.0)]) == [(0.5, 0.0), (0.25, 1.0), (0.25, 3.0)]
    assert quadrature([(0.5, 2.0), (0.5, 2.0)]) == [(1.0, 2.0)]
    assert quadrature([]) == []


def test_two_nodes_have_the_first_three_moments_of_the_logarithm() -> None:
    # logarithms −1, 0, 1 with equal shares: mean 0, variance 2/3, no skew: two nodes at ±√(2/3), each half the time
    found = quadrature([(1 / 3, math.exp(x)) for x in (-1, 0, 1)], nodes=2)
    assert [share for share, _ in found] == pytest.approx([0.5, 0.5])
    assert [math.log(rate) for _, rate in found] == pytest.approx([-math.sqrt(2 / 3), math.sqrt(2 / 3)])


@given(st.lists(st.tuples(st.floats(0.001, 1), st.one_of(st.just(0.0), st.floats(1e-6, 1e3))), min_size=1, max_size=60))
def test_shares_are_kept_and_rates_stay_within(rates: list[tuple[float, float]]) -> None:
    found = quadrature(rates)
    assert len(found) <= 9
    assert math.fsum(share for share, _ in found) == pytest.approx(math.fsum(share for share, _ in rates))
    assert all(share >= 0 for share, _ in found)
    given_rates = [rate for _, rate in rates]
    assert all(min(given_rates) * (1 - 1e-9) <= rate <= max(given_rates) * (1 + 1e-9) for _, rate in found)


WEEKS = {
    "day and night": [0.2 * (1 + 0.6 * math.sin(2 * math.pi * (hour % 24 - 9) / 24)) for hour in range(168)],
    "three decades": [0.05 * math.exp(random.Random(hour).gauss(0, 1.2)) for hour in range(168)],
}


@pytest.mark.parametrize("week", WEEKS)
@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_bill_is_that_of_all_hours(week: str, concurrency: int) -> None:
    pool = Pool(
        arrivals_per_s=1, service_s=2, concurrency=concurrency, cold_start_s=15, idle_timeout_s=60, workers_max=10
    )

    def billed(rates: list[tuple[float, float]]) -> float:
        return math.fsum(share * estimate(replace(pool, arrivals_per_s=rate)).billed for share, rate in rates)

    every = [(1 / 168, rate) for rate in WEEKS[week]]
    assert billed(quadrature(every)) == pytest.approx(billed(every), rel=0.001)
