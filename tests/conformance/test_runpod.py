"""Both engines with the real provider `baseload-runpod` against RunPod on loopback, and plain `pulumi` beside them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conformance_lab import differences

from baseload.cli import scaffold
from baseload.components import build
from baseload.engine import choose
from baseload.engine.interface import Op, Outcome, StackRef
from baseload.planner.spec import find, load
from baseload.sandbox.runpod import Sandbox, serve

SPEC = """
name: echo
container:
  image: registry.example/acme/echo:{version}
  env: {{MODE: fast, TOKEN: {{secret: ECHO_TOKEN}}}}
  disk_gb: 10
traffic: {{requests_per_day: 100}}
performance: {{service_time: 1s, service_time_cv: 1, cold_start: 5s}}
target:
  runpod:
    gpu: AMPERE_24
    mode: active
    workers: {{min: 1, max: {most}}}
    idle_timeout: 30s
    scaling: {{queue_delay: 4s}}
"""
KEY, TOKEN = "sandbox-key", "a token nobody may see"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with serve() as running:
        running.switch(cold_start_s=0.02, service_time_s=0.0)
        yield running


class Project:
    """What `deploy init` makes, with a spec that a test changes, on a sandbox."""

    def __init__(self, root: Path, sandbox: Sandbox) -> None:
        self.root = root
        self.environment = {
            "RUNPOD_API_KEY": KEY,
            "RUNPOD_BASE_URL": sandbox.base_url,
            "RUNPOD_ENDPOINT_BASE_URL": sandbox.endpoint_base_url,
            "ECHO_TOKEN": TOKEN,
        }
        self.ref = StackRef(root=root, project="shop", stack="dev", environment=self.environment)
        for name, text in scaffold.contents("shop", sys.prefix).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        (root / "model_specs/mistral-7b.yaml").unlink()

    def spec(self, *, version: int = 1, most: int = 2) -> None:
        (self.root / "model_specs/echo.yaml").write_text(SPEC.format(version=version, most=most))

    def program(self) -> None:
        build(load(find(self.root)))

    def cloud(self) -> list[dict[str, Any]]:
        with httpx.Client(headers={"Authorization": f"Bearer {KEY}"}, trust_env=False) as client:
            answer = client.get(f"{self.environment['RUNPOD_BASE_URL']}/serverless").raise_for_status().json()
        return list(answer["endpoints"])


@pytest.fixture
def make_project(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Project]:
    for name, text in {
        "PULUMI_CONFIG_PASSPHRASE": "conformance",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_HOME": str(tmp_path / "pulumi-home"),
        "ECHO_TOKEN": TOKEN,
    }.items():
        monkeypatch.setenv(name, text)
    return lambda name: Project(tmp_path / name, sandbox)


def life(name: str, project: Project, bench: Any) -> list[Any]:
    """Make an endpoint, scale it, release a new image, end it; everything that came of each step."""
    engine = choose.choose(name, sandbox=True)
    records: list[Any] = []

    def note(outcome: Outcome) -> None:
        state = bench.read(project.root / "state/.pulumi/stacks/shop/dev.json")
        records.append(
            {
                "steps": sorted(
                    [str(step.op), step.urn, [[f.path, f.old, f.new, f.replaces] for f in step.fields]]
                    for step in outcome.steps
                ),
                "counts": {str(op): count for op, count in sorted(outcome.counts.items())},
                "outputs": outcome.outputs,
                "state": state,
                "cloud": project.cloud(),
            }
        )

    for change in ({}, {"most": 3}, {"most": 3, "version": 2}):
        project.spec(**change)
        note(engine.preview(project.ref, project.program, lambda event: None))
        note(engine.up(project.ref, project.program, lambda event: None))
        again = engine.preview(project.ref, project.program, lambda event: None, refresh=True)
        assert not again.changes, again.steps
    note(engine.destroy(project.ref, lambda event: None))
    assert project.cloud() == []
    return list(_anonymous(records))


@pytest.mark.skipif(not shutil.which("pulumi"), reason="no Pulumi CLI on PATH to compare with")
def test_an_endpoint_lives_the_same_life_on_both_engines(make_project: Callable[[str], Project], bench: Any) -> None:
    wanted, found = (life(name, make_project(name), bench) for name in choose.NAMES)
    different = list(differences(wanted, found))
    assert not different, "\n".join(different)


def _anonymous(records: list[Any]) -> Any:
    """Without what RunPod, the clock and chance decide: ids, what is made of them, ports and times."""
    text = json.dumps(records)
    text = re.sub(r"http://127\.0\.0\.1:\d+", "http://loopback", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|\+00:00)", "(time)", text)
    names: dict[str, str] = {}
    for record in records:
        for resource in (record["state"] or {}).get("resources", ()):
            outputs = resource.get("outputs", {})
            for name in ("endpointId", "marker", "owner"):
                if name in outputs:
                    names[str(outputs[name])] = f"({name})"
            if "remoteName" in outputs:
                names[outputs["remoteName"].rpartition("-")[2]] = "(suffix)"
    for value, name in sorted(names.items(), key=lambda item: -len(item[0])):
        text = text.replace(value, name)
    return json.loads(text)


LANGUAGE_HOST = pytest.mark.skipif(
    not (shutil.which("pulumi") and shutil.which("pulumi-language-python")),
    reason="no Pulumi CLI with its Python language host on PATH",
)


@LANGUAGE_HOST
@pytest.mark.parametrize("name", choose.NAMES)
def test_what_plain_pulumi_made_is_unchanged_for_deploy(name: str, make_project: Callable[[str], Project]) -> None:
    project = make_project(name)
    project.spec()
    _pulumi(project, "stack", "init", "dev")
    assert "to create" in _pulumi(project, "preview", "--stack", "dev")
    assert project.cloud() == []
    _pulumi(project, "up", "--yes", "--skip-preview", "--stack", "dev")
    assert len(project.cloud()) == 1
    engine = choose.choose(name, sandbox=True)
    outcome = engine.preview(project.ref, project.program, lambda event: None)
    assert set(outcome.counts) == {Op.SAME}, outcome.steps
    engine.up(project.ref, project.program, lambda event: None)
    assert "unchanged" in _pulumi(project, "preview", "--stack", "dev", "--expect-no-changes")
    state = (project.root / "state/.pulumi/stacks/shop/dev.json").read_text()
    assert TOKEN not in state
    assert KEY not in state


def _pulumi(project: Project, *args: str) -> str:
    """The CLI as a user runs it, without an activated environment."""
    cli = Path(str(shutil.which("pulumi"))).parent
    system = os.pathsep.join(
        path for path in os.environ["PATH"].split(os.pathsep) if not Path(path).is_relative_to(sys.prefix)
    )
    environment = {**os.environ, **project.environment, "PATH": f"{cli}{os.pathsep}{system}"}
    command = [str(cli / "pulumi"), "--non-interactive", *args]
    process = subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout
