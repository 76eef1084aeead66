"""What `deploy doctor` checks: each check looks at one thing and changes nothing; what it needs comes before it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from baseload.cli.cloud import CONTROL, KEY, sandbox_folder
from baseload.cli.options import Invocation
from baseload.cli.project import Project, choose_stack, locate, nearest, read_specs
from baseload.cli.views.doctor import Check, Health
from baseload.planner.errors import BaseloadError

PYTHON = (3, 11)
CLOCK_BEHIND = datetime(2026, 8, 18, tzinfo=UTC)
"""RunPod's REST v2 became generally available on this day: an earlier clock is wrong, and TLS will fail."""


def check(run: Invocation) -> list[Check]:
    """All checks, in order."""
    return [
        _python(),
        _clock(datetime.now(UTC)),
        *_project(run),
        _engine(run),
        _plugin(),
        *_runpod(run),
    ]


def _of(what: str, look: Callable[[], str]) -> Check:
    """Good with what `look` says; wrong with the first diagnostic of what it raises.

    What only the Pulumi CLI can do is worth a warning: whether that is wrong, the engine decides.
    """
    try:
        return Check(what=what, health=Health.OK, found=look())
    except BaseloadError as error:
        first, *others = error.diagnostics
        more = f" (and {len(others)} more: `deploy validate`)" if others and what == "specs" else ""
        where = f"{first.where}: " if first.where else ""
        health = Health.WARNING if first.code == "engine/unsupported" else Health.WRONG
        return Check(what=what, health=health, found=f"{where}{first.summary}{more}", remedy=first.hint)


def _skipped(what: str, why: str) -> Check:
    return Check(what=what, health=Health.SKIPPED, found=why)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= PYTHON:
        return Check(what="python", health=Health.OK, found=f"{version}, {sys.executable}")
    return Check(what="python", health=Health.WRONG, found=version, remedy="use Python 3.11 or newer")


def _clock(now: datetime) -> Check:
    text = now.strftime("%Y-%m-%d %H:%M UTC")
    if now >= CLOCK_BEHIND:
        return Check(what="clock", health=Health.OK, found=text)
    return Check(what="clock", health=Health.WRONG, found=f"{text} is in the past", remedy="set this machine's clock")


def _project(run: Invocation) -> Iterator[Check]:
    found: list[Project] = []

    def look() -> str:
        found.append(locate(run.folder))
        return f"{found[0].name}, {found[0].root}"

    yield _of("project", look)
    if not found:
        missing = ("stack", "backend", "state", "passphrase", "specs")
        yield from (_skipped(what, "there is no project to look into") for what in missing)
        return
    [project] = found
    stack: list[str] = []

    def choose() -> str:
        stack.append(choose_stack(project, run.options.stack))
        return stack[0]

    yield _of("stack", choose)
    yield _backend(project)
    yield from _state(project, stack[0] if stack else None)
    yield _of("specs", lambda: ", ".join(spec.name for spec in read_specs(project)[0]))


