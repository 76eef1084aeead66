"""One verb of the Pulumi CLI through the Automation API: a program goes in, `interface` events come out.

Needs the SDK at import, so `pulumi.py` imports it late. Must not know state files, passphrases or which stacks exist.

The Automation API asks the CLI for more than an operation needs (`stack select`, which writes state shared by all
processes of the user; `stack output` twice, once in clear text; `stack history`): its public classes are subclassed
here to leave those out, so that one operation is one process. Facts: SDK 3.272, CLI 3.260.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sysconfig
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from pulumi import RunError
from pulumi.automation import (
    CommandResult,
    EngineEvent,
    LocalWorkspace,
    OnOutput,
    OpType,
    OutputMap,
    PulumiCommand,
    Stack,
    StepEventMetadata,
    UpdateSummary,
)
from semver import VersionInfo

from baseload.engine.interface import (
    SECRET,
    UNKNOWN,
    FieldChange,
    Message,
    OnEvent,
    Op,
    Outcome,
    Program,
    StackRef,
    Status,
    StepDone,
    StepFailed,
    StepStarted,
    Summary,
)
from baseload.engine.state import mask_json
from baseload.engine.wire import parse_path

UNKNOWN_VALUE = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

OPS = {
    "read-replacement": Op.READ,
    "discard-replaced": Op.DISCARD,
    "remove-pending-replace": Op.DISCARD,
    "import-replacement": Op.IMPORT,
}
"""Ops of Pulumi for which `interface.Op` has a shorter word."""

STACK_TYPE = "pulumi:pulumi:Stack"

NOISE = re.compile(
    r"using pulumi-resource-\S+ from \$PATH at|Attempting to deploy or update resources with \d+ pending"
)
"""Warnings that mislead our users: our plugins are meant to be found on PATH, and pending creates are found again."""

UNWIND_S = 5.0
"""How long a program whose CLI is gone may take to end."""

Options = Mapping[str, Any]


class CommandFailed(Exception):
    """The CLI ended with another code than 0; `text` is its stderr, for classification and never shown unredacted."""

    def __init__(self, result: CommandResult) -> None:
        super().__init__(f"pulumi ended with {result.code}")
        self.text = result.stderr
        self.code = result.code


class Interrupted(Exception):
    """SIGINT, SIGTERM or SIGHUP arrived and was handed on, and the CLI has stopped."""


class Cli(PulumiCommand):
    """The CLI at a known place. It runs in a session of its own, so that a signal reaches it once, through us."""

    def __init__(self, executable: Path, version: str) -> None:
        self.command = str(executable)
        self.version: VersionInfo = VersionInfo.parse(version)
        self._process: subprocess.Popen[str] | None = None

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnOutput | None = None,
        on_error: OnOutput | None = None,
    ) -> CommandResult:
        """Run one command to its end. What it prints is returned, not streamed: events tell all that matters.

        Raises `CommandFailed`, `Interrupted`.
        """
        environment = {**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"}
        process = subprocess.Popen(
            [self.command, "--non-interactive", *args],
            cwd=cwd,
            env={**environment, "PATH": self._path(environment.get("PATH", ""))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._process = process
        with _forwarding(process) as received:
            stdout, stderr = process.communicate()
        self._process = None
        if received:
            raise Interrupted
        result = CommandResult(stdout, stderr, process.returncode)
        if result.code != 0:
            raise CommandFailed(result)
        return result

    def stop(self) -> None:
        """Ask a running command to cancel what it does."""
        process = self._process
        if process and process.poll() is None:
            process.send_signal(signal.SIGINT)

    def _path(self, inherited: str) -> str:
        bundled = str(Path(self.command).parent)
        return os.pathsep.join(filter(None, (bundled, sysconfig.get_path("scripts"), inherited)))


@contextlib.contextmanager
def _forwarding(process: subprocess.Popen[str]) -> Iterator[list[int]]:
    """Hand signals on to the process while it runs; yields those that came. The CLI cancels gently at the first
    and gives up at the second. Off the main thread Python cannot see signals: whoever can must call `Cli.stop`.
    """
    received: list[int] = []

    def forward(number: int, _: FrameType | None) -> None:
        received.append(number)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM if number == signal.SIGTERM else signal.SIGINT)

    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                number = getattr(signal, name)
                previous[number] = signal.signal(number, forward)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Workspace(LocalWorkspace):
    def select_stack(self, stack_name: str) -> None:
        """Nothing: every command names its stack."""

    def stack_outputs(self, stack_name: str) -> OutputMap:
        """Nothing: outputs come with the events, and the API would ask for them in clear text."""
        return {}


class _Stack(Stack):
    def __init__(self, name: str, workspace: _Workspace) -> None:
        self.name = name  # the parent's constructor does no more, but for a `stack select`
        self.workspace = workspace

    def info(self, show_secrets: bool = True) -> UpdateSummary:
        """An empty summary in place of a process that reads the history."""
        return UpdateSummary(
            kind="", start_time=datetime.fromtimestamp(0, UTC), message="", environment={}, config={}, result=""
        )


def command(cli: Cli, stack: StackRef, environment: Mapping[str, str], *args: str) -> str:
    """Run a command without a program and give what it prints. Raises as `Cli.run`."""
    return cli.run(list(args), str(stack.root), {**stack.environment, **environment}).stdout


@dataclass
class Operation:
    """One `preview`, `up`, `refresh` or `destroy`, and what its events have told."""

    cli: Cli
    stack: StackRef
    on_event: OnEvent
    steps: list[StepStarted] = field(default_factory=list)
    counts: Counter[Op] = field(default_factory=Counter)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    failed: list[StepEventMetadata] = field(default_factory=list)
    errors: dict[str, list[str]] = field(default_factory=dict)
    """Texts of error diagnostics by URN; "" for those of no resource."""
    raised: BaseException | None = None
    """What the program or the listener raised; it outweighs what the CLI says about it."""
    _loop: asyncio.AbstractEventLoop | None = None
    _task: asyncio.Task[Any] | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def run(self, verb: str, program: Program | None, environment: Mapping[str, str], options: Options) -> Outcome:
        """Raises what the program raised, `CommandFailed` (then see `failed` and `errors`) or `Interrupted`."""
        started = time.monotonic()
        workspace = _Workspace(
            work_dir=str(self.stack.root),
            env_vars={**self.stack.environment, **environment},
            pulumi_command=self.cli,
        )
        call: Callable[..., Any] = getattr(_Stack(self.stack.stack, workspace), verb)
        arguments = {"on_event": self._listen, "color": "never", "suppress_progress": True, **options}
        if program:
            arguments["program"] = self._guarded(program)
        else:
            # An address where a program could be: without it the CLI starts a language host, half a second for nothing.
            arguments.update(program=_nothing, run_program=False)
        try:
            call(**arguments)
        except (CommandFailed, Interrupted):
            if self.raised:
                raise self.raised from None
            raise
        finally:
            self._unwind()
        if self.raised:
            raise self.raised
        self.on_event(Summary(counts=dict(self.counts), seconds=time.monotonic() - started))
        return Outcome(counts=dict(self.counts), steps=tuple(self.steps), outputs=self.outputs)

    def _guarded(self, program: Program) -> Program:
        def guarded() -> None:
            loop = asyncio.get_running_loop()
            # The SDK's handler stops the loop at the first call that finds the CLI gone, and leaves tasks behind
            # that complain when they are collected; `_unwind` ends them instead.
            loop.set_exception_handler(lambda *_: None)
            self._loop, self._task = loop, asyncio.current_task(loop)
            if self._task:
                self._task.add_done_callback(lambda _: self._ended.set())
            try:
                program()
            except BaseException as error:
                self.raised = self.raised or error
                raise RunError("the program failed") from error

        return guarded

    def _unwind(self) -> None:
        """End the program's tasks where the CLI left before they were done."""
        if self._loop and self._task and not self._ended.is_set():
            with contextlib.suppress(RuntimeError):  # it ended by itself, in this moment
                self._loop.call_soon_threadsafe(self._task.cancel)
            self._ended.wait(UNWIND_S)

    def _listen(self, event: EngineEvent) -> None:
        # The SDK turns an exception in here into a Python warning and goes on.
        try:
            self._translate(event)
        except BaseException as error:
            self.raised = self.raised or error
            self.cli.stop()

    def _translate(self, event: EngineEvent) -> None:
        if event.resource_pre_event:
            self._started(event.resource_pre_event.metadata)
        elif event.res_outputs_event:
            self._done(event.res_outputs_event.metadata)
        elif event.res_op_failed_event:
            self._failed(event.res_op_failed_event.metadata)
        elif event.diagnostic_event:
            item = event.diagnostic_event
            self._said(item.severity, item.message.strip(), item.urn or "", passing=bool(item.ephemeral))
        elif event.summary_event:
            for op, count in event.summary_event.resource_changes.items():
                self.counts[_op(op)] += count

    def _started(self, step: StepEventMetadata) -> None:
        if _internal(step):
            return
        started = StepStarted(op=_op(step.op), urn=step.urn, type=step.type, fields=_fields(step))
        self.steps.append(started)
        self.on_event(started)

    def _done(self, step: StepEventMetadata) -> None:
        state = step.new or step.old
        outputs = mask(dict(state.outputs or {})) if state else {}
        if step.type == STACK_TYPE and step.new:
            self.outputs = outputs
        if not _internal(step):
            known = state.id if state and state.id != UNKNOWN_VALUE else ""
            self.on_event(StepDone(op=_op(step.op), urn=step.urn, type=step.type, id=known, outputs=outputs))

    def _failed(self, step: StepEventMetadata) -> None:
        self.failed.append(step)
        reasons = tuple(self.errors.get(step.urn, ()))
        self.on_event(StepFailed(op=_op(step.op), urn=step.urn, type=step.type, reasons=reasons))

    def _said(self, severity: str, text: str, urn: str, *, passing: bool) -> None:
        if not text or NOISE.match(text) or (severity == "debug" and not urn):
            return
        if passing:
            self.on_event(Status(urn=urn, text=text))
        elif severity == "error":
            self.errors.setdefault(urn, []).append(text)
        else:
            self.on_event(Message(severity="info" if severity == "info#err" else severity, text=text, urn=urn))


