"""Between the network and the routes: faults, Cloudflare, keys, rate limits. Pure ASGI; knows no endpoint.

A fault is bad luck asked for at one place: the n-th call that fits gets a status, garbage, silence or a cut connection,
before or after the call took effect. The order is the real one: the network fails first, then Cloudflare, then the key,
then the limits, then RunPod itself.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from collections.abc import Callable, MutableMapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from baseload.sandbox.clock import Clock
from baseload.sandbox.runpod.refusal import Refusal
from baseload.sandbox.runpod.switches import WINDOW_S, Switches

ACTIONS = ("status", "garbage", "reset", "timeout_before", "timeout_after", "reset_after")
CONTROL, JOBS = "control", "jobs"
ADMIN_PATH = "/_sandbox"
_WINDOWS = tuple(WINDOW_S)
_JOB_LIMITS = {"run": 1000, "runsync": 2000, "cancel": 100, "purge-queue": 2, "requests": 10}
"""Calls in ten seconds and endpoint (documentation `send-requests`); all others 2000. RunPod's grow with workers."""
_JOB_WINDOW_S = 10


@dataclass(kw_only=True)
class Fault:
    """What goes wrong, where, and how often."""

    action: str
    """`status`: answer with `status`, nothing happens; `garbage`: 200 and no JSON; `reset`: the connection is cut;
    `timeout_before`: no answer; `timeout_after`, `reset_after`: the call takes effect, then no answer or a cut."""
    plane: str = CONTROL
    """`control`, `jobs` or `*`."""
    method: str = "*"
    path: str = "*"
    """A shell pattern of the path: `/v2/serverless/*`."""
    skip: int = 0
    """So many fitting calls pass first."""
    count: int = 1
    """So many fail then."""
    status: int = 503
    detail: str = "upstream error"
    retry_after_s: int | None = None
    hold_s: float = 3600.0
    """How long a time-out lasts unless the client leaves first."""

    def __post_init__(self) -> None:
        if self.action not in ACTIONS or self.plane not in (CONTROL, JOBS, "*"):
            msg = f"no fault {self.action!r} on {self.plane!r}: actions are {', '.join(ACTIONS)}"
            raise ValueError(msg)

    def fits(self, plane: str, method: str, path: str) -> bool:
        """Whether it strikes this call."""
        return self.plane in (plane, "*") and self.method in (method, "*") and fnmatchcase(path, self.path)


@dataclass
class Call:
    """One call that came in; status 0 is no answer, or none yet."""

    plane: str
    method: str
    path: str
    status: int = 0


class Faults:
    """The faults that wait for their call."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Lay it in wait."""
        self._waiting.append(fault)

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()

    def strike(self, plane: str, method: str, path: str) -> Fault | None:
        """The fault for this call, if any; each that fits counts it."""
        for fault in self._waiting:
            if not fault.fits(plane, method, path):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.count -= 1
            if fault.count <= 0:
                self._waiting.remove(fault)
            return fault
        return None

    def to_json(self) -> list[dict[str, Any]]:
        """Those that still wait."""
        return [asdict(fault) for fault in self._waiting]


