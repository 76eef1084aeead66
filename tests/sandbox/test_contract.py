"""The sandbox against RunPod's own API description: every answer, and every body it takes or refuses."""

from __future__ import annotations

import copy
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baseload.sandbox.runpod import VENDOR_RATE_LIMIT, Switches, bodies, serve
from baseload.sandbox.runpod.refusal import Refusal

DELAY = {"type": "QUEUE_DELAY", "queueDelay": 4}
COUNT = {"type": "REQUEST_COUNT", "requestCount": 2}


def test_every_answer_of_the_control_plane(contract, sandbox, control, jobs, body):
    control.event_hooks = {"response": [contract.judge]}
    id_ = control.post("/serverless", json=body(workers={"min": 1, "max": 2})).json()["id"]
    control.post("/serverless", json=body(type="LOAD_BALANCER", scaling=COUNT))
    cpu = {**body(), "cpu": [{"id": "cpu5c", "vcpuCount": 4}]}
    del cpu["gpu"]
    assert control.post("/serverless", json=cpu).json()["cpu"][0]["memory"] == 8
    jobs.post(f"/{id_}/runsync", json={"input": {"prompt": "a"}})
    one = f"/serverless/{id_}"
    worker = control.get(f"{one}/workers").json()["workers"][0]["id"]
    sandbox.switch(throttled=["*"])
    for changes in ({"image": "example/worker:2"}, {"scaling": COUNT}, {"workers": {"max": 3, "min": 2}}):
        assert control.patch(one, json=changes).status_code == 200
    for path in (
        "/serverless",
        one,
        f"{one}/workers",
        f"{one}/releases",
        "/catalog/gpus",
        "/catalog/gpus?include=AVAILABILITY&product=SERVERLESS",
        "/catalog/gpus/NVIDIA%20L4",
        "/catalog/datacenters?regions=ASIA",
        "/catalog/datacenters/US-KS-2",
        "/billing/serverless?bucketSize=hour&lastN=2",
        f"/billing/serverless?serverlessId={id_}",
    ):
        assert control.get(path).status_code == 200, path
    refused = {
        ("GET", "/serverless/none"): 404,
        ("GET", f"{one}/workers/{worker}/logs"): 404,
        ("PATCH", "/serverless/none"): 404,
        ("DELETE", "/serverless/none"): 404,
        ("GET", "/serverless/none/releases"): 404,
        ("GET", "/catalog/gpus/none"): 404,
        ("GET", "/catalog/datacenters/none"): 404,
        ("GET", "/catalog/gpus?include=AVAILABILITY"): 400,
        ("GET", "/billing/serverless?bucketSize=eon"): 422,
        ("GET", "/billing/serverless?lastN=1&startTime=2026-06-01T00:00:00Z"): 400,
        ("PUT", one): 405,
        ("GET", "/nothing"): 404,
    }
    for (method, path), status in refused.items():
        assert control.request(method, path, json={} if method == "PATCH" else None).status_code == status, path
    assert control.get("/serverless", headers={"Authorization": ""}).status_code == 401
    assert control.delete(one).status_code == 204
    judged = {template for _, template, _ in contract.judged}
    assert len(judged) >= 9


MUTATIONS: list[tuple[tuple[str, ...], list[Any]]] = [
    (("name",), ["", "x", 3]),
    (("type",), ["QUEUE", "LOAD_BALANCER", "LB"]),
    (("image",), ["i", None]),
    (("args",), ["", ["a"]]),
    (("disk",), [0, 1, 2.5, "20"]),
    (("ports",), [[], ["80/http"], "80", [80]]),
    (("env",), [{}, {"A": "b"}, {"A": 1}, []]),
    (("registry",), [None, "r", 1]),
    (("gpu", "pools"), [["ADA_24"], [], "ADA_24"]),
    (("gpu", "count"), [1, 0, 8, True]),
    (("gpu", "excludedTypes"), [[], ["-NVIDIA"], ["a", "a"]]),
    (("gpu", "allowedCudaVersions"), [[], ["12.8"], ["12"]]),
    (("gpu", "minCudaVersion"), ["13.0", "", None, "13"]),
    (("gpu", "bogus"), [1]),
    (("workers",), [{}, {"min": 0}, {"min": -1}, {"idleTimeout": 0}, {"idleTimeout": 3601}, {"bogus": 1}, None]),
    (("scaling",), [DELAY, COUNT, {}, {"type": "QUEUE_DELAY"}, {"type": "X"}, {**DELAY, "requestCount": 1}]),
    (("scaling", "queueDelay"), [0.4, 0.5, "4"]),
    (("dataCenterIds",), [[], ["US-KS-2"], "US-KS-2"]),
    (("networkVolumes",), [[], [{"id": "v"}]]),
    (("timeout",), [0, -1, 1.5, "1"]),
    (("flashboot",), ["OFF", "PRIORITY_FLASHBOOT", True, "NONE"]),
    (("bogus",), [1]),
]


