"""The decision records are numbered without a gap, listed, and have the same four parts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.meta.repository import ROOT

FOLDER = ROOT / "docs/decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))


def test_numbers_have_no_gap() -> None:
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_the_list_names_every_record() -> None:
    listed = re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\) \| (.+) \|", (FOLDER / "README.md").read_text("utf-8"))
    titles = [record.read_text("utf-8").partition("\n")[0] for record in RECORDS]
    assert listed == [
        (record.name, title.partition(": ")[2]) for record, title in zip(RECORDS, titles, strict=True)
    ]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_record_has_four_parts(record: Path) -> None:
    text = record.read_text("utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences", "Status"]
    assert text.startswith(f"# {record.name[:4]}: ")
