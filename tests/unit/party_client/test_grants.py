"""The smallest grants that let a query run: with them it runs, and without any one of them it does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from party_client.agreements.grants import smallest_grants
from protos.formats.schema import Dataset
from protos.plan import QueryRefusedError, compile_query
from tests import engine_world as world
from tests.unit.protos_plan.test_plan_compiler import ALLOWED
from tests.unit.protos_plan.test_plan_derived import ALLOWED as DERIVED
from tests.unit.protos_plan.test_plan_derived import CLIENTS, ORDERS

CASES = [(sql, (world.FLIGHTS, world.WEATHER)) for sql in ALLOWED]
CASES += [(sql, (ORDERS, CLIENTS)) for sql in DERIVED]


def with_grants(
    datasets: Iterable[Dataset], grants: dict[tuple[str, str], frozenset[str]]
) -> tuple[Dataset, ...]:
    return tuple(
        replace(
            dataset,
            columns=tuple(
                replace(column, uses=grants.get((dataset.id, column.name), frozenset()))
                for column in dataset.columns
            ),
        )
        for dataset in datasets
    )


@pytest.mark.parametrize(("sql", "datasets"), CASES)
def test_grants_are_enough_and_none_of_them_is_spare(sql: str, datasets: tuple[Dataset, ...]) -> None:
    query = world.query(sql)
    found = smallest_grants(with_grants(datasets, {}), query)
    flat = {(dataset, column): uses for dataset, columns in found.items() for column, uses in columns.items()}
    compile_query(world.agreement(*with_grants(datasets, flat)), query)
    for key, uses in flat.items():
        for use in uses:
            less = with_grants(datasets, {**flat, key: uses - {use}})
            with pytest.raises(QueryRefusedError, match=f"`{key[1]}` of "):
                compile_query(world.agreement(*less), query)


def test_what_no_grant_allows_is_refused_as_ever() -> None:
    sql = f"SELECT f.slot, COUNT(*) AS n {world.JOINED} GROUP BY f.slot"
    with pytest.raises(QueryRefusedError, match="is joined on here"):
        smallest_grants((world.FLIGHTS, world.WEATHER), world.query(sql))
