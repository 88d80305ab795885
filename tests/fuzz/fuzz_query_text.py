"""Fuzz target: a query's text is a plan or a `QueryRefusedError`, and the engine runs every plan.

    python -m tests.fuzz.fuzz_query_text -max_total_time=60

needs atheris, which is installed separately. The test suite runs `one_input` over examples without it.
"""

from __future__ import annotations

import contextlib
import sys

from enclave_compute.engine import Engine
from protos.formats.errors import FormatError
from protos.plan import QueryRefusedError
from tests.engine_world import FLIGHTS, FROM, WEATHER, YEAR, plan_of

ENGINE = Engine(128, 1)
ENGINE.create(FLIGHTS)
ENGINE.create(WEATHER)


def one_input(data: bytes) -> None:
    """Compiles `data` as a query, with and without parameters, and runs what compiles over empty tables."""
    sql = data.decode("utf-8", errors="replace")
    for parameters in ((), (YEAR,), (YEAR, FROM)):
        with contextlib.suppress(QueryRefusedError, FormatError):
            plan = plan_of(sql, *parameters)
            given = {parameter.name: parameter.low or "EWR" for parameter in parameters}
            with ENGINE.execute(plan, given):
                pass


def main() -> None:
    """Hands `one_input` to atheris."""
    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
