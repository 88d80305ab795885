"""Attacks by what shows beside the values, and by what several values show together; also what does not hold.

The same attacks with an attacker who guesses, and how often it is right: `docs/attacks.md`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from enclave_compute.differencing import Asked, Differencing
from enclave_compute.disclosure import release
from enclave_compute.engine import Engine
from protos.formats.calls import Op, Refusal
from protos.formats.schema import Dataset
from protos.plan import QueryRefusedError
from tests import engine_world, world
from tests.adversarial.test_attacks_derived_tables import CLAIMS, PATIENTS, SECRET, VICTIM, claims, patients
from tests.enclave_fixtures import refused
from tests.engine_world import plan_of, rows_of, run, with_column, with_threshold

JOINED = "FROM patients p JOIN claims c ON p.id = c.patient"


def combining(dataset: Dataset, name: str) -> Dataset:
    """`dataset` with the use `combine` of that column."""
    column = dataset.column(name)
    return with_column(dataset, replace(column, uses=column.uses | {"combine"}))


def towns(*sizes: int) -> pa.Table:
    """So many patients in each town."""
    people = [town for town, size in enumerate(sizes) for _ in range(size)]
    return engine_world.table(PATIENTS, [(n, f"town {town}", 1) for n, town in enumerate(people)])


def released_after(earlier: list[str], sql: str) -> list[Any]:
    """The rows that `sql` releases when thirty patients have been asked about before."""
    engine = Engine(engine_world.MEMORY_MIB, 1)
    engine_world.load(engine, PATIENTS, patients())
    plans = [
        replace(plan_of(text, datasets=(PATIENTS,)), query=f"q{number}")
        for number, text in enumerate([*earlier, sql])
    ]
    guard = Differencing(plans)
    for plan in plans[:-1]:
        release(engine, plan, {}, guard=guard)
        guard.remember(Asked(plan, {}))
    return rows_of(release(engine, plans[-1], {}, guard=guard))


# --- 18 -----------------------------------------------------------------------------------------------------

EVERYBODY = "SELECT SUM(score) AS s FROM patients"


def test_attack_18_three_results_that_leave_one_patient_are_not_compared() -> None:
    """What does not hold: no two of the groups are alike, and the third less the others is one patient's."""
    parts = [f"{EVERYBODY} WHERE id < {VICTIM}", f"{EVERYBODY} WHERE id > {VICTIM}"]
    assert released_after([EVERYBODY], f"{EVERYBODY} WHERE id <> {VICTIM}") == []
    ((below,),) = released_after([], parts[0])
    ((above,),) = released_after(parts[:1], parts[1])
    ((total,),) = released_after(parts, EVERYBODY)
    assert total - below - above == SECRET


def test_attack_18_values_of_one_row_are_not_compared() -> None:
    """What does not hold: a total and, beside it, all of it but one patient's part."""
    rest = f"SUM(CASE WHEN id <> {VICTIM} THEN score ELSE 0 END)"
    ((total, others),) = released_after([], f"SELECT SUM(score) AS s, {rest} AS rest FROM patients")
    assert total - others == SECRET


def test_attack_18_being_held_back_is_an_answer() -> None:
    """What does not hold: a group that lacks the patient, if it is ill, is held back exactly then."""
    for illness, expected in ((f"score = {SECRET}", []), (f"score <> {SECRET}", [(30,)])):
        sql = f"SELECT COUNT(*) AS n FROM patients WHERE NOT (id = {VICTIM} AND {illness})"
        assert released_after(["SELECT COUNT(*) AS n FROM patients"], sql) == expected


# --- 20 -----------------------------------------------------------------------------------------------------


def bounded(rows_per_unit: int | None) -> Dataset:
    return replace(PATIENTS, rules=replace(PATIENTS.rules, max_rows_per_unit=rows_per_unit))


