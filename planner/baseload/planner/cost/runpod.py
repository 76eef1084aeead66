"""What one RunPod endpoint costs a month: its worker time (`pool`) × its price (`prices`), in lines to add up by hand.

Queueing is computed in floating point; money and every quantity that is multiplied by a price is Decimal, rounded once.
What is not known (a measured time, a price) stays None and is named; it is never zero.

RunPod's rules are those of docs.runpod.io/serverless/pricing as archived on 2026-08-20: a worker is billed from its
start until it has stopped, rounded up to the second, through start, execution and idle timeout; workers of the minimum
are billed all the time; per GPU of the worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from functools import partial

from baseload.planner.cost import (
    MONTH_S,
    SESSIONS,
    WIDEST_BURSTS,
    Cost,
    Deadline,
    Line,
    ResponseTime,
    Split,
    cents,
    others_move,
)
from baseload.planner.cost.deadline import deadline_of, late
from baseload.planner.cost.overload import overload
from baseload.planner.cost.ranges import bursts, error_of, factors, growth, one_month, plain, spread
from baseload.planner.cost.response import response_time
from baseload.planner.diagnostics import Diagnostic, Location, Severity
from baseload.planner.performance.estimate import Estimated, concurrency_source, estimated
from baseload.planner.pool import Assumption, Dispatch, Pool, PoolEstimate, estimate, other_dispatches
from baseload.planner.prices import MONTH_HOURS, Price, PriceBook
from baseload.planner.simulated.expected import assumptions as simulated_assumptions
from baseload.planner.simulated.expected import diagnostics as simulation_diagnostics
from baseload.planner.simulated.expected import in_doubt, interval_percent, month_of, response_of, told
from baseload.planner.simulated.month import SimulatedMonth
from baseload.planner.spec.model import Curve, Model, ModelSpec, QueueDelay, RequestCount, Traffic
from baseload.planner.targets.demand import demand_of as parts_of
from baseload.planner.traffic.batch import BatchRun, run_batch
from baseload.planner.traffic.profile import estimate_over, profile_of
from baseload.planner.traffic.schedule import (
    always_on,
    assumption,
    estimate_in_shifts,
    minimum_at,
    minimums,
    overlays_a_log,
    shifts,
)

_TARGET = ("target", "runpod")
_PRICING = "docs.runpod.io/serverless/pricing, 2026-08-20"


def runpod_cost(spec: ModelSpec, book: PriceBook, seed: int | None = None, *, ranged: bool = True) -> Cost:
    """The cost of one RunPod serverless endpoint at the prices of a book; simulated with `seed` where in doubt.

    Not `ranged` it is of the expected month alone.
    """
    price = book.find("runpod", "serverless", spec.runpod.gpu)
    guess = estimated(spec)
    spec = _filled(spec, guess)
    missing = _missing_figures(spec)
    closed = None if missing else _estimate(spec)
    doubts = in_doubt(spec, pool_of(spec), fixed=discounted(spec)) if closed and (ranged or seed is not None) else ()
    month = month_of(spec, pool_of(spec), seed, discounted(spec)) if doubts and seed is not None else None
    expected = month.estimate if month else closed
    lines = _lines(spec, expected, price, month)
    known = {line.what: line.amount_usd for line in lines}
    total = sum(known.values(), Decimal(0)) if expected and price and price.usd else None
    closed_usd = _month_usd(price, spec, Decimal(1), None) if month and total is not None else None
    moves = others_move(lines, total, closed_usd) if total is not None and closed_usd is not None else None
    month_usd = partial(_other_month_usd, price, spec, total, moves)
    worst_usd = _hourly_worst_case(spec, price)
    error = error_of(
        expected.method if expected else None,
        Split(**known),
        total,
        simulated_percent=interval_percent(month) if month else None,
        most_usd=None if worst_usd is None else cents(worst_usd * MONTH_S / 3600),
    )
    span = spread(spec, month_usd, total, guess, error, dispatches(spec)) if ranged else one_month(total)
    deadline = _deadline(spec, price, missing)
    return Cost(
        target=f"runpod {spec.runpod.mode}",
        monthly_usd=span.usd,
        widest_usd=span.widest,
        drift_usd=span.drift,
        performance=spec.performance,
        ends=span.ends,
        factors=factors(spec, month_usd, total, guess, error, dispatches(spec)) if ranged else (),
        growth=growth(spec, month_usd, known=total is not None) if ranged else (),
        deadline=deadline,
        split_usd=Split(**known),
        at_least_usd=sum(known.values(), Decimal(0)),
        usd_per_1000_requests=None if expected and expected.overloaded else per_1000(spec, total),
        hourly_worst_case_usd=None if worst_usd is None else cents(worst_usd),
        method=expected.method if expected else None,
        worker_starts_per_month=_starts(expected) if expected else None,
        lines=lines,
        prices=(price,) if price else (),
        response=(response_of(month) if month else _response(spec, expected)) if ranged else None,
        assumptions=_simulated((*_assumptions(spec, expected, guess), *error.told()), spec, month, moves),
        simulation=told(spec, month, doubts, closed_usd) if month else None,
        diagnostics=(
            *_unknowns(spec, missing, price),
            *guessed(spec, guess if expected and _modelled(spec) else None),
            *_overload(spec, missing),
            *late(spec, deadline),
            *simulation_diagnostics(spec, pool_of(spec), doubts, month, seed),
        ),
    )


def runpod_doubts(spec: ModelSpec) -> tuple[str, ...]:
    """Why the closed form of its expected month is not to be trusted."""
    spec = _filled(spec, estimated(spec))
    return () if _missing_figures(spec) else in_doubt(spec, pool_of(spec))


def runpod_month_usd(spec: ModelSpec, book: PriceBook, seed: int | None = None) -> Decimal | None:
    """The expected month of `runpod_cost` alone."""
    price = book.find("runpod", "serverless", spec.runpod.gpu)
    spec = _filled(spec, estimated(spec))
    if price is None or price.usd is None or _missing_figures(spec):
        return None
    doubts = in_doubt(spec, pool_of(spec), fixed=discounted(spec)) if seed is not None else ()
    month = month_of(spec, pool_of(spec), seed, discounted(spec)) if doubts and seed is not None else None
    if month is None:
        return _month_usd(price, spec, Decimal(1), None)
    return sum((line.amount_usd for line in _lines(spec, month.estimate, price, month)), Decimal(0))


# ------------------------------------------------------------------------------------------------------- quantities
def _filled(spec: ModelSpec, guess: Estimated | None) -> ModelSpec:
    return replace(spec, performance=guess.expected) if guess else spec


def _missing_figures(spec: ModelSpec) -> list[str]:
    """The keys of the spec without which the worker time is unknown; none where it does not depend on them."""
    if _least(spec) >= spec.runpod.workers_max:
        return []
    if spec.traffic is None:
        return ["traffic.requests_per_day"]
    if spec.traffic.requests_per_day is None:
        return ["traffic.log"]
    if spec.traffic.requests_per_day <= 0:
        return []
    needed = {
        "performance.service_time": spec.performance.service_time_s,
        "performance.cold_start": spec.performance.cold_start_s,
    }
    return [key for key, value in needed.items() if value is None]


def _estimate(spec: ModelSpec, factor: Decimal = Decimal(1), active_share: Decimal | None = None) -> PoolEstimate:
    """The worker time at the expected traffic times `factor`; `active_share` where the spec has none."""
    traffic, pool = spec.traffic, pool_of(spec)
    profile = profile_of(traffic) if traffic else None
    if traffic is None or profile is None:  # all workers are always on, or there is no traffic
        return estimate(replace(pool, workers_min=max(_least(spec), pool.workers_min)))
    if traffic.batch:
        found = _run(spec, factor).estimate
        return found if spec.schedule is None else replace(found, always_on=float(_always_on(spec)))
    share = float(traffic.active_share or active_share or 1)
    profile = profile.times(float(factor))
    if spec.schedule is not None:
        return estimate_in_shifts(pool, shifts(spec.schedule, profile, traffic.time_zone), share)
    return estimate_over(pool, profile, share)


def _run(spec: ModelSpec, factor: Decimal = Decimal(1)) -> BatchRun:
    assert spec.traffic is not None, "has a batch"
    assert spec.traffic.batch is not None, "has a batch"
    batch, pool = spec.traffic.batch, pool_of(spec)
    if spec.schedule is not None:
        least = minimum_at(spec.schedule, batch.at, spec.traffic.time_zone)
        pool = replace(pool, workers_min=min(least, pool.workers_max))
    return run_batch(pool, int(_whole(batch.jobs * factor)), float(batch.within_s))


def pool_of(spec: ModelSpec) -> Pool:
    """The endpoint as a worker pool; its rate comes with the traffic's profile."""
    target, performance = spec.runpod, spec.performance
    concurrency, delay_s = performance.concurrency, 0.0
    match target.scaling:
        case QueueDelay(seconds=seconds):
            delay_s = float(seconds)
        case RequestCount(requests=requests):
            concurrency = min(concurrency, requests)
    return Pool(
        arrivals_per_s=0.0,
        arrivals_cv=float(spec.traffic.cv or 1) if spec.traffic else 1.0,
        service_s=float(performance.service_time_s or 0),
        service_cv=float(performance.service_time_cv),
        cold_start_s=float(performance.cold_start_s or 0),
        start_delay_s=delay_s,
        idle_timeout_s=float(target.idle_timeout_s or 0),
        concurrency=concurrency,
        workers_min=target.workers_min,
        workers_max=target.workers_max,
        dispatch=spec.dispatch,
    )


