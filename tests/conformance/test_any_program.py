"""Programs nobody thought of: both engines do the same with them, and each goes on where the other stopped."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from conformance_lab import differences
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.skipif(not shutil.which("pulumi"), reason="no Pulumi CLI on PATH to compare with")

NAMES = ("a", "b", "c", "d")
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from(["", "x", "ü<&>"]), st.just(1.5))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["k", "a.b", "n"]), inner, max_size=2),
        inner.map(lambda value: {"$secret": value}),
    ),
    max_leaves=4,
)
PROPS = st.dictionaries(st.sampled_from(["size", "env", "shape", "place", "none"]), VALUES, max_size=3)


@st.composite
def programs(draw: st.DrawFn) -> dict[str, Any]:
    resources: list[dict[str, Any]] = []
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4)):
        before = [item["name"] for item in resources if item.get("kind") != "group"]
        groups = [item["name"] for item in resources if item.get("kind") == "group"]
        item: dict[str, Any] = {"name": name, "props": draw(PROPS), "opts": {}}
        if draw(st.integers(0, 5)) == 0:
            item["kind"] = "group"
            item["outputs"] = draw(PROPS)
        elif before and draw(st.booleans()):
            source = draw(st.sampled_from(before))
            item["props"]["from"] = draw(st.sampled_from([{"$id": source}, {"$out": f"{source}.token"}]))
        elif before and draw(st.booleans()):
            item["opts"]["depends_on"] = [draw(st.sampled_from(before))]
        if groups and draw(st.booleans()):
            item["opts"]["parent"] = draw(st.sampled_from(groups))
        if item.get("kind") != "group":
            for option, value in (
                ("ignore_changes", ["size"]),
                ("additional_secret_outputs", ["size"]),
                ("retain_on_delete", True),
                ("delete_before_replace", True),
                ("custom_timeouts", {"create": "5m"}),
            ):
                if draw(st.integers(0, 7)) == 0:
                    item["opts"][option] = value
        resources.append(item)
    exports = draw(st.dictionaries(st.sampled_from(["x", "y"]), VALUES, max_size=2))
    return {"resources": resources, "exports": exports}


FAULTS = st.dictionaries(
    st.tuples(st.sampled_from(["create", "update", "delete"]), st.sampled_from(NAMES)).map(" ".join),
    st.sampled_from([["fail"], ["partial"]]),
    max_size=1,
)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(first=programs(), second=programs(), faults=FAULTS)
def test_both_engines_do_the_same(
    first: dict[str, Any],
    second: dict[str, Any],
    faults: dict[str, list[str]],
    make_bench: Any,
) -> None:
    stages = [
        {"do": "up", "program": first},
        {"do": "preview", "program": second},
        {"do": "up", "program": second, "faults": faults},
        {"do": "up", "program": second},
        {"do": "preview", "program": second},
        {"do": "destroy"},
    ]
    records = {}
    for engine in ("pulumi", "embedded"):
        bench = make_bench()
        records[engine] = [bench.run(engine, stage) for stage in stages]
    # Which of the others have begun when one fails is chance, also for the CLI alone.
    found = [] if any("error" in record for record in records["pulumi"]) else [*differences(*records.values())]
    assert not found, "\n".join(found)
