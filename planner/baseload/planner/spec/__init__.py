"""Model specs: what to serve, as files and as values.

`load` is the only way from YAML to a `ModelSpec`: the text (`source`), its form (`structure`, by the JSON Schema),
rules between keys (`rules`), values (`values`, `model`). Reads files and nothing else: no network, no environment.

The stages are imported when a file is read: PyYAML and jsonschema cost more than all the rest of a short command.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from baseload.planner.diagnostics import Diagnostic, Severity, in_order
from baseload.planner.errors import SpecError
from baseload.planner.spec.model import ModelSpec

__all__ = ["find", "load", "load_with_warnings", "schema"]


def find(root: Path) -> list[Path]:
    """The spec files of a project, by name: `model_specs/*.yaml` and `*.yml`, not in folders below and not hidden."""
    files = [file for suffix in ("yaml", "yml") for file in (root / "model_specs").glob(f"*.{suffix}")]
    return sorted(file for file in files if not file.name.startswith("."))


def load(paths: Iterable[Path]) -> tuple[ModelSpec, ...]:
    """The specs of all files, in their order; raises `SpecError` with everything that is wrong in any of them."""
    return load_with_warnings(paths)[0]


def load_with_warnings(paths: Iterable[Path]) -> tuple[tuple[ModelSpec, ...], tuple[Diagnostic, ...]]:
    """As `load`, with what is worth knowing and stops nothing. A `SpecError` also carries the warnings."""
    from baseload.planner.spec.file import names_taken_twice, read_spec

    files = [read_spec(path) for path in dict.fromkeys(paths)]
    found = in_order([item for file in files for item in file.diagnostics] + names_taken_twice(files))
    if any(item.severity is Severity.ERROR for item in found):
        raise SpecError(*found)
    return tuple(file.spec for file in files if file.spec), found


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a model spec, the source of truth for editors and for `load`."""
    read: dict[str, Any] = json.loads(Path(__file__).with_name("model-spec.schema.json").read_text(encoding="utf-8"))
    return read
