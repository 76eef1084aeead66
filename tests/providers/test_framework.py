"""The provider framework with a resource of its own, over real gRPC."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2_grpc, status_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from baseload.planner.errors import DeployError, TimedOut
from baseload.providers.framework import wire
from baseload.providers.framework.properties import Failure, Field, ListOf, MapOf, Number, Record, Text
from baseload.providers.framework.resource import InitFailed, Made, Operation, Resource, Time
from baseload.providers.framework.servicer import Provider

URN = "urn:pulumi:dev::shop::demo:index:Thing::thing"


class Thing(Resource):
    """Keeps things in a dictionary; does what its input `does` says."""

    token = "demo:index:Thing"
    inputs = Record(
        "Thing",
        {
            "does": Field(type=Text(), default="well"),
            "size": Field(type=Number(1, 9), default=1),
            "tags": Field(type=MapOf(ListOf(Text())), default={}),
            "password": Field(type=Text(), secret=True),
            "place": Field(type=Text()),
        },
    )
    outputs = Record("ThingOutputs", {"label": Field(type=Text(), required=True)})
    replaces = frozenset({"place"})
    holds: Mapping[str, frozenset[str]] = {"label": frozenset({"place"})}
    settles: Mapping[str, frozenset[str]] = holds

    def check(self, inputs):
        if inputs.get("size") == 4:
            yield Failure("size", "four is unlucky")

    def create(self, operation, inputs):
        made = Made("id1", inputs, {**inputs, "label": f"at {inputs.get('place')}"})
        operation.status(f"password is {inputs.get('password')}")
        match inputs["does"]:
            case "badly":
                raise InitFailed(made, [f"the password {inputs['password']} is wrong"])
            case "fail":
                raise DeployError.of("demo/failed", f"no {inputs['password']}", hint="try another")
            case "break":
                raise ValueError(inputs["password"])
            case "wait":
                operation.pause(60)
        return made

    def read(self, operation, id_, inputs, state):
        return Made(id_, inputs, {**inputs, "label": f"at {inputs.get('place')}"})

    def update(self, operation, id_, inputs, old_inputs, state, ignored=frozenset()):
        return self.create(operation, inputs)

    def delete(self, operation, id_, state):
        operation.pause(1)


@pytest.fixture
def provider(clock):
    return Provider("demo", "1.2.3", [Thing()], text="A demonstration.", time=clock.time())


def request(inputs, **more):
    return pb.CreateRequest(urn=URN, properties=wire.dump_struct(inputs), **more)


def test_types_may_be_qualified_or_unknown(driver):
    child = f"urn:pulumi:dev::shop::a:b:Parent${Thing.token}::thing"
    assert driver.stub.Check(pb.CheckRequest(urn=child, type=f"a:b:Parent${Thing.token}")).failures == []
    assert driver.stub.Check(pb.CheckRequest(urn=child)).failures == []
    with pytest.raises(grpc.RpcError, match="demo has no resource type demo:index:Other"):
        driver.stub.Check(pb.CheckRequest(urn="urn:pulumi:dev::shop::demo:index:Other::x"))


def test_check_keeps_secrets_at_any_depth_and_finds_what_is_wrong_below(driver):
    inputs = {"tags": {"a": [wire.Secret("one"), "two"]}, "place": wire.Secret(wire.UNKNOWN), "password": "pass"}
    checked, failures = driver.check(inputs, URN, Thing.token)
    assert failures == {}
    assert checked == {
        "tags": {"a": [wire.Secret("one"), "two"]},
        "place": wire.Secret(wire.UNKNOWN),
        "password": wire.Secret("pass"),
        "does": "well",
        "size": 1,
    }
    _, failures = driver.check({"size": 4, "tags": {"a.b": ["x", 1, True], "c": "x"}, "colour": 1}, URN, Thing.token)
    assert set(failures) == {"size", 'tags["a.b"][1]', 'tags["a.b"][2]', "tags.c", "colour"}


def test_outputs_that_hold_a_secret_input_are_secret(driver):
    answer = driver.stub.Create(request({"place": wire.Secret("attic"), "does": "well"}))
    assert wire.load(answer.properties)["label"] == wire.Secret("at attic")
    read = driver.stub.Read(pb.ReadRequest(urn=URN, id="id1", inputs=wire.dump_struct({"place": wire.Secret("attic")})))
    assert wire.load(read.properties)["label"] == wire.Secret("at attic")


@pytest.mark.parametrize("password", ["hunter22", "a b\nc"])
@pytest.mark.parametrize("marked", [wire.Secret, str])
def test_no_secret_is_in_any_error_or_log_line(driver, provider, engine, password, marked):
    log, address = engine
    provider.attach(address)
    for does, says in (
        ("fail", "no [secret] [demo/failed]\nhint: try another"),
        ("break", "Internal error: ValueError"),
    ):
        with pytest.raises(grpc.RpcError) as error:
            driver.stub.Create(request({"does": does, "password": marked(password)}))
        assert says in error.value.details()
        assert password not in error.value.details()
    with pytest.raises(grpc.RpcError) as error:
        driver.stub.Create(request({"does": "badly", "password": marked(password)}))
    metadata = dict(error.value.trailing_metadata())
    failed = pb.ErrorResourceInitFailed()
    status_pb2.Status.FromString(metadata["grpc-status-details-bin"]).details[0].Unpack(failed)
    assert (failed.id, list(failed.reasons)) == ("id1", ["the password [secret] is wrong"])
    assert wire.load(failed.properties)["password"] == wire.Secret(password)
    assert wire.load(failed.inputs)["password"] == wire.Secret(password)
    assert log.text() == "\n".join(["password is [secret]"] * 3)


def test_a_diff_by_replacing_fields_and_its_preview(driver):
    old, new = {"place": "attic", "size": 1, "does": "well"}, {"place": "cellar", "size": 1.0, "does": "well"}
    answer = driver.diff("id1", old, new, URN)
    assert (list(answer.replaces), answer.deleteBeforeReplace) == (["place"], True)
    assert {path: item.kind for path, item in answer.detailedDiff.items()} == {"place": pb.PropertyDiff.UPDATE_REPLACE}
    preview = driver.update("id1", {**old, "label": "at attic"}, old, new, URN, preview=True)
    assert preview["label"] is wire.UNKNOWN


def test_every_engine_brings_an_address_and_a_dead_one_fails_nothing(driver, provider, engine):
    log, address = engine
    driver.stub.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:1"))
    assert driver.stub.Create(request({"does": "well"})).id == "id1"
    driver.stub.Attach(plugin_pb2.PluginAttach(address=address))
    driver.stub.Create(request({"does": "well"}))
    assert len(log.lines) == 1
    driver.stub.Cancel(empty_pb2.Empty())
    with pytest.raises(grpc.RpcError) as error:
        driver.stub.Create(request({"does": "wait"}))
    assert error.value.code() is grpc.StatusCode.CANCELLED
    driver.stub.Handshake(pb.ProviderHandshakeRequest(engine_address=address))
    assert driver.stub.Create(request({"does": "wait"})).id == "id1", "a new engine is not cancelled"


def test_configuration_is_kept_by_provider_and_foreign_settings_are_told(driver, provider, engine):
    log, address = engine
    provider.attach(address)
    news = wire.dump_struct({"colour": wire.UNKNOWN, "version": "1.2.3", "key": wire.Secret("hunter22")})
    checked = driver.stub.CheckConfig(pb.CheckRequest(urn="urn:p", news=news))
    assert checked.inputs == news
    assert "no setting 'colour'" in log.text()
    assert "hunter22" not in log.text()
    for id_ in ("one", "two"):
        driver.stub.Configure(pb.ConfigureRequest(urn="urn:p", id=id_, args=news))
    assert provider.configs["urn:p", "two"]["colour"] is wire.UNKNOWN
    same = driver.stub.DiffConfig(
        pb.DiffRequest(old_inputs=wire.dump_struct({"a": 5}), news=wire.dump_struct({"a": 5}))
    )
    assert same.changes == pb.DiffResponse.DIFF_NONE
    other = driver.stub.DiffConfig(pb.DiffRequest(olds=wire.dump_struct({"a": 5}), news=wire.dump_struct({"a": 6})))
    assert (other.changes, list(other.replaces)) == (pb.DiffResponse.DIFF_SOME, [])


def test_an_operation_ends_with_its_custom_timeout(clock):
    operation = Operation(URN, timeout_s=10, until=clock.at + 10, time=Time(clock.now, clock.wait))
    operation.pause(9)
    operation.pause(9)
    with pytest.raises(TimedOut, match="custom timeout of 10 s"):
        operation.pause(9)


def test_a_partly_made_resource_with_much_to_say_comes_through(driver):
    """gRPC's default for metadata is 8 KiB; an engine in Python has to allow more, as Go does by itself."""
    with grpc.insecure_channel(driver.address, options=[("grpc.max_metadata_size", 16 << 20)]) as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        with pytest.raises(grpc.RpcError) as error:
            stub.Create(request({"does": "badly", "password": "x" * 200_000}))
        assert error.value.details() == "Thing exists but is not as wanted"
