"""RunPod serverless as a state machine: endpoints, releases, workers, jobs, and what they cost. No network, no process.

Time is the injected clock's; whatever became due is caught up with on each call, event by event, in order. What has to
happen outside (a worker's process starts, gets a job, ends) is left in `effects`; whoever drives the machine performs
them and reports back with `answered` and `crashed`. Not thread-safe: one thread drives it.

Facts: RunPod REST v2 specification 2.9.0 and documentation of 2026-08-20 (workers overview, endpoint configurations,
job states, send requests). Where these are silent, the choice is said where it is made.
"""

from __future__ import annotations

import copy
import math
import random
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from baseload.planner.performance.gpus import POOLS
from baseload.sandbox.clock import Clock
from baseload.sandbox.runpod import bodies
from baseload.sandbox.runpod.bodies import Config
from baseload.sandbox.runpod.refusal import Refusal, not_found
from baseload.sandbox.runpod.switches import Switches

DAY_S: Final = 86400.0
INACTIVITY: Final = ((3 * DAY_S, 2), (7 * DAY_S, 0))
"""After so long without a request `workers.max` falls to so many (documentation, endpoint configurations)."""
RESULT_KEPT_S: Final = {"run": 1800.0, "runsync": 60.0}
DEFAULT_EXECUTION_TIMEOUT_MS: Final = 600_000
"""For a job without a policy on an endpoint with `timeout` 0."""
DEFAULT_TTL_MS: Final = 86_400_000
REQUEST_COUNT_IDLE_S: Final = 10.0
"""How long a worker of an endpoint on REQUEST_COUNT stays without work. RunPod names no figure for this combination;
taken is REST v2's default of `idleTimeout`."""
LOG_LINES_KEPT: Final = 5000
DATA_CENTER: Final = "US-KS-2"
"""Where workers are placed when the endpoint does not say."""

_TEMPLATE_FIELDS = {
    "image": "template.imageName",
    "args": "template.dockerArgs",
    "disk": "template.containerDiskInGb",
    "ports": "template.ports",
    "env": "template.env",
    "registry": "template.containerRegistryAuthId",
}
_RELEASE_FIELDS = _TEMPLATE_FIELDS | {
    "gpu": "gpu",
    "cpu": "cpu",
    "flashboot": "flashBootType",
    "dataCenterIds": "locations",
    "networkVolumes": "networkVolumeIds",
}
"""Fields whose change makes a release (PATCH text of 2.9.0; GPU, FlashBoot, places, volumes by runpod/flash 757420d),
under the names a release's `diff` gives them."""


class WorkerStatus(StrEnum):
    """RunPod's names."""

    RUNNING = "RUNNING"
    IDLE = "IDLE"
    INITIALIZING = "INITIALIZING"
    THROTTLED = "THROTTLED"
    UNHEALTHY = "UNHEALTHY"


class JobStatus(StrEnum):
    """RunPod's names."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"


FINAL: Final = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.TIMED_OUT})


@dataclass(frozen=True)
class StartWorker:
    """Effect: the container runs."""

    worker_id: str


@dataclass(frozen=True)
class StopWorker:
    """Effect: the container ends, whatever it does."""

    worker_id: str


@dataclass(frozen=True)
class RunJob:
    """Effect: the worker is given a job."""

    worker_id: str
    run: str
    """Names this attempt, so that a late answer to an earlier one is known as such."""
    request: dict[str, Any]


Effect = StartWorker | StopWorker | RunJob


@dataclass(frozen=True)
class LogLine:
    """One line of a worker's log."""

    at: float
    number: int
    source: str
    line: str


