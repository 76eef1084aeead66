"""A log of requests, or counts per minute, as a `RateProfile` and the statistics that `deploy traffic show` draws.

DuckDB reads the files in a stream and adds up; no row comes into Python, and what does not fit into its memory goes to
a temporary file, so that 100 million rows need no more memory than a million. DuckDB is imported here and nowhere else,
when a log is read. Knows no prices and no workers. Asks no clock: `now` is given.
"""

from __future__ import annotations

import csv
import glob
import gzip
import hashlib
import importlib
import json
import math
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from baseload.planner.diagnostics import Diagnostic, Location, Severity
from baseload.planner.errors import BaseloadError, UsageError
from baseload.planner.spec.model import Log, LogFormat, ModelSpec, Tokens
from baseload.planner.traffic.profile import HOURS, RateProfile, Stretch

MEMORY = "3GB"
"""What DuckDB may take; it spills the rest."""

BIN_S = 600
"""Rates are means over ten minutes: with exact arrivals inside of these, bills of recorded clients were 0.9 % off."""

WEEK_S = 7 * 86_400.0
MOST_REJECTS = 1_000_000
"""Lines that are no text at all, noted one by one; there are only so many of these before a log is refused anyway."""

_ROWS = 4096
"""Of a log, handed over at a time."""

_HOUR_US, _MINUTE_US, _QUARTER_US = 3_600_000_000, 60_000_000, 900_000_000
_RELATIVE_BELOW_US = 10**8 * 10**6
"""Numbers that end before March 1973 are no Unix times: they count from the start of the log."""
_MONDAY_US = 4 * 24 * _HOUR_US
"""1970-01-05: where a log without dates is taken to start."""
_OLDEST_US = 946_684_800 * 10**6
"""2000-01-01: an earlier time is a default value or a wrong unit."""
_SUFFIXES = {
    ".csv": LogFormat.CSV,
    ".tsv": LogFormat.CSV,
    ".jsonl": LogFormat.JSONL,
    ".ndjson": LogFormat.JSONL,
    ".parquet": LogFormat.PARQUET,
}
_OPTIONAL = ("tokens_in", "tokens_out", "duration", "requests")

_GAP_SHARE, _FEWEST_FOR_A_GAP = 0.5, 100
_SAME_TIME_SHARE, _SAME_TIME_TIMES = 0.05, 3
_DURATION_TIMES = 3
"""From which on a log is remarked on: the share of it without a request, requests at the same time (of all; over those
that a steady rate brings by chance), the mean duration over the spec's."""


