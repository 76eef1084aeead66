"""Every target's bill, redone by hand: each line is quantity × price, and nothing unknown counts as zero."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseload.planner.cost import cost_of
from baseload.planner.errors import UsageError
from baseload.planner.pool import Pool, TargetTracking
from baseload.planner.pool.base import best_base
from baseload.planner.pool.erlang import refused_share, waiting
from baseload.planner.pool.latency import latency
from baseload.planner.prices import Price, bundled
from baseload.planner.simulator import Arrivals, simulate
from baseload.planner.spec.model import Container, Curve, Limits, ModelSpec, Performance, RunpodTarget, Traffic
from baseload.planner.targets import COMPARED, TARGETS, named, price
from baseload.planner.targets.aws import LambdaSagemaker, SagemakerServerless
from baseload.planner.targets.bill import Bill, Demand, Part, break_even_share, timed
from baseload.planner.targets.demand import demand_of
from baseload.planner.targets.hybrid import Hybrid, Side
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.rented import Rented
from baseload.planner.targets.runpod import RunpodPod
from baseload.planner.targets.stack import account
from baseload.planner.targets.workers import mean_wait_s

BOOK = bundled()
D = Decimal
QUIET = Demand(requests_per_day=D(0))
DAILY = Demand(requests_per_day=D(1000), service_s=D("1.8"), cold_start_s=D(25))


def usd(bill: Bill) -> dict[str, str]:
    return {what: str(amount) for what, amount in bill.amounts.items()}


def find(row_id: str) -> Price:
    row = BOOK.get(row_id)
    assert row is not None
    return row


# ------------------------------------------------------------------------------------------------------------- names
def test_a_bare_lambda_is_asked_which_one() -> None:
    for name in ("lambda", "Lambda", "aws-lambda"):
        with pytest.raises(UsageError, match="target/ambiguous") as caught:
            named(name)
        assert "lambda-sagemaker" in str(caught.value)
        assert "lambda-cloud" in str(caught.value)
    with pytest.raises(UsageError, match="target/unknown"):
        named("mainframe")
    assert [named(name) for name in (*TARGETS, *COMPARED)] == [*TARGETS, *COMPARED]


def test_everyone_compared_has_rows() -> None:
    assert set(COMPARED) <= set(BOOK.providers())


# ------------------------------------------------------------------------------------------------- lambda-sagemaker
def test_an_instance_that_is_always_on() -> None:
    bill = price(LambdaSagemaker(instance="ml.g5.xlarge"), QUIET, BOOK)
    assert usd(bill) == {"always_on": "1027.84"}  # 730 × 1.408
    assert bill.monthly_usd == D("1027.84")
    four = price(LambdaSagemaker(instance="ml.g4dn.xlarge", instances_min=4, instances_max=4), QUIET, BOOK)
    assert usd(four) == {"always_on": "2150.29"}  # 4 × 730 × 0.7364 = 2150.288


def test_lambda_is_billed_while_it_waits() -> None:
    # A million calls of 5 s at 256 MB: 1,000,000 × 5 × 0.25 = 1,250,000 GB-s × 0.0000133334 = 16.67; requests 0.20.
    # 80 places: the mean wait rounds up to the next millisecond of the function, and is next to nothing.
    a_million = Demand(
        requests_per_day=D(1_000_000) * 24 / 730,
        service_s=D(5),
        concurrency=40,
        request_bytes=2000,
        response_bytes=8000,
    )
    target = LambdaSagemaker(instance="ml.g5.xlarge", front="http-api")
    bill = price(target, a_million, BOOK)
    amounts = usd(bill)
    assert amounts["lambda_requests"] == "0.20"
    assert amounts["lambda_waiting"] == "16.67"
    assert amounts["http_api"] == "1.00"  # one unit of 512 KB each, 1.00 per million
    assert amounts["data_in"] == "0.03"  # 2 GB × 0.016
    assert amounts["data_out"] == "0.13"  # 8 GB × 0.016
    assert bill.monthly_usd == D("1027.84") + D("18.03")
    assert {name: round(quantity, 6) for name, quantity in bill.shared.items()} == {"aws/egress/internet@us-east-1": 8}


def test_the_wait_for_a_place_is_billed_too() -> None:
    # M/M/1: 0.5 requests in service, mean wait ρS/(1−ρ) = 0.5 × 2 / 0.5 = 2 s; the function waits 2 + 2 = 4 s.
    busy = Demand(requests_per_day=D(21_600), service_s=D(2))
    bill = price(LambdaSagemaker(instance="ml.g6.xlarge", memory_mb=1024), busy, BOOK)
    (line,) = [line for line in bill.lines if line.what == "lambda_waiting"]
    assert line.quantity == D(657_000) * 4  # 21,600 × 730/24 requests × 4 s × 1 GB
    assert line.price.id == "aws/lambda/arm64@us-east-1#>=0"


def test_a_large_month_is_billed_in_steps() -> None:
    # x86: the first 6 billion GB-s, then 9 billion, then the rest; 10^9 requests a day × 1 s × 1 GB = 30.41667 billion.
    many = Demand(requests_per_day=D(10**9), service_s=D(1), concurrency=20_000)
    bill = price(LambdaSagemaker(instance="ml.g6.xlarge", memory_mb=1024, architecture="x86_64"), many, BOOK)
    lines = [line for line in bill.lines if line.what == "lambda_waiting"]
    assert [line.quantity for line in lines[:2]] == [6_000_000_000, 9_000_000_000]
    assert [str(line.amount_usd) for line in lines[:2]] == ["100000.20", "135000.00"]
    assert sum(line.quantity for line in lines) == pytest.approx(D(10**9) * 730 / 24)
    assert usd(bill)["lambda_requests"] == "6083.33"  # 30,416.666667 million × 0.20


def test_what_an_endpoint_behind_lambda_cannot_do() -> None:
    slow = Demand(requests_per_day=D(10), service_s=D(45), response_bytes=7_000_000)
    target = LambdaSagemaker(instance="ml.g5.xlarge", front="http-api", memory_mb=64, instances_max=0)
    refusals = " ".join(price(target, slow, BOOK).impossible)
    assert "an HTTP API must be answered within 30 s" in refusals
    assert "6 MB" in refusals
    assert "128 to 10,240 MB" in refusals
    assert "instances.max" in refusals
    slower = price(LambdaSagemaker(instance="ml.g5.xlarge"), replace(slow, service_s=D(61)), BOOK)
    assert "must answer within 60 s" in slower.impossible[0]


def test_scaling_to_zero_says_that_requests_fail_first() -> None:
    target = LambdaSagemaker(instance="ml.g5.xlarge", instances_min=0, front="http-api")
    bill = price(target, replace(DAILY, cold_start_s=D(330)), BOOK)
    assert any("every request fails" in text and "302 to 360 s" in text for text in bill.caveats)
    assert any("cannot wait" in text for text in bill.caveats)
    assert bill.monthly_usd is not None


def test_the_latency_chain_adds_up() -> None:
    # Without a front of its own the article's overheads: 1 to 3 s cold, 0.2 to 1 s invocation, so 1.2 to 4 s.
    demand = replace(DAILY, service_s=D("1.8"))
    bill = price(LambdaSagemaker(instance="ml.g5.xlarge", front="none"), demand, BOOK)
    low, high = bill.latency_s()
    wait = mean_wait_s(demand, 1)
    assert (low, high) == (D("0.05") + D("0.2") + D("1.8"), D("0.2") + D(3) + D(1) + wait + D("1.8"))
    overloaded = price(LambdaSagemaker(instance="ml.g5.xlarge"), replace(DAILY, requests_per_day=D(10**6)), BOOK)
    assert overloaded.latency_s()[1] is None
    assert any("more arrives" in text for text in overloaded.caveats)


# --------------------------------------------------------------------------------------------- sagemaker-serverless
def test_serverless_bills_the_duration_of_its_memory_size() -> None:
    # 1,000 a day × 1 s: 30,416.666667 s a month × 0.00012 = 3.65 (30 days: 3.60).
    demand = Demand(requests_per_day=D(1000), service_s=D(1))
    bill = price(SagemakerServerless(memory_mb=6144, max_concurrency=20), demand, BOOK)
    assert usd(bill) == {"busy": "3.65"}
    assert bill.impossible == ()
    small = price(SagemakerServerless(memory_mb=1024, max_concurrency=20), demand, BOOK)
    assert usd(small) == {"busy": "0.61"}  # × 0.00002 = 0.6083


def test_a_provisioned_slot_costs_all_month_and_less_while_it_serves() -> None:
    # 2 GB: a slot 2,628,000 s × 0.00001 = 26.28. Load 1: B(1, 1) = 1/2 of the requests find it taken, B(2, 1) = 1/5
    # find both slots taken and are throttled. 86,400 × 730/24 = 2,628,000 requests of 1 s a month.
    demand = Demand(requests_per_day=D(86_400), service_s=D(1))
    bill = price(SagemakerServerless(memory_mb=2048, max_concurrency=2, provisioned=1), demand, BOOK)
    assert usd(bill) == {
        "busy": "31.54",  # 2,628,000 × (0.5 − 0.2) × 0.00004 = 31.536
        "busy_on_provisioned": "30.62",  # 2,628,000 × 0.5 × 0.0000233 = 30.6162
        "provisioned": "26.28",
    }
    assert bill.refused_share == D("0.2")
    assert "20.00 % of the requests" in bill.caveats[0]


def test_throttled_requests_bring_no_data() -> None:
    demand = Demand(requests_per_day=D(86_400), service_s=D(1), response_bytes=10**6)
    bill = price(SagemakerServerless(memory_mb=2048, max_concurrency=1), demand, BOOK)
    (line,) = [line for line in bill.lines if line.what == "data_out"]
    assert line.quantity == 1314  # 2,628,000 × 1/2 × 1 MB


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gpu": "T4"}, "has no GPU"),
        ({"memory_mb": 8192}, "memory is one of 1024, 2048"),
        ({"max_concurrency": 1000}, "1 to 200, not 1000"),
        ({"max_concurrency": 0}, "1 to 200, not 0"),
        ({"provisioned": 30}, "0 to max_concurrency"),
        ({"model_gb": D(15)}, "does not fit the disk of 5 GB"),
        ({"model_gb": D("4.5"), "memory_mb": 4096}, "does not fit 4096 MB"),
        ({"vpc": True}, "VPC"),
    ],
)
def test_serverless_inference_says_what_it_cannot_do(change: dict[str, object], reason: str) -> None:
    target = replace(SagemakerServerless(memory_mb=6144, max_concurrency=20), **change)  # type: ignore[arg-type]
    (refusal,) = price(target, DAILY, BOOK).impossible
    assert reason in refusal


def test_serverless_inference_has_small_payloads_and_little_time() -> None:
    big = Demand(requests_per_day=D(1), service_s=D(90), request_bytes=5_000_000)
    refusals = price(SagemakerServerless(memory_mb=6144, max_concurrency=1), big, BOOK).impossible
    assert len(refusals) == 2


def test_without_a_service_time_the_serverless_bill_is_unknown() -> None:
    target = SagemakerServerless(memory_mb=2048, max_concurrency=2, provisioned=1)
    bill = price(target, Demand(requests_per_day=D(100)), BOOK)
    assert bill.unknown == ("performance.service_time",)
    assert bill.monthly_usd is None
    assert bill.at_least_usd == D("26.28")


# -------------------------------------------------------------------------------------------------------- runpod-pod
def test_a_pod_and_its_disks() -> None:
    pod = RunpodPod(gpu="NVIDIA L40S", disk_gb=50, volume_gb=100, network_volume_gb=1500)
    bill = price(pod, QUIET, BOOK)
    # 730 × 1.09; 50 × 0.10; 100 × 0.10; the network volume belongs to the account.
    assert usd(bill) == {"always_on": "795.70", "disk": "5.00", "volume": "10.00"}
    shared = account([bill], BOOK)
    assert [str(line.amount_usd) for line in shared.lines] == ["70.00", "25.00"]  # 1000 × 0.07 + 500 × 0.05


def test_a_pod_that_is_stopped_at_night_pays_for_its_volume_twice_as_much() -> None:
    pod = RunpodPod(
        gpu="NVIDIA H100 80GB HBM3", gpu_count=2, pods=2, tier="community", running_share=D("0.25"), volume_gb=100
    )
    bill = price(pod, QUIET, BOOK)
    assert usd(bill) == {
        "always_on": "1963.70",  # 4 GPUs × 182.5 h × 2.69
        "volume": "5.00",  # 2 × 100 × 0.25 × 0.10
        "volume_stopped": "30.00",  # 2 × 100 × 0.75 × 0.20
    }


def test_a_pod_without_a_price_is_unpriced_and_says_how_to_enter_one() -> None:
    bill = price(RunpodPod(gpu="NVIDIA RTX A6000"), QUIET, BOOK)
    assert bill.monthly_usd is None
    assert bill.unpriced == ("runpod/pod/NVIDIA RTX A6000",)
    assert "prices/runpod.csv beside Pulumi.yaml" in bill.how_to_price()[0]
    assert price(RunpodPod(gpu="NVIDIA L4", tier="spot", pods=0), QUIET, BOOK).impossible


# ------------------------------------------------------------------------------------------------------------- modal
ALWAYS_ON = Modal(gpu="H100", containers_min=1, containers_max=1, cores=D(8), memory_gib=D(64))


@pytest.mark.parametrize(
    ("region", "month"),
    # GPU 730 × 3.95 = 2883.50, CPU 5840 × 0.0473 = 276.23, memory 46,720 × 0.008 = 373.76; each × 1.15, × 1.75 and
    # then rounded: 5046.13 + 483.41 + 654.08.
    [(None, "3533.49"), ("broad", "4063.52"), ("narrow", "6183.62")],
)
def test_gpu_cpu_and_memory_of_a_container(region: str | None, month: str) -> None:
    bill = price(replace(ALWAYS_ON, region=region), QUIET, BOOK)
    assert bill.monthly_usd == D(month)


def test_one_container_that_scales_to_zero() -> None:
    # 20 requests a day of 300 s, start 180 s, window 300 s, one worker: cycle = off + start + busy + idle with
    # q = e^(−λτ); the same closed form as docs/cost-model.md, to the second.
    demand = Demand(requests_per_day=D(20), service_s=D(300), cold_start_s=D(180))
    bill = price(Modal(gpu="H100", scaledown_s=300, cores=D(0), memory_gib=D(0)), demand, BOOK)
    rate = 20 / 86_400
    gaps = math.expm1(rate * 300)
    serve = 300 / (1 - rate * 300)
    busy, idle = (1 + rate * 180) * serve + gaps * serve, gaps / rate
    starts = 2_628_000 / (1 / rate + 180 + busy + idle)
    expected = {"busy": starts * busy, "idle": starts * idle, "cold_start": starts * 180.5}
    assert {line.what: float(line.quantity) * 3600 for line in bill.lines} == pytest.approx(expected, abs=1)
    (busy_line,) = [line for line in bill.lines if line.what == "busy"]
    assert busy_line.amount_usd == (busy_line.quantity * D("3.95")).quantize(D("0.01"))
    assert float(busy_line.quantity) == pytest.approx(20 * 730 / 24 * 300 / 3600, abs=0.001)  # every request, once


def test_buffer_containers_are_idle_while_there_is_load() -> None:
    # 1 − e^(−λ(S + window)) of the month, λ = 1/60, S = 5, window 60: 1 − e^(−65/60) = 0.661535.
    demand = Demand(requests_per_day=D(1440), service_s=D(5), cold_start_s=D(10))
    bill = price(Modal(gpu="L4", buffer=2, containers_max=5), demand, BOOK)
    (line,) = [line for line in bill.lines if line.what == "buffer"]
    assert float(line.quantity) == pytest.approx(2 * 730 * 0.661535, rel=1e-5)


def test_modal_s_limits() -> None:
    def refusals(**change: object) -> str:
        return " ".join(price(replace(ALWAYS_ON, **change), QUIET, BOOK).impossible)  # type: ignore[arg-type]

    assert refusals() == ""
    assert "1 to 8 H100" in refusals(gpu_count=16)
    assert "1 to 4 A10" in refusals(gpu="A10", gpu_count=8)
    assert "preemptible" in refusals(nonpreemptible=True)
    assert "neither broad nor narrow" in refusals(region="mars")
    assert "2 to 3600 s" in refusals(scaledown_s=1)
    assert "`containers.max` 1" in refusals(containers_min=2, containers_max=1)
    assert refusals(containers_max=11) == ""  # on fewer GPUs than it asks for

    def quota(**change: object) -> list[str]:
        bill = price(replace(ALWAYS_ON, **change), QUIET, BOOK)  # type: ignore[arg-type]
        return [item.value for item in bill.assumptions if item.name == "gpu_quota"]

    assert quota(containers_max=11) == ["11 GPUs at the same time, the starter plan runs 10"]
    assert quota(containers_max=11, plan="team") == []


def test_a_cpu_container_that_must_not_be_interrupted_costs_three_times() -> None:
    target = Modal(gpu=None, containers_min=1, containers_max=1, cores=D(1), memory_gib=D(1), nonpreemptible=True)
    assert usd(price(target, QUIET, BOOK)) == {"always_on": "103.59", "memory": "17.52"}  # 730 × 0.1419, 730 × 0.024


def test_plan_fee_and_credit_count_once_for_the_workspace() -> None:
    l4 = price(Modal(gpu="L4", containers_min=1, containers_max=1, cores=D(0), memory_gib=D(0)), QUIET, BOOK)
    assert l4.monthly_usd == D("584.00")
    starter = account([l4, l4], BOOK, plans=["modal/starter"])
    assert usd(starter) == {"credit": "-30.00"}
    team = account([l4, l4], BOOK, plans=["modal/team"])
    assert usd(team) == {"plan_fee": "250.00", "credit": "-100.00"}
    assert account([], BOOK, plans=["modal/starter"]).lines == ()  # a credit is no income
    assert account([], BOOK, plans=["modal/imaginary"]).monthly_usd is None


def test_a_workspace_has_one_plan_and_its_allowance() -> None:
    """730 GB a month each. Team: 20 × 730 = 14,600 − 10,000 = 4,600 × 0.04; its fee and its credit, not Starter's."""
    chatty = Demand(requests_per_day=D(24_000), response_bytes=10**6, service_s=D(1), cold_start_s=D(1))
    bill = price(Modal(gpu="L40S"), chatty, BOOK)
    team = account([bill] * 20, BOOK, plans=["modal/team", "modal/starter"])
    assert usd(team) == {"egress_internet": "184.00", "plan_fee": "250.00", "credit": "-100.00"}
    assert usd(account([bill] * 20, BOOK, plans=["modal/starter"]))["egress_internet"] == "544.00"  # 13,600 × 0.04
    assert account([bill] * 10, BOOK, plans=["modal/team"]).amounts.get("egress_internet") is None


