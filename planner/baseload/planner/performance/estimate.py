"""How fast a model is on a card, from its size: service time, tokens a second, concurrency, cold start. Pure.

An estimate with an error band, never a measurement: `performance:` of a spec always wins. Symbols, for c requests at a
time on g cards: P active parameters, R those read in a step, b bytes of each, t tokens of a mean request.

    step(c)     max(R·b + c·context·KV over 0.85 bandwidth·g, 2·P·c over e·throughput·g)
                + 1.2 ms + 20 µs·c (+ 24 µs·layers where g > 1)         e: 0.65, with fp8 arithmetic 0.45
    prefill     (2·P·t_in + attention) over e·throughput·g + 5 ms
    service(c)  prefill + t_out·step(c) + max((c - 1)·prefill - min(c - 1, t_out)·step(c)/2, 0)
    cold start  2 s + image/0.5 GB/s + weights/rate + 8 s + 0.25 s per GB

The constants were fitted to seven published end-to-end measurements (Llama 3.1 8B on an A100, johnmusgrave.com;
Mistral 7B on an RTX 4090, mushfiqrahman.dev; read 2026-11-21), so agreement there is a fit and not a test; the kernels
of six models on A40, A100 and H100 (data/profiling of github.com/microsoft/vidur @ 7d47513) hold the steps. How far
off, and a worked example: docs/cost-model.md, "Performance from the model".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from baseload.planner.errors import UsageError
from baseload.planner.performance.cards import RUNPOD, SOURCE, Card
from baseload.planner.performance.gpus import POOLS
from baseload.planner.performance.memory import OVERHEAD_GIB, USABLE_SHARE
from baseload.planner.performance.models import Shape, shape_of
from baseload.planner.pool import Assumption
from baseload.planner.spec.model import (
    VLLM_CONCURRENCY,
    Auto,
    FlashBoot,
    Model,
    ModelSpec,
    Performance,
    Precision,
    RunpodTarget,
    Tokens,
)

BYTES_READ = {Precision.FP16: 2.0, Precision.FP8: 1.0, Precision.INT4: 0.56}
"""Per weight, scales of 4-bit formats included (4.5 bits)."""

BANDWIDTH_USED = 0.85
TENSOR_USED = 0.65
TENSOR_USED_FP8 = 0.45
STEP_S = 1.2e-3
STEP_PER_REQUEST_S = 20e-6
STEP_PER_LAYER_S = 24e-6
"""Two all-reduces per layer with tensor parallelism."""
PREFILL_S = 5e-3

MOST_REQUESTS = 256
"""At a time; vLLM's long-time default of `--max-num-seqs`."""

PROVISION_S = 2.0
IMAGE_GB = 12.0
"""vllm/vllm-openai, on which RunPod's worker rests (github.com/vllm-project/vllm issue 27154, 2025-10)."""
PULL_GB_PER_S = 0.5
DOWNLOAD_GB_PER_S = 0.5
CACHED_GB_PER_S = 2.0
SNAPSHOT_GB_PER_S = 6.0
START_S, START_S_PER_GB = 8.0, 0.25
RESTORE_S = 1.0
INSTANCE_STARTS = ((16.1, 302), (141.0, 360))
"""Of SageMaker, (GB of weights, seconds) from no instance to the first answer: 5.03 and 6.00 minutes for Llama 3.1 8B
and 70B in an AWS blog on scaling to zero (read 2026-11-21), which does not say the precision: taken as fp16."""

_GB = 1e9
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Band:
    """How far off an estimated time may be, as factors on it."""

    low: float
    high: float

    def __str__(self) -> str:
        return "factor 2 either way" if self.high == 2 else f"±{self.high - 1:.0%}".replace("%", " %")


