"""Whether the sandbox runs, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baseload.sandbox.server import Running

from baseload.cli.terminal import Page
from baseload.cli.views.text import columns


def human(value: Running | None, page: Page) -> str:
    """Its addresses."""
    if value is None:
        return "The sandbox is not running."
    rows = [["control plane", value.base_url], ["jobs", value.endpoint_base_url]]
    return "\n".join([page.good("The sandbox is running."), *columns(rows, indent=2)])


def document(value: Running | None) -> Mapping[str, Any]:
    """`baseload.sandbox/1`; `runpod` is null where it does not run."""
    addresses = value and {"base_url": value.base_url, "endpoint_base_url": value.endpoint_base_url}
    return {"schema": "baseload.sandbox/1", "runpod": addresses}
