"""The event simulation of a pool of workers: the oracle of the closed form in `baseload.planner.pool`.

Takes a `Pool` and a stream of requests (drawn from `Arrivals`, or a log), gives a `Simulated`: worker time by what it
was for, starts, requests by what became of them, quantiles, and a 95 % interval of the bill. Seeded: same seed, same
result, and the stream of requests does not depend on the pool, so that two pools can be compared on the same requests.
Memory grows with the queue and the workers, not with the stream. It must not know money, prices or a platform.

`fast=True` runs the same loop compiled by numba (the extra `baseload[fast]`): same draws, same events.
"""

from __future__ import annotations

import math
import random
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from dataclasses import dataclass
from itertools import accumulate, cycle, islice, pairwise
from typing import Any, Protocol

from baseload.planner.pool import Assumption, Dispatch, Pool, PoolEstimate
from baseload.planner.simulator import events

_BLOCK = 2048
"""Requests handed to the event loop at a time."""


# -------------------------------------------------------------------------------------------------------- requests
@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """When requests come: a rate that is constant on each piece, the pieces in turn for ever.

    Gaps are exponential (a Poisson process), or gamma with another coefficient of variation `cv`, in the time that
    runs with the rate.
    """

    pieces: tuple[tuple[float, float], ...]
    """(duration in seconds, requests per second)."""
    cv: float = 1.0
    sessions_s: tuple[float, float] | None = None
    """Mean length of sessions and of the quiet times between them, both exponential: the rate is scaled up within the
    sessions so that its mean stays."""

    @classmethod
    def constant(cls, per_s: float, *, cv: float = 1.0, sessions_s: tuple[float, float] | None = None) -> Arrivals:
        """The same rate all the time."""
        return cls(pieces=((math.inf, per_s),), cv=cv, sessions_s=sessions_s)

    @classmethod
    def profile(cls, per_s: Sequence[float], bin_s: float, *, cv: float = 1.0) -> Arrivals:
        """A rate for each bin, repeated for ever: 24 or 168 hours, say."""
        return cls(pieces=tuple((bin_s, rate) for rate in per_s), cv=cv)

    @property
    def per_s(self) -> float:
        """The mean rate."""
        if math.isinf(self.pieces[0][0]):
            return self.pieces[0][1]
        whole = math.fsum(duration for duration, _ in self.pieces)
        return math.fsum(duration * rate for duration, rate in self.pieces) / whole

    def times(self, seed: object) -> Iterator[float]:
        """The arrival times, without end; nothing where the rate is zero."""
        source = random.Random(f"{seed}/arrivals")
        if self.per_s <= 0:
            return
        pieces = self._pieces(random.Random(f"{seed}/sessions"))
        t = start = 0.0
        duration, rate = next(pieces)
        room = duration * rate
        while True:
            need = _gap(source, self.cv)
            while need >= room:
                need -= room
                start += duration
                t = start
                duration, rate = next(pieces)
                room = duration * rate
            t += need / rate
            room -= need
            yield t

    def _pieces(self, source: random.Random) -> Iterator[tuple[float, float]]:
        """The pieces, cut into sessions and quiet times."""
        if self.sessions_s is None:
            yield from cycle(self.pieces)
        else:
            on_s, off_s = self.sessions_s
            share = on_s / (on_s + off_s)
            on = source.random() < share
            left_s = source.expovariate(1 / (on_s if on else off_s))
            for duration, rate in cycle(self.pieces):
                remaining = duration
                while remaining > 0:
                    step = min(left_s, remaining)
                    yield step, rate / share if on else 0.0
                    remaining -= step
                    left_s -= step
                    if left_s <= 0:
                        on = not on
                        left_s = source.expovariate(1 / (on_s if on else off_s))


def _gap(source: random.Random, cv: float) -> float:
    if cv == 1:
        return -math.log(1 - source.random())
    return source.gammavariate(1 / cv**2, cv**2) if cv > 0 else 1.0


