"""How the figures of other targets' bills come about: bounds by hand in each line's own unit, and their steps.

As `explain` does it for RunPod serverless: reads specs and lines, never the pool's inside. A line that is a plain
multiplication is said with its factors; of what is modelled it is said between what it lies.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from baseload.planner.cost.explain import STEP, TOTAL, Bound, Kind, Quantity, Term, product, requests_of, shortest
from baseload.planner.cost.target_month import at_base
from baseload.planner.spec.model import RunpodTarget
from baseload.planner.targets.aws import (
    SCALE_IN_S,
    LambdaSagemaker,
    SagemakerServerless,
    http_api_units,
    milliseconds_up,
    served_shares,
    waiting_s,
)
from baseload.planner.targets.bill import GB
from baseload.planner.targets.demand import demand_of
from baseload.planner.targets.hybrid import Hybrid
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.rented import Rented
from baseload.planner.targets.runpod import RunpodPod
from baseload.planner.traffic.schedule import always_on

if TYPE_CHECKING:
    from baseload.planner.cost import Cost
    from baseload.planner.prices import PriceBook
    from baseload.planner.spec.model import ModelSpec
    from baseload.planner.targets import Target
    from baseload.planner.targets.bill import Counted, Demand

_TO = Decimal("0.000001")
_RATE = Decimal("1e-12")
_KINDS = ("busy", "idle", "cold_start", "always_on")
_ONE_GPU = Term("GPUs", Decimal(1))
_MODELLED = ("buffer", "lambda_waiting", "busy", "busy_on_provisioned")
_SECONDS = {"second": Decimal(1), "minute": Decimal(60), "hour": Decimal(3600)}


@dataclass(frozen=True, kw_only=True)
class _Workers:
    """What bounds the time of workers that come and go."""

    prefix: str = ""
    """Of their lines."""
    least: Term
    most: int
    each: Term = _ONE_GPU
    """What of a worker its time is billed for."""
    buffer: int = 0
    """Idle workers beyond `most`."""
    beside: Mapping[str, Term] = field(default_factory=dict)
    """What else each has, by its line."""
    idle_timeout_s: Decimal | None = None
    increment_s: Decimal = Decimal(0)
    alone: bool = True
    """No replicas beside them take requests first."""
    bills_cold_start: bool = True


def quantities(spec: ModelSpec, cost: Cost, book: PriceBook) -> Iterator[Quantity]:
    """Of every line, steps of one price added up, in the order of the bill; the workers together at the end."""
    assert cost.method is not None, "known with the month"
    if cost.bill is not None and cost.bill.base is not None:
        spec = at_base(spec, cost.bill.base)
    sums: dict[str, Decimal] = {}
    units: dict[str, str] = {}
    for line in cost.lines:
        if line.quantity:
            sums[line.what] = sums.get(line.what, Decimal(0)) + line.quantity
            units[line.what] = line.unit
    workers = _workers(spec, book)
    timed = {f"{workers.prefix}{kind}" for kind in (*_KINDS, "buffer")} if workers else set()
    unit = next((units[what] for what in units if what in timed), None)
    total = Decimal(0) if unit is None else sum((sums[what] for what in sums if what in timed), Decimal(0))
    for what, quantity in sums.items():
        bounds = tuple(_bounds(what, units[what], spec, cost, workers, book))
        method = "exact: the product of its figures"
        if workers is not None and unit is not None and (has := workers.beside.get(what)) is not None:
            bounds = (_of_all(total, unit, units[what], workers, has),)
        elif isinstance(spec.target, Hybrid) and what == "lambda_waiting":
            method = "exact: Erlang B for the requests that find room on the base"
        elif (what in timed and not what.endswith("always_on")) or what in _MODELLED:
            method = cost.method
        yield Quantity(what=what, quantity=quantity, unit=units[what], method=method, bounds=bounds)
    if workers is not None and unit is not None:
        name = "(workers.max + buffer)" if workers.buffer else "workers.max"
        most = Term(name, Decimal(workers.most + workers.buffer))
        yield Quantity(
            what=TOTAL,
            quantity=shortest(total),
            unit=unit,
            method=cost.method,
            bounds=(product(Kind.AT_MOST, most, *_month(unit, workers, book), to=_TO),),
        )


def steps(spec: ModelSpec) -> Iterator[tuple[str, str, ModelSpec]]:
    """Assumptions of the target that are figures, their step, and the spec after it."""
    target = spec.placed
    if isinstance(target, Modal):
        by = max(1, round(target.scaledown_s * STEP))
        yield "idle_timeout", f"{by} s more", replace(spec, target=replace(target, scaledown_s=target.scaledown_s + by))
        for name in ("cores", "memory_gib"):
            more = replace(target, **{name: getattr(target, name) * (1 + STEP)})
            yield "cpu_and_memory", f"10 % more {name.removesuffix('_gib')}", replace(spec, target=more)
    elif isinstance(target, Hybrid | Rented) and target.idle_timeout_s:
        later = replace(target, idle_timeout_s=target.idle_timeout_s * (1 + STEP))
        yield "idle_timeout", "10 % more", replace(spec, target=later)
    elif isinstance(target, RunpodPod):
        yield "pods", "1 more", replace(spec, target=replace(target, pods=target.pods + 1))


# ------------------------------------------------------------------------------------------------------------ bounds
def _workers(spec: ModelSpec, book: PriceBook) -> _Workers | None:
    """Those that come and go with the requests; None where there are none."""
    target = spec.placed
    match target:
        case LambdaSagemaker():
            return _Workers(
                least=_least(spec, target.instances_min, target.instances_max),
                most=target.instances_max,
                idle_timeout_s=SCALE_IN_S,
                increment_s=Decimal(1),
            )
        case Modal():
            return _Workers(
                least=_least(spec, target.containers_min, target.containers_max),
                most=target.containers_max,
                each=Term("GPUs", Decimal(target.gpu_count)) if target.gpu else Term("cores", target.cores),
                buffer=target.buffer,
                beside=_has((("cpu", target.cores if target.gpu else Decimal(0)), ("memory", target.memory_gib))),
                idle_timeout_s=Decimal(target.scaledown_s),
                increment_s=Decimal(1),
            )
        case Hybrid():
            row = target.burst.price(book)
            return _Workers(
                prefix="burst_",
                least=Term("workers.min", Decimal(0)),
                most=target.burst_max,
                each=Term("GPUs", target.burst.factor(row)),
                beside=_has(target.burst.beside, "burst_"),
                idle_timeout_s=target.idle_timeout_s,
                increment_s=(row.increment_s if row is not None else None) or Decimal(0),
                alone=False,
                bills_cold_start=row is None or row.bills_cold_start is not False,
            )
        case Rented():
            row = book.find(target.provider, target.product, target.gpu, region=target.region, tier=target.tier)
            if row is None or row.seconds is None:
                return None
            most = max(target.workers_min, 1) if row.always_on else target.workers_max
            return _Workers(
                least=_least(spec, most if row.always_on else target.workers_min, most),
                most=most,
                each=Term("GPUs", Decimal(target.gpu_count if row.unit.startswith("gpu-") else 1)),
                beside=_has((("cpu", target.cores), ("memory", target.memory_gib))),
                idle_timeout_s=target.idle_timeout_s,
                increment_s=row.increment_s or Decimal(0),
                bills_cold_start=row.bills_cold_start is not False,
            )
        case _:
            return None


def _has(amounts: Iterable[tuple[str, Decimal]], prefix: str = "") -> dict[str, Term]:
    names = {"cpu": "cores", "memory": "GiB"}
    return {f"{prefix}{what}": Term(f"{names[what]} of each", amount) for what, amount in amounts if amount}


def _least(spec: ModelSpec, workers: int, most: int) -> Term:
    if spec.schedule is not None:
        return Term("mean of the schedule", always_on(spec.schedule, most))
    return Term("workers.min", Decimal(workers))


def _month(unit: str, workers: _Workers, book: PriceBook) -> tuple[Term, ...]:
    name = unit.rpartition("-")[2]
    month = Term(f"{name}s of a month", book.month_hours * 3600 / _SECONDS[name])
    return (month, *_each(workers))


def _each(workers: _Workers) -> tuple[Term, ...]:
    return () if workers.each.value == 1 else (workers.each,)


def _of_all(total: Decimal, unit: str, other: str, workers: _Workers, has: Term) -> Bound:
    """What all workers have beside: their time, in `unit`, by what each has, in the unit of that."""
    name, time = unit.rpartition("-")[2], other.rpartition("-")[2]
    whole = Term(f"{unit}s of all workers", total)
    longer = () if name == time else (Term(f"seconds of one {name}", _SECONDS[name]),)
    shorter = () if name == time else (Term(f"seconds of one {time}", _SECONDS[time]),)
    return product(Kind.ABOUT, whole, *longer, has, per=(*_each(workers), *shorter), to=_TO)


def _bounds(
    what: str, unit: str, spec: ModelSpec, cost: Cost, workers: _Workers | None, book: PriceBook
) -> Iterator[Bound]:
    target = spec.placed
    assert not isinstance(target, RunpodTarget), "explained by its own rules"
    if workers is not None and what.startswith(workers.prefix):
        kind = what.removeprefix(workers.prefix)
        if kind in _KINDS:
            yield from _of_workers(kind, unit, spec, cost, workers, book)
            return
    yield from _plain(what, unit, spec, target, book, cost.bill.counted if cost.bill is not None else None)


def _of_workers(
    kind: str, unit: str, spec: ModelSpec, cost: Cost, workers: _Workers, book: PriceBook
) -> Iterator[Bound]:
    if kind == "always_on":
        yield product(Kind.ABOUT, workers.least, *_month(unit, workers, book), to=_TO)
        return
    performance, requests = spec.performance, requests_of(spec)
    service_s, cold_s = performance.service_time_s, performance.cold_start_s
    if requests is None or service_s is None or cold_s is None:
        return
    name = unit.rpartition("-")[2]
    per = () if name == "second" else (Term(f"seconds of {'an' if name == 'hour' else 'a'} {name}", _SECONDS[name]),)
    gpus = _each(workers)
    asked, starts = Term("requests", requests), Term("worker starts", cost.worker_starts_per_month or Decimal(0))
    if kind == "busy":
        service, places = Term("service time", service_s), Term("concurrency", Decimal(performance.concurrency))
        slots = workers.most * performance.concurrency
        if workers.alone and requests * service_s < slots * book.month_hours * 3600:
            always = (workers.least, *_month(unit, workers, book)) if workers.least.value else ()
            if not always and performance.concurrency == 1 and cost.simulation is None:
                yield product(Kind.ABOUT, asked, service, *gpus, per=per, to=_TO)
                return
            yield product(Kind.AT_LEAST, asked, service, *gpus, per=(places, *per), less=always, to=_TO)
        yield product(Kind.AT_MOST, asked, service, *gpus, per=per, to=_TO)
    elif kind == "idle" and workers.idle_timeout_s is not None:
        both = Term("(requests + worker starts)", requests + starts.value)
        yield product(Kind.AT_MOST, both, Term("idle timeout", workers.idle_timeout_s), *gpus, per=per, to=_TO)
    elif kind == "cold_start" and workers.bills_cold_start:
        half = workers.increment_s / 2
        start = Term(f"(cold start + {half.normalize():f} s)", cold_s + half) if half else Term("cold start", cold_s)
        yield product(Kind.ABOUT, starts, start, *gpus, per=per, to=_TO)


def _replicas(spec: ModelSpec, base: int) -> Term:
    """Of a hybrid's base, on average."""
    if spec.schedule is not None:
        return Term("mean of the schedule", always_on(spec.schedule, base))
    return Term("replicas", Decimal(base))


