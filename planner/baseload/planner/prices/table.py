"""Price rows from CSV files: every bad row is named by file, line and reason.

Knows the form of a row, not what rows are for. Separate from the book, which is loaded where no row is asked for.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from baseload.planner.diagnostics import Diagnostic, Location
from baseload.planner.errors import UsageError
from baseload.planner.prices import CONFIDENCES, FROM_QUANTITY, UNITS, Price, PriceBook

REQUIRED = ("provider", "product", "gpu", "unit", "usd", "read", "source")
COLUMNS = (
    *("provider", "product", "gpu", "card", "count", "region", "tier", "unit", "usd", "includes", "increment_s"),
    *("keep_warm_s", "bills_cold_start", "read", "withdrawn", "max_age_days", "confidence", "source", "note"),
)
"""Those of the bundled files; a user's file may leave out all that are not in `REQUIRED`, and add `currency`."""

_CURRENCY = re.compile(r"[€£¥₹]|\b(?!USD\b)[A-Z]{3}\b")
ALWAYS = "always"
REQUESTS = ("request", "million-requests")
_MOST_USD = Decimal(10**9)
"""Of one unit: more is a slip, and no bill could be written down."""
_LEAST_USD = Decimal("1e-12")


def read_table(
    files: Sequence[Path], billed_by: Mapping[tuple[str, str], str], over: PriceBook | None = None
) -> list[Price]:
    """The rows of the files in their order, to lie over a book or to be one.

    Raises UsageError with every problem of all files.
    """
    rows: list[Price] = []
    problems: list[Diagnostic] = []
    seen: dict[str, Location] = {}
    for file in files:
        for where, cells in _lines(file):
            try:
                row = _price(cells)
                _demand_unit(row, billed_by)
                if over is not None:
                    _demand_what_is_counted(row, over)
                    _demand_a_known_tier(row, over)
            except ValueError as error:
                problems.append(Diagnostic(code="prices/row", summary=f"not a price row: {error}", where=where))
                continue
            if row.withdrawn is None and row.id in seen:
                problems.append(_duplicate(row, where, seen[row.id]))
            elif row.withdrawn is None:
                seen[row.id] = where
            rows.append(row)
    if problems:
        raise UsageError(*problems)
    return rows


