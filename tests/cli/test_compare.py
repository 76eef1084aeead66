"""`deploy compare`: what people read and what programs get."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from baseload.cli.terminal import NARROW, WIDE, Page
from baseload.cli.views import compare as view
from baseload.planner.compare import compare
from baseload.planner.decisions import decisions
from baseload.planner.prices import Price, PriceBook
from baseload.planner.spec.model import Container, Limits, Model, ModelSpec, Performance, RunpodTarget, Tokens, Traffic
from baseload.planner.spec.model import Range as TrafficRange

Golden = Callable[[str, str], None]
Run = Callable[..., Any]
D = Decimal


def price(provider: str, product: str, gpu: str, unit: str, usd: str | None, card: str = "", **facts: Any) -> Price:
    return Price(
        provider=provider, product=product, gpu=gpu, unit=unit, usd=None if usd is None else D(usd), card=card,
        count=1, read=date(2026, 8, 20), withdrawn=None, confidence="read", source="a test", note="", **facts,
    )  # fmt: skip


BOOK = PriceBook(
    "test",
    [
        price("runpod", "serverless", "ADA_24", "gpu-second", "0.00031"),
        price("runpod", "serverless", "AMPERE_48", "gpu-second", "0.00034"),
        price("runpod", "serverless", "AMPERE_16", "gpu-second", None),
        price("runpod", "pod", "NVIDIA GeForce RTX 4090", "gpu-hour", "0.34", "RTX4090", tier="community"),
        price("aws", "sagemaker-realtime", "ml.g6.xlarge", "instance-hour", "1.1267", "L4", includes="cpu memory"),
        price("runpod", "storage", "container-disk", "gb-month", "0.1"),
        price("runpod", "storage", "pod-volume", "gb-month", "0.1", tier="running"),
        price("runpod", "storage", "pod-volume", "gb-month", "0.2", tier="stopped"),
        price("aws", "lambda", "requests", "million-requests", "0.2", tier=">=0"),
        price("aws", "lambda", "arm64", "gb-second", "0.0000133334", tier=">=0"),
        price("beam", "serverless", "RTX4090", "gpu-second", "0.000192", "RTX4090", keep_warm_s=180),
        price("baseten", "dedicated", "B300", "gpu-hour", "12", "B300", includes="cpu memory"),
        price("baseten", "dedicated", "T4", "gpu-hour", "0.63", "T4", includes="cpu memory"),
        price("bentocloud", "deployment", "gpu.l4.1", "instance-hour", None, "L4"),
        price("replicate", "deployment", "gpu-t4", "instance-second", "0.000225", "T4", includes="cpu memory"),
    ],
)


def spec(serves: Model | Container) -> ModelSpec:
    return ModelSpec(
        name="mistral-7b",
        file=Path("mistral-7b.yaml"),
        serves=serves,
        traffic=Traffic(
            requests_per_day=D(1000),
            tokens=Tokens(prompt=D(512), output=D(128)),
            range=TrafficRange(low=D("0.5"), high=D(2)),
        ),
        performance=Performance(service_time_s=D("1.8"), cold_start_s=D(25)),
        limits=Limits(monthly_usd=D(300)),
        target=RunpodTarget(gpu="ADA_24"),
        digest="sha256:0",
    )


MISTRAL = Model(id="mistralai/Mistral-7B-Instruct-v0.3", parameters=D("7.25e9"), max_context=8192)


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_a_comparison_as_people_see_it(width: int, golden: Golden) -> None:
    text = view.human(view.Shown(comparison=compare(spec(MISTRAL), BOOK)), Page(width=width))
    assert max(map(len, text.splitlines())) <= width
    golden(f"compare-{width}", text)


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_decisions_as_people_see_them(width: int, golden: Golden) -> None:
    found = compare(spec(MISTRAL), BOOK)
    shown = view.Shown(comparison=found, decisions=decisions(found, spec(MISTRAL), BOOK))
    text = view.human(shown, Page(width=width))
    assert max(map(len, text.splitlines())) <= width
    golden(f"decisions-{width}", text[text.index("Where the order changes") :])


def test_decisions_are_told_when_asked_for(deploy: Run, project: Path) -> None:
    plain, asked = deploy("compare", "--json").json, deploy("compare", "--break-even", "--json").json
    assert "decisions" not in plain
    assert asked["decisions"]["schema"] == "baseload.decisions/1"
    two = ("runpod-pod", "runpod/ADA_24/flex")
    (pair,) = deploy("compare", "--between", *two, "--json").json["decisions"]["break_evens"]
    assert (pair["one"].split("/")[0], pair["other"]) == two
    assert "Rules of thumb" not in deploy("compare", "--break-even").out
    advice = deploy("compare", "--advice").out
    assert "Rules of thumb" in advice
    assert "Where the order changes" not in advice
    assert deploy("compare", "--between", "runpod", "nobody", "--json").error == "compare/row"


def test_a_container_is_ranked_on_its_own_gpu_only(golden: Golden) -> None:
    golden("compare-container", view.human(view.Shown(comparison=compare(spec(Container(image="i")), BOOK)), Page()))


def test_rows_are_left_out_and_counted(deploy: Run, project: Path) -> None:
    few, every = deploy("compare", "mistral-7b"), deploy("compare", "mistral-7b", "--all")
    assert few.code == every.code == 0
    assert "more: `deploy compare --all`" in few.out
    assert "more: `deploy compare --all`" not in every.out
    assert "your spec" in few.out
    assert few.out.splitlines()[0] == every.out.splitlines()[0]
    assert deploy("compare", str(project / "model_specs" / "mistral-7b.yaml")).out == few.out


def test_the_document_has_all_rows(deploy: Run, project: Path) -> None:
    document = deploy("compare", "--json").json
    assert document["schema"] == "baseload.compare/1"
    (own,) = [row for row in document["rows"] if row["own"]]
    (planned,) = deploy("plan", "--json").json["models"]
    assert own["monthly_usd"] == planned["monthly_usd"]
    assert {row["status"] for row in document["rows"]} >= {"ranked", "unpriced", "unknown", "impossible"}
    assert all(row["target"] == "runpod" for row in document["rows"] if row["deployable"])


def test_one_model_at_a_time(deploy: Run, project: Path) -> None:
    assert deploy("compare", "other", "--json").error == "compare/which"
    first = project / "model_specs" / "mistral-7b.yaml"
    second = first.with_name("second.yaml")
    second.write_text(first.read_text(encoding="utf-8").replace("name: mistral-7b", "name: second"), encoding="utf-8")
    assert deploy("compare", "--json").error == "compare/which"
    assert deploy("compare", "second", "--json").json["name"] == "second"


def test_a_price_of_one_s_own_is_compared(deploy: Run, project: Path) -> None:
    (project / "prices").mkdir()
    (project / "prices" / "bentocloud.csv").write_text(
        "provider,product,gpu,unit,usd,read,source\nbentocloud,deployment,gpu.l4.1,instance-hour,0.9,2026-11-01,offer\n",
        encoding="utf-8",
    )
    rows = {row["id"]: row for row in deploy("compare", "--json").json["rows"]}
    assert rows["bentocloud/gpu.l4.1/1 always on"]["monthly_usd"]["expected"] == "657.00"
