"""The plan: what a stack will cost and what would change, as one document (`baseload.plan/1`) with a digest.

Pure: costs come from `cost`, changes and the time from the caller; nothing here asks a clock, a network or an engine,
and no secret gets in (the caller masks values and gives keyed hashes). The document's form is `plan.schema.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from baseload.planner.cost import (
    Cost,
    Deadline,
    Ends,
    Factor,
    GrowthMonth,
    Line,
    ResponseTime,
    Simulation,
    Split,
    Spread,
    cost_of,
)
from baseload.planner.cost.alternative import Alternative, cheaper
from baseload.planner.cost.explain import Bound, Explanation, Kind, Quantity, Sensitivity, explain
from baseload.planner.cost.stack import StackBill, stack_bill
from baseload.planner.diagnostics import Diagnostic, Location, Severity, in_order
from baseload.planner.difference import Base, Causes, Difference, MonthChange, difference
from baseload.planner.errors import BaseloadError, UsageError
from baseload.planner.pool import Assumption
from baseload.planner.prices import MONTH_HOURS, Price, PriceBook, how_to_enter
from baseload.planner.prices.remarks import remarks
from baseload.planner.service_level import Latencies, promises
from baseload.planner.spec.model import Limits, ModelSpec
from baseload.planner.targets.bill import Stage

SCHEMA = "baseload.plan/1"


class Verdict(StrEnum):
    """Whether a limit holds; unknown where the figure is."""

    OK = "ok"
    BREACHED = "breached"
    UNKNOWN = "unknown"


PROMISES = ("p95_s", "p99_s", "cold_share")
"""Of a service level, beside the limits."""


@dataclass(frozen=True, kw_only=True)
class LimitCheck:
    """A limit against its figure: `monthly_usd`, `hourly_worst_case_usd`, `increase_percent` of the month; or a promise
    of the service level: `p95_s`, `p99_s`, `cold_share`."""

    limit: str
    value: Decimal
    actual: Decimal | None
    """None where it is unknown; of an unknown month the known part where that alone breaks the limit. A rise from
    nothing has no percentage."""
    verdict: Verdict
    why: str = field(default="", compare=False)
    """Which part of the latency is too long; said in the diagnostics."""


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """What one model will cost."""

    name: str
    spec_digest: str
    target: str
    monthly_usd: Spread
    split_usd: Split
    at_least_usd: Decimal
    usd_per_1000_requests: Decimal | None
    hourly_worst_case_usd: Decimal | None
    method: str | None
    worker_starts_per_month: Decimal | None
    lines: tuple[Line, ...]
    assumptions: tuple[Assumption, ...]
    limits: tuple[LimitCheck, ...]
    spec: Mapping[str, Any] = field(default_factory=dict)
    """The spec's content without the container's environment, to price it again when the plan is a base."""
    widest_usd: Spread = field(default_factory=Spread)
    """`monthly_usd` with bursts that few have."""
    drift_usd: Spread | None = None
    """`widest_usd` at the volume of another week; None where the traffic was not measured, or its `range` says it."""
    factors: tuple[Factor, ...] = ()
    """Bills at other traffic than expected; the range of the month holds them."""
    ends: Ends = field(default_factory=Ends)
    explanation: Explanation = field(default_factory=Explanation)
    growth: tuple[GrowthMonth, ...] = ()
    """Empty where the traffic does not grow."""
    deadline: Deadline | None = None
    """None where the traffic is no batch."""
    response: ResponseTime | None = None
    """None where nothing is known of it."""
    cheaper: Alternative | None = None
    """None where no way that was priced saves enough."""
    simulation: Simulation | None = None
    """None where the month is the closed form's."""


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One input of a resource that differs; secrets arrive masked. An absent side is None."""

    path: str
    old: Any
    new: Any
    replaces: bool = False
    """The resource is replaced because of it."""
    release: bool = False
    """RunPod makes a new release of the endpoint because of it: its workers are exchanged."""

    @property
    def kind(self) -> str:
        """`add`, `delete` or `update`."""
        if self.old is None:
            return "add"
        return "delete" if self.new is None else "update"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What would be done to one resource: `op` in Pulumi's words (create, update, replace, delete, ...)."""

    op: str
    urn: str
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of one stack."""

    stack: str
    generated_at: datetime
    book: str
    prices: tuple[Price, ...]
    """The rows used."""
    models: tuple[ModelPlan, ...]
    changes: tuple[Change, ...] | None
    """None where the stack has no state to compare with."""
    secret_digests: Mapping[str, str] = field(default_factory=dict)
    """Keyed hash by `<urn>.<path>`, given by the caller: lets the digest notice a changed secret without showing it."""
    diagnostics: tuple[Diagnostic, ...] = ()
    difference: Difference | None = None
    """None where there is nothing to compare with."""
    limits: tuple[LimitCheck, ...] = ()
    """Those of the whole stack."""
    month_hours: Decimal = MONTH_HOURS
    """Of the book."""
    itself: StackBill | None = None
    """What is billed once, whatever the number of models; None for nothing."""

    @property
    def oldest(self) -> date | None:
        """The day on which the oldest price used was read."""
        return min((price.read for price in self.prices), default=None)

    @property
    def total_monthly_usd(self) -> Spread:
        """The sum over all models and the stack itself; unknown as soon as one is.

        The low end is not below zero: a credit that more would use up is no income.
        """
        months = [model.monthly_usd for model in self.models] + ([self.itself.monthly_usd] if self.itself else [])
        low = _sum(month.low for month in months)
        return Spread(
            low=None if low is None else max(low, Decimal("0.00")),
            expected=_sum(month.expected for month in months),
            high=_sum(month.high for month in months),
        )

    @property
    def at_least_usd(self) -> Decimal:
        """The known part of the expected month."""
        return _at_least(self.models, self.itself)

    @property
    def breached(self) -> bool:
        """Whether any limit is broken: exit code 5."""
        checks = (*self.limits, *(check for model in self.models for check in model.limits))
        return any(check.verdict is Verdict.BREACHED for check in checks)

    @property
    def digest(self) -> str:
        """`sha256:` over what was reviewed: stack, specs, prices used, resource changes. Not over the time."""
        reviewed = {
            "schema": SCHEMA,
            "stack": self.stack,
            "specs": {model.name: model.spec_digest for model in self.models},
            "prices": {price.id: _text(price.usd) for price in self.prices},
            "changes": _changes_json(None if self.changes is None else _in_one_order(self.changes)),
            "secrets": dict(self.secret_digests),
        }
        canonical = json.dumps(reviewed, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"

    def to_json(self) -> dict[str, Any]:
        """The document: money as decimal strings, None where unknown."""
        return {
            "schema": SCHEMA,
            "digest": self.digest,
            "stack": self.stack,
            "generated_at": self.generated_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "currency": "USD",
            "prices": {
                "book": self.book,
                "month_hours": format(self.month_hours, "f"),
                "oldest": self.oldest.isoformat() if self.oldest else None,
                "used": [price.to_json() for price in self.prices],
            },
            "models": [_model_json(model) for model in self.models],
            "stack_itself": _itself_json(self.itself),
            "total_monthly_usd": _spread_json(self.total_monthly_usd),
            "at_least_monthly_usd": _text(self.at_least_usd),
            "limits": _limits_json(self.limits),
            "difference": _difference_json(self.difference),
            "changes": _changes_json(self.changes),
            "secret_digests": dict(self.secret_digests),
            "diagnostics": [item.to_json() for item in self.diagnostics],
        }

    def as_base(self, source: str) -> Base:
        """This plan as the one that a later plan is compared with."""
        return Base(
            source=source,
            digest=self.digest,
            generated_at=self.generated_at,
            monthly_usd={model.name: model.monthly_usd.expected for model in self.models},
            itself_usd=self.itself.monthly_usd.expected if self.itself else Decimal(0),
            prices=self.prices,
            specs={spec.name: spec for spec in map(_spec_again, self.models) if spec is not None},
        )

    @classmethod
    def from_json(cls, document: object) -> Plan:
        """The plan of a document.

        Raises UsageError where it is no plan of this version, or was edited so that its digest no longer fits.
        """
        import jsonschema  # only here: it costs more than the rest of the planner, and a plan is rarely read

        validator = jsonschema.Draft202012Validator(schema())
        problem = jsonschema.exceptions.best_match(validator.iter_errors(document))
        if problem is not None or not isinstance(document, dict):
            raise _no_plan(f"{problem.json_path} is not as it should be" if problem else "it is no object")
        try:
            plan = _plan_of(document)
        except ValueError as error:  # a day that no calendar has; everything else is in the schema
            raise _no_plan(str(error)) from None
        if plan.digest != document["digest"]:
            raise UsageError.of(
                "plan/digest",
                "the plan was changed after it was made: its digest does not fit its content",
                hint="make it again with `deploy plan --out plan.json`",
            )
        return plan


def _no_plan(reason: str) -> BaseloadError:
    return UsageError.of(
        "plan/document",
        f"this is not a plan document of {SCHEMA}: {reason}",
        hint="make one with `deploy plan --out plan.json`",
    )


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the plan document."""
    text = Path(__file__).with_name("plan.schema.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def make_plan(
    specs: Sequence[ModelSpec],
    book: PriceBook,
    *,
    stack: str,
    generated_at: datetime,
    changes: Sequence[Change] | None = None,
    secret_digests: Mapping[str, str] | None = None,
    diagnostics: Iterable[Diagnostic] = (),
    base: Base | None = None,
    limits: Limits | None = None,
    max_age_days: int | None = None,
    seed: int | None = None,
) -> Plan:
    """The plan of these specs at these prices.

    `generated_at` has a time zone and also decides which prices count as old, after `max_age_days` or else after each
    source's own age. `diagnostics` (of the specs) are joined by the plan's own. `base` is compared with, `limits` are
    those of the whole stack. With a `seed`, months that are in doubt by the closed form are simulated: a second or so
    each.
    """
    costs = [(spec, cost_of(spec, book, seed)) for spec in specs]
    months = {spec.name: cost.monthly_usd.expected for spec, cost in costs}
    itself = stack_bill(costs, book)
    itself_usd = itself.monthly_usd.expected if itself else Decimal(0)
    against = difference(base, specs, months, book, seed, itself_usd=itself_usd) if base else None
    models = tuple(_model(spec, cost, book, against, seed) for spec, cost in costs)
    checks = _stack_limits(limits or Limits(), models, itself, against)
    prices = tuple(sorted({*(price for _, cost in costs for price in cost.prices), *(itself.prices if itself else ())}))
    found = [
        *diagnostics,
        *(item for _, cost in costs for item in cost.diagnostics),
        *(
            item
            for (spec, _), model in zip(costs, models, strict=True)
            for item in _breaches(model.name, model.limits, Location(spec.file), spec.limits_at)
        ),
        *_breaches("the whole stack", checks, None),
        *remarks(book, prices, generated_at.astimezone(UTC).date(), max_age_days),
        *_unpriced(itself),
        *_incomplete(models, itself),
    ]
    return Plan(
        stack=stack,
        generated_at=generated_at,
        book=book.name,
        month_hours=book.month_hours,
        prices=prices,
        models=models,
        changes=None if changes is None else tuple(changes),
        secret_digests=dict(secret_digests or {}),
        diagnostics=in_order(found),
        difference=against,
        limits=checks,
        itself=itself,
    )


