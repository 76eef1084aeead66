"""What each way to have fewer cold starts costs a month more, and how many of them it avoids: one sum per way.

Pure: every way is the spec with one setting changed, priced as a plan does, simulated where the closed form is in
doubt; its latency is that of the same month. Only the search for a timeout goes by the closed form. A way that no
figure is known of (a retained worker, a snapshot) stays unknown and says what would make it known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from baseload.planner.cost import SEED, cost_of
from baseload.planner.spec.model import Curve, ModelSpec, RunpodTarget, Schedule
from baseload.planner.sweep import IDLE_TIMEOUTS_S, MODAL_S, with_settings
from baseload.planner.targets.hybrid import Hybrid
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.rented import Rented
from baseload.planner.traffic.schedule import office

if TYPE_CHECKING:
    from baseload.planner.cost import Cost
    from baseload.planner.prices import PriceBook

FEW = (Decimal("0.1"), Decimal("0.01"))
"""Of the requests: the shortest idle timeouts are looked for at which fewer meet a cold start."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One change; None is unknown."""

    change: str
    """As a spec says it."""
    monthly_usd: Decimal | None = None
    more_usd: Decimal | None = None
    """A month, than the spec as it stands; below zero it costs less."""
    cold_share: Decimal | None = None
    """Of the requests, those that wait for a worker to start."""
    usd_per_avoided: Decimal | None = None
    """Dollars for each request that no longer waits; None where none is avoided."""
    note: str = ""

    def to_json(self) -> dict[str, str | None]:
        """Amounts and shares as decimal strings."""
        return {
            "change": self.change,
            "monthly_usd": _text(self.monthly_usd),
            "more_usd": _text(self.more_usd),
            "cold_share": _text(self.cold_share),
            "usd_per_avoided": _text(self.usd_per_avoided),
            "note": self.note,
        }


@dataclass(frozen=True, kw_only=True)
class ColdStarts:
    """The spec as it stands, and the ways."""

    monthly_usd: Decimal
    cold_share: Decimal
    ways: tuple[Way, ...]

    def to_json(self) -> dict[str, Any]:
        """Amounts and shares as decimal strings."""
        return {
            "monthly_usd": format(self.monthly_usd, "f"),
            "cold_share": format(self.cold_share, "f"),
            "ways": [way.to_json() for way in self.ways],
        }


def cold_starts(spec: ModelSpec, book: PriceBook) -> ColdStarts | None:
    """None where the spec's workers do not come and go, or its month or latency is not known."""
    if not isinstance(spec.target, (RunpodTarget, Modal, Rented, Hybrid)) or spec.traffic is None:
        return None
    as_it_stands = cost_of(spec, book, SEED)
    usd, share = _figures(as_it_stands)
    requests = (spec.traffic.requests_per_day or Decimal(0)) * book.month_hours / 24
    if usd is None or share is None or not requests:
        return None

    def way(change: str, other: ModelSpec, note: str = "") -> Way:
        cost = cost_of(other, book, SEED)
        if as_it_stands.simulation and any(item.code == "plan/in-doubt" for item in cost.diagnostics):
            return Way(change=change, note="the closed form is in doubt there, and it is not simulated")
        month, cold = _figures(cost)
        if month is None or cold is None:
            return Way(change=change, monthly_usd=month, note=note or "the bill or the latency of it is not known")
        avoided = requests * (share - cold)
        each = None if avoided < 1 else ((month - usd) / avoided).quantize(Decimal("0.000001"), ROUND_HALF_UP)
        return Way(
            change=change, monthly_usd=month, more_usd=month - usd, cold_share=cold, usd_per_avoided=each, note=note
        )

    found = [way(change, other, note) for change, other, note in _settings(spec)]
    found += [way(f"idle_timeout: {timeout_of(other)}s", other, note) for note, other in _timeouts(spec, book)]
    return ColdStarts(monthly_usd=usd, cold_share=share, ways=(*found, *_unknown(spec)))


