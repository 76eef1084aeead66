"""A pool's month under its traffic by seeded simulation: what of the traffic is simulated, how often, and the interval.

A `Sample` says what one replication is: whole patterns of the traffic where it is sparse; where it is dense each piece
of one rate as a shorter window, whose first half (what the change of rate does) counts once and whose second half
stands for the rest of the piece; where even that is too much, every k-th of them in turn. Replications, each with a
seed of its own, are added until the interval of the bill is narrow enough or the requests of the budget are used up;
first a few short ones, which count where the closed form agrees with them.
Pure: the same seed gives the same month everywhere. No money and no platform; it must not import the compiled
simulation by itself.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple, TypeVar

from baseload.planner.pool import Assumption, Pool, PoolEstimate, doubts, estimate
from baseload.planner.simulator import Arrivals, Simulated, settled_s, simulate
from baseload.planner.traffic.profile import RateProfile, Stretch, between, estimate_over
from baseload.planner.traffic.schedule import WEEK_S, cut

REQUESTS = 400_000
"""Budget of a month after the first try, warm-ups not counted: about a second, uncompiled."""

FIRST, NEAR = 40_000, 0.1
"""Requests of a first try, twice as many at most, and how near the closed form its bill must be to count: else it may
have missed what comes rarely, as the second worker that starts once in hours."""

TOLERANCE = 0.015
"""Half the bill's interval, as share of the bill, at which no more replications are made."""

FEWEST, MOST, OF_WINDOWS = 5, 40, 8
"""Replications; no more than the last where time is cut out of the traffic: long windows show what comes rarely."""

MATTERS = 0.05
"""Share of the bill, computed where the closed form is in doubt, from which it is not used."""

_Z = 1.959964
"""97.5 % quantile of the normal distribution."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What comes to a pool: rates, in the profile's time; gaps vary by `cv`, sessions take `active_share` of it."""

    profile: RateProfile
    cv: float = 1.0
    active_share: float = 1.0
    minimums: tuple[tuple[float, int], ...] = ()
    """(second of the week, minimum of workers from then on), from second 0; empty is the pool's own all the time."""

    @property
    def stream(self) -> RateProfile:
        """The profile with its sessions."""
        return self.profile.in_sessions(self.active_share)

    @property
    def pattern_s(self) -> float:
        """After which it repeats."""
        return WEEK_S if self.minimums else self.profile.seconds

    def shifts(self, pool: Pool) -> tuple[Shift, ...]:
        """Its time by the minimum, each for itself."""
        if not self.minimums:
            return (Shift(1.0, pool, self),)
        pieces: dict[int, list[Stretch]] = {}
        for seconds, rate, least in _stretches(self.profile, self, pool):
            pieces.setdefault(least, []).append(Stretch(seconds, rate))
        found = ((least, RateProfile(stretches=tuple(of))) for least, of in pieces.items())
        return tuple(
            Shift(profile.seconds / WEEK_S, _with_least(pool, least), replace(self, profile=profile, minimums=()))
            for least, profile in found
        )


