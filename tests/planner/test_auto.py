"""`target: auto`: what is chosen, why, and that a recorded choice is the target until another is asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from baseload.planner.auto import choose, remarks
from baseload.planner.compare import compare
from baseload.planner.cost import SEED, cost_of
from baseload.planner.deployed import not_deployed
from baseload.planner.errors import UsageError
from baseload.planner.prices import bundled
from baseload.planner.spec import load
from baseload.planner.spec.choices import (
    FILE,
    Choice,
    parse_choices,
    read_choices,
    resolved,
    with_choices,
    write_choices,
)
from baseload.planner.spec.model import (
    Auto,
    Container,
    Limits,
    Model,
    ModelSpec,
    Performance,
    Requires,
    RunpodTarget,
    ServiceLevel,
    Tokens,
    Traffic,
)

D = Decimal
BOOK = bundled()
TODAY = date(2026, 11, 22)
MISTRAL = Model(id="mistralai/Mistral-7B-Instruct-v0.3", parameters=D("7.25e9"), max_context=8192)


def spec(**changes: Any) -> ModelSpec:
    made = ModelSpec(
        name="m",
        file=Path("m.yaml"),
        serves=MISTRAL,
        traffic=Traffic(requests_per_day=D(1000), tokens=Tokens(prompt=D(512), output=D(128))),
        performance=Performance(cold_start_s=D(25)),
        limits=Limits(),
        target=Auto(),
        digest="sha256:0",
    )
    return replace(made, **changes)


def on(choice: Choice, given: ModelSpec) -> ModelSpec:
    return resolved(given, {given.name: choice})


def test_the_smallest_bill_of_what_is_deployed_is_chosen() -> None:
    choice = choose(spec(), BOOK, TODAY)
    settled = on(choice, spec())
    best = compare(spec(), BOOK).best_deployable
    assert best is not None
    assert (settled.runpod.gpu, settled.runpod.mode) == (best.gpu, best.mode)
    assert choice.because.startswith(f"{best.monthly_usd.expected} USD")
    assert "is the smallest expected month" in choice.because
    assert cost_of(settled, BOOK, SEED).monthly_usd.expected == best.monthly_usd.expected
    assert ("simulated, ±" in choice.because) is (best.simulation is not None)
    assert settled.auto == Auto()
    assert settled.digest != spec().digest
    # A pool that the spec leaves out is not chosen, even where it is the cheapest
    other = on(choose(spec(target=Auto(gpus=("ADA_24", "ADA_80_PRO"))), BOOK, TODAY), spec())
    assert other.runpod.gpu == "ADA_24" != best.gpu


def test_what_breaks_the_spec_is_not_chosen() -> None:
    steady = on(choose(spec(service_level=ServiceLevel(p95_s=D(20))), BOOK, TODAY), spec())
    assert steady.runpod.mode == "active"
    warm = on(choose(spec(service_level=ServiceLevel(cold_starts=False)), BOOK, TODAY), spec()).runpod
    assert warm.workers_min == warm.workers_max >= 1
    with pytest.raises(UsageError) as told:
        choose(spec(service_level=ServiceLevel(p95_s=D("0.5"))), BOOK, TODAY)
    (item,) = told.value.diagnostics
    assert item.code == "auto/none"
    assert "the service alone takes" in item.summary
    with pytest.raises(UsageError, match=r"limits\.monthly_usd"):
        choose(spec(limits=Limits(monthly_usd=D(1))), BOOK, TODAY)
    with pytest.raises(UsageError, match="data_centers"):
        choose(spec(requires=Requires(residency=("eu",))), BOOK, TODAY)
    with pytest.raises(UsageError, match="how fast a container is"):
        choose(spec(serves=Container(image="i"), performance=Performance(service_time_s=D(2))), BOOK, TODAY)
    with pytest.raises(UsageError, match="RunPod serverless only"):
        choose(spec(target=Auto(targets=("modal",))), BOOK, TODAY)


def test_no_traffic_and_too_much_of_it_are_answered() -> None:
    for rate in (D(0), D(10**9)):
        given = spec(traffic=Traffic(requests_per_day=rate, tokens=Tokens(prompt=D(512), output=D(128))))
        if rate:
            with pytest.raises(UsageError, match="nothing to choose"):
                choose(given, BOOK, TODAY)
        else:
            assert cost_of(on(choose(given, BOOK, TODAY), given), BOOK).monthly_usd.expected == 0


def test_a_kept_choice_says_when_it_no_longer_fits() -> None:
    choice = choose(spec(), BOOK, TODAY)
    (kept,) = remarks(on(choice, spec()), choice, BOOK, made_now=False)
    assert kept.code == "auto/choice"
    assert "kept from 2026-11-22" in kept.summary
    tight = spec(service_level=ServiceLevel(cold_starts=False))
    told = remarks(on(choice, tight), choice, BOOK, made_now=False)
    assert [item.code for item in told] == ["auto/choice", "auto/unfit"]
    assert "wait for a worker to start" in told[1].summary
    assert "--reconsider" in (told[1].hint or "")


TEXT = """\
name: m
model: {id: mistralai/Mistral-7B-Instruct-v0.3, parameters: 7.25B, max_context: 8192}
traffic: {requests_per_day: 1000, tokens: {in: 512, out: 128}}
target: %s
"""


def test_a_recorded_choice_is_read_with_the_specs(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(TEXT % "auto", encoding="utf-8")
    (bare,) = with_choices(load([file]))
    told = not_deployed(bare)
    assert told is not None
    assert told.code == "auto/no-choice"
    choice = choose(bare, BOOK, TODAY)
    write_choices(tmp_path, {"m": choice, "gone": choice})
    assert read_choices(tmp_path) == {"m": choice, "gone": choice}
    (settled,) = with_choices(load([file]))
    assert isinstance(settled.target, RunpodTarget)
    assert not_deployed(settled) is None
    # As if the spec said so itself
    file.write_text(TEXT % str(dict(choice.target)).replace("'", '"'), encoding="utf-8")
    (written,) = load([file])
    assert written.target == settled.target
    assert cost_of(written, BOOK).monthly_usd == cost_of(settled, BOOK).monthly_usd


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": "baseload.choices/2", "choices": {}}',
        '{"schema": "baseload.choices/1", "choices": []}',
        '{"schema": "baseload.choices/1", "choices": {"m": {"target": {}, "chosen_on": "2026-11-22", "because": ""}}}',
        '{"schema": "baseload.choices/1", "choices": {"m": {"target": {"runpod": {"gpu": "ADA_24", "mode": "fast"}}, '
        '"chosen_on": "2026-11-22", "because": ""}}}',
    ],
)
def test_a_file_that_is_no_record_of_choices_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as told:
        parse_choices(Path(FILE), text)
    assert told.value.diagnostics[0].code == "auto/file"
