"""RunPod's HTTP surface over the state machine: REST v2 for endpoints, the job plane for jobs, and admin routes.

Translates, and decides nothing: what is allowed and what happens is the state machine's business, what can go wrong
before it the gate's. An address RunPod's API does not have answers 404, a method it does not have 405.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from baseload.sandbox.runpod import catalog
from baseload.sandbox.runpod.gate import ADMIN_PATH, Call, Fault, Faults
from baseload.sandbox.runpod.refusal import Refusal
from baseload.sandbox.runpod.state import FINAL, Cloud, Job, LogLine, rfc3339

LARGEST_BODY = {"run": 10_000_000, "runsync": 20_000_000}
"""Bytes; documentation `send-requests`. All others as `run`."""
RUNSYNC_WAIT_MS = (1_000, 90_000, 300_000)
"""Least, default and most of `?wait=`."""
LOG_TAIL = 100
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@dataclass(kw_only=True)
class Runtime:
    """What the routes need besides the request."""

    cloud: Cloud
    faults: Faults
    calls: Iterable[Call]
    changed: Callable[[], None]
    """Something was done to the cloud: perform what it wants, keep its objects, wake those who wait."""
    wait: Callable[[float], Awaitable[None]]
    """Until something happens in the cloud or the sandbox closes, at most so many seconds."""
    advance: Callable[[float], Awaitable[None]]
    """Move the clock ahead; everything on the way happens in order."""
    closing: Callable[[], bool]
    shut_down: Callable[[], None]
    identity: Callable[[], dict[str, Any]]


def control_plane(runtime: Runtime) -> Starlette:
    """`https://api.runpod.io` and, beside it, the sandbox's own routes."""
    serverless = "/v2/serverless"
    routes = [
        Route(serverless, Endpoints),
        Route(f"{serverless}/{{id}}", OneEndpoint),
        Route(f"{serverless}/{{id}}/workers", workers),
        Route(f"{serverless}/{{id}}/releases", releases),
        Route(f"{serverless}/{{id}}/workers/{{worker_id}}/logs", worker_log),
        Route("/v2/catalog/gpus", gpu_types),
        Route("/v2/catalog/gpus/{id}", gpu_type),
        Route("/v2/catalog/datacenters", data_centers),
        Route("/v2/catalog/datacenters/{id}", data_center),
        Route("/v2/billing/serverless", serverless_bill),
    ]
    return _app(runtime, routes + admin_routes())


def job_plane(runtime: Runtime) -> Starlette:
    """`https://api.runpod.ai`."""
    get, post = ["GET"], ["POST"]
    return _app(
        runtime,
        [
            Route("/v2/{id}/run", run, methods=post),
            Route("/v2/{id}/runsync", runsync, methods=post),
            Route("/v2/{id}/status/{job}", job_status, methods=get),
            Route("/v2/{id}/stream/{job}", stream, methods=get),
            Route("/v2/{id}/cancel/{job}", cancel, methods=post),
            Route("/v2/{id}/retry/{job}", retry, methods=post),
            Route("/v2/{id}/health", health, methods=get),
            Route("/v2/{id}/purge-queue", purge_queue, methods=post),
            Route("/v2/{id}/requests", requests, methods=get),
            Route("/v2/{id}/openai/v1/chat/completions", chat_completions, methods=post),
        ],
    )


# Control plane.


class Endpoints(HTTPEndpoint):
    """/v2/serverless."""

    async def get(self, request: Request) -> Response:
        """List."""
        cloud = _runtime(request).cloud
        return JSONResponse(_page(request, "endpoints", [_extra(cloud, item) for item in cloud.endpoint_list()]))

    async def post(self, request: Request) -> Response:
        """Create."""
        body = await _json(request)
        cloud = _runtime(request).cloud
        endpoint = cloud.create(body)
        _runtime(request).changed()
        return JSONResponse(_extra(cloud, endpoint), 201)


class OneEndpoint(HTTPEndpoint):
    """/v2/serverless/{id}."""

    async def get(self, request: Request) -> Response:
        """Read."""
        cloud = _runtime(request).cloud
        return JSONResponse(_extra(cloud, cloud.get(request.path_params["id"])))

    async def patch(self, request: Request) -> Response:
        """Update."""
        body = await _json(request)
        cloud = _runtime(request).cloud
        endpoint = cloud.patch(request.path_params["id"], body)
        _runtime(request).changed()
        return JSONResponse(_extra(cloud, endpoint))

    async def delete(self, request: Request) -> Response:
        """Delete."""
        _runtime(request).cloud.delete(request.path_params["id"])
        _runtime(request).changed()
        return Response(status_code=204)