def moved(before: Plan, after: Plan) -> list[str]:
    """What differs between a reviewed plan and a fresh one, a sentence each; empty where the digests are equal."""
    if before.digest == after.digest:
        return []
    found = []
    if before.stack != after.stack:
        found.append(f"stack: {before.stack} → {after.stack}")
    found += _moved_specs(before, after)
    found += _moved_prices(before, after)
    found += _moved_resources(before, after)
    for key in sorted({*before.secret_digests, *after.secret_digests}):
        if before.secret_digests.get(key) != after.secret_digests.get(key):
            found.append(f"secret: {key} has another value")
    return found


# ---------------------------------------------------------------------------------------------------------- making
def _model(spec: ModelSpec, cost: Cost, book: PriceBook, against: Difference | None, seed: int | None) -> ModelPlan:
    return ModelPlan(
        name=spec.name,
        spec_digest=spec.digest,
        target=cost.target,
        monthly_usd=cost.monthly_usd,
        split_usd=cost.split_usd,
        at_least_usd=cost.at_least_usd,
        usd_per_1000_requests=cost.usd_per_1000_requests,
        hourly_worst_case_usd=cost.hourly_worst_case_usd,
        method=cost.method,
        worker_starts_per_month=cost.worker_starts_per_month,
        lines=cost.lines,
        assumptions=cost.assumptions,
        limits=(
            *_limits(spec.limits, cost, against.of(spec.name) if against else None),
            *_service_level(spec, cost),
        ),
        spec=_plain_content(spec.content),
        widest_usd=cost.widest_usd,
        drift_usd=cost.drift_usd,
        factors=cost.factors,
        ends=cost.ends,
        explanation=explain(spec, cost, book),
        growth=cost.growth,
        deadline=cost.deadline,
        response=cost.response,
        cheaper=cheaper(spec, cost, book, seed),
        simulation=cost.simulation,
    )