NARROW, USUAL, WIDE = Band(low=0.85, high=1.15), Band(low=0.7, high=1.3), Band(low=0.5, high=2.0)


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A card, or several as one, that serves so many requests at a time."""

    concurrency: int
    prefill_s: float
    """Of one prompt."""
    step_s: float
    """Time to the next token of every request."""
    service_s: float
    """Of one request, from first to last."""
    tokens_per_s: float
    """Output of all requests together."""


@dataclass(frozen=True, kw_only=True)
class ColdStart:
    """Seconds from the start of a worker until it answers, by what is already there."""

    uncached_s: float
    """The first on a machine: image and weights are downloaded."""
    cached_s: float
    """Both are on the machine."""
    snapshot_s: float
    """A started server is restored from memory."""


def concurrency_source(spec: ModelSpec) -> str:
    """Who says how many requests a worker serves at once."""
    source = spec.source_of("performance", "concurrency")
    if source == "spec" or not isinstance(spec.serves, Model) or spec.performance.concurrency != VLLM_CONCURRENCY:
        return source
    if not isinstance(spec.target, RunpodTarget | Auto):
        return "default; what RunPod's vLLM worker takes, here too: measure what another server does"
    return "default; what RunPod's vLLM worker takes, sent as MAX_CONCURRENCY"


def room(model: Model, memory_gib: int, gpu_count: int, tokens: Tokens) -> int:
    """Mean requests that the memory holds at a time; 0 where the model, or one request, does not fit.

    The KV cache of a model that the table does not have is a guess by its size.
    """
    usable = float(USABLE_SHARE) * memory_gib * gpu_count - float(OVERHEAD_GIB) * gpu_count
    free = usable * _GIB - weights_gb(model) * _GB
    one = shape_of(model).kv_bytes_per_token * float(max(Decimal(1), tokens.prompt + tokens.output))
    return max(0, int(free // one))


def weights_gb(model: Model) -> float:
    """Size of the weights, in 10^9 bytes."""
    return float(model.parameters) * BYTES_READ[model.precision] / _GB


def serve(model: Model, card: Card, gpu_count: int, tokens: Tokens, concurrency: int) -> Serving:
    """Times of a mean request where `concurrency` of them are always served together.

    Raises UsageError where the memory does not hold them: there is no time then.
    """
    held = room(model, card.memory_gib, gpu_count, tokens)
    if held < concurrency:
        raise UsageError.of(
            "performance/does-not-fit",
            f"{gpu_count} × {card.name} hold {held} requests of {tokens.prompt + tokens.output} tokens beside "
            f"{weights_gb(model):.1f} GB of weights, not {concurrency}",
            hint="a smaller `precision`, a lower `concurrency`, or more memory",
        )
    shape, output = shape_of(model), float(tokens.output)
    prefill = prefill_s(shape, model.precision, card, gpu_count, float(tokens.prompt))
    context = float(tokens.prompt + tokens.output / 2)
    step = step_s(shape, model.precision, card, gpu_count, concurrency, context)
    # While one request is served each of the others is followed by a new one. Its prefill shares a step: half of that
    # step is saved, as far as there are steps.
    others = concurrency - 1
    service = prefill + output * step + max(others * prefill - min(others, output) * step / 2, 0.0)
    return Serving(
        concurrency=concurrency,
        prefill_s=prefill,
        step_s=step,
        service_s=service,
        tokens_per_s=concurrency * output / service,
    )


def best(model: Model, card: Card, gpu_count: int, tokens: Tokens) -> Serving:
    """The concurrency with the most requests per second and second of service: the knee of the curve.

    Raises UsageError where not one request fits.
    """
    most = max(1, min(MOST_REQUESTS, room(model, card.memory_gib, gpu_count, tokens)))
    found = (serve(model, card, gpu_count, tokens, c) for c in range(1, most + 1))
    return max(found, key=lambda at: at.concurrency / at.service_s**2)


def band(model: Model, card: Card, gpu_count: int) -> Band:
    """The error to expect of a time from `serve`."""
    shape = shape_of(model)
    if card.name == "T4" or shape.active_share < 1 or (gpu_count > 1 and not card.nvlink):
        return WIDE
    usual_class = card.name == "RTX4090" or card.name.startswith("A100")
    fitted = shape.known and 6.5e9 <= shape.parameters <= 9e9 and model.precision is Precision.FP16
    return NARROW if fitted and usual_class and gpu_count == 1 else USUAL


def cold_start(model: Model, image_gb: float = IMAGE_GB) -> ColdStart:
    """The three states, for a server like vLLM."""
    gb = weights_gb(model)
    start_s = START_S + START_S_PER_GB * gb
    return ColdStart(
        uncached_s=PROVISION_S + image_gb / PULL_GB_PER_S + gb / DOWNLOAD_GB_PER_S + start_s,
        cached_s=PROVISION_S + gb / CACHED_GB_PER_S + start_s,
        snapshot_s=PROVISION_S + gb / SNAPSHOT_GB_PER_S + RESTORE_S,
    )


def step_s(
    shape: Shape, precision: Precision, card: Card, gpu_count: int, concurrency: int, context_tokens: float
) -> float:
    """Seconds to the next token of each of `concurrency` requests that have `context_tokens` behind them."""
    read = shape.read_parameters(concurrency) * BYTES_READ[precision]
    read += concurrency * context_tokens * shape.kv_bytes_per_token
    read_s = read / (BANDWIDTH_USED * card.bandwidth_gb_per_s * _GB * gpu_count)
    compute_s = 2 * shape.active_parameters * concurrency / _flops(precision, card, gpu_count)
    joined_s = STEP_PER_LAYER_S * shape.layers if gpu_count > 1 else 0.0
    return max(read_s, compute_s) + STEP_S + STEP_PER_REQUEST_S * concurrency + joined_s


def prefill_s(shape: Shape, precision: Precision, card: Card, gpu_count: int, tokens: float) -> float:
    """Seconds to take in a prompt."""
    attention = 2 * shape.layers * shape.attention_width * tokens**2  # causal: half of the 4·width·tokens² of a layer
    return (2 * shape.active_parameters * tokens + attention) / _flops(precision, card, gpu_count) + PREFILL_S


def _flops(precision: Precision, card: Card, gpu_count: int) -> float:
    """Per second, what is reached of the peak; weights of 4 bits are computed in fp16."""
    if precision is Precision.FP8 and card.fp8_tflops is not None:
        return card.fp8_tflops * 1e12 * TENSOR_USED_FP8 * gpu_count
    return card.fp16_tflops * 1e12 * TENSOR_USED * gpu_count


@dataclass(frozen=True, kw_only=True)
class ServiceTime:
    """Seconds of a mean request, to three digits."""

    expected_s: Decimal
    low_s: Decimal
    high_s: Decimal
    concurrency: int
    """At which it holds: what was asked for, or what the memory holds."""
    widest: Band
    """Of the cards' bands."""


