"""One spec on every target: the smallest bills first, then what has none and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from baseload.cli.terminal import Page
from baseload.cli.views.text import UNKNOWN, columns, from_to, plural, short_seconds, usd, visible_width, wrapped
from baseload.planner.compare import Comparison, Row, Status
from baseload.planner.diagnostics import Diagnostic

if TYPE_CHECKING:
    from baseload.planner.decisions import Decisions

MOST = 12
"""Rows that are shown, besides the spec's own and the smallest bill that can be deployed."""
FEWER = 6
"""The same of what is not ranked."""

HEADINGS = {
    Status.NO_GAIN: "No gain",
    Status.UNKNOWN: "Unknown",
    Status.UNPRICED: "Unpriced",
    Status.IMPOSSIBLE: "Not possible",
}

OTHERS = "With the weights in another format than the spec's: quality may differ"
ENTER = "A price of your own goes into prices/ beside Pulumi.yaml: `deploy prices show` prints a row."


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A comparison, and how much of it."""

    comparison: Comparison
    every: bool = False
    diagnostics: Sequence[Diagnostic] = ()
    decisions: Decisions | None = None
    """Where they were asked for: they take longer than the comparison."""
    computed: bool = True
    """Show the sums."""
    rules: bool = True
    """Show the rules of thumb beside them."""


def human(value: Shown, page: Page) -> str:
    """Ranked rows in two lines each, the others by their reason."""
    found = value.comparison
    every, guessed = found.of(Status.RANKED), found.of(Status.SAME_SPEED)
    ranked = [row for row in every if not row.another_precision]
    others = [row for row in every if row.another_precision]
    lines = [page.bold(f"{found.name} on {plural(len(ranked), 'target, GPU and mode', 'targets, GPUs and modes')}")]
    lines += _table(ranked, _chosen(found, ranked, value, MOST), page)
    if guessed:
        heading = "If these GPUs were as fast as the spec's own, which is not known; not ranked"
        lines += ["", *map(page.bold, wrapped(heading, page.width))]
        lines += _table(guessed, _chosen(found, guessed, value, FEWER), page)
    if others:
        lines += ["", *map(page.bold, wrapped(OTHERS, page.width))]
        lines += _table(others, _chosen(found, others, value, FEWER), page)
    for status, heading in HEADINGS.items():
        rows = found.of(status)
        lines += ["", page.bold(heading), *_by_reason(rows, page)] if rows else []
        if rows and status is Status.UNPRICED:
            lines += map(page.dim, wrapped(ENTER, page.width, indent=2, hanging=2))
    return "\n".join([*lines, *_decisions(value, page), "", *_conclusion(found, page)])


def document(value: Shown) -> Mapping[str, Any]:
    """`baseload.compare/1`; all rows, and `decisions` where they were asked for."""
    said = [item.to_json() for item in value.diagnostics]
    found = {} if value.decisions is None else {"decisions": value.decisions.to_json()}
    return {**value.comparison.to_json(), **found, "diagnostics": said}


def _decisions(value: Shown, page: Page) -> list[str]:
    if value.decisions is None:
        return []
    from baseload.cli.views import decisions as view

    return [
        *(view.computed(value.decisions, page) if value.computed else []),
        *(view.rules(value.decisions, page) if value.rules else []),
    ]


def _chosen(found: Comparison, rows: Sequence[Row], value: Shown, most: int) -> list[Row]:
    deployable = found.best_deployable
    return [row for at, row in enumerate(rows) if value.every or at < most or row.own or row is deployable]


def _table(rows: Sequence[Row], chosen: Sequence[Row], page: Page) -> list[str]:
    """A line with the month and one with the rest; a gap where rows are left out."""
    rank = {id(row): at for at, row in enumerate(rows, 1)}
    heads = [
        [
            str(rank[id(row)]),
            row.target,
            _gpu(row),
            _mode(row),
            page.bold(usd(row.total_usd.expected)),
            "your spec" if row.own else "deployable" if row.deployable else "",
        ]
        for row in chosen
    ]
    table = columns(heads, align="><<<><", indent=1)
    narrow = max(map(visible_width, table), default=0) > page.width
    lines, before = [], 0
    for row, head, line in zip(chosen, heads, table, strict=True):
        if rank[id(row)] > before + 1:
            lines.append(page.dim(f"     … {rank[id(row)] - before - 1} more"))
        before = rank[id(row)]
        if narrow:
            name = wrapped(" ".join(filter(None, head[1:4])), page.width - 5)
            lines += [f"{head[0]:>3}  {name[0]}", *(f"     {rest}" for rest in name[1:])]
            lines.append("     " + " ".join(filter(None, [head[4], "a month", head[5] and f"({head[5]})"])))
        else:
            lines.append(line)
        lines += map(page.dim, wrapped("; ".join(_details(row)), page.width, indent=5))
    if before < len(rows):
        lines.append(page.dim(f"     … {len(rows) - before} more: `deploy compare --all`"))
    return lines


def _mode(row: Row) -> str:
    return f"{row.mode}, {row.precision}" if row.another_precision else row.mode


def _gpu(row: Row) -> str:
    """A hybrid has two, which are told in its second line."""
    return "" if row.target == "hybrid" else _gpus(row)


def _gpus(row: Row) -> str:
    return row.gpus.replace("NVIDIA ", "").replace("GeForce ", "").replace(" Generation", "")


def _details(row: Row) -> Iterator[str]:
    month = row.total_usd
    if row.target == "hybrid":
        yield _gpus(row)
    if row.ops_usd:
        yield f"{usd(row.monthly_usd.expected)} of bill and {usd(row.ops_usd)} of operation (`ops_cost_per_month`)"
    yield "the same in all of the range" if month.low == month.high else f"{usd(month.low)} to {usd(month.high)}"
    yield f"{usd(row.usd_per_1000_requests)} per 1,000"
    if row.p95_s is None:
        yield f"latency {UNKNOWN}"
    else:
        yield f"95 % within {short_seconds(row.p95_s)}"
    if row.added_s is not None:
        yield f"on the way {from_to(*row.added_s)} more"
    if row.cold_share is not None:
        yield f"{_share(row.cold_share)} meet a cold start"
    if row.simulation is not None:
        yield f"simulated, ±{row.simulation.interval_percent} %"
    elif row.doubts:
        yield "by the closed form, which is in doubt here"
    if not row.distinguishable:
        yield "not distinguishable from the first"
    if row.limits_broken:
        yield f"breaks {' and '.join(row.limits_broken)}"
    yield from (f"breaks service_level {text}" for text in row.service_level_broken)
    yield from (f"fails {text}" for text in row.requires_broken)
    yield from row.not_known
    yield from row.caveats


def _share(value: float) -> str:
    if value <= 0:
        return "none"
    return "under 0.1 %" if value < 0.001 else f"{value * 100:.3g} %"


def _by_reason(rows: Iterable[Row], page: Page) -> list[str]:
    """Each reason once, with what it holds for."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault("; ".join(row.reasons) or UNKNOWN, []).append(row)
    lines = []
    for reason, same in found.items():
        lines += wrapped(f"{'; '.join(_names(same))}: {reason}", page.width, indent=2, hanging=2)
    return lines


