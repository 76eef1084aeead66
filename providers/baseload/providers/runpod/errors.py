"""RunPod's answers as errors of ours: what happened, what to do, and a stable code. Translated here and nowhere else.

Facts: REST v2 specification 2.9.0 (problem+json with `title`, `status`, `detail`, `errors`), research notes of
2026-11-21. Texts of RunPod are quoted, cut and stripped of markup; the API key is never part of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from baseload.planner.diagnostics import Diagnostic
from baseload.planner.errors import BaseloadError, CredentialsError, DeployError

LONGEST_QUOTE = 400
"""Characters of a vendor's text that are worth showing."""

KEY_HINT = "Set RUNPOD_API_KEY to a key made at https://www.runpod.io/console/user/settings (API Keys)."

_NO_CAPACITY = ("resources to deploy your pod", "insufficient capacity", "no available machine", "out of stock")
"""Phrases that clients of RunPod look for (SkyPilot, dstack, runpod-mcp); there is no machine-readable code."""

_QUOTA = ("workers quota", "worker concurrency", "max workers across all endpoints")
"""Seen in RunPod's Flash tutorial and in runpodctl#117."""


class ApiError(DeployError):
    """RunPod refused or failed a call; `status` is the HTTP status, 0 without an answer."""

    status: int = 0
    sent: bool = True
    """Whether RunPod may have acted on the call."""


class NotFound(ApiError):
    """There is no such object, or it is somebody else's."""


class Unavailable(ApiError):
    """RunPod could not be reached, failed, or answered with something unreadable."""


class RateLimited(ApiError):
    """The calls of this key are used up for longer than it makes sense to wait."""


class MayExist(ApiError):
    """A mutation whose outcome is unknown although it was looked for."""


def missing_key() -> CredentialsError:
    """The error for a call that needs a key where none is set."""
    return CredentialsError(
        Diagnostic(code="runpod/no-key", summary="RUNPOD_API_KEY is not set, and this needs RunPod.", hint=KEY_HINT)
    )


def make(kind: type[ApiError], code: str, summary: str, *, status: int = 0, hint: str | None = None) -> ApiError:
    """An `ApiError` of that kind with one diagnostic."""
    error = kind(Diagnostic(code=code, summary=summary, hint=hint))
    error.status = status
    return error


def refused(call: str, status: int, headers: Mapping[str, str], body: str) -> BaseloadError:
    """The error for an answer that is no success, 429 or 5xx; `call` says what was asked (`GET /serverless`)."""
    said = quoted(body)
    if status in (401, 403):
        return _credentials(call, status, body, said)
    if status == 404 and not _is_object(body):
        # RunPod's own 404 is a JSON problem. Anything else must not pass for "gone", or billing goes on unseen.
        text = f"What answered {call} with 404 is not RunPod: {said}"
        hint = "Check RUNPOD_BASE_URL, and proxies on the way."
        return make(ApiError, "runpod/not-runpod", text, status=status, hint=hint)
    if status == 404:
        return make(NotFound, "runpod/not-found", f"RunPod knows no such object: {call}: {said}", status=status)
    if status == 402:
        text, hint = "RunPod refuses for lack of balance", "Add credit at https://www.runpod.io/console/user/billing."
        return make(ApiError, "runpod/balance", f"{text}: {call}: {said}", status=status, hint=hint)
    if status == 405:
        text = f"RunPod does not support {call}; allowed: {headers.get('allow', 'unknown')}"
        return make(ApiError, "runpod/method", text, status=status, hint="The address may be wrong: RUNPOD_BASE_URL.")
    if status == 409:
        return make(ApiError, "runpod/conflict", f"RunPod: {call} is not possible now: {said}", status=status)
    if status == 422:
        text = f"RunPod finds the request invalid: {call}: {said}"
        return make(ApiError, "runpod/invalid", text, status=status)
    if status == 410:
        text, hint = f"RunPod has retired {call}: {said}", "RUNPOD_BASE_URL must name REST v2 and end in /v2."
        return make(ApiError, "runpod/retired", text, status=status, hint=hint)
    if 300 <= status < 400:
        text = f"RunPod redirects {call}, which is not followed"
        return make(ApiError, "runpod/redirect", text, status=status, hint="Check RUNPOD_BASE_URL.")
    return _bad_request(call, status, said)


def _credentials(call: str, status: int, body: str, said: str) -> BaseloadError:
    if status == 403 and "error code: 1010" in body:
        # Cloudflare's ban of a client signature, not RunPod's answer about rights (seen by third parties, 2026-09).
        text = f"Cloudflare blocked {call} before RunPod saw it (error code 1010); the key is not the reason"
        hint = "A proxy may have changed the User-Agent; try without it, or from another network."
        return make(ApiError, "runpod/blocked", text, status=status, hint=hint)
    if status == 401:
        text, code, hint = "RunPod does not accept the key", "runpod/unauthorized", KEY_HINT
    else:
        text, code = "The key lacks a right", "runpod/forbidden"
        hint = "Give the key read and write rights for serverless endpoints, or check the account's access to the pool."
    return CredentialsError(Diagnostic(code=code, summary=f"{text}: {call}: {said}", hint=hint))


def _bad_request(call: str, status: int, said: str) -> ApiError:
    text = said.lower()
    if any(phrase in text for phrase in _NO_CAPACITY):
        hint = "Add another GPU pool, fewer data centers, or try again later."
        return make(ApiError, "runpod/no-capacity", f"RunPod has no capacity: {said}", status=status, hint=hint)
    if any(phrase in text for phrase in _QUOTA):
        hint = "The sum of workers.max over all endpoints is limited by the account's balance: lower it or add credit."
        return make(ApiError, "runpod/quota", f"RunPod's worker quota is used up: {said}", status=status, hint=hint)
    return make(ApiError, "runpod/refused", f"RunPod refuses {call} ({status}): {said}", status=status)


def quoted(body: str) -> str:
    """What an error body says: `detail`, then its `errors` with missing properties first.

    A missing property makes RunPod report valid ones as unexpected too (specification 2.9.0), so order matters.
    """
    try:
        problem = json.loads(body)
    except ValueError:
        return cut(body)
    if not isinstance(problem, dict):
        return cut(body)
    detail = problem.get("detail") or problem.get("title") or problem.get("error") or problem.get("message")
    listed = problem.get("errors")
    items = sorted(map(str, listed), key=lambda item: "missing propert" not in item) if isinstance(listed, list) else []
    return "; ".join(cut(str(part)) for part in (detail, *items) if part) or "no reason given"


def _is_object(body: str) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


def cut(text: str, longest: int = LONGEST_QUOTE) -> str:
    """A text of somebody else in one line, without markup, at most `longest` characters."""
    words = " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE).split())
    return words if len(words) <= longest else f"{words[:longest]}…"
