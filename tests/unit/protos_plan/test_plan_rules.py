"""The rules of datasets: each refuses by name what it is about, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protos.formats.agreement import Agreement
from protos.formats.query import Query
from protos.formats.rules import Clamp, OptOut, Rules
from protos.formats.schema import Column, Dataset
from protos.plan import Plan, QueryRefusedError, compile_query
from protos.plan.sql import aggregate_statement
from tests import engine_world as world
from tests.engine_world import FLIGHTS, JOINED, WEATHER, column, plan_of, with_column

COUNT = "SELECT COUNT(*) AS n FROM flights"
BOTH = f"SELECT COUNT(*) AS n {JOINED}"


def ruled(dataset: Dataset, **rules: Any) -> Dataset:
    return replace(dataset, rules=replace(dataset.rules, **rules))


def granting(dataset: Dataset, name: str, use: str) -> Dataset:
    old = dataset.column(name)
    return with_column(dataset, replace(old, uses=old.uses | {use}))


LISTED_FLIGHTS = ruled(
    granting(granting(FLIGHTS, "origin", "output"), "slot", "output"), analyses=("aggregation", "list")
)
LISTED_WEATHER = ruled(granting(WEATHER, "day", "output"), analyses=("list",))
LISTED = (LISTED_FLIGHTS, LISTED_WEATHER)
LIST = f"SELECT DISTINCT f.origin AS place {JOINED}"


def refused(message: str, sql: str, *datasets: Dataset, hint: str = "") -> None:
    with pytest.raises(QueryRefusedError, match=message) as caught:
        plan_of(sql, datasets=datasets)
    assert hint in (caught.value.hint or "")


# --- analyses ---------------------------------------------------------------------------------------------


def test_no_analysis_means_no_query() -> None:
    refused("airline allows for flights: none", COUNT, ruled(FLIGHTS, analyses=()), hint="only airline can")


def test_every_dataset_has_to_allow_a_list() -> None:
    assert plan_of(LIST, datasets=LISTED).analysis == "list"
    for datasets in ((FLIGHTS, LISTED_WEATHER), (LISTED_FLIGHTS, WEATHER)):
        closed = tuple(granting(item, "origin", "output") if item is FLIGHTS else item for item in datasets)
        refused("query of the kind list", LIST, *closed, hint="can add 'list' to `analyses`")


def test_a_list_only_dataset_is_not_aggregated() -> None:
    refused("query of the kind aggregation; met allows for weather: list", BOTH, *LISTED)
    assert plan_of(COUNT, datasets=LISTED).analysis == "aggregation"


LISTS = {
    "SELECT DISTINCT origin FROM flights": "DISTINCT is not allowed without a join",
    LIST.replace("JOIN", "LEFT JOIN"): "a list with LEFT JOIN is not allowed",
    f"{LIST} GROUP BY 1": "DISTINCT with GROUP BY is not allowed",
    f"SELECT DISTINCT f.origin, w.day {JOINED}": "a list of columns of flights and weather",
    f"SELECT DISTINCT upper(f.origin) AS o {JOINED}": "a list shows columns as they are",
    f"SELECT DISTINCT f.origin, COUNT(*) AS n {JOINED}": "a list has no aggregates",
    f"SELECT DISTINCT ON (f.slot) f.origin {JOINED}": "with on is not allowed",
    f"SELECT DISTINCT f.delay {JOINED}": "not output row by row",
    f"SELECT DISTINCT w.slot {JOINED}": "not output row by row",
    f"SELECT f.origin {JOINED}": "neither an aggregate nor in GROUP BY",
    f"SELECT f.slot, COUNT(*) AS n {JOINED} GROUP BY 1": "is joined on here",
}


@pytest.mark.parametrize("sql", LISTS)
def test_what_is_no_list(sql: str) -> None:
    refused(LISTS[sql], sql, *LISTED)


def test_a_join_column_leaves_a_list_only_where_its_owner_granted_it() -> None:
    plan = plan_of(f"SELECT DISTINCT f.slot {JOINED}", datasets=LISTED)
    assert ("slot", "output") in {(usage.column, usage.use) for usage in plan.usages}
    without = with_column(LISTED_FLIGHTS, FLIGHTS.column("slot"))
    refused("not output row by row", f"SELECT DISTINCT f.slot {JOINED}", without, LISTED_WEATHER)


def agreed(sql: str, *datasets: Dataset, name: str = "q") -> tuple[Agreement, Query]:
    query = replace(world.query(sql), id=name)
    opened = tuple(replace(dataset, rules=Rules()) for dataset in datasets)
    agreement = replace(world.agreement(*opened), queries=(query, world.query(COUNT)))
    return replace(agreement, datasets=datasets), query


def compiled(sql: str, *datasets: Dataset, name: str) -> Plan:
    agreement, query = agreed(sql, *datasets, name=name)
    return compile_query(agreement, query)


def test_custom_lets_the_listed_queries_through_and_no_others() -> None:
    query = replace(world.query(BOTH), id="mine")
    for named in ("mine", query.digest().hex()):
        custom = ruled(FLIGHTS, analyses=("custom",), only_queries=(named,))
        assert compiled(BOTH, custom, WEATHER, name="mine").analysis == "aggregation"
    custom = ruled(FLIGHTS, analyses=("custom",), only_queries=("q",))
    with pytest.raises(QueryRefusedError, match="the queries of its `only_queries` alone") as caught:
        compiled(BOTH, custom, WEATHER, name="mine")
    assert f"add mine (digest {query.digest().hex()})" in (caught.value.hint or "")
    refused("`only_queries` alone", COUNT, ruled(FLIGHTS, analyses=("custom",)))


def test_a_query_named_by_digest_is_that_text_and_no_other() -> None:
    query = replace(world.query(BOTH), id="mine")
    other = replace(query, sql=f"{BOTH} WHERE w.wet")
    custom = ruled(FLIGHTS, analyses=("custom",), only_queries=(query.digest().hex(),))
    agreement = replace(world.agreement(FLIGHTS, WEATHER), queries=(query, replace(other, id="other")))
    agreement = replace(agreement, datasets=(custom, WEATHER))
    compile_query(agreement, query)
    with pytest.raises(QueryRefusedError, match="`only_queries` alone"):
        compile_query(agreement, agreement.query("other"))


def test_custom_does_not_stand_in_for_uses() -> None:
    custom = ruled(FLIGHTS, analyses=("custom",), only_queries=("q",))
    refused("`secret` of airline may not be", "SELECT MIN(secret) AS s FROM flights", custom)


# --- joins, columns, receivers ------------------------------------------------------------------------------


def test_a_join_that_is_required() -> None:
    required = ruled(FLIGHTS, joined_with=("weather",))
    plan_of(BOTH, datasets=(required, WEATHER))
    swapped = "SELECT COUNT(*) AS n FROM weather AS w JOIN flights AS f ON f.slot = w.slot"
    plan_of(swapped, datasets=(required, WEATHER))
    for sql in (COUNT, BOTH.replace("JOIN", "LEFT JOIN"), swapped.replace("JOIN", "LEFT JOIN")):
        refused("only where it is inner-joined with weather", sql, required, WEATHER, hint="`joined_with`")
    refused("nothing, so that no query can", BOTH, ruled(FLIGHTS, joined_with=()), WEATHER)


def test_a_join_with_another_dataset_is_not_the_required_one() -> None:
    third = replace(WEATHER, id="tides")
    required = ruled(FLIGHTS, joined_with=("tides",))
    refused("inner-joined with tides", BOTH, required, WEATHER, third)
    chain = f"{BOTH} JOIN tides AS t ON t.slot = w.slot"
    refused("inner-joined with tides", chain, required, WEATHER, third)
    plan_of(f"{BOTH} JOIN tides AS t ON t.slot = f.slot", datasets=(required, WEATHER, third))


FORBIDDEN = [
    ("delay", "SELECT AVG(delay) AS a FROM flights"),
    ("delay", "SELECT SUM(CASE WHEN delay > 1 THEN fare END) AS a FROM flights"),
    ("delay", "SELECT COUNT(*) AS n FROM flights WHERE delay IS NOT NULL"),
    ("delay", "SELECT delay, COUNT(*) AS n FROM flights GROUP BY 1"),
    ("slot", BOTH),
    ("origin", LIST),
]


@pytest.mark.parametrize(("name", "sql"), FORBIDDEN)
def test_a_forbidden_column_is_mentioned_nowhere(name: str, sql: str) -> None:
    plan_of(sql, datasets=(LISTED_FLIGHTS, ruled(LISTED_WEATHER, analyses=("aggregation", "list"))))
    refused(
        f"airline has forbidden flights.{name}",
        sql,
        ruled(LISTED_FLIGHTS, forbidden=(name,)),
        ruled(LISTED_WEATHER, analyses=("aggregation", "list")),
        hint="only airline can take it out of `forbidden`",
    )


def test_a_forbidden_column_is_not_in_the_statement_either() -> None:
    """Not even to say which rows of a unit count."""
    bounded = ruled(FLIGHTS, max_rows_per_unit=2)
    assert '"secret"' in aggregate_statement(plan_of(BOTH, datasets=(bounded, WEATHER)))
    both = ruled(bounded, forbidden=("secret",))
    assert '"secret"' not in aggregate_statement(plan_of(BOTH, datasets=(both, WEATHER)))


def test_receivers_beyond_those_of_a_dataset() -> None:
    plan_of(COUNT, datasets=(ruled(FLIGHTS, receivers=("airline", "analyst")),))
    for receivers, said in ((("airline",), "go to airline, not to analyst"), ((), "go to nobody, not to")):
        refused(said, COUNT, ruled(FLIGHTS, receivers=receivers), hint="only airline can add to `receivers`")
    strict = ruled(WEATHER, receivers=())
    refused("met lets results over weather go to nobody", BOTH, FLIGHTS, strict)


# --- rows ---------------------------------------------------------------------------------------------------

OPTED = Dataset(
    "opted", "met", (column("tail", "text", "opt_out", "count", "join"),), "tail", 2, (), 1000, 10**6
)


def test_an_opt_out_list_is_used_by_nothing_else() -> None:
    without = ruled(FLIGHTS, opt_out=OptOut("opted", "tail"))
    plan_of(COUNT, datasets=(without, OPTED))
    refused("opted is the opt-out list of flights", "SELECT COUNT(*) AS n FROM opted", without, OPTED)
    plan_of("SELECT COUNT(*) AS n FROM opted", datasets=(FLIGHTS, OPTED))


TODAY = """\
SELECT "f"."origin" AS "origin", COUNT(*) AS "n", TRY_CAST(SUM("f"."delay") AS BIGINT) AS "s", \
COUNT(DISTINCT "f"."tailnum") AS "_units_0", COUNT(DISTINCT "w"."station") AS "_units_1", \
COUNT(DISTINCT "f"."tailnum") FILTER (WHERE ("f"."delay" IS NOT NULL)) AS "_units_0_support_0", \
COUNT(DISTINCT "w"."station") FILTER (WHERE ("f"."delay" IS NOT NULL)) AS "_units_1_support_0"
FROM "flights" AS "f"
INNER JOIN "weather" AS "w" ON "f"."slot" = "w"."slot"
WHERE "w"."wet"
GROUP BY "f"."origin\""""
SUMS = f"SELECT f.origin, COUNT(*) AS n, SUM(f.delay) AS s {JOINED} WHERE w.wet GROUP BY f.origin"


