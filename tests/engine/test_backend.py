"""The shared state: Pulumi's checkpoint, the writer that keeps it current, and locks between real processes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baseload.engine.files.backend import FileBackend, Loaded
from baseload.engine.files.secrets import Crypter
from baseload.engine.files.state import REFUSED_FIELDS, Codec, PendingOperation, ResourceState, Secret, Snapshot
from baseload.planner.errors import BaseloadError, DeployError, UsageError

STACK = "urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev"
PROVIDER = "urn:pulumi:dev::shop::pulumi:providers:cloud::default"
CANARY = "canary-9f2e"
SALT = "v1:AAAAAAAAAAA=:v1:AAAAAAAAAAAAAAAA:unused"


def crypter() -> Crypter:
    """A key without the second that a passphrase costs."""
    return Crypter(SALT, AESGCM(bytes(32)))


def opened(salt: str) -> Crypter:
    assert salt == SALT
    return crypter()


def urn(name: str, kind: str = "cloud:index:Thing") -> str:
    return f"urn:pulumi:dev::shop::{kind}::{name}"


def thing(name: str, **fields: Any) -> ResourceState:
    defaults = {"custom": True, "id": f"id-{name}", "parent": STACK, "provider": f"{PROVIDER}::1"}
    return ResourceState(**{"urn": urn(name), "type": "cloud:index:Thing", **defaults, **fields})


ROOT = ResourceState(urn=STACK, type="pulumi:pulumi:Stack", custom=False)
CLOUD = ResourceState(urn=PROVIDER, type="pulumi:providers:cloud", custom=True, id="1", parent=STACK)


@pytest.fixture
def backend(tmp_path: Path) -> FileBackend:
    return FileBackend(f"file://{tmp_path}", clock=lambda: datetime(2026, 11, 22, 18, 0, tzinfo=UTC))


def save(backend: FileBackend, *resources: ResourceState, pending: PendingOperation | None = None) -> Path:
    with backend.writer("shop", "dev", backend.load("shop", "dev", opened), crypter()) as writer:
        for resource in (ROOT, CLOUD, *resources):
            writer.finish(put=resource)
        if pending:
            writer.announce(pending.type, pending.resource)
    return backend.file("shop", "dev")


def load(backend: FileBackend) -> Loaded:
    loaded = backend.load("shop", "dev", opened)
    assert loaded
    return loaded


def document(file: Path) -> dict[str, Any]:
    return json.loads(file.read_bytes())  # type: ignore[no-any-return]


def latest(file: Path) -> dict[str, Any]:
    return document(file)["checkpoint"]["latest"]  # type: ignore[no-any-return]


def code(error: pytest.ExceptionInfo[BaseloadError]) -> str:
    return error.value.diagnostics[0].code


# What is written


def test_checkpoint_is_what_pulumi_writes(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    nonces = iter(range(1, 100))
    sealed = Crypter(SALT, AESGCM(bytes(32)), lambda count: next(nonces).to_bytes(count, "big"))
    backend = FileBackend(f"file://{tmp_path}", clock=lambda: datetime(2026, 11, 22, 18, 0, tzinfo=UTC))
    full = thing(
        "full",
        inputs={"name": "a", "env": Secret({"TOKEN": CANARY}), "nothing": None, "list": [1, 2.5, Secret("x")]},
        outputs={"rate": float("inf")},
        dependencies=(urn("base"),),
        property_dependencies={"name": (urn("base"),), "env": ()},
        protect=True,
        retain_on_delete=True,
        init_errors=("it did not start",),
        custom_timeouts={"create": 300.0},
        additional_secret_outputs=("rate",),
        taint=True,
        extra={"created": "2026-11-22T17:55:23.76776558Z", "hideDiff": [["name"]]},
    )
    with backend.writer("shop", "dev", None, sealed) as writer:
        for resource in (ROOT, CLOUD, thing("base"), full):
            writer.finish(put=resource)
        writer.announce("creating", thing("new", id="", inputs={"a": Secret(1)}))
    with backend.writer("shop", "dev", backend.load("shop", "dev", lambda _: sealed), sealed) as writer:
        root, cloud, base, _ = writer.snapshot.resources
        writer.finish(put=replace(root))
        writer.finish(put=replace(cloud))
        writer.finish(swap=(base, replace(base, id="old", delete=True)), put=base)
    text = json.dumps(document(backend.file("shop", "dev")), indent=1)
    assert CANARY not in text
    golden("checkpoint", re.sub(r'"(magic|version)": "[^"]*"', r'"\1": "…"', text))


SECRET_KEYS = st.sampled_from(["a", "b.c", "ü", "secure", "ciphertext"])
SCALARS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(SECRET_KEYS, inner, max_size=3) | st.builds(Secret, inner)
    ),
    max_leaves=8,
)
PROPERTIES = st.dictionaries(SECRET_KEYS, VALUES, max_size=3)
KEPT = st.fixed_dictionaries(
    {},
    optional={
        "created": st.just("2026-11-22T17:55:23.76776558Z"),
        "sourcePosition": st.text(max_size=5),
        "ignoreChanges": st.just(["a"]),
        "importID": st.just("id"),
        "somethingNew": SCALARS | st.lists(SCALARS, max_size=2),
    },
)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    resources = [ROOT, CLOUD]
    for index in range(draw(st.integers(0, 4))):
        before = [resource.urn for resource in resources if resource.urn != PROVIDER]
        resources.append(
            thing(
                f"t{index}",
                inputs=draw(PROPERTIES),
                outputs=draw(PROPERTIES),
                parent=draw(st.sampled_from(before)),
                dependencies=tuple(draw(st.lists(st.sampled_from(before), unique=True, max_size=2))),
                property_dependencies={"a": tuple(draw(st.lists(st.sampled_from(before), max_size=1)))},
                protect=draw(st.booleans()),
                external=draw(st.booleans()),
                taint=draw(st.booleans()),
                pending_replacement=draw(st.booleans()),
                init_errors=tuple(draw(st.lists(st.text(max_size=3), max_size=1))),
                custom_timeouts=draw(st.just({}) | st.just({"delete": 1.5})),
                extra=draw(KEPT),
            )
        )
        if draw(st.booleans()):
            resources.append(replace(resources[-1], delete=True, id=f"old-{index}"))
    pending = draw(st.lists(st.builds(PendingOperation, st.sampled_from(resources), st.just("updating")), max_size=2))
    return Snapshot(resources=tuple(resources), pending_operations=tuple(pending), extra={"metadata": {}})


@given(snapshots())
@settings(max_examples=40)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, snapshot: Snapshot) -> None:
    """Values -> file -> the same values -> the same bytes, ciphertexts included; unknown fields survive."""
    backend = FileBackend(f"file://{tmp_path_factory.mktemp('state')}")
    with backend.writer("shop", "dev", Loaded(snapshot=snapshot, salt=None, codec=Codec(None)), crypter()):
        pass
    content = backend.file("shop", "dev").read_bytes()
    loaded = load(backend)
    assert loaded.snapshot == snapshot
    with backend.writer("shop", "dev", loaded, crypter()) as writer:
        writer.finish(writer.begin("creating", thing("new")))
    time = re.compile(rb'"time":"[^"]*"')
    again = backend.file("shop", "dev").read_bytes()
    assert again != content
    assert time.sub(b"", again) == time.sub(b"", content)


def test_unchanged_state_is_not_written(backend: FileBackend) -> None:
    file = save(backend, thing("a", inputs={"env": Secret(CANARY)}))
    before = file.stat()
    with backend.writer("shop", "dev", load(backend), crypter()) as writer:
        for resource in load(backend).snapshot.resources:
            writer.finish(put=replace(resource))
    assert file.stat() == before


# The writer


def test_intent_is_on_disk_before_the_operation_may_start(backend: FileBackend) -> None:
    with backend.writer("shop", "dev", None, crypter()) as writer:
        intent = writer.begin("creating", thing("a", id=""))
        assert latest(backend.file("shop", "dev"))["pending_operations"][0]["resource"]["urn"] == urn("a")
        for resource in (ROOT, CLOUD, thing("a")):
            writer.finish(intent if resource.urn == urn("a") else None, put=resource)
        writer.flush()
        assert "pending_operations" not in latest(backend.file("shop", "dev"))
    assert [resource.urn for resource in load(backend).snapshot.resources] == [STACK, PROVIDER, urn("a")]


def test_group_commit_needs_few_writes(backend: FileBackend) -> None:
    """64 intents announced at once are one checkpoint, not 64; the file's inode counts the writes."""
    file = save(backend)
    with backend.writer("shop", "dev", load(backend), crypter()) as writer:
        inodes = {file.stat().st_ino}
        intents = [writer.announce("creating", thing(f"t{index}", id="")) for index in range(64)]
        for intent in intents:
            intent.durable.add_done_callback(lambda _: inodes.add(file.stat().st_ino))
            intent.durable.result()
        assert len(latest(file)["pending_operations"]) == 64
        assert len(inodes) < 32


