"""A resource as a program wants it, and how that compares with the state: values only, nobody is asked.

Must not know providers' calls, files or the program.

Facts: Pulumi's source, `pkg/resource/deploy/step_generator.go` (2026-08), and checkpoints of CLI 3.260.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from baseload.engine.embedded.ledger import is_provider
from baseload.engine.embedded.provider import Diff, Difference
from baseload.engine.embedded.wire import Path, Values, at, covers, mask, parse_path, plain
from baseload.engine.files.state import ResourceState
from baseload.engine.interface import FieldChange

INIT_ERROR = "#initerror"
"""What `replaceOnChanges` names to replace a resource that did not become ready."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A resource as the program wants it."""

    urn: str
    type: str
    custom: bool
    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    parent: str = ""
    provider: str = ""
    providers: Mapping[str, str] = field(default_factory=dict)
    """Provider references by package, for its children."""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protect: bool | None = None
    retain_on_delete: bool | None = None
    delete_before_replace: bool | None = None
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    hide_diffs: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    import_id: str = ""
    custom_timeouts: Mapping[str, float] = field(default_factory=dict)
    """Seconds by `create`, `update`, `delete`, `read`."""
    alias_urns: tuple[str, ...] = ()

    @property
    def package(self) -> str:
        """Whose provider makes it, or of which package it is the provider."""
        return self.type.rpartition(":")[2] if is_provider(self.type) else self.type.partition(":")[0]

    def state(self, inputs: Values, old: ResourceState | None) -> ResourceState:
        """The entry that stands for it; its times, and fields of later versions, are the old one's."""
        options = {
            "importID": self.import_id,
            "ignoreChanges": list(self.ignore_changes),
            "hideDiff": list(self.hide_diffs),
            "replaceOnChanges": list(self.replace_on_changes),
        }
        said_anew = {*options, "sourcePosition", "stackTrace"}
        kept = {key: value for key, value in old.extra.items() if key not in said_anew} if old else {}
        return ResourceState(
            urn=self.urn,
            type=self.type,
            custom=self.custom,
            id=old.id if old else "",
            inputs=inputs,
            parent=self.parent,
            dependencies=self.dependencies,
            property_dependencies=self.property_dependencies,
            provider=self.provider if self.custom else "",
            protect=bool(self.protect),
            retain_on_delete=bool(self.retain_on_delete),
            custom_timeouts=self.custom_timeouts,
            additional_secret_outputs=self.additional_secret_outputs,
            extra={**kept, **{key: value for key, value in options.items() if value}},
        )


@dataclass(frozen=True)
class Registered:
    """What the program is told: an empty `id` is one that is not known yet."""

    id: str
    outputs: Mapping[str, Any] = field(repr=False)


def own_diff(old: Values, new: Values) -> Diff:
    """By comparing inputs, for where a provider cannot tell: marks do not count, nulls and absence differ."""
    a, b = plain(old), plain(new)
    keys = tuple(sorted(key for key in {*a, *b} if key not in a or key not in b or a[key] != b[key]))
    return Diff(changes=bool(keys), keys=keys)


def with_replace_on_changes(diff: Diff, patterns: Iterable[str], init_errors: bool) -> Diff:
    """The provider's diff with `replaceOnChanges` applied."""
    paths = [parse_path(pattern) for pattern in patterns]

    def forced(path: Path) -> bool:
        return any(covers(pattern, path) for pattern in paths)

    if init_errors and forced((INIT_ERROR,)):
        diff = Diff(
            changes=True,
            replaces=(*diff.replaces, INIT_ERROR),
            keys=diff.keys,
            detailed=diff.detailed,
            delete_before_replace=diff.delete_before_replace,
        )
    if not diff.changes:
        return diff
    detailed = {
        path: Difference(replaces=item.replaces or forced(_lenient(path)), input=item.input)
        for path, item in diff.detailed.items()
    }
    replaces = dict.fromkeys((*diff.replaces, *(key for key in diff.keys if forced(_lenient(key)))))
    return Diff(
        changes=True,
        replaces=tuple(replaces),
        keys=diff.keys,
        detailed=detailed,
        delete_before_replace=diff.delete_before_replace,
    )


def changed_fields(old: ResourceState, new: Values, diff: Diff, hidden: Iterable[str] = ()) -> tuple[FieldChange, ...]:
    """What a person is shown of a diff: every path once, secrets and unknown values as placeholders."""
    if diff.detailed:
        found = {path: item.replaces for path, item in diff.detailed.items()}
    else:
        keys = diff.keys or diff.replaces or own_diff(old.inputs, new).keys
        found = {key: key in diff.replaces for key in (*keys, *diff.replaces)}
    secretly = [parse_path(path) for path in hidden]
    changes = []
    for text, replaces in sorted(found.items()):
        path = _lenient(text)
        if any(covers(pattern, path) for pattern in secretly):
            continue
        difference = diff.detailed.get(text)
        before = at(old.inputs, path)
        if before is None or (difference and not difference.input):
            from_outputs = at(old.outputs, path)
            before = before if from_outputs is None else from_outputs
        changes.append(FieldChange(path=text, old=mask(before), new=mask(at(new, path)), replaces=replaces))
    return tuple(changes)


def _lenient(path: str) -> Path:
    """A provider's path; one that does not follow the grammar is taken as a name."""
    try:
        return parse_path(path)
    except ValueError:
        return (path,)
