"""Property values on the wire: what must hold for all of them."""

from __future__ import annotations

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime import rpc

from baseload.providers.framework import wire

leaves = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8)
keys = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=4)


def trees(leaf):
    return st.recursive(leaf, lambda child: st.lists(child, max_size=3) | st.dictionaries(keys, child, max_size=3))


plain_values = trees(leaves)
values = trees(leaves | st.just(wire.UNKNOWN) | leaves.map(wire.Secret))
records = st.dictionaries(keys, values, max_size=4)


def secret_leaves(value, below=False):
    if isinstance(value, wire.Secret):
        yield from secret_leaves(value.value, True)
    elif isinstance(value, dict):
        for item in value.values():
            yield from secret_leaves(item, below)
    elif isinstance(value, list):
        for item in value:
            yield from secret_leaves(item, below)
    elif below:
        yield value


@given(values)
def test_a_value_survives_the_wire(value):
    sent = wire.dump(value).SerializeToString()
    assert wire.load(struct_pb2.Value.FromString(sent)) == value


@given(records)
def test_marks_are_those_of_pulumis_own_sdk(record):
    struct = wire.dump_struct(record)
    assert wire.dump_struct(wire.load(struct)) == struct
    assert wire.dump(wire.UNKNOWN).string_value == rpc.UNKNOWN
    sdk = rpc.deserialize_properties(wire.dump_struct({"secret": wire.Secret("x"), "open": "x"}))
    assert [rpc.is_rpc_secret(sdk[name]) for name in ("secret", "open")] == [True, False]


@given(values)
def test_marking_a_value_like_itself_loses_no_secret(value):
    marked = wire.mark(wire.plain(value), value)
    assert wire.plain(marked) == wire.plain(value)
    assert list(secret_leaves(marked)) == list(secret_leaves(value))


@given(st.lists(st.text(min_size=4, max_size=8), min_size=1, max_size=4, unique=True), st.data())
def test_a_secret_that_moved_in_a_list_stays_secret(texts, data):
    secret = data.draw(st.sampled_from(texts))
    like = [wire.Secret(text) if text == secret else text for text in texts]
    moved = data.draw(st.permutations(texts))
    assert secret in list(secret_leaves(wire.mark(moved, like)))


@given(plain_values, plain_values)
def test_values_differ_exactly_where_they_are_not_equal(old, new):
    def normal(value):
        if isinstance(value, dict):
            return {key: item for key, raw in value.items() if (item := normal(raw)) not in (None, {})}
        if isinstance(value, list):
            items = [normal(item) for item in value]
            while items and items[-1] is None:
                items.pop()
            return items
        return ("bool", value) if isinstance(value, bool) else value

    found = list(wire.differences(old, new))
    assert list(wire.differences(old, old)) == []
    if normal(old) != normal(new) and {type(normal(old)), type(normal(new))} != {dict, list}:
        assert found
    assert all(not path or wire.steps(path) for path, _ in found)


@given(st.dictionaries(keys, plain_values, min_size=1, max_size=3), st.dictionaries(keys, plain_values, max_size=3))
def test_an_ignored_path_differs_no_more_and_nothing_else_moves(old, new):
    paths = [path for path, _ in wire.differences(old, new)]
    for path in paths:
        kept = wire.keep_old(new, old, wire.steps(path))
        rest = [other for other, _ in wire.differences(old, kept)]
        assert set(rest) <= set(paths)


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("workers.max", ["workers", "max"]),
        ("gpu.pools[0]", ["gpu", "pools", 0]),
        ('env["a.b"]', ["env", "a.b"]),
        ('env["say \\"hi\\""].x', ["env", 'say "hi"', "x"]),
        ("ports[*]", ["ports", "*"]),
        ("*", ["*"]),
    ],
)
def test_paths_are_pulumis(path, steps):
    assert wire.steps(path) == steps


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("a.b", {"a": {"b": 1, "c": 20}, "l": [10, 20]}),
        ("a.*", {"a": {"b": 1, "c": 2}, "l": [10, 20]}),
        ("*", {"a": {"b": 1, "c": 2}, "l": [1, 2]}),
        ("l[1]", {"a": {"b": 10, "c": 20}, "l": [10, 2]}),
        ("l[*]", {"a": {"b": 10, "c": 20}, "l": [1, 2]}),
        ("nowhere.x", {"a": {"b": 10, "c": 20}, "l": [10, 20]}),
    ],
)
def test_ignored_changes_by_path(path, kept):
    old, new = {"a": {"b": 1, "c": 2}, "l": [1, 2]}, {"a": {"b": 10, "c": 20}, "l": [10, 20]}
    assert wire.keep_old(new, old, wire.steps(path)) == kept
    assert wire.plain(wire.keep_old({"a": wire.Secret(new["a"])}, old, ["a", "b"])) == {"a": {"b": 1, "c": 20}}


def test_a_secret_is_compared_as_a_whole_and_never_printed():
    old, new = wire.Secret({"HF_TOKEN": "hunter22"}), wire.Secret({"HF_TOKEN": "hunter23"})
    assert list(wire.differences({"env": old}, {"env": new})) == [("env", wire.Kind.UPDATE)]
    assert "hunter" not in repr(old)
