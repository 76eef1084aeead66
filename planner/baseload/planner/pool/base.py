"""How many replicas to keep as a base under a pool that scales: the cheapest number, by closed form or by simulation.

Costs are in prices of a pool's worker, the base's as a multiple of it: no money, no platform.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from baseload.planner.pool import Pool, estimate, flows, settled

FEW = 24
"""Sizes that are looked at at a time."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """The cheapest base and what the sizes cost that were looked at."""

    replicas: int
    costs: Mapping[int, float]
    """By the number of replicas, rising."""
    sizes: range
    """Those that may be chosen."""


def cheapest(cost: Callable[[int], float], sizes: range, *, few: int = FEW) -> Base:
    """The size with the smallest cost, the smaller one where two cost the same.

    More than `few` sizes are looked at in steps that become finer around the best: the cost falls and then rises with
    the base, but for a bump where the pool is at its maximum.
    """
    costs: dict[int, float] = {}
    near = sizes
    while True:
        step = -(-len(near) // few)
        for size in near[::step]:
            if size not in costs:
                costs[size] = cost(size)
        best = min(near[::step], key=costs.__getitem__)
        if step == 1:
            return Base(replicas=best, costs=dict(sorted(costs.items())), sizes=sizes)
        near = range(max(best - step, near[0]), min(best + step, near[-1]) + 1)


def best_base(pools: Sequence[tuple[float, Pool]], price: float, *, most: int | None = None) -> Base:
    """The cheapest base for times of different rates: (share of the time, the pool at that rate).

    `price` is that of a replica over that of a worker of the pool, for the same time; costs are means in workers of
    the pool. Every size up to `most` (by default what the highest rate can use) is computed.
    """
    if most is None:
        load = max(pool.load for _, pool in pools)
        most = math.ceil((load + 4 * math.sqrt(load)) / pools[0][1].concurrency) + 1

    def cost(replicas: int) -> float:
        billed = (share * estimate(replace(pool, dedicated=replicas)).billed for share, pool in pools)
        return replicas * price + math.fsum(billed)

    return cheapest(cost, range(most + 1), few=most + 1)


def confirmed(base: Base, simulated: Callable[[int], float], *, most: int | None = None) -> Base:
    """The cheapest of the closed form's choice and its neighbours by simulation; goes on while an end is cheapest.

    `simulated` gives the cost of a number of replicas, in the same unit; use the same requests for all of them. The
    costs are then of those alone, `most` of them at most or a few more.
    """
    known: dict[int, float] = {}

    def at(replicas: int) -> float:
        if replicas not in known:
            known[replicas] = simulated(replicas)
        return known[replicas]

    best = base.replicas
    while True:
        near = [replicas for replicas in (best - 1, best, best + 1) if replicas in base.sizes]
        found = min(near, key=at)
        if found == best or len(known) >= (most or math.inf):
            best = found
            return replace(base, replicas=best, costs=dict(sorted(known.items())))
        best = found


def worth(pool: Pool) -> tuple[float, ...]:
    """Billed share of the time of each worker above the minimum, the first one first (φ).

    A worker is cheaper dedicated where its share exceeds the price of a replica over that of a pool's worker. Empty
    where no worker comes and goes: no traffic, overload, all always on.
    """
    pool = settled(pool)
    if pool.arrivals_per_s <= 0 or pool.load >= pool.slots or pool.workers_max <= pool.workers_min:
        return ()
    return tuple(accumulate(flows(pool).worth, min))  # they fall; the approximation of the first may lie below
