"""Attacks through what is computed: by a party's data, by the text of a query, by what leaves of a run."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from enclave_compute.disclosure import refusal_of
from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from protos.formats.calls import Refusal
from protos.formats.schema import Dataset
from protos.plan import QueryRefusedError
from protos.plan.hidden import support_column
from protos.plan.sql import aggregate_statement
from tests import chunk_tables
from tests import engine_world as world
from tests.engine_world import MEMORY_MIB, column, plan_of, rows_of, run, with_column, with_threshold

PATIENTS = Dataset(
    "patients",
    "clinic",
    (
        column("id", "int64", "join", "count_distinct"),
        column("town", "text", "group", "filter"),
        column("score", "int64", "sum", "avg", "count", "filter", "group", nullable=True),
        column("cost", "decimal(12,2)", "sum"),
    ),
    "id",
    5,
    ("id",),
    10_000,
    10_000_000,
)
CLAIMS = Dataset(
    "claims",
    "insurer",
    (
        column("patient", "int64", "join", "count_distinct"),
        column("contract", "int64", "count_distinct"),
        column("amount", "int64", "sum", "avg", "count", "filter"),
    ),
    "contract",
    2,
    (),
    10_000,
    10_000_000,
)
JOIN = "FROM patients p JOIN claims c ON p.id = c.patient"


def patients(rows: list[tuple[Any, ...]]) -> pa.Table:
    """Rows of (id, town, score)."""
    return world.table(PATIENTS, [(*row, 1) for row in rows])


def test_attack_20_threshold_counts_units_not_rows() -> None:
    """Four patients with a hundred claims each: 400 rows, four people."""
    few = patients([(n, "few", 1) for n in range(4)] + [(10 + n, "many", 1) for n in range(5)])
    claims = [(n, 1000 * n + m, 1) for n in range(4) for m in range(100)]
    claims += [(10 + n, 10 + n, 1) for n in range(5)]
    found = run(
        f"SELECT p.town, COUNT(*) AS n {JOIN} GROUP BY p.town",
        {PATIENTS: few, CLAIMS: world.table(CLAIMS, claims)},
    )
    assert rows_of(found) == [("many", 5)]
    assert [(note.rule, note.groups_at_most) for note in found.suppressed] == [
        ("fewer than 5 distinct patients.id of clinic", 10),
        ("fewer than 5 distinct claims.contract of insurer", 10),
    ]


def test_attack_20_join_fan_out_is_refused() -> None:
    many = replace(PATIENTS, unique=())
    with pytest.raises(QueryRefusedError, match="several rows with several rows"):
        plan_of(f"SELECT COUNT(*) AS n {JOIN}", datasets=(many, CLAIMS))


def test_attack_21_fake_rows_pad_the_group() -> None:
    """The insurer invents contracts for one patient: they fill its own count and nobody else's."""
    one = patients([(1, "a", 99)])
    invented = world.table(CLAIMS, [(1, contract, 1) for contract in range(1000)])
    sql = f"SELECT p.town, SUM(p.score) AS score {JOIN} GROUP BY p.town"
    assert rows_of(run(sql, {PATIENTS: one, CLAIMS: invented})) == []


def test_attack_22_threshold_from_a_named_column() -> None:
    """A query cannot write, rename or stand in for the count that the thresholds look at."""
    for sql in (
        "SELECT 1000 AS units_0, COUNT(*) AS n FROM patients",
        'SELECT COUNT(*) AS "_units_0" FROM patients',
        'SELECT COUNT(*) AS "_UNITS_0" FROM patients',
    ):
        with pytest.raises(QueryRefusedError):
            plan_of(sql, datasets=(PATIENTS,))
    rows = patients([(n, "a", 1000) for n in range(4)])
    for sql in (
        "SELECT town, SUM(score) AS units FROM patients GROUP BY town",
        "SELECT score AS units, COUNT(*) AS cnt FROM patients GROUP BY score",
        "SELECT COUNT(*) AS id FROM patients",
    ):
        assert rows_of(run(sql, {PATIENTS: rows})) == []


def test_attack_22_text_of_the_query_never_reaches_the_engine() -> None:
    text = "it''s; DROP TABLE patients; --"
    plan = plan_of(
        f"SELECT COUNT(*) AS n /* {text} */ FROM patients -- HAVING\n WHERE town = '{text}'",
        datasets=(PATIENTS,),
    )
    statement = aggregate_statement(plan)
    assert statement.count(text) == 1
    assert f"'{text}'" in statement
    assert "HAVING" not in statement
    rows = patients([(n, text.replace("''", "'"), 1) for n in range(5)])
    sql = f"SELECT COUNT(*) AS n FROM patients WHERE town = '{text}'"
    assert rows_of(run(sql, {PATIENTS: rows})) == [(5,)]


