"""The price book."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.text import UNKNOWN, columns, wrapped
from baseload.planner.prices import Price, PriceBook


def human(value: PriceBook, page: Page) -> str:
    """What holds today by provider and product, with where and when it was read."""
    current = [row for row in value.rows() if row.withdrawn is None]
    sources = list(dict.fromkeys(row.source for row in current))
    lines = []
    for (provider, product), rows in groupby(current, key=lambda row: (row.provider, row.product)):
        lines.append(page.bold(f"{provider} {product}"))
        lines += columns([_row(row, sources.index(row.source) + 1) for row in rows], align="<><<<", indent=2)
    notes = [line for at, text in enumerate(sources, 1) for line in wrapped(f"[{at}] {text}", page.width, hanging=4)]
    legend = f"USD; ² second-hand, ≈ estimated; a month has {value.month_hours} hours"
    return "\n".join([*lines, "", legend, "", *notes])


def document(value: PriceBook) -> Mapping[str, Any]:
    """`baseload.prices/1`."""
    return value.to_json()


def _row(row: Price, source: int) -> list[str]:
    amount = UNKNOWN if row.usd is None else format(row.usd, "f")
    name = " ".join(item for item in (row.gpu, row.region, row.tier) if item)
    trust = {"second-hand": "²", "estimated": "≈"}.get(row.confidence, "")
    return [name, amount, row.unit, row.read.isoformat(), f"[{source}]{trust}"]
