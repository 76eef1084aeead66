"""What a month may cost: the bills at all that is not sure, and of later months; the same for every target.

Knows no price and no target: a `Month` prices a spec at a factor on its rate and a share of active time. What the
range of recorded clients held stands in docs/traffic.md, "Sessions and bursts".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from baseload.planner.cost import (
    BURSTS,
    CLOSED_FORM_PERCENT,
    DRIFT,
    GROWTH_MONTHS,
    SESSIONS,
    WIDEST_BURSTS,
    Ends,
    Factor,
    GrowthMonth,
    Split,
    Spread,
    cents,
)
from baseload.planner.performance.estimate import Estimated
from baseload.planner.pool import Assumption, Dispatch
from baseload.planner.spec.model import ModelSpec, Performance, Traffic

Month = Callable[[ModelSpec, Decimal, Decimal | None], Decimal]
"""Dollars of a month of a spec at its rate times a factor; the share of active time where the spec has none."""


class Error(NamedTuple):
    """By how much a month may be off because of how it was computed."""

    name: str = "closed_form"
    percent: Decimal = Decimal(0)
    """Of what workers that come and go bill, of a simulation of all that is billed; zero where that is exact."""
    share: Decimal = Decimal(0)
    """The same as a share of the month."""
    most_usd: Decimal | None = None
    """With all workers on all the time; None is unknown."""

    def less(self, usd: Decimal) -> Decimal:
        """The month where it is too high."""
        return cents(usd * (1 - self.share)) if self.share else usd

    def more(self, usd: Decimal) -> Decimal:
        """The month where it is too low."""
        most = cents(usd * (1 + self.share)) if self.share else usd
        return most if self.most_usd is None else max(usd, min(most, self.most_usd))

    def around(self, month: Spread) -> Spread:
        """The month with its ends moved apart."""
        if month.low is None or month.high is None:
            return month
        return replace(month, low=self.less(month.low), high=self.more(month.high))

    def told(self) -> tuple[Assumption, ...]:
        """Where the figure is from; a simulation says that itself."""
        if not self.share or self.name != "closed_form":
            return ()
        value = f"right to {plain(self.percent)} % of what workers that come and go bill, in the range"
        source = "measured; 19 of 20 pools against simulation, benchmarks/README.md"
        return (Assumption(name=self.name, value=value, source=source, errs="either way"),)


EXACT = Error()


def error_of(
    method: str | None,
    split: Split,
    month_usd: Decimal | None,
    *,
    workers_usd: Decimal | None = None,
    simulated_percent: Decimal | None = None,
    most_usd: Decimal | None = None,
) -> Error:
    """Of the closed form, or of a simulation whose interval of the bill that is.

    `workers_usd` is what is billed by time, by default all. None where the formulas are exact for what they assume, as
    is a batch.
    """
    on = split.always_on or Decimal(0)
    coming = sum((part or Decimal(0) for part in (split.busy, split.idle, split.cold_start)), Decimal(0))
    sure = method is None or all(part.startswith(("exact", "approximation: a batch")) for part in method.split("; "))
    if not month_usd or coming <= 0 or (sure and simulated_percent is None):
        return EXACT
    if simulated_percent is not None:  # of all that is billed
        return Error("simulation", simulated_percent, simulated_percent / 100, most_usd)
    name, percent = "closed_form", CLOSED_FORM_PERCENT
    timed = month_usd if workers_usd is None else workers_usd
    return Error(name, percent, percent / 100 * coming / (coming + on) * timed / month_usd, most_usd)


class Range(NamedTuple):
    """What a month may cost."""

    usd: Spread
    ends: Ends
    widest: Spread
    """With bursts that few have."""
    drift: Spread | None = None
    """The widest at the volume of another week; None where it was not measured in one, or the spec has a `range`."""


class _Case(NamedTuple):
    """One traffic and speed out of all that may be; None is as the spec says or, where it does not, as expected."""

    performance: Performance
    factor: Decimal = Decimal(1)
    share: Decimal | None = None
    cv: Decimal | None = None
    dispatch: Dispatch = Dispatch.PACKED


def spread(
    spec: ModelSpec,
    month_usd: Month,
    expected_usd: Decimal | None,
    guess: Estimated | None,
    error: Error = EXACT,
    dispatches: Sequence[Dispatch] = (),
) -> Range:
    """The lowest and highest bill over all that may be: rates × shares of active time × ends of an estimate's band.

    Bursts are added to the expected month and to both ends, then to the high end the other `dispatches` that
    the platform may have: none bills less than the packed one. At last comes the error of the formulas themselves.
    More traffic can cost less: where the cold start outlasts the idle timeout, a steadier stream saves starts.
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
    others = _other_dispatches(spec, dispatches)
    bills |= {case: _usd(spec, month_usd, case) for case in _with_bursts(steady, bursts(spec.traffic))}
    busiest = expected._replace(factor=max(_rates(spec)))  # cheaper packed, where that saves starts
    spread_out = _dispatched([expected, busiest, _ends(bills)[1]], others)
    low, _ = _ends(bills)
    bills |= {case: _usd(spec, month_usd, case) for case in spread_out}
    _, high = _ends(bills)
    usd = error.around(Spread(low=bills[low], expected=expected_usd, high=bills[high]))
    rare = {case: _usd(spec, month_usd, case) for case in _with_bursts(steady, _rare_bursts(spec.traffic))}
    widest = bills | rare
    if rare:
        widest |= {case: _usd(spec, month_usd, case) for case in _dispatched(_ends(rare)[1:], others)}
    return Range(
        usd=usd,
        ends=Ends(low=_apart(spec, low, error, "less"), high=_apart(spec, high, error, "more")),
        widest=_held(usd, widest.values()),
        drift=_drift(spec, month_usd, usd, widest),
    )


