"""The only door to RunPod's REST v2: requests, retries, rate limits, pagination, and errors of ours.

Reads are repeated after failures of the network or the server; mutations only after looking whether they happened,
because there is no idempotency key (REST v2 specification 2.9.0). Knows nothing of Pulumi. `httpx` is imported at
the first call, so that a process that makes none does not pay for it.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from baseload.planner.errors import CredentialsError, UsageError
from baseload.providers.runpod import errors
from baseload.providers.runpod.limits import Caller, RateLimiter

if TYPE_CHECKING:
    import httpx

BASE_URL: Final = "https://api.runpod.io/v2"
"""REST v2 control plane; `RUNPOD_BASE_URL` overrides it."""

READ_ATTEMPTS = 5
MUTATION_ATTEMPTS = 4
LONGEST_BACKOFF_S = 30.0
REFUSALS = 10
"""429 answers in a row after which a call is given up."""

LOOK_AFTER_S = (1.0, 4.0)
"""When to look for the outcome of a mutation without an answer: it may be finished after its connection was lost."""

LISTING_AGE_S = 10.0
"""How long one list of all endpoints answers reads of single ones."""

SEARCH_AGE_S = 60.0
"""How long it answers the question whether an earlier run has created something."""

CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 60.0
LOG_SILENCE_S = 2.0
"""The log route never ends; after this much silence it has told its history."""
LOG_READ_S = 10.0

Document = dict[str, Any]


class Unattended:
    """A caller without an engine: waits in real time and always wants the answer. For commands that only read."""

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def check(self) -> None:
        """Never raises."""


class Answer(NamedTuple):
    """A successful HTTP answer."""

    status: int
    text: str


class Http:
    """One host, one key, one limiter: sends single requests and translates what goes wrong.

    `key` is asked at the first request that needs it.
    """

    def __init__(
        self,
        base_url: str,
        key: Callable[[], str],
        limiter: RateLimiter,
        *,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.base_url, self._key, self._limiter = base_url, key, limiter
        self._answer_timeout_s, self._chance = answer_timeout_s, chance
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    def read(self, caller: Caller, path: str, query: Mapping[str, str] | None = None) -> Document:
        """GET a JSON object, again and again while RunPod is unavailable."""
        for attempt in range(READ_ATTEMPTS):
            try:
                return self.document(f"GET {path}", self.send(caller, "GET", path, query=query))
            except errors.Unavailable:
                if attempt == READ_ATTEMPTS - 1:
                    raise
                caller.pause(self.backoff_s(attempt))
        raise AssertionError("unreachable")  # pragma: no cover

    def backoff_s(self, attempt: int) -> float:
        """Seconds before the next attempt: doubling, with half of it left to chance so that callers spread."""
        return min(LONGEST_BACKOFF_S, 0.5 * float(2**attempt)) * (0.5 + self._chance() / 2)

    def document(self, call: str, answer: Answer) -> Document:
        """The JSON object of an answer; raises `Unavailable` for anything else, as it is not RunPod that speaks."""
        try:
            document = json.loads(answer.text)
        except ValueError as error:
            raise _unreadable(call, answer) from error
        if not isinstance(document, dict):
            raise _unreadable(call, answer)
        return document

    def send(
        self,
        caller: Caller,
        method: str,
        path: str,
        *,
        body: Document | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, repeated only while it is refused for its rate (429 is answered before anything is done).

        Raises `Unavailable` (`sent` says whether RunPod may have acted on it), `RateLimited`, `CredentialsError`, or
        the `ApiError` of a refusal.
        """
        for _ in range(REFUSALS):
            self._limiter.acquire(caller)
            status, headers, text = self._exchange(caller, method, path, body, query)
            if status == 429:
                continue
            if status >= 500:
                raise _failed(f"{method} {path}", status, self._masked(text))
            if status >= 300:
                raise errors.refused(f"{method} {path}", status, headers, self._masked(text))
            return Answer(status, text)
        raise errors.make(
            errors.RateLimited, "runpod/rate-limited", f"RunPod refused {method} {path} {REFUSALS} times for its rate"
        )

    def _exchange(
        self, caller: Caller, method: str, path: str, body: Document | None, query: Mapping[str, str] | None
    ) -> tuple[int, Mapping[str, str], str]:
        import httpx

        status, headers = 0, httpx.Headers()
        try:
            client = self._connected()
            # Last look before the wire: an engine that has died must cause nothing any more.
            caller.check()
            response = client.request(method, self.base_url + path, json=body, params=query, headers=self._headers())
            status, headers = response.status_code, response.headers
            return status, headers, response.text
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _lost(f"{method} {path}", error, sent=not isinstance(error, _unsent())) from error
        finally:
            self._limiter.answered(caller, status, headers)

    def lines(self, caller: Caller, path: str, query: Mapping[str, str]) -> Iterator[str]:
        """The lines of an event stream until it falls silent."""
        import httpx

        self._limiter.acquire(caller)
        status, headers, until = 0, httpx.Headers(), caller.now() + LOG_READ_S
        patience = httpx.Timeout(CONNECT_TIMEOUT_S, read=LOG_SILENCE_S)
        try:
            with self._connected().stream(
                "GET", self.base_url + path, params=query, headers=self._headers(), timeout=patience
            ) as response:
                status, headers = response.status_code, response.headers
                if status != 200:
                    raise errors.refused(f"GET {path}", status, headers, self._masked(response.read().decode()))
                for line in response.iter_lines():
                    yield line
                    if caller.now() > until:
                        return
        except httpx.ReadTimeout:
            return
        except httpx.HTTPError as error:
            raise _lost(f"GET {path}", error, sent=True) from error
        finally:
            self._limiter.answered(caller, status, headers)

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _connected(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._client is None:
                self._client = httpx.Client(
                    # RunPod's Cloudflare blocks the default agents of some libraries (error 1010).
                    headers={"User-Agent": f"baseload/{version('baseload')}", "Accept": "application/json"},
                    timeout=httpx.Timeout(self._answer_timeout_s, connect=CONNECT_TIMEOUT_S, pool=None),
                    limits=httpx.Limits(max_connections=None),
                    follow_redirects=False,
                    trust_env=not is_loopback(self.base_url),
                    # Loading the root certificates takes longer than all of a rehearsal's calls; http needs none.
                    verify=self.base_url.startswith("https:"),
                )
            return self._client

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key()}"}

    def _masked(self, text: str) -> str:
        return text.replace(self._key(), "[secret]")


def _unsent() -> tuple[type[Exception], ...]:
    """Failures after which the request has certainly not been acted on."""
    import httpx

    return (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL)


def _lost(call: str, error: Exception, *, sent: bool) -> errors.ApiError:
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    text = f"RunPod gave no answer: {call}: {reason}" if sent else f"RunPod cannot be reached: {call}: {reason}"
    hint = None if sent else "Check the network, and the address in RUNPOD_BASE_URL or RUNPOD_ENDPOINT_BASE_URL."
    lost = errors.make(errors.Unavailable, "runpod/unavailable", text, hint=hint)
    lost.sent = sent
    return lost


def _failed(call: str, status: int, text: str) -> errors.ApiError:
    summary = f"RunPod failed: {call} ({status}): {errors.quoted(text)}"
    return errors.make(errors.Unavailable, "runpod/unavailable", summary, status=status)


def _unreadable(call: str, answer: Answer) -> errors.ApiError:
    # The body is not quoted: what came instead of JSON may be anything, also an echo of the request.
    text = (
        f"What answered {call} does not speak RunPod's REST v2 (status {answer.status}, {len(answer.text)} characters)"
    )
    return errors.make(errors.Unavailable, "runpod/unreadable", text, status=answer.status)


class _Snapshot(NamedTuple):
    endpoints: Mapping[str, Document]
    started: float
    epoch: int


