"""`deploy schema`: the JSON Schema of model specs, and those of the documents of `--json`."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from baseload.cli.options import Invocation


class Document(StrEnum):
    """What there is a JSON Schema of: `model` is the spec that people write, the others are what `--json` prints."""

    MODEL = "model"
    PLAN = "plan"
    COMPARE = "compare"
    DECISIONS = "decisions"
    SIMULATE = "simulate"
    REPLAY = "replay"
    TRAFFIC = "traffic"


def schema(
    run: Invocation,
    of: Annotated[Document, typer.Option(help="Of model specs, or of what a command prints with --json.")] = (
        Document.MODEL
    ),
) -> None:
    """Print the JSON Schema of specs or --json."""
    from importlib.resources import files

    from baseload.cli.scaffold import schema_text

    if of is Document.MODEL:
        text = schema_text()
    else:
        text = (files("baseload.planner") / f"{of}.schema.json").read_text(encoding="utf-8")
    sys.stdout.write(text)
