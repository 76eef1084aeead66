"""The embedded engine, operation by operation: what is done, what the state then holds, what is told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from pulumi import ResourceOptions as Options

from baseload.engine.files.state import Secret, disorder
from baseload.engine.interface import SECRET, UNKNOWN, FieldChange, Op, Status, StepDone, StepStarted, Summary
from baseload.planner.errors import DeployError, NoSuchStack

STACK = "urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev"


def test_a_stack_is_made_kept_changed_and_taken_down(stack: Any, cloud: Any, thing: Any, ops: Any) -> None:
    def program(size: int = 1, note: str = "old") -> Callable[[], None]:
        def body() -> None:
            a = thing("a", size=size)
            thing("b", note=note, of=a.token)
            pulumi.export("token", a.token)

        return body

    first = stack.up(program())
    assert ops(first) == {"a": ["create"], "b": ["create"]}
    assert (first.counts, first.outputs) == ({Op.CREATE: 3}, {"token": "token-of-id-1"})
    assert ops(stack.up(program())) == {"a": ["same"], "b": ["same"]}
    assert not stack.up(program()).changes

    changed = stack.up(program(note="new"))
    assert ops(changed) == {"a": ["same"], "b": ["update"]}
    (update,) = [step for step in changed.steps if step.op is Op.UPDATE]
    assert update.fields == (FieldChange(path="note", old="old", new="new"),)

    replaced = stack.up(program(size=2))
    assert ops(replaced)["a"] == ["create-replacement", "replace", "delete-replaced"]
    assert replaced.counts == {Op.REPLACE: 1, Op.UPDATE: 1, Op.SAME: 1}
    assert cloud.order("create") + cloud.order("delete") == ["a", "b", "a", "a"]
    assert cloud.names() == ["a", "b"]

    gone = stack.destroy()
    assert gone.counts == {Op.DELETE: 3}
    assert cloud.order("delete") == ["a", "b", "a"], "dependents go first"
    assert stack.load().resources == ()
    assert not cloud.objects
    assert stack.engine.exists(stack.ref)
    stack.destroy(remove=True)
    with pytest.raises(NoSuchStack):
        stack.destroy()


def test_the_state_says_all_that_pulumi_says(stack: Any, thing: Any) -> None:
    class Group(pulumi.ComponentResource):
        def __init__(self, name: str) -> None:
            super().__init__("test:index:Group", name, {"tier": 1})
            here = Options(parent=self, custom_timeouts=pulumi.CustomTimeouts(create="1h30m"), protect=True)
            self.inner = thing("inner", opts=here, nested={"null": None, "deep": pulumi.Output.secret("s3cret")})
            self.register_outputs({"size": 3})

    def program() -> None:
        group = Group("group")
        thing("last", opts=Options(depends_on=[group], additional_secret_outputs=["token"]), key="k3y")
        pulumi.export("hidden", pulumi.Output.secret("s3cret"))

    stack.up(program)
    root, group, provider, inner, last = stack.load().resources
    assert disorder(stack.load().resources) is None
    assert (root.urn, root.outputs, root.parent) == (STACK, {"hidden": Secret("s3cret")}, "")
    assert (group.inputs, group.outputs, group.parent, group.custom) == ({"tier": 1}, {"size": 3}, STACK, False)
    assert provider.urn == "urn:pulumi:dev::shop::pulumi:providers:test::default"
    assert inner.urn == "urn:pulumi:dev::shop::test:index:Group$test:index:Thing::inner"
    assert inner.provider == f"{provider.urn}::{provider.id}"
    assert inner.inputs == {"nested": {"null": None, "deep": Secret("s3cret")}, "color": "blue"}
    assert inner.outputs["nested"] == {"null": None, "deep": Secret("s3cret")}
    assert (inner.protect, inner.custom_timeouts) == (True, {"create": 5400.0})
    assert last.dependencies == (inner.urn,)
    assert last.outputs == {"token": Secret("token-of-id-2"), "color": "blue", "key": Secret("k3y")}
    text = stack.file.read_text()
    assert "s3cret" not in text
    assert "k3y" not in text.replace(last.urn, "").replace('"key"', "") or '"key":"k3y"' in text
    views = {view.name: view for view in stack.engine.resources(stack.ref)}
    assert views["inner"].inputs["nested"] == {"null": None, "deep": SECRET}
    assert stack.engine.outputs(stack.ref) == {"hidden": SECRET}


def test_reading_a_stack_needs_no_passphrase(stack: Any, thing: Any) -> None:
    stack.up(lambda: pulumi.export("x", pulumi.Output.secret(thing("a", v=1).token)))
    del stack.environment["PULUMI_CONFIG_PASSPHRASE"]
    assert stack.engine.outputs(stack.ref) == {"x": SECRET}
    assert [view.name for view in stack.engine.resources(stack.ref)] == ["shop-dev", "default", "a"]


def test_a_preview_writes_nothing_and_knows_what_is_unknown(stack: Any, cloud: Any, thing: Any, ops: Any) -> None:
    def program(v: int = 1) -> Callable[[], None]:
        def body() -> None:
            a = thing("a", size=v)
            thing("b", of=a.token, label=a.token.apply(lambda token: f"for {token}"))
            pulumi.export("token", a.token)

        return body

    del stack.environment["PULUMI_CONFIG_PASSPHRASE"]
    planned = stack.preview(program())
    assert ops(planned) == {"a": ["create"], "b": ["create"]}
    assert planned.outputs == {"token": UNKNOWN}
    assert not stack.file.parent.exists()
    assert not (stack.file.parents[2] / "locks").exists()

    stack.environment["PULUMI_CONFIG_PASSPHRASE"] = "correct horse"
    stack.up(program())
    before = stack.file.read_bytes()
    planned = stack.preview(program(2))
    assert ops(planned)["a"] == ["create-replacement", "replace", "delete-replaced"]
    (update,) = [step for step in planned.steps if step.op is Op.UPDATE]
    assert FieldChange(path="of", old="token-of-id-1", new=UNKNOWN) in update.fields
    assert stack.file.read_bytes() == before
    assert cloud.count("create") == 2


def test_independent_resources_are_made_at_the_same_time(stack: Any, cloud: Any, thing: Any) -> None:
    cloud.delay_s = 0.1

    def program() -> None:
        for i in range(20):
            thing(f"t{i}")

    stack.up(program)
    assert cloud.most_running >= 10
    cloud.most_running = 0
    stack.destroy(parallel=2)
    assert cloud.most_running == 2


def test_events_tell_the_whole_story_and_no_secret(stack: Any, thing: Any) -> None:
    stack.up(lambda: thing("a", key=pulumi.Output.secret("s3cret-value")) and None)
    assert [(e.op, e.urn.rsplit("::", 1)[-1]) for e in stack.kinds(StepStarted)] == [
        (Op.CREATE, "shop-dev"),
        (Op.CREATE, "a"),
    ]
    done = stack.kinds(StepDone)[0]
    assert (done.op, done.id, done.outputs["key"]) == (Op.CREATE, "id-1", SECRET)
    assert [status.text for status in stack.kinds(Status)] == ["create a"]
    (summary,) = stack.kinds(Summary)
    assert summary is stack.events[-1]
    assert summary.counts == {Op.CREATE: 2}
    assert "s3cret-value" not in repr(stack.events)


def test_delete_first_by_the_provider_or_by_option(stack: Any, cloud: Any, thing: Any, ops: Any) -> None:
    option = Options(delete_before_replace=True)

    def program(size: int) -> Callable[[], None]:
        def body() -> None:
            thing("provider", size=size, first=True)
            thing("option", size=size, opts=option)
            thing("against", size=size, first=True, opts=Options(delete_before_replace=False))

        return body

    stack.up(program(1))
    cloud.calls.clear()
    outcome = stack.up(program(2))
    assert ops(outcome) == {
        "provider": ["delete-replaced", "replace", "create-replacement"],
        "option": ["delete-replaced", "replace", "create-replacement"],
        "against": ["create-replacement", "replace", "delete-replaced"],
    }
    changes = [call for call in cloud.calls if call[0] in ("create", "delete")]
    for name, order in (("provider", "dc"), ("option", "dc"), ("against", "cd")):
        assert "".join(method[0] for method, called in changes if called == name) == order
    assert cloud.names() == ["against", "option", "provider"]


def test_delete_first_is_refused_where_it_would_replace_dependents(stack: Any, cloud: Any, thing: Any) -> None:
    def program(size: int, use: str) -> Callable[[], None]:
        def body() -> None:
            root = thing("root", size=size, opts=Options(delete_before_replace=True))
            thing("leaf", **{use: root.token})

        return body

    stack.up(program(1, "size"))
    for run in (stack.preview, stack.up):
        with pytest.raises(Exception, match=r"replacing root delete-first: leaf depend on it") as caught:
            run(program(2, "size"))
        assert caught.value.diagnostics[0].code == "engine/unsupported"
    assert cloud.count("delete") == 0
    stack.up(program(1, "note"))
    stack.up(program(2, "note"))
    assert cloud.names() == ["leaf", "root"]


def test_options_about_changes(stack: Any, cloud: Any, thing: Any, ops: Any) -> None:
    def program(v: int, opts: Options | None = None) -> Callable[[], None]:
        return lambda: thing("a", tags=[{"v": v}, {"w": v}], note=v, opts=opts) and None

    stack.up(program(1))
    ignored = stack.up(program(2, Options(ignore_changes=["tags[*].v", "note"])))
    assert ops(ignored) == {"a": ["update"]}
    assert stack.state("a").inputs == {"tags": [{"v": 1}, {"w": 2}], "note": 1, "color": "blue"}
    assert stack.state("a").extra["ignoreChanges"] == ["tags[*].v", "note"]
    forced = stack.up(program(3, Options(replace_on_changes=["note"])))
    assert ops(forced) == {"a": ["create-replacement", "replace", "delete-replaced"]}
    (step,) = [step for step in forced.steps if step.op is Op.REPLACE]
    assert {f.path: f.replaces for f in step.fields} == {"note": True, "tags": False}
    hidden = stack.up(program(4, Options(hide_diffs=["note"])))
    assert [f.path for step in hidden.steps for f in step.fields] == ["tags"]


def test_protected_resources_stay(stack: Any, cloud: Any, thing: Any) -> None:
    def program(size: int, protect: bool) -> Callable[[], None]:
        return lambda: thing("a", size=size, opts=Options(protect=protect)) and None

    stack.up(program(1, True))
    for refused in (
        lambda: stack.up(lambda: None),
        lambda: stack.up(program(2, True)),
        lambda: stack.preview(program(2, True)),
        stack.destroy,
    ):
        with pytest.raises(DeployError, match=r"a could not be .*it is protected") as caught:
            refused()
        assert "remove `protect`" in str(caught.value)
    assert cloud.names() == ["a"]
    stack.up(program(2, False))
    stack.destroy()
    assert cloud.names() == []


def test_retained_resources_are_only_forgotten(stack: Any, cloud: Any, thing: Any) -> None:
    stack.up(lambda: thing("a", opts=Options(retain_on_delete=True)) and None)
    assert stack.destroy().counts == {Op.DELETE: 2}
    assert cloud.names() == ["a"]
    assert cloud.count("delete") == 0


def test_a_component_hands_down_protection_and_retention(stack: Any, thing: Any) -> None:
    def program() -> None:
        parent = pulumi.ComponentResource("test:index:Group", "g", opts=Options(protect=True, retain_on_delete=True))
        thing("a", opts=Options(parent=parent))

    stack.up(program)
    assert (stack.state("a").protect, stack.state("a").retain_on_delete) == (True, True)


def test_import_takes_over_what_exists(stack: Any, cloud: Any, thing: Any, ops: Any) -> None:
    cloud.objects["mine"] = {"urn": "x::a", "inputs": {"note": "by hand", "color": "red"}}

    def program(note: str) -> Callable[[], None]:
        return lambda: thing("a", note=note, color="red", opts=Options(import_="mine")) and None

    assert ops(stack.preview(program("by hand"))) == {"a": ["import"]}
    first = stack.up(program("by hand"))
    assert (ops(first), first.counts[Op.IMPORT]) == ({"a": ["import"]}, 1)
    assert (stack.state("a").id, stack.state("a").extra["importID"]) == ("mine", "mine")
    assert ops(stack.up(program("by hand"))) == {"a": ["same"]}
    cloud.objects["other"] = {"urn": "x::b", "inputs": {"note": "1", "color": "red"}}

    def both() -> None:
        program("by hand")()
        thing("b", note="2", color="red", opts=Options(import_="other"))

    differs = stack.up(both)
    assert ops(differs)["b"] == ["import", "update"]
    assert cloud.objects["other"]["inputs"]["note"] == "2"
    with pytest.raises(DeployError, match=r"c could not be imported: there is no resource with the id 'none'"):
        stack.up(lambda: thing("c", opts=Options(import_="none")) and None)
    with pytest.raises(DeployError, match="while the program still says `import_`"):
        stack.up(lambda: thing("a", note="by hand", size=2, opts=Options(import_="mine")) and None)
    assert cloud.count("create") == 0


def test_timeouts_reach_the_provider(stack: Any, cloud: Any, thing: Any) -> None:
    timeouts = pulumi.CustomTimeouts(create="1m30s", update="2.5s", delete="1h")

    def program(v: int) -> Callable[[], None]:
        return lambda: thing("a", v=v, opts=Options(custom_timeouts=timeouts)) and None

    stack.up(program(1))
    stack.up(program(2))
    stack.destroy()
    wanted = {("create", "a"): 90.0, ("update", "a"): 2.5, ("delete", "a"): 3600.0}
    assert {key: value for key, value in cloud.timeouts.items() if key in wanted} == wanted


def test_the_default_provider_gets_exactly_its_packages_configuration(
    make_stack: Any, cloud: Any, thing: Any, crypter: Any, ops: Any
) -> None:
    secret = crypter.encrypt("hush-hush")
    stack = make_stack(config=f"config:\n  test:level: 3\n  test:key: {{secure: '{secret}'}}\n  shop:own: x\n")

    def program() -> None:
        assert pulumi.Config().require("own") == "x"
        thing("a")

    stack.up(program)
    provider = stack.state("default")
    assert provider.inputs == {"level": "3", "key": Secret("hush-hush")}
    assert cloud.configured == [(provider.urn, {"level": "3", "key": "hush-hush"})]
    assert "hush-hush" not in stack.file.read_text()
    identity = provider.id
    stack = make_stack(config="config:\n  test:level: 4\n  shop:own: x\n")
    changed = stack.up(program)
    assert (stack.state("default").id, stack.state("default").inputs) == (identity, {"level": "4"})
    assert ops(changed) == {"a": ["same"]}, "default providers are not told"


def test_explicit_providers_and_their_replacement(stack: Any, cloud: Any, thing: Any, ops: Any) -> None:
    def program(account: str, level: str) -> Callable[[], None]:
        def body() -> None:
            provider = pulumi.ProviderResource("test", "eu", {"account": account, "level": level})
            thing("a", opts=Options(provider=provider))

        return body

    stack.up(program("1", "low"))
    first = stack.state("eu")
    assert stack.state("a").provider == f"{first.urn}::{first.id}"
    assert not [s for s in stack.load().resources if s.urn.endswith("default")]
    assert ops(stack.up(program("1", "low"))) == {"eu": ["same"], "a": ["same"]}
    assert ops(stack.up(program("1", "high"))) == {"eu": ["update"], "a": ["same"]}
    assert stack.state("eu").id == first.id
    assert ops(stack.preview(program("2", "high"))) == {
        "eu": ["create-replacement", "replace", "delete-replaced"],
        "a": ["create-replacement", "replace", "delete-replaced"],
    }
    cloud.configured.clear()
    stack.up(program("2", "high"))
    assert stack.state("a").provider == f"{first.urn}::{stack.state('eu').id}"
    assert stack.state("eu").id != first.id
    assert [config["account"] for _, config in cloud.configured] == ["2", "1"], "the old one deletes its own"
    assert cloud.names() == ["a"]


def test_a_provider_configured_by_a_resource_is_unknown_in_the_first_preview(
    stack: Any, cloud: Any, thing: Any, ops: Any
) -> None:
    def program() -> None:
        a = thing("a")
        provider = pulumi.ProviderResource("test", "later", {"level": a.token})
        thing("b", v=1, opts=Options(provider=provider))

    assert ops(stack.preview(program)) == {"a": ["create"], "later": ["create"], "b": ["create"]}
    assert cloud.order("check") == ["a"], "a provider without configuration is not asked"
    stack.up(program)
    assert cloud.configured[-1][1] == {"level": "token-of-id-1"}


@pytest.mark.parametrize("handshakes", [True, False])
def test_providers_that_know_no_secrets(serving: Any, stack: Any, cloud: Any, thing: Any, handshakes: bool) -> None:
    serving.provider.secrets, serving.provider.handshakes = False, handshakes

    def program() -> None:
        secret = pulumi.Output.secret("s3cret")
        thing("a", nested={"x": secret, "y": 1}, listed=[secret, "open"])

    stack.up(program)
    marked = {"nested": {"x": Secret("s3cret"), "y": 1}, "listed": Secret(["s3cret", "open"]), "color": "blue"}
    assert stack.state("a").inputs == marked
    assert stack.state("a").outputs == {**marked, "token": "token-of-id-1"}
    assert cloud.objects["id-1"]["inputs"]["nested"] == {"x": "s3cret", "y": 1}
    assert "s3cret" not in stack.file.read_text()


def test_it_runs_inside_a_loop_and_leaves_no_trace_of_the_sdk(stack: Any, thing: Any) -> None:
    before = pulumi.get_stack()
    threads = threading.active_count()

    async def main() -> Any:
        return stack.up(lambda: thing("a") and None)

    assert asyncio.run(main()).counts == {Op.CREATE: 2}
    assert pulumi.get_stack() == before
    assert pulumi.runtime.settings.get_monitor() is None
    assert pulumi.runtime.settings.get_root_resource() is None
    assert not [t for t in threading.enumerate() if t.name in ("program", "state-writer")]
    assert threading.active_count() <= threads + 2


def test_two_stacks_at_once_do_not_mix(make_stack: Any, thing: Any, cloud: Any) -> None:
    cloud.delay_s = 0.05
    stacks = [make_stack(name) for name in ("one", "two", "three")]

    def program() -> None:
        thing(f"in-{pulumi.get_stack()}")
        pulumi.export("stack", pulumi.get_stack())

    runs = [threading.Thread(target=stack.up, args=(program,)) for stack in stacks]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [stack.engine.outputs(stack.ref) for stack in stacks] == [{"stack": s.ref.stack} for s in stacks]
    assert cloud.names() == ["in-one", "in-three", "in-two"]


def test_what_a_later_pulumi_may_add_to_a_resource_is_kept(stack: Any, thing: Any) -> None:
    stack.up(lambda: thing("a", size=1, note="old"))
    document = json.loads(stack.file.read_text())
    (resource,) = [item for item in document["checkpoint"]["latest"]["resources"] if item["urn"].endswith("::a")]
    resource["weird"] = {"later": 7}
    stack.file.write_text(json.dumps(document))
    stack.up(lambda: thing("a", size=1, note="new"))
    assert stack.state("a").extra["weird"] == {"later": 7}
