"""Modal: GPU, CPU and memory of containers by the second, with region factors; credits are counted once, in `stack`.

What is billed: container time from its start (image and model load included) to the end of the scaledown window; the
larger of requested and used CPU and memory (modal.com/docs: pricing, cold start, scale, resources; 2026-10-07).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from baseload.planner.pool import Assumption
from baseload.planner.prices import PriceBook
from baseload.planner.targets.bill import GB, Bill, Demand, Stage, Tally
from baseload.planner.targets.refusal import TIMES, Refusal
from baseload.planner.targets.workers import Fleet, Times, missing, worker_time

GPUS_PER_CONTAINER = 8
A10_PER_CONTAINER = 4
SCALEDOWN_S = range(2, 3601)
CONTAINERS_PER_FUNCTION = 4000
LONGEST_S = 86_400
WEB_REQUEST_S = 150
WAITING, SPAWNED = 2_000, 1_000_000
"""Calls of a function that wait for a container at most (modal.com/docs/guide/scale, 2026-10-07)."""
PLAN_GPUS = MappingProxyType({"starter": 10, "team": 50})
"""GPUs at the same time; more by contract."""
PLANS = ("starter", "team", "enterprise")
"""A workspace has one: from the smallest to the largest."""
REGIONS = MappingProxyType({"broad": "region-broad", "narrow": "region-narrow"})


@dataclass(frozen=True, kw_only=True)
class Modal:
    """A function or server with containers of one size."""

    gpu: str | None
    """Modal's name, for instance H100; None is CPU only."""
    gpu_count: int = 1
    cores: Decimal = Decimal("0.125")
    """Physical cores, each two vCPU."""
    memory_gib: Decimal = Decimal("0.125")
    containers_min: int = 0
    containers_max: int = 1
    buffer: int = 0
    """Idle containers kept beyond those in use, while there is load."""
    scaledown_s: int = 60
    region: str | None = None
    """None, `broad` (us, eu, ap) or `narrow` (us-east, eu-north)."""
    nonpreemptible: bool = False
    plan: str = "starter"
    volume_gib: Decimal = Decimal(0)


def modal(target: Modal, demand: Demand, book: PriceBook, times: Times = worker_time) -> Bill:
    """GPU time by what containers do, CPU and memory of all container time; without a GPU the CPU's by what they do."""
    tally = Tally(book)
    fleet = Fleet(
        workers_min=target.containers_min,
        workers_max=target.containers_max,
        idle_timeout_s=Decimal(target.scaledown_s),
        increment_s=Decimal(1),
        buffer=target.buffer,
    )
    unknown = missing(demand, fleet)
    time = times(demand, fleet, book.month_hours)
    kinds = time.by_kind()
    place = tally.factor("modal", REGIONS.get(target.region or ""))
    steady = place * (tally.factor("modal", "nonpreemptible") if target.nonpreemptible else 1)
    if target.gpu:
        bought, each, factor = target.gpu, Decimal(target.gpu_count), place
    else:
        bought, each, factor = "cpu", target.cores, steady
    price = book.find("modal", "serverless", bought)
    for kind, seconds in kinds.items():
        tally.time(kind, price, f"modal/serverless/{bought}", seconds * each, factor)
    seconds = sum(kinds.values(), Decimal(0))
    for what, amount in (("cpu", target.cores), ("memory", target.memory_gib)):
        if what != bought:
            row = book.find("modal", "serverless", what)
            tally.time(what, row, f"modal/serverless/{what}", seconds * amount, steady)
    shared = {
        "modal/egress/internet": demand.per_month(book.month_hours) * demand.response_bytes / GB,
        "modal/storage/volume": target.volume_gib,
    }
    return Bill(
        target="modal",
        lines=tuple(tally.lines),
        unpriced=tuple(tally.unpriced),
        unknown=unknown,
        impossible=tuple(item.reason for item in refusals(target, demand)),
        caveats=tuple(_caveats(demand)),
        latency=(Stage(name="service", low_s=demand.service_s, high_s=demand.service_s, source="spec, a mean"),),
        method=time.method,
        starts=time.starts,
        pools=time.pools,
        assumptions=_assumptions(target),
        shared=MappingProxyType({name: quantity for name, quantity in shared.items() if quantity > 0}),
    )


