"""The price book: what every row must hold, and what a bad one is answered with."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from baseload.planner.errors import UsageError
from baseload.planner.performance.gpus import POOLS
from baseload.planner.prices import CONFIDENCES, SECONDS, UNITS, PriceBook, book, bundled, read, with_negotiated
from baseload.planner.prices.remarks import remarks
from baseload.planner.prices.table import COLUMNS, REQUIRED, write_table

NAMES = ("provider", "product", "gpu", "unit", "usd", "read", "withdrawn", "confidence", "source", "note")
GOOD = "runpod,serverless,ADA_24,gpu-second,0.00031,2026-08-20,,read,example.org,"


def write(folder: Path, *rows: str, names: tuple[str, ...] = NAMES, name: str = "book") -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.csv"
    file.write_text("\n".join([",".join(names), *rows]) + "\n", encoding="utf-8")
    return file


# ----------------------------------------------------------------------------------------------------- what is in it
def test_each_gpu_pool_has_one_row_that_holds_and_no_other_pool_has_one() -> None:
    rows = [row for row in bundled().of("runpod") if row.product == "serverless" and row.withdrawn is None]
    assert sorted(row.gpu for row in rows) == sorted(POOLS)


def test_pods_are_rented_by_the_names_runpod_gives_cards() -> None:
    # B300 is in no serverless pool; every other pod's card is.
    known = {kind for pool in POOLS.values() for kind in pool.types} | {"NVIDIA B300 SXM6 AC"}
    assert {row.gpu for row in bundled().of("runpod") if row.product == "pod"} <= known


@pytest.mark.parametrize("name", ["bundled", "seed-s1", "seed-s2"])
def test_every_row_is_sourced_dated_and_of_a_known_kind(name: str) -> None:
    for row in book(name).rows():
        assert row.source
        assert row.unit in UNITS, row.id
        assert row.confidence in CONFIDENCES, row.id
        assert date(2020, 1, 1) <= row.read <= date(2027, 1, 1), row.id
        assert row.withdrawn is None or row.withdrawn > row.read, row.id
        assert (row.usd is None) == (row.confidence == "unknown"), row.id
        assert row.usd is None or row.usd > 0, row.id


def test_every_gpu_hour_is_plausible_and_names_its_card() -> None:
    priced = 0
    for row in bundled().rows():
        hourly = row.usd_per_hour
        if hourly is None or not row.count:
            continue
        assert row.unit.startswith(("gpu-", "instance-")), row.id
        gpus = 1 if row.unit.startswith("gpu-") else row.count
        assert Decimal("0.20") < hourly / gpus < Decimal(21), row.id
        assert row.card or row.provider == "runpod", row.id  # a pool may hold several kinds of cards
        assert row.max_age_days is not None or row.withdrawn, row.id
        priced += 1
    assert priced > 150


def test_ids_are_unique_in_the_whole_book_and_each_finds_its_row() -> None:
    rows = [row for row in bundled().rows() if row.withdrawn is None]
    assert len({row.id for row in rows}) == len(rows)
    assert all(bundled().get(row.id) is row for row in rows)


PRINTED = {
    # Both figures stand in the sources: a second and an hour, a page and an API. One is kept, the other must follow.
    "runpod/serverless/AMPERE_16": "0.576",
    "runpod/serverless/ADA_24": "1.116",
    "runpod/serverless/AMPERE_80": "2.736",
    "runpod/serverless/ADA_80_PRO": "4.176",
    "runpod/serverless/BLACKWELL_180": "8.640",
    "replicate/deployment/gpu-t4": "0.81",
    "replicate/deployment/gpu-h100": "5.49",
    "replicate/deployment/gpu-a100-large-8x": "40.32",
    "cerebrium/serverless/HOPPER_H100": "3.3984",
    "beam/serverless/RTX4090": "0.6912",
    "beam/serverless/H100": "3.4992",
    "aws/sagemaker-serverless/6144MB@us-east-1": "0.432",
    "aws/sagemaker-serverless/1024MB@us-east-1": "0.072",
}


@pytest.mark.parametrize(("row_id", "hourly"), PRINTED.items())
def test_seconds_and_hours_agree(row_id: str, hourly: str) -> None:
    row = bundled().get(row_id)
    assert row is not None
    assert row.usd_per_hour == Decimal(hourly)


def test_modal_s_hours_are_the_seconds_of_its_page() -> None:
    seconds = {
        "T4": "0.000164",
        "L4": "0.000222",
        "A10": "0.000306",
        "L40S": "0.000542",
        "A100-40GB": "0.000583",
        "A100-80GB": "0.000694",
        "RTX-PRO-6000": "0.000842",
        "H100": "0.001097",
        "H200": "0.001261",
        "B200": "0.001736",
        "B300": "0.001972",
    }
    rows = {row.gpu: row for row in bundled().of("modal") if row.product == "serverless" and row.count}
    assert rows.keys() == seconds.keys()
    for gpu, printed in seconds.items():
        row = rows[gpu]
        assert row.usd is not None
        assert (row.usd / SECONDS[row.unit]).quantize(Decimal("0.000001")) == Decimal(printed)


def test_what_an_hour_costs_whatever_the_unit(tmp_path: Path) -> None:
    mine = GOOD.replace("runpod", "mine")
    rows = read(write(tmp_path, *(mine.replace("gpu-second", unit).replace("ADA_24", unit) for unit in UNITS)))
    hourly = {row.unit: row.usd_per_hour for row in rows}
    assert hourly["gpu-second"] == Decimal("1.116")  # 0.00031 × 3600
    assert hourly["gpu-minute"] == Decimal("0.0186")  # 0.00031 × 60
    assert hourly["gpu-hour"] == hourly["instance-hour"] == Decimal("0.00031")
    assert hourly["million-tokens"] is hourly["month"] is None


# ----------------------------------------------------------------------------------------------------------- finding
def test_a_price_nobody_publishes_is_unknown_and_not_zero() -> None:
    row = bundled().find("runpod", "serverless", "ADA_32_PRO")
    assert row is not None
    assert row.usd is None
    assert bundled().find("runpod", "serverless", "NOPE") is None
    assert bundled().find("nobody", "serverless", "ADA_24") is None


def test_a_withdrawn_price_is_listed_and_never_found() -> None:
    assert any(row.product == "serverless-active" for row in bundled().rows())
    assert bundled().find("runpod", "serverless-active", "ADA_24") is None


def test_regions_and_tiers_tell_prices_apart() -> None:
    paris = bundled().find("aws", "sagemaker-realtime", "ml.g4dn.xlarge", region="eu-west-3")
    virginia = bundled().find("aws", "sagemaker-realtime", "ml.g4dn.xlarge", region="us-east-1")
    assert (paris and paris.usd, virginia and virginia.usd) == (Decimal("0.861"), Decimal("0.7364"))
    assert bundled().find("aws", "sagemaker-realtime", "ml.g4dn.xlarge", region="mars-1") is None
    community = bundled().find("runpod", "pod", "NVIDIA H100 80GB HBM3", tier="community")
    assert community is not None
    assert community.usd == Decimal("2.69")
    steps = bundled().tiers("aws", "lambda", "x86_64", region="us-east-1")
    assert [row.starts_at for row in steps] == [0, 6_000_000_000, 15_000_000_000]
    assert [row.usd for row in steps] == sorted((row.usd for row in steps if row.usd), reverse=True)


def test_only_the_files_that_are_asked_for_are_read() -> None:
    opened: list[str] = []

    def shelf(provider: str) -> list[object]:
        opened.append(provider)
        return []

    lazy = PriceBook("lazy", files={name: lambda name=name: shelf(name) for name in ("aws", "modal")})  # type: ignore[misc]
    assert lazy.find("modal", "serverless", "H100") is None
    assert opened == ["modal"]


def test_what_is_listed() -> None:
    document = bundled().to_json()
    assert (document["schema"], document["book"], document["currency"]) == ("baseload.prices/1", "bundled", "USD")
    rows = document["prices"]
    assert isinstance(rows, list)
    assert len(rows) == len(bundled().rows())
    (row,) = [row for row in rows if row["id"] == "runpod/serverless/BLACKWELL_180"]
    assert row == {
        "id": "runpod/serverless/BLACKWELL_180",
        "provider": "runpod",
        "product": "serverless",
        "gpu": "BLACKWELL_180",
        "card": "B200",
        "count": 1,
        "region": None,
        "tier": None,
        "unit": "gpu-second",
        "usd": "0.00240",
        "usd_per_hour": "8.64",
        "includes": ["cpu", "memory"],
        "increment_s": "1",
        "keep_warm_s": 5,
        "always_on": False,
        "bills_cold_start": True,
        "read": "2026-08-20",
        "withdrawn": None,
        "max_age_days": 120,
        "confidence": "read",
        "source": "docs.runpod.io/serverless/pricing",
        "note": "table of 2026-06-08",
    }


# --------------------------------------------------------------------------------------------------------------- age
def test_a_price_is_old_after_its_source_s_age_and_not_on_the_day() -> None:
    row = bundled().get("runpod/serverless/ADA_24")
    assert row is not None
    last_good_day = row.read + timedelta(days=120)
    assert not row.is_old(last_good_day)
    assert row.is_old(last_good_day + timedelta(days=1))
    assert row.is_old(row.read + timedelta(days=31), max_age_days=30)


def test_what_a_fresh_install_deploys_does_not_warn() -> None:
    today = date(2026, 11, 22)
    serverless = [row for row in bundled().of("runpod") if row.product == "serverless"]
    assert not any(row.is_old(today) for row in serverless)
    old = {f"{row.provider}/{row.product}" for row in bundled().rows() if row.is_old(today)}
    # Those that are known to have moved since, and those without a day.
    assert old == {"runpod/pod", "lambda-cloud/vm", "aws/sagemaker-realtime", "beam/on-demand", "beam/plan"}


# ------------------------------------------------------------------------------------------------- a user's own prices
MINE = ("provider", "product", "gpu", "unit", "usd", "read", "source")


def test_negotiated_prices_lie_over_the_bundled_ones(tmp_path: Path) -> None:
    write(tmp_path / "prices", "runpod,serverless,ADA_24,gpu-second,0.00025,2026-11-01,contract 4711", names=MINE)
    write(tmp_path / "prices", "premai,contract,any,month,5000,2026-11-01,offer", names=MINE, name="premai")
    mine = with_negotiated(bundled(), tmp_path)
    assert mine.name == "bundled+prices"
    ours, theirs = mine.find("runpod", "serverless", "ADA_24"), mine.find("runpod", "serverless", "AMPERE_24")
    assert (ours and ours.usd, theirs and theirs.usd) == (Decimal("0.00025"), Decimal("0.00019"))
    premai = mine.find("premai", "contract", "any")
    assert premai is not None
    assert premai.usd == Decimal(5000)
    assert len(mine.rows()) == len(bundled().rows())  # two replaced, none added
    assert bundled().find("runpod", "serverless", "ADA_24") != ours


def test_a_price_that_nothing_asks_for_or_of_a_later_day_is_remarked(tmp_path: Path) -> None:
    rows = (
        "runpod,serverless,ADA24,gpu-second,0.00025,2026-11-01,contract",
        "runpod,serverless,ADA_24,gpu-second,0.00025,2027-11-01,contract",
        "premai,contract,any,month,5000,2026-11-01,offer",
    )
    write(tmp_path / "prices", *rows, names=MINE)
    negotiated = with_negotiated(bundled(), tmp_path)
    found = remarks(negotiated, negotiated.of("runpod"), date(2026, 11, 2), max_age_days=10_000)
    assert [(item.code, item.hint) for item in found] == [
        ("prices/unmatched", "did you mean 'ADA_24'?"),
        ("prices/future", "`read` is the day on which the source last showed it"),
    ]
    assert remarks(bundled(), [], date(2026, 11, 2)) == []


def test_what_a_negotiated_row_does_not_say_is_as_in_the_bundled_one(tmp_path: Path) -> None:
    names = (*MINE, "keep_warm_s", "bills_cold_start", "increment_s")
    write(
        tmp_path / "prices",
        "runpod,serverless,ADA_24,gpu-second,0.00025,2026-11-01,contract,,no,",
        "lambda-cloud,vm,gpu_1x_a10,instance-hour,1.00,2026-11-01,contract,,,",
        "lambda-cloud,vm,gpu_1x_a6000,instance-hour,1.00,2026-11-01,contract,0,,1",
        names=names,
    )
    mine = with_negotiated(bundled(), tmp_path)
    flex, vm, stops = (
        mine.get(name)
        for name in ("runpod/serverless/ADA_24", "lambda-cloud/vm/gpu_1x_a10", "lambda-cloud/vm/gpu_1x_a6000")
    )
    assert flex is not None
    assert (flex.keep_warm_s, flex.bills_cold_start, flex.increment_s) == (5, False, 1)
    assert (flex.card, flex.count, flex.source) == ("RTX4090", 1, "contract")
    assert vm is not None
    assert (vm.always_on, vm.keep_warm_s, vm.increment_s) == (True, None, 60)
    assert stops is not None
    assert (stops.always_on, stops.keep_warm_s, stops.increment_s) == (False, 0, 1)


def test_a_project_without_prices_of_its_own_has_the_bundled_ones(tmp_path: Path) -> None:
    assert with_negotiated(bundled(), tmp_path) is bundled()


def test_one_price_twice_in_two_files_names_both_places(tmp_path: Path) -> None:
    row = "runpod,serverless,ADA_24,gpu-second,0.00025,2026-11-01,contract"
    write(tmp_path / "prices", row, names=MINE, name="a")
    write(tmp_path / "prices", row.replace("ADA_24", "AMPERE_24"), row, names=MINE, name="b")
    with pytest.raises(UsageError) as caught:
        with_negotiated(bundled(), tmp_path)
    (problem,) = caught.value.diagnostics
    assert problem.code == "prices/duplicate"
    assert str(problem.where) == f"{tmp_path / 'prices' / 'b.csv'}:3"
    assert f"{tmp_path / 'prices' / 'a.csv'}:2" in problem.summary


def test_two_prices_for_one_thing_are_refused_whereever_they_come_from(tmp_path: Path) -> None:
    (row,) = read(write(tmp_path, GOOD))
    with pytest.raises(UsageError, match=r"prices/duplicate.*two prices for runpod/serverless/ADA_24"):
        PriceBook("mine", [row, row])


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rows = [row for row in bundled().rows() if row.withdrawn is None]
    file = tmp_path / "copy.csv"
    file.write_text(write_table(rows), encoding="utf-8")
    assert [row.details() for row in read(file)] == [row.details() for row in rows]
    assert book(str(file)).find("runpod", "serverless", "ADA_24") == bundled().find("runpod", "serverless", "ADA_24")


def test_a_book_nobody_knows_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no price book 'nope'") as caught:
        book("nope")
    assert "bundled, seed-s1, seed-s2" in str(caught.value)


BAD = [
    (GOOD.replace("0.00031", "0"), "no price above zero"),
    (GOOD.replace("0.00031", "-1"), "no price above zero"),
    (GOOD.replace("0.00031", "NaN"), "no price above zero"),
    (GOOD.replace("0.00031", "Infinity"), "no price above zero"),
    (GOOD.replace("0.00031", '"0,00031"'), "'0,00031' is no amount; wanted: 0.00031"),
    (GOOD.replace("0.00031", "1e400"), "'1e400' is not between 1E-12 and 1000000000, and taken for a slip"),
    (GOOD.replace("0.00031", "1e-400"), "'1e-400' is not between 1E-12 and 1000000000, and taken for a slip"),
    (GOOD.replace("0.00031", "cheap"), "'cheap' is no amount"),
    (GOOD.replace("0.00031", "€0.00031"), "in another currency"),
    (GOOD.replace("0.00031", "0.00031 EUR"), "in another currency"),
    (GOOD.replace("0.00031", ""), "confidence 'read' does not fit"),
    (GOOD.replace(",read,", ",hearsay,"), "confidence 'hearsay'"),
    (GOOD.replace("example.org", ""), "names no source"),
    (GOOD.replace("ADA_24", ""), "names no gpu"),
    (GOOD.replace("gpu-second", "gpu-fortnight"), "unit 'gpu-fortnight'"),
    (
        GOOD.replace("gpu-second", "gpu-hour").replace("0.00031", "0.90"),
        "is priced per gpu-second, not per gpu-hour: that is 0.000250000",
    ),
    (GOOD.replace("2026-08-20", "yesterday"), "read 'yesterday' is no day; wanted: 2026-11-01"),
    (GOOD.replace("2026-08-20", "2026-02-30"), "day"),
    (GOOD + ",more", "has not 10 columns"),
    ("runpod,serverless", "has not 10 columns"),
]


@pytest.mark.parametrize(("row", "reason"), BAD)
def test_a_bad_row_is_named_by_line_and_reason(tmp_path: Path, row: str, reason: str) -> None:
    file = write(tmp_path, GOOD.replace("ADA_24", "AMPERE_24"), row)
    with pytest.raises(UsageError) as caught:
        read(file)
    (problem,) = caught.value.diagnostics
    assert problem.code == "prices/row"
    assert reason in problem.summary
    assert problem.where is not None
    assert (problem.where.file, problem.where.line) == (file, 3)


def test_a_column_may_name_the_currency_and_only_dollars_are_taken(tmp_path: Path) -> None:
    row = "runpod,serverless,ADA_24,gpu-second,0.00025,2026-11-01,contract,"
    names = (*MINE, "currency")
    assert read(write(tmp_path, row + "USD", names=names))[0].usd == Decimal("0.00025")
    with pytest.raises(UsageError, match="this one is in EUR; convert it"):
        read(write(tmp_path, row + "EUR", names=names))


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("keep_warm_s", "soon", "keep_warm_s 'soon' is no whole number"),
        ("max_age_days", "-3", "max_age_days '-3' is no whole number"),
        ("bills_cold_start", "maybe", "neither yes nor no"),
        ("tier", ">=many", "from which quantity on"),
    ],
)
def test_bad_extras_are_named(tmp_path: Path, column: str, cell: str, reason: str) -> None:
    file = write(tmp_path, f"a,b,c,gpu-hour,1,2026-11-01,s,{cell}", names=(*MINE, column))
    with pytest.raises(UsageError, match=reason):
        read(file)


def test_all_bad_rows_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(write(tmp_path, *(row for row, _ in BAD)))
    assert len(caught.value.diagnostics) == len(BAD)


@pytest.mark.parametrize("header", ["gpu,price", ",".join([*REQUIRED, "colour"]), ",".join([*REQUIRED, "gpu"]), ""])
def test_other_columns_are_refused(tmp_path: Path, header: str) -> None:
    file = tmp_path / "book.csv"
    file.write_text(f"{header}\nADA_24,1\n", encoding="utf-8")
    with pytest.raises(UsageError, match="prices/columns"):
        read(file)


def test_the_bundled_files_have_all_columns() -> None:
    assert set(REQUIRED) < set(COLUMNS)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            "aws,sagemaker-realtime,ml.g5.12xlarge,gpu-hour,1.5",  # four of them: a quarter of the bill
            "aws/sagemaker-realtime/ml.g5.12xlarge is billed per instance-hour, not per gpu-hour",
        ),
        ("aws,lambda,arm64,second,0.00001", "aws/lambda/arm64 is billed per gb-second, not per second"),
        ("aws,egress,internet,gb-month,0.05", "aws/egress/internet is billed per gb, not per gb-month"),
        ("modal,serverless,X100,core-month,1", "unit 'core-month' is none of"),
        ("modal,serverless,X100,gb,1", "is billed per gpu-hour or core-hour or gib-hour, not per gb"),
        ("aws,sagemaker-realtime,ml.g5.12xlarge,instance-second,0.002", None),
        ("aws,lambda,requests,request,0.0000002", None),
        ("premai,contract,any,month,5000", None),
        ("runpod,pod,NVIDIA L4,gpu-hour,0.3", "has a price for each tier: say `tier`, which is community or secure"),
    ],
)
def test_a_negotiated_price_counts_what_is_billed(tmp_path: Path, row: str, reason: str | None) -> None:
    (tmp_path / "prices").mkdir()
    file = tmp_path / "prices" / "own.csv"
    file.write_text(f"provider,product,gpu,unit,usd,read,source\n{row},2026-11-01,contract\n", encoding="utf-8")
    if reason is None:
        assert with_negotiated(bundled(), tmp_path).name == "bundled+prices"
        return
    with pytest.raises(UsageError) as caught:
        with_negotiated(bundled(), tmp_path)
    (problem,) = caught.value.diagnostics
    assert reason in problem.summary
    assert problem.where is not None
    assert (problem.where.file, problem.where.line) == (file, 2)


def test_a_negotiated_price_without_a_region_holds_in_all_and_for_any_quantity(tmp_path: Path) -> None:
    (tmp_path / "prices").mkdir()
    rows = (
        "aws,sagemaker-realtime,ml.g6.xlarge,,,instance-hour,0.9,2026-11-01,contract",
        "aws,sagemaker-realtime,ml.g6.xlarge,eu-west-3,,instance-hour,1.1,2026-11-01,contract",
        "aws,lambda,arm64,,,gb-second,0.00001,2026-11-01,contract",
    )
    text = "\n".join(("provider,product,gpu,region,tier,unit,usd,read,source", *rows))
    (tmp_path / "prices" / "own.csv").write_text(text, encoding="utf-8")
    mine = with_negotiated(bundled(), tmp_path)
    asked = [
        mine.find("aws", "sagemaker-realtime", "ml.g6.xlarge", region=place) for place in ("us-east-1", "eu-west-3")
    ]
    assert [row.usd for row in asked if row] == [Decimal("0.9"), Decimal("1.1")]
    assert {row.usd for row in mine.tiers("aws", "lambda", "arm64", region="us-east-1")} == {Decimal("0.00001")}
    instance = asked[0]
    assert instance is not None
    assert (instance.card, instance.always_on) == ("L4", True)  # what the row below says
