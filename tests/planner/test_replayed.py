"""A replayed log: bills by hand, service times from what a log has, and memory that does not grow with it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from baseload.planner.errors import UsageError
from baseload.planner.prices import bundled
from baseload.planner.simulated.replayed import replayed
from baseload.planner.spec.file import parse_spec
from baseload.planner.spec.model import ModelSpec, Schedule
from baseload.planner.targets.modal import Modal
from baseload.planner.traffic.log import Request, requests_of, with_log

BOOK = bundled()
NOW = datetime(2026, 11, 1, tzinfo=UTC)
CONTAINER = "container: {image: registry.example/acme/worker:1.0}"
MODEL = "model: {id: mistralai/Mistral-7B-Instruct-v0.3, parameters: 7.25B}"

Make = Callable[..., ModelSpec]


@pytest.fixture
def spec(tmp_path: Path) -> Make:
    """A spec, with a log beside it where one is given."""

    def make(log: str | None = None, serves: str = CONTAINER, traffic: str = "requests_per_day: 86.4") -> ModelSpec:
        if log is not None:
            (tmp_path / "log.csv").write_text(log, encoding="utf-8")
            traffic = "log: {file: log.csv}"
        found = parse_spec(
            tmp_path / "chat.yaml",
            f"name: chat\n{serves}\ntraffic: {{{traffic}}}\n"
            "performance: {service_time: 2s, cold_start: 25s, concurrency: 1}\n"
            "target: {runpod: {gpu: ADA_24, workers: {max: 2}, idle_timeout: 5s}}\n",
        )
        assert found.spec is not None, found.diagnostics
        return found.spec

    return make


def every(seconds: float, count: int, duration_s: float | None = 3.0) -> Iterator[Request]:
    return (Request(k * seconds, None, None, duration_s) for k in range(count))


def test_a_bill_that_can_be_made_by_hand(spec: Make) -> None:
    """A request each 1,000 s: a cold start of 25 s, 3 s of service, 5 s until the worker stops; ten of them."""
    found = replayed(spec(), BOOK, every(1000, 11))
    assert found.seconds == 10_000
    assert found.services == "durations of the log"
    # 3 s of 1,000 s × 2,628,000 s × 0.00031 USD; the rest alike. 33 s a run is whole: nothing is rounded up.
    assert found.bill_usd == {
        "busy": Decimal("2.44"),
        "idle": Decimal("4.07"),
        "cold_start": Decimal("20.37"),
        "always_on": Decimal("0.00"),
    }
    assert found.monthly_usd == Decimal("26.88")
    assert found.simulated.cold_share == pytest.approx(10 / 11)  # the last one still waits
    # 4 s of delay, 25 s of cold start and 3 s of service; quantiles are exact to half a per cent.
    assert found.simulated.latency_s.p50 == pytest.approx(32, rel=0.005)


def test_the_range_holds_it_or_not(spec: Make) -> None:
    assert replayed(
        spec(traffic="requests_per_day: 86.4, range: {low: 0.5, high: 2}"), BOOK, every(1000, 50, 2.0)
    ).is_in_range
    assert not replayed(spec(), BOOK, every(100, 50, 2.0)).is_in_range


def test_service_times_are_drawn_where_a_log_says_nothing(spec: Make) -> None:
    found, again, other = (replayed(spec(), BOOK, every(1000, 2000, None), seed=seed) for seed in (1, 1, 2))
    assert found.services == "drawn around 2 s with a coefficient of variation of 1"
    assert found.simulated == again.simulated
    assert found.simulated != other.simulated
    assert found.simulated.busy == pytest.approx(2 / 1000, rel=0.1)


def test_tokens_of_a_log_make_its_service_times(spec: Make) -> None:
    """At the mean request it is the spec's service time; with twice the answer nearly twice as long."""
    made = spec(serves=MODEL, traffic="requests_per_day: 86.4, tokens: {in: 500, out: 100}")

    def busy(put: float, got: float) -> float:
        log = (Request(k * 1000.0, put, got, None) for k in range(11))
        found = replayed(made, BOOK, log)
        assert found.services == "tokens of the log"
        return found.simulated.busy * 1000

    assert busy(500, 100) == pytest.approx(2.0, rel=1e-6)
    assert 3.6 < busy(500, 200) < 4.0
    assert 2.0 < busy(1000, 100) < 2.3


def test_a_log_is_read_in_the_order_of_its_times(spec: Make) -> None:
    pytest.importorskip("duckdb", reason="DuckDB is not installed (the extra baseload[logs])")
    made = spec("time,duration\n1757203230,2\n1757203200,1\n1757203260,3\n" + "".join(
        f"{1757203260 + k},1\n" for k in range(1, 40)) + "garbage,1\n")  # fmt: skip
    read = list(requests_of(made, NOW))
    assert [(one.at_s, one.duration_s) for one in read[:3]] == [(0.0, 1.0), (30.0, 2.0), (60.0, 3.0)]
    assert len(read) == 42
    filled, _ = with_log(made, NOW)
    assert replayed(filled, BOOK, iter(read)).simulated.requests == 42


def test_counts_have_no_times_to_replay(spec: Make) -> None:
    pytest.importorskip("duckdb", reason="DuckDB is not installed (the extra baseload[logs])")
    counts = spec("time,requests\n1757203200,5\n1757203260,6\n")
    with pytest.raises(UsageError, match="no arrival times"):
        next(requests_of(counts, NOW))


def test_what_cannot_be_replayed_is_refused_with_a_remedy(spec: Make) -> None:
    with pytest.raises(UsageError, match="no requests"):
        replayed(spec(), BOOK, iter(()))
    week = Schedule(windows=(), otherwise=1, time_zone="UTC")
    with pytest.raises(UsageError, match="schedule"):
        replayed(replace(spec(), schedule=week), BOOK, every(1000, 3))


def test_a_log_on_another_target(spec: Make) -> None:
    """60 requests, one each minute, 3 s each: one container that never stops, with its CPU and memory."""
    made = replace(spec(), target=Modal(gpu="L4", scaledown_s=300))
    seen = replayed(made, BOOK, every(60, 60))
    assert seen.simulated.starts == 1
    price = BOOK.find("modal", "serverless", "L4")
    assert price is not None
    assert price.usd_per_hour is not None
    busy = seen.simulated.busy * 730 * float(price.usd_per_hour)
    assert float(seen.bill_usd["busy"]) == pytest.approx(busy, abs=0.01)
    assert {"cpu", "memory"} < seen.bill_usd.keys()
    assert seen.monthly_usd == sum(seen.bill_usd.values())


def test_memory_does_not_grow_with_the_log(spec: Make) -> None:
    made = spec()

    def peak(count: int) -> int:
        tracemalloc.start()
        replayed(made, BOOK, every(500, count))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2_500)  # imports and caches
    assert peak(6_500) - peak(2_500) < 4_000 * 30  # one that is kept takes a hundred bytes and more
