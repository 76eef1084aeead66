"""The two streams of the process: results on stdout, everything else on stderr; questions only to a person.

Knows how text looks (colour, width), not what it says: that is the views' business.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TextIO, TypeVar

from baseload.planner.diagnostics import Diagnostic, Severity
from baseload.planner.errors import Cancelled, ExitCode, UsageError

NARROW, WIDE = 60, 100
"""Lines are never set wider than `WIDE`; below `NARROW` columns a terminal may wrap them itself."""


class Color(StrEnum):
    """When to use colours; `auto` means on a terminal that has them."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True)
class Page:
    """What a view may know of where its text goes. Without colour the text says the same."""

    width: int = WIDE
    color: bool = False

    def bold(self, text: str) -> str:
        """For headings and totals."""
        return self._paint("1", text)

    def dim(self, text: str) -> str:
        """For what may be skipped."""
        return self._paint("2", text)

    def good(self, text: str) -> str:
        """For what is as wanted."""
        return self._paint("32", text)

    def warning(self, text: str) -> str:
        """For what deserves a look."""
        return self._paint("33", text)

    def bad(self, text: str) -> str:
        """For what is wrong."""
        return self._paint("31", text)

    def _paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.color and text else text


T = TypeVar("T", contravariant=True)


class View(Protocol[T]):
    """A module of `baseload.cli.views`: the same value for people and for programs."""

    def human(self, value: T, page: Page) -> str:
        """Text, lines ended by newlines except the last."""
        ...

    def document(self, value: T) -> Mapping[str, Any]:
        """The JSON document, with `schema` first."""
        ...


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """Where this run of the command writes and whom it may ask."""

    as_json: bool = False
    assume_yes: bool = False
    color: Color = Color.AUTO

    @classmethod
    def of_arguments(cls, arguments: Sequence[str]) -> Terminal:
        """For errors that come before the options are known."""
        before = list(arguments[: arguments.index("--")]) if "--" in arguments else arguments
        wanted = [item.removeprefix("--color=") for item in before if item.startswith("--color=")]
        wanted += [value for key, value in itertools.pairwise(before) if key == "--color"]
        color = Color(wanted[-1]) if wanted and wanted[-1] in set(Color) else Color.AUTO
        return cls(as_json="--json" in before, color=color)

    @property
    def is_interactive(self) -> bool:
        """Whether a question would reach a person."""
        return not self.as_json and sys.stdin.isatty() and sys.stderr.isatty()

    def page(self, stream: TextIO) -> Page:
        """How text for `stream` may look."""
        width = shutil.get_terminal_size((WIDE, 24)).columns
        return Page(width=min(max(width, NARROW), WIDE), color=self._colored(stream))

    def show(self, view: View[T], value: T) -> None:
        """The result of the command, on stdout."""
        if self.as_json:
            print_document(view.document(value))
        else:
            sys.stdout.write(view.human(value, self.page(sys.stdout)) + "\n")

    def preview(self, text: Callable[[Page], str]) -> None:
        """What is about to happen, for a person, on stderr; nothing in JSON mode."""
        if not self.as_json:
            self.note(text(self.page(sys.stderr)))

    def note(self, text: str) -> None:
        """A passing remark on stderr."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def warn(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Warnings and notes, on stderr; they stand in JSON documents themselves."""
        page = self.page(sys.stderr)
        for item in diagnostics:
            self.note(diagnostic_text(item, page) + "\n")

    def confirm(self, question: str, *, command: str) -> None:
        """Ask, unless `--yes`. Raises `Cancelled` on no, `UsageError` where there is nobody to ask."""
        if self.assume_yes:
            return
        if not self.is_interactive:
            raise UsageError.of(
                "confirm/missing",
                f"`{command}` asks before it acts, and there is no terminal to ask on",
                hint=f"add --yes to go ahead without a question: `{command} --yes`",
            )
        self.note("")
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Cancelled.of("cancelled", "nothing was changed")

    @property
    def ask(self) -> Callable[[str], str] | None:
        """How to ask for something that is typed unseen; None where there is nobody to ask."""
        return _ask_unseen if self.is_interactive else None

    def _colored(self, stream: TextIO) -> bool:
        match self.color:
            case Color.ALWAYS:
                return True
            case Color.NEVER:
                return False
            case Color.AUTO:
                return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _ask_unseen(prompt: str) -> str:
    import getpass

    return getpass.getpass(prompt, sys.stderr)


def print_document(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def diagnostic_text(item: Diagnostic, page: Page) -> str:
    """`place: severity[code]: summary`, and the hint after a blank line."""
    paint = {Severity.ERROR: page.bad, Severity.WARNING: page.warning, Severity.NOTE: page.dim}[item.severity]
    mark = f"{item.severity}[{item.code}]"
    first, _, rest = str(item).partition(mark)
    return f"{first}{paint(mark)}{rest}"


def show_diagnostics(diagnostics: Sequence[Diagnostic], code: ExitCode, terminal: Terminal) -> None:
    """Why the command failed: text on stderr, and in JSON mode one document on stdout."""
    if terminal.as_json:
        error = {
            "code": diagnostics[0].code,
            "exit_code": int(code),
            "diagnostics": [item.to_json() for item in diagnostics],
        }
        print_document({"schema": "baseload.error/1", "error": error})
        return
    page = terminal.page(sys.stderr)
    sys.stderr.write("\n\n".join(diagnostic_text(item, page) for item in diagnostics) + "\n")
