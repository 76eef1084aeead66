"""What was checked, what is wrong, how to mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.text import columns, wrapped


class Health(StrEnum):
    """Of one thing that was checked; `skipped` where something else must be mended first, or is not needed."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line."""

    what: str
    health: Health
    found: str
    remedy: str | None = None


def human(value: Sequence[Check], page: Page) -> str:
    """A line per check, remedies below."""
    paint = {Health.OK: page.good, Health.WARNING: page.warning, Health.WRONG: page.bad, Health.SKIPPED: page.dim}
    rows = columns([[paint[item.health](str(item.health)), item.what, item.found] for item in value])
    lines = []
    for row, item in zip(rows, value, strict=True):
        lines.append(row)
        if item.remedy:
            lines += wrapped(f"hint: {item.remedy}", page.width, indent=9, hanging=6)
    return "\n".join(lines)


def document(value: Sequence[Check]) -> Mapping[str, Any]:
    """`baseload.doctor/1`."""
    return {
        "schema": "baseload.doctor/1",
        "checks": [
            {"what": item.what, "health": str(item.health), "found": item.found, "remedy": item.remedy}
            for item in value
        ],
    }
