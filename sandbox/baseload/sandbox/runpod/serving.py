"""The sandbox on two loopback ports: control plane and job plane, as RunPod has two hosts. Runs in a thread of its own.

Owns the event loop in which the state machine lives; everything from outside goes through `Sandbox`, whose methods may
be called from any thread. Objects are kept in a file where one is named: written whole and put in place at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from baseload.sandbox.addresses import HOST, Addresses
from baseload.sandbox.clock import Clock, RealClock
from baseload.sandbox.runpod.gate import CONTROL, JOBS, Call, Fault, Faults, Gate, RateLimits
from baseload.sandbox.runpod.processes import Processes
from baseload.sandbox.runpod.routes import Runtime, control_plane, job_plane
from baseload.sandbox.runpod.state import Cloud
from baseload.sandbox.runpod.switches import Switches

T = TypeVar("T")
CALLS_KEPT = 10_000
SCHEMA = "baseload.sandbox.runpod/1"


class Sandbox:
    """A running sandbox, seen from other threads."""

    def __init__(self, cloud: Cloud, ports: tuple[int, int], file: Path | None) -> None:
        self.ports = ports
        self.addresses = Addresses.on(*ports)
        self.faults = Faults()
        self.identity: dict[str, Any] = {"sandbox": "runpod", "pid": os.getpid(), **self.addresses.to_json()}
        # The only queue whose put may be called from a signal handler.
        self._stop_wishes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._cloud, self._file = cloud, file
        self._calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self._loop = asyncio.new_event_loop()
        self._kept = ""

    @property
    def base_url(self) -> str:
        """Control plane, with `/v2`."""
        return self.addresses.base_url

    @property
    def endpoint_base_url(self) -> str:
        """Job plane, with `/v2`."""
        return self.addresses.endpoint_base_url

    @property
    def calls(self) -> list[Call]:
        """All calls so far but those to the admin routes: plane, method, path, status (0: no answer)."""
        return self._do(lambda: [replace(call) for call in self._calls])

    def ask_to_stop(self) -> None:
        """Let `wait` return; may be called from a signal handler."""
        self._stop_wishes.put(None)

    def wait(self, longest_s: float | None = None) -> bool:
        """Until somebody asks for the end, by `ask_to_stop` or the admin route, or the sandbox failed; whether so."""
        try:
            self._stop_wishes.get(timeout=longest_s)
        except queue.Empty:
            return False
        return True

    def keep_nothing(self) -> None:
        """Write no file any more."""
        self._file = None

    def endpoints(self) -> list[dict[str, Any]]:
        """All endpoints as the control plane shows them, without being a call."""
        return self._do(self._cloud.endpoint_list)

    def workers(self, endpoint_id: str) -> dict[str, Any]:
        """An endpoint's workers and counts, without being a call."""
        return self._do(lambda: self._cloud.workers(endpoint_id))

    def switch(self, **values: Any) -> None:
        """Throw switches (see `Switches`); raises ValueError where there is none of that name or the value is none."""
        self._do(lambda: self._change(lambda: self._cloud.switches.set(values)))

    def fault(self, action: str, **where: Any) -> None:
        """Lay a `Fault` in wait."""
        self._do(lambda: self.faults.add(Fault(action=action, **where)))

    def edit(self, endpoint_id: str, **patch: Any) -> dict[str, Any]:
        """Edit an endpoint behind everybody's back, as in RunPod's console."""
        return self._do(lambda: self._change(lambda: self._cloud.patch(endpoint_id, patch)))

    def remove(self, endpoint_id: str) -> None:
        """Delete an endpoint behind everybody's back."""
        self._do(lambda: self._change(lambda: self._cloud.delete(endpoint_id)))

    def advance(self, seconds: float) -> None:
        """Move the clock ahead; what is due on the way happens in order, workers answer in between."""
        asyncio.run_coroutine_threadsafe(self._advance(seconds), self._loop).result()

    def _do(self, action: Callable[[], T]) -> T:
        async def call() -> T:
            return action()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    def _change(self, action: Callable[[], T]) -> T:
        result = action()
        self._changed()
        return result

    # In the loop's thread from here on.

    def serve(self, sockets: tuple[socket.socket, socket.socket], ready: Callable[[], None], failed: Failed) -> None:
        """Run until `close`; call `ready` once both ports answer, or `failed` with what went wrong."""
        try:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self._serve(sockets, ready))
        except BaseException as error:
            # Whatever it is, it belongs to whoever started the thread.
            failed(error)
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            asyncio.set_event_loop(None)
            self._loop.close()

    def close(self) -> None:
        """End; may be called from any thread, once."""
        self._loop.call_soon_threadsafe(self._close)

    def _close(self) -> None:
        self._closing.set()
        self._wake()

    async def _serve(self, sockets: tuple[socket.socket, socket.socket], ready: Callable[[], None]) -> None:
        self._closing = asyncio.Event()
        self._waiters: set[asyncio.Future[None]] = set()
        self._processes = Processes(self._cloud, self._changed)
        runtime = Runtime(
            cloud=self._cloud,
            faults=self.faults,
            calls=self._calls,
            changed=self._changed,
            wait=self._wait,
            advance=self._advance,
            closing=self._closing.is_set,
            shut_down=self.ask_to_stop,
            identity=lambda: self.identity,
        )
        limits = RateLimits(self._cloud.clock)
        servers = []
        for plane, app in ((CONTROL, control_plane(runtime)), (JOBS, job_plane(runtime))):
            connections = _Connections()
            gate = Gate(
                app,
                plane=plane,
                switches=self._cloud.switches,
                faults=self.faults,
                limits=limits,
                calls=self._calls,
                cut=connections.cut,
                closing=self._closing,
            )
            servers.append(_server(gate, connections))
        self._changed()
        running = [
            asyncio.create_task(server.serve([listener])) for server, listener in zip(servers, sockets, strict=True)
        ]
        ticking = asyncio.create_task(self._tick())
        ready()
        # Ends when told to, and also when a part fails: a sandbox whose clock stands still must not look alive.
        await asyncio.wait([ticking, *running], return_when=asyncio.FIRST_COMPLETED)
        self._close()
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*running)
        self._cloud.close()
        self._perform()
        await self._processes.close()
        self._keep()
        await ticking

    async def _tick(self) -> None:
        """Let the cloud live: wake up when something is due."""
        while not self._closing.is_set():
            due_in_s = self._cloud.next_due() - self._cloud.clock.now() if self._cloud.clock.runs else float("inf")
            # A call that only reads catches up too, and leaves what then has to be done to us.
            if due_in_s <= 0 or self._cloud.effects:
                self._changed()
                due_in_s = 0
            await self._wait(min(due_in_s, 3600.0))

    def _changed(self) -> None:
        self._cloud.catch_up()
        self._perform()
        self._keep()
        self._wake()

    def _perform(self) -> None:
        while self._cloud.effects:
            self._processes.perform(self._cloud.effects.popleft())

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def _wait(self, longest_s: float) -> None:
        if self._closing.is_set():
            return
        waiter = self._loop.create_future()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(longest_s):
                await waiter
        except TimeoutError:
            # Nothing happened in time, which the caller finds out by looking.
            self._waiters.discard(waiter)

    async def _advance(self, seconds: float) -> None:
        if not 0 <= seconds < float("inf"):
            msg = f"time only moves ahead, not by {seconds} s"
            raise ValueError(msg)
        clock = self._cloud.clock
        target = clock.now() + seconds
        while True:
            self._changed()
            await self._processes.quiet.wait()
            due = self._cloud.next_due()
            if due > target:
                break
            clock.advance(max(0.0, due - clock.now()))
        clock.advance(max(0.0, target - clock.now()))
        self._changed()

    def _keep(self) -> None:
        if self._file is None:
            return
        document = {"schema": SCHEMA, **self._cloud.to_json()}
        comparable = json.dumps(document | {"now": None}, indent=1)
        if comparable == self._kept:
            return
        scratch = self._file.with_suffix(".new")
        # Endpoints carry their environment in clear text, as RunPod's answers do.
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
        scratch.replace(self._file)
        self._kept = comparable


