"""`deploy compare`: one spec on every target, GPU and mode with a price."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baseload.cli.options import Book, Invocation, MaxAge
from baseload.planner.errors import UsageError

if TYPE_CHECKING:
    from baseload.planner.spec.model import ModelSpec


def compare(
    run: Invocation,
    *,
    spec: Annotated[str | None, typer.Argument(metavar="[SPEC]", help="A model's name, or the file of a spec.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show every row, not only the smallest bills.")] = False,
    break_even: Annotated[
        bool,
        typer.Option(
            "--break-even",
            help="Also tell at which requests a day the order changes, what each worker is worth, dollars per "
            "1M tokens, and what fewer cold starts cost.",
        ),
    ] = False,
    between: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--between",
            metavar="ROW ROW",
            help="The same for two rows: target/GPU/mode as in --json, or the start of it for the cheapest.",
        ),
    ] = None,
    advice: Annotated[
        bool, typer.Option("--advice", help="Also tell which rules of thumb hold for this model, and where they err.")
    ] = False,
    book: Book = None,
    max_age: MaxAge = None,
) -> None:
    """Tell what a model would cost on every target and GPU.

    Ranks by the expected month, with range and latency; says what is not possible, unpriced or unknown, and why. Needs
    no key. What this version does not deploy is marked, and never recommended.
    """
    from datetime import UTC, datetime

    from baseload.cli.views import compare as view
    from baseload.planner.compare import Status
    from baseload.planner.compare import compare as compared
    from baseload.planner.prices import book_for
    from baseload.planner.prices.remarks import remarks

    chosen, root = _chosen(run, spec)
    prices = book_for(root, book)
    chosen = _with_log(run, chosen)
    whole = every or break_even or between is not None or advice or run.terminal.as_json
    comparison = compared(chosen, prices, None if whole else view.MOST)
    used = {row.price for row in comparison.of(Status.RANKED) if row.price}
    said = tuple(remarks(prices, used, datetime.now(UTC).date(), max_age))
    run.terminal.warn(said)
    found, asked = None, break_even or between is not None
    if asked or advice:
        from baseload.planner.decisions import decisions

        found = decisions(comparison, chosen, prices, between=between)
    run.terminal.show(
        view,
        view.Shown(comparison=comparison, every=every, diagnostics=said, decisions=found, computed=asked, rules=advice),
    )


def _chosen(run: Invocation, name: str | None) -> tuple[ModelSpec, Path | None]:
    """The spec, and the root of the project whose prices it takes: its own, else that of the folder; None is none."""
    from baseload.cli.project import locate, read_specs, root_of

    if name is not None and Path(name).suffix in (".yaml", ".yml"):
        from baseload.planner.spec import load
        from baseload.planner.spec.choices import with_choices

        return with_choices(load([Path(name)]))[0], root_of(Path(name).parent) or root_of(run.folder)

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
    return found[0], project.root


def _with_log(run: Invocation, spec: ModelSpec) -> ModelSpec:
    if spec.traffic is None or spec.traffic.log is None:
        return spec
    from datetime import UTC, datetime

    from baseload.planner.traffic.log import with_log

    read, said = with_log(spec, datetime.now(UTC))
    run.terminal.warn(said)
    return read