class Client:
    """Serverless endpoints over REST v2. Safe for threads; share one, as limits and lists are shared through it."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._listing = threading.Lock()
        self._snapshot: _Snapshot | None = None
        self._epochs = itertools.count()
        self._epoch = next(self._epochs)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Client:
        """The client that `RUNPOD_API_KEY` and `RUNPOD_BASE_URL` describe; the key is read at the first call.

        Raises `UsageError` for an address that would send the key in clear text or is none.
        """
        base_url = address(environment, "RUNPOD_BASE_URL", BASE_URL)
        return cls(Http(base_url, lambda: api_key(environment), RateLimiter()))

    @property
    def cloud(self) -> str:
        """The control plane's base URL; a stack remembers it."""
        return self._http.base_url

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def forget(self) -> None:
        """What was listed before is too old now."""
        self._epoch = next(self._epochs)
        self._snapshot = None

    def endpoints(self, caller: Caller, *, max_age_s: float = 0.0, though_changed: bool = False) -> list[Document]:
        """All endpoints of the account, from one list call (more where it is paginated).

        A list not older than `max_age_s` is used again, unless this client has changed something since
        (`though_changed`: even then).
        """
        # Waiting callers hold no place in the rate limit, and each finds the list of the one before it.
        asked = caller.now()
        with self._listing:
            known = self._snapshot
            if known and known.started >= asked - max_age_s and (though_changed or known.epoch == self._epoch):
                return list(known.endpoints.values())
            epoch, started = self._epoch, caller.now()
            endpoints = {item["id"]: item for item in self._pages(caller)}
            self._snapshot = _Snapshot(endpoints, started, epoch)
            return list(endpoints.values())

    def _pages(self, caller: Caller) -> Iterator[Document]:
        query: dict[str, str] = {}
        seen: set[str] = set()
        while True:
            page = self._http.read(caller, "/serverless", query)
            listed = page.get("endpoints")
            if not isinstance(listed, list):
                text = "RunPod's list of endpoints has no 'endpoints'"
                raise errors.make(errors.Unavailable, "runpod/unreadable", text)
            yield from (_endpoint("GET /serverless", item) for item in listed)
            # Lists of specification 2.9.0 have no pages; later clients were seen to follow this cursor.
            pagination = page.get("pagination")
            cursor = pagination.get("nextCursor") if isinstance(pagination, dict) else None
            if not cursor or cursor in seen:
                return
            seen.add(cursor)
            query = {"cursor": str(cursor)}

    def find(self, caller: Caller, endpoint_id: str) -> Document | None:
        """One endpoint out of a shared recent list; None only after RunPod has denied it by id too."""
        for endpoint in self.endpoints(caller, max_age_s=LISTING_AGE_S):
            if endpoint.get("id") == endpoint_id:
                return endpoint
        try:
            return self.get(caller, endpoint_id)
        except errors.NotFound:
            return None

    def get(self, caller: Caller, endpoint_id: str) -> Document:
        """One endpoint, asked for now. Raises `NotFound`."""
        path = _path(endpoint_id)
        return _endpoint(f"GET {path}", self._http.read(caller, path))

    def create(self, caller: Caller, body: Document, found: Callable[[], Document | None]) -> tuple[Document, bool]:
        """Create an endpoint, once: after a call without an answer, `found` looks whether it happened.

        The endpoint, and whether the creation had to be repeated (a late first one may then exist beside it).
        Raises `MayExist` when RunPod stays unavailable.
        """
        repeated = False
        for attempt in itertools.count(1):
            try:
                return self._change(caller, "POST", "/serverless", body), repeated
            except errors.Unavailable as error:
                lost = error
            if lost.sent:
                repeated = True
                for pause_s in LOOK_AFTER_S:
                    caller.pause(pause_s)
                    if (endpoint := found()) is not None:
                        return endpoint, False
            if attempt == MUTATION_ATTEMPTS:
                raise _uncertain("create", "the next attempt looks for it first, so nothing is created twice", lost)
            caller.pause(self._http.backoff_s(attempt))
        raise AssertionError("unreachable")  # pragma: no cover

    def update(self, caller: Caller, endpoint_id: str, body: Document, landed: Callable[[Document], bool]) -> Document:
        """Change fields of an endpoint; after a call without an answer, `landed` says whether the change is there."""
        for attempt in itertools.count(1):
            try:
                return self._change(caller, "PATCH", _path(endpoint_id), body)
            except errors.Unavailable as error:
                lost = error
            caller.pause(self._http.backoff_s(attempt))
            if lost.sent and landed(endpoint := self.get(caller, endpoint_id)):
                return endpoint
            if attempt == MUTATION_ATTEMPTS:
                raise _uncertain("update", "run the command again", lost)
        raise AssertionError("unreachable")  # pragma: no cover

    def delete(self, caller: Caller, endpoint_id: str) -> None:
        """Delete an endpoint and see it gone; an unknown id is gone."""
        said = ""
        for attempt in range(MUTATION_ATTEMPTS):
            try:
                self._http.send(caller, "DELETE", _path(endpoint_id))
                said = "RunPod accepted the deletion"
            except errors.NotFound:
                return
            except errors.Unavailable as error:
                said = error.diagnostics[0].summary
            finally:
                self._epoch = next(self._epochs)
            if self._gone(caller, endpoint_id):
                return
            caller.pause(self._http.backoff_s(attempt + 1))
        text = f"Endpoint {endpoint_id} is still there: {said}"
        hint = "It goes on costing money: run the command again."
        raise errors.make(errors.MayExist, "runpod/not-deleted", text, hint=hint)

    def _gone(self, caller: Caller, endpoint_id: str) -> bool:
        try:
            self.get(caller, endpoint_id)
        except errors.NotFound:
            return True
        return False

    def _change(self, caller: Caller, method: str, path: str, body: Document) -> Document:
        try:
            answer = self._http.send(caller, method, path, body=body)
        finally:
            self._epoch = next(self._epochs)
        return _endpoint(f"{method} {path}", self._http.document(f"{method} {path}", answer))

    def gpu_types(self, caller: Caller) -> list[Document]:
        """The catalog: every GPU type with its list prices, USD per hour of one GPU."""
        listed = self._http.read(caller, "/catalog/gpus").get("gpus")
        if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
            raise errors.make(errors.Unavailable, "runpod/unreadable", "RunPod's catalog has no 'gpus'")
        return listed

    def workers(self, caller: Caller, endpoint_id: str) -> Document:
        """`workers`, `summary` and `endpointVersion` of an endpoint."""
        return self._http.read(caller, f"{_path(endpoint_id)}/workers")

    def releases(self, caller: Caller, endpoint_id: str) -> Document:
        """`rollout`, `releases` and `endpointVersion` of an endpoint."""
        return self._http.read(caller, f"{_path(endpoint_id)}/releases")

    def worker_log(self, caller: Caller, endpoint_id: str, worker_id: str, lines: int) -> list[str]:
        """The last lines of a worker's log, oldest first."""
        path = f"{_path(endpoint_id)}/workers/{quote(worker_id, safe='')}/logs"
        found: list[str] = []
        for event in self._http.lines(caller, path, {"tail": str(lines)}):
            if event.startswith("data:"):
                found.append(_log_line(event.removeprefix("data:").strip()))
            if len(found) == lines:
                break
        return found


