"""Whether a model can fit the memory of its GPUs at all.

A lower bound, so that a refusal is certain: weights and the server's own share only. The KV cache comes on top, but
its size needs the number of layers and heads, which a spec does not state.

Formula: `0.9 * memory * count >= parameters * bytes + 1.5…2 GiB * count`, of which the low end is taken. The 0.9 is
vLLM's default `GPU_MEMORY_UTILIZATION` (README of github.com/runpod-workers/worker-vllm @ 7a92503, 2026-08-20).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from baseload.planner.gpus import Pool
from baseload.planner.spec.model import Model, Precision

BYTES_PER_WEIGHT = {Precision.FP16: Decimal(2), Precision.FP8: Decimal(1), Precision.INT4: Decimal("0.5")}
USABLE_SHARE = Decimal("0.9")
OVERHEAD_GIB = Decimal("1.5")
"""Context, activations and CUDA graphs, per GPU."""
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The two sides of the comparison, in GiB."""

    weights_gib: Decimal
    overhead_gib: Decimal
    usable_gib: Decimal

    @property
    def needed_gib(self) -> Decimal:
        """The least that must be there, without the KV cache."""
        return self.weights_gib + self.overhead_gib

    @property
    def possible(self) -> bool:
        """False is certain; True leaves the KV cache open."""
        return self.needed_gib <= self.usable_gib


def fit(model: Model, pool: Pool, gpu_count: int) -> Fit:
    """What `model` needs at least, and what `gpu_count` cards of `pool` give."""
    return Fit(
        weights_gib=model.parameters * BYTES_PER_WEIGHT[model.precision] / _GIB,
        overhead_gib=OVERHEAD_GIB * gpu_count,
        usable_gib=USABLE_SHARE * pool.memory_gib * gpu_count,
    )
