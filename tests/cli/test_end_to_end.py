"""The whole way on the embedded engine, the real provider plugin and the sandbox: what people do, in their order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from baseload.planner.errors import ExitCode
from baseload.sandbox.runpod import serve

Run = Callable[..., Any]
TOKEN = "hf_0123456789abcdef"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A RunPod on loopback that the environment points to."""
    with serve() as sandbox:
        monkeypatch.setenv("RUNPOD_BASE_URL", sandbox.base_url)
        monkeypatch.setenv("RUNPOD_ENDPOINT_BASE_URL", sandbox.endpoint_base_url)
        monkeypatch.setenv("RUNPOD_API_KEY", "rpa_test")
        monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "correct horse")
        monkeypatch.setenv("BASELOAD_ENGINE", "embedded")
        yield sandbox


def edit(root: Path, old: str, new: str) -> None:
    spec = root / "model_specs" / "mistral-7b.yaml"
    text = spec.read_text()
    assert text.count(old) == 1, (old, text)
    spec.write_text(text.replace(old, new))


def changes(result: Any) -> list[tuple[str, list[tuple[str, bool]]]]:
    return [
        (item["op"], [(field["path"], field["release"]) for field in item["fields"]]) for item in result.json["changes"]
    ]


def test_the_whole_way(project: Path, cloud: Any, deploy: Run) -> None:
    assert deploy("plan", "--json").json["changes"] is None
    assert deploy("plan", "--expect-no-changes").code == ExitCode.CHANGES_FOUND, "everything would be created"
    made = deploy("up", "--yes", "--json")
    assert (made.code, made.json["changes"]["create"]) == (0, 4)
    [endpoint] = cloud.endpoints()
    assert made.json["endpoints"][0]["id"] == endpoint["id"]
    assert made.json["endpoints"][0]["url"] == f"{cloud.endpoint_base_url}/{endpoint['id']}"

    assert deploy("status", "--expect-no-changes").code == 0
    answer = deploy("invoke", "mistral-7b", "--prompt", "What will this cost?", "--json").json
    assert answer["status"] == "COMPLETED"
    assert answer["output"]
    assert answer["delay_s"] is not None
    unchanged = deploy("plan", "--expect-no-changes", "--json")
    assert (unchanged.code, unchanged.json["changes"]) == (0, [])
    assert deploy("up", "--json").code == 0, "nothing to change asks nothing"

    edit(project, "max: 3", "max: 5")
    assert changes(deploy("plan", "--json")) == [("update", [("workers.max", False)])]
    assert deploy("plan", "--expect-no-changes").code == ExitCode.CHANGES_FOUND
    assert deploy("up", "--yes").code == 0
    [scaled] = cloud.endpoints()
    assert (scaled["id"], scaled["workers"]["max"]) == (endpoint["id"], 5)
    assert deploy("status", "--json").json["models"][0]["version"] == 1

    edit(project, "max_context: 8192", "max_context: 16384")
    [(op, fields)] = changes(deploy("plan", "--json"))
    assert op == "update"
    assert all(release for _, release in fields)
    assert deploy("up", "--yes").code == 0
    [released] = cloud.endpoints()
    assert (released["id"], released["env"]["MAX_MODEL_LEN"]) == (endpoint["id"], "16384")
    assert deploy("status", "--json").json["models"][0]["version"] == 2

    assert deploy("down", "--yes", "--json").code == 0
    assert cloud.endpoints() == []
    assert deploy("status", "--json").json["models"][0]["condition"] == "not deployed"
    assert deploy("down", "--remove-stack", "--yes", "--json").json["stack_removed"] is True
    assert deploy("status").code == ExitCode.NO_SUCH_STACK
    assert deploy("plan", "--json").json["changes"] is None


def test_what_people_read(project: Path, cloud: Any, deploy: Run) -> None:
    result = deploy("up", "--yes")
    [endpoint] = cloud.endpoints()
    url = f"{cloud.endpoint_base_url}/{endpoint['id']}"
    assert result.out.startswith(f"2 created\n\nmistral-7b  {url}\n  $")
    assert result.out.endswith('Next: deploy invoke mistral-7b --prompt "..."\n')
    assert "2 to create" in result.err
    assert "mistral-7b: created after " in result.err
    status = deploy("status").out
    assert "mistral-7b  as wanted" in status
    assert "no workers" in status
    answer = deploy("invoke", "mistral-7b", "--input", '{"prompt": "hello"}')
    assert "(cold start included), ran " in answer.out
    assert "IN_QUEUE" in answer.err
    wrong = deploy("invoke", "mistral-7", "--prompt", "hello")
    assert (wrong.code, "did you mean mistral-7b?" in wrong.err) == (2, True)
    result = deploy("down", "--yes")
    assert result.out == "2 deleted\n"
    assert f"endpoint {endpoint['id']}" in result.err


