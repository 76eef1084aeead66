"""How long a whole `deploy plan` of one spec takes, in units of an empty Python process, side by side in one run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import environment, median, ratio, run

RUNS = 21


def main() -> None:
    """Print seconds and the ratio."""
    deploy = str(Path(sys.executable).parent / "deploy")
    env = environment(PULUMI_CONFIG_PASSPHRASE="bench")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        subprocess.run([deploy, "init"], cwd=root, env=env, check=True, capture_output=True)
        plan, empty = [], []
        for turn in range(RUNS + 1):
            pair = (
                run([deploy, "plan"], cwd=root, env=env),
                run([sys.executable, "-c", "pass"], cwd=root, env=env),
            )
            if turn:
                plan.append(pair[0])
                empty.append(pair[1])
    print(
        f"`deploy plan` of one spec: {median(plan) * 1000:.0f} ms, `python -c pass`: {median(empty) * 1000:.0f} ms, "
        f"ratio {ratio(plan, empty):.1f} (median of {RUNS} pairs after one warm-up)"
    )


if __name__ == "__main__":
    main()
