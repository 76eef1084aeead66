"""The event simulation: rules worked by hand on small logs, exact cases, laws that always hold, both forms alike."""

from __future__ import annotations

import importlib.util
import math
import random
import re
import statistics
import tracemalloc
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baseload.planner.pool import Dispatch, Pool, TargetTracking
from baseload.planner.simulator import Arrivals, Simulated, estimate_by_simulation, replay, simulate


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


def one(**more: Any) -> Pool:
    """A pool to replay on: C = 10 s, τ = 5 s, one request per worker."""
    return Pool(**{"arrivals_per_s": 0, "service_s": 2, "cold_start_s": 10, "idle_timeout_s": 5} | more)


def seconds(seen: Simulated, what: str) -> float:
    """Worker-seconds of the window."""
    return float(getattr(seen, what) * seen.window_s)


# ------------------------------------------------------------------------------------------------ rules, by hand
def test_one_request_bills_its_start_itself_and_the_idle_timeout() -> None:
    seen = replay(one(), [(3.0, 2.0)], until_s=100)
    assert (seen.starts, seen.served, seen.waited_share, seen.cold_share) == (1, 1, 1, 1)
    assert seconds(seen, "cold_start") == pytest.approx(10)
    assert seconds(seen, "busy") == pytest.approx(2)
    assert seconds(seen, "idle") == pytest.approx(5)
    assert seen.wait_s.p50 == pytest.approx(10, rel=0.005)
    assert seen.latency_s.p99 == pytest.approx(12, rel=0.005)


def test_a_window_bills_what_lies_in_it() -> None:
    # up at 13, busy until 15, idle until 20; the window is 8 … 16: 5 s of the start, 2 s busy, 1 s idle
    seen = replay(one(), [(3.0, 2.0)], warm_up_s=8, until_s=16)
    assert [seconds(seen, part) for part in ("cold_start", "busy", "idle")] == pytest.approx([5, 2, 1])
    assert (seen.starts, seen.requests, seen.arrived) == (0, 0, 1)


def test_workers_start_until_those_on_their_way_cover_the_queue() -> None:
    # c = 2: the 1st request starts a worker, the 2nd fits on it, the 3rd starts another, the 5th wants a third: M = 2
    seen = replay(one(concurrency=2, workers_max=2), [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)], until_s=60)
    assert seen.starts == 2
    # the first up at 10 takes two until 14, the second at 12 takes two until 16; the 5th gets the first slot, 14 … 18
    # first worker on 0 … 18 + 5, second 2 … 16 + 5
    assert seen.billed * 60 == pytest.approx(23 + 19)
    assert seen.peak_waiting == 5


def test_the_start_delay_spares_starts_for_what_is_served_in_time() -> None:
    log = [(0.0, 3.0), (1.0, 3.0), (2.0, 9.0), (7.0, 1.0)]
    warm = one(workers_min=1, workers_max=3, start_delay_s=4)
    # the 2nd runs 3 … 6 and the 3rd 6 … 15 on the only worker: the 3rd has waited 4 s exactly when its turn comes, no
    # start; the 4th waits from 7, starts a worker at 11 that is up at 21, and is served at 15
    seen = replay(warm, log, until_s=40)
    assert seen.starts == 1
    assert seconds(seen, "cold_start") == pytest.approx(10)
    assert seen.latency_s.p99 == pytest.approx(13, rel=0.005)
    assert replay(one(workers_min=1, workers_max=3), log, until_s=40).starts == 2


def test_request_count_starts_a_worker_per_so_many_requests() -> None:
    # the 1st request starts one, the 5th (running or waiting) another, nothing waits for it
    log = [(0.0, 50.0)] + [(20.0 + k, 50.0) for k in range(4)]
    seen = replay(one(concurrency=8, workers_max=4, requests_per_worker=4), log, until_s=100)
    assert seen.starts == 2
    assert seen.waited_share == pytest.approx(1 / 5)


