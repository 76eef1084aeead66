"""The commands and their help. Only names and texts: what a command needs is imported when it runs."""

from __future__ import annotations

import typer

from baseload.cli.commands.completion import completion
from baseload.cli.commands.init import init
from baseload.cli.commands.prices import prices
from baseload.cli.commands.schema import schema
from baseload.cli.commands.validate import validate
from baseload.cli.options import command, root

app = typer.Typer(
    name="deploy",
    help="Serve models on GPUs, and know the monthly bill before anything is created.",
    epilog="Start with `deploy init`, then `deploy plan`. Nothing is created, and no key is needed, before `deploy up`.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
root(app)

command(app, "deploy init", "deploy -C endpoints init --name endpoints")(init)
command(app, "deploy validate", "deploy validate --json")(validate)
command(app, "deploy prices", "deploy prices --json")(prices)
command(app, "deploy schema > model-spec.schema.json")(schema)
command(app, 'eval "$(deploy completion bash)"', "deploy completion fish > ~/.config/fish/completions/deploy.fish")(
    completion
)
