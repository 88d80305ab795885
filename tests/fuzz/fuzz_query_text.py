"""Fuzz target: a query's text is a plan or a `QueryRefusedError`, and the engine runs every plan.

The test suite runs `one_input` over the seeds, and over seeds with words exchanged, without a fuzzer.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from enclave_compute.disclosure import release
from enclave_compute.engine import Engine
from protos.formats.errors import FormatError
from protos.formats.privacy import PrivacyEntry, QueryNoise
from protos.formats.rules import Clamp, Rules
from protos.formats.schema import EXACT_TYPES, USES, Dataset
from protos.plan import QueryRefusedError
from tests.engine_world import FLIGHTS, FROM, JOINED, WEATHER, YEAR, plan_of
from tests.fuzz.runner import run
from tests.privacy_world import plan_of as noisy_plan_of

QUERIES = [
    "SELECT origin, COUNT(*) AS n FROM flights GROUP BY origin",
    f"SELECT floor(temp / 10) * 10 AS b, AVG(delay) AS d {JOINED} GROUP BY b",
    "SELECT SUM(CASE WHEN delay > $least THEN fare * 2 ELSE 0 END) AS s FROM flights WHERE origin = $origin",
    "SELECT date_trunc('month', leaves) AS m, round(delay / 3, 1) AS r, MIN(fare) AS l "
    "FROM flights GROUP BY m, r",
    "SELECT coalesce(left(origin, 2), '?') AS o, MAX(delay) AS x FROM flights "
    "WHERE delay IN (1, -2.5) GROUP BY 1",
    "SELECT COUNT(DISTINCT station) AS s FROM weather WHERE wet AND NOT wind BETWEEN 1.5 AND 2",
    "WITH t AS (SELECT tailnum, SUM(delay) AS d, COUNT(*) AS n FROM flights GROUP BY tailnum) "
    "SELECT n, AVG(d) AS a FROM t WHERE d > $least GROUP BY n",
    "SELECT SUM(v) AS s FROM (SELECT CASE WHEN delay > 5 THEN delay ELSE 0 END AS v FROM flights) AS t",
    "SELECT SUM(d) AS s FROM (SELECT delay AS d, ROW_NUMBER() OVER (PARTITION BY tailnum "
    "ORDER BY leaves, delay DESC NULLS FIRST) AS r FROM flights) AS w WHERE r = 1",
    "SELECT AVG(b) AS a FROM (SELECT LAG(delay, 2) OVER (PARTITION BY tailnum, origin "
    "ORDER BY leaves, delay, origin, tailnum) AS b FROM flights) AS w",
    "SELECT COUNT(*) AS n FROM (SELECT slot, origin AS o FROM flights UNION ALL SELECT slot, station "
    "FROM weather) AS p WHERE o = $origin AND slot IS NOT NULL OR o > 'b' AND $least > 3",
    "SELECT origin, COUNT(*) AS n, SUM(CASE WHEN delay > 0 THEN fare ELSE 0 END) AS s, AVG(delay) AS d, "
    "COUNT(DISTINCT tailnum) AS t FROM flights GROUP BY origin",
    "SELECT w.wet, SUM(t.d) AS d FROM (SELECT slot, delay AS d FROM flights) AS t LEFT JOIN weather AS w "
    "ON t.slot = w.slot GROUP BY w.wet",
    "SELECT COUNT(*) AS n FROM weather WHERE station NOT LIKE '%a_b%' "
    "AND day < DATE '2013-03-31' - INTERVAL '1' MONTH",
]


def opened(dataset: Dataset) -> Dataset:
    """With every use granted, so that what is refused is refused for its form."""
    return replace(
        dataset,
        columns=tuple(
            replace(column, uses=USES if column.kind in EXACT_TYPES else USES - {"avg", "sum"})
            for column in dataset.columns
        ),
    )


CLAMPS = {"delay": Clamp("-60", "600"), "fare": Clamp("0.00", "999.00")}
DATASETS = (opened(FLIGHTS), opened(WEATHER))
AIRLINE = PrivacyEntry("airline", "1", "0.000001", "gaussian")
BOUNDED = (
    replace(
        DATASETS[0],
        rules=Rules(max_rows_per_unit=3),
        columns=tuple(replace(column, clamp=CLAMPS.get(column.name)) for column in DATASETS[0].columns),
    ),
    DATASETS[1],
)
ENGINE = Engine(128, 1)
for dataset in DATASETS:
    ENGINE.create(dataset)


def one_input(data: bytes) -> None:
    """Compiles `data` as a query, with and without parameters, and runs what compiles over empty tables.

    Once more for an owner with a privacy budget: what compiles is released with noise.
    """
    sql = data.decode("utf-8", errors="replace")
    for parameters in ((), (YEAR,), (YEAR, FROM)):
        with contextlib.suppress(QueryRefusedError, FormatError):
            plan = plan_of(sql, *parameters, datasets=DATASETS)
            given = {parameter.name: parameter.low or "EWR" for parameter in parameters}
            with ENGINE.execute(plan, given):
                pass
        for noise in (QueryNoise("selected"), QueryNoise("declared"), QueryNoise("declared", (("EWR",),))):
            with contextlib.suppress(QueryRefusedError, FormatError):
                noisy = noisy_plan_of(sql, noise, *parameters, privacy=(AIRLINE,), datasets=BOUNDED)
                release(ENGINE, noisy, {parameter.name: parameter.low or "EWR" for parameter in parameters})


if __name__ == "__main__":
    run(one_input, seeds=[query.encode() for query in QUERIES])
