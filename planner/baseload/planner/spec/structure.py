"""Content against the JSON Schema, in words: each violation with its place, a reason and a remedy.

The schema is the only source of what is allowed; nothing here names a key of it. It uses some annotations of its own:

`x-unit`              text of a number and a unit (`duration`: ms, s, m, h; `count`: K, M, B, T)
`x-minimum/-maximum`  bounds of such a quantity
`x-whole`             such a quantity must be a multiple of this
`x-lengths`           how many items a list may have
`x-not-with`          for a key, those that it has no meaning beside
`x-wanted`            what a `pattern` means, in words
`x-later`             keys (or values) that are planned and not supported yet
`x-several`           names of several keys, with a sentence that tells them apart
`x-compared`          targets that are priced by `deploy compare` and never deployed
`x-never`             keys of something that cannot be, with the reason
`writeOnly`           (standard) nothing in it is repeated in a message but names: it may be a secret

The schema avoids `anyOf` and has `oneOf` of required keys only, because a validator cannot tell which branch was
meant.
"""

from __future__ import annotations

import difflib
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from baseload.planner.diagnostics import Diagnostic, Location
from baseload.planner.performance.gpus import POOLS, TYPES, pools_with, types_with
from baseload.planner.spec import schema as read_schema
from baseload.planner.spec.source import At, Document, short
from baseload.planner.spec.values import quantity

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

Schema = Mapping[str, Any]


schema = cache(read_schema)


def violations(document: Document) -> Iterator[tuple[At, Diagnostic]]:
    """Every violation of the schema with the path of what it spoils, in no certain order; found while iterating."""
    for error in _validator().iter_errors(document.content):
        at: At = tuple(error.absolute_path)
        if not any(at[: len(broken)] == broken for broken in document.broken):  # else reported, with a better reason
            yield from _Explanation(document, error, at).found()


@cache
def _validator() -> Validator:
    # Imported here because it costs seven times the start of Python; most commands never check a file.
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    keywords = {
        "required": _required,
        "pattern": _pattern,
        "x-minimum": _at_least,
        "x-maximum": _at_most,
        "x-whole": _whole,
        "x-lengths": _lengths,
        "x-not-with": _not_with,
        "uniqueItems": _unique,
    }
    validator: Validator = extend(Draft202012Validator, keywords)(schema())  # type: ignore[no-untyped-call]
    return validator


def _violation(keyword: str) -> ValidationError:
    from jsonschema import ValidationError

    return ValidationError(keyword)


def _required(_: Validator, keys: list[str], value: Any, __: Schema) -> Iterator[ValidationError]:
    # jsonschema's own gives one error per key and names the key in the message only.
    if isinstance(value, Mapping) and not value.keys() >= set(keys):
        yield _violation("required")


def _pattern(_: Validator, pattern: str, value: Any, __: Schema) -> Iterator[ValidationError]:
    # JSON Schema means ECMA's `$`, which is the end; Python's also accepts a newline before it.
    if isinstance(value, str) and not re.search(pattern.replace("$", r"\Z"), value):
        yield _violation("pattern")


