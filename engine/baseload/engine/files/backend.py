"""Pulumi's `file://` backend: where stacks lie, their locks, and a writer that keeps a checkpoint current.

The same files as the CLI's, so that either can go on where the other stopped. Not written: update history and
`backups/`, which only `pulumi stack history` shows. Must not know programs or providers.

Facts: Pulumi's source, `pkg/backend/diy/{backend,state,lock,meta,store}.go` (2026-08), and CLI 3.260.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import os
import shutil
import socket
import threading
import uuid
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from baseload.engine.files.project import NAME, reporting, sync_folder, unsupported, write_atomically
from baseload.engine.files.secrets import Crypter
from baseload.engine.files.state import (
    FEATURES,
    Codec,
    PendingOperation,
    ResourceState,
    Snapshot,
    disorder,
)
from baseload.planner.diagnostics import Diagnostic, Location
from baseload.planner.errors import BaseloadError, DeployError, UsageError


@cache
def engine_version() -> str:
    """The manifest's `version`: who wrote the file. Its SHA-256 is the manifest's `magic`."""
    return f"v{version('baseload')}+baseload"


Clock = Callable[[], datetime]
Notice = Callable[[str], None]


def now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Lock:
    """A lock file and what it says; empty texts where it could not be read."""

    file: Path
    pid: int = 0
    username: str = ""
    hostname: str = ""
    timestamp: datetime | None = None
    pid_namespace: str = ""

    def __str__(self) -> str:
        if not self.pid:
            return f"{self.file} (unreadable)"
        when = self.timestamp.isoformat(timespec="seconds") if self.timestamp else "an unknown time"
        return f"{self.username}@{self.hostname}, pid {self.pid}, since {when} ({self.file})"


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A stack as it was found: its values, and the salt its secrets were sealed with (None: it has no secrets)."""

    snapshot: Snapshot
    salt: str | None
    codec: Codec = field(repr=False)


