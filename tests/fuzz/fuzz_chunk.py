"""Fuzz target: a chunk's bytes are rows of the agreed shape or a `RefusedError`, and the engine lives on.

    python -m tests.fuzz.fuzz_chunk -max_total_time=60

needs atheris, which is installed separately. The test suite runs `one_input` over examples without it.
"""

from __future__ import annotations

import sys

from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from tests.engine_world import WEATHER

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


def main() -> None:
    """Hands `one_input` to atheris."""
    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
