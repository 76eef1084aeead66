"""Simulated months: what is taken of the traffic, against whole weeks of it, and what a plan makes of them."""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baseload.planner.cost import SEED, cost_of, expected_month_usd
from baseload.planner.difference import Base
from baseload.planner.plan import ModelPlan, Plan, make_plan
from baseload.planner.pool import Pool, doubts, estimate
from baseload.planner.prices import bundled
from baseload.planner.simulated.expected import diagnostics as simulation_diagnostics
from baseload.planner.simulated.month import (
    FEWEST,
    FIRST,
    OF_WINDOWS,
    REQUESTS,
    Demand,
    doubts_over,
    first_try,
    is_narrow,
    mean,
    sample_of,
    simulated_month,
)
from baseload.planner.simulator import Arrivals, simulate
from baseload.planner.spec import load
from baseload.planner.spec.model import Curve, ModelSpec
from baseload.planner.traffic.profile import RateProfile, Stretch, curve

STARTS_PER_S = 0.019607514880952383
BOOK = bundled()
NOW = datetime(2026, 9, 1, tzinfo=UTC)
WEEK_S = 604_800.0

RUNPOD = Pool(
    arrivals_per_s=0.0,
    service_s=1.8,
    cold_start_s=25,
    start_delay_s=4,
    idle_timeout_s=5,
    workers_max=6,
)


def week(name: Curve, requests_per_day: float) -> RateProfile:
    per_s = requests_per_day / 86_400
    return RateProfile(stretches=tuple(Stretch(3600.0, per_s * weight) for weight in curve(name)))


def whole_weeks(pool: Pool, demand: Demand, weeks: int, runs: int) -> float:
    """Mean billed workers over whole weeks, nothing left out."""
    arrivals = Arrivals.profile([rate for _, rate in demand.profile.stretches], 3600.0, cv=demand.cv)
    return mean(
        [
            simulate(pool, arrivals, requests=sys.maxsize, warm_up_s=0.0, until_s=weeks * WEEK_S, seed=f"t{k}").billed
            for k in range(runs)
        ]
    )


# ----------------------------------------------------------------------------------------------------- what is taken
@pytest.mark.parametrize(
    ("name", "per_day", "cv", "weeks"),
    [
        (Curve.OFFICE_HOURS, 2_000, 1.0, 8),  # whole weeks: sparse
        (Curve.BUSINESS_WEEK, 20_000, 1.0, 1),  # windows
        (Curve.OFFICE_HOURS, 20_000, 2.0, 1),
        (Curve.DIURNAL, 20_000, 1.0, 1),
    ],
)
def test_the_month_is_that_of_whole_weeks(name: Curve, per_day: float, cv: float, weeks: int) -> None:
    demand = Demand(profile=week(name, per_day), cv=cv)
    assert doubts_over(RUNPOD, demand)
    found = simulated_month(RUNPOD, demand)
    assert found is not None
    assert found.is_narrow
    truth = whole_weeks(RUNPOD, demand, weeks, 1)
    assert found.estimate.billed == pytest.approx(truth, rel=0.02)


@given(
    rates=st.lists(st.sampled_from([0.0, 0.5, 2.0, 5.0, 11.0, 40.0]), min_size=24, max_size=168),
    idle_s=st.sampled_from([1, 5, 60, 300]),
)
@settings(max_examples=60, deadline=None)
def test_windows_stand_for_all_of_the_time_and_all_requests(rates: list[float], idle_s: int) -> None:
    profile = RateProfile(stretches=tuple(Stretch(3600.0, rate) for rate in rates))
    pool = Pool(arrivals_per_s=0.0, service_s=1, cold_start_s=20, idle_timeout_s=idle_s, workers_max=60)
    sample = sample_of(pool, Demand(profile=profile))
    if sample is None or not sample.weights or sample.parts:
        return
    assert FEWEST * sample.requests <= 1.6 * REQUESTS
    pieces = sample.arrivals.pieces[1:]  # the first is the warm-up
    assert math.fsum(s for s, _ in pieces) == pytest.approx(sample.seconds)
    assert len(pieces) == len(sample.weights)
    weighted = [(s * weight / 1000, rate) for (s, rate), (_, weight) in zip(pieces, sample.weights, strict=True)]
    assert math.fsum(s for s, _ in weighted) == pytest.approx(profile.seconds, rel=0.002)
    assert math.fsum(s * r for s, r in weighted) == pytest.approx(profile.mean_per_s * profile.seconds, rel=0.002)


