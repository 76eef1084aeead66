"""WHAT GETS BUILT: Pulumi components, and the one program that declares them.

Knows specs and Pulumi; knows no engine and makes no call to a cloud.
"""

from baseload.components.endpoint import RunpodEndpoint, RunpodEndpointArgs, settings
from baseload.components.program import build, build_project
from baseload.components.runpod import Endpoint, Owner

__all__ = ["Endpoint", "Owner", "RunpodEndpoint", "RunpodEndpointArgs", "build", "build_project", "settings"]