def test_a_credit_is_never_more_than_what_was_used() -> None:
    small = Modal(gpu="T4", containers_min=1, containers_max=1, cores=D(0), memory_gib=D(0))
    bill = price(small, QUIET, replace_month(D(10)))  # 10 h × 0.59 = 5.90
    credit = account([bill], BOOK, plans=["modal/starter"])
    assert bill.at_least_usd + credit.at_least_usd == 0


def replace_month(hours: Decimal):  # type: ignore[no-untyped-def]
    from baseload.planner.prices import PriceBook

    return PriceBook("short", BOOK.rows(), month_hours=hours)


def test_what_is_shared_meets_its_allowance_once() -> None:
    chatty = Demand(requests_per_day=D(24_000), response_bytes=10**6)  # 730 GB a month
    bill = price(Modal(gpu=None, volume_gib=D(600)), chatty, BOOK)
    assert usd(account([bill], BOOK)) == {}  # 1,000 GB and 1,024 GiB are free
    assert usd(account([bill, bill], BOOK)) == {
        "egress_internet": "18.40",  # 1,460 − 1,000 = 460 × 0.04
        "storage_volume": "15.84",  # 1,200 − 1,024 = 176 × 0.09
    }


# ------------------------------------------------------------------------------------------------------------ rented
def test_runpod_as_everybody_else_costs_what_its_own_plan_says() -> None:
    target = RunpodTarget(gpu="ADA_24", workers_max=3, idle_timeout_s=60)
    spec = ModelSpec(
        name="m",
        file=Path("m.yaml"),
        serves=Container(image="i"),
        traffic=Traffic(requests_per_day=D(1000)),
        performance=Performance(service_time_s=D("1.8"), cold_start_s=D(25)),
        limits=Limits(),
        target=target,
        digest="sha256:0",
    )
    same = Rented(
        provider="runpod", product="serverless", gpu="ADA_24", workers_max=3, idle_timeout_s=D(60), start_delay_s=D(4)
    )
    assert price(same, DAILY, BOOK).monthly_usd == cost_of(spec, BOOK).monthly_usd.expected


