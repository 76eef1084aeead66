"""One stack at a time, run by either engine against the `lab` provider, and written down for comparison.

Normalising drops only times, source positions, UUIDs of providers, ciphertexts (plaintext and the fact of being
encrypted are compared) and who wrote the file. The ids of `lab` need no normalising.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from baseload.engine import choose
from baseload.engine.files.secrets import Crypter
from baseload.engine.interface import Engine, Message, StackRef, StepStarted, Summary
from baseload.planner.errors import BaseloadError

HERE = Path(__file__).parent
PASSPHRASE = "conformance"
NO_CLI = "no Pulumi CLI on PATH: only the embedded engine is tested, against what the CLI did when it was recorded"
DROPPED = ("created", "modified", "sourcePosition", "stackTrace")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"conformance_{name}", HERE / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


LAB = _load("lab")
_load("scenarios")


@pytest.fixture(scope="session")
def crypter() -> Crypter:
    """One key for all stacks of the suite: deriving it anew for each would take most of the time."""
    return Crypter.create(PASSPHRASE)


@pytest.fixture(scope="session")
def _served() -> Iterator[tuple[Any, int]]:
    lab = LAB.Lab()
    server, port = LAB.serve(lab)
    yield lab, port
    lab.released.set()
    server.stop(0).wait()


@pytest.fixture
def lab(_served: tuple[Any, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    served, port = _served
    served.reset()
    for name, text in {
        "PULUMI_DEBUG_PROVIDERS": f"lab:{port}",
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_HOME": str(tmp_path / "pulumi-home"),
    }.items():
        monkeypatch.setenv(name, text)
    return served


def engines() -> list[Any]:
    """Both engines as parameters; the CLI's skips, saying so, where there is none."""
    absent = pytest.mark.skipif(not shutil.which("pulumi"), reason=NO_CLI)
    return [pytest.param("embedded"), pytest.param("pulumi", marks=absent)]


