"""Specs that this version plans and compares, and does not deploy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from baseload.components import build
from baseload.planner.errors import ExitCode, UsageError
from baseload.planner.spec import load

SPEC = """\
name: captions
container: {image: "registry.example/acme/captions:1"}
traffic: {requests_per_day: 100}
performance: {service_time: 1.8s, cold_start: 25s}
target: {%s}
"""


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("modal: {gpu: L4}", "captions has the target `modal`"),
        ("runpod: {gpu: ADA_24, schedule: {windows: [{min: 1}]}}", "captions has a `schedule`"),
    ],
)
def test_planned_and_refused_by_up(project: Path, deploy: Callable[..., Any], target: str, why: str) -> None:
    file = project / "model_specs" / "captions.yaml"
    file.write_text(SPEC % target, encoding="utf-8")
    said = f"model_specs/captions.yaml:5:10: {{}}[spec/not-deployed]: {why}"

    up = deploy("up", "--yes")
    assert up.code == ExitCode.USAGE
    assert said.format("error") in up.err

    plan = deploy("plan")
    assert plan.code == ExitCode.OK
    assert said.format("note") in plan.err
    assert "captions" in plan.out
    simulated = deploy("simulate", "captions")
    assert simulated.code == ExitCode.OK
    assert "by simulation: deploy simulate captions" in deploy("plan", "--explain").out
    assert "(planned, not deployed)" in deploy("validate").out

    with pytest.raises(UsageError, match="spec/not-deployed"):  # a plain `pulumi up`
        build(load([file]))
