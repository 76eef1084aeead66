"""What a target's pricing room refuses, with its place in the file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from baseload.planner.diagnostics import Diagnostic, Severity
from baseload.planner.prices import bundled
from baseload.planner.spec.rules.check import Check, Sections
from baseload.planner.spec.source import At
from baseload.planner.targets import aws, modal, runpod
from baseload.planner.targets.bill import Demand

if TYPE_CHECKING:
    from baseload.planner.targets import Target


def refused(check: Check, target: Target, at: At, found: Sections) -> Iterator[Diagnostic]:
    """Everything that the platform refuses of this target, and what it would not give in full."""
    sizes = found.traffic.payload_bytes if found.traffic else None
    demand = Demand(
        requests_per_day=Decimal(0),
        service_s=found.performance.service_time_s,
        request_bytes=sizes.request if sizes else 0,
        response_bytes=sizes.response if sizes else 0,
    )
    match target:
        case aws.LambdaSagemaker():
            refusals = aws.lambda_refusals(target, demand)
            yield from _instance(check, target, at)
        case aws.SagemakerServerless():
            refusals = aws.serverless_refusals(target, demand)
        case modal.Modal():
            refusals = modal.refusals(target, demand)
            yield from _quota(check, target, at)
        case runpod.RunpodPod():
            refusals = runpod.pod_refusals(target)
        case _:
            refusals = []
    for refusal in refusals:
        key = tuple(refusal.key.split("."))
        where = key if key[0] in ("performance", "traffic", "model") else (*at, *key)
        if check.sound(where, *((*at, *other.split(".")) for other in refusal.beside)):
            yield check.say(refusal.code, refusal.reason, where, refusal.remedy)


def _instance(check: Check, target: aws.LambdaSagemaker, at: At) -> Iterator[Diagnostic]:
    known = sorted({row.gpu for row in bundled().of("aws") if row.product == "sagemaker-realtime"})
    where = (*at, "instance")
    if target.instance in known or not check.sound(where):
        return
    near = difflib.get_close_matches(target.instance, known, n=1, cutoff=0.8)
    yield check.say(
        "aws/unknown-instance",
        f"nothing is known of the instance type `{target.instance}`: neither its price nor its GPUs",
        where,
        f"did you mean `{near[0]}`?" if near else "`deploy prices list aws` lists those that are known",
        Severity.WARNING,
    )


def _quota(check: Check, target: modal.Modal, at: At) -> Iterator[Diagnostic]:
    gpus = modal.gpus_at_once(target)
    quota = modal.PLAN_GPUS.get(target.plan, gpus)
    where = (*at, "containers")
    if gpus > quota and check.sound(where, (*at, "gpu"), (*at, "gpu_count"), (*at, "plan")):
        yield check.say(
            "modal/quota",
            f"the {target.plan} plan runs {quota} GPUs at the same time, this asks for {gpus}",
            where,
            "lower `containers.max`, or set the `plan` that the workspace has",
            Severity.WARNING,
        )
