"""A provider on real gRPC, an engine that listens to its log, and RunPod's REST v2 as small as these tests need it."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2_grpc
from pulumi.runtime.proto import provider_pb2 as pb

from baseload.providers.framework import wire
from baseload.providers.framework.resource import Time
from baseload.providers.framework.servicer import Provider
from baseload.providers.framework.serving import serve
from baseload.providers.runpod.client import Client, Http, api_key
from baseload.providers.runpod.limits import RateLimiter
from baseload.providers.runpod.plugin import provider as runpod_provider

KEY = "rpa_TESTKEY0123456789"
TYPE = "baseload-runpod:index:Endpoint"
URN = f"urn:pulumi:dev::shop::baseload:index:RunpodEndpoint${TYPE}::mistral-endpoint"
OWNER = "0a1b2c3d4e5f"

Document = dict[str, Any]


class Clock:
    """Virtual time: waiting takes none, and every wait is noted."""

    def __init__(self) -> None:
        self.at, self.waits, self._lock = 1000.0, [], threading.Lock()

    def now(self) -> float:
        return self.at

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        with self._lock:
            self.at += seconds
            self.waits.append(seconds)
        return stop.is_set()

    def time(self) -> Time:
        return Time(self.now, self.wait)


@dataclass
class Fault:
    """What goes wrong with the next `times` calls that match."""

    call: str
    status: int = 0
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    drop: str = ""
    """`before` or `after` the call takes effect."""
    silence: bool = False
    """Instead of dropping the connection, say nothing for longer than the client waits."""
    hold: threading.Event | None = None
    """Answer as ever, but only once this is set."""
    held: threading.Event = field(default_factory=threading.Event)
    times: int = 1


@dataclass
class Call:
    method: str
    path: str
    body: Document | None
    headers: dict[str, str]
    query: dict[str, list[str]]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


class Runpod:
    """Endpoints with workers that do as they are told."""

    def __init__(self) -> None:
        self.endpoints: dict[str, Document] = {}
        self.versions: Counter[str] = Counter()
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.headers: dict[str, str] = {}
        self.worker_states: Callable[[Document], list[str]] = lambda endpoint: ["IDLE"] * endpoint["workers"]["min"]
        self.stale: Callable[[], int] = lambda: 0
        self.log = ["loading weights", "CUDA out of memory"]
        self.page_size = 0
        self.inject: dict[str, str] = {}
        self.silence = threading.Event()
        self.url = ""
        self._lock = threading.Lock()

    def made(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    def mutations(self) -> list[str]:
        return [call.name for call in self.calls if call.method != "GET"]

    def fault(self, call: str, **what: Any) -> Fault:
        self.faults.append(Fault(call, **what))
        return self.faults[-1]

    def fault_for(self, call: Call) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.times and re.fullmatch(fault.call, call.name):
                    fault.times -= 1
                    return fault
        return None

    def answer(self, call: Call) -> tuple[int, Any]:
        with self._lock:
            self.calls.append(call)
            parts = call.path.strip("/").split("/")[2:]
            if not parts:
                return self._create(call.body or {}) if call.method == "POST" else (200, self._page(call.query))
            endpoint = self.endpoints.get(parts[0])
            if endpoint is None:
                return problem(404, "endpoint not found")
            if len(parts) > 1:
                return 200, self._workers(endpoint)
            if call.method == "DELETE":
                del self.endpoints[parts[0]]
                return 204, None
            if call.method == "PATCH":
                self._patch(endpoint, call.body or {})
            return 200, endpoint

    def _create(self, body: Document) -> tuple[int, Any]:
        id_ = f"ep{len(self.calls):06d}"
        base = f"{self.url}/jobs/{id_}"
        routes = ("run", "runSync", "status", "stream", "cancel", "retry", "purgeQueue", "health")
        self.endpoints[id_] = {
            **body,
            "id": id_,
            "env": {**body["env"], **self.inject},
            "gpu": {"minCudaVersion": None, **body["gpu"]},
            "requestUrls": {name: f"{base}/{name.lower()}" for name in routes},
            "createdAt": "2026-06-01T12:00:00Z",
            "somethingNew": {"nobody": "expects"},
        }
        self.versions[id_] = 1
        return 201, self.endpoints[id_]

    def _patch(self, endpoint: Document, body: Document) -> None:
        if "gpu" in body:
            body = {**body, "gpu": {**body["gpu"], "minCudaVersion": body["gpu"].get("minCudaVersion") or None}}
        endpoint.update(body)
        if set(body) - {"workers", "scaling", "timeout", "name"}:
            self.versions[endpoint["id"]] += 1

    def _page(self, query: dict[str, list[str]]) -> Document:
        all_of_them = list(self.endpoints.values())
        if not self.page_size:
            return {"endpoints": all_of_them}
        start = int(query.get("cursor", ["0"])[0])
        end = start + self.page_size
        more = {"nextCursor": str(end)} if end < len(all_of_them) else {"nextCursor": None}
        return {"endpoints": all_of_them[start:end], "pagination": {**more, "hasNextPage": end < len(all_of_them)}}

    def _workers(self, endpoint: Document) -> Document:
        states = self.worker_states(endpoint)
        stale = self.stale()
        listed = [
            {"id": f"w{n}", "status": state, "isStale": n < stale, "gpuCount": 1} for n, state in enumerate(states)
        ]
        names = ("running", "idle", "initializing", "throttled", "unhealthy")
        counts = {name: states.count(name.upper()) for name in names}
        summary = {**counts, "total": len(states)}
        return {"workers": listed, "summary": summary, "endpointVersion": self.versions[endpoint["id"]]}


def problem(status: int, detail: str, *errors: str) -> tuple[int, Document]:
    return status, {"title": "Error", "status": status, "detail": detail, **({"errors": errors} if errors else {})}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    runpod: Runpod

    def handle_call(self) -> None:
        parts = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        call = Call(self.command, parts.path, body, dict(self.headers), parse_qs(parts.query))
        fault = self.runpod.fault_for(call)
        if fault and fault.hold:
            fault.held.set()
            fault.hold.wait(20)
            fault = None
        if fault and fault.drop != "after" and not fault.silence:
            self.runpod.calls.append(call)
        if fault and (fault.drop == "after" or fault.silence):
            self.runpod.answer(call)
        if fault and (fault.drop or fault.silence):
            if fault.silence:
                self.runpod.silence.wait(20)
            self.close_connection = True
            return
        if fault:
            self._send(fault.status, fault.body.encode(), fault.headers)
        elif call.path.endswith("/logs"):
            self.runpod.calls.append(call)
            lines = "".join(f"id: 1\ndata: {json.dumps({'line': line})}\n\n" for line in self.runpod.log)
            self._send(200, lines.encode(), {"Content-Type": "text/event-stream"})
        else:
            status, document = self.runpod.answer(call)
            self._send(status, b"" if document is None else json.dumps(document).encode(), self.runpod.headers)

    do_GET = do_POST = do_PATCH = do_DELETE = handle_call

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: pytest shows what failed."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that a client has dropped is part of these tests."""


