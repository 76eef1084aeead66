"""A resource monitor in process: runs a program and keeps what it registers, as a first preview or a first update."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import empty_pb2, json_format
from pulumi.runtime import config, settings, stack
from pulumi.runtime.proto import engine_pb2, resource_pb2

FEATURES = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
)


@dataclass(frozen=True)
class Registration:
    """What a program asked for; `inputs` in wire form, with secret marks and unknowns."""

    urn: str
    parent: str
    inputs: Mapping[str, Any]
    options: Mapping[str, Any]
    dependencies: tuple[str, ...]


@dataclass
class Graph:
    """Registrations by URN in order, and outputs of components and the stack."""

    resources: dict[str, Registration] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)

    def named(self, name: str) -> Registration:
        [found] = [item for urn, item in self.resources.items() if urn.endswith(f"::{name}")]
        return found


class Monitor:
    """Answers as an engine would: in a preview ids are unknown, in an update they are `id-of-<name>`."""

    def __init__(self, graph: Graph, dry_run: bool) -> None:
        self.graph = graph
        self.dry_run = dry_run

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> resource_pb2.RegisterResourceResponse:
        kind = request.type
        if request.parent and "pulumi:pulumi:Stack" not in request.parent:
            kind = f"{request.parent.split('::')[2]}${kind}"
        urn = f"urn:pulumi:dev::demo::{kind}::{request.name}"
        assert urn not in self.graph.resources
        options = json_format.MessageToDict(request)
        self.graph.resources[urn] = Registration(
            urn=urn,
            parent=request.parent,
            inputs=json_format.MessageToDict(request.object),
            options={key: options.get(key) for key in ("deleteBeforeReplace", "customTimeouts", "version", "provider")},
            dependencies=tuple(request.dependencies),
        )
        known = request.custom and not self.dry_run
        return resource_pb2.RegisterResourceResponse(
            urn=urn, id=f"id-of-{request.name}" if known else "", object=request.object
        )

    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> empty_pb2.Empty:
        self.graph.outputs[request.urn] = json_format.MessageToDict(request.outputs)
        return empty_pb2.Empty()

    def GetDeploymentInfo(self, _: Any) -> resource_pb2.DeploymentInfo:
        return resource_pb2.DeploymentInfo(supportedFeatures=FEATURES)

    def SupportsFeature(self, request: resource_pb2.SupportsFeatureRequest) -> resource_pb2.SupportsFeatureResponse:
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in ("secrets", "resourceReferences"))

    def SignalAndWaitForShutdown(self, _: Any) -> empty_pb2.Empty:
        return empty_pb2.Empty()


class Engine:
    """Only the two calls the SDK makes in passing."""

    def Log(self, _: Any) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def RequirePulumiVersion(self, _: Any) -> engine_pb2.RequirePulumiVersionResponse:
        return engine_pb2.RequirePulumiVersionResponse()


def compile_graph(
    program: Callable[[], None],
    *,
    root: Path | None = None,
    dry_run: bool = True,
    secrets: Mapping[str, str] | None = None,
) -> Graph:
    """Run `program` in a thread and a context of its own, so that nothing of the SDK's state leaks in or out."""
    graph = Graph()
    failure: list[BaseException] = []

    def run() -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        settings.configure(
            settings.Settings(
                project="demo",
                stack="dev",
                monitor=Monitor(graph, dry_run),
                engine=Engine(),
                dry_run=dry_run,
                root_directory=str(root) if root else None,
            )
        )
        config.set_all_config(dict(secrets or {}), list(secrets or {}))
        try:
            loop.run_until_complete(stack.run_in_stack(program))
        except BaseException as error:
            failure.append(error)
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    thread = threading.Thread(target=lambda: contextvars.Context().run(run))
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return graph


@pytest.fixture(name="compile_graph")
def _compile_graph() -> Callable[..., Graph]:
    return compile_graph
