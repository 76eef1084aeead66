"""What a stack costs beside its models: egress, logs and volumes of all of them together, plan fees, credits.

Each model's bill says how much of it it uses; the sum meets the price and the free allowance once. A credit is taken
off what its provider bills and never makes an income. Low and high are those of all models at the ends of their range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from baseload.planner.cost import Cost, Line, Spread, unit_name
from baseload.planner.pool import Assumption

if TYPE_CHECKING:
    from baseload.planner.prices import Price, PriceBook
    from baseload.planner.spec.model import ModelSpec
    from baseload.planner.targets.bill import Bill

NAME = "the stack itself"
"""Beside the names of models, none of which has a space."""


@dataclass(frozen=True, kw_only=True)
class StackBill:
    """The lines that no single model has; a credit's are negative."""

    monthly_usd: Spread
    at_least_usd: Decimal
    """The known part."""
    lines: tuple[Line, ...]
    assumptions: tuple[Assumption, ...]
    unpriced: tuple[str, ...] = ()
    prices: tuple[Price, ...] = field(default=(), compare=False)
    """The rows of the lines."""


def stack_bill(costs: Sequence[tuple[ModelSpec, Cost]], book: PriceBook) -> StackBill | None:
    """The bill of the stack itself; None where nothing is billed beside the models."""
    billed = [(spec, cost, cost.bill) for spec, cost in costs if cost.bill is not None and not cost.bill.impossible]
    if not billed:
        return None
    from baseload.planner.cost.target import bill_at, plan_of_target
    from baseload.planner.targets.stack import account, one_of_each

    plans = one_of_each({plan for spec, _, _ in billed if (plan := plan_of_target(spec.placed))})
    bill = account([found for _, _, found in billed], book, plans)
    if not bill.lines and not bill.unpriced:
        return None
    known = bill.monthly_usd is not None and all(cost.monthly_usd.expected is not None for _, cost, _ in billed)
    months = [bill.at_least_usd]
    for end in ("low", "high") if known else ():
        others: list[Bill] = []
        for spec, cost, found in billed:
            factor = getattr(spec.traffic.range, end) if spec.traffic else Decimal(1)
            measured = replace(spec, performance=cost.performance)
            others.append(found if factor == 1 else bill_at(measured, book, factor, base=found.base))
        months.append(account(others, book, plans).at_least_usd)
    return StackBill(
        monthly_usd=Spread(low=min(months), expected=months[0], high=max(months)) if known else Spread(),
        at_least_usd=bill.at_least_usd,
        lines=tuple(
            Line(
                what=line.what,
                quantity=line.quantity,
                unit=unit_name(line.price.unit),
                unit_price_usd=line.unit_price_usd,
                price=line.price.id,
            )
            for line in bill.lines
        ),
        assumptions=_assumptions(plans),
        unpriced=bill.unpriced,
        prices=tuple(dict.fromkeys(line.price for line in bill.lines)),
    )


def _assumptions(plans: Sequence[str]) -> tuple[Assumption, ...]:
    alone = Assumption(
        name="account",
        value="this stack alone",
        source="default; allowances, fees and credits are those of an account",
        errs="low where other stacks use up the same allowance, high where they share a fee",
    )
    source = "spec; else the default; the largest where models name several, since a workspace has one"
    return (alone, Assumption(name="plan", value=", ".join(plans), source=source)) if plans else (alone,)
