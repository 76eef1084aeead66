"""What one model costs a month on any target but RunPod serverless: the target's bill as a `Cost`, with its range.

The lines are the bill's, quantity × unit price. What a target cannot do leaves its month unknown and says why; what is
not known is named and never zero. What is billed once for the whole stack is in `targets.stack`.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from baseload.planner.cost import Cost, Deadline, Line, Split, cents, unit_name
from baseload.planner.cost.asked import (
    demand_for,
    depends_on_traffic,
    estimated_for,
    missing_traffic,
    target_of,
)
from baseload.planner.cost.deadline import deadline_of, late
from baseload.planner.cost.overload import overload
from baseload.planner.cost.ranges import Error, error_of, factors, growth, plain, spread
from baseload.planner.cost.response import response_time
from baseload.planner.cost.runpod import arrivals, dispatch, guessed, per_1000, ways_to_know
from baseload.planner.cost.target_month import (
    CHOSEN,
    ExpectedMonth,
    at_base,
    base_by_formula,
    base_by_simulation,
    beside_workers,
    confirmed_base,
    fleet_pool,
)
from baseload.planner.diagnostics import Diagnostic, Location, Severity
from baseload.planner.errors import UsageError
from baseload.planner.performance.estimate import Estimated, concurrency_source
from baseload.planner.pool import Assumption, Dispatch, other_dispatches
from baseload.planner.prices import Price, PriceBook
from baseload.planner.simulated.expected import in_doubt
from baseload.planner.spec.model import ModelSpec, RunpodTarget
from baseload.planner.targets import price as bill_of
from baseload.planner.targets.aws import ANSWER_S, OVERLOADED, LambdaSagemaker, SagemakerServerless
from baseload.planner.targets.bill import Bill, Demand
from baseload.planner.targets.hybrid import Hybrid
from baseload.planner.targets.modal import CONTAINERS_PER_FUNCTION, Modal
from baseload.planner.targets.rented import Rented
from baseload.planner.targets.runpod import RunpodPod
from baseload.planner.targets.workers import Fleet, WorkerTime, batch_run, worker_time
from baseload.planner.targets.workers import missing as missing_times
from baseload.planner.traffic.batch import BatchRun
from baseload.planner.traffic.profile import profile_of
from baseload.planner.traffic.schedule import assumption, minimums, overlays_a_log

if TYPE_CHECKING:
    from baseload.planner.targets import Target

_PLATFORMS = {"runpod": "RunPod", "modal": "Modal"}

_SPLIT = {
    **{f"{side}{kind}": kind for kind in ("busy", "idle", "cold_start", "always_on") for side in ("", "burst_")},
    "base": "always_on",
    "buffer": "always_on",
}
"""What workers do, by the line that bills it."""

NOT_SERVERLESS = ("service_time_cv", "concurrency", "cold_start")
"""Figures of a spec that a bill of SageMaker Serverless does not depend on: a slot takes one request."""


def target_cost(spec: ModelSpec, book: PriceBook, seed: int | None = None) -> Cost:
    """The cost of one spec on a target other than RunPod serverless; simulated with `seed` where in doubt."""
    guess = estimated_for(spec, book)
    spec = replace(spec, performance=guess.expected) if guess else spec
    missing, problems = missing_traffic(spec), []
    try:
        bill = bill_of(target_of(spec), demand_for(spec), book)
    except UsageError as error:  # a hybrid whose cheapest base is not known
        bill = Bill(target="", unknown=() if missing else ("target",))
        problems = [] if missing else [_as_warning(item, spec) for item in error.diagnostics]
    base = None if bill.base is None else base_by_formula(spec, bill.base, seed)
    found = confirmed_base(spec, bill, book, seed)
    if found is not None:
        base = base_by_simulation(found, seed)
        spec = at_base(spec, found.replicas)
        bill = bill_of(target_of(spec), demand_for(spec), book)
    elif bill.base is not None:
        spec = at_base(spec, bill.base)
    unknown = tuple(dict.fromkeys((*missing, *bill.unknown)))
    known = not unknown and not bill.unpriced and not bill.impossible
    month = ExpectedMonth(spec, book, seed, () if found is None else (CHOSEN,)) if known else None
    closed, bill = bill, month.bill if month is not None and month.bill is not None else bill
    total = bill.at_least_usd if known else None
    lines = () if bill.impossible else bill.lines

    def month_usd(other: ModelSpec, factor: Decimal, share: Decimal | None) -> Decimal:
        if share is None and factor == 1 and other == spec and total is not None:
            return total
        times = month.of_others(other, factor, share) if month is not None else None
        return bill_of(target_of(other), demand_for(other, factor, share), book, times).at_least_usd

    worst_usd = _hourly_worst_case(spec, book)
    sure_to = month.interval_percent if month is not None else None
    off = error_of_bill(bill, total, worst_usd, book.month_hours, sure_to)
    rules = dispatches(spec)
    span = spread(spec, month_usd, total, guess, off, rules)
    response = None if bill.impossible else response_time(bill.pools, bill.latency, bill.refused_share)
    assumptions = (*_assumptions(spec, bill, guess, book.month_hours, base), *off.told())
    deadline = _deadline(spec, book) if known else None
    return Cost(
        target=_name(target_of(spec)),
        monthly_usd=span.usd,
        widest_usd=span.widest,
        drift_usd=span.drift,
        ends=span.ends,
        factors=factors(spec, month_usd, total, guess, off, rules),
        growth=growth(spec, month_usd, known=known),
        deadline=deadline,
        split_usd=_split(bill) if lines else Split(),
        at_least_usd=sum((line.amount_usd for line in lines), Decimal("0.00")),
        usd_per_1000_requests=per_1000(spec, total, book.month_hours)
        if bill.refused_share == 0 and (deadline is None or deadline.takes_s is not None)
        else None,
        hourly_worst_case_usd=worst_usd,
        method=bill.method if known else None,
        worker_starts_per_month=bill.starts if known and (bill.pools or deadline) else None,
        lines=tuple(_line(line.what, line.quantity, line.price, line.unit_price_usd) for line in lines),
        prices=tuple(dict.fromkeys(line.price for line in lines)),
        assumptions=month.assumptions(assumptions) if month is not None else assumptions,
        performance=spec.performance,
        response=month.response(response) if month is not None else response,
        simulation=month.told(closed.at_least_usd) if month is not None else None,
        bill=bill,
        diagnostics=(
            *problems,
            *_unknowns(spec, () if problems else unknown),
            *_overload(spec, missing),
            *late(spec, deadline, "containers.max", CONTAINERS_PER_FUNCTION),
            *_remarks(spec, bill),
            *guessed(spec, guess if known and missing == () else None),
            *(month.diagnostics if month is not None else ()),
        ),
    )


def target_doubts(spec: ModelSpec, book: PriceBook) -> tuple[str, ...]:
    """Why the closed form of its expected month is not to be trusted; empty where that is not known."""
    guess = estimated_for(spec, book)
    spec = replace(spec, performance=guess.expected) if guess else spec
    if missing_traffic(spec):
        return ()
    pool = fleet_pool(spec, book)
    return () if pool is None else in_doubt(spec, pool, fixed=beside_workers(spec, book))


def target_month_usd(spec: ModelSpec, book: PriceBook, seed: int | None = None) -> Decimal | None:
    """The expected month of `target_cost` alone."""
    guess = estimated_for(spec, book)
    spec = replace(spec, performance=guess.expected) if guess else spec
    if missing_traffic(spec):
        return None
    try:
        bill = bill_of(target_of(spec), demand_for(spec), book)
    except UsageError:  # said by `target_cost`
        return None
    if bill.impossible or bill.monthly_usd is None or seed is None:
        return None if bill.impossible else bill.monthly_usd
    found = confirmed_base(spec, bill, book, seed)
    if found is not None:
        spec = at_base(spec, found.replicas)
        bill = bill_of(target_of(spec), demand_for(spec), book)
    elif bill.base is not None:
        spec = at_base(spec, bill.base)
    return (ExpectedMonth(spec, book, seed, () if found is None else (CHOSEN,)).bill or bill).monthly_usd


def error_of_bill(
    bill: Bill,
    total_usd: Decimal | None,
    worst_hour_usd: Decimal | None,
    month_hours: Decimal,
    simulated_percent: Decimal | None = None,
) -> Error:
    """By how much the closed form may be off, or the simulation whose interval that is.

    Above all workers all the time come requests, data and disks only.
    """
    timed_usd = sum((line.amount_usd for line in bill.lines if line.price.seconds is not None), Decimal(0))
    most_usd = None
    if worst_hour_usd is not None and total_usd is not None:
        most_usd = cents(worst_hour_usd * month_hours) + total_usd - timed_usd
    return error_of(
        bill.method,
        _split(bill),
        total_usd,
        workers_usd=timed_usd,
        simulated_percent=simulated_percent,
        most_usd=most_usd,
    )


def bill_at(spec: ModelSpec, book: PriceBook, factor: Decimal, *, base: int | None = None) -> Bill:
    """The bill at the rate times `factor`; of a hybrid with that base. The spec's times are known."""
    target = target_of(spec)
    if isinstance(target, Hybrid) and base is not None:
        target = replace(target, base=base)
    return bill_of(target, demand_for(spec, factor), book)


