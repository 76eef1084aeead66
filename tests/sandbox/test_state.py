"""The state machine on a clock that only moves when told; a stand-in answers for the workers' processes."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from baseload.sandbox.clock import ManualClock
from baseload.sandbox.runpod import Switches, catalog
from baseload.sandbox.runpod.refusal import Refusal
from baseload.sandbox.runpod.state import Cloud, JobStatus, RunJob, StartWorker, StopWorker

HOUR_S, DAY_S = 3600, 86400
COUNT = {"type": "REQUEST_COUNT", "requestCount": 2}


class Live:
    """A cloud whose workers answer at once, and that checks what it is told to do."""

    def __init__(self, **switches):
        defaults = {"cold_start_s": 10.0, "service_time_s": 1.0}
        self.clock = ManualClock()
        self.cloud = Cloud(self.clock, switches=Switches(**{**defaults, **switches}), randomness=random.Random(0))
        self.running: set[str] = set()

    def perform(self):
        effects = self.cloud.effects
        while effects:
            match effects.popleft():
                case StartWorker(worker_id):
                    assert worker_id not in self.running
                    self.running.add(worker_id)
                case StopWorker(worker_id):
                    self.running.discard(worker_id)
                case RunJob(worker_id, run, request):
                    assert worker_id in self.running
                    wish = request["input"]
                    self.cloud.answered(run, {"error": "bad"} if wish == "bad" else {"output": wish})

    def advance(self, seconds):
        target = self.clock.now() + seconds
        self.perform()
        while (due := self.cloud.next_due()) <= target:
            self.clock.advance(due - self.clock.now())
            self.cloud.catch_up()
            self.perform()
        self.clock.advance(target - self.clock.now())
        self.cloud.catch_up()
        self.perform()

    def create(self, **changes):
        body = {
            "name": "a",
            "type": "QUEUE",
            "image": "example/worker:1",
            "gpu": {"pools": ["ADA_24", "AMPERE_24"]},
            "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
            "workers": {"min": 0, "max": 3, "idleTimeout": 5},
        }
        id_ = self.cloud.create(body | changes)["id"]
        self.perform()
        return id_

    def submit(self, id_, value="hello", kind="run", **policy):
        job = self.cloud.submit(id_, {"input": value, "policy": policy}, kind)
        self.perform()
        return job

    def summary(self, id_):
        counts = self.cloud.workers(id_)["summary"]
        return {name: count for name, count in counts.items() if count}


def test_from_cold_to_idle_to_nothing_and_its_bill():
    live = Live()
    id_ = live.create()
    assert live.summary(id_) == {}
    job = live.submit(id_)
    assert live.summary(id_) == {"initializing": 1, "total": 1}
    live.advance(10)
    assert live.summary(id_) == {"running": 1, "total": 1}
    live.advance(1)
    assert (job.view()["delayTime"], job.view()["executionTime"], job.output) == (10_000, 1_000, "hello")
    live.advance(4.9)
    assert live.summary(id_) == {"idle": 1, "total": 1}
    live.advance(0.2)
    assert live.summary(id_) == {}
    # Cold start 10 s, work 1 s, idle tail 5 s.
    assert [catalog.billed_seconds(run) for run in live.cloud.billed_runs()] == [16]
    bill = catalog.serverless_bill({}, live.cloud.billed_runs(), live.clock.now())
    assert bill["metadata"]["totals"]["gpuAmount"] == float(16 * Decimal("0.00031"))


def test_minimum_workers_are_there_at_once_and_cost_all_the_time():
    live = Live()
    id_ = live.create(workers={"min": 2, "max": 3, "idleTimeout": 5}, gpu={"pools": ["ADA_24"], "count": 2})
    assert live.summary(id_) == {"initializing": 2, "total": 2}
    live.advance(HOUR_S)
    assert live.summary(id_) == {"idle": 2, "total": 2}
    bill = catalog.serverless_bill({"bucketSize": "hour"}, live.cloud.billed_runs(), live.clock.now())
    assert bill["metadata"]["totals"]["gpuAmount"] == float(2 * 2 * 3600 * Decimal("0.00031"))
    live.cloud.delete(id_)
    assert live.cloud.effects.count(StopWorker(next(iter(live.running)))) == 1
    live.advance(HOUR_S)
    assert sum(catalog.billed_seconds(run) for run in live.cloud.billed_runs()) == 2 * 3600


def test_a_bill_across_midnight_falls_into_two_days():
    live = Live()
    live.create(workers={"min": 1, "max": 1})
    live.advance(14 * HOUR_S)
    bill = catalog.serverless_bill({"bucketSize": "day"}, live.cloud.billed_runs(), live.clock.now())
    assert [record["gpuAmount"] for record in bill["records"]] == [
        float(hours * 3600 * Decimal("0.00031")) for hours in (12, 2)
    ]


def test_without_a_price_there_is_no_amount():
    live = Live()
    live.create(gpu={"pools": ["ADA_32_PRO"]}, workers={"min": 1, "max": 1})
    live.advance(60)
    runs = [*live.cloud.billed_runs()]
    assert catalog.serverless_bill({}, runs, live.clock.now())["records"] == []
    assert catalog.unpriced(runs) == ["ADA_32_PRO"]


def test_queue_delay_adds_a_worker_for_each_job_that_waited_too_long():
    live = Live(service_time_s=60.0)
    id_ = live.create(workers={"min": 0, "max": 5, "idleTimeout": 5})
    for _ in range(4):
        live.submit(id_)
    assert live.summary(id_)["total"] == 1
    live.advance(3.9)
    assert live.summary(id_)["total"] == 1
    live.advance(0.2)
    assert live.summary(id_) == {"initializing": 4, "total": 4}
    live.advance(20)
    assert live.summary(id_) == {"running": 4, "total": 4}


def test_request_count_wants_one_worker_for_so_many_requests():
    live = Live(service_time_s=60.0)
    id_ = live.create(scaling=COUNT, workers={"min": 0, "max": 2})
    for wanted in (1, 1, 2, 2, 2):
        live.submit(id_)
        assert live.summary(id_)["total"] == wanted
    live.advance(10 * 60)
    assert live.summary(id_) == {}


def test_a_new_release_ends_idle_workers_at_once_and_busy_ones_after_their_job():
    live = Live(service_time_s=30.0)
    id_ = live.create(workers={"min": 2, "max": 3, "idleTimeout": 5})
    live.advance(10)
    job = live.submit(id_)
    live.cloud.patch(id_, {"image": "example/worker:2"})
    seen = {(worker["status"], worker["isStale"]) for worker in live.cloud.workers(id_)["workers"]}
    assert seen == {("RUNNING", True), ("INITIALIZING", False)}
    rollout = live.cloud.releases(id_)["rollout"]
    assert (rollout["inProgress"], rollout["workersOnLatest"], rollout["workersTotal"]) == (True, 2, 3)
    live.advance(30)
    assert job.status is JobStatus.COMPLETED
    assert live.cloud.releases(id_)["rollout"] == {
        "inProgress": False,
        "workersOnLatest": 2,
        "workersTotal": 2,
        "percentOnLatest": 100,
    }


def test_fewer_workers_end_at_once():
    live = Live()
    id_ = live.create(workers={"min": 3, "max": 3, "idleTimeout": 5})
    live.advance(10)
    live.cloud.patch(id_, {"workers": {"min": 0, "max": 1}})
    assert live.summary(id_) == {"idle": 1, "total": 1}
    live.cloud.patch(id_, {"workers": {"max": 0}})
    assert live.summary(id_) == {}


def test_without_capacity_workers_wait_and_cost_nothing():
    live = Live(throttled=["*"])
    id_ = live.create(workers={"min": 1, "max": 1})
    live.advance(HOUR_S)
    assert live.summary(id_) == {"throttled": 1, "total": 1}
    assert [*live.cloud.billed_runs()] == []
    live.cloud.switches.set({"throttled": ["ADA_24"]})
    live.advance(1)
    (worker,) = live.cloud.workers(id_)["workers"]
    assert (worker["status"], worker["gpuTypeId"]) == ("INITIALIZING", "NVIDIA L4")


def test_an_unhealthy_image_says_why_in_its_log_only():
    live = Live()
    id_ = live.create(image="example/worker:unhealthy", workers={"min": 1, "max": 1})
    live.advance(HOUR_S)
    assert live.summary(id_) == {"unhealthy": 1, "total": 1}
    (worker,) = live.cloud.workers(id_)["workers"]
    assert "exit code 1" in live.cloud.log(id_, worker["id"])[-1].line
    assert [catalog.billed_seconds(run) for run in live.cloud.billed_runs()] == [10]
    live.cloud.patch(id_, {"image": "example/worker:1"})
    live.advance(10)
    assert live.summary(id_) == {"idle": 1, "total": 1}


def test_jobs_fail_time_out_expire_and_come_back():
    live = Live()
    id_ = live.create()
    bad = live.submit(id_, "bad")
    slow = live.submit(id_, {"sandbox": {"service_time_s": 1000}}, executionTimeout=5000)
    live.advance(17)
    assert (bad.status, bad.error) == (JobStatus.FAILED, "bad")
    assert slow.status is JobStatus.TIMED_OUT
    assert "executionTimeout" in slow.view()["error"]
    live.cloud.patch(id_, {"workers": {"max": 0}})
    waiting = live.submit(id_, ttl=15_000)
    live.advance(15)
    assert waiting.status is JobStatus.TIMED_OUT
    live.cloud.patch(id_, {"workers": {"max": 1}})
    assert live.cloud.retry(id_, waiting.id).status is JobStatus.IN_QUEUE
    live.advance(20)
    assert waiting.output == "hello"
    with pytest.raises(Refusal, match="only FAILED or TIMED_OUT"):
        live.cloud.retry(id_, waiting.id)
    assert live.cloud.health(id_)["jobs"] == {"completed": 1, "failed": 3, "retried": 1, "inProgress": 0, "inQueue": 0}


def test_an_endpoints_own_timeout_holds_and_none_is_ten_minutes():
    live = Live()
    asked = {"sandbox": {"service_time_s": 10_000}}
    own, none = live.create(timeout=5_000), live.create(timeout=0)
    first, second = live.submit(own, asked), live.submit(none, asked)
    live.advance(10 + 5)
    assert (first.status, second.status) == (JobStatus.TIMED_OUT, JobStatus.IN_PROGRESS)
    live.advance(595)
    assert second.status is JobStatus.TIMED_OUT


def test_results_are_kept_for_their_time():
    live = Live()
    id_ = live.create()
    run, runsync = live.submit(id_), live.submit(id_, kind="runsync")
    live.advance(12 + 59)
    assert live.cloud.job(id_, runsync.id).output == "hello"
    live.advance(2)
    with pytest.raises(Refusal, match="job not found"):
        live.cloud.job(id_, runsync.id)
    live.advance(1730)
    assert live.cloud.job(id_, run.id)
    live.advance(30)
    assert live.cloud.requests(id_) == []


def test_cancel_and_purge():
    live = Live(service_time_s=60.0)
    id_ = live.create(workers={"min": 1, "max": 1})
    live.advance(10)
    running, first, second = (live.submit(id_) for _ in range(3))
    assert live.cloud.purge(id_) == 2
    assert {first.status, second.status} == {JobStatus.CANCELLED}
    assert live.cloud.cancel(id_, running.id).status is JobStatus.CANCELLED
    assert live.summary(id_) == {"initializing": 1, "total": 1}
    waiting = live.submit(id_)
    live.cloud.delete(id_)
    assert waiting.status is JobStatus.CANCELLED


def test_a_crashed_worker_fails_its_job_and_is_replaced():
    live = Live(service_time_s=60.0)
    id_ = live.create(workers={"min": 1, "max": 1})
    live.advance(10)
    job = live.submit(id_)
    live.cloud.crashed(str(job.worker_id), "exit code 134")
    assert (job.status, job.error) == (JobStatus.FAILED, "worker exited: exit code 134")
    assert live.summary(id_) == {"initializing": 1, "total": 1}


def test_runpod_scales_down_what_nobody_uses():
    live = Live()
    id_ = live.create(workers={"min": 1, "max": 5, "idleTimeout": 5})
    workers = lambda: live.cloud.get(id_)["workers"]["max"]  # noqa: E731
    live.advance(3 * DAY_S - 1)
    assert workers() == 5
    live.advance(1)
    assert workers() == 2
    live.submit(id_)
    live.advance(4 * DAY_S)
    assert workers() == 2
    live.advance(3 * DAY_S)
    assert (workers(), live.summary(id_)) == (0, {})
    live.cloud.patch(id_, {"workers": {"max": 5, "min": 1}})
    live.advance(DAY_S)
    assert (workers(), live.summary(id_)) == (5, {"idle": 1, "total": 1})


@pytest.mark.parametrize(("usd", "quota"), [(5, 5), (100, 10), ("299.99", 20), (900, 60), (5000, 60)])
def test_the_quota_follows_the_balance(usd, quota):
    live = Live(balance_usd=Decimal(str(usd)))
    live.create(workers={"max": quota - 1})
    id_ = live.create(workers={"max": 1})
    with pytest.raises(Refusal, match=f"workers quota \\({quota}\\)"):
        live.cloud.patch(id_, {"workers": {"max": 2}})


@settings(max_examples=60, stateful_step_count=30)
class Account(RuleBasedStateMachine):
    """Whatever is done in whatever order, what must always hold holds."""

    @initialize(cold_start_s=st.sampled_from([0.0, 0.5, 10.0]), service_time_s=st.sampled_from([0.0, 3.0]))
    def begin(self, cold_start_s, service_time_s):
        self.live = Live(cold_start_s=cold_start_s, service_time_s=service_time_s)
        self.cloud = self.live.cloud
        self.billed = 0

    def endpoint(self, data):
        return data.draw(st.sampled_from(sorted(self.cloud.endpoints)))

    def any_endpoint(self):
        return bool(self.cloud.endpoints)

    @rule(least=st.integers(0, 2), most=st.integers(0, 4), by_count=st.booleans(), sick=st.booleans())
    def create(self, least, most, by_count, sick):
        if len(self.cloud.endpoints) < 3:
            scaling = {"scaling": COUNT} if by_count else {}
            image = f"i:{'unhealthy' if sick else '1'}"
            self.live.create(workers={"min": least, "max": most}, image=image, **scaling)

    @precondition(any_endpoint)
    @rule(data=st.data(), value=st.sampled_from(["x", "bad", {"sandbox": {"service_time_s": 9}}]))
    def submit(self, data, value):
        self.live.submit(self.endpoint(data), value, ttl=data.draw(st.sampled_from([10_000, 60_000])))

    @precondition(any_endpoint)
    @rule(data=st.data(), image=st.sampled_from(["i:1", "i:2"]), least=st.integers(0, 2), most=st.integers(0, 4))
    def patch(self, data, image, least, most):
        self.cloud.patch(self.endpoint(data), {"image": image, "workers": {"min": least, "max": most}})
        self.live.perform()

    @precondition(any_endpoint)
    @rule(data=st.data())
    def delete(self, data):
        self.cloud.delete(self.endpoint(data))
        self.live.perform()

    @precondition(lambda self: self.live.running)
    @rule(data=st.data())
    def crash(self, data):
        worker_id = data.draw(st.sampled_from(sorted(self.live.running)))
        self.cloud.crashed(worker_id, "exit code 1")
        self.live.perform()

    @precondition(any_endpoint)
    @rule(data=st.data())
    def cancel(self, data):
        id_ = self.endpoint(data)
        if jobs := self.cloud.requests(id_):
            self.cloud.cancel(id_, data.draw(st.sampled_from(sorted(job.id for job in jobs))))
            self.live.perform()

    @rule(throttled=st.sampled_from([[], ["*"], ["ADA_24"]]))
    def capacity(self, throttled):
        self.cloud.switches.set({"throttled": throttled})

    @rule(seconds=st.sampled_from([0.1, 1, 5, 60, 4 * DAY_S]))
    def advance(self, seconds):
        self.live.advance(seconds)

    @invariant()
    def holds(self):
        if not hasattr(self, "live"):
            return
        started = {worker.id for item in self.cloud.endpoints.values() for worker in item.workers}
        assert self.live.running <= started
        for id_, endpoint in self.cloud.endpoints.items():
            self.workers_hold(id_, endpoint)
            self.jobs_hold(endpoint)
        billed = sum(catalog.billed_seconds(run) for run in self.cloud.billed_runs())
        assert billed >= self.billed
        self.billed = billed

    def workers_hold(self, id_, endpoint):
        summary = self.cloud.workers(id_)["summary"]
        assert sum(count for name, count in summary.items() if name != "total") == summary["total"]
        least, most = endpoint.limits
        free = [worker for worker in endpoint.workers if not worker.job]
        # Above the most there may be only workers that finish their job.
        assert len(endpoint.workers) <= most or not free
        assert all(worker.version == endpoint.version for worker in free)
        assert len(endpoint.workers) >= min(least, most)

    def jobs_hold(self, endpoint):
        working = [worker.job.id for worker in endpoint.workers if worker.job]
        in_progress = [job.id for job in endpoint.jobs.values() if job.status is JobStatus.IN_PROGRESS]
        assert sorted(working) == sorted(in_progress)
        assert all(job.status is JobStatus.IN_QUEUE for job in endpoint.queue)
        idle = [worker for worker in endpoint.current_workers if worker.status == "IDLE"]
        assert not (idle and endpoint.queue)


TestAccount = Account.TestCase
