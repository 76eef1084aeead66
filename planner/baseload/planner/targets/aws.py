"""AWS: a SageMaker real-time endpoint behind Lambda, and SageMaker Serverless Inference (CPU only).

Limits are AWS's documented ones: SageMaker developer guide, serverless-endpoints, and botocore 1.44.5's service models,
read 2026-11-21. What AWS does not publish (cold starts, when a serverless worker stops) is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from types import MappingProxyType

from baseload.planner.performance.estimate import INSTANCE_STARTS
from baseload.planner.pool import Assumption
from baseload.planner.pool.erlang import refused_share
from baseload.planner.prices import PriceBook
from baseload.planner.targets.bill import GB, Bill, Demand, Stage, Tally
from baseload.planner.targets.refusal import SIZES, TIMES, Refusal
from baseload.planner.targets.workers import Fleet, Times, mean_wait_s, missing, overloaded, worker_time

SERVERLESS_MEMORY_MB = (1024, 2048, 3072, 4096, 5120, 6144)
SERVERLESS_CONCURRENCY = 200
SERVERLESS_PAYLOAD_BYTES = 4 * 10**6
SERVERLESS_DISK_GB = 5
REFUSALS = Decimal("0.0001")
"""Of the requests, of which nothing is said."""
ANSWER_S = 60
"""In which a container must have answered, real-time and serverless."""
LAMBDA_PAYLOAD_BYTES = 6_291_456
LAMBDA_LONGEST_S = 900
OVERLOADED = f"more arrives than the instances serve: requests wait up to {ANSWER_S} s and fail then"
HTTP_API_LONGEST_S = 30
HTTP_API_UNIT_BYTES = 512 * 1024
LAMBDA_MEMORY_MB = range(128, 10_241)

WAKE_S = tuple(Decimal(seconds) for _, seconds in INSTANCE_STARTS)
"""From zero instances to the first answer, of a small and of a large model."""
SCALE_OUT_S = Decimal(180)
SCALE_IN_S = Decimal(900)

_ELSEWHERE = "choose another target: `deploy compare` shows what is possible"
_UNVERIFIED = "an article's figure, not confirmed; AWS publishes none"


@dataclass(frozen=True, kw_only=True)
class LambdaSagemaker:
    """A real-time endpoint on GPU instances, called by a Lambda function that waits for the answer."""

    instance: str
    """For instance ml.g5.xlarge."""
    instances_min: int = 1
    instances_max: int = 1
    region: str = "us-east-1"
    memory_mb: int = 256
    """Of the function."""
    architecture: str = "arm64"
    """`arm64` or `x86_64`."""
    front: str = "url"
    """`url` (function URL), `http-api`, or `none` (called by the SDK)."""
    log_bytes: int = 0
    """Per request."""


@dataclass(frozen=True, kw_only=True)
class SagemakerServerless:
    """SageMaker Serverless Inference: CPU, billed while a request runs."""

    memory_mb: int
    max_concurrency: int
    provisioned: int = 0
    """Slots that are kept warm."""
    provisioned_share: Decimal = Decimal(1)
    """Of the month in which they are."""
    region: str = "us-east-1"
    gpu: str | None = None
    """A GPU that the model needs."""
    model_gb: Decimal | None = None
    vpc: bool = False


def lambda_sagemaker(target: LambdaSagemaker, demand: Demand, book: PriceBook, times: Times = worker_time) -> Bill:
    """Instances, the function's requests and waiting time, the API in front, data through the endpoint."""
    tally, region = Tally(book), target.region
    fleet = Fleet(
        workers_min=target.instances_min,
        workers_max=target.instances_max,
        idle_timeout_s=SCALE_IN_S,
        start_delay_s=SCALE_OUT_S,
        increment_s=Decimal(1),
        waits=False,
    )
    unknown = list(missing(demand, fleet))
    time = times(demand, fleet, book.month_hours)
    price = book.find("aws", "sagemaker-realtime", target.instance, region=region)
    for kind, seconds in time.by_kind().items():
        tally.time(kind, price, f"aws/sagemaker-realtime/{target.instance}", seconds)
    wait = time.counted.wait_s if time.counted else waiting_s(target, demand)
    if demand.service_s is None and demand.requests_per_day > 0:
        unknown.append("performance.service_time")
    shared = beside_instances(tally, target, demand, wait_s=wait or Decimal(0))
    return Bill(
        target="lambda-sagemaker",
        lines=tuple(tally.lines),
        unpriced=tuple(tally.unpriced),
        unknown=tuple(dict.fromkeys(unknown)),
        impossible=tuple(item.reason for item in lambda_refusals(target, demand)),
        caveats=tuple(_lambda_caveats(target, demand)),
        latency=_lambda_chain(target, demand, None if overloaded(demand, target.instances_max) else wait),
        method=time.method,
        starts=time.starts,
        pools=time.pools,
        counted=time.counted,
        assumptions=_lambda_assumptions(target, demand, wait),
        shared=shared,
    )