# ---------------------------------------------------------------------------------------------------------- results
@dataclass(frozen=True, kw_only=True)
class Quantiles:
    """Seconds; exact to half a per cent, None where nothing was seen."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What happened in the window: means over its time, in workers, and shares of the requests that came in it."""

    busy: float
    """Workers with at least one request in service, above those of the minimum."""
    idle: float
    cold_start: float
    """The billed part of starts."""
    always_on: float
    dedicated: float
    """Replicas of the base, busy or not."""
    rounding: float
    """What rounding each run of a worker up to the billing increment adds."""
    half_width: float
    """Half the 95 % interval of the mean workers billed, from batch means; infinite where the window was too short."""
    starts: int
    starts_per_s: float
    waited_share: float
    cold_share: float
    """Requests that waited while a worker was starting."""
    refused_share: float
    """Rejected at the cap or failed at zero."""
    dedicated_busy: float
    """Slots of the base in use."""
    mean_wait_s: float
    """Of the requests that are served; to half a per cent."""
    wait_s: Quantiles
    latency_s: Quantiles
    window_s: float
    requests: int
    """Requests of the window; the counts below include the warm-up."""
    arrived: int
    served: int
    rejected: int
    failed: int
    waiting: int
    """Still in the queue at the end."""
    in_service: int
    peak_waiting: int

    @property
    def billed(self) -> float:
        """Mean billed workers of the pool, without the base."""
        return self.busy + self.idle + self.cold_start + self.always_on + self.rounding


# ---------------------------------------------------------------------------------------------------------- running
class _Kernel(Protocol):
    """The functions of `events` and the storage they work on, plain or compiled."""

    def source(self, seed: str) -> events.Source: ...
    def floats(self, n: int) -> Any: ...
    def integers(self, n: int) -> Any: ...
    def rules(self, rules: events.Rules) -> events.Rules: ...
    @property
    def run(self) -> Any: ...
    @property
    def draw_poisson(self) -> Any: ...
    @property
    def draw_service(self) -> Any: ...


class _Plain:
    """The functions as they stand, on lists."""

    run = staticmethod(events.run)
    draw_poisson = staticmethod(events.draw_poisson)
    draw_service = staticmethod(events.draw_service)

    def source(self, seed: str) -> events.Source:
        return random.Random(seed)

    def floats(self, n: int) -> list[float]:
        return [0.0] * n

    def integers(self, n: int) -> list[int]:
        return [0] * n

    def rules(self, rules: events.Rules) -> events.Rules:
        return rules


def simulate(
    pool: Pool,
    arrivals: Arrivals | None = None,
    *,
    requests: int = 100_000,
    seed: object = 1,
    warm_up_s: float | None = None,
    until_s: float | None = None,
    tolerance: float = 0.0,
    weights: tuple[tuple[float, int], ...] = (),
    fast: bool = False,
) -> Simulated:
    """Simulate `requests` requests drawn from `arrivals` (by default Poisson at the pool's rate).

    The window opens after `warm_up_s` (by default some lifetimes of a worker) and closes with the last request, or at
    `until_s`, or as soon as half the 95 % interval of the bill is below `tolerance` times the bill. `weights` are
    (second, how often time counts from then on), rising, and no interval then: what is simulated of a dense stream
    can stand for the rest of it. With `fast`, raises ModuleNotFoundError where numba is not installed.
    """
    kernel = _kernel(fast)
    arrivals = arrivals or Arrivals.constant(pool.arrivals_per_s)
    rate = arrivals.per_s
    if warm_up_s is None:
        warm_up_s = min(settled_s(pool), 0.2 * (until_s or requests / max(rate, 1e-300)))
    window = _Window(
        opens_s=warm_up_s,
        closes_s=math.inf if until_s is None else until_s,
        batch_s=max(pool.idle_timeout_s + pool.cold_start_s + pool.service_s, 20 / max(rate, 1e-300)),
        tolerance=tolerance,
        weights=weights,
    )
    return _run(kernel, pool, window, seed, _drawn(kernel, pool, arrivals, requests, seed))


