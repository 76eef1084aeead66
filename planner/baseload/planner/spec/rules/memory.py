"""Whether the model fits the GPUs it is put on: the same question on every platform."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from baseload.planner.diagnostics import Diagnostic
from baseload.planner.performance.gpus import POOLS, TYPES
from baseload.planner.performance.memory import BYTES_PER_WEIGHT, OVERHEAD_GIB, USABLE_SHARE, Fit, fit, longest_request
from baseload.planner.spec.model import Model, RunpodTarget, Traffic
from baseload.planner.spec.rules.check import Check, down, number, up
from baseload.planner.spec.source import At

if TYPE_CHECKING:
    from baseload.planner.targets import Target

_COUNTS = (2, 4, 8)


@dataclass(frozen=True, kw_only=True)
class _Room:
    """The GPUs of one worker, and what else there is on that platform."""

    platform: str
    keys: tuple[str, ...]
    """Of the target; the first says which GPU."""
    memory_gib: int
    count: int
    most: int
    """GPUs that one worker can have there."""
    others: tuple[tuple[str, int, int], ...]
    """Values of the first key with the memory of a GPU and their number, those to be proposed first in front."""


def memory(
    check: Check, model: Model, traffic: Traffic | None, target: RunpodTarget | Target, at: At
) -> Iterator[Diagnostic]:
    """An error where the weights, or one request, certainly have no room."""
    room = _room(target)
    if room is None or not check.sound(
        ("model", "parameters"), ("model", "precision"), *((*at, key) for key in room.keys)
    ):
        return
    tokens = longest_request(model, traffic)
    result = fit(model, room.memory_gib, room.count, tokens)
    if result.possible:
        return
    enough = [name for name, size, count in room.others if fit(model, size, count, tokens).possible]
    more = next(
        (n for n in _COUNTS if room.count < n <= room.most and fit(model, room.memory_gib, n, tokens).possible), None
    )
    ways = [f"`{room.keys[0]}: {enough[0]}`"] if enough else []
    ways += [f"`gpu_count: {more}`"] if more and "gpu_count" in room.keys else []
    ways += (
        ["a lower `max_context`"]
        if model.max_context and result.needed_gib - result.kv_gib <= result.usable_gib
        else []
    )
    yield check.say(
        f"{room.platform}/does-not-fit",
        f"{number(model.parameters / 10**9)}B weights at {model.precision} do not fit: "
        f"{number(BYTES_PER_WEIGHT[model.precision])} bytes each make {up(result.weights_gib)} GiB, "
        f"with {number(OVERHEAD_GIB)} GiB per GPU for the server {_need(result, tokens)}; "
        f"{room.count} × {room.memory_gib} GiB × {USABLE_SHARE} give {down(result.usable_gib)} GiB",
        (*at, room.keys[0]),
        f"{' or '.join(ways)} would hold {'them' if result.kv_gib else 'the weights'}"
        if ways
        else "use a smaller `precision` or a smaller model",
    )


def _room(target: RunpodTarget | Target) -> _Room | None:
    """None where there is no GPU, or its memory is not known."""
    if isinstance(target, RunpodTarget):  # without the price book: most specs are this
        if target.gpu not in POOLS:
            return None
        others = tuple((pool.id, pool.memory_gib, target.gpu_count) for pool in POOLS.values())
        own = POOLS[target.gpu].memory_gib
        return _Room(
            platform="runpod",
            keys=("gpu", "gpu_count"),
            memory_gib=own,
            count=target.gpu_count,
            most=_COUNTS[-1],
            others=others,
        )
    return _room_by_prices(target)


def _room_by_prices(target: Target) -> _Room | None:
    from baseload.planner.performance.cards import RUNPOD
    from baseload.planner.prices import bundled
    from baseload.planner.targets import aws, modal, runpod
    from baseload.planner.targets.hardware import card_of, hardware_of

    own = hardware_of(target, bundled())
    if not own.cards:
        return None
    keys, others, most = ("gpu", "gpu_count"), list[tuple[str, int, int]](), _COUNTS[-1]
    match target:
        case runpod.RunpodPod():
            others = [(name, RUNPOD[name].memory_gib, own.gpu_count) for name in TYPES if name in RUNPOD]
        case modal.Modal():
            most = modal.gpus_per_container(target.gpu)
            rows = [(row, card_of(row)) for row in bundled().of("modal") if row.product == "serverless"]
            others = [(row.gpu, card.memory_gib, own.gpu_count) for row, card in rows if card]
        case aws.LambdaSagemaker():
            keys = ("instance", "region")
            priced = [row for row in bundled().of("aws") if row.product == "sagemaker-realtime" and row.usd is not None]
            rows = [(row, card_of(row)) for row in sorted(priced, key=lambda row: row.usd or Decimal(0))]
            others = [(row.gpu, card.memory_gib, row.count) for row, card in rows if card and row.count]
        case _:
            return None  # a hybrid's sides are looked at one by one, the others have no GPU of their own
    size = min(card.memory_gib for card in own.cards)
    others = sorted(others, key=lambda other: other[1]) if "gpu" in keys else others
    return _Room(
        platform=own.platform, keys=keys, memory_gib=size, count=own.gpu_count, most=most, others=tuple(others)
    )


def _need(result: Fit, tokens: Decimal) -> str:
    if not result.kv_gib:
        return f"{up(result.needed_gib)} GiB before any KV cache"
    kv = f"{up(result.kv_gib)} GiB KV cache of one request of {number(tokens)} tokens"
    return f"and {kv} {up(result.needed_gib)} GiB"
