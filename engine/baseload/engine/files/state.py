"""A stack's state as Pulumi's `file://` checkpoint holds it, field by field: values, their JSON, what makes it valid.

Must not know files, locks or where a key comes from. What it cannot honour it refuses by name; a field it does not
know is kept and written back.

Facts: Pulumi's source, `sdk/go/common/apitype/core.go`, `pkg/resource/stack/deployment.go`,
`pkg/resource/stack/snapshot/integrity.go` (2026-08), and checkpoints of CLI 3.260.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from baseload.engine.files.project import unsupported
from baseload.engine.files.secrets import BAD_CIPHERTEXT
from baseload.engine.interface import SECRET as MASK
from baseload.planner.errors import BaseloadError, UsageError

SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key that makes an object a special value."""
SECRET = "1b47061264138c4ac30d75fd1eb44270"
FLOAT = "8ad145fe-0d11-4827-bfd7-1abcbf086f5c"
"""NaN and infinities, as the 16 hex digits of their bits."""
KEPT = {
    "c44067f5952c0a294b673a41bacd8c17": "asset",
    "0def7320c3a5731c473e5ecbe6d01bc7": "archive",
    "5cf8f73096256a8f31e491e813e4eb8e": "resource reference",
}
"""Kept as they came: the gRPC protocol uses the same objects."""
REFUSED_SIGNATURES = {"803fd3297a5875dc03ca845dda5d2a98": "byte strings"}

FEATURES = frozenset({"taint"})
"""Features of a version 4 checkpoint that are honoured."""

REFUSED_FIELDS = {
    "aliases": "aliases",
    "deletedWith": "`deletedWith`",
    "replaceWith": "`replaceWith`",
    "replacementTrigger": "replacement triggers",
    "refreshBeforeUpdate": "`refreshBeforeUpdate`",
    "viewOf": "views",
    "resourceHooks": "resource hooks",
    "extensionRef": "extension parameterization",
    "snippetID": "snippets",
}
"""Fields that change what an operation does, where they are not empty.

The others that this module has no attribute for are records (`created`, `modified`, `sourcePosition`, `stackTrace`,
`importID`, `ignoreChanges`, `replaceOnChanges`) or are sent anew by every program (`hideDiff`): kept in `extra`, as is
what a later version may add.
"""


@dataclass(frozen=True)
class Secret:
    """A secret value at any depth of inputs or outputs; `repr` never shows it."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(…)"


class Sealed:
    """Stands in a `Secret` for a value that was loaded without a key; it cannot be written back."""

    def __repr__(self) -> str:
        return "Sealed()"


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
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of the checkpoint's `latest`, kept as they came."""


class Cipher(Protocol):
    """What seals secret values; `secrets.Crypter` is one."""

    def encrypt(self, plaintext: str) -> str:
        """A ciphertext."""
        ...

    def decrypt(self, ciphertext: str) -> str:
        """The text."""
        ...


_TEXT, _FLAG, _TEXTS, _VALUES, _TIMES, _LISTS = "text", "flag", "list of texts", "object", "object of numbers", "lists"
_FIELDS = (
    ("urn", "urn", _TEXT),
    ("custom", "custom", _FLAG),
    ("delete", "delete", _FLAG),
    ("id", "id", _TEXT),
    ("type", "type", _TEXT),
    ("inputs", "inputs", _VALUES),
    ("outputs", "outputs", _VALUES),
    ("parent", "parent", _TEXT),
    ("protect", "protect", _FLAG),
    ("taint", "taint", _FLAG),
    ("external", "external", _FLAG),
    ("dependencies", "dependencies", _TEXTS),
    ("initErrors", "init_errors", _TEXTS),
    ("provider", "provider", _TEXT),
    ("propertyDependencies", "property_dependencies", _LISTS),
    ("pendingReplacement", "pending_replacement", _FLAG),
    ("additionalSecretOutputs", "additional_secret_outputs", _TEXTS),
    ("customTimeouts", "custom_timeouts", _TIMES),
    ("retainOnDelete", "retain_on_delete", _FLAG),
)
"""Name in the file, attribute, kind; in the order in which Pulumi writes them."""
_KNOWN = frozenset(name for name, _, _ in _FIELDS)


