"""A RunPod bill redone from what `deploy plan --explain` prints: a calculator, the spec, and the commands it names.

Nothing of the planner is called but the command. Every product and sum is multiplied and added again, every bound too;
what one assumption moves, and each end of the range, is another plan of the spec with that one thing written into it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from baseload.cli.main import main

D = Decimal
Spec = dict[str, Any]
Deploy = Callable[..., str]

SPECS = {
    "one-worker": """
        traffic: {requests_per_day: 3456, range: {low: 0.3, high: 2.5}}
        performance: {service_time: 2.75s, cold_start: 33s}
        target: {runpod: {gpu: ADA_24, workers: {max: 1}, idle_timeout: 12s}}
    """,
    "simulated": """
        traffic: {requests_per_day: 21000, curve: business-week, time_zone: Europe/Berlin, range: {low: 0.6, high: 1.7}}
        performance: {service_time: 4.4s, service_time_cv: 0.4, cold_start: 52s, concurrency: 3}
        target:
          runpod: {gpu: AMPERE_80, gpu_count: 2, mode: active, workers: {min: 1, max: 4}, idle_timeout: 20s,
                   active_discount: 0.2}
    """,
    "levels": """
        traffic: {requests_per_hour: 12, curve: office-hours, time_zone: Europe/Berlin}
        performance: {service_time: 20s, cold_start: 30s, concurrency: 8}
        target: {runpod: {gpu: HOPPER_141, gpu_count: 4, workers: {max: 2}, idle_timeout: 120s}}
    """,
    "nightly": """
        traffic: {batch: {jobs: 12345, at: "02:15", within: 3h}}
        performance: {service_time: 3.1s, cold_start: 70s, concurrency: 2}
        target: {runpod: {gpu: AMPERE_24, workers: {max: 5}, idle_timeout: 10s}}
    """,
}


@pytest.fixture
def deploy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Deploy:
    """The command in a new project; what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert main(arguments) == 0
        return capsys.readouterr().out

    run("init")
    for file in (tmp_path / "model_specs").glob("*.yaml"):
        file.unlink()
    return run


@pytest.fixture(params=SPECS)
def spec(request: pytest.FixtureRequest) -> Spec:
    """Its name is that of the case."""
    found: Spec = yaml.safe_load(SPECS[request.param])
    return {"name": request.param, "container": {"image": "registry.example/acme/worker:1.0"}, **found}


def plan(deploy: Deploy, spec: Spec) -> Spec:
    """What a program reads of the plan of a spec."""
    write(spec)
    document: Spec = json.loads(deploy("plan", "--json"))
    model: Spec = document["models"][0]
    return model


def write(spec: Spec, name: str = "spec") -> None:
    (Path("model_specs") / f"{name}.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")


def closed_form(deploy: Deploy, spec: Spec) -> tuple[Decimal, bool]:
    """The month by the formulas, and whether they are in doubt: with so many neighbours nothing is simulated."""
    for name in ("a", "b", "c"):
        always_on = {"gpu": "ADA_24", "mode": "active", "workers": {"min": 1, "max": 1}}
        neighbour = {"name": name, "container": {"image": "registry.example/acme/worker:1.0"}}
        write({**neighbour, "target": {"runpod": always_on}}, name)
    write(spec)
    document: Spec = json.loads(deploy("plan", "--json"))
    for name in ("a", "b", "c"):
        (Path("model_specs") / f"{name}.yaml").unlink()
    (model,) = [item for item in document["models"] if item["name"] == spec["name"]]
    assert model["simulation"] is None
    return D(model["monthly_usd"]["expected"]), "plan/in-doubt" in {item["code"] for item in document["diagnostics"]}


# ------------------------------------------------------------------------------------------------------ what is printed
@dataclass
class Printed:
    """What a reader sees of one model."""

    lines: dict[str, tuple[Decimal, Decimal, Decimal]]
    """Quantity, unit price and amount by what is billed."""
    together: Decimal
    price: str
    quantities: dict[str, Decimal]
    hours: dict[str, Decimal]
    bounds: list[tuple[str, str, str, Decimal]]
    """Of what, its kind, the figures, what comes out."""
    moves: dict[tuple[str, str], Decimal]
    """By assumption and step, dollars."""
    assumptions: dict[str, str]
    ends: dict[str, list[str]]
    open_percent: Decimal
    """What simulation or the formulas leave open."""
    alone: dict[str, Decimal]
    command: str


