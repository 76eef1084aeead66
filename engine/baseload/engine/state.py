"""A stack's state as Pulumi's `file://` checkpoint holds it, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Secret:
    """A secret value at any depth of inputs or outputs; `repr` never shows it."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(…)"


@dataclass(frozen=True, kw_only=True)
class ResourceState:
    """One entry of the checkpoint's `resources`. Inputs and outputs are JSON values with `Secret` inside."""

    urn: str
    type: str
    custom: bool
    id: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    parent: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    provider: str = ""
    """`<provider urn>::<provider id>`."""
    protect: bool = False
    retain_on_delete: bool = False
    external: bool = False
    init_errors: tuple[str, ...] = ()
    custom_timeouts: Mapping[str, float] = field(default_factory=dict)
    """Seconds by `create`, `update`, `delete`."""
    additional_secret_outputs: tuple[str, ...] = ()
    delete: bool = False
    """The old half of a replace that still has to be deleted."""
    pending_replacement: bool = False
    """Deleted first in a delete-before-replace whose create has not happened yet."""
    taint: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields that are kept as they came (`created`, `modified`, `sourcePosition`, ...)."""


@dataclass(frozen=True)
class PendingOperation:
    """An announced operation whose end was not recorded: `creating`, `updating`, `deleting`, `reading`, `importing`."""

    resource: ResourceState
    type: str


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A whole stack: resources in dependency order, and what was going on when the writer stopped."""

    resources: tuple[ResourceState, ...] = ()
    pending_operations: tuple[PendingOperation, ...] = ()
