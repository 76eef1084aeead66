"""What one RunPod endpoint costs a month: its worker time (`pool`) × its price (`prices`), in lines to add up by hand.

Queueing is computed in floating point; money and every quantity that is multiplied by a price is Decimal, rounded once.
What is not known (a measured time, a price) stays None and is named; it is never zero.

RunPod's rules are those of docs.runpod.io/serverless/pricing as archived on 2026-08-20: a worker is billed from its
start until it has stopped, rounded up to the second, through start, execution and idle timeout; workers of the minimum
are billed all the time; per GPU of the worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from baseload.planner.diagnostics import Diagnostic, Location, Severity
from baseload.planner.pool import Assumption, Pool, PoolEstimate, estimate
from baseload.planner.prices import Price, PriceBook
from baseload.planner.spec.model import ModelSpec, QueueDelay, RequestCount

MONTH_S = Decimal(2_628_000)
"""730 hours."""

MONTH_DAYS = Decimal(730) / 24

_CENT = Decimal("0.01")
_PRICING = "docs.runpod.io/serverless/pricing, 2026-08-20"


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
    """`busy`, `idle`, `cold_start` or `always_on`."""
    quantity: Decimal
    """GPU-seconds a month."""
    unit_price_usd: Decimal
    price: str
    """Id of the price row."""

    @property
    def amount_usd(self) -> Decimal:
        """Dollars a month, to the cent."""
        return cents(self.quantity * self.unit_price_usd)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of one model, what it rests on, and what is wrong or missing."""

    monthly_usd: Spread
    split_usd: Split
    at_least_usd: Decimal
    """The part of the expected month that is known: all of it, or the workers that are always on."""
    usd_per_1000_requests: Decimal | None
    hourly_worst_case_usd: Decimal | None
    method: str | None
    worker_starts_per_month: Decimal | None
    lines: tuple[Line, ...]
    price: Price | None
    assumptions: tuple[Assumption, ...]
    diagnostics: tuple[Diagnostic, ...]


def cents(usd: Decimal) -> Decimal:
    """Rounded to the cent, half up."""
    return usd.quantize(_CENT, ROUND_HALF_UP)


def cost_of(spec: ModelSpec, book: PriceBook) -> Cost:
    """The cost of one spec at the prices of a book; pure."""
    price = book.find("runpod", "serverless", spec.target.gpu)
    missing = _missing_figures(spec)
    expected = None if missing else estimate(_pool(spec, Decimal(1)))
    lines = _lines(spec, expected, price)
    known = {line.what: line.amount_usd for line in lines}
    total = sum(known.values(), Decimal(0)) if expected and price and price.usd else None
    return Cost(
        monthly_usd=_spread(spec, price, total),
        split_usd=Split(**known),
        at_least_usd=sum(known.values(), Decimal(0)),
        usd_per_1000_requests=_per_1000(spec, expected, total),
        hourly_worst_case_usd=_hourly_worst_case(spec, price),
        method=expected.method if expected else None,
        worker_starts_per_month=_starts(expected) if expected else None,
        lines=lines,
        price=price,
        assumptions=_assumptions(spec, expected),
        diagnostics=(*_unknowns(spec, missing, price), *_overload(spec, missing)),
    )


# ------------------------------------------------------------------------------------------------------- quantities
def _missing_figures(spec: ModelSpec) -> list[str]:
    """The keys of the spec without which the worker time is unknown; none where it does not depend on them."""
    if spec.target.workers_min >= spec.target.workers_max:
        return []
    if spec.traffic is None:
        return ["traffic.requests_per_day"]
    if spec.traffic.requests_per_day <= 0:
        return []
    needed = {
        "performance.service_time": spec.performance.service_time_s,
        "performance.cold_start": spec.performance.cold_start_s,
    }
    return [key for key, value in needed.items() if value is None]


def _pool(spec: ModelSpec, factor: Decimal) -> Pool:
    """The endpoint as a worker pool, with the expected rate times `factor`."""
    target, performance = spec.target, spec.performance
    concurrency, delay_s = performance.concurrency, 0.0
    match target.scaling:
        case QueueDelay(seconds=seconds):
            delay_s = float(seconds)
        case RequestCount(requests=requests):
            concurrency = min(concurrency, requests)
    return Pool(
        arrivals_per_s=float(spec.traffic.requests_per_day * factor / 86_400) if spec.traffic else 0.0,
        service_s=float(performance.service_time_s or 0),
        service_cv=float(performance.service_time_cv),
        cold_start_s=float(performance.cold_start_s or 0),
        start_delay_s=delay_s,
        idle_timeout_s=float(target.idle_timeout_s or 0),
        concurrency=concurrency,
        workers_min=target.workers_min,
        workers_max=target.workers_max,
    )