def spec_of(traffic: Traffic | None, **target: object) -> ModelSpec:
    return ModelSpec(
        name="m",
        file=Path("m.yaml"),
        serves=Container(image="i"),
        traffic=traffic,
        performance=Performance(service_time_s=D(2), cold_start_s=D(20)),
        limits=Limits(),
        target=RunpodTarget(**{"gpu": "ADA_24", "workers_max": 5, "idle_timeout_s": 60, **target}),  # type: ignore[arg-type]
        digest="sha256:0",
    )


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(requests_per_day=D(5000)),
        Traffic(requests_per_day=D(5000), curve=Curve.BUSINESS_WEEK),
        Traffic(requests_per_day=D(4120), hourly=(D(0),) * 8 + (D(400),) * 10 + (D(20),) * 6),
        Traffic(requests_per_day=D(2000), active_share=D("0.25")),
    ],
    ids=["constant", "business week", "hourly", "sessions"],
)
def test_a_spec_s_traffic_is_the_same_demand_for_every_target(traffic: Traffic) -> None:
    spec = spec_of(traffic)
    demand = demand_of(spec)
    assert demand is not None
    assert sum(part.share for part in demand.parts) == pytest.approx(1)
    asked = sum(part.share * part.requests_per_day for part in demand.parts)
    assert asked == pytest.approx(demand.requests_per_day, rel=D("1e-6"))
    same = Rented(
        provider="runpod", product="serverless", gpu="ADA_24", workers_max=5, idle_timeout_s=D(60), start_delay_s=D(4)
    )
    planned, here = cost_of(spec, BOOK).monthly_usd.expected, price(same, demand, BOOK).monthly_usd
    assert planned is not None
    assert here is not None
    assert float(here) == pytest.approx(float(planned), rel=0.02)  # the plan also counts changes from hour to hour
    twice = demand_of(spec, factor=D(2))
    assert twice is not None
    assert twice.requests_per_day == pytest.approx(2 * demand.requests_per_day)


