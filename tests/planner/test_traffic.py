"""Traffic as rates over time: shares and means are kept, curves and batches by hand, and what a plan makes of them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baseload.planner.cost import Ends, cents
from baseload.planner.plan import ModelPlan, Plan, make_plan, schema
from baseload.planner.pool import Pool, estimate
from baseload.planner.prices import bundled
from baseload.planner.simulator import Arrivals, simulate
from baseload.planner.spec.file import parse_spec
from baseload.planner.spec.model import Curve, ModelSpec
from baseload.planner.traffic.batch import needed, run_batch
from baseload.planner.traffic.profile import (
    HOURS,
    MOST_NODES,
    SESSION_EVERY_S,
    RateProfile,
    Stretch,
    curve,
    estimate_over,
    hour_of_week,
    profile_of,
)

HEAD = "name: chat\ncontainer: {image: acme/worker:1.0}\nperformance: {service_time: 1.8s, cold_start: 25s}\n"
TAIL = "target: {runpod: {gpu: ADA_24, workers: {max: 3}}}\n"
POOL = Pool(arrivals_per_s=0.0, service_s=2.0, cold_start_s=20.0, idle_timeout_s=30.0, concurrency=2, workers_max=4)


def spec(traffic: str, tail: str = TAIL) -> ModelSpec:
    found = parse_spec(Path("chat.yaml"), f"{HEAD}traffic: {traffic}\n{tail}")
    assert found.spec is not None, found.diagnostics
    return found.spec


def rates(traffic: str) -> RateProfile:
    read = spec(traffic).traffic
    assert read is not None
    profile = profile_of(read)
    assert profile is not None
    return profile


def plan(*specs: ModelSpec) -> Plan:
    made = make_plan(specs, bundled(), stack="dev", generated_at=datetime(2026, 9, 1, tzinfo=UTC))
    document = json.loads(json.dumps(made.to_json()))
    jsonschema.Draft202012Validator(schema()).validate(document)
    assert Plan.from_json(document) == made
    assert "NaN" not in json.dumps(document)
    return made


def model(traffic: str, tail: str = TAIL) -> ModelPlan:
    return plan(spec(traffic, tail)).models[0]


def usd(amount: Decimal | None) -> Decimal:
    assert amount is not None
    return amount


# ------------------------------------------------------------------------------------------------------ the profile
stretches = st.lists(
    st.builds(Stretch, st.floats(1.0, 1e5), st.just(0.0) | st.floats(1e-6, 1e4)), min_size=1, max_size=200
)
profiles = stretches.map(lambda found: RateProfile(stretches=tuple(found)))


@given(profiles, st.floats(0.001, 1.0))
def test_the_shares_of_the_nodes_sum_to_one_and_keep_the_mean_rate(profile: RateProfile, active_share: float) -> None:
    sessions = profile.in_sessions(active_share)
    longest_s = SESSION_EVERY_S * active_share * (1 + 1e-9) if active_share < 1 else math.inf
    assert all(seconds <= longest_s for seconds, rate in sessions.stretches if rate)
    nodes = sessions.nodes()
    assert math.fsum(node.share for node in nodes) == pytest.approx(1)
    mean = math.fsum(node.share * node.requests_per_s for node in nodes)
    assert mean == pytest.approx(profile.mean_per_s, rel=1e-9)
    assert all(node.share > 0 for node in nodes)
    assert len(nodes) <= MOST_NODES + 1


@given(profiles, st.floats(0.0, 1.0))
def test_what_cannot_be_served_at_once_is_served_later(profile: RateProfile, between: float) -> None:
    most_per_s = profile.mean_per_s + between * (profile.peak_per_s - profile.mean_per_s) + 1e-9
    served = profile.served(most_per_s)
    assert served.peak_per_s <= most_per_s * (1 + 1e-9)
    assert served.mean_per_s == pytest.approx(profile.mean_per_s, rel=1e-6, abs=1e-9)
    assert served.seconds == pytest.approx(profile.seconds)


def test_a_queue_is_worked_off_at_the_full_rate() -> None:
    # an hour at 3 a second where 2 can be served leaves 3,600 waiting; with 1 a second coming that takes an hour more
    profile = RateProfile(stretches=(Stretch(3600, 3.0), Stretch(7200, 1.0)))
    assert profile.served(2.0).stretches == (Stretch(3600, 2.0), Stretch(3600, 2.0), Stretch(3600, 1.0))
    assert profile.longest_queue(2.0) == 3600
    # the same, begun at the end of the pattern: the rest waits until its beginning
    turned = RateProfile(stretches=profile.stretches[::-1])
    assert turned.served(2.0).stretches == (Stretch(3600, 2.0), Stretch(3600, 1.0), Stretch(3600, 2.0))


def test_merging_many_rates_hardly_moves_the_bill() -> None:
    hours = [0.02 * (1 + math.sin(hour / 3)) * (1 + hour / HOURS) for hour in range(HOURS)]
    profile = RateProfile(stretches=tuple(Stretch(3600, rate) for rate in hours))
    every = math.fsum(estimate(replace(POOL, arrivals_per_s=rate)).billed for rate in hours) / HOURS
    nodes = profile.nodes()
    assert len(nodes) <= MOST_NODES
    few = math.fsum(node.share * estimate(replace(POOL, arrivals_per_s=node.requests_per_s)).billed for node in nodes)
    assert few == pytest.approx(every, rel=0.001)


def test_workers_stay_on_after_a_fall_and_too_many_start_at_a_rise() -> None:
    # 4 requests in service for an hour, none for two: without cold starts the workers of the hour stay an idle timeout
    # and a service time longer
    pool = Pool(arrivals_per_s=0.0, service_s=2.0, idle_timeout_s=30.0, workers_max=20)
    busy = estimate(replace(pool, arrivals_per_s=2.0))
    profile = RateProfile(stretches=(Stretch(3600, 2.0), Stretch(7200, 0.0)))
    found = estimate_over(pool, profile)
    assert found.idle - busy.idle / 3 == pytest.approx(busy.billed * 32 / 10_800)
    # with one, 2 a second queue up for 5 s: 10 workers and a half are started
    cold = replace(pool, cold_start_s=5.0)
    steady = estimate(replace(cold, arrivals_per_s=2.0))
    herd = 10.5 - steady.billed
    assert herd > 1
    assert estimate_over(cold, profile).cold_start - steady.cold_start / 3 == pytest.approx(herd * 5 / 10_800)


@pytest.mark.parametrize(("on_s", "off_s"), [(600, 600), (1800, 1800), (600, 3000)])
def test_traffic_that_comes_and_goes_agrees_with_the_simulation(on_s: float, off_s: float) -> None:
    pool = Pool(arrivals_per_s=0.0, service_s=2.0, cold_start_s=10.0, idle_timeout_s=60.0, workers_max=20)
    arrivals = Arrivals(pieces=((on_s, 1.0), (off_s, 0.0)))
    simulated = simulate(pool, arrivals, requests=40_000, seed=5, warm_up_s=0.0).billed
    profile = RateProfile(stretches=(Stretch(on_s, 1.0), Stretch(off_s, 0.0)))
    assert estimate_over(pool, profile).billed == pytest.approx(simulated, rel=0.06)


@given(
    stretches,
    st.builds(
        Pool,
        arrivals_per_s=st.just(0.0),
        service_s=st.floats(0.01, 100),
        cold_start_s=st.floats(0, 300),
        cold_start_billed=st.sampled_from([0.0, 1.0]),
        idle_timeout_s=st.floats(0, 3600),
        concurrency=st.sampled_from([1, 4, 30]),
        workers_min=st.sampled_from([0, 1]),
        workers_max=st.integers(1, 12),
    ),
)
@settings(max_examples=30)
def test_a_pool_serves_all_it_can_and_never_bills_more_than_its_workers(found: list[Stretch], pool: Pool) -> None:
    profile = RateProfile(stretches=tuple(found[:20]))
    billed = estimate_over(pool, profile)
    assert billed.idle >= 0
    assert billed.cold_start >= 0
    load = min(profile.mean_per_s * pool.service_s, pool.slots) / pool.concurrency
    assert load * 0.99 - 1e-9 <= billed.busy + billed.always_on
    assert billed.billed <= pool.workers_max * (1 + 1e-9)


def test_one_rate_is_the_plain_estimate() -> None:
    constant = RateProfile(stretches=(Stretch(3600, 0.1),) * 3)
    assert estimate_over(POOL, constant) == estimate(replace(POOL, arrivals_per_s=0.1))


def test_sessions_by_hand() -> None:
    # 0.05 a second for the first quarter of each hour, nothing in the rest: two rates, and their changes
    constant = RateProfile(stretches=(Stretch(7200, 0.0125),))
    assert constant.in_sessions(0.25).stretches == (Stretch(900, 0.05), Stretch(2700, 0.0))
    sessions = estimate_over(POOL, constant, active_share=0.25)
    assert sessions == estimate_over(POOL, RateProfile(stretches=(Stretch(900, 0.05), Stretch(2700, 0.0))))
    assert sessions.billed > estimate(replace(POOL, arrivals_per_s=0.05)).billed / 4
    assert sessions.method.startswith("approximation: 2 rates, each for itself; of them approximation: set-up epochs")


def test_a_rate_that_holds_for_less_than_an_hour_has_a_session_of_its_own() -> None:
    profile = RateProfile(stretches=(Stretch(600, 1.0), Stretch(600, 0.0), Stretch(5400, 2.0)))
    assert profile.in_sessions(1.0) == profile
    assert profile.in_sessions(0.5).stretches == (
        *(Stretch(300, 2.0), Stretch(300, 0.0)),
        Stretch(600, 0.0),
        *(Stretch(1350, 4.0), Stretch(1350, 0.0)) * 2,
    )


@pytest.mark.parametrize("name", list(Curve))
def test_a_curve_keeps_the_mean(name: Curve) -> None:
    assert len(curve(name)) == HOURS
    assert math.fsum(curve(name)) == pytest.approx(HOURS)
    profile = rates(f"{{requests_per_day: 8640, curve: {name}, time_zone: America/New_York}}")
    assert profile.mean_per_s == pytest.approx(0.1)
    assert profile.seconds == HOURS * 3600


def test_office_hours_by_hand() -> None:
    # 40 of 168 hours: 16,800 a day are 117,600 a week, 2,940 an hour
    profile = rates("{requests_per_day: 16800, curve: office-hours}")
    busy = [hour for hour, (_, rate) in enumerate(profile.stretches) if rate]
    assert len(busy) == 40
    assert (hour_of_week(busy[0]), hour_of_week(busy[-1])) == ("Mon 09:00", "Fri 16:00")
    assert profile.peak_per_s * 3600 == pytest.approx(2940)


@pytest.mark.parametrize(
    ("traffic", "per_day"),
    [
        ("{requests_per_hour: 10}", 240),
        ("{requests_per_second: 0.5}", 43_200),
        (f"{{hourly: {[5] * 24}}}", 120),
        (f"{{hourly: {[0] * 144 + [7] * 24}}}", 24),
        ("{batch: {jobs: 90, at: 02:00, within: 1h}}", 90),
    ],
)
def test_all_forms_of_a_volume_come_to_requests_per_day(traffic: str, per_day: int) -> None:
    read = spec(traffic).traffic
    assert read is not None
    assert read.requests_per_day == per_day
    assert rates(traffic).mean_per_s * 86_400 == pytest.approx(per_day)


# --------------------------------------------------------------------------------------------------------- the plan
def test_the_time_zone_moves_no_bill_and_a_daily_profile_is_that_week() -> None:
    day = [0, 0, 5, 40] * 6
    bills = {
        model(f"{{hourly: {hours}, time_zone: {zone}}}").monthly_usd.expected
        for hours in (day, day * 7)
        for zone in ("UTC", "Asia/Kolkata", "America/New_York")
    }
    assert len(bills) == 1


def test_an_hourly_profile_without_a_share_has_a_range_with_sessions() -> None:
    hours = f"hourly: {[40] * 24}"
    open_, steady, sessions = (
        model(f"{{{hours}, cv: 1{share}}}") for share in ("", ", active_share: 1", ", active_share: 0.2")
    )
    assert open_.monthly_usd.expected == steady.monthly_usd.expected
    assert open_.monthly_usd.low == sessions.monthly_usd.low
    assert [(item.name, item.value, item.monthly_usd) for item in open_.factors][:1] == [
        ("active_share", "0.2", sessions.monthly_usd.expected)
    ]
    assert {item.name for item in steady.factors} == {"closed_form"}


def test_the_closed_form_itself_errs() -> None:
    """By 2 % of what workers that come and go bill, and never above all workers all the time."""
    found = model("{requests_per_day: 1000, cv: 1}")
    expected = usd(found.monthly_usd.expected)
    ends = cents(expected * Decimal("0.98")), cents(expected * Decimal("1.02"))
    assert (found.monthly_usd.low, found.monthly_usd.high) == ends == tuple(item.monthly_usd for item in found.factors)
    assert found.ends == Ends(low=("closed_form 2 % less",), high=("closed_form 2 % more",))
    busy = model(f"{{hourly: {[5900, 5990] * 12}, cv: 1, active_share: 1}}")
    assert busy.monthly_usd.high == cents(3 * Decimal("0.00031") * 2_628_000)
    assert usd(busy.monthly_usd.expected) * Decimal("1.02") > usd(busy.monthly_usd.high)


def test_where_nothing_is_modelled_nothing_errs() -> None:
    for traffic in ("{requests_per_day: 0}", "{batch: {jobs: 100, at: 02:00, within: 4h}}"):
        found = model(traffic)
        assert found.monthly_usd.low == found.monthly_usd.expected == found.monthly_usd.high
        assert found.factors == ()


def test_traffic_without_a_cv_has_a_range_with_bursts() -> None:
    volume = "requests_per_day: 40000"
    open_, poisson, bursty, rare = (model(f"{{{volume}{cv}}}") for cv in ("", ", cv: 1", ", cv: 2", ", cv: 6"))
    assert open_.monthly_usd.expected == poisson.monthly_usd.expected
    bills = [usd(item.monthly_usd.expected) for item in (poisson, bursty, rare)]
    ends = cents(min(bills[:2]) * Decimal("0.98")), cents(max(bills[:2]) * Decimal("1.02"))
    assert (open_.monthly_usd.low, open_.monthly_usd.high) == ends
    assert (open_.widest_usd.low, open_.widest_usd.high) == (min(*bills, *ends), max(*bills, *ends))
    assert [(item.name, item.value, item.monthly_usd) for item in open_.factors][:1] == [("cv", "2", bills[1])]
    for said in (poisson, bursty):
        assert {item.name for item in said.factors} == {"closed_form"}
        assert said.monthly_usd == said.widest_usd


def test_the_range_holds_the_combinations_of_its_factors() -> None:
    found = model("{requests_per_day: 1000, curve: business-week, range: {low: 0.5, high: 2}}")
    assert [item.name for item in found.factors] == ["rate", "rate", "active_share", "cv", *["closed_form"] * 2]
    assert usd(found.monthly_usd.low) < min(item.monthly_usd for item in found.factors)
    assert usd(found.monthly_usd.high) >= max(item.monthly_usd for item in found.factors)


def test_growth_tells_the_bills_of_later_months() -> None:
    found = model("{requests_per_day: 1000, growth: 10%/month}")
    # 1.1^5 = 1.61051, 1.1^11 = 2.8531167
    assert [(item.month, item.requests_per_day) for item in found.growth] == [
        (1, Decimal("1000.000")),
        (6, Decimal("1610.510")),
        (12, Decimal("2853.117")),
    ]
    assert found.growth[0].monthly_usd == found.monthly_usd.expected
    assert found.growth[1].monthly_usd == model("{requests_per_day: 1610.51}").monthly_usd.expected


def test_hours_of_overload_are_named_and_their_work_is_billed_later() -> None:
    # three workers serve 6,000 an hour at 1.8 s; 24,000 on Saturday at noon need 4 hours
    hours = [0] * 132 + [24_000] + [0] * 35
    made = plan(spec(f"{{hourly: {hours}, active_share: 1}}"))
    (problem,) = [item for item in made.diagnostics if item.code == "plan/overload"]
    assert "from Sat 12:00 (0.6 % of the time) keeps 12.0 requests in service" in problem.summary
    assert "up to 18,000 requests wait" in problem.summary
    assert problem.hint == "raise `workers.max` to 13 or more"
    (busy,) = [line.quantity for line in made.models[0].lines if line.what == "busy"]
    assert float(busy) == pytest.approx(24_000 * 1.8 * 730 / 168, abs=0.5)
    assert made.models[0].usd_per_1000_requests is not None


@pytest.mark.parametrize(
    ("cv", "told"),
    [
        ("", "1 (Poisson), in the range also 2, in the widest 6"),
        (", cv: 3", "3"),
        (", cv: 1", "1"),
        (", cv: 0.5", "0.5, in the closed form taken as 1 (Poisson)"),
    ],
)
def test_which_bursts_a_month_has_is_said(cv: str, told: str) -> None:
    names = {item.name: item.value for item in model(f"{{requests_per_day: 1000{cv}}}").assumptions}
    assert names["cv"] == told


@given(
    st.sampled_from(["constant", "office-hours", "business-week", "diurnal"]),
    st.sampled_from([0, 0.001, 1, 1000, 10**6, 10**9]),
    st.sampled_from(
        ["", ", active_share: 1e-30", ", active_share: 0.5", ", growth: 999%/month", ", growth: -99%/month"]
    ),
    st.integers(1, 6),
)
def test_from_none_to_a_billion_a_day_every_figure_is_finite(name: str, rate: float, more: str, workers: int) -> None:
    tail = f"target: {{runpod: {{gpu: ADA_24, workers: {{max: {workers}}}}}}}"
    made = plan(spec(f"{{requests_per_day: {rate}, curve: {name}, range: {{low: 0, high: 1000}}{more}}}", tail))
    spread = made.models[0].monthly_usd
    assert 0 <= usd(spread.low) <= usd(spread.expected) <= usd(spread.high)
    for item in made.models[0].factors:
        assert usd(spread.low) <= item.monthly_usd <= usd(spread.high)


# ---------------------------------------------------------------------------------------------------------- the batch
WAVES = Pool(
    arrivals_per_s=0.0, service_s=10.0, cold_start_s=20.0, start_delay_s=4.0, idle_timeout_s=5.0, workers_max=3
)


def test_a_batch_by_hand() -> None:
    # 100 jobs on 3 workers: 34 waves of 10 s after 24 s; the last wave is one job on one worker
    run = run_batch(WAVES, 100, 300.0)
    assert run.seconds == 24 + 34 * 10
    assert run.workers_started == 3
    assert run.estimate.busy * 86_400 == pytest.approx(100 * 10)
    assert run.estimate.idle * 86_400 == pytest.approx(3 * 5)
    assert run.estimate.cold_start * 86_400 == pytest.approx(3 * 20)
    # 27 waves fit into 300 − 24 s: 4 workers do 108 jobs, 3 do 81
    assert run.workers_needed == 4


def test_warm_workers_begin_at_once() -> None:
    # one warm worker has taken its first job when the delay is over; one more is started, up at 24 s
    run = run_batch(replace(WAVES, workers_min=1, workers_max=2), 10, 300.0)
    # by 60 s: 6 on the warm one, 3 on the other; by 64 s: 6 and 4
    assert (run.seconds, run.workers_started) == (64, 1)
    assert run.estimate.busy * 86_400 == pytest.approx(40)
    assert run_batch(replace(WAVES, workers_min=1), 1, 300.0).workers_started == 0


@given(
    st.builds(
        Pool,
        arrivals_per_s=st.just(0.0),
        service_s=st.floats(0.001, 1e4),
        cold_start_s=st.floats(0, 500),
        start_delay_s=st.sampled_from([0.0, 4.0]),
        idle_timeout_s=st.floats(0, 300),
        concurrency=st.integers(1, 16),
        workers_min=st.integers(0, 3),
        workers_max=st.integers(3, 30),
    ),
    st.integers(0, 10**9),
    st.floats(1, 86_400),
)
def test_the_fewest_workers_are_enough_and_one_less_is_not(pool: Pool, jobs: int, within_s: float) -> None:
    run = run_batch(pool, jobs, within_s)
    busy = run.estimate.busy + run.estimate.always_on
    assert math.isfinite(run.seconds)
    assert busy * 86_400 * pool.concurrency >= min(jobs * pool.service_s, pool.slots * 86_400.0) * (1 - 1e-9)
    if run.workers_needed is None:
        return
    assert (
        run_batch(replace(pool, workers_max=max(run.workers_needed, pool.workers_min)), jobs, within_s).seconds
        <= within_s
    )
    if run.workers_needed > max(pool.workers_min, 1):
        assert run_batch(replace(pool, workers_max=run.workers_needed - 1), jobs, within_s).seconds > within_s
    assert needed(pool, jobs, within_s * 2) <= run.workers_needed  # type: ignore[operator]


def test_a_late_batch_is_said_with_the_workers_that_would_do() -> None:
    made = plan(spec("{batch: {jobs: 20000, at: 02:00, within: 2h}}"))
    (late,) = [item for item in made.diagnostics if item.code == "plan/deadline"]
    found = made.models[0].deadline
    assert found is not None
    # 29 s, then waves of 3: 6,667 × 1.8 s = 12,000.6 s
    assert found.takes_s == 12_030
    assert "takes 12030 s on 3 workers, more than `within` 7200 s" in late.summary
    # (7,200 − 29) / 1.8 = 3,983 waves: 20,000 / 3,983 = 5.02
    assert found.workers_needed == 6
    enough = model("{batch: {jobs: 20000, at: 02:00, within: 2h}}", TAIL.replace("max: 3", "max: 6"))
    assert enough.monthly_usd.expected == found.monthly_usd_at_needed
    assert enough.usd_per_1000_requests is not None


def test_a_batch_that_is_never_done() -> None:
    made = plan(spec("{batch: {jobs: 1000000000, at: 02:00, within: 10s}}"))
    (late,) = [item for item in made.diagnostics if item.code == "plan/deadline"]
    assert "takes more than a day" in late.summary
    assert late.hint == "no number of workers is enough: a cold start and one request take longer"
    assert made.models[0].deadline is not None
    assert made.models[0].deadline.takes_s is None


def test_a_log_that_was_not_read_is_unknown_and_never_zero() -> None:
    made = plan(spec("{log: {file: requests.csv}}"))
    assert made.models[0].monthly_usd.expected is None
    assert "does not say traffic.log" in next(d.summary for d in made.diagnostics if d.code == "plan/cost-unknown")


def test_the_digest_knows_every_key() -> None:
    texts = [
        "{requests_per_day: 24}", "{requests_per_hour: 1}", "{requests_per_day: 24, curve: constant}",
        "{requests_per_day: 24, curve: diurnal}", "{requests_per_day: 24, time_zone: UTC}",
        "{requests_per_day: 24, growth: 1%/month}", "{requests_per_day: 24, active_share: 1}",
    ]  # fmt: skip
    assert len({spec(text).digest for text in texts}) == len(texts)
