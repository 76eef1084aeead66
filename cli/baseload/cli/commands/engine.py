"""`deploy engine`: which engine is used and why; and Pulumi's installer."""

from __future__ import annotations

from typing import Annotated

import typer

from baseload.cli.options import Invocation


def engine(run: Invocation) -> None:
    """Say which engine would be used, and why."""
    from baseload.cli.views import engine as view
    from baseload.engine.choose import explain

    run.terminal.show(view, explain(run.options.engine, sandbox=run.options.sandbox))


def install(
    run: Invocation,
    *,
    version: Annotated[
        str | None, typer.Option("--version", help="The version; else the one this package was made for.")
    ] = None,
) -> None:
    """Install the Pulumi CLI with Pulumi's own installer, into ~/.pulumi/versions."""
    from baseload.cli.views import engine as view
    from baseload.engine.choose import install as install_cli

    run.terminal.note("running Pulumi's installer from https://get.pulumi.com ...")
    run.terminal.show(view, install_cli(version))
