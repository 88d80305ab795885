"""Attacks through the shape of a query: ladders of CASE, derived tables, windows and unions."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from protos.formats.schema import Dataset
from protos.plan import QueryRefusedError
from tests import engine_world as world
from tests.engine_world import column, plan_of, rows_of, run

EVERY = ("avg", "count", "count_distinct", "filter", "group", "max", "min", "order", "sum")
PATIENTS = Dataset(
    "patients",
    "clinic",
    (
        column("id", "int64", "join", *EVERY),
        column("town", "text", "group", "filter", "count_distinct"),
        column("score", "int64", *EVERY, nullable=True),
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
        column("patient", "int64", "join", *EVERY),
        column("number", "int64", "order"),
        column("amount", "int64", *EVERY, nullable=True),
    ),
    "patient",
    5,
    ("number",),
    10_000,
    10_000_000,
)
SECRET = 4711
VICTIM = 17


def patients(count: int = 30) -> pa.Table:
    return world.table(PATIENTS, [(n, "a", SECRET if n == VICTIM else 1) for n in range(count)])


def claims(rows: list[tuple[Any, ...]]) -> pa.Table:
    """Rows of (patient, amount)."""
    return world.table(CLAIMS, [(patient, number, amount) for number, (patient, amount) in enumerate(rows)])


LADDERS = [
    "CASE WHEN id = 17 THEN score WHEN id <> 17 THEN 0 END",
    "CASE WHEN id = 17 THEN score ELSE 1 END",
    "CASE WHEN id = 17 THEN score ELSE $least END",
    "CASE WHEN id = 17 THEN score ELSE abs(0) END",
    "CASE WHEN id = 17 THEN 1000000 WHEN TRUE THEN 1 END",
    "CASE WHEN id <> 17 THEN 1 ELSE 1000000 END",
    "CASE WHEN id = 17 THEN score ELSE score * 0 END",
    "CASE WHEN id < 10 THEN score WHEN id < 17 THEN score WHEN id < 18 THEN score * 1000 ELSE score END",
]


@pytest.mark.parametrize("ladder", LADDERS)
@pytest.mark.parametrize("nested", [False, True])
def test_attack_30_ladder_of_cases_reaches_below_the_threshold(ladder: str, nested: bool) -> None:
    """Thirty patients are behind the row and one behind a rung: the value does not leave."""
    source = f"(SELECT {ladder} AS v FROM patients) AS t" if nested else "patients"
    argument = "v" if nested else ladder
    parameters = [world.YEAR] if "$least" in ladder else []
    given = {"least": 0} if parameters else None
    found = run(
        f"SELECT COUNT(*) AS n, SUM({argument}) AS s FROM {source}",
        {PATIENTS: patients()},
        *parameters,
        given=given,
    )
    assert rows_of(found) == [(30, None)]
    assert found.suppressed[-1].groups_at_most == 10


def test_attack_30_rungs_with_enough_patients_each_are_released() -> None:
    ladder = "CASE WHEN id < 10 THEN score WHEN id < 20 THEN score * 1000 ELSE 0 END"
    for sql in (
        f"SELECT SUM({ladder}) AS s FROM patients",
        f"SELECT SUM(v) AS s FROM (SELECT {ladder} AS v FROM patients) AS t",
    ):
        assert rows_of(run(sql, {PATIENTS: patients()})) == [(10 + 1000 * (9 + SECRET),)]


HIDDEN = [
    "SELECT SUM(v) AS s FROM (SELECT CASE WHEN id = 17 THEN score ELSE 0 END AS v FROM patients) AS t",
    "SELECT SUM(w) AS s FROM (SELECT v AS w FROM (SELECT CASE WHEN id = 17 THEN score ELSE 0 END AS v "
    "FROM patients) AS t) AS u",
    "SELECT SUM(v) AS s FROM (SELECT id, SUM(CASE WHEN id = 17 THEN score ELSE 0 END) AS v FROM patients "
    "GROUP BY id) AS t",
    "SELECT SUM(v) AS s FROM (SELECT id, COUNT(CASE WHEN id = 17 THEN score END) AS v FROM patients "
    "GROUP BY id) AS t",
    "SELECT SUM(coalesce(v, 0)) AS s FROM (SELECT CASE WHEN id = 17 THEN score END AS v FROM patients) AS t",
    "SELECT SUM(v * score) AS s FROM (SELECT score, CASE WHEN id = 17 THEN 1 ELSE 0 END AS v "
    "FROM patients) AS t",
    "SELECT SUM(v) AS s FROM (SELECT coalesce(CASE WHEN id = 17 THEN score END, 0) AS v FROM patients) AS t",
    "SELECT AVG(score) AS s FROM (SELECT score FROM patients WHERE id = 17) AS t",
    "WITH one AS (SELECT score FROM patients WHERE id = 17) SELECT MAX(score) AS s FROM one",
]


@pytest.mark.parametrize("sql", HIDDEN)
def test_attack_31_nested_query_reaches_below_the_threshold(sql: str) -> None:
    """A value for one patient and a zero for everybody else is one patient's value, wherever it is made."""
    try:
        found = run(sql, {PATIENTS: patients()})
    except QueryRefusedError as refusal:
        assert "by itself" in str(refusal.hint)
        return
    assert rows_of(found) in ([], [(None,)])


