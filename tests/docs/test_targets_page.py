"""docs/targets.md: one spec per target, each read without a complaint and priced."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from baseload.planner.cost import cost_of
from baseload.planner.prices import bundled
from baseload.planner.spec.file import parse_spec
from baseload.planner.targets import TARGETS, name_of

PAGE = (Path(__file__).parents[2] / "docs" / "targets.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_read_and_priced(text: str) -> None:
    found = parse_spec(Path("a.yaml"), text)
    assert found.diagnostics == ()
    assert found.spec is not None
    cost = cost_of(found.spec, bundled())
    assert cost.monthly_usd.expected is not None
    assert cost.monthly_usd.expected == sum(line.amount_usd for line in cost.lines) > 0


def test_there_is_one_for_every_target() -> None:
    specs = [parse_spec(Path("a.yaml"), text).spec for text in EXAMPLES]
    assert {name_of(spec.target) for spec in specs if spec} == set(TARGETS)
    assert any(spec.schedule for spec in specs if spec)