def test_without_traffic_there_is_no_demand() -> None:
    assert demand_of(spec_of(None)) is None


def test_a_machine_that_never_stops() -> None:
    bill = price(Rented(provider="lambda-cloud", product="vm", gpu="gpu_8x_a100_80gb_sxm4"), DAILY, BOOK)
    assert usd(bill) == {"always_on": "16293.60"}  # 730 × 22.32, whatever the requests
    assert any("never stops" in text for text in bill.caveats)


def test_keep_warm_decides_sparse_traffic() -> None:
    # One request an hour on an H100 of a provider that keeps workers 1,800 s by default: about half the hour is billed.
    hourly = Demand(requests_per_day=D(24), service_s=D(1), cold_start_s=D(5))
    given_default = price(Rented(provider="cerebrium", product="serverless", gpu="HOPPER_H100"), hourly, BOOK)
    short = price(
        Rented(provider="cerebrium", product="serverless", gpu="HOPPER_H100", idle_timeout_s=D(10)), hourly, BOOK
    )
    assert given_default.amounts["idle"] > 100 * short.amounts["idle"]
    # Poisson gaps: the mean of min(gap, 1800 s) is (1 − e^(−1/2)) h = 0.39347 h of each idle hour.
    assert float(given_default.amounts["idle"]) == pytest.approx(730 * 0.39347 * 3.3984, rel=0.003)


