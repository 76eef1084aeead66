"""Two articles' figures, one by one: from their own inputs the planner reproduces what is right and says what is not.

A row is a test case here, or it stands in `NOT_NUMBERS` with what it is instead. The inputs are the price books
`seed-s1` and `seed-s2`: months of 720 hours, execution time only. docs/seeds.md tells the result in words.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from baseload.planner.cost import SEED, Cost, cost_of
from baseload.planner.errors import UsageError
from baseload.planner.performance.cards import CARDS
from baseload.planner.performance.gpus import POOLS
from baseload.planner.performance.memory import BYTES_PER_WEIGHT, fit
from baseload.planner.prices import Price, PriceBook, book, bundled
from baseload.planner.spec.model import (
    Batch,
    Limits,
    Model,
    ModelSpec,
    Performance,
    Precision,
    RunpodMode,
    RunpodTarget,
    Traffic,
)
from baseload.planner.targets import named, price
from baseload.planner.targets.aws import (
    LAMBDA_LONGEST_S,
    SERVERLESS_CONCURRENCY,
    SERVERLESS_MEMORY_MB,
    LambdaSagemaker,
    SagemakerServerless,
)
from baseload.planner.targets.bill import Demand, break_even_share, timed, usage
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.rented import Rented
from baseload.planner.targets.runpod import RunpodPod
from baseload.planner.targets.workers import mean_wait_s

GOLDEN = Path(__file__).parents[3] / "shared" / "data" / "seed_golden.csv"
D = Decimal
S1, S2, TODAY = book("seed-s1"), book("seed-s2"), bundled()
DAYS = S1.month_hours / 24
"""30."""

NOT_NUMBERS = {
    **dict.fromkeys(("S1-fact-01", "S1-faq-01"), "holds: AWS Lambda functions have no GPU"),
    "S1-arch-01": "a pattern: a function calls an endpoint and waits; priced as lambda-sagemaker",
    "S1-claim-01": "contradicted by the article's own cold starts; only workers that are always on have none",
    "S1-meta-01": "dated 2025, tells facts of 2026: every price row carries its own day",
    "S1-fact-04": "not confirmed; private models and deployments are billed while idle",
    "S1-fact-06": "wrong: custom models run on Replicate",
    "S1-fact-07": "holds, as a description",
    "S1-code-01": "code: no such names in the current SDK",
    "S1-code-02": "code: never starts the worker",
    "S1-code-03": "code: a version id that was not confirmed",
    **dict.fromkeys(
        ("S1-lat-02", "S1-lat-03", "S1-lat-05", "S1-lat-06", "S1-lat-07", "S1-lat-08", "S1-faq-02"),
        "latencies of vendors, not confirmed and not computable: measure them",
    ),
    **dict.fromkeys(("S1-rule-05", "S1-rule-07", "S1-rule-09"), "a rule of thumb without a figure to test"),
    **dict.fromkeys(("S2-head-01", "S2-tree-00", "S2-tree-01", "S2-start-01"), "a summary of rows below"),
    **dict.fromkeys(("S2-rule-03", "S2-rule-04", "S2-rule-05"), "a rule; its figures are S2-rule-01 and S2-rule-02"),
    **dict.fromkeys(("S2-fact-07", "S2-lat-04", "S2-fact-06"), "a vendor's claim"),
    **dict.fromkeys(("S2-lat-01", "S2-lat-03", "S2-model-01"), "measured by somebody, not confirmed"),
    "S2-limit-02": "holds for some calls of RunPod's API; a limit, no cost",
    **dict.fromkeys(("S2-code-01", "S2-code-02"), "code: not as the current SDK has it"),
    "S2-fact-01": "holds for definitions, not for clients",
    "S2-fact-02": "wrong: any registry image runs on Modal",
    "S2-fact-03": "holds: Lambda's cloud has no serverless product",
    "S2-fact-05": "incomplete: others certify too",
    "S2-fact-08": "holds: priced as machines that never stop",
    **dict.fromkeys(("S2-cold-fix-01", "S2-cold-fix-02"), "remedies; the fields have other names"),
    "S2-claim-01": "not quantified; ops_cost_per_month is for it",
    "S2-pat-01": "a pattern; priced as hybrid",
    **dict.fromkeys(("S2-faq-02", "S2-faq-03", "S2-faq-04", "S2-faq-05", "S2-faq-01"), "repeats other rows"),
}

TESTED: set[str] = set()
Test = TypeVar("Test", bound=Callable[..., None])


def seeds(*ids: str) -> Callable[[Test], Test]:
    """The rows that a test is about."""
    TESTED.update(ids)
    return lambda function: function


def row(of: PriceBook, row_id: str) -> Price:
    found = of.get(row_id)
    assert found is not None, row_id
    assert found.usd is not None, row_id
    return found


def hourly(of: PriceBook, row_id: str) -> Decimal:
    found = row(of, row_id).usd_per_hour
    assert found is not None
    return found


def per_day(of: PriceBook, row_id: str, requests: int, seconds: str = "1") -> Decimal:
    return usage(row(of, row_id), D(requests), D(seconds)).exact_usd


def per_month(of: PriceBook, row_id: str, requests: int, seconds: str = "1") -> Decimal:
    return usage(row(of, row_id), requests * DAYS, D(seconds)).exact_usd


def rounds_to(figure: Decimal, printed: str) -> bool:
    """Whether it is the printed figure, to the digits that were printed."""
    return figure.quantize(D(printed), ROUND_HALF_UP) == D(printed)


SERVERLESS, GATEWAY = "aws/sagemaker-serverless/inference", "aws/lambda/requests"
T4, RTX4090, A100, H100 = (f"runpod/serverless/{gpu}" for gpu in ("T4", "RTX4090", "A100", "H100"))
MODAL = "modal/serverless/any"
LOW, HIGH = "low", "high"
FAST, SLOW = "replicate/model/mistral-7b", "replicate/model/llama2-70b"


class Case(NamedTuple):
    """A figure of an article, and what comes out of its own inputs."""

    id: str
    ours: Decimal
    printed: str
    right: bool
    expected: str
    """Our figure, written down: the two are held against each other whether or not the article is right."""


def right(row_id: str, ours: Decimal, printed: str, expected: str | None = None) -> Case:
    return Case(row_id, ours, printed, True, expected or printed)


def wrong(row_id: str, ours: Decimal, printed: str, expected: str) -> Case:
    return Case(row_id, ours, printed, False, expected)


CASES = [
    # ----------------------------------------------------------------------------- first article: limits and prices
    right("S1-limit-01", D(LAMBDA_LONGEST_S) / 60, "15"),
    wrong("S1-price-01", hourly(TODAY, "aws/sagemaker-realtime/ml.g4dn.xlarge@us-east-1"), "0.90", "0.7364"),
    wrong("S1-price-02", per_day(TODAY, "aws/sagemaker-serverless/6144MB@us-east-1", 1), "0.00347", "0.00012"),
    wrong("S1-price-02", hourly(S1, SERVERLESS), "0.432", "12.492"),
    right("S1-price-04", D(row(TODAY, f"{GATEWAY}@us-east-1").usd or 0), "0.20"),
    wrong("S1-limit-02", D(SERVERLESS_CONCURRENCY), "1000", "200"),
    wrong("S1-fact-03", D(row(TODAY, "runpod/serverless/ADA_24").increment_s or 0), "60", "1"),
    wrong("S1-lat-04", D(row(TODAY, "runpod/serverless/ADA_24").keep_warm_s or 0), "300", "5"),
    wrong("S1-limit-04", RunpodTarget(gpu="ADA_24").execution_timeout_s, "900", "600"),
    wrong("S1-price-06", hourly(TODAY, "runpod/serverless/AMPERE_16"), "0.021", "0.576"),
    wrong("S1-price-07", hourly(TODAY, "runpod/serverless/ADA_24"), "0.1704", "1.116"),
    wrong("S1-price-08", hourly(TODAY, "runpod/serverless/AMPERE_80"), "0.4752", "2.736"),
    wrong("S1-price-09", hourly(TODAY, "runpod/serverless/ADA_80_PRO"), "1.074", "4.176"),
    wrong("S1-price-12", hourly(TODAY, "modal/serverless/T4"), "0.10", "0.59"),
    wrong("S1-price-12", hourly(TODAY, "modal/serverless/H100"), "0.10", "3.95"),
    # -------------------------------------------------------------------------------- first article: worked examples
    right("S1-cost-01", timed("x", row(S1, "aws/sagemaker-realtime/ml.g4dn.xlarge"), 720 * D(3600)).exact_usd, "648"),
    right("S1-cost-02", per_day(S1, SERVERLESS, 1), "0.00347"),
    wrong("S1-cost-03", per_day(S1, GATEWAY, 100), "0.0000002", "0.0000200"),
    right("S1-cost-04", per_day(S1, SERVERLESS, 1000), "3.47"),
    right("S1-cost-04", per_month(S1, SERVERLESS, 1000), "104", "104.10"),
    right("S1-cost-06", per_day(S1, T4, 1000, "0.1"), "0.00058", "0.000583"),
    wrong("S1-cost-08", per_month(S1, A100, 1000, "0.1"), "0.48", "0.396"),
    wrong("S1-cost-08", per_month(S1, A100, 1000, "0.05"), "0.48", "0.198"),
    wrong("S1-cost-08", per_month(S1, A100, 1000, "0.04"), "0.48", "0.1584"),
    right("S1-cost-09", per_day(S1, MODAL, 1000, "0.1"), "0.00278", "0.002778"),
    right("S1-cost-09", per_month(S1, MODAL, 1000, "0.1"), "0.08", "0.0833"),
    wrong("S1-cost-10", per_month(S1, MODAL, 100_000, "0.1"), "80", "8.33"),
    wrong("S1-cost-12", per_month(S1, SERVERLESS, 1000, "0.1"), "104", "10.41"),
    right("S1-cost-13", per_month(S1, f"{FAST}#{LOW}", 1000), "30"),
    right("S1-cost-13", per_month(S1, f"{FAST}#{HIGH}", 1000), "60"),
    right("S1-cost-14", per_day(S1, MODAL, 1000, "0.1"), "0.0028"),
    right("S1-cost-14", per_month(S1, MODAL, 1000, "0.1"), "0.08"),
    wrong("S1-cost-16", per_day(S1, SERVERLESS, 1), "3.47", "0.00347"),
    wrong("S1-cost-17", per_month(S1, SERVERLESS, 100_000), "104100", "10410"),
    wrong("S1-cost-18", per_day(S1, T4, 1), "0.0025", "0.00000583"),
    wrong("S1-cost-19", per_month(S1, T4, 100_000), "250", "17.50"),
    wrong("S1-cost-20", per_day(S1, H100, 1), "0.0179", "0.000298"),
    wrong("S1-cost-21", per_month(S1, H100, 100_000), "1790", "895.00"),
    wrong("S1-cost-22", per_month(S1, f"{SLOW}#{LOW}", 100_000), "500", "15000"),
    wrong("S1-cost-22", per_month(S1, f"{SLOW}#{HIGH}", 100_000), "1000", "30000"),
    wrong("S1-cost-23", per_month(S1, MODAL, 100_000), "8", "83.33"),
    right("S1-cost-24", per_day(S1, "runpod/dedicated/H100", 86_400), "64.32"),
    wrong("S1-cost-26", per_month(S1, SERVERLESS, 1_000_000), "150000", "104100"),
    wrong("S1-cost-26", per_month(S1, SERVERLESS, 1_000_000, "0.1"), "150000", "10410"),
    wrong("S1-cost-27", per_month(S1, f"{FAST}#{LOW}", 1_000_000), "2500", "30000"),
    # ---------------------------------------------------------------------------- second article: prices and examples
    right("S2-price-01", hourly(S2, "runpod/serverless/H100#flex"), "97.92"),
    wrong("S2-price-01", hourly(TODAY, "runpod/serverless/ADA_80_PRO"), "97.92", "4.176"),
    right("S2-price-02", hourly(S2, "runpod/serverless/A100-80GB#flex"), "68.40"),
    wrong("S2-price-02", hourly(TODAY, "runpod/serverless/AMPERE_80"), "68.40", "2.736"),
    right("S2-price-03", hourly(S2, "runpod/serverless/RTX4090#flex"), "24.84"),
    wrong("S2-price-03", hourly(TODAY, "runpod/serverless/ADA_24"), "24.84", "1.116"),
    right("S2-price-06", hourly(S2, "modal/serverless/H100"), "3.95", "3.9492"),
    right("S2-price-06", hourly(TODAY, "modal/serverless/H100"), "3.95"),
    right("S2-price-07", hourly(S2, "modal/serverless/A100-80GB"), "2.50", "2.4984"),
    right("S2-price-07", hourly(TODAY, "modal/serverless/A100-80GB"), "2.50"),
    right("S2-price-08", hourly(S2, "modal/serverless/L40S"), "1.95", "1.9512"),
    right("S2-price-08", hourly(TODAY, "modal/serverless/L40S"), "1.95"),
    right("S2-price-11", D(row(TODAY, "modal/credit/starter").usd or 0), "30"),
    wrong("S2-price-12", hourly(TODAY, "lambda-cloud/vm/gpu_1x_h100_sxm5"), "3.29", "4.29"),
    wrong("S2-price-13", hourly(TODAY, "lambda-cloud/vm/gpu_8x_a100_80gb_sxm4") / 8, "1.39", "2.79"),
    wrong("S2-fact-04", D(row(TODAY, "lambda-cloud/vm/gpu_1x_h100_sxm5").increment_s or 0), "1", "60"),
    wrong("S2-limit-03", D(row(TODAY, "runpod/serverless/ADA_24").keep_warm_s or 0), "60", "5"),
    wrong("S2-limit-01", RunpodTarget(gpu="ADA_24").execution_timeout_s, "90", "600"),
    right("S2-cost-02", per_day(S2, "replicate/deployment/A100-80GB", 1, "5"), "0.007", "0.0070"),
    right("S2-cost-03", per_day(S2, "runpod/serverless/A100-80GB#active", 1, "5"), "0.067", "0.0665"),
    right("S2-cost-04", per_day(S2, "runpod/serverless/A100-80GB#flex", 1, "5"), "0.095", "0.0950"),
    right("S2-cost-05", per_day(S2, "lambda-cloud/vm/A100-80GB", 1, "5"), "0.002", "0.00193"),
    right("S2-cost-06", hourly(S2, "lambda-cloud/vm/A100-80GB") * S2.month_hours, "1000.80"),
    wrong("S2-cost-06", D("2.79") * TODAY.month_hours, "1000.80", "2036.70"),
]
TESTED.update(case.id for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.id}: {case.expected} for {case.printed}")
def test_our_figure_is_the_one_written_down_and_theirs_where_they_are_right(case: Case) -> None:
    assert rounds_to(case.ours, case.expected)
    assert rounds_to(case.ours, case.printed) is case.right


# --------------------------------------------------------------------------------------- how wrong, and by which slip
SLIPS = [
    # row, ours, printed, how many times too high or low
    ("S1-cost-03", per_day(S1, GATEWAY, 100), "0.0000002", "100", "one request instead of a hundred"),
    ("S1-cost-10", per_month(S1, MODAL, 100_000, "0.1"), "80", "10", "near the bill of a request of 1 s, 83.33"),
    ("S1-cost-12", per_month(S1, SERVERLESS, 1000, "0.1"), "104", "10", "the bill of requests of 1 s"),
    ("S1-cost-16", per_day(S1, SERVERLESS, 1), "3.47", "1000", "a thousand requests"),
    ("S1-cost-17", per_month(S1, SERVERLESS, 100_000), "104100", "10", "a million a day"),
    ("S1-cost-18", per_day(S1, T4, 1), "0.0025", "429", "no slip found"),
    ("S1-cost-19", per_month(S1, T4, 100_000), "250", "14", "a day printed as a month"),
    ("S1-cost-20", per_day(S1, H100, 1), "0.0179", "60", "the price of a minute for a second"),
    ("S1-cost-21", per_month(S1, H100, 100_000), "1790", "2", "60 times too high, and a day for a month"),
    ("S1-cost-22", per_month(S1, f"{SLOW}#{LOW}", 100_000), "500", "30", "a day for a month"),
    ("S1-cost-23", per_month(S1, MODAL, 100_000), "8", "10", "changed places with S1-cost-10"),
    ("S1-cost-27", per_month(S1, f"{FAST}#{LOW}", 1_000_000), "2500", "12", "no slip found"),
    ("S1-price-06", hourly(TODAY, "runpod/serverless/AMPERE_16"), "0.021", "27", "no such price"),
    ("S1-price-12", hourly(TODAY, "modal/serverless/H100"), "0.10", "40", "no such price"),
    ("S1-price-02", hourly(TODAY, "aws/sagemaker-serverless/6144MB@us-east-1"), "12.492", "29", "no such price"),
    ("S2-price-01", hourly(TODAY, "runpod/serverless/ADA_80_PRO"), "97.92", "23", "no such price"),
    ("S2-price-02", hourly(TODAY, "runpod/serverless/AMPERE_80"), "68.40", "25", "no such price"),
    ("S2-price-03", hourly(TODAY, "runpod/serverless/ADA_24"), "24.84", "22", "no such price"),
]


@pytest.mark.parametrize(("row_id", "ours", "printed", "times", "slip"), SLIPS, ids=[slip[0] for slip in SLIPS])
def test_how_many_times_the_printed_figure_is_off(
    row_id: str, ours: Decimal, printed: str, times: str, slip: str
) -> None:
    assert slip
    assert row_id in TESTED
    assert rounds_to(max(ours / D(printed), D(printed) / ours), times)


# -------------------------------------------------------------------------------------------- rows of several figures
@seeds("S1-price-03", "S1-price-05", "S1-cost-05")
def test_meters_that_do_not_exist_or_are_named_wrongly() -> None:
    slot = row(TODAY, "aws/sagemaker-serverless-provisioned/2048MB@us-east-1#slot")
    assert slot.usd == D("0.00001")  # 0.000005 per GB and second of a slot, not 0.0000075 per GB and second of use
    assert slot.usd / 2 != row(S1, "aws/sagemaker-serverless/throughput").usd
    compute = row(S1, "aws/lambda/compute")
    assert compute.unit == "gb-second"  # printed as per second, which is the same at 1 GB only
    assert rounds_to(D(row(TODAY, "aws/lambda/x86_64@us-east-1#>=0").usd or 0), "0.00001667")
    # "Includes throughput" does not: 6 GB × 1,000 s a day × 30 are 1.35 more than the printed month.
    throughput = timed("x", row(S1, "aws/sagemaker-serverless/throughput"), 6 * 1000 * DAYS).exact_usd
    assert throughput == D("1.35")
    assert per_month(S1, SERVERLESS, 1000) + throughput == D("105.45")


@seeds("S1-lat-01")
def test_the_overheads_of_lambda_and_sagemaker_leave_this_for_inference() -> None:
    # 1 to 3 s and 0.2 to 1 s of a total of 2 to 10 s.
    bill = price(LambdaSagemaker(instance="ml.g5.xlarge"), Demand(requests_per_day=D(0), service_s=D(0)), TODAY)
    stages = {stage.name: stage for stage in bill.latency}
    function, call = stages["Lambda"], stages["endpoint invocation"]
    assert function.high_s is not None
    assert call.low_s is not None
    assert call.high_s is not None
    low, high = 1 + call.low_s, function.high_s + call.high_s
    assert (low, high) == (D("1.2"), D("4.0"))
    assert (2 - low, 10 - high) == (D("0.8"), D("6.0"))


@seeds("S1-cost-01")
def test_the_true_price_of_the_always_on_endpoint() -> None:
    bill = price(LambdaSagemaker(instance="ml.g4dn.xlarge"), Demand(requests_per_day=D(0)), TODAY)
    assert bill.monthly_usd == D("537.57")  # 730 × 0.7364, not 648


@seeds("S1-rule-01", "S1-rule-03")
def test_few_requests_do_not_make_lambda_with_an_endpoint_cheap() -> None:
    # One rule says below 10 a day, another below 100: the endpoint costs the same without any.
    bills = [
        price(LambdaSagemaker(instance="ml.g4dn.xlarge"), Demand(requests_per_day=D(n), service_s=D(1)), TODAY)
        for n in (0, 10, 100)
    ]
    months = [bill.at_least_usd for bill in bills]
    assert months[2] - months[0] <= D("0.02")


@seeds("S1-fact-02", "S1-limit-03", "S1-faq-05")
def test_sagemaker_serverless_has_no_gpu_no_large_model_and_no_vpc() -> None:
    demand = Demand(requests_per_day=D(1), service_s=D(1))
    largest = SERVERLESS_MEMORY_MB[-1]
    for asked, reason in (
        (SagemakerServerless(memory_mb=largest, max_concurrency=1, gpu="T4"), "no GPU"),
        (SagemakerServerless(memory_mb=largest, max_concurrency=1, model_gb=D(15)), "15 GB does not fit"),
        (SagemakerServerless(memory_mb=largest, max_concurrency=1, vpc=True), "VPC"),
    ):
        (refusal,) = price(asked, demand, TODAY).impossible
        assert reason in refusal


@seeds("S1-rule-02", "S1-rule-04")
def test_where_an_endpoint_that_is_always_on_becomes_cheaper() -> None:
    always_on = hourly(S1, "aws/sagemaker-realtime/ml.g4dn.xlarge") * 24
    turn = always_on / per_day(S1, SERVERLESS, 1)
    assert rounds_to(turn, "6225")  # requests a day of 1 s; the article says 1,000, and 10,000 elsewhere
    assert rounds_to(turn / 86_400 * 100, "7.2")  # % of the day
    assert per_month(S1, SERVERLESS, 10_000) == D(1041) > always_on * DAYS == D(648)


@seeds("S1-cost-07")
def test_a_cent_and_three_quarters() -> None:
    month = per_month(S1, T4, 1000, "0.1")
    assert month == D("0.0175")
    assert month.quantize(D("0.001"), ROUND_DOWN) == D("0.017")  # printed: cut, not rounded
    # What it leaves out: each request of a sparse stream keeps a worker for its second and the 5 s after it.
    assert per_month(TODAY, "runpod/serverless/AMPERE_16", 1000, "6") == D("28.80")
    assert per_month(TODAY, "runpod/serverless/AMPERE_16", 1000, "0.1") == D("0.48")


@seeds("S1-cost-08")
def test_the_figure_that_is_an_hour_s_price() -> None:
    assert rounds_to(hourly(S1, A100), "0.48")


@seeds("S1-cost-24")
def test_a_month_that_was_cut() -> None:
    month = per_day(S1, "runpod/dedicated/H100", 86_400) * DAYS
    assert month == D("1929.60")
    assert month.quantize(D(1), ROUND_DOWN) == 1929


@seeds("S1-cost-09")
def test_a_price_that_was_called_always_on_was_used_as_usage() -> None:
    assert hourly(S1, MODAL) * S1.month_hours == D("72.00")  # not 0.08


@seeds("S1-price-10", "S1-price-11")
def test_how_long_replicate_s_request_prices_would_last() -> None:
    per_second = row(TODAY, "replicate/deployment/gpu-l40s").usd or D(1)
    seconds = [(row(S1, f"{FAST}#{tier}").usd or D(0)) / per_second for tier in (LOW, HIGH)]
    assert [rounds_to(value, s) for value, s in zip(seconds, ("1.0", "2.1"), strict=True)] == [True, True]
    counts = [row(TODAY, f"replicate/deployment/gpu-a100-large-{n}x").usd for n in (2, 4, 8)]
    assert counts == [D("0.0028"), D("0.0056"), D("0.0112")]
    low, high = (row(S1, f"{SLOW}#{tier}") for tier in (LOW, HIGH))
    assert low.unit == "second"  # reused as per request, the same only because that request lasts 1 s
    assert (low.usd, high.usd) == (D("0.005"), D("0.01"))


@seeds("S1-fact-05", "X-04")
def test_modal_is_billed_by_the_second() -> None:
    assert row(TODAY, "modal/serverless/H100").increment_s == 1


@seeds("S1-cost-11")
def test_the_cost_row_mixes_days_and_months() -> None:
    printed = {"sagemaker": "3.47", "runpod": "0.02", "replicate": "1", "modal": "0.08"}
    daily = {
        "sagemaker": per_day(S1, SERVERLESS, 1000),
        "replicate": per_day(S1, f"{FAST}#{LOW}", 1000),
    }
    monthly = {
        "sagemaker": per_month(S1, SERVERLESS, 1000),
        "runpod": per_month(S1, T4, 1000, "0.1"),
        "replicate": per_month(S1, f"{FAST}#{LOW}", 1000),
        "modal": per_month(S1, MODAL, 1000, "0.1"),
    }
    assert {name for name, usd in daily.items() if rounds_to(usd, printed[name])} == {"sagemaker", "replicate"}
    assert {name for name, usd in monthly.items() if rounds_to(usd, printed[name])} == {"runpod", "modal"}
    assert [str(monthly[name].quantize(D("0.01"))) for name in ("sagemaker", "replicate")] == ["104.10", "30.00"]


@seeds("S1-cost-15", "S1-rule-06")
def test_how_many_times_cheaper_by_its_own_figures() -> None:
    sagemaker = per_month(S1, SERVERLESS, 1000, "0.1")
    runpod, modal = per_month(S1, T4, 1000, "0.1"), per_month(S1, MODAL, 1000, "0.1")
    low, high = (per_month(S1, f"{FAST}#{tier}", 1000) for tier in (LOW, HIGH))
    assert rounds_to(sagemaker / runpod, "595")  # "100 to 1000 times": yes
    assert rounds_to(sagemaker / modal, "125")
    assert 104 / runpod > 5900  # with the printed 104: no
    # "1 to 2 times the price": 1,714 to 3,429 times RunPod's, 360 to 720 times Modal's
    assert [rounds_to(low / runpod, "1714"), rounds_to(high / runpod, "3429")] == [True, True]
    assert [rounds_to(low / modal, "360"), rounds_to(high / modal, "720")] == [True, True]
    published = [
        (row(TODAY, f"replicate/deployment/{ours}").usd_per_hour or D(0)) / hourly(TODAY, f"modal/serverless/{theirs}")
        for ours, theirs in (("gpu-a100-large", "A100-80GB"), ("gpu-h100", "H100"), ("gpu-l40s", "L40S"))
    ]
    assert [rounds_to(share, s) for share, s in zip(published, ("2.0", "1.4", "1.8"), strict=True)] == [True] * 3


@seeds("S1-cost-23", "S1-rule-08", "S1-cost-25", "X-05")
def test_a_number_of_requests_says_nothing_without_their_seconds() -> None:
    busy = [D(100_000) * D(seconds) / 86_400 for seconds in ("1", "0.1")]
    assert rounds_to(busy[0] * 24, "27.8")  # GPU-hours a day
    assert [rounds_to(share * 100, s) for share, s in zip(busy, ("116", "11.6"), strict=True)] == [True, True]
    assert rounds_to(D(1_000_000) / 86_400, "11.6")  # requests a second, and GPUs at 1 s each; one at 0.1 s is 1.16
    assert rounds_to(D(40) / 100 * 86_400 / 100_000, "0.346")  # s, where 100,000 a day are 40 % of a GPU


def weights_gb(billions: str, precision: Precision) -> Decimal:
    return D(billions) * BYTES_PER_WEIGHT[precision]


def fits(billions: str, precision: Precision, pool: str, count: int = 1) -> bool:
    model = Model(id="m", parameters=D(billions) * 10**9, precision=precision)
    return fit(model, POOLS[pool].memory_gib, count).possible


@seeds("S1-feas-01", "S2-feas-01", "S1-faq-04")
def test_seventy_billion_weights() -> None:
    llama2, llama31 = "68.98", "70.55"
    assert rounds_to(weights_gb(llama2, Precision.FP16), "138")
    assert rounds_to(weights_gb(llama2, Precision.FP8), "69")
    assert rounds_to(weights_gb(llama31, Precision.FP16), "141")
    assert not any(fits(llama2, precision, "AMPERE_16") for precision in Precision)  # no 16 GB card, at any precision
    assert not fits(llama2, Precision.FP16, "ADA_80_PRO")
    assert fits(llama2, Precision.FP8, "ADA_80_PRO")
    assert not fits(llama31, Precision.FP16, "AMPERE_80")
    assert fits(llama31, Precision.FP16, "AMPERE_80", 2)


@seeds("S1-perf-01", "S1-perf-02")
def test_one_stream_cannot_be_faster_than_its_weights_are_read() -> None:
    # 320 and 2,039 GB/s over the weights of Mistral 7B; several requests at once may be faster together.
    fp16 = weights_gb("7.25", Precision.FP16)
    fastest = {name: D(CARDS[name].bandwidth_gb_per_s) / fp16 for name in ("T4", "A100-80GB")}
    assert rounds_to(fastest["T4"], "22")  # the article says 100 tokens a second
    assert rounds_to(fastest["A100-80GB"], "141")  # it says 200 to 250


@seeds("S1-cost-28")
def test_by_its_own_prices_a_dedicated_gpu_never_wins() -> None:
    share = break_even_share(row(S1, "runpod/dedicated/H100"), row(S1, H100))
    assert share is not None
    assert rounds_to(share * 100, "250")  # % of the time: never
    pods = [row(TODAY, f"runpod/pod/NVIDIA H100 80GB HBM3#{tier}") for tier in ("community", "secure")]
    today = [break_even_share(pod, row(TODAY, "runpod/serverless/ADA_80_PRO")) for pod in pods]
    assert [f"{share:.2f}" for share in today if share] == ["0.64", "0.96"]


@seeds("S1-faq-03")
def test_a_shorter_idle_timeout_makes_more_cold_starts() -> None:
    demand = Demand(requests_per_day=D(1000), service_s=D(1), cold_start_s=D(20))
    starts = [
        price(
            Rented(provider="runpod", product="serverless", gpu="ADA_24", idle_timeout_s=D(s)), demand, TODAY
        ).amounts["cold_start"]
        for s in (5, 60, 600)
    ]
    assert starts == sorted(starts, reverse=True)
    assert starts[0] > 2 * starts[2]


# ------------------------------------------------------------------------------------------ second article, the rest
@seeds("S2-cost-01", "S2-price-09", "S2-price-10")
def test_cpu_and_memory_on_modal() -> None:
    extra = hourly(S2, "modal/serverless/cpu") * 8 + hourly(S2, "modal/serverless/memory") * 64
    assert rounds_to(extra, "0.889")
    assert rounds_to(extra, "0.89")  # the upper bound is right
    assert not rounds_to(extra, "0.43")  # the lower is 8 cores and 6.6 GiB
    gpu = per_day(S2, "modal/serverless/A100-80GB", 1, "5")
    assert gpu == D("0.00347")
    with_both = gpu + extra * 5 / 3600
    assert rounds_to(with_both, "0.00470")
    assert gpu < D("0.004") < with_both  # "about"
    added = [
        100 * D(usd) / hourly(S2, f"modal/serverless/{card}")
        for card in ("H100", "A100-80GB", "L40S")
        for usd in ("0.43", "0.89")
    ]
    assert [rounds_to(share, s) for share, s in zip(added, ("11", "23", "17", "36", "22", "46"), strict=True)] == [
        True
    ] * 6
    assert [share <= 30 for share in added] == [True, True, True, False, True, False]  # "10 to 30 %"


@seeds("S2-rank-01")
def test_the_order_changes_with_published_prices() -> None:
    theirs = [
        per_day(S2, f"modal/serverless/{'A100-80GB'}", 1, "5"),
        per_day(S2, "replicate/deployment/A100-80GB", 1, "5"),
        per_day(S2, "runpod/serverless/A100-80GB#active", 1, "5"),
        per_day(S2, "runpod/serverless/A100-80GB#flex", 1, "5"),
    ]
    assert theirs == sorted(theirs)
    flex = per_day(TODAY, "runpod/serverless/AMPERE_80", 1, "5")
    assert flex == D("0.00380")
    assert D("0.00347") < flex < D("0.00470")  # between Modal without and with CPU and memory


@seeds("S2-price-04", "S2-price-05")
def test_discounts_and_premium() -> None:
    def discount(of: str) -> Decimal:
        flex, active = (row(S2, f"runpod/serverless/{of}#{tier}").usd or D(1) for tier in ("flex", "active"))
        return 100 * (1 - active / flex)

    found = [discount(of) for of in ("H100", "A100-80GB", "RTX4090")]
    assert [rounds_to(share, s) for share, s in zip(found, ("20.2", "30.0", "30.4"), strict=True)] == [True] * 3
    assert min(found) < 30  # "30 to 40 %"
    assert max(found) < 40
    pod = hourly(S2, "runpod/pod/H100")
    assert rounds_to(hourly(S2, "runpod/serverless/H100#flex") / pod, "36.4")
    flex = hourly(TODAY, "runpod/serverless/ADA_80_PRO")
    pods = [hourly(TODAY, f"runpod/pod/NVIDIA H100 80GB HBM3#{tier}") for tier in ("community", "secure")]
    assert [rounds_to(flex / usd, s) for usd, s in zip(pods, ("1.55", "1.05"), strict=True)] == [True, True]


@seeds("S2-lat-02")
def test_a_snapshot_that_is_nine_times_faster_is_up_to_ten_times() -> None:
    assert D(45) / 5 == 9 <= 10


@seeds("S2-model-02", "S2-model-03", "S2-model-04")
@pytest.mark.parametrize(
    ("billions", "gb", "seconds", "gb_per_s"),
    [
        (("1", "3"), ("2", "6"), (5, 15), ("0.40", "0.40")),
        (("7", "13"), ("14", "26"), (15, 45), ("0.93", "0.58")),
        (("30", "70"), ("60", "140"), (45, 120), ("1.33", "1.17")),
    ],
)
def test_sizes_of_weights_and_the_speed_their_cold_starts_imply(
    billions: tuple[str, str], gb: tuple[str, str], seconds: tuple[int, int], gb_per_s: tuple[str, str]
) -> None:
    sizes = [weights_gb(size, Precision.FP16) for size in billions]
    assert sizes == [D(size) for size in gb]
    assert all(rounds_to(size / s, speed) for size, s, speed in zip(sizes, seconds, gb_per_s, strict=True))


@seeds("S2-rule-01", "S2-breakeven-01", "S2-breakeven-02")
def test_forty_percent_is_one_pair_s_break_even_and_not_the_others() -> None:
    def share(dedicated: Price, serverless: Price) -> Decimal:
        found = break_even_share(dedicated, serverless)
        assert found is not None
        return found

    pod, vm = row(S2, "runpod/pod/A100-80GB"), row(S2, "lambda-cloud/vm/A100-80GB")
    active, flex = (row(S2, f"runpod/serverless/A100-80GB#{tier}") for tier in ("active", "flex"))
    modal = row(S2, "modal/serverless/A100-80GB")
    assert rounds_to(hourly(S2, active.id), "47.88")
    assert rounds_to(share(pod, active) * 100, "4.5")
    assert rounds_to(share(pod, active) * 3600, "163")  # s of the hour; right, but Active is billed all day:
    assert rounds_to(share(pod, flex) * 100, "3.17")  # Flex is what a pod competes with
    assert rounds_to(share(pod, flex) * 3600, "114")
    assert rounds_to(share(vm, modal) * 100, "55.6")
    assert rounds_to(D("1.39") / D("2.50") * 24, "13.3")  # h a day
    with_cpu = (
        hourly(S2, modal.id) + hourly(S2, "modal/serverless/cpu") * 8 + hourly(S2, "modal/serverless/memory") * 64
    )
    assert rounds_to(100 * D("1.39") / with_cpu, "41.0")  # the only one near 40
    today = [
        share(row(TODAY, f"runpod/pod/NVIDIA A100-SXM4-80GB#{tier}"), row(TODAY, "runpod/serverless/AMPERE_80"))
        for tier in ("community", "secure")
    ]
    assert [f"{value:.0%}" for value in today] == ["51%", "65%"]
    assert [rounds_to(value * 3600, s) for value, s in zip(today, ("1829", "2355"), strict=True)] == [True, True]
    assert hourly(TODAY, "lambda-cloud/vm/gpu_8x_a100_80gb_sxm4") / 8 > hourly(TODAY, "modal/serverless/A100-80GB")


@seeds("S2-rule-02")
def test_half_a_million_tokens_a_minute() -> None:
    assert 100 * 5000 == 500_000  # requests a minute × tokens: the product is right, no price leads to it
    assert rounds_to(D(500_000) / 60, "8333")  # tokens a second
    assert rounds_to(D(100) / 60 * 5, "8.3")  # busy GPUs at 5 s a request


# -------------------------------------------------------------------------------------------- one against the other
@seeds("X-01", "X-02", "X-03", "X-07")
def test_the_articles_contradict_each_other() -> None:
    theirs = hourly(S2, "runpod/serverless/H100#flex") / hourly(S1, H100)
    assert rounds_to(theirs, "91")
    assert hourly(S1, H100) < hourly(TODAY, "runpod/serverless/ADA_80_PRO") < hourly(S2, "runpod/serverless/H100#flex")
    assert rounds_to(hourly(S2, "modal/serverless/H100") / hourly(S1, MODAL), "39.5")
    # Cheapest serverless: RunPod for small cards, and within 10 % for large ones.
    assert hourly(TODAY, "runpod/serverless/AMPERE_24") < hourly(TODAY, "modal/serverless/L4")
    for pool, card in (("AMPERE_80", "A100-80GB"), ("ADA_80_PRO", "H100")):
        assert 1 < hourly(TODAY, f"runpod/serverless/{pool}") / hourly(TODAY, f"modal/serverless/{card}") < D("1.1")
    # 15 minutes and 90 s: neither is what a job may take.
    assert RunpodTarget(gpu="ADA_24").execution_timeout_s not in (900, 90)


@seeds("X-06")
def test_lambda_is_two_things() -> None:
    with pytest.raises(UsageError, match="target/ambiguous"):
        named("lambda")


# ------------------------------------------------------------------------- scenarios, patterns and matrix, priced again
PAGE = Path(__file__).parents[2] / "docs" / "seeds.md"
MISTRAL = Model(id="mistralai/Mistral-7B-Instruct-v0.3", parameters=D("7.25e9"), max_context=8192)
LLAMA2 = Model(id="meta-llama/Llama-2-70b-hf", parameters=D("68.98e9"), max_context=4096)
RTX_4090, H100_POD = "NVIDIA GeForce RTX 4090", "NVIDIA H100 80GB HBM3"


def flex(gpu: str, workers_max: int, **more: Any) -> RunpodTarget:
    return RunpodTarget(gpu=gpu, workers_max=workers_max, idle_timeout_s=5, **more)


def pod(gpu: str, **more: Any) -> RunpodPod:
    return RunpodPod(gpu=gpu, tier="community", **more)


def planned(
    target: Any, requests: str, seconds: str, cold_s: str, model: Model = MISTRAL, at_once: int = 1, **traffic: Any
) -> Cost:
    """At the bundled prices, simulated where the closed form is in doubt; the same seconds on every GPU."""
    spec = ModelSpec(
        name="m",
        file=Path("m.yaml"),
        serves=model,
        traffic=Traffic(requests_per_day=D(requests), **traffic),
        performance=Performance(service_time_s=D(seconds), cold_start_s=D(cold_s), concurrency=at_once),
        limits=Limits(),
        target=target,
        digest="sha256:0",
    )
    return cost_of(spec, TODAY, SEED)


LIGHT, MEDIUM, HEAVY = ("1000", "0.1", "20"), ("100000", "1", "60", LLAMA2), ("1000000", "1", "20")
SURE = 0.03
"""How far a simulated month may lie from the printed one: twice what a simulation is run to."""
PRICED: list[tuple[str, str, tuple[Any, ...]]] = [
    ("light, RunPod", "135", (flex("AMPERE_24", 3), *LIGHT)),
    ("light, Modal", "381.38", (Modal(gpu="L4", containers_max=3), *LIGHT)),
    ("light, SageMaker", "822.51", (LambdaSagemaker(instance="ml.g6.xlarge"), *LIGHT)),
    ("light, a pod", "160.60", (pod("NVIDIA GeForce RTX 3090"), *LIGHT)),
    ("medium, RunPod", "33700", (flex("ADA_80_PRO", 10, gpu_count=2), *MEDIUM)),
    ("medium, Modal", "27500", (Modal(gpu="H100", gpu_count=2, containers_max=5), *MEDIUM)),
    ("medium, pods", "7854.80", (pod(H100_POD, gpu_count=2, pods=2), *MEDIUM)),
    ("heavy, Modal", "66096.39", (Modal(gpu="H100", containers_max=40), *HEAVY)),
    ("heavy, pods", "25528.10", (pod(H100_POD, pods=13), *HEAVY)),
    ("heavy, one pod, 16 at once", "1963.70", (pod(H100_POD), *HEAVY, MISTRAL, 16)),
    ("heavy, RunPod, 16 at once", "3050", (flex("ADA_80_PRO", 5), *HEAVY, MISTRAL, 16)),
]


@seeds("S1-cost-07", "S1-cost-12", "S1-cost-14", "S1-cost-21", "S1-cost-23", "S1-cost-25", "S1-cost-28")
@pytest.mark.parametrize(("usd", "asked"), [case[1:] for case in PRICED], ids=[case[0] for case in PRICED])
def test_the_three_scenarios_are_priced(usd: str, asked: tuple[Any, ...]) -> None:
    cost = planned(*asked)
    month = cost.monthly_usd.expected
    assert month is not None
    if isinstance(asked[0], RunpodTarget) or cost.simulation is not None:
        assert float(month) == pytest.approx(float(usd), rel=SURE)
        assert f"about ${D(usd):,f}" in PAGE.read_text(encoding="utf-8")
    else:
        assert month == D(usd)
        assert_printed(usd)


def test_what_the_scenarios_leave_out() -> None:
    # Light: nearly each request wakes a worker that starts for 20 s and idles for 5 s, and works for a tenth of one.
    light = planned(flex("AMPERE_24", 3), *LIGHT)
    assert light.response is not None
    assert float(light.response.cold_share or 0) == pytest.approx(0.95, abs=0.01)
    # "100 to 1000 times cheaper than SageMaker": 6 times and twice an endpoint that can hold the model.
    assert [round(D("822.51") / D(usd), 1) for usd in ("135", "381.38")] == [D("6.1"), D("2.2")]
    too_large = SagemakerServerless(memory_mb=6144, max_concurrency=1, model_gb=weights_gb("7.25", Precision.FP16))
    assert price(too_large, Demand(requests_per_day=D(1000), service_s=D("0.1")), TODAY).impossible
    # Medium: 1.16 in service at once, so one pair of cards is not enough; two are less than a third of serverless.
    assert any("more arrives" in each.summary for each in planned(pod(H100_POD, gpu_count=2), *MEDIUM).diagnostics)
    assert 3 * D("7854.80") < D("27741.18")
    # Heavy: 11.57 at once. On twelve the wait is above a service time, on thirteen it is not; one card needs batching.
    demand = Demand(requests_per_day=D(1_000_000), service_s=D(1))
    waits = [mean_wait_s(demand, pods) for pods in (11, 12, 13)]
    assert waits[0] is None
    assert D(waits[1] or 0) > 1 > D(waits[2] or 0)


@seeds("S1-pat-01")
def test_a_burst_is_cheaper_from_zero_until_it_is_long() -> None:
    from_zero, quarter = Modal(gpu="L4", containers_max=3), D("0.25")
    stays = planned(pod("NVIDIA L4"), "1000", "1.8", "25").monthly_usd.expected
    bursts = [
        planned(from_zero, rate, "1.8", "25", active_share=quarter).monthly_usd.expected
        for rate in ("1000", "2000", "3000")
    ]
    evenly = planned(from_zero, "1000", "1.8", "25").monthly_usd.expected
    assert [stays, evenly, *bursts] == [D(usd) for usd in ("321.20", "415.42", "221.23", "281.23", "331.69")]
    assert_printed("321.20", "415.42", "221.23", "281.23", "331.69")


@seeds("S1-pat-02")
def test_a_batch_costs_about_the_same_on_one_worker_and_on_forty() -> None:
    batch = Batch(jobs=20_000, at="02:00", within_s=D(40_000))
    found = [planned(flex("ADA_24", n), "20000", "1.8", "25", batch=batch) for n in (1, 40)]
    assert [cost.monthly_usd.expected for cost in found] == [D("339.74"), D("350.96")]
    assert [cost.deadline.takes_s for cost in found if cost.deadline] == [36_029, 929]  # 10 h, and 15 min 29 s
    # The same card rented for these ten hours: 36,025 s of each day, 730 / 24 days, at $0.34 an hour.
    hours = pod(RTX_4090, running_share=D(36_025) / 86_400)
    assert price(hours, Demand(requests_per_day=D(20_000), service_s=D("1.8")), TODAY).monthly_usd == D("103.49")
    assert_printed("339.74", "350.96", "103.49")


@seeds("S1-pat-03")
def test_a_warm_worker_is_dearer_than_a_machine_that_stays() -> None:
    warm = flex("ADA_24", 3, workers_min=1, mode=RunpodMode.ACTIVE)
    fast, stays = (planned(target, "1000", "0.1", "25") for target in (warm, pod(RTX_4090)))
    assert stays.monthly_usd.expected == D("248.20")
    assert float(fast.monthly_usd.expected or 0) == pytest.approx(814.68, rel=SURE)  # 730 h × $1.116, and a few more
    assert_printed("814.68", "248.20")
    for target in (warm, pod(RTX_4090)):
        responses = [planned(target, "1000", seconds, "25").response for seconds in ("0.1", "1.8")]
        assert [round(each.p95_s or 0, 1) for each in responses if each] == [D("0.3"), D("5.5")]


@seeds("S1-pat-04")
def test_each_model_has_its_own_order() -> None:
    found = [planned(flex("ADA_24", 3), rate, "1.8", "25").monthly_usd.expected for rate in ("20", "200", "2000")]
    assert [float(usd or 0) for usd in found] == pytest.approx([6.1, 59, 495], rel=SURE)
    assert "about $6.1, $59 and $495" in PAGE.read_text(encoding="utf-8")
    assert (found[1] or 0) < D("248.20") < (found[2] or 0)  # a pod with the same card


@seeds("S1-matrix-01", "S1-matrix-02")
def test_the_matrix() -> None:
    increments = [row(TODAY, each).increment_s for each in (
        "runpod/serverless/ADA_24", "modal/serverless/L4", "replicate/deployment/gpu-l40s",
        "aws/sagemaker-realtime/ml.g6.xlarge@us-east-1",
    )]  # fmt: skip
    assert increments == [1] * 4  # by the second, all of them

    def kinds(provider: str, product: str) -> int:
        found = (entry for entry in TODAY.rows() if (entry.provider, entry.product) == (provider, product))
        return len({entry.card or entry.gpu for entry in found if entry.count})

    products = (("runpod", "serverless"), ("modal", "serverless"), ("aws", "sagemaker-realtime"))
    counts = [kinds(*each) for each in (*products, ("replicate", "deployment"))]
    assert counts == [11, 11, 8, 4]  # "full, full, limited, limited"
    assert "RunPod 11, Modal 11, SageMaker 8, Replicate 4" in PAGE.read_text(encoding="utf-8")
    nobody_knows = Rented(provider="replicate", product="deployment", gpu="gpu-l40s")
    assert planned(nobody_knows, *LIGHT).monthly_usd.expected is None  # when an idle worker of theirs stops


def assert_printed(*usd: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [each for each in usd if f"${D(each):,.2f}" not in page] == []


# --------------------------------------------------------------------------------------------------------- coverage
def test_no_row_is_both_a_number_and_none() -> None:
    assert not TESTED & NOT_NUMBERS.keys()


def test_seed_prices_are_never_what_plans_use() -> None:
    names = {entry.id for entry in TODAY.rows()}
    assert S1.name == "seed-s1"
    assert S1.month_hours == S2.month_hours == 720
    assert TODAY.month_hours == 730
    assert "runpod/serverless/T4" not in names


def test_every_row_of_the_inventory_is_here() -> None:
    if not GOLDEN.is_file():
        pytest.skip(f"the inventory of the articles' figures is not at hand: {GOLDEN}")
    with GOLDEN.open(encoding="utf-8", newline="") as lines:
        ids = [entry["id"] for entry in csv.DictReader(lines)]
    assert sorted(TESTED | NOT_NUMBERS.keys()) == sorted(ids)