def test_order_of_a_run(backend: FileBackend) -> None:
    """This run's resources first, in their order; then what is left of the state before; twins by identity."""
    save(backend, thing("a"), thing("b", dependencies=(urn("a"),)), thing("c"))
    with backend.writer("shop", "dev", load(backend), crypter()) as writer:
        _, _, a, b, c = writer.snapshot.resources
        for resource in (ROOT, CLOUD, c):
            writer.finish(put=replace(resource))
        old = replace(a, delete=True)
        writer.finish(swap=(a, old), put=replace(a, id="second"))
        order = [(state.urn.rsplit("::")[-1], state.id, state.delete) for state in writer.snapshot.resources[2:]]
        assert order == [("c", "id-c", False), ("a", "second", False), ("a", "id-a", True), ("b", "id-b", False)]
        writer.finish(put=replace(a, id="second", outputs={"late": 1}))
        writer.finish(drop=b)
        writer.finish(drop=old)
    names = [(state.urn.rsplit("::")[-1], dict(state.outputs)) for state in load(backend).snapshot.resources[2:]]
    assert names == [("c", {}), ("a", {"late": 1})]


def test_invalid_order_is_never_written(backend: FileBackend) -> None:
    file = save(backend)
    before = file.read_bytes()

    def run() -> None:
        with backend.writer("shop", "dev", load(backend), crypter()) as writer:
            writer.finish(put=thing("a", dependencies=(urn("missing"),)))
            with pytest.raises(ValueError, match="does not stand before it"):
                writer.flush()

    with pytest.raises(ValueError, match="does not stand before it"):
        run()
    assert file.read_bytes() == before


