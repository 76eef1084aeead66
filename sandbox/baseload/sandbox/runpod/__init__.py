"""RunPod on loopback: REST v2 for serverless endpoints, the job plane, and workers that answer.

`serve()` runs it within a program (tests), `baseload.sandbox.server` in the background. The parts: `state` is the state
machine, `bodies` judges request bodies, `catalog` knows GPU types and the bill, `gate` lets calls go wrong, `routes` is
the HTTP surface, `processes` and `worker` run the handler, `serving` puts it on two ports, `switches` lists the quirks.
"""

from baseload.sandbox.addresses import Addresses
from baseload.sandbox.runpod.gate import Call, Fault
from baseload.sandbox.runpod.serving import Sandbox, serve
from baseload.sandbox.runpod.switches import REHEARSAL_RATE_LIMIT, VENDOR_RATE_LIMIT, Switches

__all__ = ["REHEARSAL_RATE_LIMIT", "VENDOR_RATE_LIMIT", "Addresses", "Call", "Fault", "Sandbox", "Switches", "serve"]
