"""A result that is too large is refused before any of it leaves the engine's memory."""

from __future__ import annotations

from typing import Any

import pytest

from enclave_compute import disclosure
from enclave_compute.errors import RefusedError
from protos.formats.calls import Refusal
from protos.formats.schema import Dataset
from tests import engine_world as world

COLUMNS = (world.column("unit", "int64"), world.column("town", "text", "group"))
PEOPLE = Dataset("people", "owner", COLUMNS, "unit", 1, (), 10**6, 10**8, world.SINGLE)
TOWNS = world.table(PEOPLE, [(number, f"{number:0100}") for number in range(100)])


def test_what_cannot_fit_is_not_even_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("protos.formats.limits.RESULT_MAX_BYTES", 100 * 100)
    monkeypatch.setattr(disclosure, "write_table", fetched)
    with pytest.raises(RefusedError) as caught:
        world.run("SELECT town FROM people GROUP BY town", {PEOPLE: TOWNS})
    assert caught.value.refusal is Refusal.OVER_LIMIT
