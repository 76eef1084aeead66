"""What `deploy init` made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baseload.cli.terminal import Page


@dataclass(frozen=True, kw_only=True)
class Made:
    """Paths relative to `root`."""

    root: Path
    created: Sequence[str]
    kept: Sequence[str]


def human(value: Made, page: Page) -> str:
    """The files, and the next command."""
    lines = [f"created {path}" for path in value.created]
    lines += [page.dim(f"kept    {path}") for path in value.kept]
    return "\n".join([*lines, "", "Next: deploy plan"])


def document(value: Made) -> Mapping[str, Any]:
    """`baseload.init/1`."""
    return {
        "schema": "baseload.init/1",
        "root": str(value.root.resolve()),
        "created": list(value.created),
        "kept": list(value.kept),
    }