Failed = Callable[[BaseException], None]


class _Connections:
    """A server's open connections by the client's address, so that a fault can cut one."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self) -> type[H11Protocol]:
        """A protocol class that registers here."""
        transports = self._transports

        class Registered(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                transports[transport.get_extra_info("peername")[:2]] = transport
                self.peer = transport.get_extra_info("peername")[:2]

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(self.peer, None)
                super().connection_lost(exc)

        return Registered

    def cut(self, scope: Scope) -> None:
        """Cut the connection of this call."""
        if transport := self._transports.get(tuple(scope["client"] or ())):
            transport.abort()


def _server(app: Gate, connections: _Connections) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=connections.protocol(),
        ws="none",
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


@contextmanager
def serve(
    *,
    clock: Clock | None = None,
    switches: Switches | None = None,
    file: Path | None = None,
    ports: tuple[int, int] = (0, 0),
) -> Iterator[Sandbox]:
    """RunPod on loopback as long as the context lasts; port 0 is any free one.

    With a `ManualClock` nothing becomes due but by `advance`. Raises OSError where a port is taken, ValueError where
    `file` is not what `Sandbox` wrote.
    """
    cloud = Cloud(clock or RealClock(), switches=switches)
    if file is not None and file.exists():
        cloud.load(_document(file))
    listeners = _listeners(ports)
    sandbox = Sandbox(cloud, (listeners[0].getsockname()[1], listeners[1].getsockname()[1]), file)
    cloud.endpoint_base_url = sandbox.endpoint_base_url
    ready, problems = threading.Event(), list[BaseException]()

    def failed(error: BaseException) -> None:
        problems.append(error)
        sandbox.ask_to_stop()
        ready.set()

    thread = threading.Thread(target=sandbox.serve, args=(listeners, ready.set, failed), name="sandbox", daemon=True)
    thread.start()
    ready.wait()
    try:
        if not problems:
            yield sandbox
    finally:
        if thread.is_alive():
            sandbox.close()
        thread.join()
        for listener in listeners:
            listener.close()
    if problems:
        raise problems[0]


def _listeners(ports: tuple[int, int]) -> tuple[socket.socket, socket.socket]:
    first = _listener(ports[0])
    try:
        return first, _listener(ports[1])
    except OSError:
        first.close()
        raise


def _listener(port: int) -> socket.socket:
    # Without the protocol asyncio does not turn Nagle's algorithm off, which costs 40 ms an answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener


def _document(file: Path) -> dict[str, Any]:
    document = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        msg = f"it is no {SCHEMA}"
        raise ValueError(msg)
    return document
