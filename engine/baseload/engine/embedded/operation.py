"""One operation on one stack from its first event to its last: plugins up, work, interruptions, plugins down.

Must not know project files, locks or keys: it is handed an open stack.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from types import FrameType
from typing import Any

from baseload.engine.embedded.deletion import delete_unwanted
from baseload.engine.embedded.deployment import Deployment
from baseload.engine.embedded.ledger import STACK_TYPE, Ledger, is_provider
from baseload.engine.embedded.monitor import Monitor, ProgramLog
from baseload.engine.embedded.plugins import Plugins
from baseload.engine.embedded.providers import Providers
from baseload.engine.embedded.refreshing import refresh
from baseload.engine.embedded.report import Report, Stopped
from baseload.engine.embedded.session import Session
from baseload.engine.embedded.steps import Steps
from baseload.engine.files.backend import now
from baseload.engine.files.project import Project
from baseload.engine.files.state import ResourceState
from baseload.engine.interface import OnEvent, Outcome, Program
from baseload.engine.program import ProgramRun, explain

POLL_S = 0.2
"""How often a program that does not end is looked after, for an interruption that abandons it."""

UNCERTAIN = ("updating", "deleting", "reading", "importing")
"""Interrupted operations whose resource is read before anything is decided about it."""


class Operation:
    """Starting it starts the plugins the project names; `on` gives it a stack, then one of the others is called."""

    session: Session

    def __init__(
        self, project: Project, environment: Mapping[str, str], ambient: Mapping[str, str], on_event: OnEvent
    ) -> None:
        self._project = project
        self.report = Report(on_event)
        self._closing = ExitStack()
        self._plugins = self._closing.enter_context(Plugins(project, environment, self.report.log, ambient))
        for plugin in project.providers:
            self._plugins.warm(plugin.name)

    def close(self) -> None:
        """End the plugins."""
        self._closing.close()

    @contextmanager
    def on(self, session: Session) -> Iterator[None]:
        """Work on this stack; leaving makes everything durable and ends all plugins."""
        self.session = session
        with self._interruptible(), self._closing:
            self._ledger = Ledger(session.snapshot, session.writer)
            self._providers = Providers(self._plugins, self._ledger)
            self._steps = Steps(self._ledger, self.report, dry_run=session.writer is None, clock=now)
            self.report.know([*session.snapshot.resources, *(p.resource for p in session.snapshot.pending_operations)])
            for state in session.snapshot.resources:
                if is_provider(state.type):
                    self._plugins.warm(state.type.rpartition(":")[2])
            yield

    def run(self, program: Program, *, refresh: bool, parallel: int) -> Outcome:
        """Bring the stack to what the program declares; in a preview, tell what that would be."""
        outputs: Mapping[str, Any] = {}
        with self.session.writer or nullcontext():
            self._tell_pending()
            self._look_first(everything=refresh or self._project.always_refresh, parallel=parallel)
            if self.report.clean:
                deployment = self._declare(program, parallel)
                if self.report.clean:
                    delete_unwanted(self._steps, self._providers, deployment.registered(), parallel)
                outputs = deployment.conclude()
            self._settle()
        return self.report.conclude(outputs)

    def refresh(self, parallel: int) -> Outcome:
        """Read every resource; the differences are the result."""
        with self.session.writer or nullcontext():
            refresh(self._steps, self._providers, parallel, count=True)
        stacks = (state for state in self._ledger.olds() if state.type == STACK_TYPE)
        return self.report.conclude(next((state.outputs for state in stacks), {}))

    def destroy(self, parallel: int) -> Outcome:
        """Delete every resource."""
        with self.session.writer or nullcontext():
            self._tell_pending()
            delete_unwanted(self._steps, self._providers, frozenset(), parallel)
            self._settle()
        return self.report.conclude({})

    def _declare(self, program: Program, parallel: int) -> Deployment:
        config = self.session.config
        project = self._project
        self.report.hide_texts(config.values[key] for key in config.secret_keys)
        deployment = Deployment(self._steps, self._providers, config, project=project.name, stack=project.stack)
        run = ProgramRun(
            program,
            Monitor(deployment, self.report),
            ProgramLog(self.report),
            root=project.root,
            project=project.name,
            stack=project.stack,
            config=config,
            dry_run=self._steps.dry_run,
            parallel=parallel,
        )
        while not run.done.wait(POLL_S):
            if self._interruptions > 1:
                break
        if run.error and not _is_echo(run.error):
            self.report.abort(explain(run.error, project.root))
        return deployment

    def _tell_pending(self) -> None:
        for pending in self._ledger.pending("creating", *UNCERTAIN):
            path = self.report.path(pending.resource.urn)
            text = f"an earlier run was interrupted while {pending.type} {path}; it is looked after now"
            if self._steps.dry_run:  # without a lock nobody knows whether that run has ended
                text = f"{pending.type} {path} is not confirmed: by a run that goes on, or was interrupted"
            self.report.message("warning", text, pending.resource.urn)

    def _look_first(self, *, everything: bool, parallel: int) -> None:
        """Read what must be known before anything is decided: all of it, or what an interruption left uncertain."""
        uncertain = {pending.resource.urn for pending in self._ledger.pending("updating", "deleting")}

        def wanted(state: ResourceState) -> bool:
            return everything or (state.urn in uncertain and not state.delete)

        if any(map(wanted, self._ledger.olds())):
            refresh(self._steps, self._providers, parallel, only=wanted, count=False)

    def _settle(self) -> None:
        if self.report.clean:
            self._ledger.settle(self._ledger.pending(*UNCERTAIN))

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end an operation in order; a second one at once."""
        self._interruptions = 0
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Only starts a thread: the main thread may hold any lock when this is called."""
        del number, frame
        self._interruptions += 1
        threading.Thread(target=self._interrupt, args=(self._interruptions,), name="interrupt", daemon=True).start()

    def _interrupt(self, times: int) -> None:
        self.report.cancel()
        if times > 1:
            self._plugins.kill()
            return
        self.report.message("warning", "interrupted: steps that have begun are being ended; once more stops at once")
        self._providers.cancel()


def _is_echo(error: BaseException | None) -> bool:
    """Whether a program's exception only repeats that the operation ended."""
    return error is not None and (isinstance(error, Stopped) or _is_echo(error.__cause__ or error.__context__))
