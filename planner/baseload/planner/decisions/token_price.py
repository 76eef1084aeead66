"""What a million tokens costs on a row of a comparison at its traffic, beside what APIs by the token ask for.

A price by the token has no idle time: the same at any traffic. That of a row falls with traffic. So the price of a
row is also the price of an API below which the API is the cheaper, whether or not any API's price is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from baseload.planner.compare.row import Comparison, Row, Status
from baseload.planner.decisions.break_even import BreakEven, break_even

if TYPE_CHECKING:
    from baseload.planner.prices import PriceBook
    from baseload.planner.spec.model import ModelSpec


@dataclass(frozen=True, kw_only=True)
class TokenPrice:
    """One row, input and output tokens taken alike."""

    row: str
    usd_per_million: Decimal

    def to_json(self) -> dict[str, str]:
        """The amount as a decimal string."""
        return {"row": self.row, "usd_per_million_tokens": format(self.usd_per_million, "f")}


@dataclass(frozen=True, kw_only=True)
class TokenPrices:
    """Rows by the token, and where they cost the same as an API."""

    tokens_per_day: Decimal
    tokens_per_request: Decimal
    hosted: tuple[TokenPrice, ...]
    """The spec's own row and the cheapest."""
    apis: tuple[TokenPrice, ...]
    unpriced: tuple[str, ...]
    """APIs of the book without a price."""
    break_evens: tuple[BreakEven, ...]
    """Of the first of `hosted` against each API."""

    def to_json(self) -> dict[str, Any]:
        """Amounts as decimal strings."""
        return {
            "tokens_per_day": format(self.tokens_per_day, "f"),
            "tokens_per_request": format(self.tokens_per_request, "f"),
            "hosted": [each.to_json() for each in self.hosted],
            "apis": [each.to_json() for each in self.apis],
            "unpriced": list(self.unpriced),
            "break_evens": [each.to_json() for each in self.break_evens],
        }


def token_prices(found: Comparison, spec: ModelSpec, book: PriceBook) -> TokenPrices | None:
    """None without a rate of traffic or without `traffic.tokens`."""
    traffic = spec.traffic
    if traffic is None or not traffic.requests_per_day or traffic.tokens is None or traffic.batch is not None:
        return None
    each = traffic.tokens.prompt + traffic.tokens.output
    per_day = traffic.requests_per_day * each
    if not per_day:
        return None
    millions = per_day * book.month_hours / 24 / 10**6
    ranked = [row for row in found.of(Status.RANKED) if not row.another_precision]
    hosted = [row for row in ranked if row.spec is not None]
    chosen = list(dict.fromkeys([*[row for row in hosted if row.own], *hosted[:1]]))
    apis = [row for row in ranked if _by_token(row)]
    return TokenPrices(
        tokens_per_day=per_day,
        tokens_per_request=each,
        hosted=tuple(_price(row, millions) for row in chosen),
        apis=tuple(_price(row, millions) for row in apis),
        unpriced=tuple(f"{row.target} {row.gpu}" for row in found.of(Status.UNPRICED) if _by_token(row)),
        break_evens=tuple(break_even(chosen[0], row, spec, book) for row in apis) if chosen else (),
    )


def _by_token(row: Row) -> bool:
    return row.price is not None and row.price.unit == "million-tokens"


def _price(row: Row, millions: Decimal) -> TokenPrice:
    usd = (row.total_usd.expected or Decimal(0)) / millions
    return TokenPrice(row=row.id, usd_per_million=usd.quantize(Decimal("0.000001"), ROUND_HALF_UP))