class Shift(NamedTuple):
    """All the time with one minimum of workers."""

    share: float
    pool: Pool
    demand: Demand


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one replication of a demand is."""

    pool: Pool
    arrivals: Arrivals
    """The stream that is simulated; that of the demand itself, or its windows in a row."""
    warm_up_s: float
    seconds: float
    """Simulated in each replication, without its warm-up."""
    most: int
    """Replications that the budget allows."""
    told: str
    """How requests come."""
    taken: str
    """What is simulated of the time."""
    weights: tuple[tuple[float, int], ...] = ()
    parts: tuple[Sample, ...] = ()
    """Replications take turns with these where none can hold all windows; then the rest is only their head."""
    correction: float = 1.0
    """What the closed form gives for all rates, over what it gives for those of the windows."""
    fixed: float = 0.0
    """What is billed beside the pool, in its workers: intervals are shares of all."""

    @property
    def requests(self) -> float:
        """Of one replication, on average."""
        if self.parts:
            return math.fsum(part.requests for part in self.parts) / len(self.parts)
        return self.arrivals.per_s * (self.warm_up_s + self.seconds if self.weights else self.seconds)

    def run(self, seed: object, *, fast: bool = False) -> Simulated:
        """One replication."""
        until_s = self.warm_up_s + self.seconds
        seen = simulate(
            self.pool,
            self.arrivals,
            requests=sys.maxsize,
            seed=seed,
            warm_up_s=self.warm_up_s,
            until_s=until_s,
            weights=self.weights,
            fast=fast,
        )
        return seen if self.correction == 1 else _corrected(seen, self.correction)

    def runs(self, seed: int, *, fewest: int = FEWEST, fast: bool = False) -> Iterator[Simulated]:
        """All replications that the budget allows, until the interval is narrow."""
        parts = self.parts or (self,)
        runs = (parts[number % len(parts)].run(f"{seed}/{number}", fast=fast) for number in range(self.most))
        return until_narrow(runs, max(fewest, len(self.parts)), self.fixed)


@dataclass(frozen=True, kw_only=True)
class FirstTry:
    """Replications of a smaller sample that were enough."""

    sample: Sample
    runs: tuple[Simulated, ...]


@dataclass(frozen=True, kw_only=True)
class SimulatedMonth:
    """What the replications say; worker time as means over the month, in workers."""

    estimate: PoolEstimate
    rounding: float
    """Workers that whole billing increments add."""
    half_width: float
    """Half of the 95 % interval of all billed workers, as share of them and of what is billed beside them."""
    seed: int
    requests: int
    """Simulated, warm-ups included."""
    replications: int
    taken: str
    told: str
    cold_share: float
    """Requests that wait for a worker to start, of all."""
    waited_share: float
    refused_share: float
    dedicated_busy: float
    """Slots of the replicas beside the pool that are in use."""
    wait_s: float
    """Mean of all requests that are served."""
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None

    @property
    def is_narrow(self) -> bool:
        """Whether the interval reached `TOLERANCE` within the budget."""
        return self.half_width <= TOLERANCE


# ------------------------------------------------------------------------------------------------------------ the gate
_FULL = 3
"""Times as long as a rate must hold to show what it does: where more than all workers serve comes for less, their start
and the rest of the queue are a part of the bill that the closed form leaves out."""


def doubts_over(pool: Pool, demand: Demand, fixed: float = 0.0) -> tuple[str, ...]:
    """Why the closed form is not to be used for this month: `pool.doubts` at rates that the bill `MATTERS` at.

    `fixed` is what is billed beside the pool, in workers of it.
    """
    in_doubt, whole, doubtful = dict[str, float](), fixed, 0.0
    for share, of_shift, inside in demand.shifts(pool):
        for bill, reasons in _bills(of_shift, inside):
            whole += share * bill
            doubtful += share * bill if reasons else 0.0
            for reason in reasons:
                in_doubt[reason] = in_doubt.get(reason, 0.0) + share * bill
    if not in_doubt or doubtful < MATTERS * whole:
        return ()
    return tuple(sorted(in_doubt, key=lambda reason: (-in_doubt[reason], reason)))


def _bills(pool: Pool, demand: Demand) -> Iterator[tuple[float, tuple[str, ...]]]:
    """Billed workers at each rate, times its share of the time, and why that is in doubt; 0 where all is exact."""
    profile = demand.profile
    most_per_s = pool.slots / pool.service_s if pool.service_s > 0 else math.inf
    if pool.workers_min >= pool.workers_max or profile.mean_per_s >= most_per_s:
        yield float(pool.workers_max), ()
        return
    pool = replace(pool, arrivals_cv=demand.cv)
    served, all_s = demand.stream.served(most_per_s), most_per_s * (1 - 1e-9)
    nodes = served.nodes()
    brief = any(rate >= all_s and seconds < _FULL * settles_s(pool) for seconds, rate in served.stretches)
    full = ("all workers full for a short time",) if brief else ()
    reasons = [(full if rate >= all_s else doubts(pool.at(rate))) if rate > 0 else () for _, rate in nodes]
    if not any(reasons):  # and no bill is needed
        yield 0.0, ()
        return
    for (share, rate), why in zip(nodes, reasons, strict=True):
        yield share * estimate(pool.at(rate)).billed, why


# ---------------------------------------------------------------------------------------------------------- the figures
def first_try(pool: Pool, demand: Demand, seed: int, fixed: float = 0.0) -> FirstTry | None:
    """A month of few requests; None where its interval stays wide or its bill is not `NEAR` that of the closed form."""
    sample = sample_of(pool, demand, FIRST, fixed)
    if sample is None or sample.parts:
        return None
    runs = tuple(replace(sample, most=2 * sample.most).runs(seed, fewest=sample.most))
    billed = [run.billed for run in runs]
    expected = math.fsum(
        share * estimate_over(of_shift, inside.profile, inside.active_share).billed
        for share, of_shift, inside in demand.shifts(pool)
    )
    if not is_narrow(billed, fixed) or abs(mean(billed) - expected) > NEAR * (expected + fixed):
        return None
    return FirstTry(sample=sample, runs=runs)


@cache
def simulated_month(
    pool: Pool,
    demand: Demand,
    *,
    seed: int = 1,
    requests: int | None = None,
    fixed: float = 0.0,
    to_the_end: bool = False,
) -> SimulatedMonth | None:
    """The month, uncompiled; None where the fewest replications take much more than `requests`, or nothing comes.

    Without `requests` there are as many as it takes, `REQUESTS` or so at most; all of them `to_the_end`, so that pools
    are compared on the same ones. `fixed` is what is billed beside the pool, in workers of it. Kept: one demand is
    asked for again at other prices.
    """
    tried = first_try(pool, demand, seed, fixed) if requests is None and not to_the_end else None
    sample = tried.sample if tried else sample_of(pool, demand, requests or REQUESTS, fixed)
    if sample is None:
        return None
    runs = tried.runs if tried else tuple(sample.runs(seed, fewest=sample.most if to_the_end else FEWEST))
    billed = [run.billed for run in runs]
    half = half_width(billed)
    assert half is not None, "never fewer than two replications"
    relative = half / (mean(billed) + fixed) if half else 0.0
    asked = sum(run.arrived for run in runs)

    def over(key: str) -> float:
        return mean([getattr(run, key) for run in runs])

    def time_s(key: str) -> float | None:
        known = [value for run in runs if (value := getattr(run.latency_s, key)) is not None]
        return mean(known) if known else None

    return SimulatedMonth(
        estimate=PoolEstimate(
            busy=over("busy"),
            idle=over("idle"),
            cold_start=over("cold_start"),
            always_on=over("always_on"),
            starts_per_s=over("starts_per_s"),
            method=f"simulated: seed {seed}, {asked:,} requests, ±{relative * 100:.1f} %",
            assumptions=(
                Assumption(
                    name="interval_of_the_simulation",
                    value=f"±{relative * 100:.1f} % in 19 of 20 cases",
                    source=f"measured; {len(runs)} replications, each {sample.taken}",
                    errs="the bursts and rates are those of the traffic as the spec describes it",
                ),
            ),
        ),
        rounding=over("rounding"),
        half_width=relative,
        seed=seed,
        requests=asked,
        replications=len(runs),
        taken=sample.taken,
        told=sample.told,
        cold_share=over("cold_share"),
        waited_share=over("waited_share"),
        refused_share=over("refused_share"),
        dedicated_busy=over("dedicated_busy"),
        wait_s=over("mean_wait_s"),
        p50_s=time_s("p50"),
        p95_s=time_s("p95"),
        p99_s=time_s("p99"),
    )


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean."""
    return math.fsum(values) / len(values)


