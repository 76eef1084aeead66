"""At how many requests a day the order of two rows of a comparison changes: both priced at traffic that is scaled.

Pure. The shape of the week stays, and both sides have as many workers as the traffic needs: machines that are always
on are sized again at each rate, what comes and goes may start as many. Every bill is that of the closed form; there is
no second formula, and nothing is interpolated but the place of a change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from baseload.planner.compare.priced import Asked
from baseload.planner.compare.row import Comparison, Row, Status
from baseload.planner.cost import expected_month_usd
from baseload.planner.performance.on_cards import Times
from baseload.planner.spec.model import ModelSpec, RunpodTarget
from baseload.planner.sweep import scaled
from baseload.planner.targets import price as bill_of
from baseload.planner.targets.aws import LambdaSagemaker, SagemakerServerless
from baseload.planner.targets.demand import demand_of
from baseload.planner.targets.hybrid import Hybrid
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.rented import Rented
from baseload.planner.targets.runpod import RunpodPod

if TYPE_CHECKING:
    from baseload.planner.prices import PriceBook
    from baseload.planner.targets import Target
    from baseload.planner.targets.bill import Demand

LEAST, MOST = 1, 10_000_000
"""Requests a day that are looked at."""
STEPS = 12
"""Of each decade: a change of the order that is undone within a fifth of the traffic may be missed."""
WITHIN = Decimal("0.002")
"""How near the two sides of a change are, as a share of the rate."""
SAME = Decimal("0.02")
"""Bills this near are the same: 95 % of the closed form's are as near to simulated ones (docs/cost-model.md)."""
BEYOND = "more than 1,000 workers, or more than its provider or plan allows"
PAIRS = 5
"""Other targets that a row is set against where none is named."""


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """A change of the order: up to `below` requests a day one row is the cheaper, from `above` on the other.

    In between they cost the same within `SAME`.
    """

    below: Decimal
    above: Decimal
    cheaper_below: str
    cheaper_above: str


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """Two rows over all rates that both can be priced at."""

    one: str
    other: str
    crossings: tuple[Crossing, ...] = ()
    cheaper: str | None = None
    """At the spec's own rate; None where they cost the same within `SAME` or one has no bill."""
    requests_per_day: tuple[Decimal, Decimal] | None = None
    """The least and the most that were looked at; None where nothing was."""
    why: str = ""
    """There is no answer, or none above the rates looked at."""

    def to_json(self) -> dict[str, Any]:
        """Rates as decimal strings."""
        looked = self.requests_per_day
        return {
            "one": self.one,
            "other": self.other,
            "crossings": [
                {
                    "below": format(each.below, "f"),
                    "above": format(each.above, "f"),
                    "cheaper_below": each.cheaper_below,
                    "cheaper_above": each.cheaper_above,
                }
                for each in self.crossings
            ],
            "cheaper": self.cheaper,
            "requests_per_day": None if looked is None else [format(end, "f") for end in looked],
            "why": self.why,
        }


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """A row that can be priced at other rates."""

    row: Row
    spec: ModelSpec
    """The comparison's own."""
    book: PriceBook

    def month_usd(self, requests_per_day: Decimal) -> Decimal | None:
        """The month at that rate, with the cost of operation; None where it is unknown or not to be served."""
        if requests_per_day not in self._known:
            self._known[requests_per_day] = self._month_usd(requests_per_day)
        return self._known[requests_per_day]

    @cached_property
    def _known(self) -> dict[Decimal, Decimal | None]:
        return {}

    @cached_property
    def _asked(self) -> Asked | None:
        """The demand that machines which stay are sized for."""
        return Asked.of(self.row.spec) if self.row.spec is not None else None

    def _month_usd(self, requests_per_day: Decimal) -> Decimal | None:
        own = _rate(self.spec)
        if not own:
            return None
        if requests_per_day == own and self.row.monthly_usd.expected is not None:
            return self.row.total_usd.expected
        factor = requests_per_day / own
        bill = self._by_use(factor) if self.row.spec is None else self._by_workers(self.row.spec, factor)
        return None if bill is None else bill + (self.row.ops_usd or 0)

    def _by_use(self, factor: Decimal) -> Decimal | None:
        """By the token, or a contract."""
        row, demand = self.row, demand_of(self.spec, factor=factor)
        if demand is None:
            return None
        return bill_of(Rented(provider=row.target, product=row.mode, gpu=row.gpu), demand, self.book).monthly_usd

    def _by_workers(self, spec: ModelSpec, factor: Decimal) -> Decimal | None:
        if self._asked is None:
            return None
        performance = spec.performance
        times = Times(expected=performance, fast=performance, slow=performance)
        workers = replace(self._asked, high=_times(self._asked.high, factor)).steady(times, 1)
        if workers is None:
            return None
        changed = replace(spec, traffic=scaled(spec.traffic, factor))
        return expected_month_usd(replace(changed, target=_sized(spec.placed, workers, own=self.row.own)), self.book)


def break_even(one: Row, other: Row, spec: ModelSpec, book: PriceBook) -> BreakEven:
    """All rates from 1 to 10 million requests a day where the cheaper of the two changes."""
    return _break_even(Scaled(row=one, spec=spec, book=book), Scaled(row=other, spec=spec, book=book))


