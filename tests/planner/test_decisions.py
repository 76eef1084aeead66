"""Decisions: each side of a change of the order priced again, workers' worth by whole bases, ways and rules by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baseload.planner.compare import Comparison, Row, Status, compare
from baseload.planner.cost import SEED, cost_of, expected_month_usd
from baseload.planner.decisions import Decisions, decisions
from baseload.planner.decisions.advice import Advice
from baseload.planner.decisions.break_even import MOST, SAME, BreakEven, Scaled, break_even
from baseload.planner.decisions.cold_start_ways import cold_starts
from baseload.planner.decisions.worker_worth import pools_of, worths
from baseload.planner.errors import UsageError
from baseload.planner.pool.base import best_base
from baseload.planner.prices import Price, PriceBook, bundled
from baseload.planner.spec.model import (
    Auto,
    Batch,
    Curve,
    Limits,
    Model,
    ModelSpec,
    Performance,
    Requires,
    RunpodMode,
    RunpodTarget,
    Tokens,
    Traffic,
)

D = Decimal


def price(provider: str, product: str, gpu: str, unit: str, usd: str | None, card: str = "", **facts: Any) -> Price:
    return Price(
        provider=provider, product=product, gpu=gpu, unit=unit, usd=None if usd is None else D(usd), card=card,
        count=1 if card else 0, read=date(2026, 8, 20), withdrawn=None, confidence="read", source="a test", note="",
        **facts,
    )  # fmt: skip


BOOK = PriceBook(
    "test",
    [
        price("runpod", "serverless", "ADA_24", "gpu-second", "0.00031"),
        price("runpod", "pod", "NVIDIA GeForce RTX 4090", "gpu-hour", "0.34", "RTX4090", tier="community"),
        price("runpod", "storage", "container-disk", "gb-month", "0.1"),
        price("runpod", "storage", "pod-volume", "gb-month", "0.1", tier="running"),
        price("runpod", "storage", "pod-volume", "gb-month", "0.2", tier="stopped"),
        price("together", "tokens", "mistral-7b", "million-tokens", "0.20"),
    ],
)
POD, FLEX = "runpod-pod/NVIDIA GeForce RTX 4090/1 always on, community", "runpod/ADA_24/flex"
API = "together/mistral-7b/tokens"


def spec(requests: str = "1000", **changes: Any) -> ModelSpec:
    made = ModelSpec(
        name="m",
        file=Path("m.yaml"),
        serves=Model(id="mistralai/Mistral-7B-Instruct-v0.3", parameters=D("7.25e9"), max_context=8192),
        traffic=Traffic(requests_per_day=D(requests), tokens=Tokens(prompt=D(512), output=D(128))),
        performance=Performance(service_time_s=D("1.8"), cold_start_s=D(25)),
        limits=Limits(),
        target=RunpodTarget(gpu="ADA_24", workers_max=3, idle_timeout_s=5),
        digest="sha256:0",
    )
    return replace(made, **changes)


def found_for(model: ModelSpec, book: PriceBook = BOOK) -> Decisions:
    return decisions(compare(model, book), model, book)


def row(found: Comparison, row_id: str) -> Row:
    (one,) = [item for item in found.rows if item.id == row_id]
    return one


def rule(found: Decisions, words: str) -> Advice:
    (one,) = [item for item in found.advice if words in item.rule]
    return one


# ---------------------------------------------------------------------------------------------------------- the order
def assert_both_sides(model: ModelSpec, book: PriceBook, one: Row, other: Row, answer: BreakEven) -> None:
    """Priced again, each side of each change has the other one cheaper, by more than what is the same."""
    sides = {each.id: Scaled(row=each, spec=model, book=book) for each in (one, other)}
    before: str | None = None
    for crossing in answer.crossings:
        assert crossing.below < crossing.above
        assert before in (None, crossing.cheaper_below)
        before = crossing.cheaper_above
        assert crossing.cheaper_below != crossing.cheaper_above
        for rate, less in ((crossing.below, crossing.cheaper_below), (crossing.above, crossing.cheaper_above)):
            months = {name: side.month_usd(rate) for name, side in sides.items()}
            cheap, (dear,) = months.pop(less), months.values()
            assert cheap is not None
            assert dear is not None
            assert cheap < dear * (1 - SAME)


def test_serverless_and_a_machine_that_stays() -> None:
    model = spec()
    found = compare(model, BOOK)
    answer = break_even(row(found, FLEX), row(found, POD), model, BOOK)
    assert_both_sides(model, BOOK, row(found, FLEX), row(found, POD), answer)
    (crossing,) = answer.crossings
    # 730 h × $0.34 is what the pod costs at any of these rates; between the two rates Flex costs the same within 2 %.
    for rate, share in ((crossing.below, D("0.98")), (crossing.above, D("1.02"))):
        assert model.traffic is not None
        there = replace(model, traffic=replace(model.traffic, requests_per_day=rate))
        flex = expected_month_usd(there, BOOK)
        assert flex is not None
        assert float(flex / (730 * D("0.34"))) == pytest.approx(float(share), abs=0.004)
    assert (crossing.cheaper_below, crossing.cheaper_above) == (FLEX, POD)
    assert answer.cheaper == POD  # $269 against $248.20
    assert answer.requests_per_day == (1, MOST)


def test_always_on_is_sized_again_at_each_rate() -> None:
    model = spec()
    pod = Scaled(row=row(compare(model, BOOK), POD), spec=model, book=BOOK)
    one = 730 * D("0.34")
    assert pod.month_usd(D(1)) == one
    # 100,000 × 1.8 s a day are 2.08 in service: with three the wait is above a service time, with four it is not.
    assert pod.month_usd(D(100_000)) in (3 * one, 4 * one)
    many = pod.month_usd(D(10**7))  # 208.3 in service
    assert many is not None
    assert 208 < many / one < 230


def test_a_price_by_the_token_and_the_rate_at_which_hosting_is_cheaper() -> None:
    model = spec()
    tokens = found_for(model).tokens
    assert tokens is not None
    assert tokens.tokens_per_day == 640_000
    # the month over 640,000 × 730 / 24 tokens
    assert tokens.hosted[0].row == FLEX
    month = row(compare(model, BOOK), FLEX).monthly_usd.expected
    assert month is not None
    assert float(tokens.hosted[0].usd_per_million) == pytest.approx(float(month) / (0.64 * 730 / 24), abs=1e-5)
    ((api, usd),) = [(each.row, each.usd_per_million) for each in tokens.apis]
    assert api == API
    assert float(usd) == pytest.approx(0.20, abs=0.001)  # a month in cents over the same tokens
    (answer,) = tokens.break_evens
    found = compare(model, BOOK)
    assert_both_sides(model, BOOK, row(found, FLEX), row(found, API), answer)
    # Busy all the time a card serves 3600 / 1.8 × 640 tokens an hour: $1.116 / 1.28 = $0.87 per 1M, above $0.20.
    assert answer.crossings == ()
    assert answer.cheaper == API


@settings(max_examples=6, deadline=None)
@given(
    requests=st.sampled_from(["1", "37", "900", "40000"]),
    service_s=st.sampled_from(["0.05", "2", "45"]),
    cold_s=st.sampled_from(["1", "90"]),
    curve=st.sampled_from(list(Curve)),
    usd=st.sampled_from(["0", "0.02", "0.34", "9"]),
)
def test_every_change_is_one(requests: str, service_s: str, cold_s: str, curve: Curve, usd: str) -> None:
    pods = price("runpod", "pod", "NVIDIA GeForce RTX 4090", "gpu-hour", usd, "RTX4090", tier="community")
    book = BOOK.with_rows([pods], "other")
    model = spec(
        traffic=Traffic(requests_per_day=D(requests), curve=curve),
        performance=Performance(service_time_s=D(service_s), cold_start_s=D(cold_s)),
    )
    found = compare(model, book)
    made = decisions(found, model, book)
    assert made.break_evens or not any(item.own for item in found.of(Status.RANKED))
    for answer in made.break_evens:
        assert_both_sides(model, book, row(found, answer.one), row(found, answer.other), answer)
    told = json.dumps(made.to_json())
    assert "NaN" not in told
    assert "Infinity" not in told


def test_no_rate_no_answer() -> None:
    for traffic in (None, Traffic(requests_per_day=D(0)), Traffic(requests_per_day=D(9), batch=Batch(
        jobs=9, at="01:00", within_s=D(3600)
    ))):  # fmt: skip
        model = spec(traffic=traffic)
        found = found_for(model)
        assert all(answer.why and not answer.crossings for answer in found.break_evens)
        assert found.tokens is None


def test_a_target_that_is_chosen_has_ways_too() -> None:
    named, found = spec(), compare(spec(), BOOK)  # the best that can be deployed is the named one
    assert decisions(found, replace(named, target=Auto()), BOOK).cold_starts == cold_starts(named, BOOK)


def test_a_row_by_its_name_or_the_start_of_it() -> None:
    model = spec()
    found = compare(model, BOOK)
    (answer,) = decisions(found, model, BOOK, between=("runpod-pod", "runpod/ADA_24/active")).break_evens
    assert (answer.one, answer.other) == (POD, "runpod/ADA_24/active")
    assert answer.crossings == ()  # $0.34 and $1.116 an hour, both billed all day
    with pytest.raises(UsageError, match="compare/row"):
        decisions(found, model, BOOK, between=("runpod", "nobody"))


# ------------------------------------------------------------------------------------------------------ workers' worth
@pytest.mark.parametrize("requests", ["300", "3000", "60000", "400000"])
def test_the_workers_that_stay_are_those_of_the_cheapest_sum(requests: str) -> None:
    model = spec(requests, target=RunpodTarget(gpu="ADA_24", workers_max=20, idle_timeout_s=5))
    found = compare(model, BOOK)
    told = worths(found, BOOK)
    assert told is not None
    assert told.price_ratio == D("0.3047")  # 0.34 / 1.116
    pools = pools_of(row(found, told.serverless), BOOK)
    sums = best_base(pools, 0.34 / 1.116)
    assert told.base == sums.replicas
    assert [worker.dedicated for worker in told.workers] == [k < told.base for k in range(len(told.workers))]
    shares = [float(worker.billed_share) for worker in told.workers]
    assert shares == sorted(shares, reverse=True)
    saved = math.fsum(float(worker.saved_share or 0) for worker in told.workers[: told.base])
    assert sums.costs[0] - sums.costs[told.base] == pytest.approx(saved - told.base * 0.34 / 1.116, abs=0.005)


def test_a_base_is_said_to_pay_only_where_it_does() -> None:
    few, many = found_for(spec("100")), found_for(spec("3000"))
    assert few.worths is not None
    assert many.worths is not None
    assert (few.worths.base, rule(few, "dedicated base").holds) == (0, False)
    assert (many.worths.base, rule(many, "dedicated base").holds) == (1, True)


def test_no_machine_with_that_gpu() -> None:
    book = PriceBook("one", [price("runpod", "serverless", "ADA_24", "gpu-second", "0.00031")])
    told = found_for(spec(), book)
    assert told.worths is not None
    assert (told.worths.dedicated, told.worths.price_ratio, told.worths.base) == (None, None, 0)
    assert not [item for item in told.advice if item.topic.startswith("a dedicated base")]


# -------------------------------------------------------------------------------------------------- fewer cold starts
def test_ways_to_avoid_cold_starts_are_plans_of_their_own() -> None:
    model = spec()
    found = cold_starts(model, BOOK)
    assert found is not None
    least, office, ping, shorter, longest, flashboot = found.ways
    active = replace(model, target=replace(model.runpod, mode=RunpodMode.ACTIVE, workers_min=1))
    cost = cost_of(active, BOOK, SEED)
    assert least.monthly_usd == cost.monthly_usd.expected
    assert cost.response is not None
    assert least.cold_share == cost.response.cold_share
    # dollars more over the requests that no longer wait: 1,000 × 730 / 24 a month
    assert least.more_usd is not None
    avoided = D(1000) * 730 / 24 * (found.cold_share - (least.cold_share or 0))
    assert float(least.usd_per_avoided or 0) == pytest.approx(float(least.more_usd / avoided), rel=1e-3)
    assert (ping.more_usd, ping.cold_share) == (least.more_usd, least.cold_share)
    # 50 of 168 hours at the minimum, the others as they are
    assert office.cold_share is not None
    share = found.cold_share * 118 / 168 + (least.cold_share or 0) * 50 / 168
    assert float(office.cold_share) == pytest.approx(float(share), abs=0.005)
    for way, most in ((shorter, D("0.1")), (longest, D("0.01"))):
        seconds = int(way.change.removeprefix("idle_timeout: ").removesuffix("s"))
        shares = []
        for timeout in (seconds - 1, seconds):
            response = cost_of(replace(model, target=replace(model.runpod, idle_timeout_s=timeout)), BOOK).response
            assert response is not None
            shares.append(response.cold_share or D(0))
        assert shares[0] >= most > shares[1]
    assert (flashboot.more_usd, flashboot.cold_share) == (None, None)
    assert "measure" in flashboot.note


# ------------------------------------------------------------------------------------------------------ rules of thumb
def test_limits_of_the_articles_in_requests_a_day() -> None:
    found = found_for(spec("5000"))
    by_count, busy, tokens = (rule(found, words) for words in ("100,000", "40 %", "500,000"))
    assert "here it means 19,200 requests a day" in busy.errs  # 0.4 × 86,400 s / 1.8 s
    assert "here it means 1,125,000 requests a day" in tokens.errs  # 500,000 × 1,440 min / 640 tokens
    (crossing,) = next(each for each in found.break_evens if each.other == POD).crossings
    assert crossing.above < 5000  # so each of the three says serverless where a machine that stays costs less
    assert [item.holds for item in (by_count, busy, tokens)] == [False] * 3
    below = found_for(spec("100"))
    assert [rule(below, words).holds for words in ("100,000", "40 %", "500,000")] == [True] * 3


def test_a_shorter_timeout_and_one_worker_always_on() -> None:
    found = found_for(spec("5000"))
    assert rule(found, "shorter idle timeout").holds is False
    assert rule(found, "always on does away").holds is False  # the second worker starts at times
    assert rule(found_for(spec("20")), "always on does away").holds is True


def test_the_rules_of_endpoints_and_of_the_cheapest() -> None:
    found = found_for(spec(), bundled())
    endpoint = rule(found, "Lambda with SageMaker")
    assert endpoint.holds is False  # 730 h of an instance, against some dollars
    assert rule(found, "SageMaker Serverless").holds is False
    ours, theirs = rule(found, "RunPod where cost"), rule(found, "Modal is the cheapest")
    assert ours.computed == theirs.computed
    assert (ours.holds, theirs.holds) == (True, False)  # they contradict each other: never both


def test_a_warm_worker_does_not_make_the_service_shorter() -> None:
    slow, fast = (
        found_for(spec()),
        found_for(spec(performance=Performance(service_time_s=D("0.1"), cold_start_s=D(25)))),
    )
    # Exponential service: 95 % within ln 20 × 1.8 s = 5.4 s, and within 0.30 s at a tenth of a second.
    for found, seconds, holds in ((slow, math.log(20) * 1.8, False), (fast, math.log(20) * 0.1, True)):
        told = rule(found, "less than 500 ms")
        assert told.holds is holds
        assert float(told.computed.split("within ")[1].removesuffix(" s")) == pytest.approx(seconds, rel=0.03)
    assert "not the service: 1.8 s" in rule(slow, "less than 500 ms").errs


@pytest.mark.parametrize(("vm_usd", "holds"), [("0.20", True), ("3.29", False)])
def test_the_cheapest_that_stays_is_looked_up(vm_usd: str, holds: bool) -> None:
    vm = price("lambda-cloud", "vm", "gpu_1x_rtx4090", "instance-hour", vm_usd, "RTX4090")
    told = rule(found_for(spec(), BOOK.with_rows([vm], "with a VM")), "lowest always-on")
    assert told.holds is holds
    assert f"Lambda's cloud gpu_1x_rtx4090 ${730 * D(vm_usd):,.2f}" in told.computed
    assert ("$248.20 a month" in told.computed) is not holds  # 730 h × $0.34, the pod


@pytest.mark.parametrize(("within_s", "holds"), [(36_000, True), (40_000, False)])
def test_a_batch_is_spread_where_one_worker_is_too_late(within_s: int, holds: bool) -> None:
    batch = Batch(jobs=20_000, at="02:00", within_s=D(within_s))  # 20,000 × 1.8 s and a start of 25 s: 36,025 s on one
    told = rule(found_for(spec(traffic=Traffic(requests_per_day=D(20_000), batch=batch))), "in parallel")
    assert told.holds is holds
    assert told.computed.endswith("too late") is holds
    months = [D(word.strip("$,")) for word in told.computed.split() if word.startswith("$")]
    # Two workers more, each a cold start and an idle time a day, about: 2 × 30 s × 730 / 24 × $0.00031
    assert float(months[0] - months[1]) == pytest.approx(2 * 30 * 730 / 24 * 0.00031, abs=0.2)


def test_an_article_is_no_attestation() -> None:
    told = rule(found_for(spec(requires=Requires(compliance=("hipaa",))), bundled()), "PremAI")
    assert told.holds is None  # nobody's is confirmed: neither theirs nor another's
    assert "confirmed of nobody" in told.computed
    assert "cerebrium: hipaa: an article says so" in told.computed
    assert "modal: hipaa: only on the Enterprise plan" in told.computed
    assert not [each for each in found_for(spec()).advice if each.topic == "compliance"]


def test_not_everybody_runs_in_an_account_of_one_s_own() -> None:
    wanted = spec(requires=Requires(own_infrastructure=True), traffic=Traffic(requests_per_day=D(1000)))
    told = rule(found_for(wanted, bundled()), "private endpoints")  # without tokens: other GPUs at the same speed
    assert told.holds is False
    assert "account of one's own: lambda-sagemaker; in the provider's cloud:" in told.computed
    assert {"modal", "runpod", "runpod-pod"} <= set(told.computed.replace(",", "").split())
