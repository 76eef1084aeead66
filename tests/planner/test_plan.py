"""The plan document: every printed number by hand, the arithmetic of the documentation, digest, limits and moves."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseload.planner.cost import MONTH_S, cents
from baseload.planner.diagnostics import Diagnostic, Severity
from baseload.planner.errors import UsageError
from baseload.planner.plan import PROMISES, Change, FieldChange, Plan, Verdict, make_plan, moved, schema
from baseload.planner.prices import PriceBook, bundled
from baseload.planner.spec import load
from baseload.planner.spec.file import parse_spec
from baseload.planner.spec.model import (
    Container,
    Limits,
    ModelSpec,
    Performance,
    QueueDelay,
    Range,
    RequestCount,
    RunpodMode,
    RunpodTarget,
    ServiceLevel,
    Traffic,
)

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
MEASURED = Performance(service_time_s=Decimal("1.8"), cold_start_s=Decimal(25))
FLEX = RunpodTarget(gpu="ADA_24", workers_max=1)
ACTIVE = RunpodTarget(gpu="ADA_24", mode=RunpodMode.ACTIVE, workers_min=1, workers_max=1)
URN = "urn:pulumi:dev::shop::baseload:index:RunpodEndpoint$baseload-runpod:index:Endpoint::chat-endpoint"


def spec(**given: Any) -> ModelSpec:
    """A whole spec: 1,000 requests a day on one Flex worker of ADA_24 (0.00031 USD per GPU-second)."""
    whole: dict[str, Any] = {
        "name": "chat",
        "file": Path("model_specs/chat.yaml"),
        "serves": Container(image="registry.example/acme/worker:1.0"),
        "traffic": Traffic(requests_per_day=Decimal(1000)),
        "performance": MEASURED,
        "limits": Limits(),
        "target": FLEX,
        "digest": f"sha256:{'0' * 64}",
    }
    return ModelSpec(**{**whole, **given})


def plan(*specs: ModelSpec, book: PriceBook | None = None, now: datetime = NOW, **more: Any) -> Plan:
    made = make_plan(specs, book or bundled(), stack="dev", generated_at=now, **more)
    jsonschema.Draft202012Validator(schema()).validate(made.to_json())
    return made


def codes(made: Plan) -> list[str]:
    return [item.code for item in made.diagnostics]


# ------------------------------------------------------------------------------------------------- numbers by hand
def test_the_worked_example_of_the_documentation(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    text = (pytestconfig.rootpath / "docs" / "cost-model.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.S)
    (arithmetic,) = re.findall(r"```text\n(.*?)```", text, re.S)
    values: dict[str, Any] = {"exp": math.exp}
    printed: dict[str, Decimal] = {}
    for line in arithmetic.strip().splitlines():
        name, formula, shown = (part.strip() for part in line.split(" = "))
        printed[name] = Decimal(shown)
        computed = eval(formula, {"__builtins__": {}}, values)
        digits = -int(printed[name].as_tuple().exponent)
        assert computed == pytest.approx(float(shown), abs=0.51 * 10**-digits), line
        values[name] = computed if digits > 2 else float(shown)  # rounded where the page rounds: seconds and cents

    file = tmp_path / "example.yaml"
    file.write_text(example, encoding="utf-8")
    (model,) = plan(*load([file])).models
    assert model.method == "exact: one worker"
    assert {line.what: line.quantity for line in model.lines} == {
        "busy": printed["busy_s"],
        "idle": printed["idle_s"],
        "cold_start": printed["cold_start_s"],
        "always_on": 0,
    }
    assert (model.split_usd.busy, model.split_usd.idle) == (printed["busy_usd"], printed["idle_usd"])
    assert model.split_usd.cold_start == printed["cold_start_usd"]
    assert model.monthly_usd.expected == printed["month_usd"]
    assert model.usd_per_1000_requests == printed["per_1000_usd"]
    assert model.hourly_worst_case_usd == printed["worst_hour_usd"]
    assert model.worker_starts_per_month == round(printed["starts"])


def test_an_active_worker_by_hand() -> None:
    # 2 GPUs × 2,628,000 s = 5,256,000 GPU-seconds × 0.00031 × (1 − 0.25) = 0.0002325 → 1,222.02 USD
    # an hour: 1 worker × 2 GPUs × 3,600 s × 0.0002325 = 1.674 → 1.67 USD
    # 1,000 a day × 730 h / 24 h = 30,416.667 requests: 1,222.02 / 30.416667 = 40.176 USD per thousand
    (model,) = plan(spec(target=replace(ACTIVE, gpu_count=2, active_discount=Decimal("0.25")))).models
    (line,) = [line for line in model.lines if line.quantity]
    assert (line.what, line.quantity, line.unit_price_usd) == ("always_on", 5_256_000, Decimal("0.0002325"))
    assert model.monthly_usd.expected == model.split_usd.always_on == Decimal("1222.02")
    assert model.hourly_worst_case_usd == Decimal("1.67")
    assert model.usd_per_1000_requests == Decimal("40.176000")
    assert model.method == "exact: all workers are always on"


def test_the_discount_is_on_the_always_on_workers_only() -> None:
    # worst hour: (2 at 0.00031 + 1 at 0.00031 × 0.8) × 3,600 = 3.1248 → 3.12 USD
    target = replace(ACTIVE, workers_max=3, active_discount=Decimal("0.2"))
    (model,) = plan(spec(target=target)).models
    assert model.hourly_worst_case_usd == Decimal("3.12")
    assert {line.what: line.unit_price_usd for line in model.lines} == {
        "busy": Decimal("0.00031"),
        "idle": Decimal("0.00031"),
        "cold_start": Decimal("0.00031"),
        "always_on": Decimal("0.000248"),
    }
    assert model.split_usd.always_on == cents(MONTH_S * Decimal("0.000248"))


def test_no_traffic_costs_nothing_but_the_always_on_workers() -> None:
    quiet = Traffic(requests_per_day=Decimal(0))
    (flex,) = plan(spec(traffic=quiet, performance=Performance())).models
    assert (flex.monthly_usd.low, flex.monthly_usd.expected, flex.monthly_usd.high) == (0, 0, 0)
    assert flex.usd_per_1000_requests is None
    (active,) = plan(spec(traffic=quiet, target=replace(ACTIVE, workers_max=3))).models
    assert active.monthly_usd.expected == Decimal("814.68")  # 2,628,000 s × 0.00031


def test_the_traffic_range_gives_the_ends() -> None:
    wide = Traffic(requests_per_day=Decimal(1000), cv=Decimal(1), range=Range(low=Decimal("0.5"), high=Decimal(2)))
    spread = plan(spec(traffic=wide)).models[0].monthly_usd
    for factor, amount in (("0.5", spread.low), ("1", spread.expected), ("2", spread.high)):
        alone = spec(traffic=Traffic(requests_per_day=1000 * Decimal(factor)))
        assert plan(alone).models[0].monthly_usd.expected == amount
    assert spread.low is not None
    assert spread.expected is not None
    assert spread.high is not None
    assert spread.low < spread.expected < spread.high


def test_overload_costs_all_workers_and_is_said() -> None:
    # 100,000 a day × 1.8 s = 2.08 requests in service, 2 workers: 2 × 2,628,000 × 0.00031 = 1,629.36 USD
    made = plan(spec(traffic=Traffic(requests_per_day=Decimal(100_000)), target=replace(FLEX, workers_max=2)))
    (model,) = made.models
    assert model.monthly_usd.expected == Decimal("1629.36")
    assert model.usd_per_1000_requests is None
    (problem,) = [item for item in made.diagnostics if item.code == "plan/overload"]
    assert "keeps 2.1 requests in service" in problem.summary
    assert problem.hint == "raise `workers.max` to 3 or more"


def test_overload_only_at_the_high_end_is_said_too() -> None:
    busy = Traffic(requests_per_day=Decimal(40_000), range=Range(low=Decimal(1), high=Decimal(3)))
    made = plan(spec(traffic=busy))
    assert "at the high end of its range" in next(d.summary for d in made.diagnostics if d.code == "plan/overload")
    assert made.models[0].usd_per_1000_requests is not None


def test_request_count_scaling_has_no_idle_tail_and_says_so() -> None:
    target = replace(FLEX, workers_max=3, idle_timeout_s=None, scaling=RequestCount(requests=1))
    (model,) = plan(spec(target=target)).models
    (idle,) = [item for item in model.assumptions if item.name == "idle_timeout"]
    assert (idle.value, idle.errs) == ("0 s", "low")
    assert any(item.value.startswith("one worker per 1 waiting") for item in model.assumptions)


def test_request_count_scaling_below_the_concurrency_sets_the_requests_per_worker() -> None:
    def bill(concurrency: int, requests: int) -> Decimal | None:
        target = replace(FLEX, workers_max=3, idle_timeout_s=None, scaling=RequestCount(requests=requests))
        performance = replace(MEASURED, concurrency=concurrency)
        return plan(spec(target=target, performance=performance)).models[0].monthly_usd.expected

    assert bill(4, 2) == bill(2, 2) == bill(2, 9)
    assert bill(4, 2) != bill(4, 4)


# ----------------------------------------------------------------------------------------------------------- unknown
@pytest.mark.parametrize(
    ("given_spec", "named"),
    [
        (spec(performance=Performance()), "performance.service_time and performance.cold_start"),
        (spec(performance=replace(MEASURED, cold_start_s=None)), "performance.cold_start"),
        (spec(traffic=None), "traffic.requests_per_day"),
    ],
)
def test_an_unknown_figure_makes_the_month_unknown_and_is_named(given_spec: ModelSpec, named: str) -> None:
    made = plan(given_spec, spec(name="other"))
    model = made.models[0]
    assert model.monthly_usd.expected is None
    assert (model.method, model.lines, model.usd_per_1000_requests) == (None, (), None)
    assert model.hourly_worst_case_usd == Decimal("1.12")
    (problem,) = [item for item in made.diagnostics if item.code == "plan/cost-unknown"]
    assert problem.summary.endswith(f"does not say {named}")
    assert made.total_monthly_usd.expected is None
    (total,) = [item for item in made.diagnostics if item.code == "plan/total-unknown"]
    assert f"at least {made.models[1].monthly_usd.expected} USD" in total.summary


def test_the_always_on_share_is_known_where_the_rest_is_not() -> None:
    (model,) = plan(spec(performance=Performance(), target=replace(ACTIVE, workers_max=3))).models
    assert model.monthly_usd.expected is None
    assert (model.split_usd.always_on, model.split_usd.busy) == (Decimal("814.68"), None)
    assert model.at_least_usd == Decimal("814.68")


def test_an_unpriced_pool_is_unknown_and_never_free() -> None:
    made = plan(spec(target=replace(FLEX, gpu="ADA_32_PRO"), limits=Limits(hourly_worst_case_usd=Decimal(1))))
    (model,) = made.models
    assert model.monthly_usd.expected is None
    assert model.hourly_worst_case_usd is None
    assert model.limits[0].verdict is Verdict.UNKNOWN
    assert "plan/price-unknown" in codes(made)


# ------------------------------------------------------------------------------------------------------------ limits
@pytest.mark.parametrize(("limit", "verdict"), [("814.68", "ok"), ("814.67", "breached")])
def test_the_monthly_limit_is_held_against_the_expected_month(limit: str, verdict: str) -> None:
    made = plan(spec(target=ACTIVE, limits=Limits(monthly_usd=Decimal(limit))))
    (check,) = made.models[0].limits
    assert (check.limit, str(check.actual), str(check.verdict)) == ("monthly_usd", "814.68", verdict)
    assert made.breached is (verdict == "breached")
    assert ("plan/limit" in codes(made)) is made.breached


def test_the_hourly_limit_is_held_against_the_worst_hour() -> None:
    made = plan(spec(limits=Limits(hourly_worst_case_usd=Decimal("1.11"))))  # 1.12, see the worked example
    assert made.breached


def test_a_limit_that_the_known_part_breaks_is_breached_although_the_month_is_unknown() -> None:
    unknown = spec(performance=Performance(), target=replace(ACTIVE, workers_max=3))
    low, high = (
        plan(replace(unknown, limits=Limits(monthly_usd=Decimal(usd)))).models[0].limits[0] for usd in (800, 900)
    )
    assert (low.verdict, low.actual) == (Verdict.BREACHED, Decimal("814.68"))
    assert (high.verdict, high.actual) == (Verdict.UNKNOWN, None)


def test_a_breach_is_told_at_the_key_that_sets_the_limit() -> None:
    text = (
        "name: captions\n"
        "container: {image: 'registry.example/acme/captions:1'}\n"
        "traffic: {requests_per_day: 1000}\n"
        "performance: {service_time: 1.8s, cold_start: 25s}\n"
        "limits:\n"
        "  hourly_worst_case_usd: 1000\n"
        "  monthly_usd: 1\n"
        "service_level: {p95: 1s, cold_starts: forbidden}\n"
        "target: {runpod: {gpu: ADA_24}}\n"
    )
    found = parse_spec(Path("captions.yaml"), text).spec
    assert found is not None
    told = [
        (item.code, str(item.where))
        for item in plan(found).diagnostics
        if item.code in ("plan/limit", "plan/service-level")
    ]
    assert told == [
        ("plan/limit", "captions.yaml:7:3"),
        ("plan/service-level", "captions.yaml:8:17"),
        ("plan/service-level", "captions.yaml:8:26"),
    ]


# ------------------------------------------------------------------------------------------------------------ prices
def test_the_service_level_is_held_against_the_latency() -> None:
    made = plan(spec(service_level=ServiceLevel(p95_s=Decimal(10), cold_starts=False)))
    checks = {check.limit: check for check in made.models[0].limits if check.limit in PROMISES}
    assert {name: check.verdict for name, check in checks.items()} == {"p95_s": "breached", "cold_share": "breached"}
    response = made.models[0].response
    assert response is not None
    assert checks["p95_s"].actual == response.p95_s
    assert made.breached
    assert codes(made).count("plan/service-level") == 2
    kept = plan(spec(service_level=ServiceLevel(p95_s=Decimal(100))))
    assert [check.verdict for check in kept.models[0].limits if check.limit == "p95_s"] == ["ok"]
    unknown = plan(
        spec(service_level=ServiceLevel(p95_s=Decimal(100)), performance=Performance(), serves=Container(image="i"))
    )
    assert [check.verdict for check in unknown.models[0].limits if check.limit == "p95_s"] == ["unknown"]


def test_old_prices_warn_once_for_the_whole_plan() -> None:
    specs = [spec(name=gpu.lower(), target=replace(FLEX, gpu=gpu)) for gpu in ("ADA_24", "AMPERE_24", "HOPPER_141")]
    assert "prices/old" not in codes(plan(*specs))
    made = plan(*specs, now=NOW + timedelta(days=120))  # read 2026-08-20, now 2026-12-30: 132 days
    (warning,) = [item for item in made.diagnostics if item.code == "prices/old"]
    assert warning.severity is Severity.WARNING
    assert warning.summary == (
        "3 of the 3 prices used are old, the oldest, runpod/serverless/ADA_24, read 132 days ago (2026-08-20)"
    )
    assert warning.hint == "`deploy prices check` lists them"


def test_the_oldest_price_is_the_one_named() -> None:
    def aged(days: int) -> PriceBook:
        rows = [
            replace(row, read=row.read - timedelta(days=days * (row.gpu == "HOPPER_141"))) for row in bundled().rows()
        ]
        return PriceBook("aged", rows)

    specs = [spec(name=gpu.lower(), target=replace(FLEX, gpu=gpu)) for gpu in ("ADA_24", "HOPPER_141")]
    made = plan(*specs, book=aged(100), now=NOW + timedelta(days=120))  # 132 and 232 days
    (warning,) = [item for item in made.diagnostics if item.code == "prices/old"]
    assert "runpod/serverless/HOPPER_141, read 232 days ago (2026-05-12)" in warning.summary
    assert made.to_json()["prices"]["oldest"] == "2026-05-12"


def test_the_diagnostics_of_the_specs_are_kept() -> None:
    remark = Diagnostic(code="spec/not-evaluated", summary="service_level is not evaluated", severity=Severity.WARNING)
    assert remark in plan(spec(), diagnostics=[remark]).diagnostics


# ---------------------------------------------------------------------------------------------------------- document
IMAGE = FieldChange(path="image", old="worker:1.0", new="worker:1.1", release=True)
SECRET = FieldChange(path="env", old="[secret]", new="[secret]", release=True)
CHANGES = (Change(op="update", urn=URN, fields=(IMAGE, SECRET)),)


def everything(**more: Any) -> Plan:
    """A plan that uses every part of the document."""
    wide = Traffic(requests_per_day=Decimal(1000), range=Range(low=Decimal("0.5"), high=Decimal(2)))
    several = RunpodTarget(gpu="AMPERE_24", workers_max=3, volume="vol123", scaling=QueueDelay(seconds=Decimal(4)))
    return plan(
        spec(traffic=wide, limits=Limits(monthly_usd=Decimal(200), hourly_worst_case_usd=Decimal(5))),
        spec(name="draw", target=several, performance=replace(MEASURED, concurrency=4), traffic=wide),
        spec(name="new", performance=Performance(), target=replace(ACTIVE, workers_max=2)),
        **{"changes": CHANGES, "secret_digests": {f"{URN}.env": "hmac-1"}, **more},
    )


def test_the_document_as_users_read_it(golden: Callable[[str, str], None]) -> None:
    golden("plan", json.dumps(everything().to_json(), indent=2, ensure_ascii=False))


def test_a_plan_comes_back_from_its_document() -> None:
    made = everything()
    again = Plan.from_json(json.loads(json.dumps(made.to_json())))
    assert again == made
    assert again.to_json() == made.to_json()


@pytest.mark.parametrize(
    "document", [None, [], {}, {"schema": "baseload.plan/2"}, {**everything().to_json(), "changes": "none"}]
)
def test_what_is_no_plan_is_refused(document: object) -> None:
    with pytest.raises(UsageError, match="plan/document"):
        Plan.from_json(document)


def test_a_day_that_no_calendar_has_is_refused() -> None:
    document = everything().to_json()
    document["prices"]["used"][0]["read"] = "2026-02-31"
    with pytest.raises(UsageError, match=r"plan/document.*day"):
        Plan.from_json(document)


def test_the_order_in_which_an_engine_announces_its_steps_does_not_matter() -> None:
    twin = Change(op="delete", urn=URN)
    one, other = (everything(changes=changes) for changes in ((*CHANGES, twin), (twin, *CHANGES)))
    assert one.digest == other.digest
    assert moved(everything(), one) == [f"resource: {URN}: update → delete, update"]


def test_an_edited_plan_is_refused() -> None:
    document = everything().to_json()
    document["changes"][0]["fields"][0]["new"] = "worker:evil"
    with pytest.raises(UsageError, match="plan/digest"):
        Plan.from_json(document)


def test_the_digest_does_not_know_the_time() -> None:
    assert everything().digest == everything(now=NOW + timedelta(days=300)).digest


def dearer() -> PriceBook:
    rows = [replace(row, usd=row.usd * 2 if row.usd else None) for row in bundled().rows()]
    return PriceBook("dearer", rows)


@pytest.mark.parametrize(
    ("after", "sentence"),
    [
        ({"book": dearer()}, "price: runpod/serverless/ADA_24 0.00031 USD → 0.00062 USD"),
        ({"changes": ()}, f"resource: {URN}: update → no change"),
        ({"changes": None}, f"resource: {URN}: update → no change"),
        ({"changes": (replace(CHANGES[0], op="replace"),)}, f"resource: {URN}: update → replace"),
        (
            {"changes": (replace(CHANGES[0], fields=(replace(IMAGE, new="worker:1.2"), SECRET)),)},
            f"resource: {URN}: update, but not as reviewed: image",
        ),
        ({"secret_digests": {f"{URN}.env": "hmac-2"}}, f"secret: {URN}.env has another value"),
    ],
)
def test_what_moved_is_named(after: dict[str, Any], sentence: str) -> None:
    before, fresh = everything(), everything(**after)
    assert before.digest != fresh.digest
    assert sentence in moved(before, fresh)


def test_only_what_moved_is_named() -> None:
    other = Change(op="create", urn=f"{URN}-2")
    before, fresh = everything(changes=(*CHANGES, other)), everything(changes=(*CHANGES, replace(other, op="update")))
    assert moved(before, fresh) == [f"resource: {URN}-2: create → update"]


def test_a_moved_spec_is_named_with_its_figures() -> None:
    slower = spec(digest=f"sha256:{'1' * 64}", performance=replace(MEASURED, service_time_s=Decimal(2)))
    assert moved(plan(spec()), plan(slower)) == ["spec: chat changed (service_time 1.8 s → 2 s)"]
    assert moved(plan(spec()), plan(spec(name="talk"))) == ["spec: chat is gone", "spec: talk is new"]


def test_nothing_moved() -> None:
    assert moved(everything(), everything(now=NOW + timedelta(hours=1))) == []


def test_state_that_appears_or_vanishes_is_a_move() -> None:
    first = [Change(op="create", urn=URN, fields=())]
    assert moved(plan(spec(), changes=None), plan(spec(), changes=first)) == []
    second = [Change(op="update", urn=URN, fields=())]
    assert moved(plan(spec(), changes=None), plan(spec(), changes=second)) == [f"resource: {URN}: no change → update"]
    assert moved(plan(spec(), changes=None), plan(spec(), changes=())) == ["resource: the stack has state now"]
    assert moved(plan(spec(), changes=()), plan(spec(), changes=None)) == ["resource: the state is gone"]


# -------------------------------------------------------------------------------------------------- whatever is given
amounts = st.decimals(min_value=0, max_value=10**9, places=3)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    least = draw(st.integers(0, 3))
    target = RunpodTarget(
        gpu=draw(st.sampled_from(["ADA_24", "BLACKWELL_180", "ADA_32_PRO"])),
        gpu_count=draw(st.integers(1, 8)),
        workers_min=least,
        workers_max=draw(st.integers(max(least, 1), 40)),
        idle_timeout_s=draw(st.sampled_from([None, 1, 5, 3600])),
        scaling=draw(st.sampled_from([QueueDelay(seconds=Decimal(4)), RequestCount(requests=3)])),
        active_discount=draw(st.sampled_from([Decimal(0), Decimal("0.3"), Decimal(1)])),
    )
    performance = Performance(
        service_time_s=draw(st.none() | st.decimals(0, 7200, places=3)),
        service_time_cv=draw(st.sampled_from([Decimal(0), Decimal(1), Decimal(3)])),
        cold_start_s=draw(st.none() | st.decimals(0, 7200, places=1)),
        concurrency=draw(st.sampled_from([1, 4, 300])),
    )
    swing = Range(low=draw(st.decimals("0.01", 1, places=2)), high=draw(st.decimals(1, 100, places=1)))
    traffic = draw(st.none() | amounts.map(lambda rate: Traffic(requests_per_day=rate, range=swing)))
    return spec(target=target, performance=performance, traffic=traffic, limits=Limits(monthly_usd=Decimal(100)))


@given(specs())
def test_whatever_the_spec_the_document_is_valid_and_its_parts_add_up(given_spec: ModelSpec) -> None:
    made = plan(given_spec)
    (model,) = made.models
    assert sum(line.amount_usd for line in model.lines) == model.at_least_usd
    for line in model.lines:
        assert line.quantity == line.quantity.to_integral_value()
        assert line.amount_usd == cents(line.quantity * line.unit_price_usd)
    split = (model.split_usd.busy, model.split_usd.idle, model.split_usd.cold_start, model.split_usd.always_on)
    low, expected, high = model.monthly_usd.low, model.monthly_usd.expected, model.monthly_usd.high
    if expected is None:
        assert set(codes(made)) & {"plan/cost-unknown", "plan/price-unknown"}
        return
    assert sum(part for part in split if part is not None) == expected
    assert low is not None
    assert high is not None
    assert low <= expected <= high
    # a month cannot cost more than all workers on for 730 hours (each line rounds to a GPU-second and a cent)
    price = bundled().find("runpod", "serverless", given_spec.target.gpu)
    assert price is not None
    assert price.usd is not None
    target = given_spec.target
    flexible = target.workers_max - target.workers_min * target.active_discount
    assert high <= flexible * target.gpu_count * MONTH_S * price.usd + Decimal("0.05")
