"""What can be switched on a sandbox: each switch is a documented or observed property of RunPod, or a speed of ours.

Plain data. Sources: research of 2026-11-21 on RunPod's REST v2 (specification 2.9.0), its documentation and threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from decimal import Decimal, InvalidOperation
from typing import Any

VENDOR_RATE_LIMIT = {"minute": 60, "hour": 3000, "day": 50000}
"""Calls of one key in each window: the example of REST v2's `RateLimit-Policy`."""

REHEARSAL_RATE_LIMIT = {window: 100 * quota for window, quota in VENDOR_RATE_LIMIT.items()}
"""The sandbox's own default, so that nobody waits in a rehearsal; the headers are those of the real policy."""

WINDOW_S = {"minute": 60, "hour": 3600, "day": 86400}

_QUOTA_BY_BALANCE_USD = ((900, 60), (700, 50), (500, 40), (300, 30), (200, 20), (100, 10))
"""Workers of all endpoints together (RunPod documentation, endpoint configurations); below the last step 5."""


@dataclass(kw_only=True)
class Switches:
    """The switches and where they stand at the start."""

    cold_start_s: float = 0.3
    """From placement to ready. Far shorter than any real one, on purpose."""
    service_time_s: float = 0.02
    """Least time a job runs; `input.sandbox.service_time_s` overrides it for one job."""
    balance_usd: Decimal = Decimal(1000)
    """At 0 nothing can be created (402); it also decides the quota."""
    quota: int | None = None
    """Sum of `workers.max` over all endpoints; None: by balance."""
    throttled: list[str] = field(default_factory=list)
    """GPU pools without capacity, `*` for all: workers wait as THROTTLED, a create still succeeds."""
    rate_limit: dict[str, int] | None = field(default_factory=lambda: dict(REHEARSAL_RATE_LIMIT))
    """Calls per minute, hour and day and key; None: an exempt key, which gets no such headers."""
    timeout_default: int = 300_000
    """Milliseconds where a create names no `timeout`. The specification says 300000, the live API was seen to use 0."""
    idle_scaledown: bool = True
    """After 3 days without requests `workers.max` falls to 2, after 7 days to 0."""
    paginate: int | None = None
    """Lists come in pages of this many. Not in 2.9.0; seen in later clients."""
    name_suffix: str = ""
    """Appended to names in answers, as `-fb` was."""
    inject_env: dict[str, str] = field(default_factory=dict)
    """Variables RunPod puts into `env` at a create; a PATCH of `env` replaces them too."""
    delete_needs_zero_workers: bool = False
    """400 on deleting an endpoint with `workers.max` above 0, as the GraphQL API did."""
    extra_fields: bool = False
    """Answers have fields that the specification does not know."""
    cf_1010: bool = True
    """Cloudflare's 403 for Python-urllib's own User-Agent."""
    commit_then_timeout: int = 0
    """So many of the next creates succeed but get no answer."""
    flaky_5xx: int = 0
    """So many of the next calls fail with 503 before anything happens."""
    html_500: int = 0
    """So many of the next calls fail with an HTML page."""

    @property
    def worker_quota(self) -> int:
        """The sum of `workers.max` that is allowed."""
        if self.quota is not None:
            return self.quota
        return next((quota for usd, quota in _QUOTA_BY_BALANCE_USD if self.balance_usd >= usd), 5)

    def set(self, values: Mapping[str, Any]) -> None:
        """Throw switches by name; raises ValueError, and changes nothing, where a name or a value is none."""
        checked = {name: _checked(name, value) for name, value in values.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def to_json(self) -> dict[str, Any]:
        """By name; the balance as a decimal string."""
        return asdict(self) | {"balance_usd": format(self.balance_usd, "f")}


_OPTIONAL = {"quota", "rate_limit", "paginate"}
_DEFAULTS = {item.name: getattr(Switches(), item.name) for item in fields(Switches)}


def _checked(name: str, value: Any) -> Any:
    if name not in _DEFAULTS:
        msg = f"no switch {name!r}; there are {', '.join(sorted(_DEFAULTS))}"
        raise ValueError(msg)
    if value is None and name in _OPTIONAL:
        return None
    match _DEFAULTS[name]:
        case bool():
            good = isinstance(value, bool)
        case str():
            good = isinstance(value, str)
        case list():
            good = isinstance(value, list) and all(isinstance(item, str) for item in value)
        case dict() if name == "rate_limit":
            good = isinstance(value, dict) and set(value) <= set(WINDOW_S) and all(map(_is_count, value.values()))
        case dict():
            good = isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
        case Decimal():
            return _usd(value)
        case float():
            good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
        case _:
            good = _is_count(value)
    if not good:
        msg = f"{value!r} is no value for the switch {name!r}"
        raise ValueError(msg)
    return value


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _usd(value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation as error:
        msg = f"{value!r} is no amount of dollars"
        raise ValueError(msg) from error
    if not amount.is_finite():
        msg = f"{value!r} is no amount of dollars"
        raise ValueError(msg)
    return amount
