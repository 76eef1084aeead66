"""The event loop of the simulator: plain Python that numba can also compile as it stands.

One source for both, so that the compiled form gives the same events for the same draws. Hence only numbers, lists and
tuples, no objects, and one long function: a call per event would cost the plain form a third of its speed. It must
not draw arrivals, know money or allocate with the length of the input: what it keeps grows with the queue and the
workers. `baseload.planner.simulator` feeds it and names the results.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence, Sequence
from heapq import heappop, heappush
from math import ceil, cos, exp, log, sqrt
from typing import NamedTuple, Protocol

INF = float("inf")

PACKED, BALANCED, RANDOM = 0, 1, 2
"""Fullest worker first, then the one that became idle last; least loaded first, then idle longest; any with room."""

BUCKETS = 8192
PER_E_FOLD = 200.0
"""Buckets of a histogram grow by half a per cent each …"""
FIRST_BUCKET = 2800.0
"""… so they reach from a microsecond to ten thousand years."""

BATCHES = 64
GROUPS = 16
"""Batches are joined in pairs when there are 64; an interval is taken from 16 groups of them."""
STUDENT_15 = 2.131
"""97.5 % quantile of Student's t with 15 degrees of freedom."""

# Where the loop leaves its results: counts of requests and workers, worker-seconds since the window opened, and its
# seconds; each as often as the weight of its time says.
ARRIVED, SERVED, REJECTED, FAILED, WAITING, SERVING, PEAK_WAITING, STARTS, IN_WINDOW, REFUSED, WAITED, COLD = range(12)
COUNTS = 12
READY, BUSY, ALWAYS_ON, STARTING, ROUNDED, BASE_BUSY, COUNTED_S, HALF_WIDTH = range(8)
SUMS = 8


class Rules(NamedTuple):
    """A pool and a window in numbers. Times are seconds; 0 stands for "not this rule" where a rule is optional."""

    concurrency: int
    workers_min: int
    workers_max: int
    base_slots: int
    buffer: int
    idle_s: float
    cold_s: float
    cold_sigma: float
    """Of the logarithm of the cold start; 0 is a fixed time."""
    cold_billed: float
    increment_s: float
    delay_s: float
    requests_per_worker: int
    target: float
    """Requests in the pool per worker that target tracking aims at."""
    tick_s: float
    out_cooldown_s: float
    in_ticks: int
    dispatch: int
    rejects: bool
    fails: bool
    alone: float
    """Service time alone on a worker over that at full concurrency; 1 is a speed that does not depend on it."""
    schedule_s: Sequence[float]
    """When, within the period, the minimum changes; the first entry is at 0."""
    schedule_min: Sequence[int]
    period_s: float
    schedule_of_base: bool
    """Its minimums are replicas of the base."""
    weights_s: Sequence[float]
    """From when on a time counts so often as it says, rising; once before the first. None with a tolerance."""
    weights: Sequence[int]
    opens_s: float
    closes_s: float
    batch_s: float
    tolerance: float
    """The window closes once the interval of the bill is this narrow; 0 is never."""


class Source(Protocol):
    """Uniform numbers in [0, 1)."""

    def random(self) -> float:
        """The next one."""
        ...


