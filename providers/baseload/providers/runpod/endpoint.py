"""A RunPod serverless endpoint of type QUEUE as a Pulumi resource, over REST v2.

Every managed field is always sent, because RunPod's silent defaults differ from its documents. There are no
idempotency keys, tags or unique names: an endpoint is recognised by a marker in its environment, which names one
stack's resource (its owner id and URN). Facts: REST v2 specification 2.9.0 (2026-08-18) and the threads named at the
constants. Makes calls only through `client`.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from baseload.planner.errors import BaseloadError, UsageError
from baseload.providers.framework import wire
from baseload.providers.framework.properties import Failure, Field, ListOf, MapOf, Number, Record, Text
from baseload.providers.framework.resource import InitFailed, Made, Operation, Properties, Resource, explain
from baseload.providers.runpod import errors
from baseload.providers.runpod.client import SEARCH_AGE_S, Client, Document
from baseload.providers.runpod.fields import EFFECTS, SETS, Effect
from baseload.providers.runpod.owner import same_cloud

TOKEN: Final = "baseload-runpod:index:Endpoint"

MARKER: Final = "BASELOAD_MARKER"
"""The environment variable that says whose endpoint this is."""

INJECTED: Final = frozenset({"PORT", "PORT_HEALTH"})
"""Variables that RunPod adds by itself (runpod/flash 757420d); whether it adds them again after a PATCH is unknown,
so they are carried over."""

DEFAULT_TIMEOUT_S: Final = 20 * 60.0
"""Of create and update without a custom timeout. RunPod calls a worker unhealthy after a cold start of 7 minutes
(documentation of 2026-08-20); this allows for two starts and the pull of a large image before them."""

DEFAULT_IDLE_TIMEOUT_S: Final = 5

NEWBORN_S: Final = 60.0
"""How long a new endpoint may be unknown to some routes (health answered 404 and 500, seen by runpod/flash)."""

NEED_LIVE: Final = frozenset({"env", "name"})
"""Fields whose new value takes something over from the endpoint: injected variables and the marker."""

POLL_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Pauses between looks at the workers; the last one repeats."""

LOG_LINES: Final = 10
LONGEST_LOG_LINE: Final = 160
"""Characters. Reasons travel in gRPC metadata, of which many clients take no more than 8 KiB."""

_CUDA = Text(pattern=r"\d+\.\d+", wanted="a version as 12.8")
_NAMES = ListOf(Text(pattern=r"\S+", wanted="an id without spaces"))

_INPUTS = Record(
    "Endpoint",
    {
        "owner": Field(type=Text(pattern=r"\S+", wanted="an Owner's id"), required=True, text="Id of the Owner."),
        # RunPod's v1 documents at most 191 characters; the marker takes 7.
        "name": Field(type=Text(pattern=r"\S(.{0,182}\S)?", wanted="1 to 184 characters"), required=True),
        "type": Field(type=Text(choices=("QUEUE",)), default="QUEUE"),
        "image": Field(type=Text(pattern=r"\S+", wanted="an image reference without spaces"), required=True),
        "args": Field(type=Text(), default=""),
        "disk": Field(type=Number(1, whole=True), default=20, text="Container disk in GB."),
        "ports": Field(type=ListOf(Text(pattern=r"\d{1,5}/(http|tcp)", wanted="a port as 8000/http")), default=[]),
        "env": Field(type=MapOf(Text(), key="[^=\x00]+"), default={}, secret=True),
        "registry": Field(type=Text(pattern=r"\S+", wanted="a credential's id"), text="Id of a registry credential."),
        "gpu": Field(
            type=Record(
                "Gpu",
                {
                    "pools": Field(type=ListOf(_NAMES.item, at_least=1), required=True, text="In order of priority."),
                    "count": Field(type=Number(1, whole=True), default=1, text="GPUs per worker."),
                    "excludedTypes": Field(type=ListOf(Text(pattern=r"[^-\s].*")), default=[]),
                    "allowedCudaVersions": Field(type=ListOf(_CUDA), default=[]),
                    "minCudaVersion": Field(type=_CUDA),
                },
            ),
            required=True,
        ),
        "workers": Field(
            type=Record(
                "Workers",
                {
                    "min": Field(type=Number(0, whole=True), default=0),
                    "max": Field(type=Number(0, whole=True), default=3),
                    "idleTimeout": Field(type=Number(1, 3600, whole=True), text="Seconds; not with REQUEST_COUNT."),
                },
            ),
            default={"min": 0, "max": 3},
        ),
        "scaling": Field(
            type=Record(
                "Scaling",
                {
                    "type": Field(type=Text(choices=("QUEUE_DELAY", "REQUEST_COUNT")), required=True),
                    "queueDelay": Field(type=Number(0.5), text="Seconds."),
                    "requestCount": Field(type=Number(1, whole=True)),
                },
            ),
            default={"type": "QUEUE_DELAY", "queueDelay": 4},
        ),
        "dataCenterIds": Field(type=_NAMES, default=[]),
        "networkVolumes": Field(type=_NAMES, default=[]),
        # 0 is what the live API was seen to answer when it was left out; its meaning is unknown, so it is refused.
        "timeout": Field(type=Number(1, whole=True), default=300_000, text="Execution timeout in milliseconds."),
        "flashboot": Field(type=Text(choices=("OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT")), default="OFF"),
    },
)

