"""How long an answer takes, as a plan says it: the closed form's quantiles, and the ways that the provider adds.

Rounds to the millisecond and to a millionth; what is not known stays None. No money.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from baseload.planner.cost import ResponseTime
from baseload.planner.pool.latency import latency_over

if TYPE_CHECKING:
    from baseload.planner.pool import Pool
    from baseload.planner.targets.bill import Stage

OWN_STAGES = ("service", "wait for a place")
"""What the quantiles hold already."""


def response_time(
    pools: Sequence[tuple[float, Pool]], stages: Sequence[Stage] = (), refused_share: Decimal | None = None
) -> ResponseTime | None:
    """Of the requests over all parts of the month; None where nothing is known of it.

    Without pools, or where the queue grows without end in some part, the quantiles are unknown.
    """
    added = tuple(stage for stage in stages if stage.name not in OWN_STAGES)
    if not pools and not added and not refused_share:
        return None
    found = latency_over(pools) if pools else None
    if found is None or found.p95_s is None:
        return ResponseTime(refused_share=refused_share, added=added) if added or refused_share else None
    return ResponseTime(
        p50_s=_rounded(found.p50_s, "0.001"),
        p95_s=_rounded(found.p95_s, "0.001"),
        p99_s=_rounded(found.p99_s, "0.001"),
        cold_share=_rounded(found.cold_share, "0.000001"),
        refused_share=refused_share,
        added=added,
    )


def _rounded(value: float | None, to: str) -> Decimal | None:
    return None if value is None else Decimal(value).quantize(Decimal(to), ROUND_HALF_UP)