def beside_instances(
    tally: Tally, target: LambdaSagemaker, demand: Demand, *, wait_s: Decimal, served: Decimal = Decimal(1)
) -> Mapping[str, Decimal]:
    """Lines of the function, of the API in front and of data, for the requests that the endpoint serves of all.

    Returns what is billed once for the account.
    """
    region, requests = target.region, demand.per_month(tally.book.month_hours) * served
    function(tally, target, requests, None if demand.service_s is None else demand.service_s + wait_s)
    if target.front == "http-api":
        rows = tally.book.tiers("aws", "api-gateway", "http-requests", region=region)
        tally.steps("http_api", rows, "aws/api-gateway/http-requests", requests * http_api_units(demand))
    _data(tally, demand, region, served)
    out = requests * demand.response_bytes / GB if target.front != "none" else Decimal(0)
    return _shared({"aws/egress/internet": out, "aws/logs/ingestion": requests * target.log_bytes / GB}, region)


def function(tally: Tally, target: LambdaSagemaker, requests: Decimal, waits_s: Decimal | None) -> None:
    """Lines of a function that waits so long for each answer."""
    tiers, region = tally.book.tiers, target.region
    tally.steps("lambda_requests", tiers("aws", "lambda", "requests", region=region), "aws/lambda/requests", requests)
    if waits_s is not None:
        gb_s = requests * milliseconds_up(waits_s) * target.memory_mb / 1024
        rows = tiers("aws", "lambda", target.architecture, region=region)
        tally.steps("lambda_waiting", rows, f"aws/lambda/{target.architecture}", gb_s)


def waiting_s(target: LambdaSagemaker, demand: Demand) -> Decimal | None:
    """Mean wait of a request for a place on an instance; None where the service time is unknown."""
    longest_s = max(ANSWER_S - (demand.service_s or Decimal(0)), Decimal(0))
    return mean_wait_s(demand, max(target.instances_min, 1), target.instances_max, longest_s)


def sagemaker_serverless(
    target: SagemakerServerless, demand: Demand, book: PriceBook, times: Times = worker_time
) -> Bill:
    """Duration on demand and on provisioned slots, the slots themselves, data; requests above the cap are throttled."""
    tally, region = Tally(book), target.region
    size = f"{target.memory_mb}MB"
    requests = demand.per_month(book.month_hours)
    unknown = () if demand.service_s is not None or requests <= 0 else ("performance.service_time",)
    fleet = Fleet(workers_min=target.provisioned, workers_max=target.max_concurrency, rejects=True)
    seen = times(demand, fleet, book.month_hours).counted
    warm, cold, refused = served_shares(target, demand) if seen is None else seen.shares
    billed_s = milliseconds_up(demand.service_s or Decimal(0))
    on_demand = book.find("aws", "sagemaker-serverless", size, region=region)
    name = f"aws/sagemaker-serverless/{size}"
    tally.time("busy", on_demand, name, requests * cold * billed_s)
    slots = _slots(target, demand)
    if slots:
        provisioned = f"aws/sagemaker-serverless-provisioned/{size}"
        duration, slot = (
            book.find("aws", "sagemaker-serverless-provisioned", size, region=region, tier=tier)
            for tier in ("duration", "slot")
        )
        tally.time("busy_on_provisioned", duration, provisioned, requests * warm * billed_s)
        tally.time("provisioned", slot, provisioned, slots * book.month_hours * 3600)
    _data(tally, demand, region, served=1 - refused)
    return Bill(
        target="sagemaker-serverless",
        lines=tuple(tally.lines),
        unpriced=tuple(tally.unpriced),
        unknown=unknown,
        impossible=tuple(item.reason for item in serverless_refusals(target, demand)),
        caveats=tuple(_serverless_caveats(target, demand, refused)),
        latency=(
            Stage(name="endpoint", low_s=Decimal(0), high_s=None, source="AWS publishes no overhead and no cold start"),
            _service(demand),
        ),
        method=_loss_method(demand) if seen is None else seen.method,
        counted=seen,
        refused_share=refused,
        assumptions=(
            Assumption(
                name="cold_start",
                value="not billed; how often and how long is unknown",
                source="default; AWS publishes neither how long one takes nor when an idle worker stops",
            ),
            Assumption(
                name="free_tier", value="not counted", source="default; for two months of an account", errs="high"
            ),
        ),
    )


