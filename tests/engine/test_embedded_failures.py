"""The embedded engine when things go wrong: what is told, what the state says, and that one more `up` mends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi import ResourceOptions as Options

from baseload.engine.interface import SECRET, Message, Op, StepFailed, Summary, without_hints
from baseload.planner.errors import DeployError, ExitCode, SpecError, UsageError


def test_a_failure_stops_new_steps_and_lets_running_ones_end(stack: Any, cloud: Any, thing: Any) -> None:
    started = threading.Event()

    def before(method: str, name: str) -> None:
        if (method, name) == ("create", "slow"):
            started.set()
            time.sleep(0.4)
        if (method, name) == ("create", "broken"):
            assert started.wait(5)

    def program() -> None:
        thing("slow")
        broken = thing("broken")
        thing("after", of=broken.token)

    stack.up(lambda: thing("unwanted") and None)
    cloud.before = before
    cloud.fail("create", "broken")
    with pytest.raises(DeployError) as caught:
        stack.up(program)
    (problem,) = caught.value.diagnostics
    assert (problem.code, caught.value.exit_code) == ("engine/resource-failed", ExitCode.DEPLOY_FAILED)
    assert problem.summary == "broken could not be created: no room for broken"
    assert cloud.names() == ["slow", "unwanted"], "nothing is deleted after a failure"
    assert [s.urn.rsplit("::", 1)[-1] for s in stack.load().resources if s.type.startswith("test:")] == [
        "slow",
        "unwanted",
    ]
    assert stack.load().pending_operations == ()
    (failed,) = stack.kinds(StepFailed)
    assert (failed.op, failed.reasons) == (Op.CREATE, ("no room for broken",))
    assert isinstance(stack.events[-1], Summary)
    stack.up(program)
    assert cloud.names() == ["after", "broken", "slow"]


def test_a_provider_s_remedy_is_the_hint(stack: Any, cloud: Any, thing: Any) -> None:
    cloud.fail("create", "hinted")
    with pytest.raises(DeployError) as caught:
        stack.up(lambda: thing("hinted") and None)
    (problem,) = caught.value.diagnostics
    assert problem.summary == "hinted could not be created: no room for hinted"
    assert problem.hint == "Make room."


def test_remedies_are_told_once_and_reasons_stay_whole() -> None:
    reasons = ("it is full [a]\nhint: Make room.", "a log:\n  a hint: of no use", "  hint: Make room.\n")
    assert without_hints(reasons) == (("it is full [a]", "a log:\n  a hint: of no use"), "Make room.")
    assert without_hints(()) == ((), None)


def test_all_failures_are_told_at_once_and_by_their_place(stack: Any, cloud: Any, thing: Any) -> None:
    both = threading.Barrier(2)
    cloud.before = lambda method, name: both.wait(5) and None if method == "create" else None
    for name in ("a", "b"):
        cloud.fail("create", name)

    def program() -> None:
        group = pulumi.ComponentResource("test:index:Group", "outer")
        inner = pulumi.ComponentResource("test:index:Group", "inner", opts=Options(parent=group))
        thing("a", opts=Options(parent=inner))
        thing("b")

    with pytest.raises(DeployError) as caught:
        stack.up(program)
    assert {item.summary for item in caught.value.diagnostics} == {
        "outer/inner/a could not be created: no room for a",
        "b could not be created: no room for b",
    }


@pytest.mark.parametrize("method", ["create", "update"])
def test_what_exists_but_is_not_ready_keeps_its_id_and_is_updated_next(
    stack: Any, cloud: Any, thing: Any, ops: Any, method: str
) -> None:
    def program(v: int) -> Callable[[], None]:
        return lambda: thing("a", v=v) and None

    if method == "update":
        stack.up(program(1))
    cloud.fail(method, "a", "init")
    with pytest.raises(DeployError, match="a is ill"):
        stack.up(program(2))
    sick = stack.state("a")
    assert (sick.id, sick.init_errors) == ("id-1", ("a is ill",))
    assert sick.inputs["v"] == (1 if method == "update" else 2), "a half-done update keeps the old inputs"
    assert ops(stack.preview(program(2))) == {"a": ["update"]}
    assert ops(stack.up(program(2))) == {"a": ["update"]}
    assert (stack.state("a").id, stack.state("a").init_errors) == ("id-1", ())
    assert ops(stack.up(program(2))) == {"a": ["same"]}


def test_init_errors_can_force_a_replace(stack: Any, cloud: Any, thing: Any, ops: Any) -> None:
    def program() -> None:
        thing("a", opts=Options(replace_on_changes=["#initerror"]))

    cloud.fail("create", "a", "init")
    with pytest.raises(DeployError):
        stack.up(program)
    assert ops(stack.up(program)) == {"a": ["create-replacement", "replace", "delete-replaced"]}


def test_a_failed_check_and_a_failed_configuration(stack: Any, cloud: Any, thing: Any) -> None:
    with pytest.raises(DeployError, match="a could not be created: bad: is bad"):
        stack.preview(lambda: thing("a", bad=1) and None)

    def explicit(**config: Any) -> Callable[[], None]:
        return lambda: thing("a", opts=Options(provider=pulumi.ProviderResource("test", "p", config))) and None

    with pytest.raises(DeployError, match="p could not be created: wrong: is wrong"):
        stack.up(explicit(wrong="1"))
    with pytest.raises(DeployError, match="p could not be created: this configuration is broken"):
        stack.up(explicit(broken="1"))
    assert cloud.count("create") == 0


def test_a_failed_second_half_of_a_replace_is_finished_later(stack: Any, cloud: Any, thing: Any, ops: Any) -> None:
    def program(size: int) -> Callable[[], None]:
        return lambda: thing("a", size=size) and None

    stack.up(program(1))
    cloud.fail("delete", "a")
    with pytest.raises(DeployError, match="a could not be deleted"):
        stack.up(program(2))
    assert [(s.id, s.delete) for s in stack.load().resources if s.type.startswith("test:")] == [
        ("id-2", False),
        ("id-1", True),
    ]
    assert ops(stack.up(program(2))) == {"a": ["same", "delete-replaced"]}
    assert set(cloud.objects) == {"id-2"}


def test_a_replace_that_deleted_first_and_could_not_create_goes_on(
    stack: Any, cloud: Any, thing: Any, ops: Any
) -> None:
    def program(size: int) -> Callable[[], None]:
        return lambda: thing("a", size=size, first=True) and None

    stack.up(program(1))
    cloud.fail("create", "a")
    with pytest.raises(DeployError):
        stack.up(program(2))
    assert stack.state("a").pending_replacement
    assert ops(stack.preview(program(2))) == {"a": ["replace", "create-replacement"]}
    cloud.calls.clear()
    assert ops(stack.up(program(1))) == {"a": ["replace", "create-replacement"]}
    assert [call for call in cloud.calls if call[0] in ("create", "delete")] == [("create", "a")]
    assert not stack.state("a").pending_replacement
    cloud.fail("create", "a")
    with pytest.raises(DeployError):
        stack.up(program(3))
    assert ops(stack.up(lambda: None)) == {"a": ["discard"]}
    assert cloud.names() == []


def test_a_deletion_that_fails_keeps_what_it_depends_on(stack: Any, cloud: Any, thing: Any) -> None:
    def program() -> None:
        base = thing("base")
        thing("top", of=base.token)

    stack.up(program)
    cloud.fail("delete", "top")
    with pytest.raises(DeployError, match="top could not be deleted: no room for top"):
        stack.destroy()
    assert cloud.names() == ["base", "top"]
    stack.destroy()
    assert cloud.names() == []


def test_a_create_whose_end_is_not_known_stays_pending_and_is_found_again(
    stack: Any, cloud: Any, thing: Any, ops: Any
) -> None:
    def program() -> None:
        thing("a")

    cloud.fail("create", "a", "lost")
    with pytest.raises(DeployError, match="stopped answering during Create"):
        stack.up(program)
    (pending,) = stack.load().pending_operations
    assert (pending.type, pending.resource.urn.rsplit("::", 1)[-1]) == ("creating", "a")
    assert [(view.name, view.pending) for view in stack.engine.resources(stack.ref)][-1] == ("a", True)
    stack.refresh()
    assert len(stack.load().pending_operations) == 1, "only a create finds it"
    stack.events.clear()
    assert ops(stack.up(program)) == {"a": ["create"]}
    assert "an earlier run was interrupted while creating a" in stack.kinds(Message)[0].text
    assert stack.load().pending_operations == ()
    assert list(cloud.objects) == ["id-1"], "adopted, not made twice"


def test_a_lost_create_is_found_again_with_other_inputs(stack: Any, cloud: Any, thing: Any, ops: Any) -> None:
    cloud.fail("create", "a", "lost")
    with pytest.raises(DeployError):
        stack.up(lambda: thing("a", v=1) and None)
    assert ops(stack.up(lambda: thing("a", v=2) and None)) == {"a": ["create"]}
    assert {i: item["inputs"]["v"] for i, item in cloud.objects.items()} == {"id-1": 2}
    assert stack.load().pending_operations == ()


@pytest.mark.parametrize("how", ["destroy", "up without it"])
def test_what_a_lost_create_left_is_deleted_where_nobody_wants_it(stack: Any, cloud: Any, thing: Any, how: str) -> None:
    cloud.fail("create", "a", "lost")
    with pytest.raises(DeployError):
        stack.up(lambda: thing("a", v=1) and None)
    assert cloud.names() == ["a"]
    if how == "destroy":
        stack.destroy(remove=True)
    else:
        stack.up(lambda: None)
    assert cloud.names() == []


def test_a_lost_replacement_is_not_forgotten_when_the_program_goes_back(
    stack: Any, cloud: Any, thing: Any, ops: Any
) -> None:
    def program(size: int) -> Callable[[], None]:
        return lambda: thing("a", size=size) and None

    stack.up(program(1))
    cloud.fail("create", "a", "lost")
    with pytest.raises(DeployError):
        stack.up(program(2))
    assert sorted(cloud.objects) == ["id-1", "id-2"]
    assert ops(stack.up(program(1))) == {"a": ["same", "delete"]}
    assert sorted(cloud.objects) == ["id-1"]
    assert stack.load().pending_operations == ()


@pytest.mark.parametrize("back", [False, True])
def test_a_lost_update_is_looked_at_before_it_is_repeated(
    stack: Any, cloud: Any, thing: Any, ops: Any, back: bool
) -> None:
    def program(v: int) -> Callable[[], None]:
        return lambda: thing("a", v=v) and None

    stack.up(program(1))
    cloud.fail("update", "a", "lost")
    with pytest.raises(DeployError):
        stack.up(program(2))
    assert cloud.objects["id-1"]["inputs"]["v"] == 2
    outcome = stack.up(program(1 if back else 2))
    assert ops(outcome)["a"][-1] == ("update" if back else "same")
    assert cloud.objects["id-1"]["inputs"]["v"] == (1 if back else 2)
    assert stack.load().pending_operations == ()


def test_a_lost_delete_is_looked_at_before_anything_else(stack: Any, cloud: Any, thing: Any, ops: Any) -> None:
    stack.up(lambda: thing("a") and None)
    cloud.fail("delete", "a", "lost")
    with pytest.raises(DeployError):
        stack.destroy()
    assert cloud.names() == []
    assert ops(stack.up(lambda: thing("a") and None))["a"] == ["refresh", "create"]
    assert cloud.names() == ["a"]


def test_refresh_tells_and_takes_over_what_really_is(stack: Any, cloud: Any, thing: Any, ops: Any) -> None:
    def program() -> None:
        a = thing("a", note="wanted")
        thing("b", of=a.token)
        thing("c")

    stack.up(program)
    cloud.objects[cloud.id_of("a")]["inputs"]["note"] = "by hand"
    del cloud.objects[cloud.id_of("c")]
    before = stack.file.read_bytes()
    dry = stack.refresh(dry_run=True)
    assert stack.file.read_bytes() == before
    found = stack.refresh()
    for outcome in (dry, found):
        assert ops(outcome) == {"a": ["update"], "b": ["same"], "c": ["delete"]}
        assert outcome.changes
        (drift,) = [step for step in outcome.steps if step.op is Op.UPDATE]
        assert [(f.path, f.old, f.new) for f in drift.fields] == [("note", "wanted", "by hand")]
    assert stack.state("a").inputs["note"] == "by hand"
    assert not stack.refresh().changes
    assert ops(stack.up(program)) == {"a": ["update"], "b": ["same"], "c": ["create"]}
    del cloud.objects[cloud.id_of("a")]
    assert ops(stack.up(program, refresh=True))["a"] == ["refresh", "create"]
    assert stack.state("b").dependencies == (stack.state("a").urn,)


def test_a_refresh_without_its_parent_and_dependency_leaves_a_valid_state(stack: Any, cloud: Any, thing: Any) -> None:
    def program() -> None:
        a = thing("a")
        thing("child", opts=Options(parent=a), of=a.token)

    stack.up(program)
    del cloud.objects["id-1"]
    stack.refresh()
    child = stack.state("child")
    assert child.parent.endswith("::shop-dev")
    assert (child.dependencies, child.property_dependencies) == ((), {})
    stack.destroy()
    assert cloud.names() == []


def test_a_refresh_that_fails_somewhere_keeps_the_rest(stack: Any, cloud: Any, thing: Any) -> None:
    stack.up(lambda: _make(thing, "a", "b", v=1))
    for item in cloud.objects.values():
        item["inputs"]["v"] = 2
    cloud.fail("read", "a")
    with pytest.raises(DeployError, match="a could not be read: no room for a"):
        stack.refresh()
    assert (stack.state("a").inputs["v"], stack.state("b").inputs["v"]) == (1, 2)


def test_a_program_that_fails_is_told_by_place_and_reason(stack: Any, cloud: Any, thing: Any) -> None:
    stack.up(lambda: thing("old") and None)

    def program() -> None:
        thing("new")
        raise ValueError("no such model: s3cret-in-config")

    with pytest.raises(DeployError) as caught:
        stack.up(program)
    (problem,) = caught.value.diagnostics
    assert problem.code == "engine/program"
    assert problem.summary == "the program failed: ValueError: no such model: s3cret-in-config"
    assert problem.where is not None
    assert problem.where.file == Path(__file__)
    assert problem.where.line == program.__code__.co_firstlineno + 2
    assert cloud.names() == ["new", "old"] or cloud.names() == ["old"]
    with pytest.raises(DeployError, match="it ended itself with 3"):
        stack.up(lambda: sys.exit(3))
    with pytest.raises(DeployError, match="ZeroDivisionError: division by zero") as later:
        stack.up(lambda: thing("new").token.apply(lambda _: 1 / 0) and None)
    assert str(later.value).startswith(str(Path(__file__)))
    wrong = SpecError.of("spec/x", "the spec is wrong")
    with pytest.raises(SpecError) as passed:
        stack.preview(_raising(wrong))
    assert passed.value is not None
    assert passed.value.exit_code is ExitCode.USAGE


def _make(thing: Any, *names: str, **inputs: Any) -> None:
    for name in names:
        thing(name, **inputs)


def _raising(error: Exception) -> Callable[[], None]:
    def program() -> None:
        raise error

    return program


def test_two_resources_of_one_name_are_refused(stack: Any, thing: Any) -> None:
    with pytest.raises(DeployError, match="another resource of this type has its name"):
        stack.up(lambda: _make(thing, "a", "a"))


def test_secrets_in_a_providers_own_words_are_masked(make_stack: Any, cloud: Any, thing: Any) -> None:
    stack = make_stack()
    cloud.fail("create", "s3cret-name")
    with pytest.raises(DeployError) as caught:
        stack.up(lambda: thing("s3cret-name", key=pulumi.Output.secret("s3cret-name")) and None)
    assert caught.value.diagnostics[0].summary.endswith(f"no room for {SECRET}")
    assert "no room for s3cret" not in repr(stack.events)


def test_a_second_up_is_told_who_holds_the_lock(stack: Any, cloud: Any, thing: Any) -> None:
    inside, leave = threading.Event(), threading.Event()

    def before(method: str, name: str) -> None:
        if method == "create":
            inside.set()
            leave.wait(10)

    cloud.before = before
    first = threading.Thread(target=stack.up, args=(lambda: thing("a") and None,))
    first.start()
    assert inside.wait(10)
    try:
        with pytest.raises(DeployError, match=f"pid {os.getpid()}") as caught:
            stack.up(lambda: None)
        assert caught.value.diagnostics[0].code == "engine/locked"
        stack.preview(lambda: None)
        assert [(v.name, v.pending) for v in stack.engine.resources(stack.ref)][-1] == ("a", True)
    finally:
        leave.set()
        first.join()
    assert stack.state("a").id == "id-1"


def test_a_wrong_passphrase_is_found_before_anything_is_done(stack: Any, cloud: Any, thing: Any) -> None:
    stack.environment["PULUMI_CONFIG_PASSPHRASE"] = "wrong"
    with pytest.raises(UsageError) as caught:
        stack.up(lambda: thing("a") and None)
    assert caught.value.diagnostics[0].code == "engine/passphrase-wrong"
    assert cloud.calls == []


SCRIPT = """
    import json, os, signal, sys, threading
    from pathlib import Path
    import pulumi
    from baseload.engine.embedded import EmbeddedEngine
    from baseload.engine.interface import StackRef
    from baseload.planner.errors import BaseloadError

    class Thing(pulumi.CustomResource):
        def __init__(self, name, **inputs):
            super().__init__("test:index:Thing", name, inputs)

    def program():
        for i in range(int(sys.argv[3])):
            Thing(f"t{i}", v=int(sys.argv[4]))

    stack = StackRef(root=Path(sys.argv[1]), project="shop", stack="dev")
    try:
        engine = EmbeddedEngine()
        if sys.argv[2] == "up":
            engine.up(stack, program, lambda event: None)
        else:
            engine.destroy(stack, lambda event: None)
    except BaseloadError as error:
        print(error)
        sys.exit(int(error.exit_code))
