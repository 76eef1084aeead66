"""How often RunPod may be called: its announced policy, kept by everybody who shares the limiter.

Until the first answer, 60 calls a minute (the example of the REST v2 specification 2.9.0, `RateLimit-Policy`, and the
figure RunPod's own MCP server works with). Then what the headers say; callers without limits get no headers.
Makes no call itself and knows no clock of its own.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from baseload.providers.runpod.errors import RateLimited, make

LONGEST_WAIT_S = 300.0
"""Waiting longer (an hour's or a day's quota is used up) is the user's decision."""

_MEMBER = re.compile(r'"([^"]+)"((?:\s*;\s*[a-z]+=\d+)+)')
_PARAMETER = re.compile(r"([a-z]+)=(\d+)")


class Caller(Protocol):
    """On whose behalf a call is made: its clock, its patience, and whether it still wants the answer."""

    def now(self) -> float:
        """Seconds, from a clock that only goes forward."""
        ...

    def pause(self, seconds: float) -> None:
        """Wait; raises `Cancelled` once nobody wants the answer any more."""
        ...

    def check(self) -> None:
        """Raise `Cancelled` if nobody wants the answer any more."""
        ...


class _Window:
    """At most `quota` calls in any `length_s` seconds, and no more than the server says remain."""

    def __init__(self, quota: int, length_s: float) -> None:
        self.quota, self.length_s = quota, length_s
        self._sent: deque[float] = deque()
        self._remaining: int | None = None
        self._resets_at = 0.0

    def wait_s(self, now: float) -> float:
        """Seconds until a call is allowed; 0 is now."""
        while self._sent and self._sent[0] + self.length_s <= now:
            self._sent.popleft()
        own = self._sent[-self.quota] + self.length_s - now if len(self._sent) >= self.quota else 0.0
        theirs = self._resets_at - now if self._remaining is not None and self._remaining <= 0 else 0.0
        return max(own, theirs, 0.0)

    def count(self, now: float) -> None:
        """A call is being sent."""
        self._sent.append(now)
        if self._remaining is not None:
            self._remaining -= 1

    def told(self, remaining: int, resets_in_s: float, now: float, in_flight: int) -> None:
        """What the server said: calls left, which other calls on their way may have used since."""
        self._remaining, self._resets_at = remaining - in_flight, now + resets_in_s


class RateLimiter:
    """Shared by all calls with one key."""

    def __init__(self, first_quota: int | None = 60) -> None:
        """`first_quota`: calls a minute until the server says otherwise, None for no limit."""
        self._lock = threading.Lock()
        self._windows = {"minute": _Window(first_quota, 60.0)} if first_quota else {}
        self._not_before = 0.0
        self._in_flight = 0

    def acquire(self, caller: Caller) -> None:
        """Wait for one's turn; raises `RateLimited` where that would take too long, `Cancelled` as the caller does."""
        while (wait_s := self._take(caller.now())) > 0:
            if wait_s > LONGEST_WAIT_S:
                text = f"RunPod's rate limit is used up for another {wait_s:.0f} s"
                raise make(RateLimited, "runpod/rate-limited", text, status=429, hint="Try again then.")
            caller.pause(wait_s)

    def _take(self, now: float) -> float:
        with self._lock:
            wait_s = max([self._not_before - now, *(window.wait_s(now) for window in self._windows.values())])
            if wait_s <= 0:
                for window in self._windows.values():
                    window.count(now)
                self._in_flight += 1
            return wait_s

    def answered(self, caller: Caller, status: int, headers: Mapping[str, str]) -> None:
        """Learn from an answer; status 0 is none."""
        now = caller.now()
        policy = _members(headers.get("ratelimit-policy", ""))
        state = _members(headers.get("ratelimit", ""))
        with self._lock:
            self._in_flight = max(0, self._in_flight - 1)
            for name, parameters in policy.items():
                self._follow(name, parameters, now)
            for name, parameters in state.items():
                if name in self._windows and {"r", "t"} <= parameters.keys():
                    self._windows[name].told(parameters["r"], parameters["t"], now, self._in_flight)
            if 200 <= status < 300 and not policy and not state:
                self._windows.clear()
            if status == 429:
                self._not_before = max(self._not_before, now + _retry_after_s(headers, state))

    def _follow(self, name: str, parameters: Mapping[str, int], now: float) -> None:
        quota, length_s = parameters.get("q", 0), float(parameters.get("w", 0))
        if quota < 1 or length_s <= 0:
            return
        window = self._windows.get(name)
        if window is not None:
            window.quota, window.length_s = quota, length_s
            return
        self._windows[name] = _Window(quota, length_s)
        for _ in range(self._in_flight + 1):
            self._windows[name].count(now)


def _retry_after_s(headers: Mapping[str, str], state: Mapping[str, Mapping[str, int]]) -> float:
    said = headers.get("retry-after", "")
    if said.isdigit():
        return float(said)
    used_up = [parameters["t"] for parameters in state.values() if parameters.get("r") == 0 and "t" in parameters]
    return float(max(used_up, default=1))


def _members(header: str) -> dict[str, dict[str, int]]:
    """`"minute";r=0;t=12, "hour";r=2800;t=1812` by window and parameter; what cannot be read is left out."""
    return {
        name: {key: int(value) for key, value in _PARAMETER.findall(parameters)}
        for name, parameters in _MEMBER.findall(header)
    }
