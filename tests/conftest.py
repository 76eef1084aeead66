"""What every test shares: golden files, an environment without anybody's keys, one Hypothesis profile.

Must not know any room: fixtures of a room stand in `tests/<room>/conftest.py`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

PRIVATE = ("RUNPOD_", "PULUMI_", "BASELOAD_")
"""Variables that a developer's machine may have and that change what the code does."""

WIDTH = "100"
"""Columns of text that people read, where a test does not ask for others: however wide the terminal of pytest is, and
whatever pytest-xdist says of its own to its workers."""

settings.register_profile("ci", derandomize=True, deadline=None, database=None)
settings.load_profile("ci")

Golden = Callable[[str, str], None]
GoldenFile = Callable[[Path, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write the golden files anew instead of comparing")


@pytest.fixture(autouse=True)
def _same_environment_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(PRIVATE):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", WIDTH)


@pytest.fixture
def golden_file(request: pytest.FixtureRequest) -> GoldenFile:
    """Compare `text` with a whole file of the repository that is generated (`--update-goldens` writes it)."""
    update = bool(request.config.getoption("--update-goldens"))

    def check(file: Path, text: str) -> None:
        text = text.rstrip("\n") + "\n"
        if update:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
            return
        name = file.relative_to(request.config.rootpath).as_posix()
        if not file.is_file():
            pytest.fail(f"no golden file {name}; make it with --update-goldens and read it", pytrace=False)
        wanted = file.read_text(encoding="utf-8")
        if text != wanted:
            lines = difflib.unified_diff(wanted.splitlines(), text.splitlines(), name, "now", lineterm="")
            pytest.fail("\n".join([*lines, "(if this is meant: --update-goldens)"]), pytrace=False)

    return check


@pytest.fixture
def golden(request: pytest.FixtureRequest, golden_file: GoldenFile) -> Golden:
    """Compare `text` with `goldens/<name>.txt` beside the test file; the caller scrubs times, ids and paths first."""

    def check(name: str, text: str) -> None:
        golden_file(request.path.parent / "goldens" / f"{name}.txt", text)

    return check
