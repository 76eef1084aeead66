"""What a target's workers run on: which cards, and how many of them each. Facts of tables, no speeds and no prices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from baseload.planner.performance.cards import CARDS, RUNPOD, Card
from baseload.planner.performance.gpus import POOLS, Pool
from baseload.planner.spec.model import Auto, RunpodTarget
from baseload.planner.targets import aws, hybrid, modal, rented, runpod

if TYPE_CHECKING:
    from baseload.planner.prices import Price, PriceBook
    from baseload.planner.targets import Target


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What one worker runs on."""

    name: str
    """The provider's own, for instance `ADA_24` or `ml.g5.xlarge`."""
    platform: str
    """For instance `runpod`, `aws`."""
    cards: tuple[Card, ...]
    """The kinds it may be placed on; empty where there is no GPU, or nothing is known of it."""
    gpu_count: int = 1


def hardware_of(target: RunpodTarget | Target | Auto, book: PriceBook) -> Hardware:
    """What a worker of the target runs on; of a hybrid, a replica of the base; of `auto`, not yet known."""
    match target:
        case Auto():
            return Hardware(name="auto", platform="runpod", cards=())
        case RunpodTarget():
            cards = cards_of_pool(POOLS[target.gpu])
            return Hardware(name=target.gpu, platform="runpod", cards=cards, gpu_count=target.gpu_count)
        case runpod.RunpodPod():
            return Hardware(
                name=target.gpu, platform="runpod", cards=_known(RUNPOD.get(target.gpu)), gpu_count=target.gpu_count
            )
        case aws.LambdaSagemaker():
            row = next((row for row in book.of("aws") if row.gpu == target.instance), None)  # the same in every region
            count = row.count if row is not None and row.count else 1
            return Hardware(name=target.instance, platform="aws", cards=_known(card_of(row)), gpu_count=count)
        case aws.SagemakerServerless():
            return Hardware(name=f"{target.memory_mb} MB", platform="aws", cards=(), gpu_count=0)
        case modal.Modal():
            row = book.find("modal", "serverless", target.gpu) if target.gpu else None
            count = target.gpu_count if target.gpu else 0
            return Hardware(name=target.gpu or "CPU", platform="modal", cards=_known(card_of(row)), gpu_count=count)
        case hybrid.Hybrid():
            return _of_row(target.dedicated, target.dedicated.price(book))
        case rented.Rented():
            row = book.find(target.provider, target.product, target.gpu, region=target.region, tier=target.tier)
            return _of_row(target, row)


def card_of(row: Price | None) -> Card | None:
    """The card of a price row; None where nothing is known of it."""
    if row is None:
        return None
    return RUNPOD.get(row.gpu) if row.provider == "runpod" else CARDS.get(row.card)


def cards_of_pool(pool: Pool) -> tuple[Card, ...]:
    """The kinds of a RunPod pool, each with the memory of the smallest: a worker may be placed on it."""
    return tuple(dict.fromkeys(replace(RUNPOD[name], memory_gib=pool.memory_gib) for name in pool.types))


def workers_max_of(target: RunpodTarget | Target | Auto) -> int:
    """The most workers it runs at once; of a hybrid, of its burst; of `auto`, at least."""
    match target:
        case Auto():
            return RunpodTarget.workers_max
        case RunpodTarget() | rented.Rented():
            return target.workers_max
        case runpod.RunpodPod():
            return target.pods
        case aws.LambdaSagemaker():
            return target.instances_max
        case aws.SagemakerServerless():
            return target.max_concurrency
        case modal.Modal():
            return target.containers_max
        case hybrid.Hybrid():
            return target.burst_max


def _of_row(side: hybrid.Side | rented.Rented, row: Price | None) -> Hardware:
    """A machine has its own number of GPUs, else it is that of the spec."""
    machine = row is not None and not row.unit.startswith("gpu-")
    count = row.count if machine and row is not None and row.count else side.gpu_count
    if row is not None and row.provider == "runpod" and row.gpu in POOLS:
        return Hardware(name=side.gpu, platform="runpod", cards=cards_of_pool(POOLS[row.gpu]), gpu_count=count)
    return Hardware(name=side.gpu, platform=side.provider, cards=_known(card_of(row)), gpu_count=count)


def _known(card: Card | None) -> tuple[Card, ...]:
    return () if card is None else (card,)