@dataclass(frozen=True, kw_only=True)
class Lines:
    """What became of the lines of a log."""

    read: int
    unreadable: int
    """No line of this format, a time that is none, or a count of requests that is none."""
    without_time: int
    before_2000: int
    in_future: int

    @property
    def bad(self) -> int:
        """Lines that were left out."""
        return self.unreadable + self.without_time + self.before_2000 + self.in_future

    @property
    def bad_percent(self) -> float:
        """Of all lines."""
        return 100 * self.bad / self.read if self.read else 0.0


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What a log says. Figures are None where it does not hold what they need."""

    files: int
    lines: Lines
    requests: int
    first: datetime | None
    """None where the log has no dates, only seconds from its start."""
    last: datetime | None
    seconds: float
    """Length of the log, with half a gap on both ends."""
    profile: RateProfile
    week: tuple[float | None, ...]
    """Mean requests per hour, by hour of the week from Monday 00:00 local time; None is not in the log."""
    time_zone: str
    same_time: int | None
    """Requests with the same time as another one before: a coarse clock, or rows that were written twice."""
    clock_s: float | None
    """The finest step of the times, of 1 s, 1 ms and 1 µs; None with counts per minute."""
    cv: float | None
    """Coefficient of variation of the gaps within an hour; None with counts per minute."""
    idc: float | None
    """Variance over mean of the requests per minute, around the mean of their hour: 1 is Poisson."""
    gaps_s: tuple[float, float, float] | None
    """Median, 99th percentile and longest gap between requests."""
    active_share: float
    """The share of the time in which requests come; 1 where they are as even as the mean of each hour lets expect."""
    service_s: float | None
    """Mean duration."""
    service_cv: float | None
    gpu_active_share: float | None
    """Share of the time with a request in service, each taken as `service_s` (of the log, else of the spec) long."""
    tokens: Tokens | None
    """Mean per request."""
    tokens_per_minute: tuple[float, float] | None
    """Mean and the most in one minute."""

    @property
    def requests_per_day(self) -> Decimal:
        """Mean rate of the log."""
        return Decimal(repr(round(self.requests * 86_400 / self.seconds, 6)))

    @property
    def is_extrapolated(self) -> bool:
        """Whether the log is shorter than a week."""
        return self.seconds < WEEK_S * (1 - 1e-6)


def with_log(spec: ModelSpec, now: datetime) -> tuple[ModelSpec, tuple[Diagnostic, ...]]:
    """The spec with the traffic of its log, read now, and what there is to say about it; without a log as it is.

    Raises UsageError where the log cannot be read. What the spec says itself (tokens) holds. The digest becomes one
    over the log's rates, too.
    """
    if spec.traffic is None or spec.traffic.log is None:
        return spec, ()
    seen = read_log(spec, now)
    traffic = replace(
        spec.traffic,
        requests_per_day=seen.requests_per_day,
        observed=seen.profile,
        cv=None if seen.cv is None else Decimal(repr(round(seen.cv, 3))),
        tokens=spec.traffic.tokens or seen.tokens,
    )
    digest = hashlib.sha256(f"{spec.digest} {seen.profile.stretches!r}".encode()).hexdigest()
    return replace(spec, traffic=traffic, digest=f"sha256:{digest}"), remarks(spec, seen)


def remarks(spec: ModelSpec, seen: Observed) -> tuple[Diagnostic, ...]:
    """Warnings on a log: lines that were left out, and how short it is."""
    found: list[tuple[str, str, str | None]] = []
    if seen.lines.bad:
        found.append(("traffic/bad-lines", f"{_bad(seen.lines)} were left out", None))
    if seen.is_extrapolated:
        found.append(
            (
                "traffic/short-log",
                f"the log of {spec.name} covers {_span(seen.seconds)}, less than a week: "
                "the month is extrapolated from it",
                "give a log of a week or more, or a `range`",
            )
        )
    silent_s = max((seconds for seconds, rate in seen.profile.stretches if not rate), default=0.0)
    if silent_s > _GAP_SHARE * seen.seconds and seen.requests >= _FEWEST_FOR_A_GAP:
        found.append(
            (
                "traffic/gap",
                f"nothing came for {_span(silent_s)} in a row of the {_span(seen.seconds)} of the log of {spec.name}: "
                "the mean is over all of them",
                "leave out lines of another time, if these are some",
            )
        )
    if _is_repeated(seen):
        found.append(
            (
                "traffic/same-time",
                f"{seen.same_time:,} of {seen.requests:,} requests of the log of {spec.name} have the time of another "
                "one: the bill holds rows that were written twice as two requests",
                "leave out the second ones; with a coarse clock it is as it should be",
            )
        )
    service_s = _float(spec.performance.service_time_s)
    if seen.service_s and service_s and not 1 / _DURATION_TIMES < seen.service_s / service_s < _DURATION_TIMES:
        found.append(
            (
                "traffic/duration",
                f"a request of the log of {spec.name} takes {seen.service_s:.4g} s, by `performance.service_time` "
                f"{service_s:.4g} s: the bill is at that",
                "`duration` is in seconds on a worker, without waiting",
            )
        )
    return tuple(
        Diagnostic(code=code, severity=Severity.WARNING, summary=summary, where=Location(spec.file), hint=hint)
        for code, summary, hint in found
    )


def _is_repeated(seen: Observed) -> bool:
    """Whether more requests have the same time than a steady rate and a coarse clock explain."""
    if not seen.same_time or seen.clock_s is None or seen.same_time < _SAME_TIME_SHARE * seen.requests:
        return False
    by_chance = math.fsum(s * rate * -math.expm1(-rate * seen.clock_s) for s, rate in seen.profile.stretches)
    return seen.same_time > _SAME_TIME_TIMES * by_chance


def read_log(spec: ModelSpec, now: datetime) -> Observed:
    """The log of a spec. Raises UsageError where it cannot be read or says nothing, with what was found."""
    with _reading(spec, now) as reading:
        return reading.observed()


@contextmanager
def _reading(spec: ModelSpec, now: datetime) -> Iterator[_Reading]:
    """The log of a spec in a database; what DuckDB cannot read is told as a problem of the spec."""
    assert spec.traffic is not None, "has a log"
    assert spec.traffic.log is not None, "has a log"
    log, zone = spec.traffic.log, spec.traffic.time_zone
    files = _files(spec, log)
    source = _source(files, log, _format(spec, files, log), spec)
    with _database(zone) as database:
        try:
            yield _Reading(spec, database, files, source, now)
        except BaseloadError:
            raise
        except _duckdb().Error as error:
            reason = str(error).strip().splitlines()[0]
            raise _problem(spec, "traffic/log", f"DuckDB cannot read {files[0].name}: {reason}") from error


class Request(NamedTuple):
    """One line of a log; None where it does not say it."""

    at_s: float
    """From the first one."""
    tokens_in: float | None
    tokens_out: float | None
    duration_s: float | None


def requests_of(spec: ModelSpec, now: datetime) -> Iterator[Request]:
    """The requests of a spec's log in the order of their times, in a stream: sorted outside of memory, never all in it.

    Raises UsageError where the log cannot be read, and where it holds counts per minute: these have no times.
    """
    with _reading(spec, now) as reading:
        if "requests" in reading.columns:
            hint = "`deploy simulate` without --from-log draws arrivals at the rates of the log"
            raise _problem(spec, "traffic/counts", "a log of counts per minute has no arrival times to replay", hint)
        yield from reading.requests()


# ------------------------------------------------------------------------------------------------- files and columns
def _duckdb() -> Any:
    try:
        return importlib.import_module("duckdb")  # an extra: types and tests must do without
    except ImportError:
        raise UsageError.of(
            "traffic/duckdb",
            "a log is read with DuckDB, which is not installed",
            hint="`pip install 'baseload[logs]'`, or say `requests_per_day` or `hourly` instead",
        ) from None


@contextmanager
def _database(zone: str) -> Iterator[Any]:
    duckdb = _duckdb()
    with tempfile.TemporaryDirectory(prefix="baseload-log-") as folder:
        database = duckdb.connect(
            str(Path(folder) / "log.duckdb"),
            config={
                "memory_limit": MEMORY,
                "temp_directory": folder,
                "preserve_insertion_order": "false",
                "autoinstall_known_extensions": "false",
            },
        )
        try:
            database.execute(f"SET TimeZone = {_text(zone)}")
            yield database
        finally:
            database.close()


def _files(spec: ModelSpec, log: Log) -> list[Path]:
    pattern = spec.file.parent / log.file
    if pattern.is_dir():
        hint = f"`{log.file.rstrip('/')}/*.csv` is all the files in it as one log"
        raise _problem(spec, "traffic/log", f"the log {pattern} is a folder", hint)
    files = [pattern] if pattern.is_file() else sorted(map(Path, glob.glob(str(pattern))))  # noqa: PTH207 (absolute)
    if not files:
        raise _problem(spec, "traffic/log", f"there is no log {pattern}", "the path is from the folder of the spec")
    return files


def _format(spec: ModelSpec, files: Sequence[Path], log: Log) -> LogFormat:
    if log.format is not None:
        return log.format
    name = files[0].name.lower().removesuffix(".gz")
    found = _SUFFIXES.get(Path(name).suffix)
    if found is None:
        hint = "say `format: csv`, `jsonl` or `parquet`"
        raise _problem(spec, "traffic/log", f"the name {files[0].name} does not say what kind of log it is", hint)
    return found


@dataclass(frozen=True, kw_only=True)
class _Source:
    """How DuckDB reads the files: `sql` after FROM, and an expression for each column that is there."""

    sql: str
    columns: Mapping[str, str]
    time_type: str = "VARCHAR"
    keeps_rejects: bool = False


def _source(files: Sequence[Path], log: Log, kind: LogFormat, spec: ModelSpec) -> _Source:
    names = ", ".join(_text(str(file)) for file in files)
    match kind:
        case LogFormat.CSV:
            first, separator = _header(spec, files[0])
            wanted = _chosen(spec, log, first)
            places = {name: first.index(name) for name in wanted.values()}
            for file in files[1:]:
                _same_places(spec, file, places, separator, files[0])
            # A row is a line, also where a quote is never closed: else one of those swallows what follows.
            quoted = f'(?:^|[{separator}]) *("(?:[^"]|"")*"|[^{separator}]*)'
            sql = (
                f"(SELECT line, CASE WHEN contains(line, '\"') THEN regexp_extract_all(line, {_text(quoted)}, 1) END "
                f"AS cells FROM read_csv([{names}], columns={{'line': 'VARCHAR'}}, delim='\x1f', quote='', escape='', "
                f"header=false, skip=1, auto_detect=false, ignore_errors=true, store_rejects=true, "
                f"rejects_limit={MOST_REJECTS}) WHERE line IS NOT NULL)"
            )
            columns = {key: _cell(places[name] + 1, separator) for key, name in wanted.items()}
            return _Source(sql=sql, columns=columns, keeps_rejects=True)
        case LogFormat.JSONL:
            wanted = _chosen(spec, log, _keys(spec, files[0]))
            types = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in dict.fromkeys(wanted.values()))
            sql = (
                f"read_json([{names}], format='newline_delimited', records=true, columns={{{types}}}, "
                "ignore_errors=true)"
            )
            return _Source(sql=sql, columns={key: _name(name) for key, name in wanted.items()})
        case LogFormat.PARQUET:
            sql = f"read_parquet([{names}])"
            try:
                kinds = dict(
                    _duckdb().sql(f"DESCRIBE SELECT * FROM {sql}").project("column_name, column_type").fetchall()
                )
            except _duckdb().Error as error:
                reason = str(error).strip().splitlines()[0]
                raise _problem(spec, "traffic/log", f"DuckDB cannot read {files[0].name}: {reason}") from error
            wanted = _chosen(spec, log, list(kinds))
            columns = {key: _name(name) for key, name in wanted.items()}
            return _Source(sql=sql, columns=columns, time_type=kinds[wanted["time"]])


def _cell(number: int, separator: str) -> str:
    """An expression for a cell of `line`, counted from 1; NULL where it is not there."""
    unquoted = f"replace(trim(cells[{number}], '\"'), '\"\"', '\"')"
    return f"trim(CASE WHEN cells IS NULL THEN split_part(line, {_text(separator)}, {number}) ELSE {unquoted} END)"


def _chosen(spec: ModelSpec, log: Log, found: Sequence[str]) -> dict[str, str]:
    """The file's name of each column that we want and it has. Raises UsageError where one that must be is not."""
    wanted = {"time": "time", **{key: key for key in _OPTIONAL if key in found}, **log.columns}
    missing = [name for name in wanted.values() if name not in found]
    if missing:
        listed = ", ".join(found[:30]) + (", …" if len(found) > 30 else "")
        example = next((name for name in found if _says_time(name)), "timestamp")
        raise _problem(
            spec,
            "traffic/columns",
            f"the log has no column {' or '.join(missing)}; it has: {listed or 'none'}",
            f"say which is which, for instance `columns: {{time: {_plain(example)}}}`",
        )
    return wanted