@pytest.fixture
def runpod() -> Iterator[Runpod]:
    cloud = Runpod()
    handler = type("Handler", (_Handler,), {"runpod": cloud})
    server = _Server(("127.0.0.1", 0), handler)
    cloud.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield cloud
    cloud.silence.set()
    server.shutdown()
    server.server_close()
    thread.join()


class Engine(engine_pb2_grpc.EngineServicer):
    """Takes log lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, bool, str]] = []

    def Log(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self.lines.append((request.message, request.ephemeral, request.urn))
        return empty_pb2.Empty()

    def text(self) -> str:
        return "\n".join(message for message, _, _ in self.lines)


@pytest.fixture
def engine() -> Iterator[tuple[Engine, str]]:
    servicer = Engine()
    server = grpc.server(futures.ThreadPoolExecutor(8))
    engine_pb2_grpc.add_EngineServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(0).wait()


class Driver:
    """The calls an engine makes, with Python values; remembers every struct that was returned."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.channel = grpc.insecure_channel(address)
        self.stub = provider_pb2_grpc.ResourceProviderStub(self.channel)
        self.returned: list[Any] = []

    def _loaded(self, struct: Any) -> Any:
        self.returned.append(struct)
        return wire.load(struct)

    def check(self, inputs: Document, urn: str = URN, type_: str = TYPE) -> tuple[Document, dict[str, str]]:
        answer = self.stub.Check(pb.CheckRequest(urn=urn, type=type_, news=wire.dump_struct(inputs)))
        return self._loaded(answer.inputs), {failure.property: failure.reason for failure in answer.failures}

    def checked(self, inputs: Document, urn: str = URN) -> Document:
        filled, failures = self.check(inputs, urn)
        assert failures == {}
        return filled

    def diff(self, id_: str, old: Document, new: Document, urn: str = URN, ignore: tuple[str, ...] = ()) -> Any:
        request = pb.DiffRequest(
            urn=urn, id=id_, old_inputs=wire.dump_struct(old), news=wire.dump_struct(new), ignoreChanges=ignore
        )
        return self.stub.Diff(request)

    def create(
        self, inputs: Document, urn: str = URN, *, preview: bool = False, timeout: float = 0
    ) -> tuple[str, Document]:
        request = pb.CreateRequest(
            urn=urn, properties=wire.dump_struct(inputs), preview=preview, timeout=timeout, type=TYPE
        )
        answer = self.stub.Create(request)
        return answer.id, self._loaded(answer.properties)

    def update(
        self,
        id_: str,
        state: Document,
        old: Document,
        new: Document,
        urn: str = URN,
        *,
        ignore: tuple[str, ...] = (),
        preview: bool = False,
    ) -> Document:
        request = pb.UpdateRequest(
            urn=urn,
            id=id_,
            olds=wire.dump_struct(state),
            old_inputs=wire.dump_struct(old),
            news=wire.dump_struct(new),
            ignoreChanges=ignore,
            preview=preview,
        )
        return self._loaded(self.stub.Update(request).properties)

    def read(
        self, id_: str, inputs: Document | None = None, state: Document | None = None, urn: str = URN
    ) -> tuple[str, Document, Document]:
        request = pb.ReadRequest(
            urn=urn, id=id_, inputs=wire.dump_struct(inputs or {}), properties=wire.dump_struct(state or {})
        )
        answer = self.stub.Read(request)
        return answer.id, self._loaded(answer.inputs), self._loaded(answer.properties)

    def delete(self, id_: str, state: Document, urn: str = URN) -> None:
        self.stub.Delete(pb.DeleteRequest(urn=urn, id=id_, properties=wire.dump_struct(state)))


