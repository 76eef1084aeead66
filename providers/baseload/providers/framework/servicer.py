"""Pulumi's provider protocol over the declared resources of one package.

Holds what is the same for every platform: check failures, detailed diffs, ignored changes, secret marks, previews,
partly created resources, cancellation, and errors that never carry a secret. Facts: the wire contract
(proto/pulumi/provider.proto of SDK 3.272) and what CLI 3.260 was seen to do with it.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, NamedTuple, NoReturn, TypeVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2_grpc, status_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from baseload.planner.errors import BaseloadError, Cancelled, CredentialsError, TimedOut, UsageError
from baseload.providers.framework import wire
from baseload.providers.framework.properties import Failure, Types
from baseload.providers.framework.resource import InitFailed, Operation, Properties, Resource, Time, explain

LOG_TIMEOUT_S = 2.0
"""A log line is worth no more waiting than this."""

ENGINE_KEYS = frozenset({"version", "pluginDownloadURL", "__internal"})
"""Inputs of a provider resource that are the engine's own."""

_SEVERITIES = {"info": engine_pb2.INFO, "warning": engine_pb2.WARNING, "error": engine_pb2.ERROR}
_CODES: Mapping[type[BaseloadError], grpc.StatusCode] = {
    CredentialsError: grpc.StatusCode.UNAUTHENTICATED,
    Cancelled: grpc.StatusCode.CANCELLED,
    TimedOut: grpc.StatusCode.DEADLINE_EXCEEDED,
    UsageError: grpc.StatusCode.FAILED_PRECONDITION,
}

Answer = TypeVar("Answer")
Request = Any


class Session:
    """One engine process: where it listens, and the operations it has asked for that are still running."""

    def __init__(self, address: str = "") -> None:
        self._channel = grpc.insecure_channel(address, options=_GRPC_CHANNEL_OPTIONS) if address else None
        self._engine = engine_pb2_grpc.EngineStub(self._channel) if self._channel else None
        self._stops: set[threading.Event] = set()
        self._cancelled = False
        self._lock = threading.Lock()

    def log(self, severity: str, text: str, urn: str = "", passing: bool = False) -> None:
        """Say something in the engine's display; an engine that cannot be reached fails no operation."""
        if (engine := self._engine) is None:
            return
        request = engine_pb2.LogRequest(severity=_SEVERITIES[severity], message=text, urn=urn, ephemeral=passing)
        try:
            engine.Log(request, timeout=LOG_TIMEOUT_S)
        except grpc.RpcError as error:
            # The line has no other place to go: stdout belongs to the protocol, and the engine hides stderr.
            logging.getLogger(__name__).debug("engine log failed: %s", error)

    def close(self) -> None:
        """Leave the engine's address alone from now on."""
        self._engine = None
        if self._channel is not None:
            self._channel.close()

    def begin(self, stop: threading.Event) -> None:
        """Have the event set when the engine cancels."""
        with self._lock:
            self._stops.add(stop)
            if self._cancelled:
                stop.set()

    def end(self, stop: threading.Event) -> None:
        """The operation is over."""
        with self._lock:
            self._stops.discard(stop)

    def cancel(self) -> None:
        """Wake every waiting operation, and refuse those to come."""
        with self._lock:
            self._cancelled = True
            for stop in self._stops:
                stop.set()


class _Refused(Exception):
    """Ends a call with a gRPC status."""

    def __init__(self, code: grpc.StatusCode, text: str, details: bytes | None = None) -> None:
        super().__init__(text)
        self.code, self.text, self.details = code, text, details


class _Status(NamedTuple):
    code: grpc.StatusCode
    details: str
    trailing_metadata: Sequence[tuple[str, bytes]]


Method = Callable[[Any, Request, grpc.ServicerContext], Answer]


