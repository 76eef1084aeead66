"""What whoever reads a bill must know of the prices in it: that they are not for planning, or old.

One remark each, whatever the number of rows. How old a price may be is its source's own, unless the caller says it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from baseload.planner.diagnostics import Diagnostic, Severity
from baseload.planner.prices import Price, PriceBook


def remarks(book: PriceBook, used: Iterable[Price], today: date, max_age_days: int | None = None) -> list[Diagnostic]:
    """Warnings on the rows of `book` that a bill uses; `max_age_days` instead of each source's own age."""
    found = []
    if book.caution is not None:
        found.append(
            Diagnostic(
                code="prices/caution",
                severity=Severity.WARNING,
                summary=f"the prices of the book {book.name} {book.caution}",
                hint="leave out `--book` for a bill to go by",
            )
        )
    old = [price for price in used if price.is_old(today, max_age_days)]
    if old:
        oldest = min(old, key=lambda price: (price.read, price.id))
        found.append(
            Diagnostic(
                code="prices/old",
                severity=Severity.WARNING,
                summary=f"the oldest price used, {oldest.id}, was read {(today - oldest.read).days} days ago "
                f"({oldest.read.isoformat()})",
                hint=f"compare it with {oldest.source}",
            )
        )
    return found
