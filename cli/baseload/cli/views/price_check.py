"""How old and how sure the prices of a book are, a line per provider and product; then the old ones by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.text import listed, wrapped
from baseload.planner.prices import Price, PriceBook


@dataclass(frozen=True, kw_only=True)
class Group:
    """The prices of one product."""

    provider: str
    product: str
    rows: tuple[Price, ...]
    old: tuple[Price, ...]

    @property
    def oldest(self) -> date:
        """The day on which its oldest price was read."""
        return min(row.read for row in self.rows)

    def count(self, confidence: str) -> int:
        """Prices of that confidence."""
        return sum(row.confidence == confidence for row in self.rows)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A book on a day."""

    book: str
    on: date
    max_age_days: int | None
    groups: tuple[Group, ...]


def checked(book: PriceBook, on: date, max_age_days: int | None) -> Checked:
    """What holds today, by product; old after `max_age_days`, else after each source's own age."""
    rows = [row for row in book.rows() if row.withdrawn is None]
    groups = []
    for (provider, product), found in groupby(rows, key=lambda row: (row.provider, row.product)):
        members = tuple(found)
        old = tuple(row for row in members if row.is_old(on, max_age_days))
        groups.append(Group(provider=provider, product=product, rows=members, old=old))
    return Checked(book=book.name, on=on, max_age_days=max_age_days, groups=tuple(groups))


def human(value: Checked, page: Page) -> str:
    """A line per product; what is old or missing stands out in words too. Then what to read again, and where."""
    table = [["", "prices", "oldest read", ""]]
    for group in value.groups:
        said = [
            *([page.warning(f"{len(group.old)} old")] if group.old else []),
            *([page.warning(f"{group.count('unknown')} without a price")] if group.count("unknown") else []),
            *([f"{group.count('second-hand')} second-hand"] if group.count("second-hand") else []),
            *([f"{group.count('estimated')} estimated"] if group.count("estimated") else []),
        ]
        name = f"{group.provider} {group.product}"
        table.append([name, str(len(group.rows)), group.oldest.isoformat(), ", ".join(said) or "fresh"])
    old = sum(len(group.old) for group in value.groups)
    ends = f"{old} of {sum(len(group.rows) for group in value.groups)} prices are old on {value.on.isoformat()}"
    head, *lines = listed(table, page.width, align="<><<")
    return "\n".join([page.bold(head), *lines, "", *_old(value, page), ends])


def _old(value: Checked, page: Page) -> list[str]:
    """The old prices by name, those that were read together in one paragraph."""
    lines = []
    for group in value.groups:
        together = dict[tuple[str, str], list[str]]()
        for row in group.old:
            name = row.id.removeprefix(f"{group.provider}/{group.product}/")
            together.setdefault((row.read.isoformat(), row.source), []).append(name)
        for (read, source), names in sorted(together.items()):
            text = f"{group.provider} {group.product}, read {read}: {', '.join(names)}. Source: {source}"
            lines += wrapped(text, page.width, indent=2, hanging=2)
    return [page.bold("Old"), *lines, ""] if lines else []


def document(value: Checked) -> Mapping[str, Any]:
    """`baseload.prices-check/1`."""
    return {
        "schema": "baseload.prices-check/1",
        "book": value.book,
        "on": value.on.isoformat(),
        "max_age_days": value.max_age_days,
        "products": [
            {
                "provider": group.provider,
                "product": group.product,
                "prices": len(group.rows),
                "oldest": group.oldest.isoformat(),
                "old": [row.id for row in group.old],
                "unpriced": [row.id for row in group.rows if row.usd is None],
                "second_hand": group.count("second-hand"),
                "estimated": group.count("estimated"),
            }
            for group in value.groups
        ],
    }
