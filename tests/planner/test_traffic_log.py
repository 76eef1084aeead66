"""Logs as traffic: what is read from good ones by hand, what is said of bad ones, and recorded ones at last."""

from __future__ import annotations

import gzip
import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from baseload.planner.errors import UsageError
from baseload.planner.plan import make_plan
from baseload.planner.prices import bundled
from baseload.planner.spec.file import parse_spec
from baseload.planner.spec.model import ModelSpec, Tokens
from baseload.planner.traffic.log import Observed, read_log, remarks, with_log
from baseload.planner.traffic.picture import block, picture_of
from baseload.planner.traffic.profile import HOURS, hour_of_week

duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed (the extra baseload[logs])")

NOW = datetime(2026, 11, 1, tzinfo=UTC)
MONDAY = datetime(2026, 9, 7, tzinfo=UTC)
TRACES = Path(__file__).parents[3] / "shared" / "traces"


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., ModelSpec]:
    """A spec beside a log with this content."""

    def make(content: str | bytes, name: str = "log.csv", log: str = "", more: str = "", text: str = "") -> ModelSpec:
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(data)
        file = tmp_path / "chat.yaml"
        found = parse_spec(
            file,
            "name: chat\ncontainer: {image: registry.example/acme/worker:1.0}\n"
            f"traffic: {{log: {{file: {name}{log}}}{more}}}\n{text}\n"
            "performance: {service_time: 2s, cold_start: 25s}\ntarget: {runpod: {gpu: ADA_24}}\n",
        )
        assert found.spec is not None, found.diagnostics
        return found.spec

    return make


Make = Callable[..., ModelSpec]


def csv_of(times: list[str], head: str = "time") -> str:
    return "\n".join([head, *times]) + "\n"


def every(seconds: int, count: int, start: datetime = MONDAY) -> list[datetime]:
    return [start + timedelta(seconds=seconds * at) for at in range(count)]


def iso(times: list[datetime]) -> list[str]:
    return [time.isoformat() for time in times]


def problem(spec: ModelSpec) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        read_log(spec, NOW)
    return caught.value.diagnostics[0].code, caught.value.diagnostics[0].summary


# ----------------------------------------------------------------------------------------------------------- by hand
def test_a_steady_log_by_hand(spec: Make) -> None:
    # one request a minute for two weeks, each with 100 and 20 tokens, 3 seconds long
    rows = [f"{time},100,20,3" for time in iso(every(60, 20_160))]
    seen = read_log(spec(csv_of(rows, "time,tokens_in,tokens_out,duration")), NOW)
    assert seen.requests == 20_160
    assert seen.seconds == pytest.approx(14 * 86_400)
    assert seen.requests_per_day == 1440
    assert seen.profile.mean_per_s == pytest.approx(1 / 60)
    assert seen.cv == pytest.approx(0, abs=1e-9)
    assert seen.gaps_s == (60, 60, 60)
    assert seen.idc == pytest.approx(0, abs=1e-9)
    assert seen.active_share == 1
    assert (seen.service_s, seen.service_cv) == (3, 0)
    assert seen.gpu_active_share == pytest.approx(3 / 60)
    assert seen.tokens is not None
    assert (seen.tokens.prompt, seen.tokens.output) == (100, 20)
    assert seen.tokens_per_minute == (pytest.approx(120), pytest.approx(120))
    assert [count for count in seen.week if count is not None] == pytest.approx([60] * HOURS, rel=0.01)
    assert not seen.is_extrapolated
    assert (seen.lines.read, seen.lines.bad, seen.same_time) == (20_160, 0, 0)


def test_sessions_are_found_by_the_empty_windows(spec: Make) -> None:
    # a request every ten seconds or so for four hours, in one of four at random, for eight weeks
    chance, times = random.Random(7), list[datetime]()
    for session in range(8 * 7 * 6):
        at = chance.expovariate(0.1) if chance.random() < 0.25 else math.inf
        while at < 4 * 3600:
            times.append(MONDAY + timedelta(hours=4 * session, seconds=at))
            at += chance.expovariate(0.1)
    seen = read_log(spec(csv_of(iso(times))), NOW)
    assert seen.active_share == pytest.approx(0.25, abs=0.05)
    assert seen.cv == pytest.approx(1, abs=0.05)  # within the sessions


