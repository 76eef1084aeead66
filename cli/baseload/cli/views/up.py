"""What stands after `deploy up`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.resources import DONE, ENDPOINT, is_shown, label
from baseload.cli.views.text import usd
from baseload.engine.interface import Op, Outcome, ResourceView
from baseload.planner.plan import Plan

QUIET = (Op.SAME, Op.READ, Op.REFRESH)


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """The plan that was applied, what the engine did, and the state after it."""

    plan: Plan
    outcome: Outcome
    resources: Sequence[ResourceView]
    sandbox: bool = False

    @property
    def endpoints(self) -> list[ResourceView]:
        """The endpoints of the state, by name."""
        return sorted((item for item in self.resources if item.type == ENDPOINT), key=lambda item: label(item.urn))


def human(value: Deployed, page: Page) -> str:
    """What was done, each endpoint's URL and price, the next command."""
    lines = [page.good(done(value.outcome)), ""]
    prices = {model.name: model.monthly_usd.expected for model in value.plan.models}
    for item in value.endpoints:
        name = label(item.urn)
        lines.append(f"{page.bold(name)}  {item.outputs['url']}")
        lines.append(f"  {usd(prices.get(name))} a month expected")
    if value.endpoints:
        sandbox = " --sandbox" if value.sandbox else ""
        lines += ["", f'Next: deploy invoke {label(value.endpoints[0].urn)}{sandbox} --prompt "..."']
    return "\n".join(lines)


def document(value: Deployed) -> Mapping[str, Any]:
    """`baseload.up/1`."""
    plan = value.plan.to_json()
    prices = {model["name"]: model["monthly_usd"] for model in plan["models"]}
    return {
        "schema": "baseload.up/1",
        "stack": value.plan.stack,
        "plan_digest": value.plan.digest,
        "changes": {str(op): count for op, count in value.outcome.counts.items() if op not in QUIET},
        "currency": "USD",
        "endpoints": [
            {
                "name": label(item.urn),
                "id": item.id,
                "url": item.outputs["url"],
                "monthly_usd": prices.get(label(item.urn)),
            }
            for item in value.endpoints
        ],
    }


def done(outcome: Outcome) -> str:
    """`2 created, 1 updated`, of what exists outside of the state."""
    ops = [step.op for step in outcome.steps if step.op not in QUIET and is_shown(step.type)]
    return ", ".join(_counted(ops)) or "nothing to change"


def _counted(ops: Sequence[Op]) -> Iterable[str]:
    return (f"{ops.count(op)} {DONE[op]}" for op in dict.fromkeys(ops))
