"""What a platform refuses of a target: the one source of it, for bills and for the rules of specs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One reason why something cannot run as its target is."""

    code: str
    """Stable, for instance `modal/gpus`."""
    key: str
    """What is wrong: a key of the target in a spec (`containers.max`), or of a section (`performance.service_time`)."""
    reason: str
    remedy: str
    beside: tuple[str, ...] = ()
    """Other keys of the target that the reason rests on."""


TIMES = "performance.service_time"
SIZES = "traffic.payload_bytes"
