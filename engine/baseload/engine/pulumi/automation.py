"""One verb of the Pulumi CLI: a program goes in, `interface` events come out.

Needs the SDK at import, so `pulumi.py` imports it late. Must not know state files, passphrases or which stacks exist.

`pulumi.automation.Stack` asks the CLI for more than an operation needs (`version`, `stack select`, which writes state
shared by all processes of a user, `stack output` twice, once in clear text, `stack history`: six processes for one
`up`), and its language server fails over its own log lines where the CLI has gone. So the same two services, which
are Pulumi's protocol and not private to that class, are served here, and one operation is one process. From the
Automation API come the command and the event types. Facts: SDK 3.272, CLI 3.260.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.automation import CommandResult, EngineEvent, OnOutput, OpType, PulumiCommand, StepEventMetadata
from pulumi.runtime.proto import (
    engine_pb2_grpc,
    events_pb2_grpc,
    language_pb2,
    language_pb2_grpc,
    plugin_pb2,
    resource_pb2_grpc,
)
from semver import VersionInfo

from baseload.engine.embedded.report import DOING
from baseload.engine.embedded.wire import parse_path
from baseload.engine.files.project import Config
from baseload.engine.files.state import mask_json
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
from baseload.engine.program import ProgramRun

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

REASON = re.compile(r"(?m)^\t\* (.*)$")
"""One of several errors in one text, as Go's `multierror` lists them: the reasons of a resource that is not healthy."""

UNWIND_S = 5.0
"""How long a program whose CLI is gone may take to end."""

CHANNEL = [("grpc.max_receive_message_length", 400 * 1024 * 1024), ("grpc.max_send_message_length", 400 * 1024 * 1024)]
"""As the CLI sets them for its own side (`sdk/go/common/util/rpcutil`): states may be large."""

MOST_PARALLEL = 1024
"""Without `--parallel` the CLI may say 2147483647."""

GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)

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


class _Host(language_pb2_grpc.LanguageRuntimeServicer):
    """The language host the CLI is told to use: it runs the one program, in this process."""

    def __init__(self, program: Program, root: Path) -> None:
        self._program = program
        self._root = root
        self.run: ProgramRun | None = None

    def About(self, request: Any, context: Any) -> Any:
        """What the program runs on."""
        return language_pb2.AboutResponse(executable=sys.executable, version=platform.python_version())

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        """None: plugins are looked for when first used."""
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        """None, as above."""
        return language_pb2.GetRequiredPluginsResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Nothing to tell."""
        return plugin_pb2.PluginInfo()

    def Run(self, request: Any, context: Any) -> Any:
        """Run the program to its end."""
        with (
            grpc.insecure_channel(request.monitor_address, CHANNEL) as monitor,
            grpc.insecure_channel(request.args[0], CHANNEL) as engine,
        ):
            self.run = run = ProgramRun(
                self._program,
                resource_pb2_grpc.ResourceMonitorStub(monitor),
                _Log(engine_pb2_grpc.EngineStub(engine)),
                root=self._root,
                project=request.project,
                stack=request.stack,
                config=Config(values=dict(request.config), secret_keys=tuple(request.configSecretKeys)),
                dry_run=request.dryRun,
                parallel=max(1, min(request.parallel, MOST_PARALLEL)),
            )
            run.done.wait()
        return language_pb2.RunResponse(error="the program failed" if run.error else "")


class _Log:
    """The CLI's log, deaf once the CLI is gone."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def Log(self, request: Any) -> Any:
        try:
            return self._engine.Log(request)
        except grpc.RpcError as error:
            if error.code() not in GONE:
                raise
            return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


class _Events(events_pb2_grpc.EventsServicer):
    def __init__(self, listen: Callable[[dict[str, Any]], None]) -> None:
        self._listen = listen

    def StreamEvents(self, request_iterator: Any, context: Any) -> Any:
        """Take the events of one operation; the CLI waits for the answer before it ends."""
        for request in request_iterator:
            self._listen(json.loads(request.event))
        return empty_pb2.Empty()


