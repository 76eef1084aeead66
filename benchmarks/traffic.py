"""What each way to describe traffic costs in accuracy, and what the range of a plan holds: against recorded clients.

The traces lie beside the checkout; without them there is nothing to measure. Arrivals are drawn with the recorded rate
and burstiness of each ten minutes (gamma gaps). Each week of a client that has traffic is a case for each kind of pool:
the week is simulated twice in a row, and the second time counts, as in a month that is that week over and over.
"""

from __future__ import annotations

import csv
import gzip
import math
import random
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib.util import find_spec
from itertools import chain, pairwise
from pathlib import Path

from baseload.planner.cost import Spread
from baseload.planner.cost.ranges import spread
from baseload.planner.pool import Pool
from baseload.planner.simulator import replay
from baseload.planner.spec.model import Container, Limits, ModelSpec, Performance, Range, RunpodTarget, Traffic
from baseload.planner.traffic.log import active_share
from baseload.planner.traffic.profile import HOURS, RateProfile, Stretch, estimate_over, profile_of

TRACES = Path(__file__).parents[2] / "shared" / "traces"
BIN_S = 600
WEEK_S = 3600.0 * HOURS
FEWEST = 200
"""Requests of a week that is a case."""

BUSIEST_PER_S = 8.0 if find_spec("numba") else 1.0
"""Clients with a higher mean rate are left out: they take too long to simulate, the more so uncompiled."""

POOLS = (
    {"concurrency": 1, "cold_start_s": 10.0, "idle_timeout_s": 60.0, "workers_max": 10},
    {"concurrency": 8, "cold_start_s": 30.0, "idle_timeout_s": 60.0, "workers_max": 10},
    {"concurrency": 8, "cold_start_s": 10.0, "idle_timeout_s": 5.0, "workers_max": 3},
    {"concurrency": 16, "cold_start_s": 60.0, "idle_timeout_s": 300.0, "workers_max": 5},
)


@dataclass(frozen=True, kw_only=True)
class Client:
    """Fourteen days of one client."""

    name: str
    service_s: float
    rates: Sequence[float]
    cvs: Sequence[float]

    def arrivals(self, source: random.Random) -> Iterator[float]:
        """Times from the start; gaps are gamma in the time that runs with the rate."""
        ahead = source.expovariate(1.0)
        for number, (rate, cv) in enumerate(zip(self.rates, self.cvs, strict=True)):
            at, left, shape = number * BIN_S, rate * BIN_S, 1 / (cv or 1) ** 2
            while ahead <= left:
                yield at + ahead / rate
                ahead += source.gammavariate(shape, 1 / shape)
            ahead -= left


