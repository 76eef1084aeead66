"""Deleting what nobody wants any more: dependents before what they depend on, the rest at the same time.

Must not know the program, files or processes.

Facts: Pulumi's source, `pkg/resource/deploy/step_generator.go` (GenerateDeletes, ScheduleDeletes),
`deployment_executor.go` (2026-08). Other than there a resource waits only for its own dependents, not for a whole
layer of them.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from baseload.engine.embedded.ledger import Ledger, requirements
from baseload.engine.embedded.providers import Providers
from baseload.engine.embedded.report import Report, Stopped
from baseload.engine.embedded.steps import Steps, needs_provider
from baseload.engine.embedded.wire import plain
from baseload.engine.files.state import PendingOperation, ResourceState
from baseload.engine.interface import Op


def delete_unwanted(steps: Steps, providers: Providers, wanted: Collection[str], parallel: int) -> None:
    """Delete every resource of the state that is not `wanted` (URNs), and every old half of a replace.

    What cannot be deleted is told to the report; nothing is raised.
    """
    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="delete") as pool:
        _Deletion(steps, providers, pool).run(wanted)


class _Deletion:
    def __init__(self, steps: Steps, providers: Providers, pool: ThreadPoolExecutor) -> None:
        self._steps = steps
        self._ledger: Ledger = steps.ledger
        self._report: Report = steps.report
        self._providers = providers
        self._pool = pool
        self._running = 0
        self._ended: SimpleQueue[tuple[ResourceState, bool]] = SimpleQueue()

    def run(self, wanted: Collection[str]) -> None:
        self._settle_creates()
        condemned = [s for s in self._ledger.olds() if s.delete or s.urn not in wanted]
        states = {id(state): state for state in condemned}
        needed_by, needs = _edges(condemned)
        for state in reversed(condemned):
            if not needed_by[id(state)]:
                self._submit(state)
        while self._running:
            state, gone = self._ended.get()
            self._running -= 1
            for other in needs[id(state)] if gone else ():
                needed_by[other].discard(id(state))
                if not needed_by[other]:
                    self._submit(states[other])

    def _submit(self, state: ResourceState) -> None:
        self._running += 1
        self._pool.submit(lambda: self._ended.put((state, self._delete(state))))

    def _delete(self, state: ResourceState) -> bool:
        try:
            op = Op.DELETE
            if state.delete:
                op = Op.DELETE_REPLACED
            if state.pending_replacement or state.external:
                op = Op.DISCARD
            if op is Op.DELETE and state.protect:
                self._report.started(op, state)
                raise self._steps.refuse_protected(op, state, stop=False)
            self._report.check()
            needed = needs_provider(state) and not self._steps.dry_run
            self._steps.delete(self._providers.get(state.provider) if needed else None, state, op)
        except Stopped:
            return False
        except Exception as error:
            self._report.abort(error)
            return False
        return True

    def _settle_creates(self) -> None:
        """Creates that an earlier run announced, whose end is not known, and that this run did not repeat."""
        futures = []
        for pending in self._ledger.pending("creating"):
            old = self._ledger.old(pending.resource.urn) or self._ledger.new(pending.resource.urn)
            if old and plain(old.inputs) == plain(pending.resource.inputs):
                self._ledger.settle([pending])
            else:
                futures.append(self._pool.submit(self._delete_orphan, pending))
        for future in futures:
            future.result()

    def _delete_orphan(self, pending: PendingOperation) -> None:
        try:
            provider = None if self._steps.dry_run else self._providers.get(pending.resource.provider)
            self._steps.delete_orphan(provider, pending)
        except Stopped:
            return
        except Exception as error:
            self._report.abort(error)


def _edges(condemned: list[ResourceState]) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    """By identity, whom each is needed by and whom it needs; of two states of one URN the ones that stand before."""
    needed_by: dict[int, set[int]] = {id(state): set() for state in condemned}
    needs: dict[int, set[int]] = {id(state): set() for state in condemned}
    standing: dict[str, list[int]] = {}
    for state in condemned:
        for urn in requirements(state):
            for other in standing.get(urn, ()):
                needed_by[other].add(id(state))
                needs[id(state)].add(other)
        standing.setdefault(state.urn, []).append(id(state))
    return needed_by, needs
