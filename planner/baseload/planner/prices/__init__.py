"""The price book: what things cost, from data files, each row with its source and the day it was read.

A price that is not known is `None` and stays so, it is never zero. Nothing here asks a network or the clock: how old a
price is, is said relative to a day the caller gives.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

from baseload.planner.diagnostics import Diagnostic, Location
from baseload.planner.errors import UsageError

MAX_AGE = {"runpod": timedelta(days=60)}
"""After how long a provider's prices should be read again. RunPod's pod prices rose by a fifth within three months of
2026 while its serverless table stood still; providers without an entry never count as old."""

UNITS = ("gpu-second",)
CONFIDENCES = ("read", "second-hand", "estimated", "unknown")
COLUMNS = ("provider", "product", "gpu", "unit", "usd", "read", "withdrawn", "confidence", "source", "note")


@dataclass(frozen=True, kw_only=True, order=True)
class Price:
    """One row: what one `unit` of a provider's product costs."""

    provider: str
    product: str
    """`serverless`: RunPod's Flex rate, which Active workers also pay (less a negotiated discount)."""
    gpu: str
    """The provider's own name, for RunPod a pool id."""
    unit: str
    """`gpu-second`."""
    usd: Decimal | None
    """None: the provider publishes no price."""
    read: date
    """The day on which the source last showed it."""
    withdrawn: date | None
    """The day since which it no longer holds; kept as a fact, never used to plan."""
    confidence: str
    """`read` in the source itself, `second-hand`, `estimated`, or `unknown` where there is no price."""
    source: str
    note: str

    @property
    def id(self) -> str:
        """What it is the price of: `runpod/serverless/ADA_24`."""
        return f"{self.provider}/{self.product}/{self.gpu}"

    def is_old(self, on: date) -> bool:
        """Whether it should be read again by that day."""
        max_age = MAX_AGE.get(self.provider)
        return max_age is not None and on - self.read > max_age

    def to_json(self) -> dict[str, str | None]:
        """The document form; the amount as a decimal string."""
        return {
            "id": self.id,
            "unit": self.unit,
            "usd": None if self.usd is None else format(self.usd, "f"),
            "read": self.read.isoformat(),
            "withdrawn": None if self.withdrawn is None else self.withdrawn.isoformat(),
            "confidence": self.confidence,
            "source": self.source,
            "note": self.note,
        }


class PriceBook:
    """Prices by what they are the price of; no two rows that hold today price the same thing."""

    def __init__(self, name: str, rows: Iterable[Price]) -> None:
        self.name = name
        self._rows = tuple(rows)
        self._current: dict[str, Price] = {}
        for row in self._rows:
            if row.withdrawn is not None:
                continue
            if row.id in self._current:
                raise UsageError.of(
                    "prices/duplicate",
                    f"the price book {name!r} has two prices for {row.id}",
                    hint="keep the one that holds; give the other the day since which it does not, as `withdrawn`",
                )
            self._current[row.id] = row

    def rows(self) -> tuple[Price, ...]:
        """All rows in the order of the files, the withdrawn and the unknown included."""
        return self._rows

    def find(self, provider: str, product: str, gpu: str) -> Price | None:
        """The row that holds today, None where the book has none; its `usd` may still be None."""
        return self._current.get(f"{provider}/{product}/{gpu}")

    def to_json(self) -> dict[str, object]:
        """What `deploy prices --json` prints."""
        return {
            "schema": "baseload.prices/1",
            "book": self.name,
            "currency": "USD",
            "prices": [row.to_json() for row in self._rows],
        }


@functools.cache
def bundled() -> PriceBook:
    """The price book that comes with this version."""
    folder = Path(__file__).parent
    return PriceBook("bundled", [row for file in sorted(folder.glob("*.csv")) for row in read(file)])


def read(file: Path) -> list[Price]:
    """The rows of one CSV file with the columns `COLUMNS`.

    Raises UsageError with every bad row: no number, negative, infinite, a day that is none, an unknown confidence.
    """
    rows, problems = [], []
    with file.open(encoding="utf-8", newline="") as lines:
        table = csv.DictReader(lines)
        if tuple(table.fieldnames or ()) != COLUMNS:
            raise UsageError.of(
                "prices/columns",
                f"the first line must name the columns {','.join(COLUMNS)}",
                where=Location(file, 1),
            )
        for cells in table:
            try:
                rows.append(_price(cells))
            except ValueError as error:
                where = Location(file, table.line_num)
                problems.append(Diagnostic(code="prices/row", summary=f"not a price row: {error}", where=where))
    if problems:
        raise UsageError(*problems)
    return rows


def _price(cells: dict[str, str]) -> Price:
    if None in cells or None in cells.values():
        msg = f"it has not {len(COLUMNS)} columns"
        raise ValueError(msg)
    usd = _amount(cells["usd"])
    if cells["unit"] not in UNITS:
        msg = f"unit {cells['unit']!r} is none of {', '.join(UNITS)}"
        raise ValueError(msg)
    if cells["confidence"] not in CONFIDENCES or (cells["confidence"] == "unknown") != (usd is None):
        msg = f"confidence {cells['confidence']!r} does not fit usd {cells['usd']!r}"
        raise ValueError(msg)
    if not cells["source"]:
        msg = "it names no source"
        raise ValueError(msg)
    return Price(
        provider=cells["provider"],
        product=cells["product"],
        gpu=cells["gpu"],
        unit=cells["unit"],
        usd=usd,
        read=date.fromisoformat(cells["read"]),
        withdrawn=date.fromisoformat(cells["withdrawn"]) if cells["withdrawn"] else None,
        confidence=cells["confidence"],
        source=cells["source"],
        note=cells["note"],
    )


def _amount(text: str) -> Decimal | None:
    if not text:
        return None
    try:
        usd = Decimal(text)
    except InvalidOperation:
        msg = f"{text!r} is no amount"
        raise ValueError(msg) from None
    if not usd.is_finite() or usd <= 0:
        msg = f"{text!r} is no price above zero; leave it empty where none is known"
        raise ValueError(msg)
    return usd
