"""What each way to describe traffic costs in accuracy: closed-form bills against the replay of recorded clients.

The traces lie beside the checkout; without them there is nothing to measure. Arrivals are drawn with the recorded rate
and burstiness of each ten minutes (gamma gaps), and simulated.
"""

from __future__ import annotations

import csv
import gzip
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from baseload.planner.pool import Pool
from baseload.planner.simulator import replay
from baseload.planner.traffic.log import active_share
from baseload.planner.traffic.profile import HOURS, RateProfile, Stretch, estimate_over

TRACES = Path(__file__).parents[2] / "shared" / "traces"
BIN_S = 600
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


def clients() -> list[Client]:
    """Clients of two weeks whose traffic is neither nothing nor a month of simulation."""
    with (TRACES / "servegen_clients_index.csv").open(encoding="utf-8") as file:
        index = {row["client"]: row for row in csv.DictReader(file)}
    found: dict[str, list[tuple[float, float]]] = {}
    with gzip.open(TRACES / "servegen_clients_10min.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["client"], []).append((float(row["requests_per_s"]), float(row["cv_interarrival"])))
    return [
        Client(name=name, service_s=_service_s(index[name]), rates=[r for r, _ in bins], cvs=[cv for _, cv in bins])
        for name, bins in found.items()
        if len(bins) == 2016 and 0.003 < statistics.fmean(rate for rate, _ in bins) < 1
    ]


def _service_s(row: dict[str, str]) -> float:
    put, got = float(row["mean_tokens_in"] or 1000), float(row["mean_tokens_out"] or 200)
    return 0.1 + min(put, 8000) * 6e-5 + min(got, 1500) * 0.012


def main() -> None:
    """Signed errors of the bill by description, and what the range of an hourly profile holds."""
    if not TRACES.is_dir():
        print(f"skipped: no recorded clients in {TRACES}")
        return
    started = time.perf_counter()
    errors: dict[str, list[float]] = {"ten-minute rates": [], "hourly": [], "hourly, measured share": []}
    holds: dict[tuple[float, ...], list[bool]] = {(1.0, 0.25): [], (1.0, 0.25, 0.1): []}
    widths: dict[tuple[float, ...], list[float]] = {shares: [] for shares in holds}
    for client in clients():
        times = list(client.arrivals(random.Random(client.name)))
        if not 200 < len(times) < 700_000:
            continue
        fine = RateProfile(stretches=tuple(Stretch(BIN_S, rate) for rate in client.rates))
        week = [statistics.fmean(client.rates[at + HOURS * 6 * n] for n in (0, 1) for at in range(6 * h, 6 * h + 6))
                for h in range(HOURS)]  # fmt: skip
        hourly = RateProfile(stretches=tuple(Stretch(3600, rate) for rate in week))
        bins: dict[int, int] = {}
        for at in times:
            bins[int(at // BIN_S)] = bins.get(int(at // BIN_S), 0) + 1
        share = active_share(bins, 2016.0 * BIN_S)
        for settings in POOLS:
            pool = Pool(arrivals_per_s=0.0, service_s=client.service_s, **settings)  # type: ignore[arg-type]
            source = random.Random(3)
            log = ((at, source.expovariate(1 / client.service_s)) for at in times)
            truth = replay(pool, log, until_s=2016.0 * BIN_S).billed
            bills = {a: estimate_over(pool, hourly, a).billed for a in (1.0, 0.25, 0.1)}
            errors["ten-minute rates"].append(estimate_over(pool, fine).billed / truth - 1)
            errors["hourly"].append(bills[1.0] / truth - 1)
            errors["hourly, measured share"].append(estimate_over(pool, hourly, share).billed / truth - 1)
            for shares, found in holds.items():
                low, high = min(bills[a] for a in shares), max(bills[a] for a in shares)
                found.append(low <= truth <= high)
                widths[shares].append(high / low)
    for name, values in errors.items():
        size = sorted(map(abs, values))
        print(f"{name:24} n={len(size)}  median {statistics.median(size):.0%}  19 of 20 below "
              f"{size[int(0.95 * len(size))]:.0%}  bias {statistics.median(values):+.0%}")  # fmt: skip
    for shares, held in holds.items():
        print(f"range with shares {shares}: holds {statistics.fmean(held):.0%}, "
              f"median high/low {statistics.median(widths[shares]):.2f}")  # fmt: skip
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
