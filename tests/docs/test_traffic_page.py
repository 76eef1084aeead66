"""docs/traffic.md: its specs load, its arithmetic is the planner's, its query makes counts that are read."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from baseload.planner.plan import make_plan
from baseload.planner.prices import bundled
from baseload.planner.spec import load
from baseload.planner.spec.file import parse_spec
from baseload.planner.spec.model import Curve
from baseload.planner.traffic.log import read_log
from baseload.planner.traffic.profile import curve

PAGE = (Path(__file__).parents[2] / "docs" / "traffic.md").read_text(encoding="utf-8")
NOW = datetime(2026, 11, 1, tzinfo=UTC)
HEAD = "name: a\ncontainer: {image: a/b:1}\ntarget: {runpod: {gpu: ADA_24}}\n"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", [block for block in blocks("yaml") if block.startswith("traffic:")])
def test_the_specs_of_the_page_load(text: str) -> None:
    found = parse_spec(Path("a.yaml"), HEAD + text)
    assert found.spec is not None, found.diagnostics
    assert found.diagnostics == ()


def test_the_worked_example(tmp_path: Path) -> None:
    (example,) = [block for block in blocks("yaml") if block.startswith("name:")]
    values: dict[str, Any] = {"exp": math.exp}
    printed: dict[str, Decimal] = {}
    (arithmetic,) = blocks("text")
    for line in arithmetic.strip().splitlines():
        name, formula, shown = (part.strip() for part in line.split(" = "))
        printed[name] = Decimal(shown)
        computed = eval(formula, {"__builtins__": {}}, values)
        digits = -int(printed[name].as_tuple().exponent)
        assert computed == pytest.approx(float(shown), abs=0.51 * 10**-digits), line
        values[name] = computed if digits > 2 else float(shown)
    file = tmp_path / "example.yaml"
    file.write_text(example, encoding="utf-8")
    (model,) = make_plan(load([file]), bundled(), stack="dev", generated_at=NOW).models
    quantities = {line.what: line.quantity for line in model.lines}
    assert [quantities[what] for what in ("busy", "idle", "cold_start")] == [
        printed["busy_s"],
        printed["idle_s"],
        printed["cold_start_s"],
    ]
    assert model.monthly_usd.expected == printed["month_usd"]


def test_the_curves_are_those_of_the_table() -> None:
    week = curve(Curve.BUSINESS_WEEK)
    assert [round(week[hour] / max(week), 3) for hour in (6, 8, 9, 18, 22, 120, 130)] == [
        0.05, 0.4, 1, 0.4, 0.05, 0.05, 0.15,
    ]  # fmt: skip
    wave = curve(Curve.DIURNAL)
    assert wave[2] / max(wave) == pytest.approx(1 / 9)


def test_the_query_makes_counts_that_are_read(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed (the extra baseload[logs])")
    (query,) = blocks("sql")
    database = duckdb.connect()
    database.execute(
        "CREATE TABLE request_log AS SELECT TIMESTAMP '2026-09-07' + to_seconds(20 * n) AS request_time, "
        "100 AS prompt_tokens, 10 AS completion_tokens FROM range(30000) AS t(n)"
    )
    database.execute(f"COPY ({query}) TO '{tmp_path}/requests-per-minute.csv'")
    found = parse_spec(tmp_path / "a.yaml", HEAD + blocks("yaml")[-1])
    assert found.spec is not None
    seen = read_log(found.spec, NOW)
    assert (seen.requests, seen.seconds) == (30_000, 600_000)
    assert seen.tokens is not None
    assert (seen.tokens.prompt, seen.tokens.output) == (100, 10)
