"""Q22 asks for customers who have no orders: every way to write it is refused, or gives nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from enclave_compute.disclosure import release
from enclave_compute.engine import Engine
from party_client.agreements.grants import smallest_grants
from protos.formats.schema import USES, Dataset
from protos.plan import QueryRefusedError, compile_query
from tests.engine_world import agreement as agreement_over
from tests.engine_world import load, query, rows_of
from tests.tpch import tables
from tests.tpch.agreement import agreement, plain_queries

ABSENT = """
SELECT SUBSTRING(c_phone FROM 1 FOR 2) AS cntrycode, COUNT(*) AS numcust, SUM(c_acctbal) AS totacctbal
FROM customer LEFT JOIN orders ON o_custkey = c_custkey
WHERE o_number IS NULL
GROUP BY cntrycode
"""
ATTEMPTS = {
    "as TPC-H has it": (
        plain_queries()["q22"].replace("ORDER BY cntrycode\n", ""),
        "query q: SUBQUERY is not allowed here (line 7:18)",
    ),
    "the customers without orders alone": (
        "SELECT COUNT(*) AS n FROM customer\n"
        "WHERE NOT EXISTS (SELECT o_custkey FROM orders WHERE o_custkey = c_custkey)",
        "query q: EXISTS is not allowed here (line 2:26)",
    ),
    "as a list of those who are not in it": (
        "SELECT COUNT(*) AS n FROM customer WHERE c_custkey NOT IN (SELECT o_custkey FROM orders)",
        "query q: IN with query is not allowed (line 1:42)",
    ),
    "as a difference of two tables": (
        "SELECT COUNT(*) AS n FROM (SELECT c_custkey FROM customer EXCEPT SELECT o_custkey FROM orders) AS d",
        "query q: EXCEPT is not allowed (line 1:35)",
    ),
    "the mean of all beside each": (
        "SELECT AVG(c_acctbal) AS mean FROM (\n"
        "    SELECT AVG(c_acctbal) AS c_acctbal FROM customer WHERE c_acctbal > 0.00) AS m",
        "query q: an aggregate in a derived table is over the rows of one unit, and GROUP BY lacks "
        "customer.c_custkey, the privacy unit of retailer (line 2:12)",
    ),
}


@pytest.fixture
def retailers(tmp_path: Path) -> tuple[Dataset, ...]:
    """The retailer's tables, as if it granted everything and let any aggregation through."""
    agreed = agreement(tmp_path, root_sha256=bytes(32))
    return tuple(
        replace(
            dataset,
            columns=tuple(replace(column, uses=_all_uses(column.kind)) for column in dataset.columns),
            rules=replace(dataset.rules, analyses=("aggregation",), only_queries=()),
        )
        for dataset in agreed.datasets
        if dataset.id in ("customer", "orders")
    )


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_no_grant_allows(attempt: str, retailers: tuple[Dataset, ...]) -> None:
    sql, message = ATTEMPTS[attempt]
    with pytest.raises(QueryRefusedError) as caught:
        smallest_grants(retailers, query(sql))
    assert caught.value.message == message


def test_rows_of_a_left_join_that_found_nobody_are_held_back(
    tmp_path: Path, retailers: tuple[Dataset, ...]
) -> None:
    tables.generate(tmp_path, scale=0.01)
    plan = compile_query(agreement_over(*retailers), query(ABSENT))
    engine = Engine(512, 2)
    for dataset in retailers:
        load(engine, dataset, pq.read_table(tables.party_file(tmp_path, dataset)))
    released = release(engine, plan, {})
    assert rows_of(released) == []
    held_back = {one.rule: one.groups_at_most for one in released.suppressed}
    assert held_back["fewer than 1 distinct orders.o_custkey of retailer"] == 100
    without = "SELECT COUNT(*) FROM customer WHERE c_custkey NOT IN (SELECT o_custkey FROM orders)"
    assert tables.whole(tmp_path).execute(without).fetchall()[0][0] > 0


def _all_uses(kind: str) -> frozenset[str]:
    return USES if kind in ("int64", "decimal") else USES - {"avg", "sum"}
