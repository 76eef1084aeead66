"""One spec on every target, GPU and mode that the price book knows: bills, latency, and why something is no choice.

Pure: a spec and a price book go in, rows in a fixed order come out. It says what each choice costs and does not choose:
what this version cannot deploy is compared and never recommended. Every row is priced for the same demand, at the
spec's precision; where the speed on a GPU is not known the row says so instead of borrowing one.

A measured service time holds for the GPU it was measured on. On another GPU it is multiplied by the ratio of the two
estimates of `performance`; where there is none (a container, no tokens) the row shows what it would cost at the same
speed, and is not ranked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from baseload.planner.cards import CARDS, RUNPOD, Card
from baseload.planner.cost import SESSIONS, Cost, Spread, cost_of
from baseload.planner.gpus import POOLS, Pool
from baseload.planner.latency import Latency, latency_over
from baseload.planner.memory import fit, longest_request
from baseload.planner.performance import cold_start, room, service_time
from baseload.planner.pool import Assumption
from baseload.planner.prices import Price, PriceBook
from baseload.planner.spec.model import Model, ModelSpec, Performance, QueueDelay, RequestCount, RunpodMode
from baseload.planner.targets import price as bill_of
from baseload.planner.targets.aws import SERVERLESS_MEMORY_MB, WAKE_S, LambdaSagemaker, SagemakerServerless
from baseload.planner.targets.bill import Bill, Demand, Stage, cents
from baseload.planner.targets.demand import demand_of
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.rented import Rented
from baseload.planner.targets.runpod import RunpodPod
from baseload.planner.targets.workers import Fleet, mean_wait_s, pool_of

if TYPE_CHECKING:
    from baseload.planner.targets import Target

SCHEMA = "baseload.compare/1"
DEPLOYED = ("runpod",)
"""Targets that this version deploys."""

UNKNOWN_MONTH = Spread()

COUNTS = (1, 2, 4, 8)
"""GPUs of one replica that are tried, the fewest first."""

MOST_STEADY = 1_000
"""Workers always on that are sized: each size is a sum over all of them."""

NO_PRICE = "no price is published, and none is entered"
SAME_SPEED = "the speed on this GPU is not known: billed as if it were the speed on the spec's own"


class Status(StrEnum):
    """What can be said of a row; only the first is ranked."""

    RANKED = "ranked"
    SAME_SPEED = "same-speed"
    """Priced as if this GPU were as fast as the spec's own, which is not known."""
    UNKNOWN = "unknown"
    """A figure is missing."""
    UNPRICED = "unpriced"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One target, GPU and mode. None is unknown."""

    target: str
    gpu: str
    """The provider's own name of it."""
    gpu_count: int
    """Of one worker."""
    mode: str
    status: Status
    deployable: bool
    """By this version."""
    own: bool = False
    """The spec's own target as it stands."""
    reasons: tuple[str, ...] = ()
    """Why it is not ranked."""
    monthly_usd: Spread = UNKNOWN_MONTH
    usd_per_1000_requests: Decimal | None = None
    hourly_worst_case_usd: Decimal | None = None
    """All workers on, what is billed beside them not counted."""
    p95_s: float | None = None
    """From arrival to answer at the expected traffic, the provider's own ways not counted."""
    cold_share: float | None = None
    """Of the requests, those that wait for a worker to start."""
    added_s: tuple[Decimal | None, Decimal | None] | None = None
    """Low and high of the provider's own ways, where it publishes or anybody measured any."""
    limits_broken: tuple[str, ...] = ()
    """Of the spec's `limits`."""
    caveats: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    method: str | None = None
    price: Price | None = None
    distinguishable: bool = True
    """False where the range overlaps with that of the best row."""

    @property
    def id(self) -> str:
        """`target/gpu/mode`."""
        return f"{self.target}/{self.gpus}/{self.mode}"

    @property
    def gpus(self) -> str:
        """`2 × ADA_24`; a machine has a name of its own, whatever it holds."""
        machine = self.price is not None and self.price.unit.startswith("instance-")
        return f"{self.gpu_count} × {self.gpu}" if self.gpu_count > 1 and not machine else self.gpu

    def to_json(self) -> dict[str, Any]:
        """Amounts as decimal strings."""
        month = self.monthly_usd
        return {
            "id": self.id,
            "target": self.target,
            "gpu": self.gpu,
            "gpu_count": self.gpu_count,
            "mode": self.mode,
            "status": str(self.status),
            "deployable": self.deployable,
            "own": self.own,
            "distinguishable": self.distinguishable,
            "reasons": list(self.reasons),
            "monthly_usd": {"low": _text(month.low), "expected": _text(month.expected), "high": _text(month.high)},
            "usd_per_1000_requests": _text(self.usd_per_1000_requests),
            "hourly_worst_case_usd": _text(self.hourly_worst_case_usd),
            "p95_s": None if self.p95_s is None else round(self.p95_s, 3),
            "cold_share": None if self.cold_share is None else round(self.cold_share, 6),
            "added_s": None if self.added_s is None else [_text(end) for end in self.added_s],
            "limits_broken": list(self.limits_broken),
            "caveats": list(self.caveats),
            "assumptions": [
                {"name": item.name, "value": item.value, "source": item.source, "errs": item.errs}
                for item in self.assumptions
            ],
            "method": self.method,
            "price": None if self.price is None else self.price.to_json(),
        }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All rows of one spec: ranked by the expected month, then those at the same speed, then those without a figure."""

    name: str
    spec_digest: str
    book: str
    rows: tuple[Row, ...]

    @property
    def best(self) -> Row | None:
        """The smallest expected month."""
        return next(iter(self.of(Status.RANKED)), None)

    @property
    def best_deployable(self) -> Row | None:
        """The smallest expected month of what this version deploys within the spec's limits."""
        found = (row for row in self.of(Status.RANKED) if row.deployable and not row.limits_broken)
        return next(found, None)

    def of(self, status: Status) -> tuple[Row, ...]:
        """The rows of a status, in order."""
        return tuple(row for row in self.rows if row.status is status)

    def to_json(self) -> dict[str, Any]:
        """`baseload.compare/1`."""
        best, deployable = self.best, self.best_deployable
        return {
            "schema": SCHEMA,
            "name": self.name,
            "spec_digest": self.spec_digest,
            "book": self.book,
            "best": None if best is None else best.id,
            "best_deployable": None if deployable is None else deployable.id,
            "rows": [row.to_json() for row in self.rows],
        }


