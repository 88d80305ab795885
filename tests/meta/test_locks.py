"""What gets installed: every package pinned by hash, the same everywhere, from no named place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.meta.repository import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.lock"))

# What must not even be installed beside a role (the import contracts say the same about its code).
KEPT_OUT = {
    "coordinator": {"cryptography", "duckdb", "nanoarrow", "pandas", "pyarrow", "sqlglot"},
    "enclave": {"click", "grpcio", "numpy", "pandas", "protobuf", "pyarrow", "rich"},
}


def requirements(lock: Path) -> dict[str, list[tuple[str, str]]]:
    """Package name to its (pin, hashes) entries; a package can have one entry for each Python version."""
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, list[tuple[str, str]]] = {}
    for line in text.splitlines():
        if not line.startswith((" ", "#")):
            pin, _, hashes = line.partition("--hash=")
            found.setdefault(pin.partition("==")[0], []).append((pin.strip(), hashes))
    return found


def test_every_role_has_a_lock_and_so_has_the_image() -> None:
    roles = {"build", "coordinator", "dev", "enclave", "fuzz", "party"}
    assert {lock.stem for lock in LOCKS} == {*roles, "image"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_one_version_with_hashes(lock: Path) -> None:
    for entries in requirements(lock).values():
        for pin, hashes in entries:
            assert re.match(r"[a-z0-9-]+==[^ *]+( ; .+)?$", pin), pin
            assert re.match(r"sha256:[0-9a-f]{64}", hashes), pin


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_names_no_address(lock: Path) -> None:
    assert not re.search(r"://|@|--(?!hash=)", lock.read_text(encoding="utf-8"))


@pytest.mark.parametrize("role", ["build", "coordinator", "enclave", "image", "party"])
def test_role_installs_what_was_tested(role: str) -> None:
    tested = requirements(ROOT / "requirements/dev.lock")
    for name, entries in requirements(ROOT / f"requirements/{role}.lock").items():
        assert {pin.split(" ")[0] for pin, _ in entries} == {pin.split(" ")[0] for pin, _ in tested[name]}


@pytest.mark.parametrize("role", KEPT_OUT)
def test_role_installs_nothing_that_it_must_not_have(role: str) -> None:
    assert not KEPT_OUT[role] & requirements(ROOT / f"requirements/{role}.lock").keys()
