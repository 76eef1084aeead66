"""The price book."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.text import UNKNOWN, columns, wrapped
from baseload.planner.prices import Price, PriceBook


def human(value: PriceBook, page: Page) -> str:
    """What holds today, with where and when it was read."""
    current = [row for row in value.rows() if row.withdrawn is None]
    sources = list(dict.fromkeys(row.source for row in current))
    rows = [["provider", "product", "gpu", "USD", "per", "read", "from"]]
    rows += [_row(row, sources.index(row.source) + 1) for row in current]
    lines = columns(rows, align="<<<>")
    notes = [line for at, text in enumerate(sources, 1) for line in wrapped(f"[{at}] {text}", page.width, hanging=4)]
    return "\n".join([page.bold(lines[0]), *lines[1:], "", *notes])


def document(value: PriceBook) -> Mapping[str, Any]:
    """`baseload.prices/1`."""
    return value.to_json()


def _row(row: Price, source: int) -> list[str]:
    amount = UNKNOWN if row.usd is None else format(row.usd, "f")
    trust = "" if row.confidence in ("read", "unknown") else f" {row.confidence}"
    return [row.provider, row.product, row.gpu, amount, row.unit, row.read.isoformat(), f"[{source}]{trust}"]