def compare(spec: ModelSpec, book: PriceBook) -> Comparison:
    """The spec on everything the book has a row of; the order does not depend on that of the book's rows."""
    rows = [*_runpod(spec, book), *_rented(spec, book), *_refused(spec, book)]
    return Comparison(
        name=spec.name, spec_digest=spec.digest, book=book.name, rows=_ranked(_limited(row, spec) for row in rows)
    )


def _ranked(rows: Iterable[Row]) -> tuple[Row, ...]:
    ordered = sorted(rows, key=_order)
    best = ordered[0] if ordered and ordered[0].status is Status.RANKED else None
    return tuple(
        replace(row, distinguishable=False)
        if best is not None and row is not best and row.status is Status.RANKED and _overlap(row, best)
        else row
        for row in ordered
    )


def _order(row: Row) -> tuple[int, Decimal, Decimal, str]:
    month = row.monthly_usd
    return list(Status).index(row.status), month.expected or Decimal(0), month.high or Decimal(0), row.id


def _overlap(one: Row, other: Row) -> bool:
    a, b = one.monthly_usd, other.monthly_usd
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return True
    return a.low <= b.high and b.low <= a.high


def _limited(row: Row, spec: ModelSpec) -> Row:
    pairs = (
        ("monthly_usd", spec.limits.monthly_usd, row.monthly_usd.expected),
        ("hourly_worst_case_usd", spec.limits.hourly_worst_case_usd, row.hourly_worst_case_usd),
    )
    broken = (name for name, most, actual in pairs if most is not None and actual is not None and actual > most)
    return replace(row, limits_broken=tuple(broken))


