"""What a month may cost: the bills at all that is not sure, and of later months; the same for every target.

Knows no price and no target: a `Month` prices a spec at a factor on its rate and a share of active time. What the
range of recorded clients held stands in docs/traffic.md, "Sessions and bursts".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from baseload.planner.cost import BURSTS, GROWTH_MONTHS, SESSIONS, WIDEST_BURSTS, Ends, Factor, GrowthMonth, Spread
from baseload.planner.performance.estimate import Estimated
from baseload.planner.spec.model import ModelSpec, Performance

Month = Callable[[ModelSpec, Decimal, Decimal | None], Decimal]
"""Dollars of a month of a spec at its rate times a factor; the share of active time where the spec has none."""


class Range(NamedTuple):
    """What a month may cost."""

    usd: Spread
    ends: Ends
    widest: Spread
    """With bursts that few have."""


class _Case(NamedTuple):
    """One traffic and speed out of all that may be; None is as the spec says or, where it does not, as expected."""

    performance: Performance
    factor: Decimal = Decimal(1)
    share: Decimal | None = None
    cv: Decimal | None = None


def spread(spec: ModelSpec, month_usd: Month, expected_usd: Decimal | None, guess: Estimated | None) -> Range:
    """The lowest and highest bill over all that may be: rates × shares of active time × ends of an estimate's band.

    Bursts are added to the expected month and to both ends. More traffic can cost less: where the cold start outlasts
    the idle timeout, a steadier stream saves starts.
    """
    if expected_usd is None:
        return one_month(None)
    expected = _Case(spec.performance)
    bills = {
        case: _usd(spec, month_usd, case)
        for factor in _rates(spec)
        for share in _shares(spec)
        for performance in _performances(spec, guess)
        for case in [_Case(performance, factor, share)]
    }
    steady = dict.fromkeys([expected, *_ends(bills)])
    bills |= {case: _usd(spec, month_usd, case) for case in _with_bursts(spec, steady, BURSTS)}
    low, high = _ends(bills)
    widest = bills | {case: _usd(spec, month_usd, case) for case in _with_bursts(spec, steady, WIDEST_BURSTS)}
    return Range(
        usd=Spread(low=bills[low], expected=expected_usd, high=bills[high]),
        ends=Ends(low=_other_than_expected(spec, low), high=_other_than_expected(spec, high)),
        widest=Spread(low=min(widest.values()), expected=expected_usd, high=max(widest.values())),
    )


def one_month(usd: Decimal | None) -> Range:
    """The range of a month that is not ranged."""
    month = Spread(low=usd, expected=usd, high=usd)
    return Range(month, Ends(), month)


def _usd(spec: ModelSpec, month_usd: Month, case: _Case) -> Decimal:
    return month_usd(_bursty(replace(spec, performance=case.performance), case.cv), case.factor, case.share)


def _ends(bills: Mapping[_Case, Decimal]) -> tuple[_Case, _Case]:
    return min(bills, key=bills.__getitem__), max(bills, key=bills.__getitem__)


def _with_bursts(spec: ModelSpec, cases: Iterable[_Case], cvs: Iterable[Decimal]) -> list[_Case]:
    return [case._replace(cv=cv) for cv in _bursts(spec, cvs) for case in cases]


def _bursty(spec: ModelSpec, cv: Decimal | None) -> ModelSpec:
    return spec if cv is None or spec.traffic is None else replace(spec, traffic=replace(spec.traffic, cv=cv))


def _other_than_expected(spec: ModelSpec, case: _Case) -> tuple[str, ...]:
    rate = () if case.factor == 1 else (f"rate {plain(case.factor)} times",)
    active = () if case.share is None else (f"active_share {plain(case.share)}",)
    bursts = () if case.cv is None else (f"cv {plain(case.cv)}",)
    times = (f"{name} {value}" for name, value, _ in _moved_times(spec, case.performance))
    return (*rate, *active, *bursts, *times)


def factors(
    spec: ModelSpec, month_usd: Month, expected_usd: Decimal | None, guess: Estimated | None
) -> tuple[Factor, ...]:
    """Each thing that the range holds, by itself."""
    if expected_usd is None:
        return ()
    found = [
        Factor(name="rate", value=f"{plain(factor)} times", monthly_usd=month_usd(spec, factor, None))
        for factor in _rates(spec)
        if factor != 1
    ]
    found += [
        Factor(name="active_share", value=plain(share), monthly_usd=month_usd(spec, Decimal(1), share))
        for share in _shares(spec)
        if share is not None
    ]
    found += [
        Factor(name="cv", value=plain(cv), monthly_usd=month_usd(_bursty(spec, cv), Decimal(1), None))
        for cv in _bursts(spec, BURSTS)
    ]
    return tuple(found) + tuple(
        Factor(name=name, value=value, monthly_usd=month_usd(other, Decimal(1), None))
        for performance in _performances(spec, guess)
        for name, value, other in _moved_times(spec, performance)
    )


def _performances(spec: ModelSpec, guess: Estimated | None) -> list[Performance]:
    return list(dict.fromkeys([spec.performance, *((guess.fast, guess.slow) if guess else ())]))


def _moved_times(spec: ModelSpec, other: Performance) -> list[tuple[str, str, ModelSpec]]:
    """The times of `other` that the spec does not have: name, value, and the spec with that one."""
    own, found = spec.performance, []
    if other.service_time_s != own.service_time_s:
        alone = replace(own, service_time_s=other.service_time_s)
        found.append(("service_time", f"{plain(other.service_time_s)} s", replace(spec, performance=alone)))
    if other.cold_start_s != own.cold_start_s:
        alone = replace(own, cold_start_s=other.cold_start_s)
        found.append(("cold_start", f"{plain(other.cold_start_s)} s", replace(spec, performance=alone)))
    return found


def _rates(spec: ModelSpec) -> list[Decimal]:
    span = spec.traffic.range if spec.traffic else None
    return list(dict.fromkeys([Decimal(1), *((span.low, span.high) if span else ())]))


def _shares(spec: ModelSpec) -> list[Decimal | None]:
    """Shares of active time that the range holds besides the expected one: only where an hourly profile hides it."""
    traffic = spec.traffic
    hides = traffic is not None and traffic.active_share is None and bool(traffic.curve or traffic.hourly)
    return [None, SESSIONS] if hides else [None]


def _bursts(spec: ModelSpec, cvs: Iterable[Decimal]) -> list[Decimal]:
    """How bursty requests may be where neither the spec nor a log says it."""
    traffic = spec.traffic
    open_ = traffic is not None and traffic.cv is None and traffic.batch is None and bool(traffic.requests_per_day)
    return list(cvs) if open_ else []


def growth(spec: ModelSpec, month_usd: Month, *, known: bool) -> tuple[GrowthMonth, ...]:
    """The bills of months 1, 6 and 12, None where they are not `known`; none where the traffic does not grow."""
    traffic = spec.traffic
    if traffic is None or not traffic.growth_per_month or traffic.requests_per_day is None:
        return ()
    months = []
    for month in GROWTH_MONTHS:
        factor = (1 + traffic.growth_per_month) ** (month - 1)
        rate = (traffic.requests_per_day * factor).quantize(Decimal("0.001"), ROUND_HALF_UP)
        usd = month_usd(spec, factor, None) if known else None
        months.append(GrowthMonth(month=month, requests_per_day=rate, monthly_usd=usd))
    return tuple(months)


def plain(number: Decimal | None) -> str:
    """Without exponent and trailing zeros."""
    return "unknown" if number is None else format(number.normalize(), "f")