def test_everything_finished_is_durable_after_an_exception(backend: FileBackend) -> None:
    def run() -> None:
        with backend.writer("shop", "dev", None, crypter()) as writer:
            writer.finish(put=ROOT)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert [resource.urn for resource in load(backend).snapshot.resources] == [STACK]


def test_backup_is_the_state_before_and_stale_sidecars_go(backend: FileBackend) -> None:
    file = save(backend)
    before = file.read_bytes()
    for name in ("dev.json.attrs", "dev.json.bak.attrs"):
        file.with_name(name).write_text("{}")
    save(backend, thing("a"))
    assert file.with_name("dev.json.bak").read_bytes() == before
    assert sorted(path.name for path in file.parent.iterdir()) == ["dev.json", "dev.json.bak"]


def test_secrets_are_sealed_everywhere_on_disk(backend: FileBackend, tmp_path: Path) -> None:
    deep = {"a": [{"b": Secret({"c": Secret(CANARY)})}]}
    save(backend, thing("a", inputs=deep, outputs=deep), pending=PendingOperation(thing("b", inputs=deep), "updating"))
    save(backend, thing("a", inputs=deep, id="other"))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 2
    assert not [path for path in files if CANARY.encode() in path.read_bytes()]
    assert load(backend).snapshot.resources[2].inputs == deep
    assert CANARY not in repr(load(backend))


def test_without_a_key_secrets_stay_sealed_and_cannot_be_lost(backend: FileBackend) -> None:
    file = save(backend, thing("a", inputs={"env": Secret(CANARY), "size": 3}))
    before = file.read_bytes()
    loaded = backend.load("shop", "dev", None)
    assert loaded
    assert loaded.snapshot.resources[2].inputs["size"] == 3
    with pytest.raises(TypeError):
        backend.writer("shop", "dev", loaded, crypter())
    assert file.read_bytes() == before


def test_another_key_seals_anew(backend: FileBackend) -> None:
    save(backend, thing("a", inputs={"env": Secret(CANARY)}))
    other = Crypter("v1:other", AESGCM(bytes(31) + b"1"))
    with backend.writer("shop", "dev", load(backend), other):
        pass
    loaded = backend.load("shop", "dev", lambda salt: {"v1:other": other}[salt])
    assert loaded
    assert loaded.snapshot.resources[2].inputs == {"env": Secret(CANARY)}


