"""How the figures of a bill come about: bounds to compute by hand, and what moves the bill by how much.

Pure, and beside the cost: reads specs and lines, never the pool's inside. A bound is arithmetic on figures of the spec
that holds whatever the queueing does; a figure outside of its bounds is wrong. A sensitivity is a second pricing with
one thing changed by a step that is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Context, Decimal, getcontext
from enum import StrEnum
from math import prod

from baseload.planner.cost import MONTH_DAYS, MONTH_S, SESSIONS, Cost, cents, expected_month_usd, others_move
from baseload.planner.cost.runpod import pool_of
from baseload.planner.prices import PriceBook
from baseload.planner.simulated.expected import is_simulated
from baseload.planner.spec.model import ModelSpec, QueueDelay, RequestCount, RunpodTarget, Traffic
from baseload.planner.traffic.schedule import always_on

STEP = Decimal("0.1")
"""Of a figure, where nothing says how far off it may be."""

LONG = 10
"""Digits of a figure that are shown in any case."""

TOTAL = "total"
GPU_SECOND = "GPU-second"


class Kind(StrEnum):
    """How a bound relates to its quantity."""

    AT_LEAST = "at least"
    ABOUT = "about"
    """Equal but for rounding."""
    AT_MOST = "at most"


@dataclass(frozen=True, kw_only=True)
class Bound:
    """`formula` in words, `figures` the same in numbers: what comes out is `quantity`, in its unit."""

    kind: Kind
    formula: str
    figures: str
    quantity: Decimal


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A line's quantity (or `total`, all of them): how it was computed, and between which bounds it lies."""

    what: str
    quantity: Decimal
    method: str
    bounds: tuple[Bound, ...]
    unit: str = GPU_SECOND

    @property
    def hours(self) -> Decimal | None:
        """Of seconds, for reading; None of any other unit, GB-seconds too."""
        if not self.unit.endswith("-second") or self.unit == "GB-second":
            return None
        return (self.quantity / 3600).quantize(Decimal("0.1"), ROUND_HALF_UP)


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What the expected month would cost more (or less) were one assumption other than it is."""

    assumption: str
    step: str
    change_usd: Decimal


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Of one model; empty where its month is unknown."""

    quantities: tuple[Quantity, ...] = ()
    sensitivities: tuple[Sensitivity, ...] = ()
    """Those that move the bill most first; none that do not move it."""
    command: str | None = None
    """Reproduces the modelled quantities by simulation; None where there is nothing to simulate."""


def explain(spec: ModelSpec, cost: Cost, book: PriceBook) -> Explanation:
    """The explanation of `cost`, which is that of `spec` at the prices of `book`."""
    if cost.monthly_usd.expected is None:
        return Explanation()
    spec = replace(spec, performance=cost.performance)
    if isinstance(spec.target, RunpodTarget):
        found = tuple(_quantities(spec, cost))
    else:
        from baseload.planner.cost.target_explain import quantities

        found = tuple(quantities(spec, cost, book))
    return Explanation(
        quantities=found,
        sensitivities=tuple(
            sorted(_sensitivities(spec, cost, book), key=lambda item: (-abs(item.change_usd), item.assumption))
        ),
        command=_command(spec, cost),
    )


def _command(spec: ModelSpec, cost: Cost) -> str | None:
    """What `deploy simulate` takes: requests that come, at rates and minimums that are known, and are served."""
    if cost.simulation is not None:
        return cost.simulation.command
    traffic, service_s, cold_s = spec.traffic, spec.performance.service_time_s, spec.performance.cold_start_s
    if traffic is None or not traffic.requests_per_day or not service_s or not is_simulated(spec):
        return None
    if cold_s is None and isinstance(spec.target, RunpodTarget):
        return None
    if isinstance(spec.target, RunpodTarget):
        slots = [pool_of(spec).slots]
    else:
        slots = [pool.slots for _, pool in cost.bill.pools] if cost.bill is not None else []
    load = traffic.requests_per_day / 86_400 * service_s
    return None if any(load >= fit for fit in slots) else f"deploy simulate {spec.name}"


# ------------------------------------------------------------------------------------------------------------ bounds
@dataclass(frozen=True)
class Term:
    """A figure with its name."""

    name: str
    value: Decimal

    def __str__(self) -> str:
        return _number(self.value)

    def of_digits(self, digits: int) -> Term:
        """A fraction with no more digits than that; whole numbers stay."""
        if self.value == self.value.to_integral_value():
            return self
        return replace(self, value=Context(prec=digits, rounding=ROUND_HALF_UP).plus(self.value))


def product(
    kind: Kind, *terms: Term, per: tuple[Term, ...] = (), less: tuple[Term, ...] = (), to: Decimal = Decimal(1)
) -> Bound:
    """terms ÷ per − less, never below zero, rounded to a multiple of `to`.

    Long fractions are shown with as many digits as give the same by hand.
    """
    exact = _result(terms, per, less, to)
    for digits in range(LONG, getcontext().prec):
        short = [tuple(term.of_digits(digits) for term in side) for side in (terms, per, less)]
        if _result(short[0], short[1], short[2], to) == exact:
            terms, per, less = short
            break
    formula, figures = " × ".join(term.name for term in terms), " × ".join(map(str, terms))
    for divisor in per:
        formula, figures = f"{formula} ÷ {divisor.name}", f"{figures} ÷ {divisor}"
    if less:
        formula += " − " + " × ".join(term.name for term in less)
        figures += " − " + " × ".join(map(str, less))
    return Bound(kind=kind, formula=formula, figures=figures, quantity=exact)


