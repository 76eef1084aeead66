"""`deploy traffic show`: what was understood of the traffic, and the same as words of a spec."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baseload.cli.options import Invocation
from baseload.planner.errors import UsageError

if TYPE_CHECKING:
    from baseload.planner.spec.model import ModelSpec


def show(
    run: Invocation,
    *,
    spec: Annotated[str | None, typer.Argument(metavar="[SPEC]", help="A model's name, or the file of a spec.")] = None,
    write: Annotated[
        str | None,
        typer.Option(
            "--write",
            metavar="FILE",
            help="Write the traffic, its log read, as a section of this spec file; - prints that section.",
        ),
    ] = None,
) -> None:
    """Draw what the specs and their logs say about traffic.

    Requests by hour, burstiness, gaps, how much of the time a GPU is active, tokens per minute, off-hours. Reads logs
    with DuckDB, and nothing but files.
    """
    from datetime import UTC, datetime

    from baseload.cli.views import traffic as view
    from baseload.planner.traffic.picture import block, picture_of

    now = datetime.now(UTC)
    found = [picture for item in _chosen(run, spec) if (picture := picture_of(item, now)) is not None]
    if not found:
        raise UsageError.of(
            "traffic/none", "there is no `traffic` to show", hint="add `traffic: {requests_per_day: 1000}`"
        )
    run.terminal.warn(item for picture in found for item in picture.diagnostics)
    if write is None:
        run.terminal.show(view, found)
        return
    if len(found) > 1:
        names = ", ".join(picture.spec.name for picture in found)
        raise UsageError.of("traffic/which", f"--write takes the traffic of one model, not of {names}", hint="name it")
    if write == "-":
        typer.echo(block(found[0]), nl=False)
        return
    from baseload.cli.rewrite import with_section

    file = Path(write)
    text = with_section(file, "traffic", block(found[0]))
    file.write_text(text, encoding="utf-8", newline="")
    run.terminal.note(f"wrote `traffic` into {file}")


def _chosen(run: Invocation, name: str | None) -> tuple[ModelSpec, ...]:
    if name is not None and Path(name).suffix in (".yaml", ".yml"):
        from baseload.planner.spec import load

        return load([Path(name)])

    from baseload.cli.project import locate, read_specs

    specs, warnings = read_specs(locate(run.folder))
    run.terminal.warn(warnings)
    if name is None:
        return specs
    chosen = tuple(item for item in specs if item.name == name)
    if not chosen:
        names = ", ".join(item.name for item in specs)
        raise UsageError.of("traffic/which", f"there is no model {name}", hint=f"there is: {names}")
    return chosen
