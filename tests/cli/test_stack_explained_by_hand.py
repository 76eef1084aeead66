"""The bill of a stack with all targets, done again from the text of `deploy plan --explain` alone, as a reader does it.

Nothing here asks the planner: numbers are read off the printed page, multiplied and added up, and unit prices are held
against what `deploy prices list` says.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

D = Decimal
HOURS = D(730)

CONTAINER = 'container: {image: "registry.example/acme/worker:1.0"}\nlimits: {monthly_usd: 100000}\n'
SPECS = {
    "flex": """
traffic: {requests_per_day: 2500, range: {low: 0.5, high: 2}}
performance: {service_time: 1.8s, cold_start: 25s}
target: {runpod: {gpu: ADA_24, workers: {max: 2}, idle_timeout: 5s}}
""",
    "flex-and-active": """
traffic: {requests_per_day: 40000, curve: business-week, time_zone: Asia/Tokyo}
performance: {service_time: 3s, cold_start: 60s, concurrency: 4}
target: {runpod: {gpu: ADA_48_PRO, gpu_count: 2, mode: active, active_discount: 0.2, workers: {min: 1, max: 4}}}
""",
    "narrow": """
traffic: {requests_per_day: 30000, curve: business-week, growth: 10%/month, payload_bytes: {in: 1000, out: 900000}}
performance: {service_time: 3.1s, cold_start: 60s, concurrency: 4}
target:
  modal:
    {gpu: H100, gpu_count: 2, cpu: 8, memory_gib: 64, region: us-east, plan: team, volume_gib: 1400,
     containers: {min: 1, max: 4}, scaledown_window: 300s}
""",
    "buffered": """
traffic: {requests_per_day: 900}
performance: {service_time: 2s, cold_start: 20s}
target: {modal: {gpu: L4, cpu: 2, memory_gib: 8, containers: {max: 3, buffer: 2}, scaledown_window: 30s}}
""",
    "cpu-only": """
traffic: {requests_per_day: 12000, active_share: 0.3}
performance: {service_time: 700ms, cold_start: 8s}
target: {modal: {cpu: 4, memory_gib: 6.5, region: eu, nonpreemptible: true, containers: {max: 5}}}
""",
    "office": """
traffic:
  hourly: [0, 0, 0, 0, 0, 0, 10, 40, 120, 140, 150, 150, 130, 140, 150, 150, 140, 110, 60, 40, 30, 20, 10, 0]
  time_zone: America/New_York
performance: {service_time: 4s, cold_start: 30s}
target:
  modal:
    gpu: L4
    containers: {max: 4}
    schedule: {windows: [{days: mon-fri, from: "08:00", to: "18:00", min: 2}], otherwise: 0}
""",
    "pods": """
traffic: {requests_per_day: 20000, curve: diurnal}
performance: {service_time: 1.8s, cold_start: 25s, concurrency: 3}
target: {runpod-pod: {gpu: NVIDIA L40S, pods: 2, disk_gb: 20, volume_gb: 100, network_volume_gb: 1500}}
""",
    "pods-at-work": """
traffic: {requests_per_day: 9000, curve: office-hours}
performance: {service_time: 1.8s, cold_start: 25s}
target:
  runpod-pod:
    gpu: NVIDIA L40S
    gpu_count: 2
    pods: 3
    volume_gb: 50
    schedule: {windows: [{days: mon-fri, from: "08:00", to: "18:00", min: 3}], otherwise: 1}
""",
    "base-and-burst": """
traffic: {requests_per_day: 60000, curve: business-week, time_zone: Asia/Tokyo}
performance: {service_time: 1.8s, cold_start: 25s}
target:
  hybrid:
    baseline: {runpod-pod: {gpu: NVIDIA L4, disk_gb: 20, volume_gb: 50}}
    burst: {modal: {gpu: L4, cpu: 4, memory_gib: 16, region: eu, containers: {max: 4}}}
    base: 2
""",
    "endpoint": """
traffic: {requests_per_day: 12000, payload_bytes: {in: 200000, out: 1000}}
performance: {service_time: 1.8s, cold_start: 5m}
target: {lambda-sagemaker: {instance: ml.g5.xlarge, instances: {min: 1, max: 2}, front: http-api}}
""",
    "slots": """
