"""What a good spec becomes: values, defaults, digest; and that its schema is one and the same everywhere."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from baseload.planner import gpus, spec
from baseload.planner.spec import file, model, structure, values

ROOT = Path(__file__).parents[2]
RUNPOD = "target: {runpod: {gpu: ADA_24}}\n"
FULL = """\
name: full
container:
  image: registry.example/acme/x:1
  args: --port 80
  env:
    STEPS: "30"
    OFF: no
    TOKEN: {secret: TOKEN}
    THEIRS: "{{ RUNPOD_SECRET_theirs }}"
    PEM: |
      line
      line
  registry: cred-1
  disk_gb: 40
traffic: {requests_per_day: 1e3, tokens: {in: 512.5, out: 0}, range: {low: 0.1, high: 2}}
performance: {service_time: 1.8s, service_time_cv: 0.3, cold_start: 500ms, concurrency: 4}
limits: {monthly_usd: 300.10, hourly_worst_case_usd: 5}
target:
  runpod:
    gpu: AMPERE_24
    gpu_count: 2
    mode: active
    workers: {min: 1, max: 4}
    scaling: {request_count: 3}
    flashboot: priority
    execution_timeout: 1.5m
    min_cuda: "12.10"
    data_centers: [EU-RO-1, EU-SE-1]
    volume: vol1
    active_discount: 0.2
