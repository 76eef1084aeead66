"""Values on the wire and what is done with them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseload.engine.embedded import wire
from baseload.engine.embedded.wire import COMPUTED
from baseload.engine.files.state import Secret
from baseload.planner.errors import UsageError

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
    | st.text()
    | st.just(COMPUTED)
)
keys = st.text(max_size=5)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(keys, inner, max_size=3)
        | inner.filter(lambda value: not isinstance(value, Secret)).map(Secret)
    ),
    max_leaves=12,
)
objects = st.dictionaries(keys, values, max_size=4)


@given(objects)
def test_values_survive_the_wire(value: dict[str, Any]) -> None:
    assert wire.read(wire.write(value)) == value


@given(objects)
def test_a_receiver_without_secrets_gets_the_bare_values(value: dict[str, Any]) -> None:
    assert wire.read(wire.write(value, secrets=False)) == wire.plain(value)


@given(objects)
def test_a_mask_shows_neither_secrets_nor_unknown_values(value: dict[str, Any]) -> None:
    masked = wire.mask(value)
    assert not wire.has_secret(masked)
    assert not wire.has_computed(masked)
    assert set(masked) == set(value)


@given(objects, objects)
def test_remarking_adds_only_marks_and_all_that_are_due(outputs: dict[str, Any], inputs: dict[str, Any]) -> None:
    bare = wire.plain(outputs)
    marked = wire.read(wire.write(bare))
    wire.remark(marked, inputs)
    assert wire.plain(marked) == bare
    for key in marked.keys() & inputs.keys():
        if wire.has_secret(inputs[key]) and not isinstance(marked[key], dict):
            assert isinstance(marked[key], Secret)


@given(objects, objects)
def test_ignoring_everything_gives_the_old_values(new: dict[str, Any], old: dict[str, Any]) -> None:
    paths = [f'["{key}"]' for key in {*new, *old} if key and '"' not in key and "\\" not in key]
    result, failed = wire.reset(new, old, paths)
    skipped = {key for key in {*new, *old} if not key or '"' in key or "\\" in key}
    assert {k: v for k, v in result.items() if k not in skipped} == {k: v for k, v in old.items() if k not in skipped}
    assert failed == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ("a[0].b", ("a", 0, "b")),
        ("a[*].b", ("a", "*", "b")),
        ('a["b.c"]', ("a", "b.c")),
        ('["x\\"y"].z', ('x"y', "z")),
    ],
)
def test_property_paths(text: str, path: Any) -> None:
    assert wire.parse_path(text) == path


@pytest.mark.parametrize("text", [".a", "a[", "a.", "a[x]", 'a["b]'])
def test_what_is_no_property_path(text: str) -> None:
    with pytest.raises(ValueError, match="not a property path"):
        wire.parse_path(text)


@pytest.mark.parametrize(
    ("new", "old", "path", "result", "works"),
    [
        ({"a": 1}, {"a": 2}, "a", {"a": 2}, True),
        ({"a": 1}, {}, "a", {}, True),
        ({}, {"a": 2}, "a", {"a": 2}, True),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2}}, "a.b", {"a": {"b": 2, "c": 1}}, True),
        ({"a": {"b": 1}}, {}, "a.b", {"a": {}}, True),
        ({}, {"a": {"b": 1}}, "a.b", {}, False),
        ({"a": [1, 2]}, {"a": [3, 4]}, "a[1]", {"a": [1, 4]}, True),
        ({"a": [1]}, {"a": [3, 4]}, "a[1]", {"a": [1]}, False),
        ({"a": [1]}, {"a": [3]}, "a[1]", {"a": [1]}, True),
        ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 3}, {"b": 4}]}, "a[*].b", {"a": [{"b": 3}, {"b": 4}]}, True),
        ({"a": 1}, {"a": 2, "b": 3}, "[*]", {"a": 2, "b": 3}, True),
        ({"a": 1}, {"a": {"b": 2}}, "a.b", {"a": 1}, False),
        ({"a": {"b": 1}}, {"a": Secret({"b": 2})}, "a.b", {"a": {"b": Secret(2)}}, True),
        ({"a": Secret({"b": 1})}, {"a": {"b": 2}}, "a.b", {"a": Secret({"b": 2})}, True),
    ],
)
def test_ignored_changes(new: Any, old: Any, path: str, result: Any, works: bool) -> None:
    before = wire.plain(new)
    assert wire.reset(new, old, [path]) == (result, [] if works else [path])
    assert wire.plain(new) == before, "the new values themselves are untouched"


def test_assets_are_refused_by_name() -> None:
    asset = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "text": "x"}
    with pytest.raises(UsageError, match="does not support assets"):
        wire.read(wire.write({"file": asset}))


def test_a_reference_to_a_resource_becomes_its_id_for_a_provider_without_references() -> None:
    reference = {"4dabf18193072939515e22adb298388d": "5cf8f73096256a8f31e491e813e4eb8e", "urn": "u", "id": "i"}
    assert wire.read(wire.write({"of": reference})) == {"of": reference}
    assert wire.read(wire.write({"of": reference}, references=False)) == {"of": "i"}
