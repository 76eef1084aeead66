"""Any provider by one billing type: how its price row says time, requests, tokens or months are billed.

For comparison, not for deployment: nothing here knows a provider by name. What the row does not say (when a worker
stops) is unknown, and the bill says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from baseload.planner.errors import UsageError
from baseload.planner.pool import Assumption
from baseload.planner.prices import Price, PriceBook
from baseload.planner.targets.bill import REQUESTS_PER_UNIT, Bill, Demand, Stage, Tally
from baseload.planner.targets.workers import Fleet, Times, WorkerTime, mean_wait_s, missing, worker_time


@dataclass(frozen=True, kw_only=True)
class Rented:
    """Workers, tokens or requests of a provider, by the name its price row has."""

    provider: str
    product: str
    gpu: str
    region: str = ""
    tier: str = ""
    gpu_count: int = 1
    """GPUs of one worker, where the price is for one GPU."""
    workers_min: int = 0
    workers_max: int = 1
    idle_timeout_s: Decimal | None = None
    """Else the price row's own."""
    start_delay_s: Decimal = Decimal(0)
    cores: Decimal = Decimal(0)
    """Where CPU and memory are billed extra."""
    memory_gib: Decimal = Decimal(0)


def rented(target: Rented, demand: Demand, book: PriceBook, times: Times = worker_time) -> Bill:
    """The bill by the unit of the price row: time, tokens, requests, or a month as such.

    Raises UsageError for a row of which nothing runs, such as storage.
    """
    name = f"{target.provider}/{target.product}/{target.gpu}"
    row = book.find(target.provider, target.product, target.gpu, region=target.region, tier=target.tier)
    rows = book.tiers(target.provider, target.product, target.gpu, region=target.region)
    if rows and all(price.unit == "million-tokens" and price.usd is not None for price in rows):
        return _by_token(target, demand, book, rows)
    if row is None or row.usd is None:
        return Bill(target=target.provider, unpriced=(name,))
    if row.unit in REQUESTS_PER_UNIT or row.unit == "month":
        tally = Tally(book)
        requests = demand.per_month(book.month_hours)
        per = REQUESTS_PER_UNIT.get(row.unit)
        tally.units("contract" if per is None else "requests", row, name, Decimal(1) if per is None else requests / per)
        return Bill(target=target.provider, lines=tuple(tally.lines), method=f"exact: per {row.unit}")
    if row.seconds is None:
        raise UsageError.of("target/unit", f"{row.id} is priced by {row.unit}, which is nothing a model can be run on")
    return _by_time(target, demand, book, row, name, times)


def _by_time(target: Rented, demand: Demand, book: PriceBook, row: Price, name: str, times: Times) -> Bill:
    tally = Tally(book)
    unknown: tuple[str, ...] = ()
    time, caveats = _time(target, demand, book, row, times)
    factor = Decimal(target.gpu_count if row.unit.startswith("gpu-") else 1)
    if not row.always_on:
        fleet = _fleet(target, row)
        unknown = missing(demand, fleet)
        if target.idle_timeout_s is None and row.keep_warm_s is None and time.total_s != time.always_on_s:
            unknown = (*unknown, "idle_timeout")
    for kind, seconds in time.by_kind().items():
        tally.time(kind, row, name, seconds * factor)
    for what, amount in (("cpu", target.cores), ("memory", target.memory_gib)):
        if amount and what not in row.includes.split():
            extra = book.find(target.provider, target.product, what, region=target.region)
            tally.time(what, extra, f"{target.provider}/{target.product}/{what}", time.total_s * amount)
    return Bill(
        target=target.provider,
        lines=tuple(tally.lines),
        unpriced=tuple(tally.unpriced),
        unknown=unknown,
        caveats=caveats,
        latency=(Stage(name="service", low_s=demand.service_s, high_s=demand.service_s, source="spec, a mean"),),
        method=time.method,
        starts=time.starts,
        pools=time.pools,
        assumptions=_assumptions(target, row),
    )


def _time(
    target: Rented, demand: Demand, book: PriceBook, row: Price, times: Times
) -> tuple[WorkerTime, tuple[str, ...]]:
    if not row.always_on:
        found = times(demand, _fleet(target, row), book.month_hours)
        return found, ("more arrives than all workers serve",) if found.overloaded else ()
    workers = max(target.workers_min, 1)
    asked = demand.service_s is not None and demand.requests_per_day > 0
    caveats = ["it never stops by itself: billed whether or not requests come"]
    if asked and mean_wait_s(demand, workers) is None:
        caveats.append("more arrives than all workers serve")
    always = WorkerTime(always_on_s=workers * book.month_hours * 3600, method="exact: all workers are always on")
    return always, tuple(caveats)


def _fleet(target: Rented, row: Price) -> Fleet:
    timeout = target.idle_timeout_s if target.idle_timeout_s is not None else Decimal(row.keep_warm_s or 0)
    return Fleet(
        workers_min=target.workers_min,
        workers_max=target.workers_max,
        idle_timeout_s=timeout,
        start_delay_s=target.start_delay_s,
        bills_cold_start=row.bills_cold_start is not False,
        increment_s=row.increment_s or Decimal(0),
    )


def _by_token(target: Rented, demand: Demand, book: PriceBook, rows: tuple[Price, ...]) -> Bill:
    """Prices of input and output tokens, or of all alike where the row names no tier."""
    tally = Tally(book)
    asked = {"input": demand.prompt_tokens, "output": demand.output_tokens}
    unknown = []
    for row in rows:
        kinds = [row.tier] if row.tier in asked else list(asked)
        for kind in kinds:
            tokens = asked[kind]
            if tokens is None:
                unknown.append("traffic.tokens")
                continue
            millions = demand.per_month(book.month_hours) * tokens / 10**6
            tally.units(f"{kind}_tokens", row, row.id, millions)
    return Bill(
        target=target.provider,
        lines=tuple(tally.lines),
        unpriced=tuple(tally.unpriced),
        unknown=tuple(dict.fromkeys(unknown)),
        method="exact: per million tokens",
    )


def _assumptions(target: Rented, row: Price) -> tuple[Assumption, ...]:
    found = []
    if not row.always_on and target.idle_timeout_s is None:
        found.append(
            Assumption(
                name="idle_timeout",
                value="0 s" if row.keep_warm_s is None else f"{row.keep_warm_s} s",
                source="default; not published" if row.keep_warm_s is None else f"default; {row.source}",
                errs="low" if row.keep_warm_s is None else None,
            )
        )
    if not row.always_on and row.bills_cold_start is None:
        found.append(
            Assumption(
                name="cold_start_billed", value="all of it", source="default; not published", errs="high if it is not"
            )
        )
    if row.increment_s is None:
        found.append(Assumption(name="billing_increment", value="none", source="default; not published", errs="low"))
    return tuple(found)
