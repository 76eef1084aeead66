"""How the figures of a plan come about: lines to multiply, bounds to compute by hand, what each assumption weighs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views import plan as plan_view
from baseload.cli.views.text import columns, signed_usd, units, usd, wrapped
from baseload.planner.cost import Line, Simulation
from baseload.planner.cost.explain import TOTAL, Quantity, Sensitivity
from baseload.planner.cost.stack import NAME as ITSELF
from baseload.planner.cost.stack import StackBill
from baseload.planner.plan import ModelPlan, Plan
from baseload.planner.pool import Assumption
from baseload.planner.prices import BUNDLED, Price

PROJECT_BOOKS = (BUNDLED, f"{BUNDLED}+prices")
"""What any command takes without `--book`."""


def _name(what: str) -> str:
    return "all workers" if what == TOTAL else plan_view.what_is(what)


def human(value: Plan, page: Page) -> str:
    """The plan's models, one after the other; what would change stays with the plan."""
    lines = [page.bold(f"The bill of the stack {value.stack}, explained")]
    prices = {price.id: price for price in value.prices}
    for model in value.models:
        lines += ["", *_model(model, prices, page)]
    if value.itself is not None:
        lines += ["", *_itself(value.itself, prices, page)]
    same = "" if value.book in PROJECT_BOOKS else f"Prices: {value.book} book; the commands take the same `--book`. "
    more = f"Months have {value.month_hours} hours. {same}How each number is computed: docs/cost-model.md"
    return "\n".join([*lines, "", *map(page.dim, wrapped(more, page.width))])


def document(value: Plan) -> Mapping[str, Any]:
    """`baseload.plan/1`: it always holds the explanation."""
    return value.to_json()


def _model(model: ModelPlan, prices: Mapping[str, Price], page: Page) -> list[str]:
    lines = [f"{page.bold(model.name)}  {model.target}"]
    if model.monthly_usd.expected is None:
        lines.append("  The month is unknown; the warnings name what is missing.")
    if model.lines:
        lines += _bill(model.lines)
    lines += _rows(model.lines, prices, page)
    lines += plan_view.ends(model, page)
    lines += _factors(model, page)
    lines += _widest(model, page)
    lines += plan_view.drift(model, page)
    lines += wrapped(f"latency: {plan_view.latency(model.response)}", page.width, indent=2, hanging=2)
    for stage in model.response.added if model.response else ():
        ends = " to ".join("unknown" if end is None else f"{end:f} s" for end in (stage.low_s, stage.high_s))
        lines += wrapped(f"{stage.name}: {ends}; source: {stage.source}", page.width, indent=4, hanging=2)
    for quantity in model.explanation.quantities:
        lines += ["", *_quantity(quantity, page)]
    if model.simulation is not None:
        lines += ["", *_simulation(model.simulation, page)]
    elif model.explanation.command is not None:
        lines += ["", f"  by simulation: {model.explanation.command}"]
    lines += ["", f"  {page.bold('assumptions')}"]
    left: dict[str, list[Sensitivity]] = {}
    for move in model.explanation.sensitivities:
        left.setdefault(move.assumption, []).append(move)
    for assumption in model.assumptions:
        lines += _assumption(assumption, left.pop(assumption.name, []), page)
    for other in chain.from_iterable(left.values()):
        name = other.assumption.replace("_", " ")
        lines += wrapped(f"{name} {_move(other)}", page.width, indent=4, hanging=2)
    return lines


def _simulation(found: Simulation, page: Page) -> list[str]:
    formula = "" if found.closed_form_usd is None else f", {usd(found.closed_form_usd)},"
    said = (
        f"{found.replications} replications, each {found.sampled}; {found.arrivals}",
        f"the closed form{formula} is not used: {'; '.join(found.doubts)}",
        f"bounds are those of a long run: what is simulated may leave them by its ±{found.interval_percent} %",
    )
    lines = [f"  the same again: {found.command}"]
    return lines + [line for text in said for line in wrapped(text, page.width, indent=4, hanging=2)]


