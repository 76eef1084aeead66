"""The plan for a pull request's comment or a job's summary: GitHub's Markdown, with what matters first."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from baseload.cli.terminal import WIDE, Page
from baseload.cli.views import explain as explain_view
from baseload.cli.views import plan as plan_view
from baseload.cli.views.text import plural, short_seconds, signed_usd, usd
from baseload.planner.cost import Spread
from baseload.planner.cost.stack import NAME as ITSELF
from baseload.planner.plan import LimitCheck, ModelPlan, Plan, Verdict

MOST = 60_000
"""Characters. GitHub takes comments of 65,536; the rest is for whatever a pipeline puts around this."""

LEFT_OUT = "_Details are left out for want of room; `deploy plan --explain` tells them._"

VERDICTS = {Verdict.OK: "✅ ok", Verdict.BREACHED: "❌ **breached**", Verdict.UNKNOWN: "❔ unknown"}


@dataclass(frozen=True, kw_only=True)
class Report:
    """A plan, and the project whose it is: a comment is found again by both."""

    project: str
    plan: Plan


def human(value: Report, page: Page) -> str:
    """As `markdown`; the same for every page."""
    return markdown(value)


def document(value: Report) -> Mapping[str, Any]:
    """`baseload.plan/1`."""
    return value.plan.to_json()


def markdown(value: Report, *, most: int = MOST) -> str:
    """At most `most` characters: details go first (the explanation, the changes, the warnings), then rows."""
    plan = value.plan
    head = [marker(value), f"### Plan of `{value.project}/{plan.stack}`", "", _sentence(plan), ""]
    details, left_out = _all_details(plan), ""
    while True:
        tail = ["", *details, *filter(None, [left_out]), f"<sub>{html.escape(_footer(plan))}</sub>"]
        room = most - sum(len(line) + 1 for line in (*head, *tail))
        table = _table(plan, room)
        if table[1] or not details:
            return "\n".join([*head, *table[0], *tail])
        details, left_out = details[:-1], LEFT_OUT


def _all_details(plan: Plan) -> list[str]:
    """By weight."""
    plain = Page(width=WIDE)
    found = []
    if plan.diagnostics:
        found.append(_details("Warnings", "\n\n".join(map(str, plan.diagnostics))))
    if plan.changes:
        title = f"Changes: {plan_view.summary(plan.changes)}"
        found.append(_details(title, "\n".join(plan_view.changes_text(plan.changes, plain))))
    return [*found, _details("How each figure comes about", explain_view.human(plan, plain))]


def marker(value: Report) -> str:
    """Invisible; a pipeline finds its comment by it, not by a heading that may change."""
    names = f"project={quote(value.project, safe='')} stack={quote(value.plan.stack, safe='')}"
    return f"<!-- baseload-plan {names} valid-at={value.plan.generated_at:%Y-%m-%dT%H:%M:%SZ} -->"


def _sentence(plan: Plan) -> str:
    expected = plan.total_monthly_usd.expected
    cost = f"**{usd(expected)} a month** expected" if expected is not None else "The month is **unknown**"
    if expected is None and plan.at_least_usd:
        cost += f", at least {usd(plan.at_least_usd)}"
    if plan.changes is None:
        cost += "; the stack has no state yet"
    elif not plan.changes:
        cost += "; no resource changes"
    if plan.difference is None:
        return f"{cost}."
    change = plan_view.month_change(plan.difference.total)
    return f"{cost}.\nAgainst {_cell(plan_view.base_name(plan.difference))}: {change}."


def _table(plan: Plan, room: int) -> tuple[list[str], bool]:
    """A row per model, as many as have room, and whether all have."""
    changes = {item.name: item for item in plan.difference.models} if plan.difference else {}
    titles = ["model", "expected", "range", *(["change"] if changes else []), "p95", "limits"]
    head = [f"| {' | '.join(titles)} |", f"| --- |{' ---: |' * (len(titles) - 2)} --- |"]
    rows = []
    for model in plan.models:
        change = [signed_usd(changes[model.name].change_usd)] if changes else []
        rows.append(
            _row(
                [
                    f"`{model.name}`",
                    usd(model.monthly_usd.expected),
                    _range(model),
                    *change,
                    _p95(model),
                    _limits(model),
                ]
            )
        )
    if plan.itself is not None:
        month = [usd(plan.itself.monthly_usd.expected), _span(plan.itself.monthly_usd)]
        change = [signed_usd(changes[ITSELF].change_usd) if ITSELF in changes else ""] if changes else []
        rows.append(_row([ITSELF, *month, *change, "", ""]))
    gone = [item for item in changes.values() if item.status == plan_view.GONE]
    rows += [_row([f"`{item.name}`", "gone", "", signed_usd(item.change_usd), "", ""]) for item in gone]
    stack = ["", *(f"Whole stack: {_limit(check)}" for check in plan.limits)] if plan.limits else []
    left = room - sum(len(line) + 1 for line in (*head, *stack)) - len("\n\n… and 999,999 more models\n")
    kept = 0
    for row in rows:
        left -= len(row) + 1
        if left < 0:
            break
        kept += 1
    more = ["", f"… and {plural(len(rows) - kept, 'more model')}"] if kept < len(rows) else []
    return [*head, *rows[:kept], *more, *stack], kept == len(rows)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")


def _range(model: ModelPlan) -> str:
    if model.monthly_usd.expected is None:
        return f"at least {usd(model.at_least_usd)}" if model.at_least_usd else ""
    return _span(model.monthly_usd)


def _span(month: Spread) -> str:
    return "" if month.expected is None else f"{usd(month.low)} to {usd(month.high)}"


def _p95(model: ModelPlan) -> str:
    """With the share of requests that meet a cold start."""
    response = model.response
    if response is None or response.p95_s is None:
        return "unknown"
    cold = "" if response.cold_share is None else f", {plan_view.percent(response.cold_share)} cold"
    return f"{short_seconds(float(response.p95_s))}{cold}"


def _limits(model: ModelPlan) -> str:
    return ", ".join(map(_limit, model.limits)) or "none"


def _limit(check: LimitCheck) -> str:
    said = plan_view.limit(check, Page()).removeprefix("limit ").partition(": ")[0]
    return f"{VERDICTS[check.verdict]} {said}"


def _details(title: str, text: str) -> str:
    """Collapsed, as text: whatever it holds cannot end the block."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"<details><summary>{html.escape(title)}</summary>\n\n{fence}text\n{text}\n{fence}\n\n</details>"


def _footer(plan: Plan) -> str:
    month = f"A month is {plan.month_hours} hours; nothing was created."
    return f"{month} Prices: {plan_view.prices(plan)}. {plan.digest[:19]}"
