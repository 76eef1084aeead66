"""How long requests take in a pool of workers, and how many of them meet a cold start; the closed form.

Most requests find a warm worker and take one service time. The others wait: for the start of an empty pool, for one
more worker, or because all workers are full. The latency is the mixture of these waits, each plus a service time. It
knows no money; formulas and their errors stand in docs/cost-model.md under "Latency".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from baseload.planner.pool import Pool, flows, settled, wait_ratio
from baseload.planner.pool.erlang import waiting

_UNIFORM = tuple((k + 0.5) / 16 for k in range(16))
_PARTS = tuple(
    ((b - a), (a + b) / 2)
    for a, b in itertools.pairwise((0, 1 / 4, 1 / 2, 3 / 4, 7 / 8, 15 / 16, 31 / 32, 63 / 64, 127 / 128, 1))
)
"""(chance, where) of parts of a law of waits, finer towards its tail."""

_SHORTEST_S = 1e-6
"""Service times below count as this: they are divided by."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """From the arrival of a request to its answer, in seconds; None where the queue grows without end or none come."""

    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    waited_share: float
    """Requests that wait at all."""
    cold_share: float
    """Of all requests, those that wait for a worker to start."""


class _Atom(NamedTuple):
    chance: float
    wait_s: float


def latency(pool: Pool) -> Latency:
    """The latency in a pool at its constant rate."""
    return latency_over([(1.0, pool)])


def latency_over(pools: Sequence[tuple[float, Pool]]) -> Latency:
    """The latency over times of different rates: (share of the time, the pool at that rate), weighted by requests."""
    law = law_over(pools)
    if law is None:
        asked = any(share * pool.arrivals_per_s > 0 for share, pool in pools)
        return Latency(p50_s=None, p95_s=None, p99_s=None, waited_share=float(asked), cold_share=0.0)
    return Latency(
        p50_s=law.quantile_s(0.5),
        p95_s=law.quantile_s(0.95),
        p99_s=law.quantile_s(0.99),
        waited_share=law.waited_share,
        cold_share=law.cold_share,
    )


@dataclass(frozen=True, kw_only=True)
class Law:
    """The law of the latency: waits with their chances, each plus a service time."""

    waits: Sequence[_Atom]
    """By rising wait."""
    service_s: float
    service_cv: float
    waited_share: float
    cold_share: float

    def quantile_s(self, share: float) -> float:
        """The time that `share` of the requests, below 1, do not exceed.

        Exact for exponential service times. For others by regula falsi in the logarithm of what is later, in which
        an exponential tail is a straight line; every third step halves, so that fixed service times end as well.
        """
        if self.service_cv == 1:
            return self._exponential_quantile_s(1 - share)
        later = math.log1p(-share)
        low, high = 0.0, self.waits[-1].wait_s + 40 * self.service_s * max(1.0, self.service_cv) ** 2
        above, below = -later, self._log_later(high) - later
        if below >= 0:
            return high
        for step in itertools.count():
            if high - low <= 1e-6 * high:
                break
            middle = (low + high) / 2
            if step % 3 < 2:
                middle = low + (high - low) * min(max(above / (above - below), 1e-3), 1 - 1e-3)
            found = self._log_later(middle) - later
            if abs(found) < 1e-7:
                return middle
            if found > 0:
                low, above = middle, found
            else:
                high, below = middle, found
        return (low + high) / 2

    def _exponential_quantile_s(self, later: float) -> float:
        """Between two waits the share that is later is one exponential and a constant: solved where it falls to it."""
        not_begun, begun, at_s = math.fsum(chance for chance, _ in self.waits), 0.0, 0.0
        for chance, wait_s in self.waits:
            begun_then = begun * math.exp(-(wait_s - at_s) / self.service_s)
            if begun_then + not_begun <= later:
                break
            not_begun = max(not_begun - chance, 0.0)
            begun, at_s = begun_then + chance, wait_s
        return at_s + self.service_s * math.log(begun / max(later - not_begun, 1e-300)) if begun else at_s

    def _log_later(self, t: float) -> float:
        cv, mean_s = self.service_cv, self.service_s
        later = math.fsum(chance * _survival(t - wait_s, mean_s, cv) for chance, wait_s in self.waits)
        return math.log(max(later, 1e-300))


def service_law(service_s: float, service_cv: float) -> Law:
    """Of requests that never wait."""
    service_s = max(service_s, _SHORTEST_S)
    return Law(waits=[_Atom(1.0, 0.0)], service_s=service_s, service_cv=service_cv, waited_share=0.0, cold_share=0.0)


def law_over(pools: Sequence[tuple[float, Pool]]) -> Law | None:
    """The law over times of different rates, as `latency_over`; None where none come or the queue grows without end."""
    pools = [(share, settled(pool)) for share, pool in pools]
    requests = math.fsum(share * pool.arrivals_per_s for share, pool in pools)
    if requests <= 0 or any(pool.load >= pool.slots for _, pool in pools if pool.arrivals_per_s > 0):
        return None
    atoms, waited, cold = dict[float, float](), 0.0, 0.0
    for share, pool in pools:
        if pool.arrivals_per_s <= 0:
            continue
        weight = share * pool.arrivals_per_s / requests
        for_start, for_slot = 0.0, 0.0
        for kind, atom in _waits(pool):
            if atom.chance:
                atoms[atom.wait_s] = atoms.get(atom.wait_s, 0.0) + atom.chance * weight
            for_start += atom.chance if kind == "start" else 0.0
            for_slot += atom.chance if kind == "slot" else 0.0
        waited += (for_start + for_slot) * weight
        cold += for_start * weight
    return Law(
        waits=[_Atom(atoms[wait_s], wait_s) for wait_s in sorted(atoms)],
        service_s=pools[0][1].service_s,
        service_cv=pools[0][1].service_cv,
        waited_share=min(waited, 1.0),
        cold_share=min(cold, 1.0),
    )


def _waits(pool: Pool) -> Iterator[tuple[str, _Atom]]:
    """The law of the wait: none, for a start or for a slot, as chances of single times."""
    used = pool.load / pool.slots
    if pool.workers_max <= pool.workers_min:
        cold, more, more_s, more_slots = 0.0, 0.0, 0.0, 1.0
        first, cold_slots, brief, brief_s = 1.0, 1.0, 0.0, 0.0
        full, queue = waiting(pool.slots, pool.load, pool.arrivals_cv)
    else:
        found = flows(pool)
        cold, more, more_s, full = found.cold_waits, found.more_waits, found.more_wait_s, found.full_waits
        more_slots, first, cold_slots = found.more_slots, found.cold_first, found.cold_slots
        brief, brief_s, queue = found.brief_waits, found.brief_wait_s, 1 / (pool.slots - pool.load)
    start_s = pool.cold_start_s + pool.start_delay_s
    yield "none", _Atom(1 - cold - more - brief - full, 0.0)
    yield "start", _Atom(cold * first, start_s)
    for part in _UNIFORM if cold and first < 1 else ():
        ahead = 1 + (1 / first - 1) * part
        behind_s = max((ahead + 1) / cold_slots - 1, 0.0) * pool.service_s
        yield "start", _Atom(cold * (1 - first) / len(_UNIFORM), start_s * (1 - part) + behind_s)
    queue_s = wait_ratio(pool.service_cv, pool.slots, used) * pool.service_s * queue
    for chance, where in _PARTS:
        if more:
            yield "start", _Atom(more * chance, min(more_s * _shape(pool, more_slots, where), start_s))
        if brief:
            wait_s = min(brief_s * _shape(pool, more_slots, where), pool.start_delay_s)
            yield "slot", _Atom(brief * chance, wait_s)
        yield "slot", _Atom(full * chance, queue_s * _shape(pool, pool.slots, where))


def _shape(pool: Pool, slots: float, where: float) -> float:
    """Quantile of the wait for one of some taken slots, over its mean: between that of fixed service times, whose rests
    are spread evenly, and the exponential law."""
    exponential = -math.log(1 - where)
    share = min(max(pool.service_cv**2, pool.load / slots), 1.0)
    return share * exponential + (1 - share) * (slots + 1) * (1 - math.pow(1 - where, 1 / slots))


def _survival(t: float, mean_s: float, cv: float) -> float:
    """Chance that a service takes longer than t: exponential, fixed or log-normal, as the simulation draws it."""
    if t < 0:
        return 1.0
    if cv == 1:
        return math.exp(-t / mean_s)
    if cv == 0 or t == 0:
        return float(t < mean_s)
    sigma_squared = math.log1p(cv * cv)
    return 0.5 * math.erfc((math.log(t / mean_s) + sigma_squared / 2) / math.sqrt(2 * sigma_squared))
