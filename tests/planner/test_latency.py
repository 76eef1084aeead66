"""Latency, worth of workers, base and dispatch in closed form: against simulation, textbooks and what must hold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseload.planner.pool import Dispatch, Pool, TargetTracking, doubts, estimate
from baseload.planner.pool.base import best_base, cheapest, confirmed, worth
from baseload.planner.pool.latency import latency, latency_over
from baseload.planner.pool.levels import chain, shares_on
from baseload.planner.simulator import simulate


def pool(rate: float, service: float, c: int, cold: float, idle: float, most: int, **more: Any) -> Pool:
    """Short form, in the order of the cost model's tables: λ, S, c, C, τ, M."""
    return Pool(
        arrivals_per_s=rate,
        service_s=service,
        concurrency=c,
        cold_start_s=cold,
        idle_timeout_s=idle,
        workers_max=most,
        **more,
    )


# --------------------------------------------------------------------------------------------------------- textbooks
def test_replicas_alone_wait_as_erlang_says() -> None:
    # M/M/3, load 2: P(wait) = 4/9; the wait of those that wait is exponential with mean S/(3 − 2) = 1 s
    found = latency(pool(2, 1, 3, 0, 0, 0, dedicated=1))
    assert found.waited_share == pytest.approx(4 / 9)
    assert found.cold_share == 0
    # P(T > t) = (5/9)e^(−t) + (4/9)(1 + t)e^(−t) = (1 + 4t/9)e^(−t); at the median t = 1.0874
    assert found.p50_s == pytest.approx(1.0874, rel=0.01)


def test_a_sparse_request_waits_for_the_start() -> None:
    # one in 10,000 s meets nobody: C + S at every quantile, S fixed
    found = latency(pool(1e-4, 2, 1, 20, 5, 3, service_cv=0))
    assert found.cold_share == pytest.approx(1, abs=0.002)
    assert [found.p50_s, found.p95_s, found.p99_s] == pytest.approx([22] * 3, rel=0.001)


def test_without_waits_the_latency_is_the_service_time() -> None:
    found = latency(pool(0.01, 2, 10, 20, 1e6, 3, workers_min=1))
    assert [found.p50_s, found.p99_s] == pytest.approx([2 * math.log(2), 2 * math.log(100)], rel=0.001)
    fixed = latency(pool(0.01, 2, 10, 20, 1e6, 3, workers_min=1, service_cv=0))
    assert fixed.p95_s == pytest.approx(2, rel=1e-5)


def test_dense_traffic_on_workers_that_never_stop_meets_no_start() -> None:
    """10⁹ a day on 1,000 workers: those in use stay, so none start."""
    dense = pool(1e9 / 86_400, 0.05, 1, 20, 5, 1000, start_delay_s=4)
    assert estimate(dense).starts_per_s < 1e-6
    assert latency(dense).cold_share < 1e-6


def test_no_requests_and_overload_have_no_latency() -> None:
    assert latency(pool(0, 2, 1, 20, 5, 3)).p50_s is None
    flood = latency(pool(10, 2, 1, 20, 5, 3))
    assert (flood.p95_s, flood.waited_share) == (None, 1)


def test_times_of_different_rates_count_by_their_requests() -> None:
    quiet, busy = pool(0, 2, 1, 20, 5, 3), pool(0.3, 2, 1, 20, 60, 3)
    assert latency_over([(0.9, quiet), (0.1, busy)]) == latency(busy)
    rare = replace(busy, arrivals_per_s=0.0003)
    both = latency_over([(0.5, rare), (0.5, busy)])
    assert both.cold_share == pytest.approx((latency(rare).cold_share + 1000 * latency(busy).cold_share) / 1001)


def test_the_mixture_has_the_moments_of_the_passage() -> None:
    # level 0 of any chain: the next birth, exponential; level 1 of λ = 1, S = 1: T = (1/F)(F₀²/π₀ + F₁²/π₁) with
    # π₀ = π₁ = e⁻¹, F₁ = 2e⁻¹: T = 2.5 s
    zero, one = chain(1.0, 1.0, 50, 0, 1, 2, 1.0).levels
    assert zero.survived_s(1e9) == pytest.approx(1)
    assert one.survived_s(1e9) == pytest.approx(2.5, rel=1e-6)
    assert one.density(0) == pytest.approx(1 / 2)  # λπ₁/F₁
    exact = shares_on(1.0, 1.0, 50, [1], 3.0)[0]
    assert 1 - one.below * one.survival(3.0) == pytest.approx(exact, rel=0.01)


