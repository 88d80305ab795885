"""Fuzz target: a chunk's bytes are rows of the agreed shape or a `RefusedError`, and the engine lives on.

The test suite runs `one_input` over the seeds, and over damaged ones, without a fuzzer.
"""

from __future__ import annotations

import datetime as dt

from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from tests.engine_world import WEATHER, chunk, slot, table
from tests.fuzz.runner import run

ROWS = [(slot(n), n / 3, n, dt.date(2013, 1, 1 + n), n % 2 == 0, f"station {n}") for n in range(9)]
CHUNKS = [chunk(table(WEATHER, ROWS), compression=compression) for compression in (None, "zstd", "lz4")]
ENGINE = Engine(128, 1)


def one_input(data: bytes) -> None:
    """Appends `data` and closes the dataset: all of it is there, or it is refused, at once or then."""
    ENGINE.create(WEATHER)
    try:
        rows = ENGINE.append_untrusted(WEATHER.id, data)
        found = ENGINE.finish(WEATHER.id)
    except RefusedError:
        return
    finally:
        ENGINE.drop(WEATHER.id)
    if rows != found:
        raise AssertionError(f"{rows} rows were taken and {found} are there")


if __name__ == "__main__":
    run(one_input, seeds=CHUNKS)