def test_drift_is_told_and_mended(project: Path, cloud: Any, deploy: Run) -> None:
    deploy("up", "--yes")
    [endpoint] = cloud.endpoints()
    cloud.edit(endpoint["id"], workers={**endpoint["workers"], "max": 0})
    asleep = deploy("status", "--expect-no-changes", "--json")
    assert asleep.code == ExitCode.CHANGES_FOUND
    assert asleep.json["models"][0]["condition"] == "scaled down by RunPod"
    assert asleep.json["models"][0]["differences"] == [{"path": "workers.max", "wanted": 3, "live": 0}]
    assert "Next: deploy up --refresh" in deploy("status").out
    assert changes(deploy("plan", "--json")) == [], "without a look at RunPod nothing has changed"
    assert changes(deploy("plan", "--refresh", "--json")) == [("update", [("workers.max", False)])]
    assert deploy("up", "--refresh", "--yes").code == 0
    assert deploy("status", "--expect-no-changes").code == 0

    cloud.remove(endpoint["id"])
    assert deploy("status", "--json").json["models"][0]["condition"] == "gone"
    assert deploy("up", "--refresh", "--yes").code == 0
    assert deploy("status", "--expect-no-changes").code == 0
    (project / "model_specs" / "mistral-7b.yaml").rename(project / "model_specs" / "other.yaml")
    edit_name = (project / "model_specs" / "other.yaml").read_text().replace("name: mistral-7b", "name: other")
    (project / "model_specs" / "other.yaml").write_text(edit_name)
    models = deploy("status", "--json").json["models"]
    assert {item["name"]: item["condition"] for item in models} == {
        "other": "not deployed",
        "mistral-7b": "without a spec",
    }


ACTIVE = """\
name: mistral-7b
container: {image: "registry.example/acme/own:unhealthy"}
target:
  runpod: {gpu: ADA_24, mode: active, workers: {min: 1, max: 2}}
"""


def test_an_endpoint_that_cannot_serve_is_not_as_wanted(project: Path, cloud: Any, deploy: Run) -> None:
    spec = project / "model_specs" / "mistral-7b.yaml"
    spec.write_text(ACTIVE)
    assert deploy("up", "--yes").code == ExitCode.DEPLOY_FAILED
    sick = deploy("status", "--expect-no-changes", "--json")
    assert (sick.code, sick.json["models"][0]["condition"]) == (ExitCode.CHANGES_FOUND, "not ready")
    spec.write_text(ACTIVE.replace("unhealthy", "1"))
    assert deploy("up", "--yes").code == 0
    assert deploy("status", "--expect-no-changes").code == 0