def test_cpu_and_memory_are_extra_where_the_row_does_not_include_them() -> None:
    target = Rented(
        provider="beam", product="serverless", gpu="H100", workers_min=1, workers_max=1, cores=D(4), memory_gib=D(16)
    )
    assert usd(price(target, QUIET, BOOK)) == {
        "always_on": "2554.42",  # 2,628,000 × 0.000972 = 2554.416
        "cpu": "555.03",  # 10,512,000 × 0.0000528
        "memory": "235.47",  # 42,048,000 × 0.0000056
    }
    included = replace(target, provider="fal", gpu="GPU-H200")
    assert usd(price(included, QUIET, BOOK)) == {"always_on": "3285.00"}


def test_several_gpus_of_one_worker() -> None:
    two = Rented(provider="koyeb", product="instance", gpu="H100", gpu_count=2, workers_min=1, workers_max=1)
    assert usd(price(two, QUIET, BOOK)) == {"always_on": "3650.00"}  # 2 × 730 × 2.50
    machine = Rented(
        provider="replicate", product="deployment", gpu="gpu-a100-large-2x", gpu_count=2, workers_min=1, workers_max=1
    )
    assert usd(price(machine, QUIET, BOOK)) == {"always_on": "7358.40"}  # 2,628,000 × 0.0028: the price is for both


def test_when_a_worker_stops_is_unknown_so_is_the_month() -> None:
    target = Rented(provider="replicate", product="deployment", gpu="gpu-h100")
    bill = price(target, DAILY, BOOK)
    assert bill.unknown == ("idle_timeout",)
    assert bill.monthly_usd is None
    assert bill.at_least_usd > D(83)  # 30,416.67 × 1.8 s × 0.001525, and cold starts
    assert price(replace(target, idle_timeout_s=D(60)), DAILY, BOOK).monthly_usd is not None


def test_the_unpriced_says_so() -> None:
    for provider, product, gpu in (("premai", "contract", "any"), ("bentocloud", "deployment", "gpu.t4.1")):
        bill = price(Rented(provider=provider, product=product, gpu=gpu), DAILY, BOOK)
        assert bill.monthly_usd is None
        assert bill.unpriced == (f"{provider}/{product}/{gpu}",)
        assert f"prices/{provider}.csv" in bill.how_to_price()[0]


def test_nothing_runs_on_storage() -> None:
    with pytest.raises(UsageError, match="priced by gb-month"):
        price(Rented(provider="runpod", product="storage", gpu="container-disk"), DAILY, BOOK)


def own(gpu: str, unit: str, usd_: str, tier: str = "") -> Price:
    return Price(
        provider="mine",
        product="api",
        gpu=gpu,
        unit=unit,
        usd=D(usd_),
        tier=tier,
        read=date(2026, 11, 1),
        withdrawn=None,
        confidence="read",
        source="an offer",
        note="",
    )


def test_tokens_requests_and_months_are_billed_as_such() -> None:
    book = BOOK.with_rows(
        [
            own("llama", "million-tokens", "0.65", "input"),
            own("llama", "million-tokens", "2.75", "output"),
            own("flat", "million-tokens", "0.5"),
            own("call", "request", "0.002"),
            own("contract", "month", "5000"),
        ],
        "mine",
    )
    demand = Demand(requests_per_day=D(2400), prompt_tokens=D(1000), output_tokens=D(250))  # 73,000 requests a month

    def bill(gpu: str) -> Bill:
        return price(Rented(provider="mine", product="api", gpu=gpu), demand, book)

    assert usd(bill("llama")) == {"input_tokens": "47.45", "output_tokens": "50.19"}  # 73 × 0.65, 18.25 × 2.75
    assert usd(bill("flat")) == {"input_tokens": "36.50", "output_tokens": "9.13"}
    assert usd(bill("call")) == {"requests": "146.00"}
    assert usd(bill("contract")) == {"contract": "5000.00"}
    speechless = price(Rented(provider="mine", product="api", gpu="llama"), QUIET, book)
    assert speechless.unknown == ("traffic.tokens",)


