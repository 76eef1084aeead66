"""Markup that is escaped by construction: every text that is not already `Html` is escaped when it goes into a tag.

Knows no page and no figures. Attributes that CSP would refuse (`style`, `on…`) have no way in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

EMPTY = frozenset({"meta", "link", "input", "line", "rect", "circle", "path", "polyline", "col"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: str | int | float | bool | None) -> Html:
    """An element; None and False leave an attribute (or a child) out. `class_` is `class`, `data_x` is `data-x`."""
    given = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    if name in EMPTY:
        return Html(f"<{name}{given}>") if name in ("meta", "link", "input", "col") else Html(f"<{name}{given}/>")
    return Html(f"<{name}{given}>{joined(*children)}</{name}>")


def joined(*children: str | None) -> Html:
    """One after the other."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children if child))


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Sequence[int] = (),
    class_: str | None = None,
    caption: Html | None = None,
) -> Html:
    """The first cell of a row names it; `caption` is the title with what may change in it."""
    head = tag("tr", *(tag("th", name, scope="col", class_=_numeric(k, numbers)) for k, name in enumerate(columns)))
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row", class_=_numeric(0, numbers)),
            *(tag("td", cell, class_=_numeric(k, numbers)) for k, cell in enumerate(row[1:], 1)),
        )
        for row in rows
    ]
    made = tag("table", tag("caption", caption or title), tag("thead", head), tag("tbody", *body), class_=class_)
    return tag("div", made, class_="scroll", tabindex=0, role="region", aria_label=title)


def _numeric(column: int, numbers: Sequence[int]) -> str | None:
    return "number" if column in numbers else None


def data(value: Any, **attributes: str) -> Html:
    """A block of JSON that no browser runs, and that no text in it can end."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return tag("script", Html(text), type="application/json", **attributes)


def _attribute(key: str, value: str | int | float | bool) -> str:
    key = key.rstrip("_").replace("_", "-")
    if key == "style" or key.startswith("on"):
        raise ValueError(f"the page's security policy refuses the attribute {key}")
    if value is True:
        return f" {key}"
    if value is False:
        return ""
    return f' {key}="{escape(f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value))}"'
