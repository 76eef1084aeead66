"""What a plan is compared with: what was planned when the stack was last deployed, a plan's file, or the specs of a
git commit.

The deployed plan is a file of the project, not a part of the state: it must not change a resource, and must outlive
changes of prices, which change none either.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from baseload.cli.project import Project
from baseload.planner.diagnostics import Diagnostic, Location, Severity
from baseload.planner.difference import Base
from baseload.planner.errors import SpecError, UsageError
from baseload.planner.plan import Plan
from baseload.planner.spec.model import ModelSpec

GIT = "git:"
DEPLOYED = "deployed"

Pricing = Callable[[Sequence[ModelSpec]], Plan]


def base_of(project: Project, stack: str, given: str | None, pricing: Pricing) -> tuple[Base | None, list[Diagnostic]]:
    """The base that `--base` names, else the deployed plan, None where there is none; and what to say about it.

    `pricing` makes a plan of a commit's specs at today's prices. Raises `UsageError` where a named base cannot be read.
    """
    if given is None:
        return _deployed(project, stack)
    if given.startswith(GIT):
        return pricing(_specs_at(project, given.removeprefix(GIT))).as_base(given), []
    return read_plan(Path(given)).as_base(given), []


def read_plan(file: Path) -> Plan:
    """A plan that was written with `--out`. Raises `UsageError`."""
    try:
        return Plan.from_json(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        hint = f"write one with `deploy plan --out {file}`"
        raise UsageError.of("plan/missing", "there is no such plan", where=Location(file), hint=hint) from error
    except ValueError as error:
        hint = "wanted: what `deploy plan --out plan.json` wrote, or `git:REF` for the specs of a commit"
        raise UsageError.of(
            "plan/document", f"not a JSON document: {error}", where=Location(file), hint=hint
        ) from error


# --------------------------------------------------------------------------------------------------- the deployed plan
def keep(project: Project, made: Plan) -> None:
    """Remember what was deployed; where only prices moved, what was planned before stays."""
    file = _file(project, made.stack)
    before = _read_deployed(file)
    if not made.changes and isinstance(before, Plan) and _digests(made) == _digests(before):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(made.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(file)


def forget(project: Project, stack: str) -> None:
    """Nothing is deployed any more."""
    _file(project, stack).unlink(missing_ok=True)


def _file(project: Project, stack: str) -> Path:
    return project.root / ".baseload" / "plans" / f"{stack}.json"


def _deployed(project: Project, stack: str) -> tuple[Base | None, list[Diagnostic]]:
    match _read_deployed(_file(project, stack)):
        case Plan() as before:
            return before.as_base(DEPLOYED), []
        case Diagnostic() as remark:
            return None, [remark]
        case None:
            return None, []


def _read_deployed(file: Path) -> Plan | Diagnostic | None:
    """A warning where it cannot be read: a leftover of another version must not keep anybody from deploying."""
    if not file.is_file():
        return None
    try:
        return read_plan(file)
    except UsageError as error:
        return Diagnostic(
            code="plan/deployed",
            summary=f"not compared with the plan that was deployed: {error.diagnostics[0].summary}",
            severity=Severity.WARNING,
            where=Location(file),
            hint="the next `deploy up` writes it anew",
        )


def _digests(made: Plan) -> dict[str, str]:
    return {model.name: model.spec_digest for model in made.models}


# --------------------------------------------------------------------------------------------------------- a git commit
def _specs_at(project: Project, ref: str) -> list[ModelSpec]:
    """The specs of the project as they were at a commit. Raises `UsageError`; nothing is checked out."""
    from baseload.planner.spec.choices import FILE, parse_choices, resolved
    from baseload.planner.spec.file import parse_spec

    commit = _git(project, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}", ref=ref).strip()
    listed = _git(project, "ls-tree", "-z", "--name-only", commit, "model_specs/", ref=ref).split("\0")
    paths = [path for path in map(PurePosixPath, filter(None, listed)) if _is_spec(path)]
    texts = [(path, _git(project, "show", f"{commit}:./{path}", ref=ref)) for path in paths]
    found = [parse_spec(project.root / path, text) for path, text in texts]
    problems = [item for file in found for item in file.diagnostics if item.severity is Severity.ERROR]
    if problems:
        raise SpecError(
            Diagnostic(
                code="base/spec",
                summary=f"the specs of {GIT}{ref} are not what today's rules want",
                hint="compare with a later commit, or with a plan of that time: `--base plan.json`",
            ),
            *problems,
        )
    specs = [file.spec for file in found if file.spec]
    lock = f"model_specs/{FILE}"
    if lock not in listed:
        return specs
    choices = parse_choices(project.root / lock, _git(project, "show", f"{commit}:./{lock}", ref=ref))
    return [resolved(spec, choices) for spec in specs]


def _is_spec(path: PurePosixPath) -> bool:
    return path.suffix in (".yaml", ".yml") and not path.name.startswith(".")


def _git(project: Project, *arguments: str, ref: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(project.root), *arguments], capture_output=True, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise UsageError.of(
            "base/git", "there is no git on PATH", hint="install git, or compare with a plan: `--base plan.json`"
        ) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise UsageError.of(
            "base/git",
            f"git knows no commit {ref!r} in {project.root}" + (f": {said[-1]}" if said else ""),
            hint="fetch it first; a pipeline's checkout may hold one commit only (`fetch-depth: 0`)",
        )
    return done.stdout.decode("utf-8", errors="replace")