def write_table(rows: Sequence[Price]) -> str:
    """The text of a file that `read_table` reads, the header first."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows([_cell(row, column) for column in COLUMNS] for row in rows)
    return text.getvalue()


def _cell(row: Price, column: str) -> str:
    if column == "keep_warm_s" and row.always_on:
        return ALWAYS
    value = getattr(row, column)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _demand_unit(row: Price, billed_by: Mapping[tuple[str, str], str]) -> None:
    wanted = billed_by.get((row.provider, row.product), row.unit)
    if row.unit != wanted:
        seconds, hourly = UNITS.get(wanted), row.usd_per_hour
        told = f": that is {hourly * seconds / 3600:.9f}" if hourly is not None and seconds is not None else ""
        raise ValueError(f"{row.provider}/{row.product} is priced per {wanted}, not per {row.unit}{told}")


def _demand_what_is_counted(row: Price, over: PriceBook) -> None:
    """The unit counts what the book counts of this thing, or else of the product; hours may be seconds."""
    product = [known for known in over.of(row.provider) if known.product == row.product and known.withdrawn is None]
    known = [other for other in product if other.gpu == row.gpu] or product
    units = dict.fromkeys(other.unit for other in known)
    if units and _counted(row.unit) not in map(_counted, units):
        raise ValueError(
            f"{row.provider}/{row.product}/{row.gpu} is billed per {' or '.join(units)}, not per {row.unit}"
        )


def _demand_a_known_tier(row: Price, over: PriceBook) -> None:
    """Of a thing that the book prices by tiers: in no other one would the price ever be used."""
    known = [other for other in over.of(row.provider) if (other.product, other.gpu) == (row.product, row.gpu)]
    tiers = sorted({other.tier for other in known if other.withdrawn is None})
    by_quantity = all(tier.startswith(FROM_QUANTITY) for tier in tiers)
    if tiers and row.tier not in tiers and not (by_quantity and row.tier[:2] in ("", FROM_QUANTITY)):
        said = f"has no tier {row.tier!r}" if row.tier else "has a price for each tier"
        wanted = " or ".join(tier or "none" for tier in tiers)
        raise ValueError(f"{row.provider}/{row.product}/{row.gpu} {said}: say `tier`, which is {wanted}")


def _counted(unit: str) -> str:
    """What a unit counts, however long or many of it."""
    if unit in REQUESTS:
        return "requests"
    return f"{unit.rpartition('-')[0]} time" if UNITS[unit] is not None else unit


def _duplicate(row: Price, where: Location, first: Location) -> Diagnostic:
    return Diagnostic(
        code="prices/duplicate",
        summary=f"two prices for {row.id}; the other stands in {first}",
        where=where,
        hint="keep the one that holds; give the other the day since which it does not, as `withdrawn`",
    )


def _lines(file: Path) -> Iterator[tuple[Location, dict[str, str]]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        hint = "save it as CSV in UTF-8"
        raise UsageError.of("prices/columns", f"not a text file: {error}", where=Location(file), hint=hint) from error
    table = csv.DictReader(text.splitlines())
    names = list(table.fieldnames or ())
    missing = [name for name in REQUIRED if name not in names]
    other = [name for name in names if name not in (*COLUMNS, "currency")]
    if missing or other or len(set(names)) != len(names):
        reason = f"it lacks {', '.join(missing)}" if missing else f"unknown or double: {', '.join(other) or names}"
        raise UsageError.of(
            "prices/columns",
            f"the first line must name the columns of a price book: {reason}",
            where=Location(file, 1),
            hint=f"needed are {','.join(REQUIRED)}; known too: "
            f"{','.join(name for name in COLUMNS if name not in REQUIRED)},currency",
        )
    for cells in table:
        where = Location(file, table.line_num)
        if None in cells or None in cells.values():
            cells = {"": f"it has not {len(names)} columns, as the first line has"}
        yield where, cells


def _price(cells: dict[str, str]) -> Price:
    if "" in cells:
        raise ValueError(cells[""])
    cells = {name: cell.strip() for name, cell in cells.items()}
    if (currency := cells.get("currency") or "USD") != "USD":
        raise ValueError(f"prices are in USD, this one is in {currency}; convert it, and say the rate in `note`")
    for name in ("provider", "product", "gpu", "source"):
        if not cells[name]:
            raise ValueError(f"it names no {name}")
    usd = _amount(cells["usd"])
    confidence = cells.get("confidence") or ("unknown" if usd is None else "read")
    if cells["unit"] not in UNITS:
        raise ValueError(f"unit {cells['unit']!r} is none of {', '.join(UNITS)}")
    if confidence not in CONFIDENCES or (confidence == "unknown") != (usd is None):
        raise ValueError(f"confidence {confidence!r} does not fit usd {cells['usd']!r}")
    keep_warm = cells.get("keep_warm_s", "")
    return Price(
        provider=cells["provider"],
        product=cells["product"],
        gpu=cells["gpu"],
        card=cells.get("card", ""),
        count=_whole("count", cells.get("count", "")) or 0,
        region=cells.get("region", ""),
        tier=_tier(cells.get("tier", "")),
        unit=cells["unit"],
        usd=usd,
        includes=cells.get("includes", ""),
        increment_s=_amount(cells.get("increment_s", "")),
        keep_warm_s=None if keep_warm == ALWAYS else _whole("keep_warm_s", keep_warm),
        always_on=keep_warm == ALWAYS,
        bills_cold_start=_yes_no(cells.get("bills_cold_start", "")),
        read=_day("read", cells["read"]),
        withdrawn=_day("withdrawn", cells["withdrawn"]) if cells.get("withdrawn") else None,
        max_age_days=_whole("max_age_days", cells.get("max_age_days", "")),
        confidence=confidence,
        source=cells["source"],
        note=cells.get("note", ""),
    )


def _amount(text: str) -> Decimal | None:
    if not text:
        return None
    if _CURRENCY.search(text):
        raise ValueError(f"{text!r} is in another currency; prices are in USD: convert it, and say the rate in `note`")
    try:
        usd = Decimal(text)
    except InvalidOperation:
        point = text.replace(",", ".")
        raise ValueError(f"{text!r} is no amount" + (f"; wanted: {point}" if point != text else "")) from None
    if not usd.is_finite() or usd <= 0:
        raise ValueError(f"{text!r} is no price above zero; leave it empty where none is known")
    if not _LEAST_USD <= usd <= _MOST_USD:
        raise ValueError(f"{text!r} is not between {_LEAST_USD} and {_MOST_USD}, and taken for a slip")
    return usd


def _day(column: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{column} {text!r} is no day; wanted: 2026-11-01") from None


def _tier(text: str) -> str:
    if text.startswith(">=") and not text.removeprefix(">=").isdecimal():
        raise ValueError(f"tier {text!r} does not say from which quantity on, as in '>=6000'")
    return text


def _whole(column: str, text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdecimal():
        raise ValueError(f"{column} {text!r} is no whole number")
    return int(text)


def _yes_no(text: str) -> bool | None:
    if text not in ("", "yes", "no"):
        raise ValueError(f"bills_cold_start {text!r} is neither yes nor no")
    return {"yes": True, "no": False}.get(text)
