"""`deploy plan --explain` re-done by hand, from the printed text alone: what a reader with a calculator would do.

Each line is quantity × unit price, the lines add up, each quantity is the product that stands under it, and the command
that it names reproduces it. Nothing of the planner is imported.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
D = Decimal

SPECS = {
    "one-instance": """\
traffic: {requests_per_day: 30000, payload_bytes: {in: 900000, out: 1000}}
performance: {service_time: 1.1s, service_time_cv: 0.5, cold_start: 5m}
target: {lambda-sagemaker: {instance: ml.g5.xlarge, instances: {min: 1, max: 1}, front: http-api, log_bytes: 2000}}
""",
    "business-week": """\
traffic: {requests_per_day: 20000, curve: business-week, time_zone: Europe/Berlin, payload_bytes: {in: 4000, out: 6000}}
performance: {service_time: 1.8s, cold_start: 5m}
target: {lambda-sagemaker: {instance: ml.g5.xlarge, instances: {min: 1, max: 3}, architecture: x86_64, memory_mb: 512}}
""",
    "from-zero": """\
traffic: {requests_per_day: 500, range: {low: 0.5, high: 2}}
performance: {service_time: 3s, cold_start: 5m}
target: {lambda-sagemaker: {instance: ml.g6.xlarge, instances: {min: 0, max: 2}}}
""",
    "office": """\
traffic: {requests_per_day: 2000, curve: office-hours, time_zone: Europe/Berlin}
performance: {service_time: 1.8s, cold_start: 5m}
target:
  lambda-sagemaker:
    instance: ml.g4dn.xlarge
    instances: {min: 1, max: 2}
    schedule: {windows: [{days: mon-fri, from: "08:00", to: "18:00", min: 1}]}
""",
    "serverless": """\
traffic: {requests_per_day: 20000, payload_bytes: {in: 20000, out: 1000}, range: {low: 0.5, high: 2}}
performance: {service_time: 400ms}
target: {sagemaker-serverless: {memory_mb: 4096, max_concurrency: 10}}
""",
    "at-its-cap": """\
traffic: {requests_per_day: 500000}
performance: {service_time: 1s}
target: {sagemaker-serverless: {memory_mb: 6144, max_concurrency: 6}}
""",
    "provisioned": """\
traffic: {requests_per_day: 50000}
performance: {service_time: 800ms}
target: {sagemaker-serverless: {memory_mb: 2048, max_concurrency: 20, provisioned_concurrency: 1}}
""",
    "provisioned-by-day": """\
traffic: {requests_per_day: 50000, curve: business-week, time_zone: America/New_York}
performance: {service_time: 800ms}
target:
  sagemaker-serverless:
    memory_mb: 3072
    max_concurrency: 20
    schedule: {windows: [{days: mon-fri, from: "08:00", to: "18:00", min: 2}]}
""",
}
HEAD = 'name: {}\ncontainer: {{image: "registry.example/acme/worker:1"}}\n'


# ----------------------------------------------------------------------------------------------------- reading the text
@dataclass
class Explained:
    """What one model's part says."""

    lines: list[tuple[str, Decimal, Decimal, Decimal]]
    """Name, quantity, unit price, dollars."""
    together: Decimal
    prices: list[str]
    """Ids of price rows."""
    quantities: dict[str, Decimal]
    bounds: dict[str, list[tuple[str, str, Decimal]]]
    """Of each quantity: kind, figures, what comes out."""
    text: str


def number(text: str) -> Decimal:
    return D(text.replace(",", "").replace("$", ""))


def calculated(figures: str) -> float:
    """As typed into a calculator."""
    typed = figures.replace(",", "").replace("×", "*").replace("÷", "/").replace("−", "-")
    assert re.fullmatch(r"[\d.\s*/()+-]+", typed), figures
    return max(float(eval(typed, {"__builtins__": {}})), 0.0)


def unwrapped(text: str) -> list[str]:
    """Each statement of a model's quantities on one line: what is wrapped stands deeper than what it belongs to."""
    found: list[str] = []
    for line in text.splitlines():
        if line.startswith("      ") and found:
            found[-1] += " " + line.strip()
        else:
            found.append(line)
    return found


ROW = re.compile(r"^  (\S.*?)\s{2,}([\d.,]+)(?:  (\S.*?))?\s{2,}([\d.]+)\s+(\$[\d.,]+)$")
BOUND = re.compile(r"^    (at least|about|at most) .*? = ([^=]+) = ([\d.,]+)$")
QUANTITY = re.compile(r"^  (\S[^:]*): ([\d.,]+) \S")