_OUTPUTS = Record(
    "EndpointOutputs",
    {
        "endpointId": Field(type=Text(), required=True),
        "url": Field(type=Text(), required=True, text="Base of the job routes."),
        "requestUrls": Field(type=MapOf(Text()), required=True),
        "createdAt": Field(type=Text(), required=True),
        "version": Field(type=Number(whole=True), text="Of the endpoint's configuration; each release adds one."),
        "cloud": Field(type=Text(), required=True, text="Control plane it was made on."),
        "marker": Field(type=Text(), required=True),
        "remoteName": Field(type=Text(), required=True),
    },
)


def marker(owner: str, urn: str) -> str:
    """What marks the endpoint of one stack's resource: 16 hexadecimal digits of a hash of owner id and URN."""
    return hashlib.sha256(f"{owner}\n{urn}".encode()).hexdigest()[:16]


class Endpoint(Resource):
    """`baseload-runpod:index:Endpoint`."""

    token = TOKEN
    text = "A RunPod serverless endpoint of type QUEUE."
    inputs = _INPUTS
    outputs = _OUTPUTS
    replaces = frozenset(name for name, effect in EFFECTS.items() if effect is Effect.REPLACE)
    settles: Mapping[str, frozenset[str]] = {
        "version": frozenset(name for name, effect in EFFECTS.items() if effect is Effect.RELEASE),
        "remoteName": frozenset({"name"}),
    }
    holds: Mapping[str, frozenset[str]] = {"remoteName": frozenset({"name"})}

    def __init__(self, client: Callable[[], Client], job_url: Callable[[], str | None] = lambda: None) -> None:
        """`client` is asked at the first call; `job_url` is the job plane's base where one is set by the user."""
        self._client, self._job_url = client, job_url
        self._live: defaultdict[str, set[str]] = defaultdict(set)
        self._tried: set[str] = set()
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Another engine takes over: what this one's state held says nothing any more."""
        with self._lock:
            self._live.clear()
            self._tried.clear()

    def seen(self, operation: Operation, id_: str) -> None:
        """Remember an id that the state holds: it is never adopted, as it may be the old half of a replace."""
        with self._lock:
            self._live[operation.urn].add(id_)

    def check(self, inputs: Properties) -> Iterable[Failure]:
        """RunPod's rules between fields (specification 2.9.0: 400 and 422 of POST and PATCH)."""
        name = inputs.get("name")
        if isinstance(name, str) and re.search(r"\s?-fb$", name):
            yield Failure("name", "must not end in '-fb': RunPod's older APIs read that as a switch for FlashBoot")
        env = inputs.get("env")
        if isinstance(env, dict) and MARKER in env:
            yield Failure(wire.join("env", MARKER), "is reserved for baseload")
        yield from _check_gpu(inputs.get("gpu"))
        yield from _check_scale(inputs.get("workers"), inputs.get("scaling"))

    def fill(self, inputs: Properties) -> dict[str, Any]:
        """Defaults; the idle timeout has one only where RunPod takes one (5 s is the console's, the API's is 10 s)."""
        filled = super().fill(inputs)
        workers, scaling = filled.get("workers"), filled.get("scaling")
        by_delay = isinstance(scaling, dict) and scaling.get("type") == "QUEUE_DELAY"
        if by_delay and isinstance(workers, dict) and workers.get("idleTimeout") is None:
            filled["workers"] = {**workers, "idleTimeout": DEFAULT_IDLE_TIMEOUT_S}
        return filled

    def comparable(self, old: Properties, new: Properties) -> tuple[Properties, Properties]:
        """Sets as sets; an owner that an import could not know is no change."""
        if not old.get("owner"):
            new = {name: value for name, value in new.items() if name != "owner"}
        return _canonical(old), _canonical(new)

    def create(self, operation: Operation, inputs: Properties) -> Made:
        """Create the endpoint or find the one an interrupted run has created, then wait for its workers."""
        client, mark = self._client(), marker(inputs["owner"], operation.urn)
        with self._lock:
            first = operation.urn not in self._tried
            self._tried.add(operation.urn)
        name = _remote_name(inputs["name"], mark)

        def found() -> Document | None:
            return self._search(operation, client, mark, name)

        operation.status("looking for an earlier attempt")
        live = self._search(operation, client, mark, name, SEARCH_AGE_S if first else 0.0)
        repeated = False
        if live is None:
            operation.status("creating")
            live, repeated = client.create(operation, _create_body(inputs, mark), found)
        else:
            operation.note(f"Endpoint {live['id']} was created by an interrupted run; it is taken over.")
            live = _existing(operation, client, live["id"])
            if changes := _changed(_inputs(live, inputs, mark), inputs):
                live = self._patch(operation, client, live, inputs, changes, mark)
        made = Made(live["id"], inputs, self._outputs(client, live, inputs, mark))
        if repeated:
            self._forbid_doubles(operation, client, mark, name, made)
        if other := _changed(_inputs(live, inputs, mark), inputs):
            operation.warn(f"RunPod has stored other values than were sent for: {', '.join(sorted(other))}")
        return self._settled(operation, client, made, newborn=True)

    def read(self, operation: Operation, id_: str, inputs: Properties, state: Properties) -> Made | None:
        """The endpoint as it is, from a list shared with other reads; None when RunPod denies it."""
        client = self._client()
        same_cloud(client.cloud, state)
        live = client.find(operation, id_)
        if live is None:
            return None
        if not isinstance(live.get("gpu"), dict):
            raise UsageError.of("runpod/cpu-endpoint", f"Endpoint {id_} runs on CPUs, which baseload does not manage")
        version = state.get("version")
        if not state:
            version = client.workers(operation, id_).get("endpointVersion")
        own = state.get("marker") or ""
        actual = _inputs(live, inputs, own)
        _warn_of_scale_down(operation, actual, inputs)
        return Made(id_, actual, self._outputs(client, live, actual, own, version))

    def update(
        self,
        operation: Operation,
        id_: str,
        inputs: Properties,
        old_inputs: Properties,
        state: Properties,
        ignored: frozenset[str] = frozenset(),
    ) -> Made:
        """PATCH the changed top-level fields, then wait for the workers; without a change, mend what differs."""
        client = self._client()
        same_cloud(client.cloud, state)
        own = state.get("marker") or marker(inputs["owner"], operation.urn)
        changes, live = _changed(old_inputs, inputs), {"id": id_}
        if not changes or changes & NEED_LIVE:
            live = _existing(operation, client, id_)
            changes = changes or _changed(_inputs(live, inputs, own), inputs) - ignored
        if changes:
            operation.status(f"changing {', '.join(sorted(changes))}")
            live = self._patch(operation, client, live, inputs, changes, own)
        outputs = self._outputs(client, live, inputs, own, state.get("version"))
        return self._settled(operation, client, Made(id_, inputs, outputs))

    def delete(self, operation: Operation, id_: str, state: Properties) -> None:
        """Delete it and see it gone; already gone is fine."""
        client = self._client()
        same_cloud(client.cloud, state)
        operation.status("deleting")
        try:
            client.delete(operation, id_)
        except errors.ApiError as error:
            if error.status != 400 or "worker" not in str(error).lower():
                raise
            # The old API wanted workers at 0 first; REST v2 documents no such condition, so only where it says so.
            live = client.get(operation, id_)
            none = {**live["workers"], "min": 0, "max": 0}
            client.update(operation, id_, {"workers": none}, lambda now: now.get("workers") == none)
            client.delete(operation, id_)

    def _search(
        self, operation: Operation, client: Client, mark: str, name: str, max_age_s: float = 0.0
    ) -> Document | None:
        matches = self._marked(operation, client, mark, name, max_age_s)
        if len(matches) > 1:
            ids = ", ".join(sorted(str(item["id"]) for item in matches))
            hint = "Keep one (`pulumi import` or delete the others in RunPod's console), then run the command again."
            raise errors.make(
                errors.MayExist, "runpod/several", f"Several endpoints carry this resource's marker: {ids}", hint=hint
            )
        return matches[0] if matches else None

    def _marked(
        self, operation: Operation, client: Client, mark: str, name: str, max_age_s: float = 0.0
    ) -> list[Document]:
        """The endpoints that carry the marker, without those that the state holds."""
        endpoints = client.endpoints(operation, max_age_s=max_age_s, though_changed=max_age_s > 0)
        with self._lock:
            live = set(self._live[operation.urn])
        return [item for item in endpoints if _is_marked(item, mark, name) and item["id"] not in live]

    def _forbid_doubles(self, operation: Operation, client: Client, mark: str, name: str, made: Made) -> None:
        """After a repeated create: an attempt whose connection was lost may still have come through."""
        try:
            marked = self._marked(operation, client, mark, name)
        except BaseloadError as error:
            raise InitFailed(made, [explain(error)]) from error
        others = [item["id"] for item in marked if item["id"] != made.id]
        if others:
            raise InitFailed(made, [f"A lost attempt has created {', '.join(others)} too: delete it in the console."])

    def _patch(
        self,
        operation: Operation,
        client: Client,
        live: Document,
        inputs: Properties,
        changes: frozenset[str],
        own_mark: str,
    ) -> Document:
        body = _update_body(inputs, changes, live, own_mark)

        def landed(now: Document) -> bool:
            return not _changed(_inputs(now, inputs, own_mark), inputs) & changes

        try:
            return client.update(operation, live["id"], body, landed)
        except errors.NotFound as error:
            raise _vanished(live["id"]) from error

    def _outputs(
        self, client: Client, live: Document, inputs: Properties, own_mark: str, version: int | None = None
    ) -> Properties:
        urls, job_url = live.get("requestUrls") or {}, self._job_url()
        return {
            **inputs,
            "endpointId": live["id"],
            "url": f"{job_url}/{live['id']}" if job_url else str(urls.get("run", "")).removesuffix("/run"),
            "requestUrls": urls,
            "createdAt": live.get("createdAt", ""),
            "version": version,
            "cloud": client.cloud,
            "marker": _mark_of(live, own_mark),
            "remoteName": live["name"],
        }

    def _settled(self, operation: Operation, client: Client, made: Made, *, newborn: bool = False) -> Made:
        """The resource once its workers are as wanted; whatever prevents that keeps the id."""
        try:
            version = _wait(operation, client, made, newborn=newborn)
        except BaseloadError as error:
            raise InitFailed(made, [explain(error)]) from error
        if version is None:
            return made
        return made._replace(outputs={**made.outputs, "version": version})


