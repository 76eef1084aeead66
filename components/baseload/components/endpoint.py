"""`RunpodEndpoint`: one model spec as a Pulumi component.

Every field that RunPod knows is sent, also where it has a default: RunPod's documents and its service disagree on
them (`timeout` 300000 or 0, `idleTimeout` 5 or 10, FlashBoot on or off, by interface).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

import pulumi

from baseload.components.runpod import Endpoint
from baseload.components.vllm import container_of
from baseload.planner.spec.model import FlashBoot, ModelSpec, QueueDelay, RequestCount

START_TIMEOUT = "45m"
"""For create and update: a vLLM image is pulled first, then the worker has its own VLLM_STARTUP_TIMEOUT (1200 s)."""

DELETE_TIMEOUT = "10m"

_FLASHBOOT = {FlashBoot.OFF: "OFF", FlashBoot.FLASHBOOT: "FLASHBOOT", FlashBoot.PRIORITY: "PRIORITY_FLASHBOOT"}


class Gpu(TypedDict):
    """Which GPUs a worker may get: pools in order of preference, and how many of them."""

    pools: Sequence[str]
    count: int
    excludedTypes: Sequence[str]
    allowedCudaVersions: Sequence[str]
    minCudaVersion: str | None


class Settings(TypedDict):
    """What RunPod manages of an endpoint, by its names in RunPod's REST v2; all of it, always."""

    name: pulumi.Input[str]
    type: Literal["QUEUE"]
    image: pulumi.Input[str]
    args: pulumi.Input[str]
    disk: pulumi.Input[int]
    ports: pulumi.Input[Sequence[str]]
    registry: pulumi.Input[str | None]
    gpu: pulumi.Input[Gpu]
    workers: pulumi.Input[Mapping[str, int]]
    scaling: pulumi.Input[Mapping[str, str | float]]
    dataCenterIds: pulumi.Input[Sequence[str]]
    networkVolumes: pulumi.Input[Sequence[str]]
    timeout: pulumi.Input[int]
    flashboot: pulumi.Input[str]


class RunpodEndpointArgs(Settings):
    """The inputs of an endpoint."""

    owner: pulumi.Input[str]
    env: pulumi.Input[Mapping[str, str]]


@pulumi.type_token("baseload:index:RunpodEndpoint")
class RunpodEndpoint(pulumi.ComponentResource):
    """A RunPod serverless endpoint with the options it needs: long timeouts, and replace by delete first.

    Delete first, because the number of workers is limited over all endpoints of an account, and because two endpoints
    of one resource could not be told apart after a crash.
    """

    def __init__(self, name: str, args: RunpodEndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("baseload:index:RunpodEndpoint", name, {**args}, opts)
        self.endpoint = Endpoint(
            f"{name}-endpoint",
            {**args},
            pulumi.ResourceOptions(
                parent=self,
                delete_before_replace=True,
                custom_timeouts=pulumi.CustomTimeouts(
                    create=START_TIMEOUT, update=START_TIMEOUT, delete=DELETE_TIMEOUT
                ),
            ),
        )
        self.endpoint_id = self.endpoint.endpoint_id
        self.url = self.endpoint.url
        self.register_outputs({"endpointId": self.endpoint_id, "url": self.url})


def args_of(spec: ModelSpec, owner: pulumi.Input[str], env: pulumi.Input[Mapping[str, str]]) -> RunpodEndpointArgs:
    """The inputs that `spec` means, owned by the `Owner` with the id `owner`; `env` as `environments` gives it."""
    return {"owner": owner, "env": env, **settings(spec)}


def settings(spec: ModelSpec) -> Settings:
    """What `spec` wants of its endpoint, without what only a running program knows."""
    target = spec.runpod
    container, min_cuda = container_of(spec)
    return {
        "name": spec.name,
        "type": "QUEUE",
        "image": container.image,
        "args": container.args,
        "disk": container.disk_gb,
        "ports": [],
        "registry": container.registry,
        "gpu": {
            "pools": [target.gpu],
            "count": target.gpu_count,
            "excludedTypes": [],
            "allowedCudaVersions": [],
            "minCudaVersion": min_cuda,
        },
        "workers": _workers(spec),
        "scaling": _scaling(target.scaling),
        "dataCenterIds": list(target.data_centers),
        "networkVolumes": [] if target.volume is None else [target.volume],
        "timeout": int(target.execution_timeout_s * 1000),
        "flashboot": _FLASHBOOT[target.flashboot],
    }


def _workers(spec: ModelSpec) -> dict[str, int]:
    workers = {"min": spec.runpod.workers_min, "max": spec.runpod.workers_max}
    if spec.runpod.idle_timeout_s is not None:  # RunPod answers 422 where REQUEST_COUNT comes with an idle timeout
        workers["idleTimeout"] = spec.runpod.idle_timeout_s
    return workers


def _scaling(scaling: QueueDelay | RequestCount) -> dict[str, Any]:
    match scaling:
        case QueueDelay(seconds=seconds):
            return {"type": "QUEUE_DELAY", "queueDelay": float(seconds)}
        case RequestCount(requests=requests):
            return {"type": "REQUEST_COUNT", "requestCount": requests}
