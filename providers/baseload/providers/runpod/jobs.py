"""RunPod's job plane: send a request to an endpoint and wait for the answer. Used by `deploy invoke`.

Facts: RunPod's documentation `serverless/endpoints/send-requests` and `job-states` of 2026-08-20. Shares the door of
`client` (errors, masking, addresses) but not its rate limit: the job plane has its own, per endpoint and route.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

from baseload.planner.errors import DeployError, TimedOut
from baseload.providers.runpod import errors
from baseload.providers.runpod.client import Document, Http, Unattended, address, api_key
from baseload.providers.runpod.limits import Caller, RateLimiter

ENDPOINT_BASE_URL: Final = "https://api.runpod.ai/v2"
"""Job plane (note `.ai`); `RUNPOD_ENDPOINT_BASE_URL` overrides it."""

SYNC_WAIT_S: Final = 50.0
"""How long one runsync call waits (RunPod allows 1 to 300 s); below the time after which the client gives up."""

POLL_S: Final = (0.5, 1.0, 2.0, 4.0)


class JobStatus(StrEnum):
    """States of a job."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"

    @property
    def final(self) -> bool:
        """Whether it stays so."""
        return self not in (JobStatus.IN_QUEUE, JobStatus.IN_PROGRESS, JobStatus.RUNNING)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as RunPod reports it; times are None until it has them."""

    id: str
    status: JobStatus
    output: Any = None
    error: str | None = None
    delay_s: float | None = None
    """Waiting in the queue, the start of a worker included (RunPod's `delayTime`)."""
    run_s: float | None = None
    """In the worker (`executionTime`)."""
    worker_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Health:
    """What an endpoint is doing: jobs and workers by RunPod's own words (`inQueue`, `idle`, ...)."""

    jobs: Mapping[str, int]
    workers: Mapping[str, int]


class Jobs:
    """The job routes of one endpoint."""

    def __init__(self, http: Http, caller: Caller | None = None) -> None:
        """`http` is at the endpoint's own base, `https://api.runpod.ai/v2/<id>`."""
        self._http, self._caller = http, caller or Unattended()

    @classmethod
    def of(
        cls,
        endpoint_id: str,
        environment: Mapping[str, str] = os.environ,
        *,
        url: str | None = None,
        caller: Caller | None = None,
        chance: Callable[[], float] = random.random,
    ) -> Jobs:
        """The jobs of an endpoint: at `RUNPOD_ENDPOINT_BASE_URL` where that is set, else at `url`, else at RunPod's.

        Raises `UsageError` for an address that is none; the key is read at the first call.
        """
        variable = "RUNPOD_ENDPOINT_BASE_URL"
        if environment.get(variable) or not url:
            base = f"{address(environment, variable, ENDPOINT_BASE_URL)}/{quote(endpoint_id, safe='')}"
        else:
            base = address({variable: url}, variable, url)
        # RunPod names 1000 to 2000 calls in 10 s for these routes, which one person's command does not reach.
        http = Http(base, lambda: api_key(environment), RateLimiter(first_quota=None), chance=chance)
        return cls(http, caller)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def __enter__(self) -> Jobs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, input_: Any) -> Job:
        """Put a job into the queue. Never repeated: a job that was accepted twice is paid twice."""
        return self._job("POST", "/run", {"input": input_})

    def run_sync(self, input_: Any, wait_s: float = SYNC_WAIT_S) -> Job:
        """Put a job into the queue and wait for it, at most `wait_s`; the answer may still be unfinished."""
        return self._job("POST", "/runsync", {"input": input_}, {"wait": str(int(wait_s * 1000))})

    def status(self, job_id: str) -> Job:
        """How a job is doing. Raises `NotFound` once RunPod has dropped its result (a minute to half an hour)."""
        return _job(self._http.read(self._caller, f"/status/{quote(job_id, safe='')}"))

    def cancel(self, job_id: str) -> Job:
        """Stop a job, or take it out of the queue."""
        return self._job("POST", f"/cancel/{quote(job_id, safe='')}", None)

    def retry(self, job_id: str) -> Job:
        """Queue a failed or timed-out job again."""
        return self._job("POST", f"/retry/{quote(job_id, safe='')}", None)

    def health(self) -> Health:
        """Jobs and workers of the endpoint."""
        document = self._http.read(self._caller, "/health")
        return Health(jobs=_counts(document.get("jobs")), workers=_counts(document.get("workers")))

    def invoke(self, input_: Any, *, timeout_s: float, on_wait: Callable[[Job], None] = lambda job: None) -> Job:
        """Run a job to its end and return it completed.

        Raises `DeployError` (`runpod/job-failed`) when it fails, is cancelled or times out at RunPod, `TimedOut` when
        it is not finished after `timeout_s`; the job is cancelled then.
        """
        began = self._caller.now()
        job, looks = self.run(input_), 0
        while not job.status.final:
            if self._caller.now() - began >= timeout_s:
                self.cancel(job.id)
                text = f"Job {job.id} was {job.status} after {timeout_s:g} s and has been cancelled"
                raise TimedOut.of(
                    "runpod/job-timeout",
                    text,
                    hint="`deploy status` tells whether workers start; a slow start needs a longer --timeout.",
                )
            on_wait(job)
            self._caller.pause(POLL_S[min(looks, len(POLL_S) - 1)])
            job, looks = self.status(job.id), looks + 1
        if job.status is not JobStatus.COMPLETED:
            raise DeployError.of("runpod/job-failed", f"Job {job.id} ended {job.status}: {job.error or 'no reason'}")
        return job

    def _job(self, method: str, path: str, body: Document | None, query: Mapping[str, str] | None = None) -> Job:
        answer = self._http.send(self._caller, method, path, body=body, query=query)
        return _job(self._http.document(f"{method} {path}", answer))


def _job(document: Document) -> Job:
    try:
        status = JobStatus(document.get("status", ""))
        job_id = str(document["id"])
    except (KeyError, ValueError) as error:
        text = "What answered on the job route is no job"
        raise errors.make(errors.Unavailable, "runpod/unreadable", text) from error
    said = document.get("error")
    return Job(
        id=job_id,
        status=status,
        output=document.get("output"),
        error=errors.cut(str(said)) if said else None,
        delay_s=_seconds(document.get("delayTime")),
        run_s=_seconds(document.get("executionTime")),
        worker_id=document.get("workerId"),
    )


def _seconds(milliseconds: Any) -> float | None:
    return milliseconds / 1000 if isinstance(milliseconds, int | float) else None


def _counts(document: Any) -> dict[str, int]:
    if not isinstance(document, dict):
        return {}
    return {str(key): value for key, value in document.items() if isinstance(value, int)}
