"""Points of a sweep are the plan's own figures at other traffic and settings; nothing is interpolated."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseload.planner.cost import cents, cost_of
from baseload.planner.prices import bundled
from baseload.planner.spec import load
from baseload.planner.spec.model import Batch, Curve, ModelSpec, RequestCount, Traffic
from baseload.planner.sweep import FACTORS, Sweep, scaled, sweep
from baseload.planner.targets.aws import LambdaSagemaker
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.runpod import RunpodPod
from baseload.planner.traffic.profile import profile_of

BOOK = bundled()
SPEC = """\
name: example
container: {image: registry.example/acme/worker:1.0}
traffic: {requests_per_day: 1000, cv: 1, range: {low: 0.5, high: 2}}
performance: {service_time: 1.8s, cold_start: 25s}
target: {runpod: {gpu: ADA_24, workers: {max: 2}}}
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    file = tmp_path_factory.mktemp("specs") / "example.yaml"
    file.write_text(SPEC, encoding="utf-8")
    return load([file])[0]


@pytest.fixture(scope="module")
def swept(spec: ModelSpec) -> Sweep:
    return sweep(spec, BOOK)


def test_every_point_is_the_bill_of_that_spec(spec: ModelSpec, swept: Sweep) -> None:
    cost = cost_of(spec, BOOK)
    assert swept.here.monthly_usd == cost.monthly_usd
    assert swept.here.parts_usd == {line.what: line.amount_usd for line in cost.lines}
    assert (swept.idle_timeouts_s, swept.workers_min, swept.own) == ((1, 2, 5, 10, 30), (0, 1, 2), (3, 2, 0))
    half, twice = (swept.points[FACTORS.index(Decimal(f))][2][0].monthly_usd.expected for f in ("0.5", "2"))
    assert half is not None
    assert twice is not None
    assert (cents(half * Decimal("0.98")), cents(twice * Decimal("1.02"))) == (
        cost.monthly_usd.low,
        cost.monthly_usd.high,
    )
    # Two of two workers are always on: 2 × 2,628,000 s × 0.00031 USD, whatever the traffic and the idle timeout.
    always_on = {row[2].monthly_usd.expected for traffic in swept.points for row in traffic}
    assert always_on == {Decimal("1629.36")}
    idle = replace(spec, target=replace(spec.runpod, idle_timeout_s=30))
    assert swept.points[3][4][0].monthly_usd == cost_of(idle, BOOK).monthly_usd


def test_the_latency_is_the_plans(spec: ModelSpec, swept: Sweep) -> None:
    assert swept.here.response == cost_of(spec, BOOK).response
    always_on = swept.points[3][2][2].response
    assert always_on is not None
    assert always_on.cold_share == 0


def test_what_the_cheapest_of_a_target_costs_stands_in_its_comparison(swept: Sweep) -> None:
    for found, row in zip(swept.comparisons, swept.cheapest("runpod"), strict=True):
        bills = [one.monthly_usd.expected for one in found.rows if one.target == "runpod" and one.status == "ranked"]
        assert (row.monthly_usd.expected if row else None) == min(
            bills, key=lambda usd: usd or Decimal(0), default=None
        )


def test_axes_that_a_spec_does_not_have_are_single_steps(spec: ModelSpec) -> None:
    by_count = replace(spec.runpod, scaling=RequestCount(requests=2), idle_timeout_s=None)
    assert spec.traffic is not None
    for traffic in (None, replace(spec.traffic, requests_per_day=Decimal(0))):
        swept = sweep(replace(spec, traffic=traffic, target=by_count), BOOK)
        assert (swept.factors, swept.idle_timeouts_s, swept.own) == ((Decimal(1),), (None,), (0, 0, 0))


def test_overload_is_said_where_it_begins(spec: ModelSpec) -> None:
    assert spec.traffic is not None
    busy = replace(spec, traffic=replace(spec.traffic, requests_per_day=Decimal(40_000)))
    swept = sweep(busy, BOOK)
    # 40,000 × 1.8 / 86,400 = 0.83 requests in service of 2; 8.3 at ten times that.
    assert ["in service" in text for text in swept.points[0][2][0].warnings] == [False]  # but that it is in doubt
    assert "by the closed form, which is in doubt here" in swept.points[0][2][0].warnings[0]
    last = swept.points[-1][2][0]
    assert any("8.3 requests in service, more than the 2" in text for text in last.warnings)
    assert last.usd_per_1000_requests is None
    assert last.response is None or last.response.p95_s is None


@given(
    st.sampled_from(
        [
            Traffic(requests_per_day=Decimal(700)),
            Traffic(requests_per_day=Decimal(700), curve=Curve.BUSINESS_WEEK),
            Traffic(requests_per_day=Decimal(2400), hourly=tuple(map(Decimal, range(24)))),
            Traffic(requests_per_day=Decimal(500), batch=Batch(jobs=500, at="02:00", within_s=Decimal(3600))),
        ]
    ),
    st.sampled_from(FACTORS),
)
def test_scaled_traffic_keeps_the_shape_of_its_week(traffic: Traffic, factor: Decimal) -> None:
    now, more = profile_of(traffic), profile_of(scaled(traffic, factor) or traffic)
    assert now is not None
    assert more is not None
    assert [rate for _, rate in more.stretches] == pytest.approx([rate * float(factor) for _, rate in now.stretches])


@pytest.mark.parametrize(
    ("target", "timeouts", "minimums"),
    [
        (Modal(gpu="L4", containers_max=3), (10, 30, 60, 120, 300), (0, 1, 2)),
        (LambdaSagemaker(instance="ml.g6.xlarge", instances_max=2), (None,), (1, 2)),
        (RunpodPod(gpu="NVIDIA GeForce RTX 4090"), (None,), (0,)),
    ],
)
def test_each_target_has_its_own_settings(
    target: Modal | LambdaSagemaker | RunpodPod,
    timeouts: tuple[int | None, ...],
    minimums: tuple[int, ...],
    spec: ModelSpec,
) -> None:
    assert spec.traffic is not None
    idle = replace(spec, target=target, traffic=replace(spec.traffic, requests_per_day=Decimal(0)))
    swept = sweep(idle, BOOK)
    assert (swept.idle_timeouts_s, swept.workers_min) == (timeouts, minimums)
    assert swept.here.monthly_usd == cost_of(idle, BOOK).monthly_usd
    for row in swept.points[0]:
        bills = [point.monthly_usd.expected for point in row if point.monthly_usd.expected is not None]
        assert len(bills) == len(minimums)
        assert bills == sorted(bills)