def _held(usd: Spread, bills: Iterable[Decimal]) -> Spread:
    assert usd.low is not None, "known with the month"
    assert usd.high is not None, "known with the month"
    return Spread(low=min(usd.low, *bills), expected=usd.expected, high=max(usd.high, *bills))


def _drift(spec: ModelSpec, month_usd: Month, usd: Spread, bills: Mapping[_Case, Decimal]) -> Spread | None:
    """The range and the cases that make the ends of the widest, at half and twice the volume."""
    if not is_of_one_week(spec):
        return None
    ends = dict.fromkeys(_ends(bills))
    other = [_usd(spec, month_usd, case._replace(factor=volume)) for case in ends for volume in DRIFT]
    return _held(usd, [*bills.values(), *other])


def is_of_one_week(spec: ModelSpec) -> bool:
    """Whether the volume was counted, in a log or by hours, and nothing says how it will change."""
    traffic = spec.traffic
    counted = traffic is not None and (traffic.observed is not None or bool(traffic.hourly))
    return counted and _rates(spec) == [1] and bool(traffic and traffic.requests_per_day)


def one_month(usd: Decimal | None) -> Range:
    """The range of a month that is not ranged."""
    month = Spread(low=usd, expected=usd, high=usd)
    return Range(month, Ends(), month)


def _usd(spec: ModelSpec, month_usd: Month, case: _Case) -> Decimal:
    spec = replace(spec, performance=case.performance, dispatch=case.dispatch)
    return month_usd(_bursty(spec, case.cv), case.factor, case.share)


def _ends(bills: Mapping[_Case, Decimal]) -> tuple[_Case, _Case]:
    return min(bills, key=bills.__getitem__), max(bills, key=bills.__getitem__)


def _with_bursts(cases: Iterable[_Case], cvs: Iterable[Decimal]) -> list[_Case]:
    return [case._replace(cv=cv) for cv in cvs for case in cases]


def _dispatched(cases: Iterable[_Case], dispatches: Sequence[Dispatch]) -> list[_Case]:
    return [case._replace(dispatch=rule) for case in dict.fromkeys(cases) for rule in dispatches]


def _bursty(spec: ModelSpec, cv: Decimal | None) -> ModelSpec:
    return spec if cv is None or spec.traffic is None else replace(spec, traffic=replace(spec.traffic, cv=cv))


def _apart(spec: ModelSpec, case: _Case, error: Error, way: str) -> tuple[str, ...]:
    """What makes an end other than the expected month."""
    rate = () if case.factor == 1 else (f"rate {plain(case.factor)} times",)
    active = () if case.share is None else (f"active_share {plain(case.share)}",)
    bursts = () if case.cv is None else (f"cv {plain(case.cv)}",)
    times = (f"{name} {value}" for name, value, _ in _moved_times(spec, case.performance))
    rule = () if case.dispatch is Dispatch.PACKED else (f"dispatch {case.dispatch}",)
    method = (f"{error.name} {plain(error.percent)} % {way}",) if error.share else ()
    return (*rate, *active, *bursts, *times, *rule, *method)


def factors(
    spec: ModelSpec,
    month_usd: Month,
    expected_usd: Decimal | None,
    guess: Estimated | None,
    error: Error = EXACT,
    dispatches: Sequence[Dispatch] = (),
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
        for cv in bursts(spec.traffic)
    ]
    for rule in _other_dispatches(spec, dispatches):
        usd = month_usd(replace(spec, dispatch=rule), Decimal(1), None)
        if usd > expected_usd:
            found.append(Factor(name="dispatch", value=rule, monthly_usd=usd))
    if error.share:
        for way, usd in (("less", error.less(expected_usd)), ("more", error.more(expected_usd))):
            found.append(Factor(name=error.name, value=f"{plain(error.percent)} % {way}", monthly_usd=usd))
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


def bursts(traffic: Traffic | None) -> list[Decimal]:
    """How bursty requests may be, where the spec does not say it.

    The cv of a log is of the gaps within an hour, so it also holds the changes of the rate that the windows of ten
    minutes have already: what is left for a steady rate is between 1 and that.
    """
    if traffic is not None and traffic.observed is not None and traffic.cv is not None:
        return [Decimal(1), traffic.cv.sqrt().quantize(Decimal("0.001"))] if traffic.cv > 1 else []
    return list(BURSTS) if _says_no_bursts(traffic) else []


def _rare_bursts(traffic: Traffic | None) -> list[Decimal]:
    return list(WIDEST_BURSTS) if _says_no_bursts(traffic) else []


def _says_no_bursts(traffic: Traffic | None) -> bool:
    return traffic is not None and traffic.cv is None and traffic.batch is None and bool(traffic.requests_per_day)


def _other_dispatches(spec: ModelSpec, dispatches: Sequence[Dispatch]) -> Sequence[Dispatch]:
    """Without requests, and in a batch whose workers are busy until it is done, no rule matters."""
    traffic = spec.traffic
    return dispatches if traffic is not None and traffic.batch is None and traffic.requests_per_day else ()


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
