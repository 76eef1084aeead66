"""Where the order of two targets changes, held against pricing both on each side; the worth of workers by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from baseload.planner.break_even import at_rate, break_even, month_of, pairs, worker_worth
from baseload.planner.compare import Comparison, Row, Status, compare
from baseload.planner.cost import cost_of
from baseload.planner.pool import estimate
from baseload.planner.prices import bundled
from baseload.planner.spec.model import Curve, Limits, Model, ModelSpec, Performance, RunpodTarget, Tokens, Traffic
from baseload.planner.targets.demand import demand_of
from baseload.planner.targets.fleet import fleet_of
from baseload.planner.targets.workers import pool_of

D = Decimal
BOOK = bundled()
SPEC = ModelSpec(
    name="m",
    file=Path("m.yaml"),
    serves=Model(id="mistralai/Mistral-7B-Instruct-v0.3", parameters=D("7.25e9"), max_context=8192),
    traffic=Traffic(requests_per_day=D(1000), tokens=Tokens(prompt=D(512), output=D(128))),
    performance=Performance(service_time_s=D("1.8"), cold_start_s=D(25)),
    limits=Limits(),
    target=RunpodTarget(gpu="ADA_24", workers_max=3, idle_timeout_s=5),
    digest="sha256:0",
)
FOUND = compare(SPEC, BOOK)
POD = "runpod-pod/NVIDIA GeForce RTX 4090/1 always on, secure"


def row(found: Comparison, row_id: str) -> Row:
    (one,) = [item for item in found.rows if item.id == row_id]
    return one


@pytest.mark.parametrize("curve", [None, Curve.BUSINESS_WEEK])
def test_the_order_is_another_on_each_side_of_a_crossing(curve: Curve | None) -> None:
    assert SPEC.traffic is not None
    found = compare(replace(SPEC, traffic=replace(SPEC.traffic, curve=curve)), BOOK)
    seen = 0
    for one, other in pairs(found, BOOK):
        result = break_even(one, other, BOOK)
        assert result is not None
        before = result.cheaper_below
        for crossing in result.crossings:
            below, above = (_cheaper(one, other, crossing.requests_per_day * D(side)) for side in ("0.97", "1.03"))
            assert above == crossing.cheaper_above
            assert below != above if before is not None else True
            before, seen = crossing.cheaper_above, seen + 1
    assert seen >= 3


def _cheaper(one: Row, other: Row, rate: Decimal) -> str:
    """By pricing both anew as a plan does."""
    months = []
    for each in (one, other):
        assert each.spec is not None
        there = at_rate(each.spec, rate, BOOK)
        assert there is not None
        months.append(cost_of(there, BOOK).monthly_usd.expected)
    assert months[0] is not None
    assert months[1] is not None
    return one.id if months[0] < months[1] else other.id


def test_a_price_by_the_request_meets_a_fixed_one_where_the_arithmetic_says() -> None:
    # 4 USD per 1,000 requests; a pod at 0.74 USD an hour is 540.20 USD a month of 730 hours:
    # 540.20 / 0.004 = 135,050 requests a month = 4,440 a day
    pod = row(FOUND, POD)
    assert pod.monthly_usd.expected == D("540.20")
    each = Row(
        target="api", gpu="any", gpu_count=1, mode="per request", status=Status.RANKED, deployable=False,
        usd_per_1000_requests=D(4),
    )  # fmt: skip
    result = break_even(each, pod, BOOK)
    assert result is not None
    (first, *_) = result.crossings
    assert result.cheaper_below == each.id
    assert first.cheaper_above == pod.id
    assert abs(first.requests_per_day / (D("540.20") / D("0.004") / (D(730) / 24)) - 1) < D("0.003")


def test_the_month_at_the_spec_s_own_rate_is_that_of_the_table() -> None:
    for item in FOUND.of(Status.RANKED)[:12]:
        if item.spec is not None and item.target != "hybrid" and not item.another_precision:
            assert month_of(item, BOOK)(D(1000)) == item.monthly_usd.expected, item.id


def test_always_on_is_sized_for_each_rate() -> None:
    pod = row(FOUND, POD)
    assert pod.spec is not None
    one, many = at_rate(pod.spec, D(1000), BOOK), at_rate(pod.spec, D(1_000_000), BOOK)
    assert one is not None
    assert many is not None
    assert one.target.pods == 1  # type: ignore[union-attr]
    # 1,000,000 / 86,400 × 1.8 s = 20.8 requests at once
    assert many.target.pods >= 21  # type: ignore[union-attr]


def test_without_traffic_there_is_no_break_even() -> None:
    quiet = replace(SPEC, traffic=Traffic(requests_per_day=D(0)))
    found = compare(quiet, BOOK)
    assert [break_even(one, other, BOOK) for one, other in pairs(found, BOOK)] == [None] * len([*pairs(found, BOOK)])


def test_the_worth_of_a_worker_is_its_billed_share() -> None:
    alone = replace(SPEC, target=replace(SPEC.runpod, workers_max=1))
    found = compare(alone, BOOK)
    own = next(item for item in found.rows if item.own)
    result = worker_worth(own, found.rows, BOOK)
    assert result is not None
    # a worker of one is billed as the exact cycle says; RTX 4090 community pod 0.34 USD an hour over 1.116 of Flex
    demand = demand_of(alone)
    assert demand is not None
    (part,) = demand.in_parts()
    exact = estimate(pool_of(demand, fleet_of(alone.target, BOOK), part)).billed
    assert float(result.billed_shares[0]) == pytest.approx(exact, rel=0.05)
    assert result.from_share == (D("0.34") / D("1.116")).quantize(D("0.0001"))
    assert result.pays == int(result.billed_shares[0] > result.from_share)
