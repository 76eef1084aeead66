"""What an engine is asked and what it answers: frozen values, shared by the Pulumi CLI's engine and the embedded one.

An engine knows no component and no platform: it is handed a program (a function that declares resources) and a
stack. Secrets appear in nothing that leaves an engine: they are replaced by `SECRET` in events, states and outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

SECRET = "[secret]"
"""Stands for a secret value in events and resource states."""

UNKNOWN = "[unknown]"
"""Stands for a value that is known only after the deployment."""

Program = Callable[[], None]


class Op(StrEnum):
    """What is done to a resource; Pulumi's own words."""

    SAME = "same"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    REPLACE = "replace"
    CREATE_REPLACEMENT = "create-replacement"
    DELETE_REPLACED = "delete-replaced"
    READ = "read"
    REFRESH = "refresh"
    IMPORT = "import"
    DISCARD = "discard"
    """Forgotten without a call: the old half of a replace that had already vanished, what was only read."""


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One input that differs: `path` as `workers.max` or `gpu.pools[0]`; secrets and unknowns as placeholders."""

    path: str
    old: Any
    new: Any
    replaces: bool = False


@dataclass(frozen=True, kw_only=True)
class StepStarted:
    """A step begins (or, in a preview, would happen)."""

    op: Op
    urn: str
    type: str
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """A step ended well. `outputs` as in `ResourceView`."""

    op: Op
    urn: str
    type: str
    id: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StepFailed:
    """A step failed; the reasons also arrive as `Message`s or are in the error the engine raises."""

    op: Op
    urn: str
    type: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Status:
    """A provider's passing remark on a resource that is being worked on."""

    urn: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Message:
    """A lasting remark: severity is `debug`, `info`, `warning` or `error`; urn may be empty."""

    severity: str
    text: str
    urn: str = ""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The end of an operation that was not refused: steps by op (`replace` counts once), wall time."""

    counts: Mapping[Op, int]
    seconds: float


Event = StepStarted | StepDone | StepFailed | Status | Message | Summary
OnEvent = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True)
class StackRef:
    """Which stack, and where its project lies.

    `root` holds `Pulumi.yaml`. Backend, configuration, plugins and secrets provider are read from the project's own
    files and Pulumi's environment variables by the engine, the same for both engines.
    """

    root: Path
    project: str
    stack: str
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables set for provider processes over the inherited ones: addresses and keys of clouds."""


@dataclass(frozen=True, kw_only=True)
class ResourceView:
    """A resource of the state, for reading: no secret in clear text."""

    urn: str
    type: str
    id: str
    custom: bool
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    parent: str = ""
    pending: bool = False
    """A create that was announced and never confirmed; nothing else is known of it."""

    @property
    def name(self) -> str:
        """The logical name, the last part of the URN."""
        return self.urn.rsplit("::", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an operation did. Only operations that succeed return one; a failure raises."""

    counts: Mapping[Op, int]
    steps: Sequence[StepStarted]
    outputs: Mapping[str, Any]
    """Stack outputs, secrets masked."""

    @property
    def changes(self) -> bool:
        """Whether anything but `same` and `read` happened or would happen."""
        return any(n for op, n in self.counts.items() if op not in (Op.SAME, Op.READ, Op.REFRESH))


def without_hints(reasons: Iterable[str]) -> tuple[tuple[str, ...], str | None]:
    """A provider's reasons without their remedies, which are lines `hint: …` there, and the remedies.

    Over the wire an error is one text (`providers.framework.resource.explain`); in a diagnostic they are apart.
    """
    texts, hints = list[str](), list[str]()
    for reason in reasons:
        kept = list[str]()
        for line in reason.splitlines():
            begin, is_hint, remedy = line.partition("hint: ")
            if is_hint and not begin.strip():
                hints.append(remedy.strip())
            else:
                kept.append(line)
        texts.append("\n".join(kept).rstrip())
    return tuple(filter(None, texts)), "\n".join(dict.fromkeys(hints)) or None


class Engine(Protocol):
    """One interface, two engines. Every method may raise a `BaseloadError`.

    Raises (all operations): `UsageError` for a wrong or missing passphrase, a state of a newer version, a damaged
    state file (names `.bak` as remedy) or a feature the engine refuses by name; `DeployError` for resources that
    failed (one diagnostic each, code `engine/resource-failed`); `DeployError` with code `engine/locked` for a stack
    locked by somebody else, naming holder, host, pid and time; `Cancelled` after Ctrl-C or `cancel()`.
    """

    name: str

    def preview(self, stack: StackRef, program: Program, on_event: OnEvent, *, refresh: bool = False) -> Outcome:
        """What `up` would do. Takes no lock and writes nothing, also where the stack does not exist yet."""
        ...

    def up(
        self,
        stack: StackRef,
        program: Program,
        on_event: OnEvent,
        *,
        refresh: bool = False,
        parallel: int | None = None,
    ) -> Outcome:
        """Bring the stack to what the program declares; makes the stack if need be."""
        ...

    def refresh(self, stack: StackRef, on_event: OnEvent, *, dry_run: bool = False) -> Outcome:
        """Read every resource and write (or, dry, only tell) what really is.

        Clears pending operations, but for a create: only an `up` finds what an interrupted create made.
        """
        ...

    def destroy(
        self, stack: StackRef, on_event: OnEvent, *, parallel: int | None = None, remove: bool = False
    ) -> Outcome:
        """Delete every resource in reverse dependency order; with `remove` forget the stack too."""
        ...

    def exists(self, stack: StackRef) -> bool:
        """Whether the backend has this stack."""
        ...

    def resources(self, stack: StackRef) -> Sequence[ResourceView]:
        """The resources of the state in its order, pending creates last; empty where there is no stack."""
        ...

    def outputs(self, stack: StackRef) -> Mapping[str, Any]:
        """Stack outputs, secrets masked; empty where there is no stack."""
        ...

    def cancel(self, stack: StackRef) -> None:
        """Remove the locks of a stack whose holder is known to be gone."""
        ...