class FileBackend:
    """The stacks under one folder. Making one touches nothing."""

    def __init__(self, url: str, *, clock: Clock = now) -> None:
        if not url.startswith("file://"):
            raise unsupported(f"the backend {url.partition('://')[0]}://")
        self.folder = Path(unquote(url.removeprefix("file://").split("?")[0])) / ".pulumi"
        self._clock = clock

    def file(self, project: str, stack: str) -> Path:
        """Where the stack's checkpoint lies."""
        return self.folder / "stacks" / project / f"{stack}.json"

    def exists(self, project: str, stack: str) -> bool:
        """Whether there is such a stack."""
        self._check_layout()
        return self._present(project, stack)

    def stacks(self, project: str) -> list[str]:
        """The names of a project's stacks, sorted."""
        self._check_layout()
        folder = self.folder / "stacks" / project
        with reporting(folder, "list the stacks"):
            names = [file.stem for file in folder.glob("*.json")] if folder.is_dir() else []
        return sorted(name for name in names if NAME.fullmatch(name))

    def load(self, project: str, stack: str, open_salt: Callable[[str], Crypter] | None) -> Loaded | None:
        """The stack, or None where there is none. Without `open_salt` secrets stay sealed: for reading only.

        Raises `UsageError`: `engine/state-damaged` (names the backup), `engine/state-version`, `engine/unsupported`,
        and what `open_salt` raises.
        """
        self._check_layout()
        if not self._present(project, stack):
            return None
        file = self.file(project, stack)
        with reporting(file, "read the state"):
            content = file.read_bytes()
        try:
            return _read(content, file, open_salt)
        except RecursionError:
            raise self._with_remedy(_damaged("it is nested too deeply"), file) from None
        except UsageError as error:
            if any(item.code == "engine/state-damaged" for item in error.diagnostics):
                raise self._with_remedy(error, file) from error
            raise

    def raw(self, project: str, stack: str) -> dict[str, Any] | None:
        """The stack's deployment as JSON, secrets sealed, also of a kind `load` refuses; None where there is no stack.

        Raises `UsageError` `engine/state-damaged`.
        """
        self._check_layout()
        if not self._present(project, stack):
            return None
        file = self.file(project, stack)
        with reporting(file, "read the state"):
            content = file.read_bytes()
        try:
            latest = json.loads(content)["checkpoint"].get("latest") or {}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._with_remedy(_damaged("not a whole checkpoint"), file) from error
        if not isinstance(latest, dict):
            raise self._with_remedy(_damaged("JSON, but not a checkpoint"), file)
        return latest

    def forget_pending(self, project: str, stack: str, urns: Collection[str]) -> None:
        """Drop the pending creates of these URNs; all else stays as it is and no key is needed. The caller holds the
        lock.
        """
        file = self.file(project, stack)
        with reporting(file, "read the state"):
            document = json.loads(file.read_bytes())
        latest = document["checkpoint"]["latest"]
        latest["pending_operations"] = [
            item
            for item in latest["pending_operations"]
            if item["type"] != "creating" or item["resource"]["urn"] not in urns
        ]
        _save(file, _dump(document))

    def writer(self, project: str, stack: str, loaded: Loaded | None, crypter: Crypter) -> Writer:
        """What keeps the stack's checkpoint current; the caller holds the lock. Makes the stack if need be."""
        self._check_layout()
        return Writer(self, project, stack, loaded, crypter, clock=self._clock)

    def remove(self, project: str, stack: str) -> None:
        """Forget a stack as `pulumi stack rm` does: the checkpoint becomes its `.bak`, the history goes."""
        file = self.file(project, stack)
        with reporting(file, "remove the stack"):
            if file.exists():
                file.replace(_backup(file))
                sync_folder(file.parent)
            for leftover in (".json.attrs", ".json.bak.attrs", ".json.tmp", ".json.bak.tmp", ".pulumi-tags"):
                file.with_name(f"{stack}{leftover}").unlink(missing_ok=True)
            history = self.folder / "history" / project / stack
            if history.is_dir():
                shutil.rmtree(history)

    @contextlib.contextmanager
    def lock(self, project: str, stack: str, on_notice: Notice) -> Iterator[None]:
        """Hold the stack. Check, write, check again, as the CLI does: of two at once both may lose, never both win.

        A lock of a dead process on this host is taken over, told to `on_notice`.
        Raises `DeployError` `engine/locked`; `BaseloadError` where the folder cannot be written.
        """
        folder = self._lock_folder(project, stack)
        file = folder / f"{uuid.uuid4()}.json"
        _held.add(file)
        try:
            with reporting(file, "lock the stack"):
                self._ensure_layout()
                self._clear_dead(project, stack, on_notice)
                self._refuse_locked(project, stack)
                folder.mkdir(parents=True, exist_ok=True)
                _write_lock(file, self._clock())
            self._refuse_locked(project, stack, but=file)
            yield
        finally:
            _held.discard(file)
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                on_notice(f"cannot remove the lock {file}: {error.strerror}; delete that file yourself")

    def locks(self, project: str, stack: str) -> list[Lock]:
        """The locks on a stack, whoever holds them."""
        folder = self._lock_folder(project, stack)
        with reporting(folder, "read the locks"):
            if not folder.is_dir():
                return []
            files = sorted(file for file in folder.iterdir() if file.is_file() and file.suffix != ".attrs")
        return [lock for lock in map(_read_lock, files) if lock]

    def break_locks(self, project: str, stack: str) -> list[Lock]:
        """Remove all locks of a stack, as `pulumi cancel` does; the caller knows that nobody works on it."""
        broken = self.locks(project, stack)
        for lock in broken:
            with reporting(lock.file, "remove the lock"):
                lock.file.unlink(missing_ok=True)
                _sidecar(lock.file).unlink(missing_ok=True)
        return broken

    def _lock_folder(self, project: str, stack: str) -> Path:
        return self.folder / "locks" / "organization" / project / stack

    def _clear_dead(self, project: str, stack: str, on_notice: Notice) -> None:
        for lock in self.locks(project, stack):
            if holder_is_dead(lock):
                lock.file.unlink(missing_ok=True)
                _sidecar(lock.file).unlink(missing_ok=True)
                on_notice(f"took over the lock of a process that is gone: {lock}")

    def _refuse_locked(self, project: str, stack: str, but: Path | None = None) -> None:
        others = [lock for lock in self.locks(project, stack) if lock.file != but]
        if others:
            raise DeployError(
                Diagnostic(
                    code="engine/locked",
                    summary=f"the stack {stack} is locked by {'; '.join(map(str, others))}",
                    where=Location(others[0].file),
                    hint="wait for it to end; if nobody works on this stack any more, `pulumi cancel` or deleting "
                    "that file frees it",
                )
            )

    def _present(self, project: str, stack: str) -> bool:
        file = self.file(project, stack)
        with reporting(file, "read the state"):
            for suffix in (".gz", ".zst"):
                packed = file.with_name(file.name + suffix)
                if packed.exists():
                    raise unsupported(
                        f"compressed checkpoints ({suffix}; unpack it, or unset PULUMI_DIY_BACKEND_GZIP)", packed
                    )
            return file.exists()

    def _check_layout(self) -> None:
        meta = self.folder / "meta.yaml"
        with reporting(meta, "read the backend"):
            content = meta.read_bytes() if meta.exists() else b""
        try:
            version = (yaml.safe_load(content) or {}).get("version")
        except (yaml.YAMLError, AttributeError):
            version = "unreadable"
        if version is None and any(self.folder.glob("stacks/*.json")):
            version = 0
        if version == 0:
            raise unsupported("the old layout without projects (run `pulumi state upgrade`)", meta)
        if version not in (None, 1):
            raise unsupported(f"a backend of version {version}", meta)

    def _ensure_layout(self) -> None:
        self._check_layout()
        meta = self.folder / "meta.yaml"
        if not meta.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            _write_whole(meta, b"version: 1\n", self.folder)

    def _with_remedy(self, error: BaseloadError, file: Path) -> BaseloadError:
        backup = _backup(file)
        try:
            _read(backup.read_bytes(), backup, None)
            hint = f"the state before the last write is whole: cp '{backup}' '{file}', then `deploy up --refresh`"
        except (OSError, BaseloadError):
            hint = f"there is no usable backup ({backup.name}) beside it: restore the file from a copy of your own"
        return UsageError(
            *(
                Diagnostic(code=item.code, summary=item.summary, where=Location(file), hint=hint)
                for item in error.diagnostics
            )
        )


