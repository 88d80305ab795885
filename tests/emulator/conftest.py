"""Machines that several tests look at from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator.machines import Booted, booted, image
from tests.emulator.overlay import with_probe

SOURCE_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """The image with the probe in it, running."""
    folder = tmp_path_factory.mktemp("probed")
    eif = with_probe(image(), folder / "probed.eif", source_root=SOURCE_ROOT)
    with booted(eif, folder) as machine:
        assert machine.first_report
        yield machine


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Booted]:
    """The image itself, running, for one test."""
    with booted(image(), tmp_path) as running:
        yield running
