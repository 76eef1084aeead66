"""A provider without a cloud, and programs written as data: what the conformance suite gives to both engines.

`Lab` answers over real gRPC and is attached by PULUMI_DEBUG_PROVIDERS; its objects have ids that do not depend on
time or order. Started as a script, this module runs one operation in a process of its own, to be killed.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pulumi
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
REPLACES = {"shape", "place"}
"""Inputs whose change replaces; `place` deletes first."""


def secret(value: Any) -> dict[str, Any]:
    return {SIGNATURE: SECRET, "value": value}


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return plain(value["value"]) if value.get(SIGNATURE) == SECRET else {k: plain(v) for k, v in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def read(struct: struct_pb2.Struct) -> dict[str, Any]:
    return dict(whole(json_format.MessageToDict(struct)))


def whole(value: Any) -> Any:
    """5.0 as 5, as JSON writers of both engines may choose."""
    if isinstance(value, dict):
        return {key: whole(child) for key, child in value.items()}
    if isinstance(value, list):
        return [whole(child) for child in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Where two records differ, a line each."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            place = f"{path}.{key}"
            if key not in new or key not in old:
                yield f"{place}: {old.get(key, '(absent)')!r} != {new.get(key, '(absent)')!r}"
            else:
                yield from differences(old[key], new[key], place)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differences(before, after, f"{path}[{index}]")
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        yield f"{path}: {old!r} != {new!r}"


def write(values: dict[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(values, struct_pb2.Struct())


class Lab(provider_pb2_grpc.ResourceProviderServicer):
    """Package `lab`: `Thing` takes any inputs. Its cloud is `objects`; `faults` are used up in order."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.calls: list[dict[str, Any]] = []
        self.faults: dict[str, list[str]] = {}
        self.remarks: dict[str, list[str]] = {}
        """What is said, in passing, of a resource by name while it is created."""
        self.unconfirmed: dict[str, str] = {}
        """Ids by URN of creates whose answer never left."""
        self.hanging = threading.Event()
        self.released = threading.Event()
        self._made: Counter[str] = Counter()
        self._config: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._engine = ""

    def reset(self) -> None:
        self.objects.clear()
        self.calls.clear()
        self.faults.clear()
        self.unconfirmed.clear()
        self.remarks.clear()
        self._made.clear()
        self._config.clear()
        self.hanging.clear()

    def Handshake(self, request, context):
        self._engine = request.engine_address
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True, accept_outputs=True)

    def Attach(self, request, context):
        self._engine = request.address
        return empty_pb2.Empty()

    def Cancel(self, request, context):
        self.released.set()
        return empty_pb2.Empty()

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version="1.0.0")

    def CheckConfig(self, request, context):
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):
        return provider_pb2.DiffResponse()

    def Configure(self, request, context):
        self._config[request.urn] = read(request.args)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
        )

    def Check(self, request, context):
        self._note("check", request, olds=request.olds, news=request.news)
        inputs = read(request.news)
        if plain(inputs).get("size") == "wrong":
            failure = provider_pb2.CheckFailure(property="size", reason="must be a number")
            return provider_pb2.CheckResponse(inputs=request.news, failures=[failure])
        inputs.setdefault("kind", "standard")
        return provider_pb2.CheckResponse(inputs=write(inputs))

    def Diff(self, request, context):
        self._note(
            "diff", request, id=request.id, olds=request.olds, news=request.news, old_inputs=request.old_inputs,
            ignore=list(request.ignoreChanges),
        )  # fmt: skip
        detail: dict[str, Any] = {}
        _compare(plain(read(request.old_inputs)), plain(read(request.news)), "", detail)
        replaces = sorted({path.split(".")[0].split("[")[0] for path in detail} & REPLACES)
        changes = provider_pb2.DiffResponse.DIFF_SOME if detail else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=changes,
            diffs=sorted({path.split(".")[0].split("[")[0] for path in detail}),
            replaces=replaces,
            detailedDiff=detail,
            hasDetailedDiff=True,
            deleteBeforeReplace="place" in replaces,
        )

    def Create(self, request, context):
        self._note("create", request, inputs=request.properties, timeout=request.timeout, preview=request.preview)
        inputs = read(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        self._remark(request.urn, self.remarks.get(request.name, ()))
        fault = self._fault("create", request.name)
        if fault == "fail":
            context.abort(grpc.StatusCode.UNKNOWN, f"no room for {request.name}")
        with self._lock:
            identity = self.unconfirmed.pop(request.urn, None)
            if identity is None:
                self._made[request.name] += 1
                identity = f"{request.name}-{self._made[request.name]}"
            self.objects[identity] = plain(inputs)
        if fault == "hang":
            self.unconfirmed[request.urn] = identity
            self._hang(context)
        outputs = self._outputs(inputs)
        if fault == "partial":
            self._init_failed(context, identity, inputs, outputs)
        return provider_pb2.CreateResponse(id=identity, properties=write(outputs))

    def Update(self, request, context):
        self._note(
            "update", request, id=request.id, olds=request.olds, news=request.news, old_inputs=request.old_inputs,
            timeout=request.timeout, ignore=list(request.ignoreChanges), preview=request.preview,
        )  # fmt: skip
        inputs = read(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        fault = self._fault("update", request.name)
        if fault == "fail":
            context.abort(grpc.StatusCode.UNKNOWN, f"{request.name} cannot change now")
        if request.id not in self.objects:
            context.abort(grpc.StatusCode.UNKNOWN, f"{request.id} is gone")
        self.objects[request.id] = plain(inputs)
        if fault == "hang":
            self._hang(context)
        outputs = self._outputs(inputs)
        if fault == "partial":
            self._init_failed(context, request.id, inputs, outputs)
        return provider_pb2.UpdateResponse(properties=write(outputs))

    def Delete(self, request, context):
        self._note(
            "delete", request, id=request.id, olds=request.properties, old_inputs=request.old_inputs,
            timeout=request.timeout,
        )  # fmt: skip
        fault = self._fault("delete", request.name)
        if fault == "fail":
            context.abort(grpc.StatusCode.UNKNOWN, f"{request.name} is in use")
        self.objects.pop(request.id, None)
        if fault == "hang":
            self._hang(context)
        return empty_pb2.Empty()

    def Read(self, request, context):
        self._note("read", request, id=request.id, olds=request.properties, inputs=request.inputs)
        known = self.objects.get(request.id)
        if known is None:
            return provider_pb2.ReadResponse()
        # A secret input stays marked, as a provider must see to itself.
        inputs = {key: secret(value) if key == "password" else value for key, value in known.items()}
        return provider_pb2.ReadResponse(id=request.id, inputs=write(inputs), properties=write(self._outputs(inputs)))

    def _hang(self, context: Any) -> None:
        """Never answer, so that the engine can be killed after the deed."""
        self.hanging.set()
        self.released.wait(60)
        context.abort(grpc.StatusCode.CANCELLED, "cancelled")

    def _remark(self, urn: str, texts: Iterable[str]) -> None:
        with grpc.insecure_channel(self._engine) as channel:
            for text in texts:
                line = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=urn, ephemeral=True)
                engine_pb2_grpc.EngineStub(channel).Log(line)

    def _outputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        outputs = {**inputs, "token": secret("t0ken"), "deep": {"list": [1, secret({"x": None})], "none": None}}
        for config in self._config.values():
            if "region" in config:
                outputs["region"] = config["region"]
        return outputs

    def _init_failed(self, context: Any, identity: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        detail = provider_pb2.ErrorResourceInitFailed(
            id=identity, properties=write(outputs), inputs=write(inputs), reasons=["not healthy yet"]
        )
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message="not healthy yet")
        status.details.add().Pack(detail)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(grpc.StatusCode.UNKNOWN, "not healthy yet")

    def _fault(self, method: str, name: str) -> str | None:
        with self._lock:
            waiting = self.faults.get(f"{method} {name}")
            return waiting.pop(0) if waiting else None

    def _note(self, method: str, request: Any, **fields: Any) -> None:
        decoded = {key: read(value) if isinstance(value, struct_pb2.Struct) else value for key, value in fields.items()}
        with self._lock:
            self.calls.append({"method": method, "urn": request.urn, "type": request.type, **decoded})


def _compare(old: Any, new: Any, path: str, into: dict[str, Any]) -> None:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            place = f"{path}.{key}" if path else key
            if key in old and key in new:
                _compare(old[key], new[key], place, into)
            else:
                into[place] = _kind("ADD" if key in new else "DELETE", place)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            _compare(before, after, f"{path}[{index}]", into)
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        into[path] = _kind("UPDATE", path)


def _kind(kind: str, path: str) -> provider_pb2.PropertyDiff:
    suffix = "_REPLACE" if path.split(".")[0].split("[")[0] in REPLACES else ""
    return provider_pb2.PropertyDiff(kind=getattr(provider_pb2.PropertyDiff, kind + suffix), inputDiff=True)


def serve(lab: Lab) -> tuple[grpc.Server, int]:
    server = grpc.server(futures.ThreadPoolExecutor(32))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(lab, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


class Thing(pulumi.CustomResource):
    def __init__(self, name: str, props: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__("lab:index:Thing", name, {**props, "token": None, "deep": None, "kind": None}, opts)


class Group(pulumi.ComponentResource):
    def __init__(self, name: str, props: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__("test:index:Group", name, props, opts)


class Lever(pulumi.ProviderResource):
    def __init__(self, name: str, props: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__("lab", name, props, opts)


KINDS: dict[str, Any] = {"thing": Thing, "group": Group, "provider": Lever}
REFERENCES = ("parent", "provider")


def declare(document: dict[str, Any]) -> None:
    """Run a program that is written as data.

    `resources`: `{name, kind?, props?, opts?, outputs?}` in order. In values `{"$secret": v}`, `{"$out": "a.token"}`,
    `{"$id": "a"}`, `{"$config": "key"}`. `exports`: stack outputs. `raise`: fail with this text, at the end.
    """
    made: dict[str, Any] = {}

    def value(item: Any) -> Any:
        if isinstance(item, list):
            return [value(child) for child in item]
        if not isinstance(item, dict):
            return item
        if "$secret" in item:
            return pulumi.Output.secret(value(item["$secret"]))
        if "$id" in item:
            return made[item["$id"]].id
        if "$out" in item:
            name, _, attribute = item["$out"].partition(".")
            return getattr(made[name], attribute)
        if "$config" in item:
            return pulumi.Config().require(item["$config"])
        return {key: value(child) for key, child in item.items()}

    def options(given: dict[str, Any]) -> pulumi.ResourceOptions:
        arguments = {key: made[item] if key in REFERENCES else item for key, item in given.items()}
        if "depends_on" in given:
            arguments["depends_on"] = [made[name] for name in given["depends_on"]]
        if "custom_timeouts" in given:
            arguments["custom_timeouts"] = pulumi.CustomTimeouts(**given["custom_timeouts"])
        return pulumi.ResourceOptions(**arguments)

    for item in document.get("resources", ()):
        kind = KINDS[item.get("kind", "thing")]
        resource = kind(item["name"], value(item.get("props", {})), options(item.get("opts", {})))
        made[item["name"]] = resource
    for item in document.get("resources", ()):
        if item.get("kind") == "group":
            made[item["name"]].register_outputs(value(item.get("outputs", {})))
    for key, item in document.get("exports", {}).items():
        pulumi.export(key, value(item))
    if "raise" in document:
        raise LookupError(document["raise"])


def main() -> None:
    """Run one operation, told as JSON on stdin, in this process: `{engine, root, verb, program}`."""
    from baseload.engine import choose
    from baseload.engine.interface import StackRef

    told = json.load(sys.stdin)
    engine = choose.choose(told["engine"], sandbox=True)
    stack = StackRef(root=Path(told["root"]), project="demo", stack="dev")
    if told["verb"] == "up":
        engine.up(stack, lambda: declare(told["program"]), lambda event: None)
    else:
        engine.destroy(stack, lambda event: None)


if __name__ == "__main__":
    main()
