"""The minimum of workers over the week: which hours have which minimum, and which rates fall into them.

Calendar arithmetic on a week from Monday 00:00, and the worker time of a pool under it; no money. A month is made of
mean weeks: a share of the week is that share of 730 hours. Where the zones of traffic and schedule differ they are
taken as far apart as on `ZONES_ON`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal

from baseload.planner.pool import Assumption, Pool, PoolEstimate
from baseload.planner.spec.model import Schedule, Weekday, Window
from baseload.planner.traffic.profile import RateProfile, Stretch, estimate_over

WEEK_MINUTES = 10_080
DAY_MINUTES = 1_440
WEEK_S = 604_800.0
ZONES_ON = date(2026, 1, 5)
"""A Monday in winter: a plan must not depend on the day it is made."""


@dataclass(frozen=True, kw_only=True)
class Shift:
    """All the time of the week with one minimum of workers."""

    workers_min: int
    share: Decimal
    """Of the time; those of a schedule add up to 1."""
    profile: RateProfile
    """The rates in it, in order."""


def office(workers: int) -> Window:
    """So many from Monday to Friday, 08:00 to 18:00."""
    return Window(days=tuple(Weekday)[:5], from_minute=8 * 60, until_minute=18 * 60, workers_min=workers)


def minimums(schedule: Schedule) -> tuple[tuple[int, int], ...]:
    """(minute of the week from Monday 00:00 local time, minimum from then on), the first at 0."""
    edges = {0}
    spans = [span for window in schedule.windows for span in _spans(window)]
    for begins, ends, _ in spans:
        edges |= {begins, ends % WEEK_MINUTES}
    found: list[tuple[int, int]] = []
    for at in sorted(edges):
        inside = [least for begins, ends, least in spans if begins <= at < ends or begins <= at + WEEK_MINUTES < ends]
        least = max(inside, default=schedule.otherwise)
        if not found or found[-1][1] != least:
            found.append((at, least))
    return tuple(found)


def _spans(window: Window) -> Iterator[tuple[int, int, int]]:
    """Begin and end in minutes of the week, and the minimum; one that ends on Monday may end after the week."""
    for day in window.days:
        begins = list(Weekday).index(day) * DAY_MINUTES + window.from_minute
        length = window.until_minute - window.from_minute
        yield begins, begins + (length if length > 0 else length + DAY_MINUTES), window.workers_min


def shifts(schedule: Schedule, profile: RateProfile, time_zone: str) -> tuple[Shift, ...]:
    """The week by its minimum, from the smallest; `time_zone` is that of the profile, which begins on Monday 00:00.

    A profile that is neither a week nor repeats within one (a log) is taken to be the same at every minimum.
    """
    week = _rotated(minimums(schedule), _minutes_ahead(time_zone, schedule.time_zone))
    pieces: dict[int, list[Stretch]] = {}
    minutes: dict[int, int] = {}
    rates = _week(profile)
    for begins, ends, least in week:
        minutes[least] = minutes.get(least, 0) + ends - begins
        inside = _between(rates, begins * 60.0, ends * 60.0) if rates else list(profile.stretches)
        pieces.setdefault(least, []).extend(inside)
    return tuple(
        Shift(
            workers_min=least,
            share=Decimal(minutes[least]) / WEEK_MINUTES,
            profile=RateProfile(stretches=tuple(pieces[least])),
        )
        for least in sorted(pieces)
    )


def in_clock_of(schedule: Schedule, time_zone: str) -> tuple[tuple[float, int], ...]:
    """(second of the week from Monday 00:00 in `time_zone`, minimum from then on), the first at 0."""
    week = _rotated(minimums(schedule), _minutes_ahead(time_zone, schedule.time_zone))
    return tuple((begins * 60.0, least) for begins, _, least in week)


def cut(profile: RateProfile, week: Sequence[tuple[float, int]]) -> list[tuple[float, float, int]]:
    """(seconds, rate, minimum) of a week from Monday 00:00, in order; the profile repeats within one."""
    stretches, found = _week(profile), list[tuple[float, float, int]]()
    for (begins, least), (ends, _) in zip(week, (*week[1:], (WEEK_S, 0)), strict=True):
        found += [(seconds, rate, least) for seconds, rate in _between(stretches, begins, ends)]
    return found


def estimate_in_shifts(pool: Pool, found: Sequence[Shift], active_share: float = 1.0) -> PoolEstimate:
    """What the pool bills with the minimum of each shift, each as if it lasted.

    A change of the minimum adds nothing: a worker that is no longer of it stops unless it has just served, and the
    start of one that comes in is always-on time.
    """
    parts = [
        estimate_over(replace(pool, workers_min=min(shift.workers_min, pool.workers_max)), shift.profile, active_share)
        for shift in found
    ]
    if len(parts) == 1:
        return parts[0]
    shares = [float(shift.share) for shift in found]

    def mean(key: str) -> float:
        return math.fsum(share * float(getattr(part, key)) for share, part in zip(shares, parts, strict=True))

    methods = list(dict.fromkeys(part.method for part in parts))
    told = {item.name: item for part in reversed(parts) for item in part.assumptions}
    return PoolEstimate(
        busy=mean("busy"),
        idle=mean("idle"),
        cold_start=mean("cold_start"),
        always_on=mean("always_on"),
        starts_per_s=mean("starts_per_s"),
        method=methods[0]
        if len(methods) == 1
        else f"approximation: {len(parts)} minimums of the schedule, each for itself; of them {' | '.join(methods)}",
        assumptions=tuple(told.values()),
        overloaded=any(part.overloaded for part in parts),
    )


def overlays_a_log(profile: RateProfile) -> bool:
    """Whether it is not known which of the profile's hours fall into which of a week's."""
    return not _week(profile)


def always_on(schedule: Schedule, most: int) -> Decimal:
    """Mean workers of the minimum over the week, of at most `most`; exact."""
    week = _rotated(minimums(schedule), 0)
    return Decimal(sum((ends - begins) * min(least, most) for begins, ends, least in week)) / WEEK_MINUTES


def minimum_at(schedule: Schedule, clock: str, time_zone: str) -> int:
    """The smallest minimum that any day of the week has at that local time, `HH:MM`."""
    hours, _, minutes = clock.partition(":")
    week = _rotated(minimums(schedule), _minutes_ahead(time_zone, schedule.time_zone))
    at = [day * DAY_MINUTES + int(hours) * 60 + int(minutes) for day in range(7)]
    return min(least for minute in at for begins, ends, least in week if begins <= minute < ends)


def assumption(schedule: Schedule, *, log: bool, of: str = "minimum of workers") -> Assumption:
    """What is told of it beside the bill."""
    values = [f"{least} from {_clock(minute)}" for minute, least in minimums(schedule)]
    shown = ", ".join(values[:6]) + (f", … ({len(values)} changes)" if len(values) > 6 else "")
    return Assumption(
        name="schedule",
        value=f"{of} {shown}, {schedule.time_zone}",
        source="spec",
        errs="either way: a log does not say which of its hours are which of the week's" if log else None,
    )


def _clock(minute: int) -> str:
    return f"{str(list(Weekday)[minute // DAY_MINUTES]).capitalize()} {minute % DAY_MINUTES // 60:02}:{minute % 60:02}"


def _minutes_ahead(time_zone: str, of: str) -> int:
    if time_zone == of:
        return 0
    from zoneinfo import ZoneInfo  # only where zones differ

    noons = (datetime.combine(ZONES_ON, time(12), ZoneInfo(name)) for name in (time_zone, of))
    here, there = (noon.utcoffset() for noon in noons)
    assert here is not None, "a zone has an offset"
    assert there is not None, "a zone has an offset"
    return round((here - there).total_seconds() / 60)


def _rotated(week: tuple[tuple[int, int], ...], by: int) -> list[tuple[int, int, int]]:
    """(begin, end, minimum) from minute 0 to the end of the week, all of it later by `by` minutes."""
    found = []
    for (begins, least), (ends, _) in zip(week, (*week[1:], (WEEK_MINUTES, 0)), strict=True):
        begin, end = (begins + by) % WEEK_MINUTES, (ends + by) % WEEK_MINUTES
        if end > begin:
            found.append((begin, end, least))
        else:
            found.append((begin, WEEK_MINUTES, least))
            if end > 0:
                found.append((0, end, least))
    return sorted(found)


def _week(profile: RateProfile) -> tuple[Stretch, ...]:
    """The stretches of a whole week; none where the profile is no divisor of one."""
    times = WEEK_MINUTES * 60 / profile.seconds
    if math.isclose(times, round(times)) and round(times) >= 1:
        return profile.stretches * round(times)
    return ()


def _between(stretches: tuple[Stretch, ...], begins: float, ends: float) -> list[Stretch]:
    """The stretches within these seconds, cut at both ends."""
    found, at = list[Stretch](), 0.0
    for seconds, rate in stretches:
        inside = min(at + seconds, ends) - max(at, begins)
        if inside > 1e-6:
            found.append(Stretch(inside, rate))
        at += seconds
    return found
