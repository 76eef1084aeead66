"""Values between the gRPC protocol and the engine: a protobuf `Struct` on one side, JSON values on the other.

Engine values are JSON with `Secret` at any depth and `COMPUTED` where a preview does not know yet. Also what is done
with such values apart from any resource: masking, marking, comparing, property paths. Must not know resources,
providers or state files.

Facts: Pulumi's source, `sdk/go/common/resource/plugin/rpc.go`, `properties_path.go` (2026-08).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from google.protobuf import struct_pb2

from baseload.engine.files.project import unsupported
from baseload.engine.files.state import KEPT, SIGNATURE, Secret
from baseload.engine.files.state import SECRET as SECRET_SIGNATURE
from baseload.engine.interface import SECRET, UNKNOWN

OUTPUT_SIGNATURE = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
COMPUTED_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The text that stands for an unknown value on the wire; the others below are unknown values of known kind."""
_COMPUTED_TEXTS = frozenset(
    {
        COMPUTED_TEXT,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)

Values = Mapping[str, Any]
Path = tuple[str | int, ...]


class Computed:
    """A value that is known only after the deployment; `COMPUTED` is the only one."""

    def __repr__(self) -> str:
        return "COMPUTED"


COMPUTED = Computed()


def read(struct: struct_pb2.Struct) -> dict[str, Any]:
    """The engine's values of a message. Raises `UsageError` `engine/unsupported` for assets and archives."""
    return {key: _read(value) for key, value in struct.fields.items()}


def _read(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        return COMPUTED if text in _COMPUTED_TEXTS else text
    if kind == "number_value":
        number = value.number_value
        return int(number) if math.isfinite(number) and number.is_integer() and abs(number) < 2**53 else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_read(item) for item in value.list_value.values]
    if kind == "struct_value":
        return _special(read(value.struct_value))
    return None


def _special(values: dict[str, Any]) -> Any:
    signature = values.get(SIGNATURE)
    if signature is None:
        return values
    if signature == SECRET_SIGNATURE:
        return secret(values.get("value"))
    if signature == OUTPUT_SIGNATURE:
        value = values.get("value", COMPUTED)
        return secret(value) if values.get("secret") else value
    feature = KEPT.get(signature, "values of unknown kind")
    if feature != "resource reference":
        raise unsupported(f"{feature}s" if feature in KEPT.values() else feature)
    return values


def write(values: Values, *, secrets: bool = True, references: bool = True) -> struct_pb2.Struct:
    """The message of engine values; without `secrets` or `references`, to a receiver that does not know them."""
    struct = struct_pb2.Struct()
    for key, value in values.items():
        _write(value, struct.fields[key], secrets, references)
    return struct


def _write(value: Any, into: struct_pb2.Value, secrets: bool, references: bool) -> None:
    if value is None:
        into.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, str):
        into.string_value = value
    elif isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, int | float):
        into.number_value = value
    elif isinstance(value, Mapping):
        _write_object(value, into, secrets, references)
    elif isinstance(value, list | tuple):
        items = into.list_value.values
        into.list_value.SetInParent()
        for item in value:
            _write(item, items.add(), secrets, references)
    elif isinstance(value, Secret):
        if secrets:
            marked = {SIGNATURE: SECRET_SIGNATURE, "value": value.value}
            _write_object(marked, into, secrets, references)
        else:
            _write(value.value, into, secrets, references)
    elif value is COMPUTED:
        into.string_value = COMPUTED_TEXT
    else:
        msg = f"not a value: {type(value).__name__}"
        raise TypeError(msg)


def _write_object(value: Values, into: struct_pb2.Value, secrets: bool, references: bool) -> None:
    if not references and KEPT.get(value.get(SIGNATURE, "")) == "resource reference":
        _write(value.get("id") or value.get("urn"), into, secrets, references)
        return
    fields = into.struct_value.fields
    into.struct_value.SetInParent()
    for key, item in value.items():
        _write(item, fields[key], secrets, references)


def secret(value: Any) -> Secret:
    """The value marked secret, once."""
    return value if isinstance(value, Secret) else Secret(value)


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, Secret):
        return (value.value,)
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def has_secret(value: Any) -> bool:
    """Whether there is a secret at any depth."""
    return isinstance(value, Secret) or any(map(has_secret, _children(value)))


def has_computed(value: Any) -> bool:
    """Whether there is an unknown value at any depth."""
    return value is COMPUTED or any(map(has_computed, _children(value)))


