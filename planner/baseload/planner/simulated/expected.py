"""Where the closed form of a spec's month is in doubt, and the simulated month in its place.

Which months are in doubt and what is simulated of them, `month` says; here are the rules of platforms for it, what a
cost says about it, and how far other months (the ends of a range, later months) move with it. It must not price
anything.
"""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

from baseload.planner.cost import ResponseTime, Simulation
from baseload.planner.diagnostics import Diagnostic, Location, Severity
from baseload.planner.pool import Assumption, Dispatch, Pool, bursty
from baseload.planner.simulated.month import (
    REQUESTS,
    Demand,
    SimulatedMonth,
    doubts_over,
    simulated_month,
    whole_patterns,
)
from baseload.planner.spec.model import ModelSpec, RequestCount, RunpodTarget, Traffic
from baseload.planner.traffic.profile import profile_of
from baseload.planner.traffic.schedule import in_clock_of, overlays_a_log

_INCREMENT_S = 1.0
"""Each run of a worker is billed in whole seconds: docs.runpod.io/serverless/pricing, 2026-08-20."""

_SIMULATED_OVER_CLOSED = {
    "many workers start in one cold start and expire before the last is up": (-9, 60),
    "timeouts as short as services, at concurrency 1": (-8, 67),
    "timeouts as short as services, at little concurrency": (-10, 78),
    "a start delay under load": (-10, 37),
    "a start delay, and further workers that keep busy enough to stay once started": (-14, 8),
    "a start delay, and a timeout hardly longer": (-1, 10),
    "not in the closed form: start by request count": (-24, 58),
}
"""By how many per cent bills were above the closed form's when simulated, least and most of 19 in 20 endpoints."""

_BY_CV = ((0.8, (-34, 28)), (1.5, (-7, 40)), (2, (-9, 50)), (4, (-53, 169)))
"""The same where gaps vary otherwise than those of a Poisson stream, up to that coefficient of variation.

Both: `python -m benchmarks model`, docs/cost-model.md, "How far off"."""

_MORE = 10
"""Times the budget that makes an interval narrower, where it was too wide."""


def as_simulated(pool: Pool, spec: ModelSpec, dispatch: Dispatch | None = None) -> Pool:
    """The pool of a spec with the rules that the closed form only approximates; other targets' fleets hold them."""
    if not isinstance(spec.target, RunpodTarget):
        return replace(pool, dispatch=dispatch or pool.dispatch)
    by_count = spec.runpod.scaling.requests if isinstance(spec.runpod.scaling, RequestCount) else 0
    return replace(pool, dispatch=dispatch or pool.dispatch, requests_per_worker=by_count, increment_s=_INCREMENT_S)


def demand_of(spec: ModelSpec, factor: Decimal = Decimal(1), active_share: Decimal | None = None) -> Demand:
    """What comes to the pool at its rate times `factor`; `active_share` where the spec has none. No batch."""
    traffic = spec.traffic
    profile = profile_of(traffic) if traffic is not None else None
    assert traffic is not None, "the rate is known"
    assert profile is not None, "the rate is known"
    return Demand(
        profile=profile.times(float(factor)),
        cv=float(traffic.cv or 1),
        active_share=float(traffic.active_share or active_share or 1),
        minimums=() if spec.schedule is None else in_clock_of(spec.schedule, traffic.time_zone),
    )


def in_doubt(
    spec: ModelSpec,
    pool: Pool,
    factor: Decimal = Decimal(1),
    active_share: Decimal | None = None,
    fixed: float = 0.0,
) -> tuple[str, ...]:
    """Why the closed form is not to be used; empty where it is, and for batches, which have none.

    Of a pool that rejects what it cannot serve at once it is exact, with bursts for exponential service times alone.
    """
    traffic = spec.traffic
    if traffic is None or not traffic.requests_per_day or traffic.batch is not None or not is_simulated(spec):
        return ()
    demand = demand_of(spec, factor, active_share)
    if pool.rejects_at_cap:
        return bursty(demand.cv) if demand.cv < 1 or pool.service_cv != 1 else ()
    return doubts_over(as_simulated(pool, spec), demand, fixed)


def is_simulated(spec: ModelSpec) -> bool:
    """Not where it is unknown which hours of a log a schedule's are."""
    profile = profile_of(spec.traffic) if spec.traffic else None
    return spec.schedule is None or profile is None or not overlays_a_log(profile)


def interval_percent(month: SimulatedMonth) -> Decimal:
    """Half of the 95 % interval of the billed worker time."""
    return _percent(month.half_width)


def month_of(
    spec: ModelSpec, pool: Pool, seed: int, fixed: float = 0.0, *, to_the_end: bool = False
) -> SimulatedMonth | None:
    """The expected month; None where its traffic is too dense to simulate. `fixed` is billed beside the pool."""
    demand = demand_of(spec)
    return simulated_month(as_simulated(pool, spec), demand, seed=seed, fixed=fixed, to_the_end=to_the_end)


