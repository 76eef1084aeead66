"""What every target's price is made of: a demand goes in, a bill of lines comes out, each quantity × unit price.

Pure values, no platform. Money and every quantity that meets a price is Decimal, rounded once; queueing is floating
point and ends in `workers`. What is not known stays unknown and is named: a bill then says "at least".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType

from baseload.planner.pool import Assumption, Dispatch, Pool
from baseload.planner.prices import MONTH_HOURS, SECONDS, Price, PriceBook, how_to_enter

GB = Decimal(10**9)
REQUESTS_PER_UNIT = {"request": Decimal(1), "million-requests": Decimal(10**6)}
_CENT = Decimal("0.01")
_QUANTITY = Decimal("0.000001")


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What is asked of a target, and how fast it answers. None is unknown, never zero."""

    requests_per_day: Decimal
    arrivals_cv: Decimal = Decimal(1)
    """Coefficient of variation of the gaps between requests at a steady rate."""
    active_share: Decimal = Decimal(1)
    """Of each hour; the parts have the rates within the sessions, and one has what is quiet."""
    service_s: Decimal | None = None
    """Mean time one request keeps a place on a worker."""
    service_cv: Decimal = Decimal(1)
    cold_start_s: Decimal | None = None
    concurrency: int = 1
    dispatch: Dispatch = Dispatch.PACKED
    """Which warm worker gets a request, where the platform does not document it."""
    request_bytes: int = 0
    response_bytes: int = 0
    prompt_tokens: Decimal | None = None
    output_tokens: Decimal | None = None
    parts: tuple[Part, ...] = ()
    """The month in parts, each with its own rate; empty is one part at `requests_per_day`."""
    batch: Work | None = None
    """All requests of a day at once instead of a rate: the parts have none then."""

    def per_month(self, month_hours: Decimal = MONTH_HOURS) -> Decimal:
        """Requests."""
        return self.requests_per_day * month_hours / 24

    def in_parts(self) -> tuple[Part, ...]:
        """The parts, one where none are given."""
        return self.parts or (Part(share=Decimal(1), requests_per_day=self.requests_per_day),)

    @property
    def scheduled(self) -> bool:
        """Whether a schedule says the minimum."""
        return any(part.workers_min is not None for part in self.parts)

    @property
    def unscheduled(self) -> Demand:
        """The same without it."""
        return replace(self, parts=tuple(replace(part, workers_min=None) for part in self.parts))


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some hours of the week, for instance the office hours."""

    share: Decimal
    """Of the month; those of a demand add up to 1."""
    requests_per_day: Decimal
    """The rate in these hours, as if the whole day were like them."""
    workers_min: int | None = None
    """Instead of the target's own, of a hybrid instead of its base: `schedule:`."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What lies ready once a day."""

    jobs: int
    within_s: Decimal
    workers_ready: int | None = None
    """Those of a schedule's minimum when it begins; None is the target's own."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """`quantity` × `unit_price_usd` = `amount_usd`."""

    what: str
    quantity: Decimal
    price: Price
    factor: Decimal = Decimal(1)
    """Of the price: a region's multiplier, the GPUs of a worker."""

    @property
    def unit(self) -> str:
        """What `quantity` counts."""
        return self.price.unit

    @property
    def unit_price_usd(self) -> Decimal:
        """Of one unit, the factor included."""
        if self.price.usd is None:
            raise ValueError(f"{self.price.id} has no price")
        return self.price.usd * self.factor

    @property
    def exact_usd(self) -> Decimal:
        """Unrounded: for a single request."""
        return self.quantity * self.unit_price_usd

    @property
    def amount_usd(self) -> Decimal:
        """Dollars a month, to the cent."""
        return cents(self.exact_usd)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of the way of a request; None is not known."""

    name: str
    low_s: Decimal | None
    high_s: Decimal | None
    source: str


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Requests by what became of them in a simulation, in place of the closed forms of targets."""

    refused_share: Decimal
    """Of all."""
    minimum_share: Decimal
    """Of all, those served by workers of a minimum that takes requests first."""
    wait_s: Decimal
    """Mean of those that are served."""
    method: str | None

    @property
    def shares(self) -> tuple[Decimal, Decimal, Decimal]:
        """Of the requests: served by the minimum, by others, refused."""
        served = 1 - self.refused_share
        return self.minimum_share, max(served - self.minimum_share, Decimal(0)), self.refused_share


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What a target costs a month, what it rests on, and why it may be no choice at all."""

    target: str
    lines: tuple[Line, ...] = ()
    unpriced: tuple[str, ...] = ()
    """What would be billed and has no price, as `provider/product/gpu`."""
    unknown: tuple[str, ...] = ()
    """Figures that are missing, by their key in a spec."""
    impossible: tuple[str, ...] = ()
    """Reasons why this target cannot serve the demand; the lines are then arithmetic only."""
    caveats: tuple[str, ...] = ()
    latency: tuple[Stage, ...] = ()
    method: str | None = None
    starts: Decimal = Decimal(0)
    """Of workers, a month."""
    pools: tuple[tuple[float, Pool], ...] = ()
    """The workers in each part of the month, with its share: what the latency comes from. Empty is not known."""
    base: int | None = None
    """Replicas of a hybrid's base; by a schedule the most of them."""
    refused_share: Decimal = Decimal(0)
    """Of the requests, which are answered with an error because the target is at its cap."""
    counted: Counted | None = None
    """None without a simulation, or where nothing is billed by it."""
    assumptions: tuple[Assumption, ...] = ()
    shared: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))
    """Quantities that are billed once per account, by price row: see `stack`."""

    @property
    def at_least_usd(self) -> Decimal:
        """The known part of the month."""
        return sum((line.amount_usd for line in self.lines), Decimal("0.00"))

    @property
    def monthly_usd(self) -> Decimal | None:
        """The month; None where a price or a figure is unknown."""
        return None if self.unpriced or self.unknown else self.at_least_usd

    @property
    def amounts(self) -> dict[str, Decimal]:
        """Dollars a month by line; lines of the same name are added up."""
        found: dict[str, Decimal] = {}
        for line in self.lines:
            found[line.what] = found.get(line.what, Decimal("0.00")) + line.amount_usd
        return found

    def latency_s(self) -> tuple[Decimal | None, Decimal | None]:
        """The sum of the stages, low and high; None as soon as one is."""
        lows, highs = [stage.low_s for stage in self.latency], [stage.high_s for stage in self.latency]
        return _sum(lows), _sum(highs)

    def how_to_price(self) -> tuple[str, ...]:
        """A remedy for everything unpriced."""
        return tuple(dict.fromkeys(how_to_enter(name.partition("/")[0]) for name in self.unpriced))


