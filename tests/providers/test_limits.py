"""The rate limiter in virtual time."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseload.planner.errors import Cancelled
from baseload.providers.framework.resource import Operation, Time
from baseload.providers.runpod.errors import RateLimited
from baseload.providers.runpod.limits import RateLimiter


class Server:
    """Counts in fixed windows, as RunPod's headers describe them, and says what is left."""

    def __init__(self, clock, windows, foreign=0):
        self.clock, self.windows, self.foreign = clock, windows, foreign
        self.sent, self.used, self.starts = [], {}, {}

    def call(self):
        now, refusals, policy, state = self.clock.at, [], [], []
        for name, (quota, length) in self.windows.items():
            start = now - now % length
            if self.starts.get(name) != start:
                self.starts[name], self.used[name] = start, min(self.foreign, quota - 1)
            if self.used[name] >= quota:
                refusals.append(start + length - now)
            else:
                self.used[name] += 1
            policy.append(f'"{name}";q={quota};w={length}')
            state.append(f'"{name}";r={quota - self.used[name]};t={int(start + length - now) + 1}')
        self.sent.append(now)
        headers = {"ratelimit-policy": ", ".join(policy), "ratelimit": ", ".join(state)}
        if refusals:
            return 429, {**headers, "retry-after": str(int(max(refusals)) + 1)}
        return 200, headers


class Clock:
    def __init__(self, at):
        self.at = at

    def caller(self, stop=None):
        def wait(event, seconds):
            self.at += seconds
            return event.is_set()

        return Operation("urn", time=Time(lambda: self.at, wait), stop=stop or threading.Event())


@given(st.integers(1, 80), st.integers(1, 120), st.integers(0, 200), st.floats(0, 1000), st.integers(0, 20))
def test_an_announced_policy_is_never_broken(quota, length, calls, start, foreign):
    clock = Clock(start)
    server, limiter = Server(clock, {"minute": (quota, length)}, foreign), RateLimiter()
    caller = clock.caller()
    refused = 0
    for _ in range(calls):
        limiter.acquire(caller)
        status, headers = server.call()
        refused += status == 429
        limiter.answered(caller, status, headers)
    # The first call learns the policy; after that, what others have used up is known from the headers.
    assert refused <= 1
    for at in server.sent:
        assert sum(at <= other < at + length for other in server.sent) <= quota + 1


@given(st.integers(61, 200), st.lists(st.floats(0, 3), max_size=200))
def test_sixty_calls_a_minute_until_the_server_says_otherwise(calls, pauses):
    clock, limiter, sent = Clock(0.0), RateLimiter(), []
    caller = clock.caller()
    for number in range(calls):
        clock.at += pauses[number] if number < len(pauses) else 0
        limiter.acquire(caller)
        sent.append(clock.at)
        limiter.answered(caller, 500, {})
    for at in sent:
        assert sum(at <= other < at + 60 for other in sent) <= 60


def test_a_caller_without_limits_is_not_held_up():
    clock, limiter = Clock(0.0), RateLimiter()
    for _ in range(500):
        limiter.acquire(clock.caller())
        limiter.answered(clock.caller(), 200, {})
    assert clock.at == 0


def test_several_windows_are_kept_at_once_and_a_long_wait_is_refused():
    clock = Clock(0.0)
    server, limiter = Server(clock, {"minute": (10, 60), "hour": (25, 3600)}), RateLimiter()
    caller = clock.caller()
    for _ in range(25):
        limiter.acquire(caller)
        limiter.answered(caller, *server.call())
    assert clock.at >= 120
    with pytest.raises(RateLimited, match="used up for another"):
        limiter.acquire(caller)


def test_retry_after_holds_everybody_up():
    clock, limiter = Clock(0.0), RateLimiter()
    limiter.acquire(clock.caller())
    limiter.answered(clock.caller(), 429, {"retry-after": "12"})
    limiter.acquire(clock.caller())
    assert clock.at == 12


@pytest.mark.parametrize("header", ["garbage", '"minute";q=0;w=60', '"minute";q=x', "", '"minute";r=1', "\x00,;=,"])
def test_headers_that_cannot_be_read_change_nothing(header):
    clock, limiter = Clock(0.0), RateLimiter()
    for _ in range(61):
        limiter.acquire(clock.caller())
        limiter.answered(clock.caller(), 404, {"ratelimit": header, "ratelimit-policy": header})
    assert clock.at == 60


def test_waiting_for_ones_turn_ends_with_cancel():
    clock, limiter, stop = Clock(0.0), RateLimiter(), threading.Event()
    for _ in range(60):
        limiter.acquire(clock.caller())
    stop.set()
    with pytest.raises(Cancelled):
        limiter.acquire(clock.caller(stop))
