"""What follows from a comparison, as parts of the page: changes of the order, the worth of workers, fewer cold starts.

Static: nothing of it changes with the page's controls. Must not compute a figure.
"""

from __future__ import annotations

from collections.abc import Iterator

from baseload.cli.views.decisions import MOST, name
from baseload.cli.views.html import Html, joined, table, tag
from baseload.cli.views.text import UNKNOWN, signed_usd, usd
from baseload.planner.decisions.advice import rounded
from baseload.planner.decisions.break_even import BreakEven
from baseload.planner.decisions.cold_start_ways import ColdStarts, Way, percent
from baseload.planner.decisions.worker_worth import Worker, Worths

HOW_EXACT = (
    "Figures with “up to” and “from” are priced at the rates in question, not read off the steps: the named rows with "
    "as many workers as the traffic needs. Between the two the bills are the same within 2 %; bars on the axis of the "
    "drawing mark it, with the letter of the other row's target."
)


def order(found: BreakEven, own: str | None, yours: str) -> Html:
    """An item: up to where the other row is the cheaper, or the dearer; `own` is the id of the row called `yours`."""
    base = yours if found.one == own else name(found.one)
    told = [
        f"{_side(found, crossing.cheaper_below)} than {base} up to {rounded(crossing.below)} requests a day, "
        f"{_side(found, crossing.cheaper_above)} from {rounded(crossing.above)} on"
        for crossing in found.crossings
    ]
    if not told and found.requests_per_day is not None:
        low, high = (rounded(end) for end in found.requests_per_day)
        same = f"the same as {base} within 2 %"
        side = same if found.cheaper is None else f"{_side(found, found.cheaper)} than {base}"
        told = [f"{side} from {low} to {high} requests a day"]
    why = tag("small", found.why) if found.why else None
    return tag("li", tag("b", f"{name(found.other)}: "), "; ".join(told), why)


def _side(found: BreakEven, cheaper: str) -> str:
    return "cheaper" if cheaper == found.other else "dearer"


def workers(found: Worths | None) -> Iterator[Html]:
    """Which workers are worth a machine that stays."""
    if found is None:
        return
    beside = f"{name(found.serverless)} costs {usd(found.serverless_usd_per_hour)} an hour"
    if found.dedicated is None or found.price_ratio is None:
        said = f"{beside}; no machine that stays has this GPU and a bill."
    else:
        said = (
            f"{beside}, {name(found.dedicated)} {usd(found.dedicated_usd_per_hour)}: a worker that saves more than "
            f"{percent(found.price_ratio)} of one is cheaper dedicated."
        )
    rows = [_worker(worker, found) for worker in found.workers[:MOST]]
    columns = ("worker", "billed", "places in use", "saves", "cheaper")
    more = len(found.workers) - MOST
    yield tag(
        "section",
        tag("h3", "What each worker is worth"),
        tag("p", f"{said} Each starts when those before it are full."),
        table("Shares of the time", columns, rows, numbers=(0, 1, 2, 3)),
        tag("p", f"{more} more: `deploy compare --break-even --json`", class_="quiet") if more > 0 else None,
    )


def _worker(worker: Worker, found: Worths) -> list[str]:
    busy, saved = ("" if share is None else percent(share) for share in (worker.busy_share, worker.saved_share))
    kind = "" if found.price_ratio is None else "dedicated" if worker.dedicated else "serverless"
    return [str(worker.number), percent(worker.billed_share), busy, saved, kind]


def cold_starts(found: ColdStarts | None) -> Iterator[Html]:
    """What fewer of them cost."""
    if found is None:
        return
    here = ["as it stands", usd(found.monthly_usd), percent(found.cold_share)]
    yield tag(
        "section",
        tag("h3", "Fewer cold starts"),
        tag("p", "Below a month is how much it is more; below a share, what each avoided cold start costs."),
        table(
            "By the formulas",
            ("change of the spec", "a month", "cold starts"),
            [here, *map(_way, found.ways)],
            numbers=(1, 2),
            class_="ways",
        ),
    )


def _way(way: Way) -> list[str]:
    """Below the figures what they are more, and what each avoided cold start costs."""
    more = tag("small", signed_usd(way.more_usd)) if way.more_usd is not None else None
    each = tag("small", usd(way.usd_per_avoided)) if way.usd_per_avoided is not None else None
    share = UNKNOWN if way.cold_share is None else percent(way.cold_share)
    return [
        joined(way.change, tag("small", way.note) if way.note else None),
        joined(tag("span", usd(way.monthly_usd)), more),
        joined(tag("span", share), each),
    ]