Serve = Callable[[Provider], Driver]


@pytest.fixture
def served() -> Iterator[Serve]:
    """Serve a provider on loopback and drive it over gRPC."""
    open_: list[Callable[[], object]] = []

    def start(provider: Provider) -> Driver:
        server, port = serve(provider)
        driver = Driver(f"127.0.0.1:{port}")
        open_.extend((driver.channel.close, lambda: server.stop(0).wait(), provider.close))
        return driver

    yield start
    for close in open_:
        close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def connect(environment: dict[str, str]) -> Client:
    """A client with no patience, so that silence is found out at once, and no chance."""
    return Client(
        Http(
            environment["RUNPOD_BASE_URL"],
            lambda: api_key(environment),
            RateLimiter(),
            answer_timeout_s=0.5,
            chance=lambda: 0.0,
        )
    )


@pytest.fixture
def environment(runpod: Runpod) -> dict[str, str]:
    return {"RUNPOD_BASE_URL": f"{runpod.url}/v2", "RUNPOD_API_KEY": KEY}


@pytest.fixture
def provider(environment: dict[str, str], clock: Clock) -> Provider:
    """The real plugin's provider in virtual time."""
    return runpod_provider(environment, time=clock.time(), connect=connect)


@pytest.fixture
def driver(provider: Provider, served: Serve) -> Driver:
    return served(provider)


@pytest.fixture
def wanted() -> Document:
    """Inputs as the component gives them."""
    return {
        "owner": OWNER,
        "name": "mistral",
        "type": "QUEUE",
        "image": "registry.example/acme/mistral:1",
        "args": "",
        "disk": 20,
        "ports": [],
        "env": {"HF_TOKEN": "hf_sekrit_token", "MODE": "fast"},
        "gpu": {"pools": ["ADA_24", "AMPERE_24"], "count": 1, "excludedTypes": [], "allowedCudaVersions": []},
        "workers": {"min": 0, "max": 3, "idleTimeout": 5},
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
        "dataCenterIds": ["US-KS-2", "EU-RO-1"],
        "networkVolumes": [],
        "timeout": 600_000,
        "flashboot": "OFF",
    }