def damaged(what: str) -> BaseloadError:
    """A checkpoint that is JSON but not a state; `backend` adds the file and how to restore it."""
    return UsageError.of("engine/state-damaged", what)


class Codec:
    """Between `ResourceState` and the checkpoint's JSON, for one key.

    A secret that did not change keeps its ciphertext: the plaintext last seen at each place is remembered, so that
    a write does not encrypt all anew and an unchanged state stays unchanged on disk.
    """

    def __init__(self, cipher: Cipher | None) -> None:
        """Without a cipher secrets stay sealed, and no state with secrets can be written."""
        self._cipher = cipher
        self._sealed: dict[tuple[object, ...], tuple[str, str]] = {}

    def load(self, data: Any) -> ResourceState:
        """One resource from its JSON. Raises `UsageError`: `engine/state-damaged`, `engine/unsupported`."""
        if not isinstance(data, dict):
            raise damaged(f"a resource is not an object but {type(data).__name__}")
        urn = data.get("urn")
        if not isinstance(urn, str) or urn.count("::") < 3:
            raise damaged("a resource has no valid `urn`")
        for name, feature in REFUSED_FIELDS.items():
            if data.get(name):
                raise unsupported(f"{feature} (in the state of {urn})")
        values = {attribute: self._field(urn, name, kind, data.get(name)) for name, attribute, kind in _FIELDS}
        extra = {name: value for name, value in data.items() if name not in _KNOWN}
        resource = ResourceState(**values, extra=extra)
        if not resource.type:
            raise damaged(f"{urn} has no `type`")
        if resource.id and not resource.custom:
            raise damaged(f"{urn} has an `id` but is not `custom`")
        return resource

    def dump(self, resource: ResourceState) -> bytes:
        """The JSON of one resource, compact; secret values sealed. Raises `TypeError` for what is no JSON value."""
        data: dict[str, Any] = {}
        for name, attribute, kind in _FIELDS:
            value = getattr(resource, attribute)
            if kind == _VALUES:
                value = {key: self._encode((resource.urn, name, key), item) for key, item in value.items()}
            if value or name == "custom":
                data[name] = value
        data.update(resource.extra)
        return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()

    def _field(self, urn: str, name: str, kind: str, value: Any) -> Any:
        try:
            if kind == _TEXT:
                return _typed(str, value, "")
            if kind == _FLAG:
                return _typed(bool, value, False)
            if kind == _TEXTS:
                return _texts(value)
            items = _typed(dict, value, {})
            if kind == _LISTS:
                return {key: _texts(item) for key, item in items.items()}
            if kind == _TIMES:
                return {key: _typed((int, float), item, 0) for key, item in items.items() if item}
        except TypeError:
            raise damaged(f"`{name}` of {urn} is not a {kind}") from None
        return {key: self._decode((urn, name, key), item) for key, item in items.items()}

    @property
    def sealed(self) -> bool:
        """Whether there is no key."""
        return self._cipher is None

    def _encode(self, place: tuple[object, ...], value: Any, *, inside: bool = False) -> Any:
        if isinstance(value, Secret):
            return {SIGNATURE: SECRET, "ciphertext": self._seal(place, value.value, inside)}
        if isinstance(value, Mapping):
            return {key: self._encode((*place, key), item, inside=inside) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._encode((*place, index), item, inside=inside) for index, item in enumerate(value)]
        if isinstance(value, float) and not math.isfinite(value):
            return {SIGNATURE: FLOAT, "value": struct.pack(">d", value).hex()}
        return value

    def _seal(self, place: tuple[object, ...], value: Any, inside: bool) -> str:
        """Within a secret all is encrypted already: a nested one keeps its mark only, as Pulumi does."""
        plaintext = json.dumps(self._encode(place, value, inside=True), separators=(",", ":"), sort_keys=True)
        if inside:
            return plaintext
        known = self._sealed.get(place)
        if known and known[0] == plaintext:
            return known[1]
        if self._cipher is None:
            msg = "a state with secrets cannot be written without a key"
            raise TypeError(msg)
        ciphertext = self._cipher.encrypt(plaintext)
        self._sealed[place] = (plaintext, ciphertext)
        return ciphertext

    def _decode(self, place: tuple[object, ...], value: Any, *, inside: bool = False) -> Any:
        if isinstance(value, list):
            return [self._decode((*place, index), item, inside=inside) for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        signature = value.get(SIGNATURE)
        if signature == SECRET:
            return self._open(place, value, inside)
        if signature == FLOAT:
            try:
                return struct.unpack(">d", bytes.fromhex(value["value"]))[0]
            except (KeyError, TypeError, ValueError, struct.error):
                raise damaged(f"{_path(place)} holds a malformed number") from None
        if signature is not None and signature not in KEPT:
            raise unsupported(f"{REFUSED_SIGNATURES.get(signature, 'a value of unknown kind')} ({_path(place)})")
        return {key: self._decode((*place, key), item, inside=inside) for key, item in value.items()}

    def _open(self, place: tuple[object, ...], envelope: dict[str, Any], inside: bool) -> Secret:
        ciphertext, plaintext = envelope.get("ciphertext"), envelope.get("plaintext")
        text = ciphertext or plaintext
        if not isinstance(text, str) or (ciphertext and plaintext):
            raise damaged(f"{_path(place)} holds a malformed secret")
        sealed = bool(ciphertext) and not inside
        if sealed and self._cipher is None:
            return Secret(Sealed())
        try:
            content = json.loads(self._cipher.decrypt(text) if sealed and self._cipher else text)
        except ValueError:
            raise damaged(f"{_path(place)} holds a secret value that is not JSON") from None
        except UsageError as error:
            if error.diagnostics[0].code != BAD_CIPHERTEXT:
                raise
            raise damaged(f"{_path(place)} holds a secret value that the stack's key does not open") from None
        secret = Secret(self._decode(place, content, inside=True))
        if sealed:
            canonical = json.dumps(
                self._encode(place, secret.value, inside=True), separators=(",", ":"), sort_keys=True
            )
            self._sealed[place] = (canonical, text)
        return secret


def _typed(kind: Any, value: Any, default: Any) -> Any:
    if value is None:
        return default
    if not isinstance(value, kind):
        raise TypeError
    return value


def _texts(value: Any) -> tuple[str, ...]:
    items = _typed(list, value, [])
    if not all(isinstance(item, str) for item in items):
        raise TypeError
    return tuple(items)


def _path(place: Sequence[object]) -> str:
    urn, name, *rest = place
    return f"`{'.'.join(map(str, (name, *rest)))}` of {urn}"


def needs(resource: ResourceState) -> tuple[str, ...]:
    """The URNs that must stand before it in a state."""
    urns = [resource.parent] if resource.parent else []
    urns.extend(resource.dependencies)
    for dependencies in resource.property_dependencies.values():
        urns.extend(dependencies)
    return tuple(dict.fromkeys(urns))


def disorder(resources: Iterable[ResourceState]) -> str | None:
    """What makes a list of resources invalid by the CLI's own rules, or None: the first violation, in words."""
    seen: dict[str, bool] = {}
    providers: set[str] = set()
    for resource in resources:
        urn = resource.urn
        if resource.provider and resource.provider not in providers and not resource.pending_replacement:
            return f"{urn} refers to the provider {resource.provider}, which does not stand before it"
        for other in needs(resource):
            if other not in seen:
                return f"{urn} depends on {other}, which does not stand before it"
        if resource.type.startswith("pulumi:providers:"):
            providers.add(f"{urn}::{resource.id}")
        if seen.get(urn) and not resource.delete:
            return f"{urn} stands there twice and neither is marked for deletion"
        seen[urn] = seen.get(urn, False) or not resource.delete
    return None


def mask_json(value: Any) -> Any:
    """A JSON value of a checkpoint or an event for reading: secrets, here still sealed, replaced by the placeholder."""
    if isinstance(value, Mapping):
        if value.get(SIGNATURE) == SECRET:
            return MASK
        return {key: mask_json(child) for key, child in value.items()}
    return [mask_json(child) for child in value] if isinstance(value, list) else value
