"""What every target costs in a plan: each line by hand, a range that holds its parts, a document that comes back."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baseload.planner.cost import Cost, cents, cost_of, expected_month_usd
from baseload.planner.cost.target_explain import quantities
from baseload.planner.plan import Plan, Verdict, make_plan
from baseload.planner.pool import SOURCES, Pool
from baseload.planner.prices import bundled
from baseload.planner.simulated.replications import replications
from baseload.planner.simulator import simulate
from baseload.planner.spec.model import (
    Batch,
    Container,
    Curve,
    Limits,
    Model,
    ModelSpec,
    Performance,
    Precision,
    Range,
    RunpodTarget,
    Schedule,
    ServiceLevel,
    Tokens,
    Traffic,
    Weekday,
    Window,
)
from baseload.planner.targets.aws import LambdaSagemaker, SagemakerServerless
from baseload.planner.targets.hybrid import Hybrid, Side
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.rented import Rented
from baseload.planner.targets.runpod import RunpodPod

if TYPE_CHECKING:
    from baseload.planner.targets import Target

BOOK = bundled()
D = Decimal
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

TARGETS: dict[str, RunpodTarget | Target] = {
    "runpod": RunpodTarget(gpu="ADA_24"),
    "lambda-sagemaker": LambdaSagemaker(instance="ml.g5.xlarge", instances_max=3, front="http-api", log_bytes=2000),
    "sagemaker-serverless": SagemakerServerless(memory_mb=4096, max_concurrency=20),
    "runpod-pod": RunpodPod(gpu="NVIDIA L40S", pods=2, volume_gb=100, network_volume_gb=50),
    "modal": Modal(gpu="L40S", containers_max=4, region="broad", volume_gib=D(20)),
    "hybrid": Hybrid(
        dedicated=Side(provider="runpod", product="pod", gpu="NVIDIA L40S", tier="secure"),
        burst=Side(provider="modal", product="serverless", gpu="L40S"),
        burst_max=4,
    ),
    "rented": Rented(provider="cerebrium", product="serverless", gpu="L40S", workers_max=4, idle_timeout_s=D(30)),
}
DAILY = Traffic(requests_per_day=D(20_000))


def spec(target: RunpodTarget | Target, traffic: Traffic | None = DAILY, **other: object) -> ModelSpec:
    values: dict[str, object] = {
        "name": "example",
        "file": Path("example.yaml"),
        "serves": Container(image="registry.example/acme/worker:1.0"),
        "traffic": traffic,
        "performance": Performance(service_time_s=D("1.8"), cold_start_s=D(25)),
        "limits": Limits(),
        "target": target,
        "digest": "sha256:0",
        **other,
    }
    return ModelSpec(**values)  # type: ignore[arg-type]


def amounts(cost: Cost) -> dict[str, str]:
    found: dict[str, Decimal] = {}
    for line in cost.lines:
        found[line.what] = found.get(line.what, D(0)) + line.amount_usd
    return {what: str(usd) for what, usd in found.items() if usd}


def plan(*specs: ModelSpec) -> Plan:
    return make_plan(specs, BOOK, stack="dev", generated_at=NOON)


# ----------------------------------------------------------------------------------------------------- for all of them
@pytest.mark.parametrize("name", TARGETS)
def test_lines_add_up_and_the_range_holds_the_month(name: str) -> None:
    busy = replace(DAILY, curve=Curve.DIURNAL, range=Range(low=D("0.5"), high=D(2)))
    cost = cost_of(spec(TARGETS[name], busy), BOOK)
    month = cost.monthly_usd
    assert month.expected == sum(line.amount_usd for line in cost.lines) == cost.at_least_usd
    assert all(line.amount_usd == cents(line.quantity * line.unit_price_usd) for line in cost.lines)
    assert month.low is not None
    assert month.high is not None
    assert month.low <= month.expected <= month.high
    assert all(month.low <= factor.monthly_usd <= month.high for factor in cost.factors)
    assert {line.price for line in cost.lines} <= {price.id for price in cost.prices}
    assert expected_month_usd(spec(TARGETS[name], busy), BOOK) == month.expected


@pytest.mark.parametrize("name", TARGETS)
def test_a_document_comes_back_as_it_was(name: str) -> None:
    made = plan(spec(TARGETS[name], replace(DAILY, growth_per_month=D("0.1"))))
    document = json.loads(json.dumps(made.to_json()))
    again = Plan.from_json(document)
    assert again.digest == made.digest
    assert [price.id for price in again.prices] == [price.id for price in made.prices]
    assert again.models == made.models
    assert again.to_json() == document


@settings(max_examples=80, deadline=None)
@given(
    name=st.sampled_from(sorted(TARGETS)),
    requests_per_day=st.decimals(0, 10**9, places=3),
    service_s=st.decimals(0, 100, places=3),
    cold_s=st.decimals(0, 600, places=1),
    concurrency=st.integers(1, 64),
    shape=st.sampled_from([None, *Curve]),
    scheduled=st.booleans(),
)
def test_no_traffic_makes_a_wrong_document(
    name: str,
    requests_per_day: Decimal,
    service_s: Decimal,
    cold_s: Decimal,
    concurrency: int,
    shape: Curve | None,
    scheduled: bool,
) -> None:
    traffic = Traffic(requests_per_day=requests_per_day, curve=shape)
    given_spec = spec(
        TARGETS[name],
        traffic,
        performance=Performance(service_time_s=service_s, cold_start_s=cold_s, concurrency=concurrency),
        schedule=Schedule(windows=(Window(days=(Weekday.MON,), workers_min=1),)) if scheduled else None,
    )
    made = plan(given_spec)
    again = Plan.from_json(json.loads(json.dumps(made.to_json(), allow_nan=False)))
    assert again.digest == made.digest
    month = made.models[0].monthly_usd
    if month.expected is not None:
        assert month.low is not None
        assert month.high is not None
        assert 0 <= month.low <= month.expected <= month.high


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_not_said_is_named_and_never_zero(name: str) -> None:
    target = TARGETS[name]
    unmeasured = cost_of(spec(target, performance=Performance()), BOOK)
    silent = cost_of(spec(target, None), BOOK)
    if name == "runpod-pod":  # pods cost what they cost
        assert unmeasured.monthly_usd.expected == silent.monthly_usd.expected is not None
        return
    for cost in (unmeasured, silent):
        assert cost.monthly_usd.expected is None
        assert [item.code for item in cost.diagnostics if item.hint]


@pytest.mark.parametrize("name", TARGETS)
def test_more_traffic_never_costs_less_without_a_range(name: str) -> None:
    months = [
        cost_of(spec(TARGETS[name], Traffic(requests_per_day=D(n))), BOOK).monthly_usd.expected
        for n in (0, 2_000, 200_000)
    ]
    assert all(month is not None for month in months)
    assert all(less <= more for less, more in pairwise(month for month in months if month is not None))


# ------------------------------------------------------------------------------------------------------------ by hand
def test_lambda_and_sagemaker_by_hand() -> None:
    """One instance all month, 60,833 requests that each wait 1.8 s and the mean wait in a 256 MB function."""
    target = LambdaSagemaker(instance="ml.g5.xlarge")
    cost = cost_of(spec(target, Traffic(requests_per_day=D(2_000))), BOOK)
    hour = next(price for price in cost.prices if price.product == "sagemaker-realtime")
    assert hour.usd is not None
    requests = D(2_000) * 730 / 24
    billed_s = D("1.879")  # 1.8 s and ρ·S/(1 − ρ) with ρ = 2,000 × 1.8 / 86,400, to the next millisecond
    assert amounts(cost) == {
        "always_on": str(cents(730 * hour.usd)),
        "lambda_requests": str(cents(requests / 10**6 * D("0.20"))),
        "lambda_waiting": str(cents(requests * billed_s / 4 * D("0.0000133334"))),
    }
    assert cost.hourly_worst_case_usd == cents(hour.usd)


def test_an_overloaded_instance_says_since_when_and_what_would_do() -> None:
    """60,000 a day × 1.8 s are 1.25 in service. Each waits until the 60 s are over in which an endpoint must answer:
    60,000 × 730 ÷ 24 × 60 s × 0.25 GB = 27,375,000 GB-seconds × 0.0000133334 = 365.00."""
    cost = cost_of(spec(LambdaSagemaker(instance="ml.g5.xlarge"), Traffic(requests_per_day=D(60_000))), BOOK)
    assert amounts(cost) == {"always_on": "1027.84", "lambda_requests": "0.37", "lambda_waiting": "365.00"}
    (found,) = (item for item in cost.diagnostics if item.code == "plan/overload")
    assert "keeps 1.2 requests in service, more than the 1 that 1 instance serves at once" in found.summary
    assert "60 s" in found.summary
    assert found.hint == "raise `instances.max` to 2 or more"
    # two places suffice in the mean (0.833), in the office hours 60,000 × 7/5 × 24/8 = 252,000 a day come: 5.25
    office = Traffic(requests_per_day=D(60_000), curve=Curve.OFFICE_HOURS)
    cost = cost_of(spec(LambdaSagemaker(instance="ml.g5.xlarge", instances_max=4), office), BOOK)
    (found,) = (item for item in cost.diagnostics if item.code == "plan/overload")
    assert "from Mon 09:00 (24 % of the time) keeps 5.2 requests in service, more than the 4" in found.summary
    assert found.hint == "raise `instances.max` to 6 or more"


def test_an_instance_has_to_be_provisioned_before_it_loads_a_model() -> None:
    """14.5 GB: 302 s + (14.5 − 16.1) × (360 − 302) ÷ (141 − 16.1) = 301.3 s; half and twice as the band."""
    served = Model(id="mistralai/Mistral-7B-Instruct-v0.3", parameters=D("7.25e9"))
    tokens = Traffic(requests_per_day=D(5_000), tokens=Tokens(prompt=D(512), output=D(128)))
    one = spec(LambdaSagemaker(instance="ml.g5.xlarge", instances_max=2), tokens, serves=served)
    (start,) = (
        item for item in cost_of(replace(one, performance=Performance()), BOOK).assumptions if item.name == "cold_start"
    )
    assert start.value == "301 s (151 to 603 s)"
    assert start.kind == "estimated"


def test_a_service_that_is_too_slow_breaks_the_level_though_the_latency_is_unknown() -> None:
    """Exponential with mean 1.8 s: 95 of 100 within 1.8 × ln 20 = 5.392 s, whatever AWS adds to it."""
    level = ServiceLevel(p95_s=D(5), p99_s=D(20))
    made = plan(spec(SagemakerServerless(memory_mb=4096, max_concurrency=20), service_level=level))
    p95, p99 = (check for check in made.models[0].limits if check.limit in ("p95_s", "p99_s"))
    assert (p95.verdict, p95.actual) == (Verdict.BREACHED, D("5.392"))
    assert (p99.verdict, p99.actual) == (Verdict.UNKNOWN, None)
    (found,) = (item for item in made.diagnostics if item.code == "plan/service-level")
    assert found.summary.endswith(
        "the service alone takes 5.39 s for 95 % of the requests; what else it takes is unknown"
    )


def test_throttling_says_how_many_slots_would_do() -> None:
    """20,000 a day × 1.8 s are 0.4167 in service: Erlang B of one slot is 0.4167 ÷ 1.4167 = 29.41 %; of 5 slots
    0.000069, of 4 0.00083."""
    cost = cost_of(spec(SagemakerServerless(memory_mb=4096, max_concurrency=1)), BOOK)
    (found,) = (item for item in cost.diagnostics if item.code == "plan/caveat")
    assert "29.41 % of the requests" in found.summary
    assert found.summary.endswith("with `max_concurrency: 5` fewer than 0.01 % would be")


def test_the_worst_hour_of_provisioned_slots() -> None:
    """6 of 20 slots are provisioned by day: 6 × (0.00002 + 0.0000466) × 3,600 + 14 × 0.00008 × 3,600 = 5.47; all on
    demand 20 × 0.00008 × 3,600 = 5.76, which is dearer and happens at night."""
    target = SagemakerServerless(memory_mb=4096, max_concurrency=20, provisioned=6)
    assert cost_of(spec(target), BOOK).hourly_worst_case_usd == D("5.47")
    by_day = Schedule(windows=(Window(from_minute=480, until_minute=1080, workers_min=6),))
    scheduled = replace(target, provisioned=0)
    assert cost_of(spec(scheduled, schedule=by_day), BOOK).hourly_worst_case_usd == D("5.76")


def test_what_a_target_cannot_do_has_no_price() -> None:
    cost = cost_of(spec(SagemakerServerless(memory_mb=4096, max_concurrency=20, gpu="L40S")), BOOK)
    assert cost.monthly_usd.expected is None
    assert cost.at_least_usd == 0
    assert cost.lines == ()
    assert [item.code for item in cost.diagnostics] == ["plan/impossible"]


def test_a_modal_model_is_estimated_on_its_card() -> None:
    serves = Model(id="mistralai/Mistral-7B-Instruct-v0.3", parameters=D(7_250_000_000), precision=Precision.FP16)
    traffic = replace(DAILY, cv=D(1), tokens=Tokens(prompt=D(512), output=D(128)))
    cost = cost_of(spec(Modal(gpu="L40S", containers_max=9), traffic, serves=serves, performance=Performance()), BOOK)
    service = next(item for item in cost.assumptions if item.name == "service_time")
    assert "L40S" in service.source
    assert cost.monthly_usd.low is not None
    assert cost.monthly_usd.expected is not None
    assert cost.monthly_usd.low < cost.monthly_usd.expected
    assert {factor.name for factor in cost.factors} == {"service_time", "cold_start", "dispatch", "closed_form"}


def test_pods_by_schedule_run_in_its_hours() -> None:
    """Two pods from 09:00 to 17:00 on five days: 730 × 40/168 × 2 = 347.62 GPU-hours."""
    days = tuple(Weekday)[:5]
    office = Schedule(windows=(Window(days=days, from_minute=540, until_minute=1020, workers_min=2),))
    pod = RunpodPod(gpu="NVIDIA L40S", pods=2)
    cost = cost_of(spec(pod, Traffic(requests_per_day=D(500), curve=Curve.OFFICE_HOURS), schedule=office), BOOK)
    price = cost.price
    assert price is not None
    assert price.usd is not None
    assert cost.monthly_usd.expected == cents(D("347.619048") * price.usd)
    assert not [item for item in cost.diagnostics if item.code == "plan/caveat"]


def test_a_base_by_schedule_is_billed_in_its_hours_and_explained() -> None:
    """Two replicas from 08:00 to 18:00 on five days: 730 × 50/168 × 2 = 434.523810 hours."""
    days = tuple(Weekday)[:5]
    office = Schedule(windows=(Window(days=days, from_minute=480, until_minute=1080, workers_min=2),))
    traffic = Traffic(requests_per_day=D(60_000), curve=Curve.OFFICE_HOURS)
    given_spec = spec(TARGETS["hybrid"], traffic, schedule=office)
    cost = cost_of(given_spec, BOOK)
    base = cost.lines[0]
    assert (base.what, base.quantity, base.amount_usd) == ("base", D("434.52381"), D("473.63"))  # × 1.09
    assert cost.hourly_worst_case_usd == cents(2 * D("1.09") + 4 * D("1.95"))
    told = {item.name: item for item in cost.assumptions}
    assert told["schedule"].value.startswith("replicas of the base 0 from Mon 00:00, 2 from Mon 08:00")
    assert (told["base"].value, told["base"].kind) == ("2 replicas at most", "spec")
    (explained,) = (item for item in quantities(given_spec, cost, BOOK) if item.what == "base")
    (bound,) = explained.bounds
    assert bound.quantity == base.quantity
    silent = cost_of(spec(TARGETS["hybrid"], None, schedule=office), BOOK)
    assert (silent.monthly_usd.expected, silent.at_least_usd) == (None, D("473.63"))


def test_a_base_is_recommended_among_simulated_neighbours() -> None:
    """0.74 requests in service on average, cold starts of 20 s, idle for 5 s: the closed form counts too few."""
    burst = Side(provider="runpod", product="serverless", gpu="ADA_48_PRO")
    target = Hybrid(
        dedicated=Side(provider="runpod", product="pod", gpu="NVIDIA L40S", tier="secure"),
        burst=burst,
        burst_max=8,
        idle_timeout_s=D(5),
    )
    times = Performance(service_time_s=D(8), cold_start_s=D(20))
    open_spec = spec(target, Traffic(requests_per_day=D(8_000)), performance=times)
    by_formula, simulated = cost_of(open_spec, BOOK), cost_of(open_spec, BOOK, seed=1)
    assert by_formula.bill is not None
    assert simulated.bill is not None
    assert (by_formula.bill.base, simulated.bill.base) == (1, 2)
    base = {item.name: item for item in simulated.assumptions}["base"]
    assert (base.value, base.kind) == ("2 replicas", "measured")
    assert "seed 1" in base.source
    months = {int(size): D(usd.replace(",", "")) for size, usd in re.findall(r"(\d+): \$([\d,]+\.\d\d)", base.source)}
    assert list(months) == [0, 1, 2, 3]
    assert months[2] == simulated.monthly_usd.expected == min(months.values())
    assert simulated.simulation is not None
    assert expected_month_usd(open_spec, BOOK, seed=1) == months[2]
    again = replications(open_spec, BOOK, seed=1).bill["total"].usd
    assert again.simulated == pytest.approx(float(months[2]), abs=0.02)
    # Another week agrees, with a pool and prices of its own.
    pool = Pool(
        arrivals_per_s=8_000 / 86_400,
        service_s=8,
        cold_start_s=20,
        start_delay_s=0,
        idle_timeout_s=5,
        workers_max=8,
        increment_s=1,
    )
    for size in (1, 2):
        seen = simulate(replace(pool, dedicated=size), requests=150_000, seed="another")
        usd = 730 * (size * 1.09 + seen.billed * 0.00053 * 3600)
        assert float(months[size]) == pytest.approx(usd, rel=0.02)
    given_base = cost_of(replace(open_spec, target=replace(target, base=1)), BOOK)
    told = [{item.name: item.kind for item in cost.assumptions}["base"] for cost in (by_formula, given_base)]
    assert told == ["default", "spec"]


NIGHTLY = Traffic(requests_per_day=D(20_000), batch=Batch(jobs=20_000, at="02:00", within_s=D(7200)))


def test_a_batch_on_modal_by_hand() -> None:
    """Three containers, 730/24 nights: each starts for 25 s, serves its share of 20,000 × 1.8 s and stays for 60 s."""
    cost = cost_of(spec(Modal(gpu="L4", containers_max=3), NIGHTLY), BOOK)
    hours = {line.what: line.quantity for line in cost.lines}
    nights = D(730) / 24
    assert hours["busy"] == pytest.approx(20_000 * D("1.8") / 3600 * nights)
    assert hours["idle"] == pytest.approx(3 * 60 * nights / 3600)
    assert hours["cold_start"] == pytest.approx(3 * D("25.5") * nights / 3600, rel=D("0.001"))
    assert hours["cpu"] == pytest.approx((hours["busy"] + hours["idle"] + hours["cold_start"]) / 8)
    found = cost.deadline
    assert found is not None
    # 25 s, then ⌈20,000/3⌉ = 6,667 waves of 1.8 s; in two hours 3,986 waves fit, and ⌈20,000/3,986⌉ = 6 containers do
    assert (found.takes_s, found.workers, found.workers_needed) == (12_026, 3, 6)
    enough = cost_of(spec(Modal(gpu="L4", containers_max=6), NIGHTLY), BOOK)
    assert enough.monthly_usd.expected == found.monthly_usd_at_needed
    assert enough.deadline is not None
    assert (enough.deadline.takes_s, enough.deadline.workers_needed) == (6026, 6)
    told = {item.code: item.hint for item in cost.diagnostics}
    assert told["plan/deadline"] == "raise `containers.max` to 6, or give it more time"
    assert "plan/deadline" not in {item.code for item in enough.diagnostics}
    assert cost.response is None or cost.response.p95_s is None
    assert cost.monthly_usd.low == cost.monthly_usd.expected == cost.monthly_usd.high


def test_a_batch_that_no_function_does_in_time() -> None:
    huge = replace(NIGHTLY, requests_per_day=D(90_000_000), batch=replace(NIGHTLY.batch, jobs=90_000_000))  # type: ignore[type-var]
    cost = cost_of(spec(Modal(gpu="L4", containers_max=6), huge), BOOK)
    assert cost.deadline is not None
    assert (cost.deadline.takes_s, cost.deadline.monthly_usd_at_needed) == (None, None)
    assert cost.usd_per_1000_requests is None
    told = {item.code: f"{item.summary} {item.hint}" for item in cost.diagnostics}
    assert "it needs 22,580 workers, and `containers.max` is 4,000 at most" in told["plan/deadline"]
    assert "more than 2,000 waiting calls are refused" in told["plan/caveat"]


def test_containers_that_are_ready_take_a_batch_at_once() -> None:
    """Two by schedule from 01:00 to 03:00: always on then, and one more is started beside them."""
    ready = Schedule(windows=(Window(days=tuple(Weekday), from_minute=60, until_minute=180, workers_min=2),))
    cost = cost_of(spec(Modal(gpu="L4", containers_max=3), NIGHTLY, schedule=ready), BOOK)
    hours = {line.what: line.quantity for line in cost.lines}
    assert hours["always_on"] == pytest.approx(2 * 730 * D(2) / 24, rel=D("0.0001"))
    assert hours["cold_start"] == pytest.approx(D("25.5") * 730 / 24 / 3600, rel=D("0.02"))
    without = cost_of(spec(Modal(gpu="L4", containers_max=3), NIGHTLY, performance=Performance()), BOOK)
    assert without.monthly_usd.expected is None
    assert without.deadline is None


def test_a_batch_on_modal_agrees_with_its_simulation() -> None:
    few = replace(NIGHTLY, requests_per_day=D(2000), batch=Batch(jobs=2000, at="02:00", within_s=D(7200)))
    seen = replications(spec(Modal(gpu="L4", containers_max=4), few), BOOK, seed=1)
    closed = cost_of(spec(Modal(gpu="L4", containers_max=4), few), BOOK).monthly_usd.expected
    assert closed is not None
    assert seen.bill["total"].usd.simulated == pytest.approx(float(closed), rel=0.05)


@pytest.mark.parametrize("name", ["lambda-sagemaker", "sagemaker-serverless", "hybrid"])
def test_a_batch_elsewhere_is_unknown_and_says_so(name: str) -> None:
    cost = cost_of(spec(TARGETS[name], NIGHTLY), BOOK)
    assert cost.monthly_usd.expected is None
    assert cost.deadline is None
    assert any("traffic.batch" in item.summary for item in cost.diagnostics)


# --------------------------------------------------------------------------------------------------- the stack itself
def test_a_credit_is_taken_off_once_and_never_makes_an_income() -> None:
    """Two functions of Modal without traffic but 3 warm hours' worth: 30 USD of credit meet what is billed."""
    large = spec(replace(TARGETS["modal"], volume_gib=D(0)), name="large")  # type: ignore[call-overload]
    small = spec(Modal(gpu="T4", scaledown_s=2), Traffic(requests_per_day=D(10)), name="small")
    both = plan(large, small)
    assert both.itself is not None
    assert [(line.what, line.amount_usd) for line in both.itself.lines] == [("credit", D("-30.00"))]
    assert both.total_monthly_usd.expected == sum(
        (model.monthly_usd.expected or D(0) for model in both.models), D("-30.00")
    )
    alone = plan(small)
    assert alone.itself is not None
    assert alone.total_monthly_usd.expected == 0
    assert alone.at_least_usd + 30 > 0


