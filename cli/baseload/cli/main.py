"""The boundary of the process: runs a command, turns every outcome into an exit code and a text.

The only place where exceptions are caught for good. Ctrl-C and SIGTERM take the same way: the engine gets the time to
stop its providers and to write its state, then the answer is 8.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from typer.exceptions import Abort, TyperException

from baseload.cli.app import app
from baseload.cli.terminal import Terminal, show_diagnostics
from baseload.planner.diagnostics import Diagnostic, Location
from baseload.planner.errors import BaseloadError, Cancelled, ExitCode, UsageError

INTERRUPTED = 130
"""What Typer returns, without standalone mode, where a command was interrupted."""

MACHINE = {
    errno.ENOSPC: ("machine/disk-full", "free some space on that disk and run the command again"),
    errno.EDQUOT: ("machine/disk-full", "free some space under your quota and run the command again"),
    errno.EACCES: ("machine/not-allowed", "check the owner and the rights of that file or folder"),
    errno.EPERM: ("machine/not-allowed", "check the owner and the rights of that file or folder"),
    errno.EROFS: ("machine/read-only", "use a folder that can be written to, or mount it writable"),
}


def deploy() -> int:
    """The executable: `main` with fewer collections, and a quick end.

    Nearly all that a command makes stays until its end: to look for garbage every 700 objects is a twentieth of the
    time of `deploy plan`. Python ends with two collections over everything that was imported, a fifth of it; frozen
    objects are left out of them. DuckDB reports what is never collected as leaks, on stderr.
    """
    gc.set_threshold(50_000)
    code = main()
    if "duckdb" not in sys.modules:
        gc.freeze()
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run `deploy` with `argv` (default: the process's own) and answer its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()  # the reader has gone (`deploy plan | head`): nobody is left to tell
        return ExitCode.ERROR
    except OSError as error:
        _drop_stdout()  # it cannot be written (a full disk), so not even the error document fits there
        show_diagnostics(_machine(error).diagnostics, ExitCode.ERROR, Terminal())
        return ExitCode.ERROR
    finally:
        signal.signal(signal.SIGTERM, before)
    return code


def _drop_stdout() -> None:
    """Python flushes stdout once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: Sequence[str]) -> int:
    try:
        code = app(args=arguments, prog_name="deploy", standalone_mode=False)
        if code == INTERRUPTED:
            raise _cancelled()
        return int(code or ExitCode.OK)
    except BaseloadError as error:
        return _fail(error, arguments)
    except TyperException as error:
        return _fail(_usage(error), arguments)
    except (KeyboardInterrupt, Abort):
        return _fail(_cancelled(), arguments)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _fail(_machine(error), arguments)
    except Exception as error:
        if "--debug" in arguments:
            raise
        return _fail(_bug(error), arguments, ExitCode.BUG)


def _fail(error: BaseloadError, arguments: Sequence[str], code: ExitCode | None = None) -> int:
    if "--debug" in arguments:
        import traceback

        traceback.print_exception(error)
    code = error.exit_code if code is None else code
    # The options may be what is wrong, so whether JSON is wanted is read from the bare arguments.
    show_diagnostics(error.diagnostics, code, Terminal.of_arguments(arguments))
    return code


def _usage(error: TyperException) -> BaseloadError:
    command = getattr(getattr(error, "ctx", None), "command_path", "deploy")
    return UsageError.of("usage", error.format_message().rstrip("."), hint=f"`{command} --help` shows what there is")


def _cancelled() -> BaseloadError:
    return Cancelled.of("cancelled", "stopped before the end", hint="run the same command again to go on from here")


def _machine(error: OSError) -> BaseloadError:
    code, hint = MACHINE.get(error.errno or 0, ("machine/io", None))
    where = Location(error.filename) if error.filename else None
    return BaseloadError.of(code, error.strerror or str(error), where=where, hint=hint)


def _bug(error: Exception) -> BaseloadError:
    # The type and the place, never the text: it may hold a value that nobody meant to show.
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" in {frame.tb_frame.f_globals.get('__name__')}, line {frame.tb_lineno}" if frame else ""
    return BaseloadError(
        Diagnostic(
            code="bug",
            summary=f"this is a bug in deploy: {type(error).__name__}{place}",
            hint="run the command again with --debug for the traceback, and report it",
        )
    )


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
