"""What `deploy down` is about to delete, and what it deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.resources import ENDPOINT, is_shown, label
from baseload.cli.views.text import columns
from baseload.cli.views.up import QUIET, done
from baseload.engine.interface import Outcome, ResourceView


@dataclass(frozen=True, kw_only=True)
class Doomed:
    """A stack before it goes."""

    stack: str
    cloud: str
    resources: Sequence[ResourceView]

    def text(self, page: Page) -> str:
        """What exists outside of the state."""
        shown = [item for item in self.resources if is_shown(item.type)]
        if not shown:
            return f"The stack {self.stack} has no resources."
        rows = [["-", label(item.urn), _at(item)] for item in shown]
        return "\n".join([page.bold(f"To be deleted from the stack {self.stack} on {self.cloud}:"), *columns(rows)])


@dataclass(frozen=True, kw_only=True)
class Deleted:
    """A stack after it has gone; `removed`: it is forgotten too."""

    stack: str
    outcome: Outcome
    removed: bool


def human(value: Deleted, page: Page) -> str:
    """What was done."""
    text = page.good(done(value.outcome))
    return f"{text}, and the stack {value.stack} is forgotten" if value.removed else text


def document(value: Deleted) -> Mapping[str, Any]:
    """`baseload.down/1`."""
    return {
        "schema": "baseload.down/1",
        "stack": value.stack,
        "changes": {str(op): count for op, count in value.outcome.counts.items() if op not in QUIET},
        "stack_removed": value.removed,
    }


def _at(item: ResourceView) -> str:
    if item.pending:
        return "creation was interrupted"
    return f"endpoint {item.id}" if item.type == ENDPOINT else ""