def test_a_log_too_dense_for_all_its_windows_is_taken_in_turns() -> None:
    # two weeks of ten-minute rates, all different, as of a log: 300,000 a day
    rates = [3.5 * (1 + 0.6 * math.sin(k / 23) + 0.3 * math.sin(k * k)) for k in range(2016)]
    profile = RateProfile(stretches=tuple(Stretch(600.0, rate) for rate in rates))
    pool = Pool(arrivals_per_s=0.0, service_s=1.8, cold_start_s=25, start_delay_s=4, idle_timeout_s=60, workers_max=20)
    sample = sample_of(pool, Demand(profile=profile))
    assert sample is not None
    assert len(sample.parts) == OF_WINDOWS
    found = simulated_month(pool, Demand(profile=profile))
    assert found is not None
    assert "in turn" in found.taken
    assert found.requests < 1.5 * REQUESTS
    arrivals = Arrivals(pieces=tuple((s, rate) for s, rate in profile.stretches[:1008]))
    truth = simulate(pool, arrivals, requests=1_000_000, warm_up_s=0.0, seed="truth")
    assert found.estimate.billed == pytest.approx(truth.billed, rel=0.04)


def test_time_that_counts_more_often_changes_no_event() -> None:
    pool, arrivals = RUNPOD, Arrivals.constant(0.5)
    options = {"requests": 20_000, "warm_up_s": 1000.0, "until_s": 30_000.0}
    once = simulate(pool, arrivals, **options)  # type: ignore[arg-type]
    often = simulate(pool, arrivals, weights=((1000.0, 7), (9000.0, 7)), **options)  # type: ignore[arg-type]
    for key in ("busy", "idle", "cold_start", "starts_per_s", "waited_share", "latency_s"):
        assert getattr(often, key) == pytest.approx(getattr(once, key)) or key == "latency_s"
    assert often.latency_s.p95 == pytest.approx(once.latency_s.p95)
    parts = [
        simulate(pool, arrivals, requests=20_000, warm_up_s=begin, until_s=end)
        for begin, end in ((1000.0, 9000.0), (9000.0, 30_000.0))
    ]
    both = simulate(pool, arrivals, weights=((9000.0, 3),), **options)  # type: ignore[arg-type]
    by_hand = (8000 * parts[0].billed + 3 * 21_000 * parts[1].billed) / (8000 + 3 * 21_000)
    assert both.billed == pytest.approx(by_hand)
    assert both.window_s == 8000 + 3 * 21_000
    if importlib.util.find_spec("numba") is not None:
        fast = simulate(pool, arrivals, weights=((9000.0, 3),), fast=True, **options)  # type: ignore[arg-type]
        assert fast.billed == pytest.approx(both.billed)
        assert fast.latency_s == both.latency_s


# --------------------------------------------------------------------------------------------------------- first try
@pytest.mark.parametrize("profile", [week(Curve.CONSTANT, 1000), week(Curve.BUSINESS_WEEK, 20_000)])
def test_no_more_is_simulated_than_the_interval_asks(profile: RateProfile) -> None:
    quick, long = (simulated_month(RUNPOD, Demand(profile=profile), requests=given) for given in (None, REQUESTS))
    assert quick is not None
    assert long is not None
    assert quick.is_narrow
    assert quick.requests < 2.2 * FIRST < long.requests
    apart = abs(quick.estimate.billed / long.estimate.billed - 1)
    assert apart < quick.half_width + long.half_width


def test_a_narrow_first_try_far_from_the_closed_form_does_not_count() -> None:
    demand = Demand(profile=week(Curve.CONSTANT, 100_000), cv=3)  # bursts: 1.4 times the workers
    sample = sample_of(RUNPOD, demand, FIRST)
    assert sample is not None
    assert is_narrow([run.billed for run in sample.runs(1)])
    assert first_try(RUNPOD, demand, 1) is None


# ------------------------------------------------------------------------------------------------------------ limits
def test_the_same_seed_is_the_same_month() -> None:
    demand = Demand(profile=week(Curve.OFFICE_HOURS, 5_000))
    first, other = simulated_month(RUNPOD, demand), simulated_month(RUNPOD, demand, seed=2)
    simulated_month.cache_clear()
    assert simulated_month(RUNPOD, demand) == first != other
    assert first is not None
    assert first.estimate.starts_per_s == pytest.approx(STARTS_PER_S, rel=1e-9)  # on every machine


def test_a_budget_that_ends_before_the_interval_is_narrow_is_said() -> None:
    # A second worker starts once in hours and then stays: 300,000 requests see that too rarely.
    pool = Pool(
        arrivals_per_s=0.0,
        service_s=0.69,
        cold_start_s=42,
        start_delay_s=4,
        idle_timeout_s=30,
        concurrency=4,
        workers_min=1,
        workers_max=2,
    )
    found = simulated_month(pool, Demand(profile=week(Curve.CONSTANT, 378_795)), requests=100_000)
    assert found is not None
    assert not found.is_narrow
    assert found.replications == OF_WINDOWS
    assert found.requests < 150_000


