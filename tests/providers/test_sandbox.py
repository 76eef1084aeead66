"""The provider against the sandbox, which is as strict as RunPod."""

from __future__ import annotations

import grpc
import pytest

from baseload.providers.framework.resource import Time
from baseload.providers.runpod.jobs import Jobs
from baseload.providers.runpod.plugin import provider as runpod_provider
from baseload.sandbox.runpod.serving import serve
from baseload.sandbox.runpod.switches import Switches

URN = "urn:pulumi:dev::shop::baseload-runpod:index:Endpoint::mistral"
KEY = "rpa_TESTKEY0123456789"


@pytest.fixture(scope="module")
def sandbox():
    with serve(switches=Switches(cold_start_s=0.05, extra_fields=True, paginate=3, name_suffix=" -fb")) as running:
        yield running


@pytest.fixture
def environment(sandbox):
    return {
        "RUNPOD_API_KEY": KEY,
        "RUNPOD_BASE_URL": sandbox.base_url,
        "RUNPOD_ENDPOINT_BASE_URL": sandbox.endpoint_base_url,
    }


@pytest.fixture
def driver(environment, served, clock):
    """Pauses take no longer than a worker's start here; the provider's own clock counts them in full."""

    def wait(stop, seconds):
        clock.wait(stop, seconds)
        return stop.wait(min(seconds, 0.02))

    return served(runpod_provider(environment, time=Time(clock.now, wait)))


@pytest.fixture(autouse=True)
def _empty(sandbox):
    yield
    sandbox.faults.clear()
    for endpoint in sandbox.endpoints():
        sandbox.remove(endpoint["id"])


def test_from_create_over_a_job_to_delete(driver, sandbox, environment, wanted):
    inputs = driver.checked({**wanted, "workers": {"min": 1, "max": 2, "idleTimeout": 5}})
    id_, state = driver.create(inputs, URN)
    assert (state["version"], state["url"]) == (1, f"{sandbox.endpoint_base_url}/{id_}")
    assert sandbox.workers(id_)["summary"]["idle"] >= 1
    with Jobs.of(id_, environment) as jobs:
        job = jobs.invoke({"prompt": "hello"}, timeout_s=20)
        assert job.output
        assert job.delay_s is not None
        assert job.run_s is not None
        assert jobs.health().jobs["completed"] == 1
    assert driver.read(id_, inputs, state, URN) == (id_, inputs, state)
    changed = driver.checked(
        {
            **wanted,
            "image": "registry.example/acme/mistral:2",
            "gpu": {"pools": ["ADA_24"], "count": 1, "minCudaVersion": "12.8"},
            "workers": {"min": 0, "max": 4},
            "scaling": {"type": "REQUEST_COUNT", "requestCount": 2},
            "env": {"MODE": "slow"},
        }
    )
    state = driver.update(id_, state, inputs, changed, URN)
    assert state["version"] == 2
    assert driver.read(id_, changed, state, URN) == (id_, changed, state)
    back = driver.checked(wanted)
    state = driver.update(id_, state, changed, back, URN)
    assert driver.read(id_, back, state, URN)[1] == back
    _, imported, _ = driver.read(id_, urn=URN)
    assert driver.diff(id_, imported, back, URN).detailedDiff == {}
    driver.delete(id_, state, URN)
    assert sandbox.endpoints() == []


@pytest.mark.parametrize("action", ["status", "garbage", "reset", "reset_after"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_one_endpoint_whatever_goes_wrong(driver, sandbox, wanted, method, action):
    sandbox.fault(action, method=method, count=2)
    old = driver.checked(wanted)
    id_, state = driver.create(old, URN)
    new = driver.checked({**wanted, "timeout": 7000})
    state = driver.update(id_, state, old, new, URN)
    assert [(endpoint["id"], endpoint["timeout"]) for endpoint in sandbox.endpoints()] == [(id_, 7000)]
    driver.delete(id_, state, URN)
    assert sandbox.endpoints() == []


def test_a_drifted_endpoint_is_seen_and_mended(driver, sandbox, wanted):
    inputs = driver.checked(wanted)
    id_, state = driver.create(inputs, URN)
    sandbox.edit(id_, workers={"min": 0, "max": 0, "idleTimeout": 5})
    sandbox.edit(id_, env={"MODE": "by hand"})
    _, actual, outputs = driver.read(id_, inputs, state, URN)
    paths = set(driver.diff(id_, actual, inputs, URN).detailedDiff)
    assert paths == {"workers.max", "env"}
    driver.update(id_, outputs, actual, inputs, URN)
    (live,) = sandbox.endpoints()
    assert live["env"] == {**wanted["env"], "BASELOAD_MARKER": state["marker"]}
    assert live["workers"]["max"] == 3
    sandbox.remove(id_)
    driver.delete(id_, state, URN)


def test_refusals_of_runpod_come_through(driver, sandbox, wanted):
    sandbox.switch(quota=2)
    with pytest.raises(grpc.RpcError, match="runpod/quota"):
        driver.create(driver.checked(wanted), URN)
    sandbox.switch(quota=None, balance_usd="0")
    with pytest.raises(grpc.RpcError, match="runpod/balance"):
        driver.create(driver.checked(wanted), URN)
    sandbox.switch(balance_usd="1000")
    assert sandbox.endpoints() == []
