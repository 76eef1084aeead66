"""The engine of record: the Pulumi CLI, a process an operation, its events as ours."""

from baseload.engine.pulumi.engine import PulumiEngine, version_of

__all__ = ["PulumiEngine", "version_of"]