def _backend(project: Project) -> Check:
    url = project.backend_url
    if url is None:
        remedy = "set `backend: {url: file://./state}` in Pulumi.yaml, or PULUMI_BACKEND_URL"
        return Check(what="backend", health=Health.WRONG, found="Pulumi.yaml names none", remedy=remedy)
    if not url.startswith("file://"):
        return _skipped("backend", f"{url.split('?')[0]}: only the Pulumi CLI can look")
    folder = Path(os.path.normpath(project.root / Path(url.removeprefix("file://").split("?")[0]).expanduser()))
    existing = next(item for item in (folder, *folder.parents) if item.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return Check(what="backend", health=Health.OK, found=f"{folder} can be written")
    remedy = "give your user the right to write there, or choose another folder in Pulumi.yaml"
    return Check(what="backend", health=Health.WRONG, found=f"{existing} cannot be written", remedy=remedy)


def _state(project: Project, stack: str | None) -> Iterator[Check]:
    """The stack's state and settings, and whether the passphrase opens their secrets."""
    from baseload.engine.files.backend import FileBackend, holder_is_dead
    from baseload.engine.files.project import Project as Settings

    salts: list[str] = []

    def look(name: str) -> str:
        settings = Settings.load(project.root, name)
        salts.extend([settings.salt] if settings.salt else [])
        backend = FileBackend(settings.backend_url)
        loaded = backend.load(settings.name, name, None)
        if loaded is None:
            return "none yet"
        salts[:0] = [loaded.salt] if loaded.salt else []
        held = [lock for lock in backend.locks(settings.name, name) if not holder_is_dead(lock)]
        parts = [f"{len(loaded.snapshot.resources)} resources"]
        parts += ["an operation was interrupted, `deploy up` finishes it"] * bool(loaded.snapshot.pending_operations)
        return ", ".join([*parts, *(f"locked by {lock}" for lock in held)])

    if stack is None:
        yield _skipped("state", "there is no stack to look into")
    elif project.backend_url is None or not project.backend_url.startswith("file://"):
        yield _skipped("state", "only the Pulumi CLI can look")
    else:
        yield _of("state", lambda: look(stack))
    yield _passphrase(project, salts[0] if salts else None)


def _engine(run: Invocation) -> Check:
    from baseload.engine.choose import explain

    def look() -> str:
        choice = explain(run.options.engine, sandbox=run.options.sandbox)
        return f"{choice.name} {choice.version}: {choice.reason}"

    return _of("engine", look)


def _plugin() -> Check:
    import shutil
    import sysconfig

    name = "pulumi-resource-baseload-runpod"
    path = os.pathsep.join((os.environ.get("PATH", ""), sysconfig.get_path("scripts")))
    found = shutil.which(name, path=path)
    if found:
        return Check(what="plugin", health=Health.OK, found=found)
    remedy = "install this package again: its scripts are missing"
    return Check(what="plugin", health=Health.WRONG, found=f"{name} is not on PATH", remedy=remedy)


def _passphrase(project: Project, salt: str | None) -> Check:
    from baseload.engine.files.secrets import FILE_VARIABLE, VARIABLE, Passphrase

    def look(name: str) -> str:
        passphrase = Passphrase(project.root)
        if salt is None:
            passphrase.create()
            return f"from {name}"
        passphrase.open(salt)
        return f"from {name}, opens the stack's secrets"

    if VARIABLE in os.environ:
        return _of("passphrase", lambda: look(VARIABLE))
    if os.environ.get(FILE_VARIABLE):
        return _of("passphrase", lambda: look(FILE_VARIABLE))
    remedy = "set PULUMI_CONFIG_PASSPHRASE, or PULUMI_CONFIG_PASSPHRASE_FILE to a file that holds it"
    found = "none is set: on a terminal you will be asked, elsewhere `deploy up` stops"
    return Check(what="passphrase", health=Health.WARNING, found=found, remedy=remedy)


def _runpod(run: Invocation) -> Iterator[Check]:
    from baseload.providers.runpod.client import BASE_URL, Client, Unattended

    folder = sandbox_folder(nearest(run.folder))
    yield _sandbox(folder)
    if run.options.sandbox:
        yield _skipped("key", "the sandbox needs none")
        return
    if not os.environ.get(KEY, "").strip():
        remedy = f"set {KEY} to a key of your RunPod account, or use --sandbox"
        yield Check(what="key", health=Health.WARNING, found=f"{KEY} is not set", remedy=remedy)
        yield _skipped("runpod", "needs a key")
        return
    yield Check(what="key", health=Health.OK, found=f"from {KEY}")

    def look() -> str:
        with Client.from_environment() as client:
            count = len(client.endpoints(Unattended()))
        return f"{os.environ.get(CONTROL) or BASE_URL} answers, the key sees {count} endpoints"

    yield _of("runpod", look)


def _sandbox(folder: Path) -> Check:
    from baseload.sandbox import server

    running = server.status(folder)
    found = f"running at {running.base_url}" if running else "not running; `--sandbox` starts it"
    return Check(what="sandbox", health=Health.OK if running else Health.SKIPPED, found=found)
