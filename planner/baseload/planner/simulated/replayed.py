"""A spec's own log through its own endpoint: the bill and the latency of what really came, beside what the plan says.

Arrivals are those of the log, request by request; service times its durations, else made from its tokens, else drawn as
the plan has them. The log is a stream: memory grows with the queue, not with the log. Pure but for the iterable it is
given; it must not price anything itself, unit prices come with the lines of the `Cost`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib.util import find_spec
from itertools import chain
from typing import TYPE_CHECKING

from baseload.planner.cost import Cost, cents, cost_of
from baseload.planner.diagnostics import Location, Severity
from baseload.planner.errors import UsageError
from baseload.planner.performance.estimate import service_time
from baseload.planner.performance.gpus import POOLS
from baseload.planner.simulated.expected import as_simulated
from baseload.planner.simulated.replications import Workers, as_costed, service_times, workers_of
from baseload.planner.simulator import Simulated, replay
from baseload.planner.spec.model import Model, ModelSpec, RunpodTarget, Tokens
from baseload.planner.targets.hardware import cards_of_pool, hardware_of

if TYPE_CHECKING:
    from baseload.planner.performance.cards import Card
    from baseload.planner.pool import Dispatch, Pool
    from baseload.planner.prices import PriceBook
    from baseload.planner.traffic.log import Request

COMPILED_FROM = 1_000_000
"""Requests at which the compiled simulation is worth its compilation; its events are the same."""

SHORTEST_S = 0.001
"""Of a service time made from tokens."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What a log cost, as a month of it."""

    model: str
    cost: Cost
    """The plan's."""
    seed: int
    services: str
    """Where the service times come from."""
    seconds: float
    simulated: Simulated
    bill_usd: dict[str, Decimal]
    """By what the workers do, a month as busy as the log."""

    @property
    def monthly_usd(self) -> Decimal:
        """The bill."""
        return sum(self.bill_usd.values(), Decimal(0))

    @property
    def is_in_range(self) -> bool:
        """Whether the plan's range holds the bill."""
        low, high = self.cost.monthly_usd.low, self.cost.monthly_usd.high
        return low is not None and high is not None and low <= self.monthly_usd <= high


def replayed(
    spec: ModelSpec, book: PriceBook, log: Iterable[Request], *, seed: int = 1, dispatch: Dispatch | None = None
) -> Replayed:
    """Replay a log, in the order of its times, on the spec's endpoint; the spec has the log's traffic already.

    Raises UsageError under a schedule, and where a figure that is needed is unknown.
    """
    if spec.schedule is not None:
        raise UsageError.of(
            "simulate/schedule",
            f"{spec.name} cannot be replayed: it is not known which hours of its log are which of its schedule's",
            where=Location(spec.file),
            hint="replay it without `schedule:`",
        )
    cost = cost_of(spec, book)
    if cost.monthly_usd.expected is None:
        raise UsageError(*(replace(item, severity=Severity.ERROR) for item in cost.diagnostics))
    spec = as_costed(spec, cost)
    if not spec.performance.service_time_s or spec.performance.cold_start_s is None:
        raise UsageError.of(
            "simulate/performance",
            f"{spec.name} cannot be replayed: its spec does not say how long a request and a cold start take",
            where=Location(spec.file),
            hint="measure and add them, for instance `performance: {service_time: 1.8s, cold_start: 25s}`",
        )
    workers = workers_of(spec, cost, book)
    pool = as_simulated(workers.pool, spec, dispatch)
    stream = iter(log)
    first = next(stream, None)
    if first is None:
        raise UsageError.of("traffic/empty", f"the log of {spec.name} has no requests", where=Location(spec.file))
    told, times = _services(spec, book, pool, first, chain([first], stream), seed)
    seen = replay(pool, times, seed=seed, fast=_compiled(spec))
    return Replayed(
        model=spec.name,
        cost=cost,
        seed=seed,
        services=told,
        seconds=seen.window_s,
        simulated=seen,
        bill_usd=_bill(workers, seen),
    )


def _compiled(spec: ModelSpec) -> bool:
    observed = spec.traffic.observed if spec.traffic else None
    requests = observed.mean_per_s * observed.seconds if observed else 0
    return requests > COMPILED_FROM and find_spec("numba") is not None


# ------------------------------------------------------------------------------------------------------ service times
def _services(
    spec: ModelSpec, book: PriceBook, pool: Pool, first: Request, log: Iterable[Request], seed: int
) -> tuple[str, Iterator[tuple[float, float]]]:
    """Where service times come from, and (time, service time) of each request; the first one tells what a log has."""
    drawn = service_times(pool, random.Random(f"{seed}/service"))
    if first.duration_s is not None:
        lasted = ((each.at_s, next(drawn) if each.duration_s is None else each.duration_s) for each in log)
        return "durations of the log", lasted
    by_tokens = _by_tokens(spec, book)
    if by_tokens is not None and first.tokens_in is not None and first.tokens_out is not None:
        base_s, in_s, out_s = by_tokens

        def made(each: Request) -> float:
            if each.tokens_in is None or each.tokens_out is None:
                return next(drawn)
            return max(base_s + in_s * each.tokens_in + out_s * each.tokens_out, SHORTEST_S)

        return "tokens of the log", ((each.at_s, made(each)) for each in log)
    said = f"drawn around {pool.service_s:.3g} s with a coefficient of variation of {pool.service_cv:.3g}"
    return said, ((each.at_s, next(drawn)) for each in log)


def _by_tokens(spec: ModelSpec, book: PriceBook) -> tuple[float, float, float] | None:
    """Seconds of a request without tokens, per token of its prompt and per token of its answer.

    The estimate at the mean request and at twice each of its tokens, as a plane through these three, scaled to the
    service time of the spec; None where the model's speed cannot be estimated.
    """
    tokens = spec.traffic.tokens if spec.traffic else None
    cards, count = _cards(spec, book)
    if not isinstance(spec.serves, Model) or tokens is None or not cards or not tokens.prompt or not tokens.output:
        return None
    sizes = (
        tokens,
        Tokens(prompt=2 * tokens.prompt, output=tokens.output),
        Tokens(prompt=tokens.prompt, output=2 * tokens.output),
    )
    found = [service_time(spec.serves, cards, count, size, spec.performance.concurrency) for size in sizes]
    mean, more_in, more_out = (None if each is None else float(each.expected_s) for each in found)
    if mean is None or more_in is None or more_out is None:
        return None
    scale = float(spec.performance.service_time_s or 0) / mean
    in_s, out_s = (more_in - mean) / float(tokens.prompt), (more_out - mean) / float(tokens.output)
    base_s = mean - in_s * float(tokens.prompt) - out_s * float(tokens.output)
    return base_s * scale, in_s * scale, out_s * scale


def _cards(spec: ModelSpec, book: PriceBook) -> tuple[tuple[Card, ...], int]:
    """The GPUs that a worker may have, and how many."""
    target = spec.placed
    if isinstance(target, RunpodTarget):
        return cards_of_pool(POOLS[target.gpu]) if target.gpu in POOLS else (), target.gpu_count
    hardware = hardware_of(target, book)
    return hardware.cards, max(hardware.gpu_count, 1)


# --------------------------------------------------------------------------------------------------------------- money
def _bill(workers: Workers, seen: Simulated) -> dict[str, Decimal]:
    """A month of such workers at the plan's unit prices, to the cent each."""
    found: dict[str, Decimal] = {}
    for line in workers.lines(seen):
        found[line.what] = found.get(line.what, Decimal(0)) + Decimal(line.usd)
    return {what: cents(usd) for what, usd in found.items()}