FALLIBLE = [
    "SELECT SUM(score + 9223372036854775807) AS s FROM patients",
    "SELECT SUM(score * score * score) AS s FROM patients",
    "SELECT COUNT(*) AS n FROM patients WHERE 1 / score > 0",
    "SELECT COUNT(*) AS n FROM patients WHERE 10 // (score - 7) > 0",
    "SELECT COUNT(*) AS n FROM patients WHERE 10 % (score - 7) = 1",
    "SELECT -score AS k, COUNT(*) AS n FROM patients GROUP BY k",
    "SELECT abs(score) AS k, COUNT(*) AS n FROM patients GROUP BY k",
    "SELECT floor(score / 0.0000001) AS k, COUNT(*) AS n FROM patients GROUP BY k",
    "SELECT score / 0 AS k, COUNT(*) AS n FROM patients GROUP BY k",
    "SELECT CAST(score AS decimal(3, 2)) AS k, COUNT(*) AS n FROM patients GROUP BY k",
    "SELECT CASE WHEN score * 2 > 5 THEN 1 ELSE 0 END AS k, COUNT(*) AS n FROM patients GROUP BY k",
    "SELECT SUM(CAST(cost * score AS decimal(26, 2))) AS s FROM patients",
    "SELECT SUM(CASE WHEN score * 2 > 5 THEN score ELSE 0 END) AS s FROM patients",
    "SELECT COUNT(*) AS n FROM patients WHERE score = 7.5",
    "SELECT COUNT(*) AS n FROM patients WHERE score BETWEEN -1 AND 12345678901234567.25",
    "SELECT greatest(score, 1.5) AS k, COUNT(*) AS n FROM patients GROUP BY k",
]


@pytest.mark.parametrize("sql", FALLIBLE)
def test_attack_23_error_messages_as_an_oracle(sql: str) -> None:
    """One value that would overflow, divide by zero or not fit makes no difference that can be seen."""
    loose = with_column(PATIENTS, replace(PATIENTS.column("cost"), uses=frozenset({"sum", "filter"})))
    ordinary = [(n, "a", n) for n in range(20)]
    seen = set()
    for extreme in (2**63 - 1, -(2**63), 0, 7):
        rows = world.table(loose, [(*row, 1) for row in [*ordinary, (99, "a", extreme)]])
        found = run(sql, {loose: rows})
        seen.add((found.rows, len(found.table_ipc), found.suppressed))
    assert len(seen) == 1


def test_attack_23_what_goes_wrong_inside_says_nothing_about_values() -> None:
    engine = Engine(MEMORY_MIB, 1)
    engine.create(PATIENTS)
    secret = "4711"
    chunk = chunk_tables.chunk(world.table(PATIENTS, [(1, "x" * 70_000 + secret, 1, 1)]))
    engine.append_untrusted("patients", chunk)
    with pytest.raises(RefusedError) as caught:
        engine.finish("patients")
    assert secret not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert refusal_of(caught.value) is Refusal.SCHEMA_MISMATCH


def test_attack_27_row_order_leaks_input_order() -> None:
    rows = [(n, f"town {n % 40:02}", n % 3) for n in range(2000)]
    sql = "SELECT town, score, COUNT(*) AS n FROM patients GROUP BY town, score"
    seen = set()
    for seed in range(4):
        random.Random(seed).shuffle(rows)
        found = run(sql, {PATIENTS: patients(rows)})
        assert rows_of(found) == sorted(rows_of(found))
        seen.add(found.table_ipc)
    assert len(seen) == 1


JOIN_KEY_QUERIES = [
    f"SELECT p.id, COUNT(*) AS n {JOIN} GROUP BY p.id",
    f"SELECT p.id AS k {JOIN} GROUP BY 1",
    f"SELECT c.patient % 1000000 AS k, COUNT(*) AS n {JOIN} GROUP BY k",
    f"SELECT CASE WHEN p.id = 17 THEN 'yes' ELSE 'no' END AS k, COUNT(*) AS n {JOIN} GROUP BY k",
    f"SELECT MIN(p.id) AS k {JOIN}",
    f"SELECT MAX(c.patient) AS k {JOIN}",
    f"SELECT SUM(p.id) AS k {JOIN}",
    f"SELECT COUNT(p.id) AS k {JOIN}",
]


@pytest.mark.parametrize("sql", JOIN_KEY_QUERIES)
def test_attack_28_join_keys_in_the_output(sql: str) -> None:
    """Refused even where the owners granted every use of the columns."""
    every = frozenset({"avg", "count", "count_distinct", "filter", "group", "join", "max", "min", "sum"})
    open_patients = with_column(PATIENTS, replace(PATIENTS.column("id"), uses=every))
    open_claims = with_column(CLAIMS, replace(CLAIMS.column("patient"), uses=every))
    with pytest.raises(QueryRefusedError, match="is joined on here"):
        plan_of(sql, datasets=(open_patients, open_claims))
    plan_of(f"SELECT COUNT(DISTINCT p.id) AS k {JOIN}", datasets=(open_patients, open_claims))


