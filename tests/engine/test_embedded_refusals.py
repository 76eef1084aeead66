"""What the embedded engine does not support is refused by name, before anything is done about that resource."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from pulumi import ResourceOptions as Options
from pulumi.runtime.proto import resource_pb2

from baseload.engine.embedded import EmbeddedEngine
from baseload.engine.embedded.monitor import HANDLED, REFUSED, Monitor
from baseload.engine.interface import Engine
from baseload.planner.errors import UsageError


def test_every_field_of_a_registration_is_handled_or_refused() -> None:
    fields = {field.name for field in resource_pb2.RegisterResourceRequest.DESCRIPTOR.fields}
    assert fields == HANDLED | set(REFUSED), "a newer SDK has new options: handle them, or refuse them by name"
    assert not HANDLED & set(REFUSED)


def test_every_call_of_the_protocol_is_answered() -> None:
    methods = {method.name for method in resource_pb2.DESCRIPTOR.services_by_name["ResourceMonitor"].methods}
    assert {method for method in methods if not callable(getattr(Monitor, method, None))} == set()


def test_it_is_an_engine() -> None:
    engine: Engine = EmbeddedEngine()
    assert engine.name == "embedded"


class Remote(pulumi.ComponentResource):
    def __init__(self, name: str) -> None:
        super().__init__("test:index:Remote", name, {}, None, True)


def _transform(args: Any) -> None:
    return None


def _hook(args: Any) -> None:
    return None


def _options(thing: Any) -> dict[str, Callable[[], Any]]:
    return {
        "the option `version` (of a)": lambda: thing("a", opts=Options(version="1.2.3")),
        "the option `plugin_download_url` (of a)": lambda: thing("a", opts=Options(plugin_download_url="https://x")),
        "the option `deleted_with` (of a)": lambda: thing("a", opts=Options(deleted_with=thing("b"))),
        "the option `replace_with` (of a)": lambda: thing("a", opts=Options(replace_with=[thing("b")])),
        "the option `replacement_trigger` (of a)": lambda: thing("a", opts=Options(replacement_trigger="x")),
        "transforms": lambda: thing("a", opts=Options(transforms=[_transform])),
        "resource hooks": lambda: thing(
            "a", opts=Options(hooks=pulumi.ResourceHookBinding(before_create=[pulumi.ResourceHook("h", _hook)]))
        ),
        "remote components (of a)": lambda: Remote("a"),
        "assets": lambda: thing("a", file=pulumi.StringAsset("text")),
        "archives": lambda: thing("a", file=pulumi.FileArchive("./folder")),
        "stack references": lambda: pulumi.StackReference("organization/shop/other"),
        "`test:index:Thing.get`": lambda: thing("a", opts=Options(id="x")),
        "invokes (test:index:look)": lambda: pulumi.runtime.invoke("test:index:look", {}),
        "`require_pulumi_version`": lambda: pulumi.require_pulumi_version(">=3"),
        "`delete_before_replace` of a provider (p)": lambda: pulumi.ProviderResource(
            "test", "p", {}, Options(delete_before_replace=True)
        ),
    }


@pytest.mark.parametrize("name", list(_options(None)))
def test_what_is_not_supported_is_refused_by_its_name(stack: Any, cloud: Any, thing: Any, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        stack.up(lambda: _options(thing)[name]() and None)
    problem = caught.value.diagnostics[0]
    assert problem.code == "engine/unsupported"
    assert problem.summary.startswith(f"the embedded engine does not support {name}")
    assert "--engine pulumi" in (problem.hint or "")
    assert "a" not in cloud.names()


def test_aliases_are_refused_only_where_they_matter(stack: Any, thing: Any, ops: Any) -> None:
    def program(name: str) -> Callable[[], None]:
        return lambda: thing(name, opts=Options(aliases=[pulumi.Alias(name="old")])) and None

    stack.up(program("new"))
    stack.up(lambda: thing("old") and None)
    with pytest.raises(UsageError, match=r"aliases \(new stands in the state under another name\)"):
        stack.up(program("new"))
    assert ops(stack.up(program("old"))) == {"old": ["same"]}


def test_stack_transforms_are_refused(stack: Any) -> None:
    with pytest.raises(UsageError, match="does not support transforms"):
        stack.up(lambda: pulumi.runtime.register_resource_transform(_transform))


def test_pulumis_own_configuration_is_refused(make_stack: Any) -> None:
    stack = make_stack(config="config:\n  pulumi:disable-default-providers: ['*']\n")
    with pytest.raises(UsageError, match="the configuration key pulumi:disable-default-providers"):
        stack.up(lambda: None)


def test_a_component_does_not_become_a_resource(stack: Any, thing: Any) -> None:
    stack.up(lambda: pulumi.ComponentResource("test:index:Thing", "a") and None)
    with pytest.raises(UsageError, match="making a component of a resource"):
        stack.up(lambda: thing("a") and None)


def test_malformed_options_are_told(stack: Any, thing: Any) -> None:
    timeouts = pulumi.CustomTimeouts(create="soon")
    with pytest.raises(UsageError, match="'soon' is not a duration"):
        stack.up(lambda: thing("a", opts=Options(custom_timeouts=timeouts)) and None)
    with pytest.raises(UsageError, match="not a property path"):
        stack.up(lambda: thing("a", opts=Options(ignore_changes=["x["])) and None)
