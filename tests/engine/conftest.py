"""A small real provider on loopback with a cloud behind it that can be made to fail, and stacks to use it with.

The provider is an attached gRPC server, so the same one serves the embedded engine and a real Pulumi CLI.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pulumi
import pytest
from google.protobuf import any_pb2, empty_pb2, struct_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from baseload.engine.embedded import EmbeddedEngine, wire
from baseload.engine.files.secrets import Crypter
from baseload.engine.files.state import Snapshot
from baseload.engine.interface import Event, Outcome, StackRef

PASSPHRASE = "correct horse"


@dataclass
class Fault:
    """What goes wrong with a call of `method` for the resource `name`, `times` times.

    `kind`: `error`, `init` (exists but not ready), `lost` (done, but nobody is told), `hang` (until cancelled).
    """

    method: str
    name: str
    kind: str
    times: int = 1


@dataclass
class Cloud:
    """What exists, and what was asked of it."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id: `urn` and the inputs it was given, in plain text."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Method and logical name, in order of arrival."""
    faults: list[Fault] = field(default_factory=list)
    delay_s: float = 0.0
    """How long creates, updates and deletes take."""
    known: set[str] = field(default_factory=set)
    """Ids an engine has named: never adopted by a create, which finds only what nobody was told of."""
    configured: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """URN and configuration of each provider instance."""
    timeouts: dict[tuple[str, str], float] = field(default_factory=dict)
    before: Callable[[str, str], None] = lambda method, name: None
    lock: threading.Lock = field(default_factory=threading.Lock)
    cancelled: threading.Event = field(default_factory=threading.Event)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    running: int = 0
    """Calls under way, without Check and Diff."""
    most_running: int = 0

    def fail(self, method: str, name: str, kind: str = "error", times: int = 1) -> None:
        self.faults.append(Fault(method, name, kind, times))

    def fault(self, method: str, name: str) -> str:
        with self.lock:
            for fault in self.faults:
                if (fault.method, fault.name) == (method, name) and fault.times:
                    fault.times -= 1
                    return fault.kind
        return ""

    def names(self) -> list[str]:
        """The logical names of what exists, sorted."""
        return sorted(item["urn"].rsplit("::", 1)[-1] for item in self.objects.values())

    def id_of(self, name: str) -> str:
        """The id of the one object of that logical name."""
        (found,) = [i for i, item in self.objects.items() if item["urn"].endswith(f"::{name}")]
        return found

    def count(self, method: str) -> int:
        return Counter(name for name, _ in self.calls)[method]

    def order(self, method: str) -> list[str]:
        return [name for called, name in self.calls if called == method]


class TestProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Types `test:index:*`. Every input is a property of the object; some say how the resource behaves:

    `size` replaces; `first` makes replaces delete first; `bad` fails Check; `key` is answered as secret; `color` is
    `blue` by default. Outputs: the inputs and `token`, which only the cloud knows.
    """

    __test__ = False
    secrets = True
    handshakes = True

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.engine = ""

    def Handshake(self, request: Any, context: Any) -> Any:
        if not self.handshakes:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "no Handshake")
        self.engine = request.engine_address
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=self.secrets, accept_resources=False)

    def Attach(self, request: Any, context: Any) -> Any:
        self.engine = request.address
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="0.1.0")

    def CheckConfig(self, request: Any, context: Any) -> Any:
        failures = []
        if "wrong" in request.news.fields:
            failures.append(provider_pb2.CheckFailure(property="wrong", reason="is wrong"))
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        old, new = plain(request.old_inputs), plain(request.news)
        keys = sorted(k for k in {*old, *new} if old.get(k) != new.get(k))
        return provider_pb2.DiffResponse(
            changes=2 if keys else 1, diffs=keys, replaces=[k for k in keys if k == "account"]
        )

    def Configure(self, request: Any, context: Any) -> Any:
        if "broken" in request.args.fields:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this configuration is broken")
        self.cloud.configured.append((request.urn, plain(request.args)))
        self.cloud.cancelled.clear()
        return provider_pb2.ConfigureResponse(
            acceptSecrets=self.secrets, supportsPreview=True, acceptResources=False, acceptOutputs=False
        )

    def Check(self, request: Any, context: Any) -> Any:
        self._called("check", request)
        news = request.news
        if "bad" in news.fields:
            return provider_pb2.CheckResponse(failures=[provider_pb2.CheckFailure(property="bad", reason="is bad")])
        if "color" not in news.fields:
            news.fields["color"].string_value = plain(request.olds).get("color", "blue")
        return provider_pb2.CheckResponse(inputs=news)

    def Diff(self, request: Any, context: Any) -> Any:
        self._called("diff", request)
        old, new = plain(request.old_inputs), plain(request.news)
        keys = sorted(k for k in {*old, *new} if old.get(k) != new.get(k) and k not in request.ignoreChanges)
        kinds = provider_pb2.PropertyDiff.Kind
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if keys else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=keys,
            replaces=[k for k in keys if k == "size"],
            deleteBeforeReplace=bool(new.get("first")),
            hasDetailedDiff=True,
            detailedDiff={
                k: provider_pb2.PropertyDiff(kind=kinds.UPDATE_REPLACE if k == "size" else kinds.UPDATE, inputDiff=True)
                for k in keys
            },
        )

    def Create(self, request: Any, context: Any) -> Any:
        if request.preview:
            outputs = self._outputs(request.properties)
            outputs.fields["token"].string_value = wire.COMPUTED_TEXT
            return provider_pb2.CreateResponse(properties=outputs)
        kind = self._called("create", request)
        with self.cloud.lock:
            inputs = plain(request.properties)
            found = [i for i, o in self.cloud.objects.items() if o["urn"] == request.urn and i not in self.cloud.known]
            identity = found[0] if found else f"id-{next(self.cloud.ids)}"
            if kind != "error":
                self.cloud.objects[identity] = {"urn": request.urn, "inputs": inputs}
        outputs = self._outputs(request.properties, identity)
        self._answer(kind, context, request, identity, outputs)
        return provider_pb2.CreateResponse(id=identity, properties=outputs)

    def Update(self, request: Any, context: Any) -> Any:
        if request.preview:
            return provider_pb2.UpdateResponse(properties=self._outputs(request.news, request.id))
        kind = self._called("update", request)
        if request.id not in self.cloud.objects:
            self._answer("", context, request, request.id, struct_pb2.Struct())
            context.abort(grpc.StatusCode.NOT_FOUND, f"{request.id} does not exist")
        if kind != "error":
            self.cloud.objects[request.id]["inputs"] = plain(request.news)
        outputs = self._outputs(request.news, request.id)
        self._answer(kind, context, request, request.id, outputs)
        return provider_pb2.UpdateResponse(properties=outputs)

    def Read(self, request: Any, context: Any) -> Any:
        kind = self._called("read", request)
        self._answer(kind, context, request, request.id, struct_pb2.Struct())
        found = self.cloud.objects.get(request.id)
        if not found:
            return provider_pb2.ReadResponse()
        inputs = struct(found["inputs"])
        return provider_pb2.ReadResponse(id=request.id, inputs=inputs, properties=self._outputs(inputs, request.id))

    def Delete(self, request: Any, context: Any) -> Any:
        kind = self._called("delete", request)
        if kind != "error":
            self.cloud.objects.pop(request.id, None)
        self._answer(kind, context, request, request.id, struct_pb2.Struct())
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        self.cloud.cancelled.set()
        return empty_pb2.Empty()

    def _called(self, method: str, request: Any) -> str:
        name = request.urn.rsplit("::", 1)[-1]
        self.cloud.before(method, name)
        with self.cloud.lock:
            self.cloud.calls.append((method, name))
            if method not in ("check", "diff"):
                self.cloud.running += 1
                self.cloud.most_running = max(self.cloud.most_running, self.cloud.running)
            if method not in ("check", "create"):
                self.cloud.known.add(request.id)
            if hasattr(request, "timeout"):
                self.cloud.timeouts[method, name] = request.timeout
        if method in ("create", "update", "delete"):
            self._say(request.urn, f"{method} {name}")
            time.sleep(self.cloud.delay_s)
        return self.cloud.fault(method, name)

    def _say(self, urn: str, text: str) -> None:
        """A line for people; an engine that is gone is no reason to leave work half done."""
        with grpc.insecure_channel(self.engine) as channel, suppress(grpc.RpcError):
            stub = engine_pb2_grpc.EngineStub(channel)
            stub.Log(engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=urn, ephemeral=True))

    def _answer(self, kind: str, context: Any, request: Any, identity: str, outputs: struct_pb2.Struct) -> None:
        """The end of a call that `_called` began, good or bad."""
        name = request.urn.rsplit("::", 1)[-1]
        with self.cloud.lock:
            self.cloud.running -= 1
        if kind == "error":
            remedy = "\nhint: Make room." if name == "hinted" else ""
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"no room for {name}{remedy}")
        if kind == "lost":
            context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        if kind == "hang":
            self.cloud.cancelled.wait(20)
            context.abort(grpc.StatusCode.ABORTED, "cancelled by the engine")
        if kind == "init":
            failed = provider_pb2.ErrorResourceInitFailed(id=identity, properties=outputs, reasons=[f"{name} is ill"])
            detail = any_pb2.Any()
            detail.Pack(failed)
            status = status_pb2.Status(code=2, message="init failed", details=[detail])
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(grpc.StatusCode.UNKNOWN, "init failed")

    def _outputs(self, inputs: struct_pb2.Struct, identity: str = "") -> struct_pb2.Struct:
        outputs = struct_pb2.Struct()
        outputs.CopyFrom(inputs)
        outputs.fields["token"].string_value = f"token-of-{identity}"
        if self.secrets and "key" in outputs.fields:
            marked = wire.write({"key": wire.secret(plain(inputs)["key"])})
            outputs.fields["key"].CopyFrom(marked.fields["key"])
        return outputs


