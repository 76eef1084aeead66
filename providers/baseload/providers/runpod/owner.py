"""The owner of a stack's endpoints: a random id that lands in the state before anything billable exists.

Two people's stacks of one name share every URN; only this id tells their endpoints apart. With it the state says on
which cloud the stack was made, even if its first endpoint was begun and never confirmed. Makes no call.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from baseload.planner.errors import UsageError
from baseload.providers.framework.properties import Field, Record, Text
from baseload.providers.framework.resource import Made, Operation, Properties, Resource


def _random_id() -> str:
    return secrets.token_hex(6)


def same_cloud(cloud: str, state: Properties) -> None:
    """Raise `UsageError` where the state says that it was made elsewhere than on `cloud`."""
    there = state.get("cloud")
    if there and there != cloud:
        raise UsageError.of(
            "runpod/other-cloud",
            f"This was made on {there}; RUNPOD_BASE_URL names {cloud}",
            hint="Set RUNPOD_BASE_URL to the cloud the stack was made on, or use another stack.",
        )


class Owner(Resource):
    """`baseload-runpod:index:Owner`; its id is 12 hexadecimal digits."""

    token = "baseload-runpod:index:Owner"
    text = "A stack's own random id, which marks the endpoints it creates. Costs nothing and makes no call."
    inputs = Record("Owner")
    outputs = Record(
        "OwnerOutputs", {"cloud": Field(type=Text(), required=True, text="Control plane its endpoints are made on.")}
    )

    def __init__(self, cloud: Callable[[], str], make_id: Callable[[], str] = _random_id) -> None:
        self._cloud = cloud
        self._make_id = make_id

    def create(self, operation: Operation, inputs: Properties) -> Made:
        """A new id."""
        return Made(self._make_id(), inputs, {"cloud": self._cloud()})

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
        return Made(id_, inputs, state)

    def delete(self, operation: Operation, id_: str, state: Properties) -> None:
        """Forgetting the id is all; refused on another cloud, where nothing that it marks could be found."""
        same_cloud(self._cloud(), state)
