"""Whether a model can fit the memory of its GPUs at all.

A lower bound, so that a refusal is certain: weights, the server's own share, and the KV cache of one request where the
model's layers are known (`models`); the server does not start where one request of the longest context has no room.

Formula: `0.9 * memory * count >= parameters * bytes + tokens * KV bytes + 1.5…2 GiB * count`, of which the low end is
taken. The 0.9 is vLLM's default `GPU_MEMORY_UTILIZATION` (README of github.com/runpod-workers/worker-vllm @ 7a92503,
2026-08-20).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from baseload.planner.performance.models import shape_of
from baseload.planner.spec.model import Model, Precision, Traffic

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
    kv_gib: Decimal
    """Of one request; zero where the model's layers, or the tokens, are not known."""
    usable_gib: Decimal

    @property
    def needed_gib(self) -> Decimal:
        """The least that must be there."""
        return self.weights_gib + self.overhead_gib + self.kv_gib

    @property
    def possible(self) -> bool:
        """False is certain; True leaves what is not known of the KV cache open."""
        return self.needed_gib <= self.usable_gib


def fit(model: Model, memory_gib: int, gpu_count: int, kv_tokens: Decimal = Decimal(0)) -> Fit:
    """What `model` needs at least with one request of `kv_tokens`, and what `gpu_count` cards of `memory_gib` give."""
    shape = shape_of(model)
    return Fit(
        weights_gib=model.parameters * BYTES_PER_WEIGHT[model.precision] / _GIB,
        overhead_gib=OVERHEAD_GIB * gpu_count,
        kv_gib=kv_tokens * Decimal(shape.kv_bytes_per_token) / _GIB if shape.known else Decimal(0),
        usable_gib=USABLE_SHARE * memory_gib * gpu_count,
    )


def longest_request(model: Model, traffic: Traffic | None) -> Decimal:
    """Tokens of one request that must have room: the longest the server is told to take, else a mean one."""
    if model.max_context is not None:
        return Decimal(model.max_context)
    tokens = traffic.tokens if traffic else None
    return tokens.prompt + tokens.output if tokens else Decimal(0)