def test_volumes_and_egress_meet_their_price_together() -> None:
    """Two pods of 50 GB each: 100 × 0.07 USD, on no model's own bill."""
    one, two = (spec(TARGETS["runpod-pod"], name=name) for name in ("one", "two"))
    both = plan(one, two)
    assert both.itself is not None
    assert [(line.what, line.quantity, line.amount_usd) for line in both.itself.lines] == [
        ("storage_network_volume", D(100), D("7.00"))
    ]
    assert plan(spec(TARGETS["runpod"])).itself is None


def test_what_waits_in_busy_hours_is_served_in_others() -> None:
    """6,857 a day of 6 s in the office hours keep 2 in service there, and one container serves one: the rest waits for
    the evening: 6,857 × 730 ÷ 24 × 6 ÷ 3,600 = 347.611806 hours × 0.80 = 278.09."""
    office = Traffic(requests_per_day=D(6_857), curve=Curve.OFFICE_HOURS)
    slow = Performance(service_time_s=D(6), cold_start_s=D(25))
    cost = cost_of(spec(Modal(gpu="L4"), office, performance=slow), BOOK)
    busy = next(line for line in cost.lines if line.what == "busy")
    assert (busy.quantity, busy.amount_usd) == (D("347.611944"), D("278.09"))  # to the whole second
    # on a worker that never stops all of it is always-on time
    kept = cost_of(spec(Modal(gpu="L4", containers_min=1), office, performance=slow), BOOK)
    assert {line.what for line in kept.lines} == {"always_on", "cpu", "memory"}
    # always too much: all of the month, and no method's error
    flood = cost_of(spec(Modal(gpu="L4"), Traffic(requests_per_day=D(10**9))), BOOK)
    assert (flood.monthly_usd.low, flood.method) == (
        flood.monthly_usd.high,
        "exact: overload, all workers are busy all the time",
    )


