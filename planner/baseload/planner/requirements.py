"""What is known of the providers beside prices: who runs the machines, where, and which attestations they have.

Only facts with a source; what is not in the table is unknown. A claim that nobody confirmed is told and is no fact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from baseload.planner.spec.model import Requires, RunpodTarget
from baseload.planner.targets.aws import LambdaSagemaker, SagemakerServerless
from baseload.planner.targets.hybrid import Hybrid, Side
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.rented import Rented
from baseload.planner.targets.runpod import RunpodPod

if TYPE_CHECKING:
    from baseload.planner.targets import Target

MANAGED = MappingProxyType(
    {
        "runpod": True,
        "aws": True,
        "modal": True,
        "replicate": True,
        "cerebrium": True,
        "beam": True,
        "runpod-pod": False,
        "lambda-cloud": False,
    }
)
"""Whether the provider starts, replaces and scales the machines: serverless platforms and SageMaker endpoints do;
rented machines are the renter's (docs.runpod.io: pods, 2026-08-20; Lambda's instances do not scale by themselves)."""

OWN_INFRASTRUCTURE = MappingProxyType(
    {"aws": True, "runpod": False, "runpod-pod": False, "modal": False, "replicate": False, "lambda-cloud": False}
)
"""SageMaker endpoints and Lambda functions run in the AWS account of whoever deploys them."""

COMPLIANCE = MappingProxyType({("modal", "hipaa"): "only on the Enterprise plan (modal.com/pricing, 2026-10-07)"})
"""What an attestation is bound to."""

CLAIMS = MappingProxyType(
    {
        ("cerebrium", "hipaa"): "an article says so",
        ("cerebrium", "soc2"): "an article says so",
        ("cerebrium", "gdpr"): "an article says so",
        ("premai", "hipaa"): "the vendor says so in an article of its own",
        ("premai", "soc2"): "the vendor says so in an article of its own",
        ("premai", "gdpr"): "the vendor says so in an article of its own",
        ("runpod", "soc2"): "said, and not confirmed",
        ("runpod-pod", "soc2"): "said, and not confirmed",
    }
)
"""Not confirmed: see docs/seeds.md."""

_RUNPOD_PARTS = MappingProxyType({"EU": "eu", "EUR": "eu", "US": "us", "CA": "ca", "AP": "ap", "OC": "oc"})
"""By the first word of a data center's id (RunPod's REST v1 description, 26 of them, 2026-08-18)."""
_NOT_IN_THE_EU = ("EUR-IS", "EUR-NO")
"""Iceland and Norway: in the EEA, which `eu` does not say."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """To a requirement: met, or not, or not known; and why."""

    requirement: str
    met: bool | None
    why: str


def answers(requires: Requires, target: RunpodTarget | Target) -> tuple[Answer, ...]:
    """To each requirement, for this target as it stands; of a hybrid both sides must meet it."""
    if isinstance(target, Hybrid):
        sides = (_answers(requires, _provider_of(side), side.region) for side in (target.dedicated, target.burst))
        return tuple(_worse(*pair) for pair in zip(*map(tuple, sides), strict=True))
    return tuple(_answers(requires, provider_of(target), _place(target)))


def provider_of(target: RunpodTarget | Target) -> str:
    """As the tables here name it: RunPod's pods by themselves."""
    match target:
        case RunpodTarget():
            return "runpod"
        case RunpodPod():
            return "runpod-pod"
        case LambdaSagemaker() | SagemakerServerless():
            return "aws"
        case Modal():
            return "modal"
        case Rented():
            return target.provider
        case Hybrid():
            return _provider_of(target.dedicated)


def _provider_of(side: Side) -> str:
    return "runpod-pod" if (side.provider, side.product) == ("runpod", "pod") else side.provider


def _place(target: RunpodTarget | Target) -> str:
    """Regions or data centers, separated by commas; empty is anywhere or unknown."""
    match target:
        case RunpodTarget():
            return ",".join(target.data_centers)
        case LambdaSagemaker() | SagemakerServerless() | Rented() | Modal():
            return target.region or ""
        case _:
            return ""


def _answers(requires: Requires, provider: str, place: str) -> Iterator[Answer]:
    if requires.residency:
        yield _residency(requires.residency, provider, place)
    for name in requires.compliance:
        bound, claim = COMPLIANCE.get((provider, name)), CLAIMS.get((provider, name))
        why = bound or (f"{claim}: ask for the report" if claim else "not known: ask the provider")
        yield Answer(requirement=f"compliance {name}", met=None, why=why)
    if requires.managed:
        yield _fact("managed", MANAGED.get(provider), "the machines are yours to run")
    if requires.own_infrastructure:
        why = "it runs in the provider's cloud, not in an account of yours"
        yield _fact("own_infrastructure", OWN_INFRASTRUCTURE.get(provider), why)


def _fact(requirement: str, met: bool | None, why_not: str) -> Answer:
    why = "" if met else why_not if met is False else "not known: ask the provider"
    return Answer(requirement=requirement, met=met, why=why)


def _residency(wanted: tuple[str, ...], provider: str, place: str) -> Answer:
    name = f"residency {' or '.join(wanted)}"
    if not place:
        ways = {
            "runpod": "RunPod places workers anywhere unless `data_centers` says where",
            "modal": "Modal places containers anywhere unless `region` says where",
        }
        return Answer(
            requirement=name, met=False if provider in ways else None, why=ways.get(provider, "not known where")
        )
    parts = {_part(provider, one) for one in place.split(",")}
    if None in parts:
        return Answer(requirement=name, met=None, why=f"it is not known where {place} is")
    met = parts <= set(wanted)
    return Answer(requirement=name, met=met, why="" if met else f"it runs in {place}")


def _part(provider: str, place: str) -> str | None:
    if provider in ("runpod", "runpod-pod"):
        return None if place.startswith(_NOT_IN_THE_EU) else _RUNPOD_PARTS.get(place.split("-", 1)[0])
    first = place.split("-", 1)[0]
    if provider == "aws":  # eu-west-2 is London, eu-central-2 is Zurich
        return None if place in ("eu-west-2", "eu-central-2") else first if first in ("eu", "us", "ca", "ap") else None
    return first if provider == "modal" and first in ("eu", "us", "ap", "ca") else None


def _worse(one: Answer, other: Answer) -> Answer:
    order = (False, None, True)
    return min(one, other, key=lambda answer: order.index(answer.met))
