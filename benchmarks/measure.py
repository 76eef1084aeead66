"""Timing whole processes, and two of them side by side."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One finished process: wall seconds, and the largest resident set of it and its children, in MiB."""

    seconds: float
    peak_mib: float


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Run:
    """Run to the end; a failure shows what the process said and stops the benchmark."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} answered {process.returncode}\n{said.decode(errors='replace')}")
    return Run(seconds, usage.ru_maxrss / 1024)


def ratio(first: Sequence[Run], second: Sequence[Run]) -> float:
    """Median of first/second, pair by pair: holds when the machine's speed drifts."""
    return statistics.median(a.seconds / b.seconds for a, b in zip(first, second, strict=True))


def median(runs: Sequence[Run]) -> float:
    """Median wall seconds."""
    return statistics.median(one.seconds for one in runs)


def environment(**extra: str) -> dict[str, str]:
    """The inherited one, with byte code allowed (without it every start compiles every module again)."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "RUNPOD_", "BASELOAD_"))}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env | extra
