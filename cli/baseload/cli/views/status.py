"""What is running, and where it differs from its spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baseload.cli.drift import Condition, Difference
from baseload.cli.terminal import Page
from baseload.cli.views.text import columns

REMARKS = {
    Condition.NOT_READY: "Fewer workers are ready than the spec keeps on, or all are unhealthy: their log says why.",
    Condition.SCALED_DOWN: "RunPod lowers workers.max after 3 days without requests to 2, after 7 days to 0.",
    Condition.GONE: "RunPod does not know this endpoint any more.",
    Condition.WITHOUT_SPEC: "Its model spec is gone.",
}
REMEDIES = {
    Condition.DIFFERS: "deploy up --refresh",
    Condition.SCALED_DOWN: "deploy up --refresh",
    Condition.GONE: "deploy up --refresh",
    Condition.NOT_DEPLOYED: "deploy up",
    Condition.WITHOUT_SPEC: "deploy up",
}


@dataclass(frozen=True, kw_only=True)
class ModelStatus:
    """One model; `workers` are RunPod's counts by status."""

    name: str
    condition: Condition
    id: str | None = None
    url: str | None = None
    workers: Mapping[str, int] | None = None
    version: int | None = None
    rollout: bool = False
    """Whether workers of an older release are still being replaced."""
    differences: Sequence[Difference] = ()


@dataclass(frozen=True, kw_only=True)
class Status:
    """All models of a stack."""

    stack: str
    cloud: str
    models: Sequence[ModelStatus]
    sandbox: bool = False

    @property
    def is_as_wanted(self) -> bool:
        """Whether nothing differs."""
        return all(item.condition is Condition.AS_WANTED for item in self.models)


def human(value: Status, page: Page) -> str:
    """A block per model, and the command that mends what differs."""
    lines = [page.bold(f"Stack {value.stack} on {value.cloud}")]
    for item in value.models:
        lines += ["", *_model(item, page)]
    remedies = [REMEDIES[item.condition] for item in value.models if item.condition in REMEDIES]
    if remedies:
        lines += [
            "",
            f"Next: {max(remedies, key=len)}{' --sandbox' if value.sandbox else ''}",
        ]  # the one with --refresh does the other's work too
    return "\n".join(lines)


def document(value: Status) -> Mapping[str, Any]:
    """`baseload.status/1`."""
    return {
        "schema": "baseload.status/1",
        "stack": value.stack,
        "cloud": value.cloud,
        "as_wanted": value.is_as_wanted,
        "models": [
            {
                "name": item.name,
                "condition": str(item.condition),
                "id": item.id,
                "url": item.url,
                "workers": item.workers,
                "version": item.version,
                "rollout_in_progress": item.rollout,
                "differences": [{"path": d.path, "wanted": d.wanted, "live": d.live} for d in item.differences],
            }
            for item in value.models
        ],
    }


def counts(workers: Mapping[str, int]) -> str:
    """RunPod's own words: `running 1, idle 1`; `no workers` where all are zero."""
    shown = [f"{name} {count}" for name, count in workers.items() if count and name != "total"]
    return ", ".join(shown) or "no workers"


def _model(item: ModelStatus, page: Page) -> list[str]:
    paint = page.good if item.condition is Condition.AS_WANTED else page.warning
    lines = [f"{page.bold(item.name)}  {paint(str(item.condition))}"]
    rows = []
    if item.id is not None:
        rows.append(["endpoint", item.id])
    if item.url is not None:
        rows.append(["url", item.url])
    if item.workers is not None:
        rows.append(["workers", counts(item.workers)])
    if item.version is not None:
        rows.append(["release", f"{item.version}{', rolling out' if item.rollout else ''}"])
    lines += columns(rows, indent=2)
    if item.differences:
        lines += columns([["field", "spec", "live"], *map(_row, item.differences)], indent=2)
    if item.condition in REMARKS:
        lines.append(f"  {REMARKS[item.condition]}")
    return lines


def _row(item: Difference) -> list[str]:
    return [item.path, _shown(item.wanted), _shown(item.live)]


def _shown(value: Any) -> str:
    if value in (None, "", []):
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
