"""How a batch does against its deadline, as a plan says it; the same for every target that has one. Prices nothing."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from baseload.planner.cost import Deadline
from baseload.planner.diagnostics import Diagnostic, Location, Severity

if TYPE_CHECKING:
    from baseload.planner.spec.model import Batch, ModelSpec
    from baseload.planner.traffic.batch import BatchRun


def deadline_of(batch: Batch, run: BatchRun, workers: int, usd_at_needed: Decimal | None) -> Deadline:
    """Of a run on `workers`; `usd_at_needed` is the month with as many as would do."""
    return Deadline(
        jobs=batch.jobs,
        within_s=batch.within_s,
        takes_s=None if run.estimate.overloaded else Decimal(run.seconds).quantize(Decimal(1), ROUND_HALF_UP),
        workers=workers,
        workers_needed=run.workers_needed,
        monthly_usd_at_needed=usd_at_needed,
    )


def late(
    spec: ModelSpec, found: Deadline | None, key: str = "workers.max", most: int | None = None
) -> list[Diagnostic]:
    """The batch is not done within its time, or never; `key` says how many workers there are, up to `most`."""
    if found is None or (found.takes_s is not None and found.takes_s <= found.within_s):
        return []
    takes = "more than a day" if found.takes_s is None else f"{found.takes_s.normalize():f} s"
    hint = "no number of workers is enough: a cold start and one request take longer"
    if found.workers_needed is not None and most is not None and found.workers_needed > most:
        hint = f"give it more time: it needs {found.workers_needed:,} workers, and `{key}` is {most:,} at most"
    elif found.workers_needed is not None:
        hint = f"raise `{key}` to {found.workers_needed}, or give it more time"
    return [
        Diagnostic(
            code="plan/deadline",
            severity=Severity.WARNING,
            summary=f"the batch of {spec.name}, {found.jobs:,} requests, takes {takes} on {found.workers} workers, "
            f"more than `within` {found.within_s.normalize():f} s",
            where=Location(spec.file),
            hint=hint,
        )
    ]
