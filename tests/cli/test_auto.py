"""`target: auto` with `deploy plan` and `deploy up`: chosen once, written down, kept, and chosen anew when asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

SPEC = """\
name: mistral-7b
model: {id: mistralai/Mistral-7B-Instruct-v0.3, parameters: 7.25B, max_context: 8192}
traffic: {requests_per_day: 1000, tokens: {in: 512, out: 128}}
performance: {cold_start: 25s}
target: auto
"""


@pytest.fixture
def lock(project: Path) -> Path:
    (project / "model_specs" / "mistral-7b.yaml").write_text(SPEC, encoding="utf-8")
    return project / "model_specs" / "choices.lock.json"


def chosen(lock: Path) -> str:
    return str(json.loads(lock.read_text(encoding="utf-8"))["choices"]["mistral-7b"]["target"]["runpod"]["gpu"])


def notes(found: Any) -> dict[str, str]:
    return {item["code"]: item["summary"] for item in found.json["diagnostics"]}


def test_a_choice_is_written_down_and_kept(deploy: Run, lock: Path) -> None:
    assert "auto (`deploy plan` chooses)" in deploy("validate").out
    assert deploy("up", "--yes", "--json").code != 0  # no key: but chosen all the same
    first = deploy("plan", "--json")
    assert first.code == 0
    assert "kept from" in notes(first)["auto/choice"]
    before, gpu = lock.read_bytes(), chosen(lock)
    assert f"runpod {gpu} " in notes(first)["auto/choice"]
    (lock.parent.parent / "prices").mkdir()
    other = next(name for name in ("ADA_48_PRO", "AMPERE_80") if name != gpu)
    (lock.parent.parent / "prices" / "runpod.csv").write_text(
        "provider,product,gpu,unit,usd,read,source\n"
        f"runpod,serverless,{other},gpu-second,0.00001,2026-11-01,contract\n",
        encoding="utf-8",
    )
    second = deploy("plan", "--json")
    assert lock.read_bytes() == before
    assert second.json["models"][0]["monthly_usd"] == first.json["models"][0]["monthly_usd"]
    third = deploy("plan", "--reconsider", "--json")
    assert chosen(lock) == other
    assert "(now)" in notes(third)["auto/choice"]
    assert third.json["digest"] != second.json["digest"]


def test_a_choice_that_no_longer_fits_is_said(deploy: Run, lock: Path) -> None:
    deploy("plan")
    before = lock.read_bytes()
    file = lock.with_name("mistral-7b.yaml")
    file.write_text(SPEC + "service_level: {cold_starts: forbidden}\n", encoding="utf-8")
    found = deploy("plan", "--json")
    assert found.code == 5
    assert "no longer all that the spec asks for" in notes(found)["auto/unfit"]
    assert lock.read_bytes() == before
    again = deploy("plan", "--reconsider", "--json")
    assert again.code == 0
    assert "auto/unfit" not in notes(again)
    file.write_text(SPEC + "service_level: {p95: 10ms}\n", encoding="utf-8")
    assert deploy("plan", "--reconsider", "--json").error == "auto/none"


def test_other_commands_take_the_recorded_choice(deploy: Run, lock: Path) -> None:
    assert "auto" in deploy("validate").out
    assert deploy("compare", "--json").code == 0
    assert not lock.exists()
    deploy("plan")
    (own,) = [row for row in deploy("compare", "--json").json["rows"] if row["own"]]
    assert own["gpu"] == chosen(lock)
    assert chosen(lock) in deploy("validate").out
    lock.write_text("{}", encoding="utf-8")
    assert deploy("plan", "--json").error == "auto/file"
