"""A provider whose only cost is 50 ms a create: what is left of an `up` is the engine's own time.

`python -m benchmarks.slow_provider` prints its port and serves until it is stopped.
"""

from __future__ import annotations

import itertools
import sys
import time
from concurrent import futures

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2_grpc
from pulumi.runtime.proto import provider_pb2 as pb

CREATE_S = 0.05


class SlowProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Every input may change in place but `kind`, which replaces."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version="1.0.0")

    def Handshake(self, request, context):
        return pb.ProviderHandshakeResponse(accept_secrets=True)

    def Attach(self, request, context):
        return empty_pb2.Empty()

    def CheckConfig(self, request, context):
        return pb.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):
        return pb.DiffResponse(changes=pb.DiffResponse.DIFF_NONE)

    def Configure(self, request, context):
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request, context):
        return pb.CheckResponse(inputs=request.news)

    def Diff(self, request, context):
        old, new = request.old_inputs.fields, request.news.fields
        changed = [key for key in new if key not in old or old[key] != new[key]]
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if changed else pb.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=[key for key in changed if key == "kind"],
        )

    def Create(self, request, context):
        if not request.preview:
            time.sleep(CREATE_S)
        return pb.CreateResponse(id=f"id-{next(self._ids)}", properties=request.properties)

    def Update(self, request, context):
        if not request.preview:
            time.sleep(CREATE_S)
        return pb.UpdateResponse(properties=request.news)

    def Read(self, request, context):
        return pb.ReadResponse(id=request.id, inputs=request.inputs, properties=request.properties)

    def Delete(self, request, context):
        return empty_pb2.Empty()

    def Cancel(self, request, context):
        return empty_pb2.Empty()


def main() -> None:
    """Serve on a free port of loopback."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=128))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(SlowProvider(), server)
    sys.stdout.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
    sys.stdout.flush()
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
