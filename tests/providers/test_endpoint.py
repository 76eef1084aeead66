"""The Endpoint resource, driven as an engine drives it: real gRPC on one side, real HTTP on the other."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import status_pb2

from baseload.providers.framework import wire
from baseload.providers.runpod.endpoint import marker
from baseload.providers.runpod.plugin import provider as runpod_provider

URN = "urn:pulumi:dev::shop::baseload:index:RunpodEndpoint$baseload-runpod:index:Endpoint::mistral-endpoint"
SECRETS = ("hf_sekrit_token", "rpa_TESTKEY0123456789")


def refused(call, *args, **kwargs) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, **kwargs)
    assert not any(secret in caught.value.details() for secret in SECRETS)
    return caught.value


def init_failed(error: grpc.RpcError) -> pb.ErrorResourceInitFailed:
    (details,) = [value for name, value in error.trailing_metadata() if name == "grpc-status-details-bin"]
    found = pb.ErrorResourceInitFailed()
    assert status_pb2.Status.FromString(details).details[0].Unpack(found)
    return found


# -- check -----------------------------------------------------------------------------------------------------------


def test_check_fills_every_managed_field_and_tells_all_failures_at_once(driver, wanted):
    least = {"owner": wanted["owner"], "name": "m", "image": "i:1", "gpu": {"pools": ["ADA_24"]}}
    filled = driver.checked(least)
    assert wire.plain(filled) == {
        **least,
        "type": "QUEUE",
        "args": "",
        "disk": 20,
        "ports": [],
        "env": {},
        "gpu": {"pools": ["ADA_24"], "count": 1, "excludedTypes": [], "allowedCudaVersions": []},
        "workers": {"min": 0, "max": 3, "idleTimeout": 5},
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
        "dataCenterIds": [],
        "networkVolumes": [],
        "timeout": 300_000,
        "flashboot": "OFF",
    }
    assert isinstance(filled["env"], wire.Secret)
    bad = {
        **wanted,
        "name": "mistral-fb",
        "image": 7,
        "disk": 0,
        "type": "LOAD_BALANCER",
        "env": {"A": 1, "BASELOAD_MARKER": "x", "a.b": True},
        "gpu": {"pools": [], "count": 1.5, "allowedCudaVersions": ["12.8"], "minCudaVersion": "13.0", "colour": "red"},
        "workers": {"min": 4, "max": 3, "idleTimeout": 9999},
        "scaling": {"type": "REQUEST_COUNT", "queueDelay": 4},
        "dataCenterIds": ["US-KS-2", "US-KS-2"],
        "flashboot": "NONE",
        "timeout": 0,
    }
    del bad["owner"]
    _, failures = driver.check(bad)
    assert set(failures) == {
        "owner",
        "name",
        "image",
        "disk",
        "type",
        "env.A",
        'env["a.b"]',
        "env.BASELOAD_MARKER",
        "gpu.pools",
        "gpu.count",
        "gpu.minCudaVersion",
        "gpu.colour",
        "workers.min",
        "workers.idleTimeout",
        "scaling.requestCount",
        "scaling.queueDelay",
        "dataCenterIds[1]",
        "flashboot",
        "timeout",
    }


def test_check_lets_what_a_preview_cannot_know_pass(driver, wanted):
    unknown = {
        **wanted,
        "owner": wire.UNKNOWN,
        "env": wire.Secret({"HF_TOKEN": wire.UNKNOWN}),
        "workers": wire.UNKNOWN,
        "dataCenterIds": ["a", wire.UNKNOWN],
    }
    checked = driver.checked(unknown)
    assert checked["owner"] is wire.UNKNOWN
    assert checked["env"].value == {"HF_TOKEN": wire.UNKNOWN}
    assert checked["dataCenterIds"] == ["a", wire.UNKNOWN]
    id_, outputs = driver.create(checked, preview=True)
    assert (id_, outputs["url"], outputs["workers"]) == ("", wire.UNKNOWN, wire.UNKNOWN)


# -- the way through life --------------------------------------------------------------------------------------------


def test_an_endpoint_lives_from_create_to_delete(driver, runpod, wanted):
    inputs = driver.checked(wanted)
    id_, state = driver.create(inputs)
    mark = marker(wanted["owner"], URN)
    (post,) = runpod.made("POST")
    assert post.body["name"] == f"mistral-{mark[:6]}"
    assert post.body["env"] == {**wanted["env"], "BASELOAD_MARKER": mark}
    assert post.body["registry"] is None
    assert "minCudaVersion" not in post.body["gpu"]
    assert post.headers["User-Agent"].startswith("baseload/")
    assert wire.plain(state) == {
        **wanted,
        "endpointId": id_,
        "url": f"{runpod.url}/jobs/{id_}",
        "requestUrls": runpod.endpoints[id_]["requestUrls"],
        "createdAt": "2026-06-01T12:00:00Z",
        "version": 1,
        "cloud": f"{runpod.url}/v2",
        "marker": mark,
        "remoteName": f"mistral-{mark[:6]}",
    }

    assert driver.diff(id_, inputs, inputs).changes == pb.DiffResponse.DIFF_NONE
    assert driver.read(id_, inputs, state) == (id_, inputs, state)

    scaled = driver.checked({**wanted, "workers": {"min": 0, "max": 7, "idleTimeout": 5}})
    difference = driver.diff(id_, inputs, scaled)
    assert dict(difference.detailedDiff)["workers.max"].kind == pb.PropertyDiff.UPDATE
    assert not difference.replaces
    state = driver.update(id_, state, inputs, scaled)
    assert runpod.made("PATCH")[-1].body == {"workers": {"min": 0, "max": 7, "idleTimeout": 5}}
    assert state["version"] == 1

    released = driver.checked({**wire.plain(scaled), "image": "registry.example/acme/mistral:2"})
    assert driver.update(id_, state, scaled, released, preview=True)["version"] is wire.UNKNOWN
    state = driver.update(id_, state, scaled, released)
    assert runpod.made("PATCH")[-1].body == {"image": "registry.example/acme/mistral:2"}
    assert state["version"] == 2

    driver.delete(id_, state)
    assert runpod.endpoints == {}
    driver.delete(id_, state)
    assert driver.read(id_, released, state)[0] == ""
    assert runpod.mutations() == [
        "POST /v2/serverless",
        *[f"PATCH /v2/serverless/{id_}"] * 2,
        *[f"DELETE /v2/serverless/{id_}"] * 2,
    ]


def test_nothing_secret_is_ever_returned_in_plain(driver, runpod, engine, provider, wanted):
    log, address = engine
    provider.attach(address)
    inputs = driver.checked({**wanted, "name": wire.Secret("top-secret-name"), "ports": [wire.Secret("8000/http")]})
    id_, state = driver.create(inputs)
    driver.read(id_, inputs, state)
    driver.read(id_)
    changed = driver.checked({**wire.plain(inputs), "env": {"HF_TOKEN": "hf_sekrit_token", "NEW": "more-sekrit"}})
    driver.update(id_, state, inputs, changed)
    driver.update(id_, state, inputs, changed, preview=True)
    runpod.worker_states = lambda endpoint: ["UNHEALTHY"]
    runpod.log = ["token is hf_sekrit_token"]
    active = driver.checked({**wanted, "workers": {"min": 1, "max": 1, "idleTimeout": 5}})
    failed = init_failed(refused(driver.update, id_, state, inputs, active))
    driver.returned += [failed.properties, failed.inputs]
    assert "[secret]" in failed.reasons[0]

    def walk(value):
        if isinstance(value, dict):
            for item in value.values():
                yield from walk(item)
        elif isinstance(value, list):
            for item in value:
                yield from walk(item)
        elif not isinstance(value, wire.Secret):
            yield str(value)

    told = "\n".join([*(text for struct in driver.returned for text in walk(wire.load(struct))), *failed.reasons])
    told += log.text()
    assert "hf_sekrit_token" not in told
    assert "more-sekrit" not in told
    # The name's secrecy ends where the program's does: an import cannot know of it.
    assert isinstance(state["name"], wire.Secret)
    assert isinstance(state["remoteName"], wire.Secret)
    assert state["ports"] == [wire.Secret("8000/http")]


def test_env_is_secret_from_import_and_an_import_needs_no_owner(driver, runpod, wanted):
    inputs = driver.checked(wanted)
    id_, state = driver.create(inputs)
    got, imported, outputs = driver.read(id_)
    assert got == id_
    assert imported["env"] == wire.Secret(wanted["env"])
    assert "owner" not in imported
    assert {**wire.plain(imported), "owner": wanted["owner"]} == wanted
    assert (outputs["marker"], outputs["version"]) == (state["marker"], 1)
    assert driver.diff(id_, imported, inputs).changes == pb.DiffResponse.DIFF_NONE


# -- diff ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "paths", "replaces"),
    [
        ({"scaling": {"type": "QUEUE_DELAY", "queueDelay": 4.0}}, {}, []),
        ({"dataCenterIds": ["EU-RO-1", "US-KS-2"]}, {}, []),
        ({"registry": None}, {}, []),
        ({"dataCenterIds": ["EU-RO-1"]}, {"dataCenterIds": pb.PropertyDiff.UPDATE}, []),
        ({"registry": "cred1"}, {"registry": pb.PropertyDiff.ADD}, []),
        (
            {"gpu": {"pools": ["AMPERE_24", "ADA_24"], "count": 1}},
            {"gpu.pools[0]": pb.PropertyDiff.UPDATE, "gpu.pools[1]": pb.PropertyDiff.UPDATE},
            [],
        ),
        (
            {"gpu": {"pools": ["ADA_24"], "count": 1, "minCudaVersion": "13.0"}},
            {"gpu.pools[1]": pb.PropertyDiff.DELETE, "gpu.minCudaVersion": pb.PropertyDiff.ADD},
            [],
        ),
        ({"env": {"MODE": "fast"}}, {"env": pb.PropertyDiff.UPDATE}, []),
        (
            {"scaling": {"type": "REQUEST_COUNT", "requestCount": 2}, "workers": {"min": 0, "max": 3}},
            {
                "scaling.type": pb.PropertyDiff.UPDATE,
                "scaling.queueDelay": pb.PropertyDiff.DELETE,
                "scaling.requestCount": pb.PropertyDiff.ADD,
                "workers.idleTimeout": pb.PropertyDiff.DELETE,
            },
            [],
        ),
        ({"owner": "ffffffffffff"}, {"owner": pb.PropertyDiff.UPDATE_REPLACE}, ["owner"]),
        ({"owner": wire.UNKNOWN}, {"owner": pb.PropertyDiff.UPDATE_REPLACE}, ["owner"]),
    ],
)
def test_a_diff_names_paths_and_knows_what_replaces(driver, wanted, change, paths, replaces):
    old, new = driver.checked(wanted), driver.checked({**wanted, **change})
    answer = driver.diff("ep1", old, new)
    assert {path: item.kind for path, item in answer.detailedDiff.items()} == paths
    assert list(answer.replaces) == replaces
    assert answer.deleteBeforeReplace is bool(replaces)
    assert (answer.changes == pb.DiffResponse.DIFF_NONE) is (not paths)


def test_ignored_changes_are_neither_seen_nor_sent(driver, runpod, wanted):
    old = driver.checked(wanted)
    id_, state = driver.create(old)
    new = driver.checked(
        {**wanted, "workers": {"min": 0, "max": 9, "idleTimeout": 60}, "env": {**wanted["env"], "MODE": "slow"}}
    )
    ignore = ("workers.max", "env.MODE", "gpu.pools[1]", "dataCenterIds")
    answer = driver.diff(id_, old, new, ignore=ignore)
    assert list(answer.detailedDiff) == ["workers.idleTimeout"]
    driver.update(id_, state, old, new, ignore=ignore)
    assert runpod.made("PATCH")[-1].body == {"workers": {"min": 0, "max": 3, "idleTimeout": 60}}


# -- update ----------------------------------------------------------------------------------------------------------


def test_a_change_of_env_keeps_what_runpod_injected_and_drops_what_is_no_longer_wanted(driver, runpod, wanted):
    runpod.inject = {"PORT": "80", "PORT_HEALTH": "80"}
    old = driver.checked(wanted)
    id_, state = driver.create(old)
    assert driver.read(id_, old, state)[1] == old, "what RunPod injects is no drift"
    new = driver.checked({**wanted, "env": {"MODE": "fast"}})
    driver.update(id_, state, old, new)
    assert runpod.made("PATCH")[-1].body == {
        "env": {"MODE": "fast", "PORT": "80", "PORT_HEALTH": "80", "BASELOAD_MARKER": state["marker"]}
    }


def test_a_cuda_constraint_no_longer_wanted_is_cleared_and_exclusions_survive(driver, runpod, wanted):
    gpu = {"pools": ["ADA_24"], "count": 1, "excludedTypes": ["NVIDIA L4"], "allowedCudaVersions": []}
    old = driver.checked({**wanted, "gpu": {**gpu, "minCudaVersion": "12.8"}})
    id_, state = driver.create(old)
    allowed = driver.checked({**wanted, "gpu": {**gpu, "allowedCudaVersions": ["13.0"], "minCudaVersion": None}})
    state = driver.update(id_, state, old, allowed)
    assert runpod.made("PATCH")[-1].body == {
        "gpu": {**gpu, "allowedCudaVersions": ["13.0"], "minCudaVersion": ""},
    }
    driver.update(id_, state, allowed, driver.checked({**wanted, "gpu": gpu}))
    assert runpod.made("PATCH")[-1].body == {"gpu": {**gpu, "allowedCudaVersions": [], "minCudaVersion": ""}}


def test_a_forced_update_without_a_change_mends_what_differs(driver, runpod, wanted):
    inputs = driver.checked({**wanted, "workers": {"min": 1, "max": 3, "idleTimeout": 5}})
    id_, state = driver.create(inputs)
    runpod.endpoints[id_]["workers"] = {"min": 0, "max": 0, "idleTimeout": 5}
    runpod.endpoints[id_]["timeout"] = 1
    driver.update(id_, state, inputs, inputs, ignore=("timeout",))
    assert runpod.made("PATCH")[-1].body == {"workers": {"min": 1, "max": 3, "idleTimeout": 5}}


def test_an_update_of_a_vanished_endpoint_says_so(driver, runpod, wanted):
    old = driver.checked(wanted)
    id_, state = driver.create(old)
    runpod.endpoints.clear()
    for change in ({"timeout": 1}, {"env": {}}):
        error = refused(driver.update, id_, state, old, driver.checked({**wanted, **change}))
        assert f"Endpoint {id_} no longer exists at RunPod [runpod/vanished]" in error.details()


# -- read ------------------------------------------------------------------------------------------------------------


def test_drift_shows_in_a_refresh_and_runpods_own_scale_down_is_told(driver, provider, runpod, engine, wanted):
    log, address = engine
    provider.attach(address)
    inputs = driver.checked(wanted)
    id_, state = driver.create(inputs)
    live = runpod.endpoints[id_]
    live["workers"] = {"min": 0, "max": 0, "idleTimeout": 5}
    live["name"] += " -fb"
    live["env"] = {**live["env"], "ADDED": "by hand"}
    live["dataCenterIds"] = live["dataCenterIds"][::-1]
    provider.attach(address)
    _, actual, _ = driver.read(id_, inputs, state)
    assert wire.plain(actual) == {
        **wanted,
        "workers": {"min": 0, "max": 0, "idleTimeout": 5},
        "env": {**wanted["env"], "ADDED": "by hand"},
    }
    assert "scales endpoints down after days without requests" in log.text()


def test_a_hundred_reads_make_one_list_call(driver, runpod, wanted):
    runpod.headers = {"RateLimit-Policy": '"minute";q=6000;w=60', "RateLimit": '"minute";r=5999;t=60'}
    inputs = driver.checked(wanted)
    urns = [f"{URN}{n}" for n in range(100)]
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda urn: driver.create(inputs, urn), urns))
        assert len(runpod.made("GET")) == 100 + 1, "one look at workers each, one search for all"
        runpod.calls.clear()
        reads = list(pool.map(lambda urn, one: driver.read(one[0], inputs, one[1], urn), urns, made))
    assert [read[0] for read in reads] == [id_ for id_, _ in made]
    assert [call.name for call in runpod.calls] == ["GET /v2/serverless"]


def test_a_404_that_is_not_runpods_does_not_pass_for_gone(driver, provider, runpod, wanted):
    inputs = driver.checked(wanted)
    id_, state = driver.create(inputs)
    runpod.fault("GET /v2/serverless", status=200, body='{"endpoints": []}')
    runpod.fault("(GET|DELETE) /v2/serverless/.*", status=404, body="<html>404 page not found</html>", times=2)
    provider.attach("")
    assert "[runpod/not-runpod]" in refused(driver.read, id_, inputs, state).details()
    assert "[runpod/not-runpod]" in refused(driver.delete, id_, state).details()
    assert driver.read(id_, inputs, state)[0] == id_


def test_a_list_in_pages_is_read_to_its_end(driver, provider, runpod, wanted):
    runpod.page_size = 2
    inputs = driver.checked(wanted)
    made = [driver.create(inputs, f"{URN}{n}") for n in range(5)]
    runpod.calls.clear()
    provider.attach("")
    assert driver.read(made[4][0], inputs, made[4][1])[0] == made[4][0]
    assert [call.query for call in runpod.calls] == [{}, {"cursor": ["2"]}, {"cursor": ["4"]}]


def test_an_endpoint_of_another_cloud_is_left_alone(driver, runpod, wanted):
    inputs = driver.checked(wanted)
    id_, state = driver.create(inputs)
    runpod.calls.clear()
    elsewhere = {**state, "cloud": "https://api.runpod.io/v2"}
    for call in (
        lambda: driver.read(id_, inputs, elsewhere),
        lambda: driver.update(id_, elsewhere, inputs, driver.checked({**wanted, "timeout": 1})),
        lambda: driver.delete(id_, elsewhere),
    ):
        error = refused(call)
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "made on https://api.runpod.io/v2" in error.details()
    assert runpod.calls == []


# -- created once ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        {"drop": "before"},
        {"drop": "after"},
        {"silence": True},
        {"status": 500, "body": "<html><body>Bad gateway</body></html>"},
        {"status": 200, "body": "<html>welcome to the hotel wifi</html>"},
        {"status": 201, "body": "{}"},
        {"status": 429, "headers": {"Retry-After": "7"}},
    ],
    ids=str,
)
def test_a_create_that_goes_wrong_creates_once(driver, runpod, clock, wanted, fault):
    runpod.fault("POST /v2/serverless", **fault)
    id_, _ = driver.create(driver.checked(wanted))
    assert list(runpod.endpoints) == [id_]
    if "Retry-After" in str(fault):
        assert clock.waits[0] == 7


def test_a_create_found_again_in_another_run_is_adopted_and_brought_up_to_date(driver, provider, runpod, wanted):
    id_, _ = driver.create(driver.checked(wanted))
    provider.attach("")
    again, state = driver.create(driver.checked({**wanted, "image": "registry.example/acme/mistral:2"}))
    assert (again, len(runpod.made("POST"))) == (id_, 1)
    assert runpod.made("PATCH")[-1].body == {"image": "registry.example/acme/mistral:2"}
    assert state["version"] == 2


def test_the_old_half_of_a_replace_and_other_peoples_endpoints_are_never_adopted(driver, runpod, wanted):
    inputs = driver.checked(wanted)
    old, _ = driver.create(inputs)
    driver.diff(old, inputs, driver.checked({**wanted, "owner": "x"}))
    new, state = driver.create(inputs)
    assert new != old
    colleague, _ = driver.create(driver.checked({**wanted, "owner": "ffffffffffff"}))
    assert colleague not in (old, new)
    driver.delete(old, state)
    assert set(runpod.endpoints) == {new, colleague}


def test_several_endpoints_with_one_marker_stop_the_create(driver, provider, runpod, wanted):
    inputs = driver.checked(wanted)
    id_, _ = driver.create(inputs)
    runpod.endpoints["twin"] = {**runpod.endpoints[id_], "id": "twin"}
    provider.attach("")
    error = refused(driver.create, inputs)
    assert f"{id_}, twin" in error.details()
    assert "[runpod/several]" in error.details()


def test_a_lost_create_that_comes_through_late_is_told(driver, runpod, wanted):
    inputs = driver.checked(wanted)
    runpod.fault("POST /v2/serverless", drop="before")
    answer, late = runpod.answer, []

    def slow(call):
        result = answer(call)
        if call.method == "POST" and not late:
            late.append({**result[1], "id": "late"})
            runpod.endpoints["late"] = late[0]
        return result

    runpod.answer = slow
    failed = init_failed(refused(driver.create, inputs))
    assert failed.id in runpod.endpoints
    assert "late" in failed.reasons[0]


# -- faults of updates, deletes and reads ----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [{"drop": "before"}, {"drop": "after"}, {"status": 503}, {"silence": True}], ids=str)
def test_an_update_is_repeated_only_when_it_did_not_land(driver, runpod, wanted, fault):
    old = driver.checked(wanted)
    id_, state = driver.create(old)
    runpod.fault("PATCH .*", **fault)
    driver.update(id_, state, old, driver.checked({**wanted, "timeout": 5000}))
    assert runpod.endpoints[id_]["timeout"] == 5000
    landed = fault.get("drop") == "after" or "silence" in fault
    assert len(runpod.made("PATCH")) == (1 if landed else 2)


@pytest.mark.parametrize("fault", [{"drop": "before"}, {"drop": "after"}, {"status": 500}], ids=str)
def test_a_delete_that_goes_wrong_ends_gone(driver, runpod, wanted, fault):
    id_, state = driver.create(driver.checked(wanted))
    runpod.fault("DELETE .*", **fault)
    driver.delete(id_, state)
    assert runpod.endpoints == {}


def test_a_delete_that_wants_no_workers_first_gets_none(driver, runpod, wanted):
    id_, state = driver.create(driver.checked(wanted))
    runpod.fault("DELETE .*", status=400, body='{"detail": "endpoint still has workers, set max workers to 0"}')
    driver.delete(id_, state)
    assert runpod.made("PATCH")[-1].body == {"workers": {"min": 0, "max": 0, "idleTimeout": 5}}
    assert runpod.endpoints == {}


def test_a_delete_that_never_works_says_so(driver, runpod, wanted):
    id_, state = driver.create(driver.checked(wanted))
    runpod.fault("DELETE .*", status=500, times=99)
    error = refused(driver.delete, id_, state)
    assert f"Endpoint {id_} is still there" in error.details()


def test_reads_get_over_a_bad_moment(driver, runpod, clock, wanted):
    inputs = driver.checked(wanted)
    id_, state = driver.create(inputs)
    runpod.fault("GET .*", status=502, body="<html>nope</html>", times=1)
    runpod.fault("GET .*", drop="before", times=1)
    runpod.fault("GET .*", status=200, body="[]", times=1)
    assert driver.read(id_, inputs, state)[0] == id_
    assert clock.waits[-3:] == sorted(clock.waits[-3:]), "pauses grow"


@pytest.mark.parametrize(
    ("status", "body", "code", "says"),
    [
        (401, '{"detail": "missing bearer token"}', grpc.StatusCode.UNAUTHENTICATED, "runpod/unauthorized"),
        (403, '{"detail": "access denied"}', grpc.StatusCode.UNAUTHENTICATED, "runpod/forbidden"),
        (403, "error code: 1010", grpc.StatusCode.UNKNOWN, "the key is not the reason [runpod/blocked]"),
        (402, '{"detail": "balance too low"}', grpc.StatusCode.UNKNOWN, "runpod/balance"),
        (400, '{"detail": "out of stock for hf_sekrit_token"}', grpc.StatusCode.UNKNOWN, "runpod/no-capacity"),
        (400, '{"detail": "Max workers across all endpoints must not exceed your workers quota (30)"}', None, "quota"),
        (
            422,
            '{"detail": "Request validation failed.", "errors": ["$: additional properties \'disk\' not allowed", '
            "\"$: missing property 'image'\"]}",
            grpc.StatusCode.UNKNOWN,
            "failed.; $: missing property 'image'; $: additional properties 'disk' not allowed [runpod/invalid]",
        ),
        (409, '{"detail": "not now"}', grpc.StatusCode.UNKNOWN, "runpod/conflict"),
        (405, "", grpc.StatusCode.UNKNOWN, "allowed: GET"),
        (302, "", grpc.StatusCode.UNKNOWN, "runpod/redirect"),
    ],
)
def test_refusals_are_translated_and_never_repeated(driver, runpod, wanted, status, body, code, says):
    runpod.fault("POST .*", status=status, body=body, headers={"Allow": "GET", "Location": "http://127.0.0.1:1/"})
    error = refused(driver.create, driver.checked(wanted))
    assert says in error.details()
    assert code is None or error.code() is code
    assert len(runpod.made("POST")) == 1


def test_a_key_is_needed_only_when_runpod_is(served, wanted):
    driver = served(runpod_provider({}))
    inputs = driver.checked(wanted)
    driver.create(inputs, preview=True)
    error = refused(driver.create, inputs)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "RUNPOD_API_KEY is not set" in error.details()


@pytest.mark.parametrize("url", ["http://example.com/v2", "ftp://127.0.0.1/v2", "http://[::1", "v2"])
def test_a_key_is_sent_to_no_doubtful_address(served, wanted, url):
    driver = served(runpod_provider({"RUNPOD_API_KEY": "k", "RUNPOD_BASE_URL": url}))
    error = refused(driver.create, driver.checked(wanted))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION


# -- waiting for workers ---------------------------------------------------------------------------------------------


def test_an_active_endpoint_is_waited_for_and_the_counts_are_told(driver, provider, runpod, engine, wanted):
    log, address = engine
    provider.attach(address)
    looks = iter([["INITIALIZING", "THROTTLED"], ["RUNNING", "INITIALIZING"], ["RUNNING", "IDLE"]])
    runpod.worker_states = lambda endpoint: next(looks)
    driver.create(driver.checked({**wanted, "workers": {"min": 2, "max": 3, "idleTimeout": 5}}))
    passing = [text for text, ephemeral, urn in log.lines if ephemeral and urn == URN]
    assert passing == [
        "looking for an earlier attempt",
        "creating",
        "initializing 1, throttled 1; RunPod has no free GPU now",
        "running 1, initializing 1",
        "running 1, idle 1",
    ]


def test_workers_that_never_come_keep_the_id_and_are_mended_by_the_next_update(driver, runpod, clock, wanted):
    runpod.worker_states = lambda endpoint: ["THROTTLED"]
    inputs = driver.checked({**wanted, "workers": {"min": 1, "max": 3, "idleTimeout": 5}})
    began = clock.at
    failed = init_failed(refused(driver.create, inputs, timeout=90))
    assert 90 <= clock.at - began < 120
    assert failed.id in runpod.endpoints
    assert "0 of 1 workers ready after 90 s: throttled 1" in failed.reasons[0]
    assert wire.load(failed.inputs) == inputs
    runpod.worker_states = lambda endpoint: ["IDLE"]
    driver.update(failed.id, wire.load(failed.properties), inputs, inputs)
    assert len(runpod.mutations()) == 1


def test_unhealthy_workers_fail_with_their_log(driver, runpod, clock, wanted):
    runpod.worker_states = lambda endpoint: ["UNHEALTHY", "UNHEALTHY"]
    inputs = driver.checked({**wanted, "workers": {"min": 1, "max": 3, "idleTimeout": 5}})
    began = clock.at
    failed = init_failed(refused(driver.create, inputs))
    assert clock.at - began < 60, "no need to wait for the end of the time"
    assert "unhealthy 2" in failed.reasons[0]
    assert "last lines of worker w0:\n  loading weights\n  CUDA out of memory" in failed.reasons[0]


def test_a_release_is_waited_for_and_a_busy_old_worker_only_warned_of(driver, provider, runpod, engine, wanted):
    log, address = engine
    provider.attach(address)
    old = driver.checked({**wanted, "workers": {"min": 1, "max": 3, "idleTimeout": 5}})
    id_, state = driver.create(old)
    runpod.worker_states = lambda endpoint: ["RUNNING", "IDLE"]
    runpod.stale = lambda: 1
    new = driver.checked({**wire.plain(old), "image": "registry.example/acme/mistral:2"})
    assert driver.update(id_, state, old, new)["version"] == 2
    assert "still rolling out" in log.text()


# -- cancel and the engine's death -----------------------------------------------------------------------------------


def test_cancel_wakes_the_waiters_and_keeps_the_id(served, environment, runpod, wanted):
    driver = served(runpod_provider(environment))
    runpod.worker_states = lambda endpoint: ["INITIALIZING"]
    inputs = driver.checked({**wanted, "workers": {"min": 1, "max": 3, "idleTimeout": 5}})
    with ThreadPoolExecutor(64) as pool:
        waiting = [pool.submit(refused, driver.create, inputs, f"{URN}{n}") for n in range(64)]
        while len(runpod.endpoints) < 50:
            time.sleep(0.01)
        began = time.monotonic()
        driver.stub.Cancel(pb.google_dot_protobuf_dot_empty__pb2.Empty())
        errors = [item.result(timeout=5) for item in waiting]
    assert time.monotonic() - began < 2
    ids = {init_failed(error).id for error in errors if error.trailing_metadata()}
    assert ids == set(runpod.endpoints)


def test_an_engine_that_has_gone_causes_no_further_mutation(served, environment, runpod, wanted):
    """Gone during a pause between two attempts, and gone while a read is under way."""
    provider = runpod_provider(environment)
    survivor = served(provider)
    inputs = survivor.checked(wanted)
    for call, what in (("POST .*", {"status": 500}), ("GET .*", {"hold": threading.Event()})):
        runpod.calls.clear()
        provider.attach("")
        fault, victim = runpod.fault(call, **what), served(provider)
        create = threading.Thread(target=lambda victim=victim: refused(victim.create, inputs))
        create.start()
        while not runpod.made("POST") and not fault.held.is_set():
            time.sleep(0.01)
        victim.channel.close()
        create.join()
        time.sleep(0.2)
        if fault.hold:
            fault.hold.set()
        time.sleep(1.0)
        assert len(runpod.mutations()) == (1 if call.startswith("POST") else 0)
    assert survivor.create(inputs)[0] in runpod.endpoints