def _itself(found: StackBill, prices: Mapping[str, Price], page: Page) -> list[str]:
    lines = [f"{page.bold(ITSELF)}  billed once for all models", *_bill(found.lines)]
    lines += [*_rows(found.lines, prices, page), "", f"  {page.bold('assumptions')}"]
    for assumption in found.assumptions:
        lines += _assumption(assumption, [], page)
    return lines


def _rows(lines: Sequence[Line], prices: Mapping[str, Price], page: Page) -> list[str]:
    found = []
    paid = {line.price: line.unit_price_usd for line in lines}
    for price in (prices[key] for key in paid):
        times = paid[price.id] / price.usd if price.usd else Decimal(1)
        multiplied = "" if times == 1 else f"{price.usd} × {times.normalize():f}, "
        found += wrapped(f"price {price.id}: {multiplied}{_read(price)}", page.width, indent=2, hanging=2)
    return found


def _factors(model: ModelPlan, page: Page) -> list[str]:
    """What the range holds, each by itself: the spec with that one thing changed costs this. None that move nothing."""
    moved = [item for item in model.factors if item.monthly_usd != model.monthly_usd.expected]
    said = "; ".join(f"{item.name.replace('_', ' ')} {item.value} {usd(item.monthly_usd)}" for item in moved)
    return wrapped(f"each alone: {said}", page.width, indent=4, hanging=2) if said else []


def _widest(model: ModelPlan, page: Page) -> list[str]:
    """Only where it is wider than the range."""
    month, widest = model.monthly_usd, model.widest_usd
    if (widest.low, widest.high) in ((None, None), (month.low, month.high)):
        return []
    text = f"widest range, with bursts that few have: {usd(widest.low)} to {usd(widest.high)}"
    return wrapped(text, page.width, indent=2, hanging=2)


def _bill(every: Sequence[Line]) -> list[str]:
    lines = [line for line in every if line.quantity]
    counted = {line.unit for line in lines}
    one = units(counted.pop()) if len(counted) == 1 else "quantity"
    rows = [["", one, *([""] if counted else []), "× USD", "= a month"]]
    rows += [
        [
            _name(line.what),
            f"{line.quantity:,}",
            *([line.unit] if counted else []),
            f"{line.unit_price_usd.normalize():f}",
            usd(line.amount_usd),
        ]
        for line in lines
    ]
    total = sum((line.amount_usd for line in lines), Decimal(0))
    rows.append(["together", *([""] * (len(rows[0]) - 2)), usd(total)])
    return columns(rows, align="<><>>" if counted else "<>>>", indent=2)


def _read(price: Price) -> str:
    return f"{price.confidence} {price.read.isoformat()} at {price.source}"


def _quantity(item: Quantity, page: Page) -> list[str]:
    hours = "" if item.hours is None else f", {item.hours:,} hours"
    title = f"{page.bold(_name(item.what))}: {item.quantity:,} {units(item.unit)}{hours}"
    lines = [f"  {title}", *wrapped(f"method: {item.method}", page.width, indent=4, hanging=2)]
    for bound in item.bounds:
        text = f"{bound.kind} {bound.formula} = {bound.figures} = {bound.quantity:,}"
        lines += wrapped(text, page.width, indent=4, hanging=2)
    return lines


def _assumption(item: Assumption, moves: Sequence[Sensitivity], page: Page) -> list[str]:
    lines = wrapped(f"{item.name.replace('_', ' ')}: {item.value}", page.width, indent=4, hanging=2)
    lines += map(page.dim, wrapped(f"source: {item.source}", page.width, indent=6, hanging=2))
    for move in moves:
        lines += wrapped(_move(move), page.width, indent=6, hanging=2)
    if item.errs:
        lines += wrapped(f"errs: {item.errs}", page.width, indent=6, hanging=2)
    return lines


def _move(item: Sensitivity) -> str:
    return f"{item.step}: {signed_usd(item.change_usd)} a month"