def _mutated(base: dict[str, Any], steps: list[tuple[tuple[str, ...], Any]], dropped: list[str]) -> dict[str, Any]:
    changed = copy.deepcopy(base)
    for (*parents, last), value in steps:
        holder = changed
        for name in parents:
            holder = holder.get(name) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            holder[last] = copy.deepcopy(value)
    return {name: value for name, value in changed.items() if name not in dropped}


mutations = st.lists(
    st.sampled_from(MUTATIONS).flatmap(lambda item: st.tuples(st.just(item[0]), st.sampled_from(item[1]))), max_size=3
)


@settings(max_examples=400)
@given(steps=mutations, dropped=st.lists(st.sampled_from(["name", "type", "scaling", "image", "gpu"]), max_size=1))
def test_a_new_endpoint_is_invalid_exactly_where_the_contract_says_so(contract, steps, dropped):
    base = {"name": "a", "type": "QUEUE", "image": "i", "gpu": {"pools": ["ADA_24"]}, "scaling": dict(DELAY)}
    body = _mutated(base, steps, dropped)
    valid = contract.schema("/components/schemas/CreateEndpointRequest").is_valid(body)
    assert valid == (_status(lambda: bodies.created(body, Switches())) != 422 or _idle_timeout_rule(body)), body


@settings(max_examples=400)
@given(steps=mutations)
def test_a_patch_is_invalid_exactly_where_the_contract_says_so(contract, steps):
    base = {"name": "a", "type": "QUEUE", "image": "i", "gpu": {"pools": ["ADA_24"]}, "scaling": dict(DELAY)}
    body = _mutated({"gpu": {}, "scaling": dict(DELAY)}, steps, [])
    valid = contract.schema("/components/schemas/UpdateEndpointRequest").is_valid(body)
    status = _status(lambda: bodies.patched(bodies.created(base, Switches()), body))
    assert valid == (status != 422 or _idle_timeout_rule(body)), body


def _status(action) -> int:
    try:
        action()
    except Refusal as refusal:
        return refusal.status
    return 200


def _idle_timeout_rule(body: dict[str, Any]) -> bool:
    """A rule the contract states in prose, not in its schema."""
    workers = body.get("workers")
    return body.get("scaling") == COUNT and isinstance(workers, dict) and workers.get("idleTimeout") in range(1, 3601)


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"gpu": None}, 422, "$.gpu"),
        ({"bogus": 1}, 422, "additional properties 'bogus' not allowed"),
        ({"cpu": [{"id": "cpu5c", "vcpuCount": 2}]}, 400, "exactly one of gpu or cpu"),
        ({"gpu": {"pools": ["NVIDIA L4"]}}, 400, "unknown gpu pool"),
        ({"gpu": {"pools": ["ADA_24"], "excludedTypes": ["NVIDIA L4"]}}, 400, "not in the selected pools"),
        ({"gpu": {"pools": ["ADA_24"], "excludedTypes": [" NVIDIA GeForce RTX 4090 "]}}, 400, "leaves no gpu type"),
        ({"gpu": {"pools": ["ADA_24"], "allowedCudaVersions": ["12.8"], "minCudaVersion": "12.1"}}, 400, "exclusive"),
        ({"scaling": COUNT, "workers": {"idleTimeout": 5}}, 422, "idleTimeout is not applicable"),
        ({"templateId": "t"}, 404, "template not found"),
        ({"workers": {"max": 61}}, 400, "must not exceed your workers quota (60)"),
    ],
)
def test_refusals_name_the_reason(control, body, changes, status, said):
    answer = control.post("/serverless", json=body(**changes))
    assert answer.status_code == status
    assert said in answer.text
    assert control.get("/serverless").json() == {"endpoints": []}


def test_a_missing_field_makes_valid_ones_look_unknown(control, body):
    wrong = body()
    del wrong["type"]
    errors = control.post("/serverless", json=wrong).json()["errors"]
    assert errors[0] == "$: missing property 'type'"
    assert "'scaling'" in errors[1]
    assert "not allowed" in errors[1]