def _plain(
    what: str, unit: str, spec: ModelSpec, target: Target, book: PriceBook, seen: Counted | None
) -> Iterator[Bound]:
    """Lines that are a multiplication of what a spec says."""
    requests, million = Term("requests", requests_of(spec) or Decimal(0)), Term("a million", Decimal(10**6))
    match target:
        case RunpodPod() if what == "always_on" and spec.schedule is None:
            hours = Term("hours of a month", book.month_hours * target.running_share)
            pods = Term("pods", Decimal(target.pods))
            yield product(Kind.ABOUT, pods, hours, Term("GPUs", Decimal(target.gpu_count)), to=_TO)
        case RunpodPod() if what == "always_on" and spec.schedule is not None:
            hours = Term("hours of a month", book.month_hours)
            pods = Term("mean of the schedule", always_on(spec.schedule, target.pods))
            yield product(Kind.ABOUT, pods, hours, Term("GPUs", Decimal(target.gpu_count)), to=_TO)
        case RunpodPod() if what in ("disk", "volume", "volume_stopped"):
            yield _of_disks(what, spec, target)
        case Modal() if what == "buffer":
            yield from _of_buffer(unit, requests, spec, target, book)
        case Hybrid() if what == "base" and target.base is not None:
            gpus = Term("GPUs", target.dedicated.factor(target.dedicated.price(book)))
            name = unit.rpartition("-")[2]
            month = Term(f"{name}s of a month", book.month_hours * 3600 / _SECONDS[name])
            yield product(Kind.ABOUT, _replicas(spec, target.base), month, gpus, to=_TO)
        case Hybrid(beside=RunpodPod() as pod) if what in ("disk", "volume") and target.base is not None:
            size = Term("GB of each", Decimal(pod.disk_gb if what == "disk" else pod.volume_gb))
            yield product(Kind.ABOUT, _replicas(spec, target.base), size, to=_TO)
        case Hybrid(beside=RunpodPod() as pod) if what == "volume_stopped" and target.base is not None:
            stopped = Term("mean stopped", target.base - _replicas(spec, target.base).value)
            yield product(Kind.ABOUT, stopped, Term("GB of each", Decimal(pod.volume_gb)), to=_TO)
        case Hybrid(beside=LambdaSagemaker()) if what == "lambda_requests":
            yield product(Kind.AT_MOST, requests, per=(million,), to=_TO)
        case Hybrid(beside=LambdaSagemaker() as one) if what == "lambda_waiting" and spec.performance.service_time_s:
            waits = Term("service time up to the ms", milliseconds_up(spec.performance.service_time_s))
            yield product(Kind.AT_MOST, requests, waits, Term("GB of memory", Decimal(one.memory_mb) / 1024), to=_TO)
        case LambdaSagemaker() | SagemakerServerless():
            yield from _of_aws(what, requests, spec, target, book, seen)
        case _:
            return