async def workers(request: Request) -> Response:
    """Workers and their counts."""
    return JSONResponse(_runtime(request).cloud.workers(request.path_params["id"]))


async def releases(request: Request) -> Response:
    """Releases and the rollout."""
    return JSONResponse(_runtime(request).cloud.releases(request.path_params["id"]))


async def worker_log(request: Request) -> Response:
    """A worker's log as server-sent events: what is there, then what comes, until one side has enough."""
    runtime = _runtime(request)
    source = request.query_params.get("source")
    if source not in (None, "container", "system"):
        raise _invalid(f"query.source: {source} not allowed")
    kept = runtime.cloud.log(request.path_params["id"], request.path_params["worker_id"])
    after = _log_start(request, [*kept])

    async def events() -> AsyncIterator[str]:
        last = after
        while True:
            for line in [line for line in kept if line.number > last]:
                last = line.number
                if source in (None, line.source):
                    yield _event(line)
            if runtime.closing():
                return
            await runtime.wait(15.0)
            yield ": keep-alive\n\n"

    headers = {"Cache-Control": "no-cache", "Connection": "keep-alive", "X-Accel-Buffering": "no"}
    return StreamingResponse(events(), media_type="text/event-stream", headers=headers)


def _log_start(request: Request, kept: list[LogLine]) -> int:
    """The number of the last line that is not sent."""
    since = request.headers.get("last-event-id") or request.query_params.get("since")
    if since:
        stamp, _, number = since.partition("/")
        if number.isdecimal():
            return int(number)
        at = _timestamp(stamp)
        return max((line.number for line in kept if line.at < at), default=0)
    tail = request.query_params.get("tail", str(LOG_TAIL))
    if not tail.isdecimal() or int(tail) > 5000:
        raise _invalid("query.tail: must be an integer between 0 and 5000")
    numbers = [0, *(line.number for line in kept)]
    return numbers[max(0, len(numbers) - 1 - int(tail))]


def _timestamp(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise _invalid("query.since: not a date-time") from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _event(line: LogLine) -> str:
    stamp = rfc3339(line.at)
    data = json.dumps({"ts": stamp, "source": line.source, "line": line.line})
    return f"id: {stamp}/{line.number:012d}\ndata: {data}\n\n"


async def gpu_types(request: Request) -> Response:
    """The catalog's GPU types."""
    throttled = _runtime(request).cloud.switches.throttled
    return JSONResponse({"gpus": catalog.gpu_types(request.query_params, throttled)})


async def gpu_type(request: Request) -> Response:
    """One GPU type."""
    throttled = _runtime(request).cloud.switches.throttled
    return JSONResponse(catalog.gpu_type(request.path_params["id"], request.query_params, throttled))


async def data_centers(request: Request) -> Response:
    """The catalog's data centers."""
    return JSONResponse({"dataCenters": catalog.data_centers(request.query_params)})


async def data_center(request: Request) -> Response:
    """One data center."""
    return JSONResponse(catalog.data_center(request.path_params["id"]))


async def serverless_bill(request: Request) -> Response:
    """What the workers cost."""
    cloud = _runtime(request).cloud
    runs = [*cloud.billed_runs()]
    bill = catalog.serverless_bill(request.query_params, runs, cloud.clock.now())
    missing = catalog.unpriced(runs)
    # The contract has no place for an unknown amount, and leaving it out in silence would read as free.
    return JSONResponse(bill, headers={"Sandbox-Unpriced": ", ".join(missing)} if missing else None)


# Job plane.


async def run(request: Request) -> Response:
    """Submit a job and go."""
    body = await _json(request, LARGEST_BODY["run"])
    job = _runtime(request).cloud.submit(request.path_params["id"], body, "run")
    _runtime(request).changed()
    return JSONResponse({"id": job.id, "status": "IN_QUEUE"})


async def runsync(request: Request) -> Response:
    """Submit a job and wait for it."""
    body = await _json(request, LARGEST_BODY["runsync"])
    wait_s = _wait_s(request.query_params.get("wait"))
    job = _runtime(request).cloud.submit(request.path_params["id"], body, "runsync")
    await _finished(request, job, wait_s)
    return JSONResponse(job.view())


async def job_status(request: Request) -> Response:
    """A job."""
    return JSONResponse(_job(request).view())


async def stream(request: Request) -> Response:
    """The built-in handler yields nothing on the way, so there is never a chunk."""
    return JSONResponse({"status": str(_job(request).status), "stream": []})


async def cancel(request: Request) -> Response:
    """Cancel a job."""
    job = _runtime(request).cloud.cancel(request.path_params["id"], request.path_params["job"])
    _runtime(request).changed()
    return JSONResponse({"id": job.id, "status": str(job.status)})


async def retry(request: Request) -> Response:
    """Put a failed job back into the queue."""
    job = _runtime(request).cloud.retry(request.path_params["id"], request.path_params["job"])
    _runtime(request).changed()
    return JSONResponse({"id": job.id, "status": "IN_QUEUE"})


async def health(request: Request) -> Response:
    """Counts of jobs and workers."""
    return JSONResponse(_runtime(request).cloud.health(request.path_params["id"]))


async def purge_queue(request: Request) -> Response:
    """Empty the queue."""
    removed = _runtime(request).cloud.purge(request.path_params["id"])
    _runtime(request).changed()
    return JSONResponse({"removed": removed, "status": "completed"})


async def requests(request: Request) -> Response:
    """The jobs that are kept."""
    jobs = _runtime(request).cloud.requests(request.path_params["id"])
    return JSONResponse({"requests": [job.view() for job in jobs]})


async def chat_completions(request: Request) -> Response:
    """OpenAI's route, as the vLLM worker serves it; whole answers only."""
    body = await _json(request)
    asked = {"input": {"openai_route": "/v1/chat/completions", "openai_input": body}}
    job = _runtime(request).cloud.submit(request.path_params["id"], asked, "runsync")
    await _finished(request, job, RUNSYNC_WAIT_MS[2] / 1000)
    if job.error is not None or job.output is None:
        return JSONResponse({"error": {"message": job.error or str(job.status), "type": "server_error"}}, 500)
    return JSONResponse(job.output)


def _job(request: Request) -> Job:
    return _runtime(request).cloud.job(request.path_params["id"], request.path_params["job"])


async def _finished(request: Request, job: Job, wait_s: float) -> None:
    runtime = _runtime(request)
    runtime.changed()
    # Waiting is real, whatever the cloud's clock does: it is the client's patience.
    patience = datetime.now(UTC).timestamp() + wait_s
    while job.status not in FINAL and (left := patience - datetime.now(UTC).timestamp()) > 0 and not runtime.closing():
        await runtime.wait(left)


def _wait_s(text: str | None) -> float:
    least, usual, most = RUNSYNC_WAIT_MS
    if text is None:
        return usual / 1000
    if not text.isdecimal() or not least <= int(text) <= most:
        raise Refusal(400, f"wait must be between {least} and {most} milliseconds")
    return int(text) / 1000


# The sandbox's own routes: never part of RunPod's API, and only for this machine.


def admin_routes() -> list[Route]:
    """/_sandbox and below."""
    return [
        Route(ADMIN_PATH, _local(_admin_identity)),
        Route(f"{ADMIN_PATH}/faults", _local(_admin_faults), methods=["GET", "POST", "DELETE"]),
        Route(f"{ADMIN_PATH}/switches", _local(_admin_switches), methods=["GET", "PATCH"]),
        Route(f"{ADMIN_PATH}/clock", _local(_admin_clock), methods=["GET", "POST"]),
        Route(f"{ADMIN_PATH}/objects", _local(_admin_objects)),
        Route(f"{ADMIN_PATH}/endpoints/{{id}}", _local(_admin_edit), methods=["PATCH"]),
        Route(f"{ADMIN_PATH}/calls", _local(_admin_calls)),
        Route(f"{ADMIN_PATH}/shutdown", _local(_admin_shutdown), methods=["POST"]),
    ]


Handler = Callable[[Request], Awaitable[Response]]


def _local(handler: Handler) -> Handler:
    async def checked(request: Request) -> Response:
        # A web page may reach loopback too: it cannot help sending Origin, nor, with a name of its own, a foreign Host.
        if "origin" in request.headers or request.url.hostname not in LOOPBACK:
            raise Refusal(403, "only programs on this machine may drive the sandbox")
        if request.client is None or request.client.host not in LOOPBACK:
            raise Refusal(403, "only programs on this machine may drive the sandbox")
        return await handler(request)

    return checked


async def _admin_identity(request: Request) -> Response:
    return JSONResponse(_runtime(request).identity())


async def _admin_faults(request: Request) -> Response:
    faults = _runtime(request).faults
    if request.method == "POST":
        try:
            faults.add(Fault(**await _json(request)))
        except (TypeError, ValueError) as error:
            raise _invalid(str(error)) from error
    elif request.method == "DELETE":
        faults.clear()
    return JSONResponse({"faults": faults.to_json()})


async def _admin_switches(request: Request) -> Response:
    runtime = _runtime(request)
    if request.method == "PATCH":
        try:
            runtime.cloud.switches.set(await _json(request))
        except (AttributeError, ValueError) as error:
            raise _invalid(str(error)) from error
        runtime.changed()
    return JSONResponse(runtime.cloud.switches.to_json())


async def _admin_clock(request: Request) -> Response:
    runtime = _runtime(request)
    if request.method == "POST":
        body = await _json(request)
        try:
            await runtime.advance(float(body["advance_s"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _invalid(f"advance_s: {error}") from error
    return JSONResponse({"now": rfc3339(runtime.cloud.clock.now()), "runs": runtime.cloud.clock.runs})


async def _admin_objects(request: Request) -> Response:
    cloud = _runtime(request).cloud
    endpoints = cloud.endpoint_list()
    return JSONResponse({"endpoints": [item | cloud.workers(item["id"]) for item in endpoints]})


async def _admin_edit(request: Request) -> Response:
    """What somebody does in RunPod's console meanwhile."""
    runtime = _runtime(request)
    endpoint = runtime.cloud.patch(request.path_params["id"], await _json(request))
    runtime.changed()
    return JSONResponse(endpoint)


async def _admin_calls(request: Request) -> Response:
    return JSONResponse({"calls": [asdict(call) for call in _runtime(request).calls]})


async def _admin_shutdown(request: Request) -> Response:
    _runtime(request).shut_down()
    return JSONResponse({"status": "stopping"}, 202)


# Parts.


def _app(runtime: Runtime, routes: list[Route]) -> Starlette:
    app = Starlette(routes=routes, exception_handlers={Refusal: _refused, HTTPException: _http_refused})
    app.router.redirect_slashes = False
    app.state.runtime = runtime
    return app


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    return JSONResponse(error.problem(), error.status, media_type="application/problem+json")


async def _http_refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    known = {404: "resource not found", 405: "The requested method is not allowed for this path."}
    answer = await _refused(request, Refusal(error.status_code, known.get(error.status_code, error.detail)))
    for name, value in (error.headers or {}).items():
        # Starlette answers HEAD on every GET route and says so in any order; RunPod's example is `GET, POST`.
        methods = sorted(method for method in value.split(", ") if method != "HEAD")
        answer.headers[name] = ", ".join(methods) if name.lower() == "allow" else value
    return answer


def _invalid(error: str) -> Refusal:
    return Refusal(422, "Request validation failed.", (error,))


def _extra(cloud: Cloud, endpoint: dict[str, Any]) -> dict[str, Any]:
    return endpoint | ({"sandboxExtra": {"since": "later"}} if cloud.switches.extra_fields else {})


def _page(request: Request, name: str, items: list[Any]) -> dict[str, Any]:
    size = _runtime(request).cloud.switches.paginate
    if size is None:
        return {name: items}
    limit, cursor = request.query_params.get("limit", str(size)), request.query_params.get("cursor", "0")
    if not cursor.isdecimal() or not limit.isdecimal() or int(limit) < 1:
        raise _invalid("query.cursor: malformed")
    end = int(cursor) + min(size, int(limit))
    more = end < len(items)
    return {
        name: items[int(cursor) : end],
        "pagination": {"nextCursor": str(end) if more else None, "hasNextPage": more},
    }


async def _json(request: Request, largest: int = LARGEST_BODY["run"]) -> Any:
    """The body; raises `Refusal` where it is none or too large."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > largest:
                raise Refusal(413, f"request body exceeds {largest} bytes")
    except ClientDisconnect as error:
        raise Refusal(400, "the body was cut") from error
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "malformed JSON body") from error


def _no_number(text: str) -> float:
    msg = f"{text} is no JSON number"
    raise ValueError(msg)
