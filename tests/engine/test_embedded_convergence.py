"""Whatever fails, at whatever step: the state stays valid, nothing that exists is forgotten, one more `up` mends it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baseload.engine.files.state import disorder
from baseload.planner.errors import BaseloadError

NAMES = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Wanted:
    """One resource of a program: `of` names the ones it takes a token from."""

    name: str
    size: int
    note: int
    first: bool
    of: tuple[str, ...]


@st.composite
def programs(draw: st.DrawFn) -> tuple[Wanted, ...]:
    names = [name for name in NAMES if draw(st.booleans())]
    return tuple(
        Wanted(
            name,
            draw(st.integers(1, 2)),
            draw(st.integers(1, 2)),
            draw(st.booleans()),
            tuple(other for other in names[:index] if draw(st.booleans())),
        )
        for index, name in enumerate(names)
    )


faults = st.lists(
    st.tuples(
        st.sampled_from(("create", "update", "delete", "read")),
        st.sampled_from(NAMES),
        st.sampled_from(("error", "init", "lost")),
    ),
    max_size=4,
)
operations = st.lists(st.tuples(st.sampled_from(("up", "destroy", "refresh")), programs(), faults), max_size=3)
numbers = itertools.count()


def body(thing: Any, program: tuple[Wanted, ...]) -> Callable[[], None]:
    def run() -> None:
        made: dict[str, Any] = {}
        for item in program:
            of = [made[name].token for name in item.of]
            made[item.name] = thing(item.name, size=item.size, note=item.note, first=item.first, of=of)

    return run


def check_nothing_is_forgotten(stack: Any, cloud: Any) -> None:
    snapshot = stack.load()
    assert disorder(snapshot.resources) is None
    ids = {state.id for state in snapshot.resources if not state.pending_replacement}
    pending = {p.resource.urn for p in snapshot.pending_operations if p.type == "creating"}
    assert [i for i, item in cloud.objects.items() if i not in ids and item["urn"] not in pending] == []


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(before=operations, last=programs())
def test_one_more_up_converges(
    make_stack: Any, serving: Any, thing: Any, before: list[Any], last: tuple[Wanted, ...]
) -> None:
    cloud = serving.provider.cloud = type(serving.cloud)()
    stack = make_stack(f"s{next(numbers)}")
    stack.up(lambda: None)
    for operation, program, mishaps in before:
        cloud.faults.clear()
        for mishap in mishaps:
            cloud.fail(*mishap)
        with suppress(BaseloadError) if mishaps else nullcontext():
            if operation == "up":
                stack.up(body(thing, program))
            else:
                getattr(stack, operation)()
        check_nothing_is_forgotten(stack, cloud)
    cloud.faults.clear()
    stack.up(body(thing, last))
    assert cloud.names() == sorted(item.name for item in last)
    for item in last:
        inputs = cloud.objects[cloud.id_of(item.name)]["inputs"]
        tokens = [f"token-of-{cloud.id_of(name)}" for name in item.of]
        assert (inputs["size"], inputs["note"], inputs["of"]) == (item.size, item.note, tokens)
    assert stack.load().pending_operations == ()
    assert not stack.up(body(thing, last)).changes
    stack.destroy()
    assert not cloud.objects
