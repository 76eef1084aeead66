"""What resources and operations are called before people."""

from __future__ import annotations

from baseload.engine.interface import Op

ENDPOINT = "baseload-runpod:index:Endpoint"
OWNER = "baseload-runpod:index:Owner"
COMPONENT = "baseload:index:RunpodEndpoint"

DOING = {
    Op.SAME: "checking",
    Op.CREATE: "creating",
    Op.UPDATE: "updating",
    Op.DELETE: "deleting",
    Op.REPLACE: "replacing",
    Op.CREATE_REPLACEMENT: "creating the replacement",
    Op.DELETE_REPLACED: "deleting the replaced one",
    Op.READ: "reading",
    Op.REFRESH: "reading",
    Op.IMPORT: "importing",
    Op.DISCARD: "forgetting",
}

DONE = {
    Op.SAME: "unchanged",
    Op.CREATE: "created",
    Op.UPDATE: "updated",
    Op.DELETE: "deleted",
    Op.REPLACE: "replaced",
    Op.CREATE_REPLACEMENT: "replacement created",
    Op.DELETE_REPLACED: "replaced one deleted",
    Op.READ: "read",
    Op.REFRESH: "read",
    Op.IMPORT: "imported",
    Op.DISCARD: "forgotten",
}

SIGNS = {
    Op.CREATE: "+",
    Op.CREATE_REPLACEMENT: "+",
    Op.IMPORT: "+",
    Op.UPDATE: "~",
    Op.REPLACE: "±",
    Op.DELETE: "-",
    Op.DELETE_REPLACED: "-",
    Op.DISCARD: "-",
}


def is_shown(kind: str) -> bool:
    """Whether a resource of this type exists outside of the state: components, providers and the stack do not."""
    return kind != COMPONENT and not kind.startswith("pulumi:")


def label(urn: str) -> str:
    """The name a person gave: the model's for its endpoint."""
    kind, name = urn.rsplit("::", 2)[-2:]
    kind = kind.rsplit("$", 1)[-1]
    if kind == ENDPOINT:
        return name.removesuffix("-endpoint")
    return "stack owner" if kind == OWNER else name
