"""How the time of `deploy plan` grows with the number of specs: whole processes over generated projects.

Every stage counts: reading, cost, difference to another plan, limits, diagnostics, and each form of output.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import environment, run

COUNTS = (10, 100, 1000)
RUNS = 3
FORMS: dict[str, list[str]] = {
    "as text": [],
    "explained": ["--explain"],
    "as JSON": ["--json"],
    "as Markdown": ["--markdown"],
}

SPEC = """\
name: {name}
model:
  id: mistralai/Mistral-7B-Instruct-v0.3
  parameters: 7.25B
  precision: fp16
  max_context: 8192
traffic:
  requests_per_day: {requests}
  tokens: {{in: 512, out: 128}}
  range: {{low: 0.5, high: 2}}
{curve}performance:
  service_time: {service}s
  cold_start: 25s
limits:
  monthly_usd: {limit}
  increase_percent: 20
target:
  runpod:
    gpu: {gpu}
    workers: {{min: 0, max: {most}}}
    idle_timeout: {idle}s
"""


def main() -> None:
    """Print the milliseconds that a spec takes, for each number of them."""
    deploy = str(Path(sys.executable).parent / "deploy")
    env = environment(PULUMI_CONFIG_PASSPHRASE="bench")
    taken: dict[str, dict[int, float]] = {form: {} for form in FORMS}
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            subprocess.run([deploy, "init"], cwd=root, env=env, check=True, capture_output=True)
            (root / "model_specs" / "mistral-7b.yaml").unlink()
            for number in range(count):
                write(root, number)
            base = root / "base.json"
            subprocess.run([deploy, "plan", "--out", str(base)], cwd=root, env=env, check=True, capture_output=True)
            for number in range(0, count, 2):  # every other model has changed since
                write(root, number, factor=1.1)
            for form, options in FORMS.items():
                command = [deploy, "plan", "--base", str(base), *options]
                seconds = [run(command, cwd=root, env=env).seconds for _ in range(RUNS)]
                taken[form][count] = statistics.median(seconds)
    few, some, most = COUNTS
    for form, seconds in taken.items():
        each = ", ".join(f"{count:,}: {value * 1000 / count:.1f} ms a spec" for count, value in seconds.items())
        slope = (seconds[most] - seconds[some]) / (most - some) / ((seconds[some] - seconds[few]) / (some - few))
        print(f"`deploy plan` {form}: {each}; one more spec beyond {some} costs {slope:.2f} x one before", flush=True)


def write(root: Path, number: int, *, factor: float = 1.0) -> None:
    """The spec of a number, always the same: a hundred rates, four GPUs, one in ten on a business week."""
    name = f"model-{number:04}"
    text = SPEC.format(
        name=name,
        requests=int((200 + 37 * (number % 100)) * factor),
        curve="  curve: business-week\n" if number % 10 == 0 else "",
        service=1 + number % 7 / 4,
        limit=100_000,
        gpu=("ADA_24", "AMPERE_24", "AMPERE_48", "ADA_48_PRO")[number % 4],
        most=1 + number % 5,
        idle=5 + number % 50,
    )
    (root / "model_specs" / f"{name}.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
