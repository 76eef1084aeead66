"""Specs that are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.text import columns, plural
from baseload.planner.diagnostics import Diagnostic
from baseload.planner.spec.model import Model, ModelSpec


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Valid specs and what was still worth saying."""

    specs: Sequence[ModelSpec]
    warnings: Sequence[Diagnostic]


def human(value: Checked, page: Page) -> str:
    """One line per model."""
    rows = [[page.good("ok"), spec.name, _serves(spec), _target(spec)] for spec in value.specs]
    found = f"{plural(len(value.specs), 'model spec')} valid"
    if value.warnings:
        found += f", {plural(len(value.warnings), 'warning')}"
    return "\n".join([*columns(rows), "", found])


def document(value: Checked) -> Mapping[str, Any]:
    """`baseload.validate/1`."""
    return {
        "schema": "baseload.validate/1",
        "models": [
            {"name": spec.name, "file": str(spec.file), "target": "runpod", "digest": spec.digest}
            for spec in value.specs
        ],
        "diagnostics": [item.to_json() for item in value.warnings],
    }


def _serves(spec: ModelSpec) -> str:
    return spec.serves.id if isinstance(spec.serves, Model) else spec.serves.image


def _target(spec: ModelSpec) -> str:
    target = spec.runpod
    return (
        f"runpod {target.mode}, {target.gpu_count} × {target.gpu}, {target.workers_min} to {target.workers_max} workers"
    )
