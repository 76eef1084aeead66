"""Clocks the sandboxes live by: one that runs by itself and can be pushed ahead, one that only moves when told.

A state machine never asks the operating system for the time; it asks its clock. Seconds since the epoch, UTC.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where a sandbox reads the time."""

    runs: bool
    """Whether time passes by itself."""

    def now(self) -> float:
        """Seconds since the epoch; never smaller than before."""
        ...

    def advance(self, seconds: float) -> None:
        """Move ahead."""
        ...


class RealClock:
    """The machine's time; pushed ahead, it stays ahead. Steps of the wall clock after the start do not reach it."""

    runs = True

    def __init__(self) -> None:
        self._offset_s = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.monotonic() + self._offset_s

    def advance(self, seconds: float) -> None:
        """Move ahead."""
        self._offset_s += _forward(seconds)


class ManualClock:
    """Stands still until `advance`."""

    runs = False

    def __init__(self, start: float = 1_780_315_200.0) -> None:
        """By default it is 2026-06-01 12:00 UTC."""
        self._now = start

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move ahead."""
        self._now += _forward(seconds)


def _forward(seconds: float) -> float:
    if not 0 <= seconds < float("inf"):
        msg = f"time only moves ahead, not by {seconds} s"
        raise ValueError(msg)
    return seconds
