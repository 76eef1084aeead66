"""Rows of everything with a GPU that is rented by time, RunPod serverless apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from baseload.planner.cards import CARDS, RUNPOD, Card
from baseload.planner.compare.row import Row, Status, envelope, judged, served, unknown_figure
from baseload.planner.cost import SESSIONS, Spread
from baseload.planner.on_cards import COUNTS, Times, does_not_fit, fewest_gpus, on_another_platform, times_on
from baseload.planner.pool import Assumption
from baseload.planner.prices import Price, PriceBook
from baseload.planner.spec.model import Model, ModelSpec
from baseload.planner.targets import price as bill_of
from baseload.planner.targets.aws import LambdaSagemaker
from baseload.planner.targets.bill import Bill, Demand, Stage, cents
from baseload.planner.targets.demand import demand_of
from baseload.planner.targets.hardware import Hardware, workers_max_of
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.rented import Rented
from baseload.planner.targets.runpod import RunpodPod
from baseload.planner.targets.workers import Fleet, mean_wait_s

if TYPE_CHECKING:
    from baseload.planner.targets import Target

DEPLOYED = ("runpod",)
"""Targets that this version deploys."""

MOST_STEADY = 1_000
"""Workers always on that are sized: each size is a sum over all of them."""


@dataclass(frozen=True, kw_only=True)
class _Offer:
    """One GPU of a provider, and how many of it a replica takes there."""

    row: Price
    card: Card | None
    count: int
    """GPUs of a replica."""
    copies: int = 1
    """Replicas on one machine whose GPUs are more."""
    too_small: bool = False

    @property
    def target(self) -> str:
        """Its name in a spec."""
        names = {"aws": "lambda-sagemaker", "runpod": "runpod-pod"}
        return names.get(self.row.provider, self.row.provider)

    @property
    def billed_gpus(self) -> int:
        """Of one worker, as the price counts them."""
        return self.count if self.row.unit.startswith("gpu-") else max(self.row.count, 1)


def _offers(spec: ModelSpec, own: Hardware, book: PriceBook) -> Iterator[_Offer]:
    """For every card of a provider the cheapest machine that holds the model; else the largest that does not."""
    groups: dict[tuple[str, str, str, str], list[Price]] = {}
    for row in _runnable(book):
        groups.setdefault((row.provider, row.product, row.tier, _card_name(row)), []).append(row)
    for _, rows in sorted(groups.items()):
        name = _card_name(rows[0])
        card = CARDS.get(name)
        count = max(own.gpu_count, 1) if card is None else fewest_gpus(spec, own, card.memory_gib)
        fitting = [row for row in rows if count is not None and (row.unit.startswith("gpu-") or row.count >= count)]
        if count is None or not fitting:
            largest = max(rows, key=lambda row: (row.count, row.id))
            most = COUNTS[-1] if largest.unit.startswith("gpu-") else largest.count
            yield _Offer(row=largest, card=card, count=most, too_small=True)
            continue
        row = min(fitting, key=_cheapest)
        copies = 1 if row.unit.startswith("gpu-") else row.count // count
        yield _Offer(row=row, card=card, count=count, copies=copies)


def _runnable(book: PriceBook) -> Iterator[Price]:
    """Rows of machines with a GPU, by time. RunPod's serverless pools are priced by their own rules."""
    for provider in book.providers():
        for row in book.of(provider):
            serverless = provider == "runpod" and row.product != "pod"
            elsewhere = provider == "aws" and row.product != "sagemaker-realtime"
            if row.card and row.count and row.seconds and row.withdrawn is None and not serverless and not elsewhere:
                yield row


def _card_name(row: Price) -> str:
    return RUNPOD[row.gpu].name if row.provider == "runpod" and row.gpu in RUNPOD else row.card


def _cheapest(row: Price) -> tuple[bool, Decimal, bool, str]:
    """The home region of AWS's other prices first where two cost the same; what has no price comes last."""
    return row.usd_per_hour is None, row.usd_per_hour or Decimal(0), row.region != "us-east-1", row.id