class Intent:
    """An announced operation; `durable` is done once it is on disk, and only then may the operation start."""

    def __init__(self, operation: PendingOperation) -> None:
        self.operation = operation
        self.durable: Future[None] = Future()


class _Entry:
    """A resource and its JSON, made once."""

    def __init__(self, state: ResourceState, content: bytes) -> None:
        self.state = state
        self.content = content


class Writer:
    """Keeps a stack's checkpoint current, by group commit.

    One thread writes. Everything announced or finished while it writes goes into its next checkpoint, so with p
    operations in flight N operations take about 2N/p writes instead of the CLI's 2N.

    The list is what the CLI makes of it: first the resources of this run in the order they were `put`, then those of
    the state before that are still there. Use it as a context manager: leaving, also by an exception, makes
    everything recorded so far durable; leave it when no operation is in flight. Threads may share it.

    Raises (announce, flush, leaving): `BaseloadError` where the file cannot be written; the file before stays.
    """

    def __init__(
        self, backend: FileBackend, project: str, stack: str, loaded: Loaded | None, crypter: Crypter, *, clock: Clock
    ) -> None:
        self._file = backend.file(project, stack)
        self._name = f"organization/{project}/{stack}"
        self._clock = clock
        self._crypter = crypter
        same_key = loaded is not None and loaded.salt == crypter.salt and not loaded.codec.sealed
        self._codec = loaded.codec if loaded and same_key else Codec(crypter)
        snapshot = loaded.snapshot if loaded else Snapshot()
        self._extra = {name: value for name, value in snapshot.extra.items() if name != "manifest"}
        self._entries: dict[int, _Entry] = {}
        self._new: dict[str, _Entry] = {}
        self._old: dict[int, _Entry] = {}
        for state in snapshot.resources:
            entry = self._enter(state)
            self._old[id(entry)] = entry
        self._intents: dict[int, tuple[Intent, bytes]] = {}
        for operation in snapshot.pending_operations:
            self._intend(Intent(operation))
        operations = [content for _, content in self._intents.values()]
        self._written: tuple[bytes, ...] | None = _body(self._list(), operations) if same_key else None
        self._condition = threading.Condition()
        self._waiting: list[Future[None]] = []
        self._urgent = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="state-writer", daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join()
        self._commit()

    @property
    def snapshot(self) -> Snapshot:
        """The state as recorded so far."""
        with self._condition:
            return Snapshot(
                resources=tuple(entry.state for entry in self._list()),
                pending_operations=tuple(intent.operation for intent, _ in self._intents.values()),
                extra=self._extra,
            )

    @property
    def intents(self) -> tuple[Intent, ...]:
        """What is announced and not finished: what the state held when it was loaded comes first."""
        with self._condition:
            return tuple(intent for intent, _ in self._intents.values())

    def announce(self, doing: str, resource: ResourceState) -> Intent:
        """Put an intent into the next checkpoint; the operation starts when its `durable` future is done.

        `doing` is `creating`, `updating`, `deleting`, `reading` or `importing`.
        """
        intent = Intent(PendingOperation(resource, doing))
        content = self._codec.dump(resource)
        with self._condition:
            self._check_open()
            self._intend(intent, content)
            self._waiting.append(intent.durable)
            self._condition.notify_all()
        return intent

    def begin(self, doing: str, resource: ResourceState) -> Intent:
        """`announce`, and wait until it is durable."""
        intent = self.announce(doing, resource)
        intent.durable.result()
        return intent

    def finish(
        self,
        intent: Intent | None = None,
        *,
        put: ResourceState | None = None,
        drop: ResourceState | None = None,
        swap: tuple[ResourceState, ResourceState] | None = None,
    ) -> None:
        """Record the end of an operation, all at once.

        `swap` puts the second in the place of the first (a refresh, the mark `delete` on the old half of a replace);
        `drop` takes out; both mean the very objects of the state, since URNs may stand there twice. `put` adds a
        resource after those of this run, or in its place if this run put the URN before; the URN's old entry goes,
        unless it is marked `delete`. With an intent the next checkpoint is written at once, without one (a `same`)
        it waits for the next occasion.
        """
        contents = [(new, self._codec.dump(new)) for new in (swap[1] if swap else None, put) if new is not None]
        with self._condition:
            self._check_open()
            if intent:
                del self._intents[id(intent)]
                self._urgent = True
            if swap:
                self._swap(swap[0], *contents[0])
            if drop:
                self._drop(drop)
            if put:
                self._put(*contents[-1])
            self._condition.notify_all()

    def flush(self) -> None:
        """Return when everything recorded so far is on disk."""
        done: Future[None] = Future()
        with self._condition:
            self._check_open()
            self._waiting.append(done)
            self._condition.notify_all()
        done.result()

    def _check_open(self) -> None:
        if self._closing:
            msg = "the writer is closed"
            raise RuntimeError(msg)

    def _enter(self, state: ResourceState, content: bytes | None = None) -> _Entry:
        entry = _Entry(state, self._codec.dump(state) if content is None else content)
        self._entries[id(state)] = entry
        return entry

    def _intend(self, intent: Intent, content: bytes | None = None) -> None:
        content = self._codec.dump(intent.operation.resource) if content is None else content
        kind = json.dumps(intent.operation.type).encode()
        self._intents[id(intent)] = (intent, b'{"resource":' + content + b',"type":' + kind + b"}")

    def _swap(self, old: ResourceState, new: ResourceState, content: bytes) -> None:
        entry = self._entries.pop(id(old))
        if self._new.get(old.urn) is entry and new.delete:
            msg = "a resource of this run cannot be marked for deletion in the same run"
            raise ValueError(msg)
        entry.state, entry.content = new, content
        self._entries[id(new)] = entry

    def _drop(self, state: ResourceState) -> None:
        entry = self._entries.pop(id(state))
        self._old.pop(id(entry), None)
        if self._new.get(state.urn) is entry:
            del self._new[state.urn]

    def _put(self, state: ResourceState, content: bytes) -> None:
        present = self._new.get(state.urn)
        if present:
            self._swap(present.state, state, content)
            return
        for entry in list(self._old.values()):
            if entry.state.urn == state.urn and not entry.state.delete:
                self._drop(entry.state)
        self._new[state.urn] = self._enter(state, content)

    def _list(self) -> list[_Entry]:
        return [*self._new.values(), *self._old.values()]

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._urgent or self._closing)
                if self._closing:
                    return
            # Whoever waits is told; without anybody waiting the next commit, at the latest the one on leaving, meets
            # the same trouble and raises it.
            with contextlib.suppress(Exception):
                self._commit()

    def _commit(self) -> None:
        with self._condition:
            waiting, self._waiting, self._urgent = self._waiting, [], False
            entries, operations = self._list(), [content for _, content in self._intents.values()]
        try:
            body = _body(entries, operations)
            if body != self._written:
                _save(self._file, self._document(*body))
                self._written = body
        except BaseException as error:
            for future in waiting:
                future.set_exception(error)
            raise
        for future in waiting:
            future.set_result(None)

    def _document(self, taint: bytes, resources: bytes, operations: bytes) -> bytes:
        manifest = {
            "time": self._clock().isoformat().replace("+00:00", "Z"),
            "magic": _magic(engine_version()),
            "version": engine_version(),
        }
        providers = {"type": "passphrase", "state": {"salt": self._crypter.salt}}
        rest = {"metadata": {}, **self._extra}
        return b"".join(
            (
                b'{"version":4,"features":["taint"],' if taint else b'{"version":3,',
                b'"checkpoint":{"stack":' + _dump(self._name) + b',"latest":{"manifest":' + _dump(manifest),
                b',"secrets_providers":' + _dump(providers),
                b',"resources":[' + resources + b"]" if resources else b"",
                b',"pending_operations":[' + operations + b"]" if operations else b"",
                b"," + _dump(rest)[1:-1],
                b"}}}",
            )
        )


