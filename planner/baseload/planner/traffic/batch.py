"""Work that lies ready once a day and has a deadline: how long it takes, how many workers it needs, what they bill.

No queueing theory: all requests are there at once, so workers serve them in waves of `concurrency` requests each that
last one mean service time. Workers of the minimum begin at once, the others after start delay and cold start.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from baseload.planner.pool import Pool, PoolEstimate

DAY_S = 86_400.0
_MOST_WORKERS = 10**9


@dataclass(frozen=True, kw_only=True)
class BatchRun:
    """One day's batch on a pool."""

    seconds: float
    """From the moment at which the work lies ready until the last request is done."""
    workers_started: int
    workers_needed: int | None
    """The fewest workers, those of the minimum included, that are done within the deadline; None where no number is."""
    estimate: PoolEstimate
    """Mean billed workers over the day."""


def run_batch(pool: Pool, jobs: int, within_s: float) -> BatchRun:
    """The batch on `workers_max` workers; the pool's own rate does not matter."""
    seconds, started, busy_s = _on(pool, jobs)
    room = pool.workers_max - pool.workers_min
    endless = seconds >= DAY_S
    if endless:  # tomorrow's work is there before today's is done
        always = PoolEstimate(
            busy=float(room),
            idle=0.0,
            cold_start=0.0,
            always_on=float(pool.workers_min),
            starts_per_s=0.0,
            method="exact: overload, all workers are busy all the time",
            overloaded=True,
        )
        return BatchRun(
            seconds=seconds, workers_started=room, workers_needed=needed(pool, jobs, within_s), estimate=always
        )
    found = PoolEstimate(
        busy=busy_s / DAY_S,
        idle=started * pool.idle_timeout_s / DAY_S,
        cold_start=started * pool.cold_start_s * pool.cold_start_billed / DAY_S,
        always_on=float(pool.workers_min),
        starts_per_s=started / DAY_S,
        method="approximation: a batch in waves of the mean service time" if jobs else "exact: no traffic",
    )
    return BatchRun(
        seconds=seconds, workers_started=started, workers_needed=needed(pool, jobs, within_s), estimate=found
    )


def needed(pool: Pool, jobs: int, within_s: float) -> int | None:
    """The fewest workers that are done in time, at least one and the minimum; None where no number of them is."""
    low, high = max(pool.workers_min, 1), _MOST_WORKERS

    def in_time(workers: int) -> bool:
        return _on(replace(pool, workers_max=workers), jobs)[0] <= within_s

    if not in_time(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if in_time(middle) else (middle + 1, high)
    return low


def _on(pool: Pool, jobs: int) -> tuple[float, int, float]:
    """Seconds until all is done, workers started, busy seconds of those."""
    if jobs <= 0:
        return 0.0, 0, 0.0
    c, least, service_s = pool.concurrency, pool.workers_min, pool.service_s
    wait_s = pool.start_delay_s + pool.cold_start_s
    # What the minimum has taken before the delay is over starts no worker.
    taken = least * c * (1 + _waves(pool.start_delay_s, service_s))
    started = min(pool.workers_max - least, max(0, math.ceil((jobs - taken) / c)))
    if started == 0:
        return math.ceil(jobs / (least * c)) * service_s, 0, 0.0

    def done(seconds: float) -> int:
        return least * c * _waves(seconds, service_s) + started * c * _waves(seconds - wait_s, service_s)

    most_waves = math.ceil(jobs / (started * c))
    seconds = wait_s + _fewest(most_waves, lambda waves: done(wait_s + waves * service_s) >= jobs) * service_s
    if least:
        waves = math.ceil(jobs / (least * c))
        seconds = min(seconds, _fewest(waves, lambda waves: done(waves * service_s) >= jobs) * service_s)
    rest = max(0, jobs - least * c * _waves(seconds, service_s))
    full, last = divmod(rest, started * c)
    return seconds, started, (full * started + math.ceil(last / c)) * service_s


def _waves(seconds: float, service_s: float) -> int:
    """Whole service times; a hair less than one counts as one."""
    return max(0, int(seconds / service_s + 1e-9)) if service_s > 0 else _MOST_WORKERS


def _fewest(most: int, enough: Callable[[int], bool]) -> int:
    """The smallest count from 0 to `most` that is enough; `most` is."""
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
