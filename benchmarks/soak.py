"""Kill -9 at random moments of up, update and down; then one more `up` must converge: no orphan, no double.

Half of the kills hit only the engine's process and leave its provider to notice; half hit the whole process group.
"""

from __future__ import annotations

import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.measure import environment

MODELS = 4
FINISHED = "finished first"
SPEC = """\
name: model-{number}
container: {{image: "registry.example/echo:{tag}"}}
traffic: {{requests_per_day: 100}}
performance: {{service_time: 1s, cold_start: 2s}}
target: {{runpod: {{gpu: ADA_24, workers: {{min: 0, max: {workers}}}}}}}
"""


def main(kills: int = 100, engine: str = "embedded", seed: int | None = None) -> None:
    """Run the soak and print its counts; exits non-zero on the first orphan or double."""
    seed = seed if seed is not None else random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    counts: collections.Counter[str] = collections.Counter()
    deploy = shutil.which("deploy", path=str(Path(sys.executable).parent)) or "deploy"
    env = environment(PULUMI_CONFIG_PASSPHRASE="soak", PULUMI_SKIP_UPDATE_CHECK="true")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        env["PULUMI_HOME"] = str(root / "pulumi-home")

        def command(*words: str) -> list[str]:
            return [deploy, *words, "--sandbox", "--yes", "--engine", engine]

        def quietly(*words: str) -> None:
            done = subprocess.run(words, cwd=root, env=env, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(
                    f"seed {seed}: {' '.join(words)} answered {done.returncode}\n{done.stdout}{done.stderr}"
                )

        quietly(deploy, "init")
        for example in (root / "model_specs").glob("*.yaml"):
            example.unlink()
        write_specs(root, tag="v1", workers=2)
        addresses = json.loads(
            subprocess.run(
                [deploy, "sandbox", "start", "--json"], cwd=root, env=env, capture_output=True, check=True
            ).stdout
        )
        try:
            started = time.monotonic()
            quietly(*command("up"))
            limit_s = dict.fromkeys(["up", "update", "down"], time.monotonic() - started)
            for turn in range(kills):
                verb = chance.choice(list(limit_s))
                if verb == "up":
                    quietly(*command("down"))
                write_specs(root, tag=f"v{turn + 2}", workers=2 + turn % 3)
                outcome = killed(
                    command("down" if verb == "down" else "up"),
                    root,
                    env,
                    after_s=chance.uniform(0.2, 1) * limit_s[verb],
                    group=chance.random() < 0.5,
                )
                if outcome == FINISHED:
                    limit_s[verb] *= 0.9  # most kills should come before the end
                counts[f"{verb}: {outcome}"] += 1
                quietly(*command("up"))
                check(addresses["runpod"]["base_url"], tag=f"v{turn + 2}", seed=seed)
        finally:
            subprocess.run([deploy, "sandbox", "stop"], cwd=root, env=env, capture_output=True, check=False)
    print(f"{kills} turns on the {engine} engine, seed {seed}: 0 orphans, 0 doubles; {dict(sorted(counts.items()))}")


def write_specs(root: Path, *, tag: str, workers: int) -> None:
    """The same models with another image and another ceiling."""
    for number in range(MODELS):
        path = root / "model_specs" / f"model-{number}.yaml"
        path.write_text(SPEC.format(number=number, tag=tag, workers=workers))


def killed(command: list[str], root: Path, env: dict[str, str], *, after_s: float, group: bool) -> str:
    """Start, wait, kill -9; `finished` where it was faster than the kill."""
    process = subprocess.Popen(
        command, cwd=root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        if group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        return "killed with its provider" if group else "killed alone"
    return FINISHED


def check(base_url: str, *, tag: str, seed: int) -> None:
    """Exactly one endpoint a model, with the newest image."""
    answer = httpx.get(f"{base_url}/serverless", headers={"Authorization": "Bearer sandbox"})
    answer.raise_for_status()
    found = sorted((one["name"].rsplit("-", 1)[0], one["image"]) for one in answer.json()["endpoints"])
    wanted = sorted((f"model-{number}", f"registry.example/echo:{tag}") for number in range(MODELS))
    if found != wanted:
        raise SystemExit(f"seed {seed}: wanted {wanted}, the sandbox holds {found}")


if __name__ == "__main__":
    main(engine=sys.argv[1] if len(sys.argv) > 1 else "embedded")
