"""A few rates for many: their moments are those of all, and so is, nearly, the bill of a pool."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseload.planner.pool import Pool, estimate
from baseload.planner.traffic.rates import FINE, quadrature


def test_few_rates_stay_as_they_are() -> None:
    assert quadrature([(0.25, 3.0), (0.5, 0.0), (0.25, 1.0)]) == [(0.5, 0.0), (0.25, 1.0), (0.25, 3.0)]
    assert quadrature([(0.5, 2.0), (0.5, 2.0)]) == [(1.0, 2.0)]
    assert quadrature([]) == []


def test_the_two_rates_of_a_group_have_its_first_three_moments() -> None:
    # 1, 2 and 3 with equal shares: mean 2, variance 2/3, no skew: two rates at 2 ± √(2/3), each half of the time
    found = quadrature([(1 / 3, rate) for rate in (1.0, 2.0, 3.0)], groups=1)
    assert [share for share, _ in found] == pytest.approx([0.5, 0.5])
    assert [rate for _, rate in found] == pytest.approx([2 - math.sqrt(2 / 3), 2 + math.sqrt(2 / 3)])
    skewed = [(0.7, 1.0), (0.2, 2.0), (0.1, 9.0)]
    for power in range(4):
        moment = math.fsum(share * rate**power for share, rate in skewed)
        assert math.fsum(share * rate**power for share, rate in quadrature(skewed, groups=1)) == pytest.approx(moment)


def test_rates_far_apart_are_never_taken_together() -> None:
    # nights at 0.03 to 0.04, days at 1 to 1.1: no rate in between comes out, as the mean of both would
    rates = [(1 / 80, 0.03 * (1 + at / 120)) for at in range(40)] + [(1 / 80, 1 + at / 400) for at in range(40)]
    assert not [rate for _, rate in quadrature(rates) if 0.04 < rate < 1]


@given(st.lists(st.tuples(st.floats(0.001, 1), st.one_of(st.just(0.0), st.floats(1e-6, 1e3))), min_size=1, max_size=60))
def test_shares_are_kept_and_rates_stay_within(rates: list[tuple[float, float]]) -> None:
    found = quadrature(rates)
    assert len(found) <= 2 * math.ceil(math.log(1e9)) + 1
    assert math.fsum(share for share, _ in found) == pytest.approx(math.fsum(share for share, _ in rates))
    work = math.fsum(share * rate for share, rate in rates)
    assert math.fsum(share * rate for share, rate in found) == pytest.approx(work)
    assert all(share >= 0 for share, _ in found)
    given_rates = [rate for _, rate in rates]
    assert all(min(given_rates) * (1 - 1e-9) <= rate <= max(given_rates) * (1 + 1e-9) for _, rate in found)


WEEKS = {
    "day and night": [0.2 * (1 + 0.6 * math.sin(2 * math.pi * (hour % 24 - 9) / 24)) for hour in range(168)],
    "office hours": [
        (1.0 if 9 <= hour % 24 < 17 and hour < 120 else 0.03) * math.exp(random.Random(hour).gauss(0, 0.1))
        for hour in range(168)
    ],
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
    assert billed(quadrature(every)) == pytest.approx(billed(every), rel=0.002)
    assert billed(quadrature(every, FINE)) == pytest.approx(billed(every), rel=0.001)