def _body(entries: list[_Entry], operations: list[bytes]) -> tuple[bytes, bytes, bytes]:
    problem = disorder(entry.state for entry in entries)
    if problem:
        msg = f"the state would be invalid: {problem}"
        raise ValueError(msg)
    taint = b"taint" if any(entry.state.taint for entry in entries) else b""
    return taint, b",".join(entry.content for entry in entries), b",".join(operations)


_held: set[Path] = set()
"""The locks of this process."""


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _magic(version: str) -> str:
    return hashlib.sha256(version.encode()).hexdigest() if version else ""


def _backup(file: Path) -> Path:
    return file.with_name(file.name + ".bak")


def _sidecar(file: Path) -> Path:
    return file.with_name(file.name + ".attrs")


def _save(file: Path, content: bytes) -> None:
    def keep_previous() -> None:
        if file.exists():
            _link(file, _backup(file))

    with reporting(file, "write the state"):
        write_atomically(file, content, keep_previous)
        for stale in (_sidecar(file), _sidecar(_backup(file))):
            stale.unlink(missing_ok=True)


def _link(file: Path, backup: Path) -> None:
    """Make `backup` the present content of `file`, at no time without a backup; a hard link needs no space."""
    temporary = backup.with_name(backup.name + ".tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(file, temporary)
    except OSError:  # a file system without hard links
        shutil.copyfile(file, temporary)
    temporary.replace(backup)


def _read(content: bytes, file: Path, open_salt: Callable[[str], Crypter] | None) -> Loaded:
    try:
        document = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise _damaged(f"not a whole JSON document of {len(content)} bytes: {reason}") from error
    if not isinstance(document, dict) or not isinstance(document.get("checkpoint"), dict):
        raise _damaged("JSON, but not a checkpoint")
    latest = _object(document["checkpoint"], "latest")
    _check_version(document, latest, file)
    salt = _salt(latest, file)
    crypter = open_salt(salt) if salt and open_salt else None
    codec = Codec(crypter)
    resources = tuple(codec.load(item) for item in _list(latest, "resources"))
    problem = disorder(resources)
    if problem:
        raise _damaged(f"the resources are not in order: {problem}")
    operations = tuple(_pending(item, codec) for item in _list(latest, "pending_operations"))
    known = ("manifest", "secrets_providers", "resources", "pending_operations")
    extra = {name: value for name, value in latest.items() if name not in known}
    return Loaded(
        snapshot=Snapshot(resources=resources, pending_operations=operations, extra=extra), salt=salt, codec=codec
    )


def _damaged(what: str) -> BaseloadError:
    return UsageError.of("engine/state-damaged", f"the state is damaged: {what}")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _object(data: dict[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _damaged(f"`{name}` is not an object")
    return value


def _pending(item: Any, codec: Codec) -> PendingOperation:
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        raise _damaged("a pending operation has no type")
    return PendingOperation(codec.load(item.get("resource")), item["type"])


def _list(latest: dict[str, Any], name: str) -> list[Any]:
    items = latest.get(name)
    if items is None:
        return []
    if not isinstance(items, list):
        raise _damaged(f"`{name}` is not a list")
    return items


def _check_version(document: dict[str, Any], latest: dict[str, Any], file: Path) -> None:
    version = document.get("version")
    if version not in (3, 4) and (latest or version != 0):
        raise UsageError.of(
            "engine/state-version",
            f"the state has version {version}; this engine reads 3 and 4",
            where=Location(file),
            hint="`--engine pulumi` with a current Pulumi reads it",
        )
    foreign = sorted(set(map(str, _list(document, "features"))) - FEATURES) if version == 4 else []
    if foreign:
        raise unsupported(f"the state's feature {', '.join(foreign)}", file)
    for name in ("snippets", "extensions"):
        if latest.get(name):
            raise unsupported(f"`{name}` in the state", file)
    manifest = _object(latest, "manifest")
    if latest and manifest.get("magic", "") != _magic(str(manifest.get("version", ""))):
        raise _damaged("its magic number does not fit its version")


def _salt(latest: dict[str, Any], file: Path) -> str | None:
    providers = _object(latest, "secrets_providers")
    kind = providers.get("type")
    if not kind:
        return None
    if kind != "passphrase":
        raise unsupported(f"the secrets provider {kind!r}", file)
    salt = _object(providers, "state").get("salt")
    if not isinstance(salt, str):
        raise _damaged("its secrets provider has no salt")
    return salt


def _write_lock(file: Path, timestamp: datetime) -> None:
    """Whole from the start: the CLI takes any file in that folder for a lock and fails on half of one."""
    content = {
        "pid": os.getpid(),
        "username": _username(),
        "hostname": socket.gethostname(),
        "timestamp": timestamp.isoformat(),
        "pidNamespace": _pid_namespace(),
    }
    _write_whole(file, _dump(content), file.parents[3])


def _write_whole(file: Path, content: bytes, scratch: Path) -> None:
    """Write by a name of its own in `scratch`, since nothing keeps others from writing the same file now."""
    temporary = scratch / f"{uuid.uuid4()}.tmp"
    try:
        temporary.write_bytes(content)
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _username() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not stand in its passwd
        return f"uid {os.getuid()}"


def _read_lock(file: Path) -> Lock | None:
    try:
        data = json.loads(file.read_bytes())
        return Lock(
            file=file,
            pid=int(data["pid"]),
            username=str(data["username"]),
            hostname=str(data["hostname"]),
            timestamp=datetime.fromisoformat(data["timestamp"]),
            pid_namespace=str(data.get("pidNamespace", "")),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return Lock(file)


def holder_is_dead(lock: Lock) -> bool:
    """Whether the lock's process is known to be gone: same host, and no such process, or one that is younger."""
    if lock.pid <= 0 or lock.hostname != socket.gethostname() or lock.timestamp is None:
        return False
    if lock.pid_namespace and lock.pid_namespace != _pid_namespace():
        return False
    if lock.pid == os.getpid():
        return lock.file not in _held
    try:
        os.kill(lock.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    process = _process(lock.pid)
    return process is not None and (process.zombie or process.started > lock.timestamp + timedelta(seconds=2))


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


@dataclass(frozen=True)
class _Process:
    started: datetime
    zombie: bool


def _process(pid: int) -> _Process | None:
    """What Linux tells of a process, to a second; None elsewhere (`man 5 proc`, fields 3 and 22 of `stat`)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
        seconds = int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    return _Process(datetime.fromtimestamp(seconds, UTC), zombie=fields[0] == "Z")
