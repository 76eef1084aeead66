"""Whether the sandbox runs, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.text import columns
from baseload.sandbox.addresses import Addresses


def human(value: Addresses | None, page: Page) -> str:
    """Its addresses."""
    if value is None:
        return "The sandbox is not running."
    rows = [["control plane", value.base_url], ["jobs", value.endpoint_base_url]]
    return "\n".join([page.good("The sandbox is running."), *columns(rows, indent=2)])


def document(value: Addresses | None) -> Mapping[str, Any]:
    """`baseload.sandbox/1`; `runpod` is null where it does not run."""
    return {"schema": "baseload.sandbox/1", **(value.to_json() if value else {"runpod": None})}
