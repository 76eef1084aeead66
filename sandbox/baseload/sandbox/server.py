"""The sandbox in the background: started once for a folder, found again, stopped. For the command line and tests.

The folder holds `server.json` (ports, and the process while it runs), `runpod.json` (the objects), `server.log`, and
two lock files: `start.lock` while somebody starts or stops it, `server.lock` as long as the server lives. The ports
stay the same from start to start, because a stack remembers the addresses of the cloud it was made on.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import http.client
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from baseload.planner.errors import BaseloadError, TimedOut, UsageError
from baseload.sandbox.addresses import HOST, Addresses

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0
FOLDER_CHECK_S = 1.0
COLD_START_VARIABLE = "BASELOAD_SANDBOX_COLD_START_S"
_POLL_S = 0.02
_PRIVATE = ("RUNPOD_", "PULUMI_", "AWS_", "MODAL_")
"""Keys and passphrases that a process which stays behind has no use for."""


def start(folder: Path) -> Addresses:
    """Start the sandbox of this folder, or find it running; returns once it answers.

    May be called by several processes at once. Raises UsageError where its ports are taken or the folder cannot be
    used, TimedOut where it does not come up.
    """
    _make(folder)
    with _locked(folder / "start.lock"):
        return status(folder) or _spawn(folder)


def status(folder: Path) -> Addresses | None:
    """Where the sandbox of this folder answers; None where it does not run."""
    known = _known(folder)
    if known is None or not _is_alive(known.get("pid")):
        return None
    identity = _ask(known["ports"][0], "GET", "/_sandbox")
    ours = identity is not None and identity.get("folder") == str(folder.resolve())
    return Addresses.on(*known["ports"]) if ours else None


def stop(folder: Path) -> bool:
    """End the sandbox of this folder and wait until it is gone; whether there was one. Objects and ports are kept.

    Raises TimedOut where it does not end.
    """
    if not folder.is_dir():
        return False
    with _locked(folder / "start.lock"):
        if status(folder) is None:
            return False
        known = _known(folder)
        if known is not None:
            _ask(known["ports"][0], "POST", "/_sandbox/shutdown")
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            with (folder / "server.lock").open("a") as lock:
                if _try_lock(lock):
                    return True
            time.sleep(_POLL_S)
    pid = known.get("pid") if known else None
    hint = f"Look at {folder / 'server.log'}; end it with: kill {pid}"
    raise TimedOut.of("sandbox/stop", f"the sandbox did not end within {STOP_TIMEOUT_S:.0f} s", hint=hint)


def _spawn(folder: Path) -> Addresses:
    # The child writes one line into the pipe when both ports answer, and closes it by dying when they never will.
    ready, ready_in_child = os.pipe()
    command = [sys.executable, "-m", "baseload.sandbox.server", "--folder", str(folder.resolve())]
    with os.fdopen(ready, "rb") as said, (folder / "server.log").open("ab") as log:
        try:
            log_begin = log.tell()
            process = subprocess.Popen(
                [*command, "--ready-fd", str(ready_in_child)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE)},
                pass_fds=[ready_in_child],
                start_new_session=True,
            )
        finally:
            os.close(ready_in_child)
        readable, _, _ = select.select([said], [], [], START_TIMEOUT_S)
        line = said.readline() if readable else b""
    if line:
        # It is detached: whoever started it does not wait for it, and init reaps it.
        process.returncode = 0
        return Addresses.on(*json.loads(line)["ports"])
    return _not_started(folder, process, log_begin, timed_out=not readable)


def _not_started(folder: Path, process: subprocess.Popen[bytes], log_begin: int, *, timed_out: bool) -> Addresses:
    if timed_out:
        process.kill()
    process.wait()
    log = folder / "server.log"
    with log.open("rb") as file:
        file.seek(log_begin)
        lines = file.read().decode(errors="replace").strip().splitlines()
    reason = lines[-1] if lines else f"it ended with code {process.returncode} and said nothing"
    if timed_out:
        text = f"the sandbox did not answer within {START_TIMEOUT_S:.0f} s"
        raise TimedOut.of("sandbox/start", text, hint=f"Look at {log}")
    raise UsageError.of("sandbox/start", f"the sandbox could not start: {reason}", hint=f"The whole story is in {log}")


def _is_alive(pid: int | None) -> bool:
    """Whether there is such a process; it may be somebody else's by now, which its answer tells."""
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _ask(port: int, method: str, path: str) -> dict[str, Any] | None:
    """The answer of an admin route; None where nobody, or nobody of ours, answers."""
    connection = http.client.HTTPConnection(HOST, port, timeout=CONNECT_TIMEOUT_S)
    try:
        connection.request(method, path)
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        # Not running, or the port belongs to another program by now: both mean that ours does not answer there.
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else None