@dataclass
class Operation:
    """One `preview`, `up`, `refresh` or `destroy`, and what its events have told."""

    cli: Cli
    stack: StackRef
    on_event: OnEvent
    steps: list[StepStarted] = field(default_factory=list)
    counts: Counter[Op] = field(default_factory=Counter)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    failed: dict[str, Op] = field(default_factory=dict)
    """Steps that failed, by URN."""
    errors: dict[str, list[str]] = field(default_factory=dict)
    """Texts of error diagnostics by URN; "" for those of no resource."""
    raised: BaseException | None = None
    """What the listener raised; it outweighs what the CLI says."""
    parents: dict[str, str] = field(default_factory=dict)
    _refreshing: bool = False
    crash: BaseException | None = None
    """What the program raised, or an `apply`, or a registration that was refused."""

    def run(self, verb: str, program: Program | None, environment: Mapping[str, str], options: Options) -> Outcome:
        """Do it. `options` are flags by name: text, a number or True; None leaves one out.

        Raises what the listener raised, `CommandFailed` (then see `failed`, `errors` and `crash`) or `Interrupted`.
        """
        started = time.monotonic()
        self._refreshing = verb.startswith("refresh")
        # An address where a program could be, also for `refresh` and `destroy`: without it the CLI starts a
        # language host, half a second for nothing.
        host = _Host(program or _nothing, self.stack.root)
        with _serving(host, _Events(self._listen)) as address:
            arguments = [
                *verb.split(),
                *([] if program else ["--run-program=false"]),
                *(flag for name, value in options.items() for flag in _flag(name, value)),
                *("--stack", self.stack.stack, "--color", "never", "--suppress-progress", "--exec-kind", "auto.inline"),
                *(f"--client={address}", f"--event-log=tcp://{address}"),
            ]
            # --event-log is among the flags the CLI has for developers only (`PULUMI_DEBUG_COMMANDS`).
            variables = {"PULUMI_DEBUG_COMMANDS": "true", **self.stack.environment, **environment}
            try:
                self.cli.run(arguments, str(self.stack.root), variables)
            finally:
                if host.run:
                    host.run.done.wait(UNWIND_S)
                    self.crash = host.run.error
                if self.raised:
                    raise self.raised
        self.on_event(Summary(counts=dict(self.counts), seconds=time.monotonic() - started))
        return Outcome(counts=dict(self.counts), steps=tuple(self.steps), outputs=self.outputs)

    def _listen(self, event: dict[str, Any]) -> None:
        try:
            self._translate(EngineEvent.from_json(event))
        except BaseException as error:  # also of the listener: the CLI has to be stopped before it can be raised
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

    def sentence(self, urn: str, reasons: Sequence[str]) -> str:
        """A failure, in the words of the embedded engine."""
        names = [urn.rsplit("::", 1)[-1]]
        parent = self.parents.get(urn, "")
        while parent and parent.split("::")[2] != STACK_TYPE:
            names.append(parent.rsplit("::", 1)[-1])
            parent = self.parents.get(parent, "")
        verb = DOING.get(self.failed.get(urn, Op.SAME), "brought to the wanted state")
        return f"{'/'.join(reversed(names))} could not be {verb}: {'; '.join(reasons) or 'Pulumi gives no reason'}"

    def _started(self, step: StepEventMetadata) -> None:
        state = step.new or step.old
        self.parents[step.urn] = state.parent if state else ""
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
            self._found(step)
            known = state.id if state and state.id != UNKNOWN_VALUE else ""
            self.on_event(StepDone(op=_op(step.op), urn=step.urn, type=step.type, id=known, outputs=outputs))

    def _found(self, step: StepEventMetadata) -> None:
        """In a refresh by itself, the difference that was found stands for the reading of the resource."""
        reading = [s for s in self.steps if s.urn == step.urn and s.op is Op.REFRESH]
        op = _op(step.op)
        if reading and op in (Op.SAME, Op.UPDATE, Op.DELETE) and self._refreshing:
            self.steps.remove(reading[0])
            self.steps.append(StepStarted(op=op, urn=step.urn, type=step.type, fields=_fields(step)))

    def _failed(self, step: StepEventMetadata) -> None:
        self.failed[step.urn] = _op(step.op)
        reasons = tuple(self.errors.get(step.urn, ()))
        self.on_event(StepFailed(op=_op(step.op), urn=step.urn, type=step.type, reasons=reasons))

    def _said(self, severity: str, text: str, urn: str, *, passing: bool) -> None:
        if not text or NOISE.match(text) or (severity == "debug" and not urn):
            return
        if passing:
            self.on_event(Status(urn=urn, text=text))
        elif severity == "error":
            self.errors.setdefault(urn, []).extend(REASON.findall(text) or [text])
        else:
            self.on_event(Message(severity="info" if severity == "info#err" else severity, text=text, urn=urn))


@contextlib.contextmanager
def _serving(host: _Host, events: _Events) -> Iterator[str]:
    # Two calls that last as long as the operation, and short ones beside them.
    server = grpc.server(ThreadPoolExecutor(4, thread_name_prefix="pulumi"), options=CHANNEL)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    events_pb2_grpc.add_EventsServicer_to_server(events, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


def _flag(name: str, value: object) -> list[str]:
    flag = "--" + name.replace("_", "-")
    if value is None:
        return []
    return [flag] if value is True else [f"{flag}={value}"]


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
        names = {*(step.diffs or ()), *keys}
        if not names and _op(step.op) is Op.UPDATE:  # of a component, say: nobody was asked for a difference
            names = {name for name in {*old_inputs, *new} if old_inputs.get(name) != new.get(name)}
        return tuple(
            FieldChange(path=name, old=mask(old_inputs.get(name)), new=mask(new.get(name)), replaces=name in keys)
            for name in sorted(names)
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
