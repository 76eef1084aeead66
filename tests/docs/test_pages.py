"""What README and the task pages show is what the command does: their examples are run here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GoldenFile = Callable[[Path, str], None]
VOLATILE = [
    (r"127\.0\.0\.1:\d+/v2/\w+", "127.0.0.1:PORT/v2/ENDPOINT"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"(endpoint +)[a-z0-9]{8,14}\b", r"\1ENDPOINT"),
    (r"job [0-9a-f-]+-u1", "job JOB"),
    (r"\d+\.\d s\b", "SECONDS s"),
    (r"\d+ days ago", "DAYS days ago"),
]
NEEDS_A_CLOUD = {"getting-started.md": [2]}
"""Blocks, counted from 0, that are about the real RunPod."""


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A sandbox that the commands of the pages reach without naming it, and no CLI's engine."""
    folder = tmp_path_factory.mktemp("sandbox")
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PULUMI_CONFIG_PASSPHRASE": "pages",
        "BASELOAD_ENGINE": "embedded",
        "COLUMNS": "100",
    }
    started = subprocess.run(
        ["deploy", "-C", str(folder), "sandbox", "start", "--json"], env=env, capture_output=True, check=True
    )
    runpod = json.loads(started.stdout)["runpod"]
    try:
        yield {
            **env,
            "RUNPOD_API_KEY": "sandbox",
            "RUNPOD_BASE_URL": runpod["base_url"],
            "RUNPOD_ENDPOINT_BASE_URL": runpod["endpoint_base_url"],
        }
    finally:
        subprocess.run(["deploy", "-C", str(folder), "sandbox", "stop"], env=env, check=True, capture_output=True)


@pytest.mark.parametrize("page", ["getting-started.md", "gitops.md", "sandbox.md", "compare.md"])
def test_the_commands_of_a_page_run(page: str, tmp_path: Path, environment: dict[str, str]) -> None:
    blocks = re.findall(r"```console\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    blocks = [re.sub(r"(?m)^\$ ", "", block) for block in blocks]
    script = [block for at, block in enumerate(blocks) if at not in NEEDS_A_CLOUD.get(page, [])]
    if page != "getting-started.md":
        script.insert(0, "deploy init --name pages\n")
    work = tmp_path / "work"
    work.mkdir()

    done = subprocess.run(
        ["bash", "-c", "set -e\n" + "\n".join(script).replace("deploy up --sandbox\n", "deploy up --sandbox --yes\n")
         .replace("deploy down --sandbox\n", "deploy down --sandbox --yes\n")],
        cwd=work, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr


def test_readme_shows_the_spec_and_the_plan_of_a_new_project(
    tmp_path: Path, environment: dict[str, str], golden_file: GoldenFile
) -> None:
    subprocess.run(["deploy", "init", "--name", "endpoints"], cwd=tmp_path, env=environment, check=True)
    plan = subprocess.run(
        ["deploy", "plan"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout
    spec = (tmp_path / "model_specs" / "mistral-7b.yaml").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    readme = _with_block(readme, "spec", f"```yaml\n{spec}```")
    readme = _with_block(readme, "plan", f"```console\n$ deploy plan\n{plan}```")

    golden_file(ROOT / "README.md", readme)


def test_readme_shows_the_demo(request: pytest.FixtureRequest) -> None:
    said = subprocess.run(
        [str(ROOT / "demo.sh")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
        env={**os.environ, "COLUMNS": "100"},
    ).stdout  # fmt: skip
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    fresh = _with_block(readme, "demo", f"```console\n{_excerpt(said)}```")
    if request.config.getoption("--update-goldens"):
        (ROOT / "README.md").write_text(fresh, encoding="utf-8")
        return

    # As sets: resources are worked on side by side, in no certain order, and status lines may come twice.
    assert set(_scrubbed(readme)) == set(_scrubbed(fresh))


def _excerpt(demo: str) -> str:
    """The first `up`, the question, and the `up` of the new release, without what the plan has shown above them."""
    demo = re.sub(r"(?m)^warning\[.*\n\nhint:.*\n\n", "", demo)
    first, *_, release = re.findall(r"(?ms)^\$ deploy up .*?(?=^[$#] )", demo)
    [question] = re.findall(r"(?ms)^\$ deploy invoke .*?(?=^[$#] )", demo)
    ups = [
        f"$ deploy up --sandbox --yes\n...\n{up[up.index('Changes') : up.index('Next: ')]}" for up in (first, release)
    ]
    return f"{ups[0]}{question}# another image: a new release\n\n{ups[1]}".rstrip() + "\n"


def _with_block(page: str, name: str, content: str) -> str:
    before, rest = page.split(f"<!-- {name} -->\n", 1)
    _, after = rest.split(f"<!-- /{name} -->", 1)
    return f"{before}<!-- {name} -->\n{content}\n<!-- /{name} -->{after}"


def _scrubbed(text: str) -> list[str]:
    for pattern, stand_in in VOLATILE:
        text = re.sub(pattern, stand_in, text)
    return [line.rstrip() for line in text.splitlines()]