def test_target_tracking_looks_once_a_minute() -> None:
    # two requests all the time from 30 s on: the mean of the first minute is 1 = the target, then 2: the second
    # worker is wanted at 120 s; the requests end at 300 s, so from 360 s on 0 are wanted, and after 3 looks, at
    # 480 s, all but the minimum stop
    tracked = one(
        concurrency=2,
        workers_min=1,
        workers_max=5,
        tracking=TargetTracking(target=1, in_after_s=180),
    )
    seen = replay(tracked, [(30.0, 270.0), (30.0, 270.0)], until_s=1000)
    assert seen.starts == 1
    assert seconds(seen, "always_on") == pytest.approx(1000)
    assert seconds(seen, "cold_start") == pytest.approx(10)
    assert seconds(seen, "idle") + seconds(seen, "busy") == pytest.approx(480 - 130)


def test_at_the_cap_requests_are_rejected_or_queue() -> None:
    log = [(0.0, 20.0), (1.0, 20.0), (11.0, 20.0)]
    assert replay(one(rejects_at_cap=True), log, until_s=100).rejected == 2
    queued = replay(one(), log, until_s=100)
    assert (queued.rejected, queued.served) == (0, 3)


def test_at_zero_requests_fail_and_start_a_worker() -> None:
    seen = replay(one(fails_at_zero=True), [(0.0, 2.0), (4.0, 2.0), (11.0, 2.0), (40.0, 2.0)], until_s=100)
    assert (seen.failed, seen.served, seen.starts, seen.refused_share) == (3, 1, 2, 0.75)


def test_buffer_workers_are_started_ahead_and_kept_while_something_runs() -> None:
    # one for the request and one in reserve; both are idle when it ends at 42: the reserve stops there at once, its
    # timeout being over, the other at 47
    seen = replay(one(buffer=1, workers_max=5), [(0.0, 32.0)], until_s=100)
    assert seen.starts == 2
    assert seen.billed * 100 == pytest.approx(47 + 42)
    assert replay(one(buffer=1, workers_max=5), [(0.0, 32.0), (20.0, 2.0)], until_s=100).waited_share == 0.5


def test_the_base_takes_requests_first_and_the_pool_its_overflow() -> None:
    # replica busy 0 … 6; the 2nd request starts a worker and is taken by the replica at 6, before the worker is up
    seen = replay(one(dedicated=1), [(0.0, 6.0), (1.0, 3.0), (20.0, 1.0)], until_s=100)
    assert (seen.dedicated, seen.starts, seen.served) == (1, 1, 3)
    assert seen.dedicated_busy * 100 == pytest.approx(10)
    assert seen.billed * 100 == pytest.approx(10 + 5)  # the worker comes up for nothing
    assert seen.cold_share == pytest.approx(1 / 3)


def test_a_schedule_of_the_minimum() -> None:
    # two workers from 0 to 50 s, none from then to 100 s, and again: those of the second round start at 100 s
    seen = replay(one(schedule=((0.0, 2), (50.0, 0)), schedule_period_s=100.0, workers_max=3), [], until_s=150)
    assert seconds(seen, "always_on") == pytest.approx(50 * 2 + 40 * 2)
    assert seconds(seen, "cold_start") == pytest.approx(20)
    assert seen.starts == 2


def test_each_run_is_rounded_up_to_the_increment() -> None:
    seen = replay(one(increment_s=10.0), [(0.0, 2.0), (50.0, 13.0)], until_s=100)
    assert seconds(seen, "rounding") == pytest.approx((20 - 17) + (30 - 28))


