"""One YAML file as plain values, with the place of every key and value.

Knows YAML and nothing of model specs. Reads the JSON-like core of YAML 1.2: only `true` and `false` are booleans,
only decimal numbers are numbers, one document, no aliases, no tags. Whatever the file holds, the outcome is a
`Document` or a `SpecError`.

Works on parser events instead of PyYAML's nodes: an alias is refused where it stands, before anything is expanded,
and the nesting is bounded before Python's stack is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from baseload.planner.diagnostics import Diagnostic, Location
from baseload.planner.errors import SpecError

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML built without libyaml: ten times slower, same events
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

LARGEST_FILE = 2**20
"""Bytes. Specs are some hundred bytes; a megabyte is a log or a weight file given by mistake."""
DEEPEST = 32
"""Levels of nesting; the schema has five."""
LONGEST_NUMBER = 40
"""Characters, and the power of ten: more than any quantity of this world needs."""

Step = str | int
At = tuple[Step, ...]
"""A place in the content: the keys and list indices that lead there."""

_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_AMBIGUOUS = re.compile(r"[-+]?0[0-9]+|[-+]?0[xob][0-9a-fA-F]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# Values are never repeated in messages: a password that begins with `*` or `!` looks like YAML, too.
_ALIAS = "anchors and aliases are not supported"
_QUOTE_STAR = "write the value out; quote text that begins with `*`"
_CONSTANTS: Mapping[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


@dataclass(kw_only=True)
class Document:
    """The content of one file: mappings, lists, text, `int`, `Decimal` (never float), `bool`, None."""

    file: Path
    content: Any = None
    problems: list[Diagnostic] = field(default_factory=list)
    broken: set[At] = field(default_factory=set)
    """Where a value could not be understood; it stands as None in the content."""
    _keys: dict[At, Location] = field(default_factory=dict)
    _values: dict[At, Location] = field(default_factory=dict)

    def key(self, at: At) -> Location:
        """Where the key of `at` stands; for a list item and the whole content, where it begins."""
        return self._keys.get(at) or self._values[at]

    def value(self, at: At) -> Location:
        """Where the value of `at` begins."""
        return self._values[at]

    def report(self, code: str, summary: str, where: Location, hint: str | None = None) -> None:
        """Note an error and go on."""
        self.problems.append(Diagnostic(code=code, summary=summary, where=where, hint=hint))


def read(file: Path) -> Document:
    """Read and understand one file; raises `SpecError` where nothing of it can be understood."""
    return parse(file, _text(file, _bytes(file)))


def parse(file: Path, text: str) -> Document:
    """Understand the text of a file; raises `SpecError` where it is not YAML."""
    if found := _UNPRINTABLE.search(text):
        where = _location(file, text[: found.start()])
        raise _stop("spec/character", f"character {_code_point(found[0])} is not allowed in YAML", where)
    parser = Loader(text)
    try:
        return _Reading(file, parser).document()
    except yaml.MarkedYAMLError as error:
        raise _syntax(file, text, error) from error
    except yaml.YAMLError as error:
        raise _stop("spec/yaml", f"this is not YAML: {str(error).splitlines()[0]}", Location(file)) from error
    finally:
        parser.dispose()


def _bytes(file: Path) -> bytes:
    try:
        if file.is_dir():
            raise _stop("spec/unreadable", "this is a folder, not a file", Location(file))
        if file.exists() and not file.is_file():
            raise _stop("spec/unreadable", "this is not a regular file", Location(file))
        size = file.stat().st_size
        with file.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1) if size <= LARGEST_FILE else b""
    except FileNotFoundError as error:
        raise _stop("spec/missing-file", "there is no such file", Location(file)) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise _stop("spec/unreadable", f"cannot read this file: {reason}", Location(file)) from error
    if size > LARGEST_FILE or len(data) > LARGEST_FILE:
        summary = f"this file is larger than {LARGEST_FILE // 1024} KiB"
        raise _stop("spec/too-large", summary, Location(file), "a model spec describes one model in some lines of YAML")
    return data


def _text(file: Path, data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _stop("spec/encoding", "this file is UTF-16", Location(file, 1, 1), "save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = _location(file, error.object[: error.start].decode("utf-8", "replace"))
        raise _stop(
            "spec/encoding", f"byte 0x{error.object[error.start]:02x} is not UTF-8", where, "save the file as UTF-8"
        ) from error


class _Reading:
    """One pass over the events of one document."""

    def __init__(self, file: Path, parser: Any) -> None:
        self._events: Iterator[Any] = iter(parser.get_event, None)
        self._file = file
        self._result = Document(file=file)

    def document(self) -> Document:
        next(self._events)  # the start of the stream
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise self._empty()
        event = next(self._events)
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value in ("", "~", "null"):
            raise self._empty()
        self._result.content = self._node(event, ())
        next(self._events)  # the end of the document
        event = next(self._events)
        if isinstance(event, yaml.DocumentStartEvent):
            raise _stop(
                "spec/documents", "a second YAML document begins here", self._at(event), "write one model per file"
            )
        return self._result

    def _node(self, event: Any, at: At) -> Any:
        where = self._at(event)
        self._result._values[at] = where
        if isinstance(event, yaml.AliasEvent):
            self._broken(at, "spec/alias", _ALIAS, where, _QUOTE_STAR)
            return None
        if len(at) > DEEPEST:
            raise self._too_deep(event)
        if event.tag is not None:
            self._broken(at, "spec/tag", "YAML tags are not supported", where, "quote text that begins with `!`")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(at)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(at)
        return self._scalar(event, at)

    def _mapping(self, at: At) -> dict[str, Any]:
        content: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event)
            if key is None or key in content:
                if key is not None:
                    first = self._result.key((*at, key)).line
                    self._report("spec/duplicate-key", f"this key is already in line {first}", event)
                elif at:
                    self._result.broken.add(at)
                self._skip()
                continue
            self._result._keys[*at, key] = self._at(event)
            content[key] = self._node(next(self._events), (*at, key))
        return content

    def _key(self, event: Any) -> str | None:
        """The key as text; None, with a report, where it cannot be one."""
        if isinstance(event, yaml.CollectionStartEvent):
            hint = "text that holds `{{ … }}` needs quotes" if isinstance(event, yaml.MappingStartEvent) else None
            self._report("spec/key", "a key must be text", event, hint)
            self._skip_rest(event)
            return None
        if isinstance(event, yaml.AliasEvent):
            self._report("spec/alias", _ALIAS, event, _QUOTE_STAR)
            return None
        plain = _is_plain(event)
        if plain and event.value == "<<":
            self._report("spec/alias", "merge keys (`<<`) are not supported", event, "write the keys out")
            return None
        if event.tag is not None or (plain and (event.value in _CONSTANTS or _NUMBER.fullmatch(event.value))):
            self._report("spec/key", "a key must be text", event, "put the key into quotes")
            return None
        if not self._printable(event):
            return None
        return str(event.value)

    def _sequence(self, at: At) -> list[Any]:
        content: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            content.append(self._node(event, (*at, len(content))))
        return content

    def _scalar(self, event: Any, at: At) -> str | int | Decimal | bool | None:
        text: str = event.value
        if not self._printable(event):
            self._result.broken.add(at)
            return None
        if not _is_plain(event):
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        where = self._at(event)
        if _NOT_FINITE.fullmatch(text):
            self._broken(at, "spec/number", f"`{text}` is not a finite number", where)
            return None
        if _AMBIGUOUS.fullmatch(text):
            hint = "write a decimal number without leading zeros, or quote it if it is text"
            self._broken(at, "spec/number", "this number has another value in YAML 1.1 than in YAML 1.2", where, hint)
            return None
        if _NUMBER.fullmatch(text):
            return self._number(text, at, where)
        return text

    def _number(self, text: str, at: At, where: Location) -> int | Decimal | None:
        # The exponent is looked at as text: Decimal itself fails beyond 18 digits of it.
        exponent = text.lower().partition("e")[2].lstrip("+-").lstrip("0")
        if len(text) > LONGEST_NUMBER or len(exponent) > 2 or int(exponent or 0) > LONGEST_NUMBER:
            self._broken(at, "spec/number", "this number is beyond any sensible size", where)
            return None
        if _INTEGER.fullmatch(text):
            return int(text)
        number = Decimal(text)
        return int(number) if number == number.to_integral_value() else number

    def _printable(self, event: Any) -> bool:
        # Escapes in double quotes bring in what the text of the file may not hold.
        if not (found := _UNPRINTABLE.search(event.value)):
            return True
        self._report("spec/character", f"text with the character {_code_point(found[0])} is not allowed", event)
        return False

    def _skip(self) -> None:
        self._skip_rest(next(self._events))

    def _skip_rest(self, event: Any) -> None:
        depth = int(isinstance(event, yaml.CollectionStartEvent))
        while depth:
            event = next(self._events)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise self._too_deep(event)

    def _broken(self, at: At, code: str, summary: str, where: Location, hint: str | None = None) -> None:
        self._result.broken.add(at)
        self._result.report(code, summary, where, hint)

    def _report(self, code: str, summary: str, event: Any, hint: str | None = None) -> None:
        self._result.report(code, summary, self._at(event), hint)

    def _at(self, event: Any) -> Location:
        return Location(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _too_deep(self, event: Any) -> SpecError:
        return _stop("spec/too-deep", f"more than {DEEPEST} levels of nesting", self._at(event))

    def _empty(self) -> SpecError:
        return _stop("spec/empty", "there is no model spec in this file", Location(self._file))


def _syntax(file: Path, text: str, error: yaml.MarkedYAMLError) -> SpecError:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "cannot be read"
    if mark is None:
        return _stop("spec/yaml", f"this is not YAML: {problem}", Location(file))
    where = Location(file, mark.line + 1, mark.column + 1)
    line = text.splitlines()[mark.line : mark.line + 1]
    if line and line[0][mark.column : mark.column + 1] == "\t":
        return _stop("spec/yaml", "a tab cannot indent YAML", where, "indent with spaces")
    return _stop("spec/yaml", f"this is not YAML: {problem}", where)


def _is_plain(event: yaml.ScalarEvent) -> bool:
    return not event.style  # None from PyYAML's own parser, "" from libyaml


def _stop(code: str, summary: str, where: Location, hint: str | None = None) -> SpecError:
    return SpecError(Diagnostic(code=code, summary=summary, where=where, hint=hint))


def _location(file: Path, before: str) -> Location:
    return Location(file, before.count("\n") + 1, len(before) - before.rfind("\n"))


def _code_point(character: str) -> str:
    return f"U+{ord(character):04X}"


def short(text: str) -> str:
    """Text for a message: one line, 40 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 40 else line[:39] + "…"
