"""How fast a spec's model is on other cards, and on how many of them it fits.

A measured service time holds for the cards it was measured on. On others it is multiplied by the ratio of the two
estimates of `performance`; where there is none (a container, no tokens) it is taken as it stands and said to be.
Knows cards, no prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

from baseload.planner.performance.estimate import cold_start, room, service_time
from baseload.planner.performance.memory import fit, longest_request
from baseload.planner.pool import Assumption
from baseload.planner.spec.model import Container, Model, ModelSpec, Performance

if TYPE_CHECKING:
    from baseload.planner.performance.cards import Card
    from baseload.planner.targets.hardware import Hardware

COUNTS = (1, 2, 4, 8)
"""GPUs of one replica that are tried, the fewest first."""

PLATFORMS = MappingProxyType({"runpod": "RunPod", "aws": "AWS", "modal": "Modal"})


@dataclass(frozen=True, kw_only=True)
class Times:
    """The spec's performance on other cards, with the ends of its band."""

    expected: Performance
    fast: Performance
    slow: Performance
    same_speed: bool = False
    """The service time is the spec's own, on cards of which nothing is known."""
    assumptions: tuple[Assumption, ...] = ()

    @property
    def all(self) -> tuple[Performance, ...]:
        """Without repetition, the expected first."""
        return tuple(dict.fromkeys((self.expected, self.fast, self.slow)))


def times_on(
    spec: ModelSpec, own: Hardware, cards: Sequence[Card], count: int, measured: Model | Container | None = None
) -> Times:
    """The service time on `count` of `cards`; unknown stays None.

    The spec's figures are those of `measured` on `own`; None is the spec's own model, else it is at another precision.
    """
    measured = measured or spec.serves
    given = spec.performance
    as_given = Times(expected=given, fast=given, slow=given)
    same = (
        {card.name for card in cards} == {card.name for card in own.cards}
        and count == own.gpu_count
        and measured == spec.serves
    )
    if same and given.service_time_s is not None:
        return as_given
    tokens = spec.traffic.tokens if spec.traffic else None
    there = here = None
    if isinstance(spec.serves, Model) and isinstance(measured, Model) and tokens is not None and cards:
        there = service_time(spec.serves, cards, count, tokens, given.concurrency)
        here = service_time(measured, own.cards, own.gpu_count, tokens, given.concurrency) if own.cards else None
    if there is None or (given.service_time_s is not None and here is None):
        return as_given if given.service_time_s is None else _same_speed(as_given)
    ratio, how = Decimal(1), f"estimated; from the model's size, {there.widest}"
    if given.service_time_s is not None and here is not None:
        ratio = given.service_time_s / here.expected_s
        how = (
            f"estimated; {given.service_time_s} s of the spec on {own.name} × the ratio of both estimates, "
            f"{there.widest}"
        )

    def at(seconds: Decimal) -> Performance:
        return replace(given, service_time_s=_digits(seconds * ratio), concurrency=there.concurrency)

    value = f"{at(there.expected_s).service_time_s} s"
    return Times(
        expected=at(there.expected_s),
        fast=at(there.low_s),
        slow=at(there.high_s),
        assumptions=(Assumption(name="service_time", value=value, source=how, errs="either way: measure it"),),
    )


def _same_speed(times: Times) -> Times:
    told = Assumption(
        name="service_time",
        value=f"{times.expected.service_time_s} s, as on the spec's own GPU",
        source="default; nothing is known of the speed on this GPU",
        errs="either way: measure it",
    )
    return replace(times, same_speed=True, assumptions=(told,))


def on_another_platform(spec: ModelSpec, times: Times, own: Hardware) -> Times:
    """With the cold start on another platform than that of `own`, where the spec's was measured."""
    given, name = spec.performance.cold_start_s, PLATFORMS.get(own.platform, own.platform)
    states = cold_start(spec.serves) if isinstance(spec.serves, Model) else None
    if states is None and given is None:
        return times
    if states is None:
        fast_s = expected_s = slow_s = given
        how = f"spec; measured on {name}, not known for this platform"
    else:
        cached, uncached = _digits(Decimal(states.cached_s)), _digits(Decimal(states.uncached_s))
        expected_s = given if given is not None else uncached
        fast_s = min(expected_s, cached)
        slow_s = max(expected_s, uncached if given is not None else 2 * uncached)
        how = f"{'estimated' if given is None else f'spec; on {name}'}; the range holds {fast_s} to {slow_s} s"
    told = Assumption(name="cold_start", value=f"{expected_s} s", source=how, errs="either way: measure it")
    return replace(
        times,
        expected=replace(times.expected, cold_start_s=expected_s),
        fast=replace(times.fast, cold_start_s=fast_s),
        slow=replace(times.slow, cold_start_s=slow_s),
        assumptions=(*times.assumptions, told),
    )


def _digits(seconds: Decimal) -> Decimal:
    """To the millisecond."""
    return seconds.quantize(Decimal("0.001"), ROUND_HALF_UP)


def fewest_gpus(spec: ModelSpec, own: Hardware, memory_gib: int) -> int | None:
    """GPUs of that memory that one replica needs; None where no number of them is enough.

    A container needs as many as the spec says: what is in it is not known.
    """
    model = spec.serves
    if not isinstance(model, Model):
        return max(own.gpu_count, 1)
    kv_tokens = longest_request(model, spec.traffic)
    tokens = spec.traffic.tokens if spec.traffic else None
    for count in COUNTS:
        if fit(model, memory_gib, count, kv_tokens).possible and (
            tokens is None or room(model, memory_gib, count, tokens) > 0
        ):
            return count
    return None


def does_not_fit(spec: ModelSpec, memory_gib: int, count: int) -> str:
    """Why; only what is known can be too large."""
    assert isinstance(spec.serves, Model)
    found = fit(spec.serves, memory_gib, count, longest_request(spec.serves, spec.traffic))
    sides = f"{found.needed_gib:.1f} GiB at least, {count} × {memory_gib} GiB give {found.usable_gib:.1f} GiB"
    return f"the model does not fit the GPU's memory: {sides}"
