"""Fuzz target: a chunk's bytes are rows of the agreed shape or a `RefusedError`, and the engine lives on.

The test suite runs `one_input` over the seeds, and over damaged ones, without a fuzzer.
"""

from __future__ import annotations

import datetime as dt

from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from tests.chunk_tables import chunk
from tests.engine_world import WEATHER, slot, table
from tests.fuzz.runner import run

ROWS = [(slot(n), n / 3, n, dt.date(2013, 1, 1 + n), n % 2 == 0, f"station {n}") for n in range(9)]
TABLE = table(WEATHER, ROWS)
STATIONS = TABLE.set_column(5, "station", TABLE.column("station").combine_chunks().dictionary_encode())
CHUNKS = [b"n" + chunk(TABLE), b"n" + chunk(STATIONS), b"z" + chunk(TABLE, compression="zstd")]
"""The first byte says whether the rest is compressed, as the header of an upload does."""
ENGINE = Engine(128, 1)


def one_input(data: bytes) -> None:
    """Appends `data` and closes the dataset: all of it is there, or it is refused, at once or then."""
    compression = "zstd" if data[:1] == b"z" else "none"
    ENGINE.create(WEATHER)
    try:
        rows = ENGINE.append_untrusted(WEATHER.id, data[1:], compression=compression)
        found = ENGINE.finish(WEATHER.id)
    except RefusedError:
        return
    finally:
        ENGINE.drop(WEATHER.id)
    if rows != found:
        raise AssertionError(f"{rows} rows were taken and {found} are there")


if __name__ == "__main__":
    run(one_input, seeds=CHUNKS)
