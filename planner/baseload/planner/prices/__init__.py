"""The price book: what things cost, from data files, each row with its source and the day it was read.

A price that is not known is `None` and stays so, it is never zero. Nothing here asks a network or the clock: how old a
price is, is said relative to a day the caller gives. One file per provider, read when a row of it is asked for, so
that the plan of one endpoint does not pay for everybody's price list.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from baseload.planner.diagnostics import Location
from baseload.planner.errors import UsageError

CONFIDENCES = ("read", "second-hand", "estimated", "unknown")

UNITS: Mapping[str, int | None] = {
    **{f"{thing}-{name}": seconds for thing in ("gpu", "instance") for name, seconds in
       (("second", 1), ("minute", 60), ("hour", 3600))},
    "core-second": 1,
    "core-hour": 3600,
    "gib-second": 1,
    "gib-hour": 3600,
    "gb-second": 1,
    "second": 1,
    "hour": 3600,
    "month": None,
    "gb-month": None,
    "gb": None,
    "request": None,
    "million-requests": None,
    "million-tokens": None,
    "factor": None,
}  # fmt: skip
"""What one price is for, with the seconds of those that are for a time.

`gpu-…` is for one GPU, `instance-…` for a machine whole with its `count` of them, `core` is a physical core, `gb` 10^9
and `gib` 2^30 bytes; `factor` is no price but what other prices of the provider are multiplied by.
"""

SECONDS = {unit: seconds for unit, seconds in UNITS.items() if seconds is not None}

BILLED_BY: Mapping[tuple[str, str], str] = {("runpod", "serverless"): "gpu-second"}
"""Products whose price is multiplied as it stands; in any other unit it would be a silently wrong number."""

FROM_QUANTITY = ">="
"""Begins a tier that holds from a monthly quantity on."""

FACTS = ("card", "count", "includes", "increment_s", "keep_warm_s", "bills_cold_start", "max_age_days")
"""The fields of a row that say how something is billed, not what it costs; `always_on` goes with `keep_warm_s`."""

BUNDLED = "bundled"
SEED = (
    "are those of an article, for a month of 720 hours; nobody bills them, and idle time and cold starts, which the "
    "article leaves out, are counted"
)
"""The caution of the two articles' books: docs/seeds.md."""
MONTH_HOURS = Decimal(730)