# --------------------------------------------------------------------------------------------- how fast it is there
@dataclass(frozen=True, kw_only=True)
class _Times:
    """The spec's performance on other cards, with the ends of its band."""

    expected: Performance
    fast: Performance
    slow: Performance
    same_speed: bool = False
    """The service time is the spec's own, on cards of which nothing is known."""
    assumptions: tuple[Assumption, ...] = ()

    @property
    def all(self) -> tuple[Performance, ...]:
        """Without repetition, the expected first."""
        return tuple(dict.fromkeys((self.expected, self.fast, self.slow)))


def _cards_of(pool: Pool) -> tuple[Card, ...]:
    """A worker may land on the smallest."""
    return tuple(dict.fromkeys(replace(RUNPOD[name], memory_gib=pool.memory_gib) for name in pool.types))


def _service(spec: ModelSpec, cards: Sequence[Card], count: int) -> _Times:
    """The service time on `cards`; unknown stays None."""
    given, own = spec.performance, _cards_of(POOLS[spec.runpod.gpu])
    as_given = _Times(expected=given, fast=given, slow=given)
    same = {card.name for card in cards} == {card.name for card in own} and count == spec.runpod.gpu_count
    if same and given.service_time_s is not None:
        return as_given
    tokens = spec.traffic.tokens if spec.traffic else None
    there = here = None
    if isinstance(spec.serves, Model) and tokens is not None and cards:
        there = service_time(spec.serves, cards, count, tokens, given.concurrency)
        here = service_time(spec.serves, own, spec.runpod.gpu_count, tokens, given.concurrency)
    if there is None or (given.service_time_s is not None and here is None):
        return as_given if given.service_time_s is None else _same_speed(as_given)
    ratio, how = Decimal(1), f"estimated from the model's size, {there.widest}"
    if given.service_time_s is not None and here is not None:
        ratio = given.service_time_s / here.expected_s
        how = f"{given.service_time_s} s of the spec on {spec.runpod.gpu} × the ratio of both estimates, {there.widest}"

    def at(seconds: Decimal) -> Performance:
        return replace(given, service_time_s=_digits(seconds * ratio), concurrency=there.concurrency)

    value = f"{at(there.expected_s).service_time_s} s"
    return _Times(
        expected=at(there.expected_s),
        fast=at(there.low_s),
        slow=at(there.high_s),
        assumptions=(Assumption(name="service_time", value=value, source=how, errs="either way: measure it"),),
    )


def _same_speed(times: _Times) -> _Times:
    told = Assumption(
        name="service_time",
        value=f"{times.expected.service_time_s} s, as on the spec's own GPU",
        source="default: nothing is known of the speed on this GPU",
        errs="either way: measure it",
    )
    return replace(times, same_speed=True, assumptions=(told,))


def _elsewhere(spec: ModelSpec, times: _Times) -> _Times:
    """With the cold start on another platform: the spec's own was measured on RunPod."""
    given = spec.performance.cold_start_s
    states = cold_start(spec.serves) if isinstance(spec.serves, Model) else None
    if states is None and given is None:
        return times
    if states is None:
        fast_s = expected_s = slow_s = given
        how = "spec, measured on RunPod: not known for this platform"
    else:
        cached, uncached = _digits(Decimal(states.cached_s)), _digits(Decimal(states.uncached_s))
        expected_s = given if given is not None else uncached
        fast_s = min(expected_s, cached)
        slow_s = max(expected_s, uncached if given is not None else 2 * uncached)
        how = f"{'estimated' if given is None else 'spec, on RunPod'}; the range holds {fast_s} to {slow_s} s"
    told = Assumption(name="cold_start", value=f"{expected_s} s", source=how, errs="either way: measure it")
    return replace(
        times,
        expected=replace(times.expected, cold_start_s=expected_s),
        fast=replace(times.fast, cold_start_s=fast_s),
        slow=replace(times.slow, cold_start_s=slow_s),
        assumptions=(*times.assumptions, told),
    )


def _digits(seconds: Decimal) -> Decimal:
    """To the millisecond."""
    return seconds.quantize(Decimal("0.001"), ROUND_HALF_UP)


