"""A model's answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views.text import UNKNOWN, seconds
from baseload.providers.runpod.jobs import Job


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A completed job."""

    model: str
    job: Job


def human(value: Answer, page: Page) -> str:
    """The text of the answer where there is one, else its JSON; times below."""
    job = value.job
    times = f"waited {_time(job.delay_s)} (cold start included), ran {_time(job.run_s)}"
    return f"{_text(job.output)}\n\n{page.dim(times)}"


def document(value: Answer) -> Mapping[str, Any]:
    """`baseload.invoke/1`."""
    job = value.job
    return {
        "schema": "baseload.invoke/1",
        "model": value.model,
        "job": job.id,
        "status": str(job.status),
        "output": job.output,
        "delay_s": job.delay_s,
        "run_s": job.run_s,
        "worker": job.worker_id,
    }


def _time(value: float | None) -> str:
    return UNKNOWN if value is None else seconds(value)


def _text(output: Any) -> str:
    """Tokens of the vLLM worker's queue answer, `[{"choices": [{"tokens": [...]}]}]`, joined; anything else as JSON."""
    match output:
        case str():
            return output
        case [{"choices": [{"tokens": [*tokens]}, *_]}, *_]:
            return "".join(map(str, tokens))
        case {"choices": [{"text": str(text)}, *_]} | {"choices": [{"message": {"content": str(text)}}, *_]}:
            return text
        case _:
            return json.dumps(output, indent=2, ensure_ascii=False)