def half_width(values: Sequence[float]) -> float | None:
    """Half of the 95 % interval of the mean, by Student's t; None of fewer than two."""
    n = len(values)
    if n < 2:
        return None
    middle = mean(values)
    return _student(n - 1) * math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (n - 1) / n)


def until_narrow(runs: Iterable[Simulated], fewest: int, fixed: float = 0.0) -> Iterator[Simulated]:
    """As many runs as make the interval of the bill narrow, `fewest` or more."""
    billed = list[float]()
    for run in runs:
        yield run
        billed.append(run.billed)
        if len(billed) >= fewest and is_narrow(billed, fixed):
            return


def is_narrow(billed: Sequence[float], fixed: float = 0.0) -> bool:
    """Whether their interval is within `TOLERANCE` of them and what is `fixed`."""
    half = half_width(billed)
    return half is not None and half <= TOLERANCE * (mean(billed) + fixed)


def _student(freedom: int) -> float:
    """97.5 % quantile of Student's t from the normal one: Abramowitz and Stegun 26.7.5, to 1 % from 4 degrees on."""
    z, z3, z5, z7 = (_Z**k for k in (1, 3, 5, 7))
    return (
        z
        + (z3 + z) / 4 / freedom
        + (5 * z5 + 16 * z3 + 3 * z) / 96 / freedom**2
        + (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / 384 / freedom**3
    )


def _corrected(seen: Simulated, factor: float) -> Simulated:
    keys = ("busy", "idle", "cold_start", "rounding", "starts_per_s")
    return replace(seen, **{key: getattr(seen, key) * factor for key in keys})


# ----------------------------------------------------------------------------------------------------------- the sample
class _State(NamedTuple):
    """What holds for a time."""

    per_s: float
    least: int


class _Piece(NamedTuple):
    """A time of one rate and minimum, with the one before; `times` in the pattern, `seconds` on average."""

    before: _State
    now: _State
    seconds: float
    times: float


def settles_s(pool: Pool) -> float:
    """So long, at least, must a rate hold to show what it does."""
    return 3 * (pool.idle_timeout_s + pool.cold_start_s + pool.start_delay_s) + 10 * pool.service_s


def sample_of(pool: Pool, demand: Demand, requests: int = REQUESTS, fixed: float = 0.0) -> Sample | None:
    """What one replication is, with `requests` in all of them; None where that is impossible."""
    profile = demand.stream
    if profile.mean_per_s <= 0 or (profile.mean_per_s * pool.service_s >= pool.slots and not pool.rejects_at_cap):
        return None
    whole = replace(whole_patterns(pool, demand, requests), fixed=fixed)
    if whole.requests * FEWEST <= requests:
        return whole
    served = profile if pool.rejects_at_cap else profile.served(pool.slots / pool.service_s)
    pieces = _pieces([(seconds, _State(rate, least)) for seconds, rate, least in _stretches(served, demand, pool)])
    if len(pieces) == 1:
        return _fits(replace(whole, most=FEWEST), requests)
    found = _windows(pool, demand, pieces, requests, whole.told)
    return None if found is None else replace(found, fixed=fixed)


def _stretches(profile: RateProfile, demand: Demand, pool: Pool) -> list[tuple[float, float, int]]:
    """(seconds, rate, minimum of workers) in order."""
    if not demand.minimums:
        return [(seconds, rate, _least(pool)) for seconds, rate in profile.stretches]
    return [(seconds, rate, _most_of(pool, least)) for seconds, rate, least in cut(profile, demand.minimums)]


def _least(pool: Pool) -> int:
    """What a schedule changes: the minimum, or the replicas beside the pool."""
    return pool.dedicated if pool.schedule_of_base else pool.workers_min


def _most_of(pool: Pool, least: int) -> int:
    return least if pool.schedule_of_base and not pool.rejects_at_cap else min(least, pool.workers_max)


def _with_least(pool: Pool, least: int) -> Pool:
    return replace(pool, dedicated=least) if pool.schedule_of_base else replace(pool, workers_min=least)


def _fits(sample: Sample, requests: int) -> Sample | None:
    """Half as many again are better than no simulation."""
    return sample if FEWEST * sample.requests <= 1.5 * requests else None


def whole_patterns(pool: Pool, demand: Demand, requests: int) -> Sample:
    """Whole patterns of rates, over and over, or long enough for a constant rate to settle."""
    profile = demand.stream
    pieces = _merged(profile.stretches)
    constant, at_least_s = len(pieces) == 1 and not demand.minimums, 5 * settles_s(pool)
    wanted_s = requests / (OF_WINDOWS if constant else MOST) / profile.mean_per_s
    if constant:
        seconds = max(wanted_s, at_least_s)
    else:
        at_least_s = math.ceil(at_least_s / demand.pattern_s) * demand.pattern_s
        seconds = max(int(wanted_s / demand.pattern_s) * demand.pattern_s, at_least_s)
    arrivals = Arrivals(pieces=((math.inf, profile.mean_per_s),) if len(pieces) == 1 else pieces, cv=demand.cv)
    return Sample(
        pool=_scheduled(pool, demand.minimums, WEEK_S),
        arrivals=arrivals,
        warm_up_s=min(settled_s(pool), 0.2 * seconds),
        seconds=seconds,
        most=min(max(int(requests / (profile.mean_per_s * seconds)), FEWEST), MOST),
        told=_told(demand),
        taken=duration(seconds) if constant else f"{duration(seconds)}, whole patterns of the traffic",
    )


def _scheduled(pool: Pool, minimums: Sequence[tuple[float, int]], period_s: float) -> Pool:
    """With those minimums, neighbours of one as one."""
    if not minimums:
        return pool
    changes = [next(same) for _, same in itertools.groupby(minimums, key=lambda item: item[1])]
    capped = tuple((at_s, _most_of(pool, least)) for at_s, least in changes)
    return replace(_with_least(pool, capped[0][1]), schedule=capped, schedule_period_s=period_s)


_T = TypeVar("_T")


def _merged(pieces: Iterable[tuple[float, _T]]) -> tuple[tuple[float, _T], ...]:
    """Neighbours of one state as one."""
    same_state = itertools.groupby(pieces, key=lambda piece: piece[1])
    return tuple((math.fsum(seconds for seconds, _ in same), state) for state, same in same_state)


def _pieces(pattern: Sequence[tuple[float, _State]]) -> list[_Piece]:
    """The pattern in order, without rounds through changes that it has elsewhere: those count more often."""
    merged = list(_merged(pattern))
    if len(merged) > 1 and merged[0][1] == merged[-1][1]:
        last_s, _ = merged.pop()
        merged[0] = (merged[0][0] + last_s, merged[0][1])
    changes = [(merged[at - 1][1], state) for at, (_, state) in enumerate(merged)]
    lasts = dict.fromkeys(changes, 0.0)
    for change, (seconds, _) in zip(changes, merged, strict=True):
        lasts[change] += seconds
    often, kept = Counter(changes), _shortened(changes)
    left = Counter(kept)
    return [_Piece(*change, lasts[change] / often[change], often[change] / left[change]) for change in kept]


def _shortened(changes: list[tuple[_State, _State]]) -> list[tuple[_State, _State]]:
    """Rounds left out that begin and end with the same change, as long as each change stays once."""
    kept, left, begin = list(changes), Counter(changes), 0
    while begin < len(kept):
        end = begin + 1
        while left[kept[begin]] > 1 and end < len(kept):
            if kept[end] == kept[begin]:
                without = left - Counter(kept[begin:end])
                if len(without) == len(left):
                    kept, left = kept[:begin] + kept[end:], without
                    end = begin
            end += 1
        begin += 1
    return kept


class _Window(NamedTuple):
    """A part of the stream that is simulated, and how often each second of it counts."""

    seconds: float
    state: _State
    weight: int


_CHANGE = (
    "change of rate on, the second half of each for the rest of that rate",
    "change of rate or minimum on, the second half of each for the rest of its time",
)

_WEIGHT = 1000
"""Of a second that stands for itself alone: weights are whole numbers."""


def _windows(pool: Pool, demand: Demand, pieces: list[_Piece], requests: int, told: str) -> Sample | None:
    """Each piece once, shortened so that all replications together stay within `requests`; else some in turn."""
    quietest = min(range(len(pieces)), key=lambda at: pieces[at].now.per_s)
    pieces = pieces[quietest + 1 :] + pieces[: quietest + 1]  # it begins in a pool that is as good as empty
    settle_s, budget = settles_s(pool), requests / OF_WINDOWS
    shorter = _shorter(pieces, settle_s, budget)
    lengths = [_length_s(piece, settle_s, shorter) for piece in pieces]
    asked = math.fsum(length_s * piece.now.per_s for length_s, piece in zip(lengths, pieces, strict=True))
    if asked <= 1.5 * budget:
        row = [window for piece, length_s in zip(pieces, lengths, strict=True) for window in _halves(piece, length_s)]
        whole = _in_a_row(pool, demand.cv, row, _Window(lengths[-1], pieces[-1].now, 0), told)
        taken = (
            f"{duration(whole.seconds)} of {duration(demand.pattern_s)}: {len(pieces)} windows, each from a "
            f"{_CHANGE[bool(demand.minimums)]}"
        )
        return replace(whole, most=OF_WINDOWS, taken=taken)
    return _in_turns(pool, demand, pieces, lengths, budget, told)


def _shorter(pieces: Sequence[_Piece], settle_s: float, budget: float) -> float:
    """By how much pieces are shortened so that `budget` requests come in all of them."""

    def asked(shorter: float) -> float:
        return math.fsum(_length_s(piece, settle_s, shorter) * piece.now.per_s for piece in pieces)

    low, high = 1.0, 1e9
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if asked(middle) > budget else (low, middle)
    return high


def _length_s(piece: _Piece, settle_s: float, shorter: float) -> float:
    return min(piece.seconds, max(2 * settle_s, piece.seconds / shorter))


def _halves(piece: _Piece, length_s: float) -> Iterator[_Window]:
    """The first half counts as often as the change comes, the second also for what is left out."""
    first = round(_WEIGHT * piece.times)
    second = round(_WEIGHT * piece.times * (2 * piece.seconds / length_s - 1))
    yield _Window(length_s / 2, piece.now, first)
    yield _Window(length_s / 2, piece.now, second)


def _in_a_row(pool: Pool, cv: float, row: Sequence[_Window], before: _Window, told: str) -> Sample:
    at_s, weights, minimums = before.seconds, list[tuple[float, int]](), [(0.0, before.state.least)]
    for window in row:
        weights.append((at_s, window.weight))
        minimums.append((at_s, window.state.least))
        at_s += window.seconds
    varies = any(least != _least(pool) for _, least in minimums)
    return Sample(
        pool=_scheduled(pool, minimums, at_s) if varies else pool,
        arrivals=Arrivals(pieces=tuple((window.seconds, window.state.per_s) for window in (before, *row)), cv=cv),
        warm_up_s=before.seconds,
        seconds=math.fsum(window.seconds for window in row),
        most=1,
        told=told,
        taken="",
        weights=tuple(weights),
    )


def _in_turns(
    pool: Pool, demand: Demand, pieces: Sequence[_Piece], lengths: Sequence[float], budget: float, told: str
) -> Sample | None:
    """Every k-th block of windows in one replication, the next ones in the next; each after some time at its rate."""
    settle_s, blocks, block_s = settles_s(pool), [list[int]()], 0.0
    for at, length_s in enumerate(lengths):
        if block_s >= 8 * settle_s:
            blocks.append([])
            block_s = 0.0
        blocks[-1].append(at)
        block_s += length_s
    warm_ups = [_Window(2 * settle_s, pieces[block[0]].before, 0) for block in blocks]
    asked = math.fsum(length_s * piece.now.per_s for length_s, piece in zip(lengths, pieces, strict=True))
    asked += math.fsum(window.seconds * window.state.per_s for window in warm_ups)
    turns = math.ceil(asked / budget)
    if turns > len(blocks):
        return None
    level = _levels(pool, demand)
    whole = math.fsum(piece.seconds * piece.times * level(piece.now) for piece in pieces) / demand.pattern_s
    count = min(turns, OF_WINDOWS)
    parts = []
    for number in range(count):
        row = list[_Window]()
        for chosen in range(number * turns // count, len(blocks), turns):
            row.append(warm_ups[chosen])
            row += [window for at in blocks[chosen] for window in _halves(pieces[at], lengths[at])]
        part = _in_a_row(pool, demand.cv, row[1:], row[0], told)
        there = math.fsum(w.seconds * w.weight * level(w.state) for w in row)
        there /= math.fsum(w.seconds * w.weight for w in row)
        parts.append(replace(part, correction=whole / there if there > 0 else 1.0))
    taken = (
        f"{duration(parts[0].seconds)} of {duration(demand.pattern_s)}: one of {turns} blocks of windows in "
        "turn, weighted by the closed form of their rates"
    )
    return replace(parts[0], parts=tuple(parts), most=OF_WINDOWS, taken=taken)


def _levels(pool: Pool, demand: Demand) -> Callable[[_State], float]:
    """Workers that the closed form bills at a rate, without those that are always on."""
    most_per_s = pool.slots / pool.service_s
    rates = [rate for _, rate in demand.stream.served(most_per_s).nodes()]

    @cache
    def known(least: int) -> list[tuple[float, float]]:
        found = [(rate, estimate(_with_least(pool, least).at(rate))) for rate in rates]
        return [(rate, of.billed - of.always_on) for rate, of in found]

    return lambda state: between(known(state.least), state.per_s)


# --------------------------------------------------------------------------------------------------------------- words
def _told(demand: Demand) -> str:
    gaps = "Poisson" if demand.cv == 1 else f"gamma gaps, cv {demand.cv:.3g}"
    rates = len({rate for _, rate in demand.profile.stretches})
    told = f"{gaps} at {f'{rates} rates' if rates > 1 else 'a constant rate'}"
    return told if demand.active_share >= 1 else f"{told}, in sessions, {demand.active_share * 100:.3g} % of each hour"


def duration(seconds: float) -> str:
    """`2 weeks`, `36 hours`, `1 day`."""
    for unit, name in ((7 * 86_400, "week"), (86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * unit or seconds == unit:
            count = seconds / unit
            return f"{count:,.0f} {name}s" if count >= 100 else f"{count:.3g} {name}{'' if count == 1 else 's'}"
    return f"{seconds:.3g} s"
