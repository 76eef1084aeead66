"""How long whole commands take, in units of an empty Python process, side by side in one run.

`deploy plan` and `deploy compare` of one spec, with constant traffic, on a business week with a range, and
where the month is simulated.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import environment, median, ratio, run

RUNS = 21

COMMANDS = {"plan": 30, "compare": 60}
"""The most that each may take, in empty processes."""

WEEK = "  requests_per_day: 1000\n  curve: business-week\n"


def main() -> None:
    """Print seconds and the ratios."""
    deploy = str(Path(sys.executable).parent / "deploy")
    env = environment(PULUMI_CONFIG_PASSPHRASE="bench")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        subprocess.run([deploy, "init"], cwd=root, env=env, check=True, capture_output=True)
        spec = root / "model_specs" / "mistral-7b.yaml"
        flat = spec.read_text(encoding="utf-8")
        week = flat.replace("  requests_per_day: 1000\n", WEEK)
        assert week != flat, "the example has changed"
        doubtful = flat.replace("  cold_start: 25s\n", "  cold_start: 25s\n  concurrency: 1\n")
        assert doubtful != flat, "the example has changed"
        for traffic, text in (
            ("constant traffic", flat),
            ("a business week, with a range", week),
            ("constant traffic, one request a worker: simulated", doubtful),
        ):
            spec.write_text(text, encoding="utf-8")
            for command, bound in COMMANDS.items():
                _measure([deploy, command], f"`deploy {command}` of one spec, {traffic}", bound, root, env)


def _measure(command: list[str], what: str, bound: int, root: Path, env: dict[str, str]) -> None:
    ours, empty = [], []
    for turn in range(RUNS + 1):
        pair = run(command, cwd=root, env=env), run([sys.executable, "-c", "pass"], cwd=root, env=env)
        if turn:
            ours.append(pair[0])
            empty.append(pair[1])
    print(
        f"{what}: {median(ours) * 1000:.0f} ms, `python -c pass`: {median(empty) * 1000:.0f} ms, "
        f"ratio {ratio(ours, empty):.1f} (bound {bound}; median of {RUNS} pairs after one warm-up)",
        flush=True,
    )


if __name__ == "__main__":
    main()
