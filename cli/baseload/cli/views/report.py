"""The plan as one page for a meeting: the static report, and controls that step through figures computed before.

The page needs nothing else: styles, drawings, data and script are in it, and its security policy lets nothing be
loaded. The script looks figures up (`baseload.planner.sweep`) and puts their text in place; it computes no cost.
Whatever a spec or a price row says is text (`views.html`), never markup. Must not price anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any

from baseload.cli.terminal import WIDE, Page
from baseload.cli.views import charts
from baseload.cli.views import decided as view
from baseload.cli.views import plan as plan_view
from baseload.cli.views.html import Html, data, joined, table, tag
from baseload.cli.views.text import UNKNOWN, from_to, plural, seconds, short_seconds, signed_usd, units, usd
from baseload.planner.compare import Comparison, Status
from baseload.planner.compare.row import Row
from baseload.planner.cost import Line, ResponseTime, Spread
from baseload.planner.cost.explain import TOTAL
from baseload.planner.cost.stack import NAME as ITSELF
from baseload.planner.decisions import Decisions
from baseload.planner.decisions.break_even import BreakEven
from baseload.planner.diagnostics import Diagnostic
from baseload.planner.plan import ModelPlan, Plan, Verdict
from baseload.planner.sweep import Point, Sweep
from baseload.planner.targets import TARGETS

MOST_ROWS = 10
"""Of the targets, by the bill; the spec's own and the cheapest of each kind stand there in any case."""

MOST_CURVES = 6
"""Besides the spec's own; more cannot be told apart."""

YOURS = "your spec"
NONE = "it does not serve so many, or does not fit"

