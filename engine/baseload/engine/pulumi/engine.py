"""The engine of record: the real Pulumi CLI, driven through the Automation API with the program in this process.

Decides what surrounds one verb of the CLI: which passphrase, whose lock, what to do about a stack that does not exist
yet and about creates that were interrupted. The verb itself is `automation.py`, imported late because the SDK is
heavy. Must not hold a second opinion on what a deployment does, and never asks the CLI for secrets in clear text.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baseload.engine.files.backend import FileBackend, Lock, holder_is_dead
from baseload.engine.files.project import Project
from baseload.engine.files.secrets import VARIABLE, Passphrase
from baseload.engine.files.state import mask_json
from baseload.engine.interface import (
    Engine,
    Event,
    Message,
    OnEvent,
    Op,
    Outcome,
    Program,
    ResourceView,
    StackRef,
    StepDone,
    StepStarted,
    Summary,
    without_hints,
)
from baseload.planner.diagnostics import Diagnostic
from baseload.planner.errors import BaseloadError, Cancelled, CredentialsError, DeployError, NoSuchStack, UsageError

if TYPE_CHECKING:
    from baseload.engine.pulumi.automation import Cli, CommandFailed, Operation

QUIET = {"PULUMI_SKIP_UPDATE_CHECK": "true"}

HOLDER = re.compile(r"created by (?P<user>.*)@(?P<host>.*) \(pid (?P<pid>\d+)\) at (?P<when>\S+)")
"""A lock in the CLI's refusal (`pkg/backend/diy/lock.go`)."""

OLDEST = (3, 206)
"""The first CLI that streams its events (`--event-log tcp://`), which SDK 3.272 relies on from there on."""

ECHO = re.compile(r"(update|preview|refresh|destroy) failed\Z|an unhandled error occurred: the program failed")
"""What the CLI adds when something else, told by its own diagnostic, went wrong."""


@dataclass(frozen=True)
class _Place:
    """Where a stack lies. Without `project` and `backend` only the CLI can read it (S3, Pulumi Cloud, gzip, ...)."""

    project: Project | None = None
    backend: FileBackend | None = None
    exists: bool | None = None


