"""Fuzz target: a query's text is a plan or a `QueryRefusedError`, and the engine runs every plan.

The test suite runs `one_input` over the seeds, and over seeds with words exchanged, without a fuzzer.
"""

from __future__ import annotations

import contextlib

from enclave_compute.engine import Engine
from protos.formats.errors import FormatError
from protos.plan import QueryRefusedError
from tests.engine_world import FLIGHTS, FROM, JOINED, WEATHER, YEAR, plan_of
from tests.fuzz.runner import run

QUERIES = [
    "SELECT origin, COUNT(*) AS n FROM flights GROUP BY origin",
    f"SELECT floor(temp / 10) * 10 AS b, AVG(delay) AS d {JOINED} GROUP BY b",
    "SELECT SUM(CASE WHEN delay > $least THEN fare * 2 ELSE 0 END) AS s FROM flights WHERE origin = $origin",
    "SELECT date_trunc('month', leaves) AS m, round(delay / 3, 1) AS r, MIN(fare) AS l "
    "FROM flights GROUP BY m, r",
    "SELECT coalesce(left(origin, 2), '?') AS o, MAX(delay) AS x FROM flights "
    "WHERE delay IN (1, -2.5) GROUP BY 1",
    "SELECT COUNT(DISTINCT station) AS s FROM weather WHERE wet AND NOT wind BETWEEN 1.5 AND 2",
]
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


if __name__ == "__main__":
    run(one_input, seeds=[query.encode() for query in QUERIES])
