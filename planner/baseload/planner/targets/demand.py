"""From a model spec to the demand that any target can be priced for.

Takes what the spec says and no more: estimates of unknown figures are made elsewhere and put into the spec first.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

from baseload.planner.spec.model import ModelSpec
from baseload.planner.targets.bill import Demand, Part, Work
from baseload.planner.traffic.profile import RateProfile, Stretch, profile_of
from baseload.planner.traffic.rates import quadrature
from baseload.planner.traffic.schedule import minimum_at, shifts

_DAY_S = 86_400
_RATE = Decimal("0.000001")
_MOST_PER_S = 1e15
"""More is overload of anything, and no figure that can be rounded."""


def demand_of(spec: ModelSpec, *, factor: Decimal = Decimal(1)) -> Demand | None:
    """The spec's traffic times `factor`, its rates over the week as a few parts; None without traffic, or with batches.

    A batch is work with a deadline, not a rate: see `baseload.planner.traffic.batch`.
    """
    traffic, performance = spec.traffic, spec.performance
    profile = profile_of(traffic) if traffic is not None else None
    if traffic is None or profile is None or traffic.batch is not None:
        return None
    active = float(traffic.active_share or 1)
    if spec.schedule is None:
        parts = _parts(profile.times(float(factor)), active)
    else:
        parts = tuple(
            replace(part, share=shift.share * part.share, workers_min=shift.workers_min)
            for shift in shifts(spec.schedule, profile.times(float(factor)), traffic.time_zone)
            for part in _parts(shift.profile, active)
        )
    return Demand(
        requests_per_day=(Decimal(profile.mean_per_s) * factor * _DAY_S).quantize(_RATE),
        arrivals_cv=traffic.cv or Decimal(1),
        active_share=traffic.active_share or Decimal(1),
        service_s=performance.service_time_s,
        service_cv=performance.service_time_cv,
        cold_start_s=performance.cold_start_s,
        concurrency=performance.concurrency,
        dispatch=spec.dispatch,
        request_bytes=traffic.payload_bytes.request if traffic.payload_bytes else 0,
        response_bytes=traffic.payload_bytes.response if traffic.payload_bytes else 0,
        prompt_tokens=traffic.tokens.prompt if traffic.tokens else None,
        output_tokens=traffic.tokens.output if traffic.tokens else None,
        parts=parts,
    )


def batch_of(spec: ModelSpec, *, factor: Decimal = Decimal(1)) -> Demand | None:
    """The spec's batch with its jobs times `factor`; None where its traffic is none."""
    traffic, performance = spec.traffic, spec.performance
    if traffic is None or traffic.batch is None:
        return None
    batch, ready = traffic.batch, None
    if spec.schedule is not None:
        ready = minimum_at(spec.schedule, batch.at, traffic.time_zone)
    jobs = int((batch.jobs * factor).quantize(Decimal(1), ROUND_HALF_UP))
    return replace(
        quiet(spec),
        requests_per_day=Decimal(jobs),
        batch=Work(jobs=jobs, within_s=batch.within_s, workers_ready=ready),
        service_s=performance.service_time_s,
        service_cv=performance.service_time_cv,
        cold_start_s=performance.cold_start_s,
        concurrency=performance.concurrency,
        request_bytes=traffic.payload_bytes.request if traffic.payload_bytes else 0,
        response_bytes=traffic.payload_bytes.response if traffic.payload_bytes else 0,
    )


def quiet(spec: ModelSpec) -> Demand:
    """Nothing asked, at the minimums of its schedule."""
    nothing = RateProfile(stretches=(Stretch(7 * _DAY_S, 0.0),))
    found = shifts(spec.schedule, nothing, spec.schedule.time_zone) if spec.schedule is not None else ()
    parts = tuple(
        Part(share=shift.share, requests_per_day=Decimal(0), workers_min=shift.workers_min) for shift in found
    )
    return Demand(requests_per_day=Decimal(0), parts=parts or (Part(share=Decimal(1), requests_per_day=Decimal(0)),))


def _parts(profile: RateProfile, active: float) -> tuple[Part, ...]:
    """Its rates as a few; the shares add up to 1."""
    total = profile.seconds
    rates = [(seconds * active / total, min(rate / active, _MOST_PER_S)) for seconds, rate in profile.stretches]
    if active < 1:
        rates.append((1 - active, 0.0))
    return tuple(
        Part(share=Decimal(share), requests_per_day=(Decimal(rate) * _DAY_S).quantize(_RATE))
        for share, rate in quadrature(rates)
    )