def secret_texts(value: Any, *, inside: bool = False) -> Iterator[str]:
    """The texts inside secrets: what must not appear in a message."""
    if isinstance(value, str):
        if inside:
            yield value
        return
    for child in _children(value):
        yield from secret_texts(child, inside=inside or isinstance(value, Secret))


def mask(value: Any) -> Any:
    """For people and events: secrets and unknown values replaced by their placeholders."""
    if isinstance(value, Secret):
        return SECRET
    if value is COMPUTED:
        return UNKNOWN
    if isinstance(value, Mapping):
        return {key: mask(item) for key, item in value.items()}
    return [mask(item) for item in value] if isinstance(value, list | tuple) else value


def plain(value: Any) -> Any:
    """Without marks, for comparing: a value that merely became secret is no change to a provider."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def remark(outputs: dict[str, Any], inputs: Values) -> None:
    """Give `outputs` of a provider that knows no secrets the marks of same-named `inputs`, object by object."""
    for key, value in inputs.items():
        if key not in outputs:
            continue
        if isinstance(outputs[key], dict) and isinstance(value, Mapping):
            remark(outputs[key], value)
        elif has_secret(value):
            outputs[key] = secret(outputs[key])


_STEP = re.compile(r'\.?(?:\["((?:\\"|[^"])+)"\]|\[(\*|-?\d+)\]|([^.\[\]]+))')


def parse_path(text: str) -> Path:
    """`workers.max`, `gpu.pools[0]`, `env["a.b"]`, `list[*].name`. Raises `ValueError`."""
    steps: list[str | int] = []
    position = 0
    while position < len(text):
        found = _STEP.match(text, position)
        if not found or (position == 0 and text[0] == "."):
            msg = f"not a property path: {text!r}"
            raise ValueError(msg)
        quoted, index, name = found.groups()
        if quoted is not None:
            steps.append(quoted.replace('\\"', '"'))
        else:
            steps.append(int(index) if index and index != "*" else index or name)
        position = found.end()
    return tuple(steps)


def covers(pattern: Path, path: Path) -> bool:
    """Whether `path` is, or lies below, what `pattern` names; `*` matches any step."""
    return len(path) >= len(pattern) and all(a in ("*", b) for a, b in zip(pattern, path, strict=False))


def at(values: Any, path: Path) -> Any:
    """The value there, or None; a secret on the way makes it secret."""
    for index, step in enumerate(path):
        if isinstance(values, Secret):
            inner = at(values.value, path[index:])
            return None if inner is None else secret(inner)
        if values is COMPUTED:
            return COMPUTED
        if isinstance(step, str) and isinstance(values, Mapping):
            values = values.get(step)
        elif isinstance(step, int) and isinstance(values, Sequence) and -1 < step < len(values):
            values = values[step]
        else:
            return None
    return values


def reset(new: Values, old: Values, paths: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """`new` with what lies at `paths` taken from `old` (ignoreChanges), and the paths that could not be followed."""
    result = _copy(new)
    failed = [path for path in paths if not _reset(result, old, parse_path(path), False, False)]
    return result, failed


def _copy(value: Any) -> Any:
    if isinstance(value, Secret):
        return Secret(_copy(value.value))
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list | tuple) else value


def _reset(new: Any, old: Any, path: Path, new_secret: bool, old_secret: bool) -> bool:
    if isinstance(new, Secret):
        return _reset(new.value, old, path, True, old_secret)
    if isinstance(old, Secret):
        return _reset(new, old.value, path, new_secret, True)
    step, rest = path[0], path[1:]
    if step == "*":
        results = [_reset(new, old, (each, *rest), new_secret, old_secret) for each in _steps(new, old)]
        return all(results)
    is_there, was_there = _has(new, step), _has(old, step)
    if isinstance(step, int) and is_there != was_there:
        return False  # a list is never made longer or shorter
    if rest:
        if is_there:
            return _reset(new[step], old[step] if was_there else None, rest, new_secret, old_secret)
        return not was_there
    if was_there:
        if not isinstance(new, dict | list):
            return False
        value: Any = _copy(old[step])
        new[step] = secret(value) if old_secret and not new_secret else value  # type: ignore[index]
    elif is_there:
        del new[step]
    return True


def _steps(new: Any, old: Any) -> Iterable[str | int]:
    if isinstance(new, list) and isinstance(old, list | tuple):
        return range(max(len(new), len(old)))
    return [*new, *(key for key in old if key not in new)] if isinstance(new, dict) and isinstance(old, Mapping) else ()


def _has(values: Any, step: str | int) -> bool:
    if isinstance(step, int):
        return isinstance(values, list | tuple) and -1 < step < len(values)
    return isinstance(values, Mapping) and step in values
