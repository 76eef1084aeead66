"""The one exception tree and the exit codes.

Exit codes are Pulumi's own (its CLI since 3.226), because our users already script them; 5 is a breached limit
of ours where Pulumi has a policy violation. Each kind of error has one code; exceptions carry diagnostics and
never print. They are caught once, in `baseload.cli.main`.
"""

from __future__ import annotations

from enum import IntEnum

from baseload.planner.diagnostics import Diagnostic, Location, Severity, in_order


class ExitCode(IntEnum):
    """What the `deploy` process answers."""

    OK = 0
    ERROR = 1
    USAGE = 2
    CREDENTIALS = 3
    DEPLOY_FAILED = 4
    LIMIT_BREACHED = 5
    NO_SUCH_STACK = 6
    CHANGES_FOUND = 7
    CANCELLED = 8
    TIMEOUT = 9
    BUG = 255


class BaseloadError(Exception):
    """Something the user can understand and mend; `diagnostics` holds at least one entry."""

    exit_code: ExitCode = ExitCode.ERROR

    def __init__(self, *diagnostics: Diagnostic) -> None:
        if not diagnostics:
            msg = "a BaseloadError needs at least one diagnostic"
            raise ValueError(msg)
        self.diagnostics = in_order(diagnostics)
        super().__init__("\n".join(str(item) for item in self.diagnostics))

    @classmethod
    def of(cls, code: str, summary: str, *, hint: str | None = None, where: Location | None = None) -> BaseloadError:
        """The error with one diagnostic of severity error."""
        return cls(Diagnostic(code=code, summary=summary, severity=Severity.ERROR, hint=hint, where=where))


class UsageError(BaseloadError):
    """The command, its options or its surroundings (stack, cloud, passphrase) are not usable as given."""

    exit_code = ExitCode.USAGE


class SpecError(UsageError):
    """A model spec is invalid."""


class CredentialsError(BaseloadError):
    """A key is missing, wrong, or lacks a right."""

    exit_code = ExitCode.CREDENTIALS


class DeployError(BaseloadError):
    """A resource could not be brought to the wanted state."""

    exit_code = ExitCode.DEPLOY_FAILED


class LimitBreached(BaseloadError):
    """The plan breaks a limit of its spec."""

    exit_code = ExitCode.LIMIT_BREACHED


class NoSuchStack(BaseloadError):
    """The stack does not exist in this backend."""

    exit_code = ExitCode.NO_SUCH_STACK


class ChangesFound(BaseloadError):
    """There are changes where none were expected (an approved plan no longer holds, drift)."""

    exit_code = ExitCode.CHANGES_FOUND


class Cancelled(BaseloadError):
    """The user said no, or interrupted."""

    exit_code = ExitCode.CANCELLED


class TimedOut(BaseloadError):
    """Something did not happen within its time."""

    exit_code = ExitCode.TIMEOUT
