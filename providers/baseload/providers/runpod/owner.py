"""The owner of a stack's endpoints: a random id that lands in the state before anything billable exists.

Two people's stacks of one name share every URN; only this id tells their endpoints apart. Makes no call.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from baseload.planner.errors import UsageError
from baseload.providers.framework.properties import Record
from baseload.providers.framework.resource import Made, Operation, Properties, Resource


def _random_id() -> str:
    return secrets.token_hex(6)


class Owner(Resource):
    """`baseload-runpod:index:Owner`; its id is 12 hexadecimal digits."""

    token = "baseload-runpod:index:Owner"
    text = "A stack's own random id, which marks the endpoints it creates. Costs nothing and makes no call."
    inputs = Record("Owner")
    outputs = Record("OwnerOutputs")

    def __init__(self, make_id: Callable[[], str] = _random_id) -> None:
        self._make_id = make_id

    def create(self, operation: Operation, inputs: Properties) -> Made:
        """A new id."""
        return Made(self._make_id(), inputs, inputs)

    def read(self, operation: Operation, id_: str, inputs: Properties, state: Properties) -> Made | None:
        """It exists nowhere but in the state, so it is what the state says."""
        if not re.fullmatch(r"[0-9a-f]{12}", id_):
            raise UsageError.of("runpod/bad-owner", "An owner's id has 12 hexadecimal digits")
        return Made(id_, inputs, state)

    def update(
        self,
        operation: Operation,
        id_: str,
        inputs: Properties,
        old_inputs: Properties,
        state: Properties,
        ignored: frozenset[str] = frozenset(),
    ) -> Made:
        """Nothing can change."""
        return Made(id_, inputs, inputs)

    def delete(self, operation: Operation, id_: str, state: Properties) -> None:
        """Forgetting the id is all."""