def test_attack_31_derived_table_hides_the_unit() -> None:
    """The unit is not among the columns of the derived table, and is counted all the same."""
    rows = world.table(PATIENTS, [(n, "few" if n < 4 else "many", 1) for n in range(9)])
    amounts = claims([(n, 10) for n in range(4) for _ in range(100)] + [(4 + n, 10) for n in range(5)])
    for inner in (
        "SELECT p.town AS town, c.amount AS amount FROM patients p JOIN claims c ON p.id = c.patient",
        "SELECT p.town AS town, SUM(c.amount) AS amount FROM patients p JOIN claims c ON p.id = c.patient "
        "GROUP BY p.id, p.town",
        "SELECT p.town AS town, s.amount AS amount FROM patients p JOIN (SELECT patient, "
        "SUM(amount) AS amount FROM claims GROUP BY patient) AS s ON p.id = s.patient",
    ):
        sql = f"SELECT town, SUM(amount) AS s FROM ({inner}) AS t GROUP BY town"
        assert rows_of(run(sql, {PATIENTS: rows, CLAIMS: amounts})) == [("many", 50)]


def test_attack_31_number_of_rows_picks_one_patient() -> None:
    """The one customer with exactly seven claims, by arithmetic on their number."""
    picked = "SUM(t * (1 - least(abs(n - 7), 1)))"
    inner = "SELECT patient, SUM(amount) AS t, COUNT(*) AS n FROM claims GROUP BY patient"
    for sql in (
        f"SELECT {picked} AS s FROM ({inner}) AS c",
        f"SELECT SUM(v) AS s FROM (SELECT {picked.removeprefix('SUM')} AS v FROM ({inner}) AS c) AS d",
    ):
        with pytest.raises(QueryRefusedError, match="one CASE around everything else"):
            plan_of(sql, datasets=(CLAIMS,))


@pytest.mark.parametrize(
    "inner",
    [
        "SELECT town, SUM(score) AS v FROM patients GROUP BY town",
        "SELECT score, COUNT(*) AS v FROM patients GROUP BY score",
        "SELECT SUM(score) AS v FROM patients",
        "SELECT id % 2 AS k, SUM(score) AS v FROM patients GROUP BY id % 2",
        "SELECT id + 0 AS k, SUM(score) AS v FROM patients GROUP BY id + 0",
    ],
)
def test_attack_31_derived_table_of_several_units_is_refused(inner: str) -> None:
    """Its rows would be of nobody: the thresholds outside could not say who is behind them."""
    with pytest.raises(QueryRefusedError, match=r"GROUP BY lacks patients\.id, the privacy unit of clinic"):
        plan_of(f"SELECT MAX(v) AS m FROM ({inner}) AS t", datasets=(PATIENTS,))


