"""A model spec as values: frozen, complete (defaults filled in), with units in the names.

`baseload.planner.spec.load` makes these from YAML; nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baseload.planner.diagnostics import Location
from baseload.planner.errors import UsageError
from baseload.planner.pool import Dispatch

if TYPE_CHECKING:
    from baseload.planner.targets import Target
    from baseload.planner.traffic.profile import RateProfile


class Precision(StrEnum):
    """Weight format; decides the bytes per parameter."""

    FP16 = "fp16"
    FP8 = "fp8"
    INT4 = "int4"


VLLM_CONCURRENCY = 30
"""Requests that RunPod's vLLM worker takes at once unless told otherwise: its `MAX_CONCURRENCY` (README of worker-vllm
v2.25.2, 2026-08-20)."""


@dataclass(frozen=True)
class SecretRef:
    """A value that is not in the spec: taken at `up` from the environment variable or Pulumi's secret config."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model by its Hugging Face id, served by RunPod's vLLM worker."""

    id: str
    parameters: Decimal
    """Number of weights, in units (7.25B is 7_250_000_000)."""
    precision: Precision = Precision.FP16
    max_context: int | None = None
    """Tokens; None leaves it to the server."""
    token: str | SecretRef | None = None
    """For a gated model: Hugging Face's, or RunPod's own reference to it; None for an open one."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """Any container image, as the alternative to a model id."""

    image: str
    args: str = ""
    env: Mapping[str, str | SecretRef] = field(default_factory=dict)
    registry: str | None = None
    """RunPod's id of a stored registry credential."""
    disk_gb: int = 20


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Mean tokens per request."""

    prompt: Decimal
    output: Decimal


@dataclass(frozen=True, kw_only=True)
class PayloadBytes:
    """Mean bytes per request."""

    request: int
    response: int


@dataclass(frozen=True, kw_only=True)
class Range:
    """How sure the traffic figure is: factors on the expected rate, low <= 1 <= high."""

    low: Decimal = Decimal(1)
    high: Decimal = Decimal(1)


class Curve(StrEnum):
    """Named ways to spread a mean rate over the week; the values stand in `baseload.planner.traffic.profile`."""

    CONSTANT = "constant"
    OFFICE_HOURS = "office-hours"
    BUSINESS_WEEK = "business-week"
    DIURNAL = "diurnal"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Work that lies ready once a day and has a deadline."""

    jobs: int
    at: str
    """Local time, `HH:MM`."""
    within_s: Decimal


class LogFormat(StrEnum):
    """What kind of file a log is."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log of requests, or counts per minute."""

    file: str
    """From the folder of the spec; may hold `*`."""
    format: LogFormat | None = None
    """None is read off the name."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """The file's names of `time`, `tokens_in`, `tokens_out`, `duration`, `requests` where they differ."""
    bad_lines_percent: Decimal = Decimal(10)
    """More unusable lines than that and the log is refused."""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What is asked of the endpoint."""

    requests_per_day: Decimal | None = None
    """Mean over a week; None where it stands in a log that has not been read."""
    curve: Curve | None = None
    """How the mean is spread over the week; None is constant."""
    hourly: tuple[Decimal, ...] = ()
    """Requests in each hour of local time: 24 of every day or 168 of the week from Monday 00:00."""
    time_zone: str = "UTC"
    """IANA name."""
    active_share: Decimal | None = None
    """Share of the time in which requests come, at the rate divided by it; None is unknown."""
    cv: Decimal | None = None
    """Coefficient of variation of the time between requests at a steady rate; None is unknown, taken as 1 (Poisson)."""
    growth_per_month: Decimal = Decimal(0)
    """0.1 is 10 % more each month, compounded; month 1 is the traffic as given."""
    batch: Batch | None = None
    log: Log | None = None
    observed: RateProfile | None = None
    """What the log says, once it has been read (`baseload.planner.traffic.log`)."""
    tokens: Tokens | None = None
    payload_bytes: PayloadBytes | None = None
    """None: nothing is said of sizes, and nothing is billed by them."""
    range: Range = Range()


@dataclass(frozen=True, kw_only=True)
class Performance:
    """Measured figures; None is unknown, never zero. See `baseload.planner.performance.estimate`."""

    service_time_s: Decimal | None = None
    """Mean time a worker is busy with one request at the given concurrency."""
    service_time_cv: Decimal = Decimal(1)
    """Coefficient of variation of the service time."""
    cold_start_s: Decimal | None = None
    """From the start of a worker until it can take a request."""
    concurrency: int = 1
    """Requests that one worker serves at once."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Ceilings; None is no limit."""

    monthly_usd: Decimal | None = None
    hourly_worst_case_usd: Decimal | None = None
    increase_percent: Decimal | None = None
    """Of the expected month over that of the plan compared with."""


@dataclass(frozen=True, kw_only=True)
class ServiceLevel:
    """What the users may expect; None is nothing in particular."""

    p95_s: Decimal | None = None
    p99_s: Decimal | None = None
    cold_starts: bool = True
    """Whether requests may wait for a worker to start."""


@dataclass(frozen=True, kw_only=True)
class Requires:
    """What a target must offer."""

    residency: tuple[str, ...] = ()
    """Parts of the world, in any of which requests may be processed; empty is anywhere."""
    compliance: tuple[str, ...] = ()
    """Attestations, all of them."""
    managed: bool = False
    """The provider runs the machines."""
    own_infrastructure: bool = False
    """It runs in an account or network of the user's own."""


