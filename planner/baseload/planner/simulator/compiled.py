"""The event loop compiled by numba: the same functions, on arrays, with the same draws.

Imported only on demand: numba is an extra (`baseload[fast]`), costs half a second to import and a few to compile once
(the result is kept on disk). No plan needs it.
"""

from __future__ import annotations

import random
from importlib import import_module
from typing import Any

from baseload.planner.simulator import events

numba: Any = import_module("numba")
np: Any = import_module("numpy")

_run, _draw_poisson, _draw_service = (
    numba.njit(cache=True, error_model="numpy")(function)
    for function in (events.run, events.draw_poisson, events.draw_service)
)


class Compiled:
    """The compiled functions and the arrays they work on."""

    run = staticmethod(_run)
    draw_poisson = staticmethod(_draw_poisson)
    draw_service = staticmethod(_draw_service)

    def source(self, seed: str) -> Any:
        """The stream of `random.Random(seed)`: both are a Mersenne Twister and make a number of 53 bits alike."""
        state = random.Random(seed).getstate()[1]
        generator = np.random.MT19937()
        key = np.array(state[:-1], dtype=np.uint32)
        generator.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": state[-1]}}
        return np.random.Generator(generator)

    def floats(self, n: int) -> Any:
        """Room for numbers."""
        return np.zeros(n)

    def integers(self, n: int) -> Any:
        """Room for counts."""
        return np.zeros(n, dtype=np.int64)

    def rules(self, rules: events.Rules) -> events.Rules:
        """Schedule and weights as arrays."""
        return rules._replace(
            schedule_s=np.array(rules.schedule_s, dtype=np.float64),
            schedule_min=np.array(rules.schedule_min, dtype=np.int64),
            weights_s=np.array(rules.weights_s, dtype=np.float64),
            weights=np.array(rules.weights, dtype=np.int64),
        )