def test_attack_20_rows_of_the_insurers_making_mark_a_patient() -> None:
    """Two claims of everybody and one of the victim: a sum of zeros and ones is odd if it is ill.

    With a bound of 1 every patient counts once; with 2 or more, which is what does not hold, the mark stays.
    """
    made_up = claims([(n, 1) for n in range(30) for _ in range(1 if n == VICTIM else 2)])
    totals = {}
    for bound in (1, 2, None):
        for ill in (0, 1):
            rows = [(n, "a", ill if n == VICTIM else n % 2) for n in range(30)]
            data = {bounded(bound): engine_world.table(PATIENTS, rows), CLAIMS: made_up}
            ((totals[bound, ill],),) = rows_of(run(f"SELECT SUM(p.score) AS s {JOINED}", data))
    assert [totals[2, ill] % 2 for ill in (0, 1)] == [totals[None, ill] % 2 for ill in (0, 1)] == [0, 1]
    assert [totals[1, ill] for ill in (0, 1)] == [14, 15], "the plain sum over all patients"


def test_attack_20_groups_of_the_insurers_making_overlap() -> None:
    """The victim and five others in one group, the five in another: rows of one result are not compared.

    With a bound of 1 everybody is in one group only; with 2 or more, which is what does not hold, the
    difference of the two is the victim's score.
    """
    numbered = with_column(CLAIMS, replace(CLAIMS.column("amount"), uses=frozenset({"group"})))
    groups = [(n, 1) for n in (0, 1, 2, 3, 4, VICTIM)] + [(n, 2) for n in range(5)]
    found = {
        bound: rows_of(
            run(
                f"SELECT c.amount AS g, SUM(p.score) AS s {JOINED} GROUP BY g",
                {bounded(bound): patients(), numbered: claims(groups)},
            )
        )
        for bound in (1, 2)
    }
    assert found == {1: [(1, SECRET + 5)], 2: [(1, SECRET + 5), (2, 5)]}


# --- 22 -----------------------------------------------------------------------------------------------------


def test_attack_22_a_constant_that_is_called_a_count() -> None:
    """`1000 AS cnt`, wherever the grammar lets it stand, counts nobody."""
    source = "(SELECT town, score, 1000 AS cnt FROM patients) AS t"
    for sql in (
        f"SELECT town, cnt, SUM(score) AS s FROM {source} GROUP BY town, cnt",
        f"SELECT cnt, COUNT(*) AS n FROM {source} GROUP BY cnt",
        f"SELECT SUM(cnt + score) AS cnt FROM {source}",
    ):
        assert rows_of(run(sql, {PATIENTS: patients(4)})) == []
        assert len(rows_of(run(sql, {PATIENTS: patients(5)}))) == 1
    with pytest.raises(QueryRefusedError):
        plan_of("SELECT town, 1000 AS cnt FROM patients GROUP BY town", datasets=(PATIENTS,))


# --- 26 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [2, 5, 20])
@pytest.mark.parametrize("others", [0, 1, 10])
def test_attack_26_a_group_of_too_few_leaves_no_trace(threshold: int, others: int) -> None:
    """Neither in the result nor in the report, which the coordinator reads too: as if nobody lived there.

    `others` are towns of one patient that the attacker knows of, to fill the report up to where it jumps.
    """
    dataset = with_threshold(PATIENTS, threshold)
    known = min(others, threshold - 1)
    seen = {
        (found.table_ipc, found.suppressed)
        for people in (0, threshold - 1)
        for found in [
            run(
                "SELECT town, COUNT(*) AS n FROM patients GROUP BY town",
                {dataset: towns(30, *[1] * known, people)},
            )
        ]
    }
    assert len(seen) == 1


@pytest.mark.parametrize(("groups", "reported"), [(0, 10), (1, 10), (10, 10), (11, 100), (101, 1000)])
def test_attack_26_the_report_is_the_same_for_no_group_as_for_some(groups: int, reported: int) -> None:
    sql = "SELECT town, COUNT(*) AS n FROM patients GROUP BY town"
    found = run(sql, {PATIENTS: towns(30, *[1] * groups)})
    assert rows_of(found) == [("town 0", 30)]
    assert [note.groups_at_most for note in found.suppressed] == [reported]