def test_poisson_is_known_as_such(spec: Make) -> None:
    chance, times, at = random.Random(3), list[datetime](), 0.0
    while at < 8 * 86_400:
        at += chance.expovariate(0.02)
        times.append(MONDAY + timedelta(seconds=at))
    seen = read_log(spec(csv_of(iso(times))), NOW)
    assert seen.cv == pytest.approx(1, abs=0.04)
    assert seen.idc == pytest.approx(1, abs=0.04)
    assert seen.active_share > 0.9
    # 1 − e^(−0.02 · 2) of the time there is a request of 2 s in service
    assert seen.gpu_active_share == pytest.approx(0.0392, abs=0.001)


FORMS: dict[str, Callable[[datetime], str]] = {
    "iso": lambda time: time.isoformat(),
    "bare": lambda time: time.strftime("%Y-%m-%d %H:%M:%S"),
    "zulu": lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "fraction": lambda time: time.strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
    "offset": lambda time: time.astimezone(ZoneInfo("Asia/Kolkata")).isoformat(),
    "seconds": lambda time: str(int(time.timestamp())),
    "milliseconds": lambda time: str(int(time.timestamp() * 1000)),
    "microseconds": lambda time: str(int(time.timestamp() * 10**6)),
    "nanoseconds": lambda time: str(int(time.timestamp()) * 10**9),
    "quoted": lambda time: f'"{time.isoformat()}"',
}


@pytest.mark.parametrize("form", FORMS)
def test_times_in_all_their_forms(spec: Make, form: str) -> None:
    seen = read_log(spec(csv_of([FORMS[form](time) for time in every(90, 50)])), NOW)
    assert (seen.first, seen.last) == (MONDAY, MONDAY + timedelta(seconds=49 * 90))
    assert seen.lines.bad == 0


def test_mixed_zones_come_to_one_time_and_a_bare_time_is_local(spec: Make) -> None:
    rows = ["2026-09-07T12:00:00Z", "2026-09-07T14:01:00+02:00", "2026-09-07 14:02:00", "2026-09-07T08:03:00-04:00"]
    seen = read_log(spec(csv_of(rows), more=", time_zone: Europe/Berlin"), NOW)
    assert (seen.first, seen.last) == (
        datetime(2026, 9, 7, 12, 0, tzinfo=UTC),
        datetime(2026, 9, 7, 12, 3, tzinfo=UTC),
    )
    assert seen.gaps_s == (60, 60, 60)


def test_local_hours_know_daylight_saving(spec: Make) -> None:
    # noon in Berlin is 10:00 UTC before, 11:00 UTC after the night to 2026-10-25
    berlin = ZoneInfo("Europe/Berlin")
    noons = [datetime(2026, 10, 12, 12, 30, tzinfo=berlin) + timedelta(days=day) for day in range(14)]
    around = [datetime(2026, 10, 12, tzinfo=berlin), datetime(2026, 10, 25, 23, 59, tzinfo=berlin)]
    seen = read_log(spec(csv_of(iso([*noons, *around])), more=", time_zone: Europe/Berlin"), NOW)
    busy = [hour_of_week(hour) for hour, count in enumerate(seen.week) if count]
    assert [hour for hour in busy if hour.endswith("12:00")] == [
        f"{day} 12:00" for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    ]
    assert len(busy) == 9  # with the first and the last minute
    # that Sunday had 02:00 twice: three hours were seen on two Sundays, and still no request in them
    assert seen.week[6 * 24 + 2] == 0


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"])
def test_all_formats_say_the_same(spec: Make, tmp_path: Path, kind: str) -> None:
    rows = [(time, 10 + at % 7, at % 3) for at, time in enumerate(every(37, 400))]
    text = csv_of([f"{time.isoformat()},{put},{got}" for time, put, got in rows], "time,tokens_in,tokens_out")
    reference = read_log(spec(text), NOW)
    if kind.startswith("jsonl"):
        text = "".join(
            json.dumps({"time": time.isoformat(), "tokens_in": put, "tokens_out": got, "more": {"a": [1]}}) + "\n"
            for time, put, got in rows
        )
    content: bytes = gzip.compress(text.encode()) if kind.endswith("gz") else text.encode()
    if kind == "parquet":
        (tmp_path / "source.csv").write_text(text, encoding="utf-8")
        duckdb.sql(f"COPY (FROM '{tmp_path}/source.csv') TO '{tmp_path}/source.parquet'")
        content = (tmp_path / "source.parquet").read_bytes()
    assert read_log(spec(content, f"log.{kind}"), NOW) == reference


