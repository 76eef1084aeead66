"""The rows that compete for the smallest bill by simulation, where the closed form of their month is in doubt.

Before a row is called the best: the first row, the one after it, and the same GPU's other modes, which are the next and
the previous size; the same of what this version deploys. Whatever the order becomes, they are looked at again, until
all of them are simulated or out of doubt, or the budget is used up. What stays in doubt says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from baseload.planner.compare.row import Row, Status, timed
from baseload.planner.cost import SEED, Spread, cents, cost_of, doubts_of
from baseload.planner.pool import Assumption

if TYPE_CHECKING:
    from baseload.planner.prices import PriceBook

MONTHS, REQUESTS = 8, 600_000
"""Simulated at most; no further one after so many requests: two seconds or so, at worst three."""


def simulated(rows: Iterable[Row], book: PriceBook, judged: Callable[[Row], Row], seed: int | None = SEED) -> list[Row]:
    """The rows, with simulated months in place of those of the closed form among the first; `judged` is by the spec.

    Without a seed none is simulated.
    """
    found = {row.id: _with_doubts(row, book) for row in rows}
    left, requests = MONTHS if seed is not None else 0, 0
    while left > 0 and requests <= REQUESTS:
        row = next((row for row in _competing(list(found.values())) if row.doubts and not row.tried), None)
        if row is None:
            break
        there = judged(_simulated(row, book, seed))
        found[row.id] = there
        left, requests = left - 1, requests + (there.simulation.requests if there.simulation else 0)
    return list(found.values())


def _with_doubts(row: Row, book: PriceBook) -> Row:
    if row.status is not Status.RANKED or row.spec is None or row.brief or row.simulation is not None:
        return row
    return replace(row, doubts=doubts_of(row.spec, book))


def _competing(rows: list[Row]) -> Iterator[Row]:
    """By their place: the first of all, the first that can be deployed and is all that is asked for, and their next."""
    ranked = sorted(
        (row for row in rows if row.status is Status.RANKED and not row.another_precision),
        key=lambda row: (row.total_usd.expected or Decimal(0), row.id),
    )
    for some in (ranked, [row for row in ranked if row.deployable and row.acceptable]):
        if some:
            sizes = [row for row in some if (row.target, row.gpus) == (some[0].target, some[0].gpus)]
            yield from (some[0], *some[1:2], *sizes)


def _simulated(row: Row, book: PriceBook, seed: int | None) -> Row:
    """With its expected month and latency from the same runs; the ends of the range move as far."""
    assert row.spec is not None, "is in doubt"
    cost, month = cost_of(row.spec, book, seed), row.monthly_usd
    seen, closed = cost.monthly_usd.expected, month.expected
    if cost.simulation is None or seen is None or not closed or month.low is None or month.high is None:
        return replace(row, tried=True)
    moves = seen / closed
    ends = (seen, cents(month.low * moves), cents(month.high * moves))
    row = replace(
        row,
        monthly_usd=Spread(low=min(ends), expected=seen, high=max(ends)),
        usd_per_1000_requests=cost.usd_per_1000_requests,
        method=cost.method,
        simulation=cost.simulation,
        doubts=(),
        tried=True,
        assumptions=(*row.assumptions, _moved(moves)),
    )
    return row if cost.response is None else timed(row, cost.response)


def _moved(moves: Decimal) -> Assumption:
    return Assumption(
        name="other_months",
        value=f"the ends of the range × {moves.quantize(Decimal('0.0001')):f}, as the expected month",
        source="default; the ends of the range are not simulated",
        errs="either way where the rate is far from the expected one",
    )
