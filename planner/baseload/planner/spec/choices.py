"""What `target: auto` stands for: a file beside the specs, committed with them, so that every way to deploy reads it.

A choice is kept until somebody asks for another: a price that moved by a cent must not replace an endpoint. This reads,
writes and applies choices; `baseload.planner.auto` makes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from baseload.planner.diagnostics import Location
from baseload.planner.errors import UsageError
from baseload.planner.spec.model import Auto, ModelSpec

FILE = "choices.lock.json"
SCHEMA = "baseload.choices/1"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The target of one model."""

    target: Mapping[str, Any]
    """As a spec would say it."""
    chosen_on: date
    because: str


def read_choices(folder: Path) -> dict[str, Choice]:
    """By model; none where there is no file. Raises UsageError for one that is no such document."""
    file = folder / FILE
    if not file.is_file():
        return {}
    return parse_choices(file, file.read_text(encoding="utf-8", errors="replace"))


def parse_choices(file: Path, text: str) -> dict[str, Choice]:
    """As `read_choices`, for text that is at hand."""
    from baseload.planner.spec.values import runpod

    try:
        document = json.loads(text)
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        found = {
            name: Choice(
                target=item["target"], chosen_on=date.fromisoformat(item["chosen_on"]), because=str(item["because"])
            )
            for name, item in document["choices"].items()
        }
        for choice in found.values():
            runpod(choice.target["runpod"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError.of(
            "auto/file",
            f"not readable as recorded choices: {type(error).__name__}: {error}",
            where=Location(file),
            hint="take it from version control again, or delete it: `deploy plan` chooses anew",
        ) from error
    return found


def write_choices(folder: Path, choices: Mapping[str, Choice]) -> Path:
    """The file that was written."""
    document = {
        "schema": SCHEMA,
        "choices": {
            name: {
                "target": dict(choice.target),
                "chosen_on": choice.chosen_on.isoformat(),
                "because": choice.because,
            }
            for name, choice in sorted(choices.items())
        },
    }
    file = folder / FILE
    part = file.with_suffix(".part")
    part.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(file)
    return file


def with_choices(specs: Iterable[ModelSpec]) -> list[ModelSpec]:
    """The specs on the choices recorded beside their files; raises UsageError for a file that cannot be read."""
    known: dict[Path, dict[str, Choice]] = {}
    found = []
    for spec in specs:
        folder = spec.file.parent
        if isinstance(spec.target, Auto) and folder not in known:
            known[folder] = read_choices(folder)
        found.append(resolved(spec, known.get(folder, {})))
    return found


def resolved(spec: ModelSpec, choices: Mapping[str, Choice]) -> ModelSpec:
    """The spec on its recorded target, as if it said so itself; as it is where it names one, or none is recorded."""
    from baseload.planner.spec.values import digest, runpod

    choice = choices.get(spec.name)
    if not isinstance(spec.target, Auto) or choice is None:
        return spec
    content = {**spec.content, "target": dict(choice.target)}
    target = runpod(choice.target["runpod"])
    return replace(
        spec, target=target, auto=spec.target, digest=digest({"as_written": spec.digest, **content}), content=content
    )
