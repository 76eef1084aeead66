"""The commands and their help. Only names and texts: what a command needs is imported when it runs."""

from __future__ import annotations

import os

import typer

from baseload.cli.commands import prices, sandbox, traffic
from baseload.cli.commands.compare import compare
from baseload.cli.commands.completion import VARIABLE, completion
from baseload.cli.commands.doctor import doctor
from baseload.cli.commands.down import down
from baseload.cli.commands.engine import engine, install
from baseload.cli.commands.init import init
from baseload.cli.commands.invoke import invoke
from baseload.cli.commands.plan import plan
from baseload.cli.commands.schema import schema
from baseload.cli.commands.simulate import simulate
from baseload.cli.commands.status import status
from baseload.cli.commands.up import up
from baseload.cli.commands.validate import validate
from baseload.cli.options import command, group, root

app = typer.Typer(
    name="deploy",
    help="Serve models on GPUs, and know the monthly bill before anything is created.",
    epilog="Start with `deploy init` and `deploy plan`. Nothing is created, and no key is needed, before `deploy up`.",
    # Typer's own options for completion make it convert values, with pydantic; `deploy completion` does without.
    add_completion=VARIABLE in os.environ,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
root(app)

command(app, init, "deploy init", "deploy -C endpoints init --name endpoints")
command(app, validate, "deploy validate", "deploy validate --json")
command(app, plan, "deploy plan", "deploy plan --out plan.json", "deploy plan --refresh --expect-no-changes")
command(app, compare, "deploy compare", "deploy compare mistral-7b --all", "deploy compare mistral-7b --json")
command(app, simulate, "deploy simulate mistral-7b", "deploy simulate --seed 2 --requests 1000000 --dispatch balanced")
command(app, up, "deploy up", "deploy up --sandbox", "deploy up --plan plan.json --yes")
command(app, status, "deploy status", "deploy status --expect-no-changes --json")
command(
    app,
    invoke,
    'deploy invoke mistral-7b --prompt "What will this cost?"',
    "deploy invoke mistral-7b --input - < input.json",
)
command(app, down, "deploy down", "deploy down --remove-stack --yes")
command(app, schema, "deploy schema > model-spec.schema.json", "deploy schema --of plan > plan.schema.json")
command(app, doctor, "deploy doctor", "deploy doctor --sandbox")
_traffic = group(app, "traffic", "Look at what is asked of the models.", "deploy traffic show")
command(
    _traffic,
    traffic.show,
    "deploy traffic show mistral-7b",
    "deploy traffic show mistral-7b --write model_specs/mistral-7b.yaml",
)
_prices = group(
    app,
    "prices",
    "Show the prices that plans use, with source and date.",
    "deploy prices",
    "deploy prices check",
    default=prices.prices,
)
command(_prices, prices.list, "deploy prices list runpod", "deploy prices list --book seed-s1")
command(_prices, prices.show, "deploy prices show runpod/serverless/ADA_24")
command(_prices, prices.check, "deploy prices check --max-age 30")
command(_prices, prices.diff, "deploy prices diff prices-runpod-2026-11-22.csv")
command(
    _prices,
    prices.refresh,
    "deploy prices refresh runpod",
    "deploy prices refresh aws --file sagemaker.json --out aws.csv",
)
_engine = group(
    app,
    "engine",
    "Say which engine is used and why, or install Pulumi.",
    "deploy engine",
    "deploy engine install",
    default=engine,
)
command(_engine, install, "deploy engine install")
_sandbox = group(
    app,
    "sandbox",
    "RunPod on this machine, for rehearsals: no key, no cost.",
    "deploy sandbox start",
    "deploy up --sandbox",
    "deploy sandbox stop",
)
command(_sandbox, sandbox.start, "deploy sandbox start", "deploy sandbox start --json")
command(_sandbox, sandbox.status, "deploy sandbox status")
command(_sandbox, sandbox.stop, "deploy sandbox stop")
command(
    app,
    completion,
    'eval "$(deploy completion bash)"',
    "deploy completion fish > ~/.config/fish/completions/deploy.fish",
)
