"""What `--explain` says: bounds that hold and can be computed by hand, sensitivities that are second pricings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baseload.planner.cost import cents, cost_of, expected_month_usd
from baseload.planner.cost.explain import TOTAL, Bound, Explanation, Kind, Term, explain, product
from baseload.planner.prices import bundled
from baseload.planner.spec import load
from baseload.planner.spec.model import (
    Batch,
    Container,
    Curve,
    Limits,
    ModelSpec,
    Performance,
    QueueDelay,
    Range,
    RequestCount,
    RunpodTarget,
    Traffic,
)

BOOK = bundled()


def spec(**given: Any) -> ModelSpec:
    """1,000 requests a day of 1.8 s on one Flex worker of ADA_24 that starts in 25 s."""
    whole: dict[str, Any] = {
        "name": "chat",
        "file": Path("model_specs/chat.yaml"),
        "serves": Container(image="registry.example/acme/worker:1.0"),
        "traffic": Traffic(requests_per_day=Decimal(1000)),
        "performance": Performance(service_time_s=Decimal("1.8"), cold_start_s=Decimal(25)),
        "limits": Limits(),
        "target": RunpodTarget(gpu="ADA_24", workers_max=1),
        "digest": f"sha256:{'0' * 64}",
    }
    return ModelSpec(**{**whole, **given})


def explained(one: ModelSpec) -> Explanation:
    return explain(one, cost_of(one, BOOK), BOOK)


def by_hand(bound: Bound) -> float:
    """The figures as a reader would put them into a calculator."""
    typed = bound.figures.replace(",", "").replace("×", "*").replace("÷", "/").replace("−", "-")
    value: float = eval(typed, {"__builtins__": {}})
    return max(value, 0.0)


def test_the_bounds_of_the_worked_example() -> None:
    # docs/cost-model.md: busy 54,750, idle 109,881, cold start 544,332 GPU-seconds from 21,346 starts.
    found = {item.what: item for item in explained(spec()).quantities}
    at_least, at_most = found["busy"].bounds
    assert (at_least.figures, at_least.quantity) == ("30,416.667 × 1.8 × 1 ÷ 1", Decimal(54_750))
    assert at_most.quantity == found["busy"].quantity == 54_750
    assert found["cold_start"].bounds[0].figures == "21,346 × 25.5 × 1"
    assert found["idle"].bounds[0].formula == "(requests + worker starts) × idle timeout × GPUs"
    assert found[TOTAL].quantity == 54_750 + 109_881 + 544_332
    assert found[TOTAL].bounds[0].quantity == 2_628_000


def test_long_fractions_are_shown_as_long_as_they_have_to_be() -> None:
    """50 of the 168 hours of a week: 0.2976190476 × 730 = 217.261904748, as 50 ÷ 168 × 730 = 217.2619047619… rounds."""
    share, hours, to = Term("mean of the schedule", Decimal(50) / 168), Term("hours", Decimal(730)), Decimal("0.000001")
    bound = product(Kind.ABOUT, share, hours, to=to)
    assert (bound.figures, bound.quantity) == ("0.2976190476 × 730", Decimal("217.261905"))
    more = product(Kind.ABOUT, share, Term("seconds", Decimal(2_628_000)), Term("GPUs", Decimal(8)), to=to)
    assert (more.figures, more.quantity) == ("0.29761904761905 × 2,628,000 × 8", Decimal("6257142.857143"))
    whole = product(Kind.ABOUT, Term("requests", Decimal(123_456_789_012)), Term("half", Decimal("0.5")))
    assert whole.figures == "123,456,789,012 × 0.5"


def test_the_sensitivities_are_second_pricings() -> None:
    one = spec()
    month = cost_of(one, BOOK).monthly_usd.expected
    assert month is not None
    found = {(item.assumption, item.step): item.change_usd for item in explained(one).sensitivities}
    slower = replace(one, performance=replace(one.performance, cold_start_s=Decimal("27.5")))
    busier = replace(one, traffic=Traffic(requests_per_day=Decimal(1100)))
    waits = replace(one, target=replace(one.target, idle_timeout_s=6))
    for key, other in (
        (("cold_start", "10 % more"), slower),
        (("arrivals", "10 % more"), busier),
        (("idle_timeout", "1 s more"), waits),
    ):
        assert found[key] == (cost_of(other, BOOK).monthly_usd.expected or 0) - month
    # 21,346 starts × 25 s × 0.00031 = 165.43; at 0.000341: 18.67 + 37.47 + 185.62 = 241.76, from 219.77
    assert found["cold_start_billed", "none of it"] == Decimal("-165.43")
    assert found["price", "10 % more"] == Decimal("21.99")
    assert ("active_share", "20 %") in found


def test_what_is_unknown_is_not_explained() -> None:
    assert explained(spec(performance=Performance())) == Explanation()


def test_an_always_on_endpoint_moves_with_its_price_only() -> None:
    (one,) = explained(spec(target=RunpodTarget(gpu="ADA_24", workers_min=1, workers_max=1))).sensitivities
    assert (one.assumption, one.change_usd) == ("price", Decimal("81.47"))  # 2,628,000 × 0.000341 = 896.15 − 814.68


@pytest.mark.parametrize("field", ["active_discount", "concurrency"])
def test_a_step_that_is_no_increase(field: str) -> None:
    target = RunpodTarget(gpu="ADA_24", workers_min=1, workers_max=3, active_discount=Decimal("0.2"))
    performance = Performance(service_time_s=Decimal(4), cold_start_s=Decimal(25), concurrency=2)
    moves = {item.assumption: item for item in explained(spec(target=target, performance=performance)).sensitivities}
    assert moves[field].step == {"active_discount": "none", "concurrency": "1 fewer"}[field]
    assert moves[field].change_usd > 0


def test_what_stays_is_not_scaled_with_a_simulated_month() -> None:
    """The minimum is exact: its discount is by hand; the rest moves by simulated ÷ closed form, as it says."""
    one = spec(
        target=RunpodTarget(gpu="AMPERE_80", workers_min=1, workers_max=4, active_discount=Decimal("0.2")),
        traffic=Traffic(requests_per_day=Decimal(40_000)),
        performance=Performance(service_time_s=Decimal("4.4"), cold_start_s=Decimal(52), concurrency=3),
    )
    cost = cost_of(one, BOOK, seed=1)
    assert cost.simulation is not None
    closed = cost.simulation.closed_form_usd
    assert closed is not None
    assert cost.monthly_usd.expected is not None
    found = {item.assumption: item.change_usd for item in explain(one, cost, BOOK).sensitivities}
    # 2,628,000 × 0.00076 = 1,997.28, less 1,597.82 at 0.000608
    assert found["active_discount"] == Decimal("399.46")
    (said,) = [item.value for item in cost.assumptions if item.name == "other_months"]
    moves = Decimal(said.split()[3])
    assert moves == ((cost.monthly_usd.expected - Decimal("1597.82")) / (closed - Decimal("1597.82"))).quantize(
        Decimal("0.0001")
    )
    open_usd = cost.simulation.interval_percent / 100 * cost.monthly_usd.expected
    (less,) = [item.monthly_usd for item in cost.factors if item.name == "simulation" and item.value.endswith("less")]
    assert less == pytest.approx(cost.monthly_usd.expected - open_usd, abs=Decimal("0.01"))
    slower = replace(one, performance=replace(one.performance, cold_start_s=Decimal("57.2")))
    after = expected_month_usd(slower, BOOK)
    assert after is not None
    assert found["cold_start"] == cents((after - closed) * moves)


def test_a_rule_of_dispatch_makes_no_low_end() -> None:
    """Its closed form here is the packed one's, to 0.14 USD of rounding: nothing that a range should name."""
    one = spec(
        target=RunpodTarget(gpu="AMPERE_48", workers_max=15, idle_timeout_s=9),
        traffic=Traffic(requests_per_day=Decimal(90_000), cv=Decimal(3)),
        performance=Performance(service_time_s=Decimal("3.3"), cold_start_s=Decimal(41), concurrency=2),
    )
    cost = cost_of(one, BOOK, seed=1)
    assert [name for name in cost.ends.low if name.startswith("dispatch")] == []


