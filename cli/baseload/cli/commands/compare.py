"""`deploy compare`: one spec on every target, GPU and mode with a price."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baseload.cli.options import Invocation
from baseload.planner.errors import UsageError

if TYPE_CHECKING:
    from baseload.planner.prices import PriceBook
    from baseload.planner.spec.model import ModelSpec


def compare(
    run: Invocation,
    *,
    spec: Annotated[str | None, typer.Argument(metavar="[SPEC]", help="A model's name, or the file of a spec.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show every row, not only the smallest bills.")] = False,
) -> None:
    """Tell what a model would cost on every target and GPU.

    Ranks by the expected month, with range and latency; says what is not possible, unpriced or unknown, and why. Needs
    no key. What this version does not deploy is marked, and never recommended.
    """
    from baseload.cli.views import compare as view
    from baseload.planner.compare import compare as compared

    chosen, book = _chosen(run, spec)
    run.terminal.show(view, view.Shown(comparison=compared(_with_log(run, chosen), book), every=every))


def _chosen(run: Invocation, name: str | None) -> tuple[ModelSpec, PriceBook]:
    """The spec, and the prices of the project it stands in."""
    from baseload.planner.prices import bundled, with_negotiated

    if name is not None and Path(name).suffix in (".yaml", ".yml"):
        from baseload.planner.spec import load

        return load([Path(name)])[0], bundled()

    from baseload.cli.project import locate, read_specs

    project = locate(run.folder)
    specs, warnings = read_specs(project)
    run.terminal.warn(warnings)
    found = [item for item in specs if name is None or item.name == name]
    names = ", ".join(item.name for item in specs)
    if name is not None and not found:
        raise UsageError.of("compare/which", f"there is no model {name}", hint=f"there is: {names}")
    if len(found) != 1:
        raise UsageError.of(
            "compare/which", f"one model at a time is compared, there is: {names or 'none'}", hint="name one"
        )
    return found[0], with_negotiated(bundled(), project.root)


def _with_log(run: Invocation, spec: ModelSpec) -> ModelSpec:
    if spec.traffic is None or spec.traffic.log is None:
        return spec
    from datetime import UTC, datetime

    from baseload.planner.traffic.log import with_log

    read, said = with_log(spec, datetime.now(UTC))
    run.terminal.warn(said)
    return read
