"""What both engines are put through: by name, stages that follow each other on one stack. Data only."""

from __future__ import annotations

from typing import Any

Stage = dict[str, Any]


def thing(name: str, props: dict[str, Any] | None = None, **opts: Any) -> dict[str, Any]:
    return {"name": name, "props": props or {}, "opts": opts}


def program(*resources: dict[str, Any], **exports: Any) -> dict[str, Any]:
    return {"resources": list(resources), "exports": exports}


def up(*resources: dict[str, Any], exports: dict[str, Any] | None = None, **more: Any) -> Stage:
    return {"do": "up", "program": program(*resources, **(exports or {})), **more}


def preview(*resources: dict[str, Any], exports: dict[str, Any] | None = None, **more: Any) -> Stage:
    return {"do": "preview", "program": program(*resources, **(exports or {})), **more}


DESTROY: Stage = {"do": "destroy"}
REFRESH: Stage = {"do": "refresh"}


def unchanged(stage: Stage) -> list[Stage]:
    return [stage, {**stage, "do": "preview"}, {key: value for key, value in stage.items() if key != "faults"}]


A = thing("a", {"size": 1})
CHAIN = [
    thing("a", {"size": 1, "shape": "round"}),
    thing("b", {"from": {"$id": "a"}, "kind": {"$out": "a.kind"}}),
    thing("c", {"size": 3}, depends_on=["b"]),
]
SECRETS = [
    thing("a", {
        "password": {"$secret": "hush"},
        "env": {"plain": 1, "list": ["x", {"key": {"$secret": {"deep": ["er", None]}}}]},
        "none": {"inner": None, "list": [None, 1]},
    }),
    thing("b", {"token": {"$out": "a.token"}, "of": {"nested": [{"$out": "a.deep"}]}, "note": {"$secret": None}}),
]  # fmt: skip
TREE = [
    {"name": "g", "kind": "group", "props": {"title": "t", "password": {"$secret": "p"}, "none": {"x": None}},
     "outputs": {"id": {"$id": "child"}, "token": {"$out": "child.token"}, "list": [1, 2.5, True, None]}},
    {"name": "inner", "kind": "group", "props": {}, "opts": {"parent": "g"}},
    thing("child", {"size": 1}, parent="inner"),
    thing("sibling", {"size": 2}, parent="g", depends_on=["inner"]),
]  # fmt: skip

