"""What a bill of another target than RunPod serverless is made from: the spec's target, demand and missing figures."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from baseload.planner.performance.estimate import Estimated, estimated_on
from baseload.planner.prices import PriceBook
from baseload.planner.spec.model import ModelSpec, RunpodTarget
from baseload.planner.targets.aws import LambdaSagemaker
from baseload.planner.targets.bill import Demand
from baseload.planner.targets.demand import batch_of, demand_of, quiet
from baseload.planner.targets.hardware import hardware_of
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.runpod import RunpodPod

if TYPE_CHECKING:
    from baseload.planner.targets import Target


def target_of(spec: ModelSpec) -> Target:
    """Where it is placed; not RunPod serverless, which is priced by its own rules."""
    target = spec.placed
    assert not isinstance(target, RunpodTarget), "priced by its own rules"
    return target


def estimated_for(spec: ModelSpec, book: PriceBook) -> Estimated | None:
    """Times estimated on the target's GPUs; None where the spec says both, or where nothing can be estimated."""
    hardware, target = hardware_of(target_of(spec), book), target_of(spec)
    instance = isinstance(target, LambdaSagemaker)
    return estimated_on(spec, hardware.cards, max(hardware.gpu_count, 1), instance=instance)


def demand_for(spec: ModelSpec, factor: Decimal = Decimal(1), active_share: Decimal | None = None) -> Demand:
    """The spec's; quiet where it says nothing of its traffic, which is told apart by `missing_traffic`."""
    if active_share is not None and spec.traffic is not None and spec.traffic.active_share is None:
        spec = replace(spec, traffic=replace(spec.traffic, active_share=active_share))
    batch = batch_of(spec, factor=factor) if takes_batches(target_of(spec)) else None
    return batch or demand_of(spec, factor=factor) or quiet(spec)


def takes_batches(target: Target) -> bool:
    """Whether requests that lie ready wait for their turn: elsewhere they are refused, or their wait is cut off."""
    return isinstance(target, Modal)


def missing_traffic(spec: ModelSpec) -> tuple[str, ...]:
    """The keys of the spec's traffic without which the bill is unknown."""
    if not depends_on_traffic(target_of(spec)):
        return ()
    if spec.traffic is None:
        return ("traffic.requests_per_day",)
    if spec.traffic.batch is not None:
        return () if takes_batches(target_of(spec)) else ("traffic.batch",)
    return ("traffic.log",) if spec.traffic.requests_per_day is None else ()


def depends_on_traffic(target: Target) -> bool:
    """Whether more requests cost more."""
    return not isinstance(target, RunpodPod)
