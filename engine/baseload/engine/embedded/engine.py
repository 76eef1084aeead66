"""The embedded engine: Pulumi's operations in this process, on Pulumi's own files, with Pulumi's provider plugins.

To Pulumi what SQLite is to PostgreSQL: it stays small by refusing, by name, what it does not support. This module
opens a stack (project, lock, state, key) and closes it again, whatever happens; `operation` works on it.

Pulumi's SDK is imported beside that, in another thread: it takes 0.2 s, and a key takes 0.3 s of another core.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baseload.engine.embedded.session import open_for_writing, rehearse
from baseload.engine.files.backend import FileBackend, Loaded, now
from baseload.engine.files.project import Project
from baseload.engine.files.secrets import Passphrase
from baseload.engine.files.state import ResourceState, Snapshot
from baseload.engine.interface import Message, OnEvent, Outcome, Program, ResourceView, StackRef
from baseload.planner.errors import NoSuchStack, UsageError

if TYPE_CHECKING:
    from baseload.engine.embedded.operation import Operation

PARALLEL = 64
"""Operations at the same time, unless the caller says otherwise."""


class EmbeddedEngine:
    """See `interface.Engine`. One object may be used for several operations, one after the other or at once."""

    name = "embedded"

    def __init__(
        self,
        *,
        environment: Mapping[str, str] | None = None,
        ask: Callable[[str], str] | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        """`environment`: where Pulumi's variables are read, default this process's; `ask`: for the passphrase."""
        self._environment = environment
        self._ask = ask
        self._clock = clock
        self._passphrases: dict[Path, Passphrase] = {}

    def preview(self, stack: StackRef, program: Program, on_event: OnEvent, *, refresh: bool = False) -> Outcome:
        """See `Engine`. A stack that does not exist, or holds no secrets, needs no passphrase."""
        with self._operation(stack, on_event, dry_run=True) as operation:
            return operation.run(program, refresh=refresh, parallel=PARALLEL)

    def up(
        self,
        stack: StackRef,
        program: Program,
        on_event: OnEvent,
        *,
        refresh: bool = False,
        parallel: int | None = None,
    ) -> Outcome:
        """See `Engine`."""
        with self._operation(stack, on_event) as operation:
            return operation.run(program, refresh=refresh, parallel=parallel or PARALLEL)

    def refresh(self, stack: StackRef, on_event: OnEvent, *, dry_run: bool = False) -> Outcome:
        """See `Engine`. An interrupted create stays pending until an `up` has found it again."""
        with self._operation(stack, on_event, dry_run=dry_run, must_exist=True) as operation:
            return operation.refresh(PARALLEL)

    def destroy(
        self, stack: StackRef, on_event: OnEvent, *, parallel: int | None = None, remove: bool = False
    ) -> Outcome:
        """See `Engine`. What an interrupted create may have left is found and deleted too."""
        with self._operation(stack, on_event, must_exist=True) as operation:
            outcome = operation.destroy(parallel or PARALLEL)
            if remove:
                operation.session.remove()
            return outcome

    def exists(self, stack: StackRef) -> bool:
        """See `Engine`."""
        project, backend = self._open(stack)
        return backend.exists(project.name, stack.stack)

    def resources(self, stack: StackRef) -> Sequence[ResourceView]:
        """See `Engine`. Needs no passphrase."""
        loaded = self._read(stack)
        if loaded is None:
            return ()
        snapshot = loaded.snapshot
        creating = [p.resource for p in snapshot.pending_operations if p.type == "creating"]
        return (*map(_view, snapshot.resources), *(_view(state, pending=True) for state in creating))

    def outputs(self, stack: StackRef) -> Mapping[str, Any]:
        """See `Engine`. Needs no passphrase."""
        loaded = self._read(stack)
        return _stack_outputs(loaded.snapshot) if loaded else {}

    def cancel(self, stack: StackRef) -> None:
        """See `Engine`."""
        project, backend = self._open(stack)
        backend.break_locks(project.name, stack.stack)

    def _open(self, stack: StackRef) -> tuple[Project, FileBackend]:
        """The project's files and its backend. Raises as `Project.load`."""
        project = Project.load(stack.root, stack.stack, self._environment)
        if stack.project != project.name:
            raise UsageError.of(
                "engine/project-file", f"Pulumi.yaml names the project {project.name!r}, not {stack.project!r}"
            )
        return project, FileBackend(project.backend_url, clock=self._clock)

    def _read(self, stack: StackRef) -> Loaded | None:
        project, backend = self._open(stack)
        return backend.load(project.name, stack.stack, None)

    @contextmanager
    def _operation(
        self, stack: StackRef, on_event: OnEvent, *, dry_run: bool = False, must_exist: bool = False
    ) -> Iterator[Operation]:
        project, backend = self._open(stack)
        if must_exist and not backend.exists(project.name, project.stack):
            raise NoSuchStack.of("engine/no-stack", f"there is no stack {project.stack}")
        ambient = os.environ if self._environment is None else self._environment
        passphrase = self._passphrases.setdefault(project.root, Passphrase(project.root, ambient, self._ask))

        def notice(text: str) -> None:
            on_event(Message(severity="warning", text=text))

        with nullcontext() if dry_run else backend.lock(project.name, project.stack, notice):
            early = _Background(lambda: _prepare(project, stack.environment, ambient, on_event))
            try:
                session = (rehearse if dry_run else open_for_writing)(project, backend, passphrase)
                operation = early.result()
            except BaseException:
                early.discard()
                raise
            with operation.on(session):
                yield operation


class _Background:
    """A value that is made in another thread, and closed if nobody comes for it."""

    def __init__(self, make: Callable[[], Operation]) -> None:
        self._made: Future[Operation] = Future()
        self._make = make
        threading.Thread(target=self._run, name="prepare", daemon=True).start()

    def result(self) -> Operation:
        return self._made.result()

    def discard(self) -> None:
        if self._made.exception() is None:
            self._made.result().close()

    def _run(self) -> None:
        try:
            self._made.set_result(self._make())
        except BaseException as error:
            self._made.set_exception(error)


def _prepare(
    project: Project, environment: Mapping[str, str], ambient: Mapping[str, str], on_event: OnEvent
) -> Operation:
    from baseload.engine.embedded.operation import Operation

    return Operation(project, environment, ambient, on_event)


def _view(state: ResourceState, pending: bool = False) -> ResourceView:
    return ResourceView(
        urn=state.urn,
        type=state.type,
        id=state.id,
        custom=state.custom,
        inputs=_mask(state.inputs),
        outputs=_mask(state.outputs),
        parent=state.parent,
        pending=pending,
    )


def _stack_outputs(snapshot: Snapshot) -> Mapping[str, Any]:
    stacks = (state for state in snapshot.resources if state.type == "pulumi:pulumi:Stack" and not state.delete)
    return {key: _mask(value) for state in stacks for key, value in state.outputs.items()}


def _mask(value: Any) -> Any:
    from baseload.engine.embedded.wire import mask

    return mask(value)