"""


def start(stack: Any, *arguments: object) -> subprocess.Popen[str]:
    root = stack.ref.root
    script = root / "script.py"
    script.write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(script), str(root), *map(str, arguments)],
        env={**stack.environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_until(true: Callable[[], bool], limit_s: float = 20) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("what", "calls"), [("create", 4), ("update", 4), ("delete", 4)])
def test_kill_9_loses_nothing(stack: Any, cloud: Any, thing: Any, what: str, calls: int) -> None:
    def program(v: int) -> Callable[[], None]:
        return lambda: _make(thing, *(f"t{i}" for i in range(8)), v=v)

    if what != "create":
        stack.up(program(1))
    cloud.delay_s = 0.2
    seen = cloud.count(what)
    engine = start(stack, "destroy" if what == "delete" else "up", 8, 2)
    wait_until(lambda: cloud.count(what) >= seen + calls)
    engine.kill()
    engine.communicate()
    wait_until(lambda: not cloud.running)
    cloud.delay_s = 0
    state = stack.load()
    known = {s.id for s in state.resources} | {p.resource.urn for p in state.pending_operations}
    assert all(i in known or o["urn"] in known for i, o in cloud.objects.items()), "all that exists is on record"
    stack.up(program(2))
    assert "took over the lock" in stack.kinds(Message)[0].text
    assert cloud.names() == sorted(f"t{i}" for i in range(8)), "no orphan, no double"
    assert all(o["inputs"]["v"] == 2 for o in cloud.objects.values())
    assert stack.load().pending_operations == ()
    assert not stack.up(program(2)).changes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_running_steps_in_order(stack: Any, cloud: Any, number: int) -> None:
    cloud.delay_s = 0.3
    engine = start(stack, "up", 100, 1)
    wait_until(lambda: cloud.count("create") >= 3)
    engine.send_signal(number)
    output, _ = engine.communicate(timeout=20)
    assert engine.returncode == ExitCode.CANCELLED
    assert "engine/cancelled" in output
    assert cloud.cancelled.is_set(), "providers are asked to end"
    assert 0 < len(cloud.objects) < 100
    state = stack.load()
    assert {s.id for s in state.resources if s.type.startswith("test:")} == set(cloud.objects)
    assert state.pending_operations == ()
    assert not list((stack.file.parents[2] / "locks").rglob("*.json"))


def test_a_second_interruption_ends_at_once(stack: Any, cloud: Any) -> None:
    cloud.fail("create", "t0", "hang")
    release = threading.Event()
    cloud.before = lambda method, name: release.wait(20) and None if method == "create" else None
    engine = start(stack, "up", 1, 1)
    wait_until(lambda: bool(stack.file.exists() and stack.load().pending_operations))
    engine.send_signal(signal.SIGINT)
    assert cloud.cancelled.wait(10)
    assert engine.poll() is None
    engine.send_signal(signal.SIGINT)
    output, _ = engine.communicate(timeout=10)
    release.set()
    assert engine.returncode == ExitCode.CANCELLED, output
    (pending,) = stack.load().pending_operations
    assert pending.type == "creating"
    assert not list((stack.file.parents[2] / "locks").rglob("*.json"))
