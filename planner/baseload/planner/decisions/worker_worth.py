"""Which workers of a serverless pool are worth being machines that stay: what each saves beside its price.

The rule: worker k is cheaper dedicated where the share of the time that it is billed for exceeds the price of an hour
dedicated over that of an hour serverless. What a machine saves may be more than that share: where it takes a request,
no others are started with it. So bases are summed up one by one, and the cheapest sum decides. Both sides have the same
GPU. Recommends nothing beyond that sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from baseload.planner.compare.hybrids import as_fast, card_of, hour_usd, is_from_zero, is_steady
from baseload.planner.compare.row import Comparison, Row, Status
from baseload.planner.pool import Pool
from baseload.planner.pool.base import best_base, worth
from baseload.planner.spec.model import ModelSpec, RequestCount, RunpodTarget
from baseload.planner.targets.aws import SagemakerServerless
from baseload.planner.targets.demand import demand_of
from baseload.planner.targets.fleet import fleet_of
from baseload.planner.targets.hybrid import Hybrid
from baseload.planner.targets.workers import pool_of

if TYPE_CHECKING:
    from baseload.planner.prices import PriceBook

FEW = 50
"""Workers up to which every base is summed up."""
NEGLIGIBLE = Decimal("0.0005")
"""Share of the time: workers that are billed for less are not listed."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """The k-th worker of the pool, which starts when those before it are full."""

    number: int
    busy_share: Decimal | None
    """Of the first worker alone: the mean requests in service over its places where it serves all of them."""
    billed_share: Decimal
    """φ: of the time, busy, idle and starting."""
    saved_share: Decimal | None
    """Of a serverless worker's time: what the others are billed less once it stays, itself among them. None where
    there are more than `FEW` workers, of which none starts with many others."""
    dedicated: bool
    """Whether it belongs to the cheapest base."""


@dataclass(frozen=True, kw_only=True)
class Worths:
    """The workers of one serverless row, beside the cheapest machine with the same GPU."""

    serverless: str
    serverless_usd_per_hour: Decimal
    dedicated: str | None
    """None: no machine with this GPU has a bill."""
    dedicated_usd_per_hour: Decimal | None
    price_ratio: Decimal | None
    """Dedicated over serverless: what the billed share has to exceed."""
    workers: tuple[Worker, ...]

    @property
    def base(self) -> int:
        """Workers that are worth being dedicated."""
        return sum(worker.dedicated for worker in self.workers)

    def to_json(self) -> dict[str, Any]:
        """Amounts and shares as decimal strings."""
        return {
            "serverless": self.serverless,
            "serverless_usd_per_hour": format(self.serverless_usd_per_hour, "f"),
            "dedicated": self.dedicated,
            "dedicated_usd_per_hour": _text(self.dedicated_usd_per_hour),
            "price_ratio": _text(self.price_ratio),
            "base": self.base,
            "workers": [
                {
                    "number": worker.number,
                    "busy_share": _text(worker.busy_share),
                    "billed_share": format(worker.billed_share, "f"),
                    "saved_share": _text(worker.saved_share),
                    "dedicated": worker.dedicated,
                }
                for worker in self.workers
            ],
        }


def worths(found: Comparison, book: PriceBook) -> Worths | None:
    """Of the spec's own row where it starts from zero, else of the cheapest that does; None where none has a bill."""
    rows = [row for row in found.of(Status.RANKED) if row.spec is not None and not row.another_precision]
    rows = [row for row in rows if row.spec and not isinstance(row.spec.target, (Hybrid, SagemakerServerless))]
    flexible = [row for row in rows if is_from_zero(row, book) and hour_usd(row)]
    if not flexible:
        return None
    burst = next((row for row in flexible if row.own), flexible[0])
    matching = [
        row
        for row in rows
        if is_steady(row, book) and hour_usd(row) and card_of(row, book) == card_of(burst, book) and as_fast(row, burst)
    ]
    known = card_of(burst, book) is not None and bool(matching)
    base = min(matching, key=lambda row: (hour_usd(row) or Decimal(0), row.id)) if known else None
    per_hour, fixed = hour_usd(burst) or Decimal(0), hour_usd(base) if base is not None else None
    ratio = None if fixed is None else fixed / per_hour
    return Worths(
        serverless=burst.id,
        serverless_usd_per_hour=per_hour,
        dedicated=None if base is None else base.id,
        dedicated_usd_per_hour=fixed,
        price_ratio=None if ratio is None else _share(ratio),
        workers=_workers(pools_of(burst, book), ratio),
    )


def pools_of(row: Row, book: PriceBook) -> tuple[tuple[float, Pool], ...]:
    """The workers of a row in each part of the week, with its share; none where a figure is missing."""
    assert row.spec is not None, "has a bill"
    spec: ModelSpec = row.spec
    demand = demand_of(spec)
    if demand is None or demand.service_s is None or demand.cold_start_s is None:
        return ()
    if isinstance(spec.target, RunpodTarget) and isinstance(spec.target.scaling, RequestCount):
        demand = replace(demand, concurrency=min(demand.concurrency, spec.target.scaling.requests))
    fleet = fleet_of(spec.placed, book)
    return tuple((float(part.share), pool_of(demand, fleet, part)) for part in demand.in_parts())


def _workers(pools: Sequence[tuple[float, Pool]], ratio: Decimal | None) -> tuple[Worker, ...]:
    shares = [(share, _billed(pool)) for share, pool in pools]
    most = max((len(billed) for _, billed in shares), default=0)
    means = [_share(Decimal(math.fsum(a * b[k] for a, b in shares if k < len(b)))) for k in range(most)]
    load = math.fsum(share * pool.load for share, pool in pools)
    first = load / pools[0][1].concurrency if pools else 0.0
    listed = [k for k, billed in enumerate(means) if billed >= NEGLIGIBLE or k == 0]
    saved: list[Decimal] = []
    base = sum(ratio is not None and billed > ratio for billed in means)
    if 0 < len(listed) <= FEW:
        sums = best_base(pools, float(ratio or 0), most=len(listed))
        base = sums.replicas if ratio is not None else 0
        saved = [_share(Decimal(a - b) + (ratio or 0)) for a, b in pairwise(sums.costs.values())]
    return tuple(
        Worker(
            number=k + 1,
            busy_share=_share(Decimal(first)) if k == 0 and first < 1 else None,
            billed_share=means[k],
            saved_share=saved[k] if saved else None,
            dedicated=k < base,
        )
        for k in listed
    )


def _billed(pool: Pool) -> tuple[float, ...]:
    """Of each worker; all are always on where more arrives than they serve."""
    return (1.0,) * pool.workers_max if pool.load >= pool.slots else worth(pool)


def _share(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.0001"), ROUND_HALF_UP)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