def _starts(found: PoolEstimate) -> Decimal:
    return _whole(Decimal(found.starts_per_s) * MONTH_S)


def _whole(quantity: Decimal) -> Decimal:
    return quantity.quantize(Decimal(1), ROUND_HALF_UP)


def _gpu_seconds(spec: ModelSpec, found: PoolEstimate) -> dict[str, Decimal]:
    """GPU-seconds a month by what the workers do, each rounded once.

    RunPod rounds each run of a worker up to the second: half a second per start on average, counted with the start.
    """
    room = max(spec.target.workers_max - found.billed, 0.0)
    rounding = min(0.5 * found.starts_per_s, room)
    workers = {
        "busy": found.busy,
        "idle": found.idle,
        "cold_start": found.cold_start + rounding,
        "always_on": found.always_on,
    }
    return {what: _whole(Decimal(n) * MONTH_S * spec.target.gpu_count) for what, n in workers.items()}


# ------------------------------------------------------------------------------------------------------------ money
def _lines(spec: ModelSpec, found: PoolEstimate | None, price: Price | None) -> tuple[Line, ...]:
    """The bill of the expected month; only the always-on workers where the rest is unknown, nothing without a price."""
    if price is None or price.usd is None:
        return ()
    target = spec.target
    if found:
        quantities = _gpu_seconds(spec, found)
    elif target.workers_min:
        quantities = {"always_on": target.workers_min * target.gpu_count * MONTH_S}
    else:
        return ()
    active_usd = price.usd * (1 - target.active_discount)
    return tuple(
        Line(
            what=what,
            quantity=quantity,
            unit_price_usd=active_usd if what == "always_on" else price.usd,
            price=price.id,
        )
        for what, quantity in quantities.items()
    )


def _spread(spec: ModelSpec, price: Price | None, expected_usd: Decimal | None) -> Spread:
    """The lowest and highest bill of the three rates: low end of the traffic range, expected, high end.

    More traffic can cost less: where the cold start outlasts the idle timeout, a steadier stream saves starts.
    """
    if expected_usd is None:
        return Spread()
    traffic = spec.traffic.range if spec.traffic else None
    ends = [expected_usd]
    for factor in (traffic.low, traffic.high) if traffic else ():
        found = estimate(_pool(spec, factor))
        ends.append(sum((line.amount_usd for line in _lines(spec, found, price)), Decimal(0)))
    return Spread(low=min(ends), expected=expected_usd, high=max(ends))


def _per_1000(spec: ModelSpec, found: PoolEstimate | None, total_usd: Decimal | None) -> Decimal | None:
    """None without traffic, and in overload, where not every request is served."""
    if total_usd is None or found is None or found.overloaded or spec.traffic is None:
        return None
    requests = spec.traffic.requests_per_day * MONTH_DAYS
    if requests < Decimal("0.001"):
        return None
    return (total_usd * 1000 / requests).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def _hourly_worst_case(spec: ModelSpec, price: Price | None) -> Decimal | None:
    """All workers on for an hour, those of the minimum at the Active rate."""
    if price is None or price.usd is None:
        return None
    target = spec.target
    paid = target.workers_max - target.workers_min * target.active_discount
    return cents(paid * target.gpu_count * price.usd * 3600)


# ------------------------------------------------------------------------------------------------------ explanations
def _assumptions(spec: ModelSpec, found: PoolEstimate | None) -> tuple[Assumption, ...]:
    return (*_facts(spec), *(_modelled(spec) if found else ()), *(found.assumptions if found else ()))


def _facts(spec: ModelSpec) -> list[Assumption]:
    """What holds for any RunPod endpoint, whether or not its worker time is known."""
    target = spec.target
    facts = [
        Assumption(name="month", value="730 h", source="convention"),
        Assumption(
            name="active_discount",
            value=_percent(target.active_discount),
            source="spec; RunPod grants one on request only, " + _PRICING,
        ),
        Assumption(
            name="storage",
            value="not included: container disk",
            source=f"{_PRICING} bills it, docs.runpod.io/serverless/storage/overview includes it in the worker's price",
            errs="low by at most 0.10 USD per GB and worker-month",
        ),
    ]
    if target.volume:
        facts.append(
            Assumption(
                name="network_volume",
                value=f"not included: volume {target.volume}",
                source=f"its size is not in the spec; {_PRICING}: 0.07 USD per GB and month, used or not",
                errs="low",
            )
        )
    return facts


