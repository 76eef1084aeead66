"""Runs a program in this process, apart from everything else in it: own thread, own context, own event loop.

Must not know resources or providers: the monitor it is given does.

Facts: SDK 3.272, `pulumi/runtime/{settings,stack,rpc_manager}.py`: all of the SDK's state lives in context variables,
so an empty context keeps programs apart; it makes about 20 tasks per resource, which the cyclic collector then
visits again and again (60 to 75 % of the time at 500 resources).
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sysconfig
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import config as sdk_config
from pulumi.runtime import settings as sdk_settings
from pulumi.runtime import stack as sdk_stack

from baseload.engine.files.project import Config
from baseload.engine.interface import Program
from baseload.planner.diagnostics import Location
from baseload.planner.errors import BaseloadError, DeployError

ORGANIZATION = "organization"
"""What Pulumi's `file://` backend calls everybody."""


class ProgramRun:
    """One run; starts at once. `done` is set when the program and all its registrations have ended."""

    def __init__(
        self,
        program: Program,
        monitor: Any,
        log: Any,
        *,
        root: Path,
        project: str,
        stack: str,
        config: Config,
        dry_run: bool,
        parallel: int,
    ) -> None:
        self.error: BaseException | None = None
        self.done = threading.Event()
        self._program = program
        self._parallel = parallel
        self._config = config
        self._make_settings: Any = lambda: sdk_settings.Settings(
            project=project,
            stack=stack,
            monitor=monitor,
            engine=log,
            dry_run=dry_run,
            parallel=parallel,
            organization=ORGANIZATION,
            root_directory=str(root),
        )
        context = contextvars.Context()
        threading.Thread(target=context.run, args=(self._run,), name="program", daemon=True).start()

    def _run(self) -> None:
        try:
            with _rare_collections():
                self._run_in_loop()
        except BaseException as error:  # also SystemExit: it is the program's end, not this process's
            self.error = error
        finally:
            self.done.set()

    def _run_in_loop(self) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        # A failed registration leaves its exception in every future made of it; the first is reported, once.
        loop.set_exception_handler(_ignore)
        loop.set_default_executor(ThreadPoolExecutor(self._parallel, thread_name_prefix="register"))
        sdk: Any = sdk_settings
        sdk.ROOT.set(None)
        sdk.configure(self._make_settings())
        sdk_config.set_all_config(dict(self._config.values), list(self._config.secret_keys))
        try:
            loop.run_until_complete(sdk_stack.run_in_stack(self._program))
        finally:
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            asyncio.set_event_loop(None)
            loop.close()


def _ignore(*_: object) -> None:
    """See where it is set."""


def explain(error: BaseException, root: Path) -> BaseloadError:
    """A program's exception as place (the innermost line of the user's own code) and reason."""
    if isinstance(error, BaseloadError):
        return error
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_users(Path(f.filename))]
    own = [f for f in frames if Path(f.filename).is_relative_to(root)] or frames
    where = Location(Path(own[-1].filename), own[-1].lineno) if own else None
    if isinstance(error, pulumi.RunError):
        reason = str(error)
    elif isinstance(error, SystemExit):
        reason = f"it ended itself with {error.code!r}"
    else:
        reason = f"{type(error).__name__}: {error}"
    return DeployError.of("engine/program", f"the program failed: {reason}", where=where)


_PATHS = sysconfig.get_paths()
_LIBRARIES = tuple(
    Path(path).resolve()
    for path in (
        *(_PATHS[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        str(Path(__file__).parent),
        str(Path(str(sdk_stack.__file__)).parents[1]),
    )
)


def _is_users(file: Path) -> bool:
    return file.is_absolute() and not any(file.resolve().is_relative_to(library) for library in _LIBRARIES)


_collections = threading.Lock()
_running = 0
_thresholds = gc.get_threshold()


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Raise the collector's thresholds as long as any program runs."""
    global _running, _thresholds
    with _collections:
        if not _running:
            _thresholds = gc.get_threshold()
            gc.set_threshold(200_000, 50, 1000)
        _running += 1
    try:
        yield
    finally:
        with _collections:
            _running -= 1
            if not _running:
                gc.set_threshold(*_thresholds)
