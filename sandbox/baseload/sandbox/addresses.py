"""Where a sandbox answers. Imports nothing heavy: asking for the addresses must not load a web server."""

from __future__ import annotations

from dataclasses import dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Addresses:
    """Both end in `/v2`, as `RUNPOD_BASE_URL` and `RUNPOD_ENDPOINT_BASE_URL` do."""

    base_url: str
    endpoint_base_url: str

    @classmethod
    def on(cls, control_port: int, jobs_port: int) -> Addresses:
        """On these ports of loopback."""
        return cls(f"http://{HOST}:{control_port}/v2", f"http://{HOST}:{jobs_port}/v2")

    def to_json(self) -> dict[str, dict[str, str]]:
        """What `deploy sandbox start --json` prints."""
        return {"runpod": {"base_url": self.base_url, "endpoint_base_url": self.endpoint_base_url}}
