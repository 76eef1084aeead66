"""What whoever reads a bill must know of the prices in it: that they are not for planning, or old.

One remark each, whatever the number of rows. How old a price may be is its source's own, unless the caller says it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    rows = tuple(used)
    old = [price for price in rows if price.is_old(today, max_age_days)]
    if old:
        found.append(_old(old, len(rows), today, max_age_days))
    return found


def _old(old: Sequence[Price], of: int, today: date, max_age_days: int | None) -> Diagnostic:
    """How many rows are old of those that a bill uses, and where to read them all."""
    oldest = min(old, key=lambda price: (price.read, price.id))
    read = f"read {(today - oldest.read).days} days ago ({oldest.read.isoformat()})"
    if len(old) == 1:
        hint = f"compare it with {oldest.source}"
    else:
        hint = "`deploy prices check" + ("" if max_age_days is None else f" --max-age {max_age_days}") + "` lists them"
    return Diagnostic(
        code="prices/old",
        severity=Severity.WARNING,
        summary=f"{len(old)} of the {of} prices used are old, the oldest, {oldest.id}, {read}"
        if of > 1
        else f"the price used, {oldest.id}, is old: {read}",
        hint=hint,
    )
