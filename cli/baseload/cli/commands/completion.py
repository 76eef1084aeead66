"""`deploy completion`: the script that a shell completes the command with."""

from __future__ import annotations

import contextlib
import os
from enum import StrEnum
from typing import Annotated

import typer

from baseload.cli.options import Invocation


class Shell(StrEnum):
    """Shells that Typer has scripts for and people asked for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(run: Invocation, shell: Annotated[Shell, typer.Argument(help="The shell.")]) -> None:
    """Print the completion script for a shell."""
    from baseload.cli.app import app

    # Typer hands its scripts out through this variable only, and then ends the process.
    os.environ["_DEPLOY_COMPLETE"] = f"source_{shell}"
    with contextlib.suppress(SystemExit):
        app(prog_name="deploy")