@dataclass(frozen=True, kw_only=True, order=True)
class Price:
    """One row: what one `unit` of a provider's product costs.

    Rows are compared by what a plan document says of them; how the time is billed is not part of that.
    """

    provider: str
    product: str
    """`serverless`: RunPod's Flex rate, which Active workers also pay (less a negotiated discount)."""
    gpu: str
    """The provider's own name of what is priced: for RunPod a pool or a GPU type, for AWS an instance type, and for
    what is no GPU a word (`cpu`, `memory`, `requests`)."""
    unit: str
    """One of `UNITS`."""
    usd: Decimal | None
    """None: the provider publishes no price."""
    read: date
    """The day on which the source last showed it."""
    withdrawn: date | None
    """The day since which it no longer holds; kept as a fact, never used to plan."""
    confidence: str
    """`read` in the source itself, `second-hand`, `estimated`, or `unknown` where there is no price."""
    source: str
    note: str
    card: str = field(default="", compare=False)
    """What people call the GPU (`H100-80GB`); empty where the price is for no single kind."""
    count: int = field(default=0, compare=False)
    """GPUs in what is priced; 0 where it has none."""
    region: str = ""
    """Empty: everywhere."""
    tier: str = ""
    """What else tells prices of one thing apart: `secure`, `input`, or from which quantity on it holds (`>=6000`)."""
    includes: str = field(default="", compare=False)
    """What is not billed extra: `cpu memory`."""
    increment_s: Decimal | None = field(default=None, compare=False)
    """Time is billed in steps of this; None is unknown, and taken as none."""
    keep_warm_s: int | None = field(default=None, compare=False)
    """How long a worker without requests is kept, and billed, unless told otherwise; None is not published."""
    always_on: bool = field(default=False, compare=False)
    """It never stops by itself."""
    bills_cold_start: bool | None = field(default=None, compare=False)
    """None is not published."""
    max_age_days: int | None = field(default=None, compare=False)
    """When it should be read again; None is never."""

    @property
    def id(self) -> str:
        """What it is the price of: `runpod/serverless/ADA_24`, with `@region` and `#tier` where it has them."""
        region, tier = f"@{self.region}" if self.region else "", f"#{self.tier}" if self.tier else ""
        return f"{self.provider}/{self.product}/{self.gpu}{region}{tier}"

    @property
    def seconds(self) -> int | None:
        """Of one unit; None where the price is not for a time."""
        return UNITS[self.unit]

    @property
    def usd_per_hour(self) -> Decimal | None:
        """The same price for an hour of one GPU, or of what `unit` counts; None where unknown or not for a time."""
        return None if self.usd is None or self.seconds is None else self.usd * 3600 / self.seconds

    @property
    def starts_at(self) -> Decimal:
        """The monthly quantity from which this price holds, 0 without a tier."""
        from_quantity = self.tier.startswith(FROM_QUANTITY)
        return Decimal(self.tier.removeprefix(FROM_QUANTITY)) if from_quantity else Decimal(0)

    def is_old(self, on: date, max_age_days: int | None = None) -> bool:
        """Whether it should be read again by that day; `max_age_days` instead of the row's own."""
        days = self.max_age_days if max_age_days is None else max_age_days
        return days is not None and self.withdrawn is None and on - self.read > timedelta(days=days)

    def with_facts_of(self, other: Price | None) -> Price:
        """This row, with how the time is billed from another one where this does not say it."""
        if other is None:
            return self
        unsaid = {name for name in FACTS if getattr(self, name) in ("", None)}
        unsaid |= set() if self.count else {"count"}
        if self.keep_warm_s is None and not self.always_on:
            unsaid |= {"always_on"}
        else:
            unsaid -= {"keep_warm_s"}
        return replace(self, **{name: getattr(other, name) for name in unsaid})

    def to_json(self) -> dict[str, str | None]:
        """The form in a plan document; the amount as a decimal string."""
        return {
            "id": self.id,
            "unit": self.unit,
            "usd": None if self.usd is None else format(self.usd, "f"),
            "read": self.read.isoformat(),
            "withdrawn": None if self.withdrawn is None else self.withdrawn.isoformat(),
            "confidence": self.confidence,
            "source": self.source,
            "note": self.note,
        }

    def details(self) -> dict[str, object]:
        """The form in a list of prices: everything the row says."""
        hourly = self.usd_per_hour
        return {
            **self.to_json(),
            "provider": self.provider,
            "product": self.product,
            "gpu": self.gpu,
            "card": self.card or None,
            "count": self.count,
            "region": self.region or None,
            "tier": self.tier or None,
            "usd_per_hour": None if hourly is None else format(hourly.normalize(), "f"),
            "includes": self.includes.split(),
            "increment_s": None if self.increment_s is None else format(self.increment_s, "f"),
            "keep_warm_s": self.keep_warm_s,
            "always_on": self.always_on,
            "bills_cold_start": self.bills_cold_start,
            "max_age_days": self.max_age_days,
        }


