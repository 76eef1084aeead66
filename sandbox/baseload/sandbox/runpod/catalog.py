"""RunPod's catalog and bill: GPU types with list prices, data centers, and what the workers so far have cost.

Prices come from the planner's price book, so that an estimate and the sandbox's bill can be compared; a price it does
not have is absent, never zero. Pure.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from baseload.planner import prices
from baseload.planner.performance.gpus import POOLS
from baseload.sandbox.runpod.refusal import Refusal, not_found
from baseload.sandbox.runpod.state import WorkerRun

DATA_CENTERS = (
    *("EU-RO-1", "EU-SE-1", "EU-CZ-1", "EU-NL-1", "EU-FR-1", "EUR-IS-1", "EUR-IS-2", "EUR-IS-3", "EUR-NO-1"),
    *("CA-MTL-1", "CA-MTL-2", "CA-MTL-3", "US-TX-1", "US-TX-3", "US-TX-4", "US-KS-2", "US-KS-3", "US-GA-1"),
    *("US-GA-2", "US-WA-1", "US-CA-2", "US-NC-1", "US-IL-1", "US-DE-1", "OC-AU-1", "AP-JP-1"),
)
"""The enumeration of REST v1's specification (2026-02); v2 treats them as free text."""

_REGIONS = {
    "EU": "EUROPE",
    "EUR": "EUROPE",
    "CA": "NORTH_AMERICA",
    "US": "NORTH_AMERICA",
    "OC": "OCEANIA",
    "AP": "ASIA",
}
_BUCKETS = ("hour", "day", "week", "month", "year")
LONGEST_BILL = 20_000
"""Buckets in one answer of ours; RunPod names no limit."""


def usd_per_gpu_second(pool: str) -> Decimal | None:
    """Flex list price of one GPU of the pool; None where the price book has none."""
    row = prices.bundled().find("runpod", "serverless", pool)
    return None if row is None else row.usd


def gpu_types(query: Mapping[str, str], throttled: Iterable[str]) -> list[dict[str, Any]]:
    """GET /v2/catalog/gpus. The sandbox has no pods, so each type is in neither pod cloud, and its pod prices, which
    RunPod's contract demands, are 0."""
    return [_gpu_type(pool.id, kind, query, set(throttled)) for pool in POOLS.values() for kind in pool.types]


def gpu_type(type_id: str, query: Mapping[str, str], throttled: Iterable[str]) -> dict[str, Any]:
    """GET /v2/catalog/gpus/{id}."""
    for item in gpu_types(query, throttled):
        if item["id"] == type_id:
            return item
    raise not_found("gpu type")


def _gpu_type(pool: str, kind: str, query: Mapping[str, str], throttled: set[str]) -> dict[str, Any]:
    usd = usd_per_gpu_second(pool)
    price = {"secure": 0, "community": 0} | ({} if usd is None else {"serverless": float(usd * 3600)})
    shown = {
        "id": kind,
        "name": kind.removeprefix("NVIDIA ").removeprefix("GeForce "),
        "pool": pool,
        "manufacturer": "NVIDIA",
        "memory": POOLS[pool].memory_gib,
        "secure": False,
        "community": False,
        "price": price,
        "maxCount": {"secure": 0, "community": 0},
    }
    wanted = _values(query, "include", ("AVAILABILITY",))
    products = _values(query, "product", ("POD", "CLUSTER", "SERVERLESS"))
    if bool(wanted) != bool(products):
        raise Refusal(400, "include=AVAILABILITY and product must be given together")
    if wanted:
        has_some = "SERVERLESS" in products and not throttled & {pool, "*"}
        shown["availability"] = "HIGH" if has_some else "NONE"
        if has_some:
            shown["dataCenters"] = [_place(name) | {"availability": "HIGH"} for name in DATA_CENTERS]
    return shown


def data_centers(query: Mapping[str, str]) -> list[dict[str, Any]]:
    """GET /v2/catalog/datacenters: names and regions; the sandbox has no volumes and certifies nothing."""
    regions = _values(query, "regions", tuple(dict.fromkeys(_REGIONS.values())))
    known = [_place(name) | {"region": _REGIONS[name.split("-", 1)[0]]} for name in DATA_CENTERS]
    return [
        item | {"networkVolumeTypes": [], "compliance": [], "globalNetwork": False}
        for item in known
        if not regions or item["region"] in regions
    ]


def data_center(name: str) -> dict[str, Any]:
    """GET /v2/catalog/datacenters/{id}."""
    for item in data_centers({}):
        if item["id"] == name:
            return item
    raise not_found("data center")


def _place(name: str) -> dict[str, Any]:
    return {"id": name, "name": name.replace("-", " ")}


