"""Request bodies as RunPod judges them: what is invalid (422), what breaks a rule across fields (400), what results.

Pure functions from a body to an endpoint's configuration in wire form. The schemas are our own wording of REST v2's
rules (specification 2.9.0, 2026-08-18); tests hold them against the vendor's document where it is at hand.
"""

from __future__ import annotations

import copy
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from baseload.planner.performance.gpus import POOLS
from baseload.sandbox.runpod.refusal import Refusal, not_found
from baseload.sandbox.runpod.switches import Switches

Config = dict[str, Any]

DEFAULT_DISK_GB = 20
"""Not in the specification's text, but in all of its examples."""
DEFAULT_IDLE_TIMEOUT_S = 10
DEFAULT_MAX_WORKERS = 3
RAM_GB_PER_VCPU = {"cpu3c": 2, "cpu5c": 2, "cpu3g": 4, "cpu5g": 4}
"""Compute-optimized and general-purpose flavors; the catalog's name `cpu3c-2-4` has 2 vCPU and 4 GB."""

_TEXTS = {"type": "array", "items": {"type": "string"}}
_CUDA = r"^\d+\.\d+$"


def _object(properties: dict[str, Any], required: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


_CONTAINER: dict[str, Any] = {
    "image": {"type": "string"},
    "args": {"type": "string"},
    "disk": {"type": "integer", "minimum": 1},
    "ports": _TEXTS,
    "env": {"type": "object", "additionalProperties": {"type": "string"}},
    "registry": {"type": ["string", "null"]},
}
_GPU = {
    "pools": {"type": "array", "minItems": 1, "items": {"type": "string"}},
    "excludedTypes": {"type": "array", "uniqueItems": True, "items": {"type": "string", "pattern": r"^\s*[^-\s]"}},
    "count": {"type": "integer", "minimum": 1},
    "allowedCudaVersions": {"type": "array", "items": {"type": "string", "pattern": _CUDA}},
}
_NEW_GPU = _object(_GPU | {"minCudaVersion": {"type": "string", "pattern": _CUDA}}, ("pools",))
_GPU_PATCH = _object(
    _GPU | {"minCudaVersion": {"type": "string", "pattern": rf"^$|{_CUDA}"}},
    dependentRequired={"excludedTypes": ["pools"]},
)
_CPU = {
    "type": "array",
    "minItems": 1,
    "uniqueItems": True,
    "items": _object(
        {"id": {"type": "string", "minLength": 1}, "vcpuCount": {"type": "integer", "minimum": 2}}, ("id", "vcpuCount")
    ),
}
_SCALERS = {
    "QUEUE_DELAY": _object(
        {"type": {"enum": ["QUEUE_DELAY"]}, "queueDelay": {"type": "number", "minimum": 0.5}}, ("type", "queueDelay")
    ),
    "REQUEST_COUNT": _object(
        {"type": {"enum": ["REQUEST_COUNT"]}, "requestCount": {"type": "integer", "minimum": 1}},
        ("type", "requestCount"),
    ),
}
_SCALING: dict[str, Any] = {
    "type": "object",
    "properties": {"type": {"enum": list(_SCALERS)}},
    "required": ["type"],
    "allOf": [
        {"if": {"required": ["type"], "properties": {"type": {"const": kind}}}, "then": scaler}
        for kind, scaler in _SCALERS.items()
    ],
}
_ROUTED: dict[str, Any] = {
    "name": {"type": "string", "minLength": 1},
    "gpu": _GPU_PATCH,
    "cpu": _CPU,
    "scaling": _SCALING,
    "workers": _object(
        {
            "min": {"type": "integer", "minimum": 0},
            "max": {"type": "integer", "minimum": 0},
            "idleTimeout": {"type": "integer", "minimum": 1, "maximum": 3600},
        }
    ),
    "dataCenterIds": _TEXTS,
    "networkVolumes": _TEXTS,
    "timeout": {"type": "integer"},
    "flashboot": {"enum": ["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"]},
    "templateId": {"type": "string"},
}
_NEW_ROUTED = _ROUTED | {
    "type": {"enum": ["QUEUE", "LOAD_BALANCER"]},
    "gpu": _NEW_GPU,
    "templateId": {"type": "string", "minLength": 1},
}
_REQUIRED = ("name", "type", "scaling")

_CREATE = Draft202012Validator(_object(_CONTAINER | _NEW_ROUTED, _REQUIRED))
_PATCH = Draft202012Validator(_object(_CONTAINER | _ROUTED))


def created(body: Any, switches: Switches) -> Config:
    """The configuration of a new endpoint; raises `Refusal` as POST /v2/serverless would."""
    _check(_CREATE, body, _create_quirks(body))
    if "templateId" in body:
        raise not_found("template")
    if body["type"] == "LOAD_BALANCER" and body["scaling"]["type"] != "REQUEST_COUNT":
        raise Refusal(422, "Request validation failed.", ("$.scaling: value must be one of 'REQUEST_COUNT'",))
    if ("gpu" in body) == ("cpu" in body):
        raise Refusal(400, "exactly one of gpu or cpu is required")
    config: Config = {
        "name": body["name"],
        "type": body["type"],
        "image": body["image"],
        "args": body.get("args", ""),
        "disk": body.get("disk", DEFAULT_DISK_GB),
        "ports": body.get("ports", []),
        "env": {**switches.inject_env, **body.get("env", {})},
        "registry": body.get("registry"),
        "workers": {"min": 0, "max": DEFAULT_MAX_WORKERS, **body.get("workers", {})},
        "scaling": body["scaling"],
        "dataCenterIds": body.get("dataCenterIds", []),
        "networkVolumes": body.get("networkVolumes", []),
        "timeout": body.get("timeout", switches.timeout_default),
        "flashboot": body.get("flashboot", "OFF"),
    }
    if "gpu" in body:
        config["gpu"] = _gpu({}, body["gpu"])
    else:
        config["cpu"] = _cpu(body["cpu"])
    return _finished(config, body)


def patched(config: Config, body: Any) -> Config:
    """The configuration after a PATCH; raises `Refusal` as PATCH /v2/serverless/{id} would, `config` stays as it is."""
    _check(_PATCH, body)
    if "templateId" in body:
        raise not_found("template")
    if {"gpu", "cpu"} <= body.keys() or ("gpu" in body and "cpu" in config) or ("cpu" in body and "gpu" in config):
        raise Refusal(400, "compute family cannot be changed")
    changed = copy.deepcopy(config) | {
        key: value for key, value in body.items() if key not in ("workers", "gpu", "cpu")
    }
    changed["workers"] |= body.get("workers", {})
    if "gpu" in body:
        changed["gpu"] = _gpu(changed["gpu"], body["gpu"])
    if "cpu" in body:
        changed["cpu"] = _cpu(body["cpu"])
    return _finished(changed, body)


def _finished(config: Config, body: Any) -> Config:
    if config["type"] == "LOAD_BALANCER" and config["scaling"]["type"] != "REQUEST_COUNT":
        raise Refusal(400, "load balancing endpoints scale on REQUEST_COUNT")
    if config["type"] == "QUEUE" and config["scaling"]["type"] == "REQUEST_COUNT":
        if "idleTimeout" in body.get("workers", {}):
            detail = "workers.idleTimeout is not applicable to queue-based endpoints scaling on requestCount"
            raise Refusal(422, detail, (f"$.workers: {detail}",))
        config["workers"].pop("idleTimeout", None)
    else:
        config["workers"].setdefault("idleTimeout", DEFAULT_IDLE_TIMEOUT_S)
    return config


def _gpu(current: Config, body: Config) -> Config:
    gpu = {"count": 1, "allowedCudaVersions": [], "minCudaVersion": None, "excludedTypes": [], **current}
    if "pools" in body:
        # Pools and exclusions are one selection: new pools without exclusions drop the old ones.
        gpu |= {"pools": body["pools"], "excludedTypes": [kind.strip() for kind in body.get("excludedTypes", [])]}
    gpu |= {key: body[key] for key in ("count", "allowedCudaVersions") if key in body}
    if "minCudaVersion" in body:
        gpu["minCudaVersion"] = body["minCudaVersion"] or None
    if gpu["allowedCudaVersions"] and gpu["minCudaVersion"]:
        raise Refusal(400, "allowedCudaVersions and minCudaVersion are mutually exclusive")
    if unknown := [pool for pool in gpu["pools"] if pool not in POOLS]:
        raise Refusal(400, f"unknown gpu pool: {', '.join(unknown)}")
    types = {kind for pool in gpu["pools"] for kind in POOLS[pool].types}
    if strangers := [kind for kind in gpu["excludedTypes"] if kind not in types]:
        raise Refusal(400, f"excludedTypes not in the selected pools: {', '.join(strangers)}")
    if types <= set(gpu["excludedTypes"]):
        raise Refusal(400, "excludedTypes leaves no gpu type in the selected pools")
    return gpu


def _cpu(body: list[Config]) -> list[Config]:
    for item in body:
        count = item["vcpuCount"]
        if item["id"] not in RAM_GB_PER_VCPU or count & (count - 1):
            raise Refusal(400, f"cpu {item['id']} with {count} vCPU is not available")
    return [item | {"memory": item["vcpuCount"] * RAM_GB_PER_VCPU[item["id"]]} for item in body]


def _check(validator: Draft202012Validator, body: Any, more: tuple[str, ...] = ()) -> None:
    found = sorted(validator.iter_errors(body), key=lambda error: (list(map(str, error.absolute_path)), error.message))
    errors = tuple(dict.fromkeys([*map(_worded, found), *more]))
    if errors:
        raise Refusal(422, "Request validation failed.", errors)


def _create_quirks(body: Any) -> tuple[str, ...]:
    # The vendor's schema is an allOf; a missing required field fails its branch, so all its fields count as unknown.
    if not isinstance(body, dict):
        return ()
    said = [] if "image" in body or "templateId" in body else ["$: missing property 'image'"]
    if any(name not in body for name in _REQUIRED) and (valid := [name for name in body if name in _NEW_ROUTED]):
        said.append(f"$: additional properties {_quoted(valid)} not allowed")
    return tuple(said)


def _worded(error: ValidationError) -> str:
    place = "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    schema: Any = error.schema
    if isinstance(error.instance, dict) and error.validator == "required":
        missing = [name for name in schema["required"] if name not in error.instance]
        noun = "property" if len(missing) == 1 else "properties"
        return f"{place}: missing {noun} {_quoted(missing)}"
    if isinstance(error.instance, dict) and error.validator == "additionalProperties":
        unknown = [name for name in error.instance if name not in schema["properties"]]
        return f"{place}: additional properties {_quoted(unknown)} not allowed"
    return f"{place}: {error.message}"


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
