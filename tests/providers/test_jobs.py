"""The job plane over real HTTP, with scripted answers."""

from __future__ import annotations

import json

import pytest

from baseload.planner.errors import CredentialsError, DeployError, TimedOut, UsageError
from baseload.providers.framework.resource import Operation
from baseload.providers.runpod.errors import NotFound, Unavailable
from baseload.providers.runpod.jobs import Jobs, JobStatus

KEY = "rpa_TESTKEY0123456789"
DONE = {
    "id": "j1",
    "status": "COMPLETED",
    "output": {"text": "hi"},
    "delayTime": 2500,
    "executionTime": 1800,
    "workerId": "w1",
}


@pytest.fixture
def jobs(runpod, clock):
    environment = {"RUNPOD_API_KEY": KEY, "RUNPOD_ENDPOINT_BASE_URL": f"{runpod.url}/jobs/"}
    with Jobs.of("ep1", environment, caller=Operation("", time=clock.time()), chance=lambda: 0) as jobs:
        yield jobs


@pytest.fixture
def says(runpod):
    def script(call, document, status=200):
        body = document if isinstance(document, str) else json.dumps(document)
        runpod.fault(call, status=status, body=body)

    return script


def test_a_job_is_followed_to_its_end_with_its_times(jobs, runpod, says):
    says("POST /jobs/ep1/run", {"id": "j1", "status": "IN_QUEUE"})
    says("GET /jobs/ep1/status/j1", {"id": "j1", "status": "IN_PROGRESS", "delayTime": 2500})
    says("GET /jobs/ep1/status/j1", "<html>bad gateway</html>", 502)
    says("GET /jobs/ep1/status/j1", DONE)
    seen = []
    job = jobs.invoke({"prompt": "hello"}, timeout_s=60, on_wait=lambda job: seen.append(job.status))
    assert (job.output, job.delay_s, job.run_s, job.worker_id) == ({"text": "hi"}, 2.5, 1.8, "w1")
    assert seen == [JobStatus.IN_QUEUE, JobStatus.IN_PROGRESS]
    assert runpod.calls[0].body == {"input": {"prompt": "hello"}}
    assert runpod.calls[0].headers["Authorization"] == f"Bearer {KEY}"


def test_a_failed_job_says_why(jobs, says):
    says("POST /jobs/ep1/run", {"id": "j1", "status": "FAILED", "error": "CUDA out of memory"})
    with pytest.raises(DeployError, match="Job j1 ended FAILED: CUDA out of memory"):
        jobs.invoke({}, timeout_s=60)


def test_a_job_that_takes_too_long_is_cancelled(jobs, runpod, says):
    runpod.fault("POST .*/run", status=200, body='{"id": "j1", "status": "IN_QUEUE"}')
    runpod.fault("GET .*", status=200, body='{"id": "j1", "status": "IN_QUEUE"}', times=99)
    says("POST /jobs/ep1/cancel/j1", {"id": "j1", "status": "CANCELLED"})
    with pytest.raises(TimedOut, match="IN_QUEUE after 30 s"):
        jobs.invoke({}, timeout_s=30)
    assert runpod.calls[-1].name == "POST /jobs/ep1/cancel/j1"


def test_a_job_is_never_sent_twice(jobs, runpod):
    runpod.fault("POST .*", status=502, times=9)
    with pytest.raises(Unavailable):
        jobs.run({})
    assert len(runpod.calls) == 1


def test_the_other_routes(jobs, runpod, says):
    says("POST /jobs/ep1/runsync", DONE)
    assert jobs.run_sync("hi", wait_s=2).status is JobStatus.COMPLETED
    assert runpod.calls[-1].query == {"wait": ["2000"]}
    says("GET /jobs/ep1/health", {"jobs": {"inQueue": 2}, "workers": {"idle": 1, "running": 0, "odd": None}})
    health = jobs.health()
    assert (health.jobs, health.workers) == ({"inQueue": 2}, {"idle": 1, "running": 0})
    says("POST /jobs/ep1/retry/j%2F1", {"id": "j/1", "status": "IN_QUEUE"})
    assert jobs.retry("j/1").id == "j/1"
    says("GET .*", {"error": "job not found"}, 404)
    with pytest.raises(NotFound, match="job not found"):
        jobs.status("j1")
    says("POST .*", {"id": "j1", "status": "DAYDREAMING"})
    with pytest.raises(Unavailable, match="no job"):
        jobs.run({})


def test_the_address_and_the_key_come_from_the_environment(runpod, says):
    with pytest.raises(UsageError):
        Jobs.of("ep1", {"RUNPOD_ENDPOINT_BASE_URL": "http://10.0.0.1/v2"})
    with Jobs.of("ep1", {}, url=f"{runpod.url}/own") as jobs, pytest.raises(CredentialsError):
        jobs.health()
    with Jobs.of("ep1", {"RUNPOD_API_KEY": "k\ney"}, url=f"{runpod.url}/own") as jobs:
        with pytest.raises(CredentialsError) as error:
            jobs.health()
        assert "ney" not in str(error.value)
    says("GET /own/health", {"jobs": {}, "workers": {}})
    with Jobs.of("ep1", {"RUNPOD_API_KEY": KEY}, url=f"{runpod.url}/own") as jobs:
        assert jobs.health().jobs == {}
