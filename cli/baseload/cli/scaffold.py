"""The files of a new project, from `template/`.

The repository's own Pulumi.yaml and `stacks/` come from the same templates; a test compares them.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.resources import files
from pathlib import Path
from string import Template

TEMPLATES = {
    "Pulumi.yaml": "Pulumi.yaml",
    "stacks/__main__.py": "stacks/__main__.py",
    "stacks/Pulumi.dev.yaml": "stacks/Pulumi.dev.yaml",
    "stacks/plugins/runpod/PulumiPlugin.yaml": "stacks/plugins/runpod/PulumiPlugin.yaml",
    "stacks/plugins/runpod/__main__.py": "stacks/plugins/runpod/__main__.py",
    "model_specs/mistral-7b.yaml": "model_specs/mistral-7b.yaml",
    "state/.gitignore": "state-gitignore",
    ".github/workflows/deploy.yml": "workflow.yml",
    ".gitignore": "gitignore",
    "AGENTS.md": "AGENTS.md",
}
"""Path in the project: path in `template/`."""

SHARED = (".gitignore", "AGENTS.md")
"""Files a repository may have already; ours are left out then."""

SCHEMA = "model_specs/schema/model-spec.schema.json"

_RENDERED = ("Pulumi.yaml", "stacks/plugins/runpod/PulumiPlugin.yaml")


def contents(name: str, environment: str | None) -> dict[str, str]:
    """Text by path for a project `name`; `environment` is its virtual environment, relative to the project or absolute.

    Plain `pulumi up` starts the program and the provider with the interpreter of that environment, so that none needs
    to be activated; None takes `python3` from PATH.
    """
    folder = files("baseload.cli") / "template"
    texts = {path: (folder / template).read_text(encoding="utf-8") for path, template in TEMPLATES.items()}
    for path in _RENDERED:
        up = "../" * path.count("/")
        values = {
            "name": name,
            "runtime": _options(environment, ""),
            "plugin_runtime": _options(environment, up),
        }
        texts[path] = Template(texts[path]).substitute(values)
    texts[SCHEMA] = schema_text()
    return texts


def schema_text() -> str:
    """The JSON Schema of model specs as its file has it, comments on every key and all."""
    return (files("baseload.planner.spec") / "model-spec.schema.json").read_text(encoding="utf-8")


def project_name(folder: Path) -> str:
    """The folder's name in the letters that Pulumi allows."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-.") or "endpoints"


def this_environment(root: Path) -> str | None:
    """The virtual environment that runs us, as a project at `root` should name it; None outside of one."""
    if sys.prefix == sys.base_prefix:
        return None
    environment = Path(sys.prefix).resolve()
    root = root.resolve()
    return environment.relative_to(root).as_posix() if environment.is_relative_to(root) else environment.as_posix()


def _options(environment: str | None, up: str) -> str:
    if environment is None:
        return ""
    path = environment if Path(environment).is_absolute() else f"{up}{environment}"
    return f"\n  options:\n    virtualenv: {json.dumps(path)}"