class PriceBook:
    """Prices by what they are the price of; no two rows that hold today price the same thing."""

    def __init__(
        self,
        name: str,
        rows: Iterable[Price] = (),
        *,
        files: Mapping[str, Callable[[], Sequence[Price]]] | None = None,
        month_hours: Decimal = MONTH_HOURS,
        caution: str | None = None,
    ) -> None:
        """`files` are rows by provider that are read when asked for; `rows` of the same thing win over them.

        `caution` is what a plan must say of the book's prices, as the rest of a sentence about them.
        """
        self.name, self.month_hours, self.caution = name, month_hours, caution
        self._files = dict(files or {})
        self._own: dict[str, list[Price]] = {}
        for row in rows:
            self._own.setdefault(row.provider, []).append(row)
        self._known: dict[str, dict[str, Price]] = {}
        for provider in self._own:
            _by_id(self._own[provider], name)

    def providers(self) -> tuple[str, ...]:
        """Everyone the book has a row of, sorted."""
        return tuple(sorted({*self._files, *self._own}))

    def of(self, provider: str) -> tuple[Price, ...]:
        """All rows of a provider, the withdrawn and the unknown included."""
        own = self._own.get(provider, [])
        told = {row.id for row in own}
        read = self._files[provider]() if provider in self._files else ()
        return (*(row for row in read if row.id not in told or row.withdrawn), *own)

    def rows(self) -> tuple[Price, ...]:
        """All rows by provider."""
        return tuple(row for provider in self.providers() for row in self.of(provider))

    def find(self, provider: str, product: str, gpu: str, *, region: str = "", tier: str = "") -> Price | None:
        """The row that holds today, None where the book has none; its `usd` may still be None.

        What is asked for with a region is also found where it costs the same in all.
        """
        known = self._current(provider)
        place, kind = f"@{region}" if region else "", f"#{tier}" if tier else ""
        name = f"{provider}/{product}/{gpu}"
        return known.get(f"{name}{place}{kind}") or known.get(f"{name}{kind}")

    def get(self, row_id: str) -> Price | None:
        """The row that holds today by its id."""
        return self._current(row_id.partition("/")[0]).get(row_id)

    def tiers(self, provider: str, product: str, gpu: str, *, region: str = "") -> tuple[Price, ...]:
        """The rows of one thing whose price depends on the month's quantity, from the smallest on."""
        rows = [
            row
            for row in self._current(provider).values()
            if (row.product, row.gpu) == (product, gpu) and row.region in ("", region)
        ]
        return tuple(sorted(rows, key=lambda row: row.starts_at))

    def with_rows(self, rows: Iterable[Price], name: str) -> PriceBook:
        """This book with other rows over its own, for instance negotiated prices.

        How the time is billed is taken from the row below where the new one does not say it. One without a region holds
        in all regions of those below, one without a tier from whatever monthly quantity on.
        """
        own = {row.id: row for provider in self._own for row in self._own[provider]}
        rows = list(rows)
        told = [*(each for row in rows for each in self._held_by(row)), *rows]
        own |= {row.id: row.with_facts_of(self.get(row.id)) for row in told}
        return PriceBook(name, own.values(), files=self._files, month_hours=self.month_hours)

    def unmatched(self) -> list[tuple[Price, list[str]]]:
        """Rows over those of the files whose product is there and whose GPU is not, with the GPUs that are."""
        found = []
        for provider in self._own.keys() & self._files.keys():
            under = self._files[provider]()
            for row in self._own[provider]:
                known = sorted({each.gpu for each in under if each.product == row.product})
                if known and row.gpu not in known and row.withdrawn is None:
                    found.append((row, known))
        return sorted(found, key=lambda item: item[0].id)

    def _held_by(self, row: Price) -> Iterator[Price]:
        """The row in the place of each narrower one of the same thing."""
        for below in self._current(row.provider).values():
            same = (below.product, below.gpu) == (row.product, row.gpu) and below.id != row.id and row.withdrawn is None
            tiers = below.tier == row.tier or (not row.tier and below.tier.startswith(FROM_QUANTITY))
            if same and tiers and row.region in ("", below.region):
                yield replace(row, region=below.region, tier=below.tier)

    def to_json(self) -> dict[str, object]:
        """What `deploy prices --json` prints."""
        return {
            "schema": "baseload.prices/1",
            "book": self.name,
            "currency": "USD",
            "month_hours": format(self.month_hours, "f"),
            "prices": [row.details() for row in self.rows()],
        }

    def _current(self, provider: str) -> dict[str, Price]:
        if provider not in self._known:
            self._known[provider] = _by_id(self.of(provider), self.name)
        return self._known[provider]


def _by_id(rows: Iterable[Price], book: str) -> dict[str, Price]:
    found: dict[str, Price] = {}
    for row in rows:
        if row.withdrawn is not None:
            continue
        if row.id in found:
            raise UsageError.of(
                "prices/duplicate",
                f"the price book {book!r} has two prices for {row.id}",
                hint="keep the one that holds; give the other the day since which it does not, as `withdrawn`",
            )
        found[row.id] = row
    return found


