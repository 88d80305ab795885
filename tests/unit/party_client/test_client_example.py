"""The example in the documentation of `Client` does what it says, against the whole stack over mutual TLS."""

from __future__ import annotations

import doctest
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from party_client.client import Client
from party_client.tls import make_development_certificates
from tests.unit.party_client.test_cli_job import PURCHASES, VISITS
from tests.unit.party_client.whole_stack import whole_stack


def test_the_example_of_the_client_runs_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    people = ["publisher", "advertiser", "analyst"]
    make_development_certificates(tmp_path / "tls", people, now=datetime.now(UTC))
    (tmp_path / "visits.csv").write_text(VISITS)
    (tmp_path / "purchases.csv").write_text(PURCHASES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with whole_stack(tmp_path, tls=tmp_path / "tls") as stack:
        shutil.copy(stack.root_file, "simulated-root.pem")
        (example,) = doctest.DocTestFinder(recurse=False).find(
            Client, "Client", globs={"address": stack.address}
        )
        ended = doctest.DocTestRunner().run(example)
    assert ended.failed == 0, capsys.readouterr().out
    assert ended.attempted == len(example.examples) > 10
    assert Path("totals.csv").read_text().startswith("segment,purchases,total")