# -------------------------------------------------------------------------------------------------------- simulation
AGAINST_SIMULATION = [
    # (pool, tolerance of the 50th and 95th percentile)
    (pool(0.01, 2, 1, 20, 60, 1), 0.05),
    (pool(0.05, 5, 16, 60, 10, 1), 0.03),
    (pool(0.2, 2, 4, 15, 60, 5), 0.02),
    (pool(1, 2, 8, 30, 300, 10, workers_min=1), 0.02),
    (pool(2, 3, 4, 15, 30, 10, dedicated=1), 0.03),
    (pool(0.1, 6, 1, 5, 20, 1, service_cv=0.5), 0.1),
    (pool(0.5, 2, 1, 20, 600, 2, service_cv=0), 0.05),
]


@pytest.mark.parametrize(("given_pool", "tolerance"), AGAINST_SIMULATION)
def test_latency_agrees_with_simulation(given_pool: Pool, tolerance: float) -> None:
    found, seen = latency(given_pool), simulate(given_pool, requests=100_000)
    assert found.p50_s == pytest.approx(seen.latency_s.p50, rel=tolerance)
    assert found.p95_s == pytest.approx(seen.latency_s.p95, rel=tolerance)
    assert found.waited_share == pytest.approx(seen.waited_share, abs=0.02)
    assert found.cold_share == pytest.approx(seen.cold_share, abs=0.02)


def test_what_gets_room_before_the_start_delay_is_over_meets_no_start() -> None:
    """One worker of at most two, a further one after 180 s: M/M/1 with load 0.0972 × 1.8 = 0.175 for all practical
    purposes. P(wait) = 0.175, and the latency is exponential with mean 1.8 ÷ (1 − 0.175) = 2.182 s: its 95th percentile
    is 2.182 × ln 20 = 6.54 s."""
    given_pool = pool(14_000 / 144_000, 1.8, 1, 300, 900, 2, workers_min=1, start_delay_s=180.0)
    found, seen = latency(given_pool), simulate(given_pool, requests=50_000)
    assert found.cold_share == pytest.approx(seen.cold_share, abs=1e-6)
    assert found.waited_share == pytest.approx(0.175, abs=0.005)
    assert found.waited_share == pytest.approx(seen.waited_share, abs=0.01)
    assert found.p95_s == pytest.approx(1.8 / (1 - 0.175) * math.log(20), rel=0.02)


def test_a_base_and_its_overflow() -> None:
    given_pool = pool(2, 3, 4, 15, 30, 10, dedicated=1)
    found, seen = estimate(given_pool), simulate(given_pool, requests=200_000)
    assert found.billed == pytest.approx(2.3677, abs=2e-4)  # published: 2.3677 by formula, 2.3711 simulated
    assert found.billed == pytest.approx(seen.billed, rel=0.02)
    assert found.starts_per_s == pytest.approx(seen.starts_per_s, rel=0.15)


def test_requests_spread_by_chance_keep_more_workers_warm() -> None:
    # published simulations: λ .05, .5, 2 at S 2, C 10, τ 60, c 1
    for rate, simulated in ((0.05, 1.38), (0.5, 5.62), (2, 15.1)):
        packed, by_chance = (
            estimate(pool(rate, 2, 1, 10, 60, 1000, dispatch=rule)).billed
            for rule in (Dispatch.PACKED, Dispatch.RANDOM)
        )
        assert by_chance == pytest.approx(simulated, rel=0.05)
        assert by_chance > packed
        # in turn no worker is idle for longer than the timeout: at least as many stay warm
        assert estimate(pool(rate, 2, 1, 10, 60, 1000, dispatch=Dispatch.BALANCED)).billed > 0.99 * simulated


# ---------------------------------------------------------------------------------------------- worth and best base
def test_the_worth_of_workers_adds_up_to_the_bill() -> None:
    given_pool = pool(0.5, 2, 4, 10, 60, 50)
    assert math.fsum(worth(given_pool)) == pytest.approx(estimate(given_pool).billed, rel=1e-6)
    assert worth(pool(0, 2, 1, 10, 60, 5)) == worth(pool(50, 2, 1, 10, 60, 5)) == ()


def test_without_idle_times_and_cold_starts_a_worker_is_worth_the_time_it_is_needed() -> None:
    # N is Poisson with mean 2: worker k is worth P(N ≥ k) = 1 − e⁻²(1 + 2 + …)
    found = worth(pool(1, 2, 1, 0, 0, 60))
    assert found[:3] == pytest.approx([1 - math.exp(-2), 1 - 3 * math.exp(-2), 1 - 5 * math.exp(-2)], rel=1e-3)