def plan_of_target(target: RunpodTarget | Target) -> str | None:
    """The provider's plan that it runs under, as `provider/plan`; None where there are none."""
    if isinstance(target, Hybrid):
        return target.plan
    return f"modal/{target.plan}" if isinstance(target, Modal) else None


def _name(target: Target) -> str:
    match target:
        case LambdaSagemaker():
            return f"lambda-sagemaker {target.instance}"
        case SagemakerServerless():
            return f"sagemaker-serverless {target.memory_mb} MB"
        case RunpodPod():
            pods = f"{target.pods} pods of " if target.pods > 1 else ""
            return f"runpod-pod {pods}{_times(target.gpu_count, target.gpu)}"
        case Modal():
            return f"modal {_times(target.gpu_count, target.gpu) if target.gpu else 'CPU'}"
        case Hybrid():
            base = "" if target.base is None else f"{target.base} × "
            return f"hybrid {base}{target.dedicated.gpu} + up to {target.burst_max} × {target.burst.gpu}"
        case Rented():
            return f"{target.provider} {_times(target.gpu_count, target.gpu)}"


def _times(count: int, name: str) -> str:
    return f"{count} × {name}" if count > 1 else name


def _deadline(spec: ModelSpec, book: PriceBook) -> Deadline | None:
    """How a batch does on all containers, and what it takes to be in time; the bill is known."""
    target, demand = target_of(spec), demand_for(spec)
    if demand.batch is None or spec.traffic is None or spec.traffic.batch is None or not isinstance(target, Modal):
        return None
    runs: list[BatchRun] = []

    def times(demand: Demand, fleet: Fleet, month_hours: Decimal) -> WorkerTime:
        if not missing_times(demand, fleet):
            runs.append(batch_run(demand, fleet))
        return worker_time(demand, fleet, month_hours)

    bill_of(target, demand, book, times)
    if not runs:
        return None
    usd, needed = None, runs[0].workers_needed
    if needed is not None:
        enough = bill_of(replace(target, containers_max=needed), demand, book)
        usd = None if enough.impossible else enough.monthly_usd
    return deadline_of(spec.traffic.batch, runs[0], target.containers_max, usd)


