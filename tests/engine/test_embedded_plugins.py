"""Where provider plugins are found, how they are started and spoken to, and that none is left behind."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from baseload.engine.interface import Message, Status
from baseload.planner.errors import BaseloadError, UsageError

PLUGIN = f"""#!{sys.executable}
import json, os, sys
from concurrent import futures
import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc

class Provider(provider_pb2_grpc.ResourceProviderServicer):
    def Handshake(self, request, context):
        Provider.engine = request.engine_address
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)
    def Configure(self, request, context):
        return provider_pb2.ConfigureResponse(acceptSecrets=True)
    def Check(self, request, context):
        return provider_pb2.CheckResponse(inputs=request.news)
    def Create(self, request, context):
        with grpc.insecure_channel(sys.argv[-1]) as channel:
            log = engine_pb2_grpc.EngineStub(channel).Log
            log(engine_pb2.LogRequest(severity=engine_pb2.WARNING, message="lasting", urn=request.urn))
            log(engine_pb2.LogRequest(severity=engine_pb2.INFO, message="passing", urn=request.urn, ephemeral=True))
            log(engine_pb2.LogRequest(severity=engine_pb2.DEBUG, message="debug", urn=request.urn))
        request.properties.fields["pid"].number_value = os.getpid()
        request.properties.fields["cwd"].string_value = os.getcwd()
        request.properties.fields["cloud"].string_value = os.environ.get("CLOUD", "")
        request.properties.fields["path"].string_value = __file__
        return provider_pb2.CreateResponse(id="1", properties=request.properties)

if os.environ.get("CLOUD") == "broken":
    sys.exit("no key for this cloud")
server = grpc.server(futures.ThreadPoolExecutor(4))
provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
print("x" * 200_000, flush=True)
server.wait_for_termination()
"""


def install(folder: Path, *, as_program: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / ("__main__.py" if as_program else "pulumi-resource-test")
    file.write_text(textwrap.dedent(PLUGIN), encoding="utf-8")
    file.chmod(0o755)
    if as_program:
        (folder / "PulumiPlugin.yaml").write_text("runtime: python\n", encoding="utf-8")
    return file


@pytest.fixture
def unattached(make_stack: Callable[..., Any]) -> Callable[..., Any]:
    def make(**options: Any) -> Any:
        stack = make_stack(**options)
        del stack.environment["PULUMI_DEBUG_PROVIDERS"]
        return stack

    return make


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("where", ["project", "program", "path"])
def test_a_plugin_is_found_used_and_ended(
    unattached: Callable[..., Any], thing: Any, tmp_path: Path, where: str
) -> None:
    declared = "plugins: {providers: [{name: test, path: ./plug}]}\n"
    stack = unattached(project="main: stacks\n" + (declared if where != "path" else ""))
    (tmp_path / "stacks").mkdir()
    file = install(tmp_path / "plug", as_program=where == "program")
    if where == "path":
        stack.environment["PATH"] = f"{file.parent}{os.pathsep}{stack.environment['PATH']}"
    ref = type(stack.ref)(root=tmp_path, project="shop", stack="dev", environment={"CLOUD": "north"})
    stack.engine.up(ref, lambda: thing("a") and None, stack.events.append)
    outputs = stack.state("a").outputs
    assert outputs["path"] == str(file)
    assert (outputs["cwd"], outputs["cloud"]) == (str(tmp_path / "stacks"), "north")
    assert not alive(outputs["pid"])
    assert [m.text for m in stack.kinds(Message)] == ["lasting"]
    assert [s.text for s in stack.kinds(Status)] == ["passing"]


def test_a_plugin_that_cannot_start_says_why(unattached: Callable[..., Any], thing: Any, tmp_path: Path) -> None:
    stack = unattached(project="plugins: {providers: [{name: test, path: ./plug}]}\n")
    install(tmp_path / "plug")
    ref = type(stack.ref)(root=tmp_path, project="shop", stack="dev", environment={"CLOUD": "broken"})
    with pytest.raises(BaseloadError, match="no key for this cloud") as caught:
        stack.engine.up(ref, lambda: thing("a") and None, stack.events.append)
    assert caught.value.diagnostics[0].code == "engine/plugin"


def test_a_plugin_that_is_nowhere(unattached: Callable[..., Any], thing: Any, tmp_path: Path) -> None:
    stack = unattached()
    with pytest.raises(UsageError, match="no provider plugin for the package test"):
        stack.up(lambda: thing("a") and None)
    install(tmp_path / "plug")
    stack.environment["PATH"] = f"{tmp_path / 'plug'}{os.pathsep}{stack.environment['PATH']}"
    stack.environment["PULUMI_IGNORE_AMBIENT_PLUGINS"] = "true"
    with pytest.raises(UsageError, match="no provider plugin for the package test"):
        stack.up(lambda: thing("a") and None)
    stack = unattached(project="plugins: {providers: [{name: test, path: ./empty}]}\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"holds neither pulumi-resource-test nor PulumiPlugin.yaml"):
        stack.up(lambda: thing("a") and None)


def test_a_plugin_that_dies_while_it_works_leaves_the_create_pending(
    unattached: Callable[..., Any], thing: Any, tmp_path: Path
) -> None:
    stack = unattached(project="plugins: {providers: [{name: test, path: ./plug}]}\n")
    file = install(tmp_path / "plug")
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('["pid"].number_value = os.getpid()', '["pid"].number_value = os._exit(1)'))
    started = time.monotonic()
    with pytest.raises(BaseloadError, match="the provider stopped answering during Create"):
        stack.up(lambda: thing("a") and None)
    assert time.monotonic() - started < 15
    assert [pending.type for pending in stack.load().pending_operations] == ["creating"]
