"""Which RunPod: the real one, the sandbox of this machine, or wherever RUNPOD_BASE_URL points.

Makes no call to a cloud; may start the sandbox.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from baseload.cli.options import Options
from baseload.cli.views.resources import label
from baseload.engine.interface import ResourceView
from baseload.planner.diagnostics import Diagnostic
from baseload.planner.errors import UsageError
from baseload.providers.runpod.client import BASE_URL, address, api_key, is_loopback

CONTROL, JOBS, KEY = "RUNPOD_BASE_URL", "RUNPOD_ENDPOINT_BASE_URL", "RUNPOD_API_KEY"

SANDBOX_KEY = "sandbox"
"""Sent to the sandbox, so that a real key is never handed to anything but RunPod."""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A control plane and what providers must be told to reach it."""

    base_url: str
    environment: Mapping[str, str]
    """Over the inherited variables."""
    is_sandbox: bool

    @property
    def variables(self) -> dict[str, str]:
        """All variables, as a provider process sees them."""
        return {**os.environ, **self.environment}

    def demand_key(self) -> None:
        """Raise `CredentialsError` without a key, before anybody is asked and anything begins."""
        api_key(self.variables)


def choose_cloud(options: Options, root: Path) -> Cloud:
    """The cloud that the options and the environment name; with `--sandbox` it is running afterwards.

    Raises `UsageError` for an address that is none, or with `--sandbox` lies outside of this machine.
    """
    if not options.sandbox:
        return Cloud(base_url=address(os.environ, CONTROL, BASE_URL), environment={}, is_sandbox=False)
    overrides = {name: os.environ[name] for name in (CONTROL, JOBS) if os.environ.get(name)}
    for name, url in overrides.items():
        _demand_loopback(name, url)
    environment = {**_sandbox(root, overrides), **overrides}
    key = os.environ.get(KEY) if overrides else None
    return Cloud(
        base_url=address(environment, CONTROL, BASE_URL),
        environment={**environment, KEY: key or SANDBOX_KEY},
        is_sandbox=True,
    )


def refuse_other_cloud(resources: Iterable[ResourceView], cloud: Cloud) -> None:
    """Raise `UsageError` if anything in the state was made on another cloud than the one that would be asked.

    A `down --sandbox` of a real stack would find nothing, and forget GPUs that go on billing.
    """
    elsewhere: dict[str, list[str]] = {}
    for item in resources:
        made_on = item.outputs.get("cloud")
        if made_on not in (None, cloud.base_url):
            elsewhere.setdefault(str(made_on), []).append(label(item.urn))
    if elsewhere:
        raise UsageError(
            *(
                Diagnostic(
                    code="cloud/other",
                    summary=f"{', '.join(names)}: made on {made_on}, and this command would use {cloud.base_url}",
                    hint=_way_back(made_on, cloud),
                )
                for made_on, names in elsewhere.items()
            )
        )


def sandbox_folder(root: Path) -> Path:
    """Where a project's sandbox keeps its objects."""
    return root / ".baseload" / "sandbox"


def _sandbox(root: Path, overrides: Mapping[str, str]) -> dict[str, str]:
    if len(overrides) == 2:
        return {}  # both planes are somebody else's: nothing to start
    from baseload.sandbox import server

    running = server.start(sandbox_folder(root))
    return {CONTROL: running.base_url, JOBS: running.endpoint_base_url}


def _demand_loopback(name: str, url: str) -> None:
    if not is_loopback(address(os.environ, name, url)):
        raise UsageError.of(
            "cloud/not-loopback",
            f"--sandbox talks to this machine only, and {name} points to {url}",
            hint=f"unset {name}, or leave out --sandbox",
        )


def _way_back(made_on: str, cloud: Cloud) -> str:
    if made_on == BASE_URL:
        return "leave out --sandbox, and unset RUNPOD_BASE_URL" if cloud.is_sandbox else "unset RUNPOD_BASE_URL"
    if is_loopback(made_on):
        return "add --sandbox, or choose another stack with --stack"
    return f"set RUNPOD_BASE_URL={made_on}, or choose another stack with --stack"
