"""How many replicas to keep as a base under a pool that scales: the cheapest number, by closed form or by simulation.

Costs are in prices of a pool's worker, the base's as a multiple of it: no money, no platform.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from baseload.planner.pool import Pool, estimate, flows, settled


@dataclass(frozen=True, kw_only=True)
class Base:
    """The cheapest base and what each size costs."""

    replicas: int
    costs: tuple[float, ...]
    """Mean cost of base and pool for 0, 1, 2 … replicas, in workers of the pool."""


def best_base(pools: Sequence[tuple[float, Pool]], price: float, *, most: int | None = None) -> Base:
    """The cheapest base for times of different rates: (share of the time, the pool at that rate).

    `price` is that of a replica over that of a worker of the pool, for the same time. Every size up to `most` (by
    default what the highest rate can use) is computed: the cost need not fall and then rise.
    """
    if most is None:
        load = max(pool.load for _, pool in pools)
        most = math.ceil((load + 4 * math.sqrt(load)) / pools[0][1].concurrency) + 1

    def cost(replicas: int) -> float:
        billed = (share * estimate(replace(pool, dedicated=replicas)).billed for share, pool in pools)
        return replicas * price + math.fsum(billed)

    costs = tuple(cost(replicas) for replicas in range(most + 1))
    return Base(replicas=costs.index(min(costs)), costs=costs)


def confirmed(base: Base, simulated: Callable[[int], float]) -> Base:
    """The cheapest of the closed form's choice and its neighbours by simulation; goes on while an end is cheapest.

    `simulated` gives the mean cost for a number of replicas, in the same unit; use the same requests for all of them.
    """
    costs = list(base.costs)
    known: dict[int, float] = {}

    def at(replicas: int) -> float:
        if replicas not in known:
            known[replicas] = costs[replicas] = simulated(replicas)
        return known[replicas]

    best = base.replicas
    while True:
        near = [replicas for replicas in (best - 1, best, best + 1) if 0 <= replicas < len(costs)]
        cheapest = min(near, key=at)
        if cheapest == best:
            return Base(replicas=best, costs=tuple(costs))
        best = cheapest


def worth(pool: Pool) -> tuple[float, ...]:
    """Billed share of the time of each worker above the minimum, the first one first (φ).

    A worker is cheaper dedicated where its share exceeds the price of a replica over that of a pool's worker. Empty
    where no worker comes and goes: no traffic, overload, all always on.
    """
    pool = settled(pool)
    if pool.arrivals_per_s <= 0 or pool.load >= pool.slots or pool.workers_max <= pool.workers_min:
        return ()
    return tuple(accumulate(flows(pool).worth, min))  # they fall; the approximation of the first may lie below