def replay(
    pool: Pool,
    log: Iterable[tuple[float, float]],
    *,
    seed: object = 1,
    warm_up_s: float = 0.0,
    until_s: float | None = None,
    fast: bool = False,
) -> Simulated:
    """Simulate the requests of a log: (time, service time) in seconds, times from 0 and not falling.

    The window opens after `warm_up_s` and closes with the last request or at `until_s`. Raises ValueError for times
    that fall or are not finite, and negative service times.
    """
    kernel = _kernel(fast)
    window = _Window(
        opens_s=warm_up_s,
        closes_s=math.inf if until_s is None else until_s,
        batch_s=max(pool.idle_timeout_s + pool.cold_start_s + pool.service_s, 1.0),
        tolerance=0.0,
    )
    return _run(kernel, pool, window, seed, _logged(kernel, log))


def estimate_by_simulation(
    pool: Pool,
    arrivals: Arrivals | None = None,
    *,
    tolerance: float = 0.015,
    requests: int = 300_000,
    seed: object = 1,
    fast: bool = False,
) -> PoolEstimate:
    """What the pool bills, simulated until half the 95 % interval is below `tolerance`, or for `requests` requests.

    The interval reached is in the method and an assumption. Raises ValueError where there are no requests to simulate.
    """
    if (arrivals or Arrivals.constant(pool.arrivals_per_s)).per_s <= 0:
        raise ValueError("no requests to simulate")
    seen = simulate(pool, arrivals, requests=requests, seed=seed, tolerance=tolerance, fast=fast)
    whole = seen.billed + seen.dedicated
    within = "unknown" if math.isinf(seen.half_width) or not whole else f"±{seen.half_width / whole:.1%}"
    return PoolEstimate(
        busy=seen.busy,
        idle=seen.idle,
        cold_start=seen.cold_start + seen.rounding,
        always_on=seen.always_on,
        starts_per_s=seen.starts_per_s,
        method=f"simulation: {seen.requests:,} requests, seed {seed}, {within}",
        assumptions=(
            Assumption(
                name="interval_of_the_simulation",
                value=f"{within} in 19 of 20 cases",
                source=f"measured; batch means over {seen.window_s / 86_400:,.1f} simulated days",
            ),
        ),
        overloaded=pool.load >= pool.slots and arrivals is None,
    )


@dataclass(frozen=True, kw_only=True)
class _Window:
    opens_s: float
    closes_s: float
    batch_s: float
    tolerance: float
    weights: tuple[tuple[float, int], ...] = ()


def _kernel(fast: bool) -> _Kernel:
    if not fast:
        return _Plain()
    from baseload.planner.simulator.compiled import Compiled  # numba: half a second, and not always installed

    return Compiled()


def settled_s(pool: Pool) -> float:
    """Time after which the start in an empty pool is forgotten."""
    delays_s = 0.0 if pool.tracking is None else 10 * pool.tracking.in_after_s
    return 10 * (pool.idle_timeout_s + pool.cold_start_s + pool.start_delay_s) + 30 * pool.service_s + delays_s


_Block = tuple[Any, Any, int]
"""Times, service times, how many of them."""


def _drawn(kernel: _Kernel, pool: Pool, arrivals: Arrivals, requests: int, seed: object) -> Iterator[_Block]:
    services_from, sigma = kernel.source(f"{seed}/service"), _service_sigma(pool)
    times, services = kernel.floats(_BLOCK), kernel.floats(_BLOCK)
    fill = _times_into(kernel, arrivals, seed)
    while requests > 0 and arrivals.per_s > 0:
        fill(times)
        kernel.draw_service(services_from, pool.service_s, sigma, services)
        yield times, services, min(requests, _BLOCK)
        requests -= _BLOCK


def _times_into(kernel: _Kernel, arrivals: Arrivals, seed: object) -> Any:
    """A function that fills a block: compiled where the process is simple, else from the plain iterator."""
    if arrivals.cv == 1 and arrivals.sessions_s is None:
        durations, rates = (kernel.floats(len(arrivals.pieces)) for _ in range(2))
        durations[:], rates[:] = zip(*arrivals.pieces, strict=True)
        at = kernel.floats(4)
        at[:] = [0.0, durations[0], durations[0] * rates[0] if rates[0] else 0.0, 0.0]
        source = kernel.source(f"{seed}/arrivals")
        return lambda times: kernel.draw_poisson(source, at, durations, rates, times)
    stream = arrivals.times(seed)

    def fill(times: MutableSequence[float]) -> None:
        times[:] = list(islice(stream, _BLOCK))

    return fill


