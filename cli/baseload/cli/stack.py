"""A stack opened for work: its engine, its cloud, and what its state holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

from baseload.cli.cloud import Cloud, choose_cloud, refuse_other_cloud
from baseload.cli.options import Invocation
from baseload.cli.project import Project, look_up
from baseload.engine.interface import Engine, OnEvent, ResourceView, StackRef
from baseload.planner.errors import BaseloadError, CredentialsError, DeployError, NoSuchStack, UsageError

_CREDENTIALS = re.compile(r"\[(runpod/(?:no-key|bad-key|unauthorized|forbidden))\]")


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


@contextmanager
def operating(run: Invocation) -> Iterator[OnEvent]:
    """Where an operation's events go while it runs; errors as `rights_named`."""
    from baseload.cli.progress import progress

    with rights_named(), progress(run.terminal) as on_event:
        yield on_event


@contextmanager
def rights_named() -> Iterator[None]:
    """What fails for want of rights inside is raised as `CredentialsError`."""
    try:
        yield
    except DeployError as error:
        raise _named(error) from error


def _named(error: DeployError) -> BaseloadError:
    """A provider's reasons cross the engine as text; the stable codes in it tell why."""
    codes = [_CREDENTIALS.search(str(item)) for item in error.diagnostics]
    found = [
        replace(item, code=code[1]) for item, code in zip(error.diagnostics, codes, strict=True) if code is not None
    ]
    return CredentialsError(*found) if len(found) == len(error.diagnostics) else error


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
