"""Logs replayed: what really came on the spec's endpoint, beside the plan's expected month and range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from baseload.cli.terminal import Page
from baseload.cli.views import plan as plan_view
from baseload.cli.views.text import UNKNOWN, columns, seconds, usd, wrapped
from baseload.planner.cost import ResponseTime
from baseload.planner.simulated.replayed import Replayed

DAY_S = 86_400


def human(value: Sequence[Replayed], page: Page) -> str:
    """A block per model."""
    return "\n\n".join("\n".join(_model(item, page)) for item in value)


def document(value: Sequence[Replayed]) -> Mapping[str, Any]:
    """`baseload.replay/1`."""
    return {"schema": "baseload.replay/1", "models": [_json(item) for item in value]}


def _model(item: Replayed, page: Page) -> Iterator[str]:
    seen, cost = item.simulated, item.cost
    days = f"{item.seconds / DAY_S:,.1f} days" if item.seconds >= 2 * DAY_S else f"{item.seconds / 3600:,.1f} hours"
    said = f"{seen.requests:,} requests in {days} of its log; service times: {item.services}"
    yield from wrapped(f"{page.bold(item.model)}  {said}", page.width, hanging=2)
    yield ""
    rows = [
        ["a month", "replayed", "plan"],
        ["together", page.bold(usd(item.monthly_usd)), usd(cost.monthly_usd.expected)],
    ]
    rows += [
        [f"  {plan_view.what_is(line.what)}", usd(item.bill_usd[line.what]), usd(line.amount_usd)]
        for line in cost.lines
        if line.amount_usd or item.bill_usd[line.what]
    ]
    yield from columns(rows, align="<>>", indent=2)
    yield ""
    yield from columns(list(_service(item)), align="<>>", indent=2)
    yield ""
    yield from wrapped(_verdict(item, page), page.width, indent=2)
    if seen.waiting:
        yield from wrapped(f"when the log ends {seen.waiting:,} requests are still waiting", page.width, indent=2)


def _service(item: Replayed) -> Iterator[list[str]]:
    seen, plan = item.simulated, item.cost.response or ResponseTime()
    yield ["", "replayed", "plan"]
    planned = None if plan.cold_share is None else float(plan.cold_share)
    yield ["meet a cold start", _percent(seen.cold_share), _percent(planned)]
    for name in ("p50", "p95", "p99"):
        there = getattr(plan, f"{name}_s")
        yield [f"{name} latency", _time(getattr(seen.latency_s, name)), _time(None if there is None else float(there))]


def _verdict(item: Replayed, page: Page) -> str:
    low, high = item.cost.monthly_usd.low, item.cost.monthly_usd.high
    answer = page.good("yes") if item.is_in_range else page.bad("no")
    text = f"the plan's range of {usd(low)} to {usd(high)} holds it: {answer}"
    if not item.is_in_range and high is not None:
        side = "below" if item.monthly_usd < high else "above"
        text += f", it lies {side}; a wider `range`, or `active_share` and `cv` as `deploy traffic show` has them, may"
    return text


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share * 100:.1f} %"


def _time(value: float | None) -> str:
    return UNKNOWN if value is None else seconds(value)


def _json(item: Replayed) -> dict[str, Any]:
    seen, month = item.simulated, item.cost.monthly_usd
    plan = item.cost.response or ResponseTime()
    return {
        "name": item.model,
        "seed": item.seed,
        "requests": seen.requests,
        "seconds": round(item.seconds, 3),
        "service_times": item.services,
        "monthly_usd": f"{item.monthly_usd:f}",
        "bill_usd": {what: f"{amount:f}" for what, amount in item.bill_usd.items()},
        "plan_monthly_usd": {
            end: None if amount is None else f"{amount:f}"
            for end, amount in (("low", month.low), ("expected", month.expected), ("high", month.high))
        },
        "range_holds_it": item.is_in_range,
        "worker_starts": seen.starts,
        "cold_share": round(seen.cold_share, 6),
        "waiting_at_the_end": seen.waiting,
        "peak_waiting": seen.peak_waiting,
        "latency_s": {name: _digits(getattr(seen.latency_s, name)) for name in ("p50", "p95", "p99")},
        "plan_latency_s": {
            name: None if value is None else float(value)
            for name, value in (("p50", plan.p50_s), ("p95", plan.p95_s), ("p99", plan.p99_s))
        },
    }


def _digits(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
