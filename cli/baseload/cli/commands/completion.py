"""`deploy completion`: the script that a shell completes the command with."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from baseload.cli.options import Invocation

VARIABLE = "_DEPLOY_COMPLETE"
"""Set by the scripts when they ask for completions."""


class Shell(StrEnum):
    """Shells that Typer has scripts for and people asked for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(run: Invocation, shell: Annotated[Shell, typer.Argument(help="The shell.")]) -> None:
    """Print the completion script for a shell."""
    from typer._completion_shared import get_completion_script  # the public option only prints it for one shell

    sys.stdout.write(get_completion_script(prog_name="deploy", complete_var=VARIABLE, shell=str(shell)) + "\n")