class Tally:
    """Collects the lines of one bill out of a price book, and what has no price there."""

    def __init__(self, book: PriceBook) -> None:
        self.book = book
        self.lines: list[Line] = []
        self.unpriced: list[str] = []

    def time(self, what: str, price: Price | None, name: str, seconds: Decimal, factor: Decimal = Decimal(1)) -> None:
        """A line for a time, in the unit of its price; nothing for no time."""
        if self._has(price, name) and price is not None and seconds > 0:
            self.lines.append(timed(what, price, seconds, factor))

    def units(self, what: str, price: Price | None, name: str, quantity: Decimal) -> None:
        """A line for a quantity in the unit of its price; nothing for none."""
        if self._has(price, name) and price is not None and quantity > 0:
            self.lines.append(counted(what, price, quantity))

    def steps(self, what: str, rows: Iterable[Price], name: str, quantity: Decimal) -> None:
        """Lines for a monthly quantity whose price depends on how much it is; below the first row it is free."""
        rows = list(rows)
        if not rows:
            self._has(None, name)
        for at, row in enumerate(rows):
            start = row.starts_at
            end = rows[at + 1].starts_at if at + 1 < len(rows) else None
            inside = (quantity if end is None else min(quantity, end)) - start
            self.units(what, row, name, max(inside, Decimal(0)) / REQUESTS_PER_UNIT.get(row.unit, Decimal(1)))

    def factor(self, provider: str, name: str | None) -> Decimal:
        """What prices are multiplied by for that reason; 1 for none."""
        if name is None:
            return Decimal(1)
        row = self.book.find(provider, "factor", name)
        self._has(row, f"{provider}/factor/{name}")
        return Decimal(1) if row is None or row.usd is None else row.usd

    def _has(self, price: Price | None, name: str) -> bool:
        if price is not None and price.usd is not None:
            return True
        if name not in self.unpriced:
            self.unpriced.append(name)
        return False


def timed(what: str, price: Price, seconds: Decimal, factor: Decimal = Decimal(1)) -> Line:
    """The line of a time at a price for a time. Raises ValueError for a price that is for none."""
    if price.unit not in SECONDS:
        raise ValueError(f"{price.id} is priced by {price.unit}, not by time")
    return Line(what=what, quantity=_rounded(seconds / SECONDS[price.unit]), price=price, factor=factor)


def counted(what: str, price: Price, quantity: Decimal) -> Line:
    """The line of a quantity in the unit of its price."""
    return Line(what=what, quantity=_rounded(quantity), price=price)


def usage(price: Price, requests: Decimal, seconds_each: Decimal = Decimal(1)) -> Line:
    """The line of requests that cost their own time and nothing else: no idle time, no cold start, no feasibility.

    How articles calculate, for comparison with them (docs/seeds.md); a bill is never this small. Raises ValueError for
    a price that is neither for a time nor for requests.
    """
    if price.unit in REQUESTS_PER_UNIT:
        return counted("requests", price, requests / REQUESTS_PER_UNIT[price.unit])
    return timed("busy", price, requests * seconds_each)


def break_even_share(dedicated: Price, serverless: Price) -> Decimal | None:
    """Share of the hour that a serverless worker must be *billed* before a dedicated one costs less; above 1 is never.

    Without idle tails and cold starts that is the busy share; with them fewer requests do (docs/cost-model.md). None
    where a price is unknown or not for a time.
    """
    fixed, flexible = dedicated.usd_per_hour, serverless.usd_per_hour
    return None if fixed is None or flexible is None else fixed / flexible


def cents(usd: Decimal) -> Decimal:
    """Rounded to the cent, half up."""
    return usd.quantize(_CENT, ROUND_HALF_UP)


def _rounded(quantity: Decimal) -> Decimal:
    rounded = quantity.quantize(_QUANTITY, ROUND_HALF_UP)
    return rounded.quantize(Decimal(1)) if rounded == rounded.to_integral_value() else rounded.normalize()


def _sum(values: Iterable[Decimal | None]) -> Decimal | None:
    total = Decimal(0)
    for value in values:
        if value is None:
            return None
        total += value
    return total
