"""What a resource takes and gives, declared once: checks with property paths, defaults, and the package schema.

Checks report every problem, never stop at the first, and skip what a preview cannot know. Rules between fields
belong to the resource.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from baseload.providers.framework.wire import UNKNOWN, join


class Failure(NamedTuple):
    """One reason why inputs are refused; `path` in Pulumi's syntax. The reason never quotes a value."""

    path: str
    reason: str


Types = dict[str, dict[str, Any]]
"""Named object types of a package schema, collected while it is written."""


class Type(Protocol):
    """The type of a property."""

    def check(self, value: Any, path: str) -> Iterator[Failure]:
        """Everything wrong with a known value."""
        ...

    def fill(self, value: Any) -> Any:
        """The value with defaults filled in; values of a wrong type are returned as they are."""
        ...

    def schema(self, package: str, types: Types) -> dict[str, Any]:
        """The type in Pulumi's package schema."""
        ...


@dataclass(frozen=True)
class Text:
    """A string; `pattern` must match the whole, `wanted` says in words what it asks for."""

    choices: tuple[str, ...] = ()
    pattern: str = ""
    wanted: str = "text"

    def check(self, value: Any, path: str) -> Iterator[Failure]:
        """Everything wrong with the value."""
        if not isinstance(value, str):
            yield Failure(path, f"must be {self.wanted}, not {_kind(value)}")
        elif self.choices and value not in self.choices:
            yield Failure(path, f"must be one of {', '.join(self.choices)}")
        elif self.pattern and not re.fullmatch(self.pattern, value):
            yield Failure(path, f"must be {self.wanted}")

    def fill(self, value: Any) -> Any:
        """The value with defaults filled in."""
        return value

    def schema(self, package: str, types: Types) -> dict[str, Any]:
        """The type in Pulumi's package schema."""
        return {"type": "string"}


@dataclass(frozen=True)
class Number:
    """A finite number within bounds (both included)."""

    minimum: float | None = None
    maximum: float | None = None
    whole: bool = False

    def check(self, value: Any, path: str) -> Iterator[Failure]:
        """Everything wrong with the value."""
        kind = "a whole number" if self.whole else "a number"
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield Failure(path, f"must be {kind}, not {_kind(value)}")
        elif value != value or value in (float("inf"), float("-inf")):
            yield Failure(path, "must be finite")
        elif self.whole and not float(value).is_integer():
            yield Failure(path, "must be a whole number")
        elif self.minimum is not None and value < self.minimum:
            yield Failure(path, f"must be at least {self.minimum}")
        elif self.maximum is not None and value > self.maximum:
            yield Failure(path, f"must be at most {self.maximum}")

    def fill(self, value: Any) -> Any:
        """The value with defaults filled in."""
        return value

    def schema(self, package: str, types: Types) -> dict[str, Any]:
        """The type in Pulumi's package schema."""
        return {"type": "integer" if self.whole else "number"}


@dataclass(frozen=True)
class ListOf:
    """A list of one type, without repetitions."""

    item: Type
    at_least: int = 0

    def check(self, value: Any, path: str) -> Iterator[Failure]:
        """Everything wrong with the value."""
        if not isinstance(value, list):
            yield Failure(path, f"must be a list, not {_kind(value)}")
            return
        if len(value) < self.at_least:
            yield Failure(path, f"must have at least {self.at_least} entry")
        for index, entry in enumerate(value):
            if entry is not UNKNOWN:
                yield from self.item.check(entry, f"{path}[{index}]")
                if entry in value[:index]:
                    yield Failure(f"{path}[{index}]", "repeats an entry before it")

    def fill(self, value: Any) -> Any:
        """The value with defaults filled in."""
        return [self.item.fill(entry) for entry in value] if isinstance(value, list) else value

    def schema(self, package: str, types: Types) -> dict[str, Any]:
        """The type in Pulumi's package schema."""
        return {"type": "array", "items": self.item.schema(package, types)}


@dataclass(frozen=True)
class MapOf:
    """A map from names to one type."""

    item: Type
    key: str = ".+"

    def check(self, value: Any, path: str) -> Iterator[Failure]:
        """Everything wrong with the value."""
        if not isinstance(value, dict):
            yield Failure(path, f"must be a map, not {_kind(value)}")
            return
        for key, entry in value.items():
            if not re.fullmatch(self.key, key):
                yield Failure(join(path, key), "is not a valid name here")
            if entry is not UNKNOWN:
                yield from self.item.check(entry, join(path, key))

    def fill(self, value: Any) -> Any:
        """The value with defaults filled in."""
        return value

    def schema(self, package: str, types: Types) -> dict[str, Any]:
        """The type in Pulumi's package schema."""
        return {"type": "object", "additionalProperties": self.item.schema(package, types)}


@dataclass(frozen=True, kw_only=True)
class Field:
    """A property: its type, whether it must be given, and what it is when it is not."""

    type: Type
    text: str = ""
    required: bool = False
    default: Any = None
    secret: bool = False


@dataclass(frozen=True)
class Record:
    """An object with declared fields; `name` is its type name in the package schema."""

    name: str
    fields: Mapping[str, Field] = field(default_factory=dict)

    def check(self, value: Any, path: str = "") -> Iterator[Failure]:
        """Everything wrong with the object and below it."""
        if not isinstance(value, dict):
            yield Failure(path, f"must be an object, not {_kind(value)}")
            return
        for key in value:
            if key not in self.fields:
                yield Failure(join(path, key), f"is not a property of {self.name}")
        for key, declared in self.fields.items():
            entry = value.get(key)
            if entry is None and declared.required:
                yield Failure(join(path, key), "is required")
            elif entry is not None and entry is not UNKNOWN:
                yield from declared.type.check(entry, join(path, key))

    def fill(self, value: Any) -> Any:
        """The value with defaults filled in."""
        if not isinstance(value, dict):
            return value
        filled = dict(value)
        for key, declared in self.fields.items():
            if filled.get(key) is None and declared.default is not None:
                filled[key] = copy.deepcopy(declared.default)
            if filled.get(key) is not None:
                filled[key] = declared.type.fill(filled[key])
        return filled

    def schema(self, package: str, types: Types) -> dict[str, Any]:
        """The type in Pulumi's package schema."""
        token = f"{package}:index:{self.name}"
        types[token] = {"type": "object", **self.members(package, types)}
        return {"$ref": f"#/types/{token}"}

    def members(self, package: str, types: Types) -> dict[str, Any]:
        """`properties` and `required` of the record."""
        return {
            "properties": {key: _property(declared, package, types) for key, declared in self.fields.items()},
            "required": sorted(key for key, declared in self.fields.items() if declared.required),
        }


def _property(declared: Field, package: str, types: Types) -> dict[str, Any]:
    described = {"description": declared.text} if declared.text else {}
    marked = {"secret": True} if declared.secret else {}
    return {**declared.type.schema(package, types), **described, **marked}


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"