def refusals(target: Modal, demand: Demand) -> list[Refusal]:
    """What Modal refuses."""
    found = []

    def refuse(name: str, key: str, reason: str, remedy: str, *beside: str) -> None:
        found.append(Refusal(code=f"modal/{name}", key=key, reason=reason, remedy=remedy, beside=beside))

    most = gpus_per_container(target.gpu)
    least, largest = target.containers_min, target.containers_max
    if target.gpu and not 1 <= target.gpu_count <= most:
        reason = f"a container has 1 to {most} {target.gpu}, not {target.gpu_count}"
        refuse("gpus", "gpu_count", reason, f"set it to {most}", "gpu")
    if target.gpu and target.nonpreemptible:
        reason = "a function with a GPU is always preemptible on Modal"
        refuse("nonpreemptible", "nonpreemptible", reason, "remove `nonpreemptible`", "gpu")
    if target.region is not None and target.region not in REGIONS:
        refuse("region", "region", f"region {target.region!r} is neither broad nor narrow", "choose one")
    if target.scaledown_s not in SCALEDOWN_S:
        reason = f"the scaledown window is 2 to 3600 s, not {target.scaledown_s}"
        refuse("scaledown", "scaledown_window", reason, "set it within 2s and 1h")
    if largest > CONTAINERS_PER_FUNCTION:
        reason = f"a function has at most {CONTAINERS_PER_FUNCTION:,} containers"
        refuse("containers", "containers.max", reason, "lower `containers.max`")
    if least > largest:
        reason = f"`containers.min` {least} is more than `containers.max` {largest}"
        refuse("min-above-max", "containers.min", reason, f"raise `containers.max` to {least}", "containers.max")
    if demand.service_s is not None and demand.service_s > LONGEST_S:
        refuse("timeout", TIMES, "a call ends after 24 hours", "cut the work into smaller calls")
    return found


def gpus_per_container(gpu: str | None) -> int:
    """The most of that type."""
    return A10_PER_CONTAINER if gpu == "A10" else GPUS_PER_CONTAINER


def gpus_at_once(target: Modal) -> int:
    """With all containers running; the workspace's plan may allow fewer (`PLAN_GPUS`)."""
    return target.gpu_count * (target.containers_max + target.buffer) if target.gpu else 0


def _caveats(demand: Demand) -> list[str]:
    if demand.batch is not None:
        told = f"more than {WAITING:,} waiting calls are refused, but for those of `spawn`: up to {SPAWNED:,}"
        return [told] if demand.batch.jobs > WAITING else []
    if demand.service_s is None or demand.service_s <= WEB_REQUEST_S:
        return []
    return [f"a web request is redirected to a polling address after {WEB_REQUEST_S} s; not all clients follow"]


def _assumptions(target: Modal) -> tuple[Assumption, ...]:
    found = [
        Assumption(
            name="cpu_and_memory",
            value=f"{target.cores} cores, {target.memory_gib} GiB",
            source="spec; else Modal's default requests",
            errs="low: the larger of request and use is billed",
        )
    ]
    if (gpus := gpus_at_once(target)) > PLAN_GPUS.get(target.plan, gpus):
        found.append(
            Assumption(
                name="gpu_quota",
                value=f"{gpus} GPUs at the same time, the {target.plan} plan runs {PLAN_GPUS[target.plan]}",
                source="default; Modal's plans, more by contract",
                errs="the bill is high and the latency low where fewer run",
            )
        )
    if target.buffer:
        found.append(
            Assumption(
                name="buffer",
                value=f"{target.buffer} beside those in use, while any request was served within the scaledown window",
                source="default; modal.com/docs: buffer containers are kept while the function is active",
                errs="low by their cold starts",
            )
        )
    return tuple(found)
