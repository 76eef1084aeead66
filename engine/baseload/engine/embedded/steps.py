"""The steps: what is done to one resource once it is decided. Each announces itself, calls the provider, records.

A step that cannot be done records what is true then and raises `Stopped`. Must not decide what is to be done.

Facts: Pulumi's source, `pkg/resource/deploy/step.go`, `step_executor.go`, `pkg/backend/snapshot.go` (2026-08), and
CLI 3.260.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from baseload.engine.embedded.ledger import Ledger, is_provider
from baseload.engine.embedded.provider import InitFailed, Live, Provider, ProviderError
from baseload.engine.embedded.report import Report
from baseload.engine.embedded.wire import secret
from baseload.engine.files.state import PendingOperation, ResourceState, Secret
from baseload.engine.interface import FieldChange, Op

SETTLE_LIMIT_S = 60.0
"""How long the create that finds an orphan again may wait for it to become ready: it is deleted right after."""

UNPROTECT = "remove `protect` from it in the program and run `up`; then it can be deleted"

Fields = tuple[FieldChange, ...]


def needs_provider(state: ResourceState) -> bool:
    """Whether a provider has to be asked to delete it; the others are only forgotten."""
    gone_or_kept = state.external or state.retain_on_delete or state.pending_replacement
    return state.custom and not is_provider(state.type) and not gone_or_kept


class Steps:
    """Threads may share it."""

    def __init__(self, ledger: Ledger, report: Report, *, dry_run: bool, clock: Callable[[], datetime]) -> None:
        self.ledger = ledger
        self.report = report
        self.dry_run = dry_run
        self._clock = clock

    def same(self, state: ResourceState) -> ResourceState:
        """Nothing is to be done; what the state says besides (dependencies, options) is kept up to date."""
        self.report.check()
        self.report.started(Op.SAME, state)
        self.ledger.finish(put=state)
        self.report.done(Op.SAME, state)
        return state

    def put(self, op: Op, state: ResourceState, retire: ResourceState | None = None, fields: Fields = ()) -> None:
        """A component or a provider, which no provider makes. A component's end is told with its outputs."""
        self.report.check()
        self.report.started(op, state, fields)
        state = state if op is Op.SAME else self._stamp(op, state)
        self.ledger.finish(put=state, swap=_retired(retire))
        if state.custom:
            self.report.done(op, state)

    def create(
        self,
        provider: Provider,
        state: ResourceState,
        op: Op = Op.CREATE,
        *,
        retire: ResourceState | None = None,
        fields: Fields = (),
    ) -> ResourceState:
        """`retire` is the old half of a create-before-delete: from now on it waits for its deletion."""
        self.report.check()
        self.report.started(op, state, fields)
        timeout_s = state.custom_timeouts.get("create", 0)
        if self.dry_run:
            live = self._try(op, state, lambda: provider.create(state, state.inputs, timeout_s, preview=True))
            made = _live(replace(state, id=""), live)
            self.ledger.finish(put=made, swap=_retired(retire))
            self.report.done(op, made)
            return made
        earlier = [p for p in self.ledger.pending("creating") if p.resource.urn == state.urn]
        intent = self.ledger.begin("creating", state)
        try:
            live = provider.create(state, state.inputs, timeout_s, preview=False)
        except InitFailed as error:
            made = _live(replace(state, init_errors=error.reasons), Live(id=error.id, outputs=error.outputs))
            self.ledger.finish(intent, put=self._stamp(op, made), swap=_retired(retire))
            self.ledger.settle(earlier)
            raise self.report.failed(op, made, error.reasons, hint=_AGAIN) from error
        except ProviderError as error:
            if not error.lost:
                self.ledger.finish(intent)
            raise self.report.failed(op, state, error.reasons) from error
        made = self._stamp(op, _live(state, live))
        self.report.hide(made.outputs)
        self.ledger.finish(intent, put=made, swap=_retired(retire))
        self.ledger.settle(earlier)
        self.report.done(op, made)
        return made

    def update(
        self, provider: Provider, old: ResourceState, state: ResourceState, ignore: Sequence[str], fields: Fields = ()
    ) -> ResourceState:
        """In place."""
        self.report.check()
        state = replace(state, id=old.id)
        self.report.started(Op.UPDATE, state, fields)
        timeout_s = state.custom_timeouts.get("update", 0)
        intent = self.ledger.begin("updating", state) if not self.dry_run else None
        try:
            live = provider.update(old, state.inputs, ignore, timeout_s, preview=self.dry_run)
        except InitFailed as error:
            live = Live(id=old.id, outputs=error.outputs)
            partly = _live(replace(state, inputs=old.inputs, init_errors=error.reasons), live)
            self.ledger.finish(intent, put=self._stamp(Op.UPDATE, partly))
            raise self.report.failed(Op.UPDATE, partly, error.reasons, hint=_AGAIN) from error
        except ProviderError as error:
            if not error.lost:
                self.ledger.finish(intent)
            raise self.report.failed(Op.UPDATE, state, error.reasons) from error
        made = self._stamp(Op.UPDATE, _live(state, live))
        self.report.hide(made.outputs)
        self.ledger.finish(intent, put=made)
        self.report.done(Op.UPDATE, made)
        return made

    def read_existing(
        self, provider: Provider, state: ResourceState, import_id: str, retire: ResourceState | None
    ) -> ResourceState:
        """Take what exists into the state (`import_`), as the provider reads it."""
        self.report.check()
        self.report.started(Op.IMPORT, state)
        intent = self.ledger.begin("importing", state) if not self.dry_run else None
        try:
            live = provider.read(state, import_id)
            if not live.found:
                raise ProviderError((f"there is no resource with the id {import_id!r}",))
            if live.inputs is None:
                raise ProviderError(("its provider cannot import",))
        except ProviderError as error:
            self.ledger.finish(intent)
            raise self.report.failed(Op.IMPORT, state, error.reasons) from error
        made = replace(state, inputs=live.inputs, init_errors=live.problems)
        made = self._stamp(Op.CREATE, _live(made, replace(live, id=live.id or import_id)))
        self.report.know([made])
        self.ledger.finish(intent, put=made, swap=_retired(retire))
        self.report.done(Op.IMPORT, made)
        return made

    def delete(self, provider: Provider | None, old: ResourceState, op: Op, *, then_replace: bool = False) -> None:
        """`provider` None: it is only forgotten. `then_replace`: it stays in the state until its successor is made."""
        self.report.check()
        self.report.started(op, old)
        after = {"swap": (old, replace(old, pending_replacement=True))} if then_replace else {"drop": old}
        if provider is None or self.dry_run:
            self.ledger.finish(None, **after)
            self.report.done(op, old)
            return
        intent = self.ledger.begin("deleting", old)
        try:
            provider.delete(old)
        except ProviderError as error:
            if not error.lost:
                self.ledger.finish(intent)
            raise self.report.failed(op, old, error.reasons) from error
        self.ledger.finish(intent, **after)
        self.report.done(op, old)

    def refuse_protected(self, op: Op, state: ResourceState, *, stop: bool) -> Exception:
        """Deleting or replacing what is protected; for the caller to raise."""
        return self.report.failed(op, state, ("it is protected",), hint=UNPROTECT, stop=stop)

    def delete_orphan(self, provider: Provider | None, pending: PendingOperation) -> None:
        """What an interrupted create may have left, and nobody wants: found by creating it again, then deleted.

        Only the provider can tell whether the first create happened; its create adopts what it made.
        """
        self.report.check()
        orphan = pending.resource
        self.report.started(Op.DELETE, orphan)
        try:
            if provider is not None:
                provider.delete(self._found_again(provider, orphan))
        except ProviderError as error:
            raise self.report.failed(Op.DELETE, orphan, error.reasons) from error
        self.ledger.settle([pending])
        self.report.done(Op.DELETE, orphan)

    def _found_again(self, provider: Provider, orphan: ResourceState) -> ResourceState:
        try:
            live = provider.create(orphan, orphan.inputs, SETTLE_LIMIT_S, preview=False)
        except InitFailed as error:
            live = Live(id=error.id, outputs=error.outputs)
        return replace(orphan, id=live.id, outputs=live.outputs)

    def replaced(self, state: ResourceState, fields: Fields) -> None:
        """Tell a replace as a whole, as Pulumi does between its halves."""
        self.report.started(Op.REPLACE, state, fields)
        self.report.done(Op.REPLACE, state)

    def _try(self, op: Op, state: ResourceState, call: Callable[[], Live]) -> Live:
        try:
            return call()
        except ProviderError as error:
            raise self.report.failed(op, state, error.reasons) from error

    def _stamp(self, op: Op, state: ResourceState) -> ResourceState:
        now = self._clock().isoformat().replace("+00:00", "Z")
        stamps: dict[str, Any] = {"modified": now}
        if op is not Op.UPDATE:
            stamps["created"] = now
        return replace(state, extra={**state.extra, **stamps})


_AGAIN = "it exists and is in the state; `up` goes on from here"


def _retired(old: ResourceState | None) -> tuple[ResourceState, ResourceState] | None:
    return (old, replace(old, delete=True)) if old else None


def _live(state: ResourceState, live: Live) -> ResourceState:
    return replace(state, id=live.id, outputs=marked(state, live.outputs))


def marked(state: ResourceState, outputs: dict[str, Any]) -> dict[str, Any]:
    """Outputs with the marks the engine adds: an option says so, or the input of the same name is secret."""
    secrets = {key for key, value in state.inputs.items() if isinstance(value, Secret)}
    secrets.update(state.additional_secret_outputs)
    return {key: secret(value) if key in secrets else value for key, value in outputs.items()}
