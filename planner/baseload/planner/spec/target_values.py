"""From checked content to the values of targets other than RunPod serverless, and of a target's schedule.

As `values`: every function takes content that the schema has accepted and cannot fail on it. Apart from it because a
stack on RunPod serverless need not load what prices the others.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from baseload.planner.performance.memory import BYTES_PER_WEIGHT
from baseload.planner.spec.model import Container, Model, Schedule, Weekday, Window
from baseload.planner.spec.values import Content, given, in_seconds
from baseload.planner.targets.aws import LambdaSagemaker, SagemakerServerless
from baseload.planner.targets.hybrid import Hybrid, Side
from baseload.planner.targets.modal import REGIONS, Modal
from baseload.planner.targets.runpod import RunpodPod

if TYPE_CHECKING:
    from baseload.planner.targets import Target


def target(name: str, content: Content, serves: Model | Container | None) -> Target:
    """The section `target.<name>`."""
    match name:
        case "lambda-sagemaker":
            return lambda_sagemaker(content)
        case "sagemaker-serverless":
            return sagemaker_serverless(content, serves)
        case "runpod-pod":
            return runpod_pod(content)
        case "modal":
            return modal(content)
        case _:
            return hybrid(content)


def lambda_sagemaker(content: Content) -> LambdaSagemaker:
    """The section `target.lambda-sagemaker`."""
    return LambdaSagemaker(
        **given(content, "instance", "region", "memory_mb", "architecture", "front", "log_bytes"),
        **{f"instances_{end}": count for end, count in content.get("instances", {}).items()},
    )


def sagemaker_serverless(content: Content, serves: Model | Container | None = None) -> SagemakerServerless:
    """The section `target.sagemaker-serverless`, which must hold the weights of what it serves."""
    weights = serves.parameters * BYTES_PER_WEIGHT[serves.precision] if isinstance(serves, Model) else None
    return SagemakerServerless(
        **given(content, "memory_mb", "max_concurrency", "region"),
        provisioned=content.get("provisioned_concurrency", 0),
        model_gb=None if weights is None else (weights / 10**9).quantize(Decimal("0.01")),
    )


def runpod_pod(content: Content) -> RunpodPod:
    """The section `target.runpod-pod`."""
    return RunpodPod(**given(content, "gpu", "gpu_count", "pods", "tier", "disk_gb", "volume_gb", "network_volume_gb"))


def modal(content: Content) -> Modal:
    """The section `target.modal`."""
    counts = content.get("containers", {})
    return Modal(
        gpu=content.get("gpu"),
        **given(content, "gpu_count", "nonpreemptible", "plan"),
        **_renamed(given(content, "cpu", read=Decimal), cpu="cores"),
        **given(content, "memory_gib", "volume_gib", read=Decimal),
        **_renamed(given(counts, "min", "max", "buffer"), min="containers_min", max="containers_max"),
        **_renamed(in_seconds(content, "scaledown_window", read=int), scaledown_window_s="scaledown_s"),
        **given(content, "region", read=_breadth),
    )


def hybrid(content: Content) -> Hybrid:
    """The section `target.hybrid`."""
    ((dedicated, baseline),) = content["baseline"].items()
    ((flexible, burst),) = content["burst"].items()
    return Hybrid(
        **_baseline(dedicated, baseline),
        **given(content, "base"),
        **(_runpod_burst(burst) if flexible == "runpod" else _modal_burst(burst)),
    )


def schedule(content: Content, time_zone: str) -> Schedule:
    """The section `schedule` of a target; `time_zone` is that of the traffic."""
    return Schedule(
        windows=tuple(map(_window, content["windows"])),
        time_zone=content.get("time_zone", time_zone),
        **given(content, "otherwise"),
    )


def _baseline(name: str, content: Content) -> dict[str, Any]:
    if name == "lambda-sagemaker":
        one = lambda_sagemaker(content)
        side = Side(provider="aws", product="sagemaker-realtime", gpu=one.instance, region=one.region)
        return {"dedicated": side, "beside": one}
    if name == "runpod-pod":
        pod = runpod_pod(content)
        side = Side(provider="runpod", product="pod", gpu=pod.gpu, tier=pod.tier, gpu_count=pod.gpu_count)
        return {"dedicated": side, "beside": pod}
    return {"dedicated": _runpod_side(content)}


def _runpod_side(content: Content) -> Side:
    return Side(provider="runpod", product="serverless", **given(content, "gpu", "gpu_count"))


def _runpod_burst(content: Content) -> dict[str, Any]:
    """The schema's defaults, which are those of a `runpod` target."""
    times = in_seconds({"idle_timeout": "5s", "queue_delay": "4s", **content}, "idle_timeout", "queue_delay")
    return {
        "burst": _runpod_side(content),
        "burst_max": content.get("workers", {}).get("max", 3),
        **_renamed(times, queue_delay_s="start_delay_s"),
    }


def _modal_burst(content: Content) -> dict[str, Any]:
    containers = modal(content)
    side = Side(
        provider="modal",
        product="serverless",
        gpu=containers.gpu or "",
        gpu_count=containers.gpu_count,
        beside=(("cpu", containers.cores), ("memory", containers.memory_gib)),
        factor_name=REGIONS.get(containers.region or ""),
    )
    return {
        "burst": side,
        "burst_max": containers.containers_max,
        "idle_timeout_s": Decimal(containers.scaledown_s),
        "plan": f"modal/{containers.plan}",
    }


def _window(content: Content) -> Window:
    found = {"from": "00:00", "to": "24:00", **content}
    return Window(
        **given(content, "days", read=_days),
        from_minute=_minute(found["from"]),
        until_minute=_minute(found["to"]) or 24 * 60,
        workers_min=content["min"],
    )


def _days(days: str | list[str]) -> tuple[Weekday, ...]:
    if isinstance(days, list):
        return tuple(day for day in Weekday if day in days)
    week = list(Weekday)
    first, _, last = days.partition("-")
    begin, end = week.index(Weekday(first)), week.index(Weekday(last or first))
    return tuple(week[begin : end + 1] if begin <= end else [*week[: end + 1], *week[begin:]])


def _minute(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)


def _breadth(region: str) -> str:
    """Modal bills by how narrow a region is: `us` is broad, `us-east` narrow."""
    return "narrow" if "-" in region else "broad"


def _renamed(values: dict[str, Any], **names: str) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in values.items()}