def cold_share_at(spec: ModelSpec, book: PriceBook) -> Decimal | None:
    """Of the requests, those that wait for a worker to start."""
    return _figures(cost_of(spec, book, SEED))[1]


def _figures(cost: Cost) -> tuple[Decimal | None, Decimal | None]:
    return cost.monthly_usd.expected, None if cost.response is None else cost.response.cold_share


def _settings(spec: ModelSpec) -> Iterator[tuple[str, ModelSpec, str]]:
    target = spec.target
    if isinstance(target, Hybrid) or spec.schedule is not None:
        return
    least = minimum_of(spec)
    more = with_settings(spec, timeout_of(spec), least + 1)
    if isinstance(target, RunpodTarget) and least + 1 > target.workers_max:
        return
    yield f"workers.min: {least + 1}", more, ""
    if least:
        return
    zone = spec.traffic.time_zone if spec.traffic is not None else "UTC"
    shaped = spec.traffic is not None and (
        spec.traffic.curve not in (None, Curve.CONSTANT) or spec.traffic.hourly or spec.traffic.observed
    )
    yield (
        "schedule: 1 from mon to fri, 08:00 to 18:00",
        replace(spec, schedule=Schedule(windows=(office(1),), time_zone=zone)),
        "" if shaped else "the spec's traffic does not know the hours: the same at night",
    )
    pinged = more
    if isinstance(more.target, RunpodTarget):  # a discount is for workers of the minimum alone
        pinged = replace(more, target=replace(more.target, active_discount=Decimal(0)))
    yield (
        "a ping within each idle timeout",
        pinged,
        "priced as one worker that never stops; the time that the pings take is not counted",
    )


def _timeouts(spec: ModelSpec, book: PriceBook) -> Iterator[tuple[str, ModelSpec]]:
    """The shortest whole seconds at which so few wait; the longest that the target takes where none is enough."""
    own = timeout_of(spec)
    longest = MODAL_S[1] if isinstance(spec.target, Modal) else IDLE_TIMEOUTS_S[-1]
    if own is None or own >= longest:
        return

    def at(seconds: int) -> ModelSpec:
        return with_settings(spec, Decimal(seconds) if isinstance(own, Decimal) else seconds, minimum_of(spec))

    def share_at(seconds: int) -> Decimal:
        share = _figures(cost_of(at(seconds), book))[1]
        return Decimal(1) if share is None else share

    for most in FEW:
        if share_at(int(own)) < most:
            continue
        if share_at(longest) >= most:
            yield f"the longest there is: by the closed form more than {percent(most)} wait even so", at(longest)
            return
        low, high = int(own), longest
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if share_at(middle) < most else (middle, high)
        yield f"the shortest at which by the closed form fewer than {percent(most)} wait", at(high)


def _unknown(spec: ModelSpec) -> Iterator[Way]:
    measure = "measure the cold start with it on, and say it as `performance.cold_start`"
    if isinstance(spec.target, RunpodTarget):
        yield Way(change="flashboot", note=f"RunPod publishes no figure for a model of one's own: {measure}")
    if isinstance(spec.target, Modal):
        yield Way(change="a memory snapshot", note=f"no figure for this model: {measure}")


def timeout_of(spec: ModelSpec) -> int | Decimal | None:
    """The idle timeout that its target is set to; None where there is none, or the price row's own counts."""
    match spec.target:
        case RunpodTarget() | Rented() | Hybrid():
            return spec.target.idle_timeout_s
        case Modal():
            return spec.target.scaledown_s
        case _:
            return None


def minimum_of(spec: ModelSpec) -> int:
    """Workers that its target keeps."""
    match spec.target:
        case RunpodTarget() | Rented():
            return spec.target.workers_min
        case Modal():
            return spec.target.containers_min
        case _:
            return 0


def percent(share: Decimal) -> str:
    """To three digits, with the sign."""
    if 0 < share < Decimal("0.001"):
        return "under 0.1 %"
    return f"{Decimal(f'{share * 100:.3g}').normalize():f} %"


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
