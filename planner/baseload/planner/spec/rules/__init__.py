"""What no schema can say: rules between keys, and requests that a platform would accept and fail on later.

Each rule runs on values whose own keys are sound, whatever is wrong elsewhere, so that one run reports everything.
What only one platform asks is in the module of its name; what a target refuses whoever asks is in its pricing room
(`planner.targets`), and gets its place in the file here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Set

from baseload.planner.diagnostics import Diagnostic, Severity
from baseload.planner.spec.model import Auto, Container, Model, RunpodTarget, Traffic
from baseload.planner.spec.rules import runpod
from baseload.planner.spec.rules.check import Check, Sections, number, sections, spoiled
from baseload.planner.spec.rules.memory import memory
from baseload.planner.spec.source import At, Document, short

__all__ = ["Sections", "broken_rules", "sections", "spoiled"]

_TAG = re.compile(r"(?:^|/)[^/:@]+(?::(?P<tag>[^/@]+))?(?P<digest>@.+)?$")


def broken_rules(document: Document, found: Sections, spoiled: Set[At]) -> Iterator[Diagnostic]:
    """Errors and warnings of all rules, in no certain order."""
    check = Check(document, spoiled)
    if found.target is None or isinstance(found.target, RunpodTarget):
        yield from _name(check)
    if found.container:
        yield from _container(check, found.container)
    if found.model and found.traffic:
        yield from _context(check, found.model, found.traffic)
    yield from _time_zone(check, ("traffic", "time_zone"))
    yield from _target(check, found)


def _target(check: Check, found: Sections) -> Iterator[Diagnostic]:
    target, at = found.target, found.target_at
    if isinstance(target, RunpodTarget):
        yield from runpod.serverless(check, target, found)
    elif target is not None and not isinstance(target, Auto):
        from baseload.planner.spec.rules.refused import refused

        yield from refused(check, target, at, found)
    if found.schedule is not None and target is not None and not isinstance(target, Auto):
        from baseload.planner.spec.rules.schedule import schedule

        yield from _time_zone(check, (*at, "schedule", "time_zone"))
        yield from schedule(check, target, at, found.schedule)
    for where, side in found.sides.items():
        if not isinstance(side, RunpodTarget):
            from baseload.planner.spec.rules.refused import refused

            yield from refused(check, side, where, found)
    if found.model:
        ways = found.sides or ({at: target} if target is not None and not isinstance(target, Auto) else {})
        for where, one in ways.items():
            yield from memory(check, found.model, found.traffic, one, where)


def _name(check: Check) -> Iterator[Diagnostic]:
    name = check.content.get("name")
    if check.sound(("name",)) and isinstance(name, str) and name.endswith("-fb"):
        # runpodctl#261, flash#297: RunPod's older API switched FlashBoot on by this suffix and strips it.
        yield check.say(
            "runpod/name", "RunPod reads the ending `-fb` as a FlashBoot switch", ("name",), "choose another name"
        )


def _container(check: Check, container: Container) -> Iterator[Diagnostic]:
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


def _context(check: Check, model: Model, traffic: Traffic) -> Iterator[Diagnostic]:
    tokens = traffic.tokens
    if tokens and model.max_context is not None and tokens.prompt + tokens.output > model.max_context:
        total = number(tokens.prompt + tokens.output)
        yield check.say(
            "spec/context",
            f"a mean request has {total} tokens, more than `max_context` {model.max_context}",
            ("traffic", "tokens"),
            "raise `model.max_context` or lower `traffic.tokens`",
        )


def _time_zone(check: Check, at: At) -> Iterator[Diagnostic]:
    if not check.given(*at) or not check.sound(at):
        return
    name = check.value(at)
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