def told(spec: ModelSpec, month: SimulatedMonth, why: tuple[str, ...], closed_form_usd: Decimal | None) -> Simulation:
    """What a cost says about its simulation."""
    return Simulation(
        seed=month.seed,
        requests=month.requests,
        replications=month.replications,
        sampled=month.taken,
        arrivals=month.told,
        interval_percent=interval_percent(month),
        closed_form_usd=closed_form_usd,
        doubts=why,
        command=f"deploy simulate {spec.name} --seed {month.seed}",
    )


def response_of(month: SimulatedMonth) -> ResponseTime:
    """The latency in the same runs."""
    return ResponseTime(
        p50_s=_rounded(month.p50_s, "0.001"),
        p95_s=_rounded(month.p95_s, "0.001"),
        p99_s=_rounded(month.p99_s, "0.001"),
        cold_share=_rounded(month.cold_share, "0.0001"),
    )


def _rounded(value: float | None, to: str) -> Decimal | None:
    return None if value is None else Decimal(value).quantize(Decimal(to), ROUND_HALF_UP)


def _percent(share: float) -> Decimal:
    return Decimal(share * 100).quantize(Decimal("0.1"), ROUND_HALF_UP)


# ------------------------------------------------------------------------------------------------------ explanations
def assumptions(
    found: tuple[Assumption, ...], traffic: Traffic | None, month: SimulatedMonth, moves: Decimal | None
) -> tuple[Assumption, ...]:
    """Those of a cost, with what the simulation does that the closed form leaves out."""
    kept = [item for item in found if item.name not in ("transitions", "cv")]
    if traffic is not None and traffic.cv is not None and traffic.cv != 1:
        source = "spec" if traffic.observed is None else "measured; the log"
        kept.append(Assumption(name="cv", value=f"{traffic.cv.normalize():f}, as gamma gaps", source=source))
    if traffic is not None and traffic.active_share is not None and traffic.active_share < 1:
        kept.append(Assumption(name="sessions", value=month.told, source="default; docs/traffic.md"))
    if moves is not None:
        kept.append(
            Assumption(
                name="other_months",
                value=f"closed form × {moves.normalize():f} where that is in doubt, workers of the minimum aside",
                source="default; simulated ÷ closed form of the expected month: the ends of the range, later months "
                "and sensitivities are not simulated",
                errs="either way where the rate is far from the expected one",
            )
        )
    return tuple(kept)


def diagnostics(
    spec: ModelSpec, pool: Pool, why: tuple[str, ...], month: SimulatedMonth | None, seed: int | None
) -> tuple[Diagnostic, ...]:
    """That the closed form is used where it is in doubt, or that an interval is wide."""
    if not why:
        return ()
    place, name = Location(spec.file), spec.name
    if month is None:
        why_not = ": its traffic is too dense to simulate" if seed is not None else ""
        return (
            Diagnostic(
                code="plan/in-doubt",
                severity=Severity.NOTE if seed is None else Severity.WARNING,
                summary=f"the cost of {name} is by the closed form, which is in doubt here; simulated, such pools bill "
                f"{_simulated_over_closed(spec, why)} ({'; '.join(why)}){why_not}",
                where=place,
                hint="`deploy plan --exact` simulates it" if seed is None else _larger(spec, pool),
            ),
        )
    if month.is_narrow:
        return ()
    return (
        Diagnostic(
            code="plan/interval",
            severity=Severity.NOTE,
            summary=f"the simulated cost of {name} is sure to ±{_percent(month.half_width)} % only, after "
            f"{month.requests:,} requests",
            where=place,
            hint=f"`deploy simulate {name} --requests {_MORE * REQUESTS}` comes closer",
        ),
    )


def _larger(spec: ModelSpec, pool: Pool) -> str:
    assert spec.traffic is not None, "in doubt"
    whole = whole_patterns(as_simulated(pool, spec), demand_of(spec), REQUESTS)
    return f"`deploy simulate {spec.name} --requests {math.ceil(5 * whole.requests)}` simulates it, which takes long"


def _simulated_over_closed(spec: ModelSpec, why: tuple[str, ...]) -> str:
    """How far off the closed form was, by the reasons to doubt it."""
    assert spec.traffic is not None, "in doubt"
    cv = spec.traffic.cv or 1
    ends = [_SIMULATED_OVER_CLOSED.get(reason) for reason in why if "variation" not in reason]
    if len(ends) < len(why):
        ends.append(next((found for most, found in _BY_CV if cv <= most), None))
    known = [pair for pair in ends if pair is not None]
    if len(known) < len(ends):
        return "more or less, by how much was not measured"
    return f"{-min(low for low, _ in known)} % less to {max(high for _, high in known)} % more in 19 of 20 cases"