@dataclass(frozen=True)
class _Workers:
    """The workers of an endpoint at one moment."""

    document: Document

    @property
    def version(self) -> int | None:
        return self.document.get("endpointVersion")

    @property
    def listed(self) -> list[Document]:
        return [item for item in self.document.get("workers") or [] if isinstance(item, dict)]

    @property
    def stale(self) -> int:
        return sum(bool(item.get("isStale")) for item in self.listed)

    def on_latest(self, *statuses: str) -> list[Document]:
        return [item for item in self.listed if not item.get("isStale") and item.get("status") in statuses]

    @property
    def ready(self) -> int:
        return len(self.on_latest("RUNNING", "IDLE"))

    @property
    def all_unhealthy(self) -> bool:
        unhealthy = self.on_latest("UNHEALTHY")
        return bool(unhealthy) and len(unhealthy) == len(self.listed) - self.stale

    def __str__(self) -> str:
        summary = self.document.get("summary") or {}
        names = ("running", "idle", "initializing", "throttled", "unhealthy")
        counts = [f"{name} {summary[name]}" for name in names if summary.get(name)]
        text = ", ".join(counts) or "no workers"
        if self.stale:
            text += f" ({self.stale} on the old release)"
        return text + "; RunPod has no free GPU now" if summary.get("throttled") else text


