"""An endpoint as RunPod has it, against what its spec wants. Pure: documents in, differences out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from baseload.providers.runpod.fields import SETS

SCALED_DOWN_TO = (2, 0)
"""RunPod lowers `workers.max` to 2 after 3 days without requests and to 0 after 7 (docs.runpod.io, endpoint
configurations, 2026-08-20)."""


class Condition(StrEnum):
    """How a model's endpoint stands."""

    AS_WANTED = "as wanted"
    NOT_READY = "not ready"
    """Set up as wanted, but fewer workers serve than the spec keeps on, or all there are are unhealthy."""
    DIFFERS = "differs"
    SCALED_DOWN = "scaled down by RunPod"
    GONE = "gone"
    """In the state, but RunPod knows it no more."""
    NOT_DEPLOYED = "not deployed"
    """In the specs, not in the state."""
    WITHOUT_SPEC = "without a spec"
    """In the state, no longer in the specs."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One field: `wanted` by the spec, `live` at RunPod."""

    path: str
    wanted: Any
    live: Any


def differences(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> list[Difference]:
    """Fields of `wanted` (as `components.settings`) that RunPod has otherwise; not the name, which carries a mark."""
    found = []
    for key, value in wanted.items():
        if key != "name":
            found += list(_differ(key, value, live.get(key)))
    return found


def condition(found: list[Difference], workers: Mapping[str, int], always_on: int) -> Condition:
    """How an existing endpoint stands, by its differences, RunPod's counts of its workers and the wanted minimum."""
    if not found:
        ready = workers.get("running", 0) + workers.get("idle", 0)
        failing = not ready and workers.get("unhealthy", 0) > 0
        return Condition.NOT_READY if failing or ready < always_on else Condition.AS_WANTED
    lowered = [item for item in found if item.path == "workers.max" and item.live in SCALED_DOWN_TO]
    if lowered and lowered[0].live < lowered[0].wanted:
        return Condition.SCALED_DOWN
    return Condition.DIFFERS


def _differ(path: str, wanted: Any, live: Any) -> Iterator[Difference]:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for key, value in wanted.items():
            yield from _differ(f"{path}.{key}", value, live.get(key))
    elif path in SETS and isinstance(live, list):
        if sorted(wanted) != sorted(live):
            yield Difference(path=path, wanted=wanted, live=live)
    elif (wanted or None) != (live or None) and wanted != live:  # "" and [] and null all say: none
        yield Difference(path=path, wanted=wanted, live=live)
