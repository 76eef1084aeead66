"""What is seen while an engine works: a live table on a terminal, a line per event elsewhere, nothing in JSON mode.

Events come from the engine's threads. Everything goes to stderr.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from baseload.cli.terminal import Page, Terminal
from baseload.cli.views.resources import DOING, DONE, is_shown, label
from baseload.cli.views.text import seconds
from baseload.engine.interface import Event, Message, OnEvent, Op, Status, StepDone, StepFailed, StepStarted

if TYPE_CHECKING:
    from rich.table import Table

Clock = Callable[[], float]

REFRESHES_PER_S = 4


def progress(terminal: Terminal, clock: Clock = time.monotonic) -> AbstractContextManager[OnEvent]:
    """Where to send an operation's events while it runs."""
    if terminal.as_json:
        return nullcontext(lambda event: None)
    page = terminal.page(sys.stderr)
    if sys.stderr.isatty() and page.color:
        return _live(clock)
    return nullcontext(Lines(terminal.note, page, clock))


class Lines:
    """One line per event that says something new."""

    def __init__(self, write: Callable[[str], None], page: Page, clock: Clock) -> None:
        self._write = write
        self._page = page
        self._clock = clock
        self._started: dict[str, float] = {}
        self._said: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        """Take an event."""
        line = self._line(event)
        if line is not None:
            self._write(line)

    def _line(self, event: Event) -> str | None:
        match event:
            case StepStarted(op=op, urn=urn, type=kind) if _shown(op, kind):
                self._started.setdefault(urn, self._clock())
                return f"{label(urn)}: {DOING[op]}"
            case StepDone(op=op, urn=urn, type=kind) if _shown(op, kind):
                return f"{label(urn)}: {self._page.good(DONE[op])} after {self._elapsed(urn)}"
            case StepFailed(op=op, urn=urn, type=kind) if is_shown(kind):
                return f"{label(urn)}: {self._page.bad(f'{DOING[op]} failed')} after {self._elapsed(urn)}"
            case Status(urn=urn, text=text) if text not in (self._said.get(urn), *DOING.values()):
                self._said[urn] = text
                return f"{label(urn)}: {text}"
            case Message(severity="warning" | "info" as severity, text=text):
                return self._page.warning(f"{severity}: ") + text if severity == "warning" else text
            case _:
                return None

    def _elapsed(self, urn: str) -> str:
        now = self._clock()
        return seconds(now - self._started.get(urn, now))


@dataclass
class Row:
    """A resource in the live table; `finished_at` None while it is being worked on."""

    state: str
    started_at: float
    finished_at: float | None = None
    status: str = ""
    failed: bool = False


class Rows:
    """The live table's content; drawn anew for each frame, so that the elapsed time moves."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: dict[str, Row] = {}
        self._messages: list[str] = []

    def __call__(self, event: Event) -> None:
        """Take an event."""
        with self._lock:
            match event:
                case StepStarted(op=op, urn=urn, type=kind) if _shown(op, kind):
                    known = self._rows.get(urn)
                    self._rows[urn] = Row(DOING[op], known.started_at if known else self._clock())
                case StepDone(op=op, urn=urn) if urn in self._rows and op not in (Op.SAME, Op.READ, Op.REFRESH):
                    self._finish(urn, DONE[op])
                case StepFailed(op=op, urn=urn) if urn in self._rows:
                    self._finish(urn, f"{DOING[op]} failed", failed=True)
                case Status(urn=urn, text=text) if urn in self._rows:
                    self._rows[urn].status = text
                case Message(severity="warning" | "info", text=text):
                    self._messages.append(text)
                case _:
                    pass

    def messages(self) -> list[str]:
        """Lasting remarks that have not been taken yet."""
        with self._lock:
            taken, self._messages = self._messages, []
        return taken

    def __rich__(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("resource", "state", "elapsed", ""):
            table.add_column(heading, justify="right" if heading == "elapsed" else "left")
        with self._lock:
            for urn, row in self._rows.items():
                style = "red" if row.failed else "green" if row.finished_at is not None else "yellow"
                elapsed = (self._clock() if row.finished_at is None else row.finished_at) - row.started_at
                table.add_row(label(urn), Text(row.state, style), seconds(elapsed), Text(row.status, "dim"))
        return table

    def _finish(self, urn: str, state: str, *, failed: bool = False) -> None:
        row = self._rows[urn]
        row.state, row.failed, row.finished_at, row.status = state, failed, self._clock(), ""


@contextmanager
def _live(clock: Clock) -> Iterator[OnEvent]:
    from rich.console import Console
    from rich.live import Live

    rows = Rows(clock)
    console = Console(stderr=True, highlight=False)

    live = Live(rows, console=console, refresh_per_second=REFRESHES_PER_S)
    lock = threading.Lock()

    def take(event: Event) -> None:
        rows(event)
        with lock:
            # Not before there is something to show: until then the engine may ask for the passphrase.
            if isinstance(event, StepStarted) and not live.is_started:
                live.start()
        for text in rows.messages():
            console.print(text, markup=False)

    try:
        yield take
    finally:
        live.stop()


def _shown(op: Op, kind: str) -> bool:
    return is_shown(kind) and op not in (Op.SAME, Op.READ, Op.REFRESH)
