"""Where the value of `{secret: NAME}` comes from: the environment, else Pulumi's secret configuration.

An empty variable counts as none: pipelines set a secret that is not there to the empty text.

A value never leaves as plain text: what is handed on is always a secret Output.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from baseload.components.vllm import container_of
from baseload.planner.diagnostics import Diagnostic, Location
from baseload.planner.errors import UsageError
from baseload.planner.spec.model import ModelSpec, SecretRef


def environments(specs: Sequence[ModelSpec]) -> dict[str, pulumi.Output[Mapping[str, str]]]:
    """The environment of each model's container by model name, secret as a whole.

    In a preview an environment in which a secret is missing is unknown as a whole; in an update it is refused:
    raises `UsageError` with one diagnostic per missing secret of all specs.
    """
    env: dict[str, pulumi.Output[Mapping[str, str]]] = {}
    missing: list[Diagnostic] = []
    for spec in specs:
        container, _ = container_of(spec)
        values: dict[str, Any] = {}
        for key, value in container.env.items():
            match value:
                case SecretRef():
                    values[key] = _find(value)
                    if values[key] is None:
                        missing.append(_complaint(spec, value))
                        values[key] = pulumi.UNKNOWN
                case str():
                    values[key] = value
        env[spec.name] = pulumi.Output.secret(values)
    if missing and not pulumi.runtime.is_dry_run():
        raise UsageError(*missing)
    return env


def _find(ref: SecretRef) -> pulumi.Output[str] | None:
    value = os.environ.get(ref.name)
    return pulumi.Output.secret(value) if value else pulumi.Config().get_secret(ref.name)


def _complaint(spec: ModelSpec, ref: SecretRef) -> Diagnostic:
    return Diagnostic(
        code="secret/missing",
        summary=f"{spec.name} needs the secret {ref.name}, which is neither in the environment nor in the stack's "
        "configuration",
        where=Location(spec.file),
        hint=f"set the environment variable {ref.name}, or store it with `pulumi config set --secret {ref.name}`",
    )