def _result(terms: tuple[Term, ...], per: tuple[Term, ...], less: tuple[Term, ...], to: Decimal) -> Decimal:
    value = prod((term.value for term in terms), start=Decimal(1))
    for divisor in per:
        value /= divisor.value
    if less:
        value -= prod((term.value for term in less), start=Decimal(1))
    rounded = max(value, Decimal(0)).quantize(to, ROUND_HALF_UP)
    return shortest(rounded)


def shortest(quantity: Decimal) -> Decimal:
    """Without zeros at the end of a fraction, and never with an exponent."""
    return quantity.quantize(Decimal(1)) if quantity == quantity.to_integral_value() else quantity.normalize()


def _quantities(spec: ModelSpec, cost: Cost) -> Iterator[Quantity]:
    assert cost.method is not None, "known with the month"
    bounds = _bounds(spec, cost)
    for line in cost.lines:
        if line.quantity:
            method = "exact: workers.min, all the time" if line.what == "always_on" else cost.method
            yield Quantity(what=line.what, quantity=line.quantity, method=method, bounds=bounds.get(line.what, ()))
    billed = sum((line.quantity for line in cost.lines), Decimal(0))
    yield Quantity(what=TOTAL, quantity=billed, method=cost.method, bounds=bounds[TOTAL])


def _bounds(spec: ModelSpec, cost: Cost) -> dict[str, tuple[Bound, ...]]:
    target, performance = spec.runpod, spec.performance
    gpus = Term("GPUs", Decimal(target.gpu_count))
    month = Term("seconds of a month", MONTH_S)
    least = Term("workers.min", Decimal(target.workers_min))
    if spec.schedule is not None:
        least = Term("mean of the schedule", always_on(spec.schedule, target.workers_max))
    found: dict[str, tuple[Bound, ...]] = {
        "always_on": (product(Kind.ABOUT, least, month, gpus),),
        TOTAL: (product(Kind.AT_MOST, Term("workers.max", Decimal(target.workers_max)), month, gpus),),
    }
    requests, service_s, cold_s = requests_of(spec), performance.service_time_s, performance.cold_start_s
    if requests is None or service_s is None or cold_s is None:
        return found
    asked, service = Term("requests", requests), Term("service time", service_s)
    per, slots = _per_worker(spec), target.workers_max * _per_worker(spec).value
    always = (least, month, gpus) if least.value else ()
    served = requests * service_s < slots * MONTH_S
    starts = Term("worker starts", cost.worker_starts_per_month or Decimal(0))
    start = Term("(cold start + 0.5 s)", cold_s + Decimal("0.5"))
    if served:
        least_busy = product(Kind.AT_LEAST, asked, service, gpus, per=(per,), less=always)
        most_busy = product(Kind.AT_MOST, asked, service, gpus)
        found["busy"] = (least_busy, most_busy) if least_busy.quantity else (most_busy,)
    found["cold_start"] = (
        product(Kind.ABOUT, starts, start, gpus),
        product(Kind.AT_MOST, asked, start, gpus),
    )
    if target.idle_timeout_s is not None:
        both = Term("(requests + worker starts)", requests + starts.value)
        found["idle"] = (product(Kind.AT_MOST, both, Term("idle timeout", Decimal(target.idle_timeout_s)), gpus),)
    return found


def requests_of(spec: ModelSpec) -> Decimal | None:
    """Requests of a month, to the thousandth."""
    if spec.traffic is None or spec.traffic.requests_per_day is None:
        return None
    return (spec.traffic.requests_per_day * MONTH_DAYS).quantize(Decimal("0.001"), ROUND_HALF_UP)


def _per_worker(spec: ModelSpec) -> Term:
    """Requests that one worker gets at once."""
    concurrency, rule = spec.performance.concurrency, spec.runpod.scaling
    if isinstance(rule, RequestCount) and rule.requests < concurrency:
        return Term("request_count", Decimal(rule.requests))
    return Term("concurrency", Decimal(concurrency))


def _whole(quantity: Decimal) -> Decimal:
    return quantity.quantize(Decimal(1), ROUND_HALF_UP)


def _number(value: Decimal) -> str:
    """With commas, without trailing zeros."""
    return f"{value.normalize():,f}"