def dispatches(spec: ModelSpec) -> tuple[Dispatch, ...]:
    """Which other rules of dispatch may hold: RunPod documents none."""
    return other_dispatches(_least(spec), spec.runpod.workers_max)


def _least(spec: ModelSpec) -> int:
    """Workers that are on at any time of the week."""
    return spec.runpod.workers_min if spec.schedule is None else min(least for _, least in minimums(spec.schedule))


def _always_on(spec: ModelSpec) -> Decimal:
    """Mean workers of the minimum."""
    if spec.schedule is None:
        return Decimal(spec.runpod.workers_min)
    return always_on(spec.schedule, spec.runpod.workers_max)


def discounted(spec: ModelSpec) -> float:
    """What `active_discount` takes off the minimum, in workers, below zero: beside the pool, as it never varies."""
    return -float(spec.runpod.active_discount * _always_on(spec))


def _starts(found: PoolEstimate) -> Decimal:
    return _whole(Decimal(found.starts_per_s) * MONTH_S)


def _whole(quantity: Decimal) -> Decimal:
    return quantity.quantize(Decimal(1), ROUND_HALF_UP)


def _gpu_seconds(spec: ModelSpec, found: PoolEstimate, month: SimulatedMonth | None) -> dict[str, Decimal]:
    """GPU-seconds a month by what the workers do, each rounded once.

    RunPod rounds each run of a worker up to the second: as simulated, or half a second per start on average; counted
    with the start.
    """
    room = max(spec.runpod.workers_max - found.billed, 0.0)
    rounding = min(0.5 * found.starts_per_s, room) if month is None else month.rounding
    workers = {
        "busy": found.busy,
        "idle": found.idle,
        "cold_start": found.cold_start + rounding,
        "always_on": found.always_on,
    }
    return {what: _whole(Decimal(n) * MONTH_S * spec.runpod.gpu_count) for what, n in workers.items()}


