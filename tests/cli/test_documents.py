"""The documents of `--json` and their JSON Schemas, to which `Result.json` holds every document that a test reads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from baseload.cli.commands.schema import Document
from baseload.planner.errors import ExitCode

Run = Callable[..., Any]

TARGETS = (Path(__file__).parents[2] / "docs" / "targets.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TARGETS, re.DOTALL)
"""A spec of each target: tests/docs/test_targets_page.py holds that none is missing."""

UNUSUAL = {
    "no traffic at all": "traffic: {requests_per_day: 0}",
    "no traffic said": "",
    "a batch": "traffic: {batch: {jobs: 500, at: '02:00', within: 6h}}",
    "more than any worker serves": "traffic: {requests_per_day: 1000000000}",
    "growth, a range and tokens": "traffic: {requests_per_day: 900, curve: office-hours, growth: 10%/month, "
    "range: {low: 0.5, high: 2}, tokens: {in: 512, out: 128}}",
}
SPEC = """\
name: captions
model: {id: mistralai/Mistral-7B-Instruct-v0.3, parameters: 7.25B, max_context: 8192}
%s
performance: {service_time: 1.8s, cold_start: 25s}
service_level: {p95: 1s}
requires: {residency: [eu], compliance: [hipaa]}
ops_cost_per_month: {runpod: 20}
target: {runpod: {gpu: %s}}
"""


@pytest.fixture
def write(project: Path) -> Callable[..., None]:
    """Specs in place of the project's own."""

    def written(*texts: str) -> None:
        for file in (project / "model_specs").glob("*.yaml"):
            file.unlink()
        for number, text in enumerate(texts):
            name = re.sub(r"^name: .*", f"name: captions-{number}", text, flags=re.MULTILINE)
            (project / "model_specs" / f"captions-{number}.yaml").write_text(name, encoding="utf-8")

    return written


@pytest.mark.parametrize("text", EXAMPLES)
def test_of_a_spec_of_each_target(text: str, write: Callable[..., None], deploy: Run) -> None:
    write(text)
    assert deploy("plan", "--json").json["models"]
    assert deploy("compare", "--json").json["rows"]
    assert deploy("traffic", "show", "--json").json["models"]


@pytest.mark.parametrize("traffic", UNUSUAL.values(), ids=UNUSUAL)
@pytest.mark.parametrize("gpu", ["ADA_24", "AMPERE_16"])
def test_of_unusual_traffic(gpu: str, traffic: str, write: Callable[..., None], deploy: Run) -> None:
    write(SPEC % (traffic, gpu))
    for command in (("plan",), ("compare", "--break-even"), ("traffic", "show"), ("simulate", "--requests", "10000")):
        result = deploy(*command, "--json")
        answered = result.code in (ExitCode.OK, ExitCode.LIMIT_BREACHED)
        assert result.json["schema"] == (f"baseload.{command[0]}/1" if answered else "baseload.error/1")


def test_of_unknown_prices(write: Callable[..., None], project: Path, deploy: Run) -> None:
    write(SPEC % (UNUSUAL["growth, a range and tokens"], "ADA_24"))
    assert {row["status"] for row in deploy("compare", "--json", "--book", "seed-s1").json["rows"]} >= {"unpriced"}
    assert deploy("plan", "--json", "--book", "seed-s1").json["models"]


def _schemas(deploy: Run) -> dict[str, Mapping[str, Any]]:
    return {name: json.loads(deploy("schema", "--of", name).out) for name in Document}


def test_schemas_are_schemas_that_close_every_object(deploy: Run) -> None:
    for name, schema in _schemas(deploy).items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        for part in _parts(schema):
            if "properties" in part and name != Document.MODEL:
                assert part["additionalProperties"] is False


def test_a_definition_is_the_same_in_all_schemas(deploy: Run) -> None:
    found = _schemas(deploy)
    shared = ("money", "money_or_unknown", "signed_or_unknown", "spread", "price", "diagnostic", "assumptions")
    for name in shared:
        texts = {json.dumps(schema["$defs"][name]) for schema in found.values() if name in schema.get("$defs", {})}
        assert len(texts) == 1, name
    for name, definition in found["decisions"]["$defs"].items():
        assert found["compare"]["$defs"][name] == definition
    assert found["compare"]["$defs"]["decisions"]["properties"] == found["decisions"]["properties"]


def test_a_document_with_another_key_is_refused(write: Callable[..., None], deploy: Run) -> None:
    write(EXAMPLES[0])
    document, schema = deploy("compare", "--json").json, _schemas(deploy)["compare"]
    document["rows"][0]["note"] = "a key that nobody documented"
    with pytest.raises(jsonschema.ValidationError, match="note"):
        jsonschema.validate(document, schema)


def _parts(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _parts(each)
