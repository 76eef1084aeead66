"""Charts as SVG, drawn when the page is written: the split of a bill with its range, and bills by traffic.

A drawing says nothing that a table beside it does not say. Colours come from the page's style by class; what a colour
tells, a pattern, a dash or a letter tells too. Knows no prices and no specs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from baseload.cli.views.html import Html, joined, tag

LETTERS = "ABCDEFGH"
ACROSS = 100.0
"""Per cent: bars are as wide as their place."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A bill at each traffic; None where there is none to draw."""

    name: str
    usd: tuple[Decimal | None, ...]


@dataclass(frozen=True, kw_only=True)
class Change:
    """Where a curve and the first one cost the same: from `below` to `above`, as factors of the traffic."""

    curve: int
    below: Decimal
    above: Decimal


def share(amount: Decimal | None, most: Decimal) -> float:
    """Of the width of a bar."""
    return 0.0 if amount is None or most <= 0 else min(float(amount / most) * ACROSS, ACROSS)


FILLS = (
    "",
    "M-1 7L7 -1M-1 1L1 -1M5 7L7 5",
    "M1.5 3h3M3 1.5v3",
    "M0 3H6M3 0V6",
    "M3 0V6",
    "M0 3H6",
    "M-1 -1L7 7M5 -1L7 1M-1 5L1 7",
)
"""Each a colour and a pattern; more parts than these begin anew."""


def patterns() -> Html:
    """Fills for the parts of a bill, once in a page."""
    drawn = [
        tag(
            "pattern",
            tag("rect", width=6, height=6, class_=f"tint-{number}"),
            tag("path", d=path, class_="ink") if path else None,
            id=f"fill-{number}",
            width=6,
            height=6,
            patternUnits="userSpaceOnUse",
        )
        for number, path in enumerate(FILLS)
    ]
    return tag("svg", tag("defs", *drawn), width=0, height=0, aria_hidden="true", class_="defs")


def _fill(number: int) -> str:
    return f"url(#fill-{number % len(FILLS)})"


def swatch(number: int) -> Html:
    """A sample of a fill, for a table."""
    return tag(
        "svg",
        tag("rect", width=14, height=14, rx=2, fill=_fill(number)),
        width=14,
        height=14,
        aria_hidden="true",
        class_="swatch",
    )


def bar(parts: Sequence[tuple[float, float]], low: float, high: float, label: str) -> Html:
    """Parts as (from, width), and the range below them; all in per cent."""
    drawn = [
        tag(
            "rect",
            x=f"{start:.2f}%",
            y=0,
            width=f"{width:.2f}%",
            height=30,
            fill=_fill(number),
            data_part=number,
        )
        for number, (start, width) in enumerate(parts)
    ]
    whisker = [
        tag("line", x1=f"{low:.2f}%", x2=f"{high:.2f}%", y1=42, y2=42, data_bar="range"),
        tag("line", x1=f"{low:.2f}%", x2=f"{low:.2f}%", y1=36, y2=48, data_bar="low"),
        tag("line", x1=f"{high:.2f}%", x2=f"{high:.2f}%", y1=36, y2=48, data_bar="high"),
    ]
    return tag(
        "svg", *drawn, tag("g", *whisker, class_="whisker"), width="100%", height=50, role="img", aria_label=label
    )


def strip(low: float, expected: float, high: float) -> Html:
    """A range with its middle, in per cent of the width; told in words in the same row."""
    return tag(
        "svg",
        tag("line", x1=f"{low:.2f}%", x2=f"{high:.2f}%", y1=9, y2=9, data_cell="line"),
        tag("circle", cx=f"{expected:.2f}%", cy=9, r=4, data_cell="dot"),
        width="100%",
        height=18,
        aria_hidden="true",
        class_="strip",
    )


@dataclass(frozen=True)
class _Frame:
    """Where things go in a drawing of this size."""

    width: float
    height: float
    left: float = 58.0
    right: float = 30.0
    top: float = 14.0
    bottom: float = 44.0

    def x(self, part: float) -> float:
        """From 0, left, to 1, right."""
        return self.left + part * (self.width - self.left - self.right)

    def y(self, part: float) -> float:
        """From 0, below, to 1, above."""
        return self.height - self.bottom - part * (self.height - self.top - self.bottom)