def _of_disks(what: str, spec: ModelSpec, pod: RunpodPod) -> Bound:
    running = Term("pods", Decimal(pod.pods))
    if spec.schedule is not None:
        running = Term("mean of the schedule", always_on(spec.schedule, pod.pods))
    elif pod.running_share != 1:
        running = Term("pods running in the mean", pod.pods * pod.running_share)
    if what == "volume_stopped":
        running = Term("pods stopped in the mean", pod.pods - running.value)
    size = pod.disk_gb if what == "disk" else pod.volume_gb
    return product(Kind.ABOUT, running, Term("GB of each", Decimal(size)), to=_TO)


def _of_buffer(unit: str, requests: Term, spec: ModelSpec, target: Modal, book: PriceBook) -> Iterator[Bound]:
    """1 − e^(−x) is concave: at the mean rate it is at least what it is over rates that change."""
    service_s, demand = spec.performance.service_time_s, demand_of(spec)
    workers = _workers(spec, book)
    if service_s is None or demand is None or workers is None:
        return
    rate = (requests.value / (book.month_hours * 3600)).quantize(_RATE)
    stays = service_s + target.scaledown_s
    share = Term("", Decimal(-math.expm1(-float(rate * stays))))
    all_on = product(Kind.ABOUT, Term("buffer", Decimal(target.buffer)), *_month(unit, workers, book), to=_TO)
    yield replace(
        product(Kind.ABOUT, Term("", all_on.quantity), share, to=_TO),
        kind=Kind.ABOUT if len(demand.in_parts()) == 1 else Kind.AT_MOST,
        formula=f"{all_on.formula} × (1 − e^(−requests a second × (service time + scaledown window)))",
        figures=f"{all_on.figures} × (1 − e^(−{shortest(rate):f} × {shortest(stays):f}))",
    )