def amount(text: str) -> Decimal:
    return D(text.replace("$", "").replace(",", "").replace("−", "-").replace("+", ""))


def items(text: str) -> Iterator[tuple[int, str]]:
    """Indent and text of each item; a line that is indented by two more than the item before continues it."""
    starts = re.compile(r"source: |errs: |method: |at least |at most |about |each alone: |.*: [+−]\$[\d,.]+ a month$")
    current: tuple[int, str] | None = None
    for line in text.splitlines():
        indent, said = len(line) - len(line.lstrip()), line.strip()
        if current is not None and said and indent == current[0] + 2 and not starts.match(said):
            current = current[0], f"{current[1]} {said}"
            continue
        if current is not None:
            yield current
        current = (indent, said) if said else None
    if current is not None:
        yield current


def read(text: str) -> Printed:
    found = Printed({}, D(0), "", {}, {}, [], {}, {}, {"low": [], "high": []}, D(0), {}, "")
    what = assumption = ""
    for indent, said in items(text):
        if line := re.fullmatch(r"(.+?)  +([\d,]+)  +([\d.]+)  +(\$[\d,.]+)", said):
            found.lines[line[1]] = amount(line[2]), D(line[3]), amount(line[4])
        elif line := re.fullmatch(r"together  +(\$[\d,.]+)", said):
            found.together = amount(line[1])
        elif line := re.match(r"price (\S+): ", said):
            found.price = line[1]
        elif said.startswith("range: "):
            if line := re.search(r", (?:closed form|simulation) ([\d.]+) % either way", said):
                found.open_percent = D(line[1])
            for end in found.ends:
                if line := re.search(rf"{end} at (.+?)(?:, high|, closed form|, simulation|$)", said):
                    found.ends[end] = line[1].split(" and ")
        elif said.startswith("each alone: "):
            for each in said.removeprefix("each alone: ").split("; "):
                name, _, usd = each.rpartition(" ")
                found.alone[name] = amount(usd)
        elif line := re.fullmatch(r"(.+): ([\d,]+) GPU-seconds, ([\d,.]+) hours", said):
            what = line[1]
            found.quantities[what], found.hours[what] = amount(line[2]), amount(line[3])
        elif line := re.fullmatch(r"(at least|at most|about) (.+) = ([\d,.×÷− ]+) = ([\d,.]+)", said):
            found.bounds.append((what, line[1], line[3], amount(line[4])))
        elif line := re.search(r"(deploy simulate \S+(?: --seed \d+)?)", said):
            found.command = line[1]
        elif line := re.fullmatch(r"(.+): ([+−]\$[\d,.]+) a month", said):
            found.moves[assumption if indent == 6 else "", line[1]] = amount(line[2])
        elif indent == 4 and ": " in said:
            assumption, _, value = said.partition(": ")
            found.assumptions[assumption] = value
    return found


def calculated(figures: str) -> Decimal:
    """Products and quotients before differences, as a calculator does it."""
    parts = []
    for part in figures.replace(",", "").split("−"):
        numbers = re.findall(r"([×÷]?) *([\d.]+)", part)
        value = D(1)
        for sign, number in numbers:
            value = value / D(number) if sign == "÷" else value * D(number)
        parts.append(value)
    return parts[0] - sum(parts[1:], D(0))


def cents(usd: Decimal) -> Decimal:
    return usd.quantize(D("0.01"), ROUND_HALF_UP)


# ----------------------------------------------------------------------------------------------- one thing of the spec
def scaled(spec: Spec, factor: Decimal) -> None:
    traffic = spec["traffic"]
    for key in ("requests_per_day", "requests_per_hour"):
        if key in traffic:
            traffic[key] = float(D(str(traffic[key])) * factor)
    if "batch" in traffic:
        traffic["batch"]["jobs"] = int((traffic["batch"]["jobs"] * factor).quantize(D(1), ROUND_HALF_UP))


