"""The engine in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.text import columns
from baseload.engine.choose import Choice


def human(value: Choice, page: Page) -> str:
    """Name, version, place, reason."""
    rows = [["engine", page.bold(value.name)], ["version", value.version]]
    if value.path is not None:
        rows.append(["path", str(value.path)])
    return "\n".join(columns([*rows, ["because", value.reason]]))


def document(value: Choice) -> Mapping[str, Any]:
    """`baseload.engine/1`."""
    return {
        "schema": "baseload.engine/1",
        "name": value.name,
        "version": value.version,
        "path": None if value.path is None else str(value.path),
        "reason": value.reason,
    }
