"""One target as a row: its bill over all that the range holds, its latency, and what stands in its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from baseload.planner.compare.row import Row, Status, envelope, judged, served, unknown_figure
from baseload.planner.cost import BURSTS, SEED, SESSIONS, Spread
from baseload.planner.cost.target import dispatches, error_of_bill
from baseload.planner.performance.on_cards import Times, on_another_platform, times_on
from baseload.planner.pool import Dispatch
from baseload.planner.prices import Price, PriceBook
from baseload.planner.spec.model import Auto, Container, Model, ModelSpec, Performance, Precision, Range, Traffic
from baseload.planner.targets import price as bill_of
from baseload.planner.targets.bill import Bill, Demand, Part, Stage, cents
from baseload.planner.targets.demand import demand_of
from baseload.planner.targets.fleet import fleet_of
from baseload.planner.targets.hardware import Hardware, hardware_of
from baseload.planner.targets.rented import Rented
from baseload.planner.targets.runpod import RunpodPod
from baseload.planner.targets.workers import Fleet, mean_wait_s
from baseload.planner.traffic.rates import quadrature

if TYPE_CHECKING:
    from baseload.planner.performance.cards import Card
    from baseload.planner.targets import Target

MOST_STEADY = 1_000
"""Workers always on that are sized: each size is a sum over all of them."""

END_GROUPS = 2
"""Of rates of the week, at the ends of the range: bills of a business week within 1 % of those at all rates."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What every row of a comparison is worked out from."""

    spec: ModelSpec
    """At the precision of the row."""
    measured: Model | Container
    """As the spec's own figures hold for it."""
    own: Hardware
    """What they were measured on."""
    book: PriceBook
    asked: Asked | None
    only: frozenset[str] | None = None
    """Price rows that are looked at; None is all."""
    ranged: bool = True
    """False: expected months alone, to see which rows are worth a range and a latency."""
    seed: int | None = SEED
    """Of months that are simulated where the closed form is in doubt; None leaves them in doubt."""

    @classmethod
    def of(cls, spec: ModelSpec, book: PriceBook, seed: int | None = SEED) -> Question:
        """About the spec as it stands."""
        own = hardware_of(spec.target, book)
        if isinstance(spec.target, Auto) and isinstance(spec.serves, Model) and spec.traffic and spec.traffic.tokens:
            # Nobody says on which GPU it was measured: estimates are at least alike for all of them.
            spec = replace(spec, performance=replace(spec.performance, service_time_s=None))
        return cls(spec=spec, measured=spec.serves, own=own, book=book, asked=Asked.of(spec), seed=seed)

    def times(self, cards: Sequence[Card], count: int, platform: str) -> Times:
        """On other cards, of another platform."""
        times = times_on(self.spec, self.own, cards, count, self.measured)
        measured = platform == self.own.platform and self.spec.performance.cold_start_s is not None
        return times if measured else on_another_platform(self.spec, times, self.own)

    def at(self, precision: Precision) -> Question:
        """The same about the model at another precision; the figures stay those of the spec's own."""
        assert isinstance(self.spec.serves, Model), "a container has none"
        return replace(self, spec=replace(self.spec, serves=replace(self.spec.serves, precision=precision)))

    def looks_at(self, price: Price | None) -> bool:
        """Whether a row of the book is asked about."""
        return self.only is None or (price is not None and price.id in self.only)

    def demands(self, times: Times, copies: int) -> list[Demand]:
        """The expected one, and those at the ends of the range."""
        assert self.asked is not None, "asked for only with a rate"
        return self.asked.demands(times, copies) if self.ranged else [self.asked.at(times.expected, copies)]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The demand at each rate that the spec's range holds, worked out once for all rows; its times are still open."""

    expected: Demand
    ends: tuple[tuple[Demand, Demand], ...]
    """At the low and the high end of the range, by the shape of the traffic."""
    high: Demand
    """The most that is asked for, as the spec spreads it over the week."""

    @classmethod
    def of(cls, spec: ModelSpec) -> Asked | None:
        """None without a rate of traffic."""
        traffic, expected = spec.traffic, demand_of(spec)
        if traffic is None or expected is None:
            return None
        pairs = [
            (demand_of(replace(spec, traffic=low)), demand_of(replace(spec, traffic=high)))
            for low, high in ends_of(traffic)
        ]
        known = [(low, high) for low, high in pairs if low is not None and high is not None]
        return cls(
            expected=expected, ends=tuple((_coarse(low), _coarse(high)) for low, high in known), high=known[0][1]
        )

    def at(self, performance: Performance, copies: int = 1) -> Demand:
        """The expected one with these times."""
        return _at(self.expected, performance, copies)

    def demands(self, times: Times, copies: int) -> list[Demand]:
        """The expected one, then the ends of what the range holds, with each shape of the traffic: the least traffic
        served fast, the most served slowly."""

        corners = [
            (demand, performance)
            for low, high in self.ends
            for demand, performance in ((low, times.fast), (high, times.slow))
        ]
        found = [
            self.at(times.expected, copies),
            *(_at(demand, performance, copies) for demand, performance in corners),
        ]
        return list(dict.fromkeys(found))

    def steady(self, times: Times, copies: int) -> int | None:
        """The fewest workers always on that serve the high end with a mean wait of one service time at most.

        None where that are more than anybody sizes one by one, or the service time is unknown.
        """
        service_s = times.expected.service_time_s
        if service_s is None:
            return None
        demand = _at(self.high, times.expected, copies).unscheduled
        peak = max(part.requests_per_day for part in demand.in_parts())
        workers = int(peak / 86_400 * service_s / demand.concurrency) + 1
        while workers <= MOST_STEADY:
            wait = mean_wait_s(demand, workers)
            if wait is not None and wait <= service_s:
                return workers
            workers += 1
        return None


