"""The page of `deploy plan --html` as text and markup: figures of the plan, and nothing of what a spec says is markup.

What a browser makes of it: test_report_page.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from baseload.cli.views.html import data, tag
from baseload.cli.views.report import Report, html
from baseload.planner.compare import Status
from baseload.planner.cost import Spread
from baseload.planner.decisions import decisions
from baseload.planner.decisions.advice import rounded
from baseload.planner.plan import Change, FieldChange, Plan, make_plan
from baseload.planner.prices import bundled
from baseload.planner.spec import load
from baseload.planner.sweep import Sweep, sweep

EVIL = """</script><script>alert(1)</script><!--<img src=x onerror='alert(2)'>"' style="x" javascript:&lt;"""
KEYS = {"what", "op", "limit", "price", "id", "limits_broken", "parts_usd"}
"""Of what is known by name in the code and comes from no spec."""

VOID = {"meta", "link", "input"}

SPEC = """\
name: example
model: {id: mistralai/Mistral-7B-Instruct-v0.3, parameters: 7.25B}
traffic: {requests_per_day: 1000, tokens: {in: 512, out: 128}, range: {low: 0.5, high: 2}}
performance: {service_time: 1.8s, cold_start: 25s}
limits: {monthly_usd: 200, hourly_worst_case_usd: 5}
target: {runpod: {gpu: ADA_24, workers: {max: 2}}}
"""


class Seen(HTMLParser):
    """Elements with the names of their attributes, and the text that people see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.texts: list[str] = []
        self.figures: Any = None
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, tuple(key for key, _ in attrs)))
        if name not in VOID:
            self._open.append(name)

    def handle_startendtag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, tuple(key for key, _ in attrs)))

    def handle_endtag(self, name: str) -> None:
        assert self._open.pop() == name

    def handle_data(self, text: str) -> None:
        if self._open and self._open[-1] == "script" and text.startswith("{"):
            self.figures = json.loads(text)
        elif text.strip() and not {"style", "script", "svg", "title"} & set(self._open):
            self.texts.append(text.strip())


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    file = tmp_path_factory.mktemp("specs") / "example.yaml"
    file.write_text(SPEC, encoding="utf-8")
    spec, book = load([file])[0], bundled()
    changed = Change(op="update", urn="urn:pulumi:dev::p::a:b:C::d", fields=(FieldChange(path="x", old="1", new="2"),))
    plan = make_plan(
        [spec], book, stack="dev", generated_at=datetime(2026, 8, 20, tzinfo=UTC), changes=[changed], limits=None
    )
    swept = sweep(spec, book)
    decided = decisions(swept.expected, spec, book)
    return Report(project="demo", plan=plan, sweeps={spec.name: swept}, decisions={spec.name: decided})


def test_the_order_changes_where_the_steps_say_so(report: Report) -> None:
    """The bills of the comparison at each step, priced anew, against the searched rates; both ends are on the page."""
    text = "\n".join(Seen(html(report)).texts)
    (swept,), (decided,) = report.sweeps.values(), report.decisions.values()
    compared = 0
    for found in decided.break_evens:
        for crossing in found.crossings:
            assert f"up to {rounded(crossing.below)} requests a day" in text
            assert f"from {rounded(crossing.above)} on" in text
        for rate, comparison in zip(swept.requests_per_day, swept.comparisons, strict=True):
            bills = {row.id: row.total_usd.expected for row in comparison.of(Status.RANKED)}
            one, other = bills.get(found.one), bills.get(found.other)
            if rate is None or one is None or other is None:
                continue
            side = found.cheaper  # where nothing changes
            for crossing in found.crossings:
                if rate < crossing.above:
                    side = crossing.cheaper_below if rate <= crossing.below else None
                    break
                side = crossing.cheaper_above
            if side is not None:
                compared += 1
                assert side == (found.one if one < other else found.other), (rate, found)
    assert compared > len(swept.factors)


def test_a_batch_has_no_rates_to_search_and_keeps_the_steps(tmp_path: Path) -> None:
    file = tmp_path / "batch.yaml"
    file.write_text(
        "name: nightly\ncontainer: {image: registry.example/a/b:1}\n"
        "traffic: {batch: {jobs: 100, at: '02:00', within: 6h}}\n"
        "performance: {service_time: 1.8s, cold_start: 25s}\ntarget: {runpod: {gpu: ADA_24}}\n"
    )
    spec, book = load([file])[0], bundled()
    plan, swept = (
        make_plan([spec], book, stack="dev", generated_at=datetime(2026, 8, 20, tzinfo=UTC)),
        sweep(spec, book),
    )
    decided = decisions(swept.expected, spec, book)
    assert {each.requests_per_day for each in decided.break_evens} == {None}
    page = Report(project="demo", plan=plan, sweeps={"nightly": swept}, decisions={"nightly": decided})
    text = "\n".join(Seen(html(page)).texts)
    assert re.search("(cheaper|dearer) than your spec", text)
    assert all(each.why not in text for each in decided.break_evens)


def test_workers_and_ways_to_fewer_cold_starts_stand_on_the_page(report: Report) -> None:
    text = "\n".join(Seen(html(report)).texts)
    (decided,) = report.decisions.values()
    assert decided.worths is not None
    assert decided.cold_starts is not None
    assert f"${decided.worths.serverless_usd_per_hour:.2f} an hour" in text
    for way in decided.cold_starts.ways:
        assert way.change in text
        assert way.monthly_usd is None or f"${way.monthly_usd:,.2f}" in text


def test_without_a_script_the_page_shows_the_plan_and_its_comparison(report: Report) -> None:
    text = "\n".join(Seen(html(report)).texts)
    (model,) = report.plan.to_json()["models"]
    for amount in (*model["monthly_usd"].values(), *model["split_usd"].values(), model["hourly_worst_case_usd"]):
        assert f"${float(amount):,.2f}" in text
    for line in model["lines"]:
        assert f"{int(line['quantity']):,}" in text or line["quantity"] == "0"
    for price in report.plan.prices:
        assert price.source in text
        assert price.read.isoformat() in text
    for item in report.plan.models[0].assumptions:
        assert item.value in text
    rows = report.sweeps["example"].comparisons[3].of(Status.RANKED)
    assert len(rows) > 0
    for row in rows[:10]:
        assert f"${row.monthly_usd.expected:,.2f}" in text


def test_the_page_loads_nothing_and_its_policy_says_so(report: Report) -> None:
    page = html(report)
    assert not re.search(r"""(?:src|href|action)=["'](?!#|data:,)""", page)
    assert "@import" not in page
    assert "url(" not in page.replace("url(#fill-", "")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "default-src &#x27;none&#x27;" in policy[1]
    assert "unsafe" not in policy[1]
    assert " style=" not in page.replace(" style=&quot;", "")


