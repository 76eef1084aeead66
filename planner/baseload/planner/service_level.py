"""Whether a target keeps the service level of a spec, and which part of the latency is too long where it does not.

Figures in, names and words out; knows no target. What the provider's own ways add at least is counted in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from baseload.planner.pool.latency import service_law
from baseload.planner.spec.model import Performance, ServiceLevel

if TYPE_CHECKING:
    from baseload.planner.cost import ResponseTime

SHARES = {"p95_s": 0.95, "p99_s": 0.99}


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """What is known of a target at the expected traffic; None is unknown."""

    p95_s: Decimal | None = None
    p99_s: Decimal | None = None
    cold_share: Decimal | None = None
    added_s: Decimal = Decimal(0)
    """By the provider's own ways, at least."""

    @classmethod
    def of(cls, response: ResponseTime | None) -> Latencies:
        """Those of a bill's response time."""
        if response is None:
            return cls()
        return cls(
            p95_s=response.p95_s,
            p99_s=response.p99_s,
            cold_share=response.cold_share,
            added_s=sum((stage.low_s or Decimal(0) for stage in response.added), Decimal(0)),
        )


@dataclass(frozen=True, kw_only=True)
class Promise:
    """One promise of a service level against its figure."""

    name: str
    """`p95_s`, `p99_s` or `cold_share`."""
    most: Decimal
    actual: Decimal | None
    """Of a latency that is unknown what it is at least, where that is too long already."""
    why: str
    """Which part is too long; empty where it is kept or unknown."""

    @property
    def key(self) -> str:
        """As the spec names it under `service_level`."""
        return "cold_starts" if self.name == "cold_share" else self.name.removesuffix("_s")

    @property
    def broken(self) -> bool:
        """Unknown is not broken, and not kept either."""
        return self.actual is not None and self.actual > self.most


def kept(level: ServiceLevel, response: ResponseTime | None, performance: Performance) -> bool:
    """Whether all is known to be as promised."""
    found = promises(level, Latencies.of(response), performance)
    return all(promise.actual is not None and not promise.broken for promise in found)


def promises(level: ServiceLevel, found: Latencies, performance: Performance) -> tuple[Promise, ...]:
    """Each that the level makes."""
    return tuple(_promises(level, found, performance))


def _promises(level: ServiceLevel, found: Latencies, performance: Performance) -> Iterator[Promise]:
    for name, most, known in (("p95_s", level.p95_s, found.p95_s), ("p99_s", level.p99_s, found.p99_s)):
        if most is None:
            continue
        actual, rest = None if known is None else known + found.added_s, ""
        if known is None and performance.service_time_s:
            least_s = _alone_s(name, performance) + found.added_s
            if least_s > most:
                actual, rest = least_s, "; what else it takes is unknown"
        why = _part(name, most, found, performance) + rest if actual is not None and actual > most else ""
        yield Promise(name=name, most=most, actual=actual, why=why)
    if not level.cold_starts:
        cold = found.cold_share
        why = f"{_percent(cold)} of the requests wait for a worker to start" if cold else ""
        yield Promise(name="cold_share", most=Decimal(0), actual=cold, why=why)


def _alone_s(name: str, performance: Performance) -> Decimal:
    """Of requests that never wait."""
    law = service_law(float(performance.service_time_s or 0), float(performance.service_time_cv))
    return Decimal(law.quantile_s(SHARES[name])).quantize(Decimal("0.001"))


def _part(name: str, most: Decimal, found: Latencies, performance: Performance) -> str:
    """The first part that is too long by itself: the service, the ways, starts, or the wait for a place."""
    share, alone_s = SHARES[name], _alone_s(name, performance)
    if alone_s > most:
        return f"the service alone takes {_plain(alone_s)} s for {share * 100:.0f} % of the requests"
    if alone_s + found.added_s > most:
        return f"the provider's own ways add {_plain(found.added_s)} s at least to the {_plain(alone_s)} s of service"
    if found.cold_share is not None and found.cold_share > 1 - Decimal(str(share)) and performance.cold_start_s:
        return f"{_percent(found.cold_share)} of the requests wait for a start of {_plain(performance.cold_start_s)} s"
    return "requests wait for a place on a worker, or for a start"


def _percent(share: Decimal) -> str:
    return "under 0.1 %" if share < Decimal("0.001") else f"{float(share) * 100:.3g} %"


def _plain(seconds: Decimal) -> str:
    return f"{float(seconds):.3g}" if seconds < 1000 else f"{float(seconds):,.0f}"