class RateLimits:
    """Fixed windows that start with the first call in them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, ...], tuple[float, int]] = {}

    def count(self, key: tuple[str, ...], quota: int, length_s: int) -> tuple[int, int]:
        """Count a call: how many remain (below 0: one too many) and seconds until the window ends."""
        now = self._clock.now()
        start, used = self._windows.get(key, (now, 0))
        if now >= start + length_s:
            start, used = now, 0
        self._windows[key] = (start, min(used + 1, quota + 1))
        return quota - used - 1, math.ceil(start + length_s - now)

    def account(self, key: str, policy: dict[str, int]) -> tuple[dict[str, str], str | None, int]:
        """Headers for a call with this key, and the window it is too many for with the seconds to wait."""
        names = [name for name in _WINDOWS if name in policy]
        states = {name: self.count((key, name), policy[name], WINDOW_S[name]) for name in names}
        headers = {
            "RateLimit": ", ".join(f'"{name}";r={max(0, r)};t={t}' for name, (r, t) in states.items()),
            "RateLimit-Policy": ", ".join(f'"{name}";q={policy[name]};w={WINDOW_S[name]}' for name in names),
        }
        used_up = [name for name, (remaining, _) in states.items() if remaining < 0]
        return (headers, used_up[-1], states[used_up[-1]][1]) if used_up else (headers, None, 0)


class Gate:
    """Everything that can happen to a call before RunPod's own code sees it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        plane: str,
        switches: Switches,
        faults: Faults,
        limits: RateLimits,
        calls: deque[Call],
        cut: Callable[[Scope], None],
        closing: asyncio.Event,
    ) -> None:
        self._app, self._plane, self._cut, self._closing = app, plane, cut, closing
        self._switches, self._faults, self._limits, self._calls = switches, faults, limits, calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one call."""
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        if self._plane == CONTROL and (path == ADMIN_PATH or path.startswith(f"{ADMIN_PATH}/")):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        call = Call(self._plane, method, path)
        self._calls.append(call)
        recorded = _Recorded(send, call)
        fault = self._faults.strike(self._plane, method, path) or self._switched_fault(method, path)
        if fault is None or fault.action in ("timeout_after", "reset_after"):
            swallowed = _Recorded(None, None) if fault else recorded
            await self._admit(headers, scope, receive, swallowed)
        if fault:
            await self._fail(fault, scope, receive, recorded)

    def _switched_fault(self, method: str, path: str) -> Fault | None:
        switches = self._switches
        if self._plane != CONTROL:
            return None
        if switches.flaky_5xx:
            switches.flaky_5xx -= 1
            return Fault(action="status", status=503)
        if switches.html_500:
            switches.html_500 -= 1
            return Fault(action="garbage", status=500)
        if switches.commit_then_timeout and (method, path) == ("POST", "/v2/serverless"):
            switches.commit_then_timeout -= 1
            return Fault(action="reset_after")
        return None

    async def _fail(self, fault: Fault, scope: Scope, receive: Receive, send: _Recorded) -> None:
        match fault.action:
            case "status":
                extra = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
                await answer_problem(send, Refusal(fault.status, fault.detail), extra)
            case "garbage":
                status = 200 if fault.status == 503 else fault.status
                await answer(send, status, b"<html><body><h1>Internal error</h1>", {"Content-Type": "text/html"})
            case "timeout_before" | "timeout_after":
                await self._until_gone(receive, fault.hold_s)
                await self._end(scope, receive)
            case _:
                await self._end(scope, receive)

    async def _end(self, scope: Scope, receive: Receive) -> None:
        self._cut(scope)
        # The server notices in its next turn; without waiting for it, it would call the missing answer our bug.
        await self._until_gone(receive, 1.0)

    async def _until_gone(self, receive: Receive, longest_s: float) -> None:
        """Wait for the client to leave, or the sandbox to close."""

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        tasks = [asyncio.create_task(gone()), asyncio.create_task(self._closing.wait())]
        await asyncio.wait(tasks, timeout=longest_s, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    async def _admit(self, headers: MutableMapping[str, str], scope: Scope, receive: Receive, send: _Recorded) -> None:
        if self._switches.cf_1010 and headers.get("user-agent", "").startswith("Python-urllib"):
            await answer(send, 403, b"error code: 1010", {"Content-Type": "text/plain; charset=UTF-8"})
        elif self._plane == CONTROL and (scope["path"] == "/v1" or scope["path"].startswith("/v1/")):
            await answer_problem(send, Refusal(410, "REST v1 has been retired; use https://api.runpod.io/v2"))
        elif not (key := _key(headers.get("authorization", ""), bare_allowed=self._plane == JOBS)):
            await answer_problem(send, Refusal(401, "missing bearer token"))
        elif self._plane == JOBS:
            await self._admit_job(scope, receive, send)
        else:
            await self._admit_control(key, scope, receive, send)

    async def _admit_control(self, key: str, scope: Scope, receive: Receive, send: _Recorded) -> None:
        policy = self._switches.rate_limit
        if policy is None:
            await self._app(scope, receive, send)
            return
        extra, window, wait_s = self._limits.account(key, policy)
        if window:
            refusal = Refusal(429, f"rate limit exceeded for the {window} window")
            await answer_problem(send, refusal, extra | {"Retry-After": str(wait_s)})
        else:
            send.extra = extra
            await self._app(scope, receive, send)

    async def _admit_job(self, scope: Scope, receive: Receive, send: _Recorded) -> None:
        parts = [*scope["path"].split("/"), "", "", ""]
        endpoint_id, operation = str(parts[2]), str(parts[3])
        quota = _JOB_LIMITS.get(operation, 2000)
        remaining, wait_s = self._limits.count((endpoint_id, operation), quota, _JOB_WINDOW_S)
        if remaining < 0 and self._switches.rate_limit is not None:
            await answer_problem(send, Refusal(429, "too many requests"), {"Retry-After": str(wait_s)})
        else:
            await self._app(scope, receive, send)


class _Recorded:
    """A `send` that notes the status on its call and adds headers; without a target it swallows the answer."""

    def __init__(self, send: Send | None, call: Call | None) -> None:
        self._send, self._call = send, call
        self.extra: dict[str, str] = {}

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._call:
                self._call.status = message["status"]
            message["headers"] = [*message.get("headers", []), *_raw(self.extra)]
        if self._send:
            await self._send(message)


async def answer(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    """A whole answer."""
    raw = _raw({"Content-Length": str(len(body)), **headers})
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def answer_problem(send: Send, refusal: Refusal, headers: dict[str, str] | None = None) -> None:
    """A refusal as problem+json."""
    body = json.dumps(refusal.problem()).encode()
    await answer(send, refusal.status, body, {"Content-Type": "application/problem+json", **(headers or {})})


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _key(authorization: str, *, bare_allowed: bool) -> str | None:
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return key.strip() or None
    # RunPod's examples for the job plane send the key without a scheme.
    return authorization or None if bare_allowed and not key else None