def test_overload_of_containers_and_pods_is_said() -> None:
    """100,000 a day of 1.8 s keep 2.08 in service; at the high end, three times that, 6.25."""
    traffic = Traffic(requests_per_day=D(100_000), range=Range(high=D(3)))
    for target, key in (
        (Modal(gpu="L40S", containers_max=2), "containers.max"),
        (RunpodPod(gpu="NVIDIA L40S"), "pods"),
    ):
        (said,) = (item for item in cost_of(spec(target, traffic), BOOK).diagnostics if item.code == "plan/overload")
        assert "2.1 requests in service" in said.summary
        assert said.hint == f"raise `{key}` to 3 or more"
    later = cost_of(spec(Modal(gpu="L40S", containers_max=3), traffic), BOOK).diagnostics
    assert ["at the high end of its range keeps 6.2" in item.summary for item in later] == [True]


def test_the_stack_itself_is_compared_and_limited_with_the_rest() -> None:
    before, after = plan(spec(Modal(gpu="L40S"))), [spec(TARGETS["runpod-pod"])]
    made = make_plan(
        after,
        BOOK,
        stack="dev",
        generated_at=NOON,
        base=before.as_base("plan.json"),
        limits=Limits(monthly_usd=before.total_monthly_usd.expected),
    )
    assert made.difference is not None
    assert made.difference.total.before_usd == before.total_monthly_usd.expected
    assert made.difference.total.after_usd == made.total_monthly_usd.expected == made.limits[0].actual
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))).difference == made.difference


