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
    found += _unmatched(book)
    early = [price for price in rows if price.read > today]
    if early:
        last = max(early, key=lambda price: (price.read, price.id))
        found.append(
            Diagnostic(
                code="prices/future",
                severity=Severity.WARNING,
                summary=f"the price {last.id} is said to have been read on {last.read.isoformat()}, after today",
                hint="`read` is the day on which the source last showed it",
            )
        )
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


def _unmatched(book: PriceBook) -> list[Diagnostic]:
    """Prices of one's own for something that the product's other rows do not know: nothing may ever ask for them."""
    found = []
    for row, known in book.unmatched():
        import difflib  # where it is needed, not at each start

        near = difflib.get_close_matches(row.gpu, known, n=1, cutoff=0.5)
        found.append(
            Diagnostic(
                code="prices/unmatched",
                severity=Severity.NOTE,
                summary=f"no other price of {row.provider}/{row.product} is for {row.gpu!r}: no bill may ever use "
                f"{row.id}",
                hint=f"did you mean {near[0]!r}?" if near else f"`deploy prices list {row.provider}` names them",
            )
        )
    return found
