"""Whatever stands in a file, the answer is a spec or a `SpecError` with a place: never another exception."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baseload.planner.errors import SpecError
from baseload.planner.spec import file, load, structure

PATH = Path("any.yaml")
SPECS = [
    yaml.safe_load(text.read_text(encoding="utf-8"))
    for text in sorted((Path(__file__).parents[2] / "model_specs").glob("*.yaml"))
]
TARGETS: list[dict[str, Any]] = [
    {"lambda-sagemaker": {"instance": "ml.g5.xlarge", "instances": {"min": 1, "max": 2}, "front": "http-api"}},
    {"sagemaker-serverless": {"memory_mb": 2048, "max_concurrency": 5, "provisioned_concurrency": 1}},
    {"runpod-pod": {"gpu": "NVIDIA L40S", "pods": 2, "schedule": {"windows": [{"days": "mon-fri", "min": 1}]}}},
    {
        "modal": {
            "gpu": "L4",
            "cpu": 2,
            "containers": {"max": 3},
            "schedule": {"windows": [{"from": "08:00", "min": 1}]},
        }
    },
    {
        "hybrid": {
            "baseline": {"runpod": {"gpu": "ADA_24"}},
            "burst": {"modal": {"gpu": "L4"}},
            "schedule": {"windows": [{"days": "mon-fri", "min": 2}]},
        }
    },
    {"auto": {"gpus": ["ADA_24"]}},
]
SPECS += [{**SPECS[0], "target": target} for target in TARGETS]


def _answered(found: file.SpecFile) -> None:
    errors = [item for item in found.diagnostics if item.severity == "error"]
    assert bool(errors) == (found.spec is None)
    for item in found.diagnostics:
        assert item.where is not None
        assert item.where.file == PATH
        str(item).encode()  # no lone surrogates
        assert "\x1b" not in str(item)


yaml_like = st.text(
    st.one_of(st.sampled_from(list("{}[]:,-?&*!|>'\"%@`#~.0123456789eExo \t\n\\<")), st.characters()), max_size=200
)


@settings(max_examples=400)
@given(yaml_like)
def test_any_text(text: str) -> None:
    _answered(file.parse_spec(PATH, text))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.yaml"
    path.write_bytes(data)
    with pytest.raises(SpecError):  # nothing so short and so random is a spec
        load([path])


def _names(rule: Any) -> set[str]:
    if not isinstance(rule, dict):
        return set()
    inner = rule.get("properties", {})
    return set(inner) | set(rule.get("x-later", [])) | set().union(*(_names(one) for one in inner.values()), set())


keys = st.one_of(st.sampled_from(sorted(_names(structure.schema()))), st.text(max_size=8))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["5s", "0s", "1e9", "7B", "0.1K", "fp16", "ADA_24", "active", "off", "H100", "org/m", "a:latest", "auto"]
    ),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=8,
)


@st.composite
def almost_specs(draw: st.DrawFn) -> Any:
    """A good spec with some keys removed, added or given another value, at any depth."""
    content = copy.deepcopy(draw(st.sampled_from(SPECS)))
    for _ in range(draw(st.integers(0, 4))):
        part = content
        while True:
            key = draw(st.sampled_from(sorted(part))) if part else draw(keys)
            if not (isinstance(part.get(key), dict) and draw(st.booleans())):
                break
            part = part[key]
        match draw(st.sampled_from(["remove", "add", "change"])):
            case "remove":
                part.pop(key, None)
            case "add":
                part[draw(keys)] = draw(anything)
            case _:
                part[key] = draw(anything)
    return content


@settings(max_examples=400)
@given(almost_specs())
def test_any_content_near_a_spec(content: Any) -> None:
    _answered(file.parse_spec(PATH, yaml.safe_dump(content, allow_unicode=True)))


class Quoted(yaml.SafeDumper):
    """Texts such as `0E0` are numbers for who reads YAML 1.2, and PyYAML, which reads 1.1, writes them plain."""


Quoted.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


@settings(max_examples=200)
@given(almost_specs())
def test_json_gives_the_same_spec_as_yaml(content: Any) -> None:
    one = file.parse_spec(PATH, yaml.dump(content, Dumper=Quoted, sort_keys=False)).spec
    if one is not None:
        assert file.parse_spec(PATH, json.dumps(content)).spec == one


@settings(max_examples=200)
@given(anything)
def test_any_content(content: Any) -> None:
    _answered(file.parse_spec(PATH, yaml.safe_dump(content, allow_unicode=True)))
