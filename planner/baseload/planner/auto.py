"""`target: auto`: the smallest bill of what this version deploys that is known to be all that the spec asks for.

Pure: specs and prices in, a choice or the reason why there is none out. Only RunPod serverless is deployed, Flex or
Active on each pool, so only that is looked at; `deploy compare` prices the rest beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from baseload.planner.compare.priced import Question
from baseload.planner.compare.row import Row, Status
from baseload.planner.compare.runpod import runpod_rows
from baseload.planner.compare.simulated import simulated
from baseload.planner.compare.wanted import judged_by
from baseload.planner.diagnostics import Diagnostic, Location, Severity
from baseload.planner.errors import BaseloadError, UsageError
from baseload.planner.spec.choices import FILE, Choice
from baseload.planner.spec.model import Auto, Container

if TYPE_CHECKING:
    from baseload.planner.prices import PriceBook
    from baseload.planner.spec.model import ModelSpec

NEXT = 2
"""Alternatives that are told with a choice."""


def choose(spec: ModelSpec, book: PriceBook, today: date) -> Choice:
    """The choice for a spec with `target: auto`. Raises UsageError where nothing can be chosen."""
    auto = spec.target
    assert isinstance(auto, Auto), "asked for specs with `target: auto`"
    if auto.targets and "runpod" not in auto.targets:
        raise _none(spec, "this version deploys RunPod serverless only, which `targets` leaves out", "add `runpod`")
    rows = _candidates(spec, auto, book)
    good = [row for row in rows if row.acceptable]
    if not good:
        raise _none(spec, *_why_none(spec, rows))
    best, others = good[0], good[1:]
    then = ", then ".join(f"{_name(row)} at {row.total_usd.expected} USD" for row in others[:NEXT])
    because = (
        f"{best.total_usd.expected} USD{_sure(best)} is the smallest expected month of the {len(good)} ways on RunPod "
        f"serverless that meet the whole spec{f'; then {then}' if then else ''}; prices: {book.name}"
    )
    return Choice(target=_content(best), chosen_on=today, because=because)


def remarks(spec: ModelSpec, choice: Choice, book: PriceBook, *, made_now: bool) -> list[Diagnostic]:
    """What to say about a spec on its choice: why it is so, and whether it is still all that the spec asks for."""
    when = "now" if made_now else f"kept from {choice.chosen_on.isoformat()}"
    where = spec.target_at or Location(spec.file)
    found = [
        Diagnostic(
            code="auto/choice",
            severity=Severity.NOTE,
            summary=f"auto: {spec.name} runs on runpod {spec.runpod.gpu} {spec.runpod.mode} ({when}): {choice.because}",
            where=where,
            hint=f"written to model_specs/{FILE}: commit it with the specs"
            if made_now
            else "`--reconsider` chooses again at today's prices",
        )
    ]
    (own,) = [judged_by(row, spec) for row in runpod_rows(Question.of(spec, book)) if row.own]
    if not own.acceptable:
        found.append(
            Diagnostic(
                code="auto/unfit",
                severity=Severity.WARNING,
                summary=f"auto: the choice kept for {spec.name} is no longer all that the spec asks for: {_lacks(own)}",
                where=where,
                hint="`deploy plan --reconsider` chooses again; a new GPU may replace the endpoint's workers",
            )
        )
    return found


def _candidates(spec: ModelSpec, auto: Auto, book: PriceBook) -> list[Row]:
    """By their total, the acceptable ones among them; every pool that may be chosen."""
    about = Question.of(spec, book)
    rows = [judged_by(row, spec) for row in runpod_rows(about) if not auto.gpus or row.gpu in auto.gpus]
    rows = simulated(rows, book, lambda row: judged_by(row, spec))
    ranked = [row for row in rows if row.status is Status.RANKED and row.total_usd.expected is not None]
    rest = [row for row in rows if row not in ranked]
    return [*sorted(ranked, key=lambda row: (row.total_usd.expected, row.id)), *rest]


def _why_none(spec: ModelSpec, rows: Sequence[Row]) -> tuple[str, str]:
    if isinstance(spec.serves, Container):
        return "how fast a container is on each GPU is not known", "name a target: `runpod: {gpu: …}`"
    ranked = [row for row in rows if row.status is Status.RANKED]
    if ranked:
        told = "; ".join(f"{_name(row)}: {_lacks(row)}" for row in ranked[: NEXT + 1])
        return f"nothing is all that the spec asks for: {told}", "relax what the spec asks for, or name a target"
    reasons = "; ".join(dict.fromkeys(reason for row in rows for reason in row.reasons))
    return f"no pool has a known bill: {reasons or 'no pool is left'}", "say what is missing, or name a target"


def _none(spec: ModelSpec, why: str, hint: str) -> BaseloadError:
    return UsageError.of(
        "auto/none", f"nothing to choose for {spec.name}: {why}", where=spec.target_at or Location(spec.file), hint=hint
    )


def _lacks(row: Row) -> str:
    broken = [*(f"limits.{name}" for name in row.limits_broken)]
    broken += [f"service_level {text}" for text in row.service_level_broken]
    return "; ".join([*broken, *row.requires_broken, *row.not_known, *row.reasons])


def _sure(row: Row) -> str:
    if row.simulation is not None:
        return f" (simulated, ±{row.simulation.interval_percent} %)"
    return " (by the closed form, which is in doubt here)" if row.doubts else ""


def _name(row: Row) -> str:
    return f"{row.gpus} {row.mode}"


def _content(row: Row) -> dict[str, Any]:
    assert row.spec is not None, "has a bill"
    target = row.spec.runpod
    content: dict[str, Any] = {"gpu": target.gpu, "mode": str(target.mode)}
    if target.gpu_count > 1:
        content["gpu_count"] = target.gpu_count
    content["workers"] = {"min": target.workers_min, "max": target.workers_max}
    return {"runpod": content}
