"""The cheaper way in a plan: priced as the spec is, served as well, and never said where it was not computed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from baseload.planner.cost import cost_of
from baseload.planner.cost.alternative import FROM_SHARE, Alternative, cheaper
from baseload.planner.prices import bundled
from baseload.planner.spec.model import (
    Container,
    Limits,
    Model,
    ModelSpec,
    Performance,
    RunpodMode,
    RunpodTarget,
    ServiceLevel,
    Tokens,
    Traffic,
)
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.runpod import RunpodPod

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


def best(spec: ModelSpec) -> Alternative | None:
    return cheaper(spec, cost_of(spec, BOOK), BOOK)


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
    model = replace(SPEC, serves=serves, traffic=traffic, target=large, performance=Performance(cold_start_s=D(5)))
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