# ------------------------------------------------------------------------------------------------------------ money
def _lines(
    spec: ModelSpec, found: PoolEstimate | None, price: Price | None, month: SimulatedMonth | None = None
) -> tuple[Line, ...]:
    """The bill of the expected month; only the always-on workers where the rest is unknown, nothing without a price."""
    if price is None or price.usd is None:
        return ()
    target = spec.runpod
    if found:
        quantities = _gpu_seconds(spec, found, month)
    elif _always_on(spec):
        quantities = {"always_on": _whole(_always_on(spec) * target.gpu_count * MONTH_S)}
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


def _other_month_usd(
    price: Price | None,
    expected: ModelSpec,
    expected_usd: Decimal | None,
    moves: Decimal | None,
    spec: ModelSpec,
    factor: Decimal,
    share: Decimal | None,
) -> Decimal:
    """A month that is not the expected one: where that was simulated and this one is in doubt too, moved alike.

    By another dispatch never down: its formula has errors of its own.
    """
    if expected_usd is not None and share is None and factor == 1 and spec == expected:
        return expected_usd
    lines = _lines(spec, _estimate(spec, factor, share), price)
    usd = sum((line.amount_usd for line in lines), Decimal(0))
    packed = replace(spec, dispatch=Dispatch.PACKED)
    if moves is None or not in_doubt(packed, pool_of(packed), factor, share, discounted(packed)):
        return usd
    if spec.dispatch is not Dispatch.PACKED:
        moves = max(moves, Decimal(1))
    always_usd = sum((line.amount_usd for line in lines if line.what == "always_on"), Decimal(0))
    most_usd = (_hourly_worst_case(spec, price) or Decimal(0)) * MONTH_S / 3600
    return cents(min(always_usd + (usd - always_usd) * moves, max(most_usd, usd)))