def changed(spec: Spec, assumption: str, step: str) -> Spec | None:
    """The spec with one assumption as the step says; None where it is no key of a spec."""
    other: Spec = yaml.safe_load(yaml.safe_dump(spec))
    performance, target = other["performance"], other["target"]["runpod"]
    match assumption, step:
        case "arrivals", "10 % more":
            scaled(other, D("1.1"))
        case "active share", "20 %":
            other["traffic"]["active_share"] = 0.2
        case "service time" | "cold start", "10 % more":
            key = assumption.replace(" ", "_")
            performance[key] = f"{D(performance[key].removesuffix('s')) * D('1.1')}s"
        case "service time cv", "10 % more":
            performance["service_time_cv"] = float(D(str(performance.get("service_time_cv", 1))) * D("1.1"))
        case "concurrency", "1 fewer":
            performance["concurrency"] -= 1
        case "idle timeout", _:
            target["idle_timeout"] = f"{int(target['idle_timeout'].removesuffix('s')) + int(step.split()[0])}s"
        case "start rule", "10 % later":
            target["scaling"] = {"queue_delay": "4.4s"}
        case _:
            return None
    return other


def with_factors(spec: Spec, factors: list[str]) -> Spec:
    """`rate 0.6 times`, `cv 2`, `active share 0.2` written into the spec."""
    other: Spec = yaml.safe_load(yaml.safe_dump(spec))
    for factor in factors:
        name, value = re.fullmatch(r"(.+?) ([\d.]+)(?: times)?", factor).groups()  # type: ignore[union-attr]
        if name == "rate":
            scaled(other, D(value))
        else:
            other["traffic"][name.replace(" ", "_")] = float(value)
    return other


