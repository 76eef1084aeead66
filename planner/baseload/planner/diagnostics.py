"""What is wrong, where, and what to do: the one value every room reports problems with.

A diagnostic carries data and never prints; the command line decides how it looks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Severity(StrEnum):
    """How bad it is: an error stops the command, a warning does not, a note only informs."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, order=True)
class Location:
    """A place in a file; line and column count from 1, None where only the file is known."""

    file: Path
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """One problem: a stable `code` (`spec/unknown-key`), a `summary` sentence, a place and a remedy."""

    code: str
    summary: str
    severity: Severity = Severity.ERROR
    where: Location | None = None
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        text = f"{place}{self.severity}[{self.code}]: {self.summary}"
        return f"{text}\n\nhint: {self.hint}" if self.hint else text

    def to_json(self) -> dict[str, object]:
        """The document form: `code`, `severity`, `summary`, `file`, `line`, `column`, `hint`."""
        where = self.where
        return {
            "code": self.code,
            "severity": str(self.severity),
            "summary": self.summary,
            "file": str(where.file) if where else None,
            "line": where.line if where else None,
            "column": where.column if where else None,
            "hint": self.hint,
        }


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Without repetitions, by file and position; those without a place come first."""

    def position(item: Diagnostic) -> tuple[str, int, int]:
        where = item.where
        return (str(where.file), where.line or 0, where.column or 0) if where else ("", 0, 0)

    return tuple(sorted(dict.fromkeys(diagnostics), key=position))
