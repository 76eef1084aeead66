"""What can be rented by time, from the price book: for every card of a provider the machine that a replica takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from baseload.planner.performance.cards import CARDS, RUNPOD, Card
from baseload.planner.performance.on_cards import COUNTS, fewest_gpus
from baseload.planner.prices import Price, PriceBook
from baseload.planner.spec.model import ModelSpec
from baseload.planner.targets.hardware import Hardware


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One GPU of a provider, and how many of it a replica takes there."""

    row: Price
    card: Card | None
    count: int
    """GPUs of a replica."""
    copies: int = 1
    """Replicas on one machine whose GPUs are more."""
    too_small: bool = False

    @property
    def target(self) -> str:
        """Its name in a spec."""
        names = {"aws": "lambda-sagemaker", "runpod": "runpod-pod"}
        return names.get(self.row.provider, self.row.provider)

    @property
    def billed_gpus(self) -> int:
        """Of one worker, as the price counts them."""
        return self.count if self.row.unit.startswith("gpu-") else max(self.row.count, 1)


def offers(spec: ModelSpec, own: Hardware, book: PriceBook) -> Iterator[Offer]:
    """For every card of a provider the cheapest machine that holds the model; else the largest that does not."""
    groups: dict[tuple[str, str, str, str], list[Price]] = {}
    for row in _runnable(book):
        groups.setdefault((row.provider, row.product, row.tier, _card_name(row)), []).append(row)
    for _, rows in sorted(groups.items()):
        name = _card_name(rows[0])
        card = CARDS.get(name)
        count = max(own.gpu_count, 1) if card is None else fewest_gpus(spec, own, card.memory_gib)
        fitting = [row for row in rows if count is not None and (row.unit.startswith("gpu-") or row.count >= count)]
        if count is None or not fitting:
            largest = max(rows, key=lambda row: (row.count, row.id))
            most = COUNTS[-1] if largest.unit.startswith("gpu-") else largest.count
            yield Offer(row=largest, card=card, count=most, too_small=True)
            continue
        row = min(fitting, key=_cheapest)
        copies = 1 if row.unit.startswith("gpu-") else row.count // count
        yield Offer(row=row, card=card, count=count, copies=copies)


def _runnable(book: PriceBook) -> Iterator[Price]:
    """Rows of machines with a GPU, by time. RunPod's serverless pools are priced by their own rules."""
    for provider in book.providers():
        for row in book.of(provider):
            serverless = provider == "runpod" and row.product != "pod"
            elsewhere = provider == "aws" and row.product != "sagemaker-realtime"
            if row.card and row.count and row.seconds and row.withdrawn is None and not serverless and not elsewhere:
                yield row


def _card_name(row: Price) -> str:
    return RUNPOD[row.gpu].name if row.provider == "runpod" and row.gpu in RUNPOD else row.card


def _cheapest(row: Price) -> tuple[bool, Decimal, bool, str]:
    """The home region of AWS's other prices first where two cost the same; what has no price comes last."""
    return row.usd_per_hour is None, row.usd_per_hour or Decimal(0), row.region != "us-east-1", row.id
