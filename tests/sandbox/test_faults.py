"""Bad luck on demand, seen from a client."""

from __future__ import annotations

import socket
import time

import httpx
import pytest

from baseload.sandbox.runpod import Call, serve


@pytest.mark.parametrize(
    ("action", "error", "made"),
    [
        ("reset", httpx.RemoteProtocolError, 0),
        ("reset_after", httpx.RemoteProtocolError, 1),
        ("timeout_before", httpx.ReadTimeout, 0),
        ("timeout_after", httpx.ReadTimeout, 1),
    ],
)
def test_no_answer_before_or_after_the_commit(sandbox, control, body, action, error, made):
    sandbox.fault(action, method="POST", path="/v2/serverless")
    with pytest.raises(error):
        control.post("/serverless", json=body(), timeout=0.3)
    assert len(sandbox.endpoints()) == made
    assert sandbox.calls[-1] == Call("control", "POST", "/v2/serverless", 0)
    assert control.post("/serverless", json=body()).status_code == 201


def test_a_status_strikes_the_nth_call_that_fits(sandbox, control, body):
    control.event_hooks = {}
    sandbox.fault("status", status=429, retry_after_s=7, method="GET", path="/v2/serverless/*", skip=1, count=2)
    id_ = control.post("/serverless", json=body()).json()["id"]
    answers = [control.get(f"/serverless/{id_}") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 429, 429, 200]
    assert answers[1].headers["retry-after"] == "7"
    assert answers[1].json()["title"] == "Too Many Requests"


def test_a_call_that_is_held_does_not_hold_the_sandbox(body):
    begun = time.monotonic()
    with serve() as sandbox, socket.create_connection(("127.0.0.1", sandbox.ports[0])) as held:
        sandbox.fault("timeout_before")
        held.sendall(b"GET /v2/serverless HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not sandbox.calls:
            time.sleep(0.01)
    assert time.monotonic() - begun < 5


def test_garbage_and_the_job_plane(sandbox, control, jobs):
    control.event_hooks = {}
    sandbox.fault("garbage")
    answer = control.get("/serverless")
    assert answer.status_code == 200
    with pytest.raises(ValueError, match="Expecting"):
        answer.json()
    sandbox.fault("status", plane="jobs", status=502)
    assert jobs.get("/x/health").status_code == 502
    sandbox.switch(flaky_5xx=1, html_500=1)
    assert [control.get("/serverless").status_code for _ in range(3)] == [503, 500, 200]
    with pytest.raises(ValueError, match="no fault"):
        sandbox.fault("explode")


def test_admin_routes_are_for_programs_on_this_machine(sandbox, control, body):
    root = sandbox.base_url.removesuffix("/v2") + "/_sandbox"
    with httpx.Client(base_url=root, trust_env=False) as admin:
        assert admin.get(root).json()["runpod"]["base_url"] == sandbox.base_url
        assert admin.get("/objects", headers={"Origin": "http://evil.example"}).status_code == 403
        assert admin.get("/objects", headers={"Host": "evil.example"}).status_code == 403
        assert admin.post("/faults", json={"action": "status", "status": 500}).json()["faults"][0]["status"] == 500
        assert admin.post("/faults", json={"action": "nonsense"}).status_code == 422
        assert admin.post("/faults", json={"acting": "status"}).status_code == 422
        assert admin.delete("/faults").json() == {"faults": []}
        assert admin.patch("/switches", json={"quota": 3}).json()["quota"] == 3
        assert admin.patch("/switches", json={"quota": "many"}).status_code == 422
        id_ = control.post("/serverless", json=body()).json()["id"]
        assert admin.patch(f"/endpoints/{id_}", json={"workers": {"max": 1}}).json()["workers"]["max"] == 1
        before = admin.get("/clock").json()["now"]
        assert admin.post("/clock", json={"advance_s": 8 * 86400}).json()["now"] > before
        assert admin.post("/clock", json={"advance_s": -1}).status_code == 422
        (shown,) = admin.get("/objects").json()["endpoints"]
        assert (shown["workers"], shown["summary"]["total"]) == ([], 0)
        assert admin.get("/calls").json()["calls"][0]["path"] == "/v2/serverless"
    assert control.get("/_sandbox").status_code == 404
