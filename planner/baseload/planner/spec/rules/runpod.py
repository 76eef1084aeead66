"""RunPod serverless and pods: requests that RunPod would accept and fail on later, and some that it refuses.

Facts: its REST v2 description as synced 2026-08-18 (`api-reference-v2/openapi.json` of github.com/runpod/docs) unless
said otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator

from baseload.planner.diagnostics import Diagnostic, Severity
from baseload.planner.spec.model import Container, Performance, RunpodMode, RunpodTarget
from baseload.planner.spec.rules.check import Check, Sections, number

SLOW_START_S = 7 * 60
"""A worker that takes longer to start is unhealthy, unless told otherwise (docs.runpod.io, serverless endpoints)."""
_PATIENCE = "RUNPOD_INIT_TIMEOUT"
_RUNPOD = ("target", "runpod")


def serverless(check: Check, target: RunpodTarget, found: Sections) -> Iterator[Diagnostic]:
    """What is wrong with a serverless endpoint, but for the memory of its GPUs."""
    yield from _workers(check, target, scheduled=check.given(*_RUNPOD, "schedule"))
    yield from _idle_timeout(check)
    yield from _times(check, target, found.performance, found.container)


def _workers(check: Check, target: RunpodTarget, *, scheduled: bool) -> Iterator[Diagnostic]:
    lowest, highest = (*_RUNPOD, "workers", "min"), (*_RUNPOD, "workers", "max")
    if check.sound((*_RUNPOD, "mode"), lowest) and not scheduled:  # a schedule has minimums of its own
        if target.mode is RunpodMode.ACTIVE and target.workers_min == 0:
            yield check.say(
                "runpod/active-without-workers", "mode `active` needs at least one always-on worker",
                lowest if check.given(*lowest) else (*_RUNPOD, "mode"),
                "set `workers.min` to 1 or more, or `mode: flex`",
            )  # fmt: skip
        if target.mode is RunpodMode.FLEX and target.workers_min > 0:
            yield check.say(
                "runpod/flex-with-workers", f"mode `flex` scales to zero, but `workers.min` is {target.workers_min}",
                lowest, "set `mode: active` for always-on workers, or `workers.min` to 0",
            )  # fmt: skip
    if not check.sound(lowest, highest):
        return
    if target.workers_min > target.workers_max:
        default = "" if check.given(*highest) else ", the default"
        yield check.say(
            "runpod/min-above-max",
            f"`workers.min` {target.workers_min} is more than `workers.max` {target.workers_max}{default}",
            lowest,
            f"raise `workers.max` to {target.workers_min} or more",
        )
    elif target.workers_max == 1:
        yield check.say(
            "runpod/one-worker", "with one worker at most, a throttled host is an outage", highest,
            "set `workers.max` to 2 or 3; workers that do not run are not billed", Severity.WARNING,
        )  # fmt: skip


def _idle_timeout(check: Check) -> Iterator[Diagnostic]:
    timeout, count = (*_RUNPOD, "idle_timeout"), (*_RUNPOD, "scaling", "request_count")
    if check.given(*timeout) and check.given(*count) and check.sound((*_RUNPOD, "scaling")):
        yield check.say(
            "runpod/idle-timeout", "RunPod has no idle timeout with `scaling.request_count`", timeout,
            "remove `idle_timeout`, or scale by `queue_delay`",
        )  # fmt: skip


def _times(
    check: Check, target: RunpodTarget, measured: Performance, container: Container | None
) -> Iterator[Diagnostic]:
    service, cold = ("performance", "service_time"), ("performance", "cold_start")
    if (
        check.sound(service, (*_RUNPOD, "execution_timeout"))
        and measured.service_time_s is not None
        and measured.service_time_s > target.execution_timeout_s
    ):
        yield check.say(
            "runpod/timeout",
            f"a mean request takes {number(measured.service_time_s)} s, "
            f"but RunPod ends it after {number(target.execution_timeout_s)} s",
            service,
            "raise `target.runpod.execution_timeout`",
        )
    patient = (container is not None and _PATIENCE in container.env) or not check.sound(("container", "env"))
    if measured.cold_start_s is not None and measured.cold_start_s > SLOW_START_S and not patient:
        yield check.say(
            "runpod/slow-start", f"RunPod calls a worker unhealthy that starts longer than {SLOW_START_S} s", cold,
            f"{'set' if container else 'serve it as a `container` and set'} `{_PATIENCE}` (in seconds) in its `env`",
            Severity.WARNING,
        )  # fmt: skip
