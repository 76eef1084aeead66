"""The price book: what every row must hold, and what a bad one is answered with."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from baseload.planner.errors import UsageError
from baseload.planner.gpus import POOLS
from baseload.planner.prices import COLUMNS, MAX_AGE, PriceBook, bundled, read

GOOD = "runpod,serverless,ADA_24,gpu-second,0.00031,2026-08-20,,read,example.org,"


def write(folder: Path, *rows: str) -> Path:
    file = folder / "book.csv"
    file.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n", encoding="utf-8")
    return file


def test_each_gpu_pool_has_one_row_that_holds_and_no_other_pool_has_one() -> None:
    current = [row.gpu for row in bundled().rows() if row.product == "serverless" and row.withdrawn is None]
    assert sorted(current) == sorted(POOLS)


def test_every_bundled_row_is_sourced_dated_and_plausible() -> None:
    for row in bundled().rows():
        assert row.source
        assert date(2025, 1, 1) <= row.read <= date(2027, 1, 1)
        assert row.withdrawn is None or row.withdrawn > row.read
        if row.usd is not None:  # a GPU-hour between 30 cents and 10 dollars
            assert Decimal("0.30") < row.usd * 3600 < Decimal(10), row.id


def test_a_price_nobody_publishes_is_unknown_and_not_zero() -> None:
    row = bundled().find("runpod", "serverless", "ADA_32_PRO")
    assert row is not None
    assert row.usd is None
    assert bundled().find("runpod", "serverless", "NOPE") is None


def test_a_withdrawn_price_is_listed_and_never_found() -> None:
    book = bundled()
    assert any(row.product == "serverless-active" for row in book.rows())
    assert book.find("runpod", "serverless-active", "ADA_24") is None


def test_what_is_listed() -> None:
    document = bundled().to_json()
    assert (document["schema"], document["book"], document["currency"]) == ("baseload.prices/1", "bundled", "USD")
    rows = document["prices"]
    assert isinstance(rows, list)
    assert len(rows) == len(bundled().rows())
    assert {
        "id": "runpod/serverless/BLACKWELL_180",
        "unit": "gpu-second",
        "usd": "0.00240",
        "read": "2026-08-20",
        "withdrawn": None,
        "confidence": "read",
        "source": "docs.runpod.io/serverless/pricing",
        "note": "table of 2026-06-08",
    } in rows


def test_a_price_is_old_after_the_provider_s_age_and_not_on_the_day(tmp_path: Path) -> None:
    (row,) = read(write(tmp_path, GOOD))
    last_good_day = row.read + MAX_AGE["runpod"]
    assert not row.is_old(last_good_day)
    assert row.is_old(last_good_day + timedelta(days=1))


def test_two_prices_for_one_thing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"prices/duplicate.*two prices for runpod/serverless/ADA_24"):
        PriceBook("mine", read(write(tmp_path, GOOD, GOOD.replace("0.00031", "0.00032"))))


BAD = [
    (GOOD.replace("0.00031", "0"), "no price above zero"),
    (GOOD.replace("0.00031", "-1"), "no price above zero"),
    (GOOD.replace("0.00031", "NaN"), "no price above zero"),
    (GOOD.replace("0.00031", "cheap"), "'cheap' is no amount"),
    (GOOD.replace("0.00031", ""), "confidence 'read' does not fit"),
    (GOOD.replace(",read,", ",hearsay,"), "confidence 'hearsay'"),
    (GOOD.replace("example.org", ""), "names no source"),
    (GOOD.replace("gpu-second", "gpu-hour"), "unit 'gpu-hour'"),
    (GOOD.replace("2026-08-20", "yesterday"), "yesterday"),
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


def test_all_bad_rows_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(write(tmp_path, *(row for row, _ in BAD)))
    assert len(caught.value.diagnostics) == len(BAD)


def test_other_columns_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "book.csv"
    file.write_text("gpu,price\nADA_24,1\n", encoding="utf-8")
    with pytest.raises(UsageError, match="prices/columns"):
        read(file)