# -------------------------------------------------------------------------------------------------------------- by hand
def test_every_line_of_an_explanation_by_hand(deploy: Deploy, spec: Spec) -> None:
    model = plan(deploy, spec)
    found = read(deploy("plan", "--explain"))
    usd = D(json.loads(deploy("prices", "show", found.price, "--json"))["price"]["usd"])

    # The bill: quantity × price, to the cent; the lines add up.
    assert found.lines
    for quantity, unit_usd, line_usd in found.lines.values():
        assert line_usd == cents(quantity * unit_usd)
        assert unit_usd in (usd, usd * (1 - D(str(spec["target"]["runpod"].get("active_discount", 0)))))
    assert found.together == sum(line_usd for *_, line_usd in found.lines.values())
    assert found.together == D(model["monthly_usd"]["expected"])

    # The quantities: those of the bill and their sum; hours are 3,600 s; within bounds that come out as printed.
    together_s = sum((quantity for quantity, *_ in found.lines.values()), D(0))
    wanted = {what: quantity for what, (quantity, *_) in found.lines.items()} | {"all workers": together_s}
    assert found.quantities == wanted
    assert {what for what, *_ in found.bounds} == wanted.keys()
    for what, quantity in wanted.items():
        assert found.hours[what] == (quantity / 3600).quantize(D("0.1"), ROUND_HALF_UP)
    for what, kind, figures, out in found.bounds:
        assert abs(calculated(figures) - out) <= D("0.5"), figures
        slack = 1 + (found.open_percent or D(2)) / 100
        assert {
            "at least": wanted[what] * slack + 10 >= out,
            "at most": wanted[what] <= out * slack + 10,
            "about": out / slack - 100 <= wanted[what] <= out * slack + 100,
        }[kind], (what, figures)

    # What one assumption moves: another plan. Of a simulated month the closed form's change × what it says.
    always_usd = found.lines.get("always on", (D(0), D(0), D(0)))[2]
    formula_usd, _ = closed_form(deploy, spec)
    said = found.assumptions.get("other months")
    moves = D(said.split()[3]) if said is not None else D(1)
    if said is not None:
        by_hand = (found.together - always_usd) / (formula_usd - always_usd)
        assert moves == by_hand.quantize(D("0.0001"), ROUND_HALF_UP)
    redone = set()
    for (assumption, step), move in found.moves.items():
        if step == "price 10 % more":
            dearer = sum(cents(quantity * unit_usd * D("1.1")) for quantity, unit_usd, _ in found.lines.values())
            assert move == dearer - found.together
        elif assumption == "active discount":
            assert move == cents(found.lines["always on"][0] * usd) - always_usd
        elif assumption == "cold start billed":
            (figures,) = [text for what, kind, text, _ in found.bounds if (what, kind) == ("cold starts", "about")]
            starts, _, gpus = (amount(text) for text in figures.split(" × "))
            cold_s = D(spec["performance"]["cold_start"].removesuffix("s"))
            assert move == -cents(starts * cold_s * gpus * usd)
        elif assumption == "dispatch":  # no key of a spec: the command has it
            assert found.together + move == pytest.approx(dispatched(deploy, spec, step), rel=D("0.15"))
        else:
            other = changed(spec, assumption or step.rpartition(" 20")[0], step if assumption else "20 %")
            assert other is not None, (assumption, step)
            after_usd, _ = closed_form(deploy, other)
            assert move == cents((after_usd - formula_usd) * moves), (assumption, step)
        redone.add(assumption or step)
    assert {"arrivals", "service time", "cold start billed", "price 10 % more"} <= redone

    # The range: the bills with the named factors in the spec, and what the method leaves open, at most all workers on.
    if model["simulation"]:
        open_usd = found.open_percent / 100 * found.together
    else:
        open_usd = found.open_percent / 100 * (found.together - always_usd)
    share = open_usd / found.together
    (most_s,) = [out for what, kind, _, out in found.bounds if (what, kind) == ("all workers", "at most")]
    most_usd = cents(most_s * usd)
    for end, sign in (("low", -1), ("high", 1)):
        if any(factor.startswith("dispatch ") for factor in found.ends[end]):
            continue  # each alone, below
        month = month_with(deploy, spec, found.ends[end], model, moves, always_usd)
        by_hand = min(cents(month * (1 + sign * share)), max(most_usd, month))
        assert D(model["monthly_usd"][end]) == pytest.approx(by_hand, abs=D("0.02")), (end, found.ends[end])
    for factor, alone_usd in found.alone.items():
        if factor.startswith(("closed form", "simulation")):
            assert abs(alone_usd - found.together) <= open_usd + D("0.02")
            continue
        if factor.startswith("dispatch "):
            assert alone_usd == pytest.approx(dispatched(deploy, spec, factor.split()[1]), rel=D("0.15"))
            continue
        month = month_with(deploy, spec, [factor], model, moves, always_usd)
        assert alone_usd == pytest.approx(month, abs=D("0.02")), factor


def month_with(
    deploy: Deploy, spec: Spec, factors: list[str], model: Spec, moves: Decimal, always_usd: Decimal
) -> Decimal:
    """The month with these factors; moved like the expected one where both are simulated."""
    if not factors:
        return D(model["monthly_usd"]["expected"])
    month, in_doubt = closed_form(deploy, with_factors(spec, factors))
    return cents(always_usd + (month - always_usd) * moves) if model["simulation"] and in_doubt else month


def dispatched(deploy: Deploy, spec: Spec, rule: str) -> Decimal:
    """The month where another warm worker gets the request, as `deploy simulate` has it."""
    write(spec)
    document: Spec = json.loads(deploy("simulate", "--dispatch", rule, "--requests", "20000", "--json"))
    return D(str(document["models"][0]["bill"]["total"]["usd"]["simulated"]))


def test_the_command_that_is_named_gives_the_month(deploy: Deploy, spec: Spec) -> None:
    model = plan(deploy, spec)
    found = read(deploy("plan", "--explain"))
    assert found.command
    out = deploy(*found.command.split()[1:])
    row = re.search(r"together +[\d,.]+ +([\d,.]+) +([\d,.]+) +([\d,.]+)", out)
    assert row is not None
    simulated, half_width, formula = map(amount, row.groups())
    assert formula == closed_form(deploy, spec)[0]
    if model["simulation"]:
        assert simulated == found.together
    else:
        assert abs(simulated - found.together) <= max(2 * half_width, found.together * D("0.03"))
