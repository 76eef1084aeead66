"""What a change of an endpoint's field means: applied in place, a new release of its workers, or a new endpoint.

Used by the provider's diff and by the plan's view of changes. Imports nothing heavy and makes no call.

Source: RunPod REST v2 specification 2.9.0 (2026-08-18), text of PATCH /v2/serverless/{id}: `workers`, `scaling` and
`timeout` apply promptly, container-affecting changes create a release. GPU, CUDA, data centers, volumes and FlashBoot
bump the version by RunPod's own Flash tool (runpod/flash 757420d, 2026-08-06, serverless resource). `type` and the
compute family cannot be changed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Effect(StrEnum):
    """What a change does to a running endpoint."""

    IN_PLACE = "in place"
    RELEASE = "new release"
    REPLACE = "replace"


EFFECTS: Final = {
    "owner": Effect.REPLACE,
    "type": Effect.REPLACE,
    "name": Effect.IN_PLACE,
    "workers": Effect.IN_PLACE,
    "scaling": Effect.IN_PLACE,
    "timeout": Effect.IN_PLACE,
    "image": Effect.RELEASE,
    "args": Effect.RELEASE,
    "disk": Effect.RELEASE,
    "ports": Effect.RELEASE,
    "env": Effect.RELEASE,
    "registry": Effect.RELEASE,
    "gpu": Effect.RELEASE,
    "flashboot": Effect.RELEASE,
    "dataCenterIds": Effect.RELEASE,
    "networkVolumes": Effect.RELEASE,
}
"""Effect by top-level input."""

SETS: Final = frozenset({"dataCenterIds", "networkVolumes", "gpu.excludedTypes", "gpu.allowedCudaVersions"})
"""Lists whose order says nothing; GPU pools are in order of priority."""


def effect(path: str) -> Effect:
    """What a change at a property path (`workers.max`, `gpu.pools[0]`, `env["a.b"]`) does.

    Raises `KeyError` for a path that is no input of an endpoint.
    """
    return EFFECTS[path.split(".", 1)[0].split("[", 1)[0]]