def explained(text: str, name: str) -> Explained:
    part = re.split(r"\n(?=\S)", text.partition(f"\n{name}  ")[2], maxsplit=1)[0]
    head, _, rest = part.partition("\n\n")
    body = rest.partition("\n  assumptions\n")[0]
    rows = [found.groups() for line in head.splitlines() if (found := ROW.match(line))]
    said = re.search(r"^  together\s+(\$[\d.,]+)$", head, re.MULTILINE)
    assert said is not None, head
    quantities: dict[str, Decimal] = {}
    bounds: dict[str, list[tuple[str, str, Decimal]]] = {}
    now = ""
    for line in unwrapped(body):
        if found := QUANTITY.match(line):
            now = found[1]
            quantities[now] = number(found[2])
        elif found := BOUND.match(line):
            bounds.setdefault(now, []).append((found[1], found[2], number(found[3])))
    return Explained(
        lines=[(what, number(count), number(price), number(usd)) for what, count, _, price, usd in rows],
        together=number(said[1]),
        prices=re.findall(r"^  price (\S+):", head, re.MULTILINE),
        quantities=quantities,
        bounds=bounds,
        text=part,
    )


def write(project: Path, *names: str) -> None:
    """These specs, and no others."""
    for file in (project / "model_specs").glob("*.yaml"):
        file.unlink()
    for name in names:
        (project / "model_specs" / f"{name}.yaml").write_text(HEAD.format(name) + SPECS[name], encoding="utf-8")


@pytest.fixture
def texts(project: Path, deploy: Run) -> tuple[str, str]:
    """What `deploy plan` and `deploy plan --explain` print of all specs."""
    write(project, *SPECS)
    plan, explanation = deploy("plan"), deploy("plan", "--explain")
    assert plan.code == explanation.code == 0
    return plan.out, explanation.out


def cents(usd: Decimal) -> Decimal:
    return usd.quantize(D("0.01"), ROUND_HALF_UP)


# ------------------------------------------------------------------------------------------------------------ by hand
def test_each_line_is_quantity_times_price_and_they_add_up(texts: tuple[str, str], deploy: Run) -> None:
    plan, explanation = texts
    months = []
    for name in SPECS:
        told = explained(explanation, name)
        assert told.lines, name
        for what, quantity, price, usd in told.lines:
            assert cents(quantity * price) == usd, (name, what)
        assert sum(usd for *_, usd in told.lines) == told.together, name
        # each unit price is one that `deploy prices show` has
        known = {number(re.search(r"price +([\d.]+) USD", deploy("prices", "show", row).out)[1]) for row in told.prices}  # type: ignore[index]
        assert {price for _, _, price, _ in told.lines} <= known
        # the month of the plan, between its ends; each thing alone lies between them, too
        month = re.search(rf"\n{name}  .*?  a month +(\$\S+) +(\$\S+) +(\$\S+)\n", plan, re.DOTALL)
        assert month is not None
        low, expected, high = map(number, month.groups())
        assert low <= expected == told.together <= high
        alone = re.search(r"each alone: (.*?)\n  \S", told.text, re.DOTALL)
        for usd in re.findall(r"\$[\d.,]*\d", alone[1]) if alone else ():
            assert low <= number(usd) <= high, (name, usd)
        months.append(told.together)
    stack = re.search(r"\nthe stack itself .*?  together +(\$\S+)", explanation, re.DOTALL)
    total = re.search(r"  total a month +\S+ +(\$\S+)", plan)
    assert stack is not None
    assert total is not None
    assert sum(months) + number(stack[1]) == number(total[1])


def test_each_quantity_is_the_product_under_it(texts: tuple[str, str]) -> None:
    for name in SPECS:
        told = explained(texts[1], name)
        for what, quantity, _, _ in told.lines:
            assert told.quantities[what] == quantity
            kinds = {kind for kind, *_ in told.bounds[what]}
            assert kinds, (name, what)
            if what not in ("serving requests", "idle before scaling in", "cold starts") or "serverless" in told.text:
                assert "about" in kinds, (name, what)
        for what, bounds in told.bounds.items():
            for kind, figures, result in bounds:
                # a second of 730 hours, or the millionth to which quantities are rounded
                same = pytest.approx(float(result), rel=1e-6, abs=1e-6)
                assert calculated(figures) == same, (name, what, figures)
                quantity = float(told.quantities[what])
                if kind == "about":
                    slack = 0.005 if what == "cold starts" else 2e-6  # worker starts are printed whole
                    assert quantity == pytest.approx(float(result), rel=slack, abs=2e-4), (name, what)
                elif kind == "at least":
                    assert quantity >= float(result) * 0.98, (name, what)
                else:
                    assert quantity <= float(result) * 1.02, (name, what)


def erlang_b(places: int, load: float) -> float:
    terms = [load**n / math.factorial(n) for n in range(places + 1)]
    return terms[-1] / sum(terms)


