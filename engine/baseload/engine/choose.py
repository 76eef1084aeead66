"""Which engine: the Pulumi CLI where there is one, else the embedded engine for rehearsals; and installing the CLI.

Order: what was asked for (`--engine`), `BASELOAD_ENGINE`, a CLI that is found, the embedded engine on the sandbox.
Against a real cloud nothing is chosen silently in place of the CLI. Starts no process until an engine works, and
imports neither engine before it is chosen.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from baseload.engine.interface import Engine
from baseload.planner.errors import BaseloadError, UsageError

NAMES = ("pulumi", "embedded")
VARIABLE = "BASELOAD_ENGINE"

INSTALL_HINT = "`deploy engine install` fetches the Pulumi CLI; `--engine embedded` does without it"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An engine and why it is the one."""

    name: str
    """`pulumi` or `embedded`."""
    version: str
    """Without a `v`; of the embedded engine, this package's."""
    path: Path | None
    """The CLI's executable; None for the embedded engine."""
    reason: str


def choose(
    preference: str | None = None,
    *,
    sandbox: bool,
    environ: Mapping[str, str] | None = None,
    ask: Callable[[str], str] | None = None,
) -> Engine:
    """The engine to use. `preference` is what `--engine` said; `ask` prompts for a passphrase on a terminal.

    Raises `UsageError`: `engine/unknown`, `engine/no-pulumi`, `engine/none`.
    """
    environ = os.environ if environ is None else environ
    _, path, _ = _decide(preference, sandbox=sandbox, environ=environ)
    if path:
        from baseload.engine.pulumi import PulumiEngine

        return PulumiEngine(path, environment=environ, ask=ask)
    from baseload.engine.embedded import EmbeddedEngine

    return EmbeddedEngine(environment=environ, ask=ask)


def explain(preference: str | None = None, *, sandbox: bool, environ: Mapping[str, str] | None = None) -> Choice:
    """What `choose` would choose, with its version (for the CLI: one process). Raises as `choose` and `version_of`."""
    environ = os.environ if environ is None else environ
    name, path, reason = _decide(preference, sandbox=sandbox, environ=environ)
    if not path:
        return Choice(name=name, version=metadata.version("baseload"), path=None, reason=reason)
    from baseload.engine.pulumi import version_of

    return Choice(name=name, version=version_of(path), path=path, reason=reason)


def find(environ: Mapping[str, str] | None = None) -> Path | None:
    """The CLI: on PATH, in Pulumi's home folder, or the newest of `~/.pulumi/versions` (where `install` puts it)."""
    environ = os.environ if environ is None else environ
    on_path = shutil.which("pulumi", path=environ.get("PATH", ""))
    return Path(on_path) if on_path else next(iter(_installed(environ)), None)


def install(version: str | None = None) -> Choice:
    """Run Pulumi's own installer for `version` (by default the SDK's) into `~/.pulumi/versions`.

    What is there already is kept. Raises `UsageError` `engine/version`, `BaseloadError` `engine/install`.
    """
    import subprocess

    from pulumi.automation import InvalidVersionError, PulumiCommand
    from semver import VersionInfo

    try:
        wanted = VersionInfo.parse(version.removeprefix("v")) if version else None
    except ValueError:
        hint = "a version has the form 3.272.0"
        raise UsageError.of("engine/version", f"{version!r} is no version of Pulumi", hint=hint) from None
    try:
        command = PulumiCommand.install(version=wanted)
    except subprocess.CalledProcessError as error:
        said = (error.output or b"").decode(errors="replace").strip().splitlines()
        raise _not_installed("; ".join(said[-3:]) or f"the installer ended with {error.returncode}") from error
    except (OSError, InvalidVersionError) as error:
        reason = getattr(error, "reason", error)
        raise _not_installed(getattr(reason, "strerror", None) or str(reason)) from error
    path = Path(command.command)
    return Choice(name="pulumi", version=str(command.version), path=path, reason="installed by Pulumi's installer")


def _not_installed(reason: str) -> BaseloadError:
    return BaseloadError.of(
        "engine/install",
        f"the Pulumi CLI could not be installed: {reason}",
        hint="the installer needs https://get.pulumi.com and github.com; without them put a `pulumi` on PATH, "
        "or go on with `--engine embedded`",
    )


def _decide(preference: str | None, *, sandbox: bool, environ: Mapping[str, str]) -> tuple[str, Path | None, str]:
    wanted = preference or environ.get(VARIABLE) or ""
    source = "--engine" if preference else VARIABLE
    if wanted and wanted not in NAMES:
        hint = f"one of: {', '.join(NAMES)}"
        raise UsageError.of("engine/unknown", f"{source} names the engine {wanted!r}, which does not exist", hint=hint)
    if wanted == "embedded":
        return "embedded", None, f"asked for by {source}"
    path = find(environ)
    if path:
        return "pulumi", path, f"asked for by {source}" if wanted else "the Pulumi CLI is installed"
    if wanted:
        raise UsageError.of("engine/no-pulumi", f"{source} asks for Pulumi, and no CLI was found", hint=INSTALL_HINT)
    if sandbox:
        return "embedded", None, "no Pulumi CLI was found, and the sandbox needs none"
    raise UsageError.of("engine/none", "no Pulumi CLI was found, and this is a real cloud", hint=INSTALL_HINT)


def _installed(environ: Mapping[str, str]) -> Iterable[Path]:
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or Path.home()) / ".pulumi"
    pulumi_home = environ.get("PULUMI_HOME")
    versions = sorted((home / "versions").glob("*"), key=_order, reverse=True)
    for folder in ([Path(pulumi_home)] if pulumi_home else []) + [home, *versions]:
        executable = shutil.which("pulumi", path=str(folder / "bin"))
        if executable:
            yield Path(executable)


def _order(folder: Path) -> tuple[list[int], bool]:
    release, _, pre = folder.name.removeprefix("v").partition("-")
    return [int(number) for number in re.findall(r"\d+", release)], not pre