def dispatches(spec: ModelSpec) -> tuple[Dispatch, ...]:
    """Which other rules of dispatch may hold: on workers that a platform starts and stops one by one.

    Instances of SageMaker go by the requests of all of them, whichever gets one; pods stay.
    """
    target = target_of(spec)
    least = min(minimum for _, minimum in minimums(spec.schedule)) if spec.schedule is not None else None
    match target:
        case Modal():
            return other_dispatches(target.containers_min if least is None else least, target.containers_max)
        case Hybrid():
            return other_dispatches(0, target.burst_max)
        case Rented():
            return other_dispatches(target.workers_min if least is None else least, target.workers_max)
        case _:
            return ()


# ------------------------------------------------------------------------------------------------------------- money
def _line(what: str, quantity: Decimal, price: Price, unit_price_usd: Decimal) -> Line:
    return Line(what=what, quantity=quantity, unit=unit_name(price.unit), unit_price_usd=unit_price_usd, price=price.id)


def _split(bill: Bill) -> Split:
    """What workers do; CPU, memory, requests and data are no part of it."""
    sums: dict[str, Decimal] = dict.fromkeys(("busy", "idle", "cold_start", "always_on"), Decimal("0.00"))
    for line in bill.lines:
        if line.what in _SPLIT:
            sums[_SPLIT[line.what]] += line.amount_usd
    return Split(**sums)