traffic: {requests_per_day: 5000, payload_bytes: {in: 20000, out: 1000}}
performance: {service_time: 400ms, cold_start: 10s}
target: {sagemaker-serverless: {memory_mb: 4096, max_concurrency: 10, provisioned_concurrency: 1}}
""",
}
SECONDS = {"second": 1, "hour": 3600}
TIMED = {"serving requests", "idle before scaling in", "cold starts", "always on", "buffer of idle workers"}


@dataclass
class Explained:
    """What the page says of one model, or of the stack itself."""

    rows: list[tuple[str, Decimal, str, Decimal, Decimal]] = field(default_factory=list)
    """What, quantity, unit, unit price, amount."""
    together: Decimal = Decimal()
    paragraphs: dict[str, list[str]] = field(default_factory=dict)
    prices: list[str] = field(default_factory=list)


def number(text: str) -> Decimal:
    return D(text.replace(",", "").replace("$", "").replace("−", "-"))


def read(page: str) -> dict[str, Explained]:
    """The page by its models; what is broken over lines is put together again by its indent."""
    found: dict[str, Explained] = {}
    for block in re.split(r"\n\n(?=\S)", page)[1:-1]:
        first, *lines = block.splitlines()
        about = found.setdefault(first.split("  ")[0], Explained())
        units, paragraph = "", None
        for line in unbroken(lines):
            text = line.strip()
            cells = re.split(r"\s{2,}", text)
            if "= a month" in text:
                units = "" if cells[0].startswith("quantity") else cells[0].split("  ")[0]
            elif cells[0] == "together" and not about.together:
                about.together = number(cells[-1])
            elif cells[-1].lstrip("−").startswith("$") and not about.together:
                what, quantity, *unit, price, amount = cells
                about.rows.append((what, number(quantity), (unit or [units])[0], number(price), number(amount)))
            elif text.startswith("price ") and "10 % more" not in text:
                about.prices.append(text)
            elif text == "assumptions":
                paragraph = None
            elif (title := re.match(r"  (\S.*): ([\d,.]+) [\w-]+", line)) and not line.startswith("   "):
                paragraph = about.paragraphs.setdefault(title[1], [title[2]])
            elif paragraph is not None and line.startswith("    "):
                paragraph.append(text)
    return found


def unbroken(lines: list[str]) -> Iterator[str]:
    whole = ""
    for line in lines:
        indent = len(line) - len(line.lstrip())
        before = len(whole) - len(whole.lstrip())
        follows = whole and line.strip() and "  " not in whole.strip() and indent == before + 2
        if follows and not re.search(r": [\d,.]+ [\w -]+(, .* hours)?$", whole) and whole.strip() != "assumptions":
            whole += " " + line.strip()
        else:
            yield whole
            whole = line
    yield whole


def value(figures: str) -> float:
    typed = figures.replace(",", "").replace("×", "*").replace("÷", "/").replace("−", "-").replace("e^", "exp")
    assert not set(typed) - set("0123456789.*/-+ ()exp"), figures
    return max(float(eval(typed, {"__builtins__": {}, "exp": math.exp})), 0.0)


@pytest.fixture
def page(project: Path, deploy: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "100")
    for file in (project / "model_specs").glob("*.yaml"):
        file.unlink()
    for name, spec in SPECS.items():
        (project / "model_specs" / f"{name}.yaml").write_text(f"name: {name}\n{CONTAINER}{spec}", encoding="utf-8")
    shown = deploy("plan", "--explain")
    assert shown.code == 0, shown.err
    return str(shown.out)


def test_every_explained_line_by_hand(page: str, deploy: Callable[..., Any]) -> None:
    models = read(page)
    assert {*SPECS, "the stack itself"} == set(models)
    book = {
        row["id"]: D(str(row["usd"]))
        for row in json.loads(deploy("prices", "list", "--json").out)["prices"]
        if row["usd"]
    }
    for name, about in models.items():
        assert about.rows, name
        for what, quantity, _, price, amount in about.rows:
            assert (quantity * price).quantize(D("0.01"), ROUND_HALF_UP) == amount, (name, what)
        assert sum(row[4] for row in about.rows) == about.together, name
        paid = {row[3] for row in about.rows}
        for said in about.prices:
            key, factors = re.match(r"price (.+?): (?:([\d.]+) × ([\d.]+), )?", said).groups()[0::2]  # type: ignore[union-attr]
            assert book[key] * D(factors or 1) in paid, (name, said)
        if name == "the stack itself":
            continue
        for what, _, unit, _, _ in about.rows:
            told, *lines = about.paragraphs[what]
            of_same = [row[1] for row in about.rows if row[0] == what]
            assert number(told) == sum(of_same), (name, what)
            bounds = [line for line in lines if line.startswith(("at least", "about", "at most"))]
            assert bounds, (name, what, "has no figures")
            for line in bounds:
                figures, result = line.rsplit(" = ", 2)[-2:]
                assert value(figures) == pytest.approx(float(number(result)), rel=1e-6, abs=1e-6), (name, line)
                off, least = float(number(told)) - float(number(result)), 1.0 if unit.endswith("-second") else 1 / 3600
                close = max(2e-3 * abs(float(number(result))), least)  # starts are whole, times whole seconds
                if line.startswith("about"):
                    assert abs(off) <= close, (name, what, line)
                else:
                    assert (off >= -close) if line.startswith("at least") else (off <= close), (name, what, line)
        if (everyone := about.paragraphs.get("all workers")) is not None:
            prefix = "burst, " if any(row[0].startswith("burst, ") for row in about.rows) else ""
            timed = [row[1] for row in about.rows if row[0].removeprefix(prefix) in TIMED and row[0].startswith(prefix)]
            assert number(everyone[0]) == sum(timed), name


def test_the_plan_adds_up_to_what_is_explained(page: str, deploy: Callable[..., Any]) -> None:
    models, plan = read(page), str(deploy("plan").out)
    months: list[Decimal] = []
    for block in re.split(r"\n\n(?=\S)", plan):
        name = block.split("  ")[0]
        if name in models:
            low, expected, high = (number(cell) for cell in re.split(r"\s{2,}", month_row(block))[1:])
            assert expected == models[name].together, name
            assert low <= expected <= high, name
            months.append(expected)
            if thousand := re.search(r"1,000 requests +\$([\d,.]+)", block):
                per_day = re.search(r"requests_per_day: (\d+)", SPECS[name])
                asked = D(per_day[1]) if per_day else D(1590)
                usd = expected * 1000 / (asked * HOURS / 24)
                assert number(thousand[1]) == usd.quantize(D("0.01"), ROUND_HALF_UP), name
    assert len(months) == len(SPECS) + 1
    total = re.search(r"total a month +\$([\d,.]+) +\$([\d,.]+) +\$([\d,.]+)", plan)
    assert total is not None
    assert number(total[2]) == sum(months)


def month_row(block: str) -> str:
    return next(line.strip() for line in block.splitlines() if line.strip().startswith("a month"))


def test_what_is_billed_once(page: str) -> None:
    """Egress: 821.25 GB are within the 10 TB of Modal's Team plan. Volumes: 1,400 − 1,024 free GiB × 0.09 = 33.84, and
    1,000 × 0.07 + 500 × 0.05 of RunPod's. One plan for the workspace: its fee of 250 and its credit of 100. AWS has no
    free egress in the book: 12,000 × 730 ÷ 24 × 1,000 bytes."""
    rows = {(what, quantity): amount for what, quantity, _, _, amount in read(page)["the stack itself"].rows}
    assert rows == {
        ("egress internet", D("0.365")): D("0.03"),
        ("storage volume", D(376)): D("33.84"),
        ("storage network volume", D(1000)): D("70.00"),
        ("storage network volume", D(500)): D("25.00"),
        ("plan fee", D(1)): D("250.00"),
        ("credit", D(-1)): D("-100.00"),
    }


def test_the_named_command_gives_the_same_figure(project: Path, deploy: Callable[..., Any], page: str) -> None:
    """With few models a month in doubt is simulated; the command that the page names prints it again."""
    for name in set(SPECS) - {"buffered", "cpu-only"}:
        (project / "model_specs" / f"{name}.yaml").unlink()
    bursts = project / "model_specs" / "cpu-only.yaml"
    bursts.write_text(bursts.read_text(encoding="utf-8").replace("active_share: 0.3", "cv: 2"), encoding="utf-8")
    shown = str(deploy("plan", "--explain").out)
    for name, about in read(shown).items():
        if name == "the stack itself":
            continue
        command = re.search(rf"the same again: deploy (simulate {name} --seed \d+)", shown)
        assert command is not None, name
        again = str(deploy(*command[1].split()).out)
        together = re.search(r"together +(?:[\d,]+\.\d +)?([\d,]+\.\d\d) ", again)
        assert together is not None
        assert number(together[1]) == about.together, name
