"""The real `main()` in this process, or the real command in one of its own, in a project made by `deploy init`."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from baseload.cli.main import main

SCHEMAS = {
    f"baseload.{name}/1": files("baseload.planner") / f"{name}.schema.json"
    for name in ("plan", "compare", "simulate", "replay", "traffic")
}
DEPLOY = Path(sysconfig.get_path("scripts")) / "deploy"


@dataclass(frozen=True)
class Result:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """stdout as the one document it must be, valid by its JSON Schema where `deploy schema --of` has one."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        if document.get("schema") in SCHEMAS:
            _validator(document["schema"]).validate(document)
        return document

    @property
    def error(self) -> str:
        """Code of the error document."""
        document = self.json
        assert document["schema"] == "baseload.error/1"
        assert document["error"]["exit_code"] == self.code
        return str(document["error"]["code"])


Run = Callable[..., Result]


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMAS[name].read_text(encoding="utf-8")))


@pytest.fixture
def deploy(capsys: pytest.CaptureFixture[str]) -> Run:
    """`deploy(*arguments)` in this process."""

    def run(*arguments: str) -> Result:
        capsys.readouterr()
        code = main(arguments)
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deploy: Run) -> Path:
    """A new project; the working directory."""
    root = tmp_path / "endpoints"
    root.mkdir()
    monkeypatch.chdir(root)
    assert deploy("init").code == 0
    return root


@pytest.fixture
def process(tmp_path: Path) -> Run:
    """`process(*arguments)`: the installed command in a process of its own, without a terminal."""

    def run(*arguments: str, env: Mapping[str, str] | None = None, stdin: str = "", cwd: Path | None = None) -> Result:
        done = subprocess.run(
            [DEPLOY, *arguments],
            env={**os.environ, **(env or {})},
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run
