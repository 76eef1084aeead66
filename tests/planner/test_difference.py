"""A plan against another one: changes, their causes, and limits on how much a month may rise."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baseload.planner.plan import Plan, Verdict, make_plan, schema
from baseload.planner.prices import PriceBook, bundled
from baseload.planner.spec.file import parse_spec
from baseload.planner.spec.model import Limits, ModelSpec

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
TEXT = """
name: {name}
container: {{image: 'registry.example/acme/worker:1.0', env: {{GREETING: hello}}}}
traffic: {{requests_per_day: {rate}}}
performance: {{service_time: {service}, cold_start: 25s}}
limits: {{increase_percent: {limit}}}
target: {{runpod: {{gpu: ADA_24, workers: {{max: 1}}}}}}
"""


def spec(name: str = "chat", *, rate: str = "1000", service: str = "1.8s", limit: str = "20") -> ModelSpec:
    found = parse_spec(Path(f"{name}.yaml"), TEXT.format(name=name, rate=rate, service=service, limit=limit))
    assert found.spec is not None, found.diagnostics
    return found.spec


def plan(
    *specs: ModelSpec, against: Plan | None = None, book: PriceBook | None = None, limits: Limits | None = None
) -> Plan:
    base = against.as_base("base.json") if against else None
    made = make_plan(specs, book or bundled(), stack="dev", generated_at=NOW, base=base, limits=limits)
    jsonschema.Draft202012Validator(schema()).validate(made.to_json())
    return made


def dearer(times: str) -> PriceBook:
    row = bundled().find("runpod", "serverless", "ADA_24")
    assert row is not None
    assert row.usd is not None
    return bundled().with_rows([replace(row, usd=row.usd * Decimal(times))], "dearer")


def stored(made: Plan) -> Plan:
    """As it comes back from its file."""
    return Plan.from_json(json.loads(json.dumps(made.to_json())))


def test_nothing_changed() -> None:
    made = plan(spec(), against=stored(plan(spec())))
    assert made.difference is not None
    (model,) = made.difference.models
    assert (model.change_usd, model.percent) == (0, 0)
    assert model.causes is not None
    assert {model.causes.spec, model.causes.traffic, model.causes.price, model.causes.method} == {Decimal(0)}
    assert not made.breached


def test_each_cause_by_itself() -> None:
    before = stored(plan(spec()))
    for now, book, cause in (
        (spec(service="3.6s"), None, "spec"),
        (spec(rate="2000"), None, "traffic"),
        (spec(), dearer("2"), "price"),
    ):
        made = plan(now, against=before, book=book)
        assert made.difference is not None
        (model,) = made.difference.models
        assert model.causes is not None
        assert getattr(model.causes, cause) == model.change_usd != 0
        others = {"spec", "traffic", "price", "method"} - {cause}
        assert {getattr(model.causes, other) for other in others} == {Decimal(0)}


def test_a_price_that_doubles_by_hand() -> None:
    # docs/cost-model.md: 219.77; at 0.00062 per GPU-second 33.95 + 68.13 + 337.49 = 439.57: 100.0 % more
    made = plan(spec(), against=plan(spec()), book=dearer("2"))
    assert made.difference is not None
    total = made.difference.total
    assert (total.before_usd, total.after_usd, total.percent) == (Decimal("219.77"), Decimal("439.57"), 100)
    (check,) = made.models[0].limits
    assert (check.actual, check.verdict) == (Decimal("100.0"), Verdict.BREACHED)
    assert made.breached
    (problem,) = [item for item in made.diagnostics if item.code == "plan/limit"]
    assert problem.summary == (
        "the expected month of chat rises by 100.0 %, more than the limit `increase_percent` of 20 %"
    )


def test_a_computation_that_changed_is_named_and_not_blamed_on_the_spec() -> None:
    before = plan(spec())
    (model,) = before.models
    other = replace(before, models=(replace(model, monthly_usd=replace(model.monthly_usd, expected=Decimal(200))),))
    made = plan(spec(), against=other)
    assert made.difference is not None
    assert made.difference.total.causes is not None
    assert made.difference.total.causes.method == Decimal("19.77")


def test_models_come_and_go() -> None:
    made = plan(spec(), spec("new"), against=plan(spec(), spec("old")))
    assert made.difference is not None
    assert [(item.name, item.status, item.change_usd) for item in made.difference.models] == [
        ("chat", "kept", Decimal(0)),
        ("new", "new", Decimal("219.77")),
        ("old", "gone", Decimal("-219.77")),
    ]
    assert made.difference.total.change_usd == 0
    assert made.models[1].limits[0].verdict is Verdict.UNKNOWN  # nothing to compare it with
    assert not made.breached


@pytest.mark.parametrize(("rate", "verdict"), [("1000", Verdict.BREACHED), ("0", Verdict.OK)])
def test_a_rise_from_nothing_has_no_percentage(rate: str, verdict: Verdict) -> None:
    (check,) = plan(spec(rate=rate), against=plan(spec(rate="0"))).models[0].limits
    assert check.verdict is verdict
    assert (check.actual is None) == (verdict is Verdict.BREACHED)


def test_without_a_base_a_rise_is_unknown() -> None:
    (check,) = plan(spec()).models[0].limits
    assert (check.verdict, check.actual) == (Verdict.UNKNOWN, None)


def test_limits_of_the_whole_stack() -> None:
    # two models of 219.77 make 439.54
    both = (spec("a", limit="1000"), spec("b", limit="1000"))
    before = plan(both[0])
    for limits, breached in (
        (Limits(monthly_usd=Decimal("439.54")), False),
        (Limits(monthly_usd=Decimal("439.53")), True),
        (Limits(increase_percent=Decimal(100)), False),
        (Limits(increase_percent=Decimal("99.9")), True),
    ):
        made = plan(*both, against=before, limits=limits)
        assert made.breached is breached, limits
        assert any("the whole stack" in item.summary for item in made.diagnostics) is breached


def test_the_base_and_the_difference_are_no_part_of_what_is_reviewed() -> None:
    assert plan(spec(), against=plan(spec(rate="5"))).digest == plan(spec()).digest


def test_a_plan_with_a_difference_comes_back_from_its_document() -> None:
    made = plan(spec(), spec("new"), against=plan(spec(), spec("old")), limits=Limits(monthly_usd=Decimal(1)))
    assert stored(made) == made


def test_a_plan_keeps_no_environment() -> None:
    assert "GREETING" not in json.dumps(plan(spec()).to_json())


@settings(max_examples=30)
@given(
    st.integers(0, 40_000), st.integers(1, 40_000), st.sampled_from(["500ms", "1.8s", "7s"]),
    st.sampled_from(["0.5", "1", "1.37"]),
)  # fmt: skip
def test_the_causes_add_up(before: int, after: int, service: str, times: str) -> None:
    made = plan(
        spec(rate=str(after), service=service), against=stored(plan(spec(rate=str(before)))), book=dearer(times)
    )
    assert made.difference is not None
    for item in (*made.difference.models, made.difference.total):
        assert item.causes is not None
        causes = (item.causes.spec, item.causes.traffic, item.causes.price, item.causes.method)
        assert sum(causes) == item.change_usd
