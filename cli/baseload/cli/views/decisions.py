"""What follows from a comparison, below its table: where the order changes, which workers stay, tokens, cold starts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from baseload.cli.terminal import Page
from baseload.cli.views.text import UNKNOWN, columns, signed_usd, usd, visible_width, wrapped
from baseload.planner.decisions import Decisions
from baseload.planner.decisions.advice import Advice, rounded
from baseload.planner.decisions.break_even import BreakEven
from baseload.planner.decisions.cold_start_ways import ColdStarts, Way, percent
from baseload.planner.decisions.token_price import TokenPrices
from baseload.planner.decisions.worker_worth import Worths
from baseload.planner.prices import how_to_enter

MOST = 8
"""Workers that are listed; the others are in `--json`."""


def computed(found: Decisions, page: Page) -> list[str]:
    """The four questions that have a sum of their own."""
    return [
        *_section("Where the order changes", _changes(found.break_evens, page), page),
        *_section("What each worker is worth", _worths(found.worths, page), page),
        *_section("By the token", _tokens(found.tokens, page), page),
        *_section("Fewer cold starts", _ways(found.cold_starts, page), page),
    ]


def rules(found: Decisions, page: Page) -> list[str]:
    """Rules of thumb beside the sums."""
    lines: list[str] = []
    for topic, told, same in _by_sum(found.advice):
        lines += wrapped(f"{topic}: {_named(told)}", page.width, indent=2, hanging=2)
        for each in same:
            verdict = {True: "holds here", False: "errs here", None: "cannot be told"}[each.holds]
            lines += wrapped(f"{verdict}: “{each.rule}”, {each.source}", page.width, indent=4, hanging=2)
            lines += map(page.dim, wrapped(each.errs, page.width, indent=6)) if each.errs else []
    return _section("Rules of thumb, and what holds of them here", lines, page)


def _section(heading: str, lines: Iterable[str], page: Page) -> list[str]:
    found = list(lines)
    return ["", page.bold(heading), *(found or [page.dim("  nothing to tell: see the rows above")])]


def _changes(found: Iterable[BreakEven], page: Page) -> Iterator[str]:
    for each in found:
        yield from wrapped(f"{name(each.one)} and {name(each.other)}", page.width, indent=2, hanging=2)
        for crossing in each.crossings:
            text = (
                f"up to {rounded(crossing.below)} requests a day {name(crossing.cheaper_below)} costs less, "
                f"from {rounded(crossing.above)} on {name(crossing.cheaper_above)}"
            )
            yield from wrapped(text, page.width, indent=4, hanging=2)
        if not each.crossings and each.requests_per_day:
            low, high = (rounded(end.normalize()) for end in each.requests_per_day)
            less = f"{name(each.cheaper)} costs less" if each.cheaper else "both cost the same within 2 %"
            yield from wrapped(
                f"never between {low} and {high} requests a day: {less}", page.width, indent=4, hanging=2
            )
        if each.why:
            yield from map(page.dim, wrapped(each.why, page.width, indent=4, hanging=2))


def _worths(found: Worths | None, page: Page) -> Iterator[str]:
    if found is None:
        return
    per_hour = usd(found.serverless_usd_per_hour)
    if found.dedicated is None or found.price_ratio is None:
        text = f"{name(found.serverless)}, {per_hour} an hour: no machine that stays has this GPU and a bill"
    else:
        text = (
            f"{name(found.serverless)} costs {per_hour} an hour, {name(found.dedicated)} "
            f"{usd(found.dedicated_usd_per_hour)}: a worker that saves more than {percent(found.price_ratio)} "
            "of one is cheaper dedicated"
        )
    yield from wrapped(text, page.width, indent=2, hanging=2)
    rows = [
        [
            str(worker.number),
            f"billed {percent(worker.billed_share)} of the time",
            "" if worker.busy_share is None else f"busy {percent(worker.busy_share)}",
            "" if worker.saved_share is None else f"would save {percent(worker.saved_share)}",
            "" if found.price_ratio is None else "dedicated" if worker.dedicated else "serverless",
        ]
        for worker in found.workers[:MOST]
    ]
    for lines in _rows(rows, "><<<<", page):
        yield from lines
    if len(found.workers) > MOST:
        yield page.dim(f"    … {len(found.workers) - MOST} more: `--json`")


def _tokens(found: TokenPrices | None, page: Page) -> Iterator[str]:
    if found is None:
        yield from wrapped("no price by the token: `traffic.tokens` is not said", page.width, indent=2, hanging=2)
        return
    for each in found.hosted:
        text = f"{name(each.row)}: {usd(each.usd_per_million)} per 1M tokens; an API below that is cheaper"
        yield from wrapped(f"{text} at {found.tokens_per_day:,.0f} tokens a day", page.width, indent=2, hanging=2)
    for each in found.apis:
        yield from wrapped(f"{name(each.row)}: {usd(each.usd_per_million)} per 1M tokens", page.width, indent=2)
    yield from _changes(found.break_evens, page)
    if not found.apis:
        text = f"No API by the token has a price in the book: {how_to_enter('together')}"
        yield from map(page.dim, wrapped(text, page.width, indent=2, hanging=2))


def _ways(found: ColdStarts | None, page: Page) -> Iterator[str]:
    if found is None:
        return
    text = (
        f"as it stands {usd(found.monthly_usd)} a month, {percent(found.cold_share)} of the requests meet a cold start"
    )
    yield from wrapped(text, page.width, indent=2, hanging=2)
    for way, lines in zip(found.ways, _rows([_way(way) for way in found.ways], "<><<", page), strict=True):
        yield from lines
        if way.note:
            yield from map(page.dim, wrapped(way.note, page.width, indent=6, hanging=2))


def _rows(rows: Sequence[Sequence[str]], align: str, page: Page) -> list[list[str]]:
    """The lines of each row: aligned, or one after the other where that is too wide."""
    table = columns(rows, align=align, indent=4)
    if max(map(visible_width, table), default=0) <= page.width:
        return [[line] for line in table]
    return [wrapped("; ".join(filter(None, row)), page.width, indent=4, hanging=2) for row in rows]


def _way(way: Way) -> list[str]:
    if way.more_usd is None or way.cold_share is None:
        return [way.change, UNKNOWN, "", ""]
    each = "" if way.usd_per_avoided is None else f"{usd(way.usd_per_avoided)} for each avoided"
    return [way.change, signed_usd(way.more_usd), f"{percent(way.cold_share)} cold", each]


def _by_sum(found: Iterable[Advice]) -> list[tuple[str, str, list[Advice]]]:
    """Rules about the same sum together."""
    groups: dict[tuple[str, str], list[Advice]] = {}
    for each in found:
        groups.setdefault((each.topic, each.computed), []).append(each)
    return [(topic, text, same) for (topic, text), same in groups.items()]


def name(row_id: str | None) -> str:
    """A row as people read it: machines that stay are as many as the traffic needs."""
    return _named(re.sub(r"/\d+ always on", " always on", row_id or UNKNOWN).replace("/", " "))


def _named(text: str) -> str:
    found = re.sub(r"/\d+ always on", " always on", text).replace("NVIDIA ", "").replace("GeForce ", "")
    return re.sub(r"(?<=\w)/(?=\w)", " ", found)
