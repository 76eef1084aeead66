"""The engine for machines without the Pulumi CLI: the program in process, providers over gRPC, Pulumi's own state.

In the order of a run: `engine` (the interface), `session` (what is open), `operation` (one verb), `monitor` (what the
program registers), `deployment`, `resources` and `steps` (what is done about it), `deletion`, `refreshing`; `ledger`
(what the state is to hold), `report` (what is told); `plugins`, `providers`, `provider` (the other side of the wire).
"""

from baseload.engine.embedded.engine import EmbeddedEngine

__all__ = ["EmbeddedEngine"]
