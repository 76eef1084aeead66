"""RunPod's serverless GPU pools: which cards stand behind a pool id and how much memory is certain.

Facts only, no prices (`prices.py`) and no speeds. An endpoint is placed on a pool, never on one card, so what holds
for a pool is what holds for its smallest card.

Sources: `core/resources/gpu.py` of github.com/runpod/flash @ 757420d (2026-08-06, eleven pools) and
`references/gpu-types.mdx` of github.com/runpod/docs @ a900806 (2026-08-20, eight of them). Memory is what the vendor
prints on the card, taken as GiB.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One pool of interchangeable cards at one price."""

    id: str
    types: tuple[str, ...]
    """RunPod's GPU type ids."""
    memory_gib: int
    """Of the smallest card in the pool."""


def _table(*rows: Pool) -> Mapping[str, Pool]:
    return MappingProxyType({pool.id: pool for pool in rows})


POOLS: Mapping[str, Pool] = _table(
    Pool(
        id="AMPERE_16",
        types=(
            "NVIDIA RTX A4000",
            "NVIDIA RTX A4500",
            "NVIDIA RTX 4000 Ada Generation",
            "NVIDIA RTX 2000 Ada Generation",
        ),
        memory_gib=16,
    ),
    Pool(id="AMPERE_24", types=("NVIDIA L4", "NVIDIA RTX A5000", "NVIDIA GeForce RTX 3090"), memory_gib=24),
    Pool(id="ADA_24", types=("NVIDIA GeForce RTX 4090",), memory_gib=24),
    Pool(id="ADA_32_PRO", types=("NVIDIA GeForce RTX 5090",), memory_gib=32),
    Pool(id="AMPERE_48", types=("NVIDIA A40", "NVIDIA RTX A6000"), memory_gib=48),
    Pool(id="ADA_48_PRO", types=("NVIDIA L40", "NVIDIA L40S", "NVIDIA RTX 6000 Ada Generation"), memory_gib=48),
    Pool(id="AMPERE_80", types=("NVIDIA A100 80GB PCIe", "NVIDIA A100-SXM4-80GB"), memory_gib=80),
    Pool(id="ADA_80_PRO", types=("NVIDIA H100 PCIe", "NVIDIA H100 80GB HBM3", "NVIDIA H100 NVL"), memory_gib=80),
    Pool(
        id="BLACKWELL_96",
        types=(
            "NVIDIA RTX PRO 6000 Blackwell Server Edition",
            "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
            "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        ),
        memory_gib=96,
    ),
    Pool(id="HOPPER_141", types=("NVIDIA H200",), memory_gib=141),
    Pool(id="BLACKWELL_180", types=("NVIDIA B200",), memory_gib=180),
)
"""All pools by id, from the smallest memory to the largest."""


TYPES: tuple[str, ...] = (*(card for pool in POOLS.values() for card in pool.types), "NVIDIA B300 SXM6 AC")
"""RunPod's GPU type ids that pods are priced for: those of the pools, and one that no pool has."""


def types_with(gpu: str) -> tuple[str, ...]:
    """The GPU types that people call `gpu` (`L40S`, `rtx 4090`); empty where none is."""
    wanted = _words(gpu)
    exact = tuple(card for card in TYPES if wanted and wanted <= _words(card))
    return exact or tuple(card for pool in pools_with(gpu) for card in pool.types)


def pools_with(gpu: str) -> tuple[Pool, ...]:
    """The pools that hold a card people call `gpu` (`RTX 4090`, `h100`, `A100 80GB`); empty where none does."""
    wanted = _words(gpu)
    if not wanted:
        return ()
    return (
        _pools_where(lambda card: wanted <= _words(card))
        or _pools_where(lambda card: len(gpu) > 2 and "".join(_in_order(gpu)) in "".join(_in_order(card)))
        or _pools_where(lambda card: bool({w for w in wanted & _words(card) if _is_model_number(w)}))
    )


def _pools_where(matches: Callable[[str], bool]) -> tuple[Pool, ...]:
    return tuple(pool for pool in POOLS.values() if any(matches(card) for card in pool.types))


def _in_order(name: str) -> list[str]:
    # The maker and the product line are left out by most people, and 'NVIDIA' alone must not match everything.
    return [word for word in re.findall(r"[a-z0-9]+", name.lower()) if word not in {"nvidia", "geforce"}]


def _words(name: str) -> frozenset[str]:
    return frozenset(_in_order(name))


def _is_model_number(word: str) -> bool:
    # 80gb and sxm4 describe a variant, h100 and 4090 name a card.
    return word.isascii() and any(c.isdigit() for c in word) and not word.endswith("gb") and not word.startswith("sxm")