def _loss_method(demand: Demand) -> str:
    if demand.arrivals_cv <= 1:
        return "exact: Erlang B for the share above the cap, Poisson arrivals"
    return "exact for exponential service times: the share above the cap, gamma gaps (Takács)"


def served_shares(target: SagemakerServerless, demand: Demand) -> tuple[Decimal, Decimal, Decimal]:
    """Of the requests: served by a provisioned slot, served on demand, throttled.

    Provisioned slots are taken first, so that they alone form a loss system: Erlang B of both numbers of slots.
    """
    total = sum((part.share * part.requests_per_day for part in demand.in_parts()), Decimal(0))
    if total <= 0 or demand.service_s is None:
        return Decimal(0), Decimal(1), Decimal(0)
    past_slots, past_cap, cv = Decimal(0), Decimal(0), float(demand.arrivals_cv)
    for part in demand.in_parts():
        weight = part.share * part.requests_per_day / total
        load = float(part.requests_per_day / 86_400 * demand.service_s)
        past_cap += weight * Decimal(refused_share(target.max_concurrency, load, cv))
        scheduled = part.workers_min is not None
        warm = target.provisioned if part.workers_min is None else min(part.workers_min, target.max_concurrency)
        busy = Decimal(refused_share(warm, load, cv)) if warm else Decimal(1)
        past_slots += weight * (1 - (Decimal(1) if scheduled else target.provisioned_share) * (1 - busy))
    past_slots, past_cap = (value.quantize(Decimal("0.000000001")) for value in (past_slots, past_cap))
    return 1 - past_slots, max(past_slots - past_cap, Decimal(0)), past_cap


def _slots(target: SagemakerServerless, demand: Demand) -> Decimal:
    """Mean provisioned slots over the month; a schedule's where there is one."""
    parts = demand.in_parts()
    if all(part.workers_min is None for part in parts):
        return target.provisioned * target.provisioned_share
    return sum((part.share * min(part.workers_min or 0, target.max_concurrency) for part in parts), Decimal(0))


def _data(tally: Tally, demand: Demand, region: str, served: Decimal = Decimal(1)) -> None:
    requests = demand.per_month(tally.book.month_hours) * served
    for what, item, size in (("data_in", "in", demand.request_bytes), ("data_out", "out", demand.response_bytes)):
        if size:
            price = tally.book.find("aws", "sagemaker-data", item, region=region)
            tally.units(what, price, f"aws/sagemaker-data/{item}", requests * size / GB)


def _shared(quantities: dict[str, Decimal], region: str) -> MappingProxyType[str, Decimal]:
    return MappingProxyType({f"{name}@{region}": quantity for name, quantity in quantities.items() if quantity > 0})


def lambda_refusals(target: LambdaSagemaker, demand: Demand) -> list[Refusal]:
    """What Lambda, the API in front of it, or a real-time endpoint refuses."""
    found, service_s = [], demand.service_s
    if target.front not in ("url", "http-api", "none"):
        reason = f"front {target.front!r} is none of url, http-api, none"
        found.append(Refusal(code="aws/front", key="front", reason=reason, remedy="choose one of them"))
    if target.memory_mb not in LAMBDA_MEMORY_MB:
        reason = f"a Lambda function has 128 to 10,240 MB, not {target.memory_mb}"
        found.append(Refusal(code="aws/memory", key="memory_mb", reason=reason, remedy="256 MB do for a function"))
    if target.instances_max < max(target.instances_min, 1):
        found.append(
            Refusal(
                code="aws/min-above-max",
                key="instances.min",
                beside=("instances.max",),
                reason=f"`instances.min` {target.instances_min} is more than `instances.max` {target.instances_max}",
                remedy=f"raise `instances.max` to {max(target.instances_min, 1)} or more",
            )
        )
    if service_s is not None and service_s > ANSWER_S:
        found.append(_too_slow("a real-time endpoint must answer", ANSWER_S, service_s, _ELSEWHERE))
    elif service_s is not None and target.front == "http-api" and service_s > HTTP_API_LONGEST_S:
        remedy = "`front: url` waits longer"
        found.append(
            _too_slow("an HTTP API must be answered", HTTP_API_LONGEST_S, service_s, remedy, beside=("front",))
        )
    if (largest := max(demand.request_bytes, demand.response_bytes)) > LAMBDA_PAYLOAD_BYTES:
        found.append(_too_large("Lambda takes and answers at most 6 MB", LAMBDA_PAYLOAD_BYTES, largest))
    return found


