"""What a query may say, and whose rule is named when it may not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protos.formats import limits
from protos.formats.query import Parameter
from protos.formats.schema import Dataset
from protos.plan import QueryRefusedError
from protos.plan.sql import aggregate_statement
from tests.engine_world import (
    FLIGHTS,
    FROM,
    JOINED,
    WEATHER,
    YEAR,
    column,
    plan_of,
    with_threshold,
)

ALLOWED = [
    "SELECT COUNT(*) AS n FROM flights",
    "SELECT origin, COUNT(*) AS n FROM flights GROUP BY origin",
    "SELECT origin FROM flights GROUP BY 1",
    "SELECT ORIGIN AS o, Count(*) AS n FROM Flights GROUP BY o",
    f"SELECT floor(temp / 10) * 10 AS band, AVG(delay) AS mean {JOINED} GROUP BY band",
    f"SELECT w.wet, SUM(CASE WHEN delay > 15 THEN fare * 2 ELSE 0 END) AS late {JOINED} GROUP BY w.wet",
    "SELECT date_trunc('month', leaves) AS m, MIN(fare) AS low FROM flights GROUP BY m",
    "SELECT EXTRACT(year FROM leaves) AS y, hour(leaves) AS h, COUNT(*) AS n FROM flights GROUP BY y, h",
    f"SELECT COUNT(DISTINCT w.slot) AS n {JOINED} WHERE w.day >= DATE '2013-01-01' AND w.wind IS NOT NULL",
    "SELECT COUNT(*) AS n FROM flights WHERE delay BETWEEN 0 AND 10 OR origin IN ('JFK', 'EWR')",
    "SELECT COUNT(*) AS n FROM flights WHERE leaves >= '2013-02-03' AND NOT (delay = -5)",
    "SELECT CASE delay WHEN 0 THEN 'none' ELSE NULL END AS k, MAX(delay) AS d FROM flights GROUP BY k",
    "SELECT COUNT(CASE WHEN tailnum = 'N1' THEN delay END) AS n FROM flights",
    "SELECT coalesce(upper(left(origin, 1)), '-') AS o, COUNT(*) AS n FROM flights GROUP BY o",
    "SELECT CAST(delay AS decimal(20, 3)) AS d, abs(round(delay)) AS r FROM flights GROUP BY d, r",
    "SELECT if(delay > 0, 1, 1.5) AS x, delay // 60 AS y, delay % 2 AS z FROM flights GROUP BY x, y, z",
    "SELECT greatest(delay, 0) AS g, nullif(length(trim(origin)), 0) AS l FROM flights GROUP BY 1, 2",
]

REFUSED = {
    "SELECT COUNT(*) AS n FROM flights WHERE @": "ABS of nothing",
    "SELECT @": "ABS of nothing",
    "INSERT INTO flights SELECT 1": "begin with SELECT",
    "": "begin with SELECT",
    "SELECT COUNT(* AS n FROM flights": "not SQL that can be read near line 1",
    "SELECT": "expected FROM",
    "SELECT COUNT(*) AS n FROM flights; SELECT 1": "2 statements",
    "SELECT COUNT(*) AS n FROM flights; DROP TABLE flights": "2 statements",
    "SELECT COUNT(*) AS n FROM '/etc/passwd'": "'/etc/passwd' is not a dataset",
    "SELECT COUNT(*) AS n FROM duckdb_settings()": "not allowed here",
    "SELECT COUNT(*) AS n FROM main.flights": "with db is not allowed",
    "SELECT COUNT(*) AS n FROM flights AS f(a, b)": "with columns is not allowed",
    "SELECT COUNT(*) AS n FROM flights TABLESAMPLE 10%": "with sample is not allowed",
    "SELECT COUNT(*) AS n FROM flights USING SAMPLE 5": "SAMPLE is not allowed",
    "SELECT COUNT(*) AS n FROM (SELECT * FROM flights) AS f": "* is not allowed",
    "SELECT COUNT(*) AS n FROM flights UNION SELECT 1": "one plain SELECT",
    "SELECT COUNT(*) AS n": "expected FROM",
    "SELECT * FROM flights": "* is not allowed",
    "SELECT flights.* FROM flights": "not allowed",
    "SELECT COUNT(*) FROM flights": "without a name",
    'SELECT COUNT(*) AS "_units_0" FROM flights': "not a name for an output",
    'SELECT COUNT(*) AS "N" FROM flights': "not a name for an output",
    "SELECT COUNT(*) AS n, COUNT(*) AS n FROM flights": "two outputs are called n",
    "SELECT origin, COUNT(*) AS n FROM flights": "neither an aggregate nor in GROUP BY",
    "SELECT 1000 AS n FROM flights": "neither an aggregate nor in GROUP BY",
    "SELECT 1000 AS n FROM flights GROUP BY 1": "GROUP BY needs an expression of columns",
    "SELECT COUNT(*) AS n FROM flights GROUP BY n": "cannot name an aggregate",
    "SELECT COUNT(*) AS n FROM flights GROUP BY 2": "there are 1 outputs",
    "SELECT origin, COUNT(*) AS n FROM flights GROUP BY ROLLUP (origin)": "not allowed",
    "SELECT origin, COUNT(*) AS n FROM flights GROUP BY ALL": "not allowed",
    "SELECT upper(origin) AS delay, COUNT(*) AS n FROM flights GROUP BY delay": "could mean a column",
    "SELECT DISTINCT origin FROM flights": "DISTINCT is not allowed",
    "SELECT COUNT(*) AS n FROM flights LIMIT 1": "LIMIT is not allowed",
    "SELECT COUNT(*) AS n FROM flights ORDER BY n": "ORDER BY is not allowed",
    "SELECT origin, COUNT(*) AS n FROM flights GROUP BY 1 HAVING COUNT(*) > 5": "HAVING is not allowed",
    "SELECT COUNT(*) AS n FROM flights FOR UPDATE": "with locks is not allowed",
    "WITH f AS (SELECT 1) SELECT COUNT(*) AS n FROM f": "expected FROM",
    "SELECT COUNT(*) FILTER (WHERE delay > 5) AS n FROM flights": "FILTER is not allowed here",
    "SELECT SUM(delay) / COUNT(*) AS n FROM flights": "arithmetic on aggregates",
    "SELECT COUNT(*) OVER () AS n FROM flights": "a window function is not allowed in the outermost",
    "SELECT SUM(DISTINCT delay) AS n FROM flights": "DISTINCT is not allowed here",
    "SELECT COUNT(DISTINCT flight_id, tailnum) AS n FROM flights": "DISTINCT is not allowed here",
    "SELECT COUNT(1) AS n FROM flights": "an aggregate of constants",
    "SELECT MEDIAN(delay) AS n FROM flights": "MEDIAN is not allowed",
    "SELECT COUNT(*) AS n FROM flights WHERE random() < 0.5": "RAND is not allowed",
    "SELECT COUNT(*) AS n FROM flights WHERE leaves < now()": "function now is not allowed",
    "SELECT COUNT(*) AS n FROM flights WHERE getenv('HOME') = 'x'": "function getenv is not allowed",
    "SELECT COUNT(*) AS n FROM flights WHERE delay IN (SELECT 1)": "not allowed",
    "SELECT COUNT(*) AS n FROM flights WHERE EXISTS (SELECT 1)": "EXISTS is not allowed",
    "SELECT COUNT(*) AS n FROM flights WHERE delay": "expected a condition, got int64",
    "SELECT COUNT(*) AS n FROM flights WHERE delay = 'x'": "int64 and text cannot be compared",
    "SELECT COUNT(*) AS n FROM flights WHERE leaves > 'soon'": "timestamp and text cannot be compared",
    "SELECT COUNT(*) AS n FROM flights WHERE leaves > DATE 'soon'": "'soon' is not a date",
    "SELECT COUNT(*) AS n FROM flights WHERE delay > 1e5": "expected a number such as",
    "SELECT COUNT(*) AS n FROM flights WHERE delay > $unknown": "no parameter $unknown",
    "SELECT COUNT(*) AS n FROM flights WHERE delay > ?": "no parameter",
    "SELECT COUNT(*) AS n FROM flights WHERE origin > delay": "text and int64 cannot be compared",
    "SELECT COUNT(*) AS n FROM flights WHERE missing = 1": "there is no column missing",
    "SELECT COUNT(*) AS n FROM flights WHERE w.wind = 1": "there is no column w.wind",
    f"SELECT slot, COUNT(*) AS n {JOINED} GROUP BY slot": "slot could be f.slot or w.slot",
    "SELECT COUNT(*) AS n FROM flights, weather": "a join without ON",
    "SELECT COUNT(*) AS n FROM flights NATURAL JOIN weather": "not allowed",
    "SELECT COUNT(*) AS n FROM flights JOIN weather USING (slot)": "with using is not allowed",
    "SELECT COUNT(*) AS n FROM flights f FULL JOIN weather w ON f.slot = w.slot": "FULL JOIN is not allowed",
    "SELECT COUNT(*) AS n FROM flights f CROSS JOIN weather w": "CROSS JOIN is not allowed",
    "SELECT COUNT(*) AS n FROM flights f JOIN weather w ON f.slot = w.slot OR f.slot = w.slot": "not allowed",
    "SELECT COUNT(*) AS n FROM flights f JOIN weather w ON f.slot <> w.slot": "not allowed",
    "SELECT COUNT(*) AS n FROM flights f JOIN weather w ON f.slot = f.slot": "of an earlier dataset",
    "SELECT COUNT(*) AS n FROM flights f JOIN weather w ON f.flight_id = w.slot": "joined columns have",
    "SELECT COUNT(*) AS n FROM flights f JOIN flights g ON f.slot = g.slot": "stands twice",
    f"SELECT AVG(wind) AS n {JOINED}": "avg needs int64 or decimal, got float64",
    "SELECT SUM(delay * CASE WHEN delay > 5 THEN 1 ELSE 0 END) AS n FROM flights": "one CASE around",
    "SELECT COUNT(delay > 5) AS n FROM flights": "one CASE around",
    "SELECT SUM(fare * fare * fare) AS n FROM flights": "sum of decimal(30,6) may not be exact",
    "SELECT SUM(CAST(delay AS decimal(38, 0))) AS n FROM flights": "may not be exact",
    "SELECT MIN(fare * fare * fare * fare) AS n FROM flights": "40 digits",
    "SELECT left(origin, delay) AS o FROM flights GROUP BY 1": "expected a whole number",
    "SELECT round(delay, 2) AS o FROM flights GROUP BY 1": "round with places is for decimal",
    "SELECT date_trunc('minute', day) AS o FROM weather GROUP BY 1": "of date to minute is not allowed",
    "SELECT EXTRACT(epoch FROM leaves) AS o FROM flights GROUP BY 1": "epoch of timestamp is not allowed",
    "SELECT CAST(origin AS bigint) AS o FROM flights GROUP BY 1": "CAST from text to int64",
    "SELECT CAST(delay AS varchar) AS o FROM flights GROUP BY 1": "is not allowed",
    "SELECT origin || 'x' AS o FROM flights GROUP BY 1": "|| is not allowed",
    "SELECT delay ** 2 AS o FROM flights GROUP BY 1": "not allowed",
}

BY_RULE = {
    "SELECT tailnum, COUNT(*) AS n FROM flights GROUP BY 1": "filtered on, not output or grouped by",
    "SELECT COUNT(secret) AS n FROM flights": "`secret` of airline may not be counted (line 1:14)",
    "SELECT MAX(fare) AS n FROM flights": "summed, not output as a maximum (line 1:12)",
    "SELECT COUNT(*) AS n FROM flights WHERE fare > 5": "not filtered on (line 1:41)",
    "SELECT COUNT(CASE WHEN fare > 5 THEN delay END) AS n FROM flights": "not filtered on (line 1:24)",
    "SELECT if(tailnum = 'N1', 1, 2) AS k FROM flights GROUP BY 1": "not output or grouped by (line 1:11)",
    f"SELECT MIN(delay + flight_id) AS n {JOINED}": "distinct values or joined on, not output as a minimum",
}


@pytest.mark.parametrize("sql", ALLOWED)
def test_query_of_the_grammar_compiles(sql: str) -> None:
    assert plan_of(sql).outputs


@pytest.mark.parametrize("sql", REFUSED)
def test_anything_else_is_refused_by_name(sql: str) -> None:
    with pytest.raises(QueryRefusedError) as caught:
        plan_of(sql or " ")
    assert REFUSED[sql] in caught.value.message


@pytest.mark.parametrize("sql", BY_RULE)
def test_use_that_the_owner_did_not_grant_is_refused(sql: str) -> None:
    with pytest.raises(QueryRefusedError) as caught:
        plan_of(sql)
    assert BY_RULE[sql] in caught.value.message


def test_refusal_says_query_place_and_who_could_grant_it() -> None:
    with pytest.raises(QueryRefusedError) as caught:
        plan_of("SELECT COUNT(*) AS n,\n       MAX(fare) AS most\nFROM flights")
    assert caught.value.message == (
        "query q: `fare` of airline may be averaged or output as a minimum or summed, "
        "not output as a maximum (line 2:12)"
    )
    assert caught.value.hint == (
        'add use "max" to column fare in dataset flights, which only airline can grant, '
        "or remove it from the query"
    )


def test_column_without_any_use_says_so() -> None:
    with pytest.raises(QueryRefusedError) as caught:
        plan_of("SELECT COUNT(secret) AS n FROM flights")
    assert "may not be used at all" in str(caught.value.hint)


def test_too_long_and_too_deep_are_refused() -> None:
    deep = "(" * 5000 + "delay" + ")" * 5000
    for sql in (
        f"SELECT COUNT(*) AS n FROM flights WHERE {deep} > 1",
        f"SELECT COUNT(*) AS n FROM flights WHERE delay > {'1 + ' * 80} 1",
    ):
        with pytest.raises(QueryRefusedError, match=r"nested (too deeply|deeper)"):
            plan_of(sql)
    with pytest.raises(Exception, match=f"expected 1 to {limits.SQL_MAX_CHARACTERS}"):
        plan_of("SELECT " + "x" * limits.SQL_MAX_CHARACTERS)


def test_plan_lists_every_use_with_its_place() -> None:
    plan = plan_of(
        "SELECT origin, AVG(delay) AS d FROM flights f JOIN weather w ON f.slot = w.slot "
        "WHERE w.wet GROUP BY origin"
    )
    uses = {(use.dataset, use.column, use.use) for use in plan.usages}
    assert uses == {
        ("flights", "slot", "join"),
        ("weather", "slot", "join"),
        ("weather", "wet", "filter"),
        ("flights", "origin", "group"),
        ("flights", "delay", "avg"),
    }
    assert {use.rule for use in plan.usages if use.column == "wet"} == {
        "met lets weather.wet be used for filter"
    }
    assert all(use.place is not None for use in plan.usages)


def test_strictest_threshold_holds_for_every_dataset() -> None:
    plan = plan_of(f"SELECT COUNT(*) AS n {JOINED}", datasets=(FLIGHTS, with_threshold(WEATHER, 9)))
    assert [(t.dataset, t.own_units, t.required_units) for t in plan.thresholds] == [
        ("flights", 3, 9),
        ("weather", 9, 9),
    ]
    assert plan.thresholds[0].rule == "fewer than 9 distinct flights.tailnum of airline"


def test_threshold_counts_datasets_of_the_query_only() -> None:
    plan = plan_of("SELECT COUNT(*) AS n FROM flights", datasets=(FLIGHTS, with_threshold(WEATHER, 9)))
    assert [t.required_units for t in plan.thresholds] == [3]


def test_outputs_have_types_that_do_not_depend_on_values() -> None:
    plan = plan_of(
        "SELECT origin, COUNT(*) AS n, SUM(delay) AS s, SUM(fare) AS f, AVG(fare) AS a, MIN(fare) AS m "
        "FROM flights GROUP BY origin"
    )
    assert {output.name: str(output.type) for output in plan.outputs} == {
        "origin": "text",
        "n": "int64",
        "s": "int64",
        "f": "decimal(38,2)",
        "a": "float64",
        "m": "decimal(10,2)",
    }
    assert [output.kind for output in plan.outputs] == ["group"] + ["aggregate"] * 5


def test_parameters_have_the_type_of_their_range() -> None:
    plan_of("SELECT COUNT(*) AS n FROM flights WHERE delay > $least AND origin = $origin", YEAR, FROM)
    with pytest.raises(QueryRefusedError, match="int64 and text cannot be compared"):
        plan_of("SELECT COUNT(*) AS n FROM flights WHERE delay > $origin", FROM)


def test_dates_and_decimals_are_parameters_of_their_type() -> None:
    since = Parameter("since", low="2013-01-01", high="2013-12-31")
    least = Parameter("cheap", low="0.00", high="99.95")
    plan = plan_of(
        "SELECT SUM(CASE WHEN leaves >= $since THEN fare * $cheap END) AS s FROM flights", since, least
    )
    statement = aggregate_statement(plan)
    assert "CAST($since AS DATE)" in statement
    assert "CAST($cheap AS DECIMAL(4,2))" in statement
    with pytest.raises(QueryRefusedError, match="int64 and date cannot be compared"):
        plan_of("SELECT COUNT(*) AS n FROM flights WHERE delay > $since", since)


def test_parameter_that_the_query_never_uses_is_refused() -> None:
    with pytest.raises(QueryRefusedError, match=r"never uses \$least"):
        plan_of("SELECT COUNT(*) AS n FROM flights", YEAR)


def test_many_to_many_join_needs_the_agreement_to_say_so() -> None:
    sql = "SELECT COUNT(*) AS n FROM flights f JOIN weather w ON f.slot = w.slot"
    loose = replace(WEATHER, unique=())
    with pytest.raises(QueryRefusedError, match="several rows with several rows"):
        plan_of(sql, datasets=(FLIGHTS, loose))
    plan = plan_of(sql, datasets=(FLIGHTS, loose), many_to_many=True)
    assert plan.sources[1].join is not None
    assert plan.sources[1].join.many_to_many


def test_unique_side_that_an_earlier_join_multiplied_does_not_count() -> None:
    first = Dataset("people", "airline", (column("id", "int64", "join"),), "id", 2, ("id",), 10, 10)
    many = Dataset("visits", "met", (column("id", "int64", "join"),), "id", 2, (), 10, 10)
    more = Dataset("orders", "met", (column("id", "int64", "join"),), "id", 2, (), 10, 10)
    joins = "FROM people p JOIN visits v ON p.id = v.id"
    datasets = (first, many, more)
    plan_of(f"SELECT COUNT(*) AS n {joins}", datasets=datasets)
    with pytest.raises(QueryRefusedError, match="the join with orders can match several rows"):
        plan_of(f"SELECT COUNT(*) AS n {joins} JOIN orders o ON p.id = o.id", datasets=datasets)


def test_distinct_values_of_columns_that_a_join_makes_equal_are_counted_once() -> None:
    distinct = "SELECT COUNT(DISTINCT w.slot) AS slots FROM flights AS f"
    inner = aggregate_statement(plan_of(f"{distinct} JOIN weather AS w ON f.slot = w.slot"))
    assert 'COUNT(DISTINCT "f"."slot") AS "slots"' in inner
    left = aggregate_statement(plan_of(f"{distinct} LEFT JOIN weather AS w ON f.slot = w.slot"))
    assert 'COUNT(DISTINCT "w"."slot") AS "slots"' in left
