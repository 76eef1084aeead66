"""What a plan costs more or less than another one, and why: by spec, traffic, prices, or the way of computing.

Pure. The causes come from pricing again with one thing put back at a time, in a fixed order: today's spec at the
base's prices (what is left is the price), with the base's traffic (the traffic), as the base's spec (the spec); what
the base's own plan said otherwise is the method. They add up to the change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property

from baseload.planner.cost import expected_month_usd
from baseload.planner.cost.stack import NAME
from baseload.planner.prices import Price, PriceBook
from baseload.planner.spec.model import ModelSpec

_TENTH = Decimal("0.1")


@dataclass(frozen=True, kw_only=True)
class Base:
    """A plan to compare with."""

    source: str
    """`deployed`, a file, or `git:<ref>`."""
    digest: str
    generated_at: datetime
    monthly_usd: Mapping[str, Decimal | None]
    """The expected month of each model; None is unknown."""
    prices: Sequence[Price] = ()
    """The rows it used."""
    itself_usd: Decimal | None = Decimal(0)
    """The expected month of the stack itself."""
    specs: Mapping[str, ModelSpec] = field(default_factory=dict)
    """Those that are known; without a model's spec its change has no causes."""


@dataclass(frozen=True, kw_only=True)
class Causes:
    """Parts of a change, in dollars a month."""

    spec: Decimal = Decimal(0)
    traffic: Decimal = Decimal(0)
    price: Decimal = Decimal(0)
    method: Decimal = Decimal(0)
    """The same spec at the same prices is computed otherwise than when the base was made."""


@dataclass(frozen=True, kw_only=True)
class MonthChange:
    """The expected month before and now; None is unknown. A model that is not there costs nothing."""

    name: str
    before_usd: Decimal | None
    after_usd: Decimal | None
    causes: Causes | None
    """None where either side, or what the base was computed from, is unknown."""
    status: str = "kept"
    """`new` and `gone` models count as spec."""

    @property
    def change_usd(self) -> Decimal | None:
        """More (or less) than before."""
        if self.before_usd is None or self.after_usd is None:
            return None
        return self.after_usd - self.before_usd

    @property
    def percent(self) -> Decimal | None:
        """Of what it was, to the tenth; None where that is nothing or unknown."""
        if self.change_usd is None or not self.before_usd:
            return None
        return (self.change_usd / self.before_usd * 100).quantize(_TENTH, ROUND_HALF_UP)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Against one base: each model of either side, and all together."""

    source: str
    digest: str
    generated_at: datetime
    models: tuple[MonthChange, ...]

    @property
    def total(self) -> MonthChange:
        """The sum; unknown as soon as one is."""
        causes = [item.causes for item in self.models]
        return MonthChange(
            name="total",
            before_usd=_sum([item.before_usd for item in self.models]),
            after_usd=_sum([item.after_usd for item in self.models]),
            causes=_together([item for item in causes if item]) if all(causes) else None,
        )

    def of(self, name: str) -> MonthChange:
        """The change of one model."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> Mapping[str, MonthChange]:
        return {item.name: item for item in self.models}


def difference(
    base: Base,
    specs: Sequence[ModelSpec],
    monthly_usd: Mapping[str, Decimal | None],
    book: PriceBook,
    seed: int | None = None,
    *,
    itself_usd: Decimal | None = Decimal(0),
) -> Difference:
    """`monthly_usd` are today's expected months of `specs` at the prices of `book`; models that are gone come last.

    `seed` as for `monthly_usd`: what is simulated now is also simulated for the causes, so that only a base that was
    computed otherwise differs in its method. `itself_usd` is that of the stack itself, compared where either side has
    one; its causes are not told apart.
    """
    now = {spec.name: spec for spec in specs}
    # As far as it was used then; rows that nobody used are today's.
    old_book = book.with_rows(base.prices, "base")
    found = [_change(base, spec, monthly_usd[name], old_book, seed) for name, spec in now.items()]
    found += [
        MonthChange(name=name, before_usd=usd, after_usd=Decimal(0), causes=_all_spec(usd, -1), status="gone")
        for name, usd in base.monthly_usd.items()
        if name not in now
    ]
    if base.itself_usd != 0 or itself_usd != 0:
        found.append(MonthChange(name=NAME, before_usd=base.itself_usd, after_usd=itself_usd, causes=None))
    return Difference(source=base.source, digest=base.digest, generated_at=base.generated_at, models=tuple(found))


def _change(base: Base, spec: ModelSpec, after: Decimal | None, old_book: PriceBook, seed: int | None) -> MonthChange:
    if spec.name not in base.monthly_usd:
        return MonthChange(
            name=spec.name, before_usd=Decimal(0), after_usd=after, causes=_all_spec(after, 1), status="new"
        )
    before = base.monthly_usd[spec.name]
    causes = None
    old = base.specs.get(spec.name)
    if before is not None and after is not None and old is not None:
        causes = _causes(before, old, spec, after, old_book, seed)
    return MonthChange(name=spec.name, before_usd=before, after_usd=after, causes=causes)


def _causes(
    before: Decimal, old: ModelSpec, spec: ModelSpec, after: Decimal, old_book: PriceBook, seed: int | None
) -> Causes | None:
    at_old_prices = expected_month_usd(spec, old_book, seed)
    with_old_traffic = expected_month_usd(replace(spec, traffic=old.traffic), old_book, seed)
    as_it_was = expected_month_usd(old, old_book, seed)
    if at_old_prices is None or with_old_traffic is None or as_it_was is None:
        return None
    return Causes(
        price=after - at_old_prices,
        traffic=at_old_prices - with_old_traffic,
        spec=with_old_traffic - as_it_was,
        method=as_it_was - before,
    )


def _all_spec(usd: Decimal | None, sign: int) -> Causes | None:
    return None if usd is None else Causes(spec=usd * sign)


def _sum(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [usd for usd in amounts if usd is not None]
    return sum(known, Decimal("0.00")) if len(known) == len(amounts) else None


def _together(causes: Sequence[Causes]) -> Causes:
    return Causes(
        spec=sum((item.spec for item in causes), Decimal(0)),
        traffic=sum((item.traffic for item in causes), Decimal(0)),
        price=sum((item.price for item in causes), Decimal(0)),
        method=sum((item.method for item in causes), Decimal(0)),
    )