class Bench:
    """One stack in a folder of its own, worked on by any engine."""

    def __init__(self, root: Path, lab: Any, crypter: Crypter) -> None:
        self.lab = lab
        self.crypter = crypter
        self.stack = StackRef(root=root, project="demo", stack="dev")
        self.file = root / "state/.pulumi/stacks/demo/dev.json"
        self.messages: list[Message] = []
        self._engines: dict[str, Engine] = {}
        root.mkdir()
        (root / "state").mkdir()
        (root / "Pulumi.yaml").write_text("name: demo\nruntime: python\nbackend: {url: 'file://./state'}\n")
        self.configure({})

    def configure(self, config: dict[str, Any]) -> None:
        settings = {"encryptionsalt": self.crypter.salt, **({"config": config} if config else {})}
        (self.stack.root / "Pulumi.dev.yaml").write_text(json.dumps(settings))

    def engine(self, name: str) -> Engine:
        if name not in self._engines:
            self._engines[name] = choose.choose(name, sandbox=True)
        return self._engines[name]

    def run(self, engine: str, stage: dict[str, Any]) -> dict[str, Any]:
        """Do what the stage says and write down everything that came of it."""
        self.prepare(stage)
        events: list[Any] = []
        steps: list[StepStarted] | None = None
        record: dict[str, Any] = {"do": stage["do"]}
        try:
            outcome = self._do(self.engine(engine), stage, events.append)
            record["outputs"] = dict(outcome.outputs)
            assert [event for event in events if isinstance(event, Summary)][-1].counts == outcome.counts
            record["counts"] = {str(op): count for op, count in sorted(outcome.counts.items())}
            steps = list(outcome.steps)
        except (BaseloadError, LookupError) as error:
            diagnostics = getattr(error, "diagnostics", ())
            told = sorted(f"{item.code}: {item.summary.partition(' could not be ')[0]}" for item in diagnostics)
            record["error"] = [type(error).__name__, *told]
        if steps is None:  # it failed: there is no outcome
            steps = [event for event in events if isinstance(event, StepStarted)]
        self.messages = [event for event in events if isinstance(event, Message)]
        record["steps"] = sorted(
            [str(event.op), short(event.urn), {f.path: [f.old, f.new, f.replaces] for f in event.fields}]
            for event in steps
        )
        record["calls"] = self._calls()
        record["cloud"] = {key: dict(value) for key, value in sorted(self.lab.objects.items())}
        record["state"] = self.state()
        return dict(LAB.whole(json.loads(json.dumps(record))))

    def prepare(self, stage: dict[str, Any]) -> None:
        self.lab.calls.clear()
        self.lab.faults.update({key: list(value) for key, value in stage.get("faults", {}).items()})
        if "config" in stage:
            self.configure(stage["config"])
        for identity, value in stage.get("drift", {}).items():
            if value is None:
                del self.lab.objects[identity]
            else:
                self.lab.objects[identity] = {**self.lab.objects.get(identity, {}), **value}
        for name, fields in stage.get("edit", {}).items():
            self._edit(name, fields)

    def _edit(self, name: str, fields: dict[str, Any]) -> None:
        document = json.loads(self.file.read_text())
        for resource in document["checkpoint"]["latest"]["resources"]:
            if resource["urn"].endswith(f"::{name}"):
                resource.update(fields)
        if "taint" in fields:
            document.update(version=4, features=["taint"])
        self.file.write_text(json.dumps(document))

    def _do(self, engine: Engine, stage: dict[str, Any], on_event: Callable[[Any], None]) -> Any:
        def program() -> None:
            LAB.declare(stage["program"])

        match stage["do"]:
            case "up":
                return engine.up(self.stack, program, on_event, refresh=stage.get("refresh", False))
            case "preview":
                return engine.preview(self.stack, program, on_event, refresh=stage.get("refresh", False))
            case "refresh":
                return engine.refresh(self.stack, on_event, dry_run=stage.get("dry", False))
            case "destroy":
                return engine.destroy(self.stack, on_event, remove=stage.get("remove", False))
        raise ValueError(stage["do"])

    def kill(self, engine: str, stage: dict[str, Any]) -> None:
        """Start the stage in a process of its own and kill -9 it once a call hangs."""
        self.prepare(stage)
        self.lab.hanging.clear()
        self.lab.released.clear()
        told = {"engine": engine, "root": str(self.stack.root), "verb": stage["do"], "program": stage.get("program")}
        process = subprocess.Popen(
            [sys.executable, str(HERE / "lab.py")], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        assert process.stdin
        process.stdin.write(json.dumps(told))
        process.stdin.close()
        assert self.lab.hanging.wait(60), "the call was never made"
        children = _children(process.pid)
        for child in children:
            os.kill(child, signal.SIGKILL)
        process.kill()
        process.wait()
        while any(map(_alive, children)):  # dying takes a moment, and nobody here is their parent
            time.sleep(0.01)
        self.lab.released.set()

    def _calls(self) -> dict[str, list[Any]]:
        """What each resource's provider was asked, in order; between resources the order is nobody's promise."""
        calls: dict[str, list[Any]] = {}
        for call in self.lab.calls:
            calls.setdefault(short(call["urn"]), []).append({k: v for k, v in call.items() if k not in ("urn", "type")})
        for asked in calls.values():  # the two halves of a replace are deleted in either order
            if all(call["method"] == "delete" for call in asked):
                asked.sort(key=lambda call: str(call["id"]))
        return dict(sorted(calls.items()))

    def state(self) -> Any:
        """The checkpoint, comparable; None where there is no stack."""
        return self.read(self.file)

    def read(self, file: Path) -> Any:
        """A checkpoint, comparable; None where there is none."""
        if not file.exists():
            return None
        document = json.loads(file.read_text())
        latest = document["checkpoint"].get("latest") or {}
        salt = ((latest.get("secrets_providers") or {}).get("state") or {}).get("salt")
        if salt and salt != self.crypter.salt:
            self.crypter = Crypter.open(salt, PASSPHRASE)
        resources = [self._resource(item) for item in latest.get("resources") or ()]
        return {
            "version": document["version"],
            "features": document.get("features"),
            "stack": document["checkpoint"]["stack"],
            "secrets_providers": (latest.get("secrets_providers") or {}).get("type"),
            "metadata": latest.get("metadata"),
            "resources": sorted(resources, key=lambda item: (item["urn"], bool(item.get("delete")))),
            "pending": [
                {"type": item["type"], "resource": self._resource(item["resource"])}
                for item in latest.get("pending_operations") or ()
            ],
        }

    def _resource(self, item: dict[str, Any]) -> dict[str, Any]:
        kept = {key: self._open(value) for key, value in item.items() if key not in DROPPED}
        if item["type"].startswith("pulumi:providers:"):
            kept["id"] = "uuid"
        if "provider" in kept:
            kept["provider"] = UUID.sub("uuid", kept["provider"])
        return kept

    def _open(self, value: Any) -> Any:
        if isinstance(value, dict):
            if value.get(LAB.SIGNATURE) == LAB.SECRET:
                return {"$secret": json.loads(self.crypter.decrypt(value["ciphertext"]))}
            return {key: self._open(child) for key, child in value.items()}
        return [self._open(child) for child in value] if isinstance(value, list) else value


def short(urn: str) -> str:
    """Type and name of a URN."""
    return urn.split("::", 2)[-1]


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


def _alive(pid: int) -> bool:
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.strip()[:1] not in ("", "Z")


@pytest.fixture
def bench(tmp_path: Path, lab: Any, crypter: Crypter) -> Bench:
    return Bench(tmp_path / "project", lab, crypter)


@pytest.fixture
def make_bench(tmp_path: Path, lab: Any, crypter: Crypter) -> Callable[[], Bench]:
    """One new stack after the other."""
    numbers = itertools.count()

    def make() -> Bench:
        lab.reset()
        return Bench(tmp_path / f"project{next(numbers)}", lab, crypter)

    return make


@pytest.fixture
def recorded(request: pytest.FixtureRequest) -> Callable[[str, str, Any], None]:
    """Compare with what the real CLI did: it writes the recording (with --update-goldens), the embedded one never."""
    update = bool(request.config.getoption("--update-goldens"))

    def check(name: str, engine: str, records: Any) -> None:
        file = HERE / "recorded" / f"{name}.json"
        if update and engine == "pulumi":
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            return
        wanted = json.loads(file.read_text(encoding="utf-8"))
        found = list(LAB.differences(wanted, records))
        if found:
            pytest.fail("\n".join(["recorded of the real CLI != now", *found]), pytrace=False)

    return check


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", engines())