def _wait(operation: Operation, client: Client, made: Made, *, newborn: bool) -> int | None:
    """Wait until the wanted minimum of workers is ready on the latest release and no old one runs; its version.

    A release without workers (scaled to zero) is finished at once. Raises `DeployError` when the time is over, or
    when every worker is unhealthy twice in a row, with RunPod's counts and the last lines of a worker's log.
    """
    wanted = made.inputs["workers"]["min"]
    limit_s = operation.timeout_s or DEFAULT_TIMEOUT_S
    began, looks, sick, told = operation.now(), 0, 0, ""
    while True:
        workers = _look(operation, client, made.id, began + NEWBORN_S if newborn else began)
        if (now := str(workers)) != told:
            operation.status(told := now)
        enough = workers.ready >= wanted
        if enough and not workers.stale:
            return workers.version
        sick = sick + 1 if workers.all_unhealthy else 0
        late = operation.now() - began >= limit_s
        if late and enough:
            operation.warn(f"The release is still rolling out after {limit_s:.0f} s: {workers}")
            return workers.version
        if late or sick == 2:
            raise _not_ready(operation, client, made.id, workers, wanted, limit_s if late else None)
        pause_s = POLL_S[min(looks, len(POLL_S) - 1)]
        operation.pause(min(pause_s, max(began + limit_s - operation.now(), 0.1)))
        looks += 1


