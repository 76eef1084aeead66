"""Rows of a dedicated base with a serverless burst, out of the rows of both: the few that could be worth it.

Both sides have the same GPU, so that the speed is the same; the base is the cheapest that the arithmetic finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from baseload.planner.compare.priced import Question, bills_row, spread_out
from baseload.planner.compare.row import Row, Status
from baseload.planner.cost import cents
from baseload.planner.performance.on_cards import Times
from baseload.planner.prices import PriceBook
from baseload.planner.spec.model import RunpodTarget
from baseload.planner.targets.aws import SagemakerServerless
from baseload.planner.targets.fleet import fleet_of
from baseload.planner.targets.hardware import hardware_of
from baseload.planner.targets.hybrid import Hybrid, Side, hybrid

if TYPE_CHECKING:
    from baseload.planner.targets import Target

BASES = 3
"""Kinds of GPU on which a hybrid is looked at: those with the smallest bills always on."""
BURSTS = 2
"""Serverless products of the same GPU beside each, the ones with the smallest bills."""


def hybrid_rows(about: Question, rows: Sequence[Row]) -> Iterator[Row]:
    """Hybrids of the cheapest ranked rows."""
    ranked = [row for row in rows if row.status is Status.RANKED and row.spec is not None and row.price is not None]
    ranked = [row for row in ranked if not isinstance(_target(row), (Hybrid, SagemakerServerless))]
    ranked.sort(key=lambda row: (row.monthly_usd.expected or Decimal(0), row.id))
    fixed = [row for row in ranked if is_steady(row, about.book)]
    flexible = [row for row in ranked if is_from_zero(row, about.book)]
    seen: set[str] = set()
    for base in fixed:
        card = card_of(base, about.book)
        matching = [row for row in flexible if card_of(row, about.book) == card and as_fast(row, base)]
        if card is None or card in seen or not matching:
            continue
        seen.add(card)
        found = {row.target: row for row in reversed(matching)}  # of each the cheapest
        for burst in [row for row in matching if found[row.target] is row][:BURSTS]:
            yield _row(about, base, burst)
        if len(seen) == BASES:
            return


def _row(about: Question, base: Row, burst: Row) -> Row:
    assert about.asked is not None, "the sides have a bill"
    assert base.times is not None, "the base has a bill"
    fleet = fleet_of(_target(burst), about.book)
    target = Hybrid(
        dedicated=_side(base),
        burst=_side(burst),
        burst_max=fleet.workers_max,
        idle_timeout_s=fleet.idle_timeout_s,
        start_delay_s=fleet.start_delay_s,
    )
    times = base.times if burst.times is None else _slower(base.times, burst.times)
    blank = Row(
        target="hybrid",
        gpu=f"{base.target} {base.gpus} + {burst.target} {burst.gpus}",
        gpu_count=1,
        mode="a base and a burst",
        status=Status.NO_GAIN,
        deployable=False,
    )
    expected, *ends = about.asked.demands(times, 1)
    best = hybrid(target, expected, about.book)
    if not best.base:
        return replace(blank, reasons=(_why_none(base, burst),))
    target = replace(target, base=best.base)
    bills = [best, *(hybrid(target, demand, about.book) for demand in ends)]
    bills += spread_out(about, target, (expected, *ends), bills)
    row = bills_row(about, replace(blank, mode=f"base {best.base}"), target, bills, expected, times, (base, burst))
    fixed, flexible = hour_usd(base), hour_usd(burst)
    if fixed is None or flexible is None:
        return row
    return replace(row, hourly_worst_case_usd=cents(fixed * best.base + flexible * target.burst_max))


def hour_usd(row: Row) -> Decimal | None:
    """Of one worker."""
    if row.price is None or row.price.usd_per_hour is None:
        return None
    return row.price.usd_per_hour * (row.gpu_count if row.price.unit.startswith("gpu-") else 1)


def _why_none(base: Row, burst: Row) -> str:
    fixed, flexible = hour_usd(base), hour_usd(burst)
    if not fixed or not flexible or fixed >= flexible:
        return "an hour of the base costs more than an hour of the burst that is billed throughout: no base pays"
    return (
        f"no base pays: an hour of it costs {fixed / flexible * 100:.0f} % of one of the burst, of which even the "
        "first worker is billed for a smaller share of the time"
    )


def _target(row: Row) -> RunpodTarget | Target:
    assert row.spec is not None, "has a bill"
    return row.spec.placed


def _side(row: Row) -> Side:
    assert row.price is not None, "has a price"
    price = row.price
    return Side(
        provider=price.provider,
        product=price.product,
        gpu=price.gpu,
        region=price.region,
        tier=price.tier,
        gpu_count=row.gpu_count,
    )


def is_steady(row: Row, book: PriceBook) -> bool:
    """Whether its workers are machines that stay."""
    fleet = fleet_of(_target(row), book)
    return fleet.workers_min == fleet.workers_max and not isinstance(_target(row), RunpodTarget)


def is_from_zero(row: Row, book: PriceBook) -> bool:
    """Whether all its workers come and go."""
    return fleet_of(_target(row), book).workers_min == 0


def card_of(row: Row, book: PriceBook) -> str | None:
    """The only kind that it may be."""
    cards = hardware_of(_target(row), book).cards
    return cards[0].name if len(cards) == 1 else None


def as_fast(one: Row, other: Row) -> bool:
    """Whether a worker of both serves the same number of requests in the same time."""
    assert one.spec is not None, "has a bill"
    assert other.spec is not None, "has a bill"
    a, b = one.spec.performance, other.spec.performance
    return a.service_time_s == b.service_time_s and a.concurrency == b.concurrency


def _slower(one: Times, other: Times) -> Times:
    """The burst's cold start on the base's service time, which is the same."""
    return replace(
        other, assumptions=tuple({item.name: item for item in (*one.assumptions, *other.assumptions)}.values())
    )