def run(
    rules: Rules,
    colds: Source,
    choices: Source,
    times: Sequence[float],
    services: Sequence[float],
    given: Sequence[int],
    counts: MutableSequence[int],
    sums: MutableSequence[float],
    waits: MutableSequence[int],
    latencies: MutableSequence[int],
) -> Iterator[int]:
    """All events of one window; yields whenever the `given[0]` requests in `times` and `services` are used up.

    At a yield the caller puts in more and their number, 0 at the end of the stream; the value yielded is the number
    of requests seen. The results are in place when the iterator ends. Where several things happen at one time: workers
    come up, requests end, delays run out, idle workers stop, the clock's own changes, requests arrive.
    """
    c, most, low, buffer = rules.concurrency, rules.workers_max, rules.workers_min, rules.buffer
    idle_s, delay_s, per_worker, dispatch = rules.idle_s, rules.delay_s, rules.requests_per_worker, rules.dispatch
    tracking, shared, base, base_free = rules.target > 0, rules.alone < 1 and c > 1, rules.base_slots, rules.base_slots
    counting = per_worker > 0
    alone = rules.alone
    cold_mu = log(max(rules.cold_s, 1e-12)) - rules.cold_sigma * rules.cold_sigma / 2

    # A worker is a node ≥ c. Workers with room form one ring per load; node l < c is the ring's own mark.
    before, after = list(range(c)), list(range(c))
    load, since, rested = [0] * c, [0.0] * c, [0.0] * c
    spare = [0]
    spare.pop()
    open_to_all, place = [0], [0] * c
    open_to_all.pop()
    # Shared speed: per worker its own clock, when it was last moved and its next end; per slot the end on that clock.
    clock, moved, due = [0.0] * c, [0.0] * c, [0.0] * c
    slot_end, slot_asked = [INF] * (c * c if shared else 1), [0.0] * (c * c if shared else 1)

    heap = [(INF, 0)]  # (time, node ≥ c: a request ends; 0: one ends in the base; −node: the worker is up)
    queue = [(0.0, 0.0)]  # (arrival, service), the first `head` are gone, those before `late` waited for the delay
    queue.pop()
    head = late = 0
    top = bottom = 0  # no worker with room has a load above or below these, by dispatch rule

    ready = starting = occupied = serving = wanted = drop = slot = 0
    arrived = served = rejected = failed = peak = base_busy = 0
    starts = before_window = refused = waited = cold = 0
    sum_ready = sum_busy = sum_always = sum_starting = sum_rounded = sum_base = sum_system = 0.0
    last_up = -1.0

    late_at = expire_at = INF
    opens = rules.opens_s
    closes, batch_s = rules.closes_s, rules.batch_s
    half_width = INF
    batch_at, batch_from = opens + batch_s, 0.0
    weight, weighed, weigh_at, weighed_from = 1, 0, INF, 0.0
    all_ready = all_busy = all_always = all_starting = all_rounded = all_base = all_s = 0.0
    all_seen = 0
    if len(rules.weights_s) > 0:
        weigh_at, batch_at = rules.weights_s[0], INF
    batches = [0.0]
    batches.pop()
    scheduled = len(rules.schedule_s)
    turn, round_s, change_at = 1, 0.0, INF
    if scheduled > 0:
        if not rules.schedule_of_base:
            low = rules.schedule_min[0]
        if scheduled > 1:
            change_at = rules.schedule_s[1]
    tick_at = rules.tick_s if tracking else INF
    tick_from, out_from, low_ticks, low_most, missed = 0.0, 0.0, 0, 0, 0
    edge_at = min(min(opens, closes), min(min(batch_at, weigh_at), min(change_at, tick_at)))
    timer = edge_at

    wanted = low
    t = 0.0
    while wanted > 0:  # those of the minimum are up from the beginning
        wanted -= 1
        node = len(load)
        load.append(0)
        since.append(0.0)
        rested.append(0.0)
        clock.append(0.0)
        moved.append(0.0)
        due.append(-1.0)
        if shared:
            for _ in range(c):
                slot_end.append(INF)
                slot_asked.append(0.0)
        place.append(len(open_to_all))
        open_to_all.append(node)
        last = before[0]
        before.append(last)
        after.append(0)
        after[last] = node
        before[0] = node
        ready += 1

    i, n = 0, given[0]
    arrival = times[0] if n > 0 else INF
    if n == 0 and closes == INF:
        closes = 0.0
        edge_at = timer = 0.0
    while True:
        t = heap[0][0]
        if arrival < t and arrival < timer:
            # ------------------------------------------------------------------------------------ a request arrives
            t, service = arrival, services[i]
            i += 1
            arrived += 1
            if i < n:
                arrival = times[i]
            else:
                yield arrived
                i, n = 0, given[0]
                if n > 0:
                    arrival = times[0]
                else:
                    arrival = INF
                    if closes == INF:
                        closes = t
                        edge_at = timer = t
            waiting = len(queue) - head
            node = 0
            if waiting == 0:
                if base_free > 0:
                    base_free -= 1
                    sum_base -= t
                    base_busy += 1
                    heappush(heap, (t + service, 0))
                    latencies[int(log(service + 1e-6) * PER_E_FOLD + FIRST_BUCKET)] += weight
                    continue
                if dispatch == PACKED:
                    while top > 0 and before[top] == top:
                        top -= 1
                    node = before[top]
                elif dispatch == BALANCED:
                    while bottom < c - 1 and after[bottom] == bottom:
                        bottom += 1
                    node = after[bottom]
                elif len(open_to_all) > 0:
                    node = open_to_all[int(choices.random() * len(open_to_all))]
            if node >= c:
                n_load = load[node]
                previous, following = before[node], after[node]
                after[previous] = following
                before[following] = previous
                if n_load == 0:
                    occupied += 1
                    if occupied > low:
                        sum_busy -= t
                serving += 1
                if shared:
                    if n_load > 0:
                        clock[node] += (t - moved[node]) / (alone + (1 - alone) * (n_load - 1) / (c - 1))
                    moved[node] = t
                    slot = node * c
                    while slot_end[slot] < INF:
                        slot += 1
                    slot_end[slot], slot_asked[slot] = clock[node] + service, t
                    least = INF
                    for k in range(node * c, node * c + c):
                        least = min(least, slot_end[k])
                    due[node] = t + (least - clock[node]) * (alone + (1 - alone) * n_load / (c - 1))
                    heappush(heap, (due[node], node))
                else:
                    heappush(heap, (t + service, node))
                    latencies[int(log(service + 1e-6) * PER_E_FOLD + FIRST_BUCKET)] += weight
                n_load += 1
                load[node] = n_load
                if n_load < c:
                    last = before[n_load]
                    before[node] = last
                    after[node] = n_load
                    after[last] = node
                    before[n_load] = node
                    if n_load > top:
                        top = n_load
                    if n_load < bottom:
                        bottom = n_load
                elif dispatch == RANDOM:
                    last = open_to_all.pop()
                    if last != node:
                        open_to_all[place[node]] = last
                        place[last] = place[node]
                if tracking:
                    sum_system -= t
            elif rules.rejects and waiting >= (most - ready) * c - base:
                rejected += 1
                refused += weight
                continue
            elif rules.fails and ready == 0:
                failed += 1
                refused += weight
                missed += 1
                if tracking or starting > 0:
                    continue
                wanted = 1
            else:
                queue.append((t, service))
                waiting += 1
                if waiting > peak:
                    peak = waiting
                if tracking:
                    sum_system -= t
                elif delay_s > 0:
                    if late_at == INF:
                        late_at = t + delay_s
                        if late_at < timer:
                            timer = late_at
                elif not counting:
                    wanted = -(-waiting // c) - starting
            if counting:
                wanted = max(wanted, -(-(serving + waiting) // per_worker) - ready - starting)
            if buffer > 0:
                wanted = max(wanted, buffer + occupied + -(-waiting // c) - ready - starting)
            if wanted <= 0:
                continue
        elif t <= timer:
            node = heappop(heap)[1]
            if node >= c:
                # ------------------------------------------------------------------------ a request ends on a worker
                n_load = load[node]
                if shared:
                    if due[node] != t:
                        continue
                    clock[node] += (t - moved[node]) / (alone + (1 - alone) * (n_load - 1) / (c - 1))
                    moved[node] = t
                    slot = node * c
                    for k in range(node * c, node * c + c):
                        if slot_end[k] < slot_end[slot]:
                            slot = k
                    latencies[int(log(t - slot_asked[slot] + 1e-6) * PER_E_FOLD + FIRST_BUCKET)] += weight
                    slot_end[slot] = INF
                    slot_asked[slot] = 0.0
                served += 1
                if tracking:
                    sum_system += t
                if head < len(queue):
                    asked, service = queue[head]
                    head += 1
                    waited += weight
                    if starting > 0 or last_up >= asked:
                        cold += weight
                    waits[int(log(t - asked + 1e-6) * PER_E_FOLD + FIRST_BUCKET)] += weight
                    if shared:
                        slot_end[slot] = clock[node] + service
                        slot_asked[slot] = asked
                    else:
                        heappush(heap, (t + service, node))
                        latencies[int(log(t - asked + service + 1e-6) * PER_E_FOLD + FIRST_BUCKET)] += weight
                    if head == len(queue):
                        queue.clear()
                        head = late = 0
                    elif head > 4096 and 2 * head > len(queue):
                        del queue[:head]
                        late = max(late - head, 0)
                        head = 0
                else:
                    serving -= 1
                    if n_load < c:
                        previous, following = before[node], after[node]
                        after[previous] = following
                        before[following] = previous
                    elif dispatch == RANDOM:
                        place[node] = len(open_to_all)
                        open_to_all.append(node)
                    n_load -= 1
                    load[node] = n_load
                    last = before[n_load]
                    before[node] = last
                    after[node] = n_load
                    after[last] = node
                    before[n_load] = node
                    if n_load > top:
                        top = n_load
                    if n_load < bottom:
                        bottom = n_load
                    if n_load == 0:
                        rested[node] = t
                        if occupied > low:
                            sum_busy += t
                        occupied -= 1
                        if expire_at == INF and ready > low and (drop > 0 or not tracking):
                            expire_at = rested[after[0]] + idle_s
                            if expire_at < t:
                                expire_at = t
                            if expire_at < timer:
                                timer = expire_at
                if shared and n_load > 0:
                    least = INF
                    for k in range(node * c, node * c + c):
                        least = min(least, slot_end[k])
                    due[node] = t + (least - clock[node]) * (alone + (1 - alone) * (n_load - 1) / (c - 1))
                    heappush(heap, (due[node], node))
                continue
            if node == 0:
                # ---------------------------------------------------------------------- a request ends in the base
                served += 1
                if head < len(queue) and base_free >= 0:
                    asked, service = queue[head]
                    head += 1
                    waited += weight
                    if starting > 0 or last_up >= asked:
                        cold += weight
                    if tracking:
                        sum_system += t
                    waits[int(log(t - asked + 1e-6) * PER_E_FOLD + FIRST_BUCKET)] += weight
                    latencies[int(log(t - asked + service + 1e-6) * PER_E_FOLD + FIRST_BUCKET)] += weight
                    heappush(heap, (t + service, 0))
                    if head == len(queue):
                        queue.clear()
                        head = late = 0
                    elif head > 4096 and 2 * head > len(queue):
                        del queue[:head]
                        late = max(late - head, 0)
                        head = 0
                else:
                    base_free += 1
                    base_busy -= 1
                    sum_base += t
                continue
            # ------------------------------------------------------------------------------------ a worker comes up
            node = -node
            starting -= 1
            sum_starting += t
            ready += 1
            sum_ready -= t
            if ready <= low:
                sum_always -= t
            last_up = t
            clock[node], moved[node] = 0.0, t
            n_load = 0
            least = INF
            while n_load < c and head < len(queue):
                asked, service = queue[head]
                head += 1
                waited += weight
                cold += weight
                waits[int(log(t - asked + 1e-6) * PER_E_FOLD + FIRST_BUCKET)] += weight
                if shared:
                    slot_end[node * c + n_load] = service
                    slot_asked[node * c + n_load] = asked
                    least = min(least, service)
                else:
                    heappush(heap, (t + service, node))
                    latencies[int(log(t - asked + service + 1e-6) * PER_E_FOLD + FIRST_BUCKET)] += weight
                n_load += 1
            if head == len(queue):
                queue.clear()
                head = late = 0
            load[node] = n_load
            serving += n_load
            rested[node] = t
            if n_load > 0:
                occupied += 1
                if occupied > low:
                    sum_busy -= t
                if shared:
                    due[node] = t + least * (alone + (1 - alone) * (n_load - 1) / (c - 1))
                    heappush(heap, (due[node], node))
            if n_load < c:
                last = before[n_load]
                before[node] = last
                after[node] = n_load
                after[last] = node
                before[n_load] = node
                if n_load > top:
                    top = n_load
                if n_load < bottom:
                    bottom = n_load
                if dispatch == RANDOM:
                    place[node] = len(open_to_all)
                    open_to_all.append(node)
            if ready > low and not tracking:
                expire_at = t
                if t < timer:
                    timer = t
            continue
        else:
            t = timer
            if late_at <= t:
                # ------------------------------------------------------------------ requests have waited long enough
                late = max(late, head)
                while late < len(queue) and queue[late][0] + delay_s <= t:
                    late += 1
                late_at = queue[late][0] + delay_s if late < len(queue) else INF
                wanted = -(-(late - head) // c) - starting
            elif expire_at <= t:
                # --------------------------------------------------------------------------- the longest idle worker
                node = after[0]
                kept = buffer > 0 and occupied > 0 and ready - occupied <= buffer
                if node == 0 or ready <= low or kept or (tracking and drop <= 0):
                    expire_at = INF
                elif not tracking and rested[node] + idle_s > t:
                    expire_at = rested[node] + idle_s
                else:
                    drop -= 1
                    previous, following = before[node], after[node]
                    after[previous] = following
                    before[following] = previous
                    if dispatch == RANDOM:
                        last = open_to_all.pop()
                        if last != node:
                            open_to_all[place[node]] = last
                            place[last] = place[node]
                    ready -= 1
                    sum_ready += t
                    spare.append(node)
                    if rules.increment_s > 0:
                        ran = t - since[node]
                        sum_rounded += ceil(ran / rules.increment_s - 1e-9) * rules.increment_s - ran
            else:
                # ------------------------------------------------------------------------------ the clock's changes
                if tick_at <= t:
                    waiting = len(queue) - head
                    in_pool = sum_system + (serving + waiting) * t
                    goal = ceil((in_pool - tick_from) / rules.tick_s / rules.target - 1e-9)
                    if missed > 0:
                        goal = max(goal, 1)
                    goal = min(max(goal, low), most)
                    missed = 0
                    tick_from = in_pool
                    tick_at += rules.tick_s
                    if goal > ready + starting:
                        drop = 0
                        if t >= out_from:
                            wanted = goal - ready - starting
                            out_from = t + rules.out_cooldown_s
                        low_ticks = low_most = 0
                    elif goal < ready + starting:
                        low_ticks += 1
                        low_most = max(low_most, goal)
                        if low_ticks >= rules.in_ticks:
                            drop = ready - low_most
                            expire_at = t
                            low_ticks = low_most = 0
                    else:
                        low_ticks = low_most = 0
                if change_at <= t:
                    least = rules.schedule_min[turn % scheduled]
                    if rules.schedule_of_base:
                        base_free += least * c - base
                        base = least * c
                    else:
                        sum_busy += t * max(occupied - low, 0)
                        sum_always += t * min(low, ready)
                        low = least
                        sum_busy -= t * max(occupied - low, 0)
                        sum_always -= t * min(low, ready)
                    turn += 1
                    if turn % scheduled == 0:
                        round_s += rules.period_s
                    change_at = round_s + rules.schedule_s[turn % scheduled]
                    wanted = max(wanted, low - ready - starting)
                    if not tracking:
                        expire_at = t
                if opens <= t:
                    opens, weighed_from = INF, t
                    all_ready = all_busy = all_always = all_starting = all_rounded = all_base = all_s = 0.0
                    all_seen = 0
                    sum_ready, sum_starting = -t * ready, -t * starting
                    sum_busy, sum_always = -t * max(occupied - low, 0), -t * min(low, ready)
                    sum_base, sum_rounded = -t * base_busy, 0.0
                    starts = refused = waited = cold = 0
                    before_window = arrived
                    for k in range(BUCKETS):
                        waits[k] = 0
                        latencies[k] = 0
                if weigh_at <= t:
                    all_ready += weight * (sum_ready + ready * t)
                    all_busy += weight * (sum_busy + max(occupied - low, 0) * t)
                    all_always += weight * (sum_always + min(low, ready) * t)
                    all_starting += weight * (sum_starting + starting * t)
                    all_rounded += weight * sum_rounded
                    all_base += weight * (sum_base + base_busy * t)
                    all_s += weight * (t - weighed_from)
                    all_seen += weight * (arrived - before_window)
                    sum_ready, sum_starting = -t * ready, -t * starting
                    sum_busy, sum_always = -t * max(occupied - low, 0), -t * min(low, ready)
                    sum_base, sum_rounded = -t * base_busy, 0.0
                    before_window, weighed_from = arrived, t
                    weight = rules.weights[weighed]
                    weighed += 1
                    weigh_at = rules.weights_s[weighed] if weighed < len(rules.weights_s) else INF
                if batch_at <= t:
                    billed = sum_ready + ready * t + (sum_starting + starting * t) * rules.cold_billed
                    batches.append(billed - batch_from)
                    batch_from = billed
                    if len(batches) == BATCHES:
                        for k in range(BATCHES // 2):
                            batches[k] = batches[2 * k] + batches[2 * k + 1]
                        del batches[BATCHES // 2 :]
                        batch_s *= 2
                    batch_at += batch_s
                    if len(batches) >= 2 * GROUPS and len(batches) % 8 == 0:
                        size = len(batches) // GROUPS
                        total = squares = 0.0
                        for k in range(GROUPS):
                            group = 0.0
                            for j in range(len(batches) - (k + 1) * size, len(batches) - k * size):
                                group += batches[j]
                            total += group
                            squares += group * group
                        spread = sqrt(max(squares - total * total / GROUPS, 0.0) / (GROUPS - 1) / GROUPS)
                        half_width = STUDENT_15 * spread / (size * batch_s)
                        mean = total / GROUPS / (size * batch_s)
                        if half_width < rules.tolerance * (mean + rules.base_slots / c):
                            closes = t
                if closes <= t:
                    break
                edge_at = min(min(opens, closes), min(min(batch_at, weigh_at), min(change_at, tick_at)))
            timer = late_at if late_at < expire_at else expire_at
            if edge_at < timer:
                timer = edge_at
            if wanted <= 0:
                continue
        # ------------------------------------------------------------------------------------------- workers start
        while wanted > 0 and ready + starting < most:
            wanted -= 1
            if len(spare) > 0:
                node = spare.pop()
            else:
                node = len(load)
                load.append(0)
                since.append(0.0)
                rested.append(0.0)
                clock.append(0.0)
                moved.append(0.0)
                due.append(-1.0)
                if shared:
                    for _ in range(c):
                        slot_end.append(INF)
                        slot_asked.append(0.0)
                before.append(0)
                after.append(0)
                place.append(0)
            since[node] = t
            starting += 1
            starts += weight
            sum_starting -= t
            takes = rules.cold_s
            if rules.cold_sigma > 0:
                radius = sqrt(-2 * log(1 - colds.random()))
                takes = exp(cold_mu + rules.cold_sigma * radius * cos(6.283185307179586 * colds.random()))
            heappush(heap, (t + takes, -node))
        wanted = 0

    waiting = len(queue) - head
    counts[ARRIVED], counts[SERVED], counts[REJECTED], counts[FAILED] = arrived, served, rejected, failed
    counts[WAITING], counts[SERVING], counts[PEAK_WAITING] = waiting, serving + base_busy, peak
    counts[STARTS], counts[IN_WINDOW], counts[REFUSED], counts[WAITED], counts[COLD] = (
        starts,
        all_seen + weight * (arrived - before_window),
        refused,
        waited,
        cold,
    )
    sums[READY] = all_ready + weight * (sum_ready + ready * t)
    sums[BUSY] = all_busy + weight * (sum_busy + max(occupied - low, 0) * t)
    sums[ALWAYS_ON] = all_always + weight * (sum_always + min(low, ready) * t)
    sums[STARTING] = all_starting + weight * (sum_starting + starting * t)
    sums[ROUNDED] = all_rounded + weight * sum_rounded
    sums[BASE_BUSY] = all_base + weight * (sum_base + base_busy * t)
    sums[COUNTED_S], sums[HALF_WIDTH] = all_s + weight * (t - weighed_from), half_width


def draw_poisson(
    source: Source,
    at: MutableSequence[float],
    durations: Sequence[float],
    rates: Sequence[float],
    times: MutableSequence[float],
) -> None:
    """Fill `times` with arrivals of a Poisson process whose rate is constant on each piece and repeats.

    `at` is where it stands and is moved on: time, end of the piece, its remaining expected arrivals, its index.
    """
    t, ends, room, piece = at[0], at[1], at[2], int(at[3])
    rate, uniform = rates[piece], source.random
    for k in range(len(times)):
        need = -log(1 - uniform())
        while need >= room:
            need -= room
            t = ends
            piece = (piece + 1) % len(rates)
            rate = rates[piece]
            ends = t + durations[piece]
            room = durations[piece] * rate
        room -= need
        t += need / rate
        times[k] = t
    at[0], at[1], at[2], at[3] = t, ends, room, float(piece)


def draw_service(source: Source, mean_s: float, sigma: float, services: MutableSequence[float]) -> None:
    """Fill `services`: exponential where `sigma` is negative, fixed where it is 0, else log-normal."""
    uniform = source.random
    if sigma < 0:
        for k in range(len(services)):
            services[k] = -log(1 - uniform()) * mean_s
    else:
        mu = log(max(mean_s, 1e-12)) - sigma * sigma / 2
        for k in range(len(services)):
            if sigma == 0:
                services[k] = mean_s
            else:
                radius = sqrt(-2 * log(1 - uniform()))
                services[k] = exp(mu + sigma * radius * cos(6.283185307179586 * uniform()))