def _fewest(spec: ModelSpec, memory_gib: int) -> int | None:
    """GPUs of that memory that one replica needs; None where no number of them is enough.

    A container needs as many as the spec says: what is in it is not known.
    """
    model = spec.serves
    if not isinstance(model, Model):
        return spec.runpod.gpu_count
    kv_tokens = longest_request(model, spec.traffic)
    tokens = spec.traffic.tokens if spec.traffic else None
    for count in COUNTS:
        if fit(model, memory_gib, count, kv_tokens).possible and (
            tokens is None or room(model, memory_gib, count, tokens) > 0
        ):
            return count
    return None


def _does_not_fit(spec: ModelSpec, memory_gib: int, count: int) -> str:
    assert isinstance(spec.serves, Model), "only what is known can be too large"
    found = fit(spec.serves, memory_gib, count, longest_request(spec.serves, spec.traffic))
    sides = f"{found.needed_gib:.1f} GiB at least, {count} × {memory_gib} GiB give {found.usable_gib:.1f} GiB"
    return f"the model does not fit the GPU's memory: {sides}"


# ------------------------------------------------------------------------------------------------ RunPod serverless
def _runpod(spec: ModelSpec, book: PriceBook) -> Iterator[Row]:
    """Every pool, Flex and Active; the spec's own pool with its own number of GPUs."""
    for pool in POOLS.values():
        own = pool.id == spec.runpod.gpu
        count = spec.runpod.gpu_count if own else _fewest(spec, pool.memory_gib)
        blank = {"target": "runpod", "gpu": pool.id, "deployable": True}
        if count is None:
            why = (_does_not_fit(spec, pool.memory_gib, COUNTS[-1]),)
            yield Row(**blank, gpu_count=COUNTS[-1], mode="any", status=Status.IMPOSSIBLE, reasons=why)  # type: ignore[arg-type]
            continue
        times = _service(spec, _cards_of(pool), count)
        for mode in RunpodMode:
            as_it_stands = own and mode is spec.runpod.mode
            least = 0 if mode is RunpodMode.FLEX else max(1, spec.runpod.workers_min)
            changed = replace(spec.runpod, gpu=pool.id, gpu_count=count, mode=mode, workers_min=least)
            target = spec.runpod if as_it_stands else changed
            yield _runpod_row(replace(spec, target=target), book, times, own=as_it_stands)


def _runpod_row(spec: ModelSpec, book: PriceBook, times: _Times, *, own: bool) -> Row:
    """As `deploy plan` prices it; the band of a service time that was carried over widens the range."""
    given = spec.performance.service_time_s is not None
    performances = times.all if given else (spec.performance,)
    costs = [cost_of(replace(spec, performance=performance), book) for performance in performances]
    cost, target = costs[0], spec.runpod
    scaling = target.scaling
    fleet = Fleet(
        workers_min=target.workers_min,
        workers_max=target.workers_max,
        idle_timeout_s=Decimal(target.idle_timeout_s or 0),
        start_delay_s=scaling.seconds if isinstance(scaling, QueueDelay) else Decimal(0),
    )
    demand = demand_of(replace(spec, performance=cost.performance))
    if demand is not None and isinstance(scaling, RequestCount):
        demand = replace(demand, concurrency=min(demand.concurrency, scaling.requests))
    row = Row(
        target="runpod",
        gpu=target.gpu,
        gpu_count=target.gpu_count,
        mode=str(target.mode),
        status=Status.RANKED,
        deployable=True,
        own=own,
        monthly_usd=_envelope([cost.monthly_usd for cost in costs]),
        usd_per_1000_requests=cost.usd_per_1000_requests,
        hourly_worst_case_usd=cost.hourly_worst_case_usd,
        assumptions=(*times.assumptions, *_without(cost.assumptions, times.assumptions)),
        method=cost.method,
        price=cost.price,
    )
    unpriced = () if cost.price and cost.price.usd is not None else (f"runpod/serverless/{target.gpu}",)
    row = _judged(row, unpriced, _missing(cost, unpriced), times.same_speed)
    return _served(row, demand, fleet)


def _missing(cost: Cost, unpriced: Sequence[str]) -> tuple[str, ...]:
    if cost.monthly_usd.expected is not None or unpriced:
        return ()
    return tuple(item.summary for item in cost.diagnostics if item.code == "plan/cost-unknown")


