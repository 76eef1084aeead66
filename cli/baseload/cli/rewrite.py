"""One section of a spec file written anew; every other line stays as it is, comments included."""

from __future__ import annotations

from pathlib import Path

from baseload.planner.diagnostics import Location
from baseload.planner.errors import SpecError, UsageError
from baseload.planner.spec.file import parse_spec
from baseload.planner.spec.source import parse, read


def with_section(file: Path, key: str, section: str) -> str:
    """The file's text with `section` (whole lines, `key:` first) in place of what it has, or at its end.

    Comments between the lines of the old section go with it. Raises `SpecError` where the file is no spec afterwards,
    `UsageError` where it is not written one key to a line.
    """
    content = read(file).content  # refuses what is no text, and no YAML
    text = file.read_bytes().decode("utf-8-sig")  # line ends stay as they are
    if "\r\n" in text:
        section = section.replace("\n", "\r\n")
    lines = text.splitlines(keepends=True)
    places = parse(file, text)
    keys = list(content) if isinstance(content, dict) else []
    starts = sorted((places.key((name,)).line or 1) - 1 for name in keys)
    if len(set(starts)) < len(starts) or any(places.key((name,)).column != 1 for name in keys):
        raise UsageError.of(
            "traffic/form", "the keys of this file do not stand one to a line", where=Location(file),
            hint="print the section with `--write -` and put it in by hand",
        )  # fmt: skip
    if key in keys:
        begin = (places.key((key,)).line or 1) - 1
        end = next((start for start in starts if start > begin), len(lines))
        while end > begin + 1 and _is_apart(lines[end - 1]):
            end -= 1  # what stands before the next key belongs to that
    else:
        begin = end = len(lines)
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\r\n" if "\r\n" in text else "\n"
    made = "".join([*lines[:begin], section, *lines[end:]])
    checked = parse_spec(file, made)
    if checked.spec is None:
        raise SpecError(*checked.diagnostics)
    return made


def _is_apart(line: str) -> bool:
    return not line.strip() or line.startswith("#")
