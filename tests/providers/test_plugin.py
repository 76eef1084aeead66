"""The plugin as a process: what it prints, and that it ends with its engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from importlib.metadata import version
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import provider_pb2_grpc

from baseload.providers.framework import wire

EXECUTABLE = Path(sys.executable).parent / "pulumi-resource-baseload-runpod"
URN = "urn:pulumi:dev::shop::baseload-runpod:index:Endpoint::mistral"


@pytest.fixture
def stub():
    process = subprocess.Popen([EXECUTABLE], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    channel = grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}")
    yield provider_pb2_grpc.ResourceProviderStub(channel)
    channel.close()
    process.terminate()
    out, err = process.communicate(timeout=10)
    assert (out, err) == (b"", b""), "stdout is the protocol's and stderr nobody reads"


def test_a_package_tells_what_it_is(stub):
    assert stub.GetPluginInfo(empty_pb2.Empty()).version == version("baseload")
    schema = json.loads(stub.GetSchema(pb.GetSchemaRequest()).schema)
    endpoint = schema["resources"]["baseload-runpod:index:Endpoint"]
    assert endpoint["requiredInputs"] == ["gpu", "image", "name", "owner"]
    assert endpoint["inputProperties"]["env"]["secret"]
    assert endpoint["inputProperties"]["gpu"] == {"$ref": "#/types/baseload-runpod:index:Gpu"}
    assert set(schema["types"]) == {f"baseload-runpod:index:{name}" for name in ("Gpu", "Workers", "Scaling")}
    assert stub.Handshake(pb.ProviderHandshakeRequest()).accept_secrets
    assert stub.Configure(pb.ConfigureRequest(urn="u", id="i")).acceptSecrets
    for call in (stub.Construct, stub.Call, stub.Invoke, stub.Parameterize, stub.GetMapping):
        with pytest.raises(grpc.RpcError) as error:
            call(pb.ConstructRequest())
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_an_owner_is_a_random_id_and_costs_no_call(stub):
    urn = "urn:pulumi:dev::shop::baseload-runpod:index:Owner::owner"
    ids = {stub.Create(pb.CreateRequest(urn=urn)).id for _ in range(5)}
    assert len(ids) == 5
    assert all(len(id_) == 12 and int(id_, 16) >= 0 for id_ in ids)
    id_ = ids.pop()
    assert stub.Read(pb.ReadRequest(urn=urn, id=id_)).id == id_
    assert stub.Diff(pb.DiffRequest(urn=urn, id=id_)).changes == pb.DiffResponse.DIFF_NONE
    stub.Delete(pb.DeleteRequest(urn=urn, id=id_))


def test_an_owner_keeps_the_cloud_in_mind_before_there_is_an_endpoint(driver, runpod):
    urn = "urn:pulumi:dev::shop::baseload-runpod:index:Owner::owner"
    made = driver.stub.Create(pb.CreateRequest(urn=urn))
    assert dict(made.properties) == {"cloud": f"{runpod.url}/v2"}
    elsewhere = pb.DeleteRequest(urn=urn, id=made.id)
    elsewhere.properties.update({"cloud": "https://api.runpod.io/v2"})
    with pytest.raises(grpc.RpcError, match=r"made on https://api\.runpod\.io/v2"):
        driver.stub.Delete(elsewhere)
    driver.stub.Delete(pb.DeleteRequest(urn=urn, id=made.id, properties=made.properties))
    assert runpod.calls == []


def test_the_plugin_loads_no_http_library_before_it_needs_one():
    code = "import sys, baseload.providers.runpod.plugin as p; p.provider({}); print('httpx' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
    code = "import sys, baseload.providers.runpod.fields; print({'grpc', 'pulumi', 'httpx'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


ENGINE = textwrap.dedent(
    """
    import subprocess, sys, grpc
    from concurrent import futures
    from google.protobuf import struct_pb2
    from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2 as pb, provider_pb2_grpc
    server = grpc.server(futures.ThreadPoolExecutor(2))
    engine_pb2_grpc.add_EngineServicer_to_server(engine_pb2_grpc.EngineServicer(), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    command = [*sys.argv[3:], address]
    plugin = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    stub = provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(f"127.0.0.1:{plugin.stdout.readline()}"))
    inputs = struct_pb2.Struct.FromString(bytes.fromhex(sys.argv[2]))
    create = stub.Create.future(pb.CreateRequest(urn=sys.argv[1], properties=inputs))
    print(plugin.pid, flush=True)
    create.result()
    """
)


class Killed:
    """An engine process that runs one create through a real plugin process, until it is killed."""

    def __init__(self, inputs, environment, between=()):
        command = [sys.executable, "-c", ENGINE, URN, inputs.SerializeToString().hex(), *between, EXECUTABLE]
        self.process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE)
        self.plugin = int(self.process.stdout.readline())

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        killed = time.monotonic()
        try:
            wait_for(lambda: not alive(self.plugin))
            assert time.monotonic() - killed < 2
        finally:
            if alive(self.plugin):
                os.kill(self.plugin, signal.SIGKILL)


@pytest.fixture
def inputs(driver, wanted):
    driver.checked(wanted)
    return driver.returned[-1]


posix = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")


@posix
@pytest.mark.parametrize("between", [(), ("sh", "-c", '"$0" "$@" & wait')], ids=["child", "grandchild"])
def test_a_plugin_dies_with_its_engine_and_sends_nothing_more(runpod, environment, inputs, between):
    """Killed while a create is being repeated; `sh` stands for a language host between engine and plugin."""
    runpod.fault("POST .*", status=500, times=99)
    engine = Killed(inputs, environment, between)
    wait_for(lambda: runpod.made("POST"))
    sent = len(runpod.mutations())
    engine.kill()
    time.sleep(0.5)
    assert len(runpod.mutations()) == sent


@posix
def test_what_a_killed_engine_has_created_is_found_again(driver, runpod, environment, inputs):
    """Killed between the commit at RunPod and its answer."""
    runpod.fault("POST .*", silence=True)
    engine = Killed(inputs, environment)
    wait_for(lambda: runpod.endpoints)
    engine.kill()
    id_, _ = driver.create(wire.load(inputs), URN)
    assert list(runpod.endpoints) == [id_]
    assert len(runpod.made("POST")) == 1


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A child of a killed parent waits for the machine's init to fetch it; it does nothing more.
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def wait_for(condition, limit_s=20):
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)