@pytest.mark.parametrize(
    "window",
    [
        "LAG(score) OVER (ORDER BY id)",
        "FIRST_VALUE(score) OVER (PARTITION BY town ORDER BY id)",
        "SUM(score) OVER ()",
        "MAX(score) OVER (PARTITION BY town)",
        "RANK() OVER (ORDER BY score)",
        "COUNT(*) OVER (PARTITION BY town, score)",
    ],
)
def test_attack_31_window_over_the_rows_of_other_people(window: str) -> None:
    with pytest.raises(QueryRefusedError, match=r"PARTITION BY lacks patients\.id"):
        plan_of(f"SELECT SUM(v) AS s FROM (SELECT {window} AS v FROM patients) AS t", datasets=(PATIENTS,))


POOL = (
    "SELECT id AS who, town AS kind, score AS v FROM patients "
    "UNION ALL SELECT patient, {0} AS kind, amount FROM claims"
)


def test_attack_21_union_pads_the_group_with_rows_of_another_party() -> None:
    """Four patients and any number of the insurer's customers: the clinic's own units are four."""
    rows = world.table(PATIENTS, [(n, "a", 1) for n in range(4)] + [(10 + n, "b", 1) for n in range(5)])
    padding = claims([(1000 + n, 1) for n in range(500)])
    for kind, expected in (("'a'", []), ("'b'", [("b", 505)])):
        pool = POOL.format(kind)
        sql = f"SELECT kind, SUM(v) AS s FROM ({pool}) AS p GROUP BY kind"
        assert rows_of(run(sql, {PATIENTS: rows, CLAIMS: padding})) == expected


def test_attack_21_union_pads_a_value_with_zeros_of_another_party() -> None:
    """All values but one of the clinic's are missing; the insurer's rows do not stand in for them."""
    rows = world.table(PATIENTS, [(n, "a", SECRET if n == VICTIM else None) for n in range(30)])
    padding = claims([(n, 0) for n in range(500)])
    pool = POOL.format("'a'")
    for source in (f"({pool}) AS p", f"(SELECT who, SUM(v) AS v FROM ({pool}) AS p GROUP BY who) AS u"):
        found = run(f"SELECT SUM(v) AS s, COUNT(*) AS n FROM {source}", {PATIENTS: rows, CLAIMS: padding})
        assert rows_of(found)[0][0] is None


def test_attack_21_union_with_the_same_dataset_pads_nothing() -> None:
    """One patient's value in one branch and zeros for everybody in another."""
    pool = "SELECT score AS v FROM patients WHERE id = 17 UNION ALL SELECT 0 AS v FROM patients"
    with pytest.raises(QueryRefusedError, match="'patients' stands twice"):
        plan_of(f"SELECT SUM(v) AS s FROM ({pool}) AS p", datasets=(PATIENTS,))


def test_attack_31_window_carries_a_value_to_a_row_of_another_party() -> None:
    """A row of the insurer's branch would carry a clinic's value without the patient being counted."""
    pool = POOL.format("'a'")
    with pytest.raises(QueryRefusedError, match=r"some may be of no patients\.id"):
        plan_of(
            f"SELECT SUM(v) AS s FROM (SELECT SUM(v) OVER (PARTITION BY who) AS v FROM ({pool}) AS p) AS w",
            datasets=(PATIENTS, CLAIMS),
        )


def test_attack_23_extreme_values_in_derived_tables_are_no_oracle() -> None:
    """Sums that overflow inside a derived table or a window are NULL there, and nothing fails."""
    for inner in (
        "SELECT patient, SUM(amount) AS v FROM claims GROUP BY patient",
        "SELECT SUM(amount) OVER (PARTITION BY patient) AS v FROM claims",
        "SELECT amount * amount AS v FROM claims",
    ):
        seen = set()
        for extreme in (0, 2**63 - 1, -(2**63)):
            rows = claims([(n, n) for n in range(20)] + [(99, extreme), (99, extreme)])
            found = run(f"SELECT COUNT(*) AS n, SUM(v) AS s FROM ({inner}) AS t", {CLAIMS: rows})
            seen.add((found.rows, len(found.table_ipc), found.suppressed))
        assert len(seen) == 1
