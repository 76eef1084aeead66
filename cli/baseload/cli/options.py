"""The options that every command takes, before or after its name, and how a command is registered.

A command is a function of an `Invocation` and its own parameters; it answers an exit code or None.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from baseload.cli.terminal import Color, Terminal, print_document
from baseload.planner.errors import BaseloadError, ExitCode

GLOBAL_HINT = (
    "Also, before or after the command: -C/--cwd, -s/--stack, --sandbox, --engine, --json, -y/--yes, --color, --debug "
    "(see `deploy --help`)."
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The global options as given; None and False mean not given."""

    cwd: Path | None = None
    stack: str | None = None
    sandbox: bool = False
    engine: str | None = None
    json: bool = False
    yes: bool = False
    color: Color | None = None
    debug: bool = False

    def over(self, other: Options) -> Options:
        """Ours where given, else the other's."""
        return Options(**{item.name: getattr(self, item.name) or getattr(other, item.name) for item in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One run of one command."""

    options: Options
    terminal: Terminal

    @property
    def folder(self) -> Path:
        """Where to look for the project."""
        return self.options.cwd or Path.cwd()


def _stacks(context: typer.Context, incomplete: str) -> list[str]:
    from baseload.cli.project import locate

    with contextlib.suppress(BaseloadError):  # a shell that completes has no place for an error
        return locate(context.params.get("cwd") or Path.cwd()).stacks()
    return []


Cwd = Annotated[Path | None, typer.Option("--cwd", "-C", metavar="FOLDER", help="The project's folder.")]
Stack = Annotated[
    str | None,
    typer.Option(
        "--stack",
        "-s",
        metavar="NAME",
        help="The stack; else PULUMI_STACK, else the only one there is.",
        autocompletion=_stacks,
    ),
]
Sandbox = Annotated[bool, typer.Option("--sandbox", help="Use the clouds on this machine; started if need be.")]
Engine = Annotated[
    str | None, typer.Option("--engine", metavar="pulumi|embedded", help="The engine; else BASELOAD_ENGINE.")
]
Json = Annotated[bool, typer.Option("--json", is_eager=True, help="One JSON document on stdout; never asks.")]
"""Eager, so that `--version` knows of it wherever it stands."""
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Book = Annotated[
    str | None,
    typer.Option(
        "--book",
        metavar="NAME|FILE",
        help="Prices instead of the project's own: a CSV file or a folder over the bundled ones, or a book by name "
        "(bundled, seed-s1, seed-s2).",
    ),
]
MaxAge = Annotated[
    int | None,
    typer.Option(
        "--max-age", metavar="DAYS", min=0, help="Warn of prices read before that; else each source has its own age."
    ),
]
Colors = Annotated[Color | None, typer.Option("--color", help="Colours; auto looks at NO_COLOR and TERM.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]

_GLOBAL: dict[str, tuple[Any, Any]] = {
    "cwd": (Cwd, None),
    "stack": (Stack, None),
    "sandbox": (Sandbox, False),
    "engine": (Engine, None),
    "json": (Json, False),
    "yes": (Yes, False),
    "color": (Colors, None),
    "debug": (Debug, False),
}

Command = Callable[..., ExitCode | None]


class _Option(TyperOption):
    """An option that is not given costs nothing: Typer imports pydantic (70 ms) to convert even None."""

    def process_value(self, ctx: Any, value: Any) -> Any:
        return super().process_value(ctx, value) if value is not None or self.required else None


class _Light:
    """Commands with such options; Typer has no way to name another class for them."""

    params: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for item in self.params:
            _lighten(item)

    def get_help_option(self, ctx: Any) -> Any:
        return _lighten(super().get_help_option(ctx))  # type: ignore[misc]


class _Command(_Light, TyperCommand):
    pass


class _Group(_Light, TyperGroup):
    pass


def _lighten(item: Any) -> Any:
    if type(item) is TyperOption:
        item.__class__ = _Option
    return item


def command(app: typer.Typer, function: Command, *examples: str) -> None:
    """Register a command by its name; its docstring is the help, `examples` are shown below it."""
    app.command(function.__name__, cls=_Command, epilog=_epilog(examples))(_with_options(function))


def group(app: typer.Typer, name: str, summary: str, *examples: str, default: Command | None = None) -> typer.Typer:
    """Register a command that has commands of its own; `default` runs where none of them is named."""
    made = typer.Typer(rich_markup_mode=None)
    app.add_typer(made, name=name, cls=_Group, help=summary, epilog=_epilog(examples))
    made.callback(invoke_without_command=default is not None)(_with_options(default or _nothing))
    return made


def _nothing(run: Invocation) -> None:
    pass


def _with_options(function: Command) -> Callable[..., int]:
    """`function` as Typer takes it: its own parameters and the global options, which it gets as an `Invocation`."""
    _, *own = inspect.signature(function, eval_str=True).parameters.values()

    def run(context: typer.Context, **values: Any) -> int:
        given = Options(**{key: values.pop(key) for key in _GLOBAL})
        options = given.over(context.obj or Options())
        context.obj = options
        if context.invoked_subcommand is not None:
            return ExitCode.OK
        terminal = Terminal(as_json=options.json, assume_yes=options.yes, color=options.color or Color.AUTO)
        return int(function(Invocation(options=options, terminal=terminal), **values) or ExitCode.OK)

    own = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in own]
    parameters = [_parameter("context", typer.Context), *own, *map(_hidden, _GLOBAL)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    run.__doc__ = function.__doc__
    return run


def root(app: typer.Typer) -> None:
    """Give `app` the global options and `--version`."""

    @app.callback(cls=_Group)
    def options(
        context: typer.Context,
        *,
        cwd: Cwd = None,
        stack: Stack = None,
        sandbox: Sandbox = False,
        engine: Engine = None,
        json: Json = False,
        yes: Yes = False,
        color: Colors = None,
        debug: Debug = False,
        version: Annotated[bool, typer.Option("--version", callback=_version, help="Print the version.")] = False,
    ) -> None:
        context.obj = Options(
            cwd=cwd, stack=stack, sandbox=sandbox, engine=engine, json=json, yes=yes, color=color, debug=debug
        )


def _version(context: typer.Context, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        if context.params.get("json"):
            print_document({"schema": "baseload.version/1", "version": version("baseload")})
        else:
            typer.echo(f"deploy {version('baseload')}")
        raise typer.Exit


def _hidden(name: str) -> inspect.Parameter:
    annotation, default = _GLOBAL[name]
    option = copy.copy(annotation.__metadata__[0])
    option.hidden = True
    return _parameter(name, Annotated[annotation.__origin__, option], default)


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _epilog(examples: tuple[str, ...]) -> str:
    lines = "\n".join(f"  {line}" for line in examples)
    return f"\b\nExamples:\n{lines}\n\n{GLOBAL_HINT}" if examples else GLOBAL_HINT