def test_what_is_exact_or_impossible_is_not_simulated() -> None:
    none, too_much = week(Curve.DIURNAL, 0), week(Curve.CONSTANT, 10**9)
    for profile in (none, too_much):
        assert doubts_over(RUNPOD, Demand(profile=profile)) == ()
        assert simulated_month(RUNPOD, Demand(profile=profile)) is None
    large = Pool(arrivals_per_s=0.0, service_s=0.5, cold_start_s=25, idle_timeout_s=5, concurrency=16, workers_max=1000)
    assert doubts_over(large, Demand(profile=too_much))
    assert simulated_month(large, Demand(profile=too_much)) is None  # settled only after millions of requests


# -------------------------------------------------------------------------------------------------------------- plans
SPEC = """\
name: office
container: {{image: registry.example/acme/worker:1.0}}
performance: {{service_time: 1.8s, cold_start: 25s}}
traffic: {traffic}
target: {{runpod: {{gpu: ADA_24{target}}}}}
"""
Make = Callable[..., ModelSpec]


@pytest.fixture
def spec(tmp_path: Path) -> Make:
    """Makes a spec of an office."""

    def make(traffic: str, target: str = "") -> ModelSpec:
        file = tmp_path / "office.yaml"
        file.write_text(SPEC.format(traffic=traffic, target=target), encoding="utf-8")
        return load([file])[0]

    return make


def planned(one: ModelSpec, base: Base | None = None, seed: int | None = SEED) -> tuple[Plan, ModelPlan]:
    made = make_plan([one], BOOK, stack="dev", generated_at=NOW, seed=seed, base=base)
    assert Plan.from_json(made.to_json()) == made
    return made, made.models[0]


def test_the_range_holds_the_simulated_month(spec: Make) -> None:
    _, model = planned(
        spec("{requests_per_day: 20000, curve: business-week, growth: 10%/month, range: {low: 0.5, high: 2}}")
    )
    month = model.monthly_usd
    assert model.simulation is not None
    assert model.method is not None
    assert model.method.startswith("simulated: seed 1, ")
    assert month.low is not None
    assert month.expected is not None
    assert month.high is not None
    assert month.low < month.expected < month.high
    assert model.growth[0].monthly_usd == month.expected
    assert sum((line.amount_usd for line in model.lines), Decimal(0)) == month.expected
    (moved,) = [item for item in model.assumptions if item.name == "other_months"]
    assert moved.value.startswith("closed form × ")


def test_bursts_are_simulated(spec: Make) -> None:
    calm, bursts = (planned(spec(f"{{requests_per_day: 3000{cv}}}"))[1] for cv in ("", ", cv: 3"))
    assert bursts.simulation is not None
    assert any("coefficient of variation" in why for why in bursts.simulation.doubts)
    assert bursts.monthly_usd.expected != calm.monthly_usd.expected
    assert [item.value for item in bursts.assumptions if item.name == "cv"] == ["3, as gamma gaps"]


def test_sessions_are_simulated(spec: Make) -> None:
    for per_day in (3_000, 100_000):
        one = spec(f"{{requests_per_day: {per_day}, active_share: 0.25}}", ", workers: {max: 12}")
        _, model = planned(one)
        assert model.simulation is not None
        closed = model.simulation.closed_form_usd
        assert closed is not None
        assert float(model.monthly_usd.expected or 0) == pytest.approx(float(closed), rel=0.2)


def test_sessions_that_overload_all_workers_are_simulated(spec: Make) -> None:
    """36 s of each hour at 2.3 a second, for three workers of 1.8 s: they start for it, and serve the rest after it."""
    one = spec("{requests_per_day: 2000, active_share: 0.01}")
    _, model = planned(one)
    assert model.simulation is not None
    assert "all workers full for a short time" in model.simulation.doubts
    assert model.monthly_usd.expected is not None
    assert model.monthly_usd.expected > (model.simulation.closed_form_usd or 0)
    assert model.response is not None
    assert model.response.p95_s is not None


@pytest.mark.parametrize(
    ("traffic", "target"),
    [
        ("{requests_per_day: 0}", ""),
        ("{requests_per_day: 1000000000}", ""),
        ("{batch: {jobs: 300, at: 02:00, within: 2h}}", ""),
        ("{requests_per_day: 20}", ", workers: {max: 1}"),
        ("{requests_per_day: 5000}", ", mode: active, workers: {min: 2, max: 2}"),
    ],
)
def test_what_is_not_in_doubt_stays_as_it_is(traffic: str, target: str, spec: Make) -> None:
    one = spec(traffic, target)
    found = cost_of(one, BOOK, SEED)
    assert found == cost_of(one, BOOK)
    assert found.simulation is None
    assert not [item for item in found.diagnostics if item.code == "plan/in-doubt"]