def _hourly_worst_case(spec: ModelSpec, book: PriceBook) -> Decimal | None:
    """All workers on for an hour; requests, data and disks come on top."""
    target, quiet = target_of(spec), Demand(requests_per_day=Decimal(0))
    match target:
        case LambdaSagemaker():
            target = replace(target, instances_min=target.instances_max)
        case Modal():
            most = target.containers_max + target.buffer
            target = replace(target, containers_min=most, containers_max=most, buffer=0)
        case RunpodPod():
            target = replace(target, running_share=Decimal(1))
        case Hybrid():
            return _hybrid_hour(target, book)
        case SagemakerServerless():
            return _serverless_hour(spec, target, book)
        case Rented():
            target = replace(target, workers_min=target.workers_max)
    bill = bill_of(target, quiet, book)
    timed = [line for line in bill.lines if line.price.seconds is not None]
    if bill.unpriced or not timed:
        return None
    return cents(sum((line.exact_usd for line in timed), Decimal(0)) / book.month_hours)


def _serverless_hour(spec: ModelSpec, target: SagemakerServerless, book: PriceBook) -> Decimal | None:
    """All slots busy for an hour, with as many of them provisioned as is dearest."""
    warm = {target.provisioned}
    if spec.schedule is not None:
        warm = {min(slots, target.max_concurrency) for _, slots in minimums(spec.schedule)}
    size = f"{target.memory_mb}MB"
    rows = [book.find("aws", "sagemaker-serverless", size, region=target.region)]
    if any(warm):
        name = "sagemaker-serverless-provisioned"
        rows += [book.find("aws", name, size, region=target.region, tier=tier) for tier in ("duration", "slot")]
    prices = [row.usd_per_hour for row in rows if row is not None and row.usd_per_hour is not None]
    if len(prices) < len(rows):
        return None
    on_demand, on_slot = prices[0], sum(prices[1:], Decimal(0))
    return cents(max(slots * on_slot + (target.max_concurrency - slots) * on_demand for slots in warm))


def _hybrid_hour(target: Hybrid, book: PriceBook) -> Decimal | None:
    total = Decimal(0)
    for side, count in ((target.dedicated, target.base), (target.burst, target.burst_max)):
        usd = side.usd_per_hour(book)
        if usd is None or count is None:
            return None
        total += usd * count
    return cents(total)


# ------------------------------------------------------------------------------------------------------ explanations
def _assumptions(
    spec: ModelSpec, bill: Bill, guess: Estimated | None, month_hours: Decimal, base: Assumption | None
) -> tuple[Assumption, ...]:
    found = [Assumption(name="month", value=f"{month_hours} h", source="default; convention")]
    if spec.schedule is not None:
        profile = profile_of(spec.traffic) if spec.traffic else None
        of = "replicas of the base" if isinstance(spec.target, Hybrid) else "minimum of workers"
        found.append(assumption(spec.schedule, of=of, log=profile is not None and overlays_a_log(profile)))
    if base is not None:
        found.append(base)
    if spec.traffic is not None and spec.traffic.requests_per_day and depends_on_traffic(target_of(spec)):
        told = {item.name: item for item in guess.assumptions} if guess else {}
        found += [told.pop(item.name, item) for item in _figures(spec)] + list(told.values())
        if isinstance(spec.target, SagemakerServerless):
            found = [item for item in found if item.name not in NOT_SERVERLESS]
    names = {item.name for item in found}
    return (*found, *(item for item in bill.assumptions if item.name not in names))


def _figures(spec: ModelSpec) -> list[Assumption]:
    traffic, performance = spec.traffic, spec.performance
    assert traffic is not None, "asked for with traffic"
    span = f"{plain(traffic.range.low)} to {plain(traffic.range.high)} times the expected rate"
    return [
        *arrivals(traffic),
        Assumption(name="traffic_range", value=span, source=spec.source_of("traffic", "range")),
        Assumption(name="service_time", value=f"{plain(performance.service_time_s)} s", source="spec"),
        Assumption(
            name="service_time_cv",
            value=plain(performance.service_time_cv),
            source=spec.source_of("performance", "service_time_cv"),
        ),
        Assumption(name="concurrency", value=str(performance.concurrency), source=concurrency_source(spec)),
        Assumption(name="cold_start", value=f"{plain(performance.cold_start_s)} s", source="spec"),
        *_idle_timeout(target_of(spec)),
        *_dispatch(spec),
    ]


