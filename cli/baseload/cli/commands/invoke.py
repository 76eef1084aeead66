"""`deploy invoke`: send one request to a deployed model."""

from __future__ import annotations

import contextlib
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from baseload.cli.options import Invocation
from baseload.planner.errors import BaseloadError, UsageError

if TYPE_CHECKING:
    from baseload.cli.stack import Stack
    from baseload.engine.interface import ResourceView

TIMEOUT_S = 900.0
"""Longer than RunPod's limit for a cold start (7 minutes) and its default for a job (10 minutes is the most common)."""


def _models(context: typer.Context, incomplete: str) -> list[str]:
    from baseload.cli.project import locate, read_specs

    with contextlib.suppress(BaseloadError):  # a shell that completes has no place for an error
        return [spec.name for spec in read_specs(locate(context.params.get("cwd") or Path.cwd()))[0]]
    return []


def _positive(seconds: float) -> float:
    if not 0 < seconds < math.inf:
        msg = f"{seconds} is not a time to wait"
        raise typer.BadParameter(msg)
    return seconds


def invoke(
    run: Invocation,
    model: Annotated[str, typer.Argument(help="The model's name.", autocompletion=_models)],
    *,
    prompt: Annotated[str | None, typer.Option("--prompt", "-p", help="Sent as {prompt: TEXT}.")] = None,
    input_: Annotated[
        str | None, typer.Option("--input", "-i", metavar="JSON", help="The job's whole input; - reads stdin.")
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="How long to wait.", callback=_positive)
    ] = TIMEOUT_S,
) -> None:
    """Send one request to a deployed model.

    Prints its answer, the time it waited (a cold start included), and its run time.
    """
    from baseload.cli.project import choose_stack, locate
    from baseload.cli.stack import open_stack
    from baseload.cli.views import invoke as view
    from baseload.providers.runpod.jobs import Job, Jobs

    job_input = _input(prompt, input_)
    project = locate(run.folder)
    stack = open_stack(run, project, choose_stack(project, run.options.stack))
    stack.demand()
    endpoint = _endpoint(stack, model)
    said: set[str] = set()

    def on_wait(job: Job) -> None:
        if str(job.status) not in said:
            said.add(str(job.status))
            run.terminal.note(f"job {job.id}: {job.status}")

    with Jobs.of(endpoint.id, stack.cloud.variables, url=str(endpoint.outputs["url"])) as jobs:
        job = jobs.invoke(job_input, timeout_s=timeout, on_wait=on_wait)
    run.terminal.show(view, view.Answer(model=model, job=job))


def _input(prompt: str | None, text: str | None) -> Any:
    import json

    if (prompt is None) == (text is None):
        raise UsageError.of("invoke/input", "give either --prompt TEXT or --input JSON")
    option = "--input" if prompt is None else "--prompt"
    try:
        if prompt is not None:
            wanted = {"prompt": prompt}
        else:
            wanted = json.loads(sys.stdin.read() if text == "-" else text or "", parse_constant=_no_number)
        json.dumps(wanted, ensure_ascii=False).encode()
    except (
        UnicodeEncodeError,
        UnicodeDecodeError,
    ) as error:  # bytes that are none, or half a surrogate pair, which JSON can spell
        raise UsageError.of("invoke/input", f"{option} is not Unicode text: {error.reason}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError.of("invoke/input", f"{option} is not JSON: {error}") from error
    return wanted


def _no_number(name: str) -> NoReturn:
    msg = f"{name} is no number of JSON"
    raise ValueError(msg)


def _endpoint(stack: Stack, model: str) -> ResourceView:
    import difflib

    from baseload.cli.views.resources import ENDPOINT, label

    known = {label(item.urn): item for item in stack.resources if item.type == ENDPOINT and not item.pending}
    if model in known:
        return known[model]
    close = difflib.get_close_matches(model, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"deployed: {', '.join(known) or 'nothing yet; `deploy up`'}"
    raise UsageError.of("invoke/unknown-model", f"the stack {stack.name} has no model {model}", hint=hint)
