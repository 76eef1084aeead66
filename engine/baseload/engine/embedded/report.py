"""What an operation tells while it runs and has to say at its end: events, counts, failures; and when to stop.

Everything that leaves here is masked. Must not know providers, programs or files.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from baseload.engine.embedded.ledger import STACK_TYPE, is_provider
from baseload.engine.embedded.provider import name_of
from baseload.engine.embedded.wire import mask, secret_texts
from baseload.engine.files.state import ResourceState
from baseload.engine.interface import (
    SECRET,
    Event,
    FieldChange,
    Message,
    OnEvent,
    Op,
    Outcome,
    Status,
    StepDone,
    StepFailed,
    StepStarted,
    Summary,
    without_hints,
)
from baseload.planner.diagnostics import Diagnostic
from baseload.planner.errors import BaseloadError, Cancelled, DeployError

SHORTEST_SECRET = 8
"""Shorter secret texts (`true`, `4096`, `prod`) are not masked in messages: they occur there by chance."""

UNCOUNTED = frozenset({Op.CREATE_REPLACEMENT, Op.DELETE_REPLACED, Op.REFRESH, Op.DISCARD})
"""Parts of a replace, which counts once, and what Pulumi's summary leaves out."""

DOING = {
    Op.CREATE: "created",
    Op.CREATE_REPLACEMENT: "created anew",
    Op.UPDATE: "updated",
    Op.DELETE: "deleted",
    Op.DELETE_REPLACED: "deleted",
    Op.REPLACE: "replaced",
    Op.IMPORT: "imported",
    Op.REFRESH: "read",
}


class Stopped(Exception):
    """No further step may start: another failed, or the user interrupted. Never an answer to a user."""


