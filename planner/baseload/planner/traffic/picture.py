"""What was understood of a spec's traffic: figures to look at before a bill is believed, and words to write it down.

Pure but for the log, which `log` reads where the spec has one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from baseload.planner.diagnostics import Diagnostic, Location, Severity
from baseload.planner.spec.model import ModelSpec, Tokens, Traffic
from baseload.planner.traffic.profile import DAYS, HOURS, QUIET, hour_of_week, profile_of

if TYPE_CHECKING:
    from baseload.planner.traffic.log import Observed

DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class Quiet:
    """Hours of the week below a tenth of the busiest one."""

    hours: int
    longest: int
    """Hours in a row, over the end of the week too."""
    longest_from: int
    """Hour of the week."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """The traffic of one model. None is unknown."""

    spec: ModelSpec
    traffic: Traffic
    requests_per_day: float
    week: tuple[float | None, ...]
    """Requests per hour by hour of the week, from Monday 00:00 local time."""
    cv: float | None
    active_share: float | None
    gpu_active_share: float | None
    """Share of the time with a request in service."""
    tokens: Tokens | None
    tokens_per_minute: tuple[float, float] | None
    """Mean, and the most: in a minute of the log, or the mean of the busiest hour."""
    observed: Observed | None = None
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def busiest(self) -> int | None:
        """Hour of the week with the most requests; None where all are alike."""
        known = [(count, -hour) for hour, count in enumerate(self.week) if count is not None]
        if not known or max(known)[0] <= min(known)[0]:
            return None
        return -max(known)[1]

    @property
    def quiet(self) -> Quiet:
        """Off-hours; an hour that the log does not cover is none."""
        most = max((count for count in self.week if count is not None), default=0.0)
        off = [count is not None and count < QUIET * most for count in self.week]
        best, best_from, run = 0, 0, 0
        for hour in range(2 * HOURS):
            run = min(run + 1, HOURS) if off[hour % HOURS] else 0
            if run > best:
                best, best_from = run, (hour - run + 1) % HOURS
        return Quiet(hours=sum(off), longest=best, longest_from=best_from)

    def to_json(self) -> dict[str, Any]:
        """One entry of `baseload.traffic/1`."""
        seen, quiet, batch, growth = self.observed, self.quiet, self.traffic.batch, self.traffic.growth_per_month
        return {
            "name": self.spec.name,
            "requests_per_day": _rounded(self.requests_per_day),
            "time_zone": self.traffic.time_zone,
            "requests_per_hour_of_week": [_rounded(count) for count in self.week],
            "busiest_hour": None if self.busiest is None else hour_of_week(self.busiest),
            "off_hours": {
                "hours": quiet.hours,
                "longest": quiet.longest,
                "longest_from": hour_of_week(quiet.longest_from) if quiet.longest else None,
            },
            "cv": _rounded(self.cv),
            "active_share": _rounded(self.active_share),
            "gpu_active_share": _rounded(self.gpu_active_share),
            "tokens": {"in": float(self.tokens.prompt), "out": float(self.tokens.output)} if self.tokens else None,
            "tokens_per_minute": _pair(self.tokens_per_minute),
            "growth_per_month": float(growth),
            "batch": {"jobs": batch.jobs, "at": batch.at, "within_s": float(batch.within_s)} if batch else None,
            "log": None if seen is None else _log_json(seen),
            "diagnostics": [item.to_json() for item in self.diagnostics],
        }


def picture_of(spec: ModelSpec, now: datetime) -> Picture | None:
    """The traffic of a spec, its log read; None where it has none. Raises UsageError where the log cannot be read."""
    if spec.traffic is None:
        return None
    if spec.traffic.log is None:
        return _of_words(spec, spec.traffic)
    from baseload.planner.traffic.log import read_log, remarks  # only here: it needs DuckDB

    seen = read_log(spec, now)
    return Picture(
        spec=spec,
        traffic=spec.traffic,
        requests_per_day=float(seen.requests_per_day),
        week=seen.week,
        cv=seen.cv,
        active_share=seen.active_share,
        gpu_active_share=seen.gpu_active_share,
        tokens=spec.traffic.tokens or seen.tokens,
        tokens_per_minute=seen.tokens_per_minute,
        observed=seen,
        diagnostics=remarks(spec, seen),
    )


def _of_words(spec: ModelSpec, traffic: Traffic) -> Picture:
    profile = profile_of(traffic)
    assert profile is not None, "only a log has to be read"
    hours = [rate * 3600 for _, rate in profile.stretches]
    tokens, service_s, batch = traffic.tokens, spec.performance.service_time_s, traffic.batch
    share = float(traffic.active_share or 1)
    if batch is not None:
        begin = int(batch.at[:2])
        hours = [float(batch.jobs) if hour == begin else 0.0 for hour in range(24)]
    active = per_minute = None
    if service_s is not None and batch is None:
        nodes = profile.in_sessions(share).nodes()
        active = math.fsum(node.share * -math.expm1(-node.requests_per_s * float(service_s)) for node in nodes)
    if tokens is not None:
        each = float(tokens.prompt + tokens.output)
        per_minute = (each * profile.mean_per_s * 60, each * max(hours) / 60 / share)
    return Picture(
        spec=spec,
        traffic=traffic,
        requests_per_day=float(traffic.requests_per_day or 0),
        week=tuple(hours * (HOURS // len(hours))) if len(hours) > 1 else (hours[0],) * HOURS,
        cv=None if traffic.cv is None else float(traffic.cv),
        active_share=None if traffic.active_share is None else float(traffic.active_share),
        gpu_active_share=active,
        tokens=tokens,
        tokens_per_minute=per_minute,
        diagnostics=_of_service(spec, batch is not None),
    )


def _of_service(spec: ModelSpec, batch: bool) -> tuple[Diagnostic, ...]:
    if batch or spec.performance.service_time_s is not None:
        return ()
    return (
        Diagnostic(
            code="traffic/no-service-time",
            severity=Severity.NOTE,
            summary=f"how much of the time a GPU of {spec.name} is active is unknown: its spec has no "
            "`performance.service_time`",
            where=Location(spec.file),
        ),
    )


# -------------------------------------------------------------------------------------------------- as a spec's words
def block(picture: Picture) -> str:
    """The `traffic:` section of a spec that says the same without the log, ended by a newline."""
    traffic, seen = picture.traffic, picture.observed
    lines = ["traffic:"]
    if seen is not None and traffic.log is not None:
        lines.append(f"  # from {' '.join(traffic.log.file.split())}: {seen.requests:,} requests{_dates(seen)}")
    if traffic.batch is not None:
        batch = traffic.batch
        lines.append(f"  batch: {{jobs: {batch.jobs}, at: {batch.at}, within: {_number(batch.within_s)}s}}")
    else:
        lines += _volume(picture)
    if traffic.time_zone != "UTC":
        lines.append(f"  time_zone: {traffic.time_zone}")
    if picture.active_share is not None:
        lines.append(f"  active_share: {max(round(picture.active_share, 2), 0.01):g}")
    if picture.cv is not None:
        lines.append(f"  cv: {min(round(picture.cv, 2), 100):g}")
    if picture.tokens is not None:
        lines.append(f"  tokens: {{in: {_number(picture.tokens.prompt)}, out: {_number(picture.tokens.output)}}}")
    if traffic.range.low != 1 or traffic.range.high != 1:
        lines.append(f"  range: {{low: {_number(traffic.range.low)}, high: {_number(traffic.range.high)}}}")
    if traffic.growth_per_month:
        lines.append(f"  growth: {_number(traffic.growth_per_month * 100)}%/month")
    return "\n".join(lines) + "\n"


def _volume(picture: Picture) -> list[str]:
    """`hourly` for the week where all of it is known, else for the day, else the mean."""
    days = [picture.week[at : at + 24] for at in range(0, HOURS, 24)]
    by_day = [[day[hour] for day in days if day[hour] is not None] for hour in range(24)]
    if picture.busiest is None or not all(by_day):
        return [f"  requests_per_day: {_short(picture.requests_per_day)}"]
    if None in picture.week or all(day == days[0] for day in days):
        mean = [math.fsum(count or 0.0 for count in counts) / len(counts) for counts in by_day]
        return _listed("hourly", [mean])
    return _listed("hourly", days)


def _listed(key: str, rows: Sequence[Sequence[float | None]]) -> list[str]:
    texts = [", ".join(_short(count or 0.0) for count in row) for row in rows]
    if len(texts) == 1:
        return [f"  {key}: [{texts[0]}]"]
    return [f"  {key}: [", *(f"    {text},  # {day}" for text, day in zip(texts, DAYS, strict=True)), "  ]"]


def _dates(seen: Observed) -> str:
    if seen.first is None or seen.last is None:
        return ""
    return f" from {seen.first:%Y-%m-%d} to {seen.last:%Y-%m-%d}"


def _short(count: float) -> str:
    """Four digits are more than any forecast has; no exponent, which YAML readers take for text."""
    return format(Decimal(f"{count:.4g}"), "f")


def _number(value: Decimal) -> str:
    return format(value.normalize(), "f")


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _pair(values: tuple[float, float] | None) -> dict[str, float | None] | None:
    return None if values is None else {"mean": _rounded(values[0]), "peak": _rounded(values[1])}


def _log_json(seen: Observed) -> Mapping[str, Any]:
    lines, gaps = seen.lines, seen.gaps_s
    return {
        "files": seen.files,
        "requests": seen.requests,
        "first": seen.first.isoformat() if seen.first else None,
        "last": seen.last.isoformat() if seen.last else None,
        "seconds": _rounded(seen.seconds),
        "extrapolated": seen.is_extrapolated,
        "lines": {
            "read": lines.read,
            "bad": lines.bad,
            "unreadable": lines.unreadable,
            "without_time": lines.without_time,
            "before_2000": lines.before_2000,
            "in_future": lines.in_future,
        },
        "same_time": seen.same_time,
        "idc_per_minute": _rounded(seen.idc),
        "gaps_s": None if gaps is None else {"median": gaps[0], "p99": gaps[1], "longest": gaps[2]},
        "service_time_s": _rounded(seen.service_s),
        "service_time_cv": _rounded(seen.service_cv),
    }
