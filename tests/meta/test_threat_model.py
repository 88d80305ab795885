"""What the threat model says is shown by a test is shown by a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.meta.repository import ROOT, python_files

PAGE = Path("docs/threat-model.md")
ROW = re.compile(r"^\| (\d+) \|", re.MULTILINE)
TEST = re.compile(r"\btest_\w+")
DEFINITION = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)


def text(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def names_on_the_page() -> list[str]:
    """Every test that the page names, without the names of files."""
    return [name for name in TEST.findall(text(PAGE)) if f"{name}.py" not in text(PAGE)]


def test_every_attack_has_one_row() -> None:
    rows = [int(number) for number in ROW.findall(text(PAGE))]
    assert sorted(rows) == list(range(1, 53))


def test_the_page_names_tests() -> None:
    assert len(names_on_the_page()) > 20


@pytest.mark.parametrize("name", names_on_the_page())
def test_named_test_exists(name: str) -> None:
    tests = [path for path in python_files() if path.parts[0] == "tests"]
    assert [path for path in tests if name in DEFINITION.findall(text(path))] != []


def test_tests_of_attacks_are_of_rows() -> None:
    """A number in a test's name is that of a row, so that neither list can drift away from the other."""
    rows = {int(number) for number in ROW.findall(text(PAGE))}
    numbers = {
        int(number)
        for path in python_files()
        if path.parts[:2] == ("tests", "adversarial")
        for number in re.findall(r"^def test_attack_(\d+)_", text(path), re.MULTILINE)
    }
    assert numbers
    assert numbers <= rows
