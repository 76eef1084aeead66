"""From specs, prices and a preview to the plan that `plan` shows and `up` follows."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from baseload.cli.base import base_of
from baseload.cli.project import Project, stack_limits
from baseload.cli.views.resources import ENDPOINT, is_shown
from baseload.engine.interface import FieldChange as EngineFieldChange
from baseload.engine.interface import Op, Outcome, StepStarted
from baseload.planner.cost import SEED
from baseload.planner.deployed import not_deployed
from baseload.planner.diagnostics import Diagnostic, Location, Severity
from baseload.planner.errors import ChangesFound, LimitBreached
from baseload.planner.plan import Change, FieldChange, Plan, make_plan, moved
from baseload.planner.prices import PriceBook, book_for
from baseload.planner.spec.model import Auto, ModelSpec
from baseload.providers.runpod.fields import Effect, effect

UNCHANGED = (Op.SAME, Op.READ, Op.REFRESH)

SIMULATED = 3
"""Models up to which months in doubt are simulated without being asked to: about a second each."""

HASH_ROUNDS = 1_000_000
"""As many as Pulumi's passphrase provider takes, so that a plan is no easier to guess secrets from than a state."""

UNCOMPARED = "present"
"""Stands for the hash of a value that could not be keyed."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What a plan is made of, besides prices."""

    project: Project
    stack: str
    specs: Sequence[ModelSpec]
    warnings: Sequence[Diagnostic]
    base: str | None = None
    """What to compare with, as `--base` names it; None is the deployed plan."""
    book: str | None = None
    """The prices, as `--book` names them; None is the project's own over the bundled ones."""
    max_age_days: int | None = None
    """When a price is old; None is each source's own age."""
    exact: bool = False
    """Simulate all months that are in doubt, however many."""


def plan_of(sources: Sources, outcome: Outcome | None, stored: Mapping[str, str]) -> Plan:
    """The plan; `outcome` is a preview's, None where there is no state to compare with. `stored` as `secrets_of`."""
    uses, now = secrets_of(sources, stored), datetime.now(UTC)
    specs, remarks = _with_logs(sources.specs, now)
    book = book_of(sources)
    seed = SEED if sources.exact or len(specs) <= SIMULATED else None

    def at_these_prices(others: Sequence[ModelSpec]) -> Plan:
        return make_plan(_with_logs(others, now)[0], book, stack=sources.stack, generated_at=now, seed=seed)

    base, said = base_of(sources.project, sources.stack, sources.base, at_these_prices)
    return make_plan(
        specs,
        book,
        stack=sources.stack,
        generated_at=now,
        base=base,
        limits=stack_limits(sources.project, sources.stack),
        seed=seed,
        changes=None if outcome is None else changes_of(outcome.steps),
        secret_digests={use.path: use.digest or "missing" for use in uses},
        diagnostics=[*sources.warnings, *_not_deployed(sources), *remarks, *said, *_missing(uses)],
        max_age_days=sources.max_age_days,
    )


def book_of(sources: Sources) -> PriceBook:
    """The prices of the project."""
    return book_for(sources.project.root, sources.book)


def settled(sources: Sources, *, reconsider: bool = False) -> Sources:
    """With a target for every `auto`: the one recorded, else one that is chosen now and written beside the specs."""
    if not any(isinstance(spec.target, Auto) for spec in sources.specs):
        return sources
    from baseload.cli.choosing import chosen

    sources = with_logs_read(sources)
    specs, said = chosen(sources.project, sources.specs, book_of(sources), reconsider=reconsider)
    return replace(sources, specs=specs, warnings=[*sources.warnings, *said])


def with_logs_read(sources: Sources) -> Sources:
    """The same with logs read now, for who needs them besides the plan: a long log is read once."""
    specs, said = _with_logs(sources.specs, datetime.now(UTC))
    return replace(sources, specs=specs, warnings=[*sources.warnings, *said])


def _not_deployed(sources: Sources) -> list[Diagnostic]:
    found = [not_deployed(spec, Severity.NOTE) for spec in sources.specs]
    return [item for item in found if item is not None]