def test_columns_are_mapped_and_several_files_are_one_log(spec: Make, tmp_path: Path) -> None:
    head, times = "id;at;prompt", iso(every(60, 20))
    (tmp_path / "log-2.csv").write_text(csv_of([f"b;{time};7" for time in times[10:]], head), encoding="utf-8")
    first = csv_of([f'"a;x";{time};7' for time in times[:10]], head)
    both = spec(first, "log-1.csv", log=", columns: {time: at}")
    assert both.traffic is not None
    assert both.traffic.log is not None
    log = replace(both.traffic.log, file="log-*.csv")
    seen = read_log(replace(both, traffic=replace(both.traffic, log=log)), NOW)
    assert (seen.files, seen.requests) == (2, 20)


@pytest.mark.parametrize(
    ("second", "sound"),
    [
        ("time,tokens_in,tokens_out,more\n2026-09-07T00:10:00Z,500,10,x\n", True),
        ("", True),
        ("time,tokens_out,tokens_in\n2026-09-07T00:10:00Z,10,500\n", False),
        ("time;tokens_in;tokens_out\n2026-09-07T00:10:00Z;500;10\n", False),
        ("2026-09-07T00:10:00Z,500,10\n", False),
    ],
)
def test_all_files_of_a_log_have_their_columns_at_the_same_places(
    spec: Make, tmp_path: Path, second: str, sound: bool
) -> None:
    rows = "".join(f"{time},500,10\n" for time in iso(every(60, 9)))
    given = spec(f"time,tokens_in,tokens_out\n{rows}", "a.csv")
    (tmp_path / "b.csv").write_text(second)
    assert given.traffic is not None
    assert given.traffic.log is not None
    given = replace(given, traffic=replace(given.traffic, log=replace(given.traffic.log, file="*.csv")))
    if sound:
        assert read_log(given, NOW).tokens == Tokens(prompt=Decimal(500), output=Decimal(10))
    else:
        code, summary = problem(given)
        assert code == "traffic/columns"
        assert summary.startswith("the columns of b.csv are not where those of a.csv are; it has: ")


def test_counts_per_minute_made_elsewhere(spec: Make) -> None:
    rows = [
        f"{time},{count},{count * 100},{count * 10}"
        for time, count in zip(iso(every(60, 120)), [0, 4] * 60, strict=True)
    ]
    seen = read_log(spec(csv_of(rows, "time,requests,tokens_in,tokens_out")), NOW)
    assert seen.requests == 240
    assert seen.seconds == 7200
    assert seen.cv is None
    assert seen.gaps_s is None
    # counts 0 and 4 around 2: variance 4 (60 minutes: × 60/59) over mean 2
    assert seen.idc == pytest.approx(2 * 60 / 59)
    assert seen.tokens is not None
    assert (seen.tokens.prompt, seen.tokens.output) == (100, 10)
    assert seen.tokens_per_minute == (pytest.approx(220), pytest.approx(440))


