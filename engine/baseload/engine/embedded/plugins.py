"""Provider plugins as processes: where they are found, how they start, speak and end; and the engine's side of it.

A plugin that was started here never outlives `Plugins`. Must not know resources, states or what providers answer.

Facts: Pulumi's source, `sdk/go/common/resource/plugin/plugin.go`, `provider_plugin.go` beside it, and
`sdk/go/common/workspace/plugins.go` (2026-08): the order of the search, the port as first line of stdout, the
engine's address as argument.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from pathlib import Path
from typing import IO, Any, Protocol

import grpc
import yaml
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from baseload.engine.files.project import Project, unsupported
from baseload.planner.errors import BaseloadError, UsageError

ATTACH = "PULUMI_DEBUG_PROVIDERS"
START_LIMIT_S = 60.0
"""Until a plugin has printed its port; Pulumi sets no limit and can hang here."""
STOP_LIMIT_S = 5.0
"""Between the request to end and the kill; Pulumi's own limit."""
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 400 << 20),
    ("grpc.max_send_message_length", 400 << 20),
    ("grpc.max_metadata_size", 16 << 20),
)
"""Pulumi's own limit for messages. A partial failure travels as metadata, with the whole resource in it: 16 MiB as Go
takes, where gRPC for Python takes 16 KiB and would lose the id."""

SEVERITIES = {
    engine_pb2.DEBUG: "debug",
    engine_pb2.INFO: "info",
    engine_pb2.WARNING: "warning",
    engine_pb2.ERROR: "error",
}

OnLog = Callable[[str, str, str, bool], None]
"""Severity, text, URN (may be empty), and whether the line is only passing."""


class Plugin(Protocol):
    """A provider server that answers on `channel`."""

    channel: grpc.Channel
    attached: bool
    """Whether it was running already: it is told the engine's address by `Attach` and is not ended."""

    def kill(self) -> None:
        """End it at once; calls that are under way fail."""
        ...


class _Attached:
    attached = True

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS)

    def stop(self) -> None:
        self.channel.close()

    def kill(self) -> None:
        self.channel.close()


class _Process:
    """A plugin started by us, in its own process group so that a terminal's Ctrl-C reaches only the engine."""

    attached = False
    channel: grpc.Channel

    def __init__(self, package: str, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._package = package
        self._tail: deque[str] = deque(maxlen=20)
        self._port: futures.Future[str] = futures.Future()
        try:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                process_group=0 if os.name == "posix" else None,
            )
        except OSError as error:
            raise self._failed(f"cannot be started: {error.strerror or error}") from error
        self._drains = [
            threading.Thread(target=self._drain, args=(stream, first), name=f"{package}-output", daemon=True)
            for stream, first in ((self._process.stdout, True), (self._process.stderr, False))
        ]
        for drain in self._drains:
            drain.start()

    def connect(self) -> None:
        """Wait for the port. Raises `BaseloadError` `engine/plugin` with the last lines the plugin printed."""
        try:
            port = int(self._port.result(START_LIMIT_S))
        except TimeoutError:
            self.kill()
            raise self._failed(f"printed no port within {START_LIMIT_S:.0f} s") from None
        except ValueError:
            self.kill()
            raise self._failed("ended, or printed something else, where its port was expected") from None
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        if hasattr(self, "channel"):
            self.channel.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _drain(self, stream: IO[str], first: bool) -> None:
        """Read to the end: a plugin must never block on a full pipe. What it printed is kept for an error's text."""
        with stream:
            if first:
                self._port.set_result(stream.readline())
            self._tail.extend(line.rstrip() for line in stream)

    def _failed(self, what: str) -> BaseloadError:
        for drain in getattr(self, "_drains", ()):
            drain.join(1)
        said = "\n".join(["", *self._tail]) if self._tail else ""
        return BaseloadError.of(
            "engine/plugin",
            f"the provider plugin {self._package} {what}{said}",
            hint=f"run `pulumi-resource-{self._package} 127.0.0.1:1` by hand to see why",
        )


