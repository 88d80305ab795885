"""For any agreement, query and data: adding a rule to any dataset never lets out more (attack 33)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from enclave_compute.disclosure import release
from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from protos.formats.agreement import Agreement
from protos.formats.query import Query
from protos.formats.rules import Clamp, OptOut
from protos.formats.schema import Dataset
from protos.plan import QueryRefusedError, compile_query
from protos.plan.sql import aggregate_statement
from tests import engine_world as world
from tests.engine_world import column, rows_of, with_column

VISITS = Dataset(
    "visits",
    "shop",
    (
        column("person", "int64", "join", "count_distinct", "output"),
        column("place", "text", "group", "filter", "output", nullable=True),
        column("spent", "int64", "sum", "avg", "count", "min", "max", "filter", nullable=True),
    ),
    *("person", 2, (), 1000, 1_000_000),
)
MEMBERS = Dataset(
    "members",
    "club",
    (
        column("person", "int64", "join", "output"),
        column("house", "int64", "count_distinct"),
        column("level", "int64", "group", "filter", "sum", "output"),
    ),
    *("house", 2, ("person",), 1000, 1_000_000),
)
GONE = Dataset("gone", "club", (column("person", "int64", "opt_out"),), *("person", 2, (), 1000, 1_000_000))
HOUSES_GONE = replace(GONE, id="houses_gone")
BOTH = "FROM visits v JOIN members m ON v.person = m.person"
LEFT = BOTH.replace("JOIN", "LEFT JOIN")
SUMS = "COUNT(*) AS n, SUM(v.spent) AS s, AVG(v.spent) AS a, MIN(v.spent) AS l"
QUERIES = [
    "SELECT place, COUNT(*) AS n, SUM(spent) AS s FROM visits GROUP BY place",
    "SELECT COUNT(*) AS n, SUM(level) AS s FROM members",
    f"SELECT v.place, m.level, {SUMS} {BOTH} GROUP BY v.place, m.level",
    f"SELECT m.level, SUM(CASE WHEN v.place = 'x' THEN v.spent ELSE 0 END) AS s {BOTH} GROUP BY 1",
    f"SELECT v.place, {SUMS} {BOTH} WHERE m.level = 0 AND v.spent > 1 GROUP BY 1",
    f"SELECT v.place, COUNT(m.level) AS c, {SUMS} {LEFT} GROUP BY 1",
    f"SELECT DISTINCT v.place {BOTH}",
    f"SELECT DISTINCT m.person, m.level {BOTH} WHERE v.spent >= 0",
]


@dataclass(frozen=True)
class Added:
    """Another rule: what it is, to which dataset, and whether it changes values that are still shown."""

    name: str
    dataset: str
    change: Callable[[Dataset], Dataset]
    changes_values: bool = False


Additions = st.SearchStrategy[Added]


def ruled(**rules: Any) -> Callable[[Dataset], Dataset]:
    return lambda dataset: replace(dataset, rules=replace(dataset.rules, **rules))


def clamped(low: int, high: int) -> Callable[[Dataset], Dataset]:
    def change(dataset: Dataset) -> Dataset:
        name = "spent" if dataset.id == "visits" else "level"
        return with_column(dataset, replace(dataset.column(name), clamp=Clamp(str(low), str(high))))

    return change


def made(name: str, dataset: str, changes: st.SearchStrategy[Any], *, values: bool = False) -> Additions:
    return changes.map(lambda change: Added(name, dataset, change, values))


def about_queries(dataset: str) -> Additions:
    """Rules that let a query through or not, for a dataset in which nobody has made one."""
    columns = ["place", "spent"] if dataset == "visits" else ["level"]
    kinds = st.sampled_from([(), ("aggregation",), ("list",)])
    custom = st.sampled_from([(), ("other",), ("q",)])
    people = st.sampled_from([(), ("analyst",), ("shop",), ("analyst", "club", "shop")])
    other = "members" if dataset == "visits" else "visits"
    return st.one_of(
        made("analyses", dataset, kinds.map(lambda kept: ruled(analyses=kept))),
        made("analyses", dataset, custom.map(lambda only: ruled(analyses=("custom",), only_queries=only))),
        made("joined_with", dataset, st.sampled_from([(), (other,)]).map(lambda ids: ruled(joined_with=ids))),
        made("forbidden", dataset, st.sampled_from(columns).map(lambda name: ruled(forbidden=(name,)))),
        made("receivers", dataset, people.map(lambda ids: ruled(receivers=ids))),
    )


def about_rows(dataset: str) -> Additions:
    """Rules that change which rows and values count, or whether the dataset is accepted."""
    least = st.integers(0, 8)
    most = st.integers(3, 5)
    return st.one_of(
        made("threshold", dataset, most.map(lambda units: lambda found: replace(found, threshold=units))),
        made("bound", dataset, st.integers(1, 3).map(lambda k: ruled(max_rows_per_unit=k)), values=True),
        made("clamp", dataset, st.integers(-5, 5).map(lambda low: clamped(low, low + 3)), values=True),
        made("min_rows", dataset, least.map(lambda rows: ruled(min_rows=rows))),
        made("min_units", dataset, least.map(lambda units: ruled(min_units=units))),
    )


ABOUT_QUERIES = about_queries("visits") | about_queries("members")
ABOUT_ROWS = about_rows("visits") | about_rows("members")
PERSONS = st.integers(0, 6)
LINES = st.lists(
    st.tuples(PERSONS, st.sampled_from(["x", "x", "y", None]), st.none() | st.integers(-9, 9)),
    min_size=8,
    max_size=40,
)
PEOPLE = st.dictionaries(PERSONS, st.tuples(st.integers(0, 6), st.integers(0, 1)), min_size=4).map(
    lambda found: [(person, *rest) for person, rest in found.items()]
)
Rows = Mapping[str, list[tuple[Any, ...]]]
DATA = st.fixed_dictionaries(
    {
        "visits": LINES,
        "members": PEOPLE,
        "gone": st.lists(st.tuples(PERSONS), max_size=3),
        "houses_gone": st.lists(st.tuples(PERSONS), max_size=3),
    }
)


def agreed(sql: str, changes: list[Added], first: Callable[[Dataset], Dataset]) -> tuple[Agreement, Query]:
    query = replace(world.query(sql), receivers=("analyst", "shop"))
    datasets = [first(VISITS), first(MEMBERS), GONE, HOUSES_GONE]
    for added in changes:
        datasets = [added.change(found) if found.id == added.dataset else found for found in datasets]
    other = replace(world.query("SELECT COUNT(*) AS n FROM visits"), id="other")
    base = replace(world.agreement(VISITS, MEMBERS, GONE, HOUSES_GONE), queries=(query, other))
    return replace(base, datasets=tuple(datasets)), query


def released(agreement: Agreement, query: Query, data: Rows) -> dict[tuple[Any, ...], tuple[Any, ...]] | None:
    """Group or listed row → values; None when nothing leaves because something is refused."""
    try:
        plan = compile_query(agreement, query)
        engine = Engine(world.MEMORY_MIB, 1)
        for dataset in agreement.datasets:
            world.load(engine, dataset, world.table(dataset, data[dataset.id]))
    except (QueryRefusedError, RefusedError):
        return None
    is_key = [output.kind != "aggregate" for output in plan.outputs]
    found = {}
    for row in rows_of(release(engine, plan, {})):
        key = tuple(value for value, keyed in zip(row, is_key, strict=True) if keyed)
        found[key] = tuple(value for value, keyed in zip(row, is_key, strict=True) if not keyed)
    return found


OPEN = ruled(analyses=("aggregation", "list"))


def is_another(added: Added, already: list[Added]) -> bool:
    """Whether it is a rule that nobody has made yet; making one otherwise would be something else."""
    return all((one.name, one.dataset) != (added.name, added.dataset) for one in already)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(QUERIES), st.lists(ABOUT_QUERIES, max_size=1), ABOUT_QUERIES)
def test_attack_33_a_rule_about_queries_only_ever_refuses(
    sql: str, already: list[Added], added: Added
) -> None:
    assume(is_another(added, already))
    try:
        after = compile_query(*agreed(sql, [*already, added], OPEN))
    except QueryRefusedError:
        event(f"{added.name}: refused")
        return
    before = compile_query(*agreed(sql, already, OPEN))
    event(f"{added.name}: allowed")
    assert aggregate_statement(after) == aggregate_statement(before)
    assert [item.required_units for item in after.thresholds] == [
        item.required_units for item in before.thresholds
    ]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(QUERIES), DATA, st.lists(ABOUT_ROWS, max_size=1), ABOUT_ROWS)
def test_attack_33_a_rule_about_rows_never_widens(
    sql: str, data: Rows, already: list[Added], added: Added
) -> None:
    assume(is_another(added, already))
    before = released(*agreed(sql, already, OPEN), data)
    after = released(*agreed(sql, [*already, added], OPEN), data)
    event(f"{added.name}: {'refused' if after is None else 'released' if after else 'held back'}")
    if after is None:
        return
    assert before is not None, f"{added.name} let through what was refused before"
    assert after.keys() <= before.keys()
    for key, values in after.items():
        for new, old in zip(values, before[key], strict=True):
            assert new is None or old is not None
            assert new in (None, old) or added.changes_values


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(QUERIES), DATA)
def test_attack_33_an_opt_out_is_the_same_as_never_having_been_there(sql: str, data: Rows) -> None:
    gone = {person for (person,) in data["gone"]}
    houses = {house for (house,) in data["houses_gone"]}
    fewer = {
        **data,
        "visits": [row for row in data["visits"] if row[0] not in gone],
        "members": [row for row in data["members"] if row[1] not in houses],
    }
    opted = [
        Added("opt_out", "visits", ruled(opt_out=OptOut("gone", "person"))),
        Added("opt_out", "members", ruled(opt_out=OptOut("houses_gone", "person"))),
    ]
    assert released(*agreed(sql, opted, OPEN), data) == released(*agreed(sql, [], OPEN), fewer)