@dataclass(frozen=True, kw_only=True)
class QueueDelay:
    """Start a worker when a request has waited this long."""

    seconds: Decimal


@dataclass(frozen=True, kw_only=True)
class RequestCount:
    """Keep one worker per so many waiting or running requests."""

    requests: int


class RunpodMode(StrEnum):
    """Flex scales to zero, Active keeps at least one worker."""

    FLEX = "flex"
    ACTIVE = "active"


class FlashBoot(StrEnum):
    """RunPod's retained-worker start."""

    OFF = "off"
    FLASHBOOT = "flashboot"
    PRIORITY = "priority"


@dataclass(frozen=True, kw_only=True)
class RunpodTarget:
    """A RunPod serverless endpoint of type QUEUE."""

    gpu: str
    """Pool id, for instance ADA_24."""
    gpu_count: int = 1
    mode: RunpodMode = RunpodMode.FLEX
    workers_min: int = 0
    workers_max: int = 3
    idle_timeout_s: int | None = 5
    """None with request-count scaling, where RunPod has no idle timeout."""
    scaling: QueueDelay | RequestCount = QueueDelay(seconds=Decimal(4))
    flashboot: FlashBoot = FlashBoot.OFF
    execution_timeout_s: Decimal = Decimal(600)
    min_cuda: str | None = None
    data_centers: tuple[str, ...] = ()
    volume: str | None = None
    """Id of a network volume."""
    active_discount: Decimal = Decimal(0)
    """Share off the Flex rate for always-on workers (0 to 1); RunPod grants it on request only."""


@dataclass(frozen=True, kw_only=True)
class Auto:
    """The cheapest that serves the traffic; chosen when a plan is made."""

    targets: tuple[str, ...] = ()
    """Names of targets that may be chosen; empty is all that this version deploys."""
    gpus: tuple[str, ...] = ()
    """GPU pools that may be chosen; empty is all."""


class Weekday(StrEnum):
    """Days of a schedule, Monday first."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


@dataclass(frozen=True, kw_only=True)
class Window:
    """Hours of some days in which at least so many workers run."""

    days: tuple[Weekday, ...] = tuple(Weekday)
    from_minute: int = 0
    """Local minute of the day it begins, 0 to 1439."""
    until_minute: int = 1440
    """1 to 1440; not above `from_minute` means on the next day."""
    workers_min: int


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The minimum of workers over the week, in place of the target's own: where windows overlap, the largest."""

    windows: tuple[Window, ...]
    otherwise: int = 0
    """Workers outside of all windows."""
    time_zone: str = "UTC"
    """IANA name."""


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One model spec file."""

    name: str
    file: Path
    serves: Model | Container
    traffic: Traffic | None
    performance: Performance
    limits: Limits
    target: RunpodTarget | Target | Auto
    digest: str
    """`sha256:` of the canonical content, without secret values (there are none in a spec)."""
    content: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What was read, without the container's environment: enough to price it again."""
    service_level: ServiceLevel = ServiceLevel()
    requires: Requires = Requires()
    ops_cost_per_month_usd: Mapping[str, Decimal] = field(default_factory=dict)
    """What it costs to run beside the bill, by target or class: `serverless`, `dedicated`, `hybrid`."""
    schedule: Schedule | None = None
    """None: the target's own minimum, all the time."""
    dispatch: Dispatch = Dispatch.PACKED
    """Which warm worker gets a request, where no document of the platform says it; no file does either."""
    auto: Auto | None = None
    """The target as the file has it, where `target` is the choice recorded for it."""
    target_at: Location | None = field(default=None, compare=False)
    """Where the file names the target; None where it was made by no file."""
    limits_at: Mapping[str, Location] = field(default_factory=dict, compare=False, repr=False)
    """Where the file names each limit and promise, by the name of its check in a plan."""

    @property
    def placed(self) -> RunpodTarget | Target:
        """The target of a spec that names one. Raises UsageError for `auto`, for which it is chosen first."""
        if isinstance(self.target, Auto):
            raise UsageError.of(
                "target/auto",
                f"the target of {self.name} is `auto`, and this command chooses none",
                where=Location(self.file),
                hint="name a target; `deploy compare` ranks them",
            )
        return self.target

    def source_of(self, *keys: str) -> str:
        """Who says the value of a key, for an assumption: `spec`, or `default` where the file leaves it out."""
        found: Any = self.content
        for key in keys if self.content else ():
            if not isinstance(found, Mapping) or key not in found:
                return "default"
            found = found[key]
        return "spec"

    @property
    def secrets(self) -> Mapping[str, SecretRef]:
        """What its workers are given that is not in the spec, by environment variable."""
        given = self.serves.env if isinstance(self.serves, Container) else {"HF_TOKEN": self.serves.token}
        return {name: value for name, value in given.items() if isinstance(value, SecretRef)}

    @property
    def runpod(self) -> RunpodTarget:
        """The target of a spec that is known to run on RunPod serverless. Raises TypeError for any other."""
        if not isinstance(self.target, RunpodTarget):
            raise TypeError(f"the target of {self.name} is no RunPod serverless endpoint")
        return self.target