# ------------------------------------------------------------------------------------------------------------ hybrid
POD = Side(provider="runpod", product="pod", gpu="NVIDIA L40S", tier="secure")
FLEX = Side(provider="runpod", product="serverless", gpu="ADA_48_PRO")


def test_a_base_for_steady_traffic_and_none_for_sparse() -> None:
    target = Hybrid(dedicated=POD, burst=FLEX, burst_max=5)
    sparse = Demand(requests_per_day=D(20), service_s=D(2), cold_start_s=D(20))
    steady = Demand(requests_per_day=D(86_400), service_s=D(2), cold_start_s=D(20))
    assert usd(price(target, sparse, BOOK)).keys() == {"burst_busy", "burst_idle", "burst_cold_start"}
    bill = price(target, steady, BOOK)
    base = bill.amounts["base"] / (730 * D("1.09"))
    assert base >= 2  # two requests in service on average: those replicas are never idle for long
    assert any("requests go to the base first" in item.value for item in bill.assumptions)


def test_the_base_and_the_burst_are_priced_by_hand() -> None:
    target = Hybrid(dedicated=POD, burst=FLEX, burst_max=3, base=2)
    bill = price(target, DAILY, BOOK)
    assert bill.amounts["base"] == D("1591.40")  # 2 × 730 × 1.09
    for line in bill.lines:
        assert line.amount_usd == (line.quantity * line.unit_price_usd).quantize(D("0.01"))


def test_a_schedule_of_the_base_is_a_base_of_its_own_in_each_part() -> None:
    """Two replicas in 50 of 168 hours, none at night: then all of it is the burst's."""
    share = D(50) / 168
    office, night = D(100_000), D(2_000)
    parts = (
        Part(share=share, requests_per_day=office, workers_min=2),
        Part(share=1 - share, requests_per_day=night, workers_min=0),
    )
    target = Hybrid(dedicated=POD, burst=FLEX, burst_max=5)
    known = Demand(requests_per_day=D(0), service_s=D(2), cold_start_s=D(20))
    bill = price(target, replace(known, requests_per_day=share * office + (1 - share) * night, parts=parts), BOOK)
    assert bill.base == 2
    assert bill.amounts["base"] == D("473.63")  # 2 × 730 × 50/168 = 434.523810 h × 1.09
    assert [pool.dedicated for _, pool in bill.pools] == [2, 0]
    assert {pool.workers_min for _, pool in bill.pools} == {0}
    by_day = price(replace(target, base=2), replace(known, requests_per_day=office), BOOK)
    by_night = price(replace(target, base=0), replace(known, requests_per_day=night), BOOK)
    for kind in ("burst_busy", "burst_idle", "burst_cold_start"):
        day, dark, both = (
            sum((line.quantity for line in each.lines if line.what == kind), D(0)) for each in (by_day, by_night, bill)
        )
        assert both == pytest.approx(share * day + (1 - share) * dark, abs=1)  # seconds, rounded once each
    seen = [
        (part.share, simulate(pool, requests=150_000, seed=f"office/{pool.dedicated}").billed)
        for part, (_, pool) in zip(parts, bill.pools, strict=True)
    ]
    billed_s = sum((line.quantity for line in bill.lines if line.what.startswith("burst_")), D(0))
    assert float(billed_s) == pytest.approx(sum(float(a) * b for a, b in seen) * 730 * 3600, rel=0.05)


def test_the_disks_of_a_base_of_pods_are_billed_running_and_stopped() -> None:
    """Two pods in 50 of 168 hours: 0.595238 run on average, 1.404762 are stopped, whose volume costs twice."""
    pod = RunpodPod(gpu="NVIDIA L40S", disk_gb=20, volume_gb=50, network_volume_gb=100)
    target = Hybrid(dedicated=POD, burst=FLEX, burst_max=5, beside=pod)
    share = D(50) / 168
    parts = (
        Part(share=share, requests_per_day=D(0), workers_min=2),
        Part(share=1 - share, requests_per_day=D(0), workers_min=0),
    )
    bill = price(target, Demand(requests_per_day=D(0), parts=parts), BOOK)
    assert usd(bill) == {
        "base": "473.63",
        "disk": "1.19",  # 0.595238 × 20 × 0.10
        "volume": "2.98",  # 0.595238 × 50 × 0.10
        "volume_stopped": "14.05",  # 1.404762 × 50 × 0.20
    }
    assert usd(account([bill], BOOK)) == {"storage_network_volume": "7.00"}
    none = price(replace(target, base=0), DAILY, BOOK)
    assert (none.shared, {"disk", "volume"} & none.amounts.keys()) == ({}, set())
    told = {item.name for item in price(replace(target, base=1, beside=RunpodPod(gpu="x")), DAILY, BOOK).assumptions}
    assert {"disk", "router"} <= told


