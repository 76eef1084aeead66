"""From checked content to the values of `model.py`.

Every function takes content that the schema has accepted and cannot fail on it. Defaults are those of the data
classes; a key that is absent is not passed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from baseload.planner.spec.model import (
    Auto,
    Batch,
    Container,
    Curve,
    FlashBoot,
    Limits,
    Log,
    LogFormat,
    Model,
    PayloadBytes,
    Performance,
    Precision,
    QueueDelay,
    Range,
    RequestCount,
    Requires,
    RunpodMode,
    RunpodTarget,
    SecretRef,
    ServiceLevel,
    Tokens,
    Traffic,
)

_UNITS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "K": Decimal(10**3),
    "M": Decimal(10**6),
    "B": Decimal(10**9),
    "T": Decimal(10**12),
}
_QUANTITY = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|K|M|B|T)")
Content = Mapping[str, Any]


def quantity(value: str | int | Decimal) -> Decimal | None:
    """Seconds of a duration (`1.8s`) or units of a count (`7.25B`); None where the text is neither."""
    if not isinstance(value, str):
        return Decimal(value)
    found = _QUANTITY.fullmatch(value)
    if not found:
        return None
    number = Decimal(found[1]) * _UNITS[found[2]]
    return number if number % 1 else number.quantize(Decimal(1))


def model(content: Content) -> Model:
    """The section `model`."""
    return Model(
        **given(content, "id", "max_context"),
        parameters=_quantity(content["parameters"]),
        **given(content, "precision", read=Precision),
        **given(content, "token", read=_maybe_secret),
    )


def container(content: Content) -> Container:
    """The section `container`."""
    env = {name: _maybe_secret(value) for name, value in content.get("env", {}).items()}
    return Container(**given(content, "image", "args", "registry", "disk_gb"), env=env)


def _maybe_secret(value: str | Content) -> str | SecretRef:
    return value if isinstance(value, str) else SecretRef(value["secret"])


def traffic(content: Content) -> Traffic:
    """The section `traffic`."""
    return Traffic(
        requests_per_day=_requests_per_day(content),
        **given(content, "curve", read=Curve),
        **given(content, "hourly", read=lambda hours: tuple(map(Decimal, hours))),
        **given(content, "time_zone"),
        **given(content, "active_share", "cv", read=Decimal),
        growth_per_month=_growth(content.get("growth", "0%/month")),
        **given(content, "batch", read=lambda b: Batch(jobs=b["jobs"], at=b["at"], **in_seconds(b, "within"))),
        **given(content, "log", read=_log),
        **given(content, "tokens", read=lambda t: Tokens(prompt=Decimal(t["in"]), output=Decimal(t["out"]))),
        **given(content, "payload_bytes", read=_payload),
        **given(content, "range", read=lambda r: Range(**given(r, "low", "high", read=Decimal))),
    )


def _requests_per_day(content: Content) -> Decimal | None:
    for key, times in (("requests_per_day", 1), ("requests_per_hour", 24), ("requests_per_second", 86_400)):
        if key in content:
            return Decimal(content[key]) * times
    if hours := content.get("hourly"):
        return sum(map(Decimal, hours), Decimal(0)) * 24 / len(hours)
    return Decimal(content["batch"]["jobs"]) if "batch" in content else None


def _growth(text: str) -> Decimal:
    return Decimal(text.removesuffix("%/month")) / 100


def _payload(content: Content) -> PayloadBytes:
    return PayloadBytes(request=round(content["in"]), response=round(content["out"]))


def _log(content: Content) -> Log:
    return Log(
        file=content["file"],
        **given(content, "format", read=LogFormat),
        **given(content, "columns", read=dict),
        **given(content, "bad_lines_percent", read=Decimal),
    )


def performance(content: Content) -> Performance:
    """The section `performance`."""
    return Performance(
        **in_seconds(content, "service_time", "cold_start"),
        **given(content, "service_time_cv", read=Decimal),
        **given(content, "concurrency"),
    )


def limits(content: Content) -> Limits:
    """The section `limits`."""
    return Limits(**given(content, "monthly_usd", "hourly_worst_case_usd", "increase_percent", read=Decimal))


def service_level(content: Content) -> ServiceLevel:
    """The section `service_level`."""
    return ServiceLevel(
        **in_seconds(content, "p95", "p99"), **given(content, "cold_starts", read=lambda word: word == "allowed")
    )


def requires(content: Content) -> Requires:
    """The section `requires`."""
    return Requires(
        **given(content, "residency", "compliance", read=tuple), **given(content, "managed", "own_infrastructure")
    )


def ops_cost_per_month(content: Content) -> Mapping[str, Decimal]:
    """The section `ops_cost_per_month`."""
    return MappingProxyType({name: Decimal(usd) for name, usd in content.items()})


def runpod(content: Content) -> RunpodTarget:
    """The section `target.runpod`."""
    scaling = content.get("scaling", {})
    idle_timeout: dict[str, Any] = in_seconds(content, "idle_timeout", read=int)
    if "request_count" in scaling:
        idle_timeout = {"idle_timeout_s": None}
    return RunpodTarget(
        **given(content, "gpu", "gpu_count", "min_cuda", "volume"),
        **given(content, "mode", read=RunpodMode),
        **{f"workers_{end}": count for end, count in content.get("workers", {}).items()},
        **idle_timeout,
        **given(content, "scaling", read=_scaling),
        **given(content, "flashboot", read=FlashBoot),
        **in_seconds(content, "execution_timeout"),
        **given(content, "data_centers", read=tuple),
        **given(content, "active_discount", read=Decimal),
    )


def auto(content: Content) -> Auto:
    """The section `target.auto`."""
    return Auto(**given(content, "targets", "gpus", read=tuple))


def without_environment(content: Content) -> Content:
    """The content to keep in a plan: what a container is given is nobody's business there, and costs nothing."""
    if "env" not in content.get("container", {}):
        return content
    return {**content, "container": {key: value for key, value in content["container"].items() if key != "env"}}


def digest(content: Content) -> str:
    """`sha256:` of the content: the same for another order of keys, other comments, and `1e3` instead of `1000`."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_plain)
    return f"sha256:{hashlib.sha256(text.encode('ascii')).hexdigest()}"


def _scaling(content: Content) -> QueueDelay | RequestCount:
    if "request_count" in content:
        return RequestCount(requests=content["request_count"])
    return QueueDelay(seconds=_quantity(content["queue_delay"]))


def given(content: Content, *keys: str, read: Callable[[Any], Any] = lambda value: value) -> dict[str, Any]:
    """Those of the keys that are there, as they are read."""
    return {key: read(content[key]) for key in keys if key in content}


def in_seconds(content: Content, *keys: str, read: Callable[[Decimal], Any] = lambda value: value) -> dict[str, Any]:
    """Those of the durations that are there, with `_s` at their names."""
    return {f"{key}_s": read(_quantity(content[key])) for key in keys if key in content}


def _quantity(value: str | int | Decimal) -> Decimal:
    number = quantity(value)
    assert number is not None, "the schema's patterns are stricter"
    return number


def _plain(number: object) -> str:
    assert isinstance(number, Decimal)
    # Whole numbers arrive as int, so this is a fraction; the schema allows text nowhere it allows a fraction
    # except for counts, whose text ends in a letter.
    return format(number.normalize(), "f")
