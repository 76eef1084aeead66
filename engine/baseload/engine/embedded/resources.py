"""What is to be done to a resource that a provider makes: same, create, update, replace, import, or a refusal.

Decides by the state and by what the provider answers to Check and Diff; `steps` does it. Must not know the program,
components, files or processes.

Facts: Pulumi's source, `pkg/resource/deploy/step_generator.go` (2026-08), and CLI 3.260.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from baseload.engine.embedded.goal import Goal, Registered, changed_fields, own_diff, with_replace_on_changes
from baseload.engine.embedded.ledger import Ledger
from baseload.engine.embedded.provider import Checked, Diff, Provider, ProviderError
from baseload.engine.embedded.providers import Providers
from baseload.engine.embedded.report import Report
from baseload.engine.embedded.steps import Steps, marked, needs_provider
from baseload.engine.embedded.wire import COMPUTED, Values, reset
from baseload.engine.files.project import unsupported
from baseload.engine.files.state import ResourceState
from baseload.engine.interface import FieldChange, Op


class Resources:
    """Threads may share it."""

    def __init__(self, steps: Steps, providers: Providers) -> None:
        self._steps = steps
        self._ledger: Ledger = steps.ledger
        self._report: Report = steps.report
        self._providers = providers

    def register(self, goal: Goal, old: ResourceState | None, registered: Callable[[], Collection[str]]) -> Registered:
        """Bring it about. `registered`: gives the URNs the program has declared so far.

        Raises `Stopped`, and `BaseloadError` for what is refused or a provider that cannot be used.
        """
        provider = self._providers.get(goal.provider)
        imported = False
        if goal.import_id and (old is None or old.external or _import_id(old) != goal.import_id):
            old = self._steps.read_existing(provider, goal.state(goal.inputs, None), goal.import_id, old)
            imported = True
        fresh = old is None or old.taint or old.external
        checked = self._check(goal, provider, {} if fresh or old is None else old.inputs)
        state = goal.state(checked, old)
        if old is None:
            made = self._steps.create(provider, state)
            return Registered(made.id, made.outputs)
        diff = self._diff(goal, old, state, provider)
        fields = changed_fields(old, state.inputs, diff, goal.hide_diffs)
        if diff.replace or old.pending_replacement:
            made = self._replace(goal, old, state, diff, provider, registered)
        elif diff.changes or old.init_errors:
            made = self._steps.update(provider, old, state, goal.ignore_changes, fields)
        elif imported:
            made = old
        else:
            made = self._steps.same(replace(state, outputs=marked(state, dict(old.outputs))))
        return Registered(made.id, made.outputs)

    def _check(self, goal: Goal, provider: Provider, olds: Values) -> dict[str, Any]:
        news: Values = goal.inputs
        if olds and goal.ignore_changes:
            news, lost = reset(goal.inputs, olds, goal.ignore_changes)
            if lost:
                text = f"cannot ignore changes in added or removed elements of {', '.join(lost)}"
                self._report.message("info", text, goal.urn)
        try:
            checked: Checked = provider.check(goal, news, olds)
        except ProviderError as error:
            raise self._wrong(goal, *error.reasons) from error
        if checked.failures:
            raise self._wrong(goal, *(f"{name}: {text}" if name else text for name, text in checked.failures))
        return checked.inputs

    def _diff(self, goal: Goal, old: ResourceState, new: ResourceState, provider: Provider) -> Diff:
        if old.taint or old.external:
            return Diff(changes=True, replaces=("id",))
        try:
            if self._provider_replaced(old, new, provider):
                return Diff(changes=True, replaces=("provider",))
            if not provider.known:
                text = "its provider has inputs that a preview does not know: whether it changes is not certain"
                self._report.message("warning", text, goal.urn)
                return Diff(changes=True)
            diff = provider.diff(old, new.inputs, goal.ignore_changes)
        except ProviderError as error:
            raise self._wrong(goal, *error.reasons) from error
        if diff.changes is None:
            diff = own_diff(old.inputs, reset(new.inputs, old.inputs, goal.ignore_changes)[0])
        return with_replace_on_changes(diff, goal.replace_on_changes, bool(old.init_errors))

    def _provider_replaced(self, old: ResourceState, new: ResourceState, provider: Provider) -> bool:
        """Whether another provider makes it now, and one that cannot go on with what the old one made."""
        if old.provider == new.provider:
            return False
        before, after = self._ledger.provider(old.provider), self._ledger.provider(new.provider)
        return bool(before and after and provider.diff_config(before, after.inputs).replace)

    def _replace(
        self,
        goal: Goal,
        old: ResourceState,
        state: ResourceState,
        diff: Diff,
        provider: Provider,
        registered: Callable[[], Collection[str]],
    ) -> ResourceState:
        self._report.check()
        if old.protect and state.protect:
            refusal = self._steps.refuse_protected(Op.REPLACE, state, stop=not self._steps.dry_run)
            if not self._steps.dry_run:
                raise refusal
        if goal.import_id and not self._steps.dry_run:
            raise self._wrong(goal, "what was imported cannot be replaced while the program still says `import_`")
        if not old.taint:
            state = goal.state(self._check(goal, provider, {}), old)
        state = replace(state, id="")
        fields = changed_fields(old, state.inputs, diff, goal.hide_diffs)
        first = diff.delete_before_replace if goal.delete_before_replace is None else goal.delete_before_replace
        if first:
            self._refuse_dependents(old, registered)
        if first or old.pending_replacement:
            return self._delete_first(old, state, provider, fields)
        made = self._steps.create(provider, state, Op.CREATE_REPLACEMENT, retire=old, fields=fields)
        self._steps.replaced(made, fields)
        return made

    def _delete_first(
        self, old: ResourceState, state: ResourceState, provider: Provider, fields: tuple[FieldChange, ...]
    ) -> ResourceState:
        if not old.pending_replacement:
            owner = self._providers.get(old.provider) if needs_provider(old) else None
            self._steps.delete(owner, old, Op.DELETE_REPLACED, then_replace=True)
        self._steps.replaced(state, fields)
        return self._steps.create(provider, state, Op.CREATE_REPLACEMENT, fields=fields)

    def _refuse_dependents(self, root: ResourceState, registered: Callable[[], Collection[str]]) -> None:
        """Deleting first would delete what is replaced along with it: the CLI does that, this engine refuses.

        A dependent that the program has declared already this time depends on it no more.
        """
        declared, replaced = registered(), {root.urn}
        names = []
        for other in self._ledger.olds():
            if other.urn in declared or other.delete or other.external or not other.custom:
                continue
            unknown = {key for key, urns in other.property_dependencies.items() if replaced.intersection(urns)}
            if not unknown.intersection(other.inputs):
                continue
            inputs = {key: COMPUTED if key in unknown else value for key, value in other.inputs.items()}
            ignore = tuple(other.extra.get("ignoreChanges", ()))
            diff = self._providers.get(other.provider).diff(other, inputs, ignore)
            if diff.changes is None:
                diff = own_diff(other.inputs, inputs)
            if with_replace_on_changes(diff, other.extra.get("replaceOnChanges", ()), False).replace:
                replaced.add(other.urn)
                names.append(self._report.path(other.urn))
        if names:
            root_name = self._report.path(root.urn)
            raise unsupported(
                f"replacing {root_name} delete-first: {', '.join(names)} depend on it and would have to be replaced too"
            )

    def _wrong(self, goal: Goal, *reasons: str) -> Exception:
        old = self._ledger.old(goal.urn)
        return self._report.failed(Op.UPDATE if old else Op.CREATE, goal.state({}, old), reasons)


def _import_id(old: ResourceState) -> str:
    return str(old.extra.get("importID") or old.id)
