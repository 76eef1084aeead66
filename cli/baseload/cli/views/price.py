"""One price, with everything that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.text import UNKNOWN, columns, wrapped
from baseload.planner.prices import Price, how_to_enter


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A row of a book, seen on a day."""

    book: str
    row: Price
    on: date


def human(value: Shown, page: Page) -> str:
    """A line per fact; those that are not known say so."""
    row = value.row
    hourly = row.usd_per_hour
    age = (value.on - row.read).days
    facts = [
        ["price", UNKNOWN if row.usd is None else f"{row.usd:f} USD per {row.unit}"],
        *([["an hour", f"{hourly.normalize():f} USD"]] if hourly is not None and row.unit[-4:] != "hour" else []),
        ["card", f"{row.count} × {row.card}" if row.card else "–"],
        ["region", row.region or "all"],
        ["included", row.includes.replace(" ", ", ") or "nothing else"],
        ["billed in steps of", _seconds(row.increment_s)],
        ["kept warm", "always: it never stops by itself" if row.always_on else _seconds(row.keep_warm_s)],
        ["cold start billed", {True: "yes", False: "no", None: "not published"}[row.bills_cold_start]],
        ["read", f"{row.read.isoformat()}, {age} days ago"],
        ["to be read again", "never" if row.max_age_days is None else f"after {row.max_age_days} days"],
        ["confidence", row.confidence],
        ["source", row.source],
        *([["note", row.note]] if row.note else []),
    ]
    old = page.warning("old: read it again") if row.is_old(value.on) else ""
    apart = {name: cell for name, cell in (("region", row.region), ("tier", row.tier)) if cell}
    entered = f"Another price? {how_to_enter(row.provider, ''.join(f'{name},' for name in apart))}:"
    cells = (row.provider, row.product, row.gpu, *apart.values(), row.unit, f"{row.usd or 'USD'}")
    example = ",".join((*cells, value.on.isoformat(), "contract"))
    lines = [page.bold(row.id), *columns(facts, indent=2), *([old] if old else []), ""]
    return "\n".join([*lines, *wrapped(entered, page.width), "", f"  {example}"])


def document(value: Shown) -> Mapping[str, Any]:
    """`baseload.price/1`."""
    row = value.row
    return {
        "schema": "baseload.price/1",
        "book": value.book,
        "currency": "USD",
        "age_days": (value.on - row.read).days,
        "old": row.is_old(value.on),
        "price": row.details(),
    }


def _seconds(value: object) -> str:
    return "not published" if value is None else f"{value} s"