def _coarse(demand: Demand) -> Demand:
    """With fewer rates: an end of the range is no sharper than the factor that makes it."""
    if demand.scheduled:
        return demand
    rates = quadrature([(float(part.share), float(part.requests_per_day)) for part in demand.in_parts()], END_GROUPS)
    return replace(demand, parts=tuple(Part(share=Decimal(a), requests_per_day=Decimal(b)) for a, b in rates))


def ends_of(traffic: Traffic) -> list[tuple[Traffic, Traffic]]:
    """The least and the most traffic of the range: as the spec spreads it over the week, then in sessions where hourly
    figures may hide them, and in bursts where nothing says how bursty it is."""
    shapes = [traffic]
    if traffic.active_share is None and (traffic.curve or traffic.hourly):
        shapes.append(replace(traffic, active_share=SESSIONS))
    if traffic.cv is None and traffic.batch is None:
        shapes += [replace(traffic, cv=cv) for cv in BURSTS]
    return [(_times(shape, shape.range.low), _times(shape, shape.range.high)) for shape in shapes]


def _times(traffic: Traffic, factor: Decimal) -> Traffic:
    return replace(
        traffic,
        requests_per_day=None if traffic.requests_per_day is None else traffic.requests_per_day * factor,
        hourly=tuple(rate * factor for rate in traffic.hourly),
        observed=None if traffic.observed is None else traffic.observed.times(float(factor)),
        batch=None if traffic.batch is None else replace(traffic.batch, jobs=int(traffic.batch.jobs * factor)),
        range=Range(),
    )


def _at(demand: Demand, performance: Performance, copies: int) -> Demand:
    return replace(
        demand,
        service_s=performance.service_time_s,
        service_cv=performance.service_time_cv,
        cold_start_s=performance.cold_start_s,
        concurrency=performance.concurrency * copies,
    )


