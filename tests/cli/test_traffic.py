"""`deploy traffic show`: what people read, and what `--write` leaves of a file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from baseload.planner.spec import load

Golden = Callable[[str, str], None]
Run = Callable[..., Any]

HEAD = """\
# our office model
name: office
container: {image: registry.example/acme/worker:1.0}  # pinned
"""
TAIL = """\

# measured in May
performance: {service_time: 1.8s, cold_start: 25s}
target: {runpod: {gpu: ADA_24}}
"""
OFFICE = """\
traffic:
  requests_per_day: 1000  # from sales
  curve: business-week
  time_zone: Europe/Berlin
  tokens: {in: 500, out: 100}
  active_share: 0.5
  growth: 10%/month
"""
NIGHT = "traffic: {batch: {jobs: 20000, at: 02:00, within: 2h}}\n"


@pytest.fixture
def office(project: Path) -> Path:
    """The spec of the office, the only one of a project."""
    for file in (project / "model_specs").glob("*.yaml"):
        file.unlink()
    file = project / "model_specs" / "office.yaml"
    file.write_text(HEAD + OFFICE + TAIL, encoding="utf-8")
    return file


@pytest.mark.parametrize("width", ["60", "100"])
def test_a_curve_as_people_see_it(
    width: str, office: Path, deploy: Run, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    result = deploy("traffic", "show")
    assert result.code == 0
    assert max(map(len, result.out.splitlines())) <= int(width)
    golden(f"traffic-{width}", result.out)


def test_a_batch_as_people_see_it(office: Path, deploy: Run, golden: Golden) -> None:
    office.write_text(HEAD + NIGHT + TAIL, encoding="utf-8")
    golden("traffic-batch", deploy("traffic", "show", "office").out)
    planned = " ".join(deploy("plan").out.split())
    assert (
        "batch: 20,000 requests done in 200 min 30 s on 3 workers; within 120 min 6 workers would do, at $" in planned
    )


def test_growth_stands_in_the_plan(office: Path, deploy: Run) -> None:
    rows = [line.split() for line in deploy("plan").out.splitlines()]
    assert [row[:2] for row in rows if row[:1] == ["month"]] == [["month", "6"], ["month", "12"]]


def test_the_document(office: Path, deploy: Run) -> None:
    document = deploy("traffic", "show", "--json").json
    assert document["schema"] == "baseload.traffic/1"
    (model,) = document["models"]
    assert model["requests_per_day"] == 1000
    assert len(model["requests_per_hour_of_week"]) == 168
    assert sum(model["requests_per_hour_of_week"]) == pytest.approx(7000, rel=1e-4)
    assert model["busiest_hour"] == "Mon 09:00"
    assert model["log"] is None


def test_write_replaces_the_section_and_nothing_else(office: Path, deploy: Run) -> None:
    before = load([office])[0]
    assert deploy("traffic", "show", "office", "--write", str(office)).code == 0
    text = office.read_text(encoding="utf-8")
    assert text.startswith(HEAD + "traffic:\n  hourly: [\n")
    assert text.endswith(TAIL)
    after = load([office])[0]
    assert after.traffic is not None
    assert before.traffic is not None
    assert float(after.traffic.requests_per_day or 0) == pytest.approx(1000, rel=1e-3)
    assert after.traffic.active_share == before.traffic.active_share
    assert after.traffic.growth_per_month == before.traffic.growth_per_month
    # again: the same
    assert deploy("traffic", "show", "office", "--write", str(office)).code == 0
    assert office.read_text(encoding="utf-8") == text


def test_write_keeps_the_line_ends_of_the_file(office: Path, deploy: Run) -> None:
    office.write_bytes((HEAD + OFFICE + TAIL).replace("\n", "\r\n").encode())
    assert deploy("traffic", "show", "office", "--write", str(office)).code == 0
    written = office.read_bytes()
    assert b"hourly" in written
    assert written.count(b"\n") == written.count(b"\r\n")


def test_write_to_a_dash_prints_the_section(office: Path, deploy: Run) -> None:
    office.write_text(HEAD + NIGHT + TAIL, encoding="utf-8")
    result = deploy("traffic", "show", "--write", "-")
    assert result.out == "traffic:\n  batch: {jobs: 20000, at: 02:00, within: 7200s}\n"


def test_write_adds_a_section_where_there_is_none(office: Path, deploy: Run) -> None:
    other = office.with_name("other.yaml")
    other.write_text((HEAD + TAIL).replace("name: office", "name: other").rstrip("\n"), encoding="utf-8")
    assert deploy("traffic", "show", "office", "--write", str(other)).code == 0
    assert load([other])[0].traffic is not None
    assert "# measured in May" in other.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{name: office, container: {image: a/b:1}, target: {runpod: {gpu: ADA_24}}}\n", "traffic/form"),
        ("name: office\n", "spec/missing-key"),
        ("[1]\n", "spec/yaml"),
        ("a: [\n", "spec/yaml"),
    ],
)
def test_write_leaves_a_file_alone_that_it_would_spoil(text: str, code: str, office: Path, deploy: Run) -> None:
    other = office.parent.parent / "other.yaml"
    other.write_text(text, encoding="utf-8")
    result = deploy("traffic", "show", "office", "--write", str(other), "--json")
    assert result.error == code
    assert other.read_text(encoding="utf-8") == text


def test_what_is_asked_for_must_be_there(office: Path, deploy: Run) -> None:
    assert deploy("traffic", "show", "nobody", "--json").error == "traffic/which"
    office.with_name("night.yaml").write_text((HEAD + NIGHT + TAIL).replace("name: office", "name: night"), "utf-8")
    assert deploy("traffic", "show", "--write", "-", "--json").error == "traffic/which"
    office.with_name("night.yaml").unlink()
    office.write_text(HEAD + TAIL, encoding="utf-8")
    assert deploy("traffic", "show", "--json").error == "traffic/none"


def test_a_log_as_people_see_it(office: Path, deploy: Run, golden: Golden) -> None:
    pytest.importorskip("duckdb", reason="DuckDB is not installed (the extra baseload[logs])")
    start = datetime(2026, 9, 7, tzinfo=UTC)
    hours = [60 if 8 <= hour % 24 < 18 and hour // 24 < 5 else 2 for hour in range(140)]
    times = [
        start + timedelta(hours=hour, seconds=3600 * (at + 0.5 * (at % 3 == 0)) / count)
        for hour, count in enumerate(hours)
        for at in range(count)
    ]
    rows = [f"{time.isoformat()},{100 + at % 9},{at % 40},1.5" for at, time in enumerate(times)]
    log = office.parent / "log.csv"
    log.write_text("\n".join(["when,tokens_in,tokens_out,duration", *rows, "oops"]), encoding="utf-8")
    office.write_text(f"{HEAD}traffic: {{log: {{file: log.csv, columns: {{time: when}}}}}}\n{TAIL}", encoding="utf-8")

    shown, written, planned = deploy("traffic", "show"), deploy("traffic", "show", "--write", "-"), deploy("plan")

    assert planned.code == 0
    golden("traffic-log", "\n".join([shown.out, shown.err, written.out]))


def test_without_duckdb_a_log_says_what_to_install(office: Path, deploy: Run) -> None:
    try:
        import duckdb  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("DuckDB is installed")
    (office.parent / "log.csv").write_text("time\n1\n", encoding="utf-8")
    office.write_text(f"{HEAD}traffic: {{log: {{file: log.csv}}}}\n{TAIL}", encoding="utf-8")
    assert deploy("plan", "--json").error == "traffic/duckdb"


def test_a_plan_of_plain_traffic_imports_nothing_for_it(office: Path) -> None:
    code = (
        "import sys; from baseload.cli.main import main; main(['plan']); "
        "print([name for name in ('duckdb', 'numpy', 'zoneinfo', 'gzip', 'csv') if name in sys.modules])"
    )
    office.write_text(HEAD + OFFICE.replace("  time_zone: Europe/Berlin\n", "") + TAIL, encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['csv']"  # of the price book