def _limits(limits: Limits, cost: Cost, change: MonthChange | None) -> tuple[LimitCheck, ...]:
    checks = []
    if limits.monthly_usd is not None:
        checks.append(_month_check(limits.monthly_usd, cost.monthly_usd.expected, cost.at_least_usd))
    if limits.hourly_worst_case_usd is not None:
        checks.append(_check("hourly_worst_case_usd", limits.hourly_worst_case_usd, cost.hourly_worst_case_usd))
    if limits.increase_percent is not None:
        checks.append(_increase_check(limits.increase_percent, change))
    return tuple(checks)


def _service_level(spec: ModelSpec, cost: Cost) -> Iterator[LimitCheck]:
    """What the provider's own ways add at least counts."""
    found = Latencies.of(cost.response)
    for promise in promises(spec.service_level, found, cost.performance):
        yield replace(_check(promise.name, promise.most, promise.actual), why=promise.why)


def _stack_limits(
    limits: Limits, models: Sequence[ModelPlan], itself: StackBill | None, against: Difference | None
) -> tuple[LimitCheck, ...]:
    checks = []
    if limits.monthly_usd is not None:
        beside = [itself.monthly_usd.expected] if itself else []
        expected = _sum([*(model.monthly_usd.expected for model in models), *beside])
        checks.append(_month_check(limits.monthly_usd, expected, _at_least(models, itself)))
    if limits.increase_percent is not None:
        checks.append(_increase_check(limits.increase_percent, against.total if against else None))
    return tuple(checks)


