"""Who may import whom: the contracts of pyproject.toml hold, and each refuses what it is there to refuse."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest

from tests.meta.repository import ROOT, SHIPPED

# One forbidden import for each contract: (the file it is planted in, the line).
PLANTED = {
    "Roles never import each other": ("coordinator/planted.py", "import party_client"),
    "protos imports no role": ("protos/planted.py", "import enclave_compute"),
    "No role imports scenarios or tests": ("enclave_compute/planted.py", "import scenarios"),
    "No scenario imports tests": ("scenarios/planted.py", "import tests"),
    "Formats, releases, plans and privacy accounting are pure": (
        "protos/release/planted.py",
        "import socket",
    ),
    "Privacy needs nothing but the standard library": ("protos/privacy/planted.py", "import random"),
    "The enclave stays small": ("enclave_compute/planted.py", "from urllib.request import urlopen"),
    "The image's builder stays out of the image": (
        "enclave_compute/planted.py",
        "from enclave_compute.image import eif",
    ),
    "The enclave knows nothing of releases but its agreement's": (
        "enclave_compute/planted.py",
        "from protos.release import history",
    ),
    "What the enclave is measured with imports nothing of releases": (
        "protos/plan/planted.py",
        "from protos.release import change",
    ),
    "The coordinator has no cryptography and no engine": ("coordinator/planted.py", "import duckdb"),
    "The coordinator cannot parse what it relays": (
        "coordinator/planted.py",
        "from protos.formats import cose",
    ),
}

LINT_IMPORTS = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(no_cache=True, no_logo=True))
"""


def contracts() -> list[dict[str, Any]]:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return cast(list[dict[str, Any]], configuration["tool"]["importlinter"]["contracts"])


def check_contracts(root: Path) -> tuple[int, str]:
    """The exit status of import-linter for the packages under `root`, and what it printed."""
    finished = subprocess.run(
        [sys.executable, "-c", LINT_IMPORTS],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return finished.returncode, finished.stdout + finished.stderr


def test_every_import_is_allowed() -> None:
    status, output = check_contracts(ROOT)
    assert status == 0, output


def test_every_contract_has_a_planted_violation() -> None:
    assert {contract["name"] for contract in contracts()} == PLANTED.keys()


@pytest.fixture(scope="module")
def copied_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("layering")
    shutil.copy(ROOT / "pyproject.toml", root)
    for package in SHIPPED:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.mark.parametrize("contract", PLANTED)
def test_contract_refuses_a_planted_import(contract: str, copied_packages: Path) -> None:
    name, line = PLANTED[contract]
    planted = copied_packages / name
    planted.write_text(line + "\n", encoding="utf-8")
    try:
        status, output = check_contracts(copied_packages)
    finally:
        planted.unlink()
    assert status == 1, output
    assert re.search(rf"^{re.escape(contract)} BROKEN", output, re.MULTILINE), output
