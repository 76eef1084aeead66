"""The minimum of workers by the week: its hours by the calendar, its bill by hand and against the simulation."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseload.planner.cost import cost_of
from baseload.planner.cost.runpod import pool_of
from baseload.planner.prices import bundled
from baseload.planner.simulator import Arrivals, simulate
from baseload.planner.spec.model import (
    Batch,
    Container,
    Curve,
    Limits,
    ModelSpec,
    Performance,
    RunpodTarget,
    Schedule,
    Traffic,
    Weekday,
    Window,
)
from baseload.planner.targets.hybrid import Hybrid, Side
from baseload.planner.traffic.profile import HOURS, curve, profile_of
from baseload.planner.traffic.schedule import WEEK_MINUTES, always_on, minimum_at, minimums, office, shifts

BOOK = bundled()
D = Decimal
WORKDAYS = tuple(Weekday)[:5]
OFFICE = Schedule(windows=(Window(days=WORKDAYS, from_minute=9 * 60, until_minute=17 * 60, workers_min=1),))
"""Office hours 1, nights 0: 5 × 8 of 168 hours."""


def spec(traffic: Traffic, schedule: Schedule | None, **target: object) -> ModelSpec:
    runpod = RunpodTarget(**{"gpu": "ADA_24", "workers_max": 3, "idle_timeout_s": 30, **target})  # type: ignore[arg-type]
    return ModelSpec(
        name="example",
        file=Path("example.yaml"),
        serves=Container(image="registry.example/acme/worker:1.0"),
        traffic=traffic,
        performance=Performance(service_time_s=D("1.8"), cold_start_s=D(25)),
        limits=Limits(),
        target=runpod,
        digest="sha256:0",
        schedule=schedule,
    )


# ---------------------------------------------------------------------------------------------------------- calendar
def test_office_hours_are_forty_of_a_week() -> None:
    assert always_on(OFFICE, 3) == D(5 * 8) / 168
    assert minimums(OFFICE)[:3] == ((0, 0), (9 * 60, 1), (17 * 60, 0))
    assert minimum_at(OFFICE, "10:00", "UTC") == 0, "not on Sundays"


def test_a_window_over_midnight_and_over_the_end_of_the_week() -> None:
    nightly = Schedule(windows=(Window(days=(Weekday.SUN,), from_minute=1380, until_minute=120, workers_min=2),))
    assert minimums(nightly) == ((0, 2), (120, 0), (6 * 1440 + 1380, 2))
    assert always_on(nightly, 5) == D(3 * 60 * 2) / WEEK_MINUTES
    assert always_on(nightly, 1) == D(3 * 60) / WEEK_MINUTES, "never more than the maximum"


def test_the_largest_of_overlapping_windows_holds() -> None:
    both = Schedule(
        windows=(*OFFICE.windows, Window(days=(Weekday.MON,), from_minute=600, until_minute=660, workers_min=3)),
        otherwise=1,
    )
    assert always_on(both, 9) == 1 + D(2 * 60) / WEEK_MINUTES


@given(
    windows=st.lists(
        st.builds(
            Window,
            days=st.lists(st.sampled_from(list(Weekday)), min_size=1, max_size=7).map(tuple),
            from_minute=st.integers(0, 1439),
            until_minute=st.integers(1, 1440),
            workers_min=st.integers(0, 4),
        ),
        max_size=4,
    ),
    otherwise=st.integers(0, 2),
    zone=st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata"]),
    shape=st.sampled_from(list(Curve)),
)
def test_every_minute_has_one_minimum_whatever_the_zones(
    windows: list[Window], otherwise: int, zone: str, shape: Curve
) -> None:
    schedule = Schedule(windows=tuple(windows), otherwise=otherwise, time_zone=zone)
    profile = profile_of(Traffic(requests_per_day=D(1000), curve=shape))
    assert profile is not None
    found = shifts(schedule, profile, "Europe/Berlin")
    assert sum(shift.share for shift in found) == pytest.approx(1)
    assert sum(shift.share * shift.workers_min for shift in found) == pytest.approx(always_on(schedule, 99))
    # No request is lost or counted twice.
    mean = sum(float(shift.share) * shift.profile.mean_per_s for shift in found)
    assert mean == pytest.approx(profile.mean_per_s)


def test_zones_that_differ_move_the_windows() -> None:
    """09:00 in New York is 15:00 in Berlin: traffic of the office hours there has left by 17:00."""
    profile = profile_of(Traffic(requests_per_day=D(1000), curve=Curve.OFFICE_HOURS))
    assert profile is not None
    there = replace(OFFICE, time_zone="America/New_York")
    busy = next(shift for shift in shifts(there, profile, "Europe/Berlin") if shift.workers_min == 1)
    assert busy.profile.mean_per_s / profile.peak_per_s == pytest.approx(2 / 8)


# -------------------------------------------------------------------------------------------------------------- bill
def test_without_traffic_the_bill_is_the_calendars() -> None:
    """730 h × 40/168 = 173.81 h = 625,714 GPU-seconds (to the second) × 0.00031 = 193.97 USD."""
    cost = cost_of(spec(Traffic(requests_per_day=D(0)), OFFICE), BOOK)
    line = next(line for line in cost.lines if line.what == "always_on")
    assert line.quantity == round(D(2_628_000) * 40 / 168) == 625_714
    assert cost.monthly_usd.expected == line.amount_usd == D("193.97")


def test_traffic_of_the_office_hours_alone_meets_one_worker_there() -> None:
    """One worker: all requests are served by it while it is always on, so the nights cost nothing."""
    cost = cost_of(spec(Traffic(requests_per_day=D(100), curve=Curve.OFFICE_HOURS), OFFICE, workers_max=1), BOOK)
    assert cost.split_usd.always_on == D("193.97")
    assert cost.monthly_usd.expected == D("193.97")


def test_what_is_always_on_is_known_without_a_measured_time() -> None:
    unmeasured = replace(spec(Traffic(requests_per_day=D(100)), OFFICE), performance=Performance())
    cost = cost_of(unmeasured, BOOK)
    assert cost.monthly_usd.expected is None
    assert cost.at_least_usd == D("193.97")


def test_a_nightly_batch_meets_the_minimum_of_its_hour() -> None:
    batch = Batch(jobs=1000, at="02:00", within_s=D(7200))
    by_night = Schedule(windows=(Window(from_minute=60, until_minute=240, workers_min=2),))
    cost = cost_of(spec(Traffic(requests_per_day=D(1000), batch=batch), by_night, workers_max=2), BOOK)
    assert cost.worker_starts_per_month == 0
    # 2 workers × 3 of 24 hours × 2,628,000 s × 0.00031
    assert cost.monthly_usd.expected == D("203.67")


@pytest.mark.parametrize(
    ("requests_per_day", "shape", "tolerance"),
    [(300, Curve.CONSTANT, 0.02), (6000, Curve.BUSINESS_WEEK, 0.05), (40_000, Curve.DIURNAL, 0.03)],
)
def test_the_bill_of_a_schedule_is_the_simulations(requests_per_day: int, shape: Curve, tolerance: float) -> None:
    """Ten simulated weeks (four where traffic is dense) of the same rules, the minimum changed on time."""
    given_spec = spec(Traffic(requests_per_day=D(requests_per_day), curve=shape), OFFICE)
    cost = cost_of(given_spec, BOOK)
    pool = replace(
        pool_of(given_spec),
        schedule=tuple((minute * 60.0, least) for minute, least in minimums(OFFICE)),
        schedule_period_s=WEEK_MINUTES * 60.0,
        increment_s=1.0,
    )
    pieces = tuple((3600.0, weight * requests_per_day / 86_400) for weight in curve(shape))
    weeks = 10 if requests_per_day < 10_000 else 4
    run = simulate(
        pool,
        Arrivals(pieces=pieces),
        requests=int(requests_per_day * 7 * (weeks + 1.5)),
        seed="1",
        warm_up_s=HOURS * 3600.0,
        until_s=(1 + weeks) * HOURS * 3600.0,
    )
    price = next(line.unit_price_usd for line in cost.lines)
    assert cost.monthly_usd.expected is not None
    assert float(cost.monthly_usd.expected) == pytest.approx(run.billed * 2_628_000 * float(price), rel=tolerance), (
        "closed form against simulation"
    )


def test_the_burst_beside_a_base_by_schedule_is_the_simulations() -> None:
    """Six simulated weeks in which two replicas come and go on time, and the burst serves what they do not."""
    burst = Side(provider="runpod", product="serverless", gpu="ADA_48_PRO")
    target = Hybrid(
        dedicated=Side(provider="runpod", product="pod", gpu="NVIDIA L40S", tier="secure"),
        burst=burst,
        burst_max=6,
        idle_timeout_s=Decimal(60),
    )
    hours = Schedule(windows=(office(2),))
    traffic = Traffic(requests_per_day=Decimal(12_000), curve=Curve.BUSINESS_WEEK)
    given_spec = replace(spec(traffic, hours), target=target)
    cost = cost_of(given_spec, BOOK)
    assert cost.bill is not None
    assert {pool.dedicated for _, pool in cost.bill.pools} == {0, 2}
    pool = replace(
        cost.bill.pools[0][1],
        dedicated=0,
        schedule=tuple((minute * 60.0, replicas) for minute, replicas in minimums(hours)),
        schedule_period_s=WEEK_MINUTES * 60.0,
        schedule_of_base=True,
        increment_s=1.0,
    )
    run = simulate(
        pool,
        Arrivals(pieces=tuple((3600.0, weight * 12_000 / 86_400) for weight in curve(Curve.BUSINESS_WEEK))),
        requests=12_000 * 7 * 8,
        seed="1",
        warm_up_s=HOURS * 3600.0,
        until_s=7 * HOURS * 3600.0,
    )
    billed_usd = sum(line.amount_usd for line in cost.lines if line.what.startswith("burst_"))
    assert float(billed_usd) == pytest.approx(run.billed * 2_628_000 * 0.00053, rel=0.05)
    assert run.dedicated == pytest.approx(2 * 50 / 168)
    assert 0 < run.dedicated_busy < run.dedicated
