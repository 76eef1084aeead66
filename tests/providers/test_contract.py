"""What is sent fits RunPod's own specification, for whatever inputs the check lets through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from baseload.providers.framework import wire
from baseload.providers.runpod.fields import EFFECTS, Effect, effect

CONTRACT = Path(__file__).parents[3] / "shared" / "contracts" / "runpod-rest-v2.openapi.json"

ids = st.from_regex(r"[A-Z]{2,4}_\d\d", fullmatch=True)
lists = st.lists(ids, max_size=3, unique=True)
cuda = st.sampled_from(["11.8", "12.8", "13.0"])
constraints = st.fixed_dictionaries({"allowedCudaVersions": st.lists(cuda, min_size=1, unique=True)}) | (
    st.fixed_dictionaries({}, optional={"minCudaVersion": cuda | st.none(), "allowedCudaVersions": st.just([])})
)
gpus = st.builds(
    lambda gpu, more: {**gpu, **more},
    st.fixed_dictionaries(
        {"pools": st.lists(ids, min_size=1, max_size=3, unique=True)},
        optional={"count": st.integers(1, 8), "excludedTypes": st.lists(ids, max_size=2, unique=True)},
    ),
    constraints,
)
scales = st.builds(
    lambda least, more, idle, delay: {
        "workers": {"min": least, "max": least + more, **({"idleTimeout": idle} if delay else {})},
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": delay}
        if delay
        else {"type": "REQUEST_COUNT", "requestCount": 3},
    },
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(1, 3600),
    st.none() | st.floats(0.5, 100),
)
wishes = st.builds(
    lambda fields, scale: {**fields, **scale},
    st.fixed_dictionaries(
        {"owner": st.just("0a1b2c3d4e5f"), "name": st.sampled_from(["a", "a b", "ä" * 184]), "image": ids, "gpu": gpus},
        optional={
            "args": st.text(max_size=5),
            "disk": st.integers(1, 500),
            "ports": st.lists(st.sampled_from(["80/http", "22/tcp"]), unique=True),
            "env": st.dictionaries(ids, st.text(max_size=5), max_size=3),
            "registry": st.none() | ids,
            "dataCenterIds": lists,
            "networkVolumes": lists,
            "timeout": st.integers(1, 10**9),
            "flashboot": st.sampled_from(["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"]),
        },
    ),
    scales,
)


@pytest.fixture(scope="module")
def specification():
    if not CONTRACT.is_file():
        pytest.skip(f"RunPod's specification is not here ({CONTRACT.name} in ../shared/contracts)")
    return json.loads(CONTRACT.read_text(encoding="utf-8"))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=wishes, new=wishes)
def test_requests_conform_and_lead_to_what_was_wanted(driver, provider, runpod, specification, old, new):
    provider.attach("")
    runpod.calls.clear()
    before, after = driver.checked(old), driver.checked(new)
    id_, state = driver.create(before)
    state = driver.update(id_, state, before, after)
    _, actual, outputs = driver.read(id_, after, state)
    assert actual == after
    assert driver.diff(id_, actual, after).detailedDiff == {}
    assert wire.plain(outputs) == wire.plain(state)
    driver.delete(id_, state)
    for call, name in (("POST", "CreateEndpointRequest"), ("PATCH", "UpdateEndpointRequest")):
        schema = {"$ref": f"#/components/schemas/{name}", "components": specification["components"]}
        for made in runpod.made(call):
            assert [error.message for error in Draft202012Validator(schema).iter_errors(made.body)] == []
    assert len(runpod.made("POST")) == 1
    assert len(runpod.made("PATCH")) <= 1


def test_every_input_has_an_effect_and_every_field_of_the_specification_is_managed_or_left_out(driver, specification):
    from baseload.providers.runpod.endpoint import Endpoint

    assert set(EFFECTS) == set(Endpoint.inputs.fields)
    assert effect("workers.max") is Effect.IN_PLACE
    assert effect('env["a.b"]') is Effect.RELEASE
    schemas = specification["components"]["schemas"]
    theirs = {
        *schemas["BaseContainerConfig"]["properties"],
        *schemas["ContainerConfig"]["allOf"][1]["properties"],
        *schemas["CreateEndpointRequest"]["allOf"][2]["properties"],
    }
    # CPU endpoints and templates are not managed; the owner is ours.
    assert theirs - set(EFFECTS) == {"cpu", "templateId"}
    assert set(EFFECTS) - theirs == {"owner"}