def _month_usd(price: Price | None, spec: ModelSpec, factor: Decimal, share: Decimal | None) -> Decimal:
    found = _estimate(spec, factor, share)
    return sum((line.amount_usd for line in _lines(spec, found, price)), Decimal(0))


def _deadline(spec: ModelSpec, price: Price | None, missing: list[str]) -> Deadline | None:
    """How the batch does on `workers.max`, and what it takes to be in time."""
    if missing or spec.traffic is None or spec.traffic.batch is None or spec.performance.service_time_s is None:
        return None
    run, batch = _run(spec), spec.traffic.batch
    usd = None
    if run.workers_needed is not None and price is not None and price.usd is not None:
        enough = replace(spec, target=replace(spec.runpod, workers_max=run.workers_needed))
        usd = _month_usd(price, enough, Decimal(1), None)
    return deadline_of(batch, run, spec.runpod.workers_max, usd)


def per_1000(spec: ModelSpec, total_usd: Decimal | None, month_hours: Decimal = MONTH_HOURS) -> Decimal | None:
    """Dollars of 1,000 requests; None where the month is unknown, and without traffic."""
    if total_usd is None or spec.traffic is None or spec.traffic.requests_per_day is None:
        return None
    requests = spec.traffic.requests_per_day * month_hours / 24
    if requests < Decimal("0.001"):
        return None
    return (total_usd * 1000 / requests).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def _hourly_worst_case(spec: ModelSpec, price: Price | None) -> Decimal | None:
    """All workers on for an hour, those of the minimum at the Active rate; not rounded, for a month of such hours."""
    if price is None or price.usd is None:
        return None
    target = spec.runpod
    paid = target.workers_max - _least(spec) * target.active_discount
    return paid * target.gpu_count * price.usd * 3600


def _response(spec: ModelSpec, found: PoolEstimate | None) -> ResponseTime | None:
    """None where a figure is unknown, and of a batch, whose requests wait for one another."""
    pools = runpod_pools(spec)
    return response_time(pools) if found is not None and pools else None


def runpod_pools(spec: ModelSpec) -> list[tuple[float, Pool]]:
    """The workers in each part of the month, with its share; none of a batch, and where the service time is unknown."""
    demand, pool = parts_of(spec), pool_of(spec)
    if demand is None or demand.service_s is None:
        return []
    return [
        (
            float(part.share),
            replace(
                pool,
                arrivals_per_s=float(part.requests_per_day / 86_400),
                workers_min=pool.workers_min if part.workers_min is None else min(part.workers_min, pool.workers_max),
            ),
        )
        for part in demand.in_parts()
    ]


# ------------------------------------------------------------------------------------------------------ explanations
def _assumptions(spec: ModelSpec, found: PoolEstimate | None, guess: Estimated | None) -> tuple[Assumption, ...]:
    modelled = _modelled(spec) if found else []
    if modelled and guess:
        told = {item.name: item for item in guess.assumptions}
        modelled = [told.pop(item.name, item) for item in modelled] + list(told.values())
    return (*_facts(spec), *modelled, *(found.assumptions if found else ()))


def _simulated(
    found: tuple[Assumption, ...], spec: ModelSpec, month: SimulatedMonth | None, moves: Decimal | None
) -> tuple[Assumption, ...]:
    return found if month is None else simulated_assumptions(found, spec.traffic, month, moves)


def _facts(spec: ModelSpec) -> list[Assumption]:
    """What holds for any RunPod endpoint, whether or not its worker time is known."""
    target = spec.runpod
    facts = [
        Assumption(name="month", value="730 h", source="default; convention"),
        Assumption(
            name="active_discount",
            value=percent(target.active_discount),
            source=f"{spec.source_of(*_TARGET, 'active_discount')}; RunPod grants one on request only, {_PRICING}",
        ),
        Assumption(
            name="storage",
            value="not included: container disk",
            source=f"default; {_PRICING} bills it, docs.runpod.io/serverless/storage/overview includes it in the "
            "worker's price",
            errs="low by at most 0.10 USD per GB and worker-month",
        ),
    ]
    if spec.schedule is not None:
        profile = profile_of(spec.traffic) if spec.traffic else None
        facts.append(assumption(spec.schedule, log=profile is not None and overlays_a_log(profile)))
    if target.volume:
        facts.append(
            Assumption(
                name="network_volume",
                value=f"not included: volume {target.volume}",
                source=f"default; its size is not in the spec; {_PRICING}: 0.07 USD per GB and month, used or not",
                errs="low",
            )
        )
    return facts