def by_traffic(
    curves: Sequence[Curve],
    factors: Sequence[Decimal],
    names: Sequence[str],
    at: int,
    *,
    label: str,
    narrow: bool = False,
    changes: Sequence[Change] = (),
) -> Html:
    """Bills by traffic, both by powers of ten; `names` stand below the axis, a line at place `at` of the factors.

    `changes` are marked on the axis, with the letter of the curve.
    """
    frame = _Frame(344.0, 300.0, 50.0, 22.0) if narrow else _Frame(860.0, 380.0)
    amounts = [float(usd) for curve in curves for usd in curve.usd if usd]
    low, high = min(amounts) / 1.25, max(amounts) * 1.25
    first, last = math.log(factors[0]), math.log(factors[-1])

    def x(factor: float) -> float:
        return frame.x((math.log(factor) - first) / (last - first))

    def y(usd: float) -> float:
        return frame.y(math.log(usd / low) / math.log(high / low))

    places = [x(float(factor)) for factor in factors]
    drawn = [
        *(_grid(frame, y(usd), f"${usd:,.10g}") for usd in _ticks(low, high)),
        *_names(frame, places, names, narrow),
        tag("line", x1=places[at], x2=places[at], y1=frame.top, y2=frame.y(0), class_="at", data_at=True),
        *_curves(curves, places, y),
        *_ends(frame, curves, places, y),
        *_marks(frame, [each for each in changes if each.above >= factors[0] and each.below <= factors[-1]], x),
    ]
    return tag(
        "svg",
        *drawn,
        viewBox=f"0 0 {frame.width:g} {frame.height:g}",
        role="img",
        aria_label=label,
        class_="chart narrow" if narrow else "chart wide",
        data_places=" ".join(f"{place:.2f}" for place in places),
    )


def sample(number: int) -> Html:
    """A piece of a curve with its letter, for a table."""
    line = tag("line", x1=0, x2=26, y1=9, y2=9, class_=f"curve curve-{number}")
    return tag("svg", line, _letter(number, 35, 9), width=44, height=18, aria_hidden="true", class_="sample")


def _ticks(low: float, high: float) -> Iterator[float]:
    """1, 2 and 5 times powers of ten, or powers alone where these are enough."""
    steps = (1, 2, 5) if high / low < 200 else (1,)
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        yield from (step * 10.0**power for step in steps if low <= step * 10.0**power <= high)


def _grid(frame: _Frame, y: float, text: str) -> Html:
    line = tag("line", x1=frame.left, x2=frame.width - frame.right, y1=y, y2=y, class_="grid")
    return joined(line, tag("text", text, x=frame.left - 7, y=y + 4, text_anchor="end"))


def _names(frame: _Frame, places: Sequence[float], names: Sequence[str], narrow: bool) -> Iterator[Html]:
    for number, (place, name) in enumerate(zip(places, names, strict=True)):
        yield tag("line", x1=place, x2=place, y1=frame.y(0), y2=frame.y(0) + 5, class_="tick")
        if not narrow or number % 3 == 0:
            yield tag("text", name, x=place, y=frame.y(0) + 19, text_anchor="middle")
    yield tag("text", "requests a day", x=frame.x(0.5), y=frame.height - 6, text_anchor="middle", class_="axis")


def _curves(curves: Sequence[Curve], places: Sequence[float], y: Callable[[float], float]) -> Iterator[Html]:
    for number, curve in enumerate(curves):
        run: list[str] = []
        runs = [run]
        for place, usd in zip(places, curve.usd, strict=True):
            if usd:
                run.append(f"{place:.1f},{y(float(usd)):.1f}")
            elif run:
                runs.append(run := [])
        yield joined(
            *(tag("polyline", points=" ".join(points), class_=f"curve curve-{number}") for points in runs if points),
            *(
                tag("circle", cx=place, cy=y(float(usd)), r=2.5, class_=f"point point-{number}")
                for place, usd in zip(places, curve.usd, strict=True)
                if usd
            ),
        )


def _ends(
    frame: _Frame, curves: Sequence[Curve], places: Sequence[float], y: Callable[[float], float]
) -> Iterator[Html]:
    """Letters where curves end, moved apart where they would cover each other."""
    ends: list[list[float]] = []
    for number, curve in enumerate(curves):
        known = [(place, usd) for place, usd in zip(places, curve.usd, strict=True) if usd]
        if known:
            ends.append([y(float(known[-1][1])), known[-1][0] + 14, number])
    ends.sort()
    for before, after in pairwise(ends):
        after[0] = max(after[0], before[0] + 17)
    over = max((end[0] for end in ends), default=0.0) - frame.y(0)
    for height, place, curve_number in ends:
        yield _letter(int(curve_number), place, height - max(over, 0.0))


def _marks(frame: _Frame, changes: Sequence[Change], x: Callable[[float], float]) -> Iterator[Html]:
    """A bar on the axis and a letter above it, higher where another one is next to it."""
    placed: list[tuple[float, float]] = []
    for each in sorted(changes, key=lambda one: one.below):
        low, high = (min(max(x(float(end)), frame.x(0)), frame.x(1)) for end in (each.below, each.above))
        low, high = min(low, (low + high) / 2 - 2), max(high, (low + high) / 2 + 2)
        middle, height = (low + high) / 2, frame.y(0) - 14
        while any(abs(middle - other) < 17 and abs(height - above) < 17 for other, above in placed):
            height -= 17
        placed.append((middle, height))
        yield tag("rect", x=low, y=frame.y(0) - 3, width=high - low, height=6, class_=f"change change-{each.curve}")
        yield _letter(each.curve, middle, height)


def _letter(number: int, x: float, y: float) -> Html:
    return joined(
        tag("circle", cx=x, cy=y, r=8, class_=f"letter letter-{number}"),
        tag("text", LETTERS[number], x=x, y=y + 4, text_anchor="middle", class_="letter-text"),
    )