def _too_slow(what: str, longest_s: int, service_s: Decimal, remedy: str, *, beside: tuple[str, ...] = ()) -> Refusal:
    reason = f"{what} within {longest_s} s, a mean request takes {service_s.normalize():f} s"
    return Refusal(code="aws/timeout", key=TIMES, reason=reason, remedy=remedy, beside=beside)


def _too_large(what: str, most: int, largest: int) -> Refusal:
    reason = f"{what} at a time ({most:,} bytes), a mean payload has {largest:,}"
    remedy = "hand large payloads over in S3 and send their address"
    return Refusal(code="aws/payload", key=SIZES, reason=reason, remedy=remedy)


def _lambda_caveats(target: LambdaSagemaker, demand: Demand) -> list[str]:
    found = []
    if target.instances_min == 0 or any(part.workers_min == 0 for part in demand.in_parts()):
        found.append(
            "scaling to zero needs inference components; at zero every request fails (the latency counts it as one "
            f"that waits for the start), and its failure is what wakes the endpoint, which took {WAKE_S[0]:.0f} to "
            f"{WAKE_S[1]:.0f} s in AWS's own tests; the first deployment starts an instance"
        )
        if target.front == "http-api":
            found.append(f"an HTTP API cannot wait for that: it gives up after {HTTP_API_LONGEST_S} s")
    if overloaded(demand, target.instances_max):
        found.append(OVERLOADED)
    return found


def _lambda_chain(target: LambdaSagemaker, demand: Demand, wait: Decimal | None) -> tuple[Stage, ...]:
    """The way of a request, at worst through a cold function."""
    front = {"url": "function URL", "http-api": "HTTP API"}.get(target.front, "SDK call")
    return (
        Stage(name=front, low_s=Decimal("0.05"), high_s=Decimal("0.2"), source=_UNVERIFIED),
        Stage(name="Lambda", low_s=Decimal(0), high_s=Decimal(3), source=f"0 warm, 1 to 3 s cold: {_UNVERIFIED}"),
        Stage(name="endpoint invocation", low_s=Decimal("0.2"), high_s=Decimal(1), source=_UNVERIFIED),
        Stage(name="wait for a place", low_s=Decimal(0), high_s=wait, source="mean wait, Erlang C"),
        _service(demand),
    )


def _service(demand: Demand) -> Stage:
    return Stage(name="service", low_s=demand.service_s, high_s=demand.service_s, source="spec, a mean")


def _lambda_assumptions(target: LambdaSagemaker, demand: Demand, wait: Decimal | None) -> tuple[Assumption, ...]:
    waits = "unknown" if wait is None else f"{wait.normalize():f} s"
    how = "Erlang C on the minimum instances, or as many more as the requests need"
    if demand.arrivals_cv > 1:
        how += ", as gaps of that cv have it"
    if overloaded(demand, target.instances_max):
        how += f"; to the {ANSWER_S} s in which an endpoint must answer where more arrives than all serve"
    found = [
        Assumption(
            name="lambda_waiting",
            value="service time and the mean wait for a place, billed for the function's memory",
            source=f"default; wait {waits}: {how}",
            errs="low by the function's own work and its cold starts",
        ),
        Assumption(name="free_tier", value="not counted", source="default; once per account", errs="high"),
        Assumption(name="gb", value="10^9 bytes", source="default; not published", errs="high by 7 % if it is 2^30"),
    ]
    if target.instances_max > target.instances_min:
        found.append(
            Assumption(
                name="scaling",
                value=f"an instance more after {SCALE_OUT_S:.0f} s of need, one less after {SCALE_IN_S:.0f} s without",
                source="default; target tracking: three one-minute periods out, fifteen in; not confirmed",
                errs="low where an instance is busier than the target that you set: at 80 % of one, a target of 70 % "
                "kept 2.7 of 3 on in a simulation, this rule 1",
            )
        )
    if target.front == "http-api":
        found.append(
            Assumption(
                name="http_api",
                value="each 512 KB of request and response together",
                source="default; AWS meters in 512 KB and does not say of what",
                errs="high",
            )
        )
    return tuple(found)


