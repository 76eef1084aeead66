"""The cheaper way in a plan: priced as the spec is, served as well, and never said where it was not computed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baseload.planner.cost import cost_of
from baseload.planner.cost.alternative import FROM_SHARE, Alternative, cheaper, ways
from baseload.planner.prices import bundled
from baseload.planner.spec.model import (
    Container,
    Curve,
    Limits,
    Model,
    ModelSpec,
    Performance,
    RunpodMode,
    RunpodTarget,
    Schedule,
    ServiceLevel,
    Tokens,
    Traffic,
)
from baseload.planner.targets.hybrid import Hybrid, Side
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.runpod import RunpodPod
from baseload.planner.traffic.schedule import office

BOOK = bundled()
D = Decimal
TARGET = RunpodTarget(gpu="ADA_24", idle_timeout_s=600)
SPEC = ModelSpec(
    name="example",
    file=Path("example.yaml"),
    serves=Container(image="registry.example/acme/worker:1.0"),
    traffic=Traffic(requests_per_day=D(200)),
    performance=Performance(service_time_s=D("1.8"), cold_start_s=D(5)),
    limits=Limits(),
    target=TARGET,
    digest="sha256:0",
)


def best(spec: ModelSpec, seed: int | None = None) -> Alternative | None:
    return cheaper(spec, cost_of(spec, BOOK, seed), BOOK, seed)


def test_a_shorter_timeout_saves_what_its_own_plan_says() -> None:
    found = best(SPEC)
    assert found is not None
    assert found.change == "idle_timeout: 1s"
    there = cost_of(replace(SPEC, target=replace(TARGET, idle_timeout_s=1)), BOOK)
    assert found.monthly_usd == there.monthly_usd.expected
    assert found.monthly_usd + found.saves_usd == cost_of(SPEC, BOOK).monthly_usd.expected
    assert there.response is not None
    assert (found.p95_s, found.cold_share) == (there.response.p95_s, there.response.cold_share)


def test_a_way_that_breaks_the_service_level_is_none() -> None:
    found = best(SPEC)
    assert found is not None
    assert found.p95_s is not None
    strict = best(replace(SPEC, service_level=ServiceLevel(p95_s=found.p95_s - D("0.1"))))
    assert strict is None or (strict.p95_s is not None and strict.p95_s <= found.p95_s - D("0.1"))
    assert best(replace(SPEC, service_level=ServiceLevel(cold_starts=False))) is None


def test_a_worker_that_is_always_on_for_little_may_go() -> None:
    active = replace(TARGET, mode=RunpodMode.ACTIVE, workers_min=1, workers_max=2, idle_timeout_s=1)
    found = best(replace(SPEC, target=active))
    assert found is not None
    assert found.change == "mode: flex, workers.min: 0"


def test_what_is_cheapest_already_has_no_alternative() -> None:
    assert best(replace(SPEC, target=replace(TARGET, idle_timeout_s=1))) is None


def test_nothing_is_said_where_the_month_is_unknown() -> None:
    assert best(replace(SPEC, performance=Performance())) is None
    assert best(replace(SPEC, traffic=None)) is None


def test_a_smaller_gpu_only_where_its_speed_is_estimated() -> None:
    serves = Model(id="mistralai/Mistral-7B-Instruct-v0.3", parameters=D(7_250_000_000))
    traffic = Traffic(requests_per_day=D(3000), tokens=Tokens(prompt=D(512), output=D(128)))
    large = replace(TARGET, gpu="AMPERE_80", idle_timeout_s=1)
    performance = Performance(cold_start_s=D(5), concurrency=30)
    model = replace(SPEC, serves=serves, traffic=traffic, target=large, performance=performance)
    found = best(model)
    assert found is not None
    assert "speed estimated" in found.change
    assert best(replace(SPEC, target=large)) is None, "a container may be anything"


def test_other_targets_have_ways_of_their_own() -> None:
    window = best(replace(SPEC, target=Modal(gpu="L40S", scaledown_s=600)))
    assert window is not None
    assert window.change == "scaledown_window: 5s"
    tier = best(replace(SPEC, target=RunpodPod(gpu="NVIDIA L40S")))
    assert tier is None or tier.change == "tier: community"


# One request a worker and a timeout of 5 s: the closed form is in doubt.
DOUBTFUL = replace(SPEC, target=replace(TARGET, idle_timeout_s=5, workers_max=5))


def test_a_base_may_be_another_or_stop_at_night() -> None:
    side = Side(provider="runpod", product="pod", gpu="NVIDIA L40S", tier="secure")
    burst = Side(provider="runpod", product="serverless", gpu="ADA_48_PRO")
    target = Hybrid(dedicated=side, burst=burst, burst_max=6, base=1, idle_timeout_s=D(60))
    steady = replace(SPEC, target=target, traffic=Traffic(requests_per_day=D(20_000)))
    more = best(steady)
    assert more is not None
    assert more.change == "base: 2"
    assert more.monthly_usd == cost_of(replace(steady, target=replace(target, base=2)), BOOK).monthly_usd.expected
    by_day = replace(steady, traffic=Traffic(requests_per_day=D(20_000), curve=Curve.OFFICE_HOURS))
    asleep = best(by_day)
    assert asleep is not None
    assert asleep.change == "schedule: 2 from mon to fri, 08:00 to 18:00, else 0"
    hours = Schedule(windows=(office(2),))
    there = cost_of(replace(by_day, target=replace(target, base=None), schedule=hours), BOOK)
    assert asleep.monthly_usd == there.monthly_usd.expected
    assert there.lines[0].amount_usd == D("473.63")  # 730 × 50/168 × 2 × 1.09
    assert not [change for change, _ in ways(replace(by_day, schedule=hours), there, BOOK)]


def busy(requests_per_day: int, cold_start_s: int, cv: str | None = None) -> ModelSpec:
    traffic = Traffic(requests_per_day=D(requests_per_day), cv=D(cv) if cv else None)
    return replace(DOUBTFUL, traffic=traffic, performance=replace(SPEC.performance, cold_start_s=D(cold_start_s)))


@pytest.mark.parametrize(("per_day", "change"), [(1000, "idle_timeout: 1s"), (20_000, "mode: active, workers.min: 1")])
def test_where_months_are_simulated_so_is_the_cheaper_way(per_day: int, change: str) -> None:
    spec = busy(per_day, cold_start_s=25)
    cost = cost_of(spec, BOOK, seed=1)
    assert cost.simulation is not None
    found = cheaper(spec, cost, BOOK, seed=1)
    assert found is not None
    assert found.change == change
    there = cost_of(dict(ways(spec, cost, BOOK))[change], BOOK, seed=1)  # what its own plan says
    assert there.simulation is not None
    assert found.monthly_usd == there.monthly_usd.expected
    assert there.response is not None
    assert (found.p95_s, found.cold_share) == (there.response.p95_s, there.response.cold_share)
    assert found.interval_percent == there.simulation.interval_percent
    expected = cost.monthly_usd.expected
    assert expected is not None
    open_usd = (expected * cost.simulation.interval_percent + found.monthly_usd * found.interval_percent) / 100
    assert expected - found.monthly_usd == found.saves_usd > open_usd


def test_what_only_the_closed_form_finds_cheaper_is_not_offered() -> None:
    # 60 s to start and 5 s of idle timeout or a minimum of one: a sixth too low by the closed form.
    performance = Performance(service_time_s=D(8), cold_start_s=D(60), concurrency=4)
    target = replace(TARGET, idle_timeout_s=15, workers_max=50)
    spec = replace(SPEC, traffic=Traffic(requests_per_day=D(50_000)), performance=performance, target=target)
    cost = cost_of(spec, BOOK, seed=1)
    expected = cost.monthly_usd.expected
    assert expected is not None
    by_closed_form = [cost_of(other, BOOK).monthly_usd.expected for _, other in ways(spec, cost, BOOK)]
    assert min(usd for usd in by_closed_form if usd is not None) < expected * (1 - 3 * FROM_SHARE)
    assert cheaper(spec, cost, BOOK, seed=1) is None


def test_a_doubt_that_is_not_simulated_offers_nothing() -> None:
    spec = busy(20_000, cold_start_s=25)
    assert cheaper(spec, cost_of(spec, BOOK), BOOK) is None, "in doubt itself"

    # Only a timeout as short as the services is in doubt: it is the way where it is simulated, else the next one.
    slow = replace(busy(1000, cold_start_s=2), target=replace(DOUBTFUL.target, idle_timeout_s=60))
    cost = cost_of(slow, BOOK, seed=1)
    assert cost.simulation is None
    found, without = cheaper(slow, cost, BOOK, seed=1), cheaper(slow, cost, BOOK)
    assert found is not None
    assert found.change == "idle_timeout: 1s"
    assert found.interval_percent is not None
    assert without is None or without.interval_percent is None
    assert without is None or without.change == "idle_timeout: 15s"


@settings(max_examples=40, deadline=None)
@given(
    requests_per_day=st.integers(0, 200_000),
    timeout_s=st.integers(1, 3600),
    workers_max=st.integers(1, 8),
    cold_s=st.integers(0, 300),
)
def test_it_is_cheaper_and_serves_as_much(requests_per_day: int, timeout_s: int, workers_max: int, cold_s: int) -> None:
    target = replace(TARGET, idle_timeout_s=timeout_s, workers_max=workers_max)
    performance = replace(SPEC.performance, cold_start_s=D(cold_s))
    spec = replace(SPEC, traffic=Traffic(requests_per_day=D(requests_per_day)), target=target, performance=performance)
    found = best(spec)
    if found is not None:
        assert found.saves_usd >= (found.monthly_usd + found.saves_usd) * FROM_SHARE
        assert found.p95_s is not None
