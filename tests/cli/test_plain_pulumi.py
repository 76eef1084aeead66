"""With a Pulumi CLI: plain `pulumi up` and `deploy` are two ways to the same stack. Without one these tests skip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from baseload.engine.choose import find
from baseload.sandbox.runpod import serve

ROOT = Path(__file__).parents[2]
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def pulumi() -> Path:
    found = find()
    if found is None:
        pytest.skip("there is no Pulumi CLI on this machine: `deploy engine install` fetches one")
    return found


@pytest.fixture
def cloud() -> Iterator[Any]:
    with serve() as sandbox:
        yield sandbox


@pytest.fixture
def environment(cloud: Any, pulumi: Path, tmp_path: Path) -> dict[str, str]:
    """No activated environment: PATH has the CLI and the system's own commands, nothing of ours."""
    return {
        "PATH": os.pathsep.join((str(pulumi.parent), "/usr/bin", "/bin")),
        "HOME": str(tmp_path),
        "PULUMI_HOME": str(tmp_path / "pulumi-home"),
        "PULUMI_CONFIG_PASSPHRASE": "correct horse",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "RUNPOD_BASE_URL": cloud.base_url,
        "RUNPOD_ENDPOINT_BASE_URL": cloud.endpoint_base_url,
        "RUNPOD_API_KEY": "rpa_test",
    }


def test_plain_pulumi_on_a_new_project(
    project: Path,
    cloud: Any,
    pulumi: Path,
    environment: Mapping[str, str],
    deploy: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    up_and_compare(project, cloud, pulumi, environment, deploy, monkeypatch)


def test_plain_pulumi_on_this_repository(
    tmp_path: Path,
    cloud: Any,
    pulumi: Path,
    environment: Mapping[str, str],
    deploy: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = tmp_path / "repository"
    for folder in ("stacks", "model_specs"):
        shutil.copytree(ROOT / folder, copy / folder)
    shutil.copy(ROOT / "Pulumi.yaml", copy)
    (copy / "state").mkdir()
    (copy / ".venv").symlink_to(sys.prefix)
    up_and_compare(copy, cloud, pulumi, environment, deploy, monkeypatch)


def up_and_compare(
    root: Path,
    cloud: Any,
    pulumi: Path,
    environment: Mapping[str, str],
    deploy: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(*arguments: str) -> None:
        command = [str(pulumi), "--non-interactive", *arguments, "--stack", "dev"]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    subprocess.run([pulumi, "stack", "init", "dev", "--no-select"], cwd=root, env=environment, check=True)
    run("preview")
    assert cloud.endpoints() == []
    run("up", "--yes", "--skip-preview")
    assert cloud.endpoints()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for engine in ("pulumi", "embedded"):
        result = deploy("-C", str(root), "plan", "--expect-no-changes", "--engine", engine, "--json")
        assert result.json["changes"] == [], engine
    run("destroy", "--yes", "--skip-preview")
    assert cloud.endpoints() == []