def _look(operation: Operation, client: Client, id_: str, tolerant_until: float) -> _Workers:
    while True:
        try:
            return _Workers(client.workers(operation, id_))
        except errors.NotFound:
            if operation.now() >= tolerant_until:
                raise
        operation.pause(2.0)


def _not_ready(
    operation: Operation, client: Client, id_: str, workers: _Workers, wanted: int, limit_s: float | None
) -> BaseloadError:
    why = f"after {limit_s:.0f} s" if limit_s is not None else "as every worker is unhealthy"
    text = f"Endpoint {id_} has {workers.ready} of {wanted} workers ready {why}: {workers}"
    unhealthy = workers.on_latest("UNHEALTHY")
    if unhealthy:
        text += f"\n{_log(operation, client, id_, str(unhealthy[0].get('id')))}"
        hint = "RunPod gives no reason; the worker's log usually does. Mend the image or its environment."
    else:
        hint = "It exists and may still become ready: run the command again to wait on. More GPU pools help."
    return errors.make(errors.ApiError, "runpod/not-ready", text, hint=hint)


def _log(operation: Operation, client: Client, id_: str, worker: str) -> str:
    try:
        lines = client.worker_log(operation, id_, worker, LOG_LINES)
    except BaseloadError as error:
        return f"(the log of worker {worker} cannot be read: {error.diagnostics[0].summary})"
    if not lines:
        return f"(the log of worker {worker} is empty)"
    return "\n".join(
        [f"last lines of worker {worker}:", *(f"  {errors.cut(line, LONGEST_LOG_LINE)}" for line in lines)]
    )