def _known(folder: Path) -> dict[str, Any] | None:
    file = folder / "server.json"
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        first, second = known["ports"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        hint = "Delete it; the sandbox then takes new ports."
        raise UsageError.of("sandbox/server-file", f"{file} cannot be read: {error}", hint=hint) from error
    return {**known, "ports": (int(first), int(second))}


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        text = f"the sandbox needs the folder {folder}: {error.strerror}"
        raise UsageError.of("sandbox/folder", text, hint="Make it writable, or name another.") from error


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    try:
        lock = file.open("a")
    except OSError as error:
        text = f"the sandbox cannot write to {file}: {error.strerror}"
        raise UsageError.of("sandbox/folder", text, hint="Make the folder writable, or name another.") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# In the background process.


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop: by the admin route, SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m baseload.sandbox.server", description="RunPod on loopback.")
    parser.add_argument("--folder", type=Path, required=True, help="where objects, ports and log are kept")
    parser.add_argument("--ready-fd", type=int, help="gets one line when the sandbox answers")
    options = parser.parse_args(arguments)
    _make(options.folder)
    with (options.folder / "server.lock").open("a") as lock:
        if not _try_lock(lock):
            sys.stderr.write("a sandbox already runs for this folder\n")
            return 1
        try:
            _serve(options.folder.resolve(), options.ready_fd)
        except BaseloadError as error:
            sys.stderr.write(f"{error.diagnostics[0].summary}\n")
            return int(error.exit_code)
    return 0


def _serve(folder: Path, ready_fd: int | None) -> None:
    # Starlette and uvicorn take their time; whoever only asks for the status must not pay for them.
    from baseload.sandbox.runpod import Switches, serve

    known = _known(folder)
    ports = known["ports"] if known else (0, 0)
    switches = Switches()
    if text := os.environ.get(COLD_START_VARIABLE):
        switches.set({"cold_start_s": _seconds(text)})
    try:
        with serve(switches=switches, file=folder / "runpod.json", ports=ports) as sandbox:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda _number, _frame: sandbox.ask_to_stop())
            sandbox.identity["folder"] = str(folder)
            _write(folder / "server.json", {"ports": sandbox.ports, "pid": os.getpid()})
            if ready_fd is not None:
                with os.fdopen(ready_fd, "w") as ready:
                    ready.write(json.dumps({"ports": sandbox.ports}) + "\n")
            while not sandbox.wait(FOLDER_CHECK_S):
                if not folder.is_dir():
                    # A removed project: nobody could find this process any more to stop it.
                    sandbox.keep_nothing()
                    return
            _write(folder / "server.json", {"ports": sandbox.ports, "pid": None})
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        text = f"port {ports[0]} or {ports[1]} is taken by another program; end it, or delete {folder / 'server.json'}"
        raise UsageError.of("sandbox/port", f"{text} so that the sandbox takes new ports") from error
    except ValueError as error:
        text = f"{folder / 'runpod.json'} cannot be read ({error}); delete it to begin with an empty sandbox"
        raise UsageError.of("sandbox/state-file", text) from error


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UsageError.of("sandbox/cold-start", f"{COLD_START_VARIABLE}={text!r} is no number of seconds") from error


def _write(file: Path, document: dict[str, Any]) -> None:
    scratch = file.with_suffix(".new")
    scratch.write_text(json.dumps(document), encoding="utf-8")
    scratch.replace(file)


if __name__ == "__main__":
    sys.exit(main())