def _modelled(spec: ModelSpec) -> list[Assumption]:
    """What the worker time rests on."""
    target, performance, traffic = spec.runpod, spec.performance, spec.traffic
    if _least(spec) >= target.workers_max or traffic is None or not traffic.requests_per_day:
        return []
    by_count = isinstance(target.scaling, RequestCount)
    return [
        *arrivals(traffic),
        Assumption(
            name="traffic_range",
            value=f"{plain(traffic.range.low)} to {plain(traffic.range.high)} times the expected rate",
            source=spec.source_of("traffic", "range"),
        ),
        Assumption(name="service_time", value=f"{plain(performance.service_time_s)} s", source="spec"),
        Assumption(
            name="service_time_cv",
            value=plain(performance.service_time_cv),
            source=spec.source_of("performance", "service_time_cv"),
        ),
        Assumption(name="concurrency", value=str(performance.concurrency), source=concurrency_source(spec)),
        Assumption(name="cold_start", value=f"{plain(performance.cold_start_s)} s", source="spec"),
        Assumption(
            name="cold_start_billed",
            value="all of it",
            source=f"default; {_PRICING}: billed from worker start; its page on workers says that Initializing is not",
            errs="high where part of the start is not billed",
        ),
        _idle_timeout(spec),
        Assumption(
            name="start_rule",
            value=f"one worker per {target.scaling.requests} waiting or running requests"
            if isinstance(target.scaling, RequestCount)
            else f"a worker for requests that have waited {plain(target.scaling.seconds)} s",
            source=spec.source_of(*_TARGET, "scaling"),
            errs="high where more requests than one worker serves at once are allowed per worker" if by_count else None,
        ),
        dispatch("RunPod", dispatches(spec)),
        Assumption(
            name="billing_increment",
            value="1 s, rounded up: half a second per worker start",
            source=f"default; {_PRICING}",
        ),
        Assumption(
            name="extra_workers",
            value="none",
            source="default; docs.runpod.io/serverless: up to two beyond the wanted number may be started",
            errs="low",
        ),
    ]


def dispatch(platform: str, others: Sequence[Dispatch]) -> Assumption:
    """Which warm worker gets a request, and which other rules the range holds."""
    also = f"; in the range also {' and '.join(others)}" if others else ""
    return Assumption(
        name="dispatch",
        value=f"packed: fullest worker first, then the one that became idle last{also}",
        source=f"default; {platform} documents no rule",
        errs="low with several workers where requests are spread over all warm ones" if others else None,
    )


def arrivals(traffic: Traffic) -> list[Assumption]:
    """How requests are taken to come, and which way that errs."""
    rate = plain(_mean(traffic))
    if traffic.batch:
        value = f"{rate} requests at {traffic.batch.at} {traffic.time_zone} each day, served in waves"
        errs = "the last wave takes longer where service times vary"
        return [Assumption(name="arrivals", value=value, source="spec", errs=errs)]
    sessions = "high where requests come in sessions with quiet times between, and workers scale to zero"
    if traffic.observed is None and not traffic.hourly and traffic.curve in (None, Curve.CONSTANT):
        shown, source = (
            f"Poisson at a constant rate, {rate} requests a day",
            "spec; the rate",
        )
    elif traffic.observed is not None:
        shown, source = (
            f"Poisson at the rates of the log, {rate} requests a day",
            "measured; the rates",
        )
        sessions = "either way, with changes of the rate within ten minutes"
    else:
        by = f"the curve {traffic.curve}" if traffic.curve else "the hour"
        shown, source = (
            f"Poisson at rates by {by}, {rate} requests a day",
            "spec; the rates",
        )
    found = [Assumption(name="arrivals", value=shown, source=source, errs=None if traffic.active_share else sessions)]
    if traffic.active_share is not None:
        value = f"requests come {percent(traffic.active_share)} of each hour, at the rate divided by it"
        found.append(Assumption(name="active_share", value=value, source="spec"))
    elif traffic.curve or traffic.hourly:
        value = f"100 % of each hour, in the range also {percent(SESSIONS)}"
        found.append(Assumption(name="active_share", value=value, source="default", errs=sessions))
    elif traffic.observed is None:
        value = "100 % of the time, also in the range"
        found.append(Assumption(name="active_share", value=value, source="default", errs=sessions))
    return [*found, _gaps(traffic)]