def _existing(operation: Operation, client: Client, id_: str) -> Document:
    try:
        return client.get(operation, id_)
    except errors.NotFound as error:
        raise _vanished(id_) from error


def _vanished(id_: str) -> errors.ApiError:
    hint = "Refresh the stack, so that it is made anew: `deploy up --refresh`."
    text = f"Endpoint {id_} no longer exists at RunPod"
    return errors.make(errors.NotFound, "runpod/vanished", text, status=404, hint=hint)


def _check_gpu(gpu: Any) -> Iterable[Failure]:
    if isinstance(gpu, dict) and gpu.get("allowedCudaVersions") and gpu.get("minCudaVersion"):
        yield Failure("gpu.minCudaVersion", "cannot stand beside allowedCudaVersions: RunPod takes one of the two")


def _check_scale(workers: Any, scaling: Any) -> Iterable[Failure]:
    workers, scaling = (value if isinstance(value, dict) else {} for value in (workers, scaling))
    least, most = workers.get("min"), workers.get("max")
    if isinstance(least, int | float) and isinstance(most, int | float) and least > most:
        yield Failure("workers.min", "must not be more than workers.max")
    by_count = scaling.get("type") == "REQUEST_COUNT"
    wanted, foreign = ("requestCount", "queueDelay") if by_count else ("queueDelay", "requestCount")
    if scaling.get("type") in ("QUEUE_DELAY", "REQUEST_COUNT"):
        if scaling.get(wanted) is None:
            yield Failure(f"scaling.{wanted}", f"is required with {scaling['type']}")
        if scaling.get(foreign) is not None:
            yield Failure(f"scaling.{foreign}", f"does not go with {scaling['type']}")
        if by_count and workers.get("idleTimeout") is not None:
            yield Failure("workers.idleTimeout", "RunPod refuses it for QUEUE endpoints with REQUEST_COUNT")