def test_no_price_for_what_is_shared_says_at_least() -> None:
    target = LambdaSagemaker(instance="ml.g6.xlarge", region="eu-west-3", log_bytes=1000)
    made = plan(spec(target))
    assert made.total_monthly_usd.expected is None
    assert {item.code for item in made.diagnostics} >= {"plan/price-unknown"}


# ------------------------------------------------------------------------------------------------------- explanation
def value_of(figures: str) -> float:
    """What a bound's figures give, by hand."""
    plain = figures.replace(",", "").replace("×", "*").replace("÷", "/").replace("−", "-")
    assert set(plain) <= set("0123456789.*/- ")
    return max(float(eval(plain)), 0.0)


@pytest.mark.parametrize("requests_per_day", [50, 3_000, 40_000])
@pytest.mark.parametrize("name", TARGETS)
def test_every_quantity_lies_within_its_bounds_and_each_bound_is_its_figures(name: str, requests_per_day: int) -> None:
    model = plan(spec(TARGETS[name], Traffic(requests_per_day=D(requests_per_day)))).models[0]
    sums: dict[str, Decimal] = {}
    for line in model.lines:
        sums[line.what] = sums.get(line.what, D(0)) + line.quantity
    told = {item.what: item for item in model.explanation.quantities}
    assert {what for what, quantity in sums.items() if quantity} <= set(told)
    for item in told.values():
        assert item.quantity == sums.get(item.what, item.quantity)
        for bound in item.bounds:
            assert float(bound.quantity) == pytest.approx(value_of(bound.figures), rel=1e-3, abs=1e-3), item.what
            slack = float(bound.quantity) * 0.02 + 0.01
            if bound.kind != "at most":
                assert item.quantity >= float(bound.quantity) - slack, (item.what, bound)
            if bound.kind != "at least":
                assert item.quantity <= float(bound.quantity) + slack, (item.what, bound)
    assert model.explanation.sensitivities
    assert any(item.assumption == "price" for item in model.explanation.sensitivities)


