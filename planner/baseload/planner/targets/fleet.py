"""What a target's workers do as a fleet: how many, and how long idle ones stay. No money: for latency beside a bill."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from baseload.planner.spec.model import QueueDelay, RunpodTarget
from baseload.planner.targets import aws, hybrid, modal, rented, runpod
from baseload.planner.targets.workers import Fleet

if TYPE_CHECKING:
    from baseload.planner.prices import PriceBook
    from baseload.planner.targets import Target


def fleet_of(target: RunpodTarget | Target, book: PriceBook) -> Fleet:
    """The fleet as the bill of the target takes it; of a hybrid with its given base, none where it is None.

    Raises TypeError for SageMaker Serverless, whose workers nobody can count.
    """
    match target:
        case RunpodTarget():
            scaling = target.scaling
            return Fleet(
                workers_min=target.workers_min,
                workers_max=target.workers_max,
                idle_timeout_s=Decimal(target.idle_timeout_s or 0),
                start_delay_s=scaling.seconds if isinstance(scaling, QueueDelay) else Decimal(0),
            )
        case runpod.RunpodPod():
            return _steady(target.pods)
        case aws.LambdaSagemaker():
            return Fleet(
                workers_min=target.instances_min,
                workers_max=target.instances_max,
                idle_timeout_s=aws.SCALE_IN_S,
                start_delay_s=aws.SCALE_OUT_S,
            )
        case modal.Modal():
            return Fleet(
                workers_min=target.containers_min,
                workers_max=target.containers_max,
                idle_timeout_s=Decimal(target.scaledown_s),
            )
        case hybrid.Hybrid():
            kept = target.burst.price(book)
            timeout_s = target.idle_timeout_s
            if timeout_s is None:
                timeout_s = Decimal((kept.keep_warm_s if kept is not None else None) or 0)
            return Fleet(
                workers_max=target.burst_max,
                dedicated=target.base or 0,
                idle_timeout_s=timeout_s,
                start_delay_s=target.start_delay_s,
            )
        case rented.Rented():
            row = book.find(target.provider, target.product, target.gpu, region=target.region, tier=target.tier)
            if row is not None and row.always_on:
                return _steady(max(target.workers_min, 1))
            timeout_s = target.idle_timeout_s
            if timeout_s is None:
                timeout_s = Decimal((row.keep_warm_s if row is not None else None) or 0)
            return Fleet(
                workers_min=target.workers_min,
                workers_max=target.workers_max,
                idle_timeout_s=timeout_s,
                start_delay_s=target.start_delay_s,
            )
        case aws.SagemakerServerless():
            raise TypeError("the workers of SageMaker Serverless are not published")


def _steady(workers: int) -> Fleet:
    return Fleet(workers_min=workers, workers_max=workers)
