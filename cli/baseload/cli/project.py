"""Which project, which stack: what the command line must know before any engine is asked.

Reads Pulumi.yaml for three facts only; whether the file is right in all else is the engine's business.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from baseload.planner.diagnostics import Diagnostic, Location
from baseload.planner.errors import BaseloadError, UsageError
from baseload.planner.spec.model import Limits, ModelSpec

FILE = "Pulumi.yaml"

STACK_LIMITS = {"monthly_usd", "increase_percent"}


@dataclass(frozen=True, kw_only=True)
class Project:
    """A folder with a Pulumi.yaml."""

    root: Path
    name: str
    settings: Path
    """The folder of the Pulumi.<stack>.yaml files."""
    backend_url: str | None

    def stacks(self) -> list[str]:
        """The stacks that have settings, sorted."""
        return sorted(file.name.split(".", 1)[1].removesuffix(".yaml") for file in self.settings.glob("Pulumi.*.yaml"))


def locate(folder: Path) -> Project:
    """The project that `folder` lies in. Raises `UsageError` where there is none, or its file cannot be read."""
    start = folder.resolve()
    if not start.is_dir():
        raise UsageError.of("project/no-folder", f"{folder} is not a folder")
    root = root_of(start)
    if root is not None:
        return _read(root)
    raise UsageError.of(
        "project/none",
        f"no {FILE} in {start} or above it",
        hint="`deploy init` makes a project here; -C names the folder of another one",
    )


def nearest(folder: Path) -> Path:
    """The root of the project that `folder` lies in, else the folder itself."""
    return root_of(folder) or folder.resolve()


def root_of(folder: Path) -> Path | None:
    """The root of the project that `folder` lies in; None where it lies in none."""
    start = folder.resolve()
    return next((root for root in (start, *start.parents) if (root / FILE).is_file()), None)


def choose_stack(project: Project, given: str | None) -> str:
    """What `--stack` gives, else PULUMI_STACK, else the only stack. Raises `UsageError` that lists what there is."""
    named = given or os.environ.get("PULUMI_STACK")
    if named:
        return named
    match project.stacks():
        case [only]:
            return only
        case []:
            hint = f"name one with --stack; its settings go into {project.settings.name}/Pulumi.<stack>.yaml"
            raise UsageError.of("stack/none", f"the project {project.name} has no stack yet", hint=hint)
        case several:
            names = ", ".join(several)
            raise UsageError.of(
                "stack/several",
                f"the project {project.name} has several stacks: {names}",
                hint="name one with --stack, or in PULUMI_STACK",
            )


@dataclass(frozen=True, kw_only=True)
class Known:
    """What can be told of a stack without an engine."""

    exists: bool | None
    """None where only an engine can tell."""
    secrets: Mapping[str, str]
    """Ciphertexts of the configuration, by key without the project's name."""


def look_up(project: Project, name: str) -> Known:
    """Read the stack's files. Raises `UsageError` for files that are wrong."""
    from baseload.engine.files.project import Project as EngineProject

    try:
        settings = EngineProject.load(project.root, name)
    except UsageError as error:
        if {item.code for item in error.diagnostics} <= {"engine/unsupported", "engine/no-backend"}:
            return Known(exists=None, secrets={})
        raise
    prefix = f"{settings.name}:"
    secrets = {key.removeprefix(prefix): item.text for key, item in settings.raw_config.items() if item.secret}
    return Known(exists=_exists(settings.backend_url, settings.name, name), secrets=secrets)


def _exists(url: str, project: str, stack: str) -> bool:
    if not Path(url.removeprefix("file://")).joinpath(".pulumi").is_dir():
        return False  # the first plan of a project need not import the backend

    from baseload.engine.files.backend import FileBackend

    return FileBackend(url).exists(project, stack)


def stack_limits(project: Project, name: str) -> Limits:
    """The setting `<project>:limits` of a stack: ceilings on all its models together.

    Raises `UsageError` where it is no mapping of `monthly_usd` and `increase_percent` to amounts.
    """
    file = project.settings / f"Pulumi.{name}.yaml"
    settings = _mapping(file) if file.is_file() else {}
    config = settings.get("config")
    given = config.get(f"{project.name}:limits") if isinstance(config, dict) else None
    if given is None:
        return Limits()
    if not isinstance(given, dict) or not given.keys() <= STACK_LIMITS:
        raise _bad_limits(project, file, f"wanted some of {', '.join(sorted(STACK_LIMITS))}")
    amounts = {key: _amount(value) for key, value in given.items()}
    if wrong := [key for key, value in amounts.items() if value is None]:
        raise _bad_limits(project, file, f"`{wrong[0]}` is no amount")
    return Limits(**amounts)


def _amount(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None


def _bad_limits(project: Project, file: Path, reason: str) -> BaseloadError:
    return UsageError.of(
        "stack/limits",
        f"the setting {project.name}:limits: {reason}",
        where=Location(file),
        hint=f"for instance `{project.name}:limits: {{monthly_usd: 500, increase_percent: 20}}` under `config`",
    )


def read_specs(project: Project, *, choices: bool = True) -> tuple[tuple[ModelSpec, ...], tuple[Diagnostic, ...]]:
    """All model specs, and the warnings on them; with `choices`, those recorded for `target: auto` in its place.

    Raises `SpecError` with every problem of all files, `UsageError` where there is no spec.
    """
    from baseload.planner.spec import find, load_with_warnings
    from baseload.planner.spec.choices import with_choices

    files = find(project.root)
    if not files:
        raise UsageError.of(
            "spec/none",
            f"there is no model spec in {project.root / 'model_specs'}",
            hint="write one (`deploy schema` prints what it may hold), or take the example of `deploy init`",
        )
    specs, warnings = load_with_warnings([_short(file) for file in files])
    return tuple(with_choices(specs) if choices else specs), tuple(warnings)


def _short(file: Path) -> Path:
    # Diagnostics are read, and clicked on, from where the command was started.
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file


def _read(root: Path) -> Project:
    file = root / FILE
    data = _mapping(file)
    if not isinstance(data.get("name"), str):
        raise UsageError.of("project/file", "`name` is missing", where=Location(file))
    backend = data.get("backend")
    return Project(
        root=root,
        name=data["name"],
        settings=root / str(data.get("stackConfigDir") or "."),
        backend_url=os.environ.get("PULUMI_BACKEND_URL") or (backend.get("url") if isinstance(backend, dict) else None),
    )


def _mapping(file: Path) -> dict[str, Any]:
    """Empty where the file holds something else."""
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
        raise UsageError.of("project/file", f"not readable as YAML: {_reason(error)}", where=where) from error
    return data if isinstance(data, dict) else {}


def _reason(error: Exception) -> str:
    return str(getattr(error, "problem", None) or error)
