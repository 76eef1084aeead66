"""The pool's rules as SimPy processes, with the same statistics: what a modeller would write. For comparison only."""

from __future__ import annotations

import importlib.util
import random
from collections import deque
from importlib import import_module
from typing import Any

from baseload.planner.pool import Pool


def available() -> bool:
    """Whether SimPy is installed."""
    return importlib.util.find_spec("simpy") is not None


class _Worker:
    def __init__(self, started: float) -> None:
        self.started = started
        self.load = 0
        self.busy_from = 0.0
        self.rests = 0


def simulate(pool: Pool, requests: int, seed: int = 1) -> dict[str, float]:
    """Packed dispatch, start at once, idle timeout; exponential service; all from an empty pool."""
    simpy: Any = import_module("simpy")
    env, draw = simpy.Environment(), random.Random(seed)
    queue, workers, idle = deque[Any](), list[_Worker](), list[_Worker]()
    waits, times = list[float](), list[float]()
    total = {"billed": 0.0, "busy": 0.0, "cold": 0.0, "starts": 0, "met_start": 0}
    starting, last_up = 0, -1.0

    def rest(worker: _Worker) -> None:
        worker.rests += 1
        idle.append(worker)
        env.process(expire(worker, worker.rests))

    def expire(worker: _Worker, rests: int) -> Any:
        yield env.timeout(pool.idle_timeout_s)
        if worker.rests == rests and not worker.load:
            idle.remove(worker)
            workers.remove(worker)
            total["billed"] += env.now - worker.started

    def take(worker: _Worker) -> None:
        if not worker.load:
            worker.busy_from = env.now
            worker.rests += 1
        worker.load += 1

    def start() -> Any:
        nonlocal starting, last_up
        worker = _Worker(env.now)
        starting += 1
        total["starts"] += 1
        yield env.timeout(pool.cold_start_s)
        starting -= 1
        total["cold"] += pool.cold_start_s
        last_up = env.now
        workers.append(worker)
        while queue and worker.load < pool.concurrency:
            take(worker)
            queue.popleft().succeed(worker)
        if not worker.load:
            rest(worker)

    def request(service_s: float) -> Any:
        asked = env.now
        room = [worker for worker in workers if 0 < worker.load < pool.concurrency]
        if room or idle:
            worker = max(room, key=lambda one: one.load) if room else idle.pop()
            take(worker)
        else:
            turn = env.event()
            queue.append(turn)
            while starting * pool.concurrency < len(queue) and len(workers) + starting < pool.workers_max:
                env.process(start())
                yield env.timeout(0)  # lets the start count itself
            worker = yield turn
            total["met_start"] += starting > 0 or last_up >= asked
        waits.append(env.now - asked)
        yield env.timeout(service_s)
        times.append(env.now - asked)
        worker.load -= 1
        if queue:
            worker.load += 1
            queue.popleft().succeed(worker)
        elif not worker.load:
            total["busy"] += env.now - worker.busy_from
            rest(worker)

    def arrivals() -> Any:
        for _ in range(requests):
            yield env.timeout(draw.expovariate(pool.arrivals_per_s))
            env.process(request(draw.expovariate(1 / pool.service_s)))

    env.process(arrivals())
    env.run()
    waits.sort()
    times.sort()
    found = {key: value / env.now for key, value in total.items()}
    for name, values in (("wait", waits), ("latency", times)):
        found |= {f"{name}_p{share}": values[len(values) * share // 100] for share in (50, 95, 99)}
    return found
