"""Property values as they travel: protobuf structs to plain Python values and back, secrets and unknowns kept.

Loaded values hold `Secret` and `UNKNOWN` at any depth. Must not know a resource, a request or the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from google.protobuf import struct_pb2

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
# The three constants are Pulumi's wire contract (sdk/go/common/resource/properties.go: SigKey, SecretSig and
# plugin.UnknownStringValue); the Python SDK has them only under private names.


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
"""A value that a preview cannot know yet."""


@dataclass(frozen=True)
class Secret:
    """A secret value; `repr` never shows it."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(…)"


def load(value: struct_pb2.Struct | struct_pb2.Value) -> Any:
    """A struct or value as Python values, with `Secret` and `UNKNOWN` inside; whole numbers become int."""
    if isinstance(value, struct_pb2.Struct):
        return {key: load(item) for key, item in value.fields.items()}
    match value.WhichOneof("kind"):
        case "struct_value":
            fields = value.struct_value.fields
            if _SIGNATURE in fields and fields[_SIGNATURE].string_value == _SECRET:
                return Secret(load(fields["value"]))
            return load(value.struct_value)
        case "list_value":
            return [load(item) for item in value.list_value.values]
        case "string_value":
            return UNKNOWN if value.string_value == _UNKNOWN else value.string_value
        case "number_value":
            return int(value.number_value) if value.number_value.is_integer() else value.number_value
        case "bool_value":
            return value.bool_value
        case _:
            return None


def dump(value: Any) -> struct_pb2.Value:
    """The inverse of `load`."""
    match value:
        case None:
            return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case bool():
            return struct_pb2.Value(bool_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=value)
        case str():
            return struct_pb2.Value(string_value=value)
        case _Unknown():
            return struct_pb2.Value(string_value=_UNKNOWN)
        case Secret():
            marked = {_SIGNATURE: dump(_SECRET), "value": dump(value.value)}
            return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=marked))
        case Mapping():
            fields = {key: dump(item) for key, item in value.items()}
            return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
        case Sequence():
            return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[dump(item) for item in value]))
        case _:
            msg = f"a {type(value).__name__} has no wire form"
            raise TypeError(msg)


def dump_struct(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """The top level of a resource's properties.

    Nulls are left out there and kept deeper: an engine stores a top-level null of one Check and reports a change
    when the next one has none (seen on CLI 3.260).
    """
    return struct_pb2.Struct(fields={key: dump(item) for key, item in properties.items() if item is not None})


def plain(value: Any) -> Any:
    """The value without secret marks, at every depth."""
    match value:
        case Secret():
            return plain(value.value)
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case _:
            return value


def mark(value: Any, like: Any) -> Any:
    """`value` with everything secret that is secret in `like`, at the same path.

    Where paths cannot be matched (a list that changed, another kind of value), the whole is marked when anything
    in `like` was: too much secrecy can be undone, too little cannot.
    """
    if isinstance(value, Secret) or not _any_secret(like):
        return value
    if isinstance(value, dict) and isinstance(like, dict):
        return {key: mark(item, like[key]) if key in like else item for key, item in value.items()}
    if isinstance(value, list) and isinstance(like, list) and plain(like) == plain(value):
        return [mark(item, other) for item, other in zip(value, like, strict=True)]
    return Secret(value)


def secret_texts(value: Any, *, below: bool = False) -> Iterator[str]:
    """Every text below a secret mark (`below`: the value itself is under one)."""
    match value:
        case Secret():
            yield from secret_texts(value.value, below=True)
        case dict():
            for item in value.values():
                yield from secret_texts(item, below=below)
        case list():
            for item in value:
                yield from secret_texts(item, below=below)
        case str() if below:
            yield value
        case _:
            return


def _any_secret(value: Any) -> bool:
    match value:
        case Secret():
            return True
        case dict():
            return any(_any_secret(item) for item in value.values())
        case list():
            return any(_any_secret(item) for item in value)
        case _:
            return False


class Kind(StrEnum):
    """What happened to a property."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Kind]]:
    """The paths at which two values differ; null and absent are the same, so are 5 and 5.0.

    A secret is compared as a whole: the keys inside are nobody's business. An unknown differs from everything.
    """
    secret = isinstance(old, Secret) or isinstance(new, Secret)
    old, new = (plain(old), plain(new)) if secret else (old, new)
    if not secret and isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from differences(old.get(key), new.get(key), join(path, key))
    elif not secret and isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before, after = (items[index] if index < len(items) else None for items in (old, new))
            yield from differences(before, after, f"{path}[{index}]")
    elif _differ(old, new):
        yield path, Kind.ADD if old is None else Kind.DELETE if new is None else Kind.UPDATE


def _differ(old: Any, new: Any) -> bool:
    if isinstance(old, bool) is not isinstance(new, bool):
        return True
    return bool(old != new) or any_unknown(new)


def any_unknown(value: Any) -> bool:
    """Whether anything in the value is unknown."""
    match value:
        case Secret():
            return any_unknown(value.value)
        case dict():
            return any(any_unknown(item) for item in value.values())
        case list():
            return any(any_unknown(item) for item in value)
        case _:
            return value is UNKNOWN


_WORD = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_STEP = re.compile(r"""\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\[?(\*)\]?|\.?([^.\[\]"]+)""")


def join(path: str, key: str) -> str:
    """The property path of a key below `path`, in Pulumi's syntax (`env["a.b"]` where a name needs quotes)."""
    if not _WORD.fullmatch(key):
        quoted = key.replace("\\", "\\\\").replace('"', '\\"')
        return f'{path}["{quoted}"]'
    return f"{path}.{key}" if path else key


def steps(path: str) -> list[str | int]:
    """A property path taken apart: names, indices, and `*` for every child."""
    found: list[str | int] = []
    for index, quoted, star, name in _STEP.findall(path):
        found.append(int(index) if index else star or name or re.sub(r"\\(.)", r"\1", quoted))
    return found


def top(path: str) -> str:
    """The property at the top level that a path lies in."""
    return str(steps(path)[0])


def keep_old(new: Any, old: Any, path: Sequence[str | int]) -> Any:
    """`new` with what `old` has at `path`, as an engine does for `ignoreChanges`."""
    if not path:
        return old
    if isinstance(new, Secret) or isinstance(old, Secret):
        inner = keep_old(new.value if isinstance(new, Secret) else new, plain(old), path)
        return Secret(inner)
    step, rest = path[0], path[1:]
    if step == "*":
        children: Sequence[str | int] = (
            sorted({*new, *(old if isinstance(old, dict) else ())})
            if isinstance(new, dict)
            else range(len(new))
            if isinstance(new, list)
            else ()
        )
        for child in children:
            new = keep_old(new, old, [child, *rest])
        return new
    if isinstance(new, dict) and isinstance(old, dict):
        if step not in old:
            return {key: item for key, item in new.items() if key != step} if not rest else new
        kept = keep_old(new.get(step), old[step], rest)
        return {**new, str(step): kept}
    if isinstance(new, list) and isinstance(old, list) and isinstance(step, int) and step < min(len(new), len(old)):
        return [keep_old(item, old[step], rest) if at == step else item for at, item in enumerate(new)]
    return new