@functools.cache
def bundled() -> PriceBook:
    """The price book that comes with this version."""
    folder = Path(__file__).parent
    return PriceBook(BUNDLED, files={file.stem: _reader(file) for file in sorted(folder.glob("*.csv"))})


def _reader(file: Path) -> Callable[[], Sequence[Price]]:
    @functools.cache
    def rows() -> Sequence[Price]:
        return read(file)

    return rows


def book(name: str = BUNDLED) -> PriceBook:
    """A price book by name, or of a CSV file or a folder of them.

    `bundled`; `seed-s1` and `seed-s2`: the prices of two articles, for a month of 720 hours without idle time or cold
    starts (docs/seeds.md), never to plan with. Raises UsageError for what is none of these, and for bad rows.
    """
    if name == BUNDLED:
        return bundled()
    if seed := next((file for file in _seeds() if file.stem == name), None):
        return PriceBook(name, read_all([seed], billed_by={}), month_hours=Decimal(720), caution=SEED)
    return PriceBook(name, read_all(_files(name)))


def book_for(root: Path | None, named: str | None = None) -> PriceBook:
    """The book to plan with: the bundled one under the prices of the project at `root`, None outside of a project.

    `named` instead is a book by name as it is, or a CSV file (or a folder of them) in the place of the project's
    prices. Raises UsageError as `book` and `with_negotiated`.
    """
    if named is None:
        return with_negotiated(bundled(), root) if root is not None else bundled()
    if named == BUNDLED or named in {file.stem for file in _seeds()} or not Path(named).exists():
        return book(named)
    return bundled().with_rows(read_all(_files(named), over=bundled()), f"{BUNDLED}+{Path(named).name}")


def _seeds() -> list[Path]:
    return sorted((Path(__file__).parent / "seeds").glob("*.csv"))


def _files(name: str) -> list[Path]:
    """The CSV files that a path names."""
    path = Path(name)
    if not path.exists():
        known = ", ".join([BUNDLED, *(file.stem for file in _seeds())])
        raise UsageError.of(
            "prices/no-book",
            f"there is no price book {name!r}",
            hint=f"known are {known}; or name a CSV file, or a folder of them",
        )
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files:
        raise UsageError.of(
            "prices/no-book",
            "the folder has no CSV file",
            where=Location(path),
            hint="`deploy prices show` prints a row, docs/prices.md names the columns",
        )
    return files


def with_negotiated(under: PriceBook, root: Path) -> PriceBook:
    """`under` with the prices in `prices/*.csv` of a project's root over it; the same book where there are none.

    Raises UsageError with the place of every bad row.
    """
    files = sorted((root / "prices").glob("*.csv"))
    return under.with_rows(read_all(files, over=under), f"{under.name}+prices") if files else under


def read(file: Path) -> list[Price]:
    """The rows of one CSV file; see `read_all`."""
    return read_all([file])


def read_all(
    files: Sequence[Path],
    *,
    billed_by: Mapping[tuple[str, str], str] = BILLED_BY,
    over: PriceBook | None = None,
) -> list[Price]:
    """The rows of CSV files, no two of which price the same thing.

    Raises UsageError with every bad row by file and line: no amount, zero, negative, infinite, in another currency, a
    day that is none, an unknown unit or confidence, another unit than `billed_by` says or than the book counts that
    these rows go `over`, a second price for one thing.
    """
    from baseload.planner.prices.table import read_table

    return read_table(files, billed_by, over)


def unpriced(provider: str, product: str, gpu: str) -> UsageError:
    """The error of who must have a price that no book has."""
    error = UsageError.of(
        "prices/unpriced",
        f"no price is known for {provider}/{product}/{gpu}",
        hint=how_to_enter(provider),
    )
    assert isinstance(error, UsageError)
    return error


def how_to_enter(provider: str, more: str = "") -> str:
    """The remedy for a price that is not known; `more` columns that tell it apart."""
    return (
        f"enter it in prices/{provider}.csv beside Pulumi.yaml, with the columns "
        f"provider,product,gpu,{more}unit,usd,read,source (`deploy prices show` prints a row)"
    )
