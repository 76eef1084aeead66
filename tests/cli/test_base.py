"""What `plan` and `up` compare with: a commit of a real git repository, a plan's file, what was deployed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

SPEC = Path("model_specs/mistral-7b.yaml")


@pytest.fixture
def git(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The project in a repository of its own, with one commit; nobody's git settings."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)

    def run(*arguments: str) -> None:
        who = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *who, *arguments], cwd=project, check=True, capture_output=True)

    run("init")
    run("add", "--all")
    run("commit", "-m", "first")
    return run


@pytest.fixture
def sandbox(deploy: Callable[..., Any], project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "test")
    monkeypatch.setenv("BASELOAD_ENGINE", "embedded")
    yield
    deploy("sandbox", "stop")


def edit(old: str, new: str, file: Path = SPEC) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def doubled_price() -> None:
    """A negotiated price of one's own, twice that of the book."""
    Path("prices").mkdir()
    header = "provider,product,gpu,unit,usd,read,confidence,source,note\n"
    row = "runpod,serverless,ADA_24,gpu-second,0.00062,2026-11-01,read,contract,\n"
    Path("prices/runpod.csv").write_text(header + row, encoding="utf-8")


def change(result: Any) -> dict[str, Any]:
    found = result.json["difference"]["total"]
    assert isinstance(found, dict)
    return found


def test_a_commit(deploy: Callable[..., Any], git: Callable[..., None]) -> None:
    edit("requests_per_day: 1000", "requests_per_day: 1500")
    made = change(deploy("plan", "--base", "git:HEAD", "--json"))
    assert Decimal(made["change_usd"]) == Decimal(made["causes_usd"]["traffic"]) > 0
    git("commit", "--all", "-m", "more")
    assert change(deploy("plan", "--base", "git:HEAD", "--json"))["change_usd"] == "0.00"
    assert change(deploy("plan", "--base", "git:HEAD~1", "--json")) == made


def test_a_commit_in_a_folder_of_the_repository(
    deploy: Callable[..., Any], tmp_path: Path, git: Callable[..., None]
) -> None:
    inner = tmp_path / "endpoints" / "inner"
    assert deploy("init", "-C", str(inner)).code == 0
    edit("requests_per_day: 1000", "requests_per_day: 10", inner / SPEC)
    git("add", "--all")
    git("commit", "-m", "inner")
    edit("requests_per_day: 10", "requests_per_day: 1000", inner / SPEC)
    made = deploy("-C", str(inner), "plan", "--base", "git:main", "--json").json
    assert [model["status"] for model in made["difference"]["models"]] == ["kept"]
    assert Decimal(made["difference"]["total"]["change_usd"]) > 0


def test_a_rise_above_its_limit_ends_with_5(deploy: Callable[..., Any], git: Callable[..., None]) -> None:
    edit("monthly_usd: 300", "increase_percent: 10")
    assert deploy("plan", "--base", "git:HEAD").code == 0
    edit("requests_per_day: 1000", "requests_per_day: 1500")
    stopped = deploy("plan", "--base", "git:HEAD")
    assert stopped.code == 5
    assert "more than the limit `increase_percent` of 10 %" in stopped.err


@pytest.mark.parametrize(
    ("base", "code"),
    [("git:nowhere", "base/git"), ("git:--upload-pack=x", "base/git"), ("git:HEAD", "base/spec"), ("no.json", None)],
)
def test_bases_that_cannot_be_read(
    base: str, code: str | None, deploy: Callable[..., Any], git: Callable[..., None]
) -> None:
    edit("name: mistral-7b", "nome: mistral-7b")
    git("commit", "--all", "-m", "wrong")
    edit("nome: mistral-7b", "name: mistral-7b")
    refused = deploy("plan", "--base", base, "--json")
    assert refused.code != 0
    assert code is None or refused.error == code


def test_a_project_that_is_in_no_repository(deploy: Callable[..., Any], project: Path) -> None:
    assert deploy("plan", "--base", "git:HEAD", "--json").error == "base/git"


def test_a_file(deploy: Callable[..., Any], project: Path) -> None:
    deploy("plan", "--out", "base.json")
    doubled_price()
    edit("service_time: 1.8s", "service_time: 3.6s")
    made = change(deploy("plan", "--base", "base.json", "--json"))
    causes = {name: Decimal(usd) for name, usd in made["causes_usd"].items()}
    assert causes["price"] > 0
    assert causes["spec"] > 0
    assert causes["traffic"] == causes["method"] == 0
    assert sum(causes.values()) == Decimal(made["change_usd"])


def test_what_was_planned_stays_where_only_prices_moved(
    deploy: Callable[..., Any], project: Path, sandbox: None
) -> None:
    assert deploy("plan", "--json").json["difference"] is None
    assert deploy("up", "--sandbox", "--yes").code == 0
    kept = project / ".baseload" / "plans" / "dev.json"
    planned = kept.read_text(encoding="utf-8")
    assert change(deploy("plan", "--sandbox", "--json"))["change_usd"] == "0.00"

    edit("monthly_usd: 300", "monthly_usd: 3000", SPEC)
    assert deploy("up", "--sandbox", "--yes").code == 0
    assert kept.read_text(encoding="utf-8") != planned  # another spec, though no other resource
    planned = kept.read_text(encoding="utf-8")

    doubled_price()
    assert deploy("up", "--sandbox", "--yes").code == 0
    assert kept.read_text(encoding="utf-8") == planned
    made = change(deploy("plan", "--sandbox", "--json"))
    assert made["causes_usd"]["price"] == made["change_usd"] != "0.00"

    kept.write_text("{}", encoding="utf-8")
    unreadable = deploy("plan", "--sandbox", "--json").json
    assert unreadable["difference"] is None
    assert "plan/deployed" in [item["code"] for item in unreadable["diagnostics"]]

    assert deploy("down", "--sandbox", "--yes").code == 0
    assert not kept.exists()


def test_limits_of_the_whole_stack(deploy: Callable[..., Any], project: Path) -> None:
    settings = project / "stacks" / "Pulumi.dev.yaml"

    def limit(text: str) -> None:
        settings.write_text(f"config:\n  endpoints:limits: {text}\n", encoding="utf-8")

    limit("{monthly_usd: 1000}")
    assert deploy("plan", "--json").json["limits"][0]["verdict"] == "ok"
    limit("{monthly_usd: 1}")
    stopped = deploy("plan", "--json")
    assert (stopped.code, stopped.json["limits"][0]["verdict"]) == (5, "breached")
    for wrong in ("{monthly: 1}", "[1]", "{monthly_usd: much}", "{monthly_usd: -1}"):
        limit(wrong)
        assert deploy("plan", "--json").error == "stack/limits"


def test_markdown_goes_to_stdout_whatever_the_verdict(deploy: Callable[..., Any], project: Path) -> None:
    edit("monthly_usd: 300", "monthly_usd: 1")
    made = deploy("plan", "--markdown")
    assert made.code == 5
    assert made.out.startswith("<!-- baseload-plan project=endpoints stack=dev ")
    assert "breached" in made.out
    assert json.loads(deploy("plan", "--markdown", "--json").out)["schema"] == "baseload.plan/1"