def test_the_script_computes_no_cost() -> None:
    script = Path(html.__code__.co_filename).with_name("report.js").read_text(encoding="utf-8")
    for word in ("Math.exp", "Math.log", "Math.pow", "**", "toFixed", "parseFloat", "usd"):
        assert word not in script
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval", "fetch", "XMLHttp"):
        assert word not in script


def test_no_text_of_a_spec_or_a_price_becomes_markup(report: Report) -> None:
    """Every text of the plan and of the sweep, one after the other replaced by markup and by a harmless word."""
    tame, wild = (Seen(html(_with_text(report, text))) for text in ("harmless", EVIL))
    assert wild.elements == tame.elements
    assert any(EVIL in text for text in wild.texts)
    assert list(wild.figures) == [EVIL]
    assert EVIL in wild.figures[EVIL]["targets"][0][0]["target"]


def test_a_page_of_a_plan_without_any_figure(tmp_path: Path) -> None:
    file = tmp_path / "bare.yaml"
    file.write_text("name: bare\ncontainer: {image: registry.example/a/b:1}\ntarget: {runpod: {gpu: ADA_24}}\n")
    spec, book = load([file])[0], bundled()
    plan = make_plan([spec], book, stack="dev", generated_at=datetime(2026, 8, 20, tzinfo=UTC))
    swept = sweep(spec, book)
    decided = decisions(swept.expected, spec, book)
    page = Report(project="demo", plan=plan, sweeps={"bare": swept}, decisions={"bare": decided})
    text = "\n".join(Seen(html(page)).texts)
    assert "unknown" in text
    assert "traffic.requests_per_day" in text
    assert "nan" not in text.lower().split()


def test_a_plan_that_was_simulated_says_that_the_steps_are_not(report: Report) -> None:
    (model,) = report.plan.models
    simulated = replace(model, monthly_usd=Spread(low=Decimal(1), expected=Decimal("777.77"), high=Decimal(999)))
    said = "The plan's month is $777.77, by simulation"
    assert any(
        said in text for text in Seen(html(replace(report, plan=replace(report.plan, models=(simulated,))))).texts
    )
    assert not any("by simulation" in text for text in Seen(html(report)).texts)


def test_markup_is_escaped_by_construction() -> None:
    assert tag("td", "<b>", title='"') == '<td title="&quot;">&lt;b&gt;</td>'
    assert tag("p", tag("b", "&"), None, hidden=True) == "<p hidden><b>&amp;</b></p>"
    assert data({"a": "</script>&"}) == '<script type="application/json">{"a":"\\u003c/script\\u003e\\u0026"}</script>'
    with pytest.raises(ValueError, match="security policy"):
        tag("p", onclick="x")


def _with_text(value: Any, text: str) -> Any:
    """The same with every text in it replaced; what decides how something is shown stays."""
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return text
    if isinstance(value, Mapping):
        return {text if isinstance(value, dict) else key: _with_text(item, text) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_with_text(item, text) for item in value)
    if not is_dataclass(value):
        return value
    keys = set() if isinstance(value, Report | Plan | Sweep) else KEYS
    changed = {item.name: _with_text(getattr(value, item.name), text) for item in fields(value) if item.init}
    kept = {key: getattr(value, key) for key in keys & changed.keys() if not is_dataclass(getattr(value, key))}
    named = {"urn": f"urn::{text}::{text}"} if "urn" in changed else {}
    return type(value)(**{**changed, **kept, **named})
