"""The workers' processes: started, given jobs, and ended as the state machine asks; what they say goes back to it.

Lives in the server's event loop. A process that ends by itself is reported as crashed; all end with the sandbox, and by
themselves when their standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from baseload.sandbox.runpod.state import Cloud, Effect, RunJob, StartWorker, StopWorker

# Isolated and without site-packages: starts in some ten milliseconds and sees nothing of our environment.
_COMMAND = (sys.executable, "-I", "-S", str(Path(__file__).with_name("worker.py")))
_LONGEST_ANSWER = 64 * 1024 * 1024


class Processes:
    """One process for each ready worker of `cloud`; `changed` is called after it was told something."""

    def __init__(self, cloud: Cloud, changed: Callable[[], None]) -> None:
        self._cloud, self._changed = cloud, changed
        self._jobs: dict[str, asyncio.Queue[RunJob]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._asked: set[str] = set()
        self._ended: set[asyncio.Task[None]] = set()
        self.quiet = asyncio.Event()
        """Set while no worker owes an answer."""
        self.quiet.set()

    def perform(self, effect: Effect) -> None:
        """Do what the state machine wants; returns at once."""
        match effect:
            case StartWorker(worker_id):
                self._jobs[worker_id] = asyncio.Queue()
                self._tasks[worker_id] = asyncio.create_task(self._live(worker_id), name=f"worker {worker_id}")
            case RunJob(worker_id, run, _):
                self._asked.add(run)
                self.quiet.clear()
                self._jobs[worker_id].put_nowait(effect)
            case StopWorker(worker_id):
                self._jobs.pop(worker_id, None)
                if task := self._tasks.pop(worker_id, None):
                    self._ended.add(task)
                    task.add_done_callback(self._ended.discard)
                    task.cancel()

    async def close(self) -> None:
        """End all processes and wait for them."""
        for worker_id in list(self._tasks):
            self.perform(StopWorker(worker_id))
        await asyncio.gather(*self._ended, return_exceptions=True)

    async def _live(self, worker_id: str) -> None:
        try:
            await self._work(worker_id)
        except OSError as error:
            # The machine is out of processes or memory: to the cloud it is a worker that died.
            self._cloud.crashed(worker_id, str(error))
            self._changed()

    async def _work(self, worker_id: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LONGEST_ANSWER,
            env={},
        )
        run = None
        try:
            while True:
                job = await self._jobs[worker_id].get()
                run = job.run
                answer = await _ask(process, {"run": run, **job.request})
                if answer is None:
                    break
                self._settled(run)
                self._cloud.answered(run, answer)
                self._changed()
            code = await process.wait()
            self._settled(run)
            self._cloud.crashed(worker_id, f"exit code {code}")
            self._changed()
        finally:
            self._settled(run)
            await _end(process)

    def _settled(self, run: str | None) -> None:
        self._asked.discard(run or "")
        if not self._asked:
            self.quiet.set()


async def _ask(process: asyncio.subprocess.Process, request: dict[str, Any]) -> dict[str, Any] | None:
    """The worker's answer, None where its process is gone."""
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        msg = "a worker's process has pipes"
        raise RuntimeError(msg)
    try:
        stdin.write(json.dumps(request).encode() + b"\n")
        await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return None
    line = await stdout.readline()
    return json.loads(line) if line.endswith(b"\n") else None


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        # It may have ended between the two lines.
        with suppress(ProcessLookupError):
            process.kill()
    if process.stdin:
        process.stdin.close()
    # communicate() also reads the pipes to their end, so that no transport is left open.
    await process.communicate()
