"""The beginning of a simulated month as a drawing: workers, queue and cost over time, as SVG.

Drawn with matplotlib, which is an extra and imported here alone, when a drawing is asked for. The same run gives the
same file: no time of day, no random ids. It must not simulate.
"""

from __future__ import annotations

import importlib
import io
from itertools import accumulate
from typing import Any

from baseload.cli.views.simulate import length
from baseload.planner.errors import UsageError
from baseload.planner.simulated.replications import Replications, Slot

SLOTS = 96
"""Of the time drawn: a quarter of an hour each where that is a day."""

PARTS = (
    ("always_on", "always on", "#6b7886", ""),
    ("busy", "busy", "#2f6fb5", ""),
    ("idle", "idle", "#d9a441", "///"),
    ("cold_start", "starting", "#b9564b", "..."),
)
"""Colour and hatching: either tells them apart."""

STYLE = {
    "svg.hashsalt": "baseload",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e2e6eb",
    "hatch.linewidth": 0.5,
    "hatch.color": "#ffffff",
    "text.parse_math": False,
}


def svg(item: Replications) -> str:
    """The drawing. Raises UsageError where matplotlib is not installed."""
    unit_s, unit = next(
        (size, name) for size, name in ((86_400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))
        if item.slot_s * len(item.timeline) >= 2 * size or size == 1
    )  # fmt: skip
    edges = [slot.from_s / unit_s for slot in item.timeline]
    edges.append(edges[-1] + item.slot_s / unit_s if edges else 0.0)
    with matplotlib().rc_context(STYLE):
        figure = importlib.import_module("matplotlib.figure").Figure(figsize=(10, 6.6), layout="constrained")
        workers, queue, cost = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.4, 1.4))
        _workers(workers, item, edges)
        queue.stairs([slot.waiting for slot in item.timeline], edges, fill=True, color="#1c2430", alpha=0.75)
        queue.set_ylabel("requests\nwaiting")
        spent = list(accumulate((_usd(item, slot) for slot in item.timeline), initial=0.0))
        cost.plot(edges, spent, color="#1c2430", linewidth=1.6)
        cost.set_ylabel("US dollars\nso far")
        cost.set_xlabel(f"{unit} from the beginning")
        cost.margins(x=0)
        for panel in (queue, cost):
            panel.set_ylim(bottom=0)
        queue.yaxis.get_major_locator().set_params(integer=True)
        month = item.bill["total"].usd.simulated
        figure.suptitle(f"{item.model}: simulated, {item.arrivals}", x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.supxlabel(
            f"seed {item.seed}, dispatch {item.dispatch}; means over {length(item.slot_s)}, the queue at their ends; "
            f"the month comes to {month:,.2f} USD by {item.replications} replications",
            x=0.01, ha="left", fontsize=8.5, color="#55606e",
        )  # fmt: skip
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Title": item.model})
    return text.getvalue()


def _usd(item: Replications, slot: Slot) -> float:
    """What the workers of a slot cost."""
    return float(sum(getattr(slot, what) * usd * item.slot_s for what, usd in item.usd_per_worker_s.items()))


def matplotlib() -> Any:
    """The library. Raises UsageError with what to install where it is not."""
    try:
        return importlib.import_module("matplotlib")
    except ImportError:
        raise UsageError.of(
            "simulate/matplotlib",
            "an SVG is drawn with matplotlib, which is not installed",
            hint="`pip install 'baseload[plot]'`; without --svg the beginning is drawn in the terminal",
        ) from None


def _workers(panel: Any, item: Replications, edges: list[float]) -> None:
    """What workers do, one upon the other."""
    below = [0.0] * len(item.timeline)
    for name, said, color, hatch in PARTS:
        amounts = [getattr(slot, name) for slot in item.timeline]
        if not any(amounts):
            continue
        above = [a + b for a, b in zip(below, amounts, strict=True)]
        panel.stairs(above, edges, baseline=below, fill=True, color=color, hatch=hatch or None, label=said, linewidth=0)
        below = above
    panel.set_ylabel("workers")
    panel.set_ylim(bottom=0)
    panel.legend(loc="upper left", bbox_to_anchor=(0, 1.14), ncols=4, frameon=False, borderaxespad=0)
