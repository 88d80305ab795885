"""What would differ from an earlier release by too few units is held back, and nothing else is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_compute.differencing import Asked, Differencing
from enclave_compute.disclosure import Released, release
from enclave_compute.engine import Computed, Engine
from protos.formats.query import Parameter, ParameterValue
from protos.formats.schema import Dataset
from protos.plan import Plan
from tests.engine_world import MEMORY_MIB, column, load, plan_of, rows_of, table

THRESHOLD = 3
VISITS = Dataset(
    id="visits",
    owner="shop",
    columns=(
        column("person", "int64", "join", "count_distinct"),
        column("place", "text", "group", "filter", nullable=True),
        column("age", "int64", "group", "filter"),
    ),
    privacy_unit="person",
    threshold=THRESHOLD,
    unique=(),
    max_rows=1000,
    max_bytes=1_000_000,
)
MEMBERS = replace(
    VISITS,
    id="members",
    owner="club",
    unique=("person",),
    threshold=2,
)
BOTH = (MEMBERS, VISITS)
LEAST = Parameter("least", low=0, high=1000)
BY_PLACE = "SELECT place, COUNT(*) AS n FROM visits GROUP BY place"
YOUNGER = "SELECT place, COUNT(*) AS n FROM visits WHERE age < $least GROUP BY place"
TOTAL = "SELECT COUNT(*) AS n FROM visits"
TOTAL_YOUNGER = "SELECT COUNT(*) AS n FROM visits WHERE age < $least"


def plan(sql: str, *datasets: Dataset) -> Plan:
    parameters = [LEAST] if "$least" in sql else []
    # Each text is a query of its own.
    return replace(plan_of(sql, *parameters, datasets=datasets or (VISITS,)), query=f"q{abs(hash(sql))}")


def engine_with(rows: Iterable[Sequence[Any]], *datasets: Dataset) -> Engine:
    engine = Engine(MEMORY_MIB, 2)
    rows = list(rows)
    for dataset in datasets or (VISITS,):
        load(engine, dataset, table(dataset, rows))
    return engine


def thirty() -> Engine:
    """People 0 to 29, of age 20 + number, ten in each of the places x, y and NULL."""
    return engine_with((n, ["x", "y", None][n % 3], 20 + n) for n in range(30))


def asked(sql: str, **parameters: ParameterValue) -> Asked:
    return Asked(plan(sql), parameters)


def released(engine: Engine, what: Asked, *earlier: Asked) -> Released:
    """What leaves for `what` after all of `earlier` have left."""
    guard = Differencing([one.plan for one in (what, *earlier)])
    for one in earlier:
        release(engine, one.plan, one.parameters, guard=guard)
        guard.remember(one)
    return release(engine, what.plan, what.parameters, guard=guard)


def held_back(result: Released) -> int | None:
    """At most so many rows, by the rule on differences; None when nothing was compared."""
    found = [one.groups_at_most for one in result.suppressed if "difference" in one.rule]
    return found[0] if found else None


def test_the_first_release_is_compared_with_nothing() -> None:
    result = released(thirty(), asked(BY_PLACE))
    assert rows_of(result) == [("x", 10), ("y", 10), (None, 10)]
    assert held_back(result) is None


def test_the_same_question_again_is_the_same_answer() -> None:
    engine, first = thirty(), asked(YOUNGER, least=40)
    assert held_back(released(engine, first, asked(YOUNGER, least=40))) is None
    assert rows_of(released(engine, first, first)) == rows_of(released(engine, first))


def test_a_group_less_one_person_is_held_back() -> None:
    """The person of age 49 is in y: it is the only group that differs, and it differs by one."""
    engine = engine_with([(n, "x" if n < 15 else "y", 20 + n) for n in range(30)] + [(99, "z", 10)] * 3)
    result = released(engine, asked(YOUNGER, least=49), asked(BY_PLACE))
    assert rows_of(result) == []
    assert held_back(result) == 10, "all rows together differ by one as well"


@pytest.mark.parametrize(("least", "differ"), [(20 + 30 - 1, 1), (20 + 30 - 2, 2), (20 + 30 - 3, 3)])
def test_a_total_may_differ_by_the_threshold_and_not_by_less(least: int, differ: int) -> None:
    result = released(thirty(), asked(TOTAL_YOUNGER, least=least), asked(TOTAL))
    assert rows_of(result) == ([(30 - differ,)] if differ >= THRESHOLD else [])
    assert held_back(result) == (0 if differ >= THRESHOLD else 10)


def test_equal_sets_say_nothing_new() -> None:
    engine = thirty()
    result = released(engine, asked(TOTAL_YOUNGER, least=900), asked(TOTAL))
    assert (rows_of(result), held_back(result)) == ([(30,)], 0)


def test_a_row_is_compared_with_every_earlier_release() -> None:
    engine, ask = thirty(), asked(TOTAL_YOUNGER, least=48)
    assert rows_of(released(engine, ask, asked(TOTAL_YOUNGER, least=30))) == [(28,)]
    assert rows_of(released(engine, ask, asked(TOTAL_YOUNGER, least=30), asked(TOTAL))) == []


def test_a_total_less_its_parts_is_held_back() -> None:
    """Two people are in a group of their own, which is held back: the total would give it away."""
    engine = engine_with((n, "x" if n < 10 else "y" if n < 20 else "z", 20) for n in range(22))
    parts = released(engine, asked(BY_PLACE))
    assert rows_of(parts) == [("x", 10), ("y", 10)]
    total = released(engine, asked(TOTAL), asked(BY_PLACE))
    assert (rows_of(total), held_back(total)) == ([], 10)
    assert rows_of(released(engine, asked(BY_PLACE), asked(TOTAL))) == [], "in either order"


def test_only_the_rows_that_are_too_alike_are_held_back() -> None:
    """In x three are older, in y one is; the whole differs by four."""
    rows = [(n, "x", 50 if n < 3 else 20) for n in range(10)]
    rows += [(n, "y", 50 if n < 21 else 20) for n in range(20, 30)]
    result = released(engine_with(rows), asked(YOUNGER, least=40), asked(BY_PLACE))
    assert (rows_of(result), held_back(result)) == ([("x", 7)], 10)


def test_a_group_that_is_null_is_compared_too() -> None:
    rows: list[Any] = [(n, None, 50 if n == 0 else 20) for n in range(10)]
    rows += [(n, "y", 50 if n < 25 else 20) for n in range(20, 30)]
    result = released(engine_with(rows), asked(YOUNGER, least=40), asked(BY_PLACE))
    assert (rows_of(result), held_back(result)) == ([("y", 5)], 10)


def test_units_are_people_and_not_rows() -> None:
    """One person with many rows is one person."""
    rows = [(n, "x", 20) for n in range(10)] + [(99, "x", 50)] * 7
    result = released(engine_with(rows), asked(TOTAL_YOUNGER, least=40), asked(TOTAL))
    assert rows_of(result) == []


def test_all_rows_together_where_every_unit_is_in_one_row() -> None:
    """The person is the key of the dataset that the groups are made of: sizes add up."""
    engine = engine_with([(n, "x" if n < 10 else "y" if n < 20 else "z", 20) for n in range(21)], MEMBERS)
    parts, total = (
        Asked(plan(f"SELECT COUNT(*) AS n FROM members {rest}", MEMBERS), {})
        for rest in ("GROUP BY place", "")
    )
    assert rows_of(released(engine, parts)) == [(10,), (10,)]
    assert rows_of(released(engine, total, parts)) == [], "one person is in a group that was held back"


def test_all_rows_together_where_a_unit_is_in_several_rows() -> None:
    """Five people are in x and in y, one in z: the person is a key of members, the place is of visits."""
    engine = engine_with([(n, None, 20) for n in range(16)], MEMBERS)
    visits = [*((n, "x", 20) for n in range(10)), *((n, "y", 20) for n in range(5, 15)), (15, "z", 20)]
    load(engine, VISITS, table(VISITS, visits))
    joined = "SELECT COUNT(*) AS n FROM members m JOIN visits v ON m.person = v.person"
    parts = Asked(plan(f"{joined} GROUP BY v.place", *BOTH), {})
    total = Asked(plan(joined, *BOTH), {})
    assert rows_of(released(engine, parts)) == [(10,), (10,)]
    assert rows_of(released(engine, total)) == [(21,)]
    assert rows_of(released(engine, total, parts)) == [], "fifteen people in all rows together, then sixteen"


def test_a_list_is_one_set() -> None:
    """Who is in both, and then all but one of them."""
    members = replace(MEMBERS, columns=(*MEMBERS.columns[:-1], column("age", "int64", "filter", "output")))
    visits = replace(VISITS, rules=replace(VISITS.rules, analyses=("aggregation", "list")))
    members = replace(members, rules=replace(members.rules, analyses=("aggregation", "list")))
    engine = engine_with([(n, "x", 20 + n) for n in range(10)], visits, members)
    listed = "SELECT DISTINCT m.age AS age FROM members m JOIN visits v ON m.person = v.person"
    everybody = Asked(plan(listed, visits, members), {})
    fewer = Asked(plan(f"{listed} WHERE m.age < $least", visits, members), {"least": 29})
    assert len(rows_of(released(engine, fewer))) == 9
    assert rows_of(released(engine, fewer, everybody)) == []
    fewer = Asked(fewer.plan, {"least": 26})
    assert len(rows_of(released(engine, fewer, everybody))) == 6


def test_releases_over_other_datasets_are_not_compared() -> None:
    engine = engine_with([(n, "x", 20 + n) for n in range(30)], VISITS, MEMBERS)
    earlier = Asked(plan("SELECT COUNT(*) AS n FROM members", VISITS, MEMBERS), {})
    now = Asked(plan(TOTAL_YOUNGER, VISITS, MEMBERS), {"least": 49})
    assert held_back(released(engine, now, earlier)) is None
    guard = Differencing([now.plan, earlier.plan, plan(TOTAL, VISITS, MEMBERS)])
    release(engine, earlier.plan, {}, guard=guard)
    guard.remember(earlier)
    result = release(engine, now.plan, now.parameters, guard=guard)
    assert held_back(result) is None, "nor where it is needed for others"


def test_the_strictest_threshold_of_either_release_holds() -> None:
    """The earlier release joined a dataset whose owner asks for five."""
    strict = replace(MEMBERS, threshold=5)
    engine = engine_with([(n, "x", 20 + n) for n in range(30)], VISITS, strict)
    joined = "SELECT COUNT(*) AS n FROM visits v JOIN members m ON v.person = m.person"
    earlier = Asked(plan(joined, VISITS, strict), {})
    for least, rows in ((46, []), (45, [(25,)])):
        now = Asked(plan(TOTAL_YOUNGER, VISITS, strict), {"least": least})
        assert rows_of(released(engine, now, earlier)) == rows


def test_where_one_unit_is_enough_nothing_is_compared() -> None:
    open_to_all = replace(VISITS, threshold=1, rules=replace(VISITS.rules, single_units=True))
    engine = engine_with([(n, "x", 20 + n) for n in range(30)], open_to_all)
    now = Asked(plan(TOTAL_YOUNGER, open_to_all), {"least": 49})
    earlier = Asked(plan(TOTAL, open_to_all), {})
    result = released(engine, now, earlier)
    assert (rows_of(result), held_back(result)) == ([(29,)], None)


def test_one_strict_owner_is_enough_to_compare() -> None:
    """Nobody minds about visits alone; who joins them with members asks for five."""
    rules = replace(VISITS.rules, single_units=True)
    open_to_all, strict = replace(VISITS, threshold=1, rules=rules), replace(MEMBERS, threshold=5)
    engine = engine_with([(n, "x", 20 + n) for n in range(30)], open_to_all, strict)
    joined = "SELECT COUNT(*) AS n FROM visits v JOIN members m ON v.person = m.person"
    earlier = Asked(plan(joined, open_to_all, strict), {})
    now = Asked(plan(TOTAL_YOUNGER, open_to_all, strict), {"least": 46})
    assert rows_of(released(engine, now)) == [(26,)]
    assert rows_of(released(engine, now, earlier)) == []


def test_a_parameter_may_stand_in_the_outputs_alone() -> None:
    counted = "SELECT COUNT(CASE WHEN age < $least THEN 1 ELSE 0 END) AS n FROM visits"
    result = released(thirty(), asked(counted, least=900), asked(BY_PLACE), asked(counted, least=5))
    assert (rows_of(result), held_back(result)) == ([(30,)], 0)


def tables_in(engine: Engine) -> list[str]:
    found = engine._connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY ALL").fetchall()
    return [name for (name,) in found]


def test_of_a_release_sizes_and_prints_are_kept_and_nothing_of_what_never_left() -> None:
    engine, guard = thirty(), Differencing([plan(YOUNGER), plan(TOTAL)])
    for least, leaves in ((48, True), (47, False), (46, False), (48, True)):
        what = asked(YOUNGER, least=least)
        release(engine, what.plan, what.parameters, guard=guard)
        if leaves:
            guard.remember(what)
    last = ["_release_4_rows", "_release_4_whole"]
    assert tables_in(engine) == ["_release_1_rows", "_release_1_whole", *last, "visits"]
    total = asked(TOTAL)
    release(engine, total.plan, {}, guard=guard)
    assert not set(last) & set(tables_in(engine)), "the same release twice is one"


def test_what_never_left_is_not_remembered_in_the_place_of_what_did() -> None:
    """A run fails after it was looked at; the next one needs no comparison, and is what leaves."""
    members = "SELECT COUNT(*) AS n FROM members"
    engine = engine_with([(n, "x", 20 + n) for n in range(30)], VISITS, MEMBERS)
    failed, other, later = (
        Asked(plan(sql, VISITS, MEMBERS), given)
        for sql, given in ((TOTAL, {}), (members, {}), (TOTAL_YOUNGER, {"least": 49}))
    )
    guard = Differencing([failed.plan, other.plan, later.plan])
    release(engine, failed.plan, {}, guard=guard)
    release(engine, other.plan, {}, guard=guard)
    guard.remember(other)
    assert rows_of(release(engine, later.plan, later.parameters, guard=guard)) == [(29,)]


def test_where_only_one_result_can_leave_nothing_is_laid_down() -> None:
    engine, total = thirty(), plan(TOTAL)
    release(engine, total, {}, guard=Differencing([total]))
    assert tables_in(engine) == ["visits"]


def laid_down(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Will have the sets themselves that were laid down."""
    found: list[str] = []
    make = Computed.make

    def noting(self: Computed, statement: str, *rest: Any) -> None:
        found.extend(re.findall(r"CREATE TEMP TABLE \"_(\w+_members_\d)\"", statement))
        make(self, statement, *rest)

    monkeypatch.setattr(Computed, "make", noting)
    return found