def test_bounds_that_say_nothing_are_left_out_and_the_rest_is_named_as_the_spec_does() -> None:
    idle = spec(target=RunpodTarget(gpu="ADA_24", workers_min=1, workers_max=3))
    (busy,) = [item for item in explained(idle).quantities if item.what == "busy"]
    assert [bound.kind for bound in busy.bounds] == [Kind.AT_MOST]  # 30,416.667 × 1.8 − 2,628,000 is below zero
    counted = spec(
        target=RunpodTarget(gpu="ADA_24", idle_timeout_s=None, scaling=RequestCount(requests=2)),
        performance=Performance(service_time_s=Decimal(6), cold_start_s=Decimal(45), concurrency=4),
    )
    (busy,) = [item for item in explained(counted).quantities if item.what == "busy"]
    assert busy.bounds[0].formula == "requests × service time × GPUs ÷ request_count"


def test_a_default_is_not_said_to_stand_in_the_spec(tmp_path: Path) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text(
        "name: chat\n"
        "container: {image: 'registry.example/acme/worker:1.0'}\n"
        "traffic: {requests_per_day: 1000}\n"
        "performance: {service_time: 1.8s, cold_start: 25s, concurrency: 2}\n"
        "target: {runpod: {gpu: ADA_24, idle_timeout: 7s}}\n"
    )
    (one,) = load([file])
    sources = {item.name: item.source.partition(";")[0] for item in cost_of(one, BOOK).assumptions}
    said = {"arrivals", "service_time", "cold_start", "concurrency", "idle_timeout"}
    left_out = {"active_discount", "active_share", "traffic_range", "service_time_cv", "start_rule", "cv"}
    assert {name: sources[name] for name in said | left_out} == {
        **dict.fromkeys(said, "spec"),
        **dict.fromkeys(left_out, "default"),
    }