def test_a_request_alone_is_faster() -> None:
    # a = 0.5 at c = 2: alone twice the speed. First alone 0 … 1 (2 of its 4 s done), then both: the first ends at 3,
    # the second has then 2 of 4 s left and alone needs 1 s
    shared = one(concurrency=2, workers_min=1, service_alone=0.5)
    seen = replay(shared, [(0.0, 4.0), (1.0, 4.0)], until_s=10)
    assert seen.latency_s.p50 == pytest.approx(3, rel=0.006)
    assert seen.latency_s.p99 == pytest.approx(3, rel=0.006)
    assert replay(one(concurrency=2, workers_min=1), [(0.0, 4.0)], until_s=10).latency_s.p50 == pytest.approx(
        4, rel=0.006
    )
    assert replay(shared, [(0.0, 4.0)], until_s=10).latency_s.p50 == pytest.approx(2, rel=0.006)


def test_dispatch() -> None:
    # three warm workers, a request every 6 s: packed reuses one and lets two go, balanced keeps all of them
    log = [(float(k), 4.0) for k in (0, 1, 2)] + [(20.0 + 6 * k, 1.0) for k in range(30)]
    packed, balanced, by_chance = (
        replay(one(workers_max=3, idle_timeout_s=19, dispatch=rule), log, until_s=200) for rule in Dispatch
    )
    assert packed.billed < by_chance.billed < balanced.billed
    assert balanced.billed * 200 == pytest.approx(200 + 199 + 198)


@pytest.mark.parametrize("log", [[(2.0, 1.0), (1.0, 1.0)], [(0.0, -1.0)], [(math.nan, 1.0)], [(0.0, math.inf)]])
def test_a_log_that_makes_no_sense_is_refused(log: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="a request at"):
        replay(one(), log)


@pytest.mark.parametrize("closes", [None, 100.0])
def test_an_empty_log(closes: float | None) -> None:
    seen = replay(one(workers_min=1, workers_max=2), [], until_s=closes)
    assert seen.billed == (1 if closes else 0)
    assert (seen.arrived, seen.latency_s.p95) == (0, None)


# ------------------------------------------------------------------------------------------------------- exact cases
GOLDEN = [
    (pool(0.01, 2, 1, 20, 60, 1), 0.5154),
    (pool(0.05, 5, 16, 60, 10, 1), 0.8130),
    (pool(0.2, 2, 4, 15, 60, 5), 1.0094),
    (pool(1, 2, 8, 30, 300, 10, workers_min=1), 1.1871),
    (pool(2, 3, 4, 15, 30, 10, dedicated=1), 2.3711),
]


@pytest.mark.parametrize(("given_pool", "billed"), GOLDEN)
def test_golden_values(given_pool: Pool, billed: float) -> None:
    """Another simulation's 300,000 requests; the first is exact."""
    seen = simulate(given_pool, requests=200_000)
    assert abs(seen.billed - billed) < 1.5 * seen.half_width + 0.002


@pytest.mark.parametrize(("rate", "service_cv"), [(0.02, 1.0), (0.3, 0.0), (0.3, 1.0), (0.1, 1.7)])
def test_one_worker_by_its_formula(rate: float, service_cv: float) -> None:
    # q = e^(−λτ), ρ = λS, on time of a cycle L = C/(1−ρ) + S/((1−ρ)q) + (1−q)/(qλ), billed L/(L + 1/λ)
    seen = simulate(pool(rate, 2, 1, 20, 7, 1, service_cv=service_cv), requests=100_000)
    q, rho = math.exp(-7 * rate), 2 * rate
    on = 20 / (1 - rho) + 2 / ((1 - rho) * q) + (1 - q) / (q * rate)
    assert abs(seen.billed - on / (on + 1 / rate)) < 2 * seen.half_width
    assert seen.half_width < 0.015
    assert seen.starts / seen.requests == pytest.approx(1 / (1 + rate * on), rel=0.02)
    assert seen.busy == pytest.approx(rho, rel=0.02)  # every request is served


@pytest.mark.parametrize("service_cv", [0.0, 1.0, 1.5])
def test_an_empty_pool_is_as_rare_as_quiet_times(service_cv: float) -> None:
    # one worker with room for all, no cold start: a request finds it off with chance e^(−λ(S+τ)), and waits 0 s
    seen = simulate(pool(0.1, 2, 1000, 0, 7, 1, service_cv=service_cv), requests=60_000)
    assert seen.waited_share == pytest.approx(math.exp(-0.1 * 9), rel=0.02)
    assert seen.billed == pytest.approx(1 - math.exp(-0.1 * 9), rel=0.02)