# What is refused


def test_trouble_with_the_key_is_not_damage(backend: FileBackend) -> None:
    """The passphrase may be asked for at the first secret only; a wrong one is told as such, a bad value as damage."""
    file = save(backend, thing("a", inputs={"env": Secret(CANARY)}))

    class Late(Crypter):
        def decrypt(self, ciphertext: str) -> str:
            raise UsageError.of("engine/passphrase-wrong", "the passphrase does not fit")

    with pytest.raises(UsageError) as error:
        backend.load("shop", "dev", lambda salt: Late(salt, AESGCM(bytes(32))))
    assert code(error) == "engine/passphrase-wrong"
    with pytest.raises(UsageError, match=rf"`inputs.env` of {urn('a')} holds a secret value") as error:
        backend.load("shop", "dev", lambda salt: Crypter(salt, AESGCM(bytes(31) + b"1")))
    assert code(error) == "engine/state-damaged"
    assert error.value.diagnostics[0].where
    assert error.value.diagnostics[0].where.file == file


def test_truncated_at_every_length(backend: FileBackend) -> None:
    file = save(backend, thing("a", inputs={"env": Secret(CANARY)}))
    save(backend, thing("a", id="other"))
    content = file.read_bytes()
    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(UsageError) as error:
            load(backend)
        problem = error.value.diagnostics[0]
        assert problem.code == "engine/state-damaged"
        assert problem.where
        assert problem.where.file == file
        assert problem.hint
        assert f"cp '{file}.bak' '{file}'" in problem.hint
    file.with_name("dev.json.bak").write_bytes(b"{")
    with pytest.raises(UsageError, match="no usable backup"):
        load(backend)


@pytest.mark.parametrize("depth", [800, 100_000])
def test_nested_without_end(backend: FileBackend, depth: int) -> None:
    file = save(backend)
    deep = b"[" * depth + b"]" * depth
    file.write_bytes(file.read_bytes().replace(b'"id":"1"', b'"id":"1","inputs":{"a":' + deep + b"}"))
    with contextlib.ExitStack() as stack:
        # How much nesting Python bears differs by version: the lesser depth may load, but never breaks.
        stack.enter_context(pytest.raises(UsageError) if depth == 100_000 else contextlib.suppress(UsageError))
        load(backend)


JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(SECRET_KEYS, inner, max_size=2)
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A valid one, with a bit of everything."""
    backend = FileBackend(f"file://{tmp_path_factory.mktemp('state')}")
    resource = thing("a", inputs={"env": Secret({"A": "b"}), "list": [1]}, dependencies=(STACK,))
    return save(backend, resource, pending=PendingOperation(thing("p"), "creating")).read_bytes()


@given(st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_an_error_with_a_code(backend: FileBackend, checkpoint: bytes, data: st.DataObject) -> None:
    """One node of a valid checkpoint replaced by anything: it loads, or a `BaseloadError` says why not."""
    whole = node = json.loads(checkpoint)
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = data.draw(JSON)
    file = backend.file("shop", "dev")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(whole))
    with contextlib.suppress(BaseloadError):
        backend.load("shop", "dev", lambda _: crypter())


@pytest.mark.parametrize(
    ("change", "expected", "words"),
    [
        ({"version": 5}, "engine/state-version", "version 5"),
        ({"version": 2}, "engine/state-version", "version 2"),
        ({"version": 4, "features": ["taint", "views"]}, "engine/unsupported", "feature views"),
        ({"latest": {"manifest": {"version": "v1", "magic": "0"}}}, "engine/state-damaged", "magic"),
        ({"latest": {"secrets_providers": {"type": "cloud"}}}, "engine/unsupported", "'cloud'"),
        ({"latest": {"snippets": [{}]}}, "engine/unsupported", "snippets"),
        (
            {"latest": {"resources": [{"urn": STACK, "custom": False, "type": "t", "id": "1"}]}},
            "engine/state-damaged",
            "custom",
        ),
    ],
)
def test_foreign_state_is_refused_by_name(
    backend: FileBackend, change: dict[str, Any], expected: str, words: str
) -> None:
    file = save(backend)
    whole = document(file)
    whole["checkpoint"]["latest"].update(change.pop("latest", {}))
    file.write_text(json.dumps({**whole, **change}))
    with pytest.raises(UsageError, match=words) as error:
        load(backend)
    assert code(error) == expected


@pytest.mark.parametrize("name", REFUSED_FIELDS)
def test_fields_that_change_what_happens_are_refused_by_name(backend: FileBackend, name: str) -> None:
    file = save(backend)
    whole = document(file)
    whole["checkpoint"]["latest"]["resources"][0][name] = ["x"]
    file.write_text(json.dumps(whole))
    with pytest.raises(UsageError, match=re.escape(REFUSED_FIELDS[name])) as error:
        load(backend)
    assert code(error) == "engine/unsupported"


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_checkpoint_is_refused_by_name(backend: FileBackend, suffix: str) -> None:
    file = save(backend)
    file.rename(file.with_name(file.name + suffix))
    with pytest.raises(UsageError, match="compressed") as error:
        backend.exists("shop", "dev")
    assert code(error) == "engine/unsupported"


@pytest.mark.parametrize("meta", ["version: 0", "version: 2", "[", None])
def test_other_layouts_are_refused_by_name(backend: FileBackend, meta: str | None) -> None:
    save(backend)
    if meta is None:
        (backend.folder / "stacks" / "old.json").write_text("{}")
    else:
        (backend.folder / "meta.yaml").write_text(meta)
    with pytest.raises(UsageError) as error:
        backend.load("shop", "dev", opened)
    assert code(error) == "engine/unsupported"


def test_stack_that_pulumi_has_just_begun_is_empty(backend: FileBackend) -> None:
    file = backend.file("shop", "dev")
    file.parent.mkdir(parents=True)
    file.write_text('{"version":0,"checkpoint":{"stack":"organization/shop/dev"}}')
    assert load(backend).snapshot == Snapshot()
    assert load(backend).salt is None


def test_stacks_are_listed_and_removed(backend: FileBackend) -> None:
    assert backend.stacks("shop") == []
    assert not backend.exists("shop", "dev")
    assert backend.load("shop", "dev", opened) is None
    file = save(backend)
    history = backend.folder / "history" / "shop" / "dev"
    history.mkdir(parents=True)
    assert backend.stacks("shop") == ["dev"]
    content = file.read_bytes()
    backend.remove("shop", "dev")
    assert not backend.exists("shop", "dev")
    assert not history.exists()
    assert file.with_name("dev.json.bak").read_bytes() == content


# Bad luck


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="needs a folder that nobody can write, as Linux's /sys")
def test_folder_that_cannot_be_written() -> None:
    backend = FileBackend("file:///sys/baseload")
    with pytest.raises(BaseloadError, match="cannot lock the stack") as error, backend.lock("shop", "dev", print):
        pass
    assert code(error) == "engine/not-writable"


def test_place_that_cannot_be() -> None:
    backend = FileBackend(f"file:///{'x' * 300}")
    attempts = (backend.exists, lambda *place: backend.load(*place, None), backend.break_locks, backend.remove)
    for attempt in (*attempts, lambda project, _: backend.stacks(project)):
        with pytest.raises(BaseloadError, match="File name too long") as error:
            attempt("shop", "dev")
        assert code(error) == "engine/file"


LIMITED = """
import resource, signal, sys
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from baseload.engine.files.backend import FileBackend
from baseload.engine.files.secrets import Crypter
from baseload.engine.files.state import ResourceState
from baseload.planner.errors import BaseloadError

crypter = Crypter(sys.argv[2], AESGCM(bytes(32)))
backend = FileBackend("file://" + sys.argv[1])
loaded = backend.load("shop", "dev", lambda salt: crypter)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    with backend.writer("shop", "dev", loaded, crypter) as writer:
        big = ResourceState(urn="urn:pulumi:dev::shop::t::big", type="t", custom=True, outputs={"x": "y" * 4000})
        writer.begin("creating", big)
except BaseloadError as error:
    print(error)
"""


def test_full_disk_keeps_the_old_state(backend: FileBackend, tmp_path: Path) -> None:
    """The operating system refuses more bytes (a file size limit stands for the full disk): nothing is lost."""
    file = save(backend)
    before = file.read_bytes()
    command = [sys.executable, "-c", LIMITED, str(tmp_path), SALT]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "error[engine/disk-full]: cannot write the state" in result.stdout
    assert str(file) in result.stdout
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["dev.json"]


KILLED = """
import sys
from dataclasses import replace
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from baseload.engine.files.backend import FileBackend
from baseload.engine.files.secrets import Crypter
from baseload.engine.files.state import ResourceState, Secret