def _canonical(inputs: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The inputs with sets as sorted tuples, which are compared as one value."""
    canonical: dict[str, Any] = {}
    for name, value in inputs.items():
        here = wire.join(path, name)
        if isinstance(value, dict) and here == "gpu":
            canonical[name] = _canonical(value, here)
        elif here in SETS and isinstance(value, list) and not wire.any_unknown(value):
            canonical[name] = tuple(sorted(value))
        else:
            canonical[name] = value
    return canonical


def _changed(old: Properties, new: Properties) -> frozenset[str]:
    """Top-level fields that differ, without those that name the resource rather than describe it."""
    paths = (path for path, _ in wire.differences(_canonical(old), _canonical(new)))
    return frozenset(wire.top(path) for path in paths) - {"owner", "type"}


def _create_body(inputs: Properties, mark: str) -> Document:
    body = _body(inputs)
    return {
        **body,
        "gpu": _present(body["gpu"]),  # null for the CUDA floor is against POST's schema; left out is no constraint
        "type": inputs["type"],
        "name": _remote_name(inputs["name"], mark),
        "env": {**inputs["env"], MARKER: mark},
    }


def _update_body(inputs: Properties, changes: frozenset[str], live: Document, own_mark: str) -> Document:
    """PATCH's body: `gpu`, `workers`, `scaling` and `env` go whole.

    `excludedTypes` must accompany `pools` or is cleared; a CUDA floor is cleared by an empty text; `env` replaces
    the whole map, so what RunPod injected and the marker are carried over.
    """
    body = _body(inputs)
    body["gpu"]["minCudaVersion"] = body["gpu"]["minCudaVersion"] or ""
    there = live.get("env") or {}
    # An imported endpoint may have no marker; it gets one with its next change of env, as that is a release anyway.
    mark = _mark_of(live, own_mark) or (own_mark if "env" in changes else "")
    body["name"] = _remote_name(inputs["name"], mark)
    kept = {key: there[key] for key in INJECTED if key in there}
    body["env"] = {**kept, **inputs["env"], MARKER: mark}
    if "scaling" in changes:
        # The idle timeout belongs to one of the two forms of scaling only.
        changes |= {"workers"}
    return {name: body[name] for name in sorted(changes)}


def _body(inputs: Properties) -> Document:
    same = ("image", "args", "disk", "ports", "dataCenterIds", "networkVolumes", "timeout", "flashboot")
    return {
        **{name: inputs[name] for name in same},
        "registry": inputs.get("registry"),
        "gpu": {"minCudaVersion": None, **inputs["gpu"]},
        "workers": _present(inputs["workers"]),
        "scaling": _present(inputs["scaling"]),
    }


def _present(record: Mapping[str, Any]) -> Document:
    return {key: value for key, value in record.items() if value is not None}


def _inputs(live: Document, known: Properties, own_mark: str) -> Document:
    """RunPod's document as inputs. What it cannot know (owner, variables it injects) is taken from the known ones."""
    env, managed = live.get("env") or {}, known.get("env") or {}
    gpu = live.get("gpu") or {}
    actual = {
        **({"owner": known["owner"]} if known.get("owner") else {}),
        "name": _plain_name(live, own_mark),
        "type": live.get("type", "QUEUE"),
        "image": live.get("image", ""),
        "args": live.get("args") or "",
        "disk": live.get("disk"),
        "ports": live.get("ports") or [],
        "env": {key: env[key] for key in env if key in managed or key not in INJECTED | {MARKER}},
        "registry": live.get("registry"),
        "gpu": _present(
            {
                "pools": gpu.get("pools"),
                "count": gpu.get("count", 1),
                "excludedTypes": gpu.get("excludedTypes") or [],
                "allowedCudaVersions": gpu.get("allowedCudaVersions") or [],
                "minCudaVersion": gpu.get("minCudaVersion") or None,
            }
        ),
        "workers": _present({key: live["workers"].get(key) for key in ("min", "max", "idleTimeout")}),
        "scaling": _present({key: live["scaling"].get(key) for key in ("type", "queueDelay", "requestCount")}),
        "dataCenterIds": live.get("dataCenterIds") or [],
        "networkVolumes": live.get("networkVolumes") or [],
        "timeout": live.get("timeout"),
        "flashboot": live.get("flashboot"),
    }
    if actual["scaling"].get("type") == "REQUEST_COUNT":
        actual["workers"].pop("idleTimeout", None)
    # What is equal keeps the known form (order of sets, absent against null), so that a refresh changes nothing.
    return {
        name: known[name] if name in known and name not in _changed({name: known[name]}, {name: value}) else value
        for name, value in actual.items()
    }


def _remote_name(name: str, mark: str) -> str:
    return f"{name}-{mark[:6]}" if mark else name


def _plain_name(live: Document, own_mark: str) -> str:
    mark = _mark_of(live, own_mark)
    return _without_fb(live).removesuffix(f"-{mark[:6]}") if mark else _without_fb(live)


def _without_fb(live: Document) -> str:
    """The name without the suffix that older APIs added for FlashBoot (runpodctl#270)."""
    return re.sub(r"\s?-fb$", "", str(live.get("name", "")))


def _mark_of(live: Document, own_mark: str) -> str:
    """The marker it carries; ours where only the name has it left, as somebody edited the environment."""
    there = (live.get("env") or {}).get(MARKER)
    if there is not None:
        return str(there)
    return own_mark if own_mark and _without_fb(live).endswith(f"-{own_mark[:6]}") else ""


def _is_marked(live: Document, mark: str, name: str) -> bool:
    there = (live.get("env") or {}).get(MARKER)
    return bool(there == mark) if there is not None else _without_fb(live) == name


def _warn_of_scale_down(operation: Operation, actual: Document, known: Properties) -> None:
    """RunPod lowers workers.max to 2 after 3 days without requests and to 0 after 7 (documentation of 2026-08-20)."""
    before, now = (known.get("workers") or {}).get("max"), actual["workers"].get("max")
    if isinstance(before, int) and now in (0, 2) and now < before:
        operation.warn(
            f"workers.max went from {before} to {now}: RunPod scales endpoints down after days without requests. "
            "`deploy up` restores it."
        )