def test_too_dense_to_simulate_is_said_with_what_to_do(spec: Make) -> None:
    one = spec("{requests_per_day: 30000000}", ", workers: {max: 1000}, idle_timeout: 300s")
    (said,) = [item for item in cost_of(one, BOOK, SEED).diagnostics if item.code == "plan/in-doubt"]
    assert "too dense to simulate" in said.summary
    assert said.hint is not None
    assert "deploy simulate office --requests" in said.hint


PAGE = Path(__file__).parents[2] / "docs" / "cost-model.md"


def test_the_note_says_what_was_measured(spec: Make) -> None:
    """Each row of the table in docs/cost-model.md, and the widest of two."""
    rows = re.findall(r"^\| (.+) \| [−+]?\d+ % \| −(\d+) to \+(\d+) % \| −\d+ to \+\d+ % \|$", PAGE.read_text(), re.M)
    assert len(rows) == 11

    def note(traffic: str, *why: str) -> str:
        one = spec(traffic)
        (said,) = simulation_diagnostics(one, Pool(arrivals_per_s=0.1, service_s=1.0), why, None, None)
        return said.summary

    for why, low, high in rows:
        cv = f", cv: {why.split()[-1]}" if "variation" in why else ""
        text = note(f"{{requests_per_day: 1000{cv}}}", why)
        assert f"such pools bill {low} % less to {high} % more in 19 of 20 cases ({why})" in text
    (first, low, _), (second, _, high) = rows[5], rows[1]
    both = note("{requests_per_day: 1000}", first, second)
    assert f"such pools bill {max(int(low), 8)} % less to {high} % more" in both
    for unknown in (
        ("{requests_per_day: 1000, cv: 6}", "gaps with a coefficient of variation of 6"),
        (
            "{requests_per_day: 1000}",
            "not in the closed form: buffer",
        ),
    ):
        assert "more or less, by how much was not measured" in note(*unknown)


def test_the_closed_form_can_be_half_too_low() -> None:
    """The pool that docs/cost-model.md names."""
    pool = Pool(
        arrivals_per_s=2.8,
        service_s=1.9,
        concurrency=2,
        cold_start_s=84,
        idle_timeout_s=1,
        start_delay_s=4,
        workers_max=100,
    )
    assert doubts(pool)
    assert estimate(pool).billed == pytest.approx(11.1, abs=0.05)
    assert simulate(pool, requests=60_000, seed=1).billed == pytest.approx(22.6, rel=0.06)


def test_a_change_is_of_what_changed_and_not_of_chance(spec: Make) -> None:
    before, was = planned(spec("{requests_per_day: 20000, curve: business-week}"))
    again, _ = planned(spec("{requests_per_day: 20000, curve: business-week}"), before.as_base("before"))
    assert again.difference is not None
    assert again.difference.total.change_usd == 0
    assert again.difference.of("office").causes is not None
    after, now = planned(spec("{requests_per_day: 22000, curve: business-week}"), before.as_base("before"))
    assert after.difference is not None
    causes = after.difference.of("office").causes
    assert causes is not None
    assert (causes.spec, causes.price, causes.method) == (0, 0, 0)
    assert was.monthly_usd.expected is not None
    assert now.monthly_usd.expected is not None
    assert causes.traffic == now.monthly_usd.expected - was.monthly_usd.expected > 0


def test_against_a_plan_by_the_closed_form_the_method_has_changed(spec: Make) -> None:
    one = spec("{requests_per_day: 20000, curve: business-week}")
    before, _ = planned(one, seed=None)
    after, model = planned(one, before.as_base("before"))
    assert after.difference is not None
    causes = after.difference.of("office").causes
    assert causes is not None
    assert (causes.spec, causes.traffic, causes.price) == (0, 0, 0)
    assert causes.method == (model.monthly_usd.expected or 0) - (expected_month_usd(one, BOOK) or 0)
    assert after.digest == before.digest


def test_sensitivities_are_differences_of_one_method(spec: Make) -> None:
    _, model = planned(spec("{requests_per_day: 20000, curve: business-week}"))
    (price,) = [item for item in model.explanation.sensitivities if item.assumption == "price"]
    assert abs(price.change_usd - (model.monthly_usd.expected or 0) / 10) <= Decimal("0.03")
    (rate,) = [item for item in model.explanation.sensitivities if item.assumption == "arrivals"]
    assert 0 < rate.change_usd < (model.monthly_usd.expected or 0) / 8
