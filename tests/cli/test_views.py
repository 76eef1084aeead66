"""What people read, as golden files: wide and narrow, never depending on colour."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseload.cli.drift import condition, differences
from baseload.cli.progress import Lines
from baseload.cli.terminal import NARROW, WIDE, Page
from baseload.cli.views import doctor, down, explain, invoke, markdown, plan, report, status, up, validate
from baseload.cli.views.text import columns, listed, seconds, short_seconds, usd
from baseload.engine.interface import (
    Event,
    Message,
    Op,
    Outcome,
    ResourceView,
    StepDone,
    StepFailed,
    StepStarted,
)
from baseload.engine.interface import Status as EngineStatus
from baseload.planner.cost import Ends, Line, ResponseTime, Split, Spread
from baseload.planner.cost.alternative import Alternative
from baseload.planner.cost.explain import TOTAL, Bound, Explanation, Kind, Quantity, Sensitivity
from baseload.planner.diagnostics import Diagnostic, Severity
from baseload.planner.difference import Causes, Difference, MonthChange
from baseload.planner.plan import Change, FieldChange, LimitCheck, ModelPlan, Plan, Verdict, make_plan
from baseload.planner.pool import Assumption
from baseload.planner.prices import Price, bundled
from baseload.planner.spec.model import (
    Container,
    Limits,
    Model,
    ModelSpec,
    Performance,
    Range,
    RunpodTarget,
    Schedule,
    Traffic,
    Window,
)
from baseload.planner.targets.aws import LambdaSagemaker
from baseload.planner.targets.bill import Stage
from baseload.planner.targets.modal import Modal
from baseload.providers.runpod.jobs import Job, JobStatus

Golden = Callable[[str, str], None]

STACK = "urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev"
OWNER = "urn:pulumi:dev::demo::baseload-runpod:index:Owner::owner"
COMPONENT = "urn:pulumi:dev::demo::baseload:index:RunpodEndpoint::mistral-7b"
KIND = "baseload-runpod:index:Endpoint"
URN = f"urn:pulumi:dev::demo::baseload:index:RunpodEndpoint${KIND}::mistral-7b-endpoint"
URL = "https://api.runpod.ai/v2/4m7x2k9q"

PRICE = Price(
    provider="runpod",
    product="serverless",
    gpu="ADA_24",
    unit="gpu-second",
    usd=Decimal("0.00031"),
    read=date(2026, 8, 20),
    withdrawn=None,
    confidence="read",
    source="docs.runpod.io/serverless/pricing",
    note="",
)


RESPONSE = ResponseTime(
    p50_s=Decimal("29.651"),
    p95_s=Decimal("33.795"),
    p99_s=None,
    cold_share=Decimal("0.939920"),
    refused_share=Decimal("0.0021"),
    added=(
        Stage(name="function URL", low_s=Decimal("0.05"), high_s=Decimal("0.2"), source="not confirmed"),
        Stage(name="endpoint", low_s=Decimal(0), high_s=None, source="not published"),
    ),
)
CHEAPER = Alternative(
    change="idle_timeout: 1s",
    monthly_usd=Decimal("198.61"),
    saves_usd=Decimal("70.42"),
    p95_s=Decimal("33.916"),
    cold_share=Decimal("0.971402"),
)
LINES = (
    Line(what="busy", quantity=Decimal(54_750), unit_price_usd=Decimal("0.00031"), price=PRICE.id),
    Line(what="idle", quantity=Decimal(118_155), unit_price_usd=Decimal("0.00031"), price=PRICE.id),
    Line(what="cold_start", quantity=Decimal(694_935), unit_price_usd=Decimal("0.00031"), price=PRICE.id),
    Line(what="always_on", quantity=Decimal(0), unit_price_usd=Decimal("0.00031"), price=PRICE.id),
)
EXPLANATION = Explanation(
    command="deploy simulate mistral-7b",
    quantities=(
        Quantity(
            what="busy",
            quantity=Decimal(54_750),
            method="approximation: set-up epochs and levels",
            bounds=(
                Bound(
                    kind=Kind.AT_LEAST,
                    formula="requests × service time × GPUs ÷ concurrency",
                    figures="30,416.667 × 1.8 × 1 ÷ 1",
                    quantity=Decimal(54_750),
                ),
            ),
        ),
        Quantity(what=TOTAL, quantity=Decimal(867_840), method="approximation: set-up epochs and levels", bounds=()),
    ),
    sensitivities=(
        Sensitivity(assumption="active_share", step="25 %", change_usd=Decimal("-65.08")),
        Sensitivity(assumption="arrivals", step="10 % more", change_usd=Decimal("23.86")),
        Sensitivity(assumption="cold_start", step="10 % more", change_usd=Decimal("20.07")),
        Sensitivity(assumption="idle_timeout", step="1 s more", change_usd=Decimal("6.62")),
    ),
)


def model_plan(name: str = "mistral-7b", *, known: bool = True) -> ModelPlan:
    spread = Spread(low=Decimal("142.37"), expected=Decimal("269.03"), high=Decimal("1487.49")) if known else Spread()
    return ModelPlan(
        name=name,
        spec_digest="sha256:1",
        target="runpod flex",
        monthly_usd=spread,
        split_usd=Split(
            busy=Decimal("16.97"), idle=Decimal("36.63"), cold_start=Decimal("215.43"), always_on=Decimal("0.00")
        )
        if known
        else Split(always_on=Decimal("12.00")),
        at_least_usd=Decimal("269.03") if known else Decimal("12.00"),
        usd_per_1000_requests=Decimal("0.0884") if known else None,
        hourly_worst_case_usd=Decimal("3.35"),
        method="approximation: set-up epochs and levels" if known else None,
        worker_starts_per_month=None,
        lines=LINES if known else (),
        response=RESPONSE if known else None,
        cheaper=CHEAPER if known else None,
        ends=Ends(low=("rate 0.5 times", "active_share 0.25"), high=("rate 2 times",)) if known else Ends(),
        explanation=EXPLANATION if known else Explanation(),
        assumptions=(
            Assumption(name="arrivals", value="Poisson at a constant rate, 1000 requests a day", source="spec"),
            Assumption(name="cold_start", value="25 s", source="spec"),
            Assumption(name="extra_workers", value="none", source="docs", errs="low"),
            Assumption(name="storage", value="not included: container disk", source="docs"),
        ),
        limits=(
            LimitCheck(
                limit="monthly_usd",
                value=Decimal(300),
                actual=Decimal("269.03") if known else None,
                verdict=Verdict.OK if known else Verdict.UNKNOWN,
            ),
            LimitCheck(
                limit="hourly_worst_case_usd", value=Decimal(3), actual=Decimal("3.35"), verdict=Verdict.BREACHED
            ),
        ),
    )


def plan_with(changes: tuple[Change, ...] | None, *models: ModelPlan) -> Plan:
    return Plan(
        stack="dev",
        generated_at=datetime(2026, 11, 22, tzinfo=UTC),
        book="bundled",
        prices=(PRICE,),
        models=models,
        changes=changes,
    )


CHANGES = (
    Change(op="create", urn=OWNER),
    Change(
        op="update",
        urn=URN,
        fields=(
            FieldChange(path="workers.max", old=3.0, new=5.0),
            FieldChange(path="env.HF_TOKEN", old="[secret]", new="[secret]", release=True),
            FieldChange(path="dataCenterIds", old=[], new=["US-KS-2", "EU-RO-1"], release=True),
        ),
    ),
    Change(op="update", urn=URN.replace("mistral-7b", "sdxl"), fields=(FieldChange(path="timeout", old=1, new=2),)),
    Change(
        op="replace",
        urn=URN.replace("mistral-7b", "old"),
        fields=(FieldChange(path="type", old="LOAD_BALANCER", new="QUEUE", replaces=True),),
    ),
    Change(op="delete", urn=URN.replace("mistral-7b", "gone")),
)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_plan(width: int, golden: Golden) -> None:
    text = plan.human(plan_with(CHANGES, model_plan(), model_plan("unmeasured", known=False)), Page(width=width))
    assert max(map(len, text.splitlines())) <= width
    golden(f"plan-{width}", text)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_an_explained_plan(width: int, golden: Golden) -> None:
    value = plan_with(CHANGES, model_plan(), model_plan("unmeasured", known=False))
    text = explain.human(value, Page(width=width))
    assert max(map(len, text.splitlines())) <= width
    assert re.sub(r"\033\[\d+m", "", explain.human(value, Page(width=width, color=True))) == text
    golden(f"plan-explain-{width}", text)


def other_targets() -> Plan:
    """As the planner prices them, a credit among them."""
    spec = ModelSpec(
        name="captions",
        file=Path("captions.yaml"),
        serves=Container(image="registry.example/acme/worker:1.0"),
        traffic=Traffic(requests_per_day=Decimal(2000), range=Range(low=Decimal("0.5"), high=Decimal(2))),
        performance=Performance(service_time_s=Decimal("1.8"), cold_start_s=Decimal(25)),
        limits=Limits(),
        target=Modal(gpu="L40S", containers_max=4, region="broad", cores=Decimal(4)),
        digest="sha256:1",
    )
    behind_lambda = replace(spec, name="behind-lambda", target=LambdaSagemaker(instance="ml.g5.xlarge"))
    return make_plan([spec, behind_lambda], bundled(), stack="dev", generated_at=datetime(2026, 11, 22, tzinfo=UTC))


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_plan_of_other_targets(width: int, golden: Golden) -> None:
    text = plan.human(other_targets(), Page(width=width))
    assert max(map(len, text.splitlines())) <= width
    golden(f"plan-targets-{width}", text)


def test_an_explained_plan_of_other_targets(golden: Golden) -> None:
    golden("plan-targets-explain", explain.human(other_targets(), Page()))


def test_a_plan_of_other_targets_as_markdown(golden: Golden) -> None:
    text = markdown.markdown(markdown.Report(project="shop", plan=other_targets()))
    golden("plan-targets-markdown", text.partition("<details>")[0])


def compared(*models: ModelPlan) -> Plan:
    """A plan with a base: one model kept, others new, one gone."""
    kept = MonthChange(
        name="mistral-7b",
        before_usd=Decimal("220.00"),
        after_usd=Decimal("269.03"),
        causes=Causes(traffic=Decimal("60.00"), price=Decimal("-10.97")),
    )
    new = [
        MonthChange(name=m.name, status="new", before_usd=Decimal(0), after_usd=m.monthly_usd.expected, causes=None)
        for m in models[1:]
    ]
    gone = MonthChange(name="gone", status="gone", before_usd=Decimal(12), after_usd=Decimal(0), causes=None)
    rise = LimitCheck(limit="increase_percent", value=Decimal("20.0"), actual=Decimal("22.3"), verdict=Verdict.BREACHED)
    return replace(
        plan_with(CHANGES, replace(models[0], limits=(*models[0].limits, rise)), *models[1:]),
        difference=Difference(
            source="deployed",
            digest="sha256:1",
            generated_at=datetime(2026, 10, 1, tzinfo=UTC),
            models=(kept, *new, gone),
        ),
        limits=(LimitCheck(limit="monthly_usd", value=Decimal(500), actual=None, verdict=Verdict.UNKNOWN),),
        diagnostics=(Diagnostic(code="a/b", summary="```\n<b>loud</b> | text", severity=Severity.WARNING),),
    )


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_plan_with_a_base(width: int, golden: Golden) -> None:
    text = plan.human(compared(model_plan(), model_plan("unmeasured", known=False)), Page(width=width))
    assert max(map(len, text.splitlines())) <= width
    golden(f"plan-base-{width}", text)


def test_a_plan_with_a_base_before_the_question(golden: Golden) -> None:
    golden("plan-base-brief", plan.brief(compared(model_plan()), Page()))


def test_a_plan_as_markdown(golden: Golden) -> None:
    value = markdown.Report(project="--> shop", plan=compared(model_plan(), model_plan("unmeasured", known=False)))
    golden("plan-markdown", markdown.markdown(value))


def test_a_plan_without_anything_to_compare_with_as_markdown(golden: Golden) -> None:
    value = markdown.Report(project="shop", plan=plan_with(None, model_plan()))
    golden("plan-markdown-first", markdown.markdown(value))


def test_a_plan_as_a_page(golden: Golden) -> None:
    """Its text; the markup is the business of test_report.py."""
    value = report.Report(project="shop", plan=compared(model_plan(), model_plan("unmeasured", known=False)))
    body = report.html(value).partition("</head>")[2].partition("<script")[0]
    golden("plan-page", "\n".join(filter(None, map(unescape, re.split(r"(?:<[^>]*>)+", body)))))


@given(st.integers(1, 60), st.integers(900, 20_000))
def test_markdown_fits_and_keeps_what_matters_most(count: int, most: int) -> None:
    value = markdown.Report(project="shop", plan=plan_with(CHANGES, *(model_plan(f"model-{n}") for n in range(count))))
    text = markdown.markdown(value, most=most)
    assert len(text) <= most
    assert text.startswith("<!-- baseload-plan project=shop stack=dev ")
    assert "a month** expected" in text
    shown = len(re.findall(r"(?m)^\| `model-", text))
    assert shown == count or f"… and {count - shown} more model" in text
    assert text.count("<details>") == text.count("</details>")
    if "<details>" in text:
        assert shown == count  # details never take the place of a model


def test_a_plan_before_the_question(golden: Golden) -> None:
    golden("plan-brief", plan.brief(plan_with(CHANGES[:2], model_plan(), model_plan("other")), Page()))


def test_a_plan_without_changes_and_without_state(golden: Golden) -> None:
    golden("plan-no-changes", plan.human(plan_with((), model_plan()), Page()))
    assert plan.human(plan_with(None, model_plan()), Page()).endswith("everything would be created.")


def test_colour_says_nothing_that_the_text_does_not() -> None:
    value = plan_with(CHANGES, model_plan(), model_plan("unmeasured", known=False))
    colored = plan.human(value, Page(color=True))
    assert "\033[" in colored
    assert re.sub(r"\033\[\d+m", "", colored) == plan.human(value, Page())


def test_valid_specs(golden: Golden) -> None:
    spec = ModelSpec(
        name="mistral-7b",
        file=Path("model_specs/mistral-7b.yaml"),
        serves=Model(id="mistralai/Mistral-7B-Instruct-v0.3", parameters=Decimal("7.25e9")),
        traffic=None,
        performance=Performance(),
        limits=Limits(),
        target=RunpodTarget(gpu="ADA_24"),
        digest="sha256:1",
    )
    golden("validate", validate.human(validate.Checked(specs=[spec], warnings=()), Page()))


def endpoint(name: str = "mistral-7b", *, pending: bool = False) -> ResourceView:
    outputs = {} if pending else {"url": URL, "cloud": "https://api.runpod.io/v2"}
    urn = URN.replace("mistral-7b", name)
    return ResourceView(
        urn=urn, type=KIND, id="" if pending else "4m7x2k9q", custom=True, inputs={}, outputs=outputs, pending=pending
    )


STEPS = (
    StepStarted(op=Op.CREATE, urn=STACK, type="pulumi:pulumi:Stack"),
    StepStarted(op=Op.CREATE, urn=OWNER, type="baseload-runpod:index:Owner"),
    StepStarted(op=Op.CREATE, urn=COMPONENT, type="baseload:index:RunpodEndpoint"),
    StepStarted(op=Op.CREATE, urn=URN, type=KIND),
)


def test_what_stands_after_up(golden: Golden) -> None:
    outcome = Outcome(counts={Op.CREATE: 4}, steps=STEPS, outputs={})
    deployed = up.Deployed(plan=plan_with((), model_plan()), outcome=outcome, resources=[endpoint()])
    golden("up", up.human(deployed, Page()))
    assert up.document(deployed)["endpoints"] == [
        {
            "name": "mistral-7b",
            "id": "4m7x2k9q",
            "url": URL,
            "monthly_usd": {"low": "142.37", "expected": "269.03", "high": "1487.49"},
        }
    ]


def test_the_lines_of_up_without_a_terminal(golden: Golden) -> None:
    written: list[str] = []
    times = iter(range(0, 1000, 7))
    lines = Lines(written.append, Page(), clock=lambda: float(next(times)))
    events: list[Event] = [
        *STEPS,
        EngineStatus(urn=URN, text="running 1, idle 1, initializing 1"),
        EngineStatus(urn=URN, text="running 1, idle 1, initializing 1"),
        StepDone(op=Op.CREATE, urn=OWNER, type="baseload-runpod:index:Owner"),
        Message(severity="warning", text="RunPod has stored other values than were sent for: timeout", urn=URN),
        Message(severity="debug", text="not for people"),
        StepDone(op=Op.SAME, urn=STACK, type="pulumi:pulumi:Stack"),
        StepDone(op=Op.CREATE, urn=URN, type=KIND),
        StepStarted(op=Op.DELETE, urn=URN.replace("mistral-7b", "gone"), type=KIND),
        StepFailed(op=Op.DELETE, urn=URN.replace("mistral-7b", "gone"), type=KIND, reasons=("refused",)),
    ]
    for event in events:
        lines(event)
    golden("up-lines", "\n".join(written))


def test_what_down_is_about_to_delete(golden: Golden) -> None:
    resources = [
        ResourceView(urn=STACK, type="pulumi:pulumi:Stack", id="", custom=False, inputs={}, outputs={}),
        endpoint(),
        endpoint("interrupted", pending=True),
    ]
    golden("down", down.Doomed(stack="dev", cloud="https://api.runpod.io/v2", resources=resources).text(Page()))


WANTED = {
    "name": "mistral-7b",
    "image": "acme/own:1",
    "registry": None,
    "workers": {"min": 0, "max": 3, "idleTimeout": 5},
    "gpu": {"pools": ["ADA_24", "AMPERE_24"], "minCudaVersion": None},
    "dataCenterIds": ["US-KS-2", "EU-RO-1"],
}
LIVE = {
    "name": "mistral-7b-a1b2c3",
    "image": "acme/own:1",
    "registry": None,
    "workers": {"min": 0, "max": 3, "idleTimeout": 5},
    "gpu": {"pools": ["ADA_24", "AMPERE_24"], "minCudaVersion": "", "excludedTypes": []},
    "dataCenterIds": ["EU-RO-1", "US-KS-2"],
    "createdAt": "2026-06-01T12:00:00Z",
}


def of(name: str, live: dict[str, object], **workers: int) -> status.ModelStatus:
    found = differences(WANTED, live)
    counts = {"running": 1, "idle": 1, "initializing": 0, "total": 2, **workers}
    return status.ModelStatus(
        name=name,
        condition=condition(found, counts, 0),
        id="4m7x2k9q",
        url=URL,
        workers=counts,
        version=3,
        rollout=bool(found),
        differences=found,
    )


def test_a_status_with_everything_that_can_differ(golden: Golden) -> None:
    models = [
        of("fine", LIVE),
        of("edited", {**LIVE, "image": "acme/own:2", "gpu": {"pools": ["AMPERE_24", "ADA_24"]}}),
        of("asleep", {**LIVE, "workers": {"min": 0, "max": 0, "idleTimeout": 5}}),
        of("raised", {**LIVE, "workers": {"min": 0, "max": 9, "idleTimeout": 5}}),
        of("sick", LIVE, running=0, idle=0, unhealthy=2),
        status.ModelStatus(name="gone", condition=status.Condition.GONE, id="x1"),
        status.ModelStatus(name="new", condition=status.Condition.NOT_DEPLOYED),
    ]
    golden("status", status.human(status.Status(stack="dev", cloud="https://api.runpod.io/v2", models=models), Page()))
    assert [str(item.condition) for item in models[:4]] == ["as wanted", "differs", "scaled down by RunPod", "differs"]


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("hello", "hello"),
        ([{"choices": [{"tokens": ["It ", "costs."]}]}], "It costs."),
        ({"choices": [{"message": {"content": "It costs."}}]}, "It costs."),
        ({"image": "…"}, '{\n  "image": "…"\n}'),
        (None, "null"),
    ],
)
def test_an_answer(output: object, text: str) -> None:
    job = Job(id="j1", status=JobStatus.COMPLETED, output=output, delay_s=61.5, run_s=None)
    shown = invoke.human(invoke.Answer(model="m", job=job), Page())
    assert shown == f"{text}\n\nwaited 62 s (cold start included), ran unknown"


def test_a_doctors_report(golden: Golden) -> None:
    checks = [
        doctor.Check(what="python", health=doctor.Health.OK, found="3.12.1"),
        doctor.Check(what="key", health=doctor.Health.WARNING, found="not set", remedy="set RUNPOD_API_KEY"),
        doctor.Check(what="runpod", health=doctor.Health.SKIPPED, found="needs a key"),
        doctor.Check(what="backend", health=doctor.Health.WRONG, found="cannot be written", remedy="choose another"),
    ]
    golden("doctor", doctor.human(checks, Page()))


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "unknown"),
        (Decimal(0), "$0.00"),
        (Decimal("0.00031"), "$0.00031"),
        (Decimal("0.000004"), "$0.000004"),
        (Decimal("0.0884"), "$0.088"),
        (Decimal("1234567.005"), "$1,234,567.01"),
    ],
)
def test_money_is_never_zero_unless_it_is(amount: Decimal | None, text: str) -> None:
    assert usd(amount) == text


def test_times_and_columns() -> None:
    assert [seconds(value) for value in (0.44, 12.4, 89, 125, 120)] == ["0.4 s", "12 s", "89 s", "2 min 5 s", "2 min"]
    assert [short_seconds(value) for value in (0, 0.0354, 0.0004, 0.05, 12.4)] == [
        "0.0 s", "35 ms", "0.4 ms", "0.1 s", "12 s"
    ]  # fmt: skip
    rows = [["ok", "chat", "registry.example/acme/chat:1.0"], ["ok", "x", ""]]
    assert listed(rows, 40) == ["ok  chat  registry.example/acme/chat:1.0", "ok  x"]
    assert listed(rows, 36) == ["ok  chat", "    registry.example/acme/chat:1.0", "ok  x"]
    assert columns([]) == []
    assert columns([["\033[1ma\033[0m", "1"], ["bb", "22"]], align="<>") == ["\033[1ma\033[0m    1", "bb  22"]


def test_an_explanation_names_only_a_simulation_that_is_not_refused() -> None:
    spec = ModelSpec(
        name="captions",
        file=Path("captions.yaml"),
        serves=Container(image="registry.example/acme/worker:1.0"),
        traffic=Traffic(requests_per_day=Decimal(2000)),
        performance=Performance(service_time_s=Decimal("1.8"), cold_start_s=Decimal(25), concurrency=30),
        limits=Limits(),
        target=RunpodTarget(gpu="ADA_24"),
        digest="sha256:1",
    )
    office = Schedule(windows=(Window(from_minute=480, until_minute=1080, workers_min=1),))
    nobody = replace(spec, traffic=Traffic(requests_per_day=Decimal(0)))
    overloaded = replace(spec, traffic=Traffic(requests_per_day=Decimal(10**9)))
    scheduled = replace(spec, schedule=office)
    for asked, named in ((spec, True), (scheduled, True), (nobody, False), (overloaded, False)):
        value = make_plan([asked], bundled(), stack="dev", generated_at=datetime(2026, 11, 22, tzinfo=UTC))
        assert ("deploy simulate captions" in explain.human(value, Page())) is named


def test_a_simulated_cheaper_way_says_so() -> None:
    simulated = replace(CHEAPER, interval_percent=Decimal("1.4"))
    assert plan.cheaper(simulated) == (
        "idle_timeout: 1s saves $70.42 a month (simulated: $198.61 ±1.4 %); p95 34 s, 97 % meet a cold start"
    )
    assert "simulated" not in plan.cheaper(CHEAPER)