def test_patch_changes_what_is_sent_and_makes_a_release_where_containers_change(control, body):
    gpu = {"pools": ["AMPERE_24"], "excludedTypes": ["NVIDIA L4"], "minCudaVersion": "12.1"}
    id_ = control.post("/serverless", json=body(gpu=gpu, env={"A": "1", "B": "2"})).json()["id"]

    def patched(**changes):
        control.patch(f"/serverless/{id_}", json=changes).raise_for_status()
        releases = control.get(f"/serverless/{id_}/releases").json()
        return control.get(f"/serverless/{id_}").json(), releases["endpointVersion"], releases["releases"][0]["diff"]

    endpoint, version, _ = patched(workers={"max": 5}, timeout=1000, name="other", scaling=COUNT)
    assert (endpoint["workers"], version) == ({"min": 0, "max": 5}, 1)
    endpoint, version, diff = patched(env={"A": "1"}, image="example/worker:1")
    assert (endpoint["env"], version) == ({"A": "1"}, 2)
    assert diff == [{"field": "template.env", "old": {"A": "1", "B": "2"}, "new": {"A": "1"}}]
    endpoint, version, _ = patched(gpu={"minCudaVersion": ""})
    assert (endpoint["gpu"]["minCudaVersion"], endpoint["gpu"]["excludedTypes"]) == (None, ["NVIDIA L4"])
    endpoint, version, _ = patched(gpu={"pools": ["AMPERE_24", "ADA_24"]})
    assert (endpoint["gpu"]["excludedTypes"], version) == ([], 4)
    assert control.patch(f"/serverless/{id_}", json={"type": "QUEUE"}).status_code == 422
    assert control.patch(f"/serverless/{id_}", json={"cpu": [{"id": "cpu5c", "vcpuCount": 2}]}).status_code == 400


def test_limits_of_the_account(sandbox, control, body):
    sandbox.switch(rate_limit=VENDOR_RATE_LIMIT, balance_usd=0)
    assert control.post("/serverless", json=body()).status_code == 402
    for _ in range(59):
        assert control.get("/serverless").status_code == 200
    answer = control.get("/serverless")
    assert (answer.status_code, answer.json()["detail"]) == (429, "rate limit exceeded for the minute window")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.headers["ratelimit"].startswith('"minute";r=0;t=')
    assert answer.headers["ratelimit-policy"] == '"minute";q=60;w=60, "hour";q=3000;w=3600, "day";q=50000;w=86400'


def test_switches_of_lists_and_names(sandbox, control, body):
    sandbox.switch(paginate=2, name_suffix=" -fb", extra_fields=True, inject_env={"PORT": "80"}, timeout_default=0)
    for _ in range(3):
        control.post("/serverless", json=body(env={"A": "b"}))
    first = control.get("/serverless").json()
    rest = control.get("/serverless", params={"cursor": first["pagination"]["nextCursor"]}).json()
    assert [len(first["endpoints"]), len(rest["endpoints"]), rest["pagination"]["nextCursor"]] == [2, 1, None]
    assert control.get("/serverless?cursor=x").status_code == 422
    endpoint = rest["endpoints"][0]
    assert (endpoint["name"], endpoint["env"], endpoint["timeout"]) == ("mistral -fb", {"PORT": "80", "A": "b"}, 0)
    assert "sandboxExtra" in endpoint
    sandbox.switch(delete_needs_zero_workers=True)
    assert control.delete(f"/serverless/{endpoint['id']}").status_code == 400
    with pytest.raises(ValueError, match="no switch 'throtled'"):
        sandbox.switch(throtled=[])


def test_addresses_runpod_does_not_have(sandbox):
    root = sandbox.base_url.removesuffix("/v2")
    with httpx.Client(headers={"Authorization": "Bearer key"}, trust_env=False) as client:
        assert client.get(f"{root}/v1/endpoints").status_code == 410
        assert client.put(f"{root}/v2/serverless").headers["allow"] == "GET, POST"
        assert client.get(f"{root}/v2/serverless/").status_code == 404
        # The two hosts of RunPod must not be mixed up.
        assert client.get(f"{sandbox.endpoint_base_url}/serverless").status_code == 404
        assert client.get(f"{root}/v2/some-id/health").status_code == 404
        agent = {"User-Agent": "Python-urllib/3.11"}
        assert client.get(f"{root}/v2/serverless", headers=agent).text == "error code: 1010"


def test_garbage_is_refused(sandbox, control):
    for content, status in ((b"", 400), (b"{", 400), (b"[]", 422), (b'{"timeout": NaN}', 400), (b"[" * 100_000, 400)):
        assert control.post("/serverless", content=content).status_code == status


def test_objects_outlive_the_sandbox(tmp_path, body):
    file = tmp_path / "runpod.json"
    headers = {"Authorization": "Bearer key"}
    with serve(file=file) as first:
        made = httpx.post(f"{first.base_url}/serverless", json=body(), headers=headers, trust_env=False).json()
        first.advance(100 * 86400)
        first.switch(quota=7)
        ports = first.ports
    with serve(file=file, ports=ports) as second:
        (again,) = second.endpoints()
        assert again["createdAt"] == made["createdAt"]
        assert again["requestUrls"] == made["requestUrls"]
        assert second.workers(made["id"])["summary"]["total"] == 0
        assert again["workers"]["max"] == 0
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(file.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    with pytest.raises(ValueError, match=r"delimiter|Expecting"), serve(file=file):
        pass
