"""The program: what is declared for a spec, where secrets come from, and that both ways in give the same graph."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from baseload.components import build
from baseload.components.vllm import IMAGE
from baseload.planner.errors import UsageError
from baseload.planner.spec import find, load
from baseload.planner.spec.model import (
    Container,
    FlashBoot,
    Limits,
    Model,
    ModelSpec,
    Performance,
    Precision,
    RequestCount,
    RunpodTarget,
    SecretRef,
)

ROOT = Path(__file__).parents[2]
SECRET_MARK = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
TOKEN = "hf_not-a-real-token"


def spec(**changes: Any) -> ModelSpec:
    model = Model(id="mistralai/Mistral-7B-Instruct-v0.3", parameters=Decimal("7.25e9"), max_context=8192)
    fields: dict[str, Any] = {
        "name": "mistral-7b",
        "file": Path("model_specs/mistral-7b.yaml"),
        "serves": model,
        "traffic": None,
        "performance": Performance(),
        "limits": Limits(),
        "target": RunpodTarget(gpu="ADA_24"),
        "digest": "sha256:0",
    }
    return ModelSpec(**{**fields, **changes})


def with_secret() -> ModelSpec:
    return spec(
        name="own", serves=Container(image="acme/own:1", env={"MODE": "fast", "HF_TOKEN": SecretRef("HF_TOKEN")})
    )


def test_a_model_becomes_a_vllm_endpoint_with_every_field(compile_graph: Callable[..., Any]) -> None:
    graph = compile_graph(lambda: build([spec()]), dry_run=False)
    endpoint = graph.named("mistral-7b-endpoint")
    env = endpoint.inputs["env"]
    assert endpoint.inputs == {
        "owner": "id-of-owner",
        "name": "mistral-7b",
        "type": "QUEUE",
        "image": IMAGE,
        "args": "",
        "disk": 150.0,
        "ports": [],
        "env": env,
        "gpu": {
            "pools": ["ADA_24"],
            "count": 1.0,
            "excludedTypes": [],
            "allowedCudaVersions": [],
            "minCudaVersion": "13.0",
        },
        "workers": {"min": 0.0, "max": 3.0, "idleTimeout": 5.0},
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4.0},
        "dataCenterIds": [],
        "networkVolumes": [],
        "timeout": 600000.0,
        "flashboot": "OFF",
    }
    assert SECRET_MARK in env.values()
    assert env["value"] == {
        "MODEL_NAME": "mistralai/Mistral-7B-Instruct-v0.3",
        "MAX_MODEL_LEN": "8192",
        "TENSOR_PARALLEL_SIZE": "1",
        "GPU_MEMORY_UTILIZATION": "0.90",
        "MAX_CONCURRENCY": "1",
    }


def test_the_tree_of_resources(compile_graph: Callable[..., Any]) -> None:
    graph = compile_graph(lambda: build([spec()]), dry_run=False)
    stack, owner, component, endpoint = graph.resources.values()
    assert component.urn == "urn:pulumi:dev::demo::baseload:index:RunpodEndpoint::mistral-7b"
    assert owner.urn == "urn:pulumi:dev::demo::baseload-runpod:index:Owner::owner"
    assert endpoint.parent == component.urn
    assert component.parent == owner.parent == stack.urn
    assert endpoint.options == {
        "deleteBeforeReplace": True,
        "customTimeouts": {"create": "45m", "update": "45m", "delete": "10m"},
        "version": None,  # one would rename the default provider
        "provider": None,
    }
    assert owner.urn in endpoint.dependencies, "the owner must be in the state before anything billable exists"
    assert component.inputs.keys() >= {"image", "workers", "env"}
    assert set(graph.outputs) == {stack.urn, component.urn}
    assert set(graph.outputs[stack.urn]["endpoints"]) == {"mistral-7b"}


def test_a_container_with_all_options(compile_graph: Callable[..., Any]) -> None:
    target = RunpodTarget(
        gpu="ADA_80_PRO",
        gpu_count=2,
        workers_min=1,
        idle_timeout_s=None,
        scaling=RequestCount(requests=4),
        flashboot=FlashBoot.PRIORITY,
        execution_timeout_s=Decimal("1.5"),
        min_cuda="12.11",
        data_centers=("US-KS-2",),
        volume="vol1",
    )
    container = Container(image="acme/own:1", args="--fast", registry="cred1", disk_gb=7)
    graph = compile_graph(lambda: build([spec(serves=container, target=target)]), dry_run=False)
    inputs = graph.named("mistral-7b-endpoint").inputs
    assert inputs["workers"] == {"min": 1.0, "max": 3.0}, "RunPod refuses an idle timeout beside REQUEST_COUNT"
    assert inputs["scaling"] == {"type": "REQUEST_COUNT", "requestCount": 4.0}
    assert (inputs["gpu"]["count"], inputs["gpu"]["minCudaVersion"]) == (2.0, "12.11")
    assert (inputs["args"], inputs["registry"], inputs["disk"]) == ("--fast", "cred1", 7.0)
    assert (inputs["networkVolumes"], inputs["dataCenterIds"]) == (["vol1"], ["US-KS-2"])
    assert (inputs["timeout"], inputs["flashboot"]) == (1500.0, "PRIORITY_FLASHBOOT")


@pytest.mark.parametrize(("asked", "sent"), [(None, "13.0"), ("12.8", "13.0"), ("13.2", "13.2"), ("13.10", "13.10")])
def test_the_cuda_floor_of_the_vllm_image(asked: str | None, sent: str, compile_graph: Callable[..., Any]) -> None:
    graph = compile_graph(lambda: build([spec(target=RunpodTarget(gpu="ADA_24", min_cuda=asked))]))
    assert graph.named("mistral-7b-endpoint").inputs["gpu"]["minCudaVersion"] == sent


def test_large_weights_get_a_larger_disk(compile_graph: Callable[..., Any]) -> None:
    model = Model(id="meta-llama/Llama-3.3-70B-Instruct", parameters=Decimal("70.6e9"), precision=Precision.FP16)
    target = RunpodTarget(gpu="ADA_80_PRO", gpu_count=4)
    graph = compile_graph(lambda: build([spec(serves=model, target=target)]), dry_run=False)
    inputs = graph.named("mistral-7b-endpoint").inputs
    assert inputs["disk"] == 192.0
    assert inputs["env"]["value"]["TENSOR_PARALLEL_SIZE"] == "4"
    assert inputs["env"]["value"]["MAX_MODEL_LEN"] == "auto"


def test_a_secret_comes_from_the_environment_before_the_configuration(
    compile_graph: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = {"demo:HF_TOKEN": "from-the-configuration"}
    env = (
        compile_graph(lambda: build([with_secret()]), secrets=stored, dry_run=False).named("own-endpoint").inputs["env"]
    )
    assert SECRET_MARK in env.values()
    assert env["value"] == {"MODE": "fast", "HF_TOKEN": "from-the-configuration"}
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    env = (
        compile_graph(lambda: build([with_secret()]), secrets=stored, dry_run=False).named("own-endpoint").inputs["env"]
    )
    assert env["value"]["HF_TOKEN"] == TOKEN


def test_no_secret_stands_outside_a_secret_mark(
    compile_graph: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    graph = compile_graph(lambda: build([with_secret()]), dry_run=False)
    for item in graph.resources.values():
        unmarked = {key: value for key, value in item.inputs.items() if key != "env"}
        assert TOKEN not in json.dumps(unmarked)
        assert "env" not in item.inputs or SECRET_MARK in item.inputs["env"].values()
    assert TOKEN not in json.dumps(graph.outputs)


def test_a_gated_model_gets_its_token_as_a_secret(
    compile_graph: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    gated = spec(serves=Model(id="o/m", parameters=Decimal("7e9"), token=SecretRef("HF_TOKEN")))
    env = compile_graph(lambda: build([gated]), dry_run=False).named("mistral-7b-endpoint").inputs["env"]
    assert SECRET_MARK in env.values()
    assert env["value"]["HF_TOKEN"] == TOKEN


def test_a_missing_secret_is_unknown_in_a_preview(compile_graph: Callable[..., Any]) -> None:
    env = compile_graph(lambda: build([with_secret()])).named("own-endpoint").inputs["env"]
    assert env == UNKNOWN or env["value"] == UNKNOWN


def test_a_missing_secret_is_refused_in_an_update_before_anything_is_declared(
    compile_graph: Callable[..., Any],
) -> None:
    with pytest.raises(UsageError) as caught:
        compile_graph(lambda: build([with_secret()]), dry_run=False)
    [complaint] = caught.value.diagnostics
    assert complaint.code == "secret/missing"
    assert complaint.hint is not None
    assert "environment variable HF_TOKEN" in complaint.hint
    assert "pulumi config set --secret HF_TOKEN" in complaint.hint


def test_pulumi_and_deploy_declare_the_same(compile_graph: Callable[..., Any]) -> None:
    specs = load(find(ROOT))
    assert specs
    plain = compile_graph(lambda: runpy.run_path(str(ROOT / "stacks"), run_name="__main__") and None, root=ROOT)
    ours = compile_graph(lambda: build(specs))
    assert plain == ours
