"""Noisy results say so wherever they are opened, kept or shown, and so does what is left of a budget."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from party_client.client import Client
from party_client.files import FileExistsAlreadyError
from party_client.noisy_columns import noisy_columns
from party_client.results import NOISE_METADATA, Result
from protos.plan import compile_query
from protos.privacy import mean_sum_column
from tests.privacy_world import agreement as small_agreement
from tests.privacy_world import asking
from tests.unit.party_client.direct_coordinator import JOB, DirectCoordinator
from tests.unit.party_client.noisy_agreement import noisy
from tests.unit.party_client.whole_stack import Command, Stack, whole_stack
from tests.world import ANALYST, PURCHASES, VISITS, agreement, seal, simulated_enclave

AMOUNTS = PURCHASES.cast(
    pa.schema([PURCHASES.schema.field("email"), pa.field("amount", pa.int64(), nullable=False)])
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    with simulated_enclave(tmp_path_factory.mktemp("machine")) as enclave:
        (root,) = enclave.roots
        agreed = noisy(agreement(root.sha256))
        enclave.bind(agreed)
        for dataset, table in (("visits", VISITS), ("purchases", AMOUNTS)):
            enclave.upload(seal(agreed, enclave.keys(), dataset, [table]))
        client = Client(DirectCoordinator(enclave), ANALYST, roots=enclave.roots)
        run_id = client.run(JOB, agreed, "totals", {"least": 0})
        yield client.result(JOB, agreed, run_id)


def test_a_result_knows_its_noisy_columns_by_the_enclaves_accounting(result: Result) -> None:
    agreed = result.receipt.agreement
    noise = compile_query(agreed, agreed.query("totals")).noise
    assert noise is not None
    columns = {item.column: item for item in result.noise}
    assert list(columns) == ["purchases", "total", "mean"]
    for name in ("purchases", "total"):
        exact = math.sqrt(noise.plan.column(name).noise.variance)
        assert columns[name].standard_deviation == pytest.approx(exact)
        assert not columns[name].per_rows
    assert columns["mean"].per_rows
    # At an end of the clamp, where the noise of the number of rows counts most.
    sums, rows = (noise.plan.column(name).noise.variance for name in (mean_sum_column("mean"), "purchases"))
    assert columns["mean"].standard_deviation == pytest.approx(math.sqrt(sums + 25**2 * rows))


def test_sums_of_decimals_are_in_whole_units() -> None:
    agreed = small_agreement()
    noise = compile_query(agreed, agreed.queries[0]).noise
    assert noise is not None
    total = {item.column: item for item in noisy_columns(agreed, "q")}["total"]
    assert total.standard_deviation == pytest.approx(
        math.sqrt(noise.plan.column("total").noise.variance) / 100
    )
    assert "total is off by noise" in total.sentence


def test_an_exact_result_has_none() -> None:
    assert noisy_columns(small_agreement(asking(noise=None), privacy=()), "q") == ()


def test_a_frame_says_it_in_its_attributes(result: Result) -> None:
    noise = result.frame.attrs["noise"]
    assert set(noise) == {"purchases", "total", "mean"}
    assert noise["purchases"]["standard_deviation"] == result.noise[0].standard_deviation
    assert noise["mean"]["per_rows"] is True


def test_a_parquet_file_says_it_in_its_metadata(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "totals.parquet")
    metadata = parquet.read_metadata(tmp_path / "totals.parquet").metadata or {}
    said = json.loads(metadata[NOISE_METADATA])
    assert set(said["noise"]) == {"purchases", "total", "mean"}
    assert len(pd.read_parquet(tmp_path / "totals.parquet")) == 3


def test_beside_a_csv_file_lies_one_that_says_it_and_neither_is_overwritten(
    result: Result, tmp_path: Path
) -> None:
    result.save(tmp_path / "totals.csv")
    said = json.loads((tmp_path / "totals.noise.json").read_text("utf-8"))
    assert said["noise"]["total"]["half_width_95"] == result.noise[1].half_width_95
    (tmp_path / "totals.csv").unlink()
    with pytest.raises(FileExistsAlreadyError):
        result.save(tmp_path / "totals.csv")
    assert not (tmp_path / "totals.csv").exists()
    (tmp_path / "other.csv").write_text("mine")
    with pytest.raises(FileExistsAlreadyError):
        result.save(tmp_path / "other.csv")
    assert not (tmp_path / "other.noise.json").exists()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with whole_stack(tmp_path_factory.mktemp("stack"), change=noisy) as started:
        VISITS.to_pandas().to_csv(started.folder / "visits.csv", index=False)
        AMOUNTS.to_pandas().to_csv(started.folder / "purchases.csv", index=False)
        started.agree()
        yield started


def test_commands_say_what_is_noisy_what_it_cost_and_what_is_left(stack: Stack, concordat: Command) -> None:
    def about_job(who: str) -> list[object]:
        options = ["--job", job, "--agreement", stack.agreement_file, "--identity", stack.key(who)]
        return [*options, *stack.connection, *stack.trust]

    def done(*arguments: object) -> tuple[str, str]:
        status, out, err = concordat(*arguments)
        assert status == 0, err
        return out, err

    job = done("job", "start", stack.agreement_file, *stack.connection)[0].strip()
    for dataset, owner in (("visits", "publisher"), ("purchases", "advertiser")):
        done("dataset", "send", f"{dataset}.csv", "--dataset", dataset, *about_job(owner))
    before = json.loads(done("job", "budget", *about_job("publisher"), "--json")[0])["privacy"]["publisher"]
    assert (before["epsilon_spent"], before["part_left"]) == (0, 1)
    run = done("job", "run", "totals", "--param", "least=0", *about_job("analyst"))[0].strip()

    receipt = stack.folder / "totals.receipt"
    out, err = done("result", "get", run, "--receipt", receipt, *about_job("analyst"))
    assert "purchases (noisy)" in out
    assert "segment (noisy)" not in out
    assert "NOISY: total is off by noise: standard deviation" in err
    assert "held back" not in err  # there are no floors, and groups are declared
    out, err = done("result", "get", run, "-o", "totals.csv", *about_job("analyst"))
    assert "totals.noise.json" in out
    facts = json.loads(done("result", "get", run, *about_job("analyst"), "--json")[0])
    assert set(facts["noise"]) == {"purchases", "total", "mean"}

    after = json.loads(done("job", "budget", *about_job("publisher"), "--json")[0])["privacy"]["publisher"]
    assert after["part_left"] == pytest.approx(2 / 3)
    assert 2 / 3 < after["epsilon_spent"] < 2
    assert int(after["spent"]["amount"]) + int(after["left"]["amount"]) == int(after["allowed"]["amount"])
    out, _ = done("job", "budget", *about_job("publisher"))
    assert "privacy budget of" in out
    assert "66.7 %" in out

    out, _ = done("receipt", "verify", receipt, *stack.trust)
    assert "cost 33.3 % of the privacy budget of publisher; 66.7 % left" in out
    assert "NOISY: purchases" in out
    facts = json.loads(done("receipt", "verify", receipt, *stack.trust, "--json")[0])
    assert facts["privacy"][0]["after"]["spent"] == after["spent"]
    done("job", "close", job, *stack.connection)


def test_of_another_query_of_the_same_agreement_it_is_not_said() -> None:
    exact = replace(asking(noise=None), id="exact", sql="SELECT COUNT(*) AS n FROM branches AS b")
    agreed = small_agreement(asking(), exact)
    assert noisy_columns(agreed, "exact") == ()
    assert len(noisy_columns(agreed, "q")) == 2
