"""What rules look at: the sound values of one file, and where they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from decimal import ROUND_FLOOR, ROUND_UP, Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from baseload.planner.diagnostics import Diagnostic, Severity
from baseload.planner.spec import values
from baseload.planner.spec.model import (
    VLLM_CONCURRENCY,
    Auto,
    Container,
    Model,
    Performance,
    RunpodTarget,
    Schedule,
    Traffic,
)
from baseload.planner.spec.source import At, Document
from baseload.planner.spec.structure import schema

if TYPE_CHECKING:
    from baseload.planner.targets import Target

T = TypeVar("T")
HYBRID = ("target", "hybrid")


@dataclass(frozen=True, kw_only=True)
class Sections:
    """The values of one file as far as they are sound; None where a section is absent or unusable."""

    model: Model | None
    container: Container | None
    traffic: Traffic | None
    performance: Performance
    target: RunpodTarget | Target | Auto | None
    target_at: At = ("target",)
    """Where it stands."""
    sides: Mapping[At, RunpodTarget | Target] = field(default_factory=dict)
    """Of a hybrid: what its baseline and its burst would be alone, by where they stand."""
    schedule: Schedule | None = None


def spoiled(problems: Iterable[At]) -> set[At]:
    """The keys of sections (`container.env`, `target.runpod.workers`) in which something is wrong."""
    return {at[: _depth(at)] for at in problems}


def _depth(at: At) -> int:
    if at[:2] == HYBRID:
        return 5  # target.hybrid.burst.runpod.gpu
    return 3 if at[:1] == ("target",) else 2


def sections(content: Mapping[str, Any], spoiled: Set[At]) -> Sections:
    """The values of `content` without the keys that are `spoiled`."""
    sound = _without(content, spoiled)

    def read(make: Callable[[Mapping[str, Any]], T], key: str, *needed: str) -> T | None:
        part = sound.get(key)
        return make(part) if part and part.keys() >= set(needed) else None

    model = read(values.model, "model", "id", "parameters")
    container = read(values.container, "container", "image")
    traffic = _traffic(sound.get("traffic", {}))
    performance = _performance(sound, read(values.performance, "performance") or Performance())
    target, at = _target(sound.get("target"), spoiled, model or container)
    return Sections(
        model=model,
        container=container,
        traffic=traffic,
        performance=performance,
        target=target,
        target_at=at,
        sides=dict(_sides(sound.get("target"))),
        schedule=_schedule(sound.get("target"), traffic),
    )


def _performance(content: Mapping[str, Any], given: Performance) -> Performance:
    """With what the vLLM worker takes at once where a model's spec does not say it: that is what will be deployed."""
    if "model" not in content or "concurrency" in content.get("performance", {}):
        return given
    return replace(given, concurrency=VLLM_CONCURRENCY)


def _traffic(part: Mapping[str, Any]) -> Traffic | None:
    """The traffic as far as its volume is known; the rest may be spoiled."""
    volumes = [branch["required"][0] for branch in schema()["properties"]["traffic"]["oneOf"]]
    return values.traffic(part) if sum(key in part for key in volumes) == 1 else None


def _target(
    part: Any, spoiled: Set[At], serves: Model | Container | None
) -> tuple[RunpodTarget | Target | Auto | None, At]:
    if part == "auto":
        return Auto(), ("target",)
    if not isinstance(part, Mapping) or len(part) != 1:
        return None, ("target",)
    ((name, inner),) = part.items()
    at = ("target", name)
    if name == "runpod":
        return (values.runpod({"gpu": "", **inner}), at) if inner else (None, at)
    if name == "auto":
        return values.auto(inner), at
    whole = inner.keys() >= set(_rule(at).get("required", ()))
    if not whole or (name == "hybrid" and any(a[:2] == at for a in spoiled)):
        return None, at
    from baseload.planner.spec import target_values

    return target_values.target(name, inner, serves), at


def _sides(part: Any) -> Iterator[tuple[At, RunpodTarget | Target]]:
    if not isinstance(part, Mapping) or part.keys() != {"hybrid"}:
        return
    from baseload.planner.spec import target_values

    for side in ("baseline", "burst"):
        for name, inner in part["hybrid"].get(side, {}).items():
            at = (*HYBRID, side, name)
            if inner.keys() >= set(_rule(at).get("required", ())):
                yield at, values.runpod(inner) if name == "runpod" else target_values.target(name, inner, None)


def _schedule(part: Any, traffic: Traffic | None) -> Schedule | None:
    if not isinstance(part, Mapping) or len(part) != 1:
        return None
    (inner,) = part.values()
    if "schedule" not in inner:
        return None
    from baseload.planner.spec import target_values

    return target_values.schedule(inner["schedule"], traffic.time_zone if traffic else "UTC")


def _keys(part: Any) -> Set[Any]:
    return part.keys() if isinstance(part, Mapping) else frozenset()


def _rule(at: At) -> Mapping[str, Any]:
    rule: Mapping[str, Any] = schema()
    for step in at:
        rule = rule["properties"][step]
    return rule


class Check:
    """Where things stand and whether they are sound."""

    def __init__(self, document: Document, spoiled: Set[At]) -> None:
        self._document = document
        self._spoiled = spoiled
        self.content: Mapping[str, Any] = document.content

    def value(self, at: At) -> Any:
        """What stands there, as it was read."""
        part: Any = self.content
        for step in at:
            part = part[step]
        return part

    def given(self, *at: str | int) -> bool:
        """Whether the file has this key."""
        part: Any = self.content
        for step in at:
            inside = step < len(part) if isinstance(part, list) and isinstance(step, int) else step in _keys(part)
            if not inside:
                return False
            part = part[step]
        return True

    def sound(self, *ats: At) -> bool:
        """Whether nothing is wrong with, in or around these keys."""
        return not any(
            spoiled[: len(at)] == at or at[: len(spoiled)] == spoiled for at in ats for spoiled in self._spoiled
        )

    def say(self, code: str, summary: str, at: At, hint: str, severity: Severity = Severity.ERROR) -> Diagnostic:
        """A diagnostic at the value of the deepest part of `at` that the file has."""
        while not self.given(*at):
            at = at[:-1]
        return Diagnostic(code=code, summary=summary, severity=severity, where=self._document.value(at), hint=hint)


def _without(content: Mapping[str, Any], spoiled: Set[At], at: At = ()) -> dict[str, Any]:
    kept = {key: value for key, value in content.items() if (*at, key) not in spoiled}
    return {
        key: _without(value, spoiled, (*at, key)) if isinstance(value, Mapping) else value
        for key, value in kept.items()
    }


def number(value: Decimal) -> str:
    """Without an exponent."""
    return format(value.normalize(), "f")


def up(value: Decimal) -> Decimal:
    """To a tenth, never less."""
    return value.quantize(Decimal("0.1"), ROUND_UP)


def down(value: Decimal) -> Decimal:
    """To a tenth, never more."""
    return value.quantize(Decimal("0.1"), ROUND_FLOOR)