def _break_even(one: Scaled, other: Scaled) -> BreakEven:
    spec, sides = one.spec, (one, other)
    blank = BreakEven(one=one.row.id, other=other.row.id)
    own = _rate(spec)
    if not own or demand_of(spec) is None:
        return replace(blank, why="without a rate of traffic (`traffic.requests_per_day`, no batch) no bill changes")
    known: dict[Decimal, int | None] = {}

    def sign(rate: Decimal) -> int | None:
        """Which of the two costs less: -1 is the first, 0 neither."""
        if rate not in known:
            first, second = (side.month_usd(rate) for side in sides)
            known[rate] = None if first is None or second is None else _order(first, second)
        return known[rate]

    rates = _looked_at(sign, sorted({*_grid(), own}))
    if not rates:
        return replace(blank, why="one of the two has no bill at any rate")
    names = {-1: blank.one, 1: blank.other, 0: None, None: None}
    return replace(
        blank,
        crossings=tuple(_crossings(sign, rates, blank.one, blank.other)),
        cheaper=names[sign(own)],
        requests_per_day=(rates[0], rates[-1]),
        why="" if rates[-1] >= MOST else f"above {rates[-1]:,f} a day one of the two has no bill: {BEYOND}",
    )


def break_evens(found: Comparison, spec: ModelSpec, book: PriceBook) -> tuple[BreakEven, ...]:
    """The spec's own row, or the cheapest, against the cheapest of other targets, on RunPod also its other mode."""
    ranked = [row for row in found.of(Status.RANKED) if not row.another_precision and row.target != "hybrid"]
    if not ranked:
        return ()
    base = next((row for row in ranked if row.own), ranked[0])
    others: dict[str, Row] = {}
    for row in ranked:
        other_mode = row.target == base.target == "runpod" and row.mode != base.mode and row.gpus == base.gpus
        if other_mode or row.target != base.target:
            others.setdefault(row.target, row)
    own = Scaled(row=base, spec=spec, book=book)
    return tuple(_break_even(own, replace(own, row=row)) for row in list(others.values())[:PAIRS])


def _times(demand: Demand, factor: Decimal) -> Demand:
    parts = tuple(replace(part, requests_per_day=part.requests_per_day * factor) for part in demand.in_parts())
    return replace(demand, requests_per_day=demand.requests_per_day * factor, parts=parts)


def _looked_at(sign: Callable[[Decimal], int | None], grid: Sequence[Decimal]) -> list[Decimal]:
    """The rates at which both have a bill, up to the first at which one has none any more."""
    found: list[Decimal] = []
    for rate in grid:
        if sign(rate) is not None:
            found.append(rate)
        elif found:
            break
    return found


def _crossings(
    sign: Callable[[Decimal], int | None], rates: Sequence[Decimal], one: str, other: str
) -> Iterator[Crossing]:
    names = {-1: one, 1: other}
    decided = [rate for rate in rates if sign(rate)]
    for low, high in pairwise(decided):
        if sign(low) == sign(high):
            continue
        first = sign(low)
        below, _ = _edge(lambda rate, first=first: sign(rate) == first, low, high)  # type: ignore[misc]
        _, above = _edge(lambda rate, first=first: sign(rate) != -(first or 0), below, high)  # type: ignore[misc]
        yield Crossing(
            below=below,
            above=above,
            cheaper_below=names[sign(below) or 0],
            cheaper_above=names[sign(above) or 0],
        )


def _edge(holds: Callable[[Decimal], bool], low: Decimal, high: Decimal) -> tuple[Decimal, Decimal]:
    """Two rates next to each other: it holds at the first and not at the second; the bills may jump in between."""
    while high - low > WITHIN * low:
        middle = _short((low * high).sqrt())
        if middle in (low, high):
            break
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low, high


def _order(one: Decimal, other: Decimal) -> int:
    if abs(one - other) <= SAME * max(one, other):
        return 0
    return -1 if one < other else 1


def _grid() -> Iterator[Decimal]:
    for step in range(7 * STEPS + 1):
        yield _short(Decimal(10) ** (Decimal(step) / STEPS))


def _short(rate: Decimal) -> Decimal:
    """To five digits: a rate that can be written into a spec."""
    return rate.quantize(Decimal(1).scaleb(rate.adjusted() - 4), ROUND_HALF_UP)


def _rate(spec: ModelSpec) -> Decimal | None:
    return spec.traffic.requests_per_day if spec.traffic is not None else None


def _sized(target: RunpodTarget | Target, workers: int, *, own: bool) -> RunpodTarget | Target:
    """With as many workers as are needed; the spec's own never with fewer than it says."""
    least = workers if not own else 0
    match target:
        case RunpodTarget():
            return replace(target, workers_max=max(target.workers_max, workers))
        case Modal():
            return replace(target, containers_max=max(target.containers_max, workers))
        case RunpodPod():
            return replace(target, pods=least or max(target.pods, workers))
        case LambdaSagemaker():
            fixed = target.instances_min == target.instances_max
            most = least if fixed and least else max(target.instances_max, workers)
            return replace(target, instances_min=most if fixed else target.instances_min, instances_max=most)
        case Rented():
            fixed = target.workers_min == target.workers_max
            most = least if fixed and least else max(target.workers_max, workers)
            return replace(target, workers_min=most if fixed else target.workers_min, workers_max=most)
        case Hybrid():
            return replace(target, base=None, burst_max=max(target.burst_max, workers))
        case SagemakerServerless():
            return target
