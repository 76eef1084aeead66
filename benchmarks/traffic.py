"""What each way to describe traffic costs in accuracy, and what the range of a plan holds: against recorded clients.

The traces lie beside the checkout; without them there is nothing to measure. Arrivals are drawn with the recorded rate
and burstiness of each ten minutes (gamma gaps). Each week of a client that has traffic is a case for each kind of pool:
the week is simulated twice in a row, and the second time counts, as in a month that is that week over and over.

The plan is given what a log of these arrivals says: counts by the hour, or the log itself. How far a volume drifts was
chosen on the clients with odd numbers, so those with even numbers are told apart.
"""

from __future__ import annotations

import csv
import gzip
import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from importlib.util import find_spec
from itertools import chain, pairwise
from pathlib import Path

from baseload.planner.cost import Split, Spread
from baseload.planner.cost.ranges import Range as Ranged
from baseload.planner.cost.ranges import error_of, spread
from baseload.planner.pool import Dispatch, Pool, PoolEstimate, other_dispatches
from baseload.planner.simulator import replay
from baseload.planner.spec.model import Container, Limits, ModelSpec, Performance, RunpodTarget, Traffic
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

    times: tuple[float, ...]
    """Of the requests, in seconds from its beginning."""

    @cached_property
    def hours(self) -> tuple[Decimal, ...]:
        """Requests in each hour."""
        counts = Counter(int(at // 3600) for at in self.times)
        return tuple(Decimal(counts[hour]) for hour in range(HOURS))

    @cached_property
    def windows(self) -> Counter[int]:
        """Requests in the windows of ten minutes that have any."""
        return Counter(int(at // BIN_S) for at in self.times)

    @property
    def share(self) -> float:
        """The `active_share` that a log of it shows."""
        return active_share(self.windows, WEEK_S)

    def as_log(self) -> Traffic:
        """What the plan knows with a log of it."""
        stretches = (Stretch(BIN_S, self.windows[window] / BIN_S) for window in range(int(WEEK_S // BIN_S)))
        return Traffic(
            requests_per_day=Decimal(len(self.times)) / 7,
            observed=RateProfile(stretches=tuple(stretches)),
            cv=Decimal(repr(round(self.cv, 3))),
        )

    @cached_property
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
    def is_odd(self) -> bool:
        """Of the clients with odd numbers."""
        return int(self.client.rsplit("-", 1)[1]) % 2 == 1

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
            week = Week(times=tuple(at - begin for at in times if begin <= at < begin + WEEK_S))
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


def planned(pool: Pool, traffic: Traffic, dispatches: Sequence[Dispatch] = ()) -> Ranged:
    """The ranges of a plan, in workers times `_DOLLARS`: they are rounded to the cent."""
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
    expected = _estimate(pool, spec, Decimal(1), None)
    split = Split(busy=Decimal(expected.busy), idle=Decimal(expected.idle), cold_start=Decimal(expected.cold_start))
    month = Decimal(expected.billed) * _DOLLARS
    error = error_of(expected.method, split, month, most_usd=pool.workers_max * _DOLLARS)
    return spread(spec, lambda *case: Decimal(_estimate(pool, *case).billed) * _DOLLARS, month, None, error, dispatches)


_DOLLARS = Decimal(10_000)


def _estimate(pool: Pool, spec: ModelSpec, factor: Decimal, share: Decimal | None) -> PoolEstimate:
    traffic = spec.traffic
    profile = profile_of(traffic) if traffic else None
    assert traffic is not None, "given"
    assert profile is not None, "given"
    bursty = replace(pool, arrivals_cv=float(traffic.cv or 1), dispatch=spec.dispatch)
    active = float(traffic.active_share or share or 1)
    return estimate_over(bursty, profile.times(float(factor)), active)


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
    _drift(found)
    print(f"{time.perf_counter() - started:.0f} s")


def _errors(found: Sequence[Case]) -> None:
    errors: dict[str, list[float]] = {}
    for case in found:
        week, pool = case.week, case.pool
        fine, coarse = profile_of(week.as_log()), profile_of(hourly(week.hours))
        assert fine is not None, "given"
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
    print("\nThe range of each week's own hours, then of its log:")
    parts = {
        "all": found,
        "- clients with odd numbers": [case for case in found if case.is_odd],
        "- with even numbers": [case for case in found if not case.is_odd],
        "- no hour more than the pool serves": [case for case in found if case.is_served],
        "- hours bring too much": [case for case in found if not case.is_served],
    }
    for name, part in parts.items():
        _coverage(name, ((case.pool, hourly(case.week.hours), case.billed) for case in part))
    for name, part in list(parts.items())[:3]:
        _coverage(f"log, {name}", ((case.pool, case.week.as_log(), case.billed) for case in part))
    print("\nWhere the platform documents no rule of dispatch, and the range holds the other ones:")
    for name, part in list(parts.items())[:4]:
        _coverage(name, ((case.pool, hourly(case.week.hours), case.billed) for case in part), open_dispatch=True)


def _drift(found: Sequence[Case]) -> None:
    """Week two by what week one says."""
    pairs = {(case.client, case.pool, case.number): case for case in found}
    both = [(case, pairs.get((case.client, case.pool, 1))) for case in found if case.number == 0]
    known = [(first, second) for first, second in both if second is not None]
    print("\nWeek two by the hours of week one, then by its log:")
    for name, part in (
        ("all", known),
        ("- clients with odd numbers", [pair for pair in known if pair[0].is_odd]),
        ("- with even numbers", [pair for pair in known if not pair[0].is_odd]),
    ):
        _coverage(name, ((first.pool, hourly(first.week.hours), second.billed) for first, second in part))
        _coverage(f"log, {name}", ((first.pool, first.week.as_log(), second.billed) for first, second in part))
    _coverage("at the volume of week two", (
        (first.pool, hourly([hour * len(second.week.times) / len(first.week.times) for hour in first.week.hours]),
         second.billed) for first, second in known
    ))  # fmt: skip


def _coverage(name: str, asked: Iterable[tuple[Pool, Traffic, float]], *, open_dispatch: bool = False) -> None:
    """The share of the cases whose replay lies in each kind of range, at its median high/low."""
    found = []
    for pool, traffic, billed in asked:
        rules = other_dispatches(pool.workers_min, pool.workers_max) if open_dispatch else ()
        found.append((planned(pool, traffic, rules), Decimal(billed) * _DOLLARS))
    shown = []
    for kind, spreads in (
        ("range", [ranges.usd for ranges, _ in found]),
        ("widest", [ranges.widest for ranges, _ in found]),
        ("another week", [ranges.drift for ranges, _ in found if ranges.drift is not None]),
    ):
        held = statistics.fmean(_holds(span, usd) for span, (_, usd) in zip(spreads, found, strict=True))
        shown.append(f"{kind} {held:4.0%} at {statistics.median(map(_width, spreads)):.2f}")
    print(f"{name:36} n={len(found):3}  {', '.join(shown)}")


def _holds(span: Spread, usd: Decimal) -> bool:
    return span.low is not None and span.high is not None and span.low <= usd <= span.high


def _width(span: Spread) -> Decimal:
    assert span.low, "known, and above zero"
    assert span.high, "known, and above zero"
    return span.high / span.low


if __name__ == "__main__":
    main()