def _logged(kernel: _Kernel, log: Iterable[tuple[float, float]]) -> Iterator[_Block]:
    times, services = kernel.floats(_BLOCK), kernel.floats(_BLOCK)
    stream, before = iter(log), 0.0
    while block := list(islice(stream, _BLOCK)):
        for k, (time_s, service_s) in enumerate(block):
            if not before <= time_s < math.inf or not 0 <= service_s < math.inf:
                raise ValueError(f"a request at {time_s} s with service time {service_s} s after one at {before} s")
            times[k], services[k] = time_s, service_s
            before = time_s
        yield times, services, len(block)


def _service_sigma(pool: Pool) -> float:
    """Standard deviation of the logarithm of the service time; negative for an exponential one."""
    return -1.0 if pool.service_cv == 1 else math.sqrt(math.log1p(pool.service_cv**2))


def _run(kernel: _Kernel, pool: Pool, window: _Window, seed: object, blocks: Iterator[_Block]) -> Simulated:
    given = kernel.integers(1)
    counts, sums = kernel.integers(events.COUNTS), kernel.floats(events.SUMS)
    waits, latencies = kernel.integers(events.BUCKETS), kernel.integers(events.BUCKETS)
    times, services, given[0] = next(blocks, (kernel.floats(1), kernel.floats(1), 0))
    loop = kernel.run(
        kernel.rules(_rules(pool, window)),
        kernel.source(f"{seed}/cold"),
        kernel.source(f"{seed}/choice"),
        times,
        services,
        given,
        counts,
        sums,
        waits,
        latencies,
    )
    for _ in loop:
        given[0] = next(blocks, (None, None, 0))[2]
    return _simulated(pool, window, array("q", counts), array("d", sums), array("q", waits), array("q", latencies))


def _rules(pool: Pool, window: _Window) -> events.Rules:
    tracking = pool.tracking
    return events.Rules(
        concurrency=pool.concurrency,
        workers_min=pool.workers_min,
        workers_max=pool.workers_max,
        base_slots=pool.dedicated * pool.concurrency,
        buffer=pool.buffer,
        idle_s=0.0 if tracking else float(pool.idle_timeout_s),
        cold_s=float(pool.cold_start_s),
        cold_sigma=math.sqrt(math.log1p(pool.cold_start_cv**2)),
        cold_billed=float(pool.cold_start_billed),
        increment_s=float(pool.increment_s),
        delay_s=float(pool.start_delay_s),
        requests_per_worker=pool.requests_per_worker,
        target=float(tracking.target) if tracking else 0.0,
        tick_s=60.0,
        out_cooldown_s=float(tracking.out_cooldown_s) if tracking else 0.0,
        in_ticks=max(round(tracking.in_after_s / 60), 1) if tracking else 1,
        dispatch=(Dispatch.PACKED, Dispatch.BALANCED, Dispatch.RANDOM).index(pool.dispatch),
        rejects=pool.rejects_at_cap,
        fails=pool.fails_at_zero,
        alone=float(pool.service_alone),
        schedule_s=[float(start) for start, _ in pool.schedule],
        schedule_min=[lowest for _, lowest in pool.schedule],
        period_s=float(pool.schedule_period_s),
        schedule_of_base=pool.schedule_of_base,
        weights_s=[float(begins_s) for begins_s, _ in window.weights],
        weights=[weight for _, weight in window.weights],
        opens_s=float(window.opens_s),
        closes_s=float(window.closes_s),
        batch_s=float(window.batch_s),
        tolerance=float(window.tolerance),
    )


