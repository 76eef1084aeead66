"""Months of all targets by simulation: against exact months, against the plan that simulates, line by line."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from baseload.planner.cost import SEED, cost_of
from baseload.planner.cost.explain import explain
from baseload.planner.errors import BaseloadError
from baseload.planner.pool import Pool
from baseload.planner.prices import bundled
from baseload.planner.simulated.month import Demand, simulated_month
from baseload.planner.simulated.replications import replications
from baseload.planner.simulator import Arrivals, simulate
from baseload.planner.spec import load
from baseload.planner.spec.model import ModelSpec
from baseload.planner.traffic.profile import RateProfile, Stretch

BOOK = bundled()
SPEC = """\
name: office
container: {{image: registry.example/acme/worker:1.0}}
performance: {{service_time: 2s, cold_start: 60s, concurrency: {slots}}}
traffic: {traffic}
target: {{{target}}}
"""
CONSTANT = "{requests_per_day: 20000}"
WEEK = "{requests_per_day: 20000, curve: business-week}"

Make = Callable[..., ModelSpec]


@pytest.fixture
def spec(tmp_path: Path) -> Make:
    """Makes a spec of a target."""

    def make(target: str, traffic: str = CONSTANT, slots: int = 1) -> ModelSpec:
        file = tmp_path / "office.yaml"
        file.write_text(SPEC.format(target=target, traffic=traffic, slots=slots), encoding="utf-8")
        return load([file])[0]

    return make


@pytest.mark.parametrize(
    ("target", "traffic"),
    [
        ("sagemaker-serverless: {memory_mb: 2048, max_concurrency: 2}", CONSTANT),
        ("sagemaker-serverless: {memory_mb: 2048, max_concurrency: 3, provisioned_concurrency: 1}", WEEK),
        (
            "sagemaker-serverless: {memory_mb: 2048, max_concurrency: 2, schedule: {windows: "
            "[{days: mon-fri, from: '08:00', to: '20:00', min: 1}]}}",
            WEEK,
        ),
        ("runpod-pod: {gpu: NVIDIA L40S, pods: 2, disk_gb: 20}", CONSTANT),
        ("modal: {gpu: L4, containers: {min: 1, max: 1}}", "{requests_per_day: 8000}"),
        ("lambda-sagemaker: {instance: ml.g5.xlarge, instances: {min: 1, max: 1}}", "{requests_per_day: 8000}"),
    ],
    ids=["throttled", "provisioned", "scheduled slots", "pods", "one container", "one instance"],
)
def test_exact_months_come_out_line_by_line(target: str, traffic: str, spec: Make) -> None:
    seen = replications(spec(target, traffic), BOOK, rows=0)
    assert seen.doubts == ()
    assert (seen.cost.method or "").startswith("exact")
    for what, amount in seen.bill.items():
        if what == "lambda_waiting":  # the wait of service times that vary is an approximation
            assert amount.usd.difference == pytest.approx(0, abs=0.05)
            continue
        assert amount.usd.simulated == pytest.approx(
            amount.usd.closed_form, rel=0.004, abs=2 * (amount.usd.half_width or 0) + 0.01
        )
    if seen.refused_share is not None:
        refused = seen.refused_share
        assert refused.simulated == pytest.approx(refused.closed_form, abs=2 * (refused.half_width or 0) + 0.0005)


def test_throttled_by_hand(spec: Make) -> None:
    """Two slots and a load of 20,000 × 2 s ÷ 86,400 s: Erlang B, whatever the law of service times."""
    seen = replications(spec("sagemaker-serverless: {memory_mb: 2048, max_concurrency: 2}"), BOOK, rows=0)
    load = 20_000 * 2 / 86_400
    refused = (load**2 / 2) / (1 + load + load**2 / 2)
    assert seen.refused_share is not None
    assert seen.refused_share.simulated == pytest.approx(refused, rel=0.03)
    busy = seen.bill["busy"]
    assert busy.quantity is not None
    assert busy.quantity.simulated == pytest.approx(20_000 * 730 / 24 * (1 - refused) * 2 / 3600, rel=0.02)
    assert busy.unit == "hour"


def test_what_a_schedule_starts_is_within_its_hours(spec: Make) -> None:
    """One instance from 8 to 18 on five days, and requests from 9 to 17: 50 ÷ 168 × 730 = 217.26 hours × 1.408 = 305.90
    whatever its starts take, 5 ÷ 7 × 730 ÷ 24 = 22 a month."""
    target = (
        "lambda-sagemaker: {instance: ml.g5.xlarge, instances: {min: 1, max: 2}, schedule: {windows: "
        "[{days: mon-fri, from: '08:00', to: '18:00', min: 1}]}}"
    )
    made = spec(target, "{requests_per_day: 1000, curve: office-hours}")
    seen = replications(made, BOOK, rows=0)
    assert seen.bill["always_on"].usd.simulated == pytest.approx(305.90, abs=0.01)
    assert "cold_start" not in seen.bill
    assert seen.starts.simulated == pytest.approx(22, abs=1)
    assert seen.bill["total"].usd.difference == pytest.approx(0, abs=0.001)


DOUBTED = {
    "modal with a buffer": ("modal: {gpu: L4, containers: {min: 0, max: 6, buffer: 1}}", CONSTANT),
    "instances that scale": ("lambda-sagemaker: {instance: ml.g5.xlarge, instances: {min: 1, max: 3}}", WEEK),
    "regular requests": (
        "sagemaker-serverless: {memory_mb: 2048, max_concurrency: 3}",
        "{requests_per_day: 20000, cv: 0.5}",
    ),
    "hybrid": (
        "hybrid: {base: 1, baseline: {runpod-pod: {gpu: NVIDIA L40S}}, "
        "burst: {runpod: {gpu: ADA_48_PRO, workers: {max: 5}, idle_timeout: 5s}}}",
        "{requests_per_day: 60000}",
    ),
    "a schedule": (
        "runpod: {gpu: ADA_24, workers: {max: 3}, idle_timeout: 5s, schedule: {windows: "
        "[{days: mon-fri, from: '08:00', to: '18:00', min: 1}]}}",
        "{requests_per_day: 50000, curve: business-week}",
    ),
}


@pytest.mark.parametrize("name", DOUBTED)
def test_a_plan_in_doubt_is_reproduced_by_the_command_it_names(name: str, spec: Make) -> None:
    target, traffic = DOUBTED[name]
    made = spec(target, traffic)
    cost = cost_of(made, BOOK, SEED)
    assert cost.simulation is not None
    assert cost.simulation.doubts
    command = explain(made, cost, BOOK).command
    assert command == f"deploy simulate office --seed {SEED}" == cost.simulation.command
    seen = replications(made, BOOK, seed=SEED, rows=0)
    total = seen.bill["total"].usd.simulated
    assert total is not None
    assert cost.monthly_usd.expected is not None
    assert total == pytest.approx(float(cost.monthly_usd.expected), abs=1e-6)
    for line in cost.lines:
        assert seen.bill[line.what].usd.simulated == pytest.approx(float(line.amount_usd), abs=1e-6)
    assert seen.bill["total"].usd.closed_form is not None
    assert cost.simulation.closed_form_usd == Decimal(seen.bill["total"].usd.closed_form).quantize(Decimal("0.01"))
    assert cost.monthly_usd.low is not None
    assert cost.monthly_usd.high is not None
    assert cost.monthly_usd.low <= cost.monthly_usd.expected <= cost.monthly_usd.high


def test_the_closed_form_alone_is_said_to_be_in_doubt(spec: Make) -> None:
    target, traffic = DOUBTED["instances that scale"]
    cost = cost_of(spec(target, traffic), BOOK)
    assert cost.simulation is None
    assert "plan/in-doubt" in [item.code for item in cost.diagnostics]


def test_a_week_in_windows_is_that_of_whole_weeks() -> None:
    """What is cut out of a scheduled week stands for the rest of it: against whole weeks with the same minimum."""
    hours = [0.02] * 8 + [0.4] * 10 + [0.02] * 6
    profile = RateProfile(stretches=tuple(Stretch(3600.0, rate) for rate in hours * 7))
    minimums = ((0.0, 0), *((day * 86_400 + hour * 3600.0, n) for day in range(7) for hour, n in ((7, 2), (19, 0))))
    pool = Pool(
        arrivals_per_s=0.0, service_s=3, cold_start_s=30, idle_timeout_s=20, concurrency=1, workers_max=6, increment_s=1
    )
    demand = Demand(profile=profile, minimums=minimums)
    windows = simulated_month(pool, demand, seed=1, requests=300_000)
    assert windows is not None
    assert "windows" in windows.taken
    scheduled = replace(pool, schedule=minimums, schedule_period_s=604_800.0)
    whole = simulate(
        scheduled,
        Arrivals(pieces=tuple((s, rate) for s, rate in profile.stretches)),
        requests=10**9,
        seed=3,
        warm_up_s=604_800.0,
        until_s=5 * 604_800.0,
    )
    found = windows.estimate
    assert found.billed + windows.rounding == pytest.approx(whole.billed, rel=0.02)
    assert found.always_on == pytest.approx(whole.always_on, rel=0.01)
    assert found.always_on == pytest.approx(2 * 12 / 24, rel=0.01)
    assert found.cold_start == pytest.approx(whole.cold_start, rel=0.1)


def test_replicas_beside_a_pool_follow_their_schedule() -> None:
    """Erlang B in each half of the day: 3 replicas, then 1; services are short against it."""
    pool = Pool(
        arrivals_per_s=0.5,
        service_s=4,
        concurrency=1,
        workers_max=3,
        dedicated=3,
        rejects_at_cap=True,
        schedule=((0.0, 3), (43_200.0, 1)),
        schedule_of_base=True,
    )
    seen = simulate(pool, requests=400_000, seed=2, warm_up_s=3600)
    load = 2.0

    def lost(places: int) -> float:
        return load**places / math.factorial(places) / sum(load**k / math.factorial(k) for k in range(places + 1))

    assert seen.refused_share == pytest.approx(lost(3), rel=0.02)  # 3 places in all, whoever holds them
    assert seen.dedicated_busy == pytest.approx(load * ((1 - lost(3)) + (1 - lost(1))) / 2, rel=0.02)


def test_hours_of_a_log_that_are_not_those_of_a_schedule_are_refused(spec: Make) -> None:
    target, traffic = DOUBTED["a schedule"]
    made = spec(target, traffic)
    assert made.traffic is not None
    ten_days = RateProfile(stretches=(Stretch(86_400.0 * 9, 0.1), Stretch(86_400.0, 0.5)))
    logged = replace(made, traffic=replace(made.traffic, curve=None, observed=ten_days))
    cost = cost_of(logged, BOOK, SEED)
    assert cost.simulation is None
    assert explain(logged, cost, BOOK).command is None
    with pytest.raises(BaseloadError, match="schedule"):
        replications(logged, BOOK)


def test_the_shifts_of_a_scheduled_base_are_by_its_replicas() -> None:
    """A schedule of the base leaves the minimum of the burst alone, in the closed form of each shift as well."""
    pool = Pool(arrivals_per_s=0.0, service_s=2, workers_max=4, dedicated=3, schedule_of_base=True)
    profile = RateProfile(stretches=(Stretch(604_800.0, 0.1),))
    shifts = Demand(profile=profile, minimums=((0.0, 0), (86_400.0, 3))).shifts(pool)
    assert [(shift.pool.dedicated, shift.pool.workers_min) for shift in shifts] == [(0, 0), (3, 0)]
    assert [shift.share for shift in shifts] == pytest.approx([1 / 7, 6 / 7])
