"""A model id as a container: RunPod's vLLM worker, pinned, with the environment it reads.

Facts from worker-vllm at tag v2.25.2 (README, `src/args_builder.py`, `.runpod/hub.json`, 2026-08-20). Pure: no Pulumi,
no network.
"""

from __future__ import annotations

import math

from baseload.planner.performance.memory import BYTES_PER_WEIGHT
from baseload.planner.spec.model import Container, Model, ModelSpec

IMAGE = "runpod/worker-v1-vllm:v2.25.2"
"""A version, never `latest`: RunPod caches mutable tags, so a moved tag would not roll out."""

MIN_CUDA = "13.0"
"""hub.json allows CUDA 13.0 only; on older drivers the image does not start."""

DISK_GB = 150
"""hub.json's `containerDiskInGb`."""

DISK_BESIDE_WEIGHTS_GB = 50
"""Our own margin for the unpacked image and vLLM's compile cache, where the weights alone come near `DISK_GB`."""

GPU_MEMORY_UTILIZATION = "0.90"
"""The README's default (hub.json says 0.95): the lower one leaves room for CUDA graphs. Sent, so that it is known."""


def container_of(spec: ModelSpec) -> tuple[Container, str | None]:
    """The container that serves `spec`, and the lowest CUDA version its workers need (None: any).

    For a model `QUANTIZATION` is not set: vLLM reads it from the checkpoint, and the precision of the spec says how the
    checkpoint is stored. A higher CUDA version than the image's floor is kept.
    """
    match spec.serves:
        case Container() as container:
            return container, spec.runpod.min_cuda
        case Model() as model:
            return _vllm(spec, model), max(spec.runpod.min_cuda or MIN_CUDA, MIN_CUDA, key=_version)


def _vllm(spec: ModelSpec, model: Model) -> Container:
    weights_gb = model.parameters * BYTES_PER_WEIGHT[model.precision] / 10**9
    return Container(
        image=IMAGE,
        env={
            "MODEL_NAME": model.id,
            "MAX_MODEL_LEN": "auto" if model.max_context is None else str(model.max_context),
            "TENSOR_PARALLEL_SIZE": str(spec.runpod.gpu_count),
            "GPU_MEMORY_UTILIZATION": GPU_MEMORY_UTILIZATION,
            # Sent also where it is the worker's default: the bill was computed with it.
            "MAX_CONCURRENCY": str(spec.performance.concurrency),
            **({} if model.token is None else {"HF_TOKEN": model.token}),
        },
        disk_gb=max(DISK_GB, math.ceil(weights_gb) + DISK_BESIDE_WEIGHTS_GB),
    )


def _version(text: str) -> tuple[int, ...]:
    # RunPod compares CUDA versions as numbers: 12.11 is above 12.2.
    return tuple(int(part) for part in text.split("."))