def _gaps(traffic: Traffic) -> Assumption:
    """How bursty requests are at a steady rate."""
    errs = "either way: up to cv 2 by 1 % in the median and 11 % in 19 of 20 pools, at cv 4 by 10 % and 38 %"
    if traffic.cv is None:
        also = " and ".join(plain(cv) for cv in bursts(traffic))
        value = (
            f"1 (Poisson), in the range also {also}, in the widest {' and '.join(plain(cv) for cv in WIDEST_BURSTS)}"
        )
        return Assumption(name="cv", value=value, source="default; docs/traffic.md", errs="either way with bursts")
    source = "spec" if traffic.observed is None else "measured; the log"
    value = plain(traffic.cv.quantize(Decimal("0.01")))
    if others := [plain(cv.quantize(Decimal("0.01"))) for cv in bursts(traffic)]:
        value += f", in the range also {' and '.join(others)}: the log's rates hold some of its bursts"
    if traffic.cv < 1:
        value = f"{value}, in the closed form taken as 1 (Poisson)"
    return Assumption(name="cv", value=value, source=source, errs=errs if traffic.cv > 1 else None)


def _mean(traffic: Traffic) -> Decimal:
    """Requests a day, as shown: whole where there are many."""
    mean = traffic.requests_per_day or Decimal(0)
    return mean if traffic.observed is None else mean.quantize(Decimal(1) if mean >= 100 else Decimal("0.001"))


def _idle_timeout(spec: ModelSpec) -> Assumption:
    if spec.runpod.idle_timeout_s is not None:
        source = spec.source_of(*_TARGET, "idle_timeout")
        return Assumption(name="idle_timeout", value=f"{spec.runpod.idle_timeout_s} s", source=source)
    return Assumption(
        name="idle_timeout",
        value="0 s",
        source="default; request-count scaling has none; how fast RunPod scales in is not documented",
        errs="low",
    )


def percent(share: Decimal) -> str:
    """`12.5 %` of 0.125."""
    return f"{plain(share * 100)} %"


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
                hint="`deploy plan` reads logs; where it does not, say `requests_per_day` instead"
                if missing == ["traffic.log"]
                else ways_to_know(spec)
                if spec.traffic
                else "say how much is asked of it, for instance `traffic: {requests_per_day: 1000}`",
            )
        )
    if price is None or price.usd is None:
        found.append(
            Diagnostic(
                code="plan/price-unknown",
                severity=Severity.WARNING,
                summary=f"the monthly cost of {spec.name} is unknown: no price is known for {spec.runpod.gpu}",
                where=place,
                hint="choose a GPU pool with a price (`deploy prices` lists them)",
            )
        )
    return found


def guessed(spec: ModelSpec, guess: Estimated | None) -> list[Diagnostic]:
    """That a bill rests on estimates must not be seen only by those who ask for the explanation."""
    names = {"service_time": "its service time", "cold_start": "its cold start"}
    told = {item.name for item in guess.assumptions} if guess else set()
    which = [shown for name, shown in names.items() if name in told]
    if not which:
        return []
    return [
        Diagnostic(
            code="plan/estimated",
            severity=Severity.NOTE,
            summary=f"the cost of {spec.name} rests on estimates from the size of its model: {' and '.join(which)}",
            where=Location(spec.file),
            hint="measure and add it, for instance `performance: {service_time: 1.8s, cold_start: 25s}`",
        )
    ]


def ways_to_know(spec: ModelSpec) -> str:
    """The remedy where a time is not known."""
    measured = "measure and add it, for instance `performance: {service_time: 1.8s, cold_start: 25s}`"
    if isinstance(spec.serves, Model) and spec.traffic and spec.traffic.tokens is None:
        return (
            f"say `traffic.tokens`, for instance `tokens: {{in: 500, out: 200}}`, to have it estimated; or {measured}"
        )
    return measured


def _overload(spec: ModelSpec, missing: list[str]) -> list[Diagnostic]:
    if missing:
        return []
    pool = pool_of(spec)
    return overload(spec, pool.workers_max, pool.concurrency, called="workers", key="workers.max")
