"""The job plane over HTTP, with workers in processes of their own, and RunPod's own client as a stranger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from baseload.sandbox.clock import ManualClock
from baseload.sandbox.runpod import serve

CLIENT = """
import json, sys, runpod
runpod.api_key = "key"
endpoint = runpod.Endpoint(sys.argv[1])
job = endpoint.run({"prompt": "run and wait"})
print(json.dumps([endpoint.run_sync({"prompt": "hello there"}, timeout=30), job.output(timeout=30), endpoint.health()]))
"""


@pytest.fixture
def endpoint(control, body) -> str:
    made = control.post("/serverless", json=body(env={"MODEL_NAME": "org/model"}, workers={"min": 1, "max": 2}))
    return str(made.json()["id"])


def workers_of(sandbox) -> list[int]:
    """Process ids of the sandbox's workers: children of this process that run worker.py."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = status.read_text().split("PPid:")[1].split()[0]
            command = status.with_name("cmdline").read_text()
        except (OSError, IndexError):
            continue
        if int(parent) == sandbox.identity["pid"] and "runpod/worker.py" in command:
            found.append(int(status.parent.name))
    return found


def until(true, *, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_answers_depend_on_the_prompt_alone(jobs, endpoint):
    first, again, other = (
        jobs.post(f"/{endpoint}/runsync", json={"input": {"prompt": prompt}}).json()
        for prompt in ("a b c", "a b c", "a")
    )
    assert first["status"] == "COMPLETED"
    assert first["id"].startswith("sync-")
    assert first["id"].endswith("-u1")
    assert {"delayTime", "executionTime", "workerId"} <= first.keys()
    assert first["output"] == again["output"] != other["output"]
    (answer,) = first["output"]
    assert answer["usage"]["input"] == 3
    assert "org/model" in answer["choices"][0]["tokens"][0]


def test_run_status_cancel_retry_purge_and_health(jobs, endpoint):
    submitted = jobs.post(f"/{endpoint}/run", json={"input": {"prompt": "a", "sandbox": {"fail": "no luck"}}}).json()
    assert submitted["status"] == "IN_QUEUE"
    status = lambda id_: jobs.get(f"/{endpoint}/status/{id_}").json()  # noqa: E731
    until(lambda: status(submitted["id"])["status"] == "FAILED")
    assert status(submitted["id"])["error"] == "no luck"
    assert jobs.post(f"/{endpoint}/retry/{submitted['id']}").json()["status"] == "IN_QUEUE"
    slow = {"input": {"prompt": "a", "sandbox": {"service_time_s": 60}}}
    # As many as there may be workers, so that what follows waits.
    ids = [jobs.post(f"/{endpoint}/run", json=slow).json()["id"] for _ in range(3)]
    pending = jobs.post(f"/{endpoint}/runsync", params={"wait": 1000}, json=slow).json()
    assert pending["status"] == "IN_QUEUE"
    until(lambda: status(ids[0])["status"] == "IN_PROGRESS")
    assert jobs.post(f"/{endpoint}/purge-queue").json()["status"] == "completed"
    assert jobs.post(f"/{endpoint}/cancel/{ids[0]}").json() == {"id": ids[0], "status": "CANCELLED"}
    assert jobs.get(f"/{endpoint}/stream/{ids[0]}").json() == {"status": "CANCELLED", "stream": []}
    health = jobs.get(f"/{endpoint}/health").json()
    assert health["jobs"]["retried"] == 1
    assert health["jobs"]["inQueue"] == 0
    assert len(jobs.get(f"/{endpoint}/requests").json()["requests"]) == 5


def test_refusals(jobs, endpoint):
    assert jobs.post("/none/run", json={"input": {}}).status_code == 404
    assert jobs.get(f"/{endpoint}/status/none").status_code == 404
    assert jobs.post(f"/{endpoint}/run", json={"prompt": "a"}).status_code == 400
    assert jobs.post(f"/{endpoint}/run", json={"input": "a" * 10_000_001}).status_code == 413
    assert jobs.post(f"/{endpoint}/runsync?wait=5", json={"input": {}}).status_code == 400
    assert jobs.post(f"/{endpoint}/run", json={"input": {}, "policy": {"ttl": 1}}).status_code == 400
    assert jobs.get(f"/{endpoint}/run").headers["allow"] == "POST"
    assert jobs.get(f"/{endpoint}/health", headers={"Authorization": ""}).status_code == 401
    assert jobs.get(f"/{endpoint}/health", headers={"Authorization": "bare-key"}).status_code == 200
    codes = [jobs.post(f"/{endpoint}/purge-queue").status_code for _ in range(3)]
    assert codes == [200, 200, 429]


def test_a_worker_is_a_process_that_may_crash_and_is_replaced(sandbox, jobs, endpoint):
    until(lambda: len(workers_of(sandbox)) == 1)
    (before,) = workers_of(sandbox)
    crashed = jobs.post(f"/{endpoint}/runsync", json={"input": {"sandbox": {"crash": True}}}).json()
    assert (crashed["status"], crashed["error"]) == ("FAILED", "worker exited: exit code 134")
    until(lambda: workers_of(sandbox) not in ([], [before]))
    assert jobs.post(f"/{endpoint}/runsync", json={"input": "again"}).json()["status"] == "COMPLETED"
    sandbox.edit(endpoint, workers={"min": 0, "max": 0})
    until(lambda: workers_of(sandbox) == [])


def test_the_log_of_a_worker_streams(sandbox, control, jobs, endpoint):
    jobs.post(f"/{endpoint}/runsync", json={"input": "a"})
    (worker,) = sandbox.workers(endpoint)["workers"]
    path = f"/serverless/{endpoint}/workers/{worker['id']}/logs"
    with httpx.stream("GET", f"{sandbox.base_url}{path}", headers=control.headers, params={"tail": 2}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in stream.iter_lines() if line.startswith(("id", "data")))
        id_, first, _, second = (next(lines) for _ in range(4))
        assert json.loads(first.removeprefix("data: "))["line"].startswith("Started job")
        assert json.loads(second.removeprefix("data: "))["line"].startswith("Finished job")
        jobs.post(f"/{endpoint}/runsync", json={"input": "b"})
        assert "Started job" in (next(lines), next(lines))[1]
    resumed = {"Last-Event-ID": id_.removeprefix("id: ")}
    with httpx.stream("GET", f"{sandbox.base_url}{path}", headers={**control.headers, **resumed}) as stream:
        assert "Finished job" in next(line for line in stream.iter_lines() if line.startswith("data"))


def test_the_openai_route(jobs, endpoint):
    asked = {"model": "org/model", "messages": [{"role": "user", "content": "one two three"}]}
    answer = jobs.post(f"/{endpoint}/openai/v1/chat/completions", json=asked).json()
    assert answer["object"] == "chat.completion"
    assert answer["usage"]["prompt_tokens"] == 3
    assert "org/model" in answer["choices"][0]["message"]["content"]


def test_runpods_own_client_runs_a_job(sandbox, endpoint):
    # It reads its address at import, and its import takes seconds and warns.
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "RUNPOD_ENDPOINT_BASE_URL": sandbox.endpoint_base_url,
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CLIENT, endpoint],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    synchronous, asynchronous, health = json.loads(done.stdout.splitlines()[-1])
    assert synchronous[0]["usage"]["input"] == 2
    assert asynchronous[0]["usage"]["input"] == 3
    assert health["jobs"]["completed"] == 2


def test_on_a_manual_clock_only_advance_moves_anything(body):
    headers = {"Authorization": "Bearer key"}
    with serve(clock=ManualClock()) as sandbox, httpx.Client(headers=headers, trust_env=False) as client:
        sandbox.switch(cold_start_s=20, service_time_s=3)
        made = client.post(f"{sandbox.base_url}/serverless", json=body()).json()
        run = made["requestUrls"]["run"]
        assert run.startswith(sandbox.endpoint_base_url)
        job = client.post(run, json={"input": "a"}).json()["id"]
        status = made["requestUrls"]["status"].replace("{job_id}", job)
        sandbox.advance(22)
        assert client.get(status).json()["status"] == "IN_PROGRESS"
        sandbox.advance(1)
        finished = client.get(status).json()
        assert (finished["delayTime"], finished["executionTime"]) == (20_000, 3_000)
        sandbox.advance(6)
        assert sandbox.workers(made["id"])["summary"]["total"] == 0
        bill = client.get(f"{sandbox.base_url}/billing/serverless").json()
        assert bill["metadata"]["totals"]["gpuAmount"] == pytest.approx(28 * 0.00031)