def _names(rows: Iterable[Row]) -> list[str]:
    """Target and mode once, with all its GPUs."""
    gpus: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        gpus.setdefault((row.target, row.mode), []).append(_gpus(row))
    return [
        f"{target} {', '.join(names)}{'' if mode == 'any' else f' {mode}'}" for (target, mode), names in gpus.items()
    ]


def _conclusion(found: Comparison, page: Page) -> list[str]:
    best = found.best_deployable
    if best is None:
        text = "Nothing that this version deploys has a known bill and is all that the spec asks for."
        text += _nearest(found)
    else:
        month = usd(best.total_usd.expected)
        text = (
            f"The smallest bill of what this version deploys: {best.target} {_gpu(best)} {best.mode}, {month} a month"
        )
        text += " (your spec)." if best.own else "."
    return wrapped(f"{text} Prices: {found.book} book. Assumptions of each row: `--json`", page.width)


def _nearest(found: Comparison) -> str:
    """The fastest of what can be deployed, where all of it breaks the service level."""
    rows = [row for row in found.of(Status.RANKED) if row.deployable and not row.another_precision]
    if not rows or not all(row.service_level_broken for row in rows):
        return ""
    fastest = min(rows, key=lambda row: (row.p95_s is None, row.p95_s or 0.0))
    name = f"{fastest.target} {_gpu(fastest)} {fastest.mode}"
    return f" The fastest, {name}, breaks service_level {'; '.join(fastest.service_level_broken)}."
