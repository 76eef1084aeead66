"""One run of a program: names, parents, components, providers and outputs; `resources` decides about the rest.

Must not know how the program runs, files or processes.

Facts: Pulumi's source, `pkg/resource/deploy/source_eval.go`, `default_providers.go`, `providers/registry.go`
(2026-08), and CLI 3.260.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from baseload.engine.embedded.goal import Goal, Registered, changed_fields, own_diff
from baseload.engine.embedded.ledger import STACK_TYPE, Ledger, is_provider, reference
from baseload.engine.embedded.provider import ProviderError, name_of
from baseload.engine.embedded.providers import Providers
from baseload.engine.embedded.report import Report
from baseload.engine.embedded.resources import Resources
from baseload.engine.embedded.steps import Steps
from baseload.engine.embedded.wire import COMPUTED_TEXT, Values, reset
from baseload.engine.files.project import Config, unsupported
from baseload.engine.files.state import ResourceState, Secret
from baseload.engine.interface import Op
from baseload.planner.errors import UsageError


class Deployment:
    """Threads share it: independent resources are registered at the same time."""

    def __init__(
        self,
        steps: Steps,
        providers: Providers,
        config: Config,
        *,
        project: str,
        stack: str,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._steps = steps
        self._ledger: Ledger = steps.ledger
        self._report: Report = steps.report
        self._providers = providers
        self._resources = Resources(steps, providers)
        self._config = config
        self._prefix = f"urn:pulumi:{stack}::{project}::"
        self._new_id = new_id
        self._lock = threading.Lock()
        self._goals: dict[str, Goal] = {}
        self._defaults: dict[str, Future[str]] = {}
        self._open: dict[str, Op] = {}
        self._stack_urn = ""
        self._stack_before: Mapping[str, Any] = {}
        self._stack_outputs: dict[str, Any] | None = None

    def registered(self) -> frozenset[str]:
        """The URNs the program has declared."""
        with self._lock:
            return frozenset(self._goals)

    def urn(self, parent: str, token: str, name: str) -> str:
        """How a resource is named: below a component its type is qualified by the component's."""
        kind = parent.split("::")[2] if parent else ""
        return f"{self._prefix}{kind + '$' if kind and kind != STACK_TYPE else ''}{token}::{name}"

    def register(self, goal: Goal) -> Registered:
        """Bring one resource about. Raises `Stopped`, and `BaseloadError` for what is refused."""
        self._report.check()
        goal = self._claim(goal)
        old = self._ledger.old(goal.urn)
        self._refuse(goal, old)
        if is_provider(goal.type):
            return self._register_provider(goal, old)
        if goal.custom:
            if not goal.provider:
                goal = replace(goal, provider=self._default_provider(goal.package))
            return self._resources.register(goal, old, self.registered)
        return self._register_component(goal, old)

    def register_outputs(self, urn: str, outputs: dict[str, Any]) -> None:
        """A component's own outputs; the stack's wait for the end, when it is known whether all went well."""
        self._report.hide(outputs)
        if urn == self._stack_urn:
            self._stack_outputs = outputs
        else:
            self._end_component(urn, outputs)

    def conclude(self) -> Mapping[str, Any]:
        """The stack's outputs, recorded. After a failure what is missing is kept as it was."""
        for urn in [urn for urn in self._open if urn != self._stack_urn]:
            self._end_component(urn, None)
        outputs = dict(self._stack_outputs or {})
        if not self._report.clean:
            outputs = {**self._stack_before, **outputs}
        if self._stack_urn in self._open:
            self._end_component(self._stack_urn, outputs)
        return outputs

    def _claim(self, goal: Goal) -> Goal:
        """Check its name and parent, and take over what a child takes from its parent."""
        with self._lock:
            parent = self._goals.get(goal.parent)
            if goal.urn in self._goals:
                raise self._wrong(goal, "another resource of this type has its name")
            if goal.parent and parent is None:
                raise self._wrong(goal, f"its parent {name_of(goal.parent)} is not part of this program")
            providers = {**(parent.providers if parent else {}), **goal.providers}
            provider = goal.provider or providers.get(goal.package, "")
            if is_provider(goal.type) or not goal.custom:
                provider = ""
            elif provider:
                providers[provider.split("::")[2].rpartition(":")[2]] = provider
            protect, retain = goal.protect, goal.retain_on_delete
            goal = replace(
                goal,
                providers=providers,
                provider=provider,
                protect=parent.protect if protect is None and parent else protect,
                retain_on_delete=parent.retain_on_delete if retain is None and parent else retain,
            )
            self._goals[goal.urn] = goal
            if goal.type == STACK_TYPE:
                self._stack_urn = goal.urn
        self._report.know([goal.state(goal.inputs, None)])
        return goal

    def _refuse(self, goal: Goal, old: ResourceState | None) -> None:
        path = self._report.path(goal.urn)
        if old is None and any(self._ledger.old(urn) for urn in goal.alias_urns):
            raise unsupported(f"aliases ({path} stands in the state under another name)")
        if old and old.custom != goal.custom:
            raise unsupported(f"making a component of a resource, or the other way round ({path})")
        if goal.delete_before_replace and is_provider(goal.type):
            raise unsupported(f"`delete_before_replace` of a provider ({path})")

    def _register_component(self, goal: Goal, old: ResourceState | None) -> Registered:
        state = goal.state(goal.inputs, old)
        diff = own_diff(old.inputs if old else {}, goal.inputs)
        if old is None:
            op = Op.CREATE
        else:
            op = Op.UPDATE if diff.changes else Op.SAME
            state = replace(state, outputs={} if diff.changes else old.outputs)
            if goal.urn == self._stack_urn:
                self._stack_before = old.outputs
        fields = changed_fields(old, goal.inputs, diff, goal.hide_diffs) if old and diff.changes else ()
        with self._lock:
            self._open[goal.urn] = op
        self._steps.put(op, state, fields=fields)
        return Registered("", {})

    def _end_component(self, urn: str, outputs: dict[str, Any] | None) -> None:
        with self._lock:
            op = self._open.pop(urn, None)
        state = self._ledger.new(urn)
        if op is None or state is None:
            raise UsageError.of(
                "engine/program",
                f"outputs of {name_of(urn)} were registered, but it is no component or has them already",
            )
        if outputs is not None:
            state = replace(state, outputs=outputs)
            self._ledger.finish(put=state)
        self._report.done(op, state)

    def _default_provider(self, package: str) -> str:
        """The reference of the package's default provider, made at its first use; others wait for that."""
        mine: Future[str] = Future()
        with self._lock:
            known = self._defaults.setdefault(package, mine)
        if known is mine:
            try:
                mine.set_result(self._make_default_provider(package))
            except BaseException as error:
                mine.set_exception(error)
        return known.result()

    def _make_default_provider(self, package: str) -> str:
        token = f"pulumi:providers:{package}"
        secrets = frozenset(self._config.secret_keys)
        inputs = {
            key: Secret(text) if f"{package}:{key}" in secrets else text
            for key, text in self._config.of_package(package).items()
        }
        goal = Goal(urn=self.urn("", token, "default"), type=token, custom=True, inputs=inputs)
        return f"{goal.urn}::{self.register(goal).id or COMPUTED_TEXT}"

    def _register_provider(self, goal: Goal, old: ResourceState | None) -> Registered:
        provider = self._providers.load(goal.package)
        olds: Values = old.inputs if old else {}
        op = Op.CREATE if old is None else Op.UPDATE
        try:
            checked = provider.check_config(goal, reset(goal.inputs, olds, goal.ignore_changes if old else ())[0], olds)
            if checked.failures:
                raise ProviderError([f"{name}: {text}" if name else text for name, text in checked.failures])
            diff = provider.diff_config(old, checked.inputs) if old else None
            replaces = bool(old and diff and (diff.replace or old.taint))
            if old and not replaces and diff and not diff.changes:
                op = Op.SAME
            if replaces:
                op = Op.CREATE_REPLACEMENT
            fresh = old is None or replaces
            identity = old.id if old and not replaces else "" if self._steps.dry_run else self._new_id()
            inputs = olds if op is Op.SAME else checked.inputs
            provider.configure(goal, identity or COMPUTED_TEXT, inputs)
        except ProviderError as error:
            raise self._wrong(goal, *error.reasons) from error
        state = goal.state(checked.inputs, None if fresh else old)
        outputs = old.outputs if old and op is Op.SAME else checked.inputs
        state = replace(state, id=identity, outputs=outputs)
        if replaces and old and old.protect and state.protect:
            raise self._steps.refuse_protected(Op.REPLACE, state, stop=True)
        fields = changed_fields(old, checked.inputs, diff, goal.hide_diffs) if old and diff and diff.changes else ()
        self._providers.add(reference(state), provider)
        self._steps.put(op, state, retire=old if replaces else None, fields=fields)
        if replaces:
            self._steps.replaced(state, fields)
        return Registered(identity, outputs)

    def _wrong(self, goal: Goal, *reasons: str) -> Exception:
        old = self._ledger.old(goal.urn)
        return self._report.failed(Op.UPDATE if old else Op.CREATE, goal.state({}, old), reasons)
