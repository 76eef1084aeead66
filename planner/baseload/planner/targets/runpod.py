"""RunPod pods: rented GPUs that stay, with their disks. Serverless endpoints are in `baseload.planner.cost.runpod`.

Billing as on docs.runpod.io, 2026-08-20: by the second while running; container disk while running; a pod volume also,
at twice the price, while stopped; no egress fee.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from baseload.planner.prices import PriceBook
from baseload.planner.targets.bill import Bill, Demand, Stage, Tally
from baseload.planner.targets.refusal import Refusal
from baseload.planner.targets.workers import Fleet, Times, mean_wait_s, worker_time

TIERS = ("secure", "community")


@dataclass(frozen=True, kw_only=True)
class RunpodPod:
    """Pods of one kind behind a balancer of one's own."""

    gpu: str
    """RunPod's GPU type, for instance NVIDIA L40S."""
    gpu_count: int = 1
    pods: int = 1
    tier: str = "secure"
    running_share: Decimal = Decimal(1)
    """Of the month; stopped for the rest."""
    disk_gb: int = 0
    """Container disk of each pod."""
    volume_gb: int = 0
    """Pod volume of each pod."""
    network_volume_gb: int = 0


def runpod_pod(target: RunpodPod, demand: Demand, book: PriceBook, times: Times = worker_time) -> Bill:
    """GPU hours, and disks running and stopped; so many pods as a schedule says in its hours."""
    tally, share = Tally(book), _running_share(target, demand)
    price = book.find("runpod", "pod", target.gpu, tier=target.tier)
    running_s = book.month_hours * 3600 * share
    tally.time("always_on", price, f"runpod/pod/{target.gpu}", running_s * target.gpu_count * target.pods)
    disks(tally, target, pods=target.pods, running=share * target.pods)
    wait = mean_wait_s(demand, target.pods) if target.pods else None
    pods = Fleet(workers_min=target.pods, workers_max=target.pods, fixed=True)
    overloaded = wait is None and demand.service_s is not None and demand.requests_per_day > 0
    unserved = any(part.workers_min == 0 and part.requests_per_day > 0 for part in demand.in_parts())
    return Bill(
        target="runpod-pod",
        lines=tuple(tally.lines),
        unpriced=tuple(tally.unpriced),
        impossible=tuple(item.reason for item in pod_refusals(target)),
        caveats=(
            *(("more arrives than the pods serve: the queue grows without end",) if overloaded else ()),
            *(("requests come in hours in which no pod runs: nobody answers them",) if unserved else ()),
        ),
        pools=times(demand, pods, book.month_hours).pools,
        latency=(
            Stage(name="wait for a place", low_s=Decimal(0), high_s=wait, source="mean wait, Erlang C"),
            Stage(name="service", low_s=demand.service_s, high_s=demand.service_s, source="spec, a mean"),
        ),
        method="exact: all pods are always on" if share == 1 else "exact: all pods are on for a share of the month",
        shared=shared(target),
    )


def disks(tally: Tally, target: RunpodPod, *, pods: int, running: Decimal) -> None:
    """Lines of the disks of so many pods, of which so many run on average."""
    for what, item, tier, gb_months in (
        ("disk", "container-disk", "", target.disk_gb * running),
        ("volume", "pod-volume", "running", target.volume_gb * running),
        ("volume_stopped", "pod-volume", "stopped", target.volume_gb * (pods - running)),
    ):
        row = tally.book.find("runpod", "storage", item, tier=tier)
        tally.units(what, row, f"runpod/storage/{item}", gb_months)


def shared(target: RunpodPod) -> Mapping[str, Decimal]:
    """What its pods have together: a network volume."""
    volume = Decimal(target.network_volume_gb)
    return MappingProxyType({"runpod/storage/network-volume": volume} if volume else {})


def _running_share(target: RunpodPod, demand: Demand) -> Decimal:
    """Of the time of all pods."""
    if all(part.workers_min is None for part in demand.in_parts()) or not target.pods:
        return target.running_share
    running = sum((part.share * min(part.workers_min or 0, target.pods) for part in demand.in_parts()), Decimal(0))
    return min(running / target.pods, Decimal(1))


def pod_refusals(target: RunpodPod) -> list[Refusal]:
    """What is no pod."""
    found = []
    if target.tier not in TIERS:
        reason = f"tier {target.tier!r} is neither secure nor community"
        found.append(Refusal(code="runpod/tier", key="tier", reason=reason, remedy="choose one"))
    if not 0 < target.running_share <= 1:
        reason = f"running_share is above 0 and at most 1, not {target.running_share}"
        found.append(Refusal(code="runpod/schedule", key="schedule", reason=reason, remedy="set it to 1"))
    if target.pods < 1 or target.gpu_count < 1:
        reason = "a pod needs at least one GPU, and there must be one"
        found.append(Refusal(code="runpod/pods", key="pods", reason=reason, remedy="set `pods` and `gpu_count` to 1"))
    return found
