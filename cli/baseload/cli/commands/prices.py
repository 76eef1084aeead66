"""`deploy prices list | show | check | diff | refresh`: the price book, its age, and how to renew it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baseload.cli.options import Invocation, MaxAge

if TYPE_CHECKING:
    from datetime import date

    from baseload.planner.prices import Price, PriceBook

Book = Annotated[
    str | None,
    typer.Option("--book", metavar="NAME", help="A book by name (bundled, seed-s1, seed-s2), a CSV file or a folder."),
]


def prices(run: Invocation) -> None:
    """Show the prices that plans use: the bundled ones under those of `prices/*.csv` beside Pulumi.yaml."""
    list(run)


def list(  # noqa: A001 - named as the command
    run: Invocation,
    provider: Annotated[str | None, typer.Argument(help="Only this provider's.")] = None,
    *,
    book: Book = None,
) -> None:
    """Show the prices, each with its source and the day it was read."""
    from baseload.cli.views import prices as view
    from baseload.planner.prices import PriceBook

    chosen = _book(run, book)
    if provider is not None:
        _demand_provider(chosen, provider)
        chosen = PriceBook(chosen.name, chosen.of(provider), month_hours=chosen.month_hours)
    run.terminal.show(view, chosen)


def show(
    run: Invocation,
    price: Annotated[str, typer.Argument(help="As `deploy prices list --json` names it: runpod/serverless/ADA_24.")],
    *,
    book: Book = None,
) -> None:
    """Show everything that is known of one price, and the row to enter another one."""
    from baseload.cli.views import price as view

    chosen = _book(run, book)
    row = chosen.get(price)
    if row is None:
        raise _no_such_price(chosen, price)
    run.terminal.show(view, view.Shown(book=chosen.name, row=row, on=_today()))


def check(
    run: Invocation,
    *,
    book: Book = None,
    max_age: MaxAge = None,
) -> None:
    """Check the price book: which prices are old, second-hand or missing, and whether one's own files can be read."""
    from baseload.cli.views import price_check as view
    from baseload.planner.prices.remarks import remarks

    chosen = _book(run, book)
    run.terminal.warn(remarks(chosen, [row for row in chosen.rows() if row.read > _today()], _today(), max_age))
    run.terminal.show(view, view.checked(chosen, _today(), max_age))


def diff(
    run: Invocation,
    other: Annotated[str, typer.Argument(help="A book by name, a CSV file or a folder.")],
    *,
    book: Book = None,
) -> None:
    """Show what another price book has that differs from the one that plans use."""
    from baseload.cli.views import price_diff as view
    from baseload.planner.prices import BUNDLED
    from baseload.planner.prices import book as named
    from baseload.planner.prices.refresh import changes

    old, new = _book(run, book), named(other)
    found = changes(old.rows(), new.rows(), only_new=other != BUNDLED)
    run.terminal.show(view, view.Difference(old=old.name, new=new.name, changes=found))


def refresh(
    run: Invocation,
    provider: Annotated[str, typer.Argument(help="runpod (needs a key), or aws with --file.")],
    *,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="JSON", help="AWS's bulk price file of one region, downloaded.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="CSV", help="Where to write the rows.")] = None,
) -> None:
    """Read a provider's prices anew, write them to a file to review, and show what differs.

    Plans use them once the file lies in `prices/` beside Pulumi.yaml.
    """
    from baseload.cli.views import price_diff as view
    from baseload.planner.errors import UsageError
    from baseload.planner.prices.refresh import AWS_OFFERS, changes
    from baseload.planner.prices.table import write_table

    book = _book(run, None)
    match provider:
        case "runpod":
            rows = _from_runpod(run, book)
        case "aws":
            rows = _from_aws(file, book)
        case _:
            raise UsageError.of(
                "prices/refresh",
                f"the prices of {provider!r} cannot be read by a program",
                hint="runpod's and aws's can; others publish a page: enter what it says in "
                f"prices/{provider}.csv beside Pulumi.yaml (AWS's file: {AWS_OFFERS.format(region='us-east-1')})",
            )
    target = out or Path(f"prices-{provider}-{_today().isoformat()}.csv")
    target.write_text(write_table(rows), encoding="utf-8", newline="\n")
    found = changes(book.of(provider), rows, only_new=True)
    run.terminal.show(view, view.Difference(old=book.name, new=str(target), changes=found))
    run.terminal.note(f"wrote {len(rows)} prices to {target}; review it, and move it into prices/ to plan with it")


def _from_runpod(run: Invocation, book: PriceBook) -> Sequence[Price]:
    from baseload.cli.cloud import choose_cloud
    from baseload.cli.project import nearest
    from baseload.planner.prices.refresh import runpod_rows
    from baseload.providers.runpod.client import Client, Unattended

    cloud = choose_cloud(run.options, nearest(run.folder))
    with Client.from_environment(cloud.variables) as client:
        return runpod_rows(client.gpu_types(Unattended()), book, _today())


def _from_aws(file: Path | None, book: PriceBook) -> Sequence[Price]:
    import json

    from baseload.planner.diagnostics import Location
    from baseload.planner.errors import UsageError
    from baseload.planner.prices.refresh import AWS_OFFERS, aws_rows

    if file is None:
        url = AWS_OFFERS.format(region="us-east-1")
        raise UsageError.of(
            "prices/refresh",
            "AWS's prices come from a file that is downloaded first",
            hint=f"curl -fsSo sagemaker.json {url} && deploy prices refresh aws --file sagemaker.json",
        )
    try:
        offers = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UsageError.of("prices/refresh", f"not readable as JSON: {error}", where=Location(file)) from error
    return aws_rows(offers if isinstance(offers, dict) else {}, book)


def _book(run: Invocation, name: str | None) -> PriceBook:
    """The named book as it is, else the bundled one under the project's own prices."""
    from baseload.cli.project import nearest
    from baseload.planner.prices import book, book_for

    return book(name) if name else book_for(nearest(run.folder))


def _today() -> date:
    from datetime import UTC, datetime

    return datetime.now(UTC).date()


def _demand_provider(book: PriceBook, provider: str) -> None:
    from baseload.planner.errors import UsageError

    if provider not in book.providers():
        known = ", ".join(book.providers())
        raise UsageError.of(
            "prices/no-provider", f"the price book has nobody called {provider!r}", hint=f"it has {known}"
        )


def _no_such_price(book: PriceBook, wanted: str) -> Exception:
    from difflib import get_close_matches

    from baseload.planner.errors import UsageError

    ids = [row.id for row in book.rows() if row.withdrawn is None]
    near = [name for name in ids if wanted.lower() in name.lower()][:5] or get_close_matches(wanted, ids, 5)
    hint = f"did you mean {', '.join(near)}?" if near else "`deploy prices list --json` has all ids"
    return UsageError.of("prices/no-price", f"the price book {book.name!r} has no price {wanted!r}", hint=hint)
