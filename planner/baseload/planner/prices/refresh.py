"""From what a provider's own catalog says to price rows, for a person to review; and what differs between two books.

Pure: documents come in, rows go out. What a catalog does not say of a row (keep-warm, increments) is carried over from
the book that is refreshed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from baseload.planner.errors import UsageError
from baseload.planner.prices import Price, PriceBook

RUNPOD_SOURCE = "RunPod's catalog, GET /v2/catalog/gpus"
AWS_OFFERS = "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonSageMaker/current/{region}/index.json"
"""No key is needed; a few megabytes per region."""

_PER_SECOND = Decimal("0.000000001")
_SERVERLESS = re.compile(r"(?:^|-)ServerlessInf:Mem-(\d)GB$")
_PROVISIONED = re.compile(r"ProvisionedConcurrency:(Mem|Usage)-(\d)GB$")
_INSTANCE = re.compile(r"(?:^|-)(Host|AsyncInf):(ml\.[a-z0-9-]+\.[a-z0-9]+)$")
_HOSTED = {"Host": "sagemaker-realtime", "AsyncInf": "sagemaker-async"}


@dataclass(frozen=True, kw_only=True)
class PriceChange:
    """One price in two books; an absent or unknown side is None."""

    id: str
    old: Price | None
    new: Price | None

    @property
    def percent(self) -> Decimal | None:
        """Change of an hour's or a unit's price; None where a side has no price, or the units cannot be compared."""
        if self.old is None or self.new is None:
            return None
        was, now = self.old.usd_per_hour, self.new.usd_per_hour
        if was is None and self.old.unit == self.new.unit:
            was, now = self.old.usd, self.new.usd
        return None if was is None or now is None else ((now / was - 1) * 100).quantize(Decimal("0.1"))

    @property
    def is_change(self) -> bool:
        """Whether the price differs, in whatever units it is told."""
        if self.old is None or self.new is None:
            return True
        if self.old.unit == self.new.unit:
            return self.old.usd != self.new.usd
        return self.old.usd_per_hour is None or self.old.usd_per_hour != self.new.usd_per_hour

    def to_json(self) -> dict[str, object]:
        """The document form."""
        return {
            "id": self.id,
            "old": None if self.old is None else self.old.to_json(),
            "new": None if self.new is None else self.new.to_json(),
            "percent": None if self.percent is None else format(self.percent, "f"),
        }


def changes(old: Iterable[Price], new: Iterable[Price], *, only_new: bool = False) -> tuple[PriceChange, ...]:
    """What differs between rows that hold today, by id; `only_new` where the new rows do not claim to be all."""
    before = {row.id: row for row in old if row.withdrawn is None}
    after = {row.id: row for row in new if row.withdrawn is None}
    ids = sorted(after if only_new else {*before, *after})
    found = (PriceChange(id=name, old=before.get(name), new=after.get(name)) for name in ids)
    return tuple(change for change in found if change.is_change)


def runpod_rows(gpus: Sequence[Mapping[str, Any]], book: PriceBook, on: date) -> list[Price]:
    """Serverless prices by pool and pod prices by card, of the `gpus` of RunPod's REST v2 catalog (USD per GPU-hour).

    A price of zero or none is left out: the card is not to be had there. Raises UsageError where cards of one pool
    have different serverless prices, or a price is no number.
    """
    pools: dict[str, Price] = {}
    pods: list[Price] = []
    for gpu in gpus:
        prices = gpu.get("price") or {}
        pool, name = gpu.get("pool"), str(gpu.get("id") or "")
        if pool and (hourly := _number(prices.get("serverless"), f"{name}, serverless")):
            row = _renewed(book, "runpod", "serverless", str(pool), "gpu-second", _second(hourly), on)
            if str(pool) in pools and pools[str(pool)].usd != row.usd:
                raise _unusable(f"the cards of pool {pool} have different prices")
            pools[str(pool)] = row
        pods += [
            _renewed(book, "runpod", "pod", name, "gpu-hour", usd, on, tier=tier)
            for tier in ("secure", "community")
            if name and (usd := _number(prices.get(tier), f"{name}, {tier}"))
        ]
    if not pools and not pods:
        raise _unusable("it holds no price")
    return [*pools.values(), *pods]


def aws_rows(offers: Mapping[str, Any], book: PriceBook) -> list[Price]:
    """SageMaker's endpoint prices of one regional bulk file (`AWS_OFFERS`): real-time, async, serverless.

    Raises UsageError for a file that is not one of SageMaker's offers.
    """
    if offers.get("offerCode") != "AmazonSageMaker" or not isinstance(offers.get("products"), dict):
        raise _unusable("it is no bulk file of AmazonSageMaker")
    read = date.fromisoformat(str(offers.get("publicationDate", ""))[:10])
    on_demand = (offers.get("terms") or {}).get("OnDemand") or {}
    rows = {}
    for sku, product in offers["products"].items():
        attributes = product.get("attributes") or {}
        for name in _aws_names(str(attributes.get("usagetype", ""))):
            usd = _first_price(on_demand.get(sku) or {})
            if usd is not None:
                made = _aws_row(book, name, str(attributes.get("regionCode", "")), usd, read, sku)
                rows[made.id] = made
    if not rows:
        raise _unusable("it holds no price of an endpoint")
    return [rows[name] for name in sorted(rows)]


@dataclass(frozen=True)
class _AwsName:
    product: str
    gpu: str
    unit: str
    tier: str = ""


def _aws_names(usage: str) -> Iterator[_AwsName]:
    if found := _INSTANCE.search(usage):
        yield _AwsName(_HOSTED[found[1]], found[2], "instance-hour")
    elif found := _PROVISIONED.search(usage):
        tier = {"Usage": "slot", "Mem": "duration"}[found[1]]
        yield _AwsName("sagemaker-serverless-provisioned", f"{int(found[2]) * 1024}MB", "second", tier)
    elif found := _SERVERLESS.search(usage):
        yield _AwsName("sagemaker-serverless", f"{int(found[1]) * 1024}MB", "second")


def _aws_row(book: PriceBook, name: _AwsName, region: str, usd: Decimal, read: date, sku: str) -> Price:
    row = _renewed(book, "aws", name.product, name.gpu, name.unit, usd, read, region=region, tier=name.tier)
    return replace(row, source=f"AWS bulk price file AmazonSageMaker, SKU {sku}")


def _first_price(terms: Mapping[str, Any]) -> Decimal | None:
    """Of the first step that is not free of charge."""
    for term in terms.values():
        for dimension in (term.get("priceDimensions") or {}).values():
            usd = _number((dimension.get("pricePerUnit") or {}).get("USD"), "a price")
            if usd and str(dimension.get("beginRange", "0")) in ("0", "0.0"):
                return usd
    return None


def _renewed(
    book: PriceBook,
    provider: str,
    product: str,
    gpu: str,
    unit: str,
    usd: Decimal,
    read: date,
    *,
    region: str = "",
    tier: str = "",
) -> Price:
    known = book.find(provider, product, gpu, region=region, tier=tier)
    fresh = Price(
        provider=provider,
        product=product,
        gpu=gpu,
        region=region,
        tier=tier,
        unit=unit,
        usd=usd,
        read=read,
        withdrawn=None,
        confidence="read",
        source=RUNPOD_SOURCE,
        note="list price; negotiated discounts are not in it" if provider == "runpod" else "",
    )
    return fresh.with_facts_of(known)


def _second(hourly: Decimal) -> Decimal:
    """Of an hour's price; RunPod bills endpoints by the second."""
    second = (hourly / 3600).quantize(_PER_SECOND)
    return Decimal(format(second.normalize(), "f"))


def _number(value: object, what: str) -> Decimal:
    """Zero where there is none. Money comes as a JSON number or text; its digits are kept."""
    if value is None:
        return Decimal(0)
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise _unusable(f"{what} is no number") from None
    if not number.is_finite() or number < 0:
        raise _unusable(f"{what} is {value}")
    return number


def _unusable(reason: str) -> UsageError:
    error = UsageError.of("prices/refresh", f"the catalog is not usable: {reason}")
    assert isinstance(error, UsageError)
    return error