@dataclass(kw_only=True)
class Job:
    """A unit of work; times in seconds of the clock."""

    id: str
    input: Any
    policy: dict[str, Any]
    kind: str
    queued_at: float
    execution_timeout_s: float
    expires_at: float
    service_time_s: float
    status: JobStatus = JobStatus.IN_QUEUE
    started_at: float | None = None
    finished_at: float | None = None
    worker_id: str | None = None
    output: Any = None
    error: str | None = None
    run: str | None = None
    answer: dict[str, Any] | None = None
    """What the worker said, before the job's service time has passed."""

    def view(self) -> dict[str, Any]:
        """As the job plane shows it; times in milliseconds."""
        shown: dict[str, Any] = {"id": self.id, "status": str(self.status)}
        if self.started_at is not None:
            shown["delayTime"] = _ms(self.started_at - self.queued_at)
            shown["workerId"] = self.worker_id
            if self.finished_at is not None:
                shown["executionTime"] = _ms(self.finished_at - self.started_at)
        if self.status is JobStatus.COMPLETED:
            shown["output"] = self.output
        if self.error is not None:
            shown["error"] = self.error
        return shown


@dataclass(kw_only=True)
class Worker:
    """A container, from being wanted to being ended."""

    id: str
    version: int
    image: str
    gpu_count: int
    status: WorkerStatus = WorkerStatus.THROTTLED
    pool: str | None = None
    gpu_type: str | None = None
    data_center: str | None = None
    started_at: float | None = None
    """Since when it is placed; None while it waits for capacity."""
    ready_at: float = math.inf
    idle_since: float = math.inf
    billed_until: float | None = None
    """Set when it became unhealthy: from then on it is not billed."""
    job: Job | None = None
    log: deque[LogLine] = field(default_factory=lambda: deque(maxlen=LOG_LINES_KEPT))


@dataclass(kw_only=True)
class Endpoint:
    """A serverless endpoint with all that belongs to it."""

    id: str
    config: Config
    created_at: float
    active_at: float
    """When it last had a request, or its workers were set."""
    version: int = 1
    releases: list[dict[str, Any]] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    queue: deque[Job] = field(default_factory=deque)
    jobs: dict[str, Job] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {"completed": 0, "failed": 0, "retried": 0})

    @property
    def limits(self) -> tuple[int, int]:
        """Least and most workers."""
        most = self.config["workers"]["max"]
        return min(self.config["workers"]["min"], most), most

    @property
    def current_workers(self) -> list[Worker]:
        """Those that run the newest version."""
        return [worker for worker in self.workers if worker.version == self.version]


@dataclass(frozen=True, kw_only=True)
class WorkerRun:
    """A billed stretch of one worker: from placement to its end, cold start and idle tail included.

    RunPod bills from the container's start, pulling the image is free; the sandbox pulls nothing. Times of the clock.
    """

    endpoint_id: str
    pool: str | None
    """None for a CPU worker."""
    gpu_count: int
    start: float
    end: float


