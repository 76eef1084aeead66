"""Words and columns that several views share. Plain text by hand: a table must not cost the import of a library."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

UNKNOWN = "unknown"
"""An amount that is not known is never shown as zero."""

_STYLE = re.compile(r"\033\[\d+m")


def usd(amount: Decimal | str | None) -> str:
    """Dollars and cents; four digits where cents would say nothing (0.00031)."""
    if amount is None:
        return UNKNOWN
    value = Decimal(amount)
    if value < 0:
        return f"−{usd(-value)}"
    if value and abs(value) < Decimal("0.1"):
        return f"${value:.2g}" if abs(value) >= Decimal("0.0001") else f"${value:f}"
    return f"${value.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"


def signed_usd(amount: Decimal | None) -> str:
    """A change: `+$1.20`, `−$1.20`, `no change`."""
    if not amount:
        return UNKNOWN if amount is None else "no change"
    return f"{'+' if amount > 0 else '−'}{usd(abs(amount))}"


def seconds(value: float) -> str:
    """`0.4 s`, `12 s`, `2 min 5 s`."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 90:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def from_to(low: Decimal | float | None, high: Decimal | float | None) -> str:
    """`0.2 s to 4.2 s`; what is not known of the end is not said to be zero: `at least 0.1 s`, `an unknown time`."""
    if high is None:
        return f"at least {short_seconds(float(low))}" if low else "an unknown time"
    least = 0.0 if low is None else float(low)
    return f"{short_seconds(least)} to {short_seconds(float(high))}"


def short_seconds(value: float) -> str:
    """`35 ms`, else as `seconds`."""
    return f"{value * 1000:.2g} ms" if 0 < value < 0.05 else seconds(value)


def units(unit: str) -> str:
    """`GPU-hours`, `GB`, `million requests`: several of a line's unit."""
    return unit if unit.endswith("s") or unit == "GB" else f"{unit}s"


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 error`, `2 errors`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def columns(rows: Sequence[Sequence[str]], *, align: str = "", gap: int = 2, indent: int = 0) -> list[str]:
    """Rows as aligned lines. `align` holds `<` or `>` per column (default `<`); colours do not count as width."""
    widths = [max(map(visible_width, column)) for column in zip(*rows, strict=True)] if rows else []
    lines = []
    for row in rows:
        cells = [
            _pad(cell, width, align[at : at + 1] or "<")
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((" " * indent + (" " * gap).join(cells)).rstrip())
    return lines


def listed(rows: Sequence[Sequence[str]], width: int, *, align: str = "") -> list[str]:
    """Rows as `columns`; where they are wider than `width`, the last cell of each stands below the others."""
    lines = columns(rows, align=align)
    if max(map(visible_width, lines), default=0) <= width:
        return lines
    lines = []
    for head, row in zip(columns([row[:-1] for row in rows], align=align), rows, strict=True):
        lines += [head, *(wrapped(row[-1], width, indent=4, hanging=2) if row[-1] else [])]
    return lines


def wrapped(text: str, width: int, *, indent: int = 0, hanging: int = 0) -> list[str]:
    """One paragraph in lines of at most `width`; names of files, images and URLs are never broken."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        break_long_words=False,
        break_on_hyphens=False,
    )


def visible_width(cell: str) -> int:
    """Columns a text takes; colours take none."""
    return len(_STYLE.sub("", cell))


def _pad(cell: str, width: int, side: str) -> str:
    space = " " * (width - visible_width(cell))
    return space + cell if side == ">" else cell + space