# ----------------------------------------------------------------------------------------------- the page, recomputed
def sections(page: str) -> dict[str, dict[str, Decimal]]:
    """The printed values of each section's arithmetic, recomputed."""
    found: dict[str, dict[str, Decimal]] = {}
    for title, block in re.findall(r"\n### ([^\n]+)\n(?:(?!\n### ).)*?```calc\n(.*?)```", page, re.DOTALL):
        names: dict[str, object] = {"exp": math.exp, "ceil": math.ceil}
        printed: dict[str, Decimal] = {}
        for line in block.strip().splitlines():
            name, formula, shown = (part.strip() for part in line.split(" = "))
            digits = -int(Decimal(shown).as_tuple().exponent)  # type: ignore[operator]
            computed = eval(formula, {"__builtins__": {}}, names)
            assert computed == pytest.approx(float(shown), abs=0.51 * 10**-digits), line
            printed[name] = Decimal(shown)
            names[name] = float(shown) if digits == 2 else computed  # money is rounded before it is added up
        found[title] = printed
    return found


def test_the_page_is_what_the_planner_says(pytestconfig: pytest.Config) -> None:
    page = sections((pytestconfig.rootpath / "docs" / "cost-model.md").read_text(encoding="utf-8"))
    thousand = Traffic(requests_per_day=D(1000))
    priced: dict[str, RunpodTarget | Target] = {
        "lambda-sagemaker": LambdaSagemaker(instance="ml.g5.xlarge", front="http-api"),
        "sagemaker-serverless": SagemakerServerless(memory_mb=4096, max_concurrency=20),
        "runpod-pod": RunpodPod(gpu="NVIDIA L40S", disk_gb=50),
        "modal": Modal(gpu="L40S"),
    }
    for title, target in priced.items():
        cost = cost_of(spec(target, thousand), BOOK)
        assert cost.monthly_usd.expected == page[title]["month"], title
        for line in cost.lines:
            assert line.amount_usd == page[title][line.what], (title, line.what)
    days = tuple(Weekday)[:5]
    office = Schedule(windows=(Window(days=days, from_minute=540, until_minute=1020, workers_min=1),))
    pod = cost_of(spec(RunpodPod(gpu="NVIDIA L40S"), Traffic(requests_per_day=D(0)), schedule=office), BOOK)
    assert pod.monthly_usd.expected == page["runpod-pod"]["office"]
    side = Side(provider="runpod", product="pod", gpu="NVIDIA L40S", tier="secure")
    burst = Side(provider="runpod", product="serverless", gpu="ADA_48_PRO")
    mixed = cost_of(spec(Hybrid(dedicated=side, burst=burst, burst_max=3, base=1, idle_timeout_s=D(5))), BOOK)
    assert mixed.lines[0].amount_usd == page["hybrid"]["base"]
    by_day = cost_of(spec(TARGETS["hybrid"], schedule=office), BOOK)
    assert by_day.lines[0].amount_usd == page["hybrid"]["office"]
    assert {line.unit_price_usd for line in mixed.lines[1:]} == {D("0.00053")}
    quiet = cost_of(spec(RunpodTarget(gpu="ADA_24"), Traffic(requests_per_day=D(0)), schedule=office), BOOK)
    assert quiet.monthly_usd.expected == page["A schedule of the minimum"]["month"]


@pytest.mark.parametrize("name", TARGETS)
def test_every_assumption_says_where_it_comes_from(name: str) -> None:
    serves = Model(id="mistralai/Mistral-7B-Instruct-v0.3", parameters=D(7_250_000_000))
    traffic = replace(DAILY, tokens=Tokens(prompt=D(512), output=D(128)), curve=Curve.DIURNAL, active_share=D("0.5"))
    for other in ({}, {"serves": serves, "traffic": traffic, "performance": Performance()}):
        made = plan(spec(TARGETS[name], **other))  # type: ignore[arg-type]
        told = [*made.models[0].assumptions, *(made.itself.assumptions if made.itself else ())]
        assert told
        assert {item.kind for item in told} <= set(SOURCES)
