"""Rows of what is asked for often and is no choice here, and of what has a price that no GPU stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from baseload.planner.compare.priced import Question
from baseload.planner.compare.row import Row, Status, judged, unknown_figure
from baseload.planner.cost import Spread
from baseload.planner.prices import Price, PriceBook
from baseload.planner.targets import price as bill_of
from baseload.planner.targets.aws import SERVERLESS_MEMORY_MB, WAKE_S, LambdaSagemaker, SagemakerServerless
from baseload.planner.targets.bill import Demand
from baseload.planner.targets.demand import demand_of
from baseload.planner.targets.hardware import workers_max_of
from baseload.planner.targets.rented import Rented


def refused_rows(about: Question) -> Iterator[Row]:
    """What is asked for often and is no choice here, and what has no price that any GPU stands for."""
    book, own = about.book, about.own
    demand = demand_of(about.spec) or Demand(requests_per_day=Decimal(0))
    blank = Row(target="", gpu="", gpu_count=0, mode="", status=Status.IMPOSSIBLE, deployable=False)
    size = SERVERLESS_MEMORY_MB[-1]
    wanted = SagemakerServerless(memory_mb=size, max_concurrency=workers_max_of(about.spec.target), gpu=own.name)
    if own.gpu_count:
        refused = bill_of(wanted, demand, book).impossible
        yield replace(blank, target="sagemaker-serverless", gpu="none", mode=f"{size} MB", reasons=refused)
    target = about.spec.target
    if not (isinstance(target, LambdaSagemaker) and target.instances_min == 0):  # a row of its own, with its price
        yield replace(
            blank,
            target="lambda-sagemaker",
            gpu="any",
            mode="from zero",
            reasons=(
                "at zero instances every request fails, and its failure is what wakes the endpoint, which took "
                f"{WAKE_S[0]:.0f} to {WAKE_S[1]:.0f} s in AWS's own tests",
            ),
        )
    for name, rows in sorted(_others(book).items()):
        provider, product, item = name
        row = replace(blank, target=provider, gpu=item, mode=product)
        bill = bill_of(Rented(provider=provider, product=product, gpu=item), demand, book)
        if bill.monthly_usd is None:
            yield judged(replace(row, price=rows[0]), bill.unpriced, [unknown_figure(x) for x in bill.unknown], False)
            continue
        month = Spread(low=bill.monthly_usd, expected=bill.monthly_usd, high=bill.monthly_usd)
        yield replace(row, status=Status.RANKED, monthly_usd=month, method=bill.method, price=rows[0])


def _others(book: PriceBook) -> Mapping[tuple[str, str, str], list[Price]]:
    """Rows by the token, and contracts: nothing of a GPU is known there."""
    found: dict[tuple[str, str, str], list[Price]] = {}
    for row in book.rows():
        by_token = row.unit == "million-tokens"
        if row.withdrawn is None and (by_token or row.product == "contract"):
            found.setdefault((row.provider, row.product, row.gpu), []).append(row)
    return found