def test_without_such_rules_the_statement_is_as_ever() -> None:
    """What holds for others costs nothing here; the benchmarks are of this statement."""
    assert aggregate_statement(plan_of(SUMS)) == TODAY
    ruled_otherwise = ruled(
        FLIGHTS, joined_with=("weather",), receivers=("analyst",), forbidden=("secret",), min_units=9
    )
    assert aggregate_statement(plan_of(SUMS, datasets=(ruled_otherwise, WEATHER))) == TODAY


def test_a_clamp_is_where_values_are_added_and_nowhere_else() -> None:
    delay = replace(FLIGHTS.column("delay"), clamp=Clamp("-60", "600"))
    datasets = (with_column(FLIGHTS, delay), WEATHER)
    clamped = '(CASE WHEN "f"."delay" < CAST(\'-60\' AS BIGINT)'
    for function in ("SUM", "AVG", "MIN", "MAX"):
        sql = f"SELECT {function}(f.delay * 2) AS s {JOINED}"
        assert clamped in aggregate_statement(plan_of(sql, datasets=datasets))
    for sql in (
        f"SELECT COUNT(f.delay) AS s {JOINED}",
        f"SELECT f.delay, COUNT(*) AS s {JOINED} WHERE f.delay > 5 GROUP BY 1",
        f"SELECT SUM(CASE WHEN f.delay > 700 THEN f.fare END) AS s {JOINED}",
    ):
        assert clamped not in aggregate_statement(plan_of(sql, datasets=datasets))


def test_rules_are_part_of_a_datasets_digest() -> None:
    others: list[Dataset] = [
        ruled(FLIGHTS, analyses=("list",)),
        ruled(FLIGHTS, forbidden=("secret",)),
        replace(FLIGHTS, rules=Rules(single_units=True)),
        with_column(
            FLIGHTS, Column("delay", "int64", True, FLIGHTS.column("delay").uses, "none", Clamp("0", "1"))
        ),
    ]
    assert len({dataset.schema_digest() for dataset in (FLIGHTS, *others)}) == 5
