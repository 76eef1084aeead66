"""One spec on every target, GPU and mode that the price book knows: bills, latency, and why something is no choice.

Pure: a spec and a price book go in, rows in a fixed order come out. It says what each choice costs and does not choose:
what this version cannot deploy is compared and never recommended. Every row is priced for the same demand, at the
spec's precision; where the speed on a GPU is not known the row says so instead of borrowing one.

A measured service time holds for the GPU it was measured on. On another GPU it is multiplied by the ratio of the two
estimates of `performance`; where there is none (a container, no tokens) the row shows what it would cost at the same
speed, and is not ranked.
"""

from __future__ import annotations

from baseload.planner.compare.priced import Question
from baseload.planner.compare.refused import refused_rows
from baseload.planner.compare.rented import rented_rows
from baseload.planner.compare.row import SCHEMA, Comparison, Row, Status, limited, ranked
from baseload.planner.compare.runpod import runpod_rows
from baseload.planner.prices import PriceBook
from baseload.planner.spec.model import ModelSpec

__all__ = ["SCHEMA", "Comparison", "Row", "Status", "compare"]


def compare(spec: ModelSpec, book: PriceBook) -> Comparison:
    """The spec on everything the book has a row of; the order does not depend on that of the book's rows."""
    about = Question.of(spec, book)
    rows = [*runpod_rows(about), *rented_rows(about), *refused_rows(about)]
    return Comparison(
        name=spec.name, spec_digest=spec.digest, book=book.name, rows=ranked(limited(row, spec) for row in rows)
    )