def test_attack_26_the_report_says_the_same_of_a_patient_who_is_ill_and_of_one_who_is_not() -> None:
    """The result is empty either way, and whether there was anything to hold back is the secret."""
    sql = "SELECT town, COUNT(*) AS n FROM patients WHERE id = 17 AND score = 4711 GROUP BY town"
    ill = patients()
    well = engine_world.table(PATIENTS, [(n, "a", 1) for n in range(30)])
    reports = [run(sql, {PATIENTS: rows}).suppressed for rows in (ill, well)]
    assert reports[0] == reports[1]


def test_attack_26_a_group_at_the_threshold_is_known_by_whoever_knows_the_others() -> None:
    """What does not hold without noise: four are known to live there, and the fifth makes the row appear."""
    sql = "SELECT town, COUNT(*) AS n FROM patients GROUP BY town"
    assert rows_of(run(sql, {PATIENTS: towns(30, 4)})) == [("town 0", 30)]
    assert rows_of(run(sql, {PATIENTS: towns(30, 5)})) == [("town 0", 30), ("town 1", 5)]


# --- 28 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT k, COUNT(*) AS n FROM (SELECT p.id AS k {JOINED}) AS t GROUP BY k",
        f"SELECT MAX(k) AS m FROM (SELECT c.patient AS k {JOINED}) AS t",
        f"SELECT k, COUNT(*) AS n FROM (SELECT p.id % 7 AS k {JOINED}) AS t GROUP BY k",
        "SELECT k, COUNT(*) AS n FROM (SELECT id AS i, id AS k FROM patients) AS p "
        "JOIN claims c ON p.i = c.patient GROUP BY k",
        "WITH w AS (SELECT patient AS k FROM claims) SELECT SUM(k) AS s FROM patients p JOIN w ON p.id = w.k",
    ],
)
def test_attack_28_join_keys_through_a_derived_table(sql: str) -> None:
    """Every use of the columns is granted; under another name they are the same columns."""
    with pytest.raises(QueryRefusedError, match="is joined on here"):
        plan_of(sql, datasets=(PATIENTS, CLAIMS))


def test_attack_28_a_filter_below_the_join_shows_what_it_would_show_above() -> None:
    """A hundred patients pass the filter and four of them are in the join: nobody else is counted."""
    rows = engine_world.table(PATIENTS, [(n, "a", 9 if n < 100 else 1) for n in range(200)])
    below = (
        "SELECT COUNT(*) AS n FROM (SELECT id FROM patients WHERE score = 9) AS p "
        "JOIN claims c ON p.id = c.patient"
    )
    above = f"SELECT COUNT(*) AS n {JOINED} WHERE p.score = 9"
    for inside, expected in ((4, []), (5, [(5,)])):
        bought = claims([(n, 1) for n in [*range(inside), *range(100, 150)]])
        found = [run(sql, {PATIENTS: rows, CLAIMS: bought}) for sql in (below, above)]
        assert [rows_of(one) for one in found] == [expected, expected]
        assert found[0].table_ipc == found[1].table_ipc


# --- 29 -----------------------------------------------------------------------------------------------------


def test_attack_29_an_outlier_without_a_clamp_is_told_by_the_sum() -> None:
    """What does not hold: a column without a clamp. Thirty are behind the sum, and it tells of one."""
    ((total,),) = rows_of(run(EVERYBODY, {PATIENTS: patients()}))
    assert total > SECRET


# --- 30 -----------------------------------------------------------------------------------------------------


