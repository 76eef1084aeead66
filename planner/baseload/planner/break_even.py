"""Where a decision changes: the traffic at which two rows of a comparison cost the same, and which workers are worth
being dedicated.

Prices the same spec again and again at other rates with the closed form; the shape of its traffic over the week stays.
It says where the order changes and does not choose.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from baseload.planner.base import worth
from baseload.planner.compare.hybrids import as_fast, card_of, hour_usd, is_steady
from baseload.planner.compare.priced import Asked, scaled
from baseload.planner.compare.row import Comparison, Row, Status
from baseload.planner.cost import cents, expected_month_usd
from baseload.planner.on_cards import Times
from baseload.planner.spec.model import ModelSpec, RunpodTarget
from baseload.planner.targets.aws import LambdaSagemaker, SagemakerServerless
from baseload.planner.targets.demand import demand_of
from baseload.planner.targets.fleet import fleet_of
from baseload.planner.targets.hybrid import Hybrid
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.rented import Rented
from baseload.planner.targets.runpod import RunpodPod
from baseload.planner.targets.workers import pool_of

if TYPE_CHECKING:
    from baseload.planner.prices import PriceBook
    from baseload.planner.targets import Target

SCHEMA = "baseload.break-even/1"
LOWEST, HIGHEST = Decimal(1), Decimal(10**7)
"""Requests a day between which crossings are looked for."""
PER_DECADE = 6
"""Rates that are looked at: two crossings between neighbours are not seen."""
SHARPNESS = Decimal("1.002")
"""Ratio of the two rates between which a crossing is known to lie."""
SAME = Decimal("0.001")
"""Of the month: bills no further apart are taken as the same, the method errs by as much."""
MOST_WORKERS = 12
"""Whose worth is told."""

Month = Callable[[Decimal], Decimal | None]
"""Dollars a month at so many requests a day; None where that is unknown or more than anybody sizes."""


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """From this rate on the other one costs less."""

    requests_per_day: Decimal
    """To three digits."""
    monthly_usd: Decimal
    """Of the first of the two, there."""
    cheaper_above: str
    """Id of the row."""


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """Two rows over all rates that both can be priced at."""

    rows: tuple[str, str]
    """Their ids."""
    cheaper_below: str | None
    """Id of the one that costs less at the lowest rate; None is neither."""
    crossings: tuple[Crossing, ...]
    lowest: Decimal
    highest: Decimal
    """Requests a day that were looked at."""

    def to_json(self) -> dict[str, Any]:
        """Amounts as decimal strings."""
        return {
            "rows": list(self.rows),
            "cheaper_below": self.cheaper_below,
            "crossings": [
                {
                    "requests_per_day": _text(item.requests_per_day),
                    "monthly_usd": _text(item.monthly_usd),
                    "cheaper_above": item.cheaper_above,
                }
                for item in self.crossings
            ],
            "looked_at": {"lowest": _text(self.lowest), "highest": _text(self.highest)},
        }


@dataclass(frozen=True, kw_only=True)
class Worth:
    """Worker by worker, the share of the month it is billed; and the share above which a dedicated one costs less."""

    billed_shares: tuple[Decimal, ...]
    """Of the first worker, the second, … (φ): they fall."""
    workers: int
    """All that may be started; the shares of the rest are smaller still."""
    dedicated: str
    """Id of the row with the cheapest dedicated worker of the same speed."""
    from_share: Decimal
    """Its price over that of a worker that comes and goes, per hour."""

    @property
    def pays(self) -> int:
        """So many workers are billed for a larger share."""
        return sum(share > self.from_share for share in self.billed_shares)

    def to_json(self) -> dict[str, Any]:
        """Shares as decimal strings."""
        return {
            "billed_shares": [_text(share) for share in self.billed_shares],
            "workers": self.workers,
            "dedicated": self.dedicated,
            "from_share": _text(self.from_share),
            "pays": self.pays,
        }


# -------------------------------------------------------------------------------------------------- where they cross
def break_even(one: Row, other: Row, book: PriceBook) -> BreakEven | None:
    """Where the order of two rows changes; None where one of them has no bill."""
    months = month_of(one, book), month_of(other, book)
    rates = [rate for rate in _rates() if all(month(rate) is not None for month in months)]
    if not rates:
        return None
    ids = one.id, other.id

    cheaper = _Cheaper(*months)
    found, known = [], [(rate, cheaper(rate)) for rate in rates]
    decided = [(rate, which) for rate, which in known if which is not None]
    for (low, before), (high, after) in itertools.pairwise(decided):
        if before != after:
            rate = _between(low, high, partial(cheaper.still, before))
            usd = months[0](rate) or Decimal(0)
            found.append(Crossing(requests_per_day=_digits(rate), monthly_usd=cents(usd), cheaper_above=ids[after]))
    if decided and decided[0][0] > rates[0]:
        which = decided[0][1]
        rate = _between(rates[0], decided[0][0], partial(cheaper.still, None))
        usd = months[0](rate) or Decimal(0)
        found.insert(0, Crossing(requests_per_day=_digits(rate), monthly_usd=cents(usd), cheaper_above=ids[which]))
    same_at_first = not decided or decided[0][0] > rates[0]
    return BreakEven(
        rows=ids,
        cheaper_below=None if same_at_first else ids[decided[0][1]],
        crossings=tuple(found),
        lowest=rates[0],
        highest=rates[-1],
    )


@dataclass(frozen=True)
class _Cheaper:
    """Which of two months is smaller at a rate: 0, 1, or None where they differ by no more than the method errs."""

    one: Month
    other: Month

    def __call__(self, rate: Decimal) -> int | None:
        a, b = self.one(rate), self.other(rate)
        assert a is not None, "known where it is looked at"
        assert b is not None, "known where it is looked at"
        return None if abs(a - b) <= SAME * max(a, b) else int(b < a)

    def still(self, before: int | None, rate: Decimal) -> bool:
        """Whether nothing else than `before` holds yet."""
        return self(rate) in (before, None)


def month_of(row: Row, book: PriceBook) -> Month:
    """The month of a row at any rate: always-on workers are sized for it as in the comparison, and where more workers
    than the row's most are needed it is given them; what is billed by the token grows with the rate."""
    if row.spec is None:
        return _linear(row)
    spec = row.spec

    @cache
    def month(requests_per_day: Decimal) -> Decimal | None:
        there = at_rate(spec, requests_per_day, book)
        return None if there is None else expected_month_usd(there, book)

    return month