def serverless_refusals(target: SagemakerServerless, demand: Demand) -> list[Refusal]:
    """What SageMaker Serverless Inference refuses."""
    found = []
    if target.gpu:
        reason = f"Serverless Inference has no GPU, and the model needs one ({target.gpu})"
        found.append(Refusal(code="aws/no-gpu", key="memory_mb", reason=reason, remedy=_ELSEWHERE))
    if target.memory_mb not in SERVERLESS_MEMORY_MB:
        sizes = ", ".join(map(str, SERVERLESS_MEMORY_MB))
        reason = f"memory is one of {sizes} MB, not {target.memory_mb}"
        larger = [size for size in SERVERLESS_MEMORY_MB if size >= target.memory_mb]
        remedy = f"set it to {larger[0]}" if larger else _ELSEWHERE
        found.append(Refusal(code="aws/memory", key="memory_mb", reason=reason, remedy=remedy))
    if not 1 <= target.max_concurrency <= SERVERLESS_CONCURRENCY:
        reason = f"max_concurrency is 1 to {SERVERLESS_CONCURRENCY}, not {target.max_concurrency}"
        found.append(Refusal(code="aws/concurrency", key="max_concurrency", reason=reason, remedy=_ELSEWHERE))
    if not 0 <= target.provisioned <= target.max_concurrency:
        found.append(
            Refusal(
                code="aws/min-above-max",
                key="provisioned_concurrency",
                beside=("max_concurrency",),
                reason=f"provisioned is 0 to max_concurrency ({target.max_concurrency}), not {target.provisioned}",
                remedy="raise `max_concurrency`, or keep fewer warm",
            )
        )
    found += _weights(target)
    if target.vpc:
        reason = "Serverless Inference cannot be put into a VPC"
        found.append(Refusal(code="aws/vpc", key="vpc", reason=reason, remedy=_ELSEWHERE))
    if (largest := max(demand.request_bytes, demand.response_bytes)) > SERVERLESS_PAYLOAD_BYTES:
        found.append(_too_large("requests and responses are limited to 4 MB", SERVERLESS_PAYLOAD_BYTES, largest))
    if demand.service_s is not None and demand.service_s > ANSWER_S:
        found.append(_too_slow("an answer must come", ANSWER_S, demand.service_s, _ELSEWHERE))
    return found


def _weights(target: SagemakerServerless) -> list[Refusal]:
    """Weights on the disk, and in the memory."""
    if target.model_gb is None:
        return []
    if target.model_gb > SERVERLESS_DISK_GB:
        size, remedy = f"the disk of {SERVERLESS_DISK_GB} GB", f"use a smaller model or `precision`, or {_ELSEWHERE}"
    elif target.model_gb * 1000 > target.memory_mb:
        size, remedy = f"{target.memory_mb} MB of memory", "raise `memory_mb`, or use a smaller model or `precision`"
    else:
        return []
    reason = f"the model of {target.model_gb} GB does not fit {size}"
    return [Refusal(code="aws/does-not-fit", key="memory_mb", reason=reason, remedy=remedy)]


def _serverless_caveats(target: SagemakerServerless, demand: Demand, refused: Decimal) -> list[str]:
    if refused <= REFUSALS:
        return []
    found = f"{refused * 100:.2f} % of the requests come while all slots are taken: they are throttled, not queued"
    larger = (replace(target, max_concurrency=n) for n in range(target.max_concurrency, SERVERLESS_CONCURRENCY + 1))
    enough = next((one.max_concurrency for one in larger if served_shares(one, demand)[2] <= REFUSALS), None)
    if enough is None:
        return [f"{found}; the most there is, `max_concurrency: {SERVERLESS_CONCURRENCY}`, is not enough"]
    return [f"{found}; with `max_concurrency: {enough}` fewer than 0.01 % would be"]


def http_api_units(demand: Demand) -> int:
    """What an HTTP API counts a request for."""
    return -(-max(demand.request_bytes + demand.response_bytes, 1) // HTTP_API_UNIT_BYTES)


def milliseconds_up(seconds: Decimal) -> Decimal:
    """As Lambda and Serverless Inference bill a time."""
    return seconds.quantize(Decimal("0.001"), ROUND_CEILING)
