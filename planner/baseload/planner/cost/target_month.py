"""The expected month of a target's workers by simulation, where the closed form is in doubt, and a hybrid's base by it.

Beside `target`, which makes a `Cost` of it. What is simulated, and how, stands in `simulated`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from baseload.planner.cost import ResponseTime, Simulation
from baseload.planner.cost.asked import demand_for, estimated_for, target_of
from baseload.planner.diagnostics import Diagnostic
from baseload.planner.errors import UsageError
from baseload.planner.pool import Assumption, Pool
from baseload.planner.pool.base import Base, confirmed
from baseload.planner.prices import PriceBook
from baseload.planner.simulated.expected import assumptions as simulated_assumptions
from baseload.planner.simulated.expected import diagnostics as simulation_diagnostics
from baseload.planner.simulated.expected import in_doubt, interval_percent, month_of, response_of, told
from baseload.planner.simulated.fleet import Seen, as_seen, moved, moves
from baseload.planner.spec.model import ModelSpec
from baseload.planner.targets import price as bill_of
from baseload.planner.targets.bill import Bill, Counted, Demand
from baseload.planner.targets.hybrid import Hybrid, sizes
from baseload.planner.targets.workers import Fleet, Times, WorkerTime, whole_pool_of, worker_time

if TYPE_CHECKING:
    from baseload.planner.simulated.month import SimulatedMonth


SIZES = 8
"""Bases that are simulated at most, or one more: a plan may take a few seconds for them."""

CHOSEN = "the base is chosen among simulated sizes"


def at_base(spec: ModelSpec, base: int) -> ModelSpec:
    """The spec of a hybrid with that base."""
    assert isinstance(spec.target, Hybrid), "has a base"
    return replace(spec, target=replace(spec.target, base=base))


def with_base(spec: ModelSpec, book: PriceBook, seed: int) -> ModelSpec:
    """A hybrid without a base with the one that its plan recommends; else the spec."""
    if not isinstance(spec.target, Hybrid) or spec.target.base is not None or spec.schedule is not None:
        return spec
    guess = estimated_for(spec, book)
    timed = replace(spec, performance=guess.expected) if guess else spec
    try:
        bill = bill_of(target_of(timed), demand_for(timed), book)
    except UsageError:  # the month says so
        return spec
    found = confirmed_base(timed, bill, book, seed)
    return spec if bill.base is None else at_base(spec, bill.base if found is None else found.replicas)


def confirmed_base(spec: ModelSpec, bill: Bill, book: PriceBook, seed: int | None) -> Base | None:
    """The base of the smallest simulated month, of the bill's and its neighbours', each with the same requests.

    Costs are dollars a month. None where the spec names its base, the month is not known, or too dense to simulate.
    """
    target = target_of(spec)
    if not isinstance(target, Hybrid) or target.base is not None or spec.schedule is not None or seed is None:
        return None
    if bill.base is None or bill.monthly_usd is None or bill.impossible or not demand_for(spec).requests_per_day:
        return None

    def usd(base: int) -> float:
        one = at_base(spec, base)
        pool = fleet_pool(one, book)
        month = None if pool is None else month_of(one, pool, seed, beside_workers(one, book), to_the_end=True)
        return math.inf if month is None else float(bill_seen(one, book, Seen.in_month(month)).at_least_usd)

    by_formula = Base(replicas=bill.base, costs={}, sizes=sizes(target, demand_for(spec), book))
    return None if math.isinf(usd(bill.base)) else confirmed(by_formula, usd, most=SIZES)


def base_by_formula(spec: ModelSpec, replicas: int, seed: int | None) -> Assumption:
    """What is told of a base that no simulation has compared with its neighbours."""
    value = f"{replicas} replica{'' if replicas == 1 else 's'}"
    if spec.schedule is not None:
        return Assumption(name="base", value=f"{value} at most", source="spec; the most of its schedule")
    if isinstance(spec.target, Hybrid) and spec.target.base is not None:
        return Assumption(name="base", value=value, source="spec")
    why = "`deploy plan --exact` simulates its neighbours" if seed is None else "too dense to simulate its neighbours"
    return Assumption(
        name="base",
        value=value,
        source="default; the cheapest by the closed form, since the spec names none",
        errs=f"up to an eighth high where another size is cheaper: {why}"
        if demand_for(spec).requests_per_day
        else None,
    )


def base_by_simulation(found: Base, seed: int | None) -> Assumption:
    """What is told of the base of the smallest simulated month."""
    months = ", ".join(
        f"{size}: {'overloaded' if math.isinf(usd) else f'${usd:,.2f}'}" for size, usd in found.costs.items()
    )
    return Assumption(
        name="base",
        value=f"{found.replicas} replica{'' if found.replicas == 1 else 's'}",
        source=f"measured; the cheapest simulated month with seed {seed}, the same requests for all sizes ({months})",
    )


class ExpectedMonth:
    """The expected month by simulation, where the closed form is in doubt and a seed is given."""

    def __init__(self, spec: ModelSpec, book: PriceBook, seed: int | None, why: tuple[str, ...] = ()) -> None:
        self.spec, self.seed, self.bill, self.month = spec, seed, None, None
        self.pool, time = _workers(spec, book)
        self._fixed = 0.0 if self.pool is None else beside_workers(spec, book)
        self.doubts = () if self.pool is None else in_doubt(spec, self.pool, fixed=self._fixed) or why
        if not self.doubts or seed is None or self.pool is None:
            return
        self.month = month_of(spec, self.pool, seed, self._fixed, to_the_end=bool(why))
        if self.month is not None:
            self.bill = bill_of(target_of(spec), demand_for(spec), book, as_seen(Seen.in_month(self.month)))
            self._moves = moves(self.month, time, book.month_hours)

    bill: Bill | None
    month: SimulatedMonth | None
    _moves: Decimal

    def of_others(self, other: ModelSpec, factor: Decimal, share: Decimal | None) -> Times | None:
        """The worker time of other months: moved as far as the expected one, where they are in doubt as well."""
        if self.month is None:
            return None
        return moved(self._moves, lambda pool: in_doubt(other, pool, factor, share, self._fixed))

    def assumptions(self, found: tuple[Assumption, ...]) -> tuple[Assumption, ...]:
        """With what the simulation does that the closed form leaves out."""
        if self.month is None:
            return found
        told = simulated_assumptions(found, self.spec.traffic, self.month, self._moves)
        return (*told, *self.month.estimate.assumptions)

    def response(self, closed: ResponseTime | None) -> ResponseTime | None:
        """The latency in the same runs; a fleet whose starts are not known has none."""
        if self.month is None or self.pool is None or self.pool.rejects_at_cap or closed is None:
            return closed
        return replace(response_of(self.month), refused_share=closed.refused_share, added=closed.added)

    def told(self, closed_form_usd: Decimal) -> Simulation | None:
        """What the cost says about it."""
        return None if self.month is None else told(self.spec, self.month, self.doubts, closed_form_usd)

    @property
    def interval_percent(self) -> Decimal | None:
        """Half of the 95 % interval; None without a simulation."""
        return None if self.month is None else interval_percent(self.month)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """That the closed form is used where it is in doubt, or that an interval is wide."""
        if self.pool is None:
            return ()
        return simulation_diagnostics(self.spec, self.pool, self.doubts, self.month, self.seed)


def _workers(spec: ModelSpec, book: PriceBook) -> tuple[Pool | None, WorkerTime]:
    """Those of a spec whose times are known, and how long they live by the closed form; None without workers."""
    asked: list[tuple[Pool, WorkerTime]] = []

    def times(demand: Demand, fleet: Fleet, month_hours: Decimal) -> WorkerTime:
        asked.append((whole_pool_of(demand, fleet), worker_time(demand, fleet, month_hours)))
        return asked[-1][1]

    bill_of(target_of(spec), demand_for(spec), book, times)
    return asked[-1] if asked else (None, WorkerTime())


def fleet_pool(spec: ModelSpec, book: PriceBook) -> Pool | None:
    """The workers of a spec whose times are known, as a simulation takes them; None without workers."""
    return _workers(spec, book)[0]


def bill_seen(spec: ModelSpec, book: PriceBook, seen: Seen) -> Bill:
    """The bill of what a simulation has seen."""
    return bill_of(target_of(spec), demand_for(spec), book, as_seen(seen))


def beside_workers(spec: ModelSpec, book: PriceBook) -> float:
    """What is billed beside the workers that come and go, in workers of them; 0 where those cost nothing by time."""
    each = usd_per_worker_s(spec, book)["busy"] * float(book.month_hours * 3600)
    return float(_with_time(spec, book, WorkerTime())) / each if each else 0.0


def usd_per_worker_s(spec: ModelSpec, book: PriceBook) -> dict[str, float]:
    """Dollars that a worker costs a second by what it does, with its CPU and memory."""
    second = Decimal(10**6)
    one_of_each = {
        "busy": WorkerTime(busy_s=second),
        "idle": WorkerTime(idle_s=second),
        "cold_start": WorkerTime(cold_start_s=second),
        "always_on": WorkerTime(always_on_s=second),
    }
    none = _with_time(spec, book, WorkerTime())
    return {kind: float((_with_time(spec, book, time) - none) / second) for kind, time in one_of_each.items()}


def _with_time(spec: ModelSpec, book: PriceBook, time: WorkerTime) -> Decimal:
    counted = Counted(refused_share=Decimal(0), minimum_share=Decimal(0), wait_s=Decimal(0), method=None)
    given = replace(time, counted=counted)
    return bill_of(target_of(spec), demand_for(spec), book, lambda *_: given).at_least_usd