def service_time(
    model: Model, cards: Sequence[Card], gpu_count: int, tokens: Tokens, concurrency: int
) -> ServiceTime | None:
    """The time on any of `cards`, each as likely; low and high reach from the fastest to the slowest with its band.

    None where the smallest of them does not hold the model and one request.
    """
    held = min(room(model, card.memory_gib, gpu_count, tokens) for card in cards)
    if held < 1:
        return None
    most = min(concurrency, held)
    times = [serve(model, card, gpu_count, tokens, most).service_s for card in cards]
    bands = [band(model, card, gpu_count) for card in cards]
    return ServiceTime(
        expected_s=_seconds(sum(times) / len(times)),
        low_s=_seconds(min(time * error.low for time, error in zip(times, bands, strict=True))),
        high_s=_seconds(max(time * error.high for time, error in zip(times, bands, strict=True))),
        concurrency=most,
        widest=max(bands, key=lambda error: error.high),
    )


# -------------------------------------------------------------------------------------------------- for a RunPod spec
@dataclass(frozen=True, kw_only=True)
class Estimated:
    """A spec's performance with what it does not say filled in."""

    expected: Performance
    fast: Performance
    slow: Performance
    """The ends of the band, for what was estimated."""
    assumptions: tuple[Assumption, ...]
    """One for each figure that was estimated, by the name the plan has for it; what the spec says is not in here."""


def estimated(spec: ModelSpec) -> Estimated | None:
    """What the model's size says where the spec says nothing; None where it says all, or where nothing can be said.

    A container may be anything and stays unknown; so does a service time without `traffic.tokens`. Cards of unequal
    speed behind one pool are taken as equally likely; the band reaches from the fastest to the slowest.
    """
    if spec.runpod.gpu not in POOLS:
        return None
    pool = POOLS[spec.runpod.gpu]
    # Memory is that of the smallest card: a worker may land on it.
    cards = list(dict.fromkeys(replace(RUNPOD[name], memory_gib=pool.memory_gib) for name in pool.types))
    return estimated_on(spec, cards, spec.runpod.gpu_count, flashboot=spec.runpod.flashboot)


def estimated_on(
    spec: ModelSpec,
    cards: Sequence[Card],
    gpu_count: int,
    *,
    flashboot: FlashBoot = FlashBoot.OFF,
    instance: bool = False,
) -> Estimated | None:
    """As `estimated`, on so many of any of these cards; with none of them nothing can be said of the service time.

    A worker that is an `instance` of SageMaker has to be provisioned first.
    """
    given, model = spec.performance, spec.serves
    if not isinstance(model, Model):
        return None
    found = Estimated(expected=given, fast=given, slow=given, assumptions=())
    tokens = spec.traffic.tokens if spec.traffic else None
    if given.service_time_s is None and tokens is not None and cards:
        found = _with_service_time(found, spec, model, tokens, cards, gpu_count)
    if given.cold_start_s is None:
        found = _with_instance_start(found, model) if instance else _with_cold_start(found, model, flashboot)
    return found if found.assumptions else None