# ----------------------------------------------------------------------------------------------------- sensitivities
def _sensitivities(spec: ModelSpec, cost: Cost, book: PriceBook) -> Iterator[Sensitivity]:
    expected = cost.monthly_usd.expected
    assert expected is not None, "asked for known months only"
    if cost.bill is not None and cost.bill.base is not None:
        from baseload.planner.cost.target_month import at_base

        spec = at_base(spec, cost.bill.base)
    moves = Decimal(1)
    if cost.simulation is not None and cost.simulation.closed_form_usd:  # like with like, of workers that come and go
        moves = others_move(cost.lines, expected, cost.simulation.closed_form_usd)
        expected = cost.simulation.closed_form_usd
    for assumption, step, other in _steps(spec):
        usd = expected_month_usd(other, book)
        if usd is not None and usd != expected:
            yield Sensitivity(assumption=assumption, step=step, change_usd=cents((usd - expected) * moves))
    yield from _other_dispatch(cost)
    for assumption, step, change_usd in _by_line(spec, cost):
        if change_usd:
            yield Sensitivity(assumption=assumption, step=step, change_usd=change_usd)


def _other_dispatch(cost: Cost) -> Iterator[Sensitivity]:
    """The rule of dispatch that the platform may have and that moves the bill most: a factor of the range."""
    usual = cost.monthly_usd.expected or Decimal(0)
    changes = {item.value: item.monthly_usd - usual for item in cost.factors if item.name == "dispatch"}
    rule = max(changes, key=lambda value: abs(changes[value]), default=None)
    if rule is not None and changes[rule]:
        yield Sensitivity(assumption="dispatch", step=rule, change_usd=changes[rule])


def _steps(spec: ModelSpec) -> Iterator[tuple[str, str, ModelSpec]]:
    """Each assumption that is a figure, its step, and the spec after it."""
    performance, traffic = spec.performance, spec.traffic
    more = 1 + STEP
    if traffic is not None and traffic.requests_per_day:
        yield "arrivals", "10 % more", replace(spec, traffic=_scaled(traffic, more))
        for step, share in _other_shares(traffic):
            yield "active_share", step, replace(spec, traffic=replace(traffic, active_share=share))
    for name in ("service_time_s", "service_time_cv", "cold_start_s"):
        figure = getattr(performance, name)
        if figure:
            changed = replace(performance, **{name: figure * more})
            yield name.removesuffix("_s"), "10 % more", replace(spec, performance=changed)
    if performance.concurrency > 1:
        fewer = replace(performance, concurrency=performance.concurrency - 1)
        yield "concurrency", "1 fewer", replace(spec, performance=fewer)
    if isinstance(spec.target, RunpodTarget):
        yield from _runpod_steps(spec, spec.target)
    else:
        from baseload.planner.cost.target_explain import steps

        yield from steps(spec)


def _runpod_steps(spec: ModelSpec, target: RunpodTarget) -> Iterator[tuple[str, str, ModelSpec]]:
    if target.idle_timeout_s is not None:
        by = max(1, round(target.idle_timeout_s * STEP))
        yield (
            "idle_timeout",
            f"{by} s more",
            replace(spec, target=replace(target, idle_timeout_s=target.idle_timeout_s + by)),
        )
    if isinstance(target.scaling, QueueDelay) and target.scaling.seconds:
        later = QueueDelay(seconds=target.scaling.seconds * (1 + STEP))
        yield "start_rule", "10 % later", replace(spec, target=replace(target, scaling=later))


def _scaled(traffic: Traffic, factor: Decimal) -> Traffic:
    """All of it multiplied, in whatever form it is given."""
    assert traffic.requests_per_day is not None, "asked for known traffic only"
    return replace(
        traffic,
        requests_per_day=traffic.requests_per_day * factor,
        hourly=tuple(requests * factor for requests in traffic.hourly),
        observed=traffic.observed.times(float(factor)) if traffic.observed else None,
        batch=replace(traffic.batch, jobs=int(_whole(traffic.batch.jobs * factor))) if traffic.batch else None,
    )


def _other_shares(traffic: Traffic) -> Iterable[tuple[str, Decimal]]:
    if traffic.active_share is not None:
        return [("10 % less", traffic.active_share * (1 - STEP))]
    hidden = traffic.batch is None and traffic.observed is None
    return [(f"{SESSIONS * 100:f} %".replace(".00", ""), SESSIONS)] if hidden else []


def _by_line(spec: ModelSpec, cost: Cost) -> Iterator[tuple[str, str, Decimal]]:
    """What needs no second pricing: another price of the same quantities, starts that are not billed."""
    dearer = sum((cents(line.quantity * line.unit_price_usd * (1 + STEP)) for line in cost.lines), Decimal(0))
    yield "price", "10 % more", dearer - sum((line.amount_usd for line in cost.lines), Decimal(0))
    cold_s = spec.performance.cold_start_s
    if not isinstance(spec.target, RunpodTarget):
        return
    for line in cost.lines:
        if line.what == "always_on":
            assert cost.price is not None, "of its line"
            yield "active_discount", "none", cents(line.quantity * (cost.price.usd or 0)) - line.amount_usd
        if line.what == "cold_start" and cold_s and cost.worker_starts_per_month:
            starting = cost.worker_starts_per_month * cold_s * spec.runpod.gpu_count
            yield "cold_start_billed", "none of it", -cents(min(starting, line.quantity) * line.unit_price_usd)
