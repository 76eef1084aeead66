"""All that can be decided about a comparison: where the order changes, which workers stay, tokens, cold starts, rules.

Worked out only when asked for: a comparison needs none of it. One document, `baseload.decisions/1`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from baseload.planner.decisions.advice import Advice, advice
from baseload.planner.decisions.break_even import BreakEven, break_even, break_evens
from baseload.planner.decisions.cold_start_ways import ColdStarts, cold_starts
from baseload.planner.decisions.token_price import TokenPrices, token_prices
from baseload.planner.decisions.worker_worth import Worths, worths
from baseload.planner.errors import UsageError
from baseload.planner.spec.model import Auto

if TYPE_CHECKING:
    from baseload.planner.compare.row import Comparison, Row
    from baseload.planner.prices import PriceBook
    from baseload.planner.spec.model import ModelSpec

SCHEMA = "baseload.decisions/1"


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """About one spec at the prices of one book; None where there is nothing to tell."""

    break_evens: tuple[BreakEven, ...]
    worths: Worths | None
    tokens: TokenPrices | None
    cold_starts: ColdStarts | None
    advice: tuple[Advice, ...]

    def to_json(self) -> dict[str, Any]:
        """`baseload.decisions/1`."""
        parts = {"worths": self.worths, "tokens": self.tokens, "cold_starts": self.cold_starts}
        return {
            "schema": SCHEMA,
            "break_evens": [each.to_json() for each in self.break_evens],
            **{name: None if part is None else part.to_json() for name, part in parts.items()},
            "advice": [each.to_json() for each in self.advice],
        }


def decisions(
    found: Comparison, spec: ModelSpec, book: PriceBook, *, between: tuple[str, str] | None = None
) -> Decisions:
    """Of a comparison of that spec at those prices; `between` two of its rows in place of the usual pairs.

    Raises UsageError where it has no such row.
    """
    placed = _placed(found, spec)
    told, ways = worths(found, book), cold_starts(placed, book)
    if between is None:
        pairs = break_evens(found, spec, book)
    else:
        one, other = (_row(found, name) for name in between)
        pairs = (break_even(one, other, spec, book),)
    return Decisions(
        break_evens=pairs,
        worths=told,
        tokens=token_prices(found, spec, book),
        cold_starts=ways,
        advice=advice(found, placed, book, told, ways),
    )


def _placed(found: Comparison, spec: ModelSpec) -> ModelSpec:
    """The spec, for `auto` with the target of the smallest bill that can be deployed."""
    best = found.best_deployable
    return best.spec if isinstance(spec.target, Auto) and best is not None and best.spec is not None else spec


def _row(found: Comparison, name: str) -> Row:
    """By its id, or by the start of one: then the cheapest of those."""
    priced = [row for row in found.rows if row.monthly_usd.expected is not None]
    same = [row for row in priced if row.id == name] or [row for row in priced if row.id.startswith(f"{name}/")]
    if same:
        return same[0]
    targets = ", ".join(dict.fromkeys(row.target for row in priced))
    raise UsageError.of(
        "compare/row",
        f"no row with a bill is called {name!r}",
        hint=f"target/GPU/mode as in `--json`, or the start of it for the cheapest; there is {targets or 'none'}",
    )
