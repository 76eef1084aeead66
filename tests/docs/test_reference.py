"""docs/reference/ is generated from the schema, the commands and the exit codes; renewed with --update-goldens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from baseload.cli.app import app
from baseload.cli.main import main
from baseload.planner.errors import ExitCode
from baseload.planner.spec import schema

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
GoldenFile = Callable[[Path, str], None]
MEANING = {
    ExitCode.OK: "done",
    ExitCode.ERROR: "an error of no kind below, such as a full disk",
    ExitCode.USAGE: "wrong usage, invalid spec or settings, or a confirmation that cannot be asked for",
    ExitCode.CREDENTIALS: "a key is missing, wrong, or lacks a right",
    ExitCode.DEPLOY_FAILED: "a resource could not be deployed, or the stack is locked",
    ExitCode.LIMIT_BREACHED: "a limit of a spec is breached",
    ExitCode.NO_SUCH_STACK: "there is no such stack",
    ExitCode.CHANGES_FOUND: "changes where none were expected, or a reviewed plan that no longer holds",
    ExitCode.CANCELLED: "cancelled",
    ExitCode.TIMEOUT: "something did not happen in time",
    ExitCode.BUG: "a bug in deploy",
}


def test_the_reference_of_the_spec(golden_file: GoldenFile) -> None:
    rows = "\n".join(_rows(schema(), ()))
    golden_file(
        REFERENCE / "spec.md",
        "# Model spec\n\nAll keys, from the [JSON Schema](../../model_specs/schema/model-spec.schema.json). "
        "Rules between keys are told by `deploy validate`.\n\n"
        f"| key | type | default | meaning |\n| --- | --- | --- | --- |\n{rows}\n",
    )


def test_the_reference_of_the_commands(
    golden_file: GoldenFile, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    pages = ["# Commands\n"]
    for words in _commands():
        assert main([*words, "--help"]) == ExitCode.OK
        text = "\n".join(line.rstrip() for line in capsys.readouterr().out.strip("\n").splitlines())
        pages.append(f"## {' '.join(['deploy', *words])}\n\n```text\n{text}\n```\n")
    codes = "\n".join(f"| {int(code)} | {MEANING[code]} |" for code in ExitCode)
    pages.append(f"## Exit codes\n\nPulumi's own numbers.\n\n| code | meaning |\n| ---: | --- |\n{codes}\n")
    golden_file(REFERENCE / "commands.md", "\n".join(pages))


def _rows(rule: Mapping[str, Any], at: tuple[str, ...]) -> Iterator[str]:
    for key, inner in rule.get("properties", {}).items():
        path = (*at, key)
        inner = _resolved(inner)
        kind = " or ".join(f"`{item}`" for item in inner["enum"]) if "enum" in inner else _kind(inner)
        default = f"`{json.dumps(inner['default'])}`" if "default" in inner else ""
        examples = inner.get("examples", [])
        example = f" Example: `{json.dumps(examples[0], ensure_ascii=False)}`." if examples else ""
        needed = " **Required.**" if key in rule.get("required", ()) else ""
        meaning = f"{inner.get('description', '')}{needed}{example}".replace("|", "\\|")
        yield f"| `{'.'.join(path)}` | {kind} | {default} | {meaning} |"
        yield from _rows(inner, path)


def _resolved(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in rule:
        return rule
    place: Any = schema()
    for step in rule["$ref"].removeprefix("#/").split("/"):
        place = place[step]
    return {**_resolved(place), **rule}


def _kind(rule: Mapping[str, Any]) -> str:
    if rule.get("x-unit") == "duration":
        return "duration"
    kind = rule.get("type", "")
    return kind if isinstance(kind, str) else " or ".join(kind)


def _commands() -> Iterator[list[str]]:
    yield []
    for command in app.registered_commands:
        yield [str(command.name)]
    for group in app.registered_groups:
        yield [str(group.name)]
        assert group.typer_instance is not None
        for command in group.typer_instance.registered_commands:
            yield [str(group.name), str(command.name)]