def test_the_function_before_a_base_on_sagemaker_is_billed_for_what_finds_room_there() -> None:
    """One place, one request in service on average: Erlang B is 1/2, so half of 2,628,000 requests pass the base."""
    one = LambdaSagemaker(instance="ml.g5.xlarge", front="http-api")
    side = Side(provider="aws", product="sagemaker-realtime", gpu="ml.g5.xlarge", region="us-east-1")
    target = Hybrid(dedicated=side, burst=FLEX, burst_max=9, base=1, beside=one)
    demand = Demand(
        requests_per_day=D(86_400), service_s=D(1), cold_start_s=D(20), request_bytes=10**6, response_bytes=10**5
    )
    bill = price(target, demand, BOOK)
    told = {what: str(amount) for what, amount in bill.amounts.items() if not what.startswith("burst_")}
    assert told == {
        "base": str((bill.lines[0].unit_price_usd * 730).quantize(D("0.01"))),
        "lambda_requests": "0.26",  # 1.314 million × 0.20
        "lambda_waiting": "4.38",  # 1,314,000 × 1 s × 0.25 GB × 0.0000133334
        "http_api": "3.94",  # 1.1 MB are three units of 512 KB: 3.942 million × 1.00
        "data_in": "21.02",  # 1,314 GB × 0.016
        "data_out": "2.10",  # 131.4 GB × 0.016
    }
    # One request in service on average: what the base serves at a time is its share of all. More than finds room there
    # where requests wait for the burst: whoever is free first takes them.
    pool = bill.pools[0][1]
    slow, at_once = (simulate(replace(pool, cold_start_s=cold), requests=100_000, seed="room") for cold in (20, 0))
    assert at_once.dedicated_busy == pytest.approx(0.5, rel=0.02)
    assert 0.5 < slow.dedicated_busy < 0.65
    router = next(item for item in bill.assumptions if item.name == "router")
    assert "would be $9.29 a month" in router.source  # 2.628 × 0.20 + 2,628,000 × 0.25 × 0.0000133334
    asleep = replace(demand, parts=(Part(share=D(1), requests_per_day=D(86_400), workers_min=0),))
    assert price(target, asleep, BOOK).amounts.keys() == {"burst_busy", "burst_idle", "burst_cold_start"}


@given(
    per_day=st.integers(10, 400_000),
    service=st.sampled_from(["0.5", "2", "10"]),
    cold=st.sampled_from(["5", "60"]),
    concurrency=st.sampled_from([1, 4]),
)
def test_no_base_is_cheaper_than_the_chosen_one(per_day: int, service: str, cold: str, concurrency: int) -> None:
    demand = Demand(requests_per_day=D(per_day), service_s=D(service), cold_start_s=D(cold), concurrency=concurrency)
    target = Hybrid(dedicated=POD, burst=FLEX, burst_max=4)
    best = price(target, demand, BOOK)
    assert not best.impossible
    busy = per_day * float(service) / 86_400 / concurrency
    for base in range(max(int(busy) + 1 - 4, 0), int(busy + 5 * busy**0.5) + 3):
        other = price(replace(target, base=base), demand, BOOK)
        # 0.5 %: the levels of the pool are an approximation, and not convex to the last digit.
        assert other.impossible or best.at_least_usd <= other.at_least_usd * D("1.005")


@pytest.mark.parametrize("per_day", [500, 20_000, 150_000, 600_000])
def test_the_base_chosen_in_dollars_is_the_one_chosen_in_workers(per_day: int) -> None:
    demand = Demand(requests_per_day=D(per_day), service_s=D(2), cold_start_s=D(20))
    target = Hybrid(dedicated=POD, burst=FLEX, burst_max=40)
    pool = Pool(
        arrivals_per_s=per_day / 86_400, service_s=2, cold_start_s=20, idle_timeout_s=5, workers_max=40, dedicated=0
    )
    ratio = 1.09 / (0.00053 * 3600)
    found = best_base([(1.0, pool)], ratio)
    bill = price(target, demand, BOOK)
    here = bill.amounts.get("base", D(0)) / (730 * D("1.09"))
    # Ours counts half a second more per start: the two may choose neighbours, whose bills are as good as equal.
    assert abs(int(here) - found.replicas) <= 1
    assert found.costs[int(here)] <= found.costs[found.replicas] * 1.005


def test_a_hybrid_of_what_has_no_price_is_refused() -> None:
    target = Hybrid(dedicated=replace(POD, gpu="NVIDIA RTX A6000"), burst=FLEX, burst_max=1)
    with pytest.raises(UsageError, match="prices/unpriced"):
        price(target, DAILY, BOOK)
    with pytest.raises(UsageError, match="hybrid/figures"):
        price(Hybrid(dedicated=POD, burst=FLEX, burst_max=1), Demand(requests_per_day=D(10)), BOOK)
    given_base = price(replace(target, base=1), DAILY, BOOK)
    assert given_base.monthly_usd is None
    assert given_base.unpriced == ("runpod/pod/NVIDIA RTX A6000",)


# -------------------------------------------------------------------------------------------------- schedules, general
def test_minimum_workers_in_office_hours_only() -> None:
    # 50 of 168 hours with one worker always on; no traffic at all, so nothing else is billed.
    share = D(50) / 168
    office = Demand(
        requests_per_day=D(0),
        parts=(
            Part(share=share, requests_per_day=D(0), workers_min=1),
            Part(share=1 - share, requests_per_day=D(0), workers_min=0),
        ),
    )
    bill = price(Rented(provider="runpod", product="serverless", gpu="AMPERE_24"), office, BOOK)
    assert usd(bill) == {"always_on": "148.61"}  # 2,628,000 × 50/168 = 782,143 s × 0.00019
    containers = price(Modal(gpu="L4", cores=D(0), memory_gib=D(0)), office, BOOK)
    assert usd(containers) == {"always_on": "173.81"}  # 217.261944 h × 0.80


def test_break_even_is_the_ratio_of_the_hours() -> None:
    flex, community, secure = (
        find("runpod/serverless/ADA_80_PRO"),
        find("runpod/pod/NVIDIA H100 80GB HBM3#community"),
        find("runpod/pod/NVIDIA H100 80GB HBM3#secure"),
    )
    shares = [break_even_share(pod, flex) for pod in (community, secure)]
    assert [f"{share:.2f}" for share in shares if share] == ["0.64", "0.96"]  # 2.69 / 4.176, 3.99 / 4.176
    assert break_even_share(find("premai/contract/any"), flex) is None


def test_a_price_that_is_not_for_a_time_is_not_multiplied_by_one() -> None:
    with pytest.raises(ValueError, match="not by time"):
        timed("x", find("aws/lambda/requests@us-east-1"), D(3600))