def test_attack_30_arithmetic_picks_only_by_columns_that_may_be_summed() -> None:
    """No CASE, and nothing but the victim's score in the sum: refused by the use of what it picks by."""
    sql = f"SELECT SUM(score * (1 - least(abs(id - {VICTIM}), 1))) AS s FROM patients"
    grants = PATIENTS.column("id").uses - {"sum"}
    strict = with_column(PATIENTS, replace(PATIENTS.column("id"), uses=grants))
    with pytest.raises(QueryRefusedError, match=r"`id` of clinic may be .*, not summed"):
        plan_of(sql, datasets=(strict,))
    assert rows_of(run(sql, {PATIENTS: patients()})) == [(SECRET,)], "what a granted sum lets through"


def test_attack_30_weights_of_the_insurers_making_pick_a_patient() -> None:
    """The insurer fills the column that a patient's value is made into another one with. What does not hold:
    a hospital that grants it has granted this."""
    weights = claims([(n, 1_000_000 if n == VICTIM else 1) for n in range(30)])
    sql = f"SELECT SUM(p.score * c.amount) AS s {JOINED}"
    with pytest.raises(QueryRefusedError, match="not computed with a value of another owner"):
        plan_of(sql, datasets=(PATIENTS, CLAIMS))
    tables = {combining(PATIENTS, "score"): patients(), combining(CLAIMS, "amount"): weights}
    ((total,),) = rows_of(run(sql, tables))
    assert total // 1_000_000 == SECRET


@pytest.mark.parametrize(
    "value",
    [
        "least(p.score, c.amount)",
        "p.score + c.amount",
        "COALESCE(p.score, c.amount)",
        "CASE WHEN c.amount > 3 THEN p.score ELSE c.amount END",
    ],
)
@pytest.mark.parametrize("function", ["SUM", "AVG"])
def test_attack_30_values_of_the_insurers_making_cap_or_fill_in_a_patients(function: str, value: str) -> None:
    with pytest.raises(QueryRefusedError, match="not computed with a value of another owner"):
        plan_of(f"SELECT {function}({value}) AS s {JOINED}", datasets=(PATIENTS, CLAIMS))


# --- 31 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        f"(SELECT id, score FROM patients WHERE id <> {VICTIM})",
        f"(SELECT id, SUM(score) AS score FROM patients WHERE id <> {VICTIM} GROUP BY id)",
        f"(SELECT score FROM (SELECT id, score FROM patients WHERE id <> {VICTIM}) AS u)",
    ],
)
def test_attack_31_derived_table_is_compared_as_its_source(source: str) -> None:
    """All but the victim, out of a derived table: what was released of the dataset itself is looked at."""
    sql = f"SELECT SUM(score) AS s FROM {source} AS t"
    assert released_after([], sql) == [(29,)]
    assert released_after([EVERYBODY], sql) == []


# --- 32 -----------------------------------------------------------------------------------------------------


def test_attack_32_runs_are_counted_by_the_enclave(tmp_path: Path) -> None:
    """No parent gets another run out of it. What does not hold: another enclave counts from the start, but
    only with data that its parties sealed to it anew."""
    uploads: list[world.SealedUpload] = []
    released = 0
    for _ in range(2):
        with world.simulated_enclave(tmp_path) as enclave:
            (root,) = enclave.roots
            agreed = world.agreement(root.sha256, queries=(world.query(max_runs=1),))
            enclave.bind(agreed)
            for old in uploads:
                with refused(Refusal.WRONG_PLACE):
                    enclave.upload(old)
            tables = {"visits": world.VISITS, "purchases": world.PURCHASES}
            uploads = [world.seal(agreed, enclave.keys(), name, [rows]) for name, rows in tables.items()]
            for upload in uploads:
                enclave.upload(upload)
            for number in range(3):
                run_id = os.urandom(16)
                request = world.run_request(agreed, enclave.keys(), run_id=run_id)
                if number == 0:
                    enclave.call(Op.RUN, request, run=run_id)
                    released += enclave.result(run_id).num_rows
                else:
                    with refused(Refusal.NO_RUNS_LEFT):
                        enclave.call(Op.RUN, request, run=run_id)
    assert released == 2
