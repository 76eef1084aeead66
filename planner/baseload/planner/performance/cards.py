"""How fast a GPU is: memory, bandwidth and dense tensor throughput of the cards that prices are known for.

Facts only, no formulas (`performance.py`). Names are those of the price book's column `card`.

Source: the vendor's data sheets, dense figures without sparsity, at fp32 accumulation where a card is slower with it
(GeForce), as remembered on 2026-11-22 and not read again: each is `estimated`. Those of A40, A100 and H100 agree with
measured kernels (data/profiling of github.com/microsoft/vidur @ 7d47513), within the error the estimates print.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SOURCE = "vendor data sheet, from memory, 2026-11-22"


@dataclass(frozen=True, kw_only=True)
class Card:
    """One GPU."""

    name: str
    memory_gib: int
    """As printed on the card."""
    bandwidth_gb_per_s: float
    """Of its memory, 10^9 bytes."""
    fp16_tflops: float
    fp8_tflops: float | None = None
    """None: the card computes fp8 weights in fp16."""
    nvlink: bool = False
    """Whether several of them in one machine are joined by more than PCIe."""


def _table(*rows: tuple[str, int, float, float, float | None, bool]) -> Mapping[str, Card]:
    fields = ("name", "memory_gib", "bandwidth_gb_per_s", "fp16_tflops", "fp8_tflops", "nvlink")
    return MappingProxyType({row[0]: Card(**dict(zip(fields, row, strict=True))) for row in rows})  # type: ignore[arg-type]


CARDS = _table(
    ("T4", 16, 320, 65, None, False),
    ("A4000", 16, 448, 76.7, None, False),
    ("RTX2000-Ada", 16, 224, 48, 96, False),
    ("RTX4000-Ada", 20, 360, 81.9, 163.8, False),
    ("A4500", 20, 640, 94.6, None, False),
    ("L4", 24, 300, 121, 242, False),
    ("A5000", 24, 768, 111, None, False),
    ("A10G", 24, 600, 70, None, False),
    ("A10", 24, 600, 125, None, False),
    ("RTX3090", 24, 936, 71, None, False),
    ("RTX4090", 24, 1_008, 165, 330, False),
    ("RTX5090", 32, 1_792, 210, 419, False),
    ("A100-40GB", 40, 1_555, 312, None, True),
    ("A40", 48, 696, 150, None, False),
    ("A6000", 48, 768, 155, None, False),
    ("L40", 48, 864, 181, 362, False),
    ("L40S", 48, 864, 362, 733, False),
    ("RTX6000-Ada", 48, 960, 364, 728, False),
    ("A100-80GB-PCIe", 80, 1_935, 312, None, False),
    ("A100-80GB", 80, 2_039, 312, None, True),
    ("H100-PCIe", 80, 2_000, 756, 1_513, False),
    ("H100-80GB", 80, 3_350, 989, 1_979, True),
    ("H100-94GB", 94, 3_938, 835, 1_671, False),
    ("RTX-PRO-6000-Server", 96, 1_597, 503, 1_006, False),
    ("RTX-PRO-6000", 96, 1_792, 503, 1_006, False),
    ("H200", 141, 4_800, 989, 1_979, True),
    ("B200", 180, 7_700, 2_250, 4_500, True),
)
"""By name, from the smallest memory to the largest. `A100-80GB` and `H100-80GB` are the SXM modules."""

RUNPOD: Mapping[str, Card] = MappingProxyType(
    {
        "NVIDIA RTX A4000": CARDS["A4000"],
        "NVIDIA RTX A4500": CARDS["A4500"],
        "NVIDIA RTX 4000 Ada Generation": CARDS["RTX4000-Ada"],
        "NVIDIA RTX 2000 Ada Generation": CARDS["RTX2000-Ada"],
        "NVIDIA L4": CARDS["L4"],
        "NVIDIA RTX A5000": CARDS["A5000"],
        "NVIDIA GeForce RTX 3090": CARDS["RTX3090"],
        "NVIDIA GeForce RTX 4090": CARDS["RTX4090"],
        "NVIDIA GeForce RTX 5090": CARDS["RTX5090"],
        "NVIDIA A40": CARDS["A40"],
        "NVIDIA RTX A6000": CARDS["A6000"],
        "NVIDIA L40": CARDS["L40"],
        "NVIDIA L40S": CARDS["L40S"],
        "NVIDIA RTX 6000 Ada Generation": CARDS["RTX6000-Ada"],
        "NVIDIA A100 80GB PCIe": CARDS["A100-80GB-PCIe"],
        "NVIDIA A100-SXM4-80GB": CARDS["A100-80GB"],
        "NVIDIA H100 PCIe": CARDS["H100-PCIe"],
        "NVIDIA H100 80GB HBM3": CARDS["H100-80GB"],
        "NVIDIA H100 NVL": CARDS["H100-94GB"],
        "NVIDIA RTX PRO 6000 Blackwell Server Edition": CARDS["RTX-PRO-6000-Server"],
        "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": CARDS["RTX-PRO-6000"],
        "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition": CARDS["RTX-PRO-6000"],
        "NVIDIA H200": CARDS["H200"],
        "NVIDIA B200": CARDS["B200"],
    }
)
"""By RunPod's GPU type id, those of all pools."""