def _linear(row: Row) -> Month:
    each = row.usd_per_1000_requests
    return lambda rate: None if each is None else cents(each * rate * Decimal(730) / 24 / 1000)


def at_rate(spec: ModelSpec, requests_per_day: Decimal, book: PriceBook) -> ModelSpec | None:
    """The spec at another rate, with as many workers as that takes; None where nobody sizes so many."""
    demand = demand_of(spec)
    if spec.traffic is None or demand is None or demand.requests_per_day <= 0:
        return None
    factor = requests_per_day / demand.requests_per_day
    there = replace(spec, traffic=replace(scaled(spec.traffic, factor), range=spec.traffic.range))
    if isinstance(spec.target, SagemakerServerless):
        return there
    asked, times = Asked.of(there), spec.performance
    needed = asked.steady(Times(expected=times, fast=times, slow=times), 1) if asked else None
    return None if needed is None else replace(there, target=_sized(spec.target, needed, book))


def _sized(target: RunpodTarget | Target, needed: int, book: PriceBook) -> RunpodTarget | Target:
    if isinstance(target, SagemakerServerless):
        return target
    if isinstance(target, Hybrid):
        return replace(target, base=None, burst_max=max(target.burst_max, needed))
    fleet = fleet_of(target, book)
    steady = fleet.workers_min >= fleet.workers_max
    match target:
        case RunpodPod():
            return replace(target, pods=needed)
        case RunpodTarget():
            least = max(target.workers_min, needed) if steady else target.workers_min
            return replace(target, workers_min=least, workers_max=max(target.workers_max, needed))
        case LambdaSagemaker():
            least = needed if steady else target.instances_min
            return replace(target, instances_min=least, instances_max=max(least, needed))
        case Modal():
            return replace(target, containers_max=max(target.containers_max, needed))
        case Rented():
            least = needed if steady else target.workers_min
            most = needed if steady else max(target.workers_max, needed)
            return replace(target, workers_min=least, workers_max=most)


