"""More requests than all workers of a target serve: since when, how many, and how many workers would do."""

from __future__ import annotations

from decimal import Decimal

from baseload.planner.diagnostics import Diagnostic, Location, Severity
from baseload.planner.spec.model import ModelSpec
from baseload.planner.traffic.profile import RateProfile, hour_of_week, profile_of


def overload(
    spec: ModelSpec,
    workers: int,
    concurrency: int,
    *,
    called: str,
    key: str,
    others: int = 0,
    outcome: str | None = None,
) -> list[Diagnostic]:
    """Always or in some hours; at the expected or at the high rate.

    The workers are `called` so, at most so many by the spec's `key` and the `others` that it does not count. `outcome`
    is what becomes of the requests; absent, they wait.
    """
    traffic, service_s = spec.traffic, spec.performance.service_time_s
    profile = profile_of(traffic) if traffic else None
    if traffic is None or traffic.batch or profile is None or not service_s:
        return []
    slots = workers * concurrency
    for when, factor in (("", Decimal(1)), (" at the high end of its range", traffic.range.high)):
        at_that = profile.times(float(factor))
        load = _load(at_that, float(service_s), slots)
        if load is None:
            continue
        serve = f"{called.removesuffix('s')} serves" if workers == 1 else f"{called} serve"
        often, becomes = _often(spec, at_that, slots / float(service_s))
        return [
            Diagnostic(
                code="plan/overload",
                severity=Severity.WARNING,
                summary=f"the traffic of {spec.name}{when}{often} keeps {load:,.1f} requests in service, more than the "
                f"{slots:,} that {workers} {serve} at once: {outcome or becomes}",
                where=Location(spec.file),
                hint=f"raise `{key}` to {int(load / concurrency) + 1 - others} or more",
            )
        ]
    return []


def _load(profile: RateProfile, service_s: float, slots: int) -> float | None:
    """Requests in service in the mean where that is too much, else at the peak; None where all are served."""
    load, peak = profile.mean_per_s * service_s, profile.peak_per_s * service_s
    if peak < slots or peak <= 0:
        return None
    return load if load >= slots else peak


def _often(spec: ModelSpec, profile: RateProfile, most_per_s: float) -> tuple[str, str]:
    """From when on and how much of the time, and what becomes of the requests."""
    if profile.mean_per_s >= most_per_s:
        return "", "the queue grows without end, and the cost is that of all workers"
    first = next(hour for hour, (_, rate) in enumerate(profile.stretches) if rate >= most_per_s)
    observed = spec.traffic is not None and spec.traffic.observed is not None
    since = " in its busiest time" if observed else f" from {hour_of_week(first)}"
    often = f"{since} ({profile.share_above(most_per_s) * 100:.2g} % of the time)"
    return often, f"up to {profile.longest_queue(most_per_s):,.0f} requests wait until there is less"