def figure(told: Explained, what: str, at: int) -> float:
    """One of the figures of a product."""
    _, figures, _ = next(bound for bound in told.bounds[what] if bound[0] == "about")
    return float(number(re.split(r" [×÷] ", figures)[at].strip()))


def test_the_modelled_figures_from_textbooks(texts: tuple[str, str]) -> None:
    """M/G/1: the mean wait is ρ/(1 − ρ)·S·(1 + cv²)/2.

    Serverless: Erlang B of all slots, and of those that are provisioned.
    """
    told = {name: explained(texts[1], name) for name in SPECS}
    load = 30_000 / 86_400 * 1.1
    wait_s = load / (1 - load) * 1.1 * (1 + 0.5**2) / 2
    assert figure(told["one-instance"], "Lambda, waiting", 1) == pytest.approx(math.ceil((1.1 + wait_s) * 1000) / 1000)
    assert f"wait {wait_s:.6f}".rstrip("0") in told["one-instance"].text.replace("\n", " ")
    # 901,000 bytes of request and response are two units of 512 KB
    assert figure(told["one-instance"], "HTTP API", 1) == math.ceil(901_000 / 2**19) == 2
    throttled = erlang_b(6, 500_000 / 86_400)
    assert figure(told["at-its-cap"], "serving requests", 1) == pytest.approx(1 - throttled, abs=1e-9)
    assert f"{throttled * 100:.0f} % are refused at the cap" in told["at-its-cap"].text
    load = 50_000 / 86_400 * 0.8
    assert figure(told["provisioned"], "serving, provisioned", 1) == pytest.approx(1 - erlang_b(1, load), abs=1e-9)
    assert figure(told["provisioned"], "serving requests", 1) == pytest.approx(
        erlang_b(1, load) - erlang_b(20, load), abs=1e-9
    )
    # 50 of 168 hours
    assert figure(told["provisioned-by-day"], "provisioned slots", 0) == pytest.approx(2 * 50 / 168, abs=1e-9)
    assert figure(told["office"], "always on", 0) == pytest.approx(50 / 168, abs=1e-9)


def test_the_latency_of_a_queue_by_hand(texts: tuple[str, str]) -> None:
    """In the office hours 14,000 requests in 40 hours find one instance: M/M/1, exponential with mean S/(1 − ρ), of
    which p95 is ln 20 times as long. A second instance would come after 180 s of need: never."""
    load = 14_000 / (40 * 3600) * 1.8
    mean_s = 1.8 / (1 - load)
    found = re.search(r"p50 ([\d.]+) s, p95 ([\d.]+) s, p99 ([\d.]+) s, no request", explained(texts[1], "office").text)
    assert found is not None
    for said, share in zip(found.groups(), (0.5, 0.95, 0.99), strict=True):
        assert float(said) == pytest.approx(-mean_s * math.log(1 - share), rel=0.03, abs=0.05)


@pytest.mark.parametrize("name", ["one-instance", "from-zero", "office", "at-its-cap", "provisioned"])
def test_the_command_that_it_names_reproduces_the_month(texts: tuple[str, str], deploy: Run, name: str) -> None:
    told = explained(texts[1], name)
    named = re.search(r"by simulation: deploy (simulate .*)", told.text)
    assert named is not None
    seen = deploy(*named[1].split()).out
    total = re.search(r"  together .*?([\d.,]+) +([\d.,]+) +([\d.,]+) +[+−]", seen)
    assert total is not None
    simulated, half_width, closed = map(number, total.groups())
    assert closed == told.together
    assert abs(simulated - closed) <= half_width + simulated * D("0.01")


def test_a_month_that_is_simulated_is_the_commands_to_the_cent(project: Path, deploy: Run) -> None:
    write(project, "business-week")
    told = explained(deploy("plan", "--explain").out, "business-week")
    assert all(cents(quantity * price) == usd for _, quantity, price, usd in told.lines)
    assert sum(usd for *_, usd in told.lines) == told.together
    named = re.search(r"the same again: deploy (simulate business-week --seed \d+)", told.text)
    assert named is not None
    seen = deploy(*named[1].split()).out
    total = re.search(r"  together +([\d.,]+)", seen)
    assert total is not None
    assert abs(number(total[1]) - told.together) <= D("0.005") * (len(told.lines) + 1)
    for what, quantity, _, usd in told.lines:
        name = {"serving requests": "busy", "idle before scaling in": "idle"}.get(what, what)
        row = re.search(rf"^  {name} +([\d.,]+) \S.*?  ([\d.,]+) ", seen, re.MULTILINE)
        assert row is not None, (what, seen)
        assert number(row[2]) == pytest.approx(usd, abs=D("0.01")), what
        if what == "always on":
            assert number(row[1]) == quantity == 730
