"""The resources of the provider plugin `baseload-runpod` as Pulumi classes, written by hand.

Only names and types: no default, no rule, no call. The plugin ships in the same wheel, so neither class asks for a
version (a `version` would rename the default provider in the state).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi


@pulumi.type_token("baseload-runpod:index:Owner")
class Owner(pulumi.CustomResource):
    """Who owns the endpoints of a stack: its `id` is random, is made without a call and lies in the state first.

    Endpoints are marked with it, so that a create that may have happened is found again and a colleague's endpoint
    of the same name is not.
    """

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("baseload-runpod:index:Owner", name, {"cloud": None}, opts)


@pulumi.type_token("baseload-runpod:index:Endpoint")
class Endpoint(pulumi.CustomResource):
    """A RunPod serverless endpoint. `inputs` carries the wire names of RunPod's REST v2 (`workers`, `gpu`, ...)."""

    def __init__(
        self,
        name: str,
        inputs: Mapping[str, pulumi.Input[Any]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("baseload-runpod:index:Endpoint", name, {**inputs, **dict.fromkeys(_COMPUTED)}, opts)

    @property
    def endpoint_id(self) -> pulumi.Output[str]:
        """RunPod's id, part of the job URLs."""
        return _output(self, "endpointId")

    @property
    def url(self) -> pulumi.Output[str]:
        """Base of the job routes: `<url>/run`, `<url>/runsync`, `<url>/openai/v1`."""
        return _output(self, "url")

    @property
    def request_urls(self) -> pulumi.Output[Mapping[str, str]]:
        """The job routes as RunPod lists them."""
        return _output(self, "requestUrls")

    @property
    def created_at(self) -> pulumi.Output[str]:
        """When RunPod made it, RFC 3339."""
        return _output(self, "createdAt")

    @property
    def version(self) -> pulumi.Output[int]:
        """RunPod's `endpointVersion`; each release adds one."""
        return _output(self, "version")

    @property
    def cloud(self) -> pulumi.Output[str]:
        """Base URL of the control plane it was made on."""
        return _output(self, "cloud")

    @property
    def remote_name(self) -> pulumi.Output[str]:
        """The name it has at RunPod: `<name>-<6 hex>`."""
        return _output(self, "remoteName")


_COMPUTED = ("endpointId", "url", "requestUrls", "createdAt", "version", "cloud", "marker", "remoteName")
"""Declared as None, they become outputs."""


def _output(resource: pulumi.Resource, name: str) -> pulumi.Output[Any]:
    value: pulumi.Output[Any] = pulumi.get(resource, name)
    return value
