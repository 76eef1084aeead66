"""What a comparison is made of: rows, what can be said of each, and their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from baseload.planner.cost import ResponseTime, Simulation, Spread
from baseload.planner.pool import Assumption, Pool
from baseload.planner.pool.latency import law_over
from baseload.planner.prices import Price
from baseload.planner.targets.workers import Fleet, pool_of

if TYPE_CHECKING:
    from baseload.planner.performance.on_cards import Times
    from baseload.planner.spec.model import ModelSpec
    from baseload.planner.targets.bill import Demand

SCHEMA = "baseload.compare/1"
UNKNOWN_MONTH = Spread()
NO_PRICE = "no price is published, and none is entered"
IN_DOUBT = Decimal("0.47"), Decimal("2.69")
"""How far a month may lie beyond its range where the closed form is in doubt: as the worst of the reasons did in 19 of
20 cases (docs/cost-model.md)."""
SAME_SPEED = "the speed on this GPU is not known: billed as if it were the speed on the spec's own"


class Status(StrEnum):
    """What can be said of a row; only the first is ranked."""

    RANKED = "ranked"
    SAME_SPEED = "same-speed"
    """Priced as if this GPU were as fast as the spec's own, which is not known."""
    UNKNOWN = "unknown"
    """A figure is missing."""
    UNPRICED = "unpriced"
    IMPOSSIBLE = "impossible"
    NO_GAIN = "no-gain"
    """A hybrid whose cheapest base is none at all."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One target, GPU and mode. None is unknown."""

    target: str
    gpu: str
    """The provider's own name of it."""
    gpu_count: int
    """Of one worker."""
    mode: str
    status: Status
    deployable: bool
    """By this version."""
    precision: str | None = None
    """Of the weights; None where what is served is not known."""
    another_precision: bool = False
    """Than the spec's: quality may differ."""
    own: bool = False
    """The spec's own target as it stands."""
    reasons: tuple[str, ...] = ()
    """Why it is not ranked."""
    monthly_usd: Spread = UNKNOWN_MONTH
    usd_per_1000_requests: Decimal | None = None
    hourly_worst_case_usd: Decimal | None = None
    """All workers on, what is billed beside them not counted."""
    p95_s: float | None = None
    """From arrival to answer at the expected traffic, the provider's own ways not counted."""
    p99_s: float | None = None
    cold_share: float | None = None
    """Of the requests, those that wait for a worker to start."""
    added_s: tuple[Decimal | None, Decimal | None] | None = None
    """Low and high of the provider's own ways, where it publishes or anybody measured any."""
    limits_broken: tuple[str, ...] = ()
    """Of the spec's `limits`."""
    service_level_broken: tuple[str, ...] = ()
    """Which promise, and which part of the latency is too long."""
    requires_broken: tuple[str, ...] = ()
    not_known: tuple[str, ...] = ()
    """What the spec asks for and nothing is known of: no pass."""
    ops_usd: Decimal | None = None
    """Dollars a month that running it costs beside the bill, as the spec says."""
    caveats: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    method: str | None = None
    price: Price | None = None
    distinguishable: bool = True
    """False where the range overlaps with that of the best row; one in doubt is taken to be wider (`IN_DOUBT`)."""
    spec: ModelSpec | None = field(default=None, compare=False, repr=False)
    """What was priced: the spec with this target, and its performance there."""
    times: Times | None = field(default=None, compare=False, repr=False)
    """The performance there, with its band."""
    simulation: Simulation | None = None
    """How the expected month was simulated; None where it is by the closed form."""
    doubts: tuple[str, ...] = ()
    """Why the closed form, which the month is by, is not to be trusted."""
    brief: bool = False
    """With nothing but its expected month."""
    tried: bool = False
    """Simulated, or too dense to be."""

    @property
    def id(self) -> str:
        """`target/gpu/mode`, and the precision where it is another than the spec's."""
        return "/".join(
            (self.target, self.gpus, self.mode, *((self.precision or "",) if self.another_precision else ()))
        )

    @property
    def gpus(self) -> str:
        """`2 × ADA_24`; a machine has a name of its own, whatever it holds."""
        machine = self.price is not None and self.price.unit.startswith("instance-")
        return f"{self.gpu_count} × {self.gpu}" if self.gpu_count > 1 and not machine else self.gpu

    @property
    def total_usd(self) -> Spread:
        """Bill and operation."""
        month, ops = self.monthly_usd, self.ops_usd
        if not ops or month.low is None or month.expected is None or month.high is None:
            return month
        return Spread(low=month.low + ops, expected=month.expected + ops, high=month.high + ops)

    @property
    def acceptable(self) -> bool:
        """Whether it is known to be all that the spec asks for."""
        broken = self.limits_broken or self.service_level_broken or self.requires_broken or self.not_known
        return self.status is Status.RANKED and not broken

    def to_json(self) -> dict[str, Any]:
        """Amounts as decimal strings."""
        month = self.monthly_usd
        return {
            "id": self.id,
            "target": self.target,
            "gpu": self.gpu,
            "gpu_count": self.gpu_count,
            "mode": self.mode,
            "status": str(self.status),
            "deployable": self.deployable,
            "precision": self.precision,
            "another_precision": self.another_precision,
            "own": self.own,
            "distinguishable": self.distinguishable,
            "reasons": list(self.reasons),
            "monthly_usd": {"low": _text(month.low), "expected": _text(month.expected), "high": _text(month.high)},
            "usd_per_1000_requests": _text(self.usd_per_1000_requests),
            "hourly_worst_case_usd": _text(self.hourly_worst_case_usd),
            "p95_s": None if self.p95_s is None else round(self.p95_s, 3),
            "p99_s": None if self.p99_s is None else round(self.p99_s, 3),
            "cold_share": None if self.cold_share is None else round(self.cold_share, 6),
            "added_s": None if self.added_s is None else [_text(end) for end in self.added_s],
            "limits_broken": list(self.limits_broken),
            "service_level_broken": list(self.service_level_broken),
            "requires_broken": list(self.requires_broken),
            "not_known": list(self.not_known),
            "ops_usd": _text(self.ops_usd),
            "total_usd": _text(self.total_usd.expected),
            "caveats": list(self.caveats),
            "assumptions": [item.to_json() for item in self.assumptions],
            "method": self.method,
            "simulation": None if self.simulation is None else _simulation(self.simulation),
            "doubts": list(self.doubts),
            "price": None if self.price is None else self.price.to_json(),
        }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All rows of one spec: ranked by the expected month, then those at the same speed, then those without a figure."""

    name: str
    spec_digest: str
    book: str
    rows: tuple[Row, ...]

    @property
    def best(self) -> Row | None:
        """The smallest expected month at the spec's own precision."""
        return next((row for row in self.of(Status.RANKED) if not row.another_precision), None)

    @property
    def best_deployable(self) -> Row | None:
        """The smallest expected month of what this version deploys and is all that the spec asks for, as precise."""
        ranked = (row for row in self.of(Status.RANKED) if row.deployable and not row.another_precision)
        return next((row for row in ranked if row.acceptable), None)

    def of(self, status: Status) -> tuple[Row, ...]:
        """The rows of a status, in order."""
        return tuple(row for row in self.rows if row.status is status)

    def to_json(self) -> dict[str, Any]:
        """`baseload.compare/1`."""
        best, deployable = self.best, self.best_deployable
        return {
            "schema": SCHEMA,
            "name": self.name,
            "spec_digest": self.spec_digest,
            "book": self.book,
            "best": None if best is None else best.id,
            "best_deployable": None if deployable is None else deployable.id,
            "rows": [row.to_json() for row in self.rows],
        }


