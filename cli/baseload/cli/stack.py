"""A stack opened for work: its engine, its cloud, and what its state holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from baseload.cli.cloud import Cloud, choose_cloud, refuse_other_cloud
from baseload.cli.options import Invocation
from baseload.cli.project import Project
from baseload.engine.interface import Engine, ResourceView, StackRef
from baseload.planner.errors import NoSuchStack, UsageError


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The stack's engine and cloud fit each other: it was made there, or is new."""

    project: Project
    name: str
    engine: Engine
    cloud: Cloud
    ref: StackRef

    @cached_property
    def exists(self) -> bool:
        """Whether the backend has it."""
        return self.engine.exists(self.ref)

    @cached_property
    def resources(self) -> Sequence[ResourceView]:
        """What its state held when it was opened."""
        return self.engine.resources(self.ref)

    def demand(self) -> None:
        """Raise `NoSuchStack` unless it exists."""
        if not self.exists:
            raise NoSuchStack.of(
                "stack/unknown",
                f"the project {self.project.name} has no stack {self.name} in its state",
                hint="`deploy up` makes it",
            )


def open_stack(run: Invocation, project: Project, name: str) -> Stack:
    """The stack with its engine and cloud; with `--sandbox` the sandbox runs afterwards.

    Raises `UsageError` where the state was made on another cloud, or no engine fits.
    """
    from baseload.engine.choose import choose

    cloud = choose_cloud(run.options, project.root)
    engine = choose(run.options.engine, sandbox=cloud.is_sandbox, ask=run.terminal.ask)
    ref = StackRef(root=project.root, project=project.name, stack=name, environment=cloud.environment)
    stack = Stack(project=project, name=name, engine=engine, cloud=cloud, ref=ref)
    refuse_other_cloud(stack.resources, cloud)
    return stack


@dataclass(frozen=True, kw_only=True)
class Known:
    """What can be told of a stack without an engine."""

    exists: bool | None
    """None where only an engine can tell."""
    secrets: Mapping[str, str]
    """Ciphertexts of the configuration, by key without the project's name."""


def look_up(project: Project, name: str) -> Known:
    """Read the stack's files. Raises `UsageError` for files that are wrong."""
    from baseload.engine.project import Project as EngineProject

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

    from baseload.engine.backend import FileBackend

    return FileBackend(url).exists(project, stack)