def test_a_reviewed_plan_is_applied_or_says_what_moved(
    project: Path, cloud: Any, deploy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deploy("plan", "--out", "first.json").code == 0
    assert deploy("up", "--plan", "first.json", "--yes").code == 0, "a first plan, of a stack without state"
    edit(project, "max: 3", "max: 4")
    assert deploy("plan", "--out", "plan.json").code == 0
    edit(project, "max: 4", "max: 5")
    moved = deploy("up", "--plan", "plan.json", "--yes", "--json")
    assert (moved.code, moved.error) == (ExitCode.CHANGES_FOUND, "plan/moved")
    texts = [item["summary"] for item in moved.json["error"]["diagnostics"]]
    assert any("spec: mistral-7b changed" in text for text in texts)
    assert any("workers.max" in text for text in texts)
    assert cloud.endpoints()[0]["workers"]["max"] == 3
    edit(project, "max: 5", "max: 4")
    assert deploy("up", "--plan", "plan.json", "--yes").code == 0
    assert cloud.endpoints()[0]["workers"]["max"] == 4

    (project / "plan.json").write_text("{}")
    assert deploy("up", "--plan", "plan.json", "--json").error == "plan/document"
    (project / "plan.json").write_text("no json")
    assert deploy("up", "--plan", "plan.json", "--json").error == "plan/document"


SECRETIVE = """\
name: own
container:
  image: registry.example/acme/own:1
  env: {MODE: fast, HF_TOKEN: {secret: HF_TOKEN}}
target:
  runpod: {gpu: ADA_24}
"""

GATED = """\
name: own
model: {id: meta-llama/Llama-3.1-8B-Instruct, parameters: 8.03B, max_context: 8192, token: {secret: HF_TOKEN}}
target:
  runpod: {gpu: ADA_24}
"""


@pytest.mark.parametrize("text", [SECRETIVE, GATED], ids=["container", "model"])
def test_secrets(text: str, project: Path, cloud: Any, deploy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "model_specs" / "mistral-7b.yaml").write_text(text)
    plan = deploy("plan", "--json")
    assert plan.code == 0
    assert [item["code"] for item in plan.json["diagnostics"]].count("secret/missing") == 1
    monkeypatch.setenv("HF_TOKEN", "")
    assert deploy("plan", "--json").json["diagnostics"] == plan.json["diagnostics"], "empty counts as missing"
    refused = deploy("up", "--yes", "--json")
    assert (refused.code, refused.error) == (ExitCode.USAGE, "secret/missing")
    assert cloud.endpoints() == []

    said = ""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for arguments in (["plan", "--out", "plan.json"], ["up", "--yes"], ["plan", "--json"], ["status"]):
        result = deploy(*arguments)
        assert result.code == 0, result.err
        said += result.out + result.err
    assert cloud.endpoints()[0]["env"]["HF_TOKEN"] == TOKEN
    assert TOKEN not in said
    assert all(TOKEN.encode() not in file.read_bytes() for file in project.rglob("*") if file.is_file())

    assert deploy("plan", "--out", "plan.json").code == 0
    monkeypatch.setenv("HF_TOKEN", "another")
    moved = deploy("up", "--plan", "plan.json", "--yes", "--json")
    assert moved.code == ExitCode.CHANGES_FOUND
    texts = " ".join(item["summary"] for item in moved.json["error"]["diagnostics"])
    assert "secret: own.env.HF_TOKEN has another value" in texts
    monkeypatch.delenv("HF_TOKEN")
    plan = deploy("plan", "--json")
    assert (plan.code, changes(plan)) == (0, [("update", [("env", True)])]), "unknown, so it may change"


TOUCHING = (["plan"], ["up", "--yes"], ["status"], ["invoke", "mistral-7b", "--prompt", "x"], ["down", "--yes"])


def test_a_stack_is_not_touched_on_another_cloud(
    project: Path, cloud: Any, deploy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy("up", "--yes")
    with serve() as other:
        monkeypatch.setenv("RUNPOD_BASE_URL", other.base_url)
        for arguments in TOUCHING:
            result = deploy(*arguments, "--json")
            assert (result.code, result.error) == (ExitCode.USAGE, "cloud/other")
            summary = result.json["error"]["diagnostics"][0]["summary"]
            assert cloud.base_url in summary
            assert other.base_url in summary
        assert other.calls == []
    monkeypatch.delenv("RUNPOD_BASE_URL")
    monkeypatch.delenv("BASELOAD_ENGINE")
    monkeypatch.setenv("PATH", str(project))
    monkeypatch.setenv("HOME", str(project))
    for arguments in TOUCHING:
        forgotten = deploy(*arguments, "--json")
        assert forgotten.error == "cloud/other", "said before that there is no engine for a real cloud"
        assert "--sandbox" in forgotten.json["error"]["diagnostics"][0]["hint"]


def test_nothing_happens_without_consent(project: Path, cloud: Any, deploy: Run) -> None:
    for arguments in (["up"], ["up", "--json"], None, ["down"], ["down", "--json"]):
        if arguments is None:
            assert deploy("up", "--yes").code == 0
            continue
        before = cloud.endpoints()
        result = deploy(*arguments)
        assert result.code == ExitCode.USAGE
        assert "--yes" in result.out + result.err
        assert cloud.endpoints() == before


def test_nothing_happens_without_a_key(project: Path, cloud: Any, deploy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNPOD_API_KEY")
    result = deploy("up", "--yes", "--json")
    assert (result.code, result.error) == (ExitCode.CREDENTIALS, "runpod/no-key")
    assert cloud.calls == []
    assert deploy("up", "--sandbox", "--yes").code == 0, "the sandbox needs none"


@pytest.mark.parametrize(("status", "code"), [(401, "runpod/unauthorized"), (403, "runpod/forbidden")])
def test_a_key_without_rights_is_not_a_failed_deployment(
    status: int, code: str, project: Path, cloud: Any, deploy: Run
) -> None:
    cloud.fault("status", method="POST", path="/v2/serverless", status=status, detail="no")
    result = deploy("up", "--yes", "--json")
    assert (result.code, result.error) == (ExitCode.CREDENTIALS, code)
    assert cloud.endpoints() == []


def test_a_breached_limit_stops_plan_and_up(project: Path, cloud: Any, deploy: Run) -> None:
    edit(project, "monthly_usd: 300", "monthly_usd: 1")
    plan = deploy("plan", "--json")
    assert plan.code == ExitCode.LIMIT_BREACHED
    assert plan.json["models"][0]["limits"][0]["verdict"] == "breached"
    result = deploy("up", "--yes", "--json")
    assert (result.code, result.error) == (ExitCode.LIMIT_BREACHED, "plan/limit")
    assert cloud.endpoints() == []


def test_a_deployment_that_fails(project: Path, cloud: Any, deploy: Run) -> None:
    cloud.switch(quota=1)
    result = deploy("up", "--yes", "--json")
    assert result.code == ExitCode.DEPLOY_FAILED
    assert result.error
    assert "creating failed" in deploy("up", "--yes").err


@pytest.mark.parametrize(
    ("answers", "code", "made"),
    [
        ({"[y/N]": "n"}, ExitCode.CANCELLED, 0),
        ({"[y/N]": "y", "New passphrase": "horse", "The same again": "horse"}, 0, 1),
        ({"[y/N]": "y", "New passphrase": "horse", "The same again": "house"}, ExitCode.USAGE, 0),
    ],
    ids=["no", "yes", "mistyped"],
)
def test_a_person_is_asked(
    answers: dict[str, str], code: int, made: int, project: Path, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pty

    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from baseload.cli.main import main; sys.exit(main(['up']))"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
        cwd=project,
    )
    os.close(terminal)
    seen = b""
    for question, answer in answers.items():
        seen += _read_until(controller, question.encode())
        os.write(controller, f"{answer}\n".encode())
    seen += _read_until(controller, None)
    os.close(controller)
    assert process.wait() == code
    assert len(cloud.endpoints()) == made
    if made:
        assert b"elapsed" in seen, "a live table"
        assert b"created" in seen
    elif code == ExitCode.CANCELLED:
        assert b"nothing was changed" in seen
    assert b"horse" not in seen, "a passphrase is typed unseen"


def _read_until(descriptor: int, text: bytes | None) -> bytes:
    """Everything up to `text`; up to the end where it is None."""
    seen = b""
    while text is None or text not in seen:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # Linux answers EIO once the other side is closed
            return seen
        if not chunk:
            return seen
        seen += chunk
    return seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_ends_with_8_and_goes_on_later(
    number: signal.Signals, project: Path, cloud: Any, deploy: Run
) -> None:
    cloud.switch(cold_start_s=3600)
    edit(project, "mode: flex", "mode: active")
    edit(project, "min: 0", "min: 1")
    edit(project, "monthly_usd: 300", "monthly_usd: 3000")
    command = [sys.executable, "-c", "import sys; from baseload.cli.main import main; sys.exit(main(['up', '-y']))"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=project)
    assert process.stderr
    while b"initializing 1" not in (line := process.stderr.readline()):
        assert line, "it waits for its worker"
    process.send_signal(number)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == ExitCode.CANCELLED, complaint
    assert b"Traceback" not in complaint
    cloud.switch(cold_start_s=0)
    cloud.advance(3600)
    assert deploy("up", "--yes").code == 0
    assert len(cloud.endpoints()) == 1
    assert deploy("status", "--expect-no-changes").code == 0


def test_the_sandbox_starts_by_itself_and_stops(project: Path, process: Run) -> None:
    env = {"PULUMI_CONFIG_PASSPHRASE": "x", "BASELOAD_ENGINE": "embedded"}
    try:
        assert process("sandbox", "status", cwd=project).code == ExitCode.ERROR
        assert process("up", "--sandbox", "--yes", cwd=project, env=env).code == 0
        running = process("sandbox", "status", "--json", cwd=project).json["runpod"]
        assert process("sandbox", "stop", cwd=project).code == 0
        again = process("sandbox", "start", "--json", cwd=project).json["runpod"]
        assert again == running, "a stack remembers the address"
        assert set(again) == {"base_url", "endpoint_base_url"}
        assert process("status", "--sandbox", "--expect-no-changes", cwd=project, env=env).code == 0
        assert process("down", "--sandbox", "--yes", cwd=project, env=env).code == 0
        assert "running at" in process("doctor", "--sandbox", cwd=project, env=env).out
    finally:
        server = json.loads((project / ".baseload" / "sandbox" / "server.json").read_text())
        assert process("sandbox", "stop", cwd=project).code == 0
    deadline = time.monotonic() + 10
    while Path(f"/proc/{server['pid']}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{server['pid']}").exists()