def test_sizes_and_prints_settle_what_is_equal_or_far_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, found = thirty(), laid_down(monkeypatch)
    released(engine, asked(TOTAL_YOUNGER, least=900), asked(TOTAL), asked(BY_PLACE))
    assert found == []
    released(engine, asked(TOTAL_YOUNGER, least=49), asked(TOTAL))
    assert found == ["release_2_members_0", "release_1_members_0"]


def test_sets_of_the_same_size_that_are_not_the_same_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ages 20 to 29 and 21 to 30: ten people each, two of whom are in one of them only."""
    counted = "SELECT COUNT(*) AS n FROM visits WHERE age >= $least AND age < $least + 10"
    engine, found = thirty(), laid_down(monkeypatch)
    assert rows_of(released(engine, asked(counted, least=21), asked(counted, least=20))) == []
    assert rows_of(released(engine, asked(counted, least=22), asked(counted, least=20))) == [(10,)]
    assert found == ["release_2_members_0", "release_1_members_0"] * 2


PEOPLE = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(["x", "y", None]), st.integers(0, 9)), max_size=40
)
QUESTIONS = st.sampled_from([(BY_PLACE, 0), (TOTAL, 0)]) | st.tuples(
    st.sampled_from([YOUNGER, TOTAL_YOUNGER]), st.integers(0, 10)
)


def sets_behind(rows: list[tuple[Any, ...]], sql: str, least: int) -> dict[Any, set[int]]:
    """The people behind every row that the threshold lets through, and behind all of them, by brute force."""
    kept = [row for row in rows if "$least" not in sql or row[2] < least]
    groups: dict[Any, set[int]] = {}
    for person, place, _ in kept:
        groups.setdefault(place if "place" in sql else "all", set()).add(person)
    enough = {key: people for key, people in groups.items() if len(people) >= THRESHOLD}
    return enough | {"whole": set().union(*enough.values())} if enough else {}


@settings(max_examples=200)
@given(PEOPLE, QUESTIONS, st.lists(QUESTIONS, max_size=3))
def test_what_leaves_is_what_brute_force_lets_out(
    rows: list[tuple[Any, ...]], question: tuple[str, int], before: list[tuple[str, int]]
) -> None:
    engine = engine_with(rows)
    earlier = [as_asked(*one) for one in before]
    result = released(engine, as_asked(*question), *earlier)
    old = [people for one in before if one != question for people in sets_behind(rows, *one).values()]
    new = sets_behind(rows, *question)
    alike = {key for key, people in new.items() if any(0 < len(people ^ other) < THRESHOLD for other in old)}
    expected = {key for key in new if key != "whole" and not {key, "whole"} & alike}
    shown = {row[0] if len(row) == 2 else "all" for row in rows_of(result)}
    assert shown == expected


def as_asked(sql: str, least: int) -> Asked:
    parameters: Mapping[str, ParameterValue] = {"least": least} if "$least" in sql else {}
    return Asked(plan(sql), parameters)
