"""The same programs do the same on both engines: the same steps, calls, objects and state.

What the real CLI does is recorded in `recorded/` (written anew with --update-goldens where there is a CLI), so the
embedded engine is held to it also on machines without one.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from conformance_scenarios import CONTINUED, SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_operations_same_state_same_objects(engine: str, name: str, bench: Any, recorded: Any) -> None:
    recorded(name, engine, [bench.run(engine, stage) for stage in SCENARIOS[name]])


OTHER = {"pulumi": "embedded", "embedded": "pulumi"}


@pytest.fixture
def other(engine: str) -> str:
    import shutil

    if not shutil.which("pulumi"):
        pytest.skip("no Pulumi CLI on PATH: nobody else to go on with the stack")
    return OTHER[engine]


@pytest.mark.parametrize("name", CONTINUED)
def test_a_stack_is_continued_by_the_other_engine(engine: str, other: str, name: str, bench: Any) -> None:
    stage = CONTINUED[name]
    made = bench.run(engine, stage)
    assert "error" not in made
    for verb, who in (("preview", other), ("up", other), ("preview", engine), ("up", engine)):
        record = bench.run(who, {**stage, "do": verb})
        assert set(record["counts"]) == {"same"}, (who, verb, record["steps"])
        assert record["state"] == made["state"]
        assert record["cloud"] == made["cloud"]


def _chain() -> dict[str, Any]:
    return copy.deepcopy(CONTINUED["chain"])


def test_after_a_kill_the_create_is_found_again(engine: str, bench: Any) -> None:
    stage = _chain()
    bench.kill(engine, {**stage, "faults": {"create b": ["hang"]}})
    views = bench.engine(engine).resources(bench.stack)
    assert [view.name for view in views if view.pending] == ["b"]
    _found_again(bench, engine, stage)


def test_after_a_kill_the_other_engine_goes_on(engine: str, other: str, bench: Any) -> None:
    stage = _chain()
    bench.kill(engine, {**stage, "faults": {"create b": ["hang"]}})
    _found_again(bench, other, stage)
    record = bench.run(engine, {**stage, "do": "preview"})
    assert record["counts"] == {"same": 4}


def _found_again(bench: Any, engine: str, stage: dict[str, Any]) -> None:
    record = bench.run(engine, stage)
    assert record["counts"] == {"create": 2, "same": 2}, record
    assert sorted(record["cloud"]) == ["a-1", "b-1", "c-1"]
    assert record["state"]["pending"] == []
    assert any("process that is gone" in message.text for message in bench.messages)
    assert bench.run(engine, {**stage, "do": "preview"})["counts"] == {"same": 4}


def test_a_refresh_keeps_a_pending_create(engine: str, bench: Any) -> None:
    stage = _chain()
    bench.kill(engine, {**stage, "faults": {"create b": ["hang"]}})
    pending = bench.run(engine, {"do": "refresh"})["state"]["pending"]
    assert [item["type"] for item in pending] == ["creating"]
    record = bench.run(engine, stage)
    assert record["state"]["pending"] == []
    assert sorted(record["cloud"]) == ["a-1", "b-1", "c-1"]


def test_after_a_kill_destroy_leaves_nothing_behind(engine: str, bench: Any) -> None:
    stage = _chain()
    bench.kill(engine, {**stage, "faults": {"create b": ["hang"]}})
    record = bench.run(engine, {"do": "destroy"})
    assert "error" not in record
    assert record["cloud"] == {}
    assert record["state"]["pending"] == []
    assert record["state"]["resources"] == []


def test_a_kill_in_a_replace_leaves_one_object(engine: str, bench: Any) -> None:
    stage = {"do": "up", "program": {"resources": [{"name": "a", "props": {"shape": "r"}}]}}
    bench.run(engine, stage)
    changed = copy.deepcopy(stage)
    changed["program"]["resources"][0]["props"]["shape"] = "s"
    bench.kill(engine, {**changed, "faults": {"create a": ["hang"]}})
    record = bench.run(engine, changed)
    assert "error" not in record
    assert record["cloud"] == {"a-2": {"shape": "s", "kind": "standard"}}
    assert record["state"]["pending"] == []


def test_after_a_kill_in_a_replace_that_is_taken_back_one_object_stays(engine: str, bench: Any) -> None:
    stage = {"do": "up", "program": {"resources": [{"name": "a", "props": {"shape": "r"}}]}}
    bench.run(engine, stage)
    changed = copy.deepcopy(stage)
    changed["program"]["resources"][0]["props"]["shape"] = "s"
    bench.kill(engine, {**changed, "faults": {"create a": ["hang"]}})
    assert sorted(bench.lab.objects) == ["a-1", "a-2"]
    record = bench.run(engine, stage)
    assert "error" not in record
    assert record["cloud"] == {"a-1": {"shape": "r", "kind": "standard"}}
    assert record["state"]["pending"] == []


def test_after_a_kill_what_is_no_longer_wanted_is_deleted(engine: str, bench: Any) -> None:
    stage = _chain()
    bench.kill(engine, {**stage, "faults": {"create b": ["hang"]}})
    record = bench.run(engine, {"do": "up", "program": {"resources": [stage["program"]["resources"][0]]}})
    assert "error" not in record
    assert sorted(record["cloud"]) == ["a-1"]
    assert record["state"]["pending"] == []


@pytest.mark.parametrize("call", ["update a", "delete a"])
def test_after_a_kill_an_update_or_delete_is_read_before_it_is_believed(engine: str, bench: Any, call: str) -> None:
    small, large = ({"do": "up", "program": {"resources": [{"name": "a", "props": {"size": size}}]}} for size in (1, 2))
    bench.run(engine, small)
    stage = large if call == "update a" else {"do": "destroy"}
    bench.kill(engine, {**stage, "faults": {call: ["hang"]}})
    assert bench.run(engine, {**large, "do": "preview"}).get("error") is None
    record = bench.run(engine, large)
    assert "error" not in record
    assert record["state"]["pending"] == []
    assert [thing["size"] for thing in record["cloud"].values()] == [2]
    assert set(bench.run(engine, {**large, "do": "preview"})["counts"]) == {"same"}