def _values(query: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> list[str]:
    values = [value for value in query.get(name, "").split(",") if value]
    if wrong := [value for value in values if value not in allowed]:
        raise Refusal(422, "Request validation failed.", (f"query.{name}: {', '.join(wrong)} not allowed",))
    return values


def serverless_bill(query: Mapping[str, str], runs: Iterable[WorkerRun], now: float) -> dict[str, Any]:
    """GET /v2/billing/serverless: GPU seconds at the Flex list price, each worker's time rounded up to the second.

    Disk is not charged (documentation, storage overview: part of the running cost), nor is the platform fee that no
    source explains. Workers without a known price make no amount; `unpriced` names their pools.
    """
    size = query.get("bucketSize", "day")
    if size not in _BUCKETS:
        raise Refusal(422, "Request validation failed.", (f"query.bucketSize: {size} not allowed",))
    start, end = _window(query, size, datetime.fromtimestamp(now, UTC))
    wanted = query.get("serverlessId")
    amounts: dict[tuple[datetime, str], Decimal] = defaultdict(Decimal)
    for run in runs:
        if wanted in (None, run.endpoint_id):
            for bucket, usd in _charges(run, size):
                if start <= bucket < end:
                    amounts[bucket, run.endpoint_id] += usd
    records = [
        {**_range(bucket, _next(bucket, size)), "serverlessId": endpoint_id, **_amounts(usd)}
        for (bucket, endpoint_id), usd in sorted(amounts.items())
    ]
    asked: dict[str, Any] = {**_range(start, end), "bucketSize": size, "serverlessId": wanted}
    return {
        "records": records,
        "metadata": {
            "query": asked,
            "recordCount": len(records),
            "uniqueServerlessCount": len({endpoint_id for _, endpoint_id in amounts}),
            "totals": _amounts(sum(amounts.values(), Decimal())),
        },
    }


def billed_seconds(run: WorkerRun) -> int:
    """Rounded up (documentation, pricing)."""
    # A float's last bits must not cost a second: 60.000000001 is 60.
    return math.ceil(round(run.end - run.start, 6))


def unpriced(runs: Iterable[WorkerRun]) -> list[str]:
    """The pools that ran and that the price book has no price for; `CPU` for workers without a GPU."""
    pools = {run.pool for run in runs}
    return sorted(pool or "CPU" for pool in pools if pool is None or usd_per_gpu_second(pool) is None)


def _charges(run: WorkerRun, size: str) -> Iterator[tuple[datetime, Decimal]]:
    """Dollars by bucket; whole seconds, counted from the start of the run."""
    usd = usd_per_gpu_second(run.pool) if run.pool else None
    if usd is None:
        return
    rate = usd * run.gpu_count
    begun = datetime.fromtimestamp(run.start, UTC)
    left = billed_seconds(run)
    at = begun
    while left > 0:
        bucket = _start(at, size)
        in_bucket = min(left, max(1, math.ceil((_next(bucket, size) - at).total_seconds())))
        yield bucket, rate * in_bucket
        left -= in_bucket
        at += timedelta(seconds=in_bucket)


def _window(query: Mapping[str, str], size: str, now: datetime) -> tuple[datetime, datetime]:
    if "lastN" in query:
        if "startTime" in query or "endTime" in query:
            raise Refusal(400, "lastN and startTime/endTime are mutually exclusive")
        count = query["lastN"]
        if not count.isdecimal() or not 1 <= int(count) <= LONGEST_BILL:
            raise Refusal(422, "Request validation failed.", ("query.lastN: must be an integer of at least 1",))
        start = _start(now, size)
        for _ in range(int(count) - 1):
            start = _start(start - timedelta(seconds=1), size)
        return start, _next(_start(now, size), size)
    start = _start(_time(query, "startTime") or now - timedelta(days=30), size)
    end = _time(query, "endTime") or now
    return start, end if end == _start(end, size) else _next(_start(end, size), size)


def _time(query: Mapping[str, str], name: str) -> datetime | None:
    if name not in query:
        return None
    try:
        # A plus sign that was not escaped arrives as a blank.
        at = datetime.fromisoformat(query[name].replace(" ", "+"))
    except ValueError as error:
        raise Refusal(422, "Request validation failed.", (f"query.{name}: not a date-time",)) from error
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _start(at: datetime, size: str) -> datetime:
    hour = at.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    match size:
        case "hour":
            return hour
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "year":
            return day.replace(month=1, day=1)
        case _:
            return day


def _next(start: datetime, size: str) -> datetime:
    longest = {"hour": timedelta(hours=1), "week": timedelta(days=7), "month": timedelta(days=31)}
    return _start(start + longest.get(size, timedelta(days=366 if size == "year" else 1)), size)


def _range(start: datetime, end: datetime) -> dict[str, str]:
    return {"startTime": start.isoformat().replace("+00:00", "Z"), "endTime": end.isoformat().replace("+00:00", "Z")}


def _amounts(usd: Decimal) -> dict[str, float]:
    return {"totalAmount": float(usd), "gpuAmount": float(usd), "cpuAmount": 0, "diskAmount": 0, "feeAmount": 0}
