"""`deploy plan`: the bill, and what would change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baseload.cli.options import Book, Invocation, MaxAge
from baseload.planner.errors import ExitCode

if TYPE_CHECKING:
    from baseload.cli.planning import Sources
    from baseload.planner.plan import Plan

Refresh = Annotated[bool, typer.Option("--refresh", help="Read first what really is, and compare with that.")]

Reconsider = Annotated[
    bool, typer.Option("--reconsider", help="Choose anew for every `target: auto`, at today's prices.")
]

Base = Annotated[
    str | None,
    typer.Option(
        "--base", metavar="FILE|git:REF", help="Compare with this plan, or with the specs of a commit; else deployed."
    ),
]


def plan(
    run: Invocation,
    *,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Also write the plan as JSON.")] = None,
    base: Base = None,
    explain: Annotated[bool, typer.Option("--explain", help="Tell how each figure of the bill comes about.")] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Simulate each model whose closed form is in doubt, however many there are.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request's comment or a job's summary.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a page to read, step through and print.")
    ] = None,
    book: Book = None,
    max_age: MaxAge = None,
    refresh: Refresh = False,
    reconsider: Reconsider = False,
    expect_no_changes: Annotated[
        bool, typer.Option("--expect-no-changes", help="Exit with 7 if anything would change.")
    ] = False,
) -> ExitCode:
    """Tell the monthly bill, and what would change.

    What would change is told where the stack has state. Changes nothing and needs no key. Exits with 5 if a limit of a
    spec is breached.
    """
    import json
    import sys

    from baseload.cli.planning import Sources, plan_of, settled, with_logs_read
    from baseload.cli.project import choose_stack, locate, look_up, read_specs
    from baseload.cli.views import explain as explanation
    from baseload.cli.views import markdown as report
    from baseload.cli.views import plan as view

    project = locate(run.folder)
    stack = choose_stack(project, run.options.stack)
    specs, warnings = read_specs(project, choices=False)
    sources = Sources(
        project=project,
        stack=stack,
        specs=specs,
        warnings=warnings,
        base=base,
        book=book,
        max_age_days=max_age,
        exact=exact,
    )
    sources = settled(sources, reconsider=reconsider)
    if html is not None:
        sources = with_logs_read(sources)
    known, outcome = look_up(project, stack), None
    if known.exists is not False:
        from baseload.cli.preview import preview

        outcome = preview(run, sources, refresh=refresh)
    made = plan_of(sources, outcome, known.secrets)
    if out is not None:
        out.write_text(json.dumps(made.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if html is not None:
        _write_page(html, sources, made)
    run.terminal.warn(made.diagnostics)
    if markdown and not run.options.json:
        sys.stdout.write(report.markdown(report.Report(project=project.name, plan=made)) + "\n")
    else:
        run.terminal.show(explanation if explain else view, made)
    if out is not None:
        run.terminal.note(f"wrote {out}; `deploy up --plan {out}` applies exactly this")
    if html is not None:
        run.terminal.note(f"wrote {html}: one file, which loads nothing from anywhere")
    if made.breached:
        return ExitCode.LIMIT_BREACHED
    changes = made.changes is None or bool(made.changes)  # of a stack without state everything would be created
    return ExitCode.CHANGES_FOUND if expect_no_changes and changes else ExitCode.OK


def _write_page(file: Path, sources: Sources, made: Plan) -> None:
    from baseload.cli.planning import book_of
    from baseload.cli.views.report import Report, html
    from baseload.planner.decisions import decisions
    from baseload.planner.sweep import sweep

    book = book_of(sources)
    sweeps = {spec.name: sweep(spec, book) for spec in sources.specs}
    decided = {spec.name: decisions(sweeps[spec.name].expected, spec, book) for spec in sources.specs}
    report = Report(project=sources.project.name, plan=made, sweeps=sweeps, decisions=decided)
    file.write_text(html(report), encoding="utf-8")