def _modelled(spec: ModelSpec) -> list[Assumption]:
    """What the worker time rests on."""
    target, performance, traffic = spec.target, spec.performance, spec.traffic
    if target.workers_min >= target.workers_max or traffic is None or traffic.requests_per_day <= 0:
        return []
    by_count = isinstance(target.scaling, RequestCount)
    return [
        Assumption(
            name="arrivals",
            value=f"Poisson at a constant rate, {_plain(traffic.requests_per_day)} requests a day",
            source="spec (rate), default (pattern)",
            errs="high where requests come in sessions with quiet times between, and workers scale to zero",
        ),
        Assumption(
            name="traffic_range",
            value=f"{_plain(traffic.range.low)} to {_plain(traffic.range.high)} times the expected rate",
            source="spec",
        ),
        Assumption(name="service_time", value=f"{_plain(performance.service_time_s)} s", source="spec"),
        Assumption(name="service_time_cv", value=_plain(performance.service_time_cv), source="spec"),
        Assumption(name="concurrency", value=str(performance.concurrency), source="spec"),
        Assumption(name="cold_start", value=f"{_plain(performance.cold_start_s)} s", source="spec"),
        Assumption(
            name="cold_start_billed",
            value="all of it",
            source=f"{_PRICING}: billed from worker start; its page on workers says that Initializing is not",
            errs="high where part of the start is not billed",
        ),
        _idle_timeout(spec),
        Assumption(
            name="start_rule",
            value=f"one worker per {target.scaling.requests} waiting or running requests"
            if isinstance(target.scaling, RequestCount)
            else f"a worker for requests that have waited {_plain(target.scaling.seconds)} s",
            source="spec",
            errs="high where more requests than one worker serves at once are allowed per worker" if by_count else None,
        ),
        Assumption(
            name="dispatch",
            value="fullest worker first, then the one that became idle last",
            source="default; RunPod documents no rule",
            errs="low with several workers where requests are spread over all warm ones",
        ),
        Assumption(
            name="billing_increment",
            value="1 s, rounded up: half a second per worker start",
            source=_PRICING,
        ),
        Assumption(
            name="extra_workers",
            value="none",
            source="docs.runpod.io/serverless: up to two beyond the wanted number may be started",
            errs="low",
        ),
    ]


def _idle_timeout(spec: ModelSpec) -> Assumption:
    if spec.target.idle_timeout_s is not None:
        return Assumption(name="idle_timeout", value=f"{spec.target.idle_timeout_s} s", source="spec")
    return Assumption(
        name="idle_timeout",
        value="0 s",
        source="request-count scaling has none; how fast RunPod scales in is not documented",
        errs="low",
    )


def _plain(number: Decimal | None) -> str:
    """Without exponent and trailing zeros."""
    return "unknown" if number is None else format(number.normalize(), "f")


def _percent(share: Decimal) -> str:
    return f"{_plain(share * 100)} %"


def _unknowns(spec: ModelSpec, missing: list[str], price: Price | None) -> list[Diagnostic]:
    place = Location(spec.file)
    found = []
    if missing:
        found.append(
            Diagnostic(
                code="plan/cost-unknown",
                severity=Severity.WARNING,
                summary=f"the monthly cost of {spec.name} is unknown: its spec does not say {' and '.join(missing)}",
                where=place,
                hint="measure and add it, for instance `performance: {service_time: 1.8s, cold_start: 25s}`"
                if spec.traffic
                else "say how much is asked of it, for instance `traffic: {requests_per_day: 1000}`",
            )
        )
    if price is None or price.usd is None:
        found.append(
            Diagnostic(
                code="plan/price-unknown",
                severity=Severity.WARNING,
                summary=f"the monthly cost of {spec.name} is unknown: no price is known for {spec.target.gpu}",
                where=place,
                hint="choose a GPU pool with a price (`deploy prices` lists them)",
            )
        )
    return found


def _overload(spec: ModelSpec, missing: list[str]) -> list[Diagnostic]:
    """More arrives than all workers serve, at the expected or at the high rate."""
    if spec.traffic is None or spec.performance.service_time_s is None or missing:
        return []
    for when, factor in (("", Decimal(1)), (" at the high end of its range", spec.traffic.range.high)):
        pool = _pool(spec, factor)
        if pool.load < pool.slots or pool.load <= 0:
            continue
        return [
            Diagnostic(
                code="plan/overload",
                severity=Severity.WARNING,
                summary=f"the traffic of {spec.name}{when} keeps {pool.load:,.1f} requests in service, more than the "
                f"{pool.slots:,} that {pool.workers_max} workers serve at once: the queue grows without end, "
                "and the cost is that of all workers",
                where=Location(spec.file),
                hint=f"raise `workers.max` to {int(pool.load / pool.concurrency) + 1} or more",
            )
        ]
    return []
