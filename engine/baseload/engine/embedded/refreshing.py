"""Bringing the state up to what really is: every resource is read, what vanished is dropped, drift is told.

Must not know the program, files or processes.

Facts: Pulumi's source, `pkg/resource/deploy/step.go` (RefreshStep), `deployment_executor.go` (refresh,
rebuildBaseState) (2026-08).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from baseload.engine.embedded.goal import changed_fields, own_diff
from baseload.engine.embedded.ledger import Ledger, is_provider
from baseload.engine.embedded.provider import Live, Provider, ProviderError
from baseload.engine.embedded.providers import Providers
from baseload.engine.embedded.report import Report, Stopped
from baseload.engine.embedded.steps import Steps, marked
from baseload.engine.embedded.wire import plain
from baseload.engine.files.state import ResourceState
from baseload.engine.interface import FieldChange, Op


def refresh(
    steps: Steps,
    providers: Providers,
    parallel: int,
    *,
    only: Callable[[ResourceState], bool] = lambda _: True,
    count: bool,
) -> None:
    """Read the resources of the state and record what they are.

    `count`: the differences are the result (a refresh by itself), not a part of something else. What cannot be read
    stays as it was and is told to the report; nothing is raised.
    """
    _Refresh(steps, providers, count).run(parallel, only)


class _Refresh:
    def __init__(self, steps: Steps, providers: Providers, count: bool) -> None:
        self._ledger: Ledger = steps.ledger
        self._report: Report = steps.report
        self._providers = providers
        self._count = count

    def run(self, parallel: int, only: Callable[[ResourceState], bool]) -> None:
        wanted = [state for state in self._ledger.olds() if only(state)]
        olds = [state for state in wanted if _readable(state)]
        with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="refresh") as pool:
            found = dict(zip(map(id, olds), pool.map(self._read, olds), strict=True))
        for state in wanted:
            if not state.custom or is_provider(state.type):  # nothing to read, but Pulumi counts it
                self._report.started(Op.REFRESH, state)
                self._tell(Op.SAME, state)
        _record(self._ledger, found)
        self._settle({old.urn for old in olds if found[id(old)] is not old})

    def _read(self, old: ResourceState) -> ResourceState | None:
        """What it is now; the old state itself where that could not be found out, None where it is gone."""
        try:
            return self._try_read(old)
        except Stopped:
            return old
        except Exception as error:
            self._report.abort(error)
            return old

    def _try_read(self, old: ResourceState) -> ResourceState | None:
        self._report.check()
        self._report.started(Op.REFRESH, old)
        provider = self._providers.get(old.provider)
        try:
            live = provider.read(old, old.id, old.inputs, old.outputs)
        except ProviderError as error:
            raise self._report.failed(Op.REFRESH, old, error.reasons, stop=False) from error
        if not live.id:
            self._tell(Op.DELETE, old)
            return None
        new = _refreshed(old, live)
        self._report.know([new])
        if live.problems:
            self._report.message("warning", "; ".join(("it is not what it should be", *live.problems)), old.urn)
        fields = self._drift(provider, old, new)
        self._tell(Op.SAME if fields is None else Op.UPDATE, new, fields or ())
        return new

    def _drift(self, provider: Provider, old: ResourceState, new: ResourceState) -> tuple[FieldChange, ...] | None:
        """What differs from what the state said, from there to here; None: nothing."""
        if old.external:
            return () if plain(old.outputs) != plain(new.outputs) else None
        try:
            diff = provider.diff(new, old.inputs, tuple(old.extra.get("ignoreChanges", ())))
        except ProviderError as error:
            raise self._report.failed(Op.REFRESH, old, error.reasons, stop=False) from error
        if diff.changes is None:
            diff = own_diff(new.inputs, old.inputs)
        if not diff.changes:
            return None
        back = changed_fields(new, old.inputs, diff, old.extra.get("hideDiff", ()))
        return tuple(FieldChange(path=f.path, old=f.new, new=f.old) for f in back)

    def _tell(self, op: Op, state: ResourceState, fields: tuple[FieldChange, ...] = ()) -> None:
        if self._count:
            self._report.drifted(op, state, fields)
        else:
            self._report.done(Op.REFRESH, state)

    def _settle(self, read: Collection[str]) -> None:
        """What was read needs no second look; a create that was interrupted stays until it is found again."""
        uncertain = self._ledger.pending("updating", "deleting", "reading", "importing")
        self._ledger.settle([p for p in uncertain if p.resource.urn in read or (self._count and self._report.clean)])


def _readable(state: ResourceState) -> bool:
    return state.custom and not is_provider(state.type) and not state.pending_replacement


def _refreshed(old: ResourceState, live: Live) -> ResourceState:
    inputs = old.inputs if live.inputs is None else live.inputs
    new = replace(old, id=live.id, inputs=inputs, init_errors=live.problems)
    return replace(new, outputs=marked(new, live.outputs))


def _record(ledger: Ledger, found: dict[int, ResourceState | None]) -> None:
    """Put what was read in the place of what stood there; nothing may name a resource that is gone.

    First all replacements, then all removals: so the state is valid at every moment.
    """
    present: set[str] = set()
    parents: dict[str, str] = {}
    gone = []
    swaps = []
    for old in ledger.olds():
        new = found.get(id(old), old)
        if new is None:
            gone.append(old)
            parents.setdefault(old.urn, old.parent)
            continue
        clean = _without_dangling(new, present, parents)
        present.add(new.urn)
        if clean is not old:
            swaps.append((old, clean))
    for old, new in swaps:
        ledger.finish(swap=(old, new))
    for old in gone:
        ledger.finish(drop=old)


def _without_dangling(state: ResourceState, present: set[str], parents: dict[str, str]) -> ResourceState:
    """Without what is gone; a child of something that is gone belongs to that one's parent."""
    parent = state.parent
    while parent and parent not in present:
        parent = parents.get(parent, "")
    dependencies = tuple(urn for urn in state.dependencies if urn in present)
    # A key without dependencies goes too, as in Pulumi (`rebuildBaseState`).
    found = ((key, tuple(urn for urn in urns if urn in present)) for key, urns in state.property_dependencies.items())
    properties = {key: urns for key, urns in found if urns}
    wanted = (parent, dependencies, properties)
    if wanted == (state.parent, state.dependencies, dict(state.property_dependencies)):
        return state
    return replace(state, parent=parent, dependencies=dependencies, property_dependencies=properties)
