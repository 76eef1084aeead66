"""What differs between two price books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.text import UNKNOWN, columns
from baseload.planner.prices import Price
from baseload.planner.prices.refresh import PriceChange


@dataclass(frozen=True, kw_only=True)
class Difference:
    """From one book to another."""

    old: str
    new: str
    changes: Sequence[PriceChange]


def human(value: Difference, page: Page) -> str:
    """A line per price, new and gone ones included."""
    if not value.changes:
        return f"no price of {value.new} differs from {value.old}"
    rows = [[change.id, _amount(change.old), "→", _amount(change.new), _percent(change)] for change in value.changes]
    return "\n".join([page.bold(f"{value.old} → {value.new}"), *columns(rows, align="<><>>", indent=2)])


def document(value: Difference) -> Mapping[str, Any]:
    """`baseload.prices-diff/1`."""
    return {
        "schema": "baseload.prices-diff/1",
        "old": value.old,
        "new": value.new,
        "currency": "USD",
        "changes": [change.to_json() for change in value.changes],
    }


def _amount(row: Price | None) -> str:
    if row is None:
        return "none"
    return UNKNOWN if row.usd is None else f"{row.usd:f} {row.unit}"


def _percent(change: PriceChange) -> str:
    return "" if change.percent is None else f"{change.percent:+} %"