def _dispatch(spec: ModelSpec) -> list[Assumption]:
    rules = dispatches(spec)
    match target_of(spec):
        case Modal():
            return [dispatch("Modal", rules)] if rules else []
        case Hybrid(burst=burst):
            return [dispatch(_PLATFORMS.get(burst.provider, burst.provider), rules)] if rules else []
        case _:
            return []


def _idle_timeout(target: Target) -> list[Assumption]:
    """Where a worker without requests stays for a while that can be set."""
    match target:
        case Modal():
            value = Decimal(target.scaledown_s)
        case Hybrid() | Rented() if target.idle_timeout_s is not None:
            value = target.idle_timeout_s
        case _:
            return []
    return [Assumption(name="idle_timeout", value=f"{plain(value)} s", source="spec")]


def _overload(spec: ModelSpec, missing: tuple[str, ...]) -> list[Diagnostic]:
    if missing:
        return []
    target, others, outcome = target_of(spec), 0, None
    match target:
        case LambdaSagemaker():
            outcome = f"they wait up to the {ANSWER_S} s in which the endpoint must answer, and fail then"
            workers, called, key = target.instances_max, "instances", "instances.max"
        case Modal():
            workers, called, key = target.containers_max, "containers", "containers.max"
        case RunpodPod() if spec.schedule is None:
            workers, called, key = target.pods, "pods", "pods"
        case Hybrid(base=int(base)) if spec.schedule is None:
            workers, called, key, others = (
                base + target.burst_max,
                "replicas and burst workers",
                "base",
                target.burst_max,
            )
        case _:
            return []
    return overload(spec, workers, spec.performance.concurrency, called=called, key=key, others=others, outcome=outcome)


def _unknowns(spec: ModelSpec, unknown: tuple[str, ...]) -> list[Diagnostic]:
    if not unknown:
        return []
    hints = {
        "traffic.requests_per_day": "say how much is asked of it, for instance `traffic: {requests_per_day: 1000}`",
        "traffic.log": "`deploy plan` reads logs; where it does not, say `requests_per_day` instead",
        "traffic.batch": "batches are priced on RunPod serverless and Modal; elsewhere say `requests_per_day`",
        "traffic.tokens": "say `tokens: {in: 500, out: 200}`",
        "idle_timeout": "when an idle worker stops is not published: say `idle_timeout`",
    }
    return [
        Diagnostic(
            code="plan/cost-unknown",
            severity=Severity.WARNING,
            summary=f"the monthly cost of {spec.name} is unknown: its spec does not say {' and '.join(unknown)}",
            where=Location(spec.file),
            hint=hints.get(unknown[0], ways_to_know(spec)),
        )
    ]


def _remarks(spec: ModelSpec, bill: Bill) -> list[Diagnostic]:
    place = Location(spec.file)
    found = [
        Diagnostic(
            code="plan/impossible",
            severity=Severity.WARNING,
            summary=f"{spec.name} cannot run as its target is: {reason}",
            where=place,
            hint="choose another size or target; `deploy compare` shows what is possible",
        )
        for reason in bill.impossible
    ]
    if bill.unpriced:
        found.append(
            Diagnostic(
                code="plan/price-unknown",
                severity=Severity.WARNING,
                summary=f"the monthly cost of {spec.name} is unknown: no price is known for {', '.join(bill.unpriced)}",
                where=place,
                hint="; ".join(bill.how_to_price()),
            )
        )
    return found + [
        Diagnostic(
            code="plan/caveat",
            severity=Severity.WARNING,
            summary=f"{spec.name}: {text}",
            where=place,
        )
        for text in bill.caveats
        if text != OVERLOADED  # said with the hour and the remedy by `_overload`
    ]


def _as_warning(item: Diagnostic, spec: ModelSpec) -> Diagnostic:
    return replace(item, severity=Severity.WARNING, where=item.where or Location(spec.file))