def rented_rows(spec: ModelSpec, own: Hardware, book: PriceBook) -> Iterator[Row]:
    """Per provider and card, each way it can be run: always on, from zero, from one."""
    for offer in _offers(spec, own, book):
        blank = Row(
            target=offer.target,
            gpu=offer.row.gpu,
            gpu_count=offer.billed_gpus,
            mode=offer.row.tier or offer.row.product,
            status=Status.UNKNOWN,
            deployable=offer.target in DEPLOYED,
            price=offer.row,
        )
        if offer.row.usd is None:
            yield judged(blank, (offer.row.id,), (), same_speed=False)
            continue
        if offer.too_small:
            why = _too_small(spec, own, offer)
            yield replace(blank, status=Status.IMPOSSIBLE, reasons=(why,))
            continue
        if offer.card is None and isinstance(spec.serves, Model):
            yield replace(blank, reasons=("nothing is known of the memory and the speed of this GPU",))
            continue
        times = on_another_platform(spec, times_on(spec, own, (offer.card,) if offer.card else (), offer.count), own)
        demands = _demands(spec, times, offer.copies)
        if not demands:
            why = "without a rate of traffic (`traffic.requests_per_day`, no batch) other targets have no bill"
            yield replace(blank, reasons=(why,))
            continue
        if demands[0].service_s is None:
            yield replace(blank, reasons=(_no_speed(spec),))
            continue
        steady = _always_on(spec, times, offer.copies)
        if steady is None:
            yield replace(blank, reasons=(f"more than {MOST_STEADY:,} workers would have to be always on: not sized",))
            continue
        for mode, fleet, target in _modes(spec, offer, steady):
            told = _assumptions(offer, fleet)
            yield _rented_row(replace(blank, mode=mode, assumptions=told), target, fleet, demands, times, book)


def _assumptions(offer: _Offer, fleet: Fleet) -> tuple[Assumption, ...]:
    """What was decided for this row."""
    found = []
    if fleet.workers_min == fleet.workers_max:
        found.append(
            Assumption(
                name="workers",
                value=f"{fleet.workers_max} always on",
                source="the fewest that serve the high end of the range with a mean wait of one service time at most",
            )
        )
    if offer.copies > 1:
        found.append(
            Assumption(
                name="replicas",
                value=f"{offer.copies} on a machine, each on {offer.count} of its GPUs",
                source="default: the smallest machine of the book with this GPU has more than one replica takes",
            )
        )
    if offer.target == "runpod-pod":
        found.append(
            Assumption(
                name="storage",
                value="not included: container disk",
                source="docs.runpod.io: billed while the pod runs; how much is needed is not in the spec",
                errs="low",
            )
        )
    return tuple(found)


def _too_small(spec: ModelSpec, own: Hardware, offer: _Offer) -> str:
    if offer.card is None or not isinstance(spec.serves, Model):
        return f"a worker needs {own.gpu_count} GPUs, the largest machine has {offer.row.count}"
    return does_not_fit(spec, offer.card.memory_gib, offer.count)


def _no_speed(spec: ModelSpec) -> str:
    if isinstance(spec.serves, Model):
        return "the service time is unknown: say `traffic.tokens` to have it estimated, or measure it"
    return "the service time is unknown: measure it, for instance `performance: {service_time: 1.8s}`"


def _demands(spec: ModelSpec, times: Times, copies: int) -> list[Demand]:
    """The expected demand, then all others that the range holds, as for RunPod: rates × active shares × the band."""
    traffic = spec.traffic
    if traffic is None:
        return []
    traffics = [traffic]
    if traffic.active_share is None and (traffic.curve or traffic.hourly):
        traffics.append(replace(traffic, active_share=SESSIONS))
    found = [
        demand_of(replace(spec, traffic=each, performance=performance), factor=factor)
        for each in traffics
        for performance in times.all
        for factor in dict.fromkeys((Decimal(1), traffic.range.low, traffic.range.high))
    ]
    return [replace(item, concurrency=item.concurrency * copies) for item in found if item is not None]


def _always_on(spec: ModelSpec, times: Times, copies: int) -> int | None:
    """The fewest workers that serve the high end of the range with a mean wait of one service time at most.

    None where that are more than anybody sizes one by one.
    """
    high = spec.traffic.range.high if spec.traffic else Decimal(1)
    demand = demand_of(replace(spec, performance=times.expected), factor=high)
    assert demand is not None, "asked for only with a rate"
    service_s = demand.service_s
    assert service_s is not None, "asked for only with a service time"
    demand = replace(demand, concurrency=demand.concurrency * copies)
    peak = max(part.requests_per_day for part in demand.in_parts())
    workers = int(peak / 86_400 * service_s / demand.concurrency) + 1
    while workers <= MOST_STEADY:
        wait = mean_wait_s(demand, workers)
        if wait is not None and wait <= service_s:
            return workers
        workers += 1
    return None


