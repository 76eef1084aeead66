"""`deploy simulate`: the month by simulation, beside the plan's closed form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baseload.cli.options import Book, Invocation, MaxAge
from baseload.planner.errors import BaseloadError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from baseload.planner.pool import Dispatch
    from baseload.planner.prices import PriceBook
    from baseload.planner.spec.model import ModelSpec


def simulate(
    run: Invocation,
    *,
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="Only this model.")] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Same seed, same result.")] = 1,
    requests: Annotated[
        int | None,
        typer.Option("--requests", metavar="N", help="About how many; fewer if the interval is narrow before."),
    ] = None,
    dispatch: Annotated[
        str | None,
        typer.Option(
            "--dispatch", metavar="packed|balanced|random", help="Which warm worker gets a request; else packed."
        ),
    ] = None,
    from_log: Annotated[
        bool, typer.Option("--from-log", help="Replay the specs' own logs, request by request, instead of drawing.")
    ] = False,
    svg: Annotated[
        Path | None,
        typer.Option("--svg", metavar="FILE", help="Also draw the beginning: workers, queue and cost. One model."),
    ] = None,
    book: Book = None,
    max_age: MaxAge = None,
) -> None:
    """Simulate the traffic of the specs, and compare with the plan.

    The bill with its 95 % interval, worker starts, requests that meet a cold start, latency, and how the run begins.
    Needs no key and no state.
    """
    from dataclasses import replace
    from datetime import UTC, datetime

    from baseload.cli.project import locate, read_specs
    from baseload.cli.views import month_svg as drawing
    from baseload.cli.views import simulate as view
    from baseload.planner.diagnostics import Severity
    from baseload.planner.prices import book_for
    from baseload.planner.prices.remarks import remarks
    from baseload.planner.simulated.replications import ROWS, replications

    rule = _dispatch(dispatch)
    if svg is not None and from_log:
        hint = "without --from-log the beginning of a simulated month is drawn"
        raise UsageError.of("simulate/svg", "a replayed log is not drawn", hint=hint)
    project = locate(run.folder)
    specs, warnings = read_specs(project)
    run.terminal.warn(warnings)
    chosen = _chosen(specs, model)
    if svg is not None and len(chosen) > 1:
        hint = f"name one: {', '.join(spec.name for spec in chosen)}"
        raise UsageError.of("simulate/svg", "one model at a time is drawn", hint=hint)
    if svg is not None:
        drawing.matplotlib()  # before the work, not after it
    if from_log:
        chosen = _with_a_log(chosen)
    if any(spec.traffic and spec.traffic.log for spec in chosen):
        from baseload.planner.traffic.log import with_log

        read = [with_log(spec, datetime.now(UTC)) for spec in chosen]
        run.terminal.warn(item for _, said in read for item in said)
        chosen = [spec for spec, _ in read]
    prices = book_for(project.root, book)
    if from_log:
        _replay(run, chosen, prices, seed, rule)
        return
    found, refused = [], list[BaseloadError]()
    for spec in chosen:
        try:
            rows = ROWS if svg is None else drawing.SLOTS
            found.append(replications(spec, prices, seed=seed, requests=requests, dispatch=rule, rows=rows))
        except UsageError as error:  # of one model: the others are shown
            refused.append(error)
    diagnostics = [item for error in refused for item in error.diagnostics]
    if not found:
        raise UsageError(*diagnostics)
    run.terminal.warn(replace(item, severity=Severity.WARNING) for item in diagnostics)
    run.terminal.warn(item for one in found for item in one.cost.diagnostics if item.code != "plan/in-doubt")
    used = {price for one in found for price in one.cost.prices}
    run.terminal.warn(remarks(prices, used, datetime.now(UTC).date(), max_age))
    if svg is not None:
        svg.write_text(drawing.svg(found[0]), encoding="utf-8")
        found = [found[0].in_rows(ROWS)]
    run.terminal.show(view, found)
    if svg is not None:
        run.terminal.note(f"wrote {svg}")


def _with_a_log(specs: Sequence[ModelSpec]) -> list[ModelSpec]:
    found = [spec for spec in specs if spec.traffic and spec.traffic.log]
    if not found:
        names = ", ".join(spec.name for spec in specs)
        hint = "say where it is, for instance `traffic: {log: {file: requests.csv}}`"
        raise UsageError.of("simulate/no-log", f"there is no log to replay of {names}", hint=hint)
    return found


def _replay(run: Invocation, specs: Sequence[ModelSpec], prices: PriceBook, seed: int, rule: Dispatch | None) -> None:
    from datetime import UTC, datetime

    from baseload.cli.views import replay as view
    from baseload.planner.simulated.replayed import replayed
    from baseload.planner.traffic.log import requests_of

    now = datetime.now(UTC)
    found = [replayed(spec, prices, requests_of(spec, now), seed=seed, dispatch=rule) for spec in specs]
    run.terminal.warn(item for one in found for item in one.cost.diagnostics)
    run.terminal.show(view, found)


def _dispatch(name: str | None) -> Dispatch | None:
    from baseload.planner.pool import Dispatch

    if name is None or name in set(Dispatch):
        return None if name is None else Dispatch(name)
    raise UsageError.of("simulate/dispatch", f"{name} is no rule of dispatch", hint=f"there is: {', '.join(Dispatch)}")


def _chosen(specs: Sequence[ModelSpec], model: str | None) -> list[ModelSpec]:
    chosen = [spec for spec in specs if model in (None, spec.name)]
    if chosen:
        return chosen
    from difflib import get_close_matches

    names = [spec.name for spec in specs]
    near = get_close_matches(str(model), names, 1)
    hint = f"did you mean {near[0]}?" if near else f"there is: {', '.join(names)}"
    raise UsageError.of("simulate/which", f"there is no model {model}", hint=hint)
