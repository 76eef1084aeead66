"""`deploy prices`: the real command, a project's own prices, and RunPod's catalog from the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from baseload.planner.prices import bundled, read
from baseload.sandbox.runpod.serving import serve

Run = Callable[..., Any]
D = Decimal
HEADER = "provider,product,gpu,unit,usd,read,source\n"


def negotiated(project: Path, *rows: str) -> Path:
    file = project / "prices" / "runpod.csv"
    file.parent.mkdir()
    file.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return file


def ids(document: dict[str, Any]) -> list[str]:
    return [row["id"] for row in document["prices"]]


def test_bare_prices_lists_everything(project: Path, deploy: Run) -> None:
    bare, listed = deploy("prices", "--json").json, deploy("prices", "list", "--json").json
    assert bare == listed
    assert bare["schema"] == "baseload.prices/1"
    assert ids(bare) == [row.id for row in bundled().rows()]
    assert "runpod serverless" in deploy("prices").out


def test_a_provider_s_prices_and_a_named_book(project: Path, deploy: Run) -> None:
    modal = deploy("prices", "list", "modal", "--json").json
    assert {row["provider"] for row in modal["prices"]} == {"modal"}
    seeds = deploy("prices", "list", "--book", "seed-s1", "--json").json
    assert (seeds["book"], seeds["month_hours"]) == ("seed-s1", "720")
    assert deploy("prices", "list", "nobody", "--json").error == "prices/no-provider"
    assert deploy("prices", "list", "--book", "nope", "--json").error == "prices/no-book"


def test_a_project_s_own_price_wins(project: Path, deploy: Run) -> None:
    negotiated(project, "runpod,serverless,ADA_24,gpu-second,0.00025,2026-11-01,contract 4711")
    shown = deploy("prices", "show", "runpod/serverless/ADA_24", "--json").json
    assert shown["price"]["usd"] == "0.00025"
    assert shown["price"]["source"] == "contract 4711"
    assert shown["book"] == "bundled+prices"
    theirs = deploy("prices", "show", "runpod/serverless/ADA_24", "--book", "bundled", "--json").json
    assert theirs["price"]["usd"] == "0.00031"


def test_a_plan_takes_one_s_own_price(project: Path, deploy: Run) -> None:
    before = deploy("plan", "--json").json
    (used,) = before["prices"]["used"]
    row = f"{used['id'].replace('/', ',')},gpu-second,{float(used['usd']) * 2:f},2026-11-01,contract"
    negotiated(project, row)
    after = deploy("plan", "--json").json
    assert after["prices"]["book"] == "bundled+prices"
    assert after["prices"]["used"][0]["source"] == "contract"
    old, new = (float(document["total_monthly_usd"]["expected"]) for document in (before, after))
    assert new == pytest.approx(2 * old, abs=0.05)


def test_a_bad_file_of_one_s_own_is_named_by_line(project: Path, deploy: Run) -> None:
    file = negotiated(
        project,
        "runpod,serverless,ADA_24,gpu-second,0,2026-11-01,contract",
        "runpod,serverless,AMPERE_24,gpu-hour,0.9,2026-11-01,contract",
    )
    result = deploy("prices", "check")
    assert result.code == 2
    assert f"{file}:2: error[prices/row]" in result.err
    assert f"{file}:3: error[prices/row]" in result.err
    assert "0.000250000" in result.err


def test_a_price_shown_says_what_is_billed(project: Path, deploy: Run) -> None:
    text = deploy("prices", "show", "cerebrium/serverless/HOPPER_H100").out
    for part in ("0.000944 USD per gpu-second", "3.3984 USD", "1 × H100-80GB", "1800 s", "second-hand"):
        assert part in text
    unknown = deploy("prices", "show", "premai/contract/any").out
    assert "unknown" in unknown
    assert "prices/premai.csv beside Pulumi.yaml" in unknown
    missed = deploy("prices", "show", "ADA_24")
    assert missed.code == 2
    assert "did you mean runpod/serverless/ADA_24?" in missed.err


def test_check_counts_what_is_old_by_each_source_s_age_or_by_one_for_all(project: Path, deploy: Run) -> None:
    document = deploy("prices", "check", "--json").json
    assert document["max_age_days"] is None
    products = {(item["provider"], item["product"]): item for item in document["products"]}
    assert products["lambda-cloud", "vm"]["prices"] == len(products["lambda-cloud", "vm"]["old"]) == 22
    assert products["runpod", "serverless"]["unpriced"] == ["runpod/serverless/ADA_32_PRO"]
    everything = deploy("prices", "check", "--max-age", "0", "--json").json
    assert sum(len(item["old"]) for item in everything["products"]) > 240
    nothing = deploy("prices", "check", "--max-age", "100000", "--json").json
    assert not any(item["old"] for item in nothing["products"])
    text = " ".join(deploy("prices", "check").out.split())
    assert "prices are old on" in text
    old = [name.split("/", 2)[2] for item in document["products"] for name in item["old"]]
    assert all(name in text for name in old)
    assert "Source: " not in deploy("prices", "check", "--max-age", "100000").out


def test_diff_tells_only_what_differs(project: Path, deploy: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text(
        HEADER + "runpod,serverless,ADA_24,gpu-second,0.00062,2026-11-01,x\n"
        "runpod,serverless,AMPERE_24,gpu-second,0.00019,2026-11-01,x\n"
        "modal,serverless,H100,gpu-second,0.0013,2026-11-01,x\n",
        encoding="utf-8",
    )
    changes = deploy("prices", "diff", str(other), "--json").json["changes"]
    # 0.0013 a second is 4.68 an hour: 18.5 % more than 3.95, whatever the unit.
    assert [(item["id"], item["percent"]) for item in changes] == [
        ("modal/serverless/H100", "18.5"),
        ("runpod/serverless/ADA_24", "100.0"),
    ]
    assert "+100.0 %" in deploy("prices", "diff", str(other)).out
    assert "no price of bundled differs" in deploy("prices", "diff", "bundled").out


def test_runpod_s_catalog_becomes_a_file_to_review(project: Path, deploy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    negotiated(project, "runpod,serverless,ADA_24,gpu-second,0.00025,2026-11-01,contract")
    with serve() as sandbox:
        monkeypatch.setenv("RUNPOD_API_KEY", "sandbox")
        monkeypatch.setenv("RUNPOD_BASE_URL", sandbox.base_url)
        result = deploy("prices", "refresh", "runpod", "--out", "fresh.csv", "--json")
    assert result.code == 0
    rows = {row.id: row for row in read(Path("fresh.csv"))}
    priced = {row.id: row for row in bundled().of("runpod") if row.product == "serverless" and row.usd}
    # The sandbox's catalog has the bundled prices, as hours in floating point: they come back to the last digit.
    assert {name: row.usd for name, row in rows.items()} == {name: row.usd for name, row in priced.items()}
    assert rows["runpod/serverless/ADA_24"].keep_warm_s == 5
    (change,) = result.json["changes"]
    assert (change["id"], change["percent"]) == ("runpod/serverless/ADA_24", "24.0")  # 0.00025 → 0.00031
    assert "review it, and move it into prices/" in result.err
    assert deploy("prices", "show", "runpod/serverless/ADA_24", "--json").json["price"]["usd"] == "0.00025"


def test_runpod_s_catalog_needs_a_key_and_others_cannot_be_read(project: Path, deploy: Run, tmp_path: Path) -> None:
    assert deploy("prices", "refresh", "runpod", "--json").code == 3
    assert deploy("prices", "refresh", "modal", "--json").error == "prices/refresh"
    without = deploy("prices", "refresh", "aws")
    assert without.code == 2
    assert "curl -fsSo sagemaker.json https://pricing.us-east-1.amazonaws.com/" in without.err
    broken = tmp_path / "broken.json"
    broken.write_text("{", encoding="utf-8")
    assert (
        f"{broken}: error[prices/refresh]: not readable as JSON"
        in deploy("prices", "refresh", "aws", "--file", str(broken)).err
    )
    broken.write_text("[]", encoding="utf-8")
    assert "no bulk file of AmazonSageMaker" in deploy("prices", "refresh", "aws", "--file", str(broken)).err


def test_aws_s_bulk_file_becomes_a_file_to_review(project: Path, deploy: Run) -> None:
    offers = {
        "offerCode": "AmazonSageMaker",
        "publicationDate": "2026-11-20T10:00:00Z",
        "products": {"A": {"attributes": {"regionCode": "us-east-1", "usagetype": "USE1-Host:ml.g5.xlarge"}}},
        "terms": {"OnDemand": {"A": {"A.T": {"priceDimensions": {"R": {"pricePerUnit": {"USD": "1.5000"}}}}}}},
    }
    Path("offers.json").write_text(json.dumps(offers), encoding="utf-8")
    result = deploy("prices", "refresh", "aws", "--file", "offers.json", "--out", "aws.csv", "--json")
    (row,) = read(Path("aws.csv"))
    assert (row.id, str(row.usd), row.card) == ("aws/sagemaker-realtime/ml.g5.xlarge@us-east-1", "1.5000", "A10G")
    assert [item["percent"] for item in result.json["changes"]] == ["6.5"]  # 1.5 / 1.408


def test_a_plan_at_the_prices_of_a_file_takes_them_instead_of_the_project_s_own(project: Path, deploy: Run) -> None:
    negotiated(project, "runpod,serverless,ADA_24,gpu-second,0.00025,2026-11-01,contract")
    offer = project / "offer.csv"
    offer.write_text(HEADER + "runpod,serverless,ADA_24,gpu-second,0.00062,2026-11-01,offer\n", encoding="utf-8")
    listed = deploy("plan", "--book", "bundled", "--json").json
    offered = deploy("plan", "--book", str(offer), "--json").json
    assert "take the same `--book`" in " ".join(deploy("plan", "--book", str(offer), "--explain").out.split())
    assert "--book" not in deploy("plan", "--explain").out
    assert [offered["prices"]["book"], listed["prices"]["book"]] == ["bundled+offer.csv", "bundled"]
    before, after = (D(document["total_monthly_usd"]["expected"]) for document in (listed, offered))
    assert abs(after - 2 * before) <= D("0.05")  # 0.00062 is twice the 0.00031 of the list; lines are rounded
    rows = {row["id"]: row for row in deploy("compare", "--book", str(offer), "--json").json["rows"]}
    assert rows["runpod/ADA_24/flex"]["monthly_usd"] == offered["models"][0]["monthly_usd"]
    (simulated,) = deploy("simulate", "--book", str(offer), "--requests", "2000", "--json").json["models"]
    assert simulated["bill"]["total"]["usd"]["closed_form"] == pytest.approx(float(after), abs=0.01)


def test_the_articles_prices_say_that_nobody_bills_them(project: Path, deploy: Run) -> None:
    for command in ("plan", "compare"):
        result = deploy(command, "--book", "seed-s2")
        assert "the prices of the book seed-s2 are those of an article, for a month of 720 hours" in result.err
    document = deploy("plan", "--book", "seed-s2", "--json").json
    assert document["prices"]["month_hours"] == "720"
    assert "prices/caution" in {item["code"] for item in document["diagnostics"]}
    assert document["total_monthly_usd"]["expected"] is None  # their cards are no pools of RunPod's
    assert deploy("plan", "--book", "seed-s2", "--markdown").out.count("A month is 720 hours") >= 1


def test_prices_are_old_by_each_source_s_age_or_by_one_for_all(project: Path, deploy: Run) -> None:
    negotiated(project, "runpod,serverless,ADA_24,gpu-second,0.00031,2020-01-01,contract")
    (project / "prices" / "runpod.csv").write_text(
        "provider,product,gpu,unit,usd,read,source,max_age_days\n"
        "runpod,serverless,ADA_24,gpu-second,0.00031,2020-01-01,contract,30\n",
        encoding="utf-8",
    )
    for command in ("plan", "compare"):
        assert "prices/old" in {item["code"] for item in deploy(command, "--json").json["diagnostics"]}
        fresh = deploy(command, "--max-age", "100000", "--json").json
        assert "prices/old" not in {item["code"] for item in fresh["diagnostics"]}
    assert deploy("plan", "--max-age", "0").err.count("prices/old") == 1
    assert deploy("plan", "--max-age", "-1", "--json").error == "usage"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("runpod,serverless,ADA_24,gpu-second,-1,2026-11-01,x", "'-1' is no price above zero"),
        ("runpod,serverless,ADA_24,gpu-second,0,2026-11-01,x", "'0' is no price above zero"),
        ("runpod,serverless,ADA_24,gpu-second,€1,2026-11-01,x", "in another currency"),
        ("runpod,serverless,A,gpu-second,1,2026-11-01,x\nrunpod,serverless,A,gpu-second,1,2026-11-01,x", "two prices"),
    ],
)
def test_a_book_with_bad_rows_is_refused_by_line(row: str, reason: str, project: Path, deploy: Run) -> None:
    offer = project / "offer.csv"
    offer.write_text(f"{HEADER}{row}\n", encoding="utf-8")
    for command in ("plan", "compare"):
        result = deploy(command, "--book", str(offer))
        assert (result.code, result.out) == (2, "")
        assert f"offer.csv:{row.count(chr(10)) + 2}: error[prices/" in result.err
        assert reason in result.err


def test_an_unknown_book_names_those_that_are_known(project: Path, deploy: Run) -> None:
    (project / "empty").mkdir()
    for command in ("plan", "compare", "simulate"):
        result = deploy(command, "--book", "seeds")
        assert "hint: known are bundled, seed-s1, seed-s2; or name a CSV file" in result.err
        assert "empty: error[prices/no-book]: the folder has no CSV file" in deploy(command, "--book", "empty").err


def test_a_spec_s_file_takes_the_prices_of_the_project_it_lies_in(project: Path, deploy: Run, tmp_path: Path) -> None:
    negotiated(project, "runpod,serverless,ADA_24,gpu-second,0.00025,2026-11-01,contract")
    inside = project / "model_specs" / "mistral-7b.yaml"
    assert deploy("compare", str(inside), "--json").json["book"] == "bundled+prices"
    outside = tmp_path / "elsewhere" / "mistral-7b.yaml"
    outside.parent.mkdir()
    outside.write_text(inside.read_text(encoding="utf-8"), encoding="utf-8")
    assert deploy("compare", str(outside), "-C", str(outside.parent), "--json").json["book"] == "bundled"