class Cloud:
    """One account's serverless side."""

    def __init__(
        self,
        clock: Clock,
        *,
        switches: Switches | None = None,
        randomness: random.Random | None = None,
        endpoint_base_url: str = "https://api.runpod.ai/v2",
    ) -> None:
        self.clock = clock
        self.switches = switches or Switches()
        self.endpoint_base_url = endpoint_base_url
        self.effects: deque[Effect] = deque()
        self.endpoints: dict[str, Endpoint] = {}
        self.runs: list[WorkerRun] = []
        self._random = randomness or random.Random()
        self._now = clock.now()
        self._lines = 0

    # Control plane.

    def create(self, body: Any) -> dict[str, Any]:
        """POST /v2/serverless."""
        self.catch_up()
        if self.switches.balance_usd <= 0:
            raise Refusal(402, "balance too low to create resources")
        config = bodies.created(copy.deepcopy(body), self.switches)
        self._check_quota(config["workers"]["max"])
        endpoint = Endpoint(id=self._new_id(14), config=config, created_at=self._now, active_at=self._now)
        self._release(endpoint, [])
        self.endpoints[endpoint.id] = endpoint
        self._settle_all()
        return self.view(endpoint)

    def endpoint_list(self) -> list[dict[str, Any]]:
        """GET /v2/serverless, in order of creation."""
        self.catch_up()
        return [self.view(endpoint) for endpoint in self.endpoints.values()]

    def get(self, endpoint_id: str) -> dict[str, Any]:
        """GET /v2/serverless/{id}."""
        return self.view(self._endpoint(endpoint_id))

    def patch(self, endpoint_id: str, body: Any) -> dict[str, Any]:
        """PATCH /v2/serverless/{id}; also what an edit in the console does."""
        endpoint = self._endpoint(endpoint_id)
        config = bodies.patched(endpoint.config, copy.deepcopy(body))
        if config["workers"]["max"] > endpoint.config["workers"]["max"]:
            self._check_quota(config["workers"]["max"], instead_of=endpoint)
        if "workers" in body:
            endpoint.active_at = self._now
        diff = [entry for name in _RELEASE_FIELDS for entry in _diff(name, endpoint.config.get(name), config.get(name))]
        endpoint.config = config
        if diff:
            endpoint.version += 1
            self._release(endpoint, diff)
        self._settle_all()
        return self.view(endpoint)

    def delete(self, endpoint_id: str) -> None:
        """DELETE /v2/serverless/{id}: workers end, jobs are gone."""
        endpoint = self._endpoint(endpoint_id)
        if self.switches.delete_needs_zero_workers and endpoint.limits[1] > 0:
            raise Refusal(400, "cannot delete an endpoint with workers: set workers min and max to 0 first")
        for job in list(endpoint.jobs.values()):
            if job.status not in FINAL:
                self._finish(endpoint, job, JobStatus.CANCELLED)
        for worker in list(endpoint.workers):
            self._stop(endpoint, worker, "endpoint deleted")
        del self.endpoints[endpoint_id]

    def view(self, endpoint: Endpoint) -> dict[str, Any]:
        """An endpoint as the control plane shows it."""
        shown = {"id": endpoint.id, **copy.deepcopy(endpoint.config)}
        shown["name"] += self.switches.name_suffix
        shown["requestUrls"] = self._request_urls(endpoint)
        shown["createdAt"] = rfc3339(endpoint.created_at)
        return shown

    def workers(self, endpoint_id: str) -> dict[str, Any]:
        """GET /v2/serverless/{id}/workers."""
        endpoint = self._endpoint(endpoint_id)
        shown = [self._worker_view(endpoint, worker) for worker in endpoint.workers]
        counts = {str(status).lower(): 0 for status in WorkerStatus}
        for worker in endpoint.workers:
            counts[str(worker.status).lower()] += 1
        return {
            "workers": shown,
            "summary": counts | {"total": len(shown)},
            "endpointVersion": endpoint.version,
        }

    def releases(self, endpoint_id: str) -> dict[str, Any]:
        """GET /v2/serverless/{id}/releases, newest first."""
        endpoint = self._endpoint(endpoint_id)
        total, latest = len(endpoint.workers), len(endpoint.current_workers)
        by_version = dict.fromkeys(range(1, endpoint.version + 1), 0)
        for worker in endpoint.workers:
            by_version[worker.version] += 1
        return {
            "endpointVersion": endpoint.version,
            "rollout": {
                "inProgress": latest < total,
                "workersOnLatest": latest,
                "workersTotal": total,
                "percentOnLatest": round(100 * latest / total) if total else 0,
            },
            "releases": [
                release | {"workerCount": by_version[release["version"]]} for release in reversed(endpoint.releases)
            ],
        }

    def log(self, endpoint_id: str, worker_id: str) -> deque[LogLine]:
        """The kept lines of a worker that still exists; grows."""
        for worker in self._endpoint(endpoint_id).workers:
            if worker.id == worker_id:
                return worker.log
        raise not_found("worker")

    def billed_runs(self) -> Iterator[WorkerRun]:
        """All billed stretches, those of living workers up to now."""
        self.catch_up()
        yield from self.runs
        for endpoint in self.endpoints.values():
            for worker in endpoint.workers:
                if run := self._run_of(endpoint, worker):
                    yield run

    # Job plane.

    def submit(self, endpoint_id: str, body: Any, kind: str) -> Job:
        """POST run or runsync (`kind`)."""
        endpoint = self._queue_endpoint(endpoint_id)
        if not isinstance(body, dict) or "input" not in body:
            raise Refusal(400, "input is required")
        policy = _policy(body.get("policy"))
        switch = body["input"].get("sandbox", {}) if isinstance(body["input"], dict) else {}
        service_time_s: Any = switch.get("service_time_s") if isinstance(switch, dict) else None
        timeout_ms = policy.get("executionTimeout") or endpoint.config["timeout"] or DEFAULT_EXECUTION_TIMEOUT_MS
        job = Job(
            id=f"{'sync-' if kind == 'runsync' else ''}{uuid.UUID(int=self._random.getrandbits(128), version=4)}-u1",
            input=body["input"],
            policy=policy,
            kind=kind,
            queued_at=self._now,
            execution_timeout_s=timeout_ms / 1000,
            expires_at=self._now + policy.get("ttl", DEFAULT_TTL_MS) / 1000,
            service_time_s=service_time_s if _is_number(service_time_s) else self.switches.service_time_s,
        )
        endpoint.jobs[job.id] = job
        endpoint.queue.append(job)
        endpoint.active_at = self._now
        self._settle_all()
        return job

    def job(self, endpoint_id: str, job_id: str) -> Job:
        """GET status."""
        endpoint = self._queue_endpoint(endpoint_id)
        if job_id not in endpoint.jobs:
            raise not_found("job")
        return endpoint.jobs[job_id]

    def cancel(self, endpoint_id: str, job_id: str) -> Job:
        """POST cancel: from the queue or from the worker, which is ended; a finished job stays as it is."""
        job = self.job(endpoint_id, job_id)
        if job.status not in FINAL:
            self._finish(self.endpoints[endpoint_id], job, JobStatus.CANCELLED, ends_worker=True)
            self._settle_all()
        return job

    def retry(self, endpoint_id: str, job_id: str) -> Job:
        """POST retry: a failed or timed-out job goes back into the queue under its id, without its output."""
        job = self.job(endpoint_id, job_id)
        if job.status not in (JobStatus.FAILED, JobStatus.TIMED_OUT):
            raise Refusal(400, f"job is {job.status}; only FAILED or TIMED_OUT jobs can be retried")
        job.expires_at += self._now - job.queued_at
        job.status, job.queued_at, job.started_at, job.finished_at = JobStatus.IN_QUEUE, self._now, None, None
        job.worker_id, job.output, job.error, job.run, job.answer = None, None, None, None, None
        endpoint = self.endpoints[endpoint_id]
        endpoint.counts["retried"] += 1
        endpoint.queue.append(job)
        endpoint.active_at = self._now
        self._settle_all()
        return job

    def purge(self, endpoint_id: str) -> int:
        """POST purge-queue: how many waiting jobs were removed; running ones go on."""
        endpoint = self._queue_endpoint(endpoint_id)
        removed = list(endpoint.queue)
        for job in removed:
            self._finish(endpoint, job, JobStatus.CANCELLED)
        self._settle_all()
        return len(removed)

    def requests(self, endpoint_id: str) -> list[Job]:
        """GET requests: the jobs that are kept."""
        return [*self._queue_endpoint(endpoint_id).jobs.values()]

    def health(self, endpoint_id: str) -> dict[str, Any]:
        """GET health."""
        endpoint = self._queue_endpoint(endpoint_id)
        counts = {str(status).lower(): 0 for status in WorkerStatus}
        for worker in endpoint.workers:
            counts[str(worker.status).lower()] += 1
        in_progress = sum(job.status is JobStatus.IN_PROGRESS for job in endpoint.jobs.values())
        return {
            "jobs": {**endpoint.counts, "inProgress": in_progress, "inQueue": len(endpoint.queue)},
            "workers": {**counts, "ready": counts["idle"] + counts["running"]},
        }

    # What the workers' processes report.

    def answered(self, run: str, answer: dict[str, Any]) -> None:
        """A worker's answer to `RunJob`: `{"output": …}` or `{"error": …}`; an answer nobody waits for is ignored."""
        self.catch_up()
        for endpoint in self.endpoints.values():
            for worker in endpoint.workers:
                if worker.job and worker.job.run == run:
                    worker.job.answer = answer
        self._settle_all()

    def crashed(self, worker_id: str, reason: str) -> None:
        """A worker's process ended by itself: its job fails, the worker is gone and replaced where one is wanted."""
        self.catch_up()
        for endpoint in self.endpoints.values():
            for worker in [worker for worker in endpoint.workers if worker.id == worker_id]:
                if worker.job:
                    worker.job.error = f"worker exited: {reason}"
                    self._finish(endpoint, worker.job, JobStatus.FAILED)
                self._stop(endpoint, worker, reason)
        self._settle_all()

    # Time.

    def catch_up(self) -> None:
        """Let everything happen that is due by the clock."""
        now = self.clock.now()
        self._settle_all()
        while (due := self.next_due()) <= now:
            self._now = due
            self._settle_all()
        self._now = max(self._now, now)
        self._settle_all()

    def next_due(self) -> float:
        """When something will happen by itself; infinity where nothing will."""
        return min(
            (due for endpoint in self.endpoints.values() for due in self._dues(endpoint) if due > self._now),
            default=math.inf,
        )

    def close(self) -> None:
        """End all workers, so that what they cost is on record."""
        self.catch_up()
        for endpoint in self.endpoints.values():
            for worker in list(endpoint.workers):
                self._stop(endpoint, worker, "sandbox stopped")

    def _settle_all(self) -> None:
        for endpoint in self.endpoints.values():
            while self._settle(endpoint):
                pass

    def _dues(self, endpoint: Endpoint) -> Iterator[float]:
        for worker in endpoint.workers:
            yield worker.ready_at
            yield worker.idle_since + self._idle_timeout_s(endpoint)
            if (job := worker.job) and job.started_at is not None:
                yield job.started_at + job.execution_timeout_s
                if job.answer is not None:
                    yield job.started_at + job.service_time_s
        for job in endpoint.queue:
            yield job.expires_at
            yield job.queued_at + endpoint.config["scaling"].get("queueDelay", math.inf)
        for job in endpoint.jobs.values():
            if job.finished_at is not None:
                yield job.finished_at + RESULT_KEPT_S[job.kind]
        for after_s, most in INACTIVITY:
            if self.switches.idle_scaledown and endpoint.config["workers"]["max"] > most:
                yield endpoint.active_at + after_s

    def _settle(self, endpoint: Endpoint) -> bool:
        """Do what is due at this moment; whether anything was."""
        return any(
            [
                self._scale_down_inactive(endpoint),
                self._end_jobs(endpoint),
                self._bring_up(endpoint),
                self._end_unwanted(endpoint),
                self._hand_out(endpoint),
                self._scale_up(endpoint),
                self._end_idle(endpoint),
            ]
        )

    def _scale_down_inactive(self, endpoint: Endpoint) -> bool:
        workers = endpoint.config["workers"]
        quiet_s = self._now - endpoint.active_at
        most = min((most for after_s, most in INACTIVITY if quiet_s >= after_s), default=workers["max"])
        if not self.switches.idle_scaledown or workers["max"] <= most:
            return False
        # The documentation makes no exception for minimum workers.
        workers |= {"max": most, "min": min(workers["min"], most)}
        return True

    def _end_jobs(self, endpoint: Endpoint) -> bool:
        ended = False
        for job in list(endpoint.jobs.values()):
            if job.finished_at is not None:
                if job.finished_at + RESULT_KEPT_S[job.kind] <= self._now:
                    del endpoint.jobs[job.id]
                    ended = True
            elif job.started_at is None:
                if job.expires_at <= self._now:
                    self._finish(endpoint, job, JobStatus.TIMED_OUT)
                    ended = True
            elif job.answer is not None and job.started_at + job.service_time_s <= self._now:
                job.output, job.error = job.answer.get("output"), job.answer.get("error")
                self._finish(endpoint, job, JobStatus.COMPLETED if job.error is None else JobStatus.FAILED)
                ended = True
            elif job.started_at + job.execution_timeout_s <= self._now:
                job.error = "job timed out: executionTimeout exceeded"
                self._finish(endpoint, job, JobStatus.TIMED_OUT, ends_worker=True)
                ended = True
        return ended

    def _finish(self, endpoint: Endpoint, job: Job, status: JobStatus, *, ends_worker: bool = False) -> None:
        if job in endpoint.queue:
            endpoint.queue.remove(job)
        job.status, job.finished_at = status, self._now
        if status is not JobStatus.CANCELLED:
            endpoint.counts["completed" if status is JobStatus.COMPLETED else "failed"] += 1
        for worker in [worker for worker in endpoint.workers if worker.job is job]:
            worker.job, worker.status, worker.idle_since = None, WorkerStatus.IDLE, self._now
            self._write(worker, "container", f"Finished job {job.id}: {status}.")
            if ends_worker:
                # It is still at work on a job nobody waits for.
                self._stop(endpoint, worker, f"job {status}")

    def _bring_up(self, endpoint: Endpoint) -> bool:
        changed = False
        for worker in list(endpoint.workers):
            if worker.status is WorkerStatus.THROTTLED:
                changed |= self._place(endpoint, worker)
            elif worker.status is WorkerStatus.INITIALIZING and worker.ready_at <= self._now:
                self._become_ready(worker)
                changed = True
        return changed

    def _place(self, endpoint: Endpoint, worker: Worker) -> bool:
        gpu = endpoint.config.get("gpu")
        if gpu:
            free = [pool for pool in gpu["pools"] if not {pool, "*"} & set(self.switches.throttled)]
            if not free:
                return False
            # Below five workers all go to the best-ranked pool with capacity (documentation); the sandbox has no more.
            worker.pool = free[0]
            kinds = [kind for kind in POOLS[worker.pool].types if kind not in gpu["excludedTypes"]]
            worker.gpu_type = kinds[0] if kinds else None
        elif "*" in self.switches.throttled:
            return False
        worker.data_center = (endpoint.config["dataCenterIds"] or [DATA_CENTER])[0]
        worker.status, worker.started_at = WorkerStatus.INITIALIZING, self._now
        worker.ready_at = self._now + self.switches.cold_start_s
        self._write(worker, "system", f"create container {worker.image}")
        return True

    def _become_ready(self, worker: Worker) -> None:
        worker.ready_at = math.inf
        if worker.image.endswith(":unhealthy"):
            worker.status, worker.billed_until = WorkerStatus.UNHEALTHY, self._now
            self._write(worker, "container", "Loading model failed: this image's tag asks the sandbox to be unhealthy.")
            self._write(worker, "system", "worker exited with exit code 1")
            return
        worker.status, worker.idle_since = WorkerStatus.IDLE, self._now
        self.effects.append(StartWorker(worker.id))
        self._write(worker, "container", "Worker ready.")

    def _end_unwanted(self, endpoint: Endpoint) -> bool:
        """End workers without a job that are outdated or too many; busy ones finish first."""
        free = [worker for worker in endpoint.workers if not worker.job]
        unwanted = [worker for worker in free if worker.version != endpoint.version]
        excess = len(endpoint.workers) - len(unwanted) - endpoint.limits[1]
        # Youngest first: those still starting have done nothing yet.
        current = [worker for worker in reversed(free) if worker not in unwanted]
        unwanted += current[: max(0, excess)]
        for worker in unwanted:
            self._stop(endpoint, worker, "outdated" if worker.version != endpoint.version else "scaled down")
        return bool(unwanted)

    def _hand_out(self, endpoint: Endpoint) -> bool:
        handed = False
        for worker in endpoint.current_workers:
            if worker.status is WorkerStatus.IDLE and endpoint.queue:
                job = endpoint.queue.popleft()
                worker.job, worker.status, worker.idle_since = job, WorkerStatus.RUNNING, math.inf
                job.status, job.started_at, job.worker_id = JobStatus.IN_PROGRESS, self._now, worker.id
                job.run = f"{self._random.getrandbits(64):016x}"
                env = endpoint.config["env"]
                request = {"input": job.input, "image": worker.image, "model": env.get("MODEL_NAME"), "job": job.id}
                self.effects.append(RunJob(worker.id, job.run, request))
                self._write(worker, "container", f"Started job {job.id}.")
                handed = True
        return handed

    def _wanted(self, endpoint: Endpoint) -> int:
        """How many workers of the newest version the scaling rule asks for, within the limits."""
        least, most = endpoint.limits
        wanted: int
        scaling = endpoint.config["scaling"]
        working = sum(worker.job is not None for worker in endpoint.workers)
        if scaling["type"] == "REQUEST_COUNT":
            wanted = math.ceil((len(endpoint.queue) + working) / scaling["requestCount"])
        else:
            wanted = self._wanted_by_delay(endpoint, scaling["queueDelay"])
        return max(least, min(most, wanted))

    def _wanted_by_delay(self, endpoint: Endpoint, delay_s: float) -> int:
        """One more for each job that has waited longer than the delay and for which no worker is starting yet.

        The first worker starts at once: with the default delay of 4 s RunPod's FlashBoot could not have the cold starts
        below a second that it is known for.
        """
        current = endpoint.current_workers
        if not current:
            return min(1, len(endpoint.queue))
        starting = sum(worker.status in (WorkerStatus.INITIALIZING, WorkerStatus.THROTTLED) for worker in current)
        delayed = sum(job.queued_at + delay_s <= self._now for job in endpoint.queue)
        return len(current) + max(0, delayed - starting)

    def _scale_up(self, endpoint: Endpoint) -> bool:
        # Outdated workers that finish their job still count against the most there may be.
        room = endpoint.limits[1] - len(endpoint.workers)
        more = min(room, self._wanted(endpoint) - len(endpoint.current_workers))
        for _ in range(more):
            gpu = endpoint.config.get("gpu")
            worker = Worker(
                id=self._new_id(14),
                version=endpoint.version,
                image=endpoint.config["image"],
                gpu_count=gpu["count"] if gpu else 0,
            )
            endpoint.workers.append(worker)
            self._place(endpoint, worker)
        return more > 0

    def _end_idle(self, endpoint: Endpoint) -> bool:
        floor = endpoint.limits[0]
        if endpoint.config["scaling"]["type"] == "REQUEST_COUNT":
            floor = self._wanted(endpoint)
        spare = len(endpoint.current_workers) - floor
        timeout_s = self._idle_timeout_s(endpoint)
        tired = [worker for worker in endpoint.current_workers if worker.idle_since + timeout_s <= self._now]
        for worker in sorted(tired, key=lambda worker: worker.idle_since)[: max(0, spare)]:
            self._stop(endpoint, worker, "idle")
        return bool(tired) and spare > 0

    def _stop(self, endpoint: Endpoint, worker: Worker, reason: str) -> None:
        self._write(worker, "system", f"stop container: {reason}")
        if run := self._run_of(endpoint, worker):
            self.runs.append(run)
        endpoint.workers.remove(worker)
        self.effects.append(StopWorker(worker.id))

    # Parts.

    def _endpoint(self, endpoint_id: str) -> Endpoint:
        self.catch_up()
        if endpoint_id not in self.endpoints:
            raise not_found("endpoint")
        return self.endpoints[endpoint_id]

    def _queue_endpoint(self, endpoint_id: str) -> Endpoint:
        endpoint = self._endpoint(endpoint_id)
        if endpoint.config["type"] != "QUEUE":
            raise not_found("queue of the endpoint")
        return endpoint

    def _check_quota(self, wanted: int, instead_of: Endpoint | None = None) -> None:
        others = sum(item.config["workers"]["max"] for item in self.endpoints.values() if item is not instead_of)
        if others + wanted > (quota := self.switches.worker_quota):
            raise Refusal(400, f"Max workers across all endpoints must not exceed your workers quota ({quota})")

    def _release(self, endpoint: Endpoint, diff: Iterable[dict[str, Any]]) -> None:
        endpoint.releases.append(
            {
                "id": self._new_id(8),
                "version": endpoint.version,
                "source": "MANUAL",
                "buildId": None,
                "createdByUserId": None,
                "createdAt": rfc3339(self._now),
                "diff": list(diff),
            }
        )

    def _request_urls(self, endpoint: Endpoint) -> dict[str, str]:
        base = f"{self.endpoint_base_url}/{endpoint.id}"
        if endpoint.config["type"] == "LOAD_BALANCER":
            return {"base": base, "health": f"{base}/ping"}
        with_job = {name: f"{base}/{name}/{{job_id}}" for name in ("status", "stream", "cancel", "retry")}
        plain = {"run": "run", "runSync": "runsync", "purgeQueue": "purge-queue", "health": "health"}
        return with_job | {name: f"{base}/{path}" for name, path in plain.items()}

    def _worker_view(self, endpoint: Endpoint, worker: Worker) -> dict[str, Any]:
        started = worker.started_at
        return {
            "id": worker.id,
            "status": str(worker.status),
            # On version 1 the vendor compares images; no worker can have another one there.
            "isStale": worker.version != endpoint.version,
            "version": worker.version,
            "gpuCount": worker.gpu_count,
            "image": worker.image,
            "uptimeSeconds": None if started is None else int(self._now - started),
            "gpuTypeId": worker.gpu_type,
            "dataCenterId": worker.data_center,
            "startedAt": None if started is None else rfc3339(started),
        }

    def _run_of(self, endpoint: Endpoint, worker: Worker) -> WorkerRun | None:
        if worker.started_at is None:
            return None
        return WorkerRun(
            endpoint_id=endpoint.id,
            pool=worker.pool,
            gpu_count=worker.gpu_count,
            start=worker.started_at,
            end=worker.billed_until or self._now,
        )

    def _idle_timeout_s(self, endpoint: Endpoint) -> float:
        return float(endpoint.config["workers"].get("idleTimeout", REQUEST_COUNT_IDLE_S))

    def _write(self, worker: Worker, source: str, line: str) -> None:
        self._lines += 1
        worker.log.append(LogLine(self._now, self._lines, source, line))

    def _new_id(self, length: int) -> str:
        return "".join(self._random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=length))

    # Keeping.

    def to_json(self) -> dict[str, Any]:
        """What outlives the process: objects, closed worker runs, switches and the time. Workers and jobs do not."""
        return {
            "now": self.clock.now(),
            "switches": self.switches.to_json(),
            "endpoints": [
                {
                    "id": item.id,
                    "config": item.config,
                    "createdAt": item.created_at,
                    "activeAt": item.active_at,
                    "version": item.version,
                    "releases": item.releases,
                    "counts": item.counts,
                }
                for item in self.endpoints.values()
            ],
            "runs": [[run.endpoint_id, run.pool, run.gpu_count, run.start, run.end] for run in self.runs],
        }

    def load(self, document: dict[str, Any]) -> None:
        """Go on from `to_json`; the clock is pushed ahead where it was ahead before."""
        self.clock.advance(max(0.0, document["now"] - self.clock.now()))
        self._now = self.clock.now()
        self.switches.set(document["switches"])
        for item in document["endpoints"]:
            self.endpoints[item["id"]] = Endpoint(
                id=item["id"],
                config=item["config"],
                created_at=item["createdAt"],
                active_at=item["activeAt"],
                version=item["version"],
                releases=item["releases"],
                counts=item["counts"],
            )
        self.runs = [
            WorkerRun(endpoint_id=endpoint_id, pool=pool, gpu_count=count, start=start, end=end)
            for endpoint_id, pool, count, start, end in document["runs"]
        ]
        self._settle_all()


def rfc3339(seconds: float) -> str:
    """A time of the clock as the API writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _diff(name: str, old: Any, new: Any) -> Iterator[dict[str, Any]]:
    if old == new:
        return
    if name != "gpu":
        yield {"field": _RELEASE_FIELDS[name], "old": old, "new": new}
        return
    names = {"pools": "gpuIds", "count": "gpuCount"}
    for key in new:
        if old[key] != new[key]:
            yield {"field": names.get(key, key), "old": old[key], "new": new[key]}


def _policy(policy: Any) -> dict[str, Any]:
    """Bounds of documentation `send-requests`: executionTimeout 5 s to 7 days, ttl 10 s to 7 days."""
    if policy is None:
        return {}
    if not isinstance(policy, dict):
        raise Refusal(400, "policy must be an object")
    for name, least in (("executionTimeout", 5_000), ("ttl", 10_000)):
        value = policy.get(name)
        if value is not None and not (_is_number(value) and least <= value <= 7 * DAY_S * 1000):
            raise Refusal(400, f"policy.{name} must be between {least} and {7 * DAY_S * 1000:.0f} ms")
    return {name: value for name, value in policy.items() if value is not None}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