class Plugins:
    """The plugins of one operation; a context manager that ends what it started. Threads may share it."""

    def __init__(
        self,
        project: Project,
        environment: Mapping[str, str],
        on_log: OnLog,
        ambient: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` is set over `ambient` (default: this process's own) for the processes."""
        self._project = project
        self._ambient = os.environ if ambient is None else ambient
        self._environment = {**self._ambient, **environment}
        self._on_log = on_log
        self._lock = threading.Lock()
        self._running: list[_Attached | _Process] = []
        self._server: grpc.Server | None = None
        self._early: dict[str, futures.Future[_Attached | _Process]] = {}
        self._starter = futures.ThreadPoolExecutor(max_workers=16, thread_name_prefix="plugin-start")
        self.address = ""
        """Where the engine's own service listens."""

    def __enter__(self) -> Plugins:
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=4, thread_name_prefix="engine"))
        engine_pb2_grpc.add_EngineServicer_to_server(_Engine(self._on_log), self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._starter.shutdown(wait=True)
        with self._lock:
            running, self._running = self._running, []
        with futures.ThreadPoolExecutor(max_workers=max(1, len(running))) as pool:
            list(pool.map(lambda plugin: plugin.stop(), running))
        if self._server:
            self._server.stop(None)

    def warm(self, package: str) -> None:
        """Start a plugin that will be wanted, without waiting; the first `start` of the package gets it."""
        with self._lock:
            if package not in self._early:
                self._early[package] = self._starter.submit(self._start, package)

    def start(self, package: str) -> Plugin:
        """A plugin of its own for one provider instance: Pulumi's providers keep one configuration per process.

        Raises `UsageError` `engine/no-plugin`, `BaseloadError` `engine/plugin`.
        """
        with self._lock:
            early = self._early.pop(package, None)
        return early.result() if early else self._start(package)

    def kill(self) -> None:
        """End all at once; calls that are under way fail."""
        with self._lock:
            running = list(self._running)
        for plugin in running:
            plugin.kill()

    def _start(self, package: str) -> _Attached | _Process:
        port = self._attach_port(package)
        plugin: _Attached | _Process
        if port is not None:
            plugin = _Attached(port)
        else:
            command = [*self._find(package), self.address]
            plugin = _Process(package, command, self._project.main, self._environment)
        with self._lock:
            self._running.append(plugin)
        if isinstance(plugin, _Process):
            plugin.connect()
        return plugin

    def _attach_port(self, package: str) -> int | None:
        for entry in self._ambient.get(ATTACH, "").split(","):
            name, _, port = entry.strip().partition(":")
            if name == package:
                if not port.isdigit():
                    raise UsageError.of(
                        "engine/plugin", f"{ATTACH} names no port for {package}", hint="the form is name:port,name:port"
                    )
                return int(port)
        return None

    def _find(self, package: str) -> list[str]:
        name = f"pulumi-resource-{package}"
        for entry in self._project.providers:
            if entry.name == package:
                return _in_folder(entry.path, name)
        path = "" if _true(self._ambient.get("PULUMI_IGNORE_AMBIENT_PLUGINS")) else self._environment.get("PATH", "")
        scripts = dict.fromkeys((str(Path(sys.executable).parent), sysconfig.get_path("scripts")))
        found = shutil.which(name, path=os.pathsep.join(filter(None, (path, *scripts))))
        if not found:
            raise UsageError.of(
                "engine/no-plugin",
                f"no provider plugin for the package {package}: {name} is not on PATH",
                hint="install it, or name its folder under `plugins.providers` in Pulumi.yaml",
            )
        return [found]


def _true(text: str | None) -> bool:
    return (text or "").lower() in ("1", "true")


def _in_folder(folder: Path, name: str) -> list[str]:
    executable = shutil.which(name, path=str(folder))
    if executable:
        return [executable]
    file, program = folder / "PulumiPlugin.yaml", folder / "__main__.py"
    if not file.is_file():
        raise UsageError.of(
            "engine/no-plugin",
            f"{folder}, named under `plugins.providers`, holds neither {name} nor PulumiPlugin.yaml",
        )
    runtime = (yaml.safe_load(file.read_bytes()) or {}).get("runtime")
    runtime = runtime.get("name") if isinstance(runtime, dict) else runtime
    if runtime != "python" or not program.is_file():
        raise unsupported("plugins that are no executable and no Python program with `__main__.py`", file)
    return [sys.executable, "-u", str(program)]


class _Engine(engine_pb2_grpc.EngineServicer):
    """What a plugin may ask of the engine: to pass a line on."""

    def __init__(self, on_log: OnLog) -> None:
        self._on_log = on_log

    def Log(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """A line for people."""
        del context
        self._on_log(SEVERITIES.get(request.severity, "info"), request.message, request.urn, request.ephemeral)
        return empty_pb2.Empty()
