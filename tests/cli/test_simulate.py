"""`deploy simulate`: what people and programs read, and what it says to wrong use."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

Golden = Callable[[str, str], None]
Run = Callable[..., Any]

OFFICE = """\
name: office
container: {image: registry.example/acme/worker:1.0}
traffic: {requests_per_day: 1000, curve: office-hours}
performance: {service_time: 1.8s, cold_start: 25s}
target: {runpod: {gpu: ADA_24}}
"""


@pytest.fixture
def office(project: Path) -> Path:
    """The spec of the office, the only one of a project."""
    for file in (project / "model_specs").glob("*.yaml"):
        file.unlink()
    file = project / "model_specs" / "office.yaml"
    file.write_text(OFFICE, encoding="utf-8")
    return file


@pytest.mark.parametrize("width", ["60", "100"])
def test_a_simulated_month_as_people_see_it(
    width: str, office: Path, deploy: Run, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    result = deploy("simulate", "office", "--seed", "5")
    assert result.code == 0
    assert max(map(len, result.out.splitlines())) <= int(width)
    golden(f"simulate-{width}", result.out)


def test_the_document_says_the_same_each_time(office: Path, deploy: Run) -> None:
    command = ("simulate", "--seed", "5", "--requests", "50000", "--dispatch", "random", "--json")
    document = deploy(*command).json
    assert document["schema"] == "baseload.simulate/1"
    (model,) = document["models"]
    assert (model["name"], model["seed"], model["dispatch"]) == ("office", 5, "random")
    assert set(model["bill"]) == {"busy", "idle", "cold_start", "always_on", "total"}
    plan = deploy("plan", "--json").json["models"][0]
    assert model["bill"]["total"]["usd"]["closed_form"] == float(plan["simulation"]["closed_form_monthly_usd"])
    assert len(model["timeline"]["slots"]) == 24
    assert deploy(*command).json == document


def test_the_plan_s_figure_comes_again_from_the_command_that_it_names(office: Path, deploy: Run) -> None:
    plan = deploy("plan", "--json").json["models"][0]
    command = plan["simulation"]["command"].split()
    assert command[0] == "deploy"
    assert plan["simulation"]["command"] in deploy("plan", "--explain").out
    (model,) = deploy(*command[1:], "--json").json["models"]
    total = model["bill"]["total"]
    assert total["usd"]["simulated"] == float(plan["monthly_usd"]["expected"])
    assert total["quantity"]["half_width_95"] / total["quantity"]["simulated"] * 100 == pytest.approx(
        float(plan["simulation"]["interval_percent"]), abs=0.06
    )
    assert model["latency_s"]["p95"]["simulated"] == pytest.approx(float(plan["latency"]["p95_s"]), abs=0.001)
    assert plan["method"].startswith(f"simulated: seed 1, {model['requests']:,} requests, ±")


def test_many_models_are_simulated_only_when_asked_to(office: Path, deploy: Run) -> None:
    for number in range(4):
        office.with_name(f"more-{number}.yaml").write_text(OFFICE.replace("name: office", f"name: more-{number}"))
    listed = deploy("plan", "--json")
    assert {model["simulation"] for model in listed.json["models"]} == {None}
    said = [item for item in listed.json["diagnostics"] if item["code"] == "plan/in-doubt"]
    assert len(said) == 5
    assert "such pools bill 9 % less to 60 % more in 19 of 20 cases" in said[0]["summary"]
    exact = deploy("plan", "--exact", "--json")
    assert all(model["simulation"] for model in exact.json["models"])
    assert exact.json["digest"] == listed.json["digest"] == deploy("plan", "--exact", "--json").json["digest"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["ofice"], "simulate/which", "did you mean office?"),
        (["nobody-of-that-name"], "simulate/which", "there is: office"),
        (["--requests", "-1"], "simulate/requests", "1 or more"),
        (["--requests", "10"], "simulate/requests", "--requests 35000"),
        (["--dispatch", "fair"], "simulate/dispatch", "packed, balanced, random"),
        (["--seed", "x"], "usage", "--help"),
    ],
)
def test_wrong_use_is_told_with_a_remedy(arguments: list[str], code: str, says: str, office: Path, deploy: Run) -> None:
    result = deploy("simulate", *arguments, "--json")
    assert result.error == code
    assert result.code == 2
    assert says in result.json["error"]["diagnostics"][0]["hint"]


def test_unknown_performance_says_how_to_know_it(office: Path, deploy: Run) -> None:
    office.write_text(OFFICE.replace("service_time: 1.8s, ", ""), encoding="utf-8")
    result = deploy("simulate", "--json")
    assert result.error == "plan/cost-unknown"
    assert "measure and add it" in result.json["error"]["diagnostics"][0]["hint"]


def test_one_model_that_cannot_be_simulated_does_not_hide_the_others(office: Path, deploy: Run) -> None:
    still = OFFICE.replace("name: office", "name: still").replace("1000, curve: office-hours", "0")
    office.with_name("still.yaml").write_text(still, encoding="utf-8")
    result = deploy("simulate", "--json", "--requests", "40000")
    assert [model["name"] for model in result.json["models"]] == ["office"]
    assert "simulate/no-traffic" in result.err
    assert deploy("simulate", "still", "--json").error == "simulate/no-traffic"


def test_a_log_is_simulated_at_its_rates(office: Path, deploy: Run) -> None:
    pytest.importorskip("duckdb", reason="DuckDB is not installed (the extra baseload[logs])")
    start = datetime(2026, 9, 7, tzinfo=UTC)
    times = [start + timedelta(hours=9 + 24 * day, seconds=30 * at) for day in range(7) for at in range(120)]
    (office.parent / "log.csv").write_text("\n".join(["time", *(time.isoformat() for time in times)]), encoding="utf-8")
    office.write_text(
        OFFICE.replace("{requests_per_day: 1000, curve: office-hours}", "{log: {file: log.csv}}"), encoding="utf-8"
    )
    (model,) = deploy("simulate", "--requests", "20000", "--json").json["models"]
    rows = [slot["requests"] for slot in model["timeline"]["slots"]]
    assert sum(rows[1:]) == 0  # the hours are those of the log, which begins with its busy one
    assert rows[0] == pytest.approx(120, abs=40)


def test_a_log_is_replayed_beside_the_plan(office: Path, deploy: Run) -> None:
    """A request each 1,000 s for a day, each 1.5 s long."""
    pytest.importorskip("duckdb", reason="DuckDB is not installed (the extra baseload[logs])")
    start = datetime(2026, 9, 7, tzinfo=UTC)
    lines = [f"{start + timedelta(seconds=1000 * k)},1.5" for k in range(87)]
    office.with_name("log.csv").write_text("\n".join(["time,duration", *lines]) + "\n", encoding="utf-8")
    office.write_text(
        OFFICE.replace("{requests_per_day: 1000, curve: office-hours}", "{log: {file: log.csv}}"), encoding="utf-8"
    )
    document = deploy("simulate", "--from-log", "--json").json
    assert document["schema"] == "baseload.replay/1"
    (model,) = document["models"]
    assert (model["requests"], model["seconds"], model["service_times"]) == (87, 86_000, "durations of the log")
    # 25 + 1.5 + 5 s a request, rounded up to 32 s, × 2,628 of them × 0.00031 USD.
    assert float(model["monthly_usd"]) == pytest.approx(32 * 2628 * 0.00031, abs=0.02)
    shown = deploy("simulate", "--from-log")
    assert f"${model['monthly_usd']}" in shown.out
    assert "holds it: yes" in shown.out or "holds it: no" in shown.out


def test_a_spec_without_a_log_has_none_to_replay(office: Path, deploy: Run) -> None:
    result = deploy("simulate", "--from-log", "--json")
    assert result.error == "simulate/no-log"
    assert "traffic: {log:" in result.json["error"]["diagnostics"][0]["hint"]


def test_the_beginning_is_drawn(office: Path, deploy: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra baseload[plot])")
    files = [tmp_path / "one.svg", tmp_path / "two.svg"]
    command = ("simulate", "--seed", "5", "--requests", "50000")
    shown = [deploy(*command, "--svg", str(file)) for file in files]
    assert [one.code for one in shown] == [0, 0]
    assert shown[0].out == deploy(*command).out  # the drawing in the terminal is as it is without
    assert files[0].read_bytes() == files[1].read_bytes()
    root = ElementTree.parse(files[0]).getroot()
    texts = {"".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"workers", "busy", "idle", "starting", "hours from the beginning"} <= texts
    assert any(text.startswith("office: simulated") for text in texts)


def test_without_a_plotting_library_nothing_is_simulated_first(
    office: Path, deploy: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = deploy("simulate", "--svg", str(tmp_path / "month.svg"), "--json")
    assert result.error == "simulate/matplotlib"
    assert "baseload[plot]" in result.json["error"]["diagnostics"][0]["hint"]
    assert not (tmp_path / "month.svg").exists()