def _of_aws(
    what: str,
    requests: Term,
    spec: ModelSpec,
    target: LambdaSagemaker | SagemakerServerless,
    book: PriceBook,
    seen: Counted | None,
) -> Iterator[Bound]:
    demand = demand_of(spec)
    if demand is None:
        return
    million = Term("a million", Decimal(10**6))
    shares = Decimal(1), Decimal(0), Decimal(0)
    if isinstance(target, SagemakerServerless):
        shares = served_shares(target, demand) if seen is None else seen.shares
    refused = shares[2]
    served = (Term("share that is not refused", 1 - refused),) if refused else ()
    sizes = {"data_in": demand.request_bytes, "data_out": demand.response_bytes}
    if what == "lambda_requests":
        yield product(Kind.ABOUT, requests, per=(million,), to=_TO)
    elif what == "http_api":
        units = Term("units of 512 KB", Decimal(http_api_units(demand)))
        yield product(Kind.ABOUT, requests, units, per=(million,), to=_TO)
    elif what in sizes:
        size = Term("bytes of one", Decimal(sizes[what]))
        yield product(Kind.ABOUT, requests, *served, size, per=(Term("bytes of a GB", GB),), to=_TO)
    elif isinstance(target, SagemakerServerless):
        yield from _of_slots(what, requests, spec, target, demand, book, shares)
    elif what == "lambda_waiting" and demand.service_s is not None:
        memory = Term("GB of memory", Decimal(target.memory_mb) / 1024)
        yield product(Kind.AT_LEAST, requests, Term("service time", demand.service_s), memory, to=_TO)
        wait_s = waiting_s(target, demand) if seen is None else seen.wait_s
        if wait_s is not None:
            both = Term("(service time + mean wait, in whole ms)", milliseconds_up(demand.service_s + wait_s))
            yield product(Kind.ABOUT, requests, both, memory, to=_TO)


def _of_slots(
    what: str,
    requests: Term,
    spec: ModelSpec,
    target: SagemakerServerless,
    demand: Demand,
    book: PriceBook,
    shares: tuple[Decimal, Decimal, Decimal],
) -> Iterator[Bound]:
    month = Term("seconds of a month", book.month_hours * 3600)
    if what == "provisioned":
        slots = Term("slots", target.provisioned * target.provisioned_share)
        if spec.schedule is not None:
            slots = Term("mean of the schedule", always_on(spec.schedule, target.max_concurrency))
        yield product(Kind.ABOUT, slots, month, to=_TO)
    elif what in ("busy", "busy_on_provisioned") and demand.service_s is not None:
        warm, cold, refused = shares
        billed = Term("service time, in whole ms", milliseconds_up(demand.service_s))
        if not warm and not refused:
            yield product(Kind.ABOUT, requests, billed, to=_TO)
            return
        share = Term("share on demand", cold) if what == "busy" else Term("share on provisioned slots", warm)
        yield product(Kind.ABOUT, requests, share, billed, to=_TO)
        yield product(Kind.AT_MOST, requests, billed, to=_TO)
