"""Simulated months: the bill and the latency beside the closed form's, and the beginning of the run as bars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.plan import what_is
from baseload.cli.views.text import UNKNOWN, columns, wrapped
from baseload.planner.cost.explain import TOTAL
from baseload.planner.simulated.month import TOLERANCE
from baseload.planner.simulated.replications import Figure, Replications, Slot

NAMES = {"busy": "busy", "idle": "idle", "cold_start": "cold starts", "always_on": "always on", TOTAL: "together"}
ROOMY = 80
"""Columns from which the quantities stand beside the dollars."""
PARTS = (("always_on", "▓"), ("busy", "█"), ("idle", "▒"), ("cold_start", "░"))
DAY_S = 86_400
SAME = 0.001
"""Difference that nobody need look into, however narrow the interval."""


def human(value: Sequence[Replications], page: Page) -> str:
    """A block per model."""
    return "\n\n".join("\n".join(_model(item, page)) for item in value)


def document(value: Sequence[Replications]) -> Mapping[str, Any]:
    """`baseload.simulate/1`."""
    return {"schema": "baseload.simulate/1", "models": [_json(item) for item in value]}


# -------------------------------------------------------------------------------------------------------------- people
def _model(item: Replications, page: Page) -> Iterator[str]:
    yield f"{page.bold(item.model)}  {item.arrivals}"
    said = (
        f"{item.replications} replications, {item.requests:,} requests, each {item.taken}; "
        f"seed {item.seed}, dispatch {item.dispatch}"
    )
    yield from wrapped(said, page.width, indent=2)
    yield ""
    bill = list(_bill(item))
    if page.width < ROOMY:
        bill = [[row[0], *row[2:]] for row in bill]
    yield from columns(bill, align="<>>>>>", indent=2)
    yield ""
    yield from columns(list(_service(item)), align="<>>>>", indent=2)
    yield ""
    yield from wrapped(_verdict(item), page.width, indent=2)
    if item.doubts:
        why = "; ".join(item.doubts)
        yield from wrapped(f"the closed form is in doubt here, `deploy plan` simulates: {why}", page.width, indent=2)
    yield from map(page.dim, wrapped(f"closed form: {item.cost.method}", page.width, indent=2))
    yield ""
    yield from _drawing(item, page)


def _bill(item: Replications) -> Iterator[list[str]]:
    units = {amount.unit for amount in item.bill.values() if amount.unit}
    unit = units.pop() if len(units) == 1 else None
    yield ["a month", "quantity" if unit is None else f"{unit}s", "USD", "± 95 %", "formula", "difference"]
    for what, amount in item.bill.items():
        seen, usd = amount.quantity.simulated if amount.quantity else None, amount.usd
        if what == TOTAL or round(seen or 0, 1) or round(usd.simulated or 0, 2) or round(usd.closed_form or 0, 2):
            quantity = "" if seen is None else _quantity(seen, None if unit else amount.unit)
            cells = [quantity, _number(usd.simulated, 2), _number(usd.half_width, 2), _number(usd.closed_form, 2)]
            same = cells[1] == cells[3]  # to the cent: a part of one is no difference
            yield [NAMES.get(what) or what_is(what), *cells, "+0.0 %" if same else _difference(usd)]


def _quantity(value: float, unit: str | None) -> str:
    if unit is None:
        return _number(value, 1)
    return f"{_number(value, 1)} {unit}s" if unit.endswith("hour") else f"{_number(value, 3)} {unit}"


def _service(item: Replications) -> Iterator[list[str]]:
    yield ["", "simulated", "± 95 %", "formula", "difference"]
    starts = item.starts
    if starts.simulated is not None:
        counts = [_number(value, 0) for value in (starts.simulated, starts.half_width, starts.closed_form)]
        yield ["worker starts", *counts, _difference(starts)]
    named = (
        ("meet a cold start", item.cold_share),
        ("wait at all", item.waited_share),
        ("are throttled", item.refused_share),
    )
    for name, share in named:
        if share is not None and share.simulated is not None:
            yield [name, *map(_share, (share.simulated, share.half_width, share.closed_form)), _difference(share)]
    for name, time in item.latency_s.items():
        if time.simulated is not None:
            yield [
                f"{name} latency",
                *map(_time, (time.simulated, time.half_width, time.closed_form)),
                _difference(time),
            ]


def _verdict(item: Replications) -> str:
    total = item.bill[TOTAL].usd
    if item.holds_closed_form:
        said = "the closed form's month lies within the interval"
    elif (off := total.difference or 0.0) and abs(off) < SAME:
        said = f"the closed form's month is the simulated one to {SAME * 100:.1g} %"
    else:
        side = "below" if off < 0 else "above"
        said = f"the closed form's month lies {abs(off) * 100:.1f} % {side} the simulated one, outside of the interval"
    if not item.is_narrow:
        said += f"; the interval is wider than ±{TOLERANCE * 100:.1f} %: more --requests make it narrower"
    return said


def _drawing(item: Replications, page: Page) -> Iterator[str]:
    """A row per slot: the mean number of workers that are on, by what they do, and who waits at its end."""
    most = max((slot.on for slot in item.timeline), default=0.0)
    rows = [["time", "requests", "waiting", "on", ""]]
    cells = [
        (_at(slot.from_s, item.slot_s), f"{slot.requests:,}", f"{slot.waiting:,}", f"{slot.on:.2f}")
        for slot in item.timeline
    ]
    width = page.width - 10 - sum(max(len(row[k]) for row in [*cells, rows[0]]) for k in range(4))
    rows += [
        [*texts, _bar(slot, width / most if most else 0.0)] for texts, slot in zip(cells, item.timeline, strict=True)
    ]
    heading = f"workers that are on, from the beginning, {length(item.slot_s)} a row: █ busy, ▒ idle, ░ starting"
    if any(slot.always_on for slot in item.timeline):
        heading += ", ▓ always on"
    yield from map(page.dim, wrapped(heading, page.width, indent=2))
    yield from columns(rows, align="<>>><", indent=2)


def _bar(slot: Slot, scale: float) -> str:
    """Ends of the parts are rounded, not the parts: the bar is as long as all of them."""
    text, until = "", 0.0
    for name, mark in PARTS:
        until += getattr(slot, name) * scale
        text += mark * (round(until) - len(text))
    return text


def _at(second: float, slot_s: float) -> str:
    minutes, seconds = divmod(round(second, 3), 60)
    return f"{int(minutes) // 60:02}:{int(minutes) % 60:02}" + ("" if slot_s >= 60 else f":{seconds:04.1f}")


def length(seconds: float) -> str:
    """`2 weeks`, `15 minutes`."""
    for unit, name in ((7 * DAY_S, "week"), (DAY_S, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * unit or seconds == unit:
            count = seconds / unit
            return f"{count:,.0f} {name}s" if count >= 100 else f"{count:.3g} {name}{'' if count == 1 else 's'}"
    return f"{seconds:.3g} s"


def _number(value: float | None, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:,.{digits}f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value * 100:.1f} %"


def _time(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def _difference(figure: Figure) -> str:
    off = figure.difference
    if off is None:
        return ""
    return f"{'−' if off < 0 else '+'}{abs(off) * 100:.1f} %"


# ------------------------------------------------------------------------------------------------------------ programs
def _json(item: Replications) -> dict[str, Any]:
    return {
        "name": item.model,
        "seed": item.seed,
        "dispatch": str(item.dispatch),
        "arrivals": item.arrivals,
        "replications": item.replications,
        "seconds_per_replication": item.seconds,
        "sampled": item.taken,
        "requests": item.requests,
        "method_of_closed_form": item.cost.method,
        "doubts_of_closed_form": list(item.doubts),
        "bill": {
            what: {
                "quantity": None if amount.quantity is None else _figure(amount.quantity, 3),
                "unit": amount.unit,
                "usd": _figure(amount.usd, 4),
            }
            for what, amount in item.bill.items()
        },
        "worker_starts": _figure(item.starts, 2),
        "cold_share": _figure(item.cold_share, 6),
        "waited_share": _figure(item.waited_share, 6),
        "refused_share": None if item.refused_share is None else _figure(item.refused_share, 6),
        "latency_s": {name: _figure(figure, 4) for name, figure in item.latency_s.items()},
        "interval_reached": item.is_narrow,
        "closed_form_in_interval": item.holds_closed_form,
        "timeline": {"slot_s": item.slot_s, "slots": [_slot(slot) for slot in item.timeline]},
    }


def _figure(figure: Figure, digits: int) -> dict[str, float | None]:
    values = {"simulated": figure.simulated, "half_width_95": figure.half_width, "closed_form": figure.closed_form}
    found = {key: None if value is None else round(value, digits) for key, value in values.items()}
    return {**found, "difference": None if figure.difference is None else round(figure.difference, 6)}


def _slot(slot: Slot) -> dict[str, float]:
    workers = {name: round(getattr(slot, name), 4) for name, _ in PARTS}
    return {"from_s": slot.from_s, "requests": slot.requests, **workers, "waiting": slot.waiting}
