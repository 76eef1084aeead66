"""`deploy init`: what it makes, what it leaves alone, and that the repository is such a project itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from baseload.cli import scaffold
from baseload.planner.spec import find, load_with_warnings

ROOT = Path(__file__).parents[2]
Run = Callable[..., Any]


def test_a_new_project_is_whole(project: Path, deploy: Run) -> None:
    made = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert made == {*scaffold.TEMPLATES, scaffold.SCHEMA}
    settings = yaml.safe_load((project / "Pulumi.yaml").read_text())
    assert settings["name"] == "endpoints"
    [plugin] = settings["plugins"]["providers"]
    assert (project / plugin["path"] / "PulumiPlugin.yaml").is_file()
    assert (project / settings["main"] / "__main__.py").is_file()
    assert yaml.safe_load((project / ".github" / "workflows" / "deploy.yml").read_text())["jobs"].keys() == {
        "plan",
        "up",
    }
    _, warnings = load_with_warnings(find(project))
    assert not warnings


def test_the_example_stays_within_its_limits_through_the_demo(project: Path, deploy: Run) -> None:
    spec = project / "model_specs" / "mistral-7b.yaml"
    changed = spec.read_text().replace("max: 3", "max: 5").replace("max_context: 8192", "max_context: 16384")
    assert changed.count("max: 5") == changed.count("max_context: 16384") == 1
    assert deploy("plan").code == 0
    spec.write_text(changed)
    assert deploy("plan").code == 0


def test_nothing_is_overwritten(project: Path, deploy: Run) -> None:
    spec = project / "model_specs" / "mistral-7b.yaml"
    spec.write_text("mine")
    result = deploy("init")
    assert result.code == 2
    assert "model_specs/mistral-7b.yaml" in result.err
    assert spec.read_text() == "mine"


def test_a_repository_keeps_its_own_files(tmp_path: Path, deploy: Run) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    result = deploy("-C", str(tmp_path), "init", "--name", "shop", "--json")
    assert result.code == 0
    assert result.json["kept"] == [".gitignore"]
    assert (tmp_path / ".gitignore").read_text() == "mine\n"
    assert yaml.safe_load((tmp_path / "Pulumi.yaml").read_text())["name"] == "shop"


def test_the_environment_is_named_for_the_program_and_the_plugin() -> None:
    inside = scaffold.contents("demo", ".venv")
    plugin = "stacks/plugins/runpod/PulumiPlugin.yaml"
    assert yaml.safe_load(inside["Pulumi.yaml"])["runtime"]["options"]["virtualenv"] == ".venv"
    assert yaml.safe_load(inside[plugin])["runtime"]["options"]["virtualenv"] == "../../../.venv"
    outside = scaffold.contents("demo", "/opt/tools/venv")
    assert yaml.safe_load(outside[plugin])["runtime"]["options"]["virtualenv"] == "/opt/tools/venv"
    assert yaml.safe_load(scaffold.contents("demo", None)["Pulumi.yaml"])["runtime"] == {"name": "python"}


def test_names_of_folders_become_names_of_projects() -> None:
    assert scaffold.project_name(Path("/tmp/Our endpoints (new)")) == "Our-endpoints-new"
    assert scaffold.project_name(Path("/")) == "endpoints"


def test_the_repository_is_such_a_project() -> None:
    texts = scaffold.contents("baseload", ".venv")
    for path in ("Pulumi.yaml", scaffold.SCHEMA, *(item for item in texts if item.startswith("stacks/"))):
        if path != "stacks/Pulumi.dev.yaml":  # an `up` writes its salt there
            assert (ROOT / path).read_text(encoding="utf-8") == texts[path], path