def _with_logs(specs: Sequence[ModelSpec], now: datetime) -> tuple[list[ModelSpec], list[Diagnostic]]:
    """The specs with their logs read, and what there is to say about these."""
    if not any(_unread(spec) for spec in specs):
        return list(specs), []
    from baseload.planner.traffic.log import with_log

    read = [with_log(spec, now) if _unread(spec) else (spec, ()) for spec in specs]
    return [spec for spec, _ in read], [item for _, said in read for item in said]


def _unread(spec: ModelSpec) -> bool:
    return spec.traffic is not None and spec.traffic.log is not None and spec.traffic.observed is None


def changes_of(steps: Iterable[StepStarted]) -> list[Change]:
    """Steps that change something outside of the state, with what each field's change means for an endpoint."""
    return [
        Change(op=str(step.op), urn=step.urn, fields=tuple(_field(step, item) for item in step.fields))
        for step in steps
        if step.op not in UNCHANGED and is_shown(step.type)
    ]


def refuse_breach(plan: Plan) -> None:
    """Raise `LimitBreached` with the plan's own words."""
    if plan.breached:
        raise LimitBreached(*(item for item in plan.diagnostics if item.severity is Severity.ERROR))


def refuse_moved(reviewed: Plan, fresh: Plan) -> None:
    """Raise `ChangesFound` with everything that is not as it was reviewed."""
    sentences = moved(reviewed, fresh)
    if sentences:
        hint = "review again with `deploy plan --out plan.json`"
        last = len(sentences) - 1
        raise ChangesFound(
            *(
                Diagnostic(code="plan/moved", summary=text, hint=hint if at == last else None)
                for at, text in enumerate(sentences)
            )
        )


@dataclass(frozen=True, kw_only=True)
class SecretUse:
    """A `{secret: NAME}` of a spec: where it goes, and a hash of its value; None where it is missing."""

    path: str
    """`<model>.env.<variable>`."""
    name: str
    digest: str | None
    where: Location


def secrets_of(sources: Sources, stored: Mapping[str, str]) -> list[SecretUse]:
    """All secrets the specs name; `stored` holds the ciphertexts of the stack's configuration by key.

    The hash of a value from the environment is keyed with the stack's passphrase: who has only the plan can neither
    read nor guess a value. Without a passphrase in Pulumi's variables such values are not compared.
    """
    uses = [
        (f"{spec.name}.env.{key}", value.name, Location(spec.file))
        for spec in sources.specs
        for key, value in spec.secrets.items()
    ]
    key = _key(sources) if any(os.environ.get(name) for _, name, _ in uses) else None
    return [
        SecretUse(path=path, name=name, digest=_digest(path, name, key, stored), where=where)
        for path, name, where in uses
    ]


def _digest(path: str, name: str, key: bytes | None, stored: Mapping[str, str]) -> str | None:
    if os.environ.get(name):
        if key is None:
            return UNCOMPARED
        return f"hmac-sha256:{hmac.new(key, f'{path}={os.environ[name]}'.encode(), hashlib.sha256).hexdigest()}"
    if name in stored:
        return f"sha256-of-ciphertext:{hashlib.sha256(stored[name].encode()).hexdigest()}"
    return None


def _missing(uses: Sequence[SecretUse]) -> list[Diagnostic]:
    return [
        Diagnostic(
            code="secret/missing",
            severity=Severity.WARNING,
            summary=f"the secret {use.name} for {use.path} is missing: unknown in this plan, and `deploy up` refuses",
            where=use.where,
            hint=f"set the environment variable {use.name}, or `pulumi config set --secret {use.name}`",
        )
        for use in uses
        if use.digest is None
    ]


def _key(sources: Sources) -> bytes | None:
    passphrase = os.environ.get("PULUMI_CONFIG_PASSPHRASE")
    file = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    if passphrase is None and file:
        passphrase = (sources.project.root / Path(file).expanduser()).read_text(encoding="utf-8").strip()
    if passphrase is None:
        return None
    salt = f"baseload plan {sources.project.name}/{sources.stack}".encode()
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, HASH_ROUNDS)


def _field(step: StepStarted, item: EngineFieldChange) -> FieldChange:
    release = step.type == ENDPOINT and step.op is Op.UPDATE and effect(item.path) is Effect.RELEASE
    return FieldChange(path=item.path, old=item.old, new=item.new, replaces=item.replaces, release=release)