crypter = Crypter(sys.argv[2], AESGCM(bytes(32)))
backend = FileBackend("file://" + sys.argv[1])
with backend.lock("shop", "dev", lambda text: print("notice", text, flush=True)):
    loaded = backend.load("shop", "dev", lambda salt: crypter)
    start = len(loaded.snapshot.resources) if loaded else 0
    with backend.writer("shop", "dev", loaded, crypter) as writer:
        for intent in writer.intents:
            writer.finish(intent)
        print("ready", flush=True)
        for number in range(start, start + 10_000):
            state = ResourceState(
                urn=f"urn:pulumi:dev::shop::t::{number}", type="t", custom=True, inputs={"env": Secret(sys.argv[3])}
            )
            intent = writer.begin("creating", state)
            print("started", number, flush=True)
            writer.finish(intent, put=replace(state, id=str(number)))
"""


def test_killed_at_any_moment(backend: FileBackend, tmp_path: Path) -> None:
    """kill -9 again and again: the file always loads, and everything that was started is in it or announced in it."""
    choice = random.Random(7)
    command = [sys.executable, "-c", KILLED, str(tmp_path), SALT, CANARY]
    for round_number in range(12):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            seen = [process.stdout.readline()]
            while seen[-1] != "ready\n":
                seen.append(process.stdout.readline())
            seen += [process.stdout.readline() for _ in range(choice.randrange(6))]
            time.sleep(choice.uniform(0, 0.005))
            process.kill()
            seen += process.stdout.read().splitlines(keepends=True)
        assert round_number == 0 or seen[0].startswith("notice took over the lock of a process that is gone")
        snapshot = load(backend).snapshot
        known = {resource.urn for resource in snapshot.resources}
        known |= {operation.resource.urn for operation in snapshot.pending_operations}
        started = [int(line.split()[1]) for line in seen if line.startswith("started") and line.endswith("\n")]
        assert {f"urn:pulumi:dev::shop::t::{number}" for number in started} <= known
    assert len(snapshot.resources) >= 10
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


# Locks

RACER = """
import os, sys, time
from baseload.engine.files.backend import FileBackend
from baseload.planner.errors import DeployError

backend, witness, wins = FileBackend("file://" + sys.argv[1]), sys.argv[1] + "/witness", 0
deadline = time.monotonic() + 1.5
print("ready", flush=True)
sys.stdin.readline()
while time.monotonic() < deadline:
    try:
        with backend.lock("shop", "dev", print):
            os.close(os.open(witness, os.O_CREAT | os.O_EXCL))
            wins += 1
            os.unlink(witness)
    except DeployError:
        time.sleep(0.001 * (os.getpid() % 7))