# -------------------------------------------------------------------------------------------------- whatever is given
CURVES: list[Callable[[Decimal], Traffic]] = [
    lambda rate: Traffic(requests_per_day=rate),
    lambda rate: Traffic(requests_per_day=rate, curve=Curve.OFFICE_HOURS),
    lambda rate: Traffic(requests_per_day=rate * 24, hourly=(rate,) * 12 + (rate * 2,) * 6 + (Decimal(0),) * 6),
    lambda rate: Traffic(requests_per_day=rate, active_share=Decimal("0.3"), range=Range(high=Decimal(3))),
    lambda rate: Traffic(
        requests_per_day=Decimal(int(rate) + 1), batch=Batch(jobs=int(rate) + 1, at="02:00", within_s=Decimal(3600))
    ),
]


SCALING: list[QueueDelay | RequestCount] = [QueueDelay(seconds=Decimal(4)), RequestCount(requests=3)]


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    least = draw(st.integers(0, 2))
    target = RunpodTarget(
        gpu="ADA_24",
        gpu_count=draw(st.integers(1, 4)),
        workers_min=least,
        workers_max=draw(st.integers(max(least, 1), 12)),
        idle_timeout_s=draw(st.sampled_from([1, 5, 300])),
        scaling=draw(st.sampled_from(SCALING)),
        active_discount=draw(st.sampled_from([Decimal(0), Decimal("0.3")])),
    )
    if isinstance(target.scaling, RequestCount):
        target = replace(target, idle_timeout_s=None)
    performance = Performance(
        service_time_s=draw(st.decimals("0.01", 600, places=2)),
        service_time_cv=draw(st.sampled_from([Decimal(0), Decimal(1), Decimal(2)])),
        cold_start_s=draw(st.decimals(0, 300, places=1)),
        concurrency=draw(st.sampled_from([1, 4, 30])),
    )
    rate = draw(st.decimals(1, 200_000, places=1))
    return spec(target=target, performance=performance, traffic=draw(st.sampled_from(CURVES))(rate))


@settings(max_examples=60)
@given(specs())
def test_the_figures_lie_within_bounds_that_can_be_computed_by_hand(one: ModelSpec) -> None:
    cost = cost_of(one, BOOK)
    found = explain(one, cost, BOOK)
    lines = {line.what: line for line in cost.lines}
    rounding = one.target.gpu_count * 4  # quantities, requests and worker starts are rounded before they meet
    for item in found.quantities:
        # Near saturation the closed form trades a little of the work for cold starts, 1 % at most in 3,000 draws.
        slack = Decimal("0.02" if item.method.startswith("approximation") else "0.0001")
        if item.what != TOTAL:
            assert item.quantity == lines[item.what].quantity
        for bound in item.bounds:
            assert by_hand(bound) == pytest.approx(float(bound.quantity), abs=0.51)
            if bound.kind is Kind.AT_LEAST:
                assert item.quantity >= bound.quantity * (1 - slack) - rounding, bound
            elif bound.kind is Kind.ABOUT:  # worker starts are whole: off by half a start
                half = float(one.performance.cold_start_s or 0) * one.target.gpu_count / 2 + rounding
                assert float(item.quantity) == pytest.approx(float(bound.quantity), rel=0.01, abs=half), bound
            elif bound.kind is Kind.AT_MOST:
                assert item.quantity <= bound.quantity * (1 + slack) + rounding, bound
    assert sum(cents(line.quantity * line.unit_price_usd) for line in cost.lines) == cost.monthly_usd.expected


@settings(max_examples=30)
@given(specs())
def test_the_light_pricing_is_that_of_the_plan(one: ModelSpec) -> None:
    assert expected_month_usd(one, BOOK) == cost_of(one, BOOK).monthly_usd.expected