def _without(items: Iterable[Assumption], told: Iterable[Assumption]) -> list[Assumption]:
    names = {item.name for item in told}
    return [item for item in items if item.name not in names]


def _envelope(spreads: Sequence[Spread]) -> Spread:
    lows = [spread.low for spread in spreads if spread.low is not None]
    highs = [spread.high for spread in spreads if spread.high is not None]
    if spreads[0].expected is None or not lows or not highs:
        return Spread()
    return Spread(low=min(lows), expected=spreads[0].expected, high=max(highs))


def _judged(row: Row, unpriced: Sequence[str], unknown: Sequence[str], same_speed: bool) -> Row:
    """With the status that its figures allow; an amount stands only where all of it is known."""
    if unpriced:
        itself = row.price is None or row.price.id in unpriced
        why = NO_PRICE if itself else f"no price is known for {', '.join(unpriced)}"
        return replace(row, status=Status.UNPRICED, reasons=(why,), monthly_usd=UNKNOWN_MONTH)
    if unknown or row.monthly_usd.expected is None:
        return replace(row, status=Status.UNKNOWN, reasons=tuple(unknown), monthly_usd=UNKNOWN_MONTH)
    return replace(row, status=Status.SAME_SPEED, reasons=(SAME_SPEED,)) if same_speed else row


def _served(row: Row, demand: Demand | None, fleet: Fleet) -> Row:
    """With its latency; impossible where more arrives in the mean than all workers serve."""
    if row.status is Status.UNKNOWN or demand is None or demand.service_s is None or demand.requests_per_day <= 0:
        return row
    load, slots = _load(demand), fleet.workers_max * demand.concurrency
    if load >= slots:
        needed = int(load / demand.concurrency) + 1
        why = f"{load:,.1f} requests are in service in the mean, {fleet.workers_max} workers serve {slots:,} at once"
        return replace(
            row,
            status=Status.IMPOSSIBLE,
            reasons=(f"{why}: `workers.max` {needed} or more would do",),
            monthly_usd=UNKNOWN_MONTH,
            usd_per_1000_requests=None,
        )
    if demand.cold_start_s is None and fleet.workers_min < fleet.workers_max:
        return row
    found = _latency(demand, fleet)
    caveats = () if found.p95_s is not None else ("more arrives in the busiest times than all workers serve",)
    cold = found.cold_share if found.p95_s is not None else None
    return replace(row, p95_s=found.p95_s, cold_share=cold, caveats=(*row.caveats, *caveats))


def _latency(demand: Demand, fleet: Fleet) -> Latency:
    return latency_over([(float(part.share), pool_of(demand, fleet, part)) for part in demand.in_parts()])


def _load(demand: Demand) -> float:
    """Requests in service, in the mean."""
    return float(demand.requests_per_day) / 86_400 * float(demand.service_s or 0)


# ------------------------------------------------------------------------------------------------------- all others
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


def _offers(spec: ModelSpec, book: PriceBook) -> Iterator[_Offer]:
    """For every card of a provider the cheapest machine that holds the model; else the largest that does not."""
    groups: dict[tuple[str, str, str, str], list[Price]] = {}
    for row in _runnable(book):
        groups.setdefault((row.provider, row.product, row.tier, _card_name(row)), []).append(row)
    for _, rows in sorted(groups.items()):
        name = _card_name(rows[0])
        card = CARDS.get(name)
        count = spec.runpod.gpu_count if card is None else _fewest(spec, card.memory_gib)
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


def _rented(spec: ModelSpec, book: PriceBook) -> Iterator[Row]:
    for offer in _offers(spec, book):
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
            yield _judged(blank, (offer.row.id,), (), same_speed=False)
            continue
        if offer.too_small:
            why = _too_small(spec, offer)
            yield replace(blank, status=Status.IMPOSSIBLE, reasons=(why,))
            continue
        if offer.card is None and isinstance(spec.serves, Model):
            yield replace(blank, reasons=("nothing is known of the memory and the speed of this GPU",))
            continue
        times = _elsewhere(spec, _service(spec, (offer.card,) if offer.card else (), offer.count))
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


