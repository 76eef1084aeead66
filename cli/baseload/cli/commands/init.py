"""`deploy init`: the files of a new project."""

from __future__ import annotations

from typing import Annotated

import typer

from baseload.cli.options import Invocation
from baseload.planner.errors import UsageError


def init(
    run: Invocation,
    *,
    name: Annotated[str | None, typer.Option("--name", help="The project's name; else the folder's.")] = None,
) -> None:
    """Make a project in this folder.

    An example spec, the program that Pulumi runs, one stack, a CI workflow. Nothing is overwritten.
    """
    from baseload.cli import scaffold
    from baseload.cli.views import init as view

    root = run.folder
    texts = scaffold.contents(name or scaffold.project_name(root), scaffold.this_environment(root))
    kept = [path for path in scaffold.SHARED if (root / path).exists()]
    taken = [path for path in texts if path not in kept and (root / path).exists()]
    if taken:
        raise UsageError.of(
            "init/exists",
            f"nothing was written, because these exist already: {', '.join(taken)}",
            hint="use an empty folder (`deploy -C <folder> init`), or move these files away",
        )
    for path, text in texts.items():
        if path not in kept:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8", newline="\n")
    run.terminal.show(view, view.Made(root=root, created=[path for path in texts if path not in kept], kept=kept))
