"""One spec file through all stages: text, form, rules, values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from baseload.planner.diagnostics import Diagnostic, Location, Severity, in_order
from baseload.planner.errors import SpecError
from baseload.planner.spec import rules, structure, values
from baseload.planner.spec.model import ModelSpec
from baseload.planner.spec.source import Document, parse, read

CHECKS = {
    "limits": {name: name for name in ("monthly_usd", "hourly_worst_case_usd", "increase_percent")},
    "service_level": {"p95": "p95_s", "p99": "p99_s", "cold_starts": "cold_share"},
}
"""Keys of a spec that a plan checks, and what it calls the checks."""

MOST_PROBLEMS = 100
"""Told per file; a file with more is not the file that was meant."""


@dataclass(frozen=True, kw_only=True)
class SpecFile:
    """What a file gave: a spec or errors, and maybe warnings."""

    diagnostics: tuple[Diagnostic, ...]
    spec: ModelSpec | None = None
    name: str | None = None
    """Known even where the rest is wrong."""
    name_at: Location | None = None


def read_spec(path: Path) -> SpecFile:
    """Everything that can be said about one file; never raises."""
    try:
        return checked(read(path))
    except SpecError as error:
        return SpecFile(diagnostics=error.diagnostics)


def parse_spec(path: Path, text: str) -> SpecFile:
    """As `read_spec`, for text that is already at hand; `path` is only named."""
    try:
        return checked(parse(path, text))
    except SpecError as error:
        return SpecFile(diagnostics=error.diagnostics)


def checked(document: Document) -> SpecFile:
    """The stages after the text."""
    violations = list(islice(structure.violations(document), MOST_PROBLEMS + 1))
    told = [*document.problems, *(diagnostic for _, diagnostic in violations)]
    content = document.content
    if not isinstance(content, Mapping) or len(violations) > MOST_PROBLEMS:
        return SpecFile(diagnostics=_cut(told))
    spoiled = rules.spoiled({at for at, _ in violations} | document.broken)
    sections = rules.sections(content, spoiled)
    told += rules.broken_rules(document, sections, spoiled)
    spec = None
    if not any(item.severity is Severity.ERROR for item in told):
        serves = sections.model or sections.container
        assert serves is not None, "required by the schema"
        assert sections.target is not None, "required by the schema"
        spec = ModelSpec(
            name=content["name"],
            file=document.file,
            serves=serves,
            traffic=sections.traffic,
            performance=sections.performance,
            limits=values.limits(content.get("limits", {})),
            service_level=values.service_level(content.get("service_level", {})),
            requires=values.requires(content.get("requires", {})),
            ops_cost_per_month_usd=values.ops_cost_per_month(content.get("ops_cost_per_month", {})),
            target=sections.target,
            digest=values.digest(content),
            content=values.without_environment(content),
            schedule=sections.schedule,
            target_at=document.key(sections.target_at),
            limits_at={
                check: document.key((section, key))
                for section, checks in CHECKS.items()
                for key, check in checks.items()
                if key in content.get(section, {})
            },
        )
    named = ("name",) not in spoiled and "name" in content
    return SpecFile(
        diagnostics=_cut(told),
        spec=spec,
        name=content["name"] if named else None,
        name_at=document.value(("name",)) if named else None,
    )


def names_taken_twice(files: Iterable[SpecFile]) -> list[Diagnostic]:
    """An error at each name that an earlier file has."""
    first: dict[str, Location | None] = {}
    found = []
    for file in files:
        if file.name is None:
            continue
        if file.name in first:
            summary = f"the name `{file.name}` is already taken in {first[file.name]}"
            found.append(
                Diagnostic(
                    code="spec/duplicate-name", summary=summary, where=file.name_at, hint="names are unique in a stack"
                )
            )
        first.setdefault(file.name, file.name_at)
    return found


def _cut(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    ordered = in_order(diagnostics)
    if len(ordered) <= MOST_PROBLEMS:
        return ordered
    # Errors first: among so many lines the one that stops the command must not be cut.
    kept = in_order(sorted(ordered, key=lambda item: item.severity is not Severity.ERROR)[:MOST_PROBLEMS])
    more = "there are more problems in this file"
    return (*kept, Diagnostic(code="spec/more", summary=more, severity=Severity.NOTE, where=kept[-1].where))