print(wins)
"""


def test_racing_processes_never_hold_it_together(backend: FileBackend, tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACER, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    racers = [subprocess.Popen(command, **pipes) for _ in range(4)]  # type: ignore[call-overload]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outputs = [racer.communicate(timeout=60) for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4, outputs
    assert sum(int(out) for out, _ in outputs) > 0
    assert backend.locks("shop", "dev") == []


def write_lock(backend: FileBackend, pid: int, when: datetime, **fields: Any) -> Path:
    content = {"pid": pid, "username": "ann", "hostname": socket.gethostname(), "timestamp": when.isoformat(), **fields}
    folder = backend.folder / "locks" / "organization" / "shop" / "dev"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "0c9d7b6e-0000-4000-8000-000000000000.json"
    file.write_text(json.dumps(content))
    return file


def attempt(backend: FileBackend) -> list[str]:
    notices: list[str] = []
    with backend.lock("shop", "dev", notices.append):
        assert len(backend.locks("shop", "dev")) == 1
    assert backend.locks("shop", "dev") == []
    return notices


def test_lock_names_its_holder(backend: FileBackend) -> None:
    with backend.lock("shop", "dev", print):
        (lock,) = backend.locks("shop", "dev")
        assert set(json.loads(lock.file.read_bytes())) >= {"pid", "username", "hostname", "timestamp"}
        with pytest.raises(DeployError) as error, backend.lock("shop", "dev", print):
            pass
    text = str(error.value)
    assert code(error) == "engine/locked"
    for part in (lock.username, socket.gethostname(), f"pid {os.getpid()}", "2026-11-22T18:00:00", str(lock.file)):
        assert part in text
    assert "pulumi cancel" in text


def test_lock_goes_also_by_an_exception(backend: FileBackend) -> None:
    with pytest.raises(KeyboardInterrupt), backend.lock("shop", "dev", print):
        raise KeyboardInterrupt
    assert attempt(backend) == []


def test_dead_holder_is_taken_over(backend: FileBackend) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    file = write_lock(backend, process.pid, datetime.now(UTC))
    file.with_name(file.name + ".attrs").write_text("{}")
    (notice,) = attempt(backend)
    assert f"pid {process.pid}" in notice
    assert list(file.parent.iterdir()) == []


def test_unburied_holder_is_dead(backend: FileBackend) -> None:
    """A killed process stays in the process table until its parent asks for it."""
    process = subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdout=-1, stdin=-1)
    try:
        assert process.stdout
        process.stdout.readline()
        write_lock(backend, process.pid, datetime.now(UTC))
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert len(attempt(backend)) == 1
    finally:
        process.communicate()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells when a process began")
def test_reused_pid_is_not_the_holder(backend: FileBackend) -> None:
    write_lock(backend, os.getppid(), datetime.now(UTC) - timedelta(days=3650))
    assert len(attempt(backend)) == 1
    write_lock(backend, os.getpid(), datetime.now(UTC))
    assert len(attempt(backend)) == 1, "our own pid, but not our lock"


@pytest.mark.parametrize(
    ("pid", "fields"),
    [
        (os.getppid(), {}),
        (2**22 + 1, {"hostname": "elsewhere"}),
        (2**22 + 1, {"pidNamespace": "pid:[1]"}),
        (0, {}),
        (1, {"timestamp": "never"}),
    ],
)
def test_any_other_holder_is_respected(backend: FileBackend, pid: int, fields: dict[str, Any]) -> None:
    file = write_lock(backend, pid, datetime.now(UTC), **fields)
    with pytest.raises(DeployError, match=re.escape(str(file))) as error:
        attempt(backend)
    assert code(error) == "engine/locked"
    assert [lock.file for lock in backend.break_locks("shop", "dev")] == [file]
    assert attempt(backend) == []


# The real CLI


@pytest.fixture
def pulumi(tmp_path: Path, backend: FileBackend) -> Callable[..., subprocess.CompletedProcess[str]]:
    executable = shutil.which("pulumi")
    if not executable:
        pytest.skip("no `pulumi` on PATH")
    project = tmp_path / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (project / "Pulumi.dev.yaml").write_text(f"encryptionsalt: {REAL.salt}\n")
    environment = {
        **os.environ,
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}",
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [executable, *words, "--non-interactive"]
        return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=60)

    return run


REAL = Crypter.create("x")
Run = Callable[..., subprocess.CompletedProcess[str]]


def test_pulumi_reads_what_we_write(backend: FileBackend, pulumi: Run) -> None:
    things = (
        thing("a", inputs={"env": Secret({"TOKEN": CANARY})}),
        thing("a", id="old", delete=True),
        thing("t", taint=True),
    )
    with backend.writer("shop", "dev", None, REAL) as writer:
        for resource in (ROOT, CLOUD, things[0], things[2]):
            writer.finish(put=resource)
        writer.announce("creating", thing("new", id=""))
    loaded = backend.load("shop", "dev", lambda _: REAL)
    with backend.writer("shop", "dev", loaded, REAL) as writer:
        writer.finish(writer.intents[0])
        writer.announce("creating", thing("new", id=""))
    exported = json.loads(pulumi("stack", "export", "-s", "dev", "--show-secrets").stdout)["deployment"]
    assert [item["urn"] for item in exported["resources"]] == [STACK, PROVIDER, urn("a"), urn("t")]
    assert json.loads(exported["resources"][2]["inputs"]["env"]["plaintext"]) == {"TOKEN": CANARY}
    assert [item["type"] for item in exported["pending_operations"]] == ["creating"]
    assert pulumi("stack", "history", "-s", "dev").returncode == 0
    assert pulumi("stack", "-s", "dev").returncode == 0


def test_we_read_what_pulumi_writes(backend: FileBackend, pulumi: Run) -> None:
    """`pulumi stack import` writes the checkpoint anew; what comes back is what we had put in."""
    with backend.writer("shop", "dev", None, REAL) as writer:
        for resource in (ROOT, CLOUD, thing("a", inputs={"env": Secret([None, {"a": 1.5}])}, dependencies=(STACK,))):
            writer.finish(put=resource)
    before = backend.load("shop", "dev", lambda _: REAL)
    exported = pulumi("stack", "export", "-s", "dev", "--show-secrets", "--file", "state.json")
    assert exported.returncode == 0, exported.stderr
    imported = pulumi("stack", "import", "-s", "dev", "--file", "state.json")
    assert imported.returncode == 0, imported.stderr
    after = backend.load("shop", "dev", lambda _: REAL)
    assert before
    assert after
    assert after.snapshot == before.snapshot
    assert pulumi("stack", "init", "fresh").returncode == 0
    assert backend.stacks("shop") == ["dev", "fresh"]


def test_pulumi_respects_our_lock(backend: FileBackend, pulumi: Run) -> None:
    with backend.writer("shop", "dev", None, REAL):
        pass
    with backend.lock("shop", "dev", print):
        result = pulumi("refresh", "-s", "dev", "--yes")
        assert result.returncode != 0
        assert "currently locked by 1 lock(s)" in result.stderr + result.stdout
        assert f"(pid {os.getpid()})" in result.stderr + result.stdout
        assert pulumi("cancel", "-s", "dev", "--yes").returncode == 0
        assert backend.locks("shop", "dev") == []


PROGRAM = """
import pulumi
from pulumi import CustomTimeouts, Output, ResourceOptions
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

