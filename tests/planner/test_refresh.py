"""Rows out of providers' own catalogs: which are taken, which left out, and what makes a catalog unusable."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from baseload.planner.errors import UsageError
from baseload.planner.prices import bundled
from baseload.planner.prices.refresh import aws_rows, changes, runpod_rows

ON = date(2026, 11, 22)
BOOK = bundled()


def card(name: str, pool: str | None, **price: object) -> dict[str, Any]:
    return {"id": name, "pool": pool, "price": price}


def test_pools_and_pods_of_runpod_s_catalog() -> None:
    rows = runpod_rows(
        [
            card("NVIDIA L4", "AMPERE_24", secure=0.49, community=0, serverless=0.69),
            card("NVIDIA RTX A5000", "AMPERE_24", secure=0, serverless=0.69),
            card("NVIDIA B300 SXM6 AC", None, secure=8.19, community=None),
        ],
        BOOK,
        ON,
    )
    assert {row.id: row.usd for row in rows} == {
        "runpod/serverless/AMPERE_24": Decimal("0.000191667"),  # 0.69 / 3600
        "runpod/pod/NVIDIA L4#secure": Decimal("0.49"),
        "runpod/pod/NVIDIA B300 SXM6 AC#secure": Decimal("8.19"),
    }
    assert {row.read for row in rows} == {ON}
    pod = rows[-1]
    assert (pod.card, pod.count, pod.always_on, pod.confidence) == ("B300", 1, True, "read")


@pytest.mark.parametrize(
    ("gpus", "reason"),
    [
        ([], "it holds no price"),
        ([card("NVIDIA L4", "AMPERE_24", serverless="free")], "NVIDIA L4, serverless is no number"),
        ([card("NVIDIA L4", "AMPERE_24", secure=-1)], "NVIDIA L4, secure is -1"),
        ([card("A", "P", serverless=1), card("B", "P", serverless=2)], "the cards of pool P have different prices"),
    ],
)
def test_a_catalog_that_is_not_usable_says_why(gpus: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        runpod_rows(gpus, BOOK, ON)


def product(usage: str, *steps: tuple[str, str], region: str = "us-east-1") -> tuple[dict[str, Any], dict[str, Any]]:
    dimensions = {str(at): {"beginRange": begin, "pricePerUnit": {"USD": usd}} for at, (begin, usd) in enumerate(steps)}
    return {"attributes": {"usagetype": usage, "regionCode": region}}, {"T": {"priceDimensions": dimensions}}


def offers(**products: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    return {
        "offerCode": "AmazonSageMaker",
        "publicationDate": "2026-09-20T00:00:00Z",
        "products": {sku: made for sku, (made, _) in products.items()},
        "terms": {"OnDemand": {sku: terms for sku, (_, terms) in products.items()}},
    }


def test_endpoints_of_aws_s_bulk_file() -> None:
    rows = aws_rows(
        offers(
            A=product("USE1-Host:ml.g5.xlarge", ("0", "1.4080000000")),
            B=product("USE1-AsyncInf:ml.g6e.2xlarge", ("0", "2.8026")),
            C=product("USE1-ServerlessInf:Mem-3GB", ("0", "0.00006")),
            D=product("USE1-ServerlessInf-ProvisionedConcurrency:Mem-2GB", ("0", "0.0000233")),
            E=product("USE1-ServerlessInf-ProvisionedConcurrency:Usage-2GB", ("0", "0.00001")),
            # None of these is an endpoint, or has a price from the first unit on.
            F=product("USE1-Train:ml.g5.xlarge", ("0", "1.408")),
            G=product("USE1-Host:ml.p9.48xlarge", ("0", "0.0000000000")),
            H=product("USE1-Host:VolumeUsage.gp2", ("0", "0.14")),
            I=product("USE1-Host:ml.g6.xlarge", ("100", "1.0")),
        ),
        BOOK,
    )
    assert {row.id: row.usd for row in rows} == {
        "aws/sagemaker-async/ml.g6e.2xlarge@us-east-1": Decimal("2.8026"),
        "aws/sagemaker-realtime/ml.g5.xlarge@us-east-1": Decimal("1.408"),
        "aws/sagemaker-serverless-provisioned/2048MB@us-east-1#duration": Decimal("0.0000233"),
        "aws/sagemaker-serverless-provisioned/2048MB@us-east-1#slot": Decimal("0.00001"),
        "aws/sagemaker-serverless/3072MB@us-east-1": Decimal("0.00006"),
    }
    assert {row.read for row in rows} == {date(2026, 9, 20)}
    assert {row.unit for row in rows} == {"instance-hour", "second"}
    assert changes(BOOK.of("aws"), rows, only_new=True) == ()


def test_a_region_of_its_own_is_a_price_of_its_own() -> None:
    (row,) = aws_rows(offers(A=product("EUW3-Host:ml.g5.xlarge", ("0", "1.76"), region="eu-west-3")), BOOK)
    assert row.id == "aws/sagemaker-realtime/ml.g5.xlarge@eu-west-3"
    (change,) = changes(BOOK.of("aws"), [row], only_new=True)
    assert (change.old, change.percent) == (None, None)


@pytest.mark.parametrize(
    "document",
    [{}, {"offerCode": "AmazonEC2", "products": {}}, offers(A=product("USE1-Train:ml.g5.xlarge", ("0", "1")))],
)
def test_another_file_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="the catalog is not usable"):
        aws_rows(document, BOOK)


def test_changes_of_whole_books_name_what_is_new_and_gone() -> None:
    rows = [row for row in BOOK.of("modal") if row.product == "plan"]
    assert [change.id for change in changes(rows, [])] == ["modal/plan/team"]
    assert changes(rows, rows) == ()
    assert changes(rows, [], only_new=True) == ()