@dataclass(frozen=True, kw_only=True)
class Week:
    """One week of a client, as it is described and as a log tells of it."""

    rates: tuple[float, ...]
    """Of its windows of ten minutes."""
    times: tuple[float, ...]

    @property
    def hours(self) -> tuple[Decimal, ...]:
        """Requests in each hour."""
        by_hour = (self.rates[at : at + 6] for at in range(0, len(self.rates), 6))
        return tuple(Decimal(math.fsum(rates) * BIN_S) for rates in by_hour)

    @property
    def share(self) -> float:
        """The `active_share` that a log of it shows."""
        bins: dict[int, int] = {}
        for at in self.times:
            bins[int(at // BIN_S)] = bins.get(int(at // BIN_S), 0) + 1
        return active_share(bins, WEEK_S)

    @property
    def cv(self) -> float:
        """The `cv` that a log of it shows: of the gaps within an hour, weighed by requests."""
        by_hour: dict[int, list[float]] = {}
        for early, late in pairwise(self.times):
            if early // 3600 == late // 3600:
                by_hour.setdefault(int(late // 3600), []).append(late - early)
        known = [gaps for gaps in by_hour.values() if len(gaps) > 1]
        squares = [len(gaps) * statistics.pvariance(gaps) / statistics.fmean(gaps) ** 2 for gaps in known]
        return math.sqrt(math.fsum(squares) / sum(map(len, known)))


@dataclass(frozen=True, kw_only=True)
class Case:
    """A week on a pool."""

    client: str
    number: int
    week: Week
    pool: Pool
    billed: float
    """Mean workers of the replay."""

    @property
    def is_served(self) -> bool:
        """Whether no hour brings more than the pool serves; a plan warns of those."""
        return float(max(self.week.hours)) / 3600 * self.pool.service_s <= self.pool.slots


def clients() -> list[Client]:
    """Those of two weeks, and not the busiest."""
    with (TRACES / "servegen_clients_index.csv").open(encoding="utf-8") as file:
        index = {row["client"]: row for row in csv.DictReader(file)}
    found: dict[str, list[tuple[float, float]]] = {}
    with gzip.open(TRACES / "servegen_clients_10min.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["client"], []).append((float(row["requests_per_s"]), float(row["cv_interarrival"])))
    return [
        Client(name=name, service_s=_service_s(index[name]), rates=[r for r, _ in bins], cvs=[cv for _, cv in bins])
        for name, bins in found.items()
        if len(bins) == 2016 and statistics.fmean(rate for rate, _ in bins) < BUSIEST_PER_S
    ]


def _service_s(row: dict[str, str]) -> float:
    put, got = float(row["mean_tokens_in"] or 1000), float(row["mean_tokens_out"] or 200)
    return 0.1 + min(put, 8000) * 6e-5 + min(got, 1500) * 0.012


def cases() -> Iterator[Case]:
    """Weeks with traffic on the pools that serve it."""
    for client in clients():
        times = list(client.arrivals(random.Random(client.name)))
        for number in (0, 1):
            begin = number * WEEK_S
            week = Week(
                rates=tuple(client.rates[number * 1008 : (number + 1) * 1008]),
                times=tuple(at - begin for at in times if begin <= at < begin + WEEK_S),
            )
            for settings in POOLS:
                pool = Pool(arrivals_per_s=0.0, service_s=client.service_s, **settings)  # type: ignore[arg-type]
                load = len(week.times) / WEEK_S * pool.service_s
                if len(week.times) >= FEWEST and load < 0.95 * pool.slots:
                    billed = _replayed(pool, week.times)
                    yield Case(client=client.name, number=number, week=week, pool=pool, billed=billed)


def _replayed(pool: Pool, times: Sequence[float]) -> float:
    source = random.Random(3)
    twice = chain(times, (at + WEEK_S for at in times))
    log = ((at, source.expovariate(1 / pool.service_s)) for at in twice)
    fast = find_spec("numba") is not None
    return replay(pool, log, warm_up_s=WEEK_S, until_s=2 * WEEK_S, fast=fast).billed


def planned(pool: Pool, traffic: Traffic) -> tuple[Spread, Spread]:
    """The range of a plan and the widest one, in workers."""
    spec = ModelSpec(
        name="client",
        file=Path("client.yaml"),
        serves=Container(image="client"),
        traffic=traffic,
        performance=Performance(),
        limits=Limits(),
        target=RunpodTarget(gpu="ADA_24", workers_max=1),
        digest="",
    )
    found = spread(spec, lambda *case: _workers(pool, *case), _workers(pool, spec, Decimal(1), None), None)
    return found.usd, found.widest


def _workers(pool: Pool, spec: ModelSpec, factor: Decimal, share: Decimal | None) -> Decimal:
    traffic = spec.traffic
    profile = profile_of(traffic) if traffic else None
    assert traffic is not None, "given"
    assert profile is not None, "given"
    bursty = replace(pool, arrivals_cv=float(traffic.cv or 1))
    active = float(traffic.active_share or share or 1)
    return Decimal(estimate_over(bursty, profile.times(float(factor)), active).billed)


def hourly(hours: Sequence[Decimal], **known: object) -> Traffic:
    """Traffic by the hour of the week."""
    return Traffic(requests_per_day=sum(hours, Decimal(0)) / 7, hourly=tuple(hours), **known)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------- what is told
def main() -> None:
    """Errors of the expected month by description, then what ranges hold."""
    if not TRACES.is_dir():
        print(f"skipped: no recorded clients in {TRACES}")
        return
    started = time.perf_counter()
    found = list(cases())
    print(f"{len(found)} cases: weeks of {len({case.client for case in found})} clients on {len(POOLS)} pools")
    _errors(found)
    _ranges(found)
    print(f"{time.perf_counter() - started:.0f} s")


def _errors(found: Sequence[Case]) -> None:
    errors: dict[str, list[float]] = {}
    for case in found:
        week, pool = case.week, case.pool
        fine = RateProfile(stretches=tuple(Stretch(BIN_S, rate) for rate in week.rates))
        coarse = profile_of(hourly(week.hours))
        assert coarse is not None, "given"
        share, bursty = week.share, replace(pool, arrivals_cv=max(week.cv, 1.0))
        for name, other, profile, active in (
            ("ten-minute rates", pool, fine, 1.0),
            ("ten-minute rates, measured cv", bursty, fine, 1.0),
            ("hourly", pool, coarse, 1.0),
            ("hourly, measured share", pool, coarse, share),
            ("hourly, measured cv", bursty, coarse, 1.0),
            ("hourly, measured share and cv", bursty, coarse, share),
        ):
            errors.setdefault(name, []).append(estimate_over(other, profile, active).billed / case.billed - 1)
    for name, values in errors.items():
        size = sorted(map(abs, values))
        print(f"{name:30} median {statistics.median(size):.0%}  19 of 20 below {size[int(0.95 * len(size))]:.0%}  "
              f"bias {statistics.median(values):+.0%}")  # fmt: skip


def _ranges(found: Sequence[Case]) -> None:
    pairs = {(case.client, case.pool, case.number): case for case in found}
    both = [(case, pairs[case.client, case.pool, 1]) for case in found if (case.client, case.pool, 1) in pairs]
    both = [(first, second) for first, second in both if first.number == 0]
    served = [case for case in found if case.is_served]
    _coverage("each week by its own hours", _own(served))
    for number, name in enumerate(("first", "second")):
        _coverage(f"- the {name} weeks", _own([case for case in served if case.number == number]))
    _coverage("- and where hours bring too much", _own(found))
    _coverage("both weeks by the mean of their hours", (
        (first.pool, hourly([(a + b) / 2 for a, b in zip(first.week.hours, second.week.hours, strict=True)]),
         (first.billed + second.billed) / 2) for first, second in both
    ))  # fmt: skip
    _coverage("week two by the hours of week one", (
        (first.pool, hourly(first.week.hours), second.billed) for first, second in both
    ))  # fmt: skip
    _coverage("- at the volume of week two", (
        (first.pool, hourly([hour * len(second.week.times) / len(first.week.times) for hour in first.week.hours]),
         second.billed) for first, second in both
    ))  # fmt: skip
    for low, high in (("0.5", "2"), ("0.2", "5")):
        span = Range(low=Decimal(low), high=Decimal(high))
        _coverage(f"- with range {low} to {high}", (
            (first.pool, hourly(first.week.hours, range=span), second.billed) for first, second in both
        ))  # fmt: skip
        _coverage("- and week one's share and cv", (
            (first.pool, hourly(first.week.hours, range=span, active_share=Decimal(first.week.share),
                                cv=Decimal(first.week.cv)), second.billed) for first, second in both
        ))  # fmt: skip


def _own(found: Iterable[Case]) -> Iterator[tuple[Pool, Traffic, float]]:
    return ((case.pool, hourly(case.week.hours), case.billed) for case in found)


def _coverage(name: str, asked: Iterable[tuple[Pool, Traffic, float]]) -> None:
    holds: list[tuple[bool, bool]] = []
    widths: list[tuple[float, float]] = []
    for pool, traffic, billed in asked:
        ranges = planned(pool, traffic)
        ends = [(float(span.low or 0), float(span.high or 0)) for span in ranges]
        holds.append((ends[0][0] <= billed <= ends[0][1], ends[1][0] <= billed <= ends[1][1]))
        widths.append((ends[0][1] / ends[0][0], ends[1][1] / ends[1][0]))
    shown = [
        f"{statistics.fmean(held):.0%} at {statistics.median(width):.2f}"
        for held, width in zip(zip(*holds, strict=True), zip(*widths, strict=True), strict=True)
    ]
    print(f"{name:40} n={len(holds):3}  holds {shown[0]}, widest {shown[1]}")


if __name__ == "__main__":
    main()
