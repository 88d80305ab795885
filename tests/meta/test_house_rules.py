"""The rules of CONTRIBUTING.md that a linter does not know."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.meta.repository import ROOT, SHIPPED, files, python_files

MAX_LINES = 400
VAGUE_NAMES = {"common", "helper", "helpers", "manager", "misc", "util", "utils"}

THIS_FILE = Path("tests/meta/test_house_rules.py")
PYTHON_FILES = sorted(path for path in python_files() if path != THIS_FILE)
SHIPPED_FILES = [path for path in PYTHON_FILES if path.parts[0] in SHIPPED]
TEXT_FILES = [
    path
    for path in files(".cddl", ".lock", ".md", ".proto", ".py", ".pyi", ".sh", ".toml", ".yaml", ".yml", "")
    if path != THIS_FILE
]

# A file that names one of these works on one machine, or with one registry, only.
PLACES = re.compile(r"pypi\.org|pythonhosted\.org|index-url[=]|/(?:work|root)/|/home/\w|/opt/\w+/|/Users/\w")
SWITCHED_OFF = re.compile(r"#\s*(type:\s*ignore(?!\[)|noqa(?!: [A-Z]+\d)|mypy:|ruff: noqa|flake8:)")
LEFT_FOR_LATER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def lines_that_match(pattern: re.Pattern[str], path: Path) -> list[str]:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return [f"{path}:{number}: {line}" for number, line in enumerate(lines, 1) if pattern.search(line)]


def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


def test_there_is_something_to_check() -> None:
    assert {path.parts[0] for path in SHIPPED_FILES} == set(SHIPPED)


def test_no_file_is_too_long_to_read() -> None:
    lengths = {str(path): len((ROOT / path).read_bytes().splitlines()) for path in PYTHON_FILES}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_no_module_has_a_vague_name() -> None:
    assert [path for path in PYTHON_FILES if VAGUE_NAMES & {*path.parts[:-1], *path.stem.split("_")}] == []


def test_no_file_names_a_machine_or_a_registry() -> None:
    assert [line for path in TEXT_FILES for line in lines_that_match(PLACES, path)] == []


def test_nothing_is_left_for_later() -> None:
    assert [line for path in TEXT_FILES for line in lines_that_match(LEFT_FOR_LATER, path)] == []


def test_no_check_is_switched_off_wholesale() -> None:
    assert [line for path in PYTHON_FILES for line in lines_that_match(SWITCHED_OFF, path)] == []


def test_no_test_is_expected_to_fail() -> None:
    tests = [path for path in TEXT_FILES if path.parts[0] == "tests" and path.suffix == ".py"]
    assert [line for path in tests for line in lines_that_match(re.compile(r"\bxfail\b"), path)] == []


@pytest.mark.parametrize("path", SHIPPED_FILES, ids=str)
def test_what_is_public_says_what_it_does(path: Path) -> None:
    module = parsed(path)
    silent = [node.name for node in public_definitions(module) if not ast.get_docstring(node)]
    assert silent == []
    first_line = (ast.get_docstring(module) or "").partition("\n")[0]
    assert first_line.endswith((".", ":", "?")), f"the first line is one sentence; got {first_line!r}"


def public_definitions(
    scope: ast.Module | ast.ClassDef,
) -> list[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """The public classes, functions and methods of `scope`, overloads and inherited contracts left out."""
    found: list[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef] = []
    for node in scope.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
        if not node.name.startswith("_") and not decorators & {"overload", "typing.overload", "override"}:
            found.append(node)
            if isinstance(node, ast.ClassDef):
                found += public_definitions(node)
    return found