def _unique(_: Validator, __: bool, value: Any, ___: Schema) -> Iterator[ValidationError]:
    # jsonschema's own compares each with each where types are mixed; only text is allowed where the schema asks this.
    texts = [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
    if len(set(texts)) < len(texts):
        yield _violation("uniqueItems")


def _at_least(_: Validator, bound: str, value: Any, __: Schema) -> Iterator[ValidationError]:
    if (number := _comparable(value, bound)) is not None and number < (quantity(bound) or 0):
        yield _violation("x-minimum")


def _at_most(_: Validator, bound: str, value: Any, __: Schema) -> Iterator[ValidationError]:
    if (number := _comparable(value, bound)) is not None and number > (quantity(bound) or 0):
        yield _violation("x-maximum")


def _whole(_: Validator, step: str, value: Any, __: Schema) -> Iterator[ValidationError]:
    if isinstance(value, str) and (number := quantity(value)) is not None and number % (quantity(step) or 1):
        yield _violation("x-whole")


def _lengths(_: Validator, lengths: list[int], value: Any, __: Schema) -> Iterator[ValidationError]:
    if isinstance(value, list) and len(value) not in lengths:
        yield _violation("x-lengths")


def _not_with(_: Validator, rules: Mapping[str, list[str]], value: Any, __: Schema) -> Iterator[ValidationError]:
    if isinstance(value, Mapping) and any(key in value and value.keys() & set(other) for key, other in rules.items()):
        yield _violation("x-not-with")


def _comparable(value: Any, bound: str) -> Decimal | None:
    """The quantity; None where another keyword has already refused it, as a bare number where a duration belongs."""
    if isinstance(value, str) or (_is_number(value) and not bound.endswith(("s", "m", "h"))):
        return quantity(value)
    return None


Found = Iterator[tuple[At, Diagnostic]]


class _Explanation:
    """One violation in words."""

    def __init__(self, document: Document, error: ValidationError, at: At) -> None:
        self._document = document
        self._at = at
        self._keyword = str(error.validator)
        self._bound: Any = error.validator_value
        self._value: Any = error.instance
        self._schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
        self._is_key = "propertyNames" in error.absolute_schema_path

    def found(self) -> Found:
        match self._keyword:
            case "additionalProperties":
                yield from self._extra_keys()
            case "required":
                yield from self._missing_keys()
            case "oneOf":
                yield from self._exactly_one_of_keys()
            case "x-not-with":
                yield from self._meaningless_keys()
            case "minProperties" | "maxProperties":
                yield self._at, self._wrong_number_of_keys()
            case _:
                at = (*self._at, str(self._value)) if self._is_key else self._at
                yield at, self._wrong_value()

    def _extra_keys(self) -> Found:
        known = list(self._schema.get("properties", {}))
        for key in self._value:
            if key in known:
                continue
            at = (*self._at, key)
            where = self._document.key(at)
            if key in self._later():
                yield at, self._not_yet(key, where)
            elif key in self._several():
                yield at, self._ambiguous(key, where)
            elif key in self._compared():
                yield at, self._compared_only(key, where)
            elif key in self._schema.get("x-never", {}):
                yield at, _error("spec/impossible", self._schema["x-never"][key], where, f"remove `{key}`")
            else:
                hint = _lacks_space(key, self._value[key]) or _did_you_mean(key, known) or self._belongs_under(key)
                hint = hint or f"known here: {_listed(known)}"
                summary = "unknown key" if _is_private(at) else f"unknown key {_quoted(key)}"
                yield at, _error("spec/unknown-key", summary, where, hint)

    def _belongs_under(self, key: str) -> str | None:
        """The sections that have it: those that the file has, else those of the fewest steps."""
        places = _places().get(key, [])
        least = min(map(len, places), default=0)
        here = [at for at in places if self._has(at)] or [at for at in places if len(at) == least]
        return f"`{key}` belongs under {_listed(['.'.join(at) for at in here], 'or')}" if here else None

    def _has(self, at: tuple[str, ...]) -> bool:
        part: Any = self._document.content
        for step in at:
            part = part.get(step) if isinstance(part, Mapping) else None
        return isinstance(part, Mapping)

    def _missing_keys(self) -> Found:
        for key in self._bound:
            if key not in self._value:
                # The whole mapping is spoiled, but never the whole file.
                yield self._at or (key,), self._missing(f"`{key}`")

    def _exactly_one_of_keys(self) -> Found:
        if not isinstance(self._value, Mapping):
            return  # its type is reported
        keys = [branch["required"][0] for branch in self._bound]
        choice = _listed(keys, "or")
        given = [key for key in keys if key in self._value]
        # What was meant is not known: inside a section that spoils all of it, but never the whole file.
        if given:
            where = max(self._document.key((*self._at, key)) for key in given)
            many = "not both" if len(given) == len(keys) == 2 else f"not {_listed(given)} together"
            yield self._at or (keys[-1],), _error("spec/too-many-keys", f"give {choice}, {many}", where)
        else:
            yield self._at or (keys[0],), self._missing(choice)

    def _meaningless_keys(self) -> Found:
        for key, others in self._bound.items():
            beside = [other for other in others if other in self._value]
            if key in self._value and beside:
                at = (*self._at, key)
                summary = f"`{key}` has no meaning beside {_listed(beside)}"
                yield at, _error("spec/too-many-keys", summary, self._document.key(at), f"remove `{key}`")

    def _wrong_number_of_keys(self) -> Diagnostic:
        if self._keyword == "maxProperties" and self._bound > 1:
            return self._say("spec/too-long", f"more than {self._bound} keys")
        choice = _listed(list(self._schema["properties"]), "or")
        return self._say("spec/too-many-keys" if self._value else "spec/missing-key", f"give exactly one of {choice}")

    def _wrong_value(self) -> Diagnostic:
        match self._keyword:
            case "type":
                return self._wrong_type()
            case "enum":
                return self._not_a_choice()
            case "pattern":
                return self._no_match()
            case "minimum" | "x-minimum":
                return self._too_small()
            case "exclusiveMinimum":
                return self._say("spec/out-of-range", f"{self._shown()} is not more than {self._bound}")
            case "maximum" | "x-maximum":
                return self._say("spec/out-of-range", f"{self._shown()} is more than {self._bound}")
            case "x-whole":
                return self._say("spec/out-of-range", f"{self._shown()} is not a multiple of {self._bound}")
            case "maxLength":
                return self._say("spec/too-long", f"longer than {self._bound} characters")
            case "maxItems":
                return self._say("spec/too-long", f"more than {self._bound} items")
            case "x-lengths":
                wanted = " or ".join(map(str, self._bound))
                return self._say("spec/length", f"a list of {len(self._value)} items, wanted {wanted}")
            case "uniqueItems":
                return self._say("spec/repeated", "an item stands here twice")
            case keyword:
                # A keyword that the schema has begun to use needs its sentence here.
                raise NotImplementedError(keyword)

    def _too_small(self) -> Diagnostic:
        number = _plain(self._value) if _is_number(self._value) and self._keyword == "x-minimum" else None
        hint = f"write `{number}B` for billions, `{number}M` for millions" if number else None
        return self._say("spec/out-of-range", f"{self._shown()} is less than {self._bound}", hint)

    def _wrong_type(self) -> Diagnostic:
        if isinstance(self._value, str) and self._value in self._later():
            return self._not_yet(self._value, self._document.value(self._at))
        if self._schema.get("x-unit") == "duration" and _is_number(self._value):
            better = f"did you mean `{_plain(self._value)}s`? a duration ends in `ms`, `s`, `m` or `h`"
            return self._say("spec/unit", f"{self._shown()} has no unit", better)
        wanted = " or ".join(_TYPES[kind] for kind in ([self._bound] if isinstance(self._bound, str) else self._bound))
        if self._at == ():
            return self._say("spec/type", f"a model spec is {wanted}, this is {_kind(self._value)}")
        hint: str | None = None
        if "string" in self._bound and (_is_number(self._value) or isinstance(self._value, bool)):
            hint = "put it into quotes if it is meant as text"
        if isinstance(self._value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", self._value):
            hint = "remove the quotes"
        if self._value is None:
            hint = _lacks_space(str(self._at[-1]), None) or "remove the key or give it a value"
        return self._say("spec/type", f"wanted {wanted}, found {self._shown()}", hint)

    def _not_a_choice(self) -> Diagnostic:
        choices: list[str] = self._bound
        hint = _did_you_mean(str(self._value), choices) or f"one of {_listed(choices)}"
        if choices == list(POOLS):
            return self._unknown_pool(hint)
        if choices == list(TYPES):
            return self._unknown_type(hint)
        return self._say("spec/choice", f"{self._shown()} is not a choice here", hint)

    def _unknown_pool(self, hint: str) -> Diagnostic:
        gpu = str(self._value)
        if pools := pools_with(gpu):
            hint = f"endpoints name a pool, not a card; {_quoted(gpu)} is in {_listed([pool.id for pool in pools])}"
        return self._say("spec/gpu-pool", f"{self._shown()} is no GPU pool of RunPod", hint)

    def _unknown_type(self, hint: str) -> Diagnostic:
        gpu = str(self._value)
        if gpu in POOLS:
            hint = f"pods name a card, not a pool; {_quoted(gpu)} has {_listed(POOLS[gpu].types)}"
        elif types := types_with(gpu):
            hint = f"RunPod calls it {_listed(types, 'or')}"
        return self._say("spec/gpu-type", f"{self._shown()} is no GPU type of RunPod", hint)

    def _no_match(self) -> Diagnostic:
        wanted = self._schema["x-wanted"]
        if self._value in self._several():
            return self._ambiguous(self._value, self._place())
        if self._value in self._compared():
            return self._compared_only(self._value, self._place())
        if self._is_key:
            key = _key((*self._at, self._value))
            return self._say("spec/format", f"`{key}` is not usable as a name", f"wanted: {wanted}")
        if self._schema.get("x-unit"):
            return self._say("spec/unit", f"{self._shown()} is not {wanted}", self._better_unit())
        return self._say("spec/format", f"{self._shown()} is not usable", f"wanted: {wanted}")

    def _better_unit(self) -> str | None:
        text = str(self._value).replace(" ", "").replace("_", "").replace(",", ".")
        if self._schema["x-unit"] == "count":
            better = text.upper()
        else:
            number, spelled = re.fullmatch(r"([0-9.]*)(.*)", text.lower(), re.DOTALL).groups()  # type: ignore[union-attr]
            if spelled in ("d", "day", "days") and number.isdigit():
                number, spelled = str(24 * int(number[:9])), "h"
            better = number + _SPELLED.get(spelled, spelled)
        if better != self._value and re.search(self._schema["pattern"], better):
            return f"did you mean `{better}`?"
        return None

    def _missing(self, keys: str) -> Diagnostic:
        inside = f" in `{_key(self._at)}`" if self._at else ""
        return _error("spec/missing-key", f"{keys} is missing{inside}", self._document.key(self._at))

    def _later(self) -> Sequence[str]:
        return tuple(self._schema.get("x-later", ()))

    def _several(self) -> dict[str, str]:
        return dict(self._schema.get("x-several", {}))

    def _compared(self) -> Sequence[str]:
        return tuple(self._schema.get("x-compared", ()))

    def _ambiguous(self, key: str, where: Location) -> Diagnostic:
        hint = f"say which one: {self._several()[key]}"
        return _error("spec/ambiguous", f"`{key}` is the name of several targets", where, hint)

    def _compared_only(self, key: str, where: Location) -> Diagnostic:
        supported = _listed(list(self._schema["properties"]))
        hint = f"`deploy compare` prices it beside any spec; supported under `{self._at[-1]}`: {supported}"
        return _error("spec/compared-only", f"`{key}` is priced for comparison and never deployed", where, hint)

    def _not_yet(self, key: str, where: Location) -> Diagnostic:
        supported = _listed(list(self._schema["properties"]))
        summary = f"`{key}` is planned but not supported yet"
        return _error("spec/not-yet", summary, where, f"supported under `{self._at[-1]}`: {supported}")

    def _say(self, code: str, reason: str, hint: str | None = None) -> Diagnostic:
        summary = f"{_name(self._at)}: {reason}" if self._at else reason
        return _error(code, summary, self._place(), hint)

    def _place(self) -> Location:
        if self._is_key:
            return self._document.key((*self._at, self._value))
        return self._document.value(self._at)

    def _shown(self) -> str:
        if self._value is None or _is_private(self._at):
            return _kind(self._value)
        if isinstance(self._value, bool):
            return f"`{str(self._value).lower()}`"
        if _is_number(self._value):
            return f"the number {_plain(self._value)}" if self._keyword == "type" else _plain(self._value)
        return _quoted(self._value) if isinstance(self._value, str) else _kind(self._value)


_NAME = string.ascii_letters + string.digits + "_"
_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
}
_SPELLED = {
    "milliseconds": "ms", "millisecond": "ms", "msec": "ms", "seconds": "s", "second": "s", "sec": "s",
    "minutes": "m", "minute": "m", "mins": "m", "min": "m", "hours": "h", "hour": "h", "hrs": "h", "hr": "h",
}  # fmt: skip


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a boolean"
    if _is_number(value):
        return "a number"
    return "text" if isinstance(value, str) else "a list" if isinstance(value, list) else "a mapping"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _plain(number: int | Decimal) -> str:
    return format(number, "f") if isinstance(number, Decimal) else str(number)


def _did_you_mean(text: str, known: Sequence[str]) -> str | None:
    lower = {word.lower(): word for word in known}
    near = difflib.get_close_matches(text[:64].lower(), lower, n=1, cutoff=0.6)
    return f"did you mean `{lower[near[0]]}`?" if near else None


@cache
def _places() -> dict[str, list[tuple[str, ...]]]:
    """For each key of the schema the sections that have it."""
    found: dict[str, list[tuple[str, ...]]] = {}

    def visit(rule: Mapping[str, Any], at: tuple[str, ...]) -> None:
        for key, inner in rule.get("properties", {}).items():
            if at:
                found.setdefault(key, []).append(at)
            visit(inner, (*at, key))

    visit(schema(), ())
    return found


def _listed(words: Sequence[str], last: str = "and") -> str:
    quoted = [f"`{word}`" for word in words]
    return f" {last} ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else "".join(quoted)


def _is_private(at: At) -> bool:
    """Whether this lies in a part of the content that the schema marks `writeOnly`."""
    rule: Mapping[str, Any] = schema()
    for step in at:
        inner = rule.get("items") if isinstance(step, int) else rule.get("properties", {}).get(step)
        rule = inner or rule.get("additionalProperties") or {}
        if rule.get("writeOnly"):
            return True
    return False


def _name(at: At) -> str:
    return "`" + ".".join(_key(at[: depth + 1]) for depth in range(len(at))) + "`"


def _key(at: At) -> str:
    """The last step of `at` for a message. `{TOKEN:value}` without a space is a key that holds the value."""
    text = short(str(at[-1]))
    if not _is_private(at):
        return text
    name = text[: len(text) - len(text.lstrip(_NAME))]
    return name if name == text else f"{name}…"


def _lacks_space(key: str, value: Any) -> str | None:
    return "put a space after the colon" if value is None and ":" in key else None


def _quoted(text: str) -> str:
    return f"`{short(text)}`"


def _error(code: str, summary: str, where: Location, hint: str | None = None) -> Diagnostic:
    return Diagnostic(code=code, summary=summary, where=where, hint=hint)