def test_workers_without_cold_start_are_the_maximum_of_the_last_timeout() -> None:
    # M = ∞, c = 1, C = 0: mean workers on = E max N over a window of τ; with τ = 0 that is λS = 1
    assert simulate(pool(0.5, 2, 1, 0, 0, 1000), requests=100_000).billed == pytest.approx(1.0, rel=0.02)


def test_a_base_alone_waits_as_erlang_says() -> None:
    # M/M/3 with λS = 2: P(wait) = 4/9, mean wait of those that wait S/(3−2) = 1 s, exponential: p50 of it ln 2
    seen = simulate(pool(2, 1, 3, 0, 0, 0, dedicated=1), requests=120_000)
    assert seen.waited_share == pytest.approx(4 / 9, rel=0.02)
    assert seen.wait_s.p95 == pytest.approx(math.log(4 / 9 / 0.05), rel=0.04)
    assert seen.dedicated_busy == pytest.approx(2, rel=0.01)


# --------------------------------------------------------------------------------------------- what must always hold
pools = st.builds(
    Pool,
    arrivals_per_s=st.floats(0.001, 20),
    service_s=st.one_of(st.just(0.0), st.floats(0.01, 30)),
    service_cv=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    cold_start_s=st.one_of(st.just(0.0), st.floats(0.1, 120)),
    cold_start_cv=st.sampled_from([0.0, 0.5]),
    cold_start_billed=st.sampled_from([0.0, 0.5, 1.0]),
    start_delay_s=st.sampled_from([0.0, 4.0]),
    idle_timeout_s=st.one_of(st.just(0.0), st.floats(1, 300)),
    concurrency=st.sampled_from([1, 2, 5, 30]),
    workers_min=st.integers(0, 2),
    workers_max=st.sampled_from([2, 3, 50]),
    dedicated=st.integers(0, 2),
    dispatch=st.sampled_from(list(Dispatch)),
    buffer=st.sampled_from([0, 0, 2]),
    requests_per_worker=st.sampled_from([0, 0, 3]),
    tracking=st.sampled_from([None, None, TargetTracking(target=1.5, in_after_s=120, out_cooldown_s=120)]),
    rejects_at_cap=st.booleans(),
    fails_at_zero=st.booleans(),
    increment_s=st.sampled_from([0.0, 60.0]),
    service_alone=st.sampled_from([1.0, 1.0, 0.6]),
    schedule=st.sampled_from([(), ((0.0, 1), (400.0, 2), (500.0, 0))]),
    schedule_period_s=st.just(900.0),
)
streams = st.builds(
    Arrivals.constant,
    st.floats(0.001, 20),
    cv=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    sessions_s=st.sampled_from([None, (60.0, 600.0)]),
)


def check(given_pool: Pool, seen: Simulated) -> None:
    assert seen.arrived == seen.served + seen.rejected + seen.failed + seen.waiting + seen.in_service
    parts = (seen.busy, seen.idle, seen.cold_start, seen.always_on, seen.rounding, seen.starts_per_s)
    assert all(math.isfinite(part) and part >= -1e-9 for part in parts), seen
    most = max(given_pool.workers_max, *(low for _, low in given_pool.schedule), given_pool.workers_min)
    assert seen.busy + seen.idle + seen.always_on <= most * (1 + 1e-9)
    assert all(0 <= share <= 1 for share in (seen.waited_share, seen.cold_share, seen.refused_share))
    assert seen.cold_share <= seen.waited_share
    assert seen.dedicated_busy <= given_pool.dedicated * given_pool.concurrency + 1e-9
    if not given_pool.rejects_at_cap:
        assert not seen.rejected
    if not given_pool.fails_at_zero:
        assert not seen.failed
    for found in (seen.wait_s, seen.latency_s):
        if found.p50 is not None:
            assert found.p50 <= found.p95 <= found.p99  # type: ignore[operator]


