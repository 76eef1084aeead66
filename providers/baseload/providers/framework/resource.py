"""What a platform's resource implements, and what an operation may ask of its surroundings while it runs.

Verbs get plain values (no secret marks; unknowns only in `check` and in comparisons) and give plain values back:
marking, masking and the protocol are the servicer's. Must not know gRPC.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from baseload.planner.errors import BaseloadError, Cancelled, TimedOut
from baseload.providers.framework.properties import Failure, Record

Properties = Mapping[str, Any]

SHORTEST_SECRET = 4
"""Characters; shorter secret texts ("1", "on") are not masked in messages, or every message would be unreadable."""


class Made(NamedTuple):
    """A resource that was created or found: its id, inputs and outputs (outputs hold the inputs too)."""

    id: str
    inputs: Properties
    outputs: Properties


class InitFailed(Exception):
    """It exists, but is not as wanted: the id goes into the state, and the next update repairs it."""

    def __init__(self, made: Made, reasons: Iterable[str]) -> None:
        self.made, self.reasons = made, tuple(reasons)
        super().__init__("; ".join(self.reasons))


@dataclass(frozen=True)
class Time:
    """Where time comes from: `now` in seconds, `wait` returns early (and True) once its event is set."""

    now: Callable[[], float] = time.monotonic
    wait: Callable[[threading.Event, float], bool] = threading.Event.wait


@dataclass(frozen=True)
class Operation:
    """One call of the engine: who asks, how long it may take, whether it still wants the answer.

    `stop` is set by Cancel, and as soon as the engine's connection is gone.
    """

    urn: str
    timeout_s: float = 0
    """The user's custom timeout; 0 is none."""
    until: float = math.inf
    """When that is over, on the operation's clock."""
    secrets: frozenset[str] = frozenset()
    """Texts that must appear in no message."""
    stop: threading.Event = field(default_factory=threading.Event)
    log: Callable[[str, str, bool], None] = lambda severity, text, passing: None
    time: Time = Time()

    def now(self) -> float:
        """Seconds on the operation's clock."""
        return self.time.now()

    def check(self) -> None:
        """Raise `Cancelled` unless an engine is there that wants this done; called right before every mutation."""
        if self.stop.is_set():
            raise Cancelled.of("provider/cancelled", "The operation was cancelled, or the engine that asked is gone.")

    def pause(self, seconds: float) -> None:
        """Wait; raises `Cancelled` as soon as the operation is, `TimedOut` when its time was over before."""
        self.check()
        if self.now() >= self.until:
            text = f"Not finished after the custom timeout of {self.timeout_s:g} s"
            raise TimedOut.of("provider/timeout", text, hint="Raise the resource's customTimeouts.")
        self.time.wait(self.stop, seconds)
        self.check()

    def status(self, text: str) -> None:
        """A passing line beside the resource in the engine's display."""
        self.log("info", self.masked(text), True)

    def note(self, text: str) -> None:
        """A lasting remark about the resource."""
        self.log("info", self.masked(text), False)

    def warn(self, text: str) -> None:
        """A lasting warning about the resource."""
        self.log("warning", self.masked(text), False)

    def masked(self, text: str) -> str:
        """The text without any secret of this operation; longer ones go first, as one may hold another."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, "[secret]")
        return text


class Resource:
    """One type of resource. Subclasses declare and implement; every verb may run in many threads at once.

    Verbs raise `BaseloadError` for what the user can mend, `InitFailed` for what exists and is not as wanted.
    """

    token: str
    text: str = ""
    inputs: Record
    outputs: Record
    """What comes on top of the inputs."""
    replaces: frozenset[str] = frozenset()
    """Top-level inputs whose change makes a new resource; the old one is deleted first."""
    settles: Mapping[str, frozenset[str]] = {}
    """Outputs that are unknown in the preview of an update, by the inputs that move them."""
    holds: Mapping[str, frozenset[str]] = {}
    """Outputs that contain the text of inputs, and are secret when one of these is."""

    def fill(self, inputs: Properties) -> dict[str, Any]:
        """The inputs with defaults, also those that depend on other fields."""
        filled: dict[str, Any] = self.inputs.fill(inputs)
        return filled

    def check(self, inputs: Properties) -> Iterable[Failure]:
        """Rules between fields; called with defaults filled in, also while the types have failures."""
        return ()

    def comparable(self, old: Properties, new: Properties) -> tuple[Properties, Properties]:
        """Old and new inputs in the form in which they are compared; a tuple in place of a list is one value."""
        return old, new

    def seen(self, operation: Operation, id_: str) -> None:
        """The engine's state holds this id for the operation's URN."""

    def create(self, operation: Operation, inputs: Properties) -> Made:
        """Make it, once, however often this is called for the same thing."""
        raise NotImplementedError

    def read(self, operation: Operation, id_: str, inputs: Properties, state: Properties) -> Made | None:
        """How it really is, None when it is gone. Inputs and state are empty in an import."""
        raise NotImplementedError

    def update(
        self,
        operation: Operation,
        id_: str,
        inputs: Properties,
        old_inputs: Properties,
        state: Properties,
        ignored: frozenset[str] = frozenset(),
    ) -> Made:
        """Bring it from the old inputs to the new ones; equal inputs ask for a repair, sparing `ignored` fields."""
        raise NotImplementedError

    def delete(self, operation: Operation, id_: str, state: Properties) -> None:
        """Make sure it is gone; already gone is fine."""
        raise NotImplementedError


def explain(error: BaseloadError) -> str:
    """An error as one text for the engine's display: summary, code, remedy."""
    lines = []
    for item in error.diagnostics:
        lines.append(f"{item.summary} [{item.code}]")
        if item.hint:
            lines.append(f"hint: {item.hint}")
    return "\n".join(lines)