class PulumiEngine:
    """`interface.Engine` on the CLI at `executable`.

    `ask` prompts for a passphrase where there is a terminal and no variable holds one.
    """

    name = "pulumi"

    def __init__(
        self,
        executable: Path,
        *,
        environment: Mapping[str, str] | None = None,
        ask: Callable[[str], str] | None = None,
    ) -> None:
        self.executable = executable
        self._environment = os.environ if environment is None else environment
        self._ask = ask
        self._passphrases: dict[Path, Passphrase] = {}

    @functools.cached_property
    def version(self) -> str:
        """The CLI's version, without a `v`; costs one process, once. Raises as `version_of`."""
        return version_of(self.executable)

    def preview(self, stack: StackRef, program: Program, on_event: OnEvent, *, refresh: bool = False) -> Outcome:
        """See `Engine.preview`."""
        place = self._place(stack)
        options = {"refresh": refresh or _uncertain(self._local(stack, place)) or None}
        if place.exists is not False:
            with self._salted(stack, place) as config_file, contextlib.suppress(NoSuchStack):
                variables = self._variables(stack, place)
                return self._operate(stack, "preview", on_event, program, variables, {**options, **config_file})
        with self._rehearsal(stack) as (variables, config_file):
            return self._operate(stack, "preview", on_event, program, variables, config_file)

    def up(
        self,
        stack: StackRef,
        program: Program,
        on_event: OnEvent,
        *,
        refresh: bool = False,
        parallel: int | None = None,
    ) -> Outcome:
        """See `Engine.up`."""
        place = self._place(stack)
        variables = self._variables(stack, place)
        self._free(stack, place, on_event)
        found = self._local(stack, place)
        before = _tell_pending(found, on_event)
        options = {"refresh": refresh or _uncertain(found) or None, "parallel": parallel}
        if place.exists is False:
            self._create(stack, variables)
        try:
            outcome = self._update(stack, "up --yes --skip-preview", on_event, program, variables, options)
        except NoSuchStack:
            self._create(stack, variables)
            outcome = self._update(stack, "up --yes --skip-preview", on_event, program, variables, options)
        if before:
            self._settle(stack, place, program, on_event, before)
        return outcome

    def refresh(self, stack: StackRef, on_event: OnEvent, *, dry_run: bool = False) -> Outcome:
        """See `Engine.refresh`."""
        place = self._existing(stack)
        variables = self._variables(stack, place)
        if dry_run:
            with self._salted(stack, place) as config_file:
                return self._operate(stack, "refresh --preview-only", on_event, None, variables, config_file)
        self._free(stack, place, on_event)
        # Without --clear-pending-creates: what was interrupted stays known until an `up` has found it again.
        return self._update(stack, "refresh --yes --skip-preview", on_event, None, variables, {})

    def destroy(
        self, stack: StackRef, on_event: OnEvent, *, parallel: int | None = None, remove: bool = False
    ) -> Outcome:
        """See `Engine.destroy`. The stack's settings file stays: it may hold configuration and comments.

        The CLI would forget what an interrupted create may have left running; the embedded engine finds and deletes
        it, so that one does the work where there is such a thing.
        """
        place = self._existing(stack)
        pending = _tell_pending(self._local(stack, place), on_event)
        if pending and place.backend:
            try:
                return self._embedded().destroy(stack, on_event, parallel=parallel, remove=remove)
            except UsageError as error:
                if not _unsupported(error):
                    raise
                _notice(on_event)(_left_behind(pending))
        variables = self._variables(stack, place)
        self._free(stack, place, on_event)
        options = {"parallel": parallel}
        outcome = self._update(stack, "destroy --yes --skip-preview", on_event, None, variables, options)
        if remove:
            self._command(stack, variables, "stack", "rm", stack.stack, "--yes", "--preserve-config")
        return outcome

    def exists(self, stack: StackRef) -> bool:
        """See `Engine.exists`."""
        place = self._place(stack)
        return self._deployment(stack, place) is not None if place.exists is None else place.exists

    def resources(self, stack: StackRef) -> Sequence[ResourceView]:
        """See `Engine.resources`."""
        deployment = self._deployment(stack, self._place(stack)) or {}
        pending = [item["resource"] for item in deployment.get("pending_operations") or () if _creating(item)]
        return (
            *(_view(item) for item in deployment.get("resources") or ()),
            *(_view(item, pending=True) for item in pending),
        )

    def outputs(self, stack: StackRef) -> Mapping[str, Any]:
        """See `Engine.outputs`."""
        for view in self.resources(stack):
            if view.type == "pulumi:pulumi:Stack" and not view.pending:
                return view.outputs
        return {}

    def cancel(self, stack: StackRef) -> None:
        """See `Engine.cancel`."""
        place = self._place(stack)
        if place.backend and place.project:
            place.backend.break_locks(place.project.name, stack.stack)
        else:
            self._command(stack, {}, "cancel", "--yes", "--stack", stack.stack)

    def _place(self, stack: StackRef) -> _Place:
        try:
            project = Project.load(stack.root, stack.stack, {**self._environment, **stack.environment})
            backend = FileBackend(project.backend_url)
            return _Place(project, backend, backend.exists(project.name, stack.stack))
        except UsageError as error:
            if {item.code for item in error.diagnostics} <= {"engine/unsupported", "engine/no-backend"}:
                return _Place()
            raise

    def _existing(self, stack: StackRef) -> _Place:
        place = self._place(stack)
        if place.exists is False:
            raise _no_such_stack(stack)
        return place

    def _variables(self, stack: StackRef, place: _Place) -> dict[str, str]:
        """The passphrase for the child, if it is not in its environment anyway. Raises before any process starts."""
        if not place.backend:
            return {}
        if stack.root not in self._passphrases:
            environ = {**self._environment, **stack.environment}
            self._passphrases[stack.root] = Passphrase(stack.root, environ, self._ask)
        return self._passphrases[stack.root].variables(new=not place.exists)

    @contextlib.contextmanager
    def _salted(self, stack: StackRef, place: _Place) -> Iterator[dict[str, str]]:
        """Options that keep a preview from writing `Pulumi.<stack>.yaml`: the CLI makes a salt where it has none."""
        salt = _salt(self._deployment(stack, place) or {}) if place.backend else None
        if not place.project or place.project.salt or not salt:
            yield {}
            return
        with tempfile.TemporaryDirectory(prefix="baseload-") as folder:
            yield _settings(place.project, salt, Path(folder))

    @contextlib.contextmanager
    def _rehearsal(self, stack: StackRef) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
        """A backend that holds this stack, empty, and is forgotten afterwards.

        The stack's own configuration is used; where that has no salt there is nothing to decrypt, so any passphrase
        does, and previewing a new stack needs none.
        """
        with tempfile.TemporaryDirectory(prefix="baseload-") as folder:
            url = f"file://{Path(folder).as_posix()}"
            environ = {**self._environment, **stack.environment, "PULUMI_BACKEND_URL": url}
            project = Project.load(stack.root, stack.stack, environ)
            backend = FileBackend(url)
            checkpoint = {"stack": f"organization/{project.name}/{stack.stack}", "latest": None}
            file = backend.file(project.name, stack.stack)
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps({"version": 3, "checkpoint": checkpoint}))
            (backend.folder / "meta.yaml").write_text("version: 1\n")
            variables = {"PULUMI_BACKEND_URL": url}
            if project.salt:
                yield {**variables, **self._variables(stack, _Place(project, backend, exists=True))}, {}
            else:
                yield {**variables, VARIABLE: ""}, _settings(project, None, Path(folder))

    def _create(self, stack: StackRef, variables: Mapping[str, str]) -> None:
        self._command(stack, variables, "stack", "init", stack.stack, "--no-select")

    def _free(self, stack: StackRef, place: _Place, on_event: OnEvent) -> None:
        """Take over locks of dead processes, and refuse others, as the embedded engine does.

        Where the settings file has lost the salt, the state's is put back: the CLI would encrypt all anew.
        """
        if place.backend and place.project:
            with place.backend.lock(place.project.name, stack.stack, _notice(on_event)):
                salt = _salt(self._deployment(stack, place) or {})
                if salt and not place.project.salt:
                    place.project.save_salt(salt)

    def _local(self, stack: StackRef, place: _Place) -> Mapping[str, Any]:
        """The deployment in a `file://` backend; empty elsewhere, where reading it costs a process."""
        return (self._deployment(stack, place) if place.backend else None) or {}

    def _settle(
        self, stack: StackRef, place: _Place, program: Program, on_event: OnEvent, before: Mapping[str, str]
    ) -> None:
        """Clear interrupted creates after an `up`; the CLI would keep them for ever.

        Those that were made now are dropped. For the others (the program no longer wants them) the embedded engine,
        to whom all else is unchanged by now, finds and deletes what the create may have left.
        """
        if not place.backend or not place.project:
            return
        after = _pending(self._deployment(stack, place) or {})
        found = [urn for urn, identity in after.items() if identity and identity != before.get(urn, "")]
        if found:
            with place.backend.lock(place.project.name, stack.stack, _notice(on_event)):
                place.backend.forget_pending(place.project.name, stack.stack, found)
        if len(found) == len(after):
            return
        try:
            self._embedded().up(stack, program, _changes_only(on_event))
        except UsageError as error:
            if not _unsupported(error):
                raise
            _notice(on_event)(_left_behind(set(after).difference(found)))

    def _embedded(self) -> Engine:
        from baseload.engine.embedded import EmbeddedEngine

        return EmbeddedEngine(environment=self._environment, ask=self._ask)

    def _deployment(self, stack: StackRef, place: _Place) -> dict[str, Any] | None:
        """The state as JSON with its secrets encrypted; None where there is no stack."""
        if place.exists is False:
            return None
        if not place.backend or not place.project:
            try:
                text = self._command(stack, {}, "stack", "export", "--stack", stack.stack)
            except NoSuchStack:
                return None
            return dict(json.loads(text).get("deployment") or {})
        return place.backend.raw(place.project.name, stack.stack)

    def _cli(self) -> Cli:
        from baseload.engine.pulumi.automation import Cli

        return Cli(self.executable, self.version)

    def _command(self, stack: StackRef, variables: Mapping[str, str], *args: str) -> str:
        from baseload.engine.pulumi.automation import CommandFailed, Interrupted

        try:
            environment = {**stack.environment, **QUIET, **variables}
            return self._cli().run(list(args), str(stack.root), environment).stdout
        except Interrupted:
            raise _cancelled() from None
        except CommandFailed as error:
            raise self._failure(stack, error, None) from None

    def _update(
        self,
        stack: StackRef,
        verb: str,
        on_event: OnEvent,
        program: Program | None,
        variables: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> Outcome:
        """An operation that locks: once more, where the lock turns out to be a dead process's."""
        try:
            return self._operate(stack, verb, on_event, program, variables, options)
        except _DeadLock as error:
            self._command(stack, variables, "cancel", "--yes", "--stack", stack.stack)
            _notice(on_event)(f"took over the lock of a process that is gone: {error.holder}")
            return self._operate(stack, verb, on_event, program, variables, options)

    def _operate(
        self,
        stack: StackRef,
        verb: str,
        on_event: OnEvent,
        program: Program | None,
        variables: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> Outcome:
        from baseload.engine.pulumi.automation import CommandFailed, Interrupted, Operation

        operation = Operation(self._cli(), stack, on_event)
        try:
            return operation.run(verb, program, {**QUIET, **variables}, options)
        except Interrupted:
            raise _cancelled() from None
        except CommandFailed as error:
            raise self._failure(stack, error, operation) from None

    def _failure(self, stack: StackRef, error: CommandFailed, operation: Operation | None) -> BaseloadError:
        redact = _redaction({**self._environment, **stack.environment})
        if operation:
            failures = _failures(operation, redact)
            if failures:
                return DeployError(*failures)
            if operation.crash:
                from baseload.engine.program import explain

                return explain(operation.crash, stack.root)
        return _refusal(stack, error.text, redact)


def version_of(executable: Path) -> str:
    """What `pulumi version` says, without a `v`. Raises `UsageError` `engine/pulumi-unusable`."""
    try:
        environment = {**os.environ, **QUIET}
        process = subprocess.run([executable, "version"], capture_output=True, text=True, env=environment, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.stderr if isinstance(error, subprocess.CalledProcessError) else error.strerror
        raise _unusable(f"{executable} does not run: {str(reason).strip()}") from error
    found = re.match(r"v?((\d+)\.(\d+)\.\d+\S*)", process.stdout)
    if not found:
        raise _unusable(f"{executable} does not tell its version")
    if not OLDEST <= (int(found[2]), int(found[3])) < (OLDEST[0] + 1, 0):
        raise _unusable(f"{executable} is Pulumi {found[1]}; {OLDEST[0]}.{OLDEST[1]} or a later 3.x is needed")
    return found[1]


def _unusable(summary: str) -> BaseloadError:
    hint = "`deploy engine install` fetches a CLI that fits; `--engine embedded` does without"
    return UsageError.of("engine/pulumi-unusable", summary, hint=hint)


class _DeadLock(DeployError):
    """The stack is locked by processes of this host that are gone."""

    holder = ""


Redact = Callable[[str], str]


def _redaction(environment: Mapping[str, str]) -> Redact:
    """What removes keys and passphrases of the environment from a text; the engine knows only their usual names."""
    named = re.compile(r"(?i)key|token|secret|pass")
    secrets = [value for name, value in environment.items() if named.search(name) and len(value) >= 6]

    def redact(text: str) -> str:
        for value in secrets:
            text = text.replace(value, "[secret]")
        return text

    return redact


def _failures(operation: Operation, redact: Redact) -> list[Diagnostic]:
    """What went wrong with resources, else what the CLI said of none of them."""
    texts = {urn: [redact(text) for text in texts if not ECHO.match(text)] for urn, texts in operation.errors.items()}
    urns = [urn for urn in {**operation.failed, **texts} if urn and (urn in operation.failed or texts.get(urn))]
    if not urns:
        return [Diagnostic(code="engine/failed", summary=text) for text in texts.get("", ())]
    found = []
    for urn in urns:
        told, hint = without_hints(texts.get(urn, ()))
        found.append(Diagnostic(code="engine/resource-failed", summary=operation.sentence(urn, told), hint=hint))
    return found


def _refusal(stack: StackRef, text: str, redact: Redact) -> BaseloadError:
    """What the CLI said before it began."""
    if re.search(r"no stack named .* found", text):
        return _no_such_stack(stack)
    if "incorrect passphrase" in text:
        return UsageError.of(
            "engine/passphrase-wrong",
            "the passphrase does not open this stack's secrets",
            hint=f"set {VARIABLE} or {VARIABLE}_FILE to the passphrase the stack was made with",
        )
    if "passphrase must be set" in text:
        return UsageError.of(
            "engine/passphrase",
            "this stack's secrets need a passphrase, and there is none",
            hint=f"set {VARIABLE}, or {VARIABLE}_FILE to a file that holds it",
        )
    if "currently locked by" in text or "Another update is currently in progress" in text:
        return _locked(stack, text)
    if "PULUMI_ACCESS_TOKEN must be set" in text or "invalid access token" in text:
        return CredentialsError.of(
            "engine/not-logged-in", "Pulumi is not logged in to this backend", hint="pulumi login"
        )
    said = redact(text.strip().removeprefix("error: ")) or "it said nothing"
    return DeployError.of("engine/pulumi-failed", f"the Pulumi CLI refused: {said}")


def _locked(stack: StackRef, text: str) -> BaseloadError:
    holders = [_lock(match) for match in HOLDER.finditer(text)]
    said = "; ".join(map(str, holders)) or "somebody else"
    diagnostic = Diagnostic(
        code="engine/locked",
        summary=f"the stack {stack.stack} is locked by {said}",
        hint="wait for it to end; if nobody works on this stack any more, `pulumi cancel` frees it",
    )
    if holders and all(map(holder_is_dead, holders)):
        error = _DeadLock(diagnostic)
        error.holder = said
        return error
    return DeployError(diagnostic)


def _lock(match: re.Match[str]) -> Lock:
    when = datetime.fromisoformat(match["when"])
    return Lock(Path(), pid=int(match["pid"]), username=match["user"], hostname=match["host"], timestamp=when)


def _no_such_stack(stack: StackRef) -> BaseloadError:
    return NoSuchStack.of("engine/no-stack", f"there is no stack {stack.stack}")


def _cancelled() -> BaseloadError:
    return Cancelled.of("engine/cancelled", "cancelled; what was finished is in the state")


def _notice(on_event: OnEvent) -> Callable[[str], None]:
    return lambda text: on_event(Message(severity="warning", text=text))


def _settings(project: Project, salt: str | None, folder: Path) -> dict[str, str]:
    """A copy of the stack's settings for a preview to write to, with `salt` added."""
    copy = folder / project.stack_file.name
    text = project.stack_file.read_text(encoding="utf-8") if project.stack_file.exists() else ""
    copy.write_text(text, encoding="utf-8")
    if salt:
        dataclasses.replace(project, stack_file=copy).save_salt(salt)
    return {"config_file": str(copy)}


def _salt(deployment: Mapping[str, Any]) -> str | None:
    state = (deployment.get("secrets_providers") or {}).get("state") or {}
    return state.get("salt")


def _creating(operation: Mapping[str, Any]) -> bool:
    return operation.get("type") == "creating"


def _pending(deployment: Mapping[str, Any]) -> dict[str, str]:
    """The URNs of interrupted creates, and the id the state has for each, "" where it has none."""
    present = {item["urn"]: item.get("id", "") for item in deployment.get("resources") or () if not item.get("delete")}
    operations = deployment.get("pending_operations") or ()
    urns = [item["resource"]["urn"] for item in operations if _creating(item)]
    return {urn: present.get(urn, "") for urn in urns}


def _tell_pending(deployment: Mapping[str, Any], on_event: OnEvent) -> dict[str, str]:
    """The creates that were interrupted, as `_pending`. The user need do nothing."""
    pending = _pending(deployment)
    for urn in pending:
        name = urn.rsplit("::", 1)[-1]
        text = f"an earlier run was interrupted while creating {name}; it is looked after now"
        on_event(Message(severity="warning", text=text, urn=urn))
    return pending


def _uncertain(deployment: Mapping[str, Any]) -> bool:
    """Whether an update or delete was interrupted: only reading tells what came of it, and by itself the CLI goes on
    from what the state says.
    """
    operations = deployment.get("pending_operations") or ()
    return any(item.get("type") in ("updating", "deleting") for item in operations)


def _unsupported(error: UsageError) -> bool:
    return {item.code for item in error.diagnostics} == {"engine/unsupported"}


def _left_behind(urns: Iterable[str]) -> str:
    names = ", ".join(sorted(urn.rsplit("::", 1)[-1] for urn in urns))
    return f"Pulumi forgets interrupted creates: see in the cloud whether one left {names} there"


def _changes_only(on_event: OnEvent) -> OnEvent:
    """Without what has been told already: unchanged resources and the summary."""

    def listen(event: Event) -> None:
        same = isinstance(event, StepStarted | StepDone) and event.op is Op.SAME
        if not same and not isinstance(event, Summary):
            on_event(event)

    return listen


def _view(item: Mapping[str, Any], *, pending: bool = False) -> ResourceView:
    return ResourceView(
        urn=item["urn"],
        type=item["type"],
        id=item.get("id", ""),
        custom=bool(item.get("custom")),
        inputs=mask_json(item.get("inputs") or {}),
        outputs=mask_json(item.get("outputs") or {}),
        parent=item.get("parent", ""),
        pending=pending,
    )