def _month_check(limit: Decimal, expected: Decimal | None, at_least: Decimal) -> LimitCheck:
    """Against the known part where that alone breaks the limit."""
    if expected is None and at_least > limit:
        expected = at_least
    return _check("monthly_usd", limit, expected)


def _increase_check(limit: Decimal, change: MonthChange | None) -> LimitCheck:
    """Unknown without a base, and for a model that it does not have."""
    if change is None or change.status == "new" or change.change_usd is None:
        return _check("increase_percent", limit, None)
    if change.before_usd or not change.change_usd:
        return _check("increase_percent", limit, change.percent or Decimal(0))
    return LimitCheck(limit="increase_percent", value=limit, actual=None, verdict=Verdict.BREACHED)


def _check(limit: str, value: Decimal, actual: Decimal | None) -> LimitCheck:
    if actual is None:
        verdict = Verdict.UNKNOWN
    else:
        verdict = Verdict.BREACHED if actual > value else Verdict.OK
    return LimitCheck(limit=limit, value=value, actual=actual, verdict=verdict)


def _breaches(
    name: str, checks: Sequence[LimitCheck], where: Location | None, at: Mapping[str, Location] = MappingProxyType({})
) -> list[Diagnostic]:
    """At the limit's own place where it is known, else at `where`."""
    return [
        Diagnostic(
            code="plan/service-level" if check.limit in PROMISES else "plan/limit",
            summary=_breach(name, check),
            where=at.get(check.limit, where),
            hint="`deploy compare` says which targets keep it"
            if check.limit in PROMISES
            else "change the target or the traffic, or raise the limit",
        )
        for check in checks
        if check.verdict is Verdict.BREACHED
    ]


def _breach(name: str, check: LimitCheck) -> str:
    limit = f"more than the limit `{check.limit}` of {_text(check.value)}"
    match check.limit:
        case "monthly_usd":
            return f"an expected month of {name} costs {check.actual} USD, {limit} USD"
        case "hourly_worst_case_usd":
            return f"an hour with all workers on of {name} costs {check.actual} USD, {limit} USD"
        case "p95_s" | "p99_s":
            name_of, most = check.limit.removesuffix("_s"), f"{check.value.normalize():f} s"
            share = f"{name_of[1:]} % of the requests of {name} are answered within {check.actual} s"
            return f"{share}, more than `service_level.{name_of}` of {most}: {check.why}"
        case "cold_share":
            return f"`service_level.cold_starts` of {name} is forbidden, but {check.why}"
        case _:
            rise = "from nothing" if check.actual is None else f"by {check.actual} %"
            return f"the expected month of {name} rises {rise}, {limit} %"


def _at_least(models: Sequence[ModelPlan], itself: StackBill | None) -> Decimal:
    return sum((model.at_least_usd for model in models), itself.at_least_usd if itself else Decimal(0))


def _unpriced(itself: StackBill | None) -> list[Diagnostic]:
    if itself is None or not itself.unpriced:
        return []
    return [
        Diagnostic(
            code="plan/price-unknown",
            severity=Severity.WARNING,
            summary=f"the monthly cost of the stack itself is unknown: no price is known for "
            f"{', '.join(itself.unpriced)}",
            hint=how_to_enter(itself.unpriced[0].partition("/")[0]),
        )
    ]


def _incomplete(models: Sequence[ModelPlan], itself: StackBill | None) -> list[Diagnostic]:
    unknown = [model.name for model in models if model.monthly_usd.expected is None]
    if not unknown:
        return []
    known = _at_least(models, itself)
    return [
        Diagnostic(
            code="plan/total-unknown",
            severity=Severity.NOTE,
            summary=f"the total is at least {known:.2f} USD a month; the cost of {', '.join(unknown)} is not known",
        )
    ]


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    total = Decimal("0.00")
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total


# ------------------------------------------------------------------------------------------------------- comparing
def _moved_specs(before: Plan, after: Plan) -> list[str]:
    old = {model.name: model for model in before.models}
    new = {model.name: model for model in after.models}
    found = [f"spec: {name} is gone" for name in old if name not in new]
    found += [f"spec: {name} is new" for name in new if name not in old]
    for name in old:
        if name in new and old[name].spec_digest != new[name].spec_digest:
            found.append(f"spec: {name} changed{_figures_moved(old[name], new[name])}")
    return found