def _same_places(spec: ModelSpec, file: Path, places: Mapping[str, int], separator: str, first: Path) -> None:
    """Raises UsageError where another file of the log has its columns elsewhere: cells are read by their place."""
    names, other = _header(spec, file)
    if not names or (other == separator and all(names[at : at + 1] == [name] for name, at in places.items())):
        return
    raise _problem(
        spec,
        "traffic/columns",
        f"the columns of {file.name} are not where those of {first.name} are; it has: {', '.join(names[:30])}",
        "write one order of columns into all files of a log, each with its header",
    )


def _says_time(name: str) -> bool:
    words = re.split(r"[^a-z]+", name.lower())
    return any(word in ("ts", "at", "when") or "time" in word or "date" in word for word in words)


def _plain(name: str) -> str:
    """As YAML has it between braces."""
    return name if re.fullmatch(r"[A-Za-z_][\w .-]*", name) else json.dumps(name, ensure_ascii=False)


def _header(spec: ModelSpec, file: Path) -> tuple[list[str], str]:
    """Column names of a CSV file, and what separates them."""
    line = next(iter(_first_lines(spec, file, 1)), "")
    separator = max(",;\t|", key=line.count)
    return [
        cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    ], separator


def _keys(spec: ModelSpec, file: Path) -> list[str]:
    """Keys of the first objects of a JSON lines file."""
    keys, arrays = dict[str, None](), 0
    for line in _first_lines(spec, file, 100):
        try:
            item = json.loads(line)
        except ValueError:
            continue  # counted when all lines are read
        if isinstance(item, dict):
            keys.update(dict.fromkeys(item))
        elif isinstance(item, list):
            arrays += 1
    if arrays and not keys:
        hint = "write one object to a line: `jq -c '.[]'` does"
        raise _problem(spec, "traffic/log", f"{file.name} is a JSON array, not a line of JSON per request", hint)
    return list(keys)


