"""RunPod's way to say no, as a value: raised by the state machine and the body checks, made an answer in `routes`."""

from __future__ import annotations

from http import HTTPStatus


class Refusal(Exception):
    """The vendor's API would answer with this status; `errors` lists what is wrong with a body."""

    def __init__(self, status: int, detail: str, errors: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors = status, detail, errors

    def problem(self) -> dict[str, object]:
        """As problem+json: `title`, `status`, `detail`, and `errors` where there are any."""
        body: dict[str, object] = {
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        return body | ({"errors": list(self.errors)} if self.errors else {})


def not_found(what: str) -> Refusal:
    """404 for an object that does not exist."""
    return Refusal(404, f"{what} not found")