def test_the_break_even_of_one_replica() -> None:
    # published table, c = 1, one worker: S 2, C 10, τ 60 and price 0.4: at 27 requests an hour
    rate = 27 / 3600
    assert worth(pool(rate, 2, 1, 10, 60, 1))[0] == pytest.approx(0.4, rel=0.03)
    assert best_base([(1.0, pool(rate, 2, 1, 10, 60, 5))], 0.35).replicas == 1
    assert best_base([(1.0, pool(rate, 2, 1, 10, 60, 5))], 0.45).replicas == 0


def test_the_best_base_is_the_cheapest_and_a_simulation_of_its_neighbours_may_move_it() -> None:
    found = best_base([(0.7, pool(0.05, 2, 1, 10, 60, 60)), (0.3, pool(1, 2, 1, 10, 60, 60))], 0.45)
    assert found.costs[found.replicas] == min(found.costs.values())
    assert list(found.costs) == list(found.sizes)
    truth = {0: 9.0, 1: 8.0, 2: 7.0, 3: 6.0, 4: 7.5}
    moved = confirmed(replace(found, replicas=1), truth.__getitem__)
    assert moved.replicas == 3
    assert moved.costs == {0: 9.0, 1: 8.0, 2: 7.0, 3: 6.0, 4: 7.5}
    asked: list[int] = []
    steps = cheapest(lambda size: asked.append(size) or abs(size - 300) / 7, range(5, 1000))  # type: ignore[func-returns-value]
    assert (steps.replicas, len(asked)) == (300, len(set(asked)))
    assert len(asked) < 80


# ------------------------------------------------------------------------------------------------------- the gate
@pytest.mark.parametrize(
    "doubtful",
    [
        pool(0.5, 2, 1, 10, 5, 3),  # herds: τ < 1.5 C, λC > c/2
        pool(0.5, 2, 1, 1, 5, 4),  # τ < 3 S at c = 1
        pool(0.01, 2, 1, 10, 5, 1, cold_start_billed=0.0),
        pool(1, 2, 4, 1, 60, 3, start_delay_s=4.0),
        pool(0.1, 2, 1, 1, 60, 3, dispatch=Dispatch.BALANCED),
        pool(0.1, 2, 1, 1, 60, 3, arrivals_cv=3.0),
        pool(0.1, 2, 1, 1, 60, 3, tracking=TargetTracking(target=1)),
        pool(0.1, 2, 1, 1, 60, 3, schedule=((0.0, 1),)),
    ],
)
def test_where_the_closed_form_is_in_doubt(doubtful: Pool) -> None:
    assert len(doubts(doubtful)) == 1


def test_where_it_is_not() -> None:
    assert not doubts(pool(0.5, 2, 1, 10, 60, 30))


pools = st.builds(
    Pool,
    arrivals_per_s=st.floats(1e-6, 500),
    service_s=st.one_of(st.just(0.0), st.floats(1e-3, 600)),
    service_cv=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    cold_start_s=st.one_of(st.just(0.0), st.floats(0.01, 3600)),
    cold_start_billed=st.sampled_from([0.0, 1.0]),
    start_delay_s=st.sampled_from([0.0, 4.0]),
    idle_timeout_s=st.one_of(st.just(0.0), st.floats(1, 3600)),
    concurrency=st.sampled_from([1, 2, 8, 300]),
    workers_min=st.integers(0, 2),
    workers_max=st.sampled_from([2, 3, 10, 1000]),
    dedicated=st.integers(0, 3),
    arrivals_cv=st.sampled_from([1.0, 1.5, 8.0]),
    dispatch=st.sampled_from(list(Dispatch)),
)


@given(pools)
def test_nothing_is_ever_undefined(given_pool: Pool) -> None:
    found, times = estimate(given_pool), latency(given_pool)
    parts = (found.busy, found.idle, found.cold_start, found.always_on, found.starts_per_s)
    assert all(math.isfinite(part) and part >= 0 for part in parts), found
    assert found.billed <= given_pool.workers_max * (1 + 1e-9)
    assert 0 <= times.cold_share <= times.waited_share + 1e-9 <= 1 + 2e-9
    if times.p50_s is not None:
        assert times.p50_s <= times.p95_s * (1 + 1e-5) <= times.p99_s * (1 + 3e-5)  # type: ignore[operator]
        assert math.isfinite(times.p99_s)  # type: ignore[arg-type]
    shares = worth(given_pool)
    assert all(0 <= share <= 1 for share in shares)
    assert list(shares) == sorted(shares, reverse=True)
