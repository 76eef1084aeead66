"""The process of a plugin: `pulumi-resource-NAME <engine address>` prints its port and serves until its engine ends.

An engine that is killed takes no plugin with it (seen on CLI 3.260: the plugin finished a create three seconds later
and was still there after eight). So the plugin watches its parent process and the engine's address, and leaves.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from concurrent import futures

import grpc
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import provider_pb2_grpc

from baseload.providers.framework.servicer import Provider

THREADS = 256
"""Each waiting operation holds one; engines run 64 at once, and Cancel must still find a free one."""

LOOK_EVERY_S = 0.4
"""Twice refused means gone, so a dead engine is noticed within one second and the promise of two holds."""


def serve(provider: Provider) -> tuple[grpc.Server, int]:
    """Start serving on loopback; the server, and the port it has got."""
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="provider"),
        options=_GRPC_CHANNEL_OPTIONS,
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def main(provider: Provider, arguments: list[str]) -> None:
    """Serve one engine until it ends; stdout gets the port and nothing else, ever.

    Without an engine address (started by hand, for `PULUMI_DEBUG_PROVIDERS`) it serves until it is stopped.
    """
    parent = os.getppid()
    # Ctrl-C reaches the whole process group; it is the engine that decides what happens then, and sends Cancel.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    address = next((argument for argument in arguments if not argument.startswith("-")), "")
    server, port = serve(provider)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    sys.stdout = sys.stderr
    if address:
        provider.attach(address)
        threading.Thread(target=_leave_with, args=(parent, address), daemon=True).start()
    server.wait_for_termination()


def _leave_with(parent: int, address: str, leave: Callable[[int], None] = os._exit) -> None:
    """End this process as soon as its engine has; no clean-up, as any of it could still send something."""
    host, _, port = address.rpartition(":")
    refused = 0
    pause = threading.Event()
    while refused < 2 and os.getppid() == parent:
        refused = refused + 1 if _refuses(host, int(port)) else 0
        pause.wait(LOOK_EVERY_S)
    leave(0)


def _refuses(host: str, port: int) -> bool:
    """Whether nobody listens there. A slow answer is no refusal: a busy engine is alive."""
    try:
        socket.create_connection((host, port), timeout=LOOK_EVERY_S).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False
