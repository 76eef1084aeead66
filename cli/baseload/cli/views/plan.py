"""The plan: what a stack will cost, and what would change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.resources import SIGNS, label
from baseload.cli.views.text import (
    UNKNOWN,
    columns,
    from_to,
    plural,
    seconds,
    short_seconds,
    signed_usd,
    usd,
    visible_width,
    wrapped,
)
from baseload.engine.interface import SECRET, Op
from baseload.planner.cost import Deadline, ResponseTime, Spread
from baseload.planner.cost.alternative import Alternative
from baseload.planner.cost.explain import Sensitivity
from baseload.planner.cost.stack import NAME as ITSELF
from baseload.planner.cost.stack import StackBill
from baseload.planner.difference import Causes, Difference, MonthChange
from baseload.planner.plan import PROMISES, Change, FieldChange, LimitCheck, ModelPlan, Plan, Verdict
from baseload.planner.prices import MONTH_HOURS

NAMES = MappingProxyType(
    {
        "busy": "serving requests",
        "idle": "idle before scaling in",
        "cold_start": "cold starts",
        "always_on": "always on",
        "base": "base, always on",
        "burst_busy": "burst, serving requests",
        "burst_idle": "burst, idle before scaling in",
        "burst_cold_start": "burst, cold starts",
        "burst_always_on": "burst, always on",
        "buffer": "buffer of idle workers",
        "volume_stopped": "volume of what is stopped",
        "busy_on_provisioned": "serving, provisioned",
        "provisioned": "provisioned slots",
        "cpu": "CPU",
        "lambda_requests": "Lambda, requests",
        "lambda_waiting": "Lambda, waiting",
        "http_api": "HTTP API",
        "data_in": "data in",
        "data_out": "data out",
    }
)
"""Of what a line bills; others are told by their own name."""

MOST = 3
"""Assumptions shown with the plan: those that move the bill most. `--explain` shows all."""

LEFT_OUT = "not included: "

LIMITS = {"monthly_usd": "a month", "hourly_worst_case_usd": "an hour at most", "increase_percent": "more a month"}
GONE = "gone"


def human(value: Plan, page: Page) -> str:
    """Costs per model, their total, then the changes."""
    lines = [page.bold(f"Plan of the stack {value.stack}")]
    changes = {item.name: item for item in value.difference.models} if value.difference else {}
    for model in value.models:
        lines += ["", *_model(model, changes.get(model.name), page)]
    lines += _itself(value.itself, changes.get(ITSELF), page)
    lines += [
        f"\n{page.bold(item.name)}  gone: {month_change(item)}" for item in changes.values() if item.status == GONE
    ]
    lines += _together(value, page)
    lines += ["", *map(page.dim, wrapped(_prices(value), page.width))]
    if value.changes is None:
        lines += ["", "The stack has no state yet: everything would be created."]
    else:
        lines += ["", *changes_text(value.changes, page)]
    return "\n".join(lines)


def brief(value: Plan, page: Page) -> str:
    """A line per model and the changes, for whoever is about to say yes; `human` tells how the figures come about."""
    rows = [
        [
            page.bold(model.name),
            f"{usd(model.monthly_usd.expected)} a month expected",
            f"{usd(model.monthly_usd.low)} to {usd(model.monthly_usd.high)}",
            f"{usd(model.hourly_worst_case_usd)} an hour at most",
        ]
        for model in value.models
    ]
    lines = [page.bold(f"Plan of the stack {value.stack}"), "", *columns(rows, indent=2)]
    if len(value.models) > 1 or value.itself:
        lines.append(f"  together {usd(value.total_monthly_usd.expected)} a month expected")
    if value.difference is not None:
        against = f"against {base_name(value.difference)}: {month_change(value.difference.total)}"
        lines += wrapped(against, page.width, indent=2, hanging=2)
    return "\n".join([*lines, "", *changes_text(value.changes or (), page), ""])


def document(value: Plan) -> Mapping[str, Any]:
    """`baseload.plan/1`."""
    return value.to_json()


def _model(model: ModelPlan, change: MonthChange | None, page: Page) -> list[str]:
    rows = [["", "low", "expected", "high"], _spread("a month", model.monthly_usd, page)]
    if model.monthly_usd.expected is not None:
        rows += [[f"  {what_is(what)}", "", usd(amount), ""] for what, amount in _amounts(model).items() if amount]
    rows += [[f"month {item.month}", "", usd(item.monthly_usd), ""] for item in model.growth if item.month > 1]
    rows.append(["1,000 requests", "", usd(model.usd_per_1000_requests), ""])
    rows.append(["an hour, all workers on", "", "", usd(model.hourly_worst_case_usd)])
    table = columns(rows, align="<>>>", indent=2)
    if max(map(visible_width, table)) > page.width:
        table = columns(rows, align="<>>>", indent=2, gap=1)
    lines = [f"{page.bold(model.name)}  {model.target}", *table]
    if model.monthly_usd.expected is None and model.at_least_usd:
        lines.append(f"  at least {usd(model.at_least_usd)} a month")
    if model.deadline is not None:
        lines += wrapped(batch(model.deadline), page.width, indent=2, hanging=2)
    lines += ends(model, page)
    lines += drift(model, page)
    lines += wrapped(f"latency: {latency(model.response)}", page.width, indent=2, hanging=2)
    if model.cheaper is not None:
        lines += wrapped(f"cheaper: {cheaper(model.cheaper)}", page.width, indent=2, hanging=2)
    if change is not None:
        lines += wrapped(f"change: {month_change(change)}", page.width, indent=2, hanging=2)
    lines += [f"  {limit(check, page)}" for check in model.limits]
    if model.method is not None:
        lines += wrapped(f"method: {model.method}", page.width, indent=2, hanging=2)
    most = model.explanation.sensitivities[:MOST]
    if most:
        lines += wrapped(f"moves most with: {'; '.join(map(_move, most))}", page.width, indent=2, hanging=2)
    left_out = [item.value.removeprefix(LEFT_OUT) for item in model.assumptions if item.value.startswith(LEFT_OUT)]
    if left_out:
        lines += map(page.dim, wrapped(f"{LEFT_OUT}{', '.join(left_out)}", page.width, indent=2, hanging=2))
    return lines


def _itself(found: StackBill | None, change: MonthChange | None, page: Page) -> list[str]:
    """What is billed once for the stack; a credit is negative."""
    if found is None:
        return []
    rows = [["", "low", "expected", "high"], _spread("a month", found.monthly_usd, page)]
    rows += [[f"  {what_is(line.what)}", "", usd(line.amount_usd), ""] for line in found.lines]
    lines = ["", f"{page.bold(ITSELF)}  billed once for all models", *columns(rows, align="<>>>", indent=2)]
    if change is not None:
        lines += wrapped(f"change: {month_change(change)}", page.width, indent=2, hanging=2)
    return lines


def what_is(what: str) -> str:
    """What a line bills, in words."""
    return NAMES.get(what, what.replace("_", " "))


def _amounts(model: ModelPlan) -> dict[str, Decimal]:
    """Dollars by what is billed; steps of one price are added up."""
    found: dict[str, Decimal] = {}
    for line in model.lines:
        found[line.what] = found.get(line.what, Decimal(0)) + line.amount_usd
    return found


def latency(response: ResponseTime | None) -> str:
    """`p50 1.3 s, p95 5.6 s, p99 29.7 s, 12 % of the requests meet a cold start`."""
    if response is None:
        return UNKNOWN
    if response.p95_s is None:
        parts = [UNKNOWN]
    else:
        figures = (("p50", response.p50_s), ("p95", response.p95_s), ("p99", response.p99_s))
        parts = [f"{name} {_long(value)}" for name, value in figures]
        if response.cold_share is not None:
            cold = f"{percent(response.cold_share)} of the requests meet" if response.cold_share else "no request meets"
            parts.append(f"{cold} a cold start")
    if response.refused_share:
        parts.append(f"{percent(response.refused_share)} are refused at the cap")
    if response.added:
        low, high = (_sum([getattr(stage, end) for stage in response.added]) for end in ("low_s", "high_s"))
        names = ", ".join(stage.name for stage in response.added)
        parts.append(f"beside it {from_to(low, high)} for {names}")
    return ", ".join(parts)


def cheaper(item: Alternative) -> str:
    """`idle_timeout: 5s saves $31.20 a month (simulated: $240.10 ±1.4 %); p95 29.7 s, 12 % meet a cold start`."""
    simulated = item.interval_percent is not None
    how = f" (simulated: {usd(item.monthly_usd)} ±{item.interval_percent} %)" if simulated else ""
    cold = f", {percent(item.cold_share)} meet a cold start" if item.cold_share else ""
    return f"{item.change} saves {usd(item.saves_usd)} a month{how}; p95 {_long(item.p95_s)}{cold}"


def _long(value: Decimal | None) -> str:
    return UNKNOWN if value is None else short_seconds(float(value))


def percent(share: Decimal) -> str:
    """`0.25 %` of 0.0025."""
    return f"{float(share) * 100:.2g} %" if share < Decimal("0.995") else f"{float(share) * 100:.3g} %"


def _sum(values: Sequence[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if len(known) == len(values) else None


def ends(model: ModelPlan, page: Page) -> list[str]:
    """What makes the low and the high end of the range; what moves both apart is said once."""
    low, high = ([name.replace("_", " ") for name in end] for end in (model.ends.low, model.ends.high))
    both = [name.removesuffix(" less") for name in low if f"{name.removesuffix(' less')} more" in high]
    apart = {
        "low at": [name for name in low if name.removesuffix(" less") not in both],
        "high at": [name for name in high if name.removesuffix(" more") not in both],
    }
    stated = [f"{end} {' and '.join(names)}" for end, names in apart.items() if names]
    stated += [f"{name} either way" for name in both]
    return wrapped(f"range: {', '.join(stated)}", page.width, indent=2, hanging=2) if stated else []


def drift(model: ModelPlan, page: Page) -> list[str]:
    """What a week with another volume than the measured one bills."""
    if model.drift_usd is None:
        return []
    text = f"another week, of half to twice this volume: {usd(model.drift_usd.low)} to {usd(model.drift_usd.high)}"
    return wrapped(text, page.width, indent=2, hanging=2)


def _move(item: Sensitivity) -> str:
    return f"{item.assumption.replace('_', ' ')}, {item.step}: {signed_usd(item.change_usd)}"


def _spread(text: str, amounts: Spread, page: Page) -> list[str]:
    return [text, usd(amounts.low), page.bold(usd(amounts.expected)), usd(amounts.high)]


def batch(deadline: Deadline) -> str:
    """How the batch of a day does, and what it takes to be in time."""
    takes = "never done" if deadline.takes_s is None else f"done in {seconds(float(deadline.takes_s))}"
    if deadline.workers_needed is None:
        enough = "no number of workers is enough"
    else:
        enough = f"{plural(deadline.workers_needed, 'worker')} would do"
        if deadline.monthly_usd_at_needed is not None:
            enough += f", at {usd(deadline.monthly_usd_at_needed)} a month"
    return (
        f"batch: {deadline.jobs:,} requests {takes} on {plural(deadline.workers, 'worker')}; "
        f"within {seconds(float(deadline.within_s))} {enough}"
    )


def _together(plan: Plan, page: Page) -> list[str]:
    """All models, their limits, and what they are compared with; nothing where there is one and no more to say."""
    lines = _total(plan, page) if len(plan.models) > 1 or plan.itself else []
    if plan.difference is not None:
        compared = f"compared with {base_name(plan.difference)}"
        if len(plan.difference.models) > 1:
            compared += f", all together: {month_change(plan.difference.total)}"
        lines += wrapped(compared, page.width, indent=2, hanging=2)
    lines += [f"  {limit(check, page)} (whole stack)" for check in plan.limits]
    return ["", *lines] if lines else []


def base_name(difference: Difference) -> str:
    """What is compared with, in words."""
    if difference.source == "deployed":
        return f"the plan deployed on {difference.generated_at.date().isoformat()}"
    return difference.source


def month_change(item: MonthChange) -> str:
    """`+$1.20 (+3.4 %): traffic +$1.00, price +$0.20`."""
    if item.change_usd is None:
        return f"{UNKNOWN}, from {usd(item.before_usd)} to {usd(item.after_usd)}"
    percent = "" if not item.percent else f" ({'+' if item.percent > 0 else '−'}{abs(item.percent)} %)"
    parts = _causes(item.causes) if item.causes and item.status == "kept" else ""
    return f"{'new, ' if item.status == 'new' else ''}{signed_usd(item.change_usd)}{percent}{parts}"


def _causes(causes: Causes) -> str:
    amounts = {"spec": causes.spec, "traffic": causes.traffic, "price": causes.price, "method": causes.method}
    stated = [f"{name} {signed_usd(amount)}" for name, amount in amounts.items() if amount]
    return f": {', '.join(stated)}" if stated else ""


def _total(plan: Plan, page: Page) -> list[str]:
    rows = [["", "low", "expected", "high"], _spread("total a month", plan.total_monthly_usd, page)]
    lines = columns(rows, align="<>>>", indent=2)
    if plan.total_monthly_usd.expected is None and plan.at_least_usd:
        lines.append(f"  at least {usd(plan.at_least_usd)} a month")
    return lines


def limit(check: LimitCheck, page: Page) -> str:
    """`limit $300.00 a month: ok, $269.03`."""
    paint = {Verdict.OK: page.good, Verdict.BREACHED: page.bad, Verdict.UNKNOWN: page.warning}[check.verdict]
    if check.limit in PROMISES:
        return _promise(check, paint)
    percent = check.limit == "increase_percent"
    value, figure = (
        None if amount is None else f"{amount.normalize():f} %" if percent else usd(amount)
        for amount in (check.value, check.actual)
    )
    if percent and figure is None:
        figure = "from nothing" if check.verdict is Verdict.BREACHED else "there is nothing to compare with"
    return f"limit {value} {LIMITS[check.limit]}: {paint(str(check.verdict))}{f', {figure}' if figure else ''}"


def _promise(check: LimitCheck, paint: Callable[[str], str]) -> str:
    """`limit p95 within 10 s: breached, 34 s`."""
    if check.limit == "cold_share":
        figure = "" if check.actual is None else f", {float(check.actual) * 100:.3g} % of the requests"
        return f"limit no cold starts: {paint(str(check.verdict))}{figure}"
    figure = "" if check.actual is None else f", {seconds(float(check.actual))}"
    within = f"{check.limit.removesuffix('_s')} within {seconds(float(check.value))}"
    return f"limit {within}: {paint(str(check.verdict))}{figure}"


def prices(plan: Plan) -> str:
    """The book, and the day on which the oldest price used was read."""
    age = f"the oldest used was read on {plan.oldest.isoformat()}" if plan.oldest else "none used"
    return f"{plan.book} book, USD, {age}"


def _prices(plan: Plan) -> str:
    hours = "" if plan.month_hours == MONTH_HOURS else f"A month is {plan.month_hours} hours. "
    return (
        f"Prices: {prices(plan)} (`deploy prices`). {hours}"
        "How each figure comes about: `deploy plan --explain`; all targets: `deploy compare`"
    )


def changes_text(changes: tuple[Change, ...], page: Page) -> list[str]:
    """What would change, resource by resource."""
    if not changes:
        return [page.good("No changes: what is deployed is what the specs say.")]
    lines = [page.bold("Changes")]
    for change in changes:
        lines.append(
            f"  {SIGNS.get(Op(change.op), ' ')} {change.op} {page.bold(label(change.urn))}{_effect(change, page)}"
        )
        if change.op in (Op.UPDATE, Op.REPLACE):
            lines += _fields(change.fields, page)
    return [*lines, "", *wrapped(summary(changes), page.width)]


def summary(changes: tuple[Change, ...]) -> str:
    """`1 to create, 2 to update (1 as a new release), 1 to delete`."""
    ops = [change.op for change in changes]
    released = sum(any(item.release for item in change.fields) for change in changes if change.op == Op.UPDATE)
    parts = []
    for op in dict.fromkeys(ops):
        text = f"{ops.count(op)} to {op}"
        if op == Op.UPDATE:
            text += f" ({plural(released, 'new release')})" if released else " in place"
        parts.append(text)
    return ", ".join(parts)


def _effect(change: Change, page: Page) -> str:
    if change.op == Op.UPDATE:
        return page.warning("  new release: workers are exchanged") if _releases(change) else "  in place"
    return ""


def _releases(change: Change) -> bool:
    return any(item.release for item in change.fields)


def _fields(fields: tuple[FieldChange, ...], page: Page) -> list[str]:
    rows = [_field(item, page) for item in fields]
    lines = columns(rows, indent=6)
    if max(map(visible_width, lines), default=0) <= page.width:
        return lines
    return [line for row in rows for line in wrapped(" ".join(filter(None, row)), page.width, indent=6, hanging=2)]


def _field(item: FieldChange, page: Page) -> list[str]:
    mark = page.bad("replaces") if item.replaces else page.warning("new release") if item.release else ""
    new = "[another secret]" if item.old == item.new == SECRET else _shown(item.new)
    return [item.path, _shown(item.old), "→", new, mark]


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return ", ".join(map(_shown, value)) if isinstance(value, list) else str(value)