def test_known_loss_and_wait_probabilities() -> None:
    assert refused_share(1, 1.0) == pytest.approx(1 / 2)
    assert refused_share(2, 1.0) == pytest.approx(1 / 5)
    assert refused_share(5, 3.0) == pytest.approx(0.1100543)
    assert refused_share(200, 0.001) == 0
    assert refused_share(200, 700_000) == pytest.approx(1 - 200 / 700_000, rel=1e-6)
    # M/M/2, load 1: Erlang C = 1/3, mean wait = 1/3 × S / (2 − 1).
    two = Demand(requests_per_day=D(86_400), service_s=D(1))
    assert mean_wait_s(two, 2) == D("0.333333")
    assert mean_wait_s(replace(two, service_cv=D(0)), 2) == D("0.166667")
    assert mean_wait_s(two, 1) is None
    # in overload at most as long as is said: 0.333333 is less than 0.5, on one place everyone waits that long
    assert mean_wait_s(two, 2, longest_s=D("0.5")) == D("0.333333")
    assert mean_wait_s(two, 1, longest_s=D("0.5")) == D("0.5")


def test_target_tracking_keeps_more_instances_on_than_the_rule_by_need() -> None:
    """What the assumption `scaling` says of a load of 0.8 on one of at most three instances."""
    by_need = Pool(
        arrivals_per_s=0.8 / 1.8,
        service_s=1.8,
        cold_start_s=300,
        start_delay_s=180,
        idle_timeout_s=900,
        workers_min=1,
        workers_max=3,
    )
    tracked = replace(by_need, start_delay_s=0, tracking=TargetTracking(target=0.7, out_cooldown_s=300))
    assert simulate(by_need, requests=60_000, seed=3).billed == pytest.approx(1, abs=0.05)
    assert simulate(tracked, requests=60_000, seed=3).billed == pytest.approx(2.7, abs=0.1)
    scaled = price(LambdaSagemaker(instance="ml.g5.xlarge", instances_max=3), DAILY, BOOK)
    assert "kept 2.7 of 3 on" in next(item.errs or "" for item in scaled.assumptions if item.name == "scaling")


def test_bursts_are_refused_and_wait_as_gamma_gaps_have_it() -> None:
    """Gaps of cv 2 have the transform φ(s) = (1 + 4 s/λ)^(−1/4). One place, λ = 0.5, S = 1: 9^(−1/4) = 0.577350 of the
    requests find it taken and are sent away; with a queue σ = (1 + 8(1 − σ))^(−1/4), σ = 0.770697, so many wait, for
    1/(1 − σ) = 4.361 service times in the mean."""
    assert refused_share(1, 0.5, 2.0) == pytest.approx(9**-0.25)
    found = waiting(1, 0.5, 2.0)
    assert found.share == pytest.approx((1 + 8 * (1 - found.share)) ** -0.25) == pytest.approx(0.770697, abs=1e-6)
    assert found.mean == pytest.approx(1 / (1 - found.share))
    bursty = Demand(requests_per_day=D(43_200), service_s=D(1), arrivals_cv=D(2))
    assert float(mean_wait_s(bursty, 1) or 0) == pytest.approx(found.share * found.mean, abs=1e-6)
    # several places, against a simulation of the same rules; without bursts Erlang's formulas
    for places, load in ((8, 4.0), (2, 1.0)):
        fleet = Pool(arrivals_per_s=load, service_s=1, concurrency=places, workers_min=1, workers_max=1, arrivals_cv=2)
        drawn = Arrivals.constant(load, cv=2)
        seen, one = simulate(fleet, drawn, requests=60_000), waiting(places, load, 2.0)
        assert one.share == pytest.approx(seen.waited_share, rel=0.1)
        assert latency(fleet).p95_s == pytest.approx(seen.latency_s.p95, rel=0.05)
        lossy = replace(fleet, rejects_at_cap=True)
        assert refused_share(places, load, 2.0) == pytest.approx(
            simulate(lossy, drawn, requests=60_000).refused_share, rel=0.05
        )


EVERYTHING = [
    LambdaSagemaker(instance="ml.g5.xlarge", instances_min=0, instances_max=3, front="http-api"),
    SagemakerServerless(memory_mb=4096, max_concurrency=5, provisioned=2),
    RunpodPod(gpu="NVIDIA L4", volume_gb=10, running_share=D("0.5")),
    Modal(gpu="L4", containers_max=4, buffer=1, region="narrow"),
    Rented(provider="cerebrium", product="serverless", gpu="ADA_L4", workers_max=4, cores=D(2), memory_gib=D(8)),
    Hybrid(dedicated=POD, burst=FLEX, burst_max=2, base=1),
]


@pytest.mark.parametrize("target", EVERYTHING, ids=lambda target: type(target).__name__)
@given(
    per_day=st.sampled_from([0, 1, 1000, 10**6, 10**9]),
    service=st.sampled_from([None, "0", "0.001", "2", "3600"]),
    cold=st.sampled_from([None, "0", "90"]),
)
def test_whatever_comes_no_line_is_negative_and_each_is_its_product(
    target: object, per_day: int, service: str | None, cold: str | None
) -> None:
    demand = Demand(
        requests_per_day=D(per_day),
        service_s=None if service is None else D(service),
        cold_start_s=None if cold is None else D(cold),
        response_bytes=1000,
    )
    bill = price(target, demand, BOOK)  # type: ignore[arg-type]
    for line in bill.lines:
        assert line.quantity > 0
        assert line.amount_usd.is_finite()
        assert line.amount_usd == (line.quantity * line.unit_price_usd).quantize(D("0.01"), "ROUND_HALF_UP")
    assert bill.at_least_usd == sum((line.amount_usd for line in bill.lines), D(0))
    assert 0 <= bill.refused_share <= 1
    if per_day and service is None and not isinstance(target, RunpodPod):
        assert bill.monthly_usd is None
