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

from baseload.planner import spec
from baseload.planner.performance import gpus
from baseload.planner.prices import bundled
from baseload.planner.spec import file, model, structure, target_values, values
from baseload.planner.targets import COMPARED
from baseload.planner.targets import TARGETS as NAMES
from baseload.planner.targets.aws import LambdaSagemaker, SagemakerServerless
from baseload.planner.targets.hybrid import Hybrid, Side
from baseload.planner.targets.modal import Modal
from baseload.planner.targets.runpod import RunpodPod

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
    assert set(runpod) - set(defaults) == {"gpu", "workers", "min_cuda", "volume", "schedule"}

    def given(section: str) -> dict[str, Any]:
        return {key: rule["default"] for key, rule in rules[section]["properties"].items() if "default" in rule}

    assert values.model({"id": "o/m", "parameters": "7B", **given("model")}) == least.serves
    assert values.container({"image": "a", **given("container")}) == model.Container(image="a")
    assert values.performance(given("performance")) == model.Performance()
    assert least.limits == model.Limits()
    assert least.traffic is None
    low_and_high = {key: rule["default"] for key, rule in rules["traffic"]["properties"]["range"]["properties"].items()}
    assert values.traffic({"requests_per_day": 1, "range": low_and_high}) == values.traffic({"requests_per_day": 1})


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("runpod-pod", {"gpu": "NVIDIA L4"}),
        ("lambda-sagemaker", {"instance": "ml.g5.xlarge"}),
        ("sagemaker-serverless", {"memory_mb": 2048, "max_concurrency": 5}),
        ("modal", {}),
        ("hybrid", {"baseline": {"runpod-pod": {"gpu": "NVIDIA L4"}}, "burst": {"runpod": {"gpu": "ADA_24"}}}),
        ("hybrid", {"baseline": {"runpod": {"gpu": "ADA_24"}}, "burst": {"modal": {"gpu": "L4"}}}),
        ("hybrid", {"baseline": {"lambda-sagemaker": {"instance": "ml.g5.xlarge"}}, "burst": {"modal": {"gpu": "L4"}}}),
    ],
)
def test_defaults_of_the_schema_are_those_of_every_target(name: str, least: dict[str, Any]) -> None:
    """What a spec leaves out, and what it says as the schema's default, are one and the same."""
    schema = structure.schema()

    def filled(rule: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        """With all defaults written out, also below."""
        full = dict(given)
        for key, inner in rule.get("properties", {}).items():
            while "$ref" in inner:
                place: Any = schema
                for step in inner["$ref"].removeprefix("#/").split("/"):
                    place = place[step]
                inner = {**place, **{word: value for word, value in inner.items() if word != "$ref"}}
            if "default" in inner:
                full.setdefault(key, inner["default"])
            elif (
                inner.get("type") == "object" and key != "schedule" and (key in given or not inner.get("minProperties"))
            ):
                full[key] = filled(inner, given.get(key, {}))
        return full

    rule = schema["properties"]["target"]["properties"][name]
    one_sided = {**rule, "properties": dict(rule["properties"])}
    for side in ("baseline", "burst"):
        if side in least:
            chosen = {k: v for k, v in rule["properties"][side]["properties"].items() if k in least[side]}
            one_sided["properties"][side] = {**rule["properties"][side], "properties": chosen}
    written = filled(one_sided, least)
    assert written != least or name == "hybrid"
    assert target_values.target(name, written, None) == target_values.target(name, least, None)


TARGETS = """\
name: a
container: {image: "acme/x:1"}
traffic: {requests_per_day: 10, time_zone: Europe/Berlin, payload_bytes: {in: 1e3, out: 20}}
target: """
EVERY_TARGET = {
    "{lambda-sagemaker: {instance: ml.g5.xlarge, instances: {min: 2, max: 3}, region: eu-west-1, memory_mb: 512, "
    "architecture: x86_64, front: http-api, log_bytes: 10}}": LambdaSagemaker(
        instance="ml.g5.xlarge", instances_min=2, instances_max=3, region="eu-west-1", memory_mb=512,
        architecture="x86_64", front="http-api", log_bytes=10,
    ),
    "{sagemaker-serverless: {memory_mb: 2048, max_concurrency: 9, provisioned_concurrency: 3, region: eu-west-1}}":
        SagemakerServerless(memory_mb=2048, max_concurrency=9, provisioned=3, region="eu-west-1"),
    "{runpod-pod: {gpu: NVIDIA L40S, gpu_count: 2, pods: 3, tier: community, disk_gb: 5, volume_gb: 6, "
    "network_volume_gb: 7}}": RunpodPod(
        gpu="NVIDIA L40S", gpu_count=2, pods=3, tier="community", disk_gb=5, volume_gb=6, network_volume_gb=7
    ),
    "{modal: {gpu: L4, gpu_count: 2, cpu: 4, memory_gib: 16.5, containers: {min: 1, max: 3, buffer: 1}, "
    "scaledown_window: 2m, region: us-east, plan: team, volume_gib: 3}}": Modal(
        gpu="L4", gpu_count=2, cores=Decimal(4), memory_gib=Decimal("16.5"), containers_min=1, containers_max=3,
        buffer=1, scaledown_s=120, region="narrow", plan="team", volume_gib=Decimal(3),
    ),
    "{modal: {nonpreemptible: true, region: eu}}": Modal(gpu=None, nonpreemptible=True, region="broad"),
    "{hybrid: {base: 2, baseline: {runpod-pod: {gpu: NVIDIA L4, gpu_count: 2, tier: community, disk_gb: 5, "
    "volume_gb: 6, network_volume_gb: 7}}, burst: {runpod: "
    "{gpu: AMPERE_24, gpu_count: 2, workers: {max: 7}, idle_timeout: 9s, queue_delay: 1s}}}}": Hybrid(
        dedicated=Side(provider="runpod", product="pod", gpu="NVIDIA L4", tier="community", gpu_count=2),
        burst=Side(provider="runpod", product="serverless", gpu="AMPERE_24", gpu_count=2),
        burst_max=7, base=2, idle_timeout_s=Decimal(9), start_delay_s=Decimal(1),
        beside=RunpodPod(
            gpu="NVIDIA L4", gpu_count=2, tier="community", disk_gb=5, volume_gb=6, network_volume_gb=7
        ),
    ),
    "{hybrid: {baseline: {lambda-sagemaker: {instance: ml.g6.xlarge, region: eu-west-3, memory_mb: 512, architecture: "
    "x86_64, front: http-api, log_bytes: 9}}, burst: {modal: {gpu: L4, plan: team, "
    "gpu_count: 2, cpu: 2, memory_gib: 8, containers: {max: 4}, scaledown_window: 30s, region: eu}}}}": Hybrid(
        dedicated=Side(provider="aws", product="sagemaker-realtime", gpu="ml.g6.xlarge", region="eu-west-3"),
        burst=Side(
            provider="modal", product="serverless", gpu="L4", gpu_count=2,
            beside=(("cpu", Decimal(2)), ("memory", Decimal(8))), factor_name="region-broad",
        ),
        burst_max=4, idle_timeout_s=Decimal(30), plan="modal/team",
        beside=LambdaSagemaker(
            instance="ml.g6.xlarge", region="eu-west-3", memory_mb=512, architecture="x86_64", front="http-api",
            log_bytes=9,
        ),
    ),
    "auto": model.Auto(),
    "{auto: {targets: [runpod], gpus: [ADA_24]}}": model.Auto(targets=("runpod",), gpus=("ADA_24",)),
}  # fmt: skip


@pytest.mark.parametrize(("text", "target"), EVERY_TARGET.items())
def test_every_key_of_every_target_arrives(text: str, target: Any) -> None:
    found = _spec(TARGETS + text)
    assert found.target == target
    assert found.traffic is not None
    assert found.traffic.payload_bytes == model.PayloadBytes(request=1000, response=20)
    assert found.schedule is None


def test_a_schedule_arrives() -> None:
    windows = (
        "[{days: mon-wed, from: 08:00, to: 18:30, min: 2}, {days: [sun, fri], from: 22:00, to: 00:00, min: 1}, "
        "{days: sat-mon, min: 3}, {from: 23:00, to: 01:00, min: 1}]"
    )
    found = _spec(f"{TARGETS}{{modal: {{gpu: L4, containers: {{max: 3}}, schedule: {{windows: {windows}}}}}}}")
    day = model.Weekday
    assert found.schedule == model.Schedule(
        time_zone="Europe/Berlin",  # the traffic's
        windows=(
            model.Window(days=(day.MON, day.TUE, day.WED), from_minute=480, until_minute=1110, workers_min=2),
            model.Window(days=(day.FRI, day.SUN), from_minute=1320, until_minute=1440, workers_min=1),
            model.Window(days=(day.MON, day.SAT, day.SUN), workers_min=3),
            model.Window(days=tuple(day), from_minute=1380, until_minute=60, workers_min=1),
        ),
    )


def test_every_key_of_the_schema_has_a_value_and_a_description() -> None:
    rules = structure.schema()["properties"]
    runpod = rules["target"]["properties"]["runpod"]["properties"]

    def plain(kind: type[Any]) -> set[str]:
        return {field.name.removesuffix("_s") for field in fields(kind)}

    assert set(runpod) - {"workers", "schedule"} | {"workers_min", "workers_max"} == plain(model.RunpodTarget)
    for section, kind in (("model", model.Model), ("container", model.Container), ("performance", model.Performance)):
        assert set(rules[section]["properties"]) == plain(kind), section
    for name, other in (
        ("runpod-pod", RunpodPod), ("lambda-sagemaker", LambdaSagemaker),
        ("sagemaker-serverless", SagemakerServerless), ("modal", Modal), ("hybrid", Hybrid), ("auto", model.Auto),
    ):  # fmt: skip
        keys = set(rules["target"]["properties"][name]["properties"])
        # Keys that are read under another name, and fields that no spec sets: a schedule says when something runs.
        named = {
            "schedule", "instances", "containers", "provisioned_concurrency", "cpu", "scaledown_window", "baseline",
        }  # fmt: skip
        set_otherwise = {
            "instances_min", "instances_max", "containers_min", "containers_max", "buffer", "cores", "scaledown",
            "provisioned", "provisioned_share", "running_share", "gpu", "model_gb", "vpc", "dedicated", "burst_max",
            "idle_timeout", "start_delay", "beside", "plan",
        }  # fmt: skip
        assert keys - named <= plain(other), name
        assert plain(other) - set_otherwise <= keys, name
    as_given = {"requests_per_hour", "requests_per_second", "growth"}
    assert set(rules["traffic"]["properties"]) - as_given == plain(model.Traffic) - {"growth_per_month", "observed"}
    assert set(rules["limits"]["properties"]) == plain(model.Limits)

    def described(properties: dict[str, Any]) -> None:
        for key, rule in properties.items():
            assert rule["description"].endswith("."), key
            described(rule.get("properties", {}))

    described(rules)


def test_the_pools_of_the_schema_are_those_of_the_table() -> None:
    target = structure.schema()["properties"]["target"]
    assert target["properties"]["runpod"]["properties"]["gpu"]["enum"] == list(gpus.POOLS)
    assert target["properties"]["runpod-pod"]["properties"]["gpu"]["enum"] == list(gpus.TYPES)
    assert set(target["properties"]) == {*NAMES, "auto"}
    assert sorted(target["x-compared"]) == sorted(COMPARED)
    assert set(target["properties"]["auto"]["properties"]["targets"]["items"]["enum"]) == set(NAMES)
    priced = [row.gpu for row in bundled().of("modal") if row.product == "serverless" and row.unit == "gpu-hour"]
    assert target["properties"]["modal"]["properties"]["gpu"]["enum"] == priced
    assert {row.gpu for row in bundled().of("runpod") if row.product == "pod"} <= set(gpus.TYPES)
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
            target = {"target": spec.schema()["properties"]["target"]}  # referred to by its own parts
            own = {"$defs": {**spec.schema()["$defs"], "own": rule}, "properties": target, "$ref": "#/$defs/own"}
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


def test_a_model_s_concurrency_is_the_worker_s_and_a_container_s_is_one() -> None:
    assert _spec(f"name: a\nmodel: {{id: o/m, parameters: 7B}}\n{RUNPOD}").performance.concurrency == 30
    own = _spec(f"name: a\nmodel: {{id: o/m, parameters: 7B}}\nperformance: {{concurrency: 8}}\n{RUNPOD}")
    assert own.performance.concurrency == 8
    assert _spec(f"name: a\ncontainer: {{image: 'a:1'}}\n{RUNPOD}").performance.concurrency == 1


def test_a_gated_model_names_its_token_and_never_holds_it() -> None:
    def token(text: str) -> file.SpecFile:
        return file.parse_spec(Path("a.yaml"), f"name: a\nmodel: {{id: o/m, parameters: 7B, token: {text}}}\n{RUNPOD}")

    gated = token("{secret: HF_TOKEN}").spec
    assert gated is not None
    assert gated.secrets == {"HF_TOKEN": model.SecretRef("HF_TOKEN")}
    passed_on = token('"{{ RUNPOD_SECRET_hf }}"').spec
    assert passed_on is not None
    assert passed_on.secrets == {}
    refused = token("hf_abcdefghij")
    assert refused.spec is None
    (problem,) = refused.diagnostics
    assert "hf_abcdefghij" not in str(problem)
    assert "never the token itself" in str(problem)
