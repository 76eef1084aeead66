"""What one model costs a month, as a value with its lines, range and assumptions; the same for every target.

Money and every quantity that is multiplied by a price is Decimal, rounded once. What is not known (a measured time, a
price) stays None and is named; it is never zero. How a target is billed stands in `cost.runpod` and in `targets`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from baseload.planner.spec.model import RunpodTarget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from baseload.planner.diagnostics import Diagnostic
    from baseload.planner.pool import Assumption
    from baseload.planner.prices import Price, PriceBook
    from baseload.planner.spec.model import ModelSpec, Performance
    from baseload.planner.targets.bill import Bill, Stage

MONTH_S = Decimal(2_628_000)
"""730 hours."""

MONTH_DAYS = Decimal(730) / 24

GROWTH_MONTHS = (1, 6, 12)

SESSIONS = Decimal("0.20")
"""Share of the time with traffic that the range of an hourly profile also holds, where the spec does not say one.

What that and the next two hold of recorded clients: docs/traffic.md."""

BURSTS = (Decimal(2),)
"""Coefficients of variation of the gaps between requests that the range also holds, where the spec does not say one."""

WIDEST_BURSTS = (Decimal(6),)
"""Those that only the widest range holds besides."""

CLOSED_FORM_PERCENT = Decimal(2)
"""By how much the closed form may be off, of what workers that come and go bill: 19 of 20 pools outside of the gate.

Measured by `python -m benchmarks model` (benchmarks/README.md: 1.29 to 1.64 %, bound 2 %)."""

DRIFT = (Decimal("0.5"), Decimal(2))
"""A week's volume over that of the week before: 10 of 12 recorded clients with traffic in both are between."""

_CENT = Decimal("0.01")


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Dollars a month at low, expected and high traffic; None is unknown."""

    low: Decimal | None = None
    expected: Decimal | None = None
    high: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Split:
    """Dollars a month at expected traffic by what the workers do; None is unknown."""

    busy: Decimal | None = None
    idle: Decimal | None = None
    cold_start: Decimal | None = None
    always_on: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the expected bill: `quantity` × `unit_price_usd`, rounded to the cent, is `amount_usd`."""

    what: str
    """`busy`, `idle`, `cold_start`, `always_on`, or what else a target bills."""
    quantity: Decimal
    """`unit`s a month."""
    unit_price_usd: Decimal
    """Of one unit, a region's multiplier included."""
    price: str
    """Id of the price row."""
    unit: str = "GPU-second"
    """As `unit_name` says it."""

    @property
    def amount_usd(self) -> Decimal:
        """Dollars a month, to the cent."""
        return cents(self.quantity * self.unit_price_usd)


@dataclass(frozen=True, kw_only=True)
class Factor:
    """What the month costs where one thing is other than expected; the range holds all of these."""

    name: str
    value: str
    monthly_usd: Decimal


@dataclass(frozen=True, kw_only=True)
class Ends:
    """Which factors together make the ends of the range, as `name value`; none where that is the expected traffic."""

    low: tuple[str, ...] = ()
    high: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GrowthMonth:
    """The bill of a later month, at the traffic grown by then."""

    month: int
    """Month 1 is the expected one."""
    requests_per_day: Decimal
    monthly_usd: Decimal | None


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """A daily batch on this endpoint."""

    jobs: int
    within_s: Decimal
    takes_s: Decimal | None
    """None where it is never done: the next day's work is there before."""
    workers: int
    """`workers.max`."""
    workers_needed: int | None
    """None where no number of workers is enough."""
    monthly_usd_at_needed: Decimal | None
    """The month with `workers.max` at `workers_needed`; None where that or the price is unknown."""


@dataclass(frozen=True, kw_only=True)
class ResponseTime:
    """From the arrival of a request to its answer, at the expected traffic; None is unknown."""

    p50_s: Decimal | None = None
    p95_s: Decimal | None = None
    p99_s: Decimal | None = None
    cold_share: Decimal | None = None
    """Of the requests, those that wait for a worker to start."""
    refused_share: Decimal | None = None
    """Of the requests, those that are answered with an error because the target is at its cap."""
    added: tuple[Stage, ...] = ()
    """The provider's own ways, not in the quantiles."""


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """How the expected month was simulated."""

    seed: int
    requests: int
    """Warm-ups included."""
    replications: int
    sampled: str
    """What of the traffic each of them is."""
    arrivals: str
    interval_percent: Decimal
    """Half of the 95 % interval of the billed worker time."""
    closed_form_usd: Decimal | None
    """The expected month without simulation; None without a price."""
    doubts: tuple[str, ...]
    """Why that is not used."""
    command: str
    """Simulates the same again."""


