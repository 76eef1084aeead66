"""Rows of everything with a GPU that is rented by time, RunPod serverless apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from baseload.planner.compare.offers import Offer, offers
from baseload.planner.compare.priced import MOST_STEADY, Question, priced_row
from baseload.planner.compare.row import Row, Status, judged
from baseload.planner.performance.on_cards import Times, does_not_fit
from baseload.planner.pool import Assumption
from baseload.planner.spec.model import Model, ModelSpec, RunpodTarget
from baseload.planner.targets.aws import LambdaSagemaker
from baseload.planner.targets.fleet import fleet_of
from baseload.planner.targets.hardware import Hardware, workers_max_of
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.rented import Rented
from baseload.planner.targets.runpod import RunpodPod
from baseload.planner.targets.workers import Fleet

if TYPE_CHECKING:
    from baseload.planner.targets import Target


def rented_rows(about: Question) -> Iterator[Row]:
    """Per provider and card, each way it can be run: always on, from zero, from one. At another precision the first."""
    spec = about.spec
    for offer in offers(spec, about.own, about.book):
        if not about.looks_at(offer.row):
            continue
        blank = Row(
            target=offer.target,
            gpu=offer.row.gpu,
            gpu_count=offer.billed_gpus,
            mode=offer.row.tier or offer.row.product,
            status=Status.UNKNOWN,
            deployable=False,
            price=offer.row,
        )
        if offer.row.usd is None:
            yield judged(blank, (offer.row.id,), (), same_speed=False)
            continue
        if offer.too_small:
            yield replace(blank, status=Status.IMPOSSIBLE, reasons=(_too_small(spec, about.own, offer),))
            continue
        times = about.times((offer.card,) if offer.card else (), offer.count, offer.row.provider)
        steady = about.asked.steady(times, offer.copies) if about.asked else None
        why = _unknown(about, offer, times, steady)
        if why or about.asked is None or steady is None:
            yield replace(blank, reasons=(why,))
            continue
        demands = about.demands(times, offer.copies)
        modes = list(_modes(offer, steady, most_workers(spec, steady), scheduled=spec.schedule is not None))
        for mode, target in modes if spec.serves == about.measured else modes[:1]:
            fleet = fleet_of(target, about.book)
            row = replace(blank, mode=mode, assumptions=_assumptions(offer, fleet))
            if (
                fleet.workers_min == fleet.workers_max and spec.schedule is not None
            ):  # as many as serve all, all the time
                always = replace(about, spec=replace(spec, schedule=None))
                yield priced_row(always, row, target, [demand.unscheduled for demand in demands], times)
            else:
                yield priced_row(about, row, target, demands, times)


def most_workers(spec: ModelSpec, steady: int) -> int:
    """Of a target that comes and goes: the spec's own cap where it has one, else as many as always on would do."""
    own = workers_max_of(spec.target)
    return own if isinstance(spec.target, (RunpodTarget, Modal, Rented)) else max(own, steady)


def _unknown(about: Question, offer: Offer, times: Times, steady: int | None) -> str:
    if offer.card is None and isinstance(about.spec.serves, Model):
        return "nothing is known of the memory and the speed of this GPU"
    if about.asked is None:
        return "without a rate of traffic (`traffic.requests_per_day`, no batch) other targets have no bill"
    if times.expected.service_time_s is None:
        return _no_speed(about.spec)
    return f"more than {MOST_STEADY:,} workers would have to be always on: not sized" if steady is None else ""


def _assumptions(offer: Offer, fleet: Fleet) -> tuple[Assumption, ...]:
    """What was decided for this row."""
    found = []
    if fleet.workers_min == fleet.workers_max:
        found.append(
            Assumption(
                name="workers",
                value=f"{fleet.workers_max} always on",
                source="default; the fewest that serve the high end of the range with a mean wait of a service time",
            )
        )
    if offer.copies > 1:
        found.append(
            Assumption(
                name="replicas",
                value=f"{offer.copies} on a machine, each on {offer.count} of its GPUs",
                source="default; the smallest machine of the book with this GPU has more than one replica takes",
            )
        )
    if offer.target == "runpod-pod":
        found.append(
            Assumption(
                name="storage",
                value="not included: container disk",
                source="default; docs.runpod.io: billed while the pod runs; how much is needed is not in the spec",
                errs="low",
            )
        )
    return tuple(found)


def _too_small(spec: ModelSpec, own: Hardware, offer: Offer) -> str:
    if offer.card is None or not isinstance(spec.serves, Model):
        return f"a worker needs {own.gpu_count} GPUs, the largest machine has {offer.row.count}"
    return does_not_fit(spec, offer.card.memory_gib, offer.count)


def _no_speed(spec: ModelSpec) -> str:
    if isinstance(spec.serves, Model):
        return "the service time is unknown: say `traffic.tokens` to have it estimated, or measure it"
    return "the service time is unknown: measure it, for instance `performance: {service_time: 1.8s}`"


def _modes(offer: Offer, steady: int, most: int, *, scheduled: bool) -> Iterator[tuple[str, Target]]:
    """How it can be run: always on, from zero or from one; `steady` workers are enough where none is started."""
    row, count, fixed = offer.row, offer.count, f"{steady} always on"
    if row.provider == "runpod":
        yield f"{fixed}, {row.tier}", RunpodPod(gpu=row.gpu, gpu_count=count, pods=steady, tier=row.tier)
        return
    if row.provider == "aws":
        region = row.region or "us-east-1"
        yield fixed, LambdaSagemaker(instance=row.gpu, instances_min=steady, instances_max=steady, region=region)
        return
    if row.provider == "modal":
        for least in (0,) if scheduled else (0, 1):
            if least < most:
                yield (
                    from_least(least, scheduled=scheduled),
                    Modal(gpu=row.gpu, gpu_count=count, containers_min=least, containers_max=most),
                )
        return
    base = Rented(
        provider=row.provider, product=row.product, gpu=row.gpu, region=row.region, tier=row.tier, gpu_count=count
    )
    if row.always_on or row.keep_warm_s is None:
        yield fixed, replace(base, workers_min=steady, workers_max=steady)
    if not row.always_on:
        for least in (0,) if scheduled else (0, 1):
            if least < most and (row.keep_warm_s is not None or least == 0):
                yield from_least(least, scheduled=scheduled), replace(base, workers_min=least, workers_max=most)


def from_least(least: int, *, scheduled: bool) -> str:
    """How a target that comes and goes is called; under a schedule of the minimum there is one such way."""
    if scheduled:
        return "by the schedule"
    return f"from {'zero' if least == 0 else least}"
