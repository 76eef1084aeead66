"""The plugin `pulumi-resource-baseload-runpod`: the package's resources, put together and served.

Addresses and the key come from the environment, at the first call that needs them.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import version

from baseload.providers.framework.resource import Time
from baseload.providers.framework.servicer import Provider
from baseload.providers.framework.serving import main as serve
from baseload.providers.runpod.client import BASE_URL, Client, address
from baseload.providers.runpod.endpoint import Endpoint
from baseload.providers.runpod.jobs import ENDPOINT_BASE_URL
from baseload.providers.runpod.owner import Owner

PACKAGE = "baseload-runpod"


def provider(
    environment: Mapping[str, str] = os.environ,
    *,
    time: Time | None = None,
    connect: Callable[[Mapping[str, str]], Client] = Client.from_environment,
) -> Provider:
    """The package's provider; one client, and so one rate limit, for everything it does."""

    made: list[Client] = []
    making = threading.Lock()

    def client() -> Client:
        with making:
            if not made:
                made.append(connect(environment))
            return made[0]

    def job_url() -> str | None:
        variable = "RUNPOD_ENDPOINT_BASE_URL"
        return address(environment, variable, ENDPOINT_BASE_URL) if environment.get(variable) else None

    owner = Owner(lambda: address(environment, "RUNPOD_BASE_URL", BASE_URL))
    endpoint = Endpoint(client, job_url)
    text = "RunPod serverless endpoints, over REST v2."
    plugin = Provider(PACKAGE, version("baseload"), (owner, endpoint), text=text, time=time)

    def another_engine() -> None:
        endpoint.forget()
        for one in made:
            one.forget()

    def close() -> None:
        for one in made:
            one.close()

    plugin.on_attach(another_engine)
    plugin.on_close(close)
    return plugin


def main() -> None:
    """Entry point of the executable."""
    serve(provider(), sys.argv[1:])