def _replicas(pool: Pool, window: _Window, seen_s: float) -> float:
    """Of the base, in the mean of the counted time."""
    if not (pool.schedule and pool.schedule_of_base):
        return float(pool.dedicated)
    closes_s = window.closes_s if math.isfinite(window.closes_s) else window.opens_s + seen_s
    counted = [*(window.weights or ((window.opens_s, 1),)), (closes_s, 0)]
    time_s = replica_s = 0.0
    for (begins, weight), (ends, _) in pairwise(counted):
        time_s += weight * (ends - begins)
        replica_s += weight * (_replica_s(pool, ends) - _replica_s(pool, begins))
    return replica_s / time_s if time_s > 0 else float(pool.schedule[0][1])


def _replica_s(pool: Pool, until_s: float) -> float:
    """Time of all replicas from second 0 on."""
    period = pool.schedule_period_s
    spans = [(begins, ends, count) for (begins, count), (ends, _) in pairwise([*pool.schedule, (period, 0)])]
    rounds, rest = divmod(until_s, period)
    whole = math.fsum(count * (ends - begins) for begins, ends, count in spans)
    return rounds * whole + math.fsum(count * max(min(ends, rest) - begins, 0.0) for begins, ends, count in spans)


def _simulated(
    pool: Pool,
    window: _Window,
    counts: Sequence[int],
    sums: Sequence[float],
    waits: Sequence[int],
    latencies: Sequence[int],
) -> Simulated:
    length = sums[events.COUNTED_S]
    per = 1 / length if length > 0 else 0.0
    ready, busy, always_on = (sums[k] * per for k in (events.READY, events.BUSY, events.ALWAYS_ON))
    seen = counts[events.IN_WINDOW]
    taken = max(seen - counts[events.REFUSED], 1)
    return Simulated(
        busy=busy,
        idle=max(ready - busy - always_on, 0.0),
        cold_start=sums[events.STARTING] * per * pool.cold_start_billed,
        always_on=always_on,
        dedicated=_replicas(pool, window, length),
        rounding=sums[events.ROUNDED] * per,
        half_width=sums[events.HALF_WIDTH],
        starts=counts[events.STARTS],
        starts_per_s=counts[events.STARTS] * per,
        waited_share=min(counts[events.WAITED] / taken, 1.0),
        cold_share=min(counts[events.COLD] / taken, 1.0),
        refused_share=counts[events.REFUSED] / max(seen, 1),
        dedicated_busy=sums[events.BASE_BUSY] * per,
        mean_wait_s=_sum_of(waits) / taken,
        wait_s=_quantiles(waits, taken - counts[events.WAITED]),
        latency_s=_quantiles(latencies, 0),
        window_s=length,
        requests=seen,
        arrived=counts[events.ARRIVED],
        served=counts[events.SERVED],
        rejected=counts[events.REJECTED],
        failed=counts[events.FAILED],
        waiting=counts[events.WAITING],
        in_service=counts[events.SERVING],
        peak_waiting=counts[events.PEAK_WAITING],
    )


def _quantiles(histogram: Sequence[int], zeros: int) -> Quantiles:
    zeros = max(zeros, 0)
    total = zeros + sum(histogram)
    if not total:
        return Quantiles(p50=None, p95=None, p99=None)
    below = list(accumulate(histogram, initial=zeros))
    return Quantiles(**{name: _quantile(histogram, below, share * total) for name, share in _SHARES.items()})


def _sum_of(histogram: Sequence[int]) -> float:
    values = ((bucket, count) for bucket, count in enumerate(histogram) if count)
    return math.fsum(
        count * math.exp((bucket + 0.5 - events.FIRST_BUCKET) / events.PER_E_FOLD) for bucket, count in values
    )


_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def _quantile(histogram: Sequence[int], below: Sequence[int], rank: float) -> float:
    """The value below which `rank` of the counted values lie, within its bucket by the logarithm."""
    bucket = bisect_left(below, rank) - 1
    if bucket < 0:
        return 0.0
    within = (rank - below[bucket]) / histogram[bucket]
    return math.exp((bucket + within - events.FIRST_BUCKET) / events.PER_E_FOLD)