def _rates() -> Iterator[Decimal]:
    steps = PER_DECADE * (HIGHEST / LOWEST).adjusted()
    for step in range(steps + 1):
        yield _digits(LOWEST * Decimal(10) ** (Decimal(step) / PER_DECADE))


def _between(low: Decimal, high: Decimal, as_below: Callable[[Decimal], bool]) -> Decimal:
    """The rate in the middle of two, `SHARPNESS` apart, of which only the lower one is as below."""
    while high / low > SHARPNESS:
        middle = (low * high).sqrt()
        if as_below(middle):
            low = middle
        else:
            high = middle
    return (low * high).sqrt()


def _digits(rate: Decimal) -> Decimal:
    rounded = Context(prec=3, rounding=ROUND_HALF_UP).create_decimal(rate)
    return rounded.quantize(Decimal(1)) if rounded >= 100 else rounded


# ------------------------------------------------------------------------------------------------------ which are asked
def pairs(found: Comparison, book: PriceBook) -> Iterator[tuple[Row, Row]]:
    """The spec's own row, or the best that can be deployed, against the smallest bill of each other kind."""
    ranked = [row for row in found.of(Status.RANKED) if not row.another_precision]
    first = next((row for row in ranked if row.own), found.best_deployable)
    if first is None:
        return
    seen = {kind(first, book)}
    for row in ranked:
        if kind(row, book) not in seen:
            seen.add(kind(row, book))
            yield first, row


def kind(row: Row, book: PriceBook) -> str:
    """`always on`, `from zero`, `from one`, `hybrid`, `by the request` or `by the token`."""
    if row.spec is None:
        return "by the token"
    target = row.spec.target
    if isinstance(target, Hybrid):
        return "hybrid"
    if isinstance(target, SagemakerServerless):
        return "by the request"
    fleet = fleet_of(target, book)
    if fleet.workers_min >= fleet.workers_max:
        return "always on"
    return "from one" if fleet.workers_min else "from zero"


# ------------------------------------------------------------------------------------------- which workers are worth it
def worker_worth(row: Row, rows: Sequence[Row], book: PriceBook) -> Worth | None:
    """Of a row whose workers come and go, against the cheapest worker of the same GPU that stays; None without one.

    φ of docs/cost-model.md, the mean over all rates of the week.
    """
    spec, hour = row.spec, hour_usd(row)
    if spec is None or not hour or isinstance(spec.target, (Hybrid, SagemakerServerless)):
        return None
    fleet = fleet_of(spec.target, book)
    demand = demand_of(spec)
    dedicated = [each for each in rows if _stays_beside(each, row, book)]
    if demand is None or not dedicated or fleet.workers_min >= fleet.workers_max:
        return None
    cheapest = min(dedicated, key=lambda each: (hour_usd(each) or Decimal(0), each.id))
    billed = [0.0] * (fleet.workers_max - fleet.workers_min)
    for part in demand.in_parts():
        pool = pool_of(demand, fleet, part)
        overloaded = pool.load >= pool.slots
        shares = [1.0] * len(billed) if overloaded else worth(pool)
        for at, share in enumerate(shares[: len(billed)]):
            billed[at] += float(part.share) * share
    return Worth(
        billed_shares=tuple(_share(share) for share in billed[:MOST_WORKERS]),
        workers=len(billed),
        dedicated=cheapest.id,
        from_share=_share((hour_usd(cheapest) or Decimal(0)) / hour),
    )


def _stays_beside(other: Row, row: Row, book: PriceBook) -> bool:
    """Whether it is always on, priced, on the same GPU and as fast."""
    if other.status is not Status.RANKED or other.spec is None or other.another_precision:
        return False
    if isinstance(other.spec.target, (Hybrid, SagemakerServerless)) or hour_usd(other) is None:
        return False
    return is_steady(other, book) and card_of(other, book) == card_of(row, book) and as_fast(other, row)


def _share(value: float | Decimal) -> Decimal:
    return Decimal(value).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def _text(value: Decimal) -> str:
    return format(value, "f")
