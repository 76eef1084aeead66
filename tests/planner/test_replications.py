"""Replications of a spec's month: against exact months, against themselves, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from baseload.planner.errors import BaseloadError
from baseload.planner.pool import Dispatch
from baseload.planner.prices import bundled
from baseload.planner.simulated.replications import Replications, replications
from baseload.planner.spec import load
from baseload.planner.spec.model import ModelSpec

SPEC = """\
name: office
container: {{image: registry.example/acme/worker:1.0}}
performance: {performance}
traffic: {traffic}
target: {{runpod: {{gpu: ADA_24{target}}}}}
"""
ONE = ", workers: {max: 1}"

Make = Callable[..., ModelSpec]


@pytest.fixture
def spec(tmp_path: Path) -> Make:
    """Makes a spec of an office."""

    def make(traffic: str, target: str = "", performance: str = "{service_time: 1.8s, cold_start: 25s}") -> ModelSpec:
        file = tmp_path / "office.yaml"
        file.write_text(SPEC.format(traffic=traffic, target=target, performance=performance), encoding="utf-8")
        return load([file])[0]

    return make


def run(spec: ModelSpec, **options: object) -> Replications:
    """At the bundled prices."""
    return replications(spec, bundled(), **options)  # type: ignore[arg-type]


def test_one_worker_is_as_the_exact_plan_says(spec: Make) -> None:
    seen = run(spec("{requests_per_day: 3000}", ONE), seed=7)
    assert seen.cost.method == "exact: one worker"
    total = seen.bill["total"].usd
    assert total.simulated == pytest.approx(
        total.closed_form, abs=(total.half_width or 0) + 0.005 * (total.closed_form or 0)
    )
    assert seen.is_narrow
    assert seen.doubts == ()
    for amount in seen.bill.values():
        hours = amount.quantity
        assert hours.simulated == pytest.approx(hours.closed_form, abs=1.5 * (hours.half_width or 0) + 0.05)
    assert seen.starts.difference == pytest.approx(0, abs=0.02)
    assert seen.cold_share.difference == pytest.approx(0, abs=0.02)
    assert seen.latency_s["p95"].difference == pytest.approx(0, abs=0.02)


def test_intervals_hold_the_exact_month_about_as_often_as_they_say(spec: Make) -> None:
    one = spec("{requests_per_day: 3000}", ONE)
    held = [run(one, seed=seed, requests=8000, rows=0).holds_closed_form for seed in range(40)]
    assert 34 <= sum(held) < 40


def test_the_same_seed_gives_the_same_and_another_one_something_else(spec: Make) -> None:
    office = spec("{requests_per_day: 2000, curve: business-week}")
    first, again, other = (run(office, seed=seed, requests=70_000) for seed in (3, 3, 4))
    assert again == first
    assert other.bill["total"].usd.simulated != first.bill["total"].usd.simulated


def test_lines_add_up_and_whole_weeks_are_simulated(spec: Make) -> None:
    office = spec("{requests_per_day: 2000, curve: business-week}", ", mode: active, workers: {min: 1, max: 3}")
    seen = run(office, requests=100_000)
    total = seen.bill.pop("total")
    assert sum(amount.usd.simulated or 0 for amount in seen.bill.values()) == pytest.approx(total.usd.simulated)
    assert seen.bill["always_on"].quantity.simulated == pytest.approx(730)
    assert seen.seconds % (7 * 86_400) == 0
    assert seen.requests == pytest.approx(seen.replications * seen.seconds * 2000 / 86_400, rel=0.05)


def test_the_timeline_is_the_beginning_of_the_day(spec: Make) -> None:
    seen = run(spec("{requests_per_day: 2000, curve: office-hours}"), requests=70_000)
    assert [slot.from_s for slot in seen.timeline] == [3600.0 * hour for hour in range(24)]
    assert all(slot.requests == 0 for slot in [*seen.timeline[:9], *seen.timeline[17:]])
    assert sum(slot.requests for slot in seen.timeline) == pytest.approx(2800, rel=0.1)  # 14,000 on five days
    assert seen.timeline[3].on == 0 < seen.timeline[9].on


def test_the_timeline_of_dense_traffic_begins_with_its_first_requests(spec: Make) -> None:
    seen = run(spec("{requests_per_day: 12000, curve: office-hours}"))
    assert seen.timeline[0].from_s == 9 * 3600
    assert seen.timeline[0].cold_start > 0
    assert sum(slot.requests for slot in seen.timeline) == pytest.approx(10_000, rel=0.05)


def test_dispatch_is_as_asked_for(spec: Make) -> None:
    office = spec("{requests_per_day: 40000}", ", workers: {max: 20}, idle_timeout: 60s")
    packed, balanced = (run(office, dispatch=rule, requests=50_000) for rule in (None, Dispatch.BALANCED))
    assert packed.dispatch is Dispatch.PACKED
    assert packed.bill["idle"].usd.closed_form == balanced.bill["idle"].usd.closed_form
    assert (balanced.bill["idle"].usd.simulated or 0) > 1.2 * (packed.bill["idle"].usd.simulated or 0)


def test_a_batch_runs_at_once(spec: Make) -> None:
    performance = "{service_time: 2s, service_time_cv: 0, cold_start: 20s}"
    seen = run(spec("{batch: {jobs: 300, at: 02:00, within: 2h}}", performance=performance))
    assert seen.bill["total"].usd.difference == pytest.approx(0, abs=0.01)
    assert seen.latency_s["p50"].closed_form is None
    assert sum(slot.requests for slot in seen.timeline) == 300


def test_quiet_times_between_sessions_save_workers(spec: Make) -> None:
    seen = run(spec("{requests_per_day: 5000, active_share: 0.25}"))
    assert "25 % of each hour" in seen.arrivals
    total = seen.bill["total"].usd
    assert total.simulated == pytest.approx(total.closed_form, rel=0.08)


@pytest.mark.parametrize(
    ("traffic", "options", "code"),
    [
        ("{requests_per_day: 0}", {}, "simulate/no-traffic"),
        ("{requests_per_day: 1000}", {"requests": 0}, "simulate/requests"),
        ("{requests_per_day: 1000}", {"requests": -5}, "simulate/requests"),
        ("{requests_per_day: 100000, curve: diurnal}", {"requests": 1000}, "simulate/requests"),
        ("{requests_per_day: 1000000000}", {}, "simulate/overload"),
        ("{batch: {jobs: 100000000, at: 02:00, within: 2h}}", {}, "simulate/overload"),
    ],
)
def test_what_cannot_be_simulated_is_refused_with_a_remedy(
    traffic: str, options: dict[str, int], code: str, spec: Make
) -> None:
    with pytest.raises(BaseloadError) as refused:
        run(spec(traffic), **options)
    (diagnostic,) = refused.value.diagnostics
    assert diagnostic.code == code
    assert diagnostic.hint


def test_what_the_plan_does_not_know_is_not_simulated(spec: Make) -> None:
    with pytest.raises(BaseloadError, match="service_time") as refused:
        run(spec("{requests_per_day: 1000}", performance="{cold_start: 25s}"))
    assert refused.value.diagnostics[0].code == "plan/cost-unknown"
    with pytest.raises(BaseloadError, match="service_time"):
        run(
            spec(
                "{requests_per_day: 1000}",
                ", mode: active, workers: {min: 1, max: 1}",
                performance="{cold_start: 25s}",
            )
        )