SCENARIOS: dict[str, list[Stage]] = {
    "create": [preview(A), up(A), preview(A), up(A), DESTROY],
    "empty": [up(exports={"x": 1}), up(exports={"x": 1}), {**DESTROY, "remove": True}],
    "chain": [
        *unchanged(up(*CHAIN)),
        preview(thing("a", {"size": 2, "shape": "round"}), *CHAIN[1:]),
        up(thing("a", {"size": 2, "shape": "round"}), *CHAIN[1:]),
        up(*CHAIN[:1], thing("d", {"size": 4})),
        DESTROY,
    ],
    "replace-create-first": [
        up(*CHAIN),
        preview(thing("a", {"size": 1, "shape": "square"}), *CHAIN[1:]),
        *unchanged(up(thing("a", {"size": 1, "shape": "square"}), *CHAIN[1:])),
    ],
    "replace-delete-first": [
        up(thing("a", {"place": "here"})),
        preview(thing("a", {"place": "there"})),
        *unchanged(up(thing("a", {"place": "there"}))),
    ],
    "replace-delete-first-by-option": [
        up(thing("a", {"shape": "round"}, delete_before_replace=True)),
        *unchanged(up(thing("a", {"shape": "square"}, delete_before_replace=True))),
    ],
    "replace-on-changes": [
        up(thing("a", {"size": 1, "n": {"x": 1, "y": 1}}, replace_on_changes=["n.x"])),
        up(thing("a", {"size": 2, "n": {"x": 1, "y": 2}}, replace_on_changes=["n.x"])),
        preview(thing("a", {"size": 2, "n": {"x": 2, "y": 2}}, replace_on_changes=["n.x"])),
        up(thing("a", {"size": 2, "n": {"x": 2, "y": 2}}, replace_on_changes=["n.x"])),
    ],
    "replace-fails-then-succeeds": [
        up(thing("a", {"shape": "round"})),
        up(thing("a", {"shape": "square"}), faults={"create a": ["fail"]}),
        *unchanged(up(thing("a", {"shape": "square"}))),
    ],
    "replace-delete-first-fails-then-succeeds": [
        up(thing("a", {"place": "here"}), thing("b", {"size": 1})),
        up(thing("a", {"place": "there"}), thing("b", {"size": 1}), faults={"create a": ["fail"]}),
        preview(thing("a", {"place": "there"}), thing("b", {"size": 1})),
        *unchanged(up(thing("a", {"place": "there"}), thing("b", {"size": 1}))),
    ],
    "nested-fields": [
        up(thing("a", {"workers": {"min": 0, "max": 3}, "pools": ["x", "y"], "gone": 1, "tags": {"a.b": 1}})),
        preview(
            thing("a", {"workers": {"min": 0, "max": 4}, "pools": ["x", "z"], "new": {"x": 1}, "tags": {"a.b": 1}})
        ),
        up(thing("a", {"workers": {"min": 1}, "pools": ["x"], "new": None, "tags": {}})),
    ],
    "numbers": [
        *unchanged(up(thing("a", {"n": 5, "f": 5.0, "x": 0.1, "big": 1e21, "b": True, "zero": 0, "neg": -3}))),
        up(thing("a", {"n": 5.0, "f": 5, "x": 0.1, "big": 1e21, "b": True, "zero": 0.0, "neg": -3})),
        up(thing("a", {"n": 5, "f": 5, "x": 0.2, "big": 1e21, "b": 1, "zero": False, "neg": -3})),
    ],
    "text": unchanged(
        up(thing("a", {"t": "ü <&> \u2028 \"'\\ \x01 \U0001f600", "empty": "", "list": [], "map": {}}))
    ),
    "secrets": [
        preview(*SECRETS, exports={"token": {"$out": "a.token"}, "mixed": {"x": [1, {"$secret": 2}]}}),
        *unchanged(up(*SECRETS, exports={"token": {"$out": "a.token"}, "mixed": {"x": [1, {"$secret": 2}]}})),
        up(thing("a", {"password": {"$secret": "other"}}), exports={"token": "plain now"}),
        up(thing("a", {"password": "other"}), exports={"token": {"$secret": "again"}}),
        preview(thing("a", {"password": {"$secret": "other"}})),
        up(thing("a", {"password": {"$secret": "other"}})),
        REFRESH,
        DESTROY,
    ],
    "additional-secret-outputs": [
        *unchanged(up(thing("a", {"size": 1, "open": "x"}, additional_secret_outputs=["size", "kind"]))),
        up(thing("a", {"size": 1, "open": "x"}, additional_secret_outputs=["open"])),
    ],
    "components": [
        preview(*TREE, exports={"out": {"$out": "g.urn"}, "id": {"$id": "child"}}),
        *unchanged(up(*TREE, exports={"out": {"$out": "g.urn"}, "id": {"$id": "child"}})),
        up({**TREE[0], "props": {"title": "other"}}, *TREE[1:]),
        up(TREE[0] | {"outputs": {}}, TREE[1]),
        DESTROY,
    ],
    "config": [
        up(thing("a", {"x": {"$config": "word"}}), config={"demo:word": "w", "lab:region": "eu", "lab:n": 3,
                                                            "lab:flag": True, "other:x": "y"}),
        up(thing("a", {"x": {"$config": "word"}}), config={"demo:word": "w", "lab:region": "us"}),
        up(thing("a", {"x": 1}), config={}),
    ],
    "explicit-provider": [
        *unchanged(up({"name": "p", "kind": "provider", "props": {"region": "eu", "key": {"$secret": "k"}}},
                      thing("a", {"size": 1}, provider="p"))),
        up({"name": "p", "kind": "provider", "props": {"region": "us", "key": {"$secret": "k"}}},
           thing("a", {"size": 1}, provider="p")),
        DESTROY,
    ],
    "protect": [
        up(thing("a", {"size": 1}, protect=True), A | {"name": "b"}),
        up(),
        preview(),
        DESTROY,
        up(thing("a", {"size": 1, "shape": "x"}, protect=True)),
        up(thing("a", {"size": 1})),
        DESTROY,
    ],
    "retain": [
        up(
            thing("a", {"size": 1, "shape": "r"}, retain_on_delete=True),
            thing("b", {"size": 1}, retain_on_delete=True),
        ),
        up(thing("a", {"size": 1, "shape": "s"}, retain_on_delete=True)),
        DESTROY,
    ],
    "ignore-changes": [
        up(thing("a", {"size": 1, "workers": {"min": 0, "max": 1}, "shape": "r"})),
        preview(thing("a", {"size": 2, "workers": {"min": 1, "max": 2}, "shape": "s"},
                      ignore_changes=["size", "workers.max", "shape"])),
        up(thing("a", {"size": 2, "workers": {"min": 1, "max": 2}, "shape": "s"},
                 ignore_changes=["size", "workers.max", "shape"])),
        up(thing("a", {"workers": {"min": 2}}, ignore_changes=["size", "workers.max", "new"])),
    ],
    "import": [
        preview(
            thing("a", {"size": 7, "kind": "standard"}, import_="x-9"), drift={"x-9": {"size": 7, "kind": "standard"}}
        ),
        up(thing("a", {"size": 7, "kind": "standard"}, import_="x-9")),
        preview(thing("a", {"size": 7, "kind": "standard"}, import_="x-9")),
        *unchanged(up(thing("a", {"size": 7, "kind": "standard"}))),
        up(thing("a", {"size": 8, "kind": "standard"})),
    ],
    "import-that-differs": [
        up(thing("a", {"size": 8}, import_="x-9"), drift={"x-9": {"size": 7}}),
        preview(thing("a", {"size": 8}, import_="x-9")),
    ],
    "import-of-nothing": [up(thing("a", {"size": 8}, import_="x-9"))],
    "timeouts": [
        *unchanged(up(thing("a", {"size": 1}, custom_timeouts={"create": "45m", "update": "90s", "delete": "1h30m"}))),
        up(thing("a", {"size": 2}, custom_timeouts={"create": "45m", "update": "10s"})),
        DESTROY,
    ],
    "create-fails": [
        up(*CHAIN, faults={"create b": ["fail"]}, exports={"x": {"$id": "a"}}),
        *unchanged(up(*CHAIN, exports={"x": {"$id": "a"}})),
    ],
    "check-fails": [
        up(A, thing("b", {"size": "wrong"}, depends_on=["a"])),
        preview(thing("b", {"size": "wrong"})),
        up(A),
    ],
    "update-fails": [up(A), up(thing("a", {"size": 2}), faults={"update a": ["fail"]}), up(thing("a", {"size": 2}))],
    "init-fails-and-heals": [
        up(A, faults={"create a": ["partial"]}),
        preview(A),
        up(A, faults={"update a": ["partial"]}),
        *unchanged(up(A)),
    ],
    "init-fails-on-update": [
        up(A),
        up(thing("a", {"size": 2}), faults={"update a": ["partial"]}),
        up(thing("a", {"size": 2})),
        up(thing("a", {"size": 2})),
    ],
    "init-failed-is-destroyed": [up(A, faults={"create a": ["partial"]}), DESTROY],
    "delete-fails": [
        up(A, thing("b", {"size": 1})),
        up(A, faults={"delete b": ["fail"]}),
        up(A),
    ],
    "old-half-stays": [
        up(thing("a", {"shape": "r"})),
        up(thing("a", {"shape": "s"}), faults={"delete a": ["fail"]}),
        preview(thing("a", {"shape": "s"})),
        *unchanged(up(thing("a", {"shape": "s"}))),
    ],
    "old-half-stays-and-is-destroyed": [
        up(thing("a", {"shape": "r"})),
        up(thing("a", {"shape": "s"}), faults={"delete a": ["fail"]}),
        DESTROY,
    ],
    "drift": [
        up(*CHAIN, exports={"x": {"$out": "a.token"}}),
        {**REFRESH, "dry": True, "drift": {"a-1": {"size": 9, "new": "x"}}},
        preview(*CHAIN, refresh=True),
        REFRESH,
        preview(*CHAIN),
        up(*CHAIN),
        up(*CHAIN, refresh=True, drift={"a-1": {"size": 8}}),
    ],
    "vanished": [
        up(*CHAIN),
        {**REFRESH, "dry": True, "drift": {"a-1": None}},
        preview(*CHAIN, refresh=True),
        up(*CHAIN, refresh=True),
        {**REFRESH, "drift": {"c-1": None}},
        *unchanged(up(*CHAIN)),
        {**REFRESH, "drift": {"b-1": None}},
    ],
    "vanished-is-destroyed": [up(*CHAIN), {**DESTROY, "drift": {"a-1": None, "c-1": None}}],
    "taint": [
        up(*CHAIN),
        preview(*CHAIN, edit={"a": {"taint": True}}),
        *unchanged(up(*CHAIN)),
    ],
    "stack-outputs": [
        up(A, exports={
            "a": {"$id": "a"}, "s": {"$secret": {"x": 1}}, "n": None, "l": [None, {"y": None}],
            "t": {"$out": "a.token"},
        }),
        up(A, exports={"a": {"$id": "a"}, "b": 5}),
        up(A),
    ],
    "program-fails": [
        up(*CHAIN),
        {"do": "up", "program": {**program(A), "raise": "no such model"}},
        {"do": "preview", "program": {**program(A), "raise": "no such model"}},
    ],
    "no-stack": [DESTROY, REFRESH],
    "removed-and-again": [up(A), {**DESTROY, "remove": True}, up(A)],
}  # fmt: skip

CONTINUED: dict[str, dict[str, Any]] = {
    "chain": up(*CHAIN, exports={"x": {"$id": "a"}}),
    "secrets": up(*SECRETS, exports={"token": {"$out": "a.token"}, "n": [None, {"$secret": None}]}),
    "components": up(*TREE, exports={"out": {"$out": "g.urn"}}),
    "options": up(
        {"name": "p", "kind": "provider", "props": {"region": "eu", "key": {"$secret": "k"}}},
        thing("a", {"size": 1}, provider="p", protect=True),
        thing("b", {"size": 1}, retain_on_delete=True, custom_timeouts={"create": "5m"}),
        thing("c", {"size": 1, "open": "x"}, additional_secret_outputs=["open"], ignore_changes=["size"]),
        config={"lab:region": "eu"},
    ),
}