@settings(max_examples=100)
@given(pools, streams)
def test_laws_of_conservation(given_pool: Pool, arrivals: Arrivals) -> None:
    check(given_pool, simulate(given_pool, arrivals, requests=1000))


def test_overload_keeps_all_workers_busy_and_the_queue_growing() -> None:
    seen = simulate(pool(10, 2, 4, 20, 5, 3), requests=20_000)
    assert seen.busy == pytest.approx(3, rel=0.001)
    assert seen.waiting == pytest.approx(20_000 * (1 - 6 / 10), rel=0.05)


# ---------------------------------------------------------------------------------- seeds, windows, interval, memory
def test_a_seed_gives_one_result_and_another_seed_another() -> None:
    given_pool = pool(0.5, 2, 2, 20, 10, 5, cold_start_cv=0.5, dispatch=Dispatch.RANDOM)
    first, again, other = (simulate(given_pool, requests=5000, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_two_pools_of_one_seed_get_the_same_requests() -> None:
    few, many = (simulate(pool(1, 2, 1, 0, 10, most), requests=20_000, warm_up_s=0) for most in (4, 50))
    assert few.window_s == many.window_s
    assert few.latency_s.p99 > many.latency_s.p99  # type: ignore[operator]


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    exact = 0.5153600  # (λ .01, S 2, C 20, τ 60), by the formula above
    found = [simulate(pool(0.01, 2, 1, 20, 60, 1), requests=4000, seed=seed) for seed in range(60)]
    held = sum(abs(one_of.billed - exact) <= one_of.half_width for one_of in found)
    assert 52 <= held <= 60


def test_a_tolerance_ends_the_window_early() -> None:
    given_pool = pool(0.5, 2, 1, 10, 60, 1000)
    rough = simulate(given_pool, requests=1_000_000, tolerance=0.015)
    assert rough.half_width < 0.015 * rough.billed
    assert rough.arrived < 200_000
    assert rough.billed == pytest.approx(simulate(given_pool, requests=150_000, seed=7).billed, rel=0.03)


def test_an_estimate_by_simulation_names_the_interval_it_reached() -> None:
    given_pool = pool(0.5, 1.8, 1, 25, 5, 3)  # herds: the closed form is up to a tenth off
    found = estimate_by_simulation(given_pool, seed=5)
    assert re.fullmatch(r"simulation: [\d,]+ requests, seed 5, ±(0\.\d|1\.[0-5])%", found.method)
    assert found.billed == pytest.approx(simulate(given_pool, requests=150_000).billed, rel=0.02)
    rough = estimate_by_simulation(given_pool, requests=50)
    assert "unknown" in rough.method
    with pytest.raises(ValueError, match="no requests"):
        estimate_by_simulation(pool(0, 1, 1, 1, 1, 1))


def test_memory_grows_with_the_queue_not_with_the_stream() -> None:
    def peak(requests: int) -> int:
        tracemalloc.start()
        simulate(pool(20, 1, 4, 5, 60, 50), requests=requests)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(2_000)
    assert peak(16_000) < 1.1 * peak(6_000) + 20_000


def test_quantiles_are_those_of_the_values() -> None:
    values = sorted(random.Random(3).lognormvariate(0, 1) for _ in range(20_000))
    seen = replay(
        one(workers_min=1, workers_max=1, concurrency=30_000), [(0.0, value) for value in values], until_s=0.1
    )
    assert seen.latency_s.p50 == pytest.approx(values[4_000], rel=0.006)
    assert seen.latency_s.p99 == pytest.approx(values[7_920], rel=0.006)


# ----------------------------------------------------------------------------------------------------------- arrivals
def test_arrivals_have_the_rate_and_the_spread_they_are_given() -> None:
    gaps = intervals(Arrivals.constant(2, cv=3).times(1), 50_000)
    assert statistics.fmean(gaps) == pytest.approx(0.5, rel=0.05)
    assert statistics.pstdev(gaps) / statistics.fmean(gaps) == pytest.approx(3, rel=0.05)
    assert intervals(Arrivals.constant(2, cv=0).times(1), 100) == pytest.approx([0.5] * 99)


def test_a_profile_repeats_and_has_its_share_of_requests_in_each_bin() -> None:
    arrivals = Arrivals.profile([0, 1, 3], 100.0)
    assert arrivals.per_s == pytest.approx(4 / 3)
    bins = [int(t % 300 // 100) for t in islice(arrivals.times(1), 40_000)]
    assert bins.count(0) == 0
    assert bins.count(1) == pytest.approx(10_000, rel=0.05)


def test_sessions_keep_the_mean_rate_and_leave_quiet_times() -> None:
    times = list(islice(Arrivals.constant(1, sessions_s=(30, 90)).times(1), 60_000))
    assert len(times) / times[-1] == pytest.approx(1, rel=0.1)
    # quiet times are exponential with mean 90 s: about a third of the sessions are followed by more than 100 s
    gaps = [b - a for a, b in pairwise(times)]
    assert sum(gap > 100 for gap in gaps) / (times[-1] / 120) == pytest.approx(math.exp(-100 / 90), rel=0.1)


def intervals(times: Iterator[float], n: int) -> list[float]:
    taken = list(islice(times, n))
    return [b - a for a, b in pairwise(taken)]


# ----------------------------------------------------------------------------------------------- plain and compiled
needs_numba = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="numba is not installed (the extra baseload[fast])"
)

BOTH = [
    (pool(0.5, 2, 1, 10, 60, 1000), Arrivals.constant(0.5)),
    (pool(2, 2, 4, 20, 10, 5, start_delay_s=4, service_cv=0.5), Arrivals.profile([1, 3, 0], 600.0)),
    (
        pool(1, 3, 3, 30, 20, 10, dispatch=Dispatch.RANDOM, cold_start_cv=0.5, dedicated=1, increment_s=1.0),
        Arrivals.constant(1, cv=2),
    ),
    (
        pool(1, 5, 8, 30, 20, 10, dispatch=Dispatch.BALANCED, service_alone=0.6, buffer=1, rejects_at_cap=True),
        Arrivals.constant(1, sessions_s=(300, 600)),
    ),
    (
        pool(2, 5, 4, 60, 20, 10, tracking=TargetTracking(target=2, out_cooldown_s=300), fails_at_zero=True),
        Arrivals.profile([0.5, 2, 0.01, 0.01], 3600.0),
    ),
    (
        pool(1, 2, 4, 15, 20, 10, requests_per_worker=3, schedule=((0.0, 2), (5000.0, 0)), schedule_period_s=9000.0),
        Arrivals.constant(1),
    ),
]


@needs_numba
@pytest.mark.parametrize(("given_pool", "arrivals"), BOTH)
def test_plain_and_compiled_are_the_same_simulation(given_pool: Pool, arrivals: Arrivals) -> None:
    plain, compiled = (simulate(given_pool, arrivals, requests=15_000, fast=fast) for fast in (False, True))
    assert plain == compiled


@needs_numba
def test_plain_and_compiled_replay_alike() -> None:
    log = list(zip(islice(Arrivals.constant(0.3, cv=2).times(5), 5000), [2.0] * 5000, strict=True))
    given_pool = pool(0.3, 2, 2, 20, 10, 5)
    assert replay(given_pool, log, fast=False) == replay(given_pool, iter(log), fast=True)


@pytest.mark.skipif(importlib.util.find_spec("numba") is not None, reason="numba is installed")
def test_the_compiled_form_says_what_it_needs() -> None:
    with pytest.raises(ModuleNotFoundError, match="numba"):
        simulate(pool(0.5, 2, 1, 10, 60, 3), requests=10, fast=True)
