"""The embedded engine against the Pulumi CLI: one attached provider, 50 ms a create, whole processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Run, environment, run

PARALLEL = 64
PROGRAM = """\
import os
import pulumi

class Thing(pulumi.CustomResource):
    def __init__(self, name):
        props = {"value": os.environ["VALUE"], "kind": os.environ["KIND"]}
        super().__init__("slow:index:Thing", name, props)

for n in range(int(os.environ["COUNT"])):
    Thing(f"thing-{n}")
"""
STEPS = [
    ("created", {"VALUE": "1", "KIND": "a"}),
    ("unchanged", {"VALUE": "1", "KIND": "a"}),
    ("all updated", {"VALUE": "2", "KIND": "a"}),
    ("all replaced", {"VALUE": "2", "KIND": "b"}),
]


def embedded_up(root: Path) -> None:
    """What the child process runs."""
    import runpy

    from baseload.engine.embedded import EmbeddedEngine
    from baseload.engine.interface import StackRef

    EmbeddedEngine().up(
        StackRef(root=root, project="bench", stack="dev"),
        lambda: runpy.run_path(str(root / "__main__.py")) and None,
        lambda event: None,
        parallel=PARALLEL,
    )


def main(counts: tuple[int, ...] = (1, 100, 500)) -> None:
    """Print one Markdown row a size and step."""
    cli = shutil.which("pulumi")
    provider = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.slow_provider"], stdout=subprocess.PIPE, env=environment()
    )
    assert provider.stdout is not None
    port = provider.stdout.readline().decode().strip()
    print("| resources | step | embedded s | peak MiB | CLI s | CLI / embedded |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    try:
        for count in counts:
            for label, ours, theirs in measured(count, port, cli):
                other = f"{theirs.seconds:.2f} | {theirs.seconds / ours.seconds:.1f} x" if theirs else "no CLI here | "
                print(f"| {count} | {label} | {ours.seconds:.2f} | {ours.peak_mib:.0f} | {other} |", flush=True)
    finally:
        provider.terminate()
        provider.wait()


def measured(count: int, port: str, cli: str | None) -> list[tuple[str, Run, Run | None]]:
    """Each step on both engines, one after the other, each engine on a project of its own."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        ours, theirs = (project(Path(scratch) / name) for name in ("embedded", "cli"))
        for label, values in STEPS:
            env = environment(
                COUNT=str(count),
                PULUMI_DEBUG_PROVIDERS=f"slow:{port}",
                PULUMI_CONFIG_PASSPHRASE="bench",
                PULUMI_SKIP_UPDATE_CHECK="true",
                PULUMI_HOME=f"{scratch}/home",
                **values,
            )
            mine = run([sys.executable, "-m", "benchmarks.engines", str(ours)], cwd=Path.cwd(), env=env)
            if cli and label == "created":
                run([cli, "stack", "init", "dev"], cwd=theirs, env=env)
            up = ["up", "--yes", "--skip-preview", "--stack", "dev", "--parallel", str(PARALLEL)]
            rows.append((label, mine, run([cli, *up], cwd=theirs, env=env) if cli else None))
    return rows


def project(root: Path) -> Path:
    """A Pulumi project with its own state folder, run by this interpreter's environment."""
    (root / "state").mkdir(parents=True)
    (root / "__main__.py").write_text(PROGRAM)
    (root / "Pulumi.yaml").write_text(
        f"name: bench\nruntime: {{name: python, options: {{virtualenv: {sys.prefix}}}}}\n"
        f"backend: {{url: 'file://{root / 'state'}'}}\n"
    )
    return root


if __name__ == "__main__":
    os.environ.setdefault("PULUMI_SKIP_UPDATE_CHECK", "true")
    embedded_up(Path(sys.argv[1]))
