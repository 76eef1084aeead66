"""The Pulumi program: the same resources for `deploy` and for a plain `pulumi up`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pulumi

from baseload.components.endpoint import RunpodEndpoint, args_of
from baseload.components.runpod import Owner
from baseload.components.secrets import environments
from baseload.planner.deployed import refuse_what_is_not_deployed
from baseload.planner.errors import BaseloadError
from baseload.planner.spec import find, load
from baseload.planner.spec.choices import with_choices
from baseload.planner.spec.model import ModelSpec


def build(specs: Sequence[ModelSpec]) -> None:
    """Declare everything that `specs` need and export `endpoints`: `{model name: {id, url}}`.

    Raises `UsageError` for specs that this version does not deploy, and for secrets that are missing in an update.
    """
    refuse_what_is_not_deployed(specs)
    env = environments(specs)
    owner = Owner("owner")
    made = {spec.name: RunpodEndpoint(spec.name, args_of(spec, owner.id, env[spec.name])) for spec in specs}
    pulumi.export("endpoints", {name: {"id": item.endpoint_id, "url": item.url} for name, item in made.items()})


def build_project() -> None:
    """The whole of `stacks/__main__.py`: load the model specs of the project this program lies in, and build them.

    Raises `pulumi.RunError`, which Pulumi's language host prints without a traceback.
    """
    try:
        build(with_choices(load(find(_project_root()))))
    except BaseloadError as error:
        raise pulumi.RunError(str(error)) from error


def _project_root() -> Path:
    # Pulumi says where Pulumi.yaml lies; a program that is run by hand starts looking in its own folder.
    folder = Path(pulumi.get_root_directory() or Path.cwd()).resolve()
    for root in (folder, *folder.parents):
        if (root / "Pulumi.yaml").is_file():
            return root
    msg = f"no Pulumi.yaml in {folder} or above it"
    raise pulumi.RunError(msg)
