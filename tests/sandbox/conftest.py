"""The vendor's contract, where it is at hand, and clients that hold every answer against it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from baseload.sandbox.runpod import Sandbox, serve

CONTRACT = Path(__file__).parents[3] / "shared" / "contracts" / "runpod-rest-v2.openapi.json"
PROBLEM = "application/problem+json"


class Contract:
    """RunPod's OpenAPI document as a judge of answers."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._registry = Registry().with_resource("urn:contract", DRAFT202012.create_resource(document))
        self._paths = {re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)): path for path in document["paths"]}
        self.judged: set[tuple[str, str, int]] = set()

    def schema(self, pointer: str) -> Draft202012Validator:
        return Draft202012Validator({"$ref": f"urn:contract#{pointer}"}, registry=self._registry)

    def judge(self, answer: httpx.Response) -> None:
        answer.read()
        method, path = answer.request.method, answer.request.url.path
        template = next((name for pattern, name in self._paths.items() if pattern.fullmatch(path)), None)
        operation = self._document["paths"].get(template, {}).get(method.lower())
        if operation is None:
            assert answer.status_code in (404, 405, 410), (method, path)
            return self._judge_problem(answer)
        self.judged.add((method, template, answer.status_code))
        described = operation["responses"].get(str(answer.status_code), operation["responses"]["default"])
        described = self._resolved(described)
        if answer.status_code != 401:
            assert {"ratelimit", "ratelimit-policy"} <= answer.headers.keys()
        if "content" not in described:
            assert answer.content == b""
            return None
        if answer.status_code >= 400:
            return self._judge_problem(answer)
        (kind,) = described["content"]
        assert answer.headers["content-type"].split(";")[0] == kind
        if kind == "application/json":
            self._judge_value(described["content"][kind]["schema"], answer.json())
        return None

    def _judge_problem(self, answer: httpx.Response) -> None:
        assert answer.headers["content-type"] == PROBLEM
        assert answer.json()["status"] == answer.status_code
        self._judge_value({"$ref": "#/components/schemas/ErrorResponse"}, answer.json())

    def _judge_value(self, schema: dict[str, str], value: Any) -> None:
        errors = [*self.schema(schema["$ref"].removeprefix("#")).iter_errors(value)]
        assert not errors, errors

    def _resolved(self, value: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in value:
            return self._document["components"]["responses"][value["$ref"].rsplit("/", 1)[1]]
        return value


@pytest.fixture(scope="session")
def contract() -> Contract:
    if not CONTRACT.is_file():
        pytest.skip(f"RunPod's contract is not at {CONTRACT}: answers are NOT held against it")
    return Contract(json.loads(CONTRACT.read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def judge() -> Callable[[httpx.Response], None]:
    """Judges where the contract is at hand, else lets everything pass; `test_contract` says loudly which it was."""
    if not CONTRACT.is_file():
        return lambda answer: None
    return Contract(json.loads(CONTRACT.read_text(encoding="utf-8"))).judge


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with serve() as running:
        running.switch(cold_start_s=0.02, service_time_s=0.0)
        yield running


@pytest.fixture
def control(sandbox: Sandbox, judge: Callable[[httpx.Response], None]) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer key"}
    hooks = {"response": [judge]}
    with httpx.Client(base_url=sandbox.base_url, headers=headers, event_hooks=hooks, trust_env=False) as client:
        yield client


@pytest.fixture
def jobs(sandbox: Sandbox) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer key"}
    with httpx.Client(base_url=sandbox.endpoint_base_url, headers=headers, trust_env=False) as client:
        yield client


@pytest.fixture
def body() -> Callable[..., dict[str, Any]]:
    def make(**changes: Any) -> dict[str, Any]:
        return {
            "name": "mistral",
            "type": "QUEUE",
            "image": "example/worker:1",
            "gpu": {"pools": ["ADA_24"]},
            "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
            "workers": {"min": 0, "max": 3, "idleTimeout": 5},
        } | changes

    return make