def _answers(method: Method[Answer]) -> Method[Answer]:
    """The boundary of a call: errors become gRPC statuses here and nowhere else, without any secret of the request."""

    @wraps(method)
    def call(self: Any, request: Request, context: grpc.ServicerContext) -> Answer:
        try:
            return method(self, request, context)
        except _Refused as error:
            refused = error
        except BaseloadError as error:
            code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), grpc.StatusCode.UNKNOWN)
            refused = _Refused(code, self.masked(request, explain(error)))
        except Exception as error:
            # A defect of ours. Its text may quote anything, so only its kind and place are told.
            place = traceback.extract_tb(error.__traceback__)[-1]
            text = f"Internal error: {type(error).__name__} in {place.name} ({place.filename}:{place.lineno})"
            refused = _Refused(grpc.StatusCode.INTERNAL, text)
        _abort(context, refused)

    return call


def _abort(context: grpc.ServicerContext, refused: _Refused) -> NoReturn:
    metadata = (("grpc-status-details-bin", refused.details),) if refused.details else ()
    context.abort_with_status(_Status(refused.code, refused.text, metadata))  # type: ignore[arg-type]
    raise AssertionError("abort returns")  # pragma: no cover


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The plugin of one package. One object serves every provider instance and, attached, every engine process."""

    def __init__(
        self, package: str, version: str, resources: Iterable[Resource], *, text: str = "", time: Time | None = None
    ) -> None:
        self.package, self.version, self.text = package, version, text
        self.resources = {resource.token: resource for resource in resources}
        self.configs: dict[tuple[str, str], Properties] = {}
        """What each provider instance was configured with, by its URN and id; unknowns stay unknown."""
        self.session = Session()
        self._on_attach: list[Callable[[], None]] = []
        self._on_close: list[Callable[[], None]] = []
        self._time = time or Time()

    def on_attach(self, action: Callable[[], None]) -> None:
        """Have something done whenever another engine takes over."""
        self._on_attach.append(action)

    def on_close(self, action: Callable[[], None]) -> None:
        """Have something done when the provider is not needed any more."""
        self._on_close.append(action)

    def close(self) -> None:
        """Give back what the resources hold. A plugin's process just ends; one that is attached should do this."""
        self.session.close()
        for action in self._on_close:
            action()

    def attach(self, address: str) -> None:
        """Work for the engine at this address from now on; every engine process brings a new one."""
        self.session = Session(address)
        for action in self._on_attach:
            action()

    # -- the package -----------------------------------------------------------------------------------------------

    @_answers
    def Handshake(self, request: Request, context: grpc.ServicerContext) -> pb.ProviderHandshakeResponse:
        """The first call of an engine that started this process."""
        self.attach(request.engine_address)
        return pb.ProviderHandshakeResponse(accept_secrets=True, accept_resources=False, accept_outputs=False)

    @_answers
    def Attach(self, request: Request, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """The first call of an engine that found this process running."""
        self.attach(request.address)
        return empty_pb2.Empty()

    @_answers
    def Cancel(self, request: Request, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Wake everything that waits; calls end soon after."""
        self.session.cancel()
        return empty_pb2.Empty()

    @_answers
    def GetPluginInfo(self, request: Request, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """The version of the distribution."""
        return plugin_pb2.PluginInfo(version=self.version)

    @_answers
    def GetSchema(self, request: Request, context: grpc.ServicerContext) -> pb.GetSchemaResponse:
        """The package schema as JSON."""
        if request.version not in (0, 1):
            raise _Refused(grpc.StatusCode.INVALID_ARGUMENT, f"unsupported schema version {request.version}")
        return pb.GetSchemaResponse(schema=json.dumps(self.schema(), sort_keys=True))

    def schema(self) -> dict[str, Any]:
        """The package schema, from the declarations."""
        types: Types = {}
        resources = {}
        for token, resource in self.resources.items():
            inputs = resource.inputs.members(self.package, types)
            outputs = resource.outputs.members(self.package, types)
            resources[token] = {
                "description": resource.text,
                "inputProperties": inputs["properties"],
                "requiredInputs": inputs["required"],
                "properties": {**inputs["properties"], **outputs["properties"]},
                "required": sorted({*inputs["required"], *outputs["required"]}),
            }
        return {
            "name": self.package,
            "version": self.version,
            "description": self.text,
            "config": {},
            "provider": {"description": "Addresses and keys come from the environment."},
            "types": types,
            "resources": resources,
        }

    @_answers
    def CheckConfig(self, request: Request, context: grpc.ServicerContext) -> pb.CheckResponse:
        """Settings are passed on as they are; one that means nothing is told."""
        for key in sorted({*request.news.fields} - ENGINE_KEYS):
            self.session.log("warning", f"{self.package} has no setting '{key}'; it is ignored.", request.urn)
        return pb.CheckResponse(inputs=request.news)

    @_answers
    def DiffConfig(self, request: Request, context: grpc.ServicerContext) -> pb.DiffResponse:
        """A changed configuration is taken over; it replaces no provider, as that would replace its resources."""
        old = request.old_inputs if request.HasField("old_inputs") else request.olds
        changed = list(wire.differences(wire.load(old), wire.load(request.news)))
        return _diff_response([(path, kind, False) for path, kind in changed])

    @_answers
    def Configure(self, request: Request, context: grpc.ServicerContext) -> pb.ConfigureResponse:
        """Keep a provider instance's settings; they may be unknown in a preview."""
        self.configs[request.urn, request.id] = wire.load(request.args)
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=False)

    # -- resources -------------------------------------------------------------------------------------------------

    def resource(self, request: Request) -> Resource:
        """The declared resource of a request; types arrive qualified (`Parent$Child`) for children of components."""
        qualified = getattr(request, "type", "") or request.urn.split("::")[2]
        token = qualified.rsplit("$", 1)[-1]
        if token not in self.resources:
            raise _Refused(grpc.StatusCode.INVALID_ARGUMENT, f"{self.package} has no resource type {token}")
        return self.resources[token]

    def secrets(self, request: Request) -> frozenset[str]:
        """Every secret text of a request: marked ones, and those of properties that are secret by declaration."""
        found: set[str] = set()
        names = [item.name for item in request.DESCRIPTOR.fields]
        for name in ("news", "olds", "properties", "inputs", "old_inputs", "args"):
            if name in names:
                found.update(wire.secret_texts(wire.load(getattr(request, name))))
        if "urn" in names and "::" in request.urn and not request.urn.split("::")[2].startswith("pulumi:"):
            resource = self.resource(request)
            for name in ("news", "olds", "properties", "inputs", "old_inputs"):
                if name in names:
                    found.update(wire.secret_texts(_marked(resource, wire.load(getattr(request, name)))))
        return frozenset(found)

    def masked(self, request: Request, text: str) -> str:
        """The text without a secret of the request."""
        return Operation("", secrets=self.secrets(request)).masked(text)

    def operation(self, request: Request, context: grpc.ServicerContext) -> Operation:
        """What the call may use while it runs; it ends with the call, with Cancel, or with the engine's connection."""
        session, stop = self.session, threading.Event()

        # gRPC calls this when the call is answered, and at once when the engine's connection is lost.
        def over() -> None:
            stop.set()
            session.end(stop)

        session.begin(stop)
        if not context.add_callback(over):
            over()

        def log(severity: str, text: str, passing: bool) -> None:
            session.log(severity, text, request.urn, passing)

        timeout_s = getattr(request, "timeout", 0.0)
        return Operation(
            request.urn,
            timeout_s=timeout_s,
            until=self._time.now() + timeout_s if timeout_s > 0 else math.inf,
            secrets=self.secrets(request),
            stop=stop,
            log=log,
            time=self._time,
        )

    @_answers
    def Check(self, request: Request, context: grpc.ServicerContext) -> pb.CheckResponse:
        """Inputs with defaults and secret marks, or every failure at once."""
        resource = self.resource(request)
        news = wire.load(request.news)
        given = wire.plain(news)
        filled = resource.fill(given)
        failures: list[Failure] = [*resource.inputs.check(given), *resource.check(filled)]
        if failures:
            answers = [pb.CheckFailure(property=path, reason=reason) for path, reason in dict.fromkeys(failures)]
            return pb.CheckResponse(inputs=request.news, failures=answers)
        return pb.CheckResponse(inputs=wire.dump_struct(_marked(resource, filled, news)))

    @_answers
    def Diff(self, request: Request, context: grpc.ServicerContext) -> pb.DiffResponse:
        """What differs, path by path, and whether it replaces."""
        resource = self.resource(request)
        resource.seen(self.operation(request, context), request.id)
        old = _old_inputs(resource, request)
        new = _unchanged(wire.load(request.news), old, request.ignoreChanges)
        return _diff_response(
            [(path, kind, wire.top(path) in resource.replaces) for path, kind in _differences(resource, old, new)]
        )

    @_answers
    def Create(self, request: Request, context: grpc.ServicerContext) -> pb.CreateResponse:
        """Make the resource, or preview its outputs."""
        resource, marked = self.resource(request), wire.load(request.properties)
        inputs = wire.plain(marked)
        if request.preview:
            unknown = dict.fromkeys(resource.outputs.fields, wire.UNKNOWN)
            return pb.CreateResponse(properties=_outputs(resource, {**inputs, **unknown}, marked))
        try:
            made = resource.create(self.operation(request, context), inputs)
        except InitFailed as error:
            raise self._init_failed(request, resource, error, marked) from error
        return pb.CreateResponse(id=made.id, properties=_outputs(resource, made.outputs, marked))

    @_answers
    def Update(self, request: Request, context: grpc.ServicerContext) -> pb.UpdateResponse:
        """Change the resource, or preview its outputs."""
        resource, state = self.resource(request), wire.load(request.olds)
        old = _old_inputs(resource, request)
        marked = _unchanged(wire.load(request.news), old, request.ignoreChanges)
        inputs = wire.plain(marked)
        operation = self.operation(request, context)
        resource.seen(operation, request.id)
        if request.preview:
            changed = {wire.top(path) for path, _ in _differences(resource, old, marked)}
            moved = {name: wire.UNKNOWN for name, by in resource.settles.items() if by & changed}
            return pb.UpdateResponse(
                properties=_outputs(resource, {**wire.plain(state), **inputs, **moved}, marked, state)
            )
        ignored = frozenset(wire.top(path) for path in request.ignoreChanges)
        try:
            made = resource.update(operation, request.id, inputs, wire.plain(old), wire.plain(state), ignored)
        except InitFailed as error:
            raise self._init_failed(request, resource, error, marked) from error
        return pb.UpdateResponse(properties=_outputs(resource, made.outputs, marked))

    @_answers
    def Read(self, request: Request, context: grpc.ServicerContext) -> pb.ReadResponse:
        """The resource as it is; an empty id says it is gone."""
        resource = self.resource(request)
        inputs, state = wire.load(request.inputs), wire.load(request.properties)
        operation = self.operation(request, context)
        if inputs:
            resource.seen(operation, request.id)
        made = resource.read(operation, request.id, wire.plain(inputs), wire.plain(state))
        if made is None:
            return pb.ReadResponse()
        return pb.ReadResponse(
            id=made.id,
            inputs=wire.dump_struct(_marked(resource, made.inputs, inputs)),
            properties=_outputs(resource, made.outputs, inputs, state),
        )

    @_answers
    def Delete(self, request: Request, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Make sure the resource is gone."""
        resource = self.resource(request)
        operation = self.operation(request, context)
        resource.seen(operation, request.id)
        resource.delete(operation, request.id, wire.plain(wire.load(request.properties)))
        return empty_pb2.Empty()

    def _init_failed(self, request: Request, resource: Resource, error: InitFailed, marked: Any) -> _Refused:
        # The reasons stand once: gRPC clients of other languages limit a status to 8 KiB by default.
        text = f"{resource.token.rsplit(':', 1)[-1]} exists but is not as wanted"
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=text)
        status.details.add().Pack(
            pb.ErrorResourceInitFailed(
                id=error.made.id,
                properties=_outputs(resource, error.made.outputs, marked),
                inputs=wire.dump_struct(_marked(resource, error.made.inputs, marked)),
                reasons=[self.masked(request, reason) for reason in error.reasons],
            )
        )
        return _Refused(grpc.StatusCode.UNKNOWN, text, status.SerializeToString())


def _marked(resource: Resource, properties: Properties, like: Properties | None = None) -> dict[str, Any]:
    """Inputs with their secret marks: those of `like`, and the properties that are secret by declaration."""
    marked: dict[str, Any] = wire.mark(dict(properties), dict(like or {}))
    for name, declared in resource.inputs.fields.items():
        if declared.secret and marked.get(name) is not None and not isinstance(marked[name], wire.Secret):
            marked[name] = wire.Secret(wire.plain(marked[name]))
    return marked


def _outputs(resource: Resource, properties: Properties, *like: Properties) -> Any:
    """Outputs on the wire: what was secret in the inputs (or in the old state) stays so."""
    marked: dict[str, Any] = dict(properties)
    for other in like:
        marked = _marked(resource, marked, other)
        for name, sources in resource.holds.items():
            if name in marked and any(isinstance(other.get(source), wire.Secret) for source in sources):
                marked[name] = wire.mark(marked[name], wire.Secret(None))
    return wire.dump_struct(marked)


def _old_inputs(resource: Resource, request: Request) -> dict[str, Any]:
    """The old inputs. An engine may send only the old state, which holds them too."""
    if request.HasField("old_inputs"):
        loaded: dict[str, Any] = wire.load(request.old_inputs)
        return loaded
    return {name: value for name, value in wire.load(request.olds).items() if name in resource.inputs.fields}


def _unchanged(new: Any, old: Any, paths: Iterable[str]) -> Any:
    for path in paths:
        new = wire.keep_old(new, old, wire.steps(path))
    return new


def _differences(resource: Resource, old: Properties, new: Properties) -> list[tuple[str, wire.Kind]]:
    """Differences of the comparable forms, with the secret marks of the originals."""
    before, after = resource.comparable(wire.plain(old), wire.plain(new))
    return list(wire.differences(_marked(resource, before, old), _marked(resource, after, new)))


def _diff_response(changes: Sequence[tuple[str, wire.Kind, bool]]) -> pb.DiffResponse:
    kinds = {
        (wire.Kind.ADD, False): pb.PropertyDiff.ADD,
        (wire.Kind.ADD, True): pb.PropertyDiff.ADD_REPLACE,
        (wire.Kind.DELETE, False): pb.PropertyDiff.DELETE,
        (wire.Kind.DELETE, True): pb.PropertyDiff.DELETE_REPLACE,
        (wire.Kind.UPDATE, False): pb.PropertyDiff.UPDATE,
        (wire.Kind.UPDATE, True): pb.PropertyDiff.UPDATE_REPLACE,
    }
    replaces = sorted({wire.top(path) for path, _, replace in changes if replace})
    return pb.DiffResponse(
        changes=pb.DiffResponse.DIFF_SOME if changes else pb.DiffResponse.DIFF_NONE,
        replaces=replaces,
        deleteBeforeReplace=bool(replaces),
        diffs=sorted({wire.top(path) for path, _, _ in changes}),
        detailedDiff={
            path: pb.PropertyDiff(kind=kinds[kind, replace], inputDiff=True) for path, kind, replace in changes
        },
        hasDetailedDiff=True,
    )