"""


def _spec(text: str) -> model.ModelSpec:
    found = file.parse_spec(Path("a.yaml"), text)
    assert found.spec is not None, found.diagnostics
    return found.spec


def test_every_key_arrives() -> None:
    full = _spec(FULL)
    assert full == model.ModelSpec(
        name="full",
        file=Path("a.yaml"),
        serves=model.Container(
            image="registry.example/acme/x:1",
            args="--port 80",
            env={
                "STEPS": "30",
                "OFF": "no",
                "TOKEN": model.SecretRef("TOKEN"),
                "THEIRS": "{{ RUNPOD_SECRET_theirs }}",
                "PEM": "line\nline\n",
            },
            registry="cred-1",
            disk_gb=40,
        ),
        traffic=model.Traffic(
            requests_per_day=Decimal(1000),
            tokens=model.Tokens(prompt=Decimal("512.5"), output=Decimal(0)),
            range=model.Range(low=Decimal("0.1"), high=Decimal(2)),
        ),
        performance=model.Performance(
            service_time_s=Decimal("1.8"), service_time_cv=Decimal("0.3"), cold_start_s=Decimal("0.5"), concurrency=4
        ),
        limits=model.Limits(monthly_usd=Decimal("300.10"), hourly_worst_case_usd=Decimal(5)),
        target=model.RunpodTarget(
            gpu="AMPERE_24",
            gpu_count=2,
            mode=model.RunpodMode.ACTIVE,
            workers_min=1,
            workers_max=4,
            idle_timeout_s=None,
            scaling=model.RequestCount(requests=3),
            flashboot=model.FlashBoot.PRIORITY,
            execution_timeout_s=Decimal(90),
            min_cuda="12.10",
            data_centers=("EU-RO-1", "EU-SE-1"),
            volume="vol1",
            active_discount=Decimal("0.2"),
        ),
        digest=full.digest,
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("500ms", "0.5"), ("1.8s", "1.8"), ("2m", "120"), ("1h", "3600"), ("7.25B", "7250000000"),
        ("350M", "350000000"), ("5", None), ("s", None), ("1.s", None), ("-1s", None), ("1 s", None), ("1e3s", None),
        ("1S", None), ("1s\n", None),
    ],
)  # fmt: skip
def test_quantities(text: str, number: str | None) -> None:
    read = values.quantity(text)
    assert read == (None if number is None else Decimal(number))


def test_numbers_are_exact() -> None:
    traffic = _spec(
        f"name: a\nmodel: {{id: o/m, parameters: 0.1B}}\ntraffic: {{requests_per_day: 0.1}}\n{RUNPOD}"
    ).traffic
    assert traffic is not None
    assert traffic.requests_per_day * 3 == Decimal("0.3")


def test_defaults_of_the_schema_are_those_of_the_values() -> None:
    rules = structure.schema()["properties"]
    least = _spec(f"name: a\nmodel: {{id: o/m, parameters: 7B}}\n{RUNPOD}")
    runpod = rules["target"]["properties"]["runpod"]["properties"]
    defaults = {key: rule["default"] for key, rule in runpod.items() if "default" in rule}
    written = {
        "gpu": "ADA_24",
        "workers": {end: rule["default"] for end, rule in runpod["workers"]["properties"].items()},
    }
    assert values.runpod(defaults | written) == least.target
    assert set(runpod) - set(defaults) == {"gpu", "workers", "min_cuda", "volume"}

    def given(section: str) -> dict[str, Any]:
        return {key: rule["default"] for key, rule in rules[section]["properties"].items() if "default" in rule}

    assert values.model({"id": "o/m", "parameters": "7B", **given("model")}) == least.serves
    assert values.container({"image": "a", **given("container")}) == model.Container(image="a")
    assert values.performance(given("performance")) == least.performance == model.Performance()
    assert least.limits == model.Limits()
    assert least.traffic is None
    low_and_high = {key: rule["default"] for key, rule in rules["traffic"]["properties"]["range"]["properties"].items()}
    assert values.traffic({"requests_per_day": 1, "range": low_and_high}) == values.traffic({"requests_per_day": 1})


def test_every_key_of_the_schema_has_a_value_and_a_description() -> None:
    rules = structure.schema()["properties"]
    runpod = rules["target"]["properties"]["runpod"]["properties"]

    def plain(kind: type[Any]) -> set[str]:
        return {field.name.removesuffix("_s") for field in fields(kind)}

    assert set(runpod) - {"workers"} | {"workers_min", "workers_max"} == plain(model.RunpodTarget)
    for section, kind in (("model", model.Model), ("container", model.Container), ("performance", model.Performance)):
        assert set(rules[section]["properties"]) == plain(kind), section
    as_given = {"requests_per_hour", "requests_per_second", "growth"}
    assert set(rules["traffic"]["properties"]) - as_given == plain(model.Traffic) - {"growth_per_month", "observed"}
    assert set(rules["limits"]["properties"]) == plain(model.Limits)

    def described(properties: dict[str, Any]) -> None:
        for key, rule in properties.items():
            assert rule["description"].endswith("."), key
            described(rule.get("properties", {}))

    described(rules)


def test_the_pools_of_the_schema_are_those_of_the_table() -> None:
    runpod = structure.schema()["properties"]["target"]["properties"]["runpod"]["properties"]
    assert runpod["gpu"]["enum"] == list(gpus.POOLS)
    assert [pool.memory_gib for pool in gpus.POOLS.values()] == sorted(p.memory_gib for p in gpus.POOLS.values())
    cards = [card for pool in gpus.POOLS.values() for card in pool.types]
    assert len(cards) == len(set(cards))
    for pool in gpus.POOLS.values():
        assert pool.id.split("_")[1] == str(pool.memory_gib)
        for card in pool.types:
            assert gpus.pools_with(card) == (pool,), card


def test_the_examples_of_the_schema_are_valid() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(spec.schema())

    def visit(rule: dict[str, Any]) -> None:
        for example in rule.get("examples", []) + ([rule["default"]] if "default" in rule else []):
            own = {"$schema": spec.schema()["$schema"], "$defs": spec.schema()["$defs"], **rule}
            Draft202012Validator(own).validate(example)
        for inner in rule.get("properties", {}).values():
            visit(inner)

    visit(spec.schema())


def test_the_schema_for_editors_is_the_one_that_checks() -> None:
    for copy in (ROOT / "model_specs/schema").glob("*.json"):
        assert copy.name == "model-spec.schema.json"
        assert copy.read_bytes() == Path(structure.__file__).with_name(copy.name).read_bytes()
        assert json.loads(copy.read_text(encoding="utf-8")) == spec.schema()
    assert (ROOT / "model_specs/schema/model-spec.schema.json").is_file()


def test_the_specs_of_this_repository_are_without_a_warning() -> None:
    files = spec.find(ROOT)
    assert [path.name for path in files] == ["mistral-7b.yaml", "sdxl.yaml"]
    specs, warnings = spec.load_with_warnings(files)
    assert [one.name for one in specs] == [path.stem for path in files]
    assert warnings == ()
    assert all(one.performance.service_time_s and one.performance.cold_start_s and one.traffic for one in specs)


def test_find_looks_in_one_folder_only(tmp_path: Path) -> None:
    assert spec.find(tmp_path) == []
    for name in ("b.yaml", "a.yml", "schema/x.yaml", "notes.md", ".b.yaml.swp", ".c.yaml"):
        path = tmp_path / "model_specs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert [path.name for path in spec.find(tmp_path)] == ["a.yml", "b.yaml"]


def _shuffled(content: Any, order: random.Random) -> Any:
    if not isinstance(content, dict):
        return content
    keys = list(content)
    order.shuffle(keys)
    return {key: _shuffled(content[key], order) for key in keys}


def test_the_digest_is_of_the_content() -> None:
    before = _spec(FULL).digest
    assert before.startswith("sha256:")
    assert len(before) == 71
    content = {
        "name": "a",
        "model": {"id": "o/m", "parameters": "7B"},
        "traffic": {"requests_per_day": 1000, "range": {"low": 1, "high": 2}},
        "target": {"runpod": {"gpu": "ADA_24", "workers": {"min": 0, "max": 2}}},
    }
    # JSON is YAML: the same content in another dress.
    digests = {_spec(json.dumps(_shuffled(content, random.Random(seed)), indent=seed)).digest for seed in range(10)}
    assert len(digests) == 1
    assert _spec("# a comment\n" + FULL.replace("1e3", "1000.0")).digest == before
    for old, new in (
        ("1e3", "1001"),
        ("TOKEN: {secret: TOKEN}", "TOKEN: TOKEN"),
        ("0.3", "0.30000001"),
        ("full", "fuel"),
    ):
        assert _spec(FULL.replace(old, new)).digest != before, new


def test_the_package_costs_nothing_until_a_file_is_read() -> None:
    code = (
        "import sys, baseload.planner.spec as s; from pathlib import Path; "
        "heavy = {'yaml', 'jsonschema', 'difflib', 'hashlib'} & set(sys.modules); assert not heavy, heavy; "
        "s.find(Path('.')); "
        f"s.load([Path({str(ROOT / 'model_specs/mistral-7b.yaml')!r})]); "
        "far = {'requests', 'httpx', 'pulumi', 'grpc', 'boto3', 'urllib.request'} & set(sys.modules); "
        "assert not far, far"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