def _modes(spec: ModelSpec, offer: _Offer, steady: int) -> Iterator[tuple[str, Fleet, Target]]:
    """How it can be run: always on, from zero or from one; `steady` workers are enough where none is started."""
    row, most, count = offer.row, workers_max_of(spec.target), offer.count
    fixed = (f"{steady} always on", Fleet(workers_min=steady, workers_max=steady))
    if row.provider == "runpod":
        mode, fleet = fixed
        yield f"{mode}, {row.tier}", fleet, RunpodPod(gpu=row.gpu, gpu_count=count, pods=steady, tier=row.tier)
        return
    if row.provider == "aws":
        region = row.region or "us-east-1"
        yield *fixed, LambdaSagemaker(instance=row.gpu, instances_min=steady, instances_max=steady, region=region)
        return
    if row.provider == "modal":
        for least in (0, 1):
            if least < most:
                fleet = Fleet(workers_min=least, workers_max=most, idle_timeout_s=Decimal(60))
                function = Modal(gpu=row.gpu, gpu_count=count, containers_min=least, containers_max=most)
                yield _from(least), replace(fleet, idle_timeout_s=Decimal(function.scaledown_s)), function
        return
    base = Rented(
        provider=row.provider, product=row.product, gpu=row.gpu, region=row.region, tier=row.tier, gpu_count=count
    )
    if row.always_on or row.keep_warm_s is None:
        yield *fixed, replace(base, workers_min=steady, workers_max=steady)
    if not row.always_on:
        for least in (0, 1):
            if least < most and (row.keep_warm_s is not None or least == 0):
                fleet = Fleet(workers_min=least, workers_max=most, idle_timeout_s=Decimal(row.keep_warm_s or 0))
                yield _from(least), fleet, replace(base, workers_min=least, workers_max=most)


def _from(least: int) -> str:
    return f"from {'zero' if least == 0 else least}"


def _rented_row(
    blank: Row, target: Target, fleet: Fleet, demands: Sequence[Demand], times: Times, book: PriceBook
) -> Row:
    bills = [bill_of(target, demand, book) for demand in demands]
    bill, demand = bills[0], demands[0]
    if bill.impossible:
        return replace(blank, status=Status.IMPOSSIBLE, reasons=bill.impossible)
    months = [each.monthly_usd for each in bills]
    row = replace(
        blank,
        status=Status.RANKED,
        monthly_usd=envelope([Spread(low=month, expected=month, high=month) for month in months]),
        usd_per_1000_requests=_per_1000(bill, demand, book),
        hourly_worst_case_usd=_hourly(blank, fleet),
        added_s=_added(bill.latency),
        caveats=(*bill.caveats, *_extras(blank)),
        assumptions=(*times.assumptions, *blank.assumptions, *bill.assumptions),
        method=bill.method,
    )
    row = judged(row, bill.unpriced, [unknown_figure(name) for name in bill.unknown], times.same_speed)
    return served(row, demand, fleet)


def _extras(row: Row) -> list[str]:
    """CPU and memory that are billed extra: what a model needs of them is not in a spec."""
    included = row.price.includes.split() if row.price is not None else []
    return [] if "cpu" in included else ["CPU and memory are billed extra: the bill is at least this"]


def _per_1000(bill: Bill, demand: Demand, book: PriceBook) -> Decimal | None:
    requests, month = demand.per_month(book.month_hours), bill.monthly_usd
    if month is None or requests < Decimal("0.001"):
        return None
    return (month * 1000 / requests).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def _hourly(row: Row, fleet: Fleet) -> Decimal | None:
    if row.price is None or row.price.usd_per_hour is None:
        return None
    factor = row.gpu_count if row.price.unit.startswith("gpu-") else 1
    return cents(row.price.usd_per_hour * factor * fleet.workers_max)


def _added(stages: Sequence[Stage]) -> tuple[Decimal | None, Decimal | None] | None:
    own = [stage for stage in stages if stage.name not in ("service", "wait for a place")]
    if not own:
        return None
    lows, highs = [stage.low_s for stage in own], [stage.high_s for stage in own]
    return _sum(lows), _sum(highs)


def _sum(values: Sequence[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if len(known) == len(values) else None