def _first_lines(spec: ModelSpec, file: Path, count: int) -> list[str]:
    packed = file.name.lower().endswith(".gz")
    opened = gzip.open if packed else open
    lines = []
    try:
        with opened(file, "rb") as stream:
            start = stream.read(len(_PARQUET))
            stream.seek(0)
            for first, what, hint in _NOT_TEXT:
                if start.startswith(first):
                    raise _problem(spec, "traffic/log", f"{file.name} is {what}", hint)
            for _ in range(count):
                line = stream.readline(2**20)
                if not line:
                    break
                lines.append(line.decode("utf-8-sig", "replace").rstrip("\r\n"))
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        advice = "name it without .gz, if it is not packed" if isinstance(error, gzip.BadGzipFile) else None
        raise _problem(spec, "traffic/log", f"cannot read {file.name}: {reason}", advice) from error
    return lines


_PARQUET = b"PAR1"
_NOT_TEXT = (
    (b"\x1f\x8b", "packed with gzip", "give it a name that ends in .gz"),
    (b"\xff\xfe", "text in UTF-16", "save it as UTF-8: `iconv -f UTF-16 -t UTF-8` does"),
    (b"\xfe\xff", "text in UTF-16", "save it as UTF-8: `iconv -f UTF-16 -t UTF-8` does"),
    (_PARQUET, "Parquet", "say `format: parquet`"),
)
"""How what is taken for text and is none begins, what it is, and what to do."""


