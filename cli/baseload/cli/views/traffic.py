"""The traffic of models: requests by the hour as bars, and what is known about how they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.text import UNKNOWN, columns, seconds, wrapped
from baseload.planner.traffic.picture import Picture
from baseload.planner.traffic.profile import hour_of_week

EIGHTHS = " ▏▎▍▌▋▊▉"


def human(value: Sequence[Picture], page: Page) -> str:
    """A block per model."""
    return "\n\n".join("\n".join(_model(picture, page)) for picture in value)


def document(value: Sequence[Picture]) -> Mapping[str, Any]:
    """`baseload.traffic/1`."""
    return {"schema": "baseload.traffic/1", "models": [picture.to_json() for picture in value]}


def _model(picture: Picture, page: Page) -> list[str]:
    lines = [f"{page.bold(picture.spec.name)}  {_origin(picture)}"]
    lines += [line for row in _facts(picture) for line in _fact(row, page)]
    if picture.busiest is not None and picture.traffic.batch is None:
        lines += ["", *_bars(picture, page)]
    return lines


def _origin(picture: Picture) -> str:
    traffic, seen = picture.traffic, picture.observed
    if traffic.log is not None and seen is not None:
        dates = f", {seen.first:%Y-%m-%d} to {seen.last:%Y-%m-%d}" if seen.first and seen.last else ""
        return f"{traffic.log.file}: {seen.requests:,} requests{dates}"
    if traffic.batch is not None:
        return f"a batch at {traffic.batch.at} {traffic.time_zone}, within {seconds(float(traffic.batch.within_s))}"
    if traffic.hourly:
        return f"{len(traffic.hourly)} hours"
    return f"curve {traffic.curve}" if traffic.curve else "a constant rate"


def _facts(picture: Picture) -> list[tuple[str, str]]:
    seen, quiet, tokens = picture.observed, picture.quiet, picture.tokens
    day = picture.requests_per_day
    rows = [("mean", f"{_count(day)} a day, {_count(day / 24)} an hour, {_count(day / 86_400)} a second")]
    if picture.busiest is not None and picture.traffic.batch is None:
        most = picture.week[picture.busiest] or 0.0
        rows.append(("busiest hour", f"{hour_of_week(picture.busiest)}, {_count(most)} requests"))
    if quiet.longest and picture.traffic.batch is None:
        end = hour_of_week(quiet.longest_from + quiet.longest)
        off = f"{quiet.hours} of 168 below a tenth of that"
        if quiet.longest < quiet.hours:
            off += ", longest"
        rows.append(("off-hours", f"{off} {hour_of_week(quiet.longest_from)} to {end}"))
    rows += _burstiness(picture)
    service = picture.spec.performance.service_time_s
    if picture.traffic.batch is None:
        share = UNKNOWN if picture.gpu_active_share is None else f"{_share(picture.gpu_active_share)} of the time"
        if seen is not None and seen.service_s is not None:
            share += f", at {seconds(seen.service_s)} a request (cv {seen.service_cv:.2g}, from the log)"
        elif service is not None and picture.gpu_active_share is not None:
            share += f", at {seconds(float(service))} a request"
        rows.append(("a GPU is active", share))
    if tokens is not None:
        rows.append(("tokens", f"{_count(float(tokens.prompt))} in, {_count(float(tokens.output))} out a request"))
    if picture.tokens_per_minute is not None:
        mean, peak = picture.tokens_per_minute
        when = "in one minute" if seen is not None else "in the busiest hour"
        rows.append(("tokens a minute", f"{_count(mean)} mean, {_count(peak)} {when}"))
    if picture.traffic.growth_per_month:
        rows.append(("growth", f"{_share(float(picture.traffic.growth_per_month))} a month"))
    return rows


def _burstiness(picture: Picture) -> list[tuple[str, str]]:
    seen = picture.observed
    rows = []
    if picture.traffic.batch is None:
        text = f"cv {picture.cv:.2f}" if picture.cv is not None else "cv unknown, taken as 1 (Poisson)"
        if seen is not None and seen.idc is not None:
            text += f", {seen.idc:.2f} variance over mean of counts a minute (IDC)"
        rows.append(("burstiness", text))
    if picture.active_share is not None:
        rows.append(("requests come", f"{_share(picture.active_share)} of the time"))
    if seen is not None and seen.gaps_s is not None:
        middle, high, longest = (seconds(gap) if gap >= 1 else f"{gap * 1000:.3g} ms" for gap in seen.gaps_s)
        rows.append(("gaps", f"{middle} median, {high} at the 99th percentile, {longest} longest"))
    if seen is not None and seen.same_time:
        rows.append(("same time", f"{seen.same_time:,} requests as another one: a coarse clock, or rows twice"))
    if seen is not None and seen.lines.bad:
        rows.append(("lines left out", f"{seen.lines.bad:,} of {seen.lines.read:,}"))
    return rows


def _fact(row: tuple[str, str], page: Page) -> list[str]:
    first, *rest = wrapped(row[1], page.width - 19) or [""]
    return [f"  {row[0]:<15}  {first}", *(f"{'':19}{line}" for line in rest)]


def _bars(picture: Picture, page: Page) -> list[str]:
    """A row per hour of the day, working days beside the weekend where they differ."""
    parts = [("Mon–Fri", _mean_day(picture.week[:120])), ("Sat–Sun", _mean_day(picture.week[120:]))]
    if parts[0][1] == parts[1][1] or None in (parts[0][1][0], parts[1][1][0]):
        parts = [("each day", _mean_day(picture.week))]
    most = max(count for _, day in parts for count in day if count is not None)
    width = (page.width - 9 - 12 * len(parts)) // len(parts)
    rows = [["hour", *(text for name, _ in parts for text in ("", name))]]
    for hour in range(24):
        cells = [f"{hour:02}:00"]
        for _, day in parts:
            count = day[hour]
            cells += ["" if count is None else _count(count), _bar(0.0 if count is None else count / most, width)]
        rows.append(cells)
    heading = (
        f"requests an hour, {'from the start of the log' if _has_no_dates(picture) else picture.traffic.time_zone}"
    )
    return [f"  {page.dim(heading)}", *columns(rows, align="<><><", indent=2)]


def _has_no_dates(picture: Picture) -> bool:
    return picture.observed is not None and picture.observed.first is None


def _mean_day(hours: Sequence[float | None]) -> list[float | None]:
    """Mean of each hour of the day over the days; None where no day of the log has it."""
    days = [[count for count in hours[hour::24] if count is not None] for hour in range(24)]
    return [sum(counts) / len(counts) if counts else None for counts in days]


def _bar(share: float, width: int) -> str:
    full, part = divmod(round(share * width * 8), 8)
    return "█" * full + (EIGHTHS[part] if part else "")


def _count(value: float) -> str:
    """Whole numbers from a hundred on, else three digits."""
    if value >= 99.5:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.0001 or value == 0 else f"{value:.1e}"


def _share(value: float) -> str:
    return f"{value * 100:.3g} %"