class Report:
    """Of one operation. Threads share it; `on_event` is called by one at a time."""

    def __init__(self, on_event: OnEvent, clock: Callable[[], float] = time.monotonic) -> None:
        self._on_event = on_event
        self._clock = clock
        self._started_s = clock()
        self._lock = threading.RLock()
        self._counts: Counter[Op] = Counter()
        self._steps: list[StepStarted] = []
        self._failures: list[Diagnostic] = []
        self._errors: list[Exception] = []
        self._secrets: set[str] = set()
        self._parents: dict[str, str] = {}
        self.cancelled = False
        self.stopping = threading.Event()
        """Set at the first failure or interruption: steps that run go on to their end, no other starts."""

    # What people see.

    def started(self, op: Op, state: ResourceState, fields: tuple[FieldChange, ...] = ()) -> None:
        """A step begins."""
        if not _hidden(state):
            event = StepStarted(op=op, urn=state.urn, type=state.type, fields=fields)
            with self._lock:
                self._steps.append(event)
                self._emit(event)

    def done(self, op: Op, state: ResourceState) -> None:
        """A step ended well."""
        if _hidden(state):
            return
        with self._lock:
            if op not in UNCOUNTED:
                self._counts[op] += 1
            self._emit(StepDone(op=op, urn=state.urn, type=state.type, id=state.id, outputs=mask(state.outputs)))

    def drifted(self, op: Op, state: ResourceState, fields: tuple[FieldChange, ...]) -> None:
        """What a refresh found: the step stands for the difference, and counts."""
        if not _hidden(state):
            with self._lock:
                self._steps = [s for s in self._steps if s.urn != state.urn or s.op is not Op.REFRESH]
                self._steps.append(StepStarted(op=op, urn=state.urn, type=state.type, fields=fields))
            self.done(op, state)

    def message(self, severity: str, text: str, urn: str = "") -> None:
        """A lasting line."""
        self._emit(Message(severity=severity, text=self.scrub(text), urn=urn))

    def log(self, severity: str, text: str, urn: str, passing: bool) -> None:
        """A line of a provider or the program."""
        if severity == "debug":
            return
        if passing:
            self._emit(Status(urn=urn, text=self.scrub(text)))
        else:
            self.message(severity, text, urn)

    # What went wrong.

    def failed(
        self, op: Op, state: ResourceState, reasons: Sequence[str], hint: str | None = None, *, stop: bool = True
    ) -> Stopped:
        """A step failed; for the caller to raise."""
        clean = tuple(map(self.scrub, reasons))
        verb = DOING.get(op, "brought to the wanted state")
        told, remedy = without_hints(clean)
        summary = f"{self.path(state.urn)} could not be {verb}: {'; '.join(told)}"
        with self._lock:
            hints = "\n".join(filter(None, (remedy, hint))) or None
            self._failures.append(Diagnostic(code="engine/resource-failed", summary=summary, hint=hints))
            if stop:
                self.stopping.set()
            self._emit(StepFailed(op=op, urn=state.urn, type=state.type, reasons=clean))
        return Stopped(summary)

    def abort(self, error: Exception) -> Stopped:
        """The operation cannot go on; for the caller to raise."""
        with self._lock:
            if not any(error is known for known in self._errors):
                self._errors.append(error)
            self.stopping.set()
        return Stopped(str(error))

    def cancel(self) -> None:
        """The user interrupted."""
        self.cancelled = True
        self.stopping.set()

    def check(self) -> None:
        """Raises `Stopped` where no further step may start."""
        if self.stopping.is_set():
            raise Stopped

    @property
    def clean(self) -> bool:
        """Whether nothing failed and nobody interrupted."""
        return not (self._failures or self._errors or self.cancelled)

    # Names and secrets.

    def know(self, states: Iterable[ResourceState]) -> None:
        """Learn the parents of resources, for names, and their secrets."""
        with self._lock:
            for state in states:
                if state.parent:
                    self._parents[state.urn] = state.parent
                self.hide(state.inputs, state.outputs)

    def hide(self, *values: Any) -> None:
        """Never show the secret texts in these values, also not inside a provider's own text."""
        for value in values:
            self.hide_texts(secret_texts(value))

    def hide_texts(self, texts: Iterable[str]) -> None:
        """Never show these."""
        with self._lock:
            self._secrets.update(text for text in texts if len(text) >= SHORTEST_SECRET)

    def scrub(self, text: str) -> str:
        """Without secrets."""
        with self._lock:
            for hidden in sorted((s for s in self._secrets if s in text), key=len, reverse=True):
                text = text.replace(hidden, SECRET)
        return text

    def path(self, urn: str) -> str:
        """The names from the outermost component down to the resource: `mistral/mistral-endpoint`."""
        names = [name_of(urn)]
        parent = self._parents.get(urn)
        while parent and parent.split("::")[2] != STACK_TYPE:
            names.append(name_of(parent))
            parent = self._parents.get(parent)
        return "/".join(reversed(names))

    # The end.

    def conclude(self, outputs: Mapping[str, Any]) -> Outcome:
        """The last event, and what the operation did. Raises what `Engine` says where it did not succeed."""
        with self._lock:
            counts = dict(self._counts)
            self._emit(Summary(counts=counts, seconds=self._clock() - self._started_s))
            self._raise()
            return Outcome(counts=counts, steps=tuple(self._steps), outputs=mask(outputs))

    def _raise(self) -> None:
        errors: list[BaseloadError] = []
        for error in self._errors:
            if not isinstance(error, BaseloadError):
                raise error
            errors.append(error)
        told = (item for error in errors for item in error.diagnostics)
        found = [replace(item, summary=self.scrub(item.summary)) for item in (*self._failures, *told)]
        if self.cancelled:
            summary = "interrupted; steps that had begun were ended and recorded"
            note = Diagnostic(code="engine/cancelled", summary=summary, hint="run the command again to go on")
            raise Cancelled(note, *found)
        if found and not self._failures and len({type(error) for error in errors}) == 1:
            raise type(errors[0])(*found)
        if found:
            raise DeployError(*found)

    def _emit(self, event: Event) -> None:
        with self._lock:
            self._on_event(event)


def _hidden(state: ResourceState) -> bool:
    """Default providers are the engine's own business, also in Pulumi."""
    name = name_of(state.urn)
    return is_provider(state.type) and (name == "default" or name.startswith("default_"))
