"""A dedicated base and a serverless burst: what each size of the base costs, and which is cheapest.

The base takes requests first, the burst what finds it full. Sizes are evaluated, not derived. The rule
behind it: a replica is worth being dedicated while the share of the time that its serverless worker would be billed
exceeds the ratio of the prices. Nothing is recommended that the arithmetic does not say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from baseload.planner.errors import UsageError
from baseload.planner.pool import Assumption
from baseload.planner.pool.base import cheapest as cheapest_of
from baseload.planner.pool.erlang import refused_share
from baseload.planner.prices import Price, PriceBook, unpriced
from baseload.planner.targets.aws import WAKE_S, LambdaSagemaker, beside_instances, function
from baseload.planner.targets.bill import Bill, Demand, Tally
from baseload.planner.targets.runpod import RunpodPod, disks
from baseload.planner.targets.runpod import shared as shared_by_pods
from baseload.planner.targets.workers import Fleet, Times, dedicated_in, dedicated_mean, missing, worker_time


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one side of a hybrid is rented by: a price row for a time, and the GPUs of one replica."""

    provider: str
    product: str
    gpu: str
    region: str = ""
    tier: str = ""
    gpu_count: int = 1
    beside: tuple[tuple[str, Decimal], ...] = ()
    """What is billed for the same time by rows of its own, with how much of it: on Modal `cpu` and `memory`."""
    factor_name: str | None = None
    """Row of the factor on all of its prices; on Modal that of a region."""

    def price(self, book: PriceBook) -> Price | None:
        """Its row."""
        return book.find(self.provider, self.product, self.gpu, region=self.region, tier=self.tier)

    @property
    def name(self) -> str:
        """For what has no price."""
        return f"{self.provider}/{self.product}/{self.gpu}"

    def usd_per_hour(self, book: PriceBook) -> Decimal | None:
        """Of one replica, with what is billed beside it; None where a price is unknown."""
        tally, row = Tally(book), self.price(book)
        place = tally.factor(self.provider, self.factor_name)
        tally.time("gpu", row, self.name, 3600 * self.factor(row), place)
        for what, amount in self.beside:
            tally.time(what, book.find(self.provider, self.product, what), what, 3600 * amount, place)
        return None if tally.unpriced else sum((line.exact_usd for line in tally.lines), Decimal(0))

    def factor(self, row: Price | None) -> Decimal:
        """Of the price: the GPUs of a replica where it is for one."""
        return Decimal(self.gpu_count if row is not None and row.unit.startswith("gpu-") else 1)


@dataclass(frozen=True, kw_only=True)
class Hybrid:
    """`base` replicas of one side, at most `burst_max` workers of the other."""

    dedicated: Side
    burst: Side
    burst_max: int
    base: int | None = None
    """None: as a schedule says; without one, the cheapest."""
    idle_timeout_s: Decimal | None = None
    """Of a burst worker; else its price row's own."""
    start_delay_s: Decimal = Decimal(0)
    beside: RunpodPod | LambdaSagemaker | None = None
    """The baseline as a target: what it bills beside the time of its replicas. Their number is not this one's."""
    plan: str | None = None
    """Of the burst's provider, that it runs under: `modal/team`."""


def hybrid(target: Hybrid, demand: Demand, book: PriceBook, times: Times = worker_time) -> Bill:
    """The bill at the given base, that of a schedule, or the cheapest."""
    if target.base is None and not demand.scheduled:
        return cheapest(target, demand, book)
    return _bill(target, demand, book, target.base or 0, times)


def cheapest(target: Hybrid, demand: Demand, book: PriceBook) -> Bill:
    """The smallest month of those that serve all, by the closed form.

    Raises UsageError where a side has no price or a figure is missing.
    """
    made: dict[int, Bill] = {}

    def usd(base: int) -> float:
        bill = made[base] = _bill(target, demand, book, base)
        return math.inf if bill.impossible else float(bill.at_least_usd)

    return made[cheapest_of(usd, sizes(target, demand, book)).replicas]


def sizes(target: Hybrid, demand: Demand, book: PriceBook) -> range:
    """The bases from the smallest that serves everything to one beyond which the burst has next to nothing to do.

    Raises UsageError where none can be chosen: a side has no price, or a figure is missing.
    """
    for side in (target.dedicated, target.burst):
        row = side.price(book)
        if row is None or row.usd is None or row.seconds is None:
            raise unpriced(side.provider, side.product, side.gpu)
    if demand.service_s is None or demand.cold_start_s is None:
        raise UsageError.of(
            "hybrid/figures",
            "the cheapest base is unknown: it needs `performance: {service_time, cold_start}`",
            hint="measure both, or give the base",
        )
    peak = max(part.requests_per_day for part in demand.in_parts())
    workers = float(peak / 86_400 * demand.service_s) / demand.concurrency
    serves = max(int(workers) + 1 - target.burst_max, 0)
    return range(serves, max(int(workers + 4 * workers**0.5) + 3, serves + 1))