def _figures_moved(old: ModelPlan, new: ModelPlan) -> str:
    was = {item.name: item.value for item in old.assumptions}
    figures = [
        f"{item.name} {was[item.name]} → {item.value}"
        for item in new.assumptions
        if item.name in was and was[item.name] != item.value
    ]
    return f" ({'; '.join(figures)})" if figures else ""


def _moved_prices(before: Plan, after: Plan) -> list[str]:
    old = {price.id: price.usd for price in before.prices}
    new = {price.id: price.usd for price in after.prices}
    return [
        f"price: {key} {_shown(old.get(key))} → {_shown(new.get(key))}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) or (key in old) != (key in new)
    ]


def _shown(usd: Decimal | None) -> str:
    return "none" if usd is None else f"{_text(usd)} USD"


def _moved_resources(before: Plan, after: Plan) -> list[str]:
    if before.changes is None and after.changes and all(change.op == "create" for change in after.changes):
        return []  # reviewed before there was a stack: that everything will be created needed no list
    old, new = _by_resource(before), _by_resource(after)
    found = []
    for urn in sorted({*old, *new}):
        was, now = old.get(urn, []), new.get(urn, [])
        if was == now:
            continue
        was_ops, now_ops = (", ".join(change.op for change in changes) or "no change" for changes in (was, now))
        if was_ops != now_ops:
            found.append(f"resource: {urn}: {was_ops} → {now_ops}")
        else:
            found.append(f"resource: {urn}: {was_ops}, but not as reviewed: {', '.join(_moved_paths(was, now))}")
    if not found and (before.changes is None) != (after.changes is None):
        found.append("resource: the stack has state now" if before.changes is None else "resource: the state is gone")
    return found


def _by_resource(plan: Plan) -> dict[str, list[Change]]:
    found: dict[str, list[Change]] = {}
    for change in _in_one_order(plan.changes or ()):
        found.setdefault(change.urn, []).append(change)
    return found


def _moved_paths(was: Sequence[Change], now: Sequence[Change]) -> list[str]:
    old = {(change.op, item.path): item for change in was for item in change.fields}
    new = {(change.op, item.path): item for change in now for item in change.fields}
    return sorted({path for op, path in {*old, *new} if old.get((op, path)) != new.get((op, path))})


# ------------------------------------------------------------------------------------------------ the document's form
def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else format(amount, "f")


def _spread_json(spread: Spread) -> dict[str, str | None]:
    return {"low": _text(spread.low), "expected": _text(spread.expected), "high": _text(spread.high)}


def _itself_json(found: StackBill | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "monthly_usd": _spread_json(found.monthly_usd),
        "at_least_monthly_usd": _text(found.at_least_usd),
        "lines": _lines_json(found.lines),
        "assumptions": _assumptions_json(found.assumptions),
        "unpriced": list(found.unpriced),
    }


def _lines_json(lines: Sequence[Line]) -> list[dict[str, Any]]:
    return [
        {
            "what": line.what,
            "quantity": _text(line.quantity),
            "unit": line.unit,
            "unit_price_usd": _text(line.unit_price_usd),
            "amount_usd": _text(line.amount_usd),
            "price": line.price,
        }
        for line in lines
    ]


def _assumptions_json(assumptions: Sequence[Assumption]) -> list[dict[str, Any]]:
    return [item.to_json() for item in assumptions]


def _model_json(model: ModelPlan) -> dict[str, Any]:
    split = model.split_usd
    return {
        "name": model.name,
        "spec_digest": model.spec_digest,
        "target": model.target,
        "monthly_usd": _spread_json(model.monthly_usd),
        "widest_monthly_usd": _spread_json(model.widest_usd),
        "drift_monthly_usd": None if model.drift_usd is None else _spread_json(model.drift_usd),
        "split_usd": {
            "busy": _text(split.busy),
            "idle": _text(split.idle),
            "cold_start": _text(split.cold_start),
            "always_on": _text(split.always_on),
        },
        "at_least_monthly_usd": _text(model.at_least_usd),
        "usd_per_1000_requests": _text(model.usd_per_1000_requests),
        "hourly_worst_case_usd": _text(model.hourly_worst_case_usd),
        "method": model.method,
        "worker_starts_per_month": _text(model.worker_starts_per_month),
        "lines": _lines_json(model.lines),
        "assumptions": _assumptions_json(model.assumptions),
        "limits": _limits_json(model.limits),
        "spec": dict(model.spec),
        "factors": [
            {"name": item.name, "value": item.value, "monthly_usd": _text(item.monthly_usd)} for item in model.factors
        ],
        "ends": {"low": list(model.ends.low), "high": list(model.ends.high)},
        "explanation": _explanation_json(model.explanation),
        "growth": [
            {
                "month": item.month,
                "requests_per_day": _text(item.requests_per_day),
                "monthly_usd": _text(item.monthly_usd),
            }
            for item in model.growth
        ],
        "deadline": _deadline_json(model.deadline),
        "simulation": _simulation_json(model.simulation),
        "latency": _response_json(model.response),
        "cheaper": _alternative_json(model.cheaper),
    }