def _nothing() -> None:
    """The program of an operation that needs none."""


def mask(value: Any) -> Any:
    """A JSON value of an event with secrets and unknowns replaced by their placeholders."""
    return _known(mask_json(value))


def _known(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _known(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_known(child) for child in value]
    return UNKNOWN if value == UNKNOWN_VALUE else value


def _op(op: str) -> Op:
    word = str(getattr(op, "value", op))
    return OPS.get(word) or Op(word)


def _internal(step: StepEventMetadata) -> bool:
    """Whether Pulumi itself does not count it: default providers, and forgetting a half-made replace."""
    name = step.urn.rsplit("::", 1)[-1]
    default = step.type.startswith("pulumi:providers:") and (name == "default" or name.startswith("default_"))
    return default or step.op == OpType.REMOVE_PENDING_REPLACE


def _fields(step: StepEventMetadata) -> tuple[FieldChange, ...]:
    if not step.old or not step.new:
        return ()
    old_inputs, old_outputs, new = step.old.inputs or {}, step.old.outputs or {}, step.new.inputs or {}
    if not step.detailed_diff:
        keys = set(step.keys or ())
        return tuple(
            FieldChange(path=name, old=mask(old_inputs.get(name)), new=mask(new.get(name)), replaces=name in keys)
            for name in sorted({*(step.diffs or ()), *keys})
        )
    return tuple(
        FieldChange(
            path=path,
            old=_at(old_inputs if difference.input_diff else old_outputs, path),
            new=_at(new, path),
            replaces=str(difference.diff_kind.value).endswith("-replace"),
        )
        for path, difference in sorted(step.detailed_diff.items())
    )


def _at(value: Any, path: str) -> Any:
    """The masked value at a property path; None where there is none. What lies in a secret is that secret."""
    value = mask(value)
    for step in parse_path(path):
        if value in (SECRET, UNKNOWN):
            break
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
    return value
