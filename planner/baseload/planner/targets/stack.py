"""What is billed once for an account, whatever the number of models: egress, logs, volumes, plan fees, credits.

Each model's bill says how much of it it uses (`Bill.shared`); the sum meets the price and the free allowance once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from baseload.planner.prices import PriceBook
from baseload.planner.targets import modal
from baseload.planner.targets.bill import Bill, Tally


def account(bills: Iterable[Bill], book: PriceBook, plans: Iterable[str] = ()) -> Bill:
    """The bill of the account itself. `plans` are named `provider/plan`, for instance `modal/team`.

    A plan's credit is taken off what its provider's models and shared quantities cost, never below zero; where a plan
    has an allowance of its own, such as `modal/egress/internet-team`, its row counts.
    """
    bills, tally = tuple(bills), Tally(book)
    plans = one_of_each(plans)
    named = dict(plan.split("/", 1) for plan in plans)
    used: dict[str, Decimal] = {}
    for bill in bills:
        for name, quantity in bill.shared.items():
            used[name] = used.get(name, Decimal(0)) + quantity
    for name, quantity in sorted(used.items()):
        thing, _, region = name.partition("@")
        provider, product, item = thing.split("/")
        own = book.tiers(provider, product, f"{item}-{named.get(provider, '')}", region=region)
        rows = own or book.tiers(provider, product, item, region=region)
        tally.steps(f"{product}_{item}".replace("-", "_"), rows, thing, quantity)
    for plan in plans:
        provider, _, name = plan.partition("/")
        fee, credit = book.find(provider, "plan", name), book.find(provider, "credit", name)
        if fee is None and credit is None:
            tally.unpriced.append(f"{provider}/plan/{name}")
        if fee is not None:
            tally.units("plan_fee", fee, fee.id, Decimal(1))
        if credit is not None and credit.usd is not None:
            _take_off(tally, bills, provider, credit.id)
    return Bill(target="account", lines=tuple(tally.lines), unpriced=tuple(tally.unpriced))


def one_of_each(plans: Iterable[str]) -> tuple[str, ...]:
    """One plan for each provider, since an account has one: the largest of those that are named."""
    rank = {f"modal/{name}": size for size, name in enumerate(modal.PLANS)}
    found: dict[str, str] = {}
    for plan in sorted(plans, key=lambda plan: rank.get(plan, len(rank))):
        found[plan.partition("/")[0]] = plan
    return tuple(found.values())


def _take_off(tally: Tally, bills: tuple[Bill, ...], provider: str, credit_id: str) -> None:
    credit = tally.book.get(credit_id)
    if credit is None or credit.usd is None:
        return
    lines = [*(line for bill in bills for line in bill.lines), *tally.lines]
    spent = sum(
        (line.amount_usd for line in lines if line.price.provider == provider and line.what != "plan_fee"), Decimal(0)
    )
    if spent <= 0:
        return
    full = Tally(tally.book)
    full.units("credit", credit, credit.id, min(Decimal(1), spent / credit.usd))
    tally.lines += [replace(line, quantity=-line.quantity) for line in full.lines]
