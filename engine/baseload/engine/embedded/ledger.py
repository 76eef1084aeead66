"""A stack's resources while an operation changes them: what was there before, what this run has put there.

Every change goes to the writer, which makes it durable; in a preview there is no writer and the change is only
remembered. Must not know programs or providers.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from baseload.engine.embedded.wire import COMPUTED_TEXT
from baseload.engine.files.backend import Intent, Writer
from baseload.engine.files.state import PendingOperation, ResourceState, Snapshot, needs

PROVIDER_TYPES = "pulumi:providers:"
STACK_TYPE = "pulumi:pulumi:Stack"


def is_provider(token: str) -> bool:
    """Whether resources of this type are providers."""
    return token.startswith(PROVIDER_TYPES)


def reference(state: ResourceState) -> str:
    """How resources name this provider: `<urn>::<id>`; in a preview a new one has no id yet."""
    return f"{state.urn}::{state.id or COMPUTED_TEXT}"


class Ledger:
    """Threads may share it. States are told apart by identity, since a URN may stand there twice."""

    def __init__(self, snapshot: Snapshot, writer: Writer | None) -> None:
        self._writer = writer
        self._lock = threading.Lock()
        self._olds = dict(enumerate(snapshot.resources))
        self._places = {id(state): place for place, state in self._olds.items()}
        self._current = {state.urn: state for state in snapshot.resources if not state.delete}
        self._news: dict[str, ResourceState] = {}
        self._pending = writer.intents if writer else tuple(map(Intent, snapshot.pending_operations))

    def old(self, urn: str) -> ResourceState | None:
        """What the state had before this run, unless it is the old half of a replace."""
        with self._lock:
            return self._current.get(urn)

    def olds(self) -> list[ResourceState]:
        """What is left of the state before this run, in its order."""
        with self._lock:
            return list(self._olds.values())

    def new(self, urn: str) -> ResourceState | None:
        """What this run has put there."""
        with self._lock:
            return self._news.get(urn)

    def all(self) -> list[ResourceState]:
        """Everything, in the order of the state."""
        with self._lock:
            return [*self._news.values(), *self._olds.values()]

    def provider(self, ref: str) -> ResourceState | None:
        """The provider resource behind a reference."""
        return next((s for s in self.all() if is_provider(s.type) and reference(s) == ref), None)

    def pending(self, *kinds: str) -> list[PendingOperation]:
        """Operations that an earlier run announced and did not end, except those `settle`d since."""
        with self._lock:
            return [intent.operation for intent in self._pending if intent.operation.type in kinds]

    def settle(self, operations: Iterable[PendingOperation]) -> None:
        """These operations of an earlier run need no more thought."""
        with self._lock:
            settled = {id(operation) for operation in operations}
            done = [intent for intent in self._pending if id(intent.operation) in settled]
            self._pending = tuple(intent for intent in self._pending if id(intent.operation) not in settled)
        for intent in done if self._writer else ():
            self._writer.finish(intent)  # type: ignore[union-attr]

    def begin(self, doing: str, state: ResourceState) -> Intent | None:
        """Announce an operation; returns once that is durable. Raises `BaseloadError` where it cannot be."""
        return self._writer.begin(doing, state) if self._writer else None

    def finish(
        self,
        intent: Intent | None = None,
        *,
        put: ResourceState | None = None,
        drop: ResourceState | None = None,
        swap: tuple[ResourceState, ResourceState] | None = None,
    ) -> None:
        """Record what an operation did, as `Writer.finish`."""
        with self._lock:
            if swap:
                self._swap(*swap)
            if drop:
                self._drop(drop)
            if put:
                present = self._current.get(put.urn)
                if present:
                    self._drop(present)
                self._news[put.urn] = put
        if self._writer:
            self._writer.finish(intent, put=put, drop=drop, swap=swap)

    def _swap(self, old: ResourceState, new: ResourceState) -> None:
        place = self._places.pop(id(old))
        self._places[id(new)] = place
        self._olds[place] = new
        if self._current.get(old.urn) is old:
            del self._current[old.urn]
        if not new.delete:
            self._current[new.urn] = new

    def _drop(self, state: ResourceState) -> None:
        place = self._places.pop(id(state), None)
        if place is not None:
            del self._olds[place]
        if self._current.get(state.urn) is state:
            del self._current[state.urn]
        if self._news.get(state.urn) is state:
            del self._news[state.urn]


def requirements(state: ResourceState) -> set[str]:
    """The URNs of what must exist as long as this does: parent, dependencies, provider."""
    provider = {state.provider.rpartition("::")[0]} if state.provider else set()
    return {*needs(state), *provider}
