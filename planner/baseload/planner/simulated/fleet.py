"""A target's fleet by simulation: from a simulated month, or one replication, to the worker time of a bill.

Beside the closed form's `worker_time`, and in its place. It must not price anything, and knows no target.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, NamedTuple

from baseload.planner.pool import Dispatch
from baseload.planner.targets.bill import Counted
from baseload.planner.targets.workers import Times, WorkerTime, whole_pool_of, worker_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from baseload.planner.pool import Pool
    from baseload.planner.simulated.month import SimulatedMonth
    from baseload.planner.simulator import Simulated
    from baseload.planner.targets.bill import Demand
    from baseload.planner.targets.workers import Fleet


class Seen(NamedTuple):
    """Means over simulated time, in workers."""

    busy: float
    idle: float
    cold_start: float
    """Rounding to billed increments included."""
    always_on: float
    """Of the minimum, those that are up: by a schedule less than it says by their starts."""
    starts_per_s: float
    refused_share: float
    wait_s: float
    dedicated_busy: float
    """Slots in use of the replicas that take requests first."""
    method: str | None = None

    @classmethod
    def in_month(cls, month: SimulatedMonth) -> Seen:
        """All replications."""
        found = month.estimate
        return cls(
            busy=found.busy,
            idle=found.idle,
            cold_start=found.cold_start + month.rounding,
            always_on=found.always_on,
            starts_per_s=found.starts_per_s,
            refused_share=month.refused_share,
            wait_s=month.wait_s,
            dedicated_busy=month.dedicated_busy,
            method=found.method,
        )

    @classmethod
    def in_run(cls, run: Simulated) -> Seen:
        """One replication."""
        return cls(
            busy=run.busy,
            idle=run.idle,
            cold_start=run.cold_start + run.rounding,
            always_on=run.always_on,
            starts_per_s=run.starts_per_s,
            refused_share=run.refused_share,
            wait_s=run.mean_wait_s,
            dedicated_busy=run.dedicated_busy,
        )


def as_seen(seen: Seen) -> Times:
    """The worker time of what was seen; the minimum's is exact and stays, the starts of a schedule's within it."""

    def times(demand: Demand, fleet: Fleet, month_hours: Decimal) -> WorkerTime:
        month_s = month_hours * 3600

        def whole(workers: float) -> Decimal:
            return (Decimal(workers) * month_s).quantize(Decimal(1), ROUND_HALF_UP)

        closed = worker_time(demand, fleet, month_hours)
        not_up_s = max(closed.always_on_s - whole(seen.always_on), Decimal(0)) if demand.scheduled else Decimal(0)
        return replace(
            closed,
            busy_s=whole(seen.busy),
            idle_s=whole(seen.idle),
            cold_start_s=max(whole(seen.cold_start) - not_up_s, Decimal(0)),
            starts=whole(seen.starts_per_s),
            buffer_s=Decimal(0),
            method=seen.method or closed.method,
            counted=_counted(seen, demand),
        )

    return times


def _counted(seen: Seen, demand: Demand) -> Counted:
    load = float(demand.requests_per_day / 86_400 * (demand.service_s or 0))
    refused = Decimal(seen.refused_share).quantize(_SHARE)
    first = Decimal(seen.dedicated_busy / load if load > 0 else 0).quantize(_SHARE)
    return Counted(
        refused_share=refused,
        minimum_share=min(first, 1 - refused),
        wait_s=Decimal(seen.wait_s).quantize(_TIME_S),
        method=seen.method,
    )


_SHARE = Decimal("0.000000001")
_TIME_S = Decimal("0.000001")


def moves(month: SimulatedMonth, closed: WorkerTime, month_hours: Decimal) -> Decimal:
    """The time of workers that come and go by simulation, over the closed form's: for months that are not simulated."""
    seen = month.estimate.billed - month.estimate.always_on + month.rounding
    by_formula = float(closed.come_and_go_s / (month_hours * 3600))
    return Decimal(seen / by_formula).quantize(Decimal("0.0001"), ROUND_HALF_UP) if by_formula > 0 else Decimal(1)


def moved(by: Decimal, where: Callable[[Pool], object]) -> Times:
    """The closed form with the workers that come and go times `by` in pools `where` it is in doubt, all at most."""

    def times(demand: Demand, fleet: Fleet, month_hours: Decimal) -> WorkerTime:
        found = worker_time(demand, fleet, month_hours)
        packed = replace(whole_pool_of(demand, fleet), dispatch=Dispatch.PACKED)
        if not found.come_and_go_s or not where(packed):
            return found
        room_s = (fleet.workers_max + fleet.buffer) * month_hours * 3600 - found.always_on_s
        # By another dispatch never down: its formula has errors of its own.
        wanted = by if demand.dispatch is Dispatch.PACKED else max(by, Decimal(1))
        factor = min(wanted, max(room_s / found.come_and_go_s, Decimal(1)))

        def times_factor(seconds: Decimal) -> Decimal:
            return (seconds * factor).quantize(Decimal(1), ROUND_HALF_UP)

        return replace(
            found,
            busy_s=times_factor(found.busy_s),
            idle_s=times_factor(found.idle_s),
            cold_start_s=times_factor(found.cold_start_s),
            buffer_s=times_factor(found.buffer_s),
        )

    return times