def _with_service_time(
    found: Estimated, spec: ModelSpec, model: Model, tokens: Tokens, cards: Sequence[Card], count: int
) -> Estimated:
    time = service_time(model, cards, count, tokens, spec.performance.concurrency)
    if time is None:
        return found

    def with_time(performance: Performance, seconds: Decimal) -> Performance:
        return replace(performance, service_time_s=seconds, concurrency=time.concurrency)

    return Estimated(
        expected=with_time(found.expected, time.expected_s),
        fast=with_time(found.fast, time.low_s),
        slow=with_time(found.slow, time.high_s),
        assumptions=(
            *found.assumptions,
            Assumption(
                name="service_time",
                value=f"{time.expected_s} s ({time.low_s} to {time.high_s} s)",
                source=f"estimated; {_of(model)} on {_on(cards, count)}, {tokens.prompt} tokens in, {tokens.output} "
                f"out, {time.concurrency} at a time; {time.widest}; {SOURCE}",
                errs="either way: measure it",
            ),
            *_concurrency(spec, model, cards, count, tokens, time.concurrency),
        ),
    )


def _concurrency(
    spec: ModelSpec, model: Model, cards: Sequence[Card], count: int, tokens: Tokens, held: int
) -> list[Assumption]:
    """What the spec says, or what the memory holds; and what would be best."""
    knees = sorted({best(model, card, count, tokens).concurrency for card in cards})
    told = [
        Assumption(
            name="best_concurrency",
            value=f"{knees[0]}" if len(knees) == 1 else f"{knees[0]} to {knees[-1]}",
            source="estimated; most requests per second and second of service",
        )
    ]
    if held < spec.performance.concurrency:
        why = f"estimated; the memory holds no more of the {spec.performance.concurrency} that a worker takes"
        told.append(Assumption(name="concurrency", value=str(held), source=why))
    return told


def _with_cold_start(found: Estimated, model: Model, flashboot: FlashBoot) -> Estimated:
    """By the state a RunPod worker is likely to start from; the band reaches to the states beside it.

    Without FlashBoot a worker downloads the weights again (github.com/runpod-workers/worker-vllm issue 111, 2024-09);
    with it, one that stopped shortly before is resumed.
    """
    states = cold_start(model)
    fast_s, expected_s, slow_s, state = states.cached_s, states.uncached_s, 2 * states.uncached_s, "uncached"
    if flashboot is not FlashBoot.OFF:
        fast_s, expected_s, slow_s, state = states.snapshot_s, states.cached_s, states.uncached_s, "cached"

    def with_start(performance: Performance, seconds: float) -> Performance:
        return replace(performance, cold_start_s=_seconds(seconds))

    return Estimated(
        expected=with_start(found.expected, expected_s),
        fast=with_start(found.fast, fast_s),
        slow=with_start(found.slow, slow_s),
        assumptions=(
            *found.assumptions,
            Assumption(
                name="cold_start",
                value=f"{_seconds(expected_s)} s ({_seconds(fast_s)} to {_seconds(slow_s)} s)",
                source=f"estimated; {state}, {weights_gb(model):.3g} GB of weights; uncached "
                f"{_seconds(states.uncached_s)} s, cached {_seconds(states.cached_s)} s, snapshot "
                f"{_seconds(states.snapshot_s)} s",
                errs="either way: measure it; 277 s were seen on RunPod where vLLM compiled and profiled at each start "
                "(vllm-project/vllm issue 44881, 2026-06)",
            ),
        ),
    )


def _with_instance_start(found: Estimated, model: Model) -> Estimated:
    """Between and beyond what AWS measured, by the size of the weights; from half of it to twice."""
    (small_gb, small_s), (large_gb, large_s) = INSTANCE_STARTS
    gb = weights_gb(model)
    start_s = small_s + (gb - small_gb) * (large_s - small_s) / (large_gb - small_gb)

    def with_start(performance: Performance, seconds: float) -> Performance:
        return replace(performance, cold_start_s=_seconds(seconds))

    return Estimated(
        expected=with_start(found.expected, start_s),
        fast=with_start(found.fast, start_s / 2),
        slow=with_start(found.slow, start_s * 2),
        assumptions=(
            *found.assumptions,
            Assumption(
                name="cold_start",
                value=f"{_seconds(start_s)} s ({_seconds(start_s / 2)} to {_seconds(start_s * 2)} s)",
                source=f"estimated; an instance with {gb:.3g} GB of weights, between {small_s} s for {small_gb} GB and "
                f"{large_s} s for {large_gb} GB in AWS's own tests of scaling from zero",
                errs="either way: measure it",
            ),
        ),
    )


def _of(model: Model) -> str:
    known = "" if shape_of(model).known else " of unknown layers, taken as dense"
    return f"{model.parameters.normalize() / 10**9:f}B parameters{known} at {model.precision}"


def _on(cards: Sequence[Card], count: int) -> str:
    names = ", ".join(card.name for card in cards)
    return f"{count} × {names}" if len(cards) == 1 else f"{count} of any of {names}"


def _seconds(seconds: float) -> Decimal:
    """Three digits are more than an estimate knows."""
    return Decimal(f"{Decimal(f'{seconds:.3g}'):f}")