def _alternative_json(found: Alternative | None) -> dict[str, str | None] | None:
    if found is None:
        return None
    return {
        "change": found.change,
        "monthly_usd": _text(found.monthly_usd),
        "saves_usd": _text(found.saves_usd),
        "p95_s": _text(found.p95_s),
        "cold_share": _text(found.cold_share),
        "interval_percent": _text(found.interval_percent),
    }


def _response_json(response: ResponseTime | None) -> dict[str, Any] | None:
    if response is None:
        return None
    return {
        "p50_s": _text(response.p50_s),
        "p95_s": _text(response.p95_s),
        "p99_s": _text(response.p99_s),
        "cold_share": _text(response.cold_share),
        "refused_share": _text(response.refused_share),
        "added": [
            {"name": stage.name, "low_s": _text(stage.low_s), "high_s": _text(stage.high_s), "source": stage.source}
            for stage in response.added
        ],
    }


def _limits_json(checks: Sequence[LimitCheck]) -> list[dict[str, Any]]:
    return [
        {
            "limit": check.limit,
            "value": _text(check.value),
            "actual": _text(check.actual),
            "verdict": str(check.verdict),
        }
        for check in checks
    ]


def _difference_json(found: Difference | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "base": {
            "source": found.source,
            "digest": found.digest,
            "generated_at": found.generated_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "models": [{"name": item.name, "status": item.status, **_change_json(item)} for item in found.models],
        "total": _change_json(found.total),
    }


def _change_json(item: MonthChange) -> dict[str, Any]:
    causes = item.causes
    return {
        "before_usd": _text(item.before_usd),
        "after_usd": _text(item.after_usd),
        "change_usd": _text(item.change_usd),
        "percent": _text(item.percent),
        "causes_usd": None
        if causes is None
        else {
            "spec": _text(causes.spec),
            "traffic": _text(causes.traffic),
            "price": _text(causes.price),
            "method": _text(causes.method),
        },
    }


def _plain_content(content: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON has it. Numbers of a spec are short: as floating point they come back as they were."""
    plain: dict[str, Any] = json.loads(json.dumps(content, default=float))
    return plain


def _spec_again(model: ModelPlan) -> ModelSpec | None:
    """None where the plan has no spec, or one that today's rules refuse."""
    from baseload.planner.spec.file import parse_spec  # imports PyYAML: only for a base

    return parse_spec(Path(f"{model.name} of the base"), json.dumps(model.spec)).spec if model.spec else None


def _explanation_json(explanation: Explanation) -> dict[str, Any]:
    return {
        "quantities": [
            {
                "what": item.what,
                "quantity": _text(item.quantity),
                "unit": item.unit,
                "method": item.method,
                "bounds": [
                    {
                        "kind": str(bound.kind),
                        "formula": bound.formula,
                        "figures": bound.figures,
                        "quantity": _text(bound.quantity),
                    }
                    for bound in item.bounds
                ],
            }
            for item in explanation.quantities
        ],
        "sensitivities": [
            {"assumption": item.assumption, "step": item.step, "change_usd": _text(item.change_usd)}
            for item in explanation.sensitivities
        ],
        "command": explanation.command,
    }


def _simulation_json(found: Simulation | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "seed": found.seed,
        "requests": found.requests,
        "replications": found.replications,
        "sampled": found.sampled,
        "arrivals": found.arrivals,
        "interval_percent": _text(found.interval_percent),
        "closed_form_monthly_usd": _text(found.closed_form_usd),
        "doubts": list(found.doubts),
        "command": found.command,
    }


def _simulation_of(item: Mapping[str, Any]) -> Simulation:
    return Simulation(
        seed=item["seed"],
        requests=item["requests"],
        replications=item["replications"],
        sampled=item["sampled"],
        arrivals=item["arrivals"],
        interval_percent=Decimal(item["interval_percent"]),
        closed_form_usd=_decimal(item["closed_form_monthly_usd"]),
        doubts=tuple(item["doubts"]),
        command=item["command"],
    )


def _deadline_json(deadline: Deadline | None) -> dict[str, Any] | None:
    if deadline is None:
        return None
    return {
        "jobs": deadline.jobs,
        "within_s": _text(deadline.within_s),
        "takes_s": _text(deadline.takes_s),
        "workers": deadline.workers,
        "workers_needed": deadline.workers_needed,
        "monthly_usd_at_needed": _text(deadline.monthly_usd_at_needed),
    }


def _in_one_order(changes: Sequence[Change]) -> list[Change]:
    """By resource: engines announce steps in an order that differs from run to run."""
    by_path = (replace(change, fields=tuple(sorted(change.fields, key=lambda item: item.path))) for change in changes)
    return sorted(by_path, key=lambda change: (change.urn, change.op))


def _changes_json(changes: Sequence[Change] | None) -> list[dict[str, Any]] | None:
    if changes is None:
        return None
    return [
        {
            "op": change.op,
            "urn": change.urn,
            "fields": [
                {
                    "path": item.path,
                    "kind": item.kind,
                    "old": item.old,
                    "new": item.new,
                    "replaces": item.replaces,
                    "release": item.release,
                }
                for item in change.fields
            ],
        }
        for change in changes
    ]


def _plan_of(document: Mapping[str, Any]) -> Plan:
    changes = document["changes"]
    return Plan(
        stack=document["stack"],
        generated_at=datetime.fromisoformat(document["generated_at"]),
        book=document["prices"]["book"],
        month_hours=Decimal(document["prices"].get("month_hours", MONTH_HOURS)),
        prices=tuple(_price_of(item) for item in document["prices"]["used"]),
        models=tuple(_model_of(item) for item in document["models"]),
        changes=None if changes is None else tuple(_change_of(item) for item in changes),
        secret_digests=document["secret_digests"],
        diagnostics=tuple(_diagnostic_of(item) for item in document["diagnostics"]),
        difference=_difference_of(document["difference"]) if document.get("difference") else None,
        limits=_checks_of(document.get("limits", ())),
        itself=_itself_of(document["stack_itself"]) if document.get("stack_itself") else None,
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _price_of(item: Mapping[str, Any]) -> Price:
    name, _, tier = item["id"].partition("#")
    name, _, region = name.partition("@")
    provider, product, gpu = name.split("/", 2)
    return Price(
        provider=provider,
        product=product,
        gpu=gpu,
        region=region,
        tier=tier,
        unit=item["unit"],
        usd=_decimal(item["usd"]),
        read=date.fromisoformat(item["read"]),
        withdrawn=date.fromisoformat(item["withdrawn"]) if item["withdrawn"] else None,
        confidence=item["confidence"],
        source=item["source"],
        note=item["note"],
    )


def _amounts(of: Mapping[str, str | None]) -> dict[str, Decimal | None]:
    return {key: _decimal(value) for key, value in of.items()}


def _lines_of(items: Iterable[Mapping[str, Any]]) -> tuple[Line, ...]:
    return tuple(
        Line(
            what=line["what"],
            quantity=Decimal(line["quantity"]),
            unit=line["unit"],
            unit_price_usd=Decimal(line["unit_price_usd"]),
            price=line["price"],
        )
        for line in items
    )


def _assumptions_of(items: Iterable[Mapping[str, Any]]) -> tuple[Assumption, ...]:
    return tuple(
        Assumption(
            name=item["name"],
            value=item["value"],
            source="; ".join(filter(None, (item["source"], item["reference"]))),
            errs=item["errs"],
        )
        for item in items
    )


def _itself_of(item: Mapping[str, Any]) -> StackBill:
    return StackBill(
        monthly_usd=Spread(**_amounts(item["monthly_usd"])),
        at_least_usd=Decimal(item["at_least_monthly_usd"]),
        lines=_lines_of(item["lines"]),
        assumptions=_assumptions_of(item["assumptions"]),
        unpriced=tuple(item["unpriced"]),
    )


def _model_of(item: Mapping[str, Any]) -> ModelPlan:
    return ModelPlan(
        name=item["name"],
        spec_digest=item["spec_digest"],
        target=item["target"],
        monthly_usd=Spread(**_amounts(item["monthly_usd"])),
        split_usd=Split(**_amounts(item["split_usd"])),
        at_least_usd=Decimal(item["at_least_monthly_usd"]),
        usd_per_1000_requests=_decimal(item["usd_per_1000_requests"]),
        hourly_worst_case_usd=_decimal(item["hourly_worst_case_usd"]),
        method=item["method"],
        worker_starts_per_month=_decimal(item["worker_starts_per_month"]),
        lines=_lines_of(item["lines"]),
        assumptions=_assumptions_of(item["assumptions"]),
        limits=_checks_of(item["limits"]),
        spec=item.get("spec", {}),
        widest_usd=Spread(**_amounts(item.get("widest_monthly_usd", {}))),
        drift_usd=Spread(**_amounts(item["drift_monthly_usd"])) if item.get("drift_monthly_usd") else None,
        factors=tuple(
            Factor(name=factor["name"], value=factor["value"], monthly_usd=Decimal(factor["monthly_usd"]))
            for factor in item.get("factors", ())
        ),
        ends=_ends_of(item.get("ends", {})),
        explanation=_explanation_of(item.get("explanation", {})),
        growth=tuple(
            GrowthMonth(
                month=month["month"],
                requests_per_day=Decimal(month["requests_per_day"]),
                monthly_usd=_decimal(month["monthly_usd"]),
            )
            for month in item.get("growth", ())
        ),
        deadline=_deadline_of(item["deadline"]) if item.get("deadline") else None,
        simulation=_simulation_of(item["simulation"]) if item.get("simulation") else None,
        response=_response_of(item["latency"]) if item.get("latency") else None,
        cheaper=_alternative_of(item["cheaper"]) if item.get("cheaper") else None,
    )


def _alternative_of(item: Mapping[str, Any]) -> Alternative:
    return Alternative(
        change=item["change"],
        monthly_usd=Decimal(item["monthly_usd"]),
        saves_usd=Decimal(item["saves_usd"]),
        p95_s=_decimal(item["p95_s"]),
        cold_share=_decimal(item["cold_share"]),
        interval_percent=_decimal(item.get("interval_percent")),
    )


def _response_of(item: Mapping[str, Any]) -> ResponseTime:
    return ResponseTime(
        p50_s=_decimal(item["p50_s"]),
        p95_s=_decimal(item["p95_s"]),
        p99_s=_decimal(item["p99_s"]),
        cold_share=_decimal(item["cold_share"]),
        refused_share=_decimal(item["refused_share"]),
        added=tuple(
            Stage(
                name=stage["name"],
                low_s=_decimal(stage["low_s"]),
                high_s=_decimal(stage["high_s"]),
                source=stage["source"],
            )
            for stage in item["added"]
        ),
    )


def _checks_of(items: Iterable[Mapping[str, Any]]) -> tuple[LimitCheck, ...]:
    return tuple(
        LimitCheck(
            limit=check["limit"],
            value=Decimal(check["value"]),
            actual=_decimal(check["actual"]),
            verdict=Verdict(check["verdict"]),
        )
        for check in items
    )


def _difference_of(item: Mapping[str, Any]) -> Difference:
    return Difference(
        source=item["base"]["source"],
        digest=item["base"]["digest"],
        generated_at=datetime.fromisoformat(item["base"]["generated_at"]),
        models=tuple(
            MonthChange(
                name=model["name"],
                status=model["status"],
                before_usd=_decimal(model["before_usd"]),
                after_usd=_decimal(model["after_usd"]),
                causes=Causes(**{key: Decimal(usd) for key, usd in model["causes_usd"].items()})
                if model["causes_usd"]
                else None,
            )
            for model in item["models"]
        ),
    )


def _ends_of(item: Mapping[str, Sequence[str]]) -> Ends:
    return Ends(low=tuple(item.get("low", ())), high=tuple(item.get("high", ())))


def _explanation_of(item: Mapping[str, Any]) -> Explanation:
    return Explanation(
        quantities=tuple(
            Quantity(
                what=entry["what"],
                quantity=Decimal(entry["quantity"]),
                unit=entry["unit"],
                method=entry["method"],
                bounds=tuple(
                    Bound(
                        kind=Kind(bound["kind"]),
                        formula=bound["formula"],
                        figures=bound["figures"],
                        quantity=Decimal(bound["quantity"]),
                    )
                    for bound in entry["bounds"]
                ),
            )
            for entry in item.get("quantities", ())
        ),
        sensitivities=tuple(
            Sensitivity(assumption=entry["assumption"], step=entry["step"], change_usd=Decimal(entry["change_usd"]))
            for entry in item.get("sensitivities", ())
        ),
        command=item.get("command"),
    )


def _deadline_of(item: Mapping[str, Any]) -> Deadline:
    return Deadline(
        jobs=item["jobs"],
        within_s=Decimal(item["within_s"]),
        takes_s=_decimal(item["takes_s"]),
        workers=item["workers"],
        workers_needed=item["workers_needed"],
        monthly_usd_at_needed=_decimal(item["monthly_usd_at_needed"]),
    )


def _change_of(item: Mapping[str, Any]) -> Change:
    fields = ({key: value for key, value in entry.items() if key != "kind"} for entry in item["fields"])
    return Change(op=item["op"], urn=item["urn"], fields=tuple(FieldChange(**entry) for entry in fields))


def _diagnostic_of(item: Mapping[str, Any]) -> Diagnostic:
    where = Location(Path(item["file"]), item["line"], item["column"]) if item["file"] else None
    return Diagnostic(
        code=item["code"],
        severity=Severity(item["severity"]),
        summary=item["summary"],
        where=where,
        hint=item["hint"],
    )
