"""One spec on every target, GPU and mode that the price book knows: bills, latency, and why something is no choice.

Pure: a spec and a price book go in, rows in a fixed order come out. It says what each choice costs and does not choose:
what this version cannot deploy is compared and never recommended. Every row is priced for the same demand, at the
spec's precision; where the speed on a GPU is not known the row says so instead of borrowing one.

A measured service time holds for the GPU it was measured on. On another GPU it is multiplied by the ratio of the two
estimates of `performance`; where there is none (a container, no tokens) the row shows what it would cost at the same
speed, and is not ranked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from baseload.planner.compare.hybrids import hybrid_rows
from baseload.planner.compare.own import own_rows
from baseload.planner.compare.priced import Question
from baseload.planner.compare.refused import refused_rows
from baseload.planner.compare.rented import rented_rows
from baseload.planner.compare.row import SCHEMA, Comparison, Row, Status, ranked
from baseload.planner.compare.runpod import runpod_rows
from baseload.planner.compare.simulated import MONTHS, simulated
from baseload.planner.compare.wanted import judged_by
from baseload.planner.cost import SEED
from baseload.planner.prices import PriceBook
from baseload.planner.spec.model import Model, ModelSpec, Precision

__all__ = ["SCHEMA", "Comparison", "Row", "Status", "compare"]


def compare(spec: ModelSpec, book: PriceBook, most: int | None = None, *, seed: int | None = SEED) -> Comparison:
    """The spec on everything the book has a row of; the order does not depend on that of the book's rows.

    With `most` only so many rows of each kind, the cheapest, and those that compete for the cheapest that can be
    deployed have a range and a latency; the others their expected month alone, in half the time. Without a `seed`
    nothing is simulated.
    """
    about = Question.of(spec, book, seed)
    rows = _all(about) if most is None else _first(about, most + MONTHS)
    if isinstance(spec.serves, Model):
        rows = [replace(row, precision=str(spec.serves.precision)) for row in rows]
        own = list(rows)
        rows += _at_others(about, own, most)
    wanted = [judged_by(row, spec) for row in rows]
    found = Comparison(
        name=spec.name,
        spec_digest=spec.digest,
        book=book.name,
        rows=ranked(simulated(wanted, book, lambda row: judged_by(row, spec), seed)),
    )
    return compare(spec, book, seed=seed) if most is not None and found.best_deployable is None else found


def _all(about: Question) -> list[Row]:
    """At the spec's own precision; its own row in place of one of the same name."""
    return _with_others(about, [*runpod_rows(about), *rented_rows(about)])


def _first(about: Question, most: int) -> list[Row]:
    """The same; only `most` rows of each kind with all that is told of them."""
    brief = replace(about, ranged=False)
    rows = {row.id: replace(row, brief=True) for row in (*runpod_rows(brief), *rented_rows(brief))}
    kinds = [[row for row in rows.values() if row.status is status] for status in (Status.RANKED, Status.SAME_SPEED)]
    worth = [row for kind in kinds for row in sorted(kind, key=_month_usd)[:most]]
    worth += sorted((row for row in kinds[0] if row.deployable), key=_month_usd)[: most // 2]
    about = replace(about, only=frozenset(row.price.id for row in (*worth, *_own(rows.values())) if row.price))
    rows |= {row.id: row for row in (*runpod_rows(about), *rented_rows(about))}
    return _with_others(about, list(rows.values()))


def _own(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.own]


def _month_usd(row: Row) -> Decimal:
    return row.monthly_usd.expected or Decimal(0)


def _with_others(about: Question, rows: Sequence[Row]) -> list[Row]:
    own = {row.id: row for row in own_rows(about)}
    rows = [*own.values(), *(row for row in rows if row.id not in own)]
    return [*rows, *hybrid_rows(about, rows), *(row for row in refused_rows(about) if row.id not in own)]


def _at_others(about: Question, own: Sequence[Row], most: int | None) -> Iterator[Row]:
    """What the weights in another format would make cheaper than everything on that target at the spec's own.

    The `most` cheapest of them.
    """
    assert isinstance(about.spec.serves, Model), "a container has none"
    smallest: dict[str, Decimal] = {}
    for row in own:
        if row.status is Status.RANKED and row.monthly_usd.expected is not None:
            smallest[row.target] = min(smallest.get(row.target, row.monthly_usd.expected), row.monthly_usd.expected)
    others = {precision: about.at(precision) for precision in Precision if precision is not about.spec.serves.precision}
    worth = [
        (precision, row)
        for precision, other in others.items()
        for brief in [replace(other, ranged=False)]
        for row in (*runpod_rows(brief), *rented_rows(brief))
        if row.status is Status.RANKED and _is_below(row, smallest.get(row.target))
    ]
    shown = sorted(worth, key=lambda pair: _month_usd(pair[1]))[:most]
    for precision, other in others.items():
        ids = frozenset(row.price.id for at, row in shown if at is precision and row.price is not None)
        only = replace(other, only=ids)
        for row in (*runpod_rows(only), *rented_rows(only)):
            if row.status is Status.RANKED:
                yield replace(row, precision=str(precision), another_precision=True)


def _is_below(row: Row, smallest: Decimal | None) -> bool:
    return smallest is None or (row.monthly_usd.expected is not None and row.monthly_usd.expected < smallest)