# ------------------------------------------------------------------------------------------------------- the reading
class _Reading:
    """One log in one database: `seen` holds a row per line, `good` the usable ones."""

    def __init__(self, spec: ModelSpec, database: Any, files: Sequence[Path], source: _Source, now: datetime) -> None:
        self._spec = spec
        self._database = database
        self._files = files
        self._source = source
        self._now_us = int((now + timedelta(days=1)).timestamp() * 10**6)  # a day for clocks and zones
        self._counts = "requests" in source.columns

    @property
    def columns(self) -> Mapping[str, str]:
        """An expression for each column that is there."""
        return self._source.columns

    def requests(self) -> Iterator[Request]:
        """Those of the usable lines, in the order of their times."""
        self._usable()
        named = ", ".join(key if key in self._source.columns else f"NULL AS {key}" for key in _OPTIONAL[:3])
        found = self._database.execute(f"SELECT us, {named} FROM good ORDER BY us")
        first_us = None
        while rows := found.fetchmany(_ROWS):
            first_us = rows[0][0] if first_us is None else first_us
            for us, *figures in rows:
                yield Request((us - first_us) / 10**6, *figures)

    def _usable(self) -> tuple[Lines, bool]:
        """Load, refuse what is too bad, and name the rest `good`; the lines, and whether times count from the start."""
        self._load()
        lines, relative = self._lines()
        self._refuse(lines)
        shift = _MONDAY_US if relative else 0
        self._run(
            f"CREATE VIEW good AS SELECT us + {shift} AS us, * EXCLUDE (us, empty) FROM seen "
            f"WHERE us IS NOT NULL {'' if relative else f'AND us BETWEEN {_OLDEST_US} AND {self._now_us}'}"
        )
        return lines, relative

    def observed(self) -> Observed:
        lines, relative = self._usable()
        requests, first_us, last_us = self._row("SELECT coalesce(sum(n), 0), min(us), max(us) FROM good")
        requests = int(requests)
        seconds = self._seconds(requests, first_us, last_us)
        bins = dict(self._all(f"SELECT (us - {first_us}) // {BIN_S * 10**6} AS bin, sum(n) FROM good GROUP BY bin"))
        service_s, service_cv = self._service()
        known_s = service_s if service_s is not None else _float(self._spec.performance.service_time_s)
        gaps = None if self._counts else self._gaps(known_s)
        tokens, per_minute = self._tokens(requests, seconds)
        clock_s = None if self._counts else self._clock_s()
        zone = self._spec.traffic.time_zone if self._spec.traffic else "UTC"
        active_s = None if gaps is None or known_s is None else gaps.busy_s + known_s
        return Observed(
            files=len(self._files),
            lines=lines,
            requests=requests,
            first=None if relative else _time(first_us),
            last=None if relative else _time(last_us),
            seconds=seconds,
            profile=_profile(bins, seconds),
            week=self._week(first_us, first_us + int(seconds * 10**6), "UTC" if relative else zone),
            time_zone=zone,
            same_time=gaps.same_time if gaps else None,
            clock_s=clock_s,
            cv=gaps.cv if gaps else None,
            idc=self._idc(first_us, last_us),
            gaps_s=gaps.shown_s if gaps else None,
            active_share=active_share({number: int(count) for number, count in bins.items()}, seconds),
            service_s=service_s,
            service_cv=service_cv,
            gpu_active_share=None if active_s is None else min(active_s / seconds, 1.0),
            tokens=tokens,
            tokens_per_minute=per_minute,
        )

    def _load(self) -> None:
        """Read all files once; what is asked later is asked of the narrow table."""
        usable, count = self._expressions()
        more = "".join(f", CAST({self._number(key)} AS FLOAT) AS {key}" for key in _OPTIONAL[:3] if key in self.columns)
        self._run(
            f"CREATE TABLE seen AS SELECT CAST({usable} AS BIGINT) AS us, {count} AS n, "
            f"({self._time_text()}) = '' AS empty{more} FROM {self._source.sql}"
        )

    def _expressions(self) -> tuple[str, str]:
        """Of a row: its time in microseconds, NULL where the row is of no use; and its requests."""
        us = _microseconds(self.columns["time"], self._source.time_type)
        if not self._counts:
            return us, "1"
        number = self._number("requests")  # DuckDB's least() leaves out what is NULL
        count = f"CASE WHEN {number} = trunc({number}) THEN CAST(least({number}, 1e12) AS BIGINT) END"
        return f"CASE WHEN {count} IS NOT NULL THEN {us} END", count

    def _number(self, key: str) -> str:
        """A number from zero on; else NULL."""
        text = f"TRY_CAST({self.columns[key]} AS DOUBLE)"
        return f"CASE WHEN isfinite({text}) AND {text} >= 0 THEN {text} END"

    def _time_text(self) -> str:
        return f"coalesce(CAST(({self.columns['time']}) AS VARCHAR), '')"

    def _lines(self) -> tuple[Lines, bool]:
        read, timed, empty, newest, old, future = self._row(
            f"SELECT count(*), count(us), count(*) FILTER (us IS NULL AND empty), max(us), "
            f"count(*) FILTER (us < {_OLDEST_US}), count(*) FILTER (us > {self._now_us}) FROM seen"
        )
        rejected = 0
        if self._source.keeps_rejects:
            (rejected,) = self._row("SELECT count(DISTINCT (file_id, line)) FROM reject_errors")
        relative = newest is not None and newest < _RELATIVE_BELOW_US
        lines = Lines(
            read=read + rejected,
            unreadable=read - timed - empty + rejected,
            without_time=empty,
            before_2000=0 if relative else old,
            in_future=0 if relative else future,
        )
        return lines, relative

    def _refuse(self, lines: Lines) -> None:
        assert self._spec.traffic is not None
        assert self._spec.traffic.log is not None
        limit = self._spec.traffic.log.bad_lines_percent
        if not lines.read:
            raise _problem(self._spec, "traffic/empty", "the log has no requests", "say `requests_per_day: 0` if so")
        if lines.bad_percent > limit or lines.bad == lines.read:
            example = self._unreadable() if lines.unreadable else ""
            raise _problem(
                self._spec,
                "traffic/bad-lines",
                f"{_bad(lines)} are unusable{example}, more than {limit} % may be",
                "times are ISO 8601 or Unix time; check `log.columns` and `format`, or raise `log.bad_lines_percent`",
            )

    def _unreadable(self) -> str:
        """What one of those lines has for a time, and for a count of requests."""
        keys = ("time", "requests") if self._counts else ("time",)
        shown = ", ".join(f"left(CAST(({self.columns[key]}) AS VARCHAR), 60)" for key in keys)
        usable, _ = self._expressions()
        found = self._database.execute(
            f"SELECT {shown} FROM {self._source.sql} WHERE ({usable}) IS NULL AND {self._time_text()} <> '' LIMIT 1"
        ).fetchone()
        if found is None:
            return ""
        said = ", ".join(f"{key} `{text}`" for key, text in zip(keys, found, strict=True))
        return f" (one has {said})"

    def _seconds(self, requests: int, first_us: int, last_us: int) -> float:
        between_s = (last_us - first_us) / 10**6
        if self._counts:
            return between_s + 60
        if requests < 2 or between_s <= 0:
            said = "one request" if requests == 1 else "no request" if not requests else "requests of one moment only"
            raise _problem(
                self._spec,
                "traffic/too-short",
                f"the log has {said}, which says nothing about a rate",
                "give a longer log, or say `requests_per_day`",
            )
        return between_s * requests / (requests - 1)

    def _service(self) -> tuple[float | None, float | None]:
        if "duration" not in self._source.columns or self._counts:
            return None, None
        mean, spread = self._row("SELECT avg(CAST(duration AS DOUBLE)), stddev_pop(CAST(duration AS DOUBLE)) FROM good")
        return (None, None) if not mean else (mean, spread / mean)

    def _clock_s(self) -> float:
        finer_than_s, finer_than_ms = self._row("SELECT max(us % 1000000) > 0, max(us % 1000) > 0 FROM good")
        return 1e-6 if finer_than_ms else 1e-3 if finer_than_s else 1.0

    def _gaps(self, service_s: float | None) -> _Gaps:
        """Gaps inside of each hour from DuckDB (sorted an hour at a time), those between hours here."""
        busy = (
            f"sum(least(CAST(gap AS DOUBLE), {service_s * 10**6:.0f})) FILTER (gap IS NOT NULL)"
            if service_s is not None
            else "0"
        )
        self._run(
            "CREATE TEMP TABLE gaps AS SELECT hour, us, gap FROM (SELECT us, us // 3600000000 AS hour, "
            "us - lag(us) OVER (PARTITION BY us // 3600000000 ORDER BY us) AS gap FROM good)"
        )
        hours = self._all(
            f"SELECT hour, min(us), max(us), count(gap), coalesce(avg(gap), 0), coalesce(stddev_pop(gap), 0), "
            f"coalesce({busy}, 0), count(*) FILTER (gap = 0), coalesce(max(gap), 0) "
            "FROM gaps GROUP BY hour ORDER BY hour"
        )
        middle, high = self._row("SELECT approx_quantile(gap, [0.5, 0.99]) FROM gaps WHERE gap IS NOT NULL")[0] or (
            0,
            0,
        )
        self._run("DROP TABLE gaps")
        between = [later[1] - earlier[2] for earlier, later in pairwise(hours)]
        if service_s is not None:
            within = sum(hour[6] for hour in hours) + sum(min(gap, service_s * 10**6) for gap in between)
        else:
            within = 0.0
        weighed = [
            (count, (spread / mean) ** 2) for _, _, _, count, mean, spread, *_ in hours if count > 1 and mean > 0
        ]
        weight = sum(count for count, _ in weighed)
        longest = max([hour[8] for hour in hours] + between)
        return _Gaps(
            cv=math.sqrt(sum(count * square for count, square in weighed) / weight) if weight >= 30 else None,
            busy_s=within / 10**6,
            same_time=sum(hour[7] for hour in hours),
            shown_s=(max(middle, 0) / 10**6, min(max(high, middle), longest) / 10**6, longest / 10**6),
        )

    def _idc(self, first_us: int, last_us: int) -> float | None:
        """Index of dispersion of counts per whole minute, around the mean of each sixty of them."""
        minutes = (last_us - first_us) // _MINUTE_US + int(self._counts)
        rows = self._all(
            "SELECT minute // 60 AS hour, sum(k), sum(k * k) FROM "
            f"(SELECT (us - {first_us}) // {_MINUTE_US} AS minute, "
            f"CAST(sum(n) AS DOUBLE) AS k FROM good GROUP BY minute) WHERE minute < {minutes} GROUP BY hour"
        )
        variance = mean = 0.0
        for hour, total, squares in rows:
            count = min(60, minutes - hour * 60)
            if count > 1:
                variance += (squares - total * total / count) * count / (count - 1)
                mean += total
        return round(variance / mean, 9) if mean else None

    def _week(self, first_us: int, end_us: int, zone: str) -> tuple[float | None, ...]:
        """By quarters of an hour, because the offsets of zones are multiples of that."""
        counts = dict(self._all(f"SELECT us // {_QUARTER_US} AS quarter, sum(n) FROM good GROUP BY quarter"))
        requests, hours = [0.0] * HOURS, [0.0] * HOURS
        for quarter, hour in _local_hours(first_us // _QUARTER_US, -(-end_us // _QUARTER_US), zone):
            begin, end = max(quarter * _QUARTER_US, first_us), min((quarter + 1) * _QUARTER_US, end_us)
            hours[hour] += (end - begin) / _HOUR_US
            requests[hour] += float(counts.get(quarter, 0))
        return tuple(count / time if time > 0.01 else None for count, time in zip(requests, hours, strict=True))

    def _tokens(self, requests: int, seconds: float) -> tuple[Tokens | None, tuple[float, float] | None]:
        there = [key for key in ("tokens_in", "tokens_out") if key in self._source.columns]
        if len(there) < 2:
            return None, None
        each = ", ".join(f"sum(CAST({key} AS DOUBLE)), sum(n) FILTER ({key} IS NOT NULL)" for key in there)
        put, put_rows, got, got_rows = self._row(f"SELECT {each} FROM good")
        if not put_rows or not got_rows:
            return None, None
        (peak,) = self._row(
            f"SELECT max(k) FROM (SELECT sum(CAST(coalesce(tokens_in, 0) + coalesce(tokens_out, 0) AS DOUBLE)) AS k "
            f"FROM good GROUP BY us // {_MINUTE_US})"
        )
        prompt, output = (
            Decimal(repr(round(total / int(rows), 1))) for total, rows in ((put, put_rows), (got, got_rows))
        )
        mean = float(prompt + output) * requests * 60 / seconds
        return Tokens(prompt=prompt, output=output), (mean, max(peak, mean))

    def _run(self, sql: str) -> None:
        self._database.execute(sql)

    def _all(self, sql: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._database.execute(sql).fetchall()
        return rows

    def _row(self, sql: str) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self._database.execute(sql).fetchone()
        assert row is not None, "an aggregate has one row"
        return row


@dataclass(frozen=True, kw_only=True)
class _Gaps:
    cv: float | None
    busy_s: float
    same_time: int
    shown_s: tuple[float, float, float]


def _microseconds(time: str, kind: str) -> str:
    """An expression for the time as microseconds since 1970 (or since the start of the log), NULL where it is none."""
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return f"epoch_us(CAST({time} AS TIMESTAMPTZ))"
    number = f"TRY_CAST({time} AS DOUBLE)"
    as_number = (
        f"CASE WHEN NOT isfinite({number}) OR {number} < 0 OR {number} >= 1e20 THEN NULL WHEN {number} < 1e11 "
        f"THEN {number} * 1e6 WHEN {number} < 1e14 THEN {number} * 1e3 WHEN {number} < 1e17 THEN {number} "
        f"ELSE {number} / 1e3 END"
    )
    if kind != "VARCHAR":
        return as_number
    return f"CASE WHEN {number} IS NOT NULL THEN {as_number} ELSE epoch_us(TRY_CAST({time} AS TIMESTAMPTZ)) END"


def _profile(bins: Mapping[int, Any], seconds: float) -> RateProfile:
    """Rates of ten minutes in order; times without requests between them are one stretch each."""
    stretches, at = [], 0
    last = max(bins)  # ends with the log: later than its requests by a mean gap
    for number in sorted(bins):
        if number > at:
            stretches.append(Stretch((number - at) * float(BIN_S), 0.0))
        length = float(BIN_S) if number < last else seconds - number * BIN_S
        stretches.append(Stretch(length, float(bins[number]) / length))
        at = number + 1
    return RateProfile(stretches=tuple(stretches))


def active_share(bins: Mapping[int, int], seconds: float) -> float:
    """The share of the time in which sessions at a steady rate would leave as many windows of ten minutes empty.

    `bins` holds the requests of the windows that have any. With λ the mean of an hour of the week, sessions at rate
    λ/a for a share a of its windows leave 1 − a·(1 − e^(−λ·600/a)) of them empty; Poisson requests without sessions
    give 1.
    """
    per_hour = 3600 // BIN_S
    weeks, rest = divmod(max(1, math.ceil(seconds / BIN_S)), per_hour * HOURS)
    hours: dict[int, int] = {}
    for number, count in bins.items():
        hour = number // per_hour % HOURS
        hours[hour] = hours.get(hour, 0) + count
    windows = {hour: per_hour * weeks + min(max(rest - per_hour * hour, 0), per_hour) for hour in hours}
    taken = sum(1 for count in bins.values() if count)

    def expected(share: float) -> float:
        return -math.fsum(
            windows[hour] * share * math.expm1(-count / windows[hour] / share) for hour, count in hours.items()
        )

    low, high = 0.01, 1.0
    if not taken or expected(high) <= taken:
        return 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if expected(middle) < taken else (low, middle)
    return high


def _local_hours(first: int, end: int, zone: str) -> Iterable[tuple[int, int]]:
    """Each quarter of an hour since 1970 with its hour of the week there."""
    if zone == "UTC":
        for quarter in range(first, end):
            yield quarter, (quarter // 4 + 72) % HOURS  # 1970-01-01 was a Thursday
        return
    from zoneinfo import ZoneInfo

    there = ZoneInfo(zone)
    for quarter in range(first, end):
        local = datetime.fromtimestamp(quarter * 900, there)
        yield quarter, local.weekday() * 24 + local.hour


def _time(us: int) -> datetime:
    return datetime.fromtimestamp(us / 10**6, UTC)


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _bad(lines: Lines) -> str:
    kinds = {
        "unreadable": lines.unreadable,
        "without a time": lines.without_time,
        "before the year 2000": lines.before_2000,
        "in the future": lines.in_future,
    }
    listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
    percent = f"{lines.bad_percent:.2g}" if lines.bad_percent < 99.5 else "100"
    return f"{lines.bad:,} of {lines.read:,} lines of the log ({percent} %: {listed})"


def _span(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _problem(spec: ModelSpec, code: str, summary: str, hint: str | None = None) -> BaseloadError:
    return UsageError.of(code, summary, hint=hint, where=Location(spec.file))