def _too_small(spec: ModelSpec, offer: _Offer) -> str:
    if offer.card is None or not isinstance(spec.serves, Model):
        return f"a worker needs {spec.runpod.gpu_count} GPUs, the largest machine has {offer.row.count}"
    return _does_not_fit(spec, offer.card.memory_gib, offer.count)


def _no_speed(spec: ModelSpec) -> str:
    if isinstance(spec.serves, Model):
        return "the service time is unknown: say `traffic.tokens` to have it estimated, or measure it"
    return "the service time is unknown: measure it, for instance `performance: {service_time: 1.8s}`"


def _demands(spec: ModelSpec, times: _Times, copies: int) -> list[Demand]:
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


def _always_on(spec: ModelSpec, times: _Times, copies: int) -> int | None:
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
    row, most, count = offer.row, spec.runpod.workers_max, offer.count
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
    blank: Row, target: Target, fleet: Fleet, demands: Sequence[Demand], times: _Times, book: PriceBook
) -> Row:
    bills = [bill_of(target, demand, book) for demand in demands]
    bill, demand = bills[0], demands[0]
    if bill.impossible:
        return replace(blank, status=Status.IMPOSSIBLE, reasons=bill.impossible)
    months = [each.monthly_usd for each in bills]
    row = replace(
        blank,
        status=Status.RANKED,
        monthly_usd=_envelope([Spread(low=month, expected=month, high=month) for month in months]),
        usd_per_1000_requests=_per_1000(bill, demand, book),
        hourly_worst_case_usd=_hourly(blank, fleet),
        added_s=_added(bill.latency),
        caveats=(*bill.caveats, *_extras(blank)),
        assumptions=(*times.assumptions, *blank.assumptions, *bill.assumptions),
        method=bill.method,
    )
    row = _judged(row, bill.unpriced, [_unknown(name) for name in bill.unknown], times.same_speed)
    return _served(row, demand, fleet)


def _unknown(name: str) -> str:
    if name == "idle_timeout":
        return "when an idle worker stops is not published"
    return f"the spec does not say `{name}`"


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


# --------------------------------------------------------------------------------------------------- never possible
def _refused(spec: ModelSpec, book: PriceBook) -> Iterator[Row]:
    """What is asked for often and is no choice here, and what has no price that any GPU stands for."""
    demand = demand_of(spec) or Demand(requests_per_day=Decimal(0))
    blank = Row(target="", gpu="", gpu_count=0, mode="", status=Status.IMPOSSIBLE, deployable=False)
    size = SERVERLESS_MEMORY_MB[-1]
    wanted = SagemakerServerless(memory_mb=size, max_concurrency=spec.runpod.workers_max, gpu=spec.runpod.gpu)
    refused = bill_of(wanted, demand, book).impossible
    yield replace(blank, target="sagemaker-serverless", gpu="none", mode=f"{size} MB", reasons=refused)
    yield replace(
        blank,
        target="lambda-sagemaker",
        gpu="any",
        mode="from zero",
        reasons=(
            "at zero instances every request fails, and its failure is what wakes the endpoint, which took "
            f"{WAKE_S[0]:.0f} to {WAKE_S[1]:.0f} s in AWS's own tests",
        ),
    )
    for name, rows in sorted(_others(book).items()):
        provider, product, item = name
        row = replace(blank, target=provider, gpu=item, mode=product)
        bill = bill_of(Rented(provider=provider, product=product, gpu=item), demand, book)
        if bill.monthly_usd is None:
            yield _judged(replace(row, price=rows[0]), bill.unpriced, [_unknown(x) for x in bill.unknown], False)
            continue
        month = Spread(low=bill.monthly_usd, expected=bill.monthly_usd, high=bill.monthly_usd)
        yield replace(row, status=Status.RANKED, monthly_usd=month, method=bill.method, price=rows[0])


def _others(book: PriceBook) -> Mapping[tuple[str, str, str], list[Price]]:
    """Rows by the token, and contracts: nothing of a GPU is known there."""
    found: dict[tuple[str, str, str], list[Price]] = {}
    for row in book.rows():
        by_token = row.unit == "million-tokens"
        if row.withdrawn is None and (by_token or row.product == "contract"):
            found.setdefault((row.provider, row.product, row.gpu), []).append(row)
    return found


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