@pytest.mark.parametrize("function", ["MIN", "MAX"])
def test_attack_29_minimum_without_permission(function: str) -> None:
    sql = f"SELECT {function}(score) AS s FROM patients"
    with pytest.raises(QueryRefusedError, match="not output as a"):
        plan_of(sql, datasets=(PATIENTS,))
    for other in (
        "MEDIAN(score)",
        "quantile_cont(score, 0.99)",
        "mode(score)",
        "arg_max(score, cost)",
        "list(score)",
    ):
        with pytest.raises(QueryRefusedError, match="not allowed"):
            plan_of(f"SELECT {other} AS s FROM patients", datasets=(PATIENTS,))


def test_attack_29_average_over_the_one_value_there_is() -> None:
    """A group of a hundred people of whom one has a value: the group passes, the value does not."""
    rows = patients([(n, "a", None) for n in range(99)] + [(99, "a", 123_456)])
    for aggregate in (
        "AVG(score)",
        "SUM(score)",
        "COUNT(score)",
        "SUM(CASE WHEN score > 9 THEN score ELSE 0 END)",
    ):
        found = run(f"SELECT COUNT(*) AS n, {aggregate} AS s FROM patients", {PATIENTS: rows})
        assert rows_of(found) == [(100, None)]
        assert found.suppressed[-1].groups_at_most == 10


def test_attack_29_sum_over_the_one_person_that_a_left_join_found() -> None:
    """Ten patients and five contracts are behind the row, but all the contracts are one patient's."""
    rows = patients([(n, "a", 1) for n in range(10)])
    claims = world.table(CLAIMS, [(3, contract, 100) for contract in range(5)])
    sql = f"SELECT COUNT(*) AS n, SUM(c.amount) AS s {JOIN.replace('JOIN', 'LEFT JOIN')}"
    assert rows_of(run(sql, {PATIENTS: rows, CLAIMS: claims})) == [(14, None)]


COMPUTED = [
    "score + 9223372036854775807",
    "score * score * score",
    "-score",
    "abs(score)",
    "nullif(score, 7)",
    "10 // (score - 7)",
    "10 % (score - 7)",
    "CAST(score AS decimal(3, 2))",
    "floor(1 / score)",
    "CASE WHEN score > 9 THEN score + 9223372036854775000 END",
    "CASE WHEN score * score > 9 THEN score ELSE NULL END",
    "CASE WHEN score IS NULL THEN NULL WHEN NOT score > 0 THEN score END",
]


@pytest.mark.parametrize("argument", COMPUTED)
def test_attack_29_units_behind_a_value_are_those_whose_values_are_in_it(argument: str) -> None:
    """However the engine rewrites an expression, it counts the units of the rows that are not NULL."""
    values = [None, 0, 1, 7, 9, 10, 300, 808, 2**62, 2**63 - 1, -(2**63), -1]
    rows = patients([(n, "a", value) for n, value in enumerate(values)])
    engine = Engine(MEMORY_MIB, 1)
    world.load(engine, PATIENTS, rows)
    plan = plan_of(f"SELECT COUNT({argument}) AS n FROM patients", datasets=(PATIENTS,))
    with engine.execute(plan, {}) as computed:
        counted, behind = computed.numbers(["MIN(n)", f"MIN({support_column(0, 0)})"])
    assert 0 < counted == behind < len(values)


def test_attack_33_another_rule_never_widens() -> None:
    """Another dataset, another grant or a laxer owner beside a strict one lets out no more than before."""
    rows = patients([(n, "a", 1) for n in range(4)])
    claims = world.table(CLAIMS, [(n, n, 1) for n in range(4)])
    lax = with_threshold(CLAIMS, 1)
    alone = run("SELECT COUNT(*) AS n FROM patients", {PATIENTS: rows})
    beside = run(f"SELECT COUNT(*) AS n {JOIN}", {PATIENTS: rows, lax: claims})
    assert rows_of(alone) == rows_of(beside) == []
    strict = with_threshold(CLAIMS, 9)
    six = patients([(n, "a", 1) for n in range(6)])
    six_claims = world.table(CLAIMS, [(n, n, 1) for n in range(6)])
    assert rows_of(run(f"SELECT COUNT(*) AS n {JOIN}", {PATIENTS: six, strict: six_claims})) == []
    assert rows_of(run(f"SELECT COUNT(*) AS n {JOIN}", {PATIENTS: six, lax: six_claims})) == [(6,)]
    with pytest.raises(QueryRefusedError, match="avg needs int64 or decimal, got text"):
        plan_of("SELECT AVG(town) AS n FROM patients", datasets=(PATIENTS, CLAIMS))


def test_attack_33_empty_means_deny() -> None:
    closed = tuple(replace(item, uses=frozenset()) for item in PATIENTS.columns)
    dataset = replace(PATIENTS, columns=closed)
    for sql in (
        "SELECT town FROM patients GROUP BY town",
        "SELECT COUNT(score) AS n FROM patients",
        "SELECT COUNT(*) AS n FROM patients WHERE score > 1",
        f"SELECT COUNT(*) AS n {JOIN}",
    ):
        with pytest.raises(QueryRefusedError, match="may not be"):
            plan_of(sql, datasets=(dataset, CLAIMS))
