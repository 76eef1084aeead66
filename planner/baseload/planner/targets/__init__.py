"""Every target a model can be priced on, as pure values: a target, a demand and a price book make a `Bill`.

`price` prices any of them; `named` says what a name in a spec means. RunPod serverless as it is deployed is priced by
`baseload.planner.cost`, with the rules of its spec; for comparison it is `Rented` like everybody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from baseload.planner.errors import UsageError

if TYPE_CHECKING:
    from baseload.planner.prices import PriceBook
    from baseload.planner.spec.model import Auto, RunpodTarget
    from baseload.planner.targets.aws import LambdaSagemaker, SagemakerServerless
    from baseload.planner.targets.bill import Bill, Demand
    from baseload.planner.targets.hybrid import Hybrid
    from baseload.planner.targets.modal import Modal
    from baseload.planner.targets.rented import Rented
    from baseload.planner.targets.runpod import RunpodPod
    from baseload.planner.targets.workers import Times

    Target = LambdaSagemaker | SagemakerServerless | RunpodPod | Modal | Hybrid | Rented

TARGETS = ("runpod", "runpod-pod", "lambda-sagemaker", "sagemaker-serverless", "modal", "hybrid")
COMPARED = (
    *("replicate", "lambda-cloud", "cerebrium", "beam", "bentocloud", "premai", "baseten", "koyeb", "fal", "fireworks"),
    "together",
)
"""Priced beside the others, never deployed."""


def name_of(target: RunpodTarget | Target | Auto) -> str:
    """Its name in a spec; that of the provider where it is only compared."""
    from baseload.planner.spec.model import Auto, RunpodTarget

    if isinstance(target, RunpodTarget | Auto):  # without loading the others
        return "runpod" if isinstance(target, RunpodTarget) else "auto"
    from baseload.planner.targets import aws, hybrid, modal, rented, runpod

    match target:
        case aws.LambdaSagemaker():
            return "lambda-sagemaker"
        case aws.SagemakerServerless():
            return "sagemaker-serverless"
        case runpod.RunpodPod():
            return "runpod-pod"
        case modal.Modal():
            return "modal"
        case hybrid.Hybrid():
            return "hybrid"
        case rented.Rented():
            return target.provider


def named(name: str) -> str:
    """The target of that name. Raises UsageError for one nobody knows, and for `lambda`, which is two."""
    if name in (*TARGETS, *COMPARED):
        return name
    if name.lower() in ("lambda", "aws-lambda", "lambda-labs"):
        raise UsageError.of(
            "target/ambiguous",
            f"{name!r} may be AWS Lambda or Lambda's GPU cloud, which have nothing in common",
            hint="write `lambda-sagemaker` for AWS Lambda in front of a SageMaker endpoint (AWS Lambda itself has no "
            "GPU), or `lambda-cloud` for GPU machines of Lambda",
        )
    raise UsageError.of(
        "target/unknown",
        f"there is no target {name!r}",
        hint=f"known are {', '.join(TARGETS)}; for comparison {', '.join(COMPARED)}",
    )


def price(target: Target, demand: Demand, book: PriceBook, times: Times | None = None) -> Bill:
    """What a target costs a month for a demand, at the prices of a book; `times` instead of the closed form's."""
    from baseload.planner.targets import aws, hybrid, modal, rented, runpod
    from baseload.planner.targets.workers import worker_time

    times = times or worker_time

    match target:
        case aws.LambdaSagemaker():
            return aws.lambda_sagemaker(target, demand, book, times)
        case aws.SagemakerServerless():
            return aws.sagemaker_serverless(target, demand, book, times)
        case runpod.RunpodPod():
            return runpod.runpod_pod(target, demand, book, times)
        case modal.Modal():
            return modal.modal(target, demand, book, times)
        case hybrid.Hybrid():
            return hybrid.hybrid(target, demand, book, times)
        case rented.Rented():
            return rented.rented(target, demand, book, times)
