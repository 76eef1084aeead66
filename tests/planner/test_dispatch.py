"""The rules of dispatch that a platform does not document: their closed form, and the range that holds them."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseload.planner.cost import Cost, cost_of, expected_month_usd
from baseload.planner.cost.explain import explain
from baseload.planner.cost.runpod import pool_of
from baseload.planner.pool import Dispatch, Pool, PoolEstimate, estimate, other_dispatches
from baseload.planner.pool.spread import in_service, turn_of
from baseload.planner.prices import bundled
from baseload.planner.simulator import simulate
from baseload.planner.spec.model import (
    Batch,
    Container,
    Limits,
    ModelSpec,
    Performance,
    Range,
    RunpodTarget,
    Traffic,
)
from baseload.planner.targets.aws import LambdaSagemaker
from baseload.planner.targets.demand import demand_of
from baseload.planner.targets.hybrid import Hybrid, Side
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.runpod import RunpodPod
from baseload.planner.targets.workers import Fleet
from baseload.planner.targets.workers import pool_of as pool_of_fleet

if TYPE_CHECKING:
    from baseload.planner.targets import Target

BOOK = bundled()
D = Decimal
FLEX = RunpodTarget(gpu="ADA_24", workers_max=10, idle_timeout_s=60)
MONTH_S = 2_628_000
TENTH = Range(low=D("0.9"), high=D("1.1"))


def spec(target: RunpodTarget | Target, per_day: int = 20_000, **given: object) -> ModelSpec:
    said = {"service_s": 4, "cold_s": 20, "concurrency": 1} | given
    return ModelSpec(
        name="captions",
        file=Path("captions.yaml"),
        serves=Container(image="captions"),
        traffic=Traffic(requests_per_day=D(per_day), cv=said.get("cv"), range=said.get("range", Range())),  # type: ignore[arg-type]
        performance=Performance(
            service_time_s=D(said["service_s"]),  # type: ignore[arg-type]
            cold_start_s=D(said["cold_s"]),  # type: ignore[arg-type]
            concurrency=said["concurrency"],  # type: ignore[arg-type]
        ),
        limits=Limits(),
        target=target,
        digest="",
    )


def usd(amount: Decimal | None) -> Decimal:
    assert amount is not None
    return amount


def dispatches(cost: Cost) -> dict[str, Decimal]:
    return {factor.value: factor.monthly_usd for factor in cost.factors if factor.name == "dispatch"}


def simulated_usd(pool: Pool, usd_per_s: Decimal, rule: Dispatch) -> Decimal:
    seen = simulate(replace(pool, dispatch=rule, increment_s=1.0), requests=60_000)
    return D(seen.billed) * MONTH_S * usd_per_s


# ---------------------------------------------------------------------------------------------- what the range holds
POINTS = [
    spec(FLEX),
    spec(FLEX, 4_000, service_s=2, cold_s=10),
    spec(FLEX, 40_000, service_s=10, concurrency=8),
    spec(FLEX, 100_000, service_s=1, cold_s=60, concurrency=4),
    spec(replace(FLEX, idle_timeout_s=30), 1_000, service_s=2, cold_s=10, range=TENTH),
    spec(replace(FLEX, workers_min=1, workers_max=4), 6_000, service_s=3, range=TENTH),
]


@pytest.mark.parametrize("asked", POINTS)
def test_the_range_holds_the_simulated_bill_of_every_rule(asked: ModelSpec) -> None:
    cost = cost_of(asked, BOOK)
    pool = replace(pool_of(asked), arrivals_per_s=float(asked.traffic.requests_per_day or 0) / 86_400)  # type: ignore[union-attr]
    for rule in Dispatch:
        found = simulated_usd(pool, usd(cost.price.usd if cost.price else None), rule)
        assert usd(cost.monthly_usd.low) <= found <= usd(cost.monthly_usd.high), rule


def test_so_does_that_of_modal_and_of_a_burst_beside_a_base() -> None:
    asked = spec(Modal(gpu="L40S", containers_max=10), 30_000)
    cost, demand = cost_of(asked, BOOK), demand_of(asked)
    assert demand is not None
    (part,) = demand.in_parts()
    pool = pool_of_fleet(demand, Fleet(workers_max=10, idle_timeout_s=D(60)), part)
    seconds = sum(line.quantity for line in cost.lines if line.what in ("busy", "idle", "cold_start"))
    per_s = usd(cost.monthly_usd.expected) / seconds / 3600
    for rule in Dispatch:
        assert usd(cost.monthly_usd.low) <= simulated_usd(pool, per_s, rule) <= usd(cost.monthly_usd.high), rule

    burst = Hybrid(
        dedicated=Side(provider="runpod", product="pod", gpu="NVIDIA L4", tier="secure"),
        burst=Side(provider="modal", product="serverless", gpu="L4"),
        burst_max=6,
        base=2,
        idle_timeout_s=D(60),
    )
    cost, demand = cost_of(spec(burst, 40_000), BOOK), demand_of(spec(burst, 40_000))
    assert demand is not None
    (part,) = demand.in_parts()
    pool = pool_of_fleet(demand, Fleet(workers_max=6, dedicated=2, idle_timeout_s=D(60)), part)
    base = sum((line.amount_usd for line in cost.lines if not line.what.startswith("burst")), D(0))
    seconds = sum(line.quantity for line in cost.lines if line.what in ("burst_busy", "burst_idle", "burst_cold_start"))
    per_s = (usd(cost.monthly_usd.expected) - base) / seconds / 3600
    for rule in Dispatch:
        found = base + simulated_usd(pool, per_s, rule)
        assert usd(cost.monthly_usd.low) * D("0.99") <= found <= usd(cost.monthly_usd.high), rule


@given(
    per_day=st.integers(1, 2_000_000),
    service_s=st.sampled_from([0, 1, 4, 30]),
    cold_s=st.sampled_from([0, 5, 20, 200]),
    concurrency=st.sampled_from([1, 4, 30]),
    workers=st.sampled_from([(0, 1), (0, 2), (1, 3), (0, 12), (3, 3)]),
    idle_s=st.sampled_from([1, 5, 60, 600]),
    cv=st.sampled_from([None, D("0.5"), D(1), D(3)]),
)
def test_the_range_holds_the_closed_form_of_every_rule(
    per_day: int,
    service_s: int,
    cold_s: int,
    concurrency: int,
    workers: tuple[int, int],
    idle_s: int,
    cv: Decimal | None,
) -> None:
    target = replace(FLEX, workers_min=workers[0], workers_max=workers[1], idle_timeout_s=idle_s)
    told = {"service_s": service_s, "cold_s": cold_s, "concurrency": concurrency, "cv": cv}
    asked = spec(target, per_day, range=Range(low=D("0.5"), high=D(2)), **told)
    cost = cost_of(asked, BOOK)
    for rule in Dispatch:
        for at in (per_day, per_day * 2):
            month = usd(expected_month_usd(replace(spec(target, at, **told), dispatch=rule), BOOK))
            assert usd(cost.monthly_usd.low) <= month <= usd(cost.monthly_usd.high)
        assert usd(cost.widest_usd.high) >= usd(cost.monthly_usd.high)


def test_a_rule_is_a_factor_with_its_bill() -> None:
    cost = cost_of(spec(FLEX), BOOK)
    alone = {
        str(rule): expected_month_usd(replace(spec(FLEX), dispatch=rule), BOOK)
        for rule in (Dispatch.BALANCED, Dispatch.RANDOM)
    }
    assert dispatches(cost) == alone
    text = Path(__file__).parents[2].joinpath("docs/cost-model.md").read_text(encoding="utf-8")
    told = (cost.monthly_usd.expected, alone["balanced"], alone["random"])
    assert "{:,.0f} USD packed, {:,.0f} in turn, {:,.0f} by chance;".format(*told) in text
    assert "dispatch balanced" in cost.ends.high
    (rule,) = (item for item in cost.assumptions if item.name == "dispatch")
    assert rule.value.endswith("in the range also balanced and random")
    (moved,) = (item for item in explain(spec(FLEX), cost, BOOK).sensitivities if item.assumption == "dispatch")
    assert moved.step == "balanced"
    assert moved.change_usd == usd(alone["balanced"]) - usd(cost.monthly_usd.expected)


def test_no_rule_matters_where_there_is_one_worker_to_choose_or_none_stops() -> None:
    for target in (
        replace(FLEX, workers_max=1),
        replace(FLEX, workers_min=4, workers_max=4),
        LambdaSagemaker(instance="ml.g5.xlarge", instances_max=4),
        RunpodPod(gpu="NVIDIA L4", pods=3),
        Modal(gpu="L40S", containers_max=1),
    ):
        cost = cost_of(spec(target), BOOK)
        assert not dispatches(cost)
        assert not any("dispatch" in end for end in (*cost.ends.low, *cost.ends.high))
        assert not any("in the range also balanced" in item.value for item in cost.assumptions)
    batch = Traffic(requests_per_day=D(100), batch=Batch(jobs=100, at="02:00", within_s=D(3600)))
    for traffic in (batch, Traffic(requests_per_day=D(0)), None):
        assert not dispatches(cost_of(replace(spec(FLEX), traffic=traffic), BOOK))
    assert other_dispatches(0, 1) == other_dispatches(2, 2) == ()
    assert other_dispatches(1, 2) == (Dispatch.BALANCED, Dispatch.RANDOM)


def test_one_worker_bills_the_same_by_every_rule() -> None:
    for cv in (1.0, 2.0):
        pool = Pool(arrivals_per_s=0.02, service_s=2, cold_start_s=20, idle_timeout_s=30, arrivals_cv=cv)
        bills = {estimate(replace(pool, dispatch=rule)).billed for rule in Dispatch}
        assert len(bills) == 1


# ------------------------------------------------------------------------------------------------------- the formulas
def test_requests_in_service_by_hand() -> None:
    """Poisson with mean 2: P(N ≥ 1) = 1 − e⁻², P(N ≥ 2) = 1 − 3e⁻², E[(2 − N)⁺] = 2e⁻² + 2e⁻² = 4e⁻²."""
    poisson = in_service(2.0, 1.0)
    assert [poisson.at_least(n) for n in (0, 1, 2)] == pytest.approx([1, 1 - math.exp(-2), 1 - 3 * math.exp(-2)])
    assert poisson.below(2) == pytest.approx(4 * math.exp(-2))
    # Pascal with mean 2 and variance 4 is the number of failures before two successes at ½: P(N = 0) = ¼, P(1) = ¼
    pascal = in_service(2.0, 2.0)
    assert [pascal.at_least(n) for n in (1, 2)] == pytest.approx([0.75, 0.5])
    dense = in_service(10_000.0, 1.0)
    assert dense.at_least(10_000) == pytest.approx(0.5, abs=0.01)
    assert dense.at_least(9_000) == 1
    assert (dense.at_least(11_000), dense.below(12_000)) == pytest.approx((0, 2000))


def test_turns_by_hand() -> None:
    """A request every 10 s and a timeout of 30 s: one gap outlasts it with e⁻³; of three, by chance, e⁻¹; in turn with
    P(Poisson(3) < 3) = 8.5 e⁻³."""
    assert turn_of(1, 0.1, 1.0, 0.0, 30.0, by_chance=False).missed == pytest.approx(math.exp(-3))
    assert turn_of(1, 0.1, 1.0, 0.0, 30.0, by_chance=False).idle_s == pytest.approx(10 * (1 - math.exp(-3)))
    assert turn_of(3, 0.1, 1.0, 0.0, 30.0, by_chance=True).missed == pytest.approx(math.exp(-1))
    assert turn_of(3, 0.1, 1.0, 0.0, 30.0, by_chance=False).missed == pytest.approx(8.5 * math.exp(-3), abs=0.01)


@pytest.mark.parametrize("rule", [Dispatch.BALANCED, Dispatch.RANDOM])
@pytest.mark.parametrize(
    ("pool", "below", "above"),
    [
        (Pool(arrivals_per_s=0.05, service_s=2, cold_start_s=10, idle_timeout_s=60, workers_max=9), 0.08, 0.02),
        (Pool(arrivals_per_s=0.5, service_s=2, cold_start_s=10, idle_timeout_s=60, workers_max=99), 0.02, 0.20),
        (
            Pool(arrivals_per_s=0.1, service_s=3, cold_start_s=30, idle_timeout_s=5, workers_max=3, concurrency=4),
            0.05,
            0,
        ),
        (
            Pool(arrivals_per_s=1.8, service_s=2, cold_start_s=40, idle_timeout_s=60, workers_max=5, concurrency=8),
            0,
            0.02,
        ),
        (
            Pool(arrivals_per_s=0.3, service_s=3, cold_start_s=20, idle_timeout_s=30, workers_max=6, workers_min=1),
            0.06,
            0.06,
        ),
        (
            Pool(arrivals_per_s=0.7, service_s=3, cold_start_s=20, idle_timeout_s=60, workers_max=6, dedicated=2),
            0.02,
            0.2,
        ),
    ],
)
def test_the_formula_agrees_with_simulation(pool: Pool, below: float, above: float, rule: Dispatch) -> None:
    """In turn it may be above: how many stay depends on how many were ever started."""
    pool = replace(pool, dispatch=rule)
    found = simulate(pool, requests=60_000).billed
    assert (1 - below) * found - 1e-6 <= estimate(pool).billed <= (1 + above) * found + 1e-6


@given(
    st.builds(
        Pool,
        arrivals_per_s=st.sampled_from([0.0, 1e-9, 1e-4, 0.03, 1.0, 50.0, 1e4, 1e9]),
        service_s=st.sampled_from([0.0, 1e-3, 0.5, 20.0, 1e4]),
        cold_start_s=st.sampled_from([0.0, 10.0, 1e4]),
        idle_timeout_s=st.sampled_from([0.0, 5.0, 3600.0]),
        start_delay_s=st.sampled_from([0.0, 4.0]),
        concurrency=st.sampled_from([1, 7, 1000]),
        workers_min=st.sampled_from([0, 2]),
        workers_max=st.sampled_from([2, 5, 4000]),
        dedicated=st.sampled_from([0, 3]),
        arrivals_cv=st.sampled_from([0.0, 1.0, 2.0, 20.0]),
        dispatch=st.sampled_from([Dispatch.BALANCED, Dispatch.RANDOM]),
    )
)
def test_extreme_pools_stay_finite_and_bill_no_less_than_packed_ones(pool: Pool) -> None:
    found, packed = estimate(pool), estimate(replace(pool, dispatch=Dispatch.PACKED))
    parts = (found.busy, found.idle, found.cold_start, found.always_on, found.starts_per_s)
    assert all(math.isfinite(part) and part >= 0 for part in parts)
    assert found.billed <= max(pool.workers_max, pool.workers_min) * (1 + 1e-9)
    assert found.billed >= packed.billed * (1 - 1e-9)
    assert isinstance(found, PoolEstimate)