def others_move(lines: Sequence[Line], simulated_usd: Decimal, closed_form_usd: Decimal) -> Decimal:
    """What workers that come and go bill by simulation, over the closed form: for months that are not simulated.

    `lines` are those of the simulated month; its workers of the minimum are the same in both.
    """
    always_usd = sum((line.amount_usd for line in lines if line.what == "always_on"), Decimal(0))
    if closed_form_usd <= always_usd:
        return Decimal(1)
    ratio = (simulated_usd - always_usd) / (closed_form_usd - always_usd)
    return ratio.quantize(Decimal("0.0001"), ROUND_HALF_UP)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of one model, what it rests on, and what is wrong or missing."""

    target: str
    """For a heading: `runpod flex`, `modal 2 × H100`."""
    monthly_usd: Spread
    split_usd: Split
    at_least_usd: Decimal
    """The part of the expected month that is known: all of it, or the workers that are always on."""
    usd_per_1000_requests: Decimal | None
    hourly_worst_case_usd: Decimal | None
    method: str | None
    worker_starts_per_month: Decimal | None
    lines: tuple[Line, ...]
    prices: tuple[Price, ...]
    """The rows of the lines, the main one first; a row without an amount where that is all there is."""
    assumptions: tuple[Assumption, ...]
    diagnostics: tuple[Diagnostic, ...]
    performance: Performance
    """The spec's, with what was estimated filled in: that of the expected month."""
    widest_usd: Spread = field(default_factory=Spread)
    """`monthly_usd` with bursts that few have."""
    drift_usd: Spread | None = None
    """`widest_usd` at the volume of another week; None where the traffic was not measured, or its `range` says it."""
    factors: tuple[Factor, ...] = ()
    ends: Ends = field(default_factory=Ends)
    growth: tuple[GrowthMonth, ...] = ()
    deadline: Deadline | None = None
    response: ResponseTime | None = None
    bill: Bill | None = None
    """What it was made of; None for RunPod serverless, whose lines are all there is."""

    simulation: Simulation | None = None
    """None where the closed form is used; else the latency is of the same runs."""

    @property
    def price(self) -> Price | None:
        """The main one."""
        return self.prices[0] if self.prices else None


_NAMES = (("gpu-", "GPU-"), ("gib-", "GiB-"), ("gb", "GB"), ("million-", "million "))


def unit_name(unit: str) -> str:
    """A unit of the price book as people write it: `GPU-hour`, `GB`, `million requests`."""
    for start, written in _NAMES:
        if unit.startswith(start):
            return written + unit.removeprefix(start)
    return unit


def cents(usd: Decimal) -> Decimal:
    """Rounded to the cent, half up."""
    return usd.quantize(_CENT, ROUND_HALF_UP)


SEED = 1
"""Of plans that simulate."""


def cost_of(spec: ModelSpec, book: PriceBook, seed: int | None = None) -> Cost:
    """The cost of one spec at the prices of a book; pure. With a `seed` simulated where the closed form is in doubt."""
    if isinstance(spec.target, RunpodTarget):
        from baseload.planner.cost.runpod import runpod_cost

        return runpod_cost(spec, book, seed)
    from baseload.planner.cost.target import target_cost

    return target_cost(spec, book, seed)


def doubts_of(spec: ModelSpec, book: PriceBook) -> tuple[str, ...]:
    """Why the closed form of the spec's expected month is not to be trusted; empty where it is, or not known at all."""
    if isinstance(spec.target, RunpodTarget):
        from baseload.planner.cost.runpod import runpod_doubts

        return runpod_doubts(spec)
    from baseload.planner.cost.target import target_doubts

    return target_doubts(spec, book)


def expected_month_usd(spec: ModelSpec, book: PriceBook, seed: int | None = None) -> Decimal | None:
    """The expected month of `cost_of` alone: for pricing one spec many times."""
    if isinstance(spec.target, RunpodTarget):
        from baseload.planner.cost.runpod import runpod_month_usd

        return runpod_month_usd(spec, book, seed)
    from baseload.planner.cost.target import target_month_usd

    return target_month_usd(spec, book, seed)