def _endpoint(call: str, document: Any) -> Document:
    """The document, if it has what every endpoint has; unknown fields are fine."""
    wanted = {"id": str, "name": str, "workers": dict, "scaling": dict}
    if isinstance(document, dict) and all(isinstance(document.get(name), kind) for name, kind in wanted.items()):
        return document
    raise errors.make(errors.Unavailable, "runpod/unreadable", f"What RunPod answered to {call} is no endpoint")


def _log_line(data: str) -> str:
    try:
        entry = json.loads(data)
    except ValueError:
        return data
    return str(entry.get("line", "")) if isinstance(entry, dict) else data


def _path(endpoint_id: str) -> str:
    return f"/serverless/{quote(endpoint_id, safe='')}"


def _uncertain(what: str, then: str, last: errors.ApiError) -> errors.ApiError:
    text = f"RunPod did not confirm the {what}: {last.diagnostics[0].summary}"
    return errors.make(errors.MayExist, "runpod/unconfirmed", text, status=last.status, hint=f"Once it is up: {then}.")


def api_key(environment: Mapping[str, str]) -> str:
    """`RUNPOD_API_KEY`. Raises `CredentialsError` where it is missing or cannot be a key."""
    key = environment.get("RUNPOD_API_KEY", "").strip()
    if not key:
        raise errors.missing_key()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise CredentialsError.of("runpod/bad-key", "RUNPOD_API_KEY is not a key: it has characters no key has.")
    return key


def address(environment: Mapping[str, str], variable: str, default: str) -> str:
    """A base URL from the environment, without a slash at its end.

    Raises `UsageError` for what is no web address, and for one that would carry the key unencrypted over a network.
    """
    url = (environment.get(variable) or default).rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError.of("runpod/bad-address", f"{variable} is not a web address", hint=f"For instance {default}")
    if urlsplit(url).scheme == "http" and not is_loopback(url):
        raise UsageError.of(
            "runpod/clear-text", f"{variable} would send the key unencrypted", hint="Use https://, or a loopback host."
        )
    return url


def is_loopback(url: str) -> bool:
    """Whether the address is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
