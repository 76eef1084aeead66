"""Specs that are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.text import listed, plural
from baseload.planner.deployed import not_deployed
from baseload.planner.diagnostics import Diagnostic
from baseload.planner.spec.model import Auto, Model, ModelSpec, RunpodTarget
from baseload.planner.targets import name_of
from baseload.planner.targets.aws import LambdaSagemaker, SagemakerServerless
from baseload.planner.targets.hybrid import Hybrid
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.runpod import RunpodPod


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
    return "\n".join([*listed(rows, page.width), "", found])


def document(value: Checked) -> Mapping[str, Any]:
    """`baseload.validate/1`."""
    return {
        "schema": "baseload.validate/1",
        "models": [
            {"name": spec.name, "file": str(spec.file), "target": name_of(spec.target), "digest": spec.digest}
            for spec in value.specs
        ],
        "diagnostics": [item.to_json() for item in value.warnings],
    }


def _serves(spec: ModelSpec) -> str:
    return spec.serves.id if isinstance(spec.serves, Model) else spec.serves.image


def _target(spec: ModelSpec) -> str:
    """The target as far as it fits a line; what this version only plans says so."""
    if isinstance(spec.target, Auto):
        return "auto (`deploy plan` chooses)"
    planned = "" if not_deployed(spec) is None else " (planned, not deployed)"
    return f"{_summary(spec)}{', scheduled' if spec.schedule else ''}{planned}"


def _summary(spec: ModelSpec) -> str:
    target, name = spec.target, name_of(spec.target)
    match target:
        case RunpodTarget():
            name = f"{name} {target.mode}"
            workers = f"{target.workers_min} to {target.workers_max} workers"
            return f"{name}, {target.gpu_count} × {target.gpu}, {workers}"
        case RunpodPod():
            return f"{name}, {plural(target.pods, 'pod')} with {target.gpu_count} × {target.gpu}"
        case LambdaSagemaker():
            return f"{name}, {target.instances_min} to {target.instances_max} {target.instance}"
        case SagemakerServerless():
            return f"{name}, {target.memory_mb} MB, up to {target.max_concurrency} at once"
        case Modal():
            gpus = f"{target.gpu_count} × {target.gpu}" if target.gpu else "CPU"
            return f"{name}, {gpus}, {target.containers_min} to {target.containers_max} containers"
        case Hybrid():
            base = "base to be found" if target.base is None else f"base of {target.base}"
            base = "base by schedule" if spec.schedule else base
            return f"{name}, {base} × {target.dedicated.gpu}, burst of up to {target.burst_max} × {target.burst.gpu}"
        case _:
            return name
