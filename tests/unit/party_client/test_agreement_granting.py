"""`agreement grants`: what is missing and what is spare, as lines that can be pasted into the file."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from party_client.agreements import compile_toml, granting
from party_client.agreements.agreement_file import save_agreement
from party_client.agreements.errors import AgreementError
from party_client.agreements.granting import column_line
from party_client.cli.main import main
from protos.formats.schema import Column
from tests.unit.party_client.written_agreement import write

CLOSED = {
    'nullable = true, uses = ["avg"] }': "nullable = true }",
    'wind = { type = "int64", uses = ["group"] }': 'wind = { type = "int64", uses = ["sum"] }',
}


def test_what_is_missing_and_what_no_query_needs(tmp_path: Path) -> None:
    found = granting(compile_toml(write(tmp_path, CLOSED)))
    assert found.is_complete
    changes = {
        (dataset.owner, dataset.dataset, column.column): (column.missing, column.spare)
        for dataset in found.datasets
        for column in dataset.columns
    }
    assert changes == {
        ("airline", "flights", "tailnum"): ((), ("count_distinct",)),
        ("airline", "flights", "delay"): (("avg",), ()),
        ("weather_service", "weather", "wind"): (("group",), ("sum",)),
    }


def test_pasted_lines_make_the_agreement_one_that_compiles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, CLOSED)
    assert main(["agreement", "compile", str(path)]) == 1
    lines = {
        column.column: column.tight_line
        for dataset in granting(compile_toml(path)).datasets
        for column in dataset.columns
    }
    text = path.read_text("utf-8").splitlines()
    pasted = [lines.get(line.partition(" = ")[0], line) for line in text]
    path.write_text("\n".join(pasted), "utf-8")
    assert main(["agreement", "compile", str(path)]) == 0
    assert not any(dataset.columns for dataset in granting(compile_toml(path)).datasets)
    capsys.readouterr()


def test_one_query_calls_nothing_spare(tmp_path: Path) -> None:
    found = granting(compile_toml(write(tmp_path, CLOSED)), "delay_by_wind")
    assert not found.is_complete
    assert not any(column.spare for dataset in found.datasets for column in dataset.columns)
    with pytest.raises(AgreementError, match="there is no query other"):
        granting(compile_toml(tmp_path / "flights.toml"), "other")


def test_query_that_no_grant_allows_is_named_and_nothing_is_spare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, {"AVG(f.delay)": "MEDIAN(f.delay)"})
    found = granting(compile_toml(path))
    assert not found.is_complete
    assert [(query.query, "MEDIAN" in query.refusal) for query in found.refused] == [("delay_by_wind", True)]
    assert main(["agreement", "grants", str(path)]) == 1
    assert "no grant would allow delay_by_wind" in capsys.readouterr().out


def test_command_prints_lines_to_paste(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, CLOSED)
    assert main(["agreement", "grants", str(path)]) == 0
    out = capsys.readouterr().out
    assert 'delay = { type = "int64", nullable = true, uses = ["avg"] }  # avg' in out
    assert 'wind = { type = "int64", uses = ["group", "sum"] }  # group' in out
    assert 'wind = { type = "int64", uses = ["group"] }  # sum' in out
    assert 'tailnum = { type = "text" }  # count_distinct' in out
    assert main(["agreement", "grants", str(path), "--query", "delay_by_wind", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["datasets"][0]["columns"][0]["missing"] == ["avg"]
    assert facts["queries"] == ["delay_by_wind"]


def test_command_reads_a_compiled_agreement_and_says_when_nothing_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agreement = compile_toml(
        write(
            tmp_path,
            {'tailnum = { type = "text", uses = ["count_distinct"] }': 'tailnum = { type = "text" }'},
        )
    )
    save_agreement(tmp_path / "flights.agreement", agreement)
    assert main(["agreement", "grants", str(tmp_path / "flights.agreement")]) == 0
    assert "grants what the queries need, and no more" in capsys.readouterr().out


def test_line_is_the_column_again() -> None:
    column = Column("email", "text", nullable=True, uses=frozenset({"join"}), normalise="email/v1")
    assert tomllib.loads(column_line(column, {"join", "group"})) == {
        "email": {"type": "text", "nullable": True, "uses": ["group", "join"], "normalise": "email/v1"}
    }
