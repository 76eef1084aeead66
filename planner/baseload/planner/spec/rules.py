"""What no schema can say: rules between keys, and requests that RunPod would accept and fail on later.

Each rule runs on values whose own keys are sound, whatever is wrong elsewhere, so that one run reports everything.
Facts about RunPod: its REST v2 description as synced 2026-08-18 (`api-reference-v2/openapi.json` of
github.com/runpod/docs) unless said otherwise.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_UP, Decimal
from typing import Any, TypeVar

from baseload.planner.diagnostics import Diagnostic, Severity
from baseload.planner.gpus import POOLS
from baseload.planner.memory import BYTES_PER_WEIGHT, OVERHEAD_GIB, USABLE_SHARE, Fit, fit, longest_request
from baseload.planner.spec import values
from baseload.planner.spec.model import Container, Model, Performance, RunpodMode, RunpodTarget, Traffic
from baseload.planner.spec.source import At, Document, short
from baseload.planner.spec.structure import schema

SLOW_START_S = 7 * 60
"""A worker that takes longer to start is unhealthy, unless told otherwise (docs.runpod.io, serverless endpoints)."""
_PATIENCE = "RUNPOD_INIT_TIMEOUT"
_TAG = re.compile(r"(?:^|/)[^/:@]+(?::(?P<tag>[^/@]+))?(?P<digest>@.+)?$")
T = TypeVar("T")
_RUNPOD = ("target", "runpod")


@dataclass(frozen=True, kw_only=True)
class Sections:
    """The values of one file as far as they are sound; None where a section is absent or unusable."""

    model: Model | None
    container: Container | None
    traffic: Traffic | None
    performance: Performance
    runpod: RunpodTarget | None


def spoiled(problems: Iterable[At]) -> set[At]:
    """The keys of sections (`container.env`, `target.runpod.workers`) in which something is wrong."""
    return {at[: len(_RUNPOD) + 1] if at[:1] == _RUNPOD[:1] else at[:2] for at in problems}


def sections(content: Mapping[str, Any], spoiled: Set[At]) -> Sections:
    """The values of `content` without the keys that are `spoiled`."""
    sound = _without(content, spoiled)

    def read(make: Callable[[Mapping[str, Any]], T], at: At, *needed: str) -> T | None:
        part: Any = sound
        for step in at:
            part = part.get(step, {})
        return make(part) if part and part.keys() >= set(needed) else None

    return Sections(
        model=read(values.model, ("model",), "id", "parameters"),
        container=read(values.container, ("container",), "image"),
        traffic=_traffic(sound.get("traffic", {})),
        performance=read(values.performance, ("performance",)) or Performance(),
        runpod=read(lambda part: values.runpod({"gpu": "", **part}), _RUNPOD),
    )


def _traffic(part: Mapping[str, Any]) -> Traffic | None:
    """The traffic as far as its volume is known; the rest may be spoiled."""
    volumes = [branch["required"][0] for branch in schema()["properties"]["traffic"]["oneOf"]]
    return values.traffic(part) if sum(key in part for key in volumes) == 1 else None


def broken_rules(document: Document, found: Sections, spoiled: Set[At]) -> Iterator[Diagnostic]:
    """Errors and warnings of all rules, in no certain order."""
    check = _Check(document, spoiled)
    yield from _name(check)
    if found.container:
        yield from _container(check, found.container)
    if found.model and found.traffic:
        yield from _context(check, found.model, found.traffic)
    yield from _time_zone(check)
    if found.runpod:
        yield from _workers(check, found.runpod)
        yield from _idle_timeout(check)
        yield from _times(check, found.runpod, found.performance, found.container)
    if found.runpod and found.model:
        yield from _memory(check, found.model, found.traffic, found.runpod)


class _Check:
    """Where things stand and whether they are sound."""

    def __init__(self, document: Document, spoiled: Set[At]) -> None:
        self._document = document
        self._spoiled = spoiled
        self.content: Mapping[str, Any] = document.content

    def given(self, *at: str) -> bool:
        """Whether the file has this key."""
        part: Any = self.content
        for step in at:
            if not isinstance(part, Mapping) or step not in part:
                return False
            part = part[step]
        return True

    def sound(self, *ats: At) -> bool:
        """Whether nothing is wrong with, in or around these keys."""
        return not any(
            spoiled[: len(at)] == at or at[: len(spoiled)] == spoiled for at in ats for spoiled in self._spoiled
        )

    def say(self, code: str, summary: str, at: At, hint: str, severity: Severity = Severity.ERROR) -> Diagnostic:
        """A diagnostic at the value of the deepest part of `at` that the file has."""
        while not self.given(*map(str, at)):
            at = at[:-1]
        return Diagnostic(code=code, summary=summary, severity=severity, where=self._document.value(at), hint=hint)


def _name(check: _Check) -> Iterator[Diagnostic]:
    name = check.content.get("name")
    if check.sound(("name",)) and isinstance(name, str) and name.endswith("-fb"):
        # runpodctl#261, flash#297: RunPod's older API switched FlashBoot on by this suffix and strips it.
        yield check.say(
            "runpod/name", "RunPod reads the ending `-fb` as a FlashBoot switch", ("name",), "choose another name"
        )


def _container(check: _Check, container: Container) -> Iterator[Diagnostic]:
    found = _TAG.search(container.image)
    if found and not found["digest"] and found["tag"] in (None, "latest"):
        named = "the tag `latest`" if found["tag"] else "no tag"
        yield check.say(
            "runpod/mutable-tag",
            f"the image has {named}: RunPod caches it, and workers may run different versions",
            ("container", "image"),
            "pin a version tag or a digest",
            Severity.WARNING,
        )
    for name in container.env:
        if name.startswith("BASELOAD_"):
            yield check.say(
                "spec/reserved", f"`{name}` is reserved: variables `BASELOAD_…` mark what belongs to a stack",
                ("container", "env", name), "choose another name",
            )  # fmt: skip


def _context(check: _Check, model: Model, traffic: Traffic) -> Iterator[Diagnostic]:
    tokens = traffic.tokens
    if tokens and model.max_context is not None and tokens.prompt + tokens.output > model.max_context:
        total = _number(tokens.prompt + tokens.output)
        yield check.say(
            "spec/context",
            f"a mean request has {total} tokens, more than `max_context` {model.max_context}",
            ("traffic", "tokens"),
            "raise `model.max_context` or lower `traffic.tokens`",
        )


def _time_zone(check: _Check) -> Iterator[Diagnostic]:
    at = ("traffic", "time_zone")
    if not check.given(*at) or not check.sound(at):
        return
    name = check.content["traffic"]["time_zone"]
    if name == "UTC":
        return  # known without a data base
    import zoneinfo  # reads files: only where a zone is named

    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as `Europe`
        near = difflib.get_close_matches(name, known := zoneinfo.available_timezones(), n=1)
        hint = f"did you mean `{near[0]}`?" if near else "wanted: a name of the IANA data base, such as `Europe/Berlin`"
        if not known:
            hint = "this machine has no time zone data: `pip install tzdata`"
        yield check.say("spec/time-zone", f"`{short(name)}` is no time zone", at, hint)


def _workers(check: _Check, target: RunpodTarget) -> Iterator[Diagnostic]:
    lowest, highest = (*_RUNPOD, "workers", "min"), (*_RUNPOD, "workers", "max")
    if check.sound((*_RUNPOD, "mode"), lowest):
        if target.mode is RunpodMode.ACTIVE and target.workers_min == 0:
            yield check.say(
                "runpod/active-without-workers", "mode `active` needs at least one always-on worker",
                lowest if check.given(*lowest) else (*_RUNPOD, "mode"),
                "set `workers.min` to 1 or more, or `mode: flex`",
            )  # fmt: skip
        if target.mode is RunpodMode.FLEX and target.workers_min > 0:
            yield check.say(
                "runpod/flex-with-workers", f"mode `flex` scales to zero, but `workers.min` is {target.workers_min}",
                lowest, "set `mode: active` for always-on workers, or `workers.min` to 0",
            )  # fmt: skip
    if not check.sound(lowest, highest):
        return
    if target.workers_min > target.workers_max:
        default = "" if check.given(*highest) else ", the default"
        yield check.say(
            "runpod/min-above-max",
            f"`workers.min` {target.workers_min} is more than `workers.max` {target.workers_max}{default}",
            lowest,
            f"raise `workers.max` to {target.workers_min} or more",
        )
    elif target.workers_max == 1:
        yield check.say(
            "runpod/one-worker", "with one worker at most, a throttled host is an outage", highest,
            "set `workers.max` to 2 or 3; workers that do not run are not billed", Severity.WARNING,
        )  # fmt: skip


def _idle_timeout(check: _Check) -> Iterator[Diagnostic]:
    timeout, count = (*_RUNPOD, "idle_timeout"), (*_RUNPOD, "scaling", "request_count")
    if check.given(*timeout) and check.given(*count) and check.sound((*_RUNPOD, "scaling")):
        yield check.say(
            "runpod/idle-timeout", "RunPod has no idle timeout with `scaling.request_count`", timeout,
            "remove `idle_timeout`, or scale by `queue_delay`",
        )  # fmt: skip


def _times(
    check: _Check, target: RunpodTarget, measured: Performance, container: Container | None
) -> Iterator[Diagnostic]:
    service, cold = ("performance", "service_time"), ("performance", "cold_start")
    if (
        check.sound(service, (*_RUNPOD, "execution_timeout"))
        and measured.service_time_s is not None
        and measured.service_time_s > target.execution_timeout_s
    ):
        yield check.say(
            "runpod/timeout",
            f"a mean request takes {_number(measured.service_time_s)} s, "
            f"but RunPod ends it after {_number(target.execution_timeout_s)} s",
            service,
            "raise `target.runpod.execution_timeout`",
        )
    patient = (container is not None and _PATIENCE in container.env) or not check.sound(("container", "env"))
    if measured.cold_start_s is not None and measured.cold_start_s > SLOW_START_S and not patient:
        yield check.say(
            "runpod/slow-start", f"RunPod calls a worker unhealthy that starts longer than {SLOW_START_S} s", cold,
            f"{'set' if container else 'serve it as a `container` and set'} `{_PATIENCE}` (in seconds) in its `env`",
            Severity.WARNING,
        )  # fmt: skip


def _memory(check: _Check, model: Model, traffic: Traffic | None, target: RunpodTarget) -> Iterator[Diagnostic]:
    keys = ("model", "parameters"), ("model", "precision"), (*_RUNPOD, "gpu"), (*_RUNPOD, "gpu_count")
    if not check.sound(*keys) or target.gpu not in POOLS:
        return
    pool, count = POOLS[target.gpu], target.gpu_count
    tokens = longest_request(model, traffic)
    result = fit(model, pool.memory_gib, count, tokens)
    if result.possible:
        return
    enough = [p.id for p in POOLS.values() if fit(model, p.memory_gib, count, tokens).possible]
    more = next((n for n in (2, 4, 8) if n > count and fit(model, pool.memory_gib, n, tokens).possible), None)
    ways = [f"`gpu: {enough[0]}`"] if enough else []
    ways += [f"`gpu_count: {more}`"] if more else []
    ways += (
        ["a lower `max_context`"]
        if model.max_context and result.needed_gib - result.kv_gib <= result.usable_gib
        else []
    )
    yield check.say(
        "runpod/does-not-fit",
        f"{_number(model.parameters / 10**9)}B weights at {model.precision} do not fit: "
        f"{_number(BYTES_PER_WEIGHT[model.precision])} bytes each make {_up(result.weights_gib)} GiB, "
        f"with {_number(OVERHEAD_GIB)} GiB per GPU for the server {_need(result, tokens)}; "
        f"{count} × {pool.memory_gib} GiB × {USABLE_SHARE} give {_down(result.usable_gib)} GiB",
        (*_RUNPOD, "gpu"),
        f"{' or '.join(ways)} would hold {'them' if result.kv_gib else 'the weights'}"
        if ways
        else "use a smaller `precision` or a smaller model",
    )


def _need(result: Fit, tokens: Decimal) -> str:
    if not result.kv_gib:
        return f"{_up(result.needed_gib)} GiB before any KV cache"
    kv = f"{_up(result.kv_gib)} GiB KV cache of one request of {_number(tokens)} tokens"
    return f"and {kv} {_up(result.needed_gib)} GiB"


def _without(content: Mapping[str, Any], spoiled: Set[At], at: At = ()) -> dict[str, Any]:
    kept = {key: value for key, value in content.items() if (*at, key) not in spoiled}
    return {
        key: _without(value, spoiled, (*at, key)) if isinstance(value, Mapping) else value
        for key, value in kept.items()
    }


def _number(value: Decimal) -> str:
    return format(value.normalize(), "f")


def _up(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.1"), ROUND_UP)


def _down(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.1"), ROUND_FLOOR)