def ranked(rows: Iterable[Row]) -> tuple[Row, ...]:
    """In their order, those marked that cannot be told from the best."""
    ordered = sorted(rows, key=_order)
    best = next((row for row in ordered if row.status is Status.RANKED and not row.another_precision), None)
    return tuple(
        replace(row, distinguishable=False)
        if best is not None and row is not best and row.status is Status.RANKED and _overlap(row, best)
        else row
        for row in ordered
    )


def _order(row: Row) -> tuple[int, Decimal, Decimal, str]:
    month = row.total_usd
    return list(Status).index(row.status), month.expected or Decimal(0), month.high or Decimal(0), row.id


def _overlap(one: Row, other: Row) -> bool:
    a, b = one.total_usd, other.total_usd
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return True
    (least_a, most_a), (least_b, most_b) = (IN_DOUBT if row.doubts else (1, 1) for row in (one, other))
    return a.low * least_a <= b.high * most_b and b.low * least_b <= a.high * most_a


def envelope(spreads: Sequence[Spread]) -> Spread:
    """The expected month of the first, the ends of all; unknown where that of the first is."""
    lows = [spread.low for spread in spreads if spread.low is not None]
    highs = [spread.high for spread in spreads if spread.high is not None]
    if spreads[0].expected is None or not lows or not highs:
        return Spread()
    return Spread(low=min(lows), expected=spreads[0].expected, high=max(highs))


