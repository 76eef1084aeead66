"""What surrounds the real CLI: processes, passphrases, locks, signals, files that must not change."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from baseload.engine.interface import Message, Op, Status, StepFailed
from baseload.engine.pulumi import PulumiEngine
from baseload.planner.errors import BaseloadError, Cancelled, DeployError, NoSuchStack, UsageError

CLI = shutil.which("pulumi")
pytestmark = pytest.mark.skipif(not CLI, reason="no Pulumi CLI on PATH")

A = {"resources": [{"name": "a", "props": {"size": 1, "password": {"$secret": "hush-hush"}}}]}
BOTH = {"resources": [{"name": "a", "props": {"size": 1}}, {"name": "b", "opts": {"depends_on": ["a"]}}]}


def ignore(event: Any) -> None:
    pass


@pytest.fixture
def program(bench: Any) -> Callable[[dict[str, Any]], Callable[[], None]]:
    from conformance_lab import declare

    return lambda document: lambda: declare(document)


@pytest.fixture
def counted(tmp_path: Path) -> Any:
    """The CLI behind a script that notes every process: its arguments."""

    class Counted(PulumiEngine):
        def processes(self) -> list[str]:
            noted = log.read_text().splitlines() if log.exists() else []
            log.unlink(missing_ok=True)
            return noted

    log, script = tmp_path / "processes", tmp_path / "cli" / "pulumi"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\necho \"$*\" >> '{log}'\nexec '{CLI}' \"$@\"\n")
    script.chmod(0o755)
    return Counted(script)


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def code(error: BaseloadError) -> list[str]:
    return [item.code for item in error.diagnostics]


def test_one_operation_is_one_process_and_tells_no_secret(bench: Any, program: Any, counted: Any) -> None:
    counted.up(bench.stack, program(A), ignore)
    version, init, up = counted.processes()
    assert "version" in version
    assert "stack init dev --no-select" in init
    assert " up " in up
    assert "hush-hush" not in up
    for work in (
        lambda: counted.up(bench.stack, program(A), ignore),
        lambda: counted.preview(bench.stack, program(A), ignore, refresh=True),
        lambda: counted.refresh(bench.stack, ignore),
        lambda: counted.destroy(bench.stack, ignore),
    ):
        work()
        assert len(counted.processes()) == 1
    counted.exists(bench.stack)
    counted.resources(bench.stack)
    counted.outputs(bench.stack)
    assert counted.processes() == []


def test_a_preview_of_a_new_stack_writes_nothing_and_needs_no_passphrase(
    bench: Any, program: Any, counted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.stack.root / "Pulumi.dev.yaml").unlink()
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    before = files(bench.stack.root)
    outcome = counted.preview(bench.stack, program(A), ignore)
    assert outcome.counts == {Op.CREATE: 2}
    assert files(bench.stack.root) == before
    assert not counted.exists(bench.stack)


def test_a_preview_leaves_a_missing_settings_file_missing(bench: Any, program: Any, counted: Any) -> None:
    counted.up(bench.stack, program(A), ignore)
    (bench.stack.root / "Pulumi.dev.yaml").unlink()
    before = files(bench.stack.root)
    assert counted.preview(bench.stack, program(A), ignore).counts == {Op.SAME: 2}
    assert files(bench.stack.root) == before


def test_a_lost_salt_is_put_back(bench: Any, program: Any, counted: Any) -> None:
    counted.up(bench.stack, program(A), ignore)
    before = bench.file.read_text()
    (bench.stack.root / "Pulumi.dev.yaml").write_text("config: {}\n")
    counted.up(bench.stack, program(A), ignore)
    assert bench.crypter.salt in (bench.stack.root / "Pulumi.dev.yaml").read_text()
    assert bench.crypter.salt in bench.file.read_text()
    assert bench.crypter.salt in before


def test_without_a_passphrase_no_process_starts(
    bench: Any, program: Any, counted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    with pytest.raises(UsageError) as caught:
        counted.up(bench.stack, program(A), ignore)
    assert code(caught.value) == ["engine/passphrase"]
    assert counted.processes() == []


def test_a_passphrase_is_asked_for_once_and_twice_for_a_new_stack(
    bench: Any, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return "conformance"

    engine = PulumiEngine(Path(str(CLI)), ask=ask)
    engine.up(bench.stack, program(A), ignore)
    engine.up(bench.stack, program(A), ignore)
    assert len(asked) == 2


def test_a_wrong_passphrase_is_named(bench: Any, program: Any, counted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    counted.up(bench.stack, program(A), ignore)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "another")
    with pytest.raises(UsageError) as caught:
        PulumiEngine(Path(str(CLI))).up(bench.stack, program(A), ignore)
    assert code(caught.value) == ["engine/passphrase-wrong"]


def lock(bench: Any, pid: int, host: str) -> Path:
    file = bench.stack.root / "state/.pulumi/locks/organization/demo/dev/9c1ab2d4-0000-4000-8000-000000000000.json"
    file.parent.mkdir(parents=True)
    holder = {"pid": pid, "username": "ann", "hostname": host, "timestamp": "2026-11-22T10:00:00.123456789Z"}
    file.write_text(json.dumps(holder))
    return file


def test_a_lock_of_somebody_else_stops_before_any_process(bench: Any, program: Any, counted: Any) -> None:
    lock(bench, 4711, "elsewhere")
    with pytest.raises(DeployError, match="ann@elsewhere, pid 4711") as caught:
        counted.up(bench.stack, program(A), ignore)
    assert code(caught.value) == ["engine/locked"]
    assert counted.processes() == []
    counted.cancel(bench.stack)
    assert counted.up(bench.stack, program(A), ignore).changes


def test_a_lock_of_a_dead_process_is_taken_over(bench: Any, program: Any, counted: Any) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    lock(bench, process.pid, socket.gethostname())
    events: list[Any] = []
    assert counted.up(bench.stack, program(A), events.append).changes
    assert any("process that is gone" in event.text for event in events if isinstance(event, Message))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_operation_in_order(bench: Any, program: Any, counted: Any, number: int) -> None:
    bench.prepare({"faults": {"create b": ["hang"]}})
    bench.lab.released.clear()

    def interrupt() -> None:
        assert bench.lab.hanging.wait(30)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    before = signal.getsignal(number)
    with pytest.raises(Cancelled):
        counted.up(bench.stack, program(BOTH), ignore)
    thread.join()
    assert signal.getsignal(number) is before
    assert bench.lab.released.is_set(), "the provider was not told to cancel"
    assert not list((bench.stack.root / "state/.pulumi/locks").rglob("*.json"))
    assert [view.name for view in counted.resources(bench.stack) if view.id == "a-1"] == ["a"]
    assert counted.up(bench.stack, program(BOTH), ignore).counts == {Op.SAME: 2, Op.CREATE: 1}
    assert sorted(bench.lab.objects) == ["a-1", "b-1"]


def test_what_a_listener_raises_stops_the_cli_and_is_raised(bench: Any, program: Any, counted: Any) -> None:
    def listen(event: Any) -> None:
        raise BrokenPipeError("nobody reads")

    with pytest.raises(BrokenPipeError, match="nobody reads"):
        counted.up(bench.stack, program(BOTH), listen)


def test_a_program_that_fails_is_told_with_its_place(bench: Any, counted: Any) -> None:
    def broken() -> None:
        raise LookupError("no such model")

    with pytest.raises(BaseloadError, match="LookupError: no such model") as caught:
        counted.up(bench.stack, broken, ignore)
    assert code(caught.value) == ["engine/program"]

    def refused() -> None:
        raise UsageError.of("spec/broken", "it is broken")

    with pytest.raises(UsageError, match="it is broken"):
        counted.up(bench.stack, refused, ignore)


def test_an_apply_that_fails_is_told_with_its_reason(bench: Any, counted: Any) -> None:
    def broken() -> None:
        import pulumi

        pulumi.export("x", pulumi.Output.from_input(1).apply(lambda one: one / 0))

    with pytest.raises(BaseloadError, match="ZeroDivisionError"):
        counted.up(bench.stack, broken, ignore)


def test_keys_of_the_environment_are_cut_out_of_what_goes_wrong(
    bench: Any, program: Any, counted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "no room")
    bench.prepare({"faults": {"create a": ["fail"]}})
    events: list[Any] = []
    with pytest.raises(DeployError, match=r"a could not be created: \[secret\] for a"):
        counted.up(bench.stack, program(A), events.append)
    assert any(isinstance(event, StepFailed) for event in events)


def test_a_provider_s_passing_remarks_are_status(bench: Any, program: Any, counted: Any) -> None:
    events: list[Any] = []
    bench.lab.remarks["a"] = ["waiting for a worker", "running 1"]
    counted.up(bench.stack, program(A), events.append)
    said = [(event.urn.rsplit("::", 1)[-1], event.text) for event in events if isinstance(event, Status)]
    assert said == [("a", "waiting for a worker"), ("a", "running 1")]


def test_a_state_only_the_cli_can_read(bench: Any, program: Any, counted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_DIY_BACKEND_GZIP", "true")
    assert not counted.exists(bench.stack)
    counted.up(bench.stack, program(A), ignore)
    (state,) = bench.file.parent.glob("dev.json*.gz")
    assert state.read_bytes()[:2] == b"\x1f\x8b"
    assert counted.exists(bench.stack)
    view = next(view for view in counted.resources(bench.stack) if view.name == "a")
    assert view.inputs == {"size": 1, "kind": "standard", "password": "[secret]"}
    assert counted.preview(bench.stack, program(A), ignore).counts == {Op.SAME: 2}
    counted.destroy(bench.stack, ignore, remove=True)
    assert not counted.exists(bench.stack)


def test_a_stack_that_is_not_there(bench: Any, counted: Any) -> None:
    for work in (counted.refresh, counted.destroy):
        with pytest.raises(NoSuchStack):
            work(bench.stack, ignore)
    assert counted.resources(bench.stack) == ()
    assert counted.outputs(bench.stack) == {}
    assert counted.processes() == []