# --------------------------------------------------------------------------------------------------------- bad input
def test_bad_lines_are_counted_and_shown(spec: Make) -> None:
    good = iso(every(60, 95))
    bad = ["never", "", "1970-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "a,b,c,d,e,f,g,h,i,j"]
    mixed = [*good[:50], *bad[:3], *good[50:], *bad[3:]]
    given = spec(csv_of([f"{time},1" for time in mixed], "time,x"))
    seen = read_log(given, NOW)
    assert (seen.lines.read, seen.lines.bad) == (100, 5)
    assert (seen.lines.without_time, seen.lines.before_2000, seen.lines.in_future) == (1, 1, 1)
    assert seen.lines.unreadable == 2
    said = remarks(given, seen)[0].summary
    assert said == (
        "5 of 100 lines of the log (5 %: 2 unreadable, 1 without a time, 1 before the year 2000, 1 in the future) "
        "were left out"
    )


@pytest.mark.parametrize(("limit", "stops"), [("", True), (", bad_lines_percent: 30", False)])
def test_too_many_bad_lines_stop(spec: Make, limit: str, stops: bool) -> None:
    given = spec(csv_of(iso(every(60, 80)) + ["x"] * 20), log=limit)
    if not stops:
        assert read_log(given, NOW).lines.bad == 20
        return
    assert problem(given) == (
        "traffic/bad-lines",
        "20 of 100 lines of the log (20 %: 20 unreadable) are unusable (one has time `x`), more than 10 % may be",
    )


def test_bad_lines_of_json_are_counted(spec: Make) -> None:
    lines = [json.dumps({"time": time, "n": 1}) for time in iso(every(60, 40))]
    seen = read_log(spec("\n".join([*lines, "{", "[1]", json.dumps({"n": 2})]), "log.jsonl"), NOW)
    assert (seen.requests, seen.lines.bad) == (40, 3)


def test_order_and_repetitions_do_not_matter_to_the_rate(spec: Make) -> None:
    times = iso(every(60, 200))
    random.Random(1).shuffle(times)
    seen = read_log(spec(csv_of([*times, *times])), NOW)
    assert (seen.requests, seen.same_time) == (400, 200)
    assert seen.seconds == pytest.approx(200 * 60, rel=0.003)


@pytest.mark.parametrize(
    ("content", "name", "code", "words"),
    [
        ("time\n", "log.csv", "traffic/empty", "the log has no requests"),
        ("", "log.csv", "traffic/columns", "it has: none"),
        ("time\n2026-09-07T00:00:00Z\n", "log.csv", "traffic/too-short", "has one request, which says nothing"),
        ("time\n" + "2026-09-07T00:00:00Z\n" * 9, "log.csv", "traffic/too-short", "requests of one moment only"),
        ("time\nx\n", "log.csv", "traffic/bad-lines", "1 of 1 lines"),
        ("when,what\n1,2\n", "log.csv", "traffic/columns", "the log has no column time; it has: when, what"),
        ('{"when": 1}\n', "log.jsonl", "traffic/columns", "it has: when"),
        ("not json\n", "log.jsonl", "traffic/columns", "it has: none"),
        ("x", "log.parquet", "traffic/log", "DuckDB cannot read log.parquet"),
        ("x", "log.csv.gz", "traffic/log", "cannot read log.csv.gz: Not a gzipped file"),
        ("x", "log.txt", "traffic/log", "does not say what kind of log it is"),
        ("time\n1\n".encode("utf-16"), "log.csv", "traffic/log", "log.csv is text in UTF-16"),
        (gzip.compress(b"time\n1\n"), "log.csv", "traffic/log", "log.csv is packed with gzip"),
        (b"PAR1\x15\x04", "log.jsonl", "traffic/log", "log.jsonl is Parquet"),
        ('[{"time": 1}]\n', "log.jsonl", "traffic/log", "is a JSON array, not a line of JSON per request"),
        ("time\n07.09.2026 00:06\n", "log.csv", "traffic/bad-lines", "1 unreadable) are unusable (one has time `07.09"),
        ("time,requests\n1,n/a\n2,x\n", "log.csv", "traffic/bad-lines", "(one has time `1`, requests `n/a`)"),
        ("time,requests\n1,1.5\n2,2.5\n", "log.csv", "traffic/bad-lines", "2 of 2 lines"),
        ("time,requests\n2026-09-07T00:00:00Z,0\n", "log.csv", "", ""),
    ],
)
def test_what_cannot_be_a_log_says_why(spec: Make, content: str | bytes, name: str, code: str, words: str) -> None:
    given = spec(content, name)
    if not code:
        assert read_log(given, NOW).requests_per_day == 0
        return
    found, summary = problem(given)
    assert found == code
    assert words in summary


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ("Time,Tokens_In", "{time: Time}"),
        ("id,Request Date", "{time: Request Date}"),
        ("id,createdAt?", "{time: timestamp}"),
        ("id,{start time}", '{time: "{start time}"}'),
    ],
)
def test_the_hint_names_a_column_that_may_be_the_time(spec: Make, head: str, columns: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_log(spec(f"{head}\n1,2\n"), NOW)
    assert caught.value.diagnostics[0].hint == f"say which is which, for instance `columns: {columns}`"


def test_quoted_cells_may_have_spaces_before_them(spec: Make) -> None:
    rows = "".join(f'"{time}", "a, b", "5", "7"\n' for time in iso(every(60, 9)))
    seen = read_log(spec(f'"time", "note", "tokens_in", "tokens_out"\n{rows}'), NOW)
    assert seen.tokens == Tokens(prompt=Decimal(5), output=Decimal(7))


def codes(given: ModelSpec) -> list[str]:
    return [item.code for item in remarks(given, read_log(given, NOW))]


def test_a_line_of_another_time_is_remarked_on(spec: Make) -> None:
    """One line years before makes a mean of next to nothing."""
    times = iso(every(600, 1100))
    assert codes(spec(csv_of(times))) == []
    assert codes(spec(csv_of(["2019-01-01T00:00:00Z", *times]))) == ["traffic/gap"]


def test_rows_written_twice_are_remarked_on_and_a_coarse_clock_is_not(spec: Make) -> None:
    source = random.Random(3)
    at = sorted(source.uniform(0, 7.01 * 86_400) for _ in range(60_000))
    fine = [(MONDAY + timedelta(seconds=each)).isoformat() for each in at]
    coarse = [(MONDAY + timedelta(seconds=int(each))).isoformat() for each in at]
    assert read_log(spec(csv_of(fine)), NOW).clock_s == 1e-6
    given = spec(csv_of(coarse))
    seen = read_log(given, NOW)
    assert seen.clock_s == 1
    assert seen.same_time is not None
    assert seen.same_time > 0.04 * 60_000
    assert codes(given) == []
    assert codes(spec(csv_of([*fine, *fine[::3]]))) == ["traffic/same-time"]


def test_durations_that_are_no_seconds_are_remarked_on(spec: Make) -> None:
    rows = [f"{time},1900" for time in iso(every(600, 1100))]
    given = spec(csv_of(rows, "time,duration"))
    (said,) = remarks(given, read_log(given, NOW))
    assert said.code == "traffic/duration"
    assert "takes 1900 s, by `performance.service_time` 2 s: the bill is at that" in said.summary
    assert codes(spec(csv_of([row.replace("1900", "1.9") for row in rows], "time,duration"))) == []


def test_a_gzip_file_that_was_cut_off(spec: Make) -> None:
    whole = gzip.compress(csv_of(iso(every(1, 50_000))).encode())
    code, summary = problem(spec(whole[: len(whole) // 2], "log.csv.gz"))
    assert code == "traffic/log"
    assert "log.csv.gz" in summary


def test_no_log_there(spec: Make, tmp_path: Path) -> None:
    given = spec("time\n", "log.csv")
    (tmp_path / "log.csv").unlink()
    assert problem(given)[0] == "traffic/log"
    (tmp_path / "log.csv").mkdir()
    assert problem(given) == ("traffic/log", f"the log {tmp_path / 'log.csv'} is a folder")


# ------------------------------------------------------------------------------------------------------- plan and words
def test_a_plan_follows_the_log_and_says_that_a_short_one_is_extrapolated(spec: Make) -> None:
    given = spec(csv_of(iso(every(60, 300))))
    read, said = with_log(given, NOW)
    assert [item.code for item in said] == ["traffic/short-log"]
    assert "covers 5 hours, less than a week" in said[0].summary
    made = make_plan([read], bundled(), stack="dev", generated_at=NOW, diagnostics=said)
    assert made.models[0].monthly_usd.expected is not None
    assert made.models[0].method is not None
    assert {item.name: item.value for item in made.models[0].assumptions}["arrivals"] == (
        "Poisson at the rates of the log, 1440 requests a day"
    )
    other, _ = with_log(spec(csv_of(iso(every(61, 300)))), NOW)
    assert len({given.digest, read.digest, other.digest}) == 3
    assert with_log(replace(read, traffic=None), NOW)[1] == ()


def test_the_written_block_says_what_the_log_says(spec: Make, tmp_path: Path) -> None:
    chance, times = random.Random(5), list[datetime]()
    for hour in range(2 * HOURS):
        count = 60 if 8 <= hour % 24 < 18 and hour // 24 % 7 < 5 else 6
        times += [MONDAY + timedelta(hours=hour, seconds=chance.uniform(0, 3600)) for _ in range(count)]
    given = spec(csv_of(iso(times)), more=", growth: 5%/month, range: {low: 0.5, high: 2}")
    picture = picture_of(given, NOW)
    assert picture is not None
    text = block(picture)
    assert "# from log.csv: " in text
    again = parse_spec(
        tmp_path / "b.yaml", f"name: b\ncontainer: {{image: a/b:1}}\n{text}target: {{runpod: {{gpu: ADA_24}}}}"
    )
    assert again.spec is not None, again.diagnostics
    assert again.spec.traffic is not None
    assert given.traffic is not None
    assert len(again.spec.traffic.hourly) == HOURS
    assert float(again.spec.traffic.requests_per_day or 0) == pytest.approx(picture.requests_per_day, rel=0.01)
    assert again.spec.traffic.range == given.traffic.range
    assert again.spec.traffic.growth_per_month == Decimal("0.05")
    assert picture.busiest is not None
    assert picture.quiet.hours == 0  # a tenth of the busiest is not below a tenth of it


def test_zero_traffic_in_the_log_is_free(spec: Make) -> None:
    read, _ = with_log(spec(csv_of([f"{time},0" for time in iso(every(60, 90))], "time,requests")), NOW)
    made = make_plan([read], bundled(), stack="dev", generated_at=NOW)
    assert made.models[0].monthly_usd.expected == 0
    picture = picture_of(spec(csv_of([f"{time},0" for time in iso(every(60, 90))], "time,requests")), NOW)
    assert picture is not None
    assert "requests_per_day: 0" in block(picture)


# --------------------------------------------------------------------------------------------------- recorded logs
RECORDED = {
    "azure_llm_2023_conv.csv": (5.53, 1155, 211, 1.09),
    "azure_llm_2023_code.csv": (2.57, 2048, 28, 13.2),
    "mooncake_synthetic.csv": (3.91, 15_325, 149, 1.01),
}


@pytest.fixture(params=RECORDED)
def recorded(request: pytest.FixtureRequest) -> tuple[str, Observed]:
    file = TRACES / request.param
    if not file.is_file():
        pytest.skip(f"there are no recorded logs in {TRACES}")
    found = parse_spec(
        TRACES / "spec.yaml",
        "name: chat\ncontainer: {image: a/b:1}\n"
        f"traffic: {{log: {{file: {file.name}, columns: {{time: arrival_s}}}}}}\n"
        "target: {runpod: {gpu: ADA_24}}\n",
    )
    assert found.spec is not None
    return request.param, read_log(found.spec, NOW)


def test_recorded_logs_give_their_published_figures(recorded: tuple[str, Observed]) -> None:
    name, seen = recorded
    rate, put, got, cv = RECORDED[name]
    assert seen.first is None  # seconds from the start
    assert seen.requests / seen.seconds == pytest.approx(rate, rel=0.002)
    assert seen.profile.mean_per_s == pytest.approx(rate, rel=0.002)
    assert seen.tokens is not None
    assert float(seen.tokens.prompt) == pytest.approx(put, abs=0.6)
    assert float(seen.tokens.output) == pytest.approx(got, abs=0.6)
    assert seen.cv == pytest.approx(cv, rel=0.01)
    assert seen.is_extrapolated


def test_an_open_quote_swallows_nothing(spec: Make) -> None:
    rows = [f"{time},x" for time in iso(every(1, 60_000))]
    rows[30_000] = '"2026-09-07T00:00:00Z,x'
    rows[30_001] = '"' + rows[30_001].replace(",", '","') + '"'
    seen = read_log(spec(csv_of(rows, "time,what")), NOW)
    assert (seen.lines.read, seen.lines.bad, seen.requests) == (60_000, 0, 60_000)


def test_lines_that_are_no_text_are_counted_and_empty_ones_are_none(spec: Make) -> None:
    lines = [*iso(every(60, 97)), "", "\x00\x01"]
    seen = read_log(spec(csv_of(lines).encode() + b"\xff\xfe\n" + b"a\x1fb\n"), NOW)
    assert (seen.lines.read, seen.lines.unreadable, seen.lines.bad) == (100, 3, 3)
