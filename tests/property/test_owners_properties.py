"""For any data: another owner in a query, or another release before it, never lets out what was held back."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from enclave_compute.differencing import Asked, Differencing
from enclave_compute.disclosure import release
from enclave_compute.engine import Engine
from protos.formats.query import Parameter
from protos.formats.schema import Dataset
from tests import engine_world as world
from tests.engine_world import column, rows_of, with_threshold

ALL_USES = ("avg", "count", "count_distinct", "filter", "group", "max", "min", "sum")
VISITS = Dataset(
    "visits",
    "shop",
    (
        column("person", "int64", "join", "count_distinct"),
        column("place", "text", "group", "filter", nullable=True),
        column("spent", "int64", *ALL_USES, nullable=True),
    ),
    *("person", 2, (), 1_000, 1_000_000),
)
MEMBERS = Dataset(
    "members",
    "club",
    (
        column("person", "int64", "join", "count_distinct"),
        column("house", "int64", "count_distinct"),
        column("level", "int64", *ALL_USES),
    ),
    *("house", 2, ("person",), 1_000, 1_000_000),
)
OUTPUTS = "COUNT(*) AS n, SUM(v.spent) AS s, AVG(v.spent) AS a, MAX(v.spent) AS h, COUNT(v.spent) AS c"
BEFORE = f"SELECT v.place AS k, {OUTPUTS} FROM visits AS v WHERE v.spent > -9 OR v.spent IS NULL GROUP BY 1"
JOINS = {
    "join": "JOIN members AS m ON v.person = m.person",
    "left join": "LEFT JOIN members AS m ON v.person = m.person",
}
PERSONS = st.integers(0, 6)
VISIT_ROWS = st.lists(
    st.tuples(PERSONS, st.sampled_from(["x", "x", "y", None]), st.none() | st.integers(-5, 5)), max_size=30
)
MEMBER_ROWS = st.dictionaries(PERSONS, st.tuples(st.integers(0, 6), st.integers(0, 1)), min_size=3).map(
    lambda found: [(person, *rest) for person, rest in found.items()]
)
LEAST = Parameter("least", low=-5, high=5)
WITH_LEAST = "SELECT place AS k, COUNT(*) AS n, SUM(spent) AS s FROM visits WHERE spent >= $least GROUP BY 1"
ENGINE = Engine(128, 1)
Shown = dict[Any, tuple[Any, ...]]


def shown(sql: str, visits: Dataset, members: Dataset, data: tuple[list[Any], list[Any]]) -> Shown:
    """Group → values."""
    for dataset, rows in zip((visits, members), data, strict=True):
        world.load(ENGINE, dataset, world.table(dataset, rows))
    try:
        plan = world.plan_of(sql, datasets=(visits, members))
        return {row[0]: row[1:] for row in rows_of(release(ENGINE, plan, {}))}
    finally:
        ENGINE.drop("visits")
        ENGINE.drop("members")


@pytest.mark.parametrize("join", JOINS.values(), ids=JOINS)
@settings(max_examples=20)
@given(VISIT_ROWS, MEMBER_ROWS, st.integers(2, 4), st.integers(2, 4))
def test_attack_33_another_owner_never_shows_what_was_held_back(
    join: str, visits: list[Any], members: list[Any], own: int, others: int
) -> None:
    """Not a row, and not a value of a row, with a threshold below or above the first owner's."""
    shop, club = with_threshold(VISITS, own), with_threshold(MEMBERS, others)
    before = shown(BEFORE, shop, club, (visits, members))
    after = shown(BEFORE.replace("WHERE", f"{join} WHERE"), shop, club, (visits, members))
    event("something leaves" if after else "nothing leaves")
    assert after.keys() <= before.keys()
    for key, values in after.items():
        for new, old in zip(values, before[key], strict=True):
            assert new is None or old is not None


@given(st.booleans())
def test_attack_33_an_owner_who_is_in_no_query_changes_nothing(many: bool) -> None:
    """Another party's dataset under the same agreement is not in the statement, and not in the decision."""
    third = replace(MEMBERS, id="third", owner="bank", threshold=100)
    datasets = (VISITS, third) if many else (VISITS, third, MEMBERS)
    assert world.plan_of(BEFORE, datasets=datasets) == world.plan_of(BEFORE, datasets=(VISITS,))


@settings(max_examples=10)
@given(
    VISIT_ROWS, st.lists(st.integers(-5, 5), min_size=1, max_size=3), st.integers(-5, 5), st.integers(2, 4)
)
def test_attack_18_more_earlier_releases_never_show_what_was_held_back(
    visits: list[Any], earlier: list[int], least: int, threshold: int
) -> None:
    shop = with_threshold(VISITS, threshold)
    plan = world.plan_of(WITH_LEAST, LEAST, datasets=(shop,))
    found = []
    for count in range(len(earlier) + 1):
        engine, guard = Engine(64, 1), Differencing([plan])
        world.load(engine, shop, world.table(shop, visits))
        for value in earlier[:count]:
            release(engine, plan, {"least": value}, guard=guard)
            guard.remember(Asked(plan, {"least": value}))
        found.append(set(rows_of(release(engine, plan, {"least": least}, guard=guard))))
    event("something held back" if found[-1] < found[0] else "nothing held back")
    for fewer, more in pairwise(found):
        assert more <= fewer