def judged(row: Row, unpriced: Sequence[str], unknown: Sequence[str], same_speed: bool) -> Row:
    """With the status that its figures allow; an amount stands only where all of it is known."""
    if unpriced:
        itself = row.price is None or row.price.id in unpriced
        why = NO_PRICE if itself else f"no price is known for {', '.join(unpriced)}"
        return replace(row, status=Status.UNPRICED, reasons=(why,), monthly_usd=UNKNOWN_MONTH)
    if unknown or row.monthly_usd.expected is None:
        return replace(row, status=Status.UNKNOWN, reasons=tuple(unknown), monthly_usd=UNKNOWN_MONTH)
    return replace(row, status=Status.SAME_SPEED, reasons=(SAME_SPEED,)) if same_speed else row


def served(row: Row, demand: Demand | None, fleet: Fleet, known: ResponseTime | None = None) -> Row:
    """With its latency, where it is not `known`; impossible where more arrives in the mean than all workers serve."""
    if row.status is Status.UNKNOWN or demand is None or demand.service_s is None or demand.requests_per_day <= 0:
        return row
    load, slots = _load(demand), (fleet.workers_max + (fleet.dedicated or 0)) * demand.concurrency
    if load >= slots:
        needed = int(load / demand.concurrency) + 1
        why = f"{load:,.1f} requests are in service in the mean, {fleet.workers_max} workers serve {slots:,} at once"
        return replace(
            row,
            status=Status.IMPOSSIBLE,
            reasons=(f"{why}: `workers.max` {needed} or more would do",),
            monthly_usd=UNKNOWN_MONTH,
            usd_per_1000_requests=None,
        )
    if demand.cold_start_s is None and fleet.workers_min < fleet.workers_max:
        return row
    if known is not None and known.p95_s is not None:
        return timed(row, known)
    found = _latency(tuple((float(part.share), pool_of(demand, fleet, part)) for part in demand.in_parts()))
    if found is None:
        return replace(row, caveats=(*row.caveats, "more arrives in the busiest times than all workers serve"))
    p95_s, p99_s, cold = found
    return replace(row, p95_s=p95_s, p99_s=p99_s, cold_share=cold)


@lru_cache(maxsize=1024)
def _latency(pools: tuple[tuple[float, Pool], ...]) -> tuple[float, float, float] | None:
    """p95, p99 and the share of cold starts: the same at every price."""
    law = law_over(pools)
    return None if law is None else (law.quantile_s(0.95), law.quantile_s(0.99), law.cold_share)


def timed(row: Row, known: ResponseTime) -> Row:
    """With the latency of a plan."""
    p95_s, p99_s, cold = (None if x is None else float(x) for x in (known.p95_s, known.p99_s, known.cold_share))
    return replace(row, p95_s=p95_s, p99_s=p99_s, cold_share=cold)


def _load(demand: Demand) -> float:
    """Requests in service, in the mean."""
    return float(demand.requests_per_day) / 86_400 * float(demand.service_s or 0)


def unknown_figure(name: str) -> str:
    """What a bill's missing figure means to a reader."""
    if name == "idle_timeout":
        return "when an idle worker stops is not published"
    return f"the spec does not say `{name}`"


def _simulation(found: Simulation) -> dict[str, Any]:
    return {
        "seed": found.seed,
        "requests": found.requests,
        "replications": found.replications,
        "sampled": found.sampled,
        "interval_percent": _text(found.interval_percent),
        "closed_form_usd": _text(found.closed_form_usd),
        "doubts": list(found.doubts),
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