def priced_row(about: Question, blank: Row, target: Target, demands: Sequence[Demand], times: Times) -> Row:
    """The row of a target: `demands` are the expected one and those at the ends of the range."""
    asked = demands[:1] if _costs_the_same(target) else demands
    bills = [bill_of(target, demand, about.book) for demand in asked]
    bills += spread_out(about, target, asked, bills)
    return bills_row(about, blank, target, bills, demands[0], times)


def spread_out(about: Question, target: Target, demands: Sequence[Demand], bills: Sequence[Bill]) -> list[Bill]:
    """The dearest of the bills by balanced dispatch, where the platform may have it and that matters."""
    if not about.ranged or not dispatches(replace(about.spec, target=target)):
        return []
    dearest = max(zip(bills, demands, strict=True), key=lambda pair: pair[0].at_least_usd)[1]
    return [bill_of(target, replace(dearest, dispatch=Dispatch.BALANCED), about.book)]


def _costs_the_same(target: Target) -> bool:
    """Whatever is asked of it: workers that are always on, and nothing by the request."""
    match target:
        case RunpodPod():
            return True
        case Rented():
            return target.workers_min >= target.workers_max
        case _:
            return False


def bills_row(
    about: Question,
    blank: Row,
    target: Target,
    bills: Sequence[Bill],
    demand: Demand,
    times: Times,
    sides: Sequence[Row] = (),
) -> Row:
    """The row of its bills, the expected one first; `sides` are the rows that a hybrid is made of."""
    bill, fleet = bills[0], fleet_of(target, about.book)
    performance = replace(times.expected, concurrency=demand.concurrency)
    blank = replace(blank, spec=replace(about.spec, target=target, performance=performance), times=times)
    if bill.impossible:
        return replace(blank, status=Status.IMPOSSIBLE, reasons=bill.impossible)
    months, worst_usd = [each.monthly_usd for each in bills], _hourly(blank, fleet)
    off = error_of_bill(bill, bill.monthly_usd, worst_usd, about.book.month_hours)
    row = replace(
        blank,
        status=Status.RANKED,
        monthly_usd=off.around(envelope([Spread(low=month, expected=month, high=month) for month in months])),
        usd_per_1000_requests=_per_1000(bill, demand, about.book),
        hourly_worst_case_usd=worst_usd,
        added_s=added(bill.latency),
        caveats=(*bill.caveats, *extras(*(sides or (blank,)))),
        assumptions=(*times.assumptions, *blank.assumptions, *bill.assumptions),
        method=bill.method,
    )
    row = judged(row, bill.unpriced, [unknown_figure(name) for name in bill.unknown], times.same_speed)
    return served(row, demand, fleet) if about.ranged else row


def extras(*rows: Row) -> list[str]:
    """CPU and memory that are billed extra on any of them: what a model needs of these is not in a spec."""
    included = all(row.price is not None and "cpu" in row.price.includes.split() for row in rows)
    return [] if included else ["CPU and memory are billed extra: the bill is at least this"]


def _per_1000(bill: Bill, demand: Demand, book: PriceBook) -> Decimal | None:
    requests, month = demand.per_month(book.month_hours), bill.monthly_usd
    if month is None or requests < Decimal("0.001"):
        return None
    return (month * 1000 / requests).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def _hourly(row: Row, fleet: Fleet) -> Decimal | None:
    if row.price is None or row.price.usd_per_hour is None:
        return None
    factor = row.gpu_count if row.price.unit.startswith("gpu-") else 1
    return cents(row.price.usd_per_hour * factor * fleet.workers_max)


def added(stages: Sequence[Stage]) -> tuple[Decimal | None, Decimal | None] | None:
    """Low and high of the provider's own ways; None where it has none."""
    own = [stage for stage in stages if stage.name not in ("service", "wait for a place")]
    if not own:
        return None
    lows, highs = [stage.low_s for stage in own], [stage.high_s for stage in own]
    return _sum(lows), _sum(highs)


def _sum(values: Sequence[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if len(known) == len(values) else None
