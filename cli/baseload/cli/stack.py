"""A stack opened for work: its engine, its cloud, and what its state holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from baseload.cli.cloud import Cloud, choose_cloud, refuse_other_cloud
from baseload.cli.options import Invocation
from baseload.cli.project import Project, look_up
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
    ref = StackRef(root=project.root, project=project.name, stack=name, environment=cloud.environment)
    try:
        engine = choose(run.options.engine, sandbox=cloud.is_sandbox, ask=run.terminal.ask)
    except UsageError:
        # Without a CLI, a forgotten --sandbox is the likelier mistake, and the state tells.
        _look_for_other_cloud(project, name, ref, cloud)
        raise
    stack = Stack(project=project, name=name, engine=engine, cloud=cloud, ref=ref)
    refuse_other_cloud(stack.resources, cloud)
    return stack


def _look_for_other_cloud(project: Project, name: str, ref: StackRef, cloud: Cloud) -> None:
    if look_up(project, name).exists:
        from baseload.engine.embedded import EmbeddedEngine

        refuse_other_cloud(EmbeddedEngine().resources(ref), cloud)