class Provider(ResourceProvider):
    def create(self, props):
        return CreateResult("id-" + props["name"], props)

class Thing(Resource):
    def __init__(self, name, options=None, **inputs):
        super().__init__(Provider(), name, {"name": name, **inputs}, options)

class Group(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("test:index:Group", name, {"size": 3, "token": Output.secret("t")})
        options = ResourceOptions(
            parent=self, protect=True, ignore_changes=["x"], additional_secret_outputs=["x"], hide_diffs=["x"]
        )
        self.inner = Thing("inner", options, x=1.5)
        self.register_outputs({"id": self.inner.id})

a = Thing("a", secret=Output.secret({"k": [None, 1, "<ü>"]}), whole=5.0)
options = ResourceOptions(depends_on=[a], custom_timeouts=CustomTimeouts(create="5m"), retain_on_delete=True)
Thing("b", options, other=a.id, plain=[1, {"z": "y"}])
Group("c")
pulumi.export("secret", Output.secret("x"))
"""


def test_pulumi_goes_on_from_what_we_rewrote(backend: FileBackend, pulumi: Run, tmp_path: Path) -> None:
    """A state of Pulumi's own, rewritten by us, is the same JSON; sealed anew with another key, nothing changes."""
    if not shutil.which("pulumi-language-python"):
        pytest.skip("no `pulumi-language-python` on PATH")
    project = tmp_path / "project"
    runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
    (project / "Pulumi.yaml").write_text(json.dumps({"name": "shop", "runtime": runtime}))
    (project / "__main__.py").write_text(PROGRAM)
    assert pulumi("stack", "init", "dev").returncode == 0
    result = pulumi("up", "-s", "dev", "--yes")
    assert result.returncode == 0, result.stdout + result.stderr
    file = backend.file("shop", "dev")
    before = latest(file)
    loaded = backend.load("shop", "dev", lambda _: REAL)
    assert loaded
    with backend.writer("shop", "dev", loaded, REAL) as writer:
        writer.finish(writer.begin("updating", loaded.snapshot.resources[0]))
    after = latest(file)
    assert after.pop("manifest") != before.pop("manifest")
    assert after == before, "ciphertexts too"
    other = Crypter.create("x")
    with backend.writer("shop", "dev", loaded, other):
        pass
    (project / "Pulumi.dev.yaml").write_text(f"encryptionsalt: {other.salt}\n")
    result = pulumi("preview", "-s", "dev", "--expect-no-changes", "--diff")
    assert result.returncode == 0, result.stdout + result.stderr
