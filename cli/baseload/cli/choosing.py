"""`target: auto` on the command line: choices are read with the specs, made where there are none, and written down."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from baseload.cli.project import Project
from baseload.planner.diagnostics import Diagnostic
from baseload.planner.prices import PriceBook
from baseload.planner.spec.model import Auto, ModelSpec


def chosen(
    project: Project, specs: Sequence[ModelSpec], book: PriceBook, *, reconsider: bool
) -> tuple[list[ModelSpec], list[Diagnostic]]:
    """The specs with every `target: auto` settled, and why it is so.

    What is chosen now is written beside the specs. Raises UsageError where nothing can be chosen.
    """
    if not any(isinstance(spec.target, Auto) for spec in specs):
        return list(specs), []
    from baseload.planner.auto import choose, remarks
    from baseload.planner.spec.choices import read_choices, resolved, write_choices

    folder, today = project.root / "model_specs", datetime.now(UTC).date()
    kept, autos = read_choices(folder), [spec for spec in specs if isinstance(spec.target, Auto)]
    made = {spec.name: choose(spec, book, today) for spec in autos if reconsider or spec.name not in kept}
    choices = {spec.name: made[spec.name] if spec.name in made else kept[spec.name] for spec in autos}
    if choices != kept:
        write_choices(folder, choices)
    settled = [resolved(spec, choices) for spec in specs]
    said = [
        remark
        for spec in settled
        if spec.auto is not None
        for remark in remarks(spec, choices[spec.name], book, made_now=spec.name in made)
    ]
    return settled, said