def _bill(target: Hybrid, demand: Demand, book: PriceBook, base: int, times: Times = worker_time) -> Bill:
    tally = Tally(book)
    fixed, flexible = target.dedicated.price(book), target.burst.price(book)
    fleet = _fleet(target, flexible, base)
    replicas = [dedicated_in(part, fleet) for part in demand.in_parts()]
    base, running = max(replicas), dedicated_mean(demand, fleet)
    month_s = book.month_hours * 3600
    tally.time("base", fixed, target.dedicated.name, running * month_s * target.dedicated.factor(fixed))
    share = _served_by_base(demand, fleet)
    shared = _beside(tally, target, demand, pods=base, running=running, share=share)
    time = times(demand, fleet, book.month_hours)
    kinds, place = time.by_kind(), tally.factor(target.burst.provider, target.burst.factor_name)
    for kind, seconds in kinds.items():
        tally.time(f"burst_{kind}", flexible, target.burst.name, seconds * target.burst.factor(flexible), place)
    for what, amount in target.burst.beside:
        row = book.find(target.burst.provider, target.burst.product, what)
        name = f"{target.burst.provider}/{target.burst.product}/{what}"
        tally.time(f"burst_{what}", row, name, sum(kinds.values(), Decimal(0)) * amount, place)
    return Bill(
        target=f"hybrid of {base} and up to {target.burst_max}",
        lines=tuple(tally.lines),
        unpriced=tuple(tally.unpriced),
        unknown=missing(demand, fleet),
        impossible=("more arrives than base and burst serve",) if time.overloaded else (),
        method=time.method,
        starts=time.starts,
        pools=time.pools,
        base=base,
        caveats=(_TO_ZERO,) if isinstance(target.beside, LambdaSagemaker) and base and not min(replicas) else (),
        assumptions=tuple(_assumptions(target, demand, book, base, share)),
        shared=shared,
    )


_TO_ZERO = (
    "a SageMaker endpoint scales to zero with inference components only, and took "
    f"{WAKE_S[0]:.0f} to {WAKE_S[1]:.0f} s to come back in AWS's own tests"
)


def _beside(
    tally: Tally, target: Hybrid, demand: Demand, *, pods: int, running: Decimal, share: Decimal
) -> Mapping[str, Decimal]:
    """Lines of what the base bills beside its time; returns what is billed once for the account."""
    match target.beside:
        case RunpodPod() if pods:
            disks(tally, target.beside, pods=pods, running=running)
            return shared_by_pods(target.beside)
        case LambdaSagemaker() if pods:
            return beside_instances(tally, target.beside, demand, wait_s=Decimal(0), served=share)
        case _:
            return MappingProxyType({})


def _served_by_base(demand: Demand, fleet: Fleet) -> Decimal:
    """Share of the requests that find room on the base: Erlang B in each part, for Poisson arrivals."""
    if demand.service_s is None:
        return Decimal(0)
    served = asked = Decimal(0)
    for part in demand.in_parts():
        places, requests = dedicated_in(part, fleet) * demand.concurrency, part.share * part.requests_per_day
        full = refused_share(places, float(part.requests_per_day / 86_400 * demand.service_s)) if places else 1.0
        served += requests * (1 - Decimal(full))
        asked += requests
    return (served / asked).quantize(Decimal("0.000001")) if asked else Decimal(0)


def _assumptions(target: Hybrid, demand: Demand, book: PriceBook, base: int, share: Decimal) -> Iterator[Assumption]:
    yield Assumption(
        name="overflow",
        value="requests go to the base first, and to the burst when it is full",
        source="default; the router's rule, told nowhere else",
        errs="low where the router cannot tell whether the base is full",
    )
    yield Assumption(
        name="router",
        value="not included: the router in front, its bill and its time",
        source=f"default; a spec does not say what runs it{_as_a_function(demand, book)}",
        errs="low",
    )
    if isinstance(target.beside, RunpodPod) and base and not target.beside.disk_gb:
        yield Assumption(
            name="disk",
            value="not included: disks of the pods",
            source="default; `disk_gb` says their size",
            errs="low",
        )
    if isinstance(target.beside, LambdaSagemaker) and base and demand.requests_per_day:
        yield Assumption(
            name="base_share",
            value=f"{(share * 100).quantize(Decimal('0.01')):f} % of the requests pass the base and its function",
            source="estimated; Erlang B: those that find room there, at Poisson arrivals",
            errs="low by requests that wait for the burst and are served by the base",
        )


def _as_a_function(demand: Demand, book: PriceBook) -> str:
    """What it would be as a function on AWS that waits for every answer."""
    tally, waiting = Tally(book), LambdaSagemaker(instance="")
    function(tally, waiting, demand.per_month(book.month_hours), demand.service_s)
    if tally.unpriced or demand.service_s is None or not tally.lines:
        return ""
    usd = sum((line.amount_usd for line in tally.lines), Decimal(0))
    return f"; a Lambda function of {waiting.memory_mb} MB that waits for each answer would be ${usd:,} a month"


def _fleet(target: Hybrid, row: Price | None, base: int) -> Fleet:
    kept = row.keep_warm_s if row is not None else None
    return Fleet(
        workers_max=target.burst_max,
        dedicated=base,
        idle_timeout_s=target.idle_timeout_s if target.idle_timeout_s is not None else Decimal(kept or 0),
        start_delay_s=target.start_delay_s,
        bills_cold_start=row is None or row.bills_cold_start is not False,
        increment_s=(row.increment_s if row is not None else None) or Decimal(0),
    )