AXES = ("traffic", "idle timeout", "min workers")
STATUSES = {
    Status.SAME_SPEED: "If these GPUs were as fast as the spec's own, which is not known",
    Status.NO_GAIN: "No gain",
    Status.UNKNOWN: "Unknown",
    Status.UNPRICED: "Unpriced",
    Status.IMPOSSIBLE: "Not possible",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """A plan, the project whose it is, and what its models cost elsewhere and otherwise."""

    project: str
    plan: Plan
    sweeps: Mapping[str, Sweep] = field(default_factory=dict)
    """By model."""
    decisions: Mapping[str, Decisions] = field(default_factory=dict)
    """By model, of its comparison at the expected traffic."""


def document(value: Report) -> Mapping[str, Any]:
    """`baseload.plan/1`."""
    return value.plan.to_json()


def human(value: Report, page: Page) -> str:
    """As `html`; the same for every page."""
    return html(value)


def html(value: Report) -> str:
    """The whole page."""
    plan = value.plan
    style, script = _asset("report.css"), _asset("report.js")
    title = f"{usd(plan.total_monthly_usd.expected)} a month: plan of {value.project}/{plan.stack}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Html(style)),
    )
    body = tag(
        "body",
        charts.patterns(),
        _header(value),
        tag("main", *_warnings(plan.diagnostics), *_models(value), *_itself(plan), *_changes(plan), *_prices(plan)),
        _footer(plan),
        data({name: _data(value, name) for name in value.sweeps}, id="figures"),
        tag("script", Html(script)),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Nothing may be loaded; of what stands in the page only our own style and script count."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


# ----------------------------------------------------------------------------------------------------------- the stack
def _header(value: Report) -> Html:
    plan = value.plan
    total = plan.total_monthly_usd
    at_least = tag("p", f"at least {usd(plan.at_least_usd)}") if total.expected is None and plan.at_least_usd else None
    facts = [
        f"Planned {plan.generated_at:%Y-%m-%d %H:%M} {plan.generated_at:%Z}",
        f"prices: {plan.book} book, the oldest used was read on {plan.oldest or UNKNOWN}",
        "nothing was created",
    ]
    change = None
    if plan.difference is not None:
        against = plan_view.base_name(plan.difference)
        change = tag("p", f"Against {against}: {plan_view.month_change(plan.difference.total)}", class_="change")
    return tag(
        "header",
        tag("p", f"Cost plan · {value.project}/{plan.stack}", class_="kicker"),
        tag("h1", tag("strong", usd(total.expected)), " a month"),
        tag("p", f"between {usd(total.low)} and {usd(total.high)}") if total.expected is not None else None,
        at_least,
        change,
        tag("p", "; ".join(facts), ".", class_="quiet"),
        _together(plan) if len(plan.models) > 1 or plan.itself else None,
    )


def _together(plan: Plan) -> Html:
    rows = [
        [_link(model), _month_and_range(model.monthly_usd), _verdict(check.verdict for check in model.limits)]
        for model in plan.models
    ]
    if plan.itself is not None:
        rows.append([ITSELF, _month_and_range(plan.itself.monthly_usd), ""])
    rows.append(
        [
            tag("b", "together"),
            _month_and_range(plan.total_monthly_usd),
            _verdict(check.verdict for check in plan.limits),
        ]
    )
    return table("All models", ("model", "a month, range", "limits"), rows, numbers=(1,))


def _month_and_range(month: Spread) -> Html:
    return joined(tag("span", usd(month.expected)), tag("small", _range(month)))


def _verdict(verdicts: Iterable[Verdict]) -> str:
    """Of all limits: the worst."""
    found = set(verdicts)
    return next(
        (str(verdict) for verdict in (Verdict.BREACHED, Verdict.UNKNOWN, Verdict.OK) if verdict in found), "none"
    )


def _link(model: ModelPlan) -> Html:
    return tag("a", model.name, href=f"#{_id(model.name)}")


def _id(name: str) -> str:
    """Of a model's section; no name makes another attribute of it."""
    return f"model-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _range(month: Spread) -> str:
    if month.expected is None:
        return ""
    return "fixed" if month.low == month.high else f"{usd(month.low)} to {usd(month.high)}"


def _warnings(found: Iterable[Diagnostic]) -> Iterator[Html]:
    items = [
        tag("li", tag("b", f"{item.severity}: "), item.summary, tag("small", item.hint) if item.hint else None)
        for item in found
    ]
    if items:
        yield tag("section", tag("h2", "To know first"), tag("ul", *items, class_="warnings"))


def _changes(plan: Plan) -> Iterator[Html]:
    if plan.changes is None:
        said: Html = tag("p", "The stack has no state yet: everything would be created.")
    elif not plan.changes:
        said = tag("p", "No resource would change.")
    else:
        text = "\n".join(plan_view.changes_text(plan.changes, Page(width=WIDE)))
        said = joined(tag("p", plan_view.summary(plan.changes)), tag("pre", text))
    yield tag("section", tag("h2", "What would change"), said)


def _prices(plan: Plan) -> Iterator[Html]:
    rows = [
        [
            price.id,
            UNKNOWN if price.usd is None else f"{price.usd.normalize():f}",
            price.unit,
            price.read.isoformat(),
            price.confidence,
            joined(price.source, tag("small", price.note) if price.note else None),
        ]
        for price in plan.prices
    ]
    if rows:
        columns = ("price", "USD", "per", "read on", "how sure", "source")
        yield tag("section", tag("h2", "Prices of the plan"), table("Prices used", columns, rows, numbers=(1,)))


def _footer(plan: Plan) -> Html:
    return tag(
        "footer",
        tag("p", "A month is 730 hours, money is US dollars before tax. Every figure was computed when the page was "
            "written, by the formulas of docs/cost-model.md; the page loads nothing and computes nothing."),
        tag("p", f"Digest of the plan: {plan.digest}", class_="digest"),
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------------------- models
def _models(value: Report) -> Iterator[Html]:
    for model in value.plan.models:
        swept = value.sweeps.get(model.name)
        yield tag(
            "article",
            tag("h2", model.name),
            tag("p", model.target, class_="target"),
            *_said(model, swept),
            *(_own(swept) if swept else []),
            *(_elsewhere(swept, value.decisions.get(model.name)) if swept else []),
            *_decided(value.decisions.get(model.name)),
            *_bill(model, value.plan),
            _assumptions(model),
            id=_id(model.name),
            data_model=model.name,
        )


def _limits(model: ModelPlan, plan: Plan) -> Iterator[Html]:
    checks = [*((check, "") for check in model.limits), *((check, ", the whole stack") for check in plan.limits)]
    for check, whose in checks:
        said = plan_view.limit(check, Page()).removeprefix("limit ")
        yield tag(
            "p", tag("b", "Limit"), f" {said}{whose}", class_="breached" if check.verdict is Verdict.BREACHED else None
        )


def _said(model: ModelPlan, swept: Sweep | None) -> Iterator[Html]:
    """What the plan says beside its figures."""
    if model.cheaper is not None:
        yield tag("p", tag("b", "Cheaper on this target: "), plan_view.cheaper(model.cheaper))
    if model.deadline is not None:
        yield tag("p", plan_view.batch(model.deadline))
    if swept is not None and swept.here.monthly_usd.expected != model.monthly_usd.expected:
        planned, formulas = usd(model.monthly_usd.expected), usd(swept.here.monthly_usd.expected)
        said = (
            f"The plan's month is {planned}, by simulation: the formulas are in doubt here. What can be stepped "
            f"through is by the formulas, {formulas} for the spec as it stands: good for comparing."
        )
        yield tag("p", said, class_="warning")
    for month in model.growth:
        if month.month > 1:
            yield tag(
                "p",
                f"Month {month.month}, at {_count(month.requests_per_day)} requests a day: {usd(month.monthly_usd)}",
            )


def _own(swept: Sweep) -> Iterator[Html]:
    """The spec at one point, and the controls that choose it."""
    shown = _figures(swept, *swept.own)
    yield tag(
        "section",
        tag("h3", "The bill", tag("span", " of the spec as it stands", data_figure="where")),
        _controls(swept),
        tag(
            "dl",
            _card("expected month", "month", shown, "range", class_="first"),
            _card("95 % of requests within", "p95", shown, "cold"),
            _card("1,000 requests", "per_1000", shown),
            _card("an hour, all workers on", "worst", shown),
            class_="cards",
        ),
        tag("p", shown["warning"], class_="warning", data_figure="warning", hidden=not shown["warning"]),
        _split(swept),
        _settings(swept),
    )


def _card(title: str, name: str, shown: Mapping[str, str], below: str | None = None, class_: str | None = None) -> Html:
    more = tag("dd", shown[below], class_="below", data_figure=below) if below else None
    return tag("div", tag("dt", title), tag("dd", shown[name], data_figure=name), more, class_=class_)


def _controls(swept: Sweep) -> Html:
    """Without the script they would do nothing: it shows them."""
    made = []
    for axis, (title, names, own) in enumerate(zip(AXES, _axes(swept), swept.own, strict=True)):
        if len(names) > 1:
            label, output = f"{title}", tag("output", names[own], data_output=axis)
            field = tag(
                "input",
                type="range",
                min=0,
                max=len(names) - 1,
                step=1,
                value=own,
                data_axis=axis,
                aria_label=title,
                aria_valuetext=names[own],
                autocomplete="off",
            )
            less = tag("button", "−", type="button", data_step=-1, aria_label=f"less {title}")
            more = tag("button", "+", type="button", data_step=1, aria_label=f"more {title}")
            row = tag("div", less, field, more, class_="stepper")
            made.append(tag("div", tag("span", label, class_="axis"), output, row, class_="control"))
    if not made:
        return Html("")
    back = tag("button", "as in the spec", type="button", data_reset=True)
    status = tag("p", class_="aside", role="status", data_status=True)
    return tag("div", tag("div", *made, class_="controls"), tag("div", back, status, class_="after"), hidden=True)


def _axes(swept: Sweep) -> tuple[list[str], list[str], list[str]]:
    """What each step of each control is called; the spec's own is marked."""
    rates = [
        f"{_count(rate)} a day{'' if factor == 1 else f' ({_plain(factor)} ×)'}"
        for rate, factor in zip(swept.requests_per_day, swept.factors, strict=True)
    ]
    timeouts = [
        "none to set" if each is None else seconds(float(each)).replace(".0 s", " s") for each in swept.idle_timeouts_s
    ]
    named = (rates, timeouts, [str(least) for least in swept.workers_min])
    for names, own in zip(named, swept.own, strict=True):
        names[own] += ", the spec"
    return named


def _count(rate: Decimal | None) -> str:
    """Requests, without a fraction where there are many."""
    if rate is None:
        return UNKNOWN
    digits = Decimal(1) if rate >= 100 else Decimal("0.1") if rate >= 1 else Decimal("0.0001")
    return f"{rate.quantize(digits).normalize():,f}" if rate else "0"


def _plain(number: Decimal) -> str:
    return format(number.normalize(), "f")


def _figures(swept: Sweep, traffic: int, idle: int, least: int) -> dict[str, str]:
    """The texts of one point, by the name of their place in the page."""
    point = swept.points[traffic][idle][least]
    month, response = point.monthly_usd, point.response
    at_least = f"at least {usd(point.at_least_usd)}" if point.at_least_usd else "the warnings say what is missing"
    return {
        "month": usd(month.expected),
        "range": f"range {_range(month)}" if month.expected is not None else at_least,
        "per_1000": usd(point.usd_per_1000_requests),
        "worst": usd(point.hourly_worst_case_usd),
        "p95": _within(response),
        "cold": "; ".join(_besides(response)),
        "warning": " ".join(f"{text[:1].upper()}{text[1:]}." for text in point.warnings),
    }


def _within(response: ResponseTime | None) -> str:
    return UNKNOWN if response is None or response.p95_s is None else short_seconds(float(response.p95_s))


def _besides(response: ResponseTime | None) -> Iterator[str]:
    if response is None:
        return
    if response.cold_share is not None:
        yield f"{_share(response.cold_share)} cold starts"
    if response.refused_share:
        yield f"{_share(response.refused_share)} refused at the cap"
    if response.added:
        ends = ([getattr(stage, end) for stage in response.added] for end in ("low_s", "high_s"))
        low, high = (None if None in known else sum(known) for known in ends)
        yield f"on the way {from_to(low, high)} more"


def _share(value: float | Decimal) -> str:
    if value <= 0:
        return "no"
    return "under 0.1 %" if value < Decimal("0.001") else f"{float(value) * 100:.3g} %"


def _scale(swept: Sweep, traffic: int) -> Decimal:
    """The largest amount of one traffic: bars of its points can be compared."""
    months = [point.monthly_usd for row in swept.points[traffic] for point in row]
    return max((amount for month in months for amount in (month.high, month.expected) if amount), default=Decimal(0))


def _names(swept: Sweep) -> list[str]:
    """What is billed at any point; what no point bills is left out."""
    points = [point for rows in swept.points for row in rows for point in row]
    names = dict.fromkeys(name for point in points for name in point.parts_usd)
    return [name for name in names if any(point.parts_usd.get(name) for point in points)]


def _parts(swept: Sweep, point: Point, most: Decimal) -> list[tuple[float, float, str]]:
    """From and width in per cent, and the amount."""
    start, found = 0.0, []
    for name in _names(swept):
        amount = point.parts_usd.get(name, Decimal(0))
        width = round(charts.share(amount, most), 2)
        found.append((round(start, 2), width, usd(amount)))
        start += width
    return found


def _ends(point: Point, most: Decimal) -> tuple[float, float]:
    """Of the range, in per cent."""
    low, high = (round(charts.share(end, most), 2) for end in (point.monthly_usd.low, point.monthly_usd.high))
    return low, high


def _split(swept: Sweep) -> Html | None:
    point, most = swept.here, _scale(swept, swept.own[0])
    parts = _parts(swept, point, most)
    if point.monthly_usd.expected is None or not parts:
        return None
    drawing = charts.bar(
        [(start, width) for start, width, _ in parts],
        *_ends(point, most),
        "The parts of the expected month, as in the table below, and below them the range from its low to its high end",
    )
    rows = [
        [joined(charts.swatch(number), plan_view.what_is(name)), tag("span", amount, data_part=number)]
        for number, (name, (_, _, amount)) in enumerate(zip(_names(swept), parts, strict=True))
    ]
    made = table("What is paid for", ("part", "a month"), rows, numbers=(1,), class_="split")
    return tag("div", tag("div", drawing, class_="bar"), made, class_="paid")


def _settings(swept: Sweep) -> Html | None:
    """Idle timeouts × minimums at one traffic."""
    if len(swept.idle_timeouts_s) * len(swept.workers_min) < 2:
        return None
    traffic, own_idle, own_least = swept.own
    _, timeouts, minimums = _axes(swept)
    rows = []
    for idle, name in enumerate(timeouts):
        cells = [
            tag(
                "span",
                _setting(swept.points[traffic][idle][least]),
                data_setting=f"{idle},{least}",
                class_="chosen" if (idle, least) == (own_idle, own_least) else None,
            )
            for least in range(len(minimums))
        ]
        rows.append([name, *cells])
    columns = ("idle timeout", *(f"min {name}" for name in minimums))
    title = "A month, and 95 % of requests within, by setting"
    caption = joined(f"{title}; at ", tag("span", _axes(swept)[0][traffic], data_figure="traffic"))
    return table(title, columns, rows, numbers=range(1, len(columns)), class_="settings", caption=caption)


def _setting(point: Point) -> Html:
    return joined(tag("span", usd(point.monthly_usd.expected)), tag("small", _within(point.response)))


# -------------------------------------------------------------------------------------------------------------- targets
def _elsewhere(swept: Sweep, decided: Decisions | None) -> Iterator[Html]:
    found = swept.comparisons[swept.own[0]]
    ranked = found.of(Status.RANKED)
    yield tag(
        "section",
        tag("h3", "All targets"),
        *([_targets(swept), _all(ranked)] if ranked else [tag("p", "No target has a known bill for this spec.")]),
        *_by_traffic(swept, decided),
        *_not_ranked(found),
    )


def _chosen(swept: Sweep, traffic: int) -> list[Row]:
    """The smallest bills, the cheapest of each kind, the spec's own."""
    found = swept.comparisons[traffic]
    ranked, kinds = found.of(Status.RANKED), set[str]()
    chosen = []
    for at, row in enumerate(ranked):
        new = row.target not in kinds and not row.another_precision
        if at < MOST_ROWS or row.own or row is found.best_deployable or new:
            chosen.append(row)
        if new:
            kinds.add(row.target)
    return chosen


def _cells(swept: Sweep, traffic: int) -> list[dict[str, Any]]:
    """The rows of the table at one traffic, as texts and places."""
    rows, ranked = _chosen(swept, traffic), swept.comparisons[traffic].of(Status.RANKED)
    rank = {id(row): at for at, row in enumerate(ranked, 1)}
    ends = [float(end) for row in rows for end in (row.total_usd.low, row.total_usd.high) if end]
    low, high = log(min(ends, default=1.0)), log(max(ends, default=1.0))

    def at(amount: Decimal | None) -> float:
        part = (log(float(amount)) - low) / (high - low) if amount and high > low else 0.0
        return round(3 + 94 * part, 2)

    return [
        {
            "rank": str(rank[id(row)]),
            "target": row.target,
            "gpu": _what(row),
            "month": usd(row.total_usd.expected),
            "range": _range(row.total_usd),
            "p95": UNKNOWN if row.p95_s is None else short_seconds(row.p95_s),
            "cold": "" if row.cold_share is None else f"{_share(row.cold_share)} cold starts",
            "notes": "; ".join(_notes(row)),
            "own": row.own,
            "strip": [at(end) for end in (row.total_usd.low, row.total_usd.expected, row.total_usd.high)],
        }
        for row in rows
    ]


def _gpu(row: Row) -> str:
    return row.gpus.replace("NVIDIA ", "").replace("GeForce ", "").replace(" Generation", "")


def _what(row: Row) -> str:
    mode = f"{row.mode}, {row.precision}" if row.another_precision else row.mode
    return " ".join(filter(None, [_gpu(row), mode]))


def _notes(row: Row) -> Iterator[str]:
    if row.own:
        yield "your spec"
    elif row.deployable:
        yield "deployable"
    if not row.distinguishable:
        yield "not distinguishable from the first"
    if row.another_precision:
        yield "weights in another format: quality may differ"
    if row.limits_broken:
        yield f"above the limit {' and '.join(plan_view.LIMITS[name] for name in row.limits_broken)}"
    yield from (f"breaks the service level: {text}" for text in row.service_level_broken)
    yield from (f"fails {text}" for text in row.requires_broken)
    if row.ops_usd:
        yield f"{usd(row.monthly_usd.expected)} of bill and {usd(row.ops_usd)} of operation"
    if row.added_s is not None:
        yield f"on the way {from_to(*row.added_s)} more"
    yield from row.caveats


def _targets(swept: Sweep) -> Html:
    rows = []
    for cell in _cells(swept, swept.own[0]):
        what = tag("th", tag("b", cell["target"], data_cell="target"), " ", tag("span", cell["gpu"], data_cell="gpu"),
                   tag("small", cell["notes"], data_cell="notes"), scope="row", role="rowheader")  # fmt: skip
        month = tag("td", tag("b", cell["month"], data_cell="month"), tag("small", cell["range"], data_cell="range"),
                    class_="number", role="cell")  # fmt: skip
        p95 = tag("td", tag("span", cell["p95"], data_cell="p95"), tag("small", cell["cold"], data_cell="cold"),
                  class_="number", role="cell")  # fmt: skip
        drawing = tag("td", charts.strip(*cell["strip"]), class_="drawn", role="cell")
        rank = tag("td", cell["rank"], data_cell="rank", class_="number rank", role="cell")
        rows.append(tag("tr", rank, what, month, drawing, p95, class_="own" if cell["own"] else None, role="row"))
    columns = {"rank": "number rank", "target, GPU, mode": None, "a month, range": "number",
               "range, by powers of ten": "drawn", "95 % within": "number"}  # fmt: skip
    heads = (tag("th", name, scope="col", class_=kind, role="columnheader") for name, kind in columns.items())
    head = tag("tr", *heads, role="row")
    caption = joined("The smallest bills at ", tag("span", _axes(swept)[0][swept.own[0]], data_figure="traffic"))
    made = tag(  # the roles stay where a narrow screen makes other boxes of the rows
        "table",
        tag("caption", caption),
        tag("thead", head, role="rowgroup"),
        tag("tbody", *rows, role="rowgroup", data_targets=True),
        class_="targets",
        role="table",
    )
    return tag("div", made, class_="scroll", tabindex=0, role="region", aria_label="Targets by their bill")


def _all(ranked: Sequence[Row]) -> Html:
    """At the expected traffic; the table above is a part of it."""
    rows = [
        [
            str(at),
            joined(tag("b", row.target), f" {_what(row)}"),
            usd(row.total_usd.expected),
            _range(row.total_usd),
            UNKNOWN if row.p95_s is None else short_seconds(row.p95_s),
            "; ".join(_notes(row)),
        ]
        for at, row in enumerate(ranked, 1)
    ]
    title = (
        f"All {plural(len(ranked), 'target, GPU and mode', 'targets, GPUs and modes')} with a bill, expected traffic"
    )
    columns = ("rank", "target, GPU, mode", "a month", "range", "95 % within", "notes")
    made = table("All targets at the expected traffic", columns, rows, numbers=(0, 2, 3, 4))
    return tag("details", tag("summary", title), made, class_="long")


def _details(title: str, *content: str) -> Html:
    return tag("details", tag("summary", title), *content)


def _not_ranked(found: Comparison) -> Iterator[Html]:
    for status, heading in STATUSES.items():
        rows = found.of(status)
        reasons: dict[str, list[Row]] = {}
        for row in rows:
            reasons.setdefault("; ".join(row.reasons) or UNKNOWN, []).append(row)
        items = [
            tag("li", tag("b", ", ".join(dict.fromkeys(f"{row.target} {_gpu(row)}" for row in same))), f": {reason}")
            for reason, same in reasons.items()
        ]
        if items:
            yield _details(f"{heading} ({len(rows)})", tag("ul", *items))


def _curves(swept: Sweep) -> list[tuple[charts.Curve, tuple[Row | None, ...]]]:
    """The spec's own bill, then the cheapest of each target: ours first, by the bill at the expected traffic."""
    own = tuple(next((row for row in found.of(Status.RANKED) if row.own), None) for found in swept.comparisons)
    names = dict.fromkeys(row.target for found in swept.comparisons for row in found.of(Status.RANKED))
    cheapest = {name: swept.cheapest(name) for name in names}

    def first(name: str) -> tuple[bool, bool, Decimal]:
        row = cheapest[name][swept.own[0]]
        return name not in TARGETS, row is None, (row.total_usd.expected or Decimal(0)) if row else Decimal(0)

    found = {YOURS: own} if any(own) else {}
    found |= {name: cheapest[name] for name in sorted(cheapest, key=first)[:MOST_CURVES]}
    return [
        (charts.Curve(name=name, usd=tuple(row.total_usd.expected if row else None for row in rows)), rows)
        for name, rows in found.items()
    ]


def _decided(decided: Decisions | None) -> Iterator[Html]:
    if decided is not None:
        yield from view.workers(decided.worths)
        yield from view.cold_starts(decided.cold_starts)


def _by_traffic(swept: Sweep, decided: Decisions | None) -> Iterator[Html]:
    """The drawing, the same as a table, and where the order changes."""
    curves = _curves(swept)
    exact = [each for each in decided.break_evens if each.requests_per_day] if decided is not None else []
    if len(swept.factors) < 2 or not curves:
        return
    at, rates = swept.own[0], [_count(rate) for rate in swept.requests_per_day]
    if any(amount for curve, _ in curves for amount in curve.usd):
        label = "The expected month by traffic, as in the table below"
        drawings = [
            charts.by_traffic(
                [curve for curve, _ in curves],
                swept.factors,
                rates,
                at,
                label=label,
                narrow=narrow,
                changes=_changes_of_order(swept, [curve.name for curve, _ in curves], exact),
            )
            for narrow in (False, True)
        ]
        yield tag("div", *drawings, class_="drawing")
    rows = []
    for number, (curve, found) in enumerate(curves):
        cells = [
            joined(usd(row.total_usd.expected), tag("small", _what(row))) if row else joined("none", tag("small", NONE))
            for row in found
        ]
        rows.append([joined(charts.sample(number), tag("span", curve.name)), *cells])
    title = "The expected month by requests a day, your spec and the cheapest of each target"
    columns = ("target", *rates)
    yield table(title, columns, rows, numbers=range(1, len(columns)), class_="traffic")
    own = next((row.id for row in swept.comparisons[at].rows if row.own), None)
    items = [view.order(each, own, YOURS) for each in exact]
    if curves[0][0].name == YOURS:
        told = {_target_of(each) for each in exact}
        items += [
            tag("li", tag("b", f"{other.name}: "), _order(curves[0][0], other, rates))
            for other, _ in curves[1:]
            if other.name not in told
        ]
    if items:
        note = tag("p", view.HOW_EXACT, class_="quiet") if any(each.crossings for each in exact) else None
        yield tag("div", tag("h4", "Where the order changes"), tag("ul", *items), note, class_="order")


def _target_of(each: BreakEven) -> str | None:
    """Of the other row; None on the own target, whose curve is the cheapest of all its GPUs and modes."""
    one, other = (row_id.partition("/")[0] for row_id in (each.one, each.other))
    return other if other != one else None


def _changes_of_order(swept: Sweep, names: Sequence[str], exact: Sequence[BreakEven]) -> list[charts.Change]:
    rate = swept.requests_per_day[swept.own[0]]
    return [
        charts.Change(curve=names.index(str(_target_of(each))), below=one.below / rate, above=one.above / rate)
        for each in exact
        for one in each.crossings
        if rate and _target_of(each) in names
    ]


def _order(own: charts.Curve, other: charts.Curve, rates: Sequence[str]) -> str:
    """Between which steps the other one becomes the cheaper, or the dearer."""
    both = [
        (rate, a <= b) for rate, a, b in zip(rates, own.usd, other.usd, strict=True) if a is not None and b is not None
    ]
    if not both:
        return "at no step both have a bill"
    changes = [
        f"between {low} and {high} requests a day it becomes {'dearer' if then else 'cheaper'} than {YOURS}"
        for (low, yours), (high, then) in pairwise(both)
        if yours is not then
    ]
    always = f"{'dearer' if both[0][1] else 'cheaper'} than {YOURS} from {both[0][0]} to {both[-1][0]} requests a day"
    return "; ".join(changes) or always


# ------------------------------------------------------------------------------------------------------- how it is made
def _itself(plan: Plan) -> Iterator[Html]:
    """What is billed once for the stack; a credit is negative."""
    if plan.itself is not None:
        month = tag("p", f"{usd(plan.itself.monthly_usd.expected)} a month, billed once for all models")
        yield tag("section", tag("h2", ITSELF), month, _lines(plan.itself.lines))


def _lines(lines: Sequence[Line]) -> Html:
    """To multiply by hand."""
    rows = [
        [
            plan_view.what_is(line.what),
            f"{line.quantity:,}",
            line.unit,
            _plain(line.unit_price_usd),
            usd(line.amount_usd),
        ]
        for line in lines
        if line.quantity
    ]
    rows.append(["together", "", "", "", usd(sum((line.amount_usd for line in lines), Decimal(0)))])
    columns = ("line", "quantity", "unit", "× USD", "= a month")
    return table("Lines of the bill", columns, rows, numbers=(1, 3, 4))


def _bill(model: ModelPlan, plan: Plan) -> Iterator[Html]:
    if not model.lines:
        return
    bounds = [
        tag(
            "li",
            tag("b", f"{_quantity_name(item.what)}: {item.quantity:,} {units(item.unit)}"),
            tag("small", f"method: {item.method}"),
            *(
                tag("small", f"{bound.kind} {bound.formula} = {bound.figures} = {bound.quantity:,}")
                for bound in item.bounds
            ),
        )
        for item in model.explanation.quantities
    ]
    ends = " ".join(plan_view.ends(model, Page(width=10_000))).strip()
    yield tag(
        "section",
        tag("h3", "The bill, line by line"),
        _lines(model.lines),
        tag("p", ends, class_="quiet") if ends else None,
        *_limits(model, plan),
        _details("Quantities, and bounds to compute by hand", tag("ul", *bounds)) if bounds else None,
    )


def _quantity_name(what: str) -> str:
    return "all workers" if what == TOTAL else plan_view.what_is(what)


def _assumptions(model: ModelPlan) -> Html:
    moves = {item.assumption: item for item in model.explanation.sensitivities}
    items = []
    for item in model.assumptions:
        move = moves.pop(item.name, None)
        items.append(
            tag(
                "div",
                tag("dt", item.name.replace("_", " ")),
                tag("dd", item.value),
                tag("dd", f"source: {item.source}", class_="quiet"),
                tag("dd", f"errs: {item.errs}", class_="quiet") if item.errs else None,
                tag("dd", f"{move.step}: {signed_usd(move.change_usd)} a month", class_="move") if move else None,
            )
        )
    items += [
        tag(
            "div",
            tag("dt", other.assumption.replace("_", " ")),
            tag("dd", f"{other.step}: {signed_usd(other.change_usd)} a month", class_="move"),
        )
        for other in moves.values()
    ]
    return _details(
        f"Assumptions ({len(items)}): value, source, and what each moves", tag("dl", *items, class_="facts")
    )


# ---------------------------------------------------------------------------------------------------- for the controls
def _data(value: Report, name: str) -> dict[str, Any]:
    """All texts and places of a model that a control can bring up."""
    swept = value.sweeps[name]
    traffics = range(len(swept.factors))
    return {
        "axes": _axes(swept),
        "own": swept.own,
        "points": [
            [
                [
                    {
                        "figures": _figures(swept, traffic, idle, least),
                        "parts": _parts(swept, point, _scale(swept, traffic)),
                        "range": _ends(point, _scale(swept, traffic)),
                        "setting": [usd(point.monthly_usd.expected), _within(point.response)],
                    }
                    for least, point in enumerate(row)
                ]
                for idle, row in enumerate(swept.points[traffic])
            ]
            for traffic in traffics
        ],
        "targets": [_cells(swept, traffic) for traffic in traffics],
    }