def plain(message: struct_pb2.Struct) -> dict[str, Any]:
    """Values of a message without marks."""
    return dict(wire.plain(wire.read(message)))


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    return wire.write(values)


@dataclass
class Serving:
    """The provider at work."""

    cloud: Cloud
    provider: TestProvider
    port: int


@pytest.fixture
def serving() -> Iterator[Serving]:
    cloud = Cloud()
    provider = TestProvider(cloud)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=128))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Serving(cloud, provider, port)
    cloud.cancelled.set()
    server.stop(None).wait()


@pytest.fixture
def cloud(serving: Serving) -> Cloud:
    return serving.cloud


@dataclass
class Stack:
    """A stack of its own in a project, and the engine that works on it."""

    engine: EmbeddedEngine
    ref: StackRef
    file: Path
    """The checkpoint."""
    environment: dict[str, str]
    crypter: Crypter
    events: list[Event] = field(default_factory=list)

    def up(self, program: Callable[[], None], **options: Any) -> Outcome:
        return self.engine.up(self.ref, program, self.events.append, **options)

    def preview(self, program: Callable[[], None], **options: Any) -> Outcome:
        return self.engine.preview(self.ref, program, self.events.append, **options)

    def refresh(self, **options: Any) -> Outcome:
        return self.engine.refresh(self.ref, self.events.append, **options)

    def destroy(self, **options: Any) -> Outcome:
        return self.engine.destroy(self.ref, self.events.append, **options)

    def load(self) -> Snapshot:
        """What the checkpoint holds, secrets opened."""
        _, backend = self.engine._open(self.ref)
        loaded = backend.load(self.ref.project, self.ref.stack, lambda _: self.crypter)
        assert loaded is not None
        return loaded.snapshot

    def state(self, name: str) -> Any:
        """The one entry of that logical name."""
        (found,) = [s for s in self.load().resources if s.urn.endswith(f"::{name}")]
        return found

    def kinds(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture(scope="session")
def crypter() -> Crypter:
    """One key for all stacks of the tests: making one takes 0.3 s."""
    return Crypter.create(PASSPHRASE)


@pytest.fixture
def make_stack(tmp_path: Path, serving: Serving, crypter: Crypter) -> Callable[..., Stack]:
    def make(name: str = "dev", config: str = "", project: str = "") -> Stack:
        (tmp_path / "Pulumi.yaml").write_text(
            f"name: shop\nruntime: python\nbackend: {{url: file://./state}}\n{project}", encoding="utf-8"
        )
        (tmp_path / f"Pulumi.{name}.yaml").write_text(f"encryptionsalt: {crypter.salt}\n{config}", encoding="utf-8")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_DEBUG_PROVIDERS": f"test:{serving.port}",
        }
        engine = EmbeddedEngine(environment=environment)
        return Stack(
            engine=engine,
            ref=StackRef(root=tmp_path, project="shop", stack=name),
            file=tmp_path / "state" / ".pulumi" / "stacks" / "shop" / f"{name}.json",
            environment=environment,
            crypter=crypter,
        )

    return make


@pytest.fixture
def stack(make_stack: Callable[..., Stack]) -> Stack:
    return make_stack()


class Thing(pulumi.CustomResource):
    token: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None, **inputs: Any) -> None:
        super().__init__("test:index:Thing", name, {**inputs, "token": None}, opts)


@pytest.fixture(scope="session")
def thing() -> type[Thing]:
    """A resource class of the test provider: inputs by keyword, output `token`."""
    return Thing


@pytest.fixture(scope="session")
def ops() -> Callable[[Outcome], dict[str, list[str]]]:
    """What an outcome did, by logical name, without the stack itself."""

    def by_name(outcome: Outcome) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for step in outcome.steps:
            if step.type != "pulumi:pulumi:Stack":
                found.setdefault(step.urn.rsplit("::", 1)[-1], []).append(str(step.op))
        return found

    return by_name
