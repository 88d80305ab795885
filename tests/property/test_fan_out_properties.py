"""No data that an agreement allows reaches further than the leak report's bounds: tried on small tables."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from party_client.identity import Identity
from party_client.leak_report.fan_out import fan_outs
from protos.formats.agreement import Agreement, Limits
from protos.formats.participants import Release
from protos.formats.query import Query
from protos.formats.schema import Column, Dataset
from protos.plan import compile_query

OWNER = Identity.generate("owner", "Owner").public.participant()
RELEASE = Release("test", bytes([1] * 48), bytes([2] * 48), bytes([3] * 48), bytes([4] * 32))
Rows: TypeAlias = dict[str, list[tuple[int, ...]]]
NAMES = ("a", "b", "c")
COLUMNS = tuple(
    Column(name, "int64", False, frozenset({use}))
    for name, use in zip("xyzg", ("join", "join", "join", "group"), strict=True)
)
KEYS = st.sampled_from([(), ("x",), ("y",), ("x", "y"), ("z",)])
ON = st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("xyz")), min_size=1, max_size=2)


@st.composite
def tables(draw: st.DrawFn) -> tuple[tuple[Dataset, ...], Rows]:
    datasets, rows = [], {}
    for name in NAMES:
        unique, unit = draw(KEYS), draw(st.sampled_from("xyzg"))
        most = draw(st.integers(1, 4))
        places = ["xyz".index(column) for column in unique]
        drawn = draw(st.lists(st.tuples(*[st.integers(0, 2)] * 4), max_size=most))
        by_key = {tuple(row[at] for at in places): row for row in drawn}
        rows[name] = list(by_key.values()) if unique else drawn
        datasets.append(Dataset(name, "owner", COLUMNS, unit, 2, unique, most, 10**6))
    return tuple(datasets), rows


@st.composite
def joins(draw: st.DrawFn) -> str:
    text = "FROM a"
    for number, name in enumerate(NAMES[1:], 1):
        earlier = st.sampled_from(NAMES[:number])
        equalities = [f"{draw(earlier)}.{left} = {name}.{right}" for left, right in draw(ON)]
        text += f" {draw(st.sampled_from(['JOIN', 'LEFT JOIN']))} {name} ON {' AND '.join(equalities)}"
    return text


@given(tables(), joins(), st.sampled_from(["", " GROUP BY a.g", " GROUP BY c.g, a.g"]))
def test_no_data_reaches_further(made: tuple[tuple[Dataset, ...], Rows], joined: str, groups: str) -> None:
    require_within_bounds(*made, joined, groups)


def test_a_left_join_that_finds_nothing_bounds_nothing() -> None:
    """Row of a, unmatched in c, meets both rows of b although c would tell them apart."""
    keys = {"a": ("x",), "b": ("z",), "c": ("y",)}
    datasets = tuple(Dataset(name, "owner", COLUMNS, "g", 2, keys[name], 2, 10**6) for name in NAMES)
    rows: Rows = {"a": [(0, 0, 0, 0)], "b": [(0, 0, 0, 0), (0, 0, 1, 0)], "c": []}
    joined = "FROM a JOIN b ON a.x = b.x LEFT JOIN c ON a.y = c.y AND b.z = c.z"
    require_within_bounds(datasets, rows, joined, "")


def test_a_left_join_keeps_rows_that_find_nothing() -> None:
    """One row of b cannot bound how many rows there are: those of a stay, matched or not."""
    sizes, keys = {"a": 2, "b": 1, "c": 1}, {"a": ("x",), "b": ("x",), "c": ("x",)}
    datasets = tuple(
        Dataset(name, "owner", COLUMNS, "g", 2, keys[name], sizes[name], 10**6) for name in NAMES
    )
    rows: Rows = {"a": [(0, 0, 0, 0), (1, 0, 0, 0)], "b": [], "c": []}
    joined = "FROM a LEFT JOIN b ON a.x = b.x LEFT JOIN c ON a.x = c.x"
    require_within_bounds(datasets, rows, joined, "")


def require_within_bounds(datasets: tuple[Dataset, ...], rows: Rows, joined: str, groups: str) -> None:
    query = Query("q", f"SELECT COUNT(*) AS n {joined}{groups}", (), ("owner",), ("owner",), 1, True)
    agreement = Agreement(
        *("small", "Small", "Test", 0, 1, (OWNER,), (), datasets, (query,), (RELEASE,), Limits(64, 1, 1))
    )
    bounds = fan_outs(compile_query(agreement, query))
    with duckdb.connect() as engine:
        for name, content in rows.items():
            table = pa.table(
                {
                    "id": pa.array(range(len(content)), pa.int64()),
                    **{
                        key: pa.array([row[at] for row in content], pa.int64())
                        for at, key in enumerate("xyzg")
                    },
                }
            )
            engine.register(name, table)
        by = groups.removeprefix(" GROUP BY ").split(", ") if groups else []
        for dataset in datasets:
            found, bound = _reach(engine, joined, dataset, by), bounds[dataset.id]
            assert found["row"] <= bound.row_reaches_rows
            assert found["unit"] <= bound.unit_reaches_rows
            assert found["groups"] <= bound.unit_reaches_groups
            assert found["has"] <= bound.unit_has_rows


def _reach(engine: Any, joined: str, dataset: Dataset, by: list[str]) -> dict[str, int]:
    """The furthest that any row and any unit of `dataset` reach in the tables."""
    unit, row = f"{dataset.id}.{dataset.privacy_unit}", f"{dataset.id}.id"
    key = f"({', '.join(by)}, 0)" if by else "0"

    def most(counted: str, grouped: str, source: str) -> int:
        inner = f"SELECT {counted} AS n {source} WHERE {grouped} IS NOT NULL GROUP BY {grouped}"
        (value,) = engine.execute(f"SELECT max(n) FROM ({inner})").fetchone()
        return value or 0

    return {
        "row": most("count(*)", row, joined),
        "unit": most("count(*)", unit, joined),
        "groups": most(f"count(DISTINCT {key})", unit, joined),
        "has": most("count(*)", unit, f"FROM {dataset.id}"),
    }


def test_bounds_are_reached_by_some_data() -> None:
    """Not only upper bounds: without a key on either side, all rows can meet all rows."""
    datasets = tuple(Dataset(name, "owner", COLUMNS, "x", 2, (), 3, 10**6) for name in NAMES)
    text = "SELECT COUNT(*) AS n FROM a JOIN b ON a.x = b.x JOIN c ON c.x = b.x"
    query = Query("q", text, (), ("owner",), ("owner",), 1, True)
    agreement = Agreement(
        *("small", "Small", "Test", 0, 1, (OWNER,), (), datasets, (query,), (RELEASE,), Limits(64, 1, 1))
    )
    for bound in fan_outs(compile_query(agreement, query)).values():
        assert (bound.row_reaches_rows, bound.unit_reaches_rows) == (9, math.prod([3, 3, 3]))


@pytest.mark.parametrize(
    ("derived", "reach"),
    [
        # One row of s for each unit of b, which any of the 4 rows of a can match.
        ("SELECT b.x AS x, COUNT(*) AS n FROM b GROUP BY b.x", {"a": (1, 4, 4), "b": (4, 5, 4)}),
        # Rows of b as they are: one of a meets all 5, and all of them can be one unit's.
        ("SELECT b.x AS x, b.y AS y FROM b", {"a": (5, 4, 20), "b": (4, 5, 20)}),
        # A row of b is in what the window makes of every row of its unit.
        (
            "SELECT b.x AS x, COUNT(*) OVER (PARTITION BY b.x) AS n FROM b",
            {"a": (5, 4, 20), "b": (20, 5, 20)},
        ),
    ],
    ids=["grouped", "as-they-are", "windowed"],
)
def test_rows_of_derived_tables_are_bounded(derived: str, reach: dict[str, tuple[int, int, int]]) -> None:
    uses = frozenset({"join", "group", "count_distinct"})
    columns = tuple(Column(name, "int64", False, uses) for name in "xyg")
    datasets = (
        Dataset("a", "owner", columns, "g", 2, (), 4, 10**6),
        Dataset("b", "owner", columns, "x", 2, (), 5, 10**6),
    )
    text = f"SELECT COUNT(*) AS n FROM a JOIN ({derived}) AS s ON a.x = s.x"
    query = Query("q", text, (), ("owner",), ("owner",), 1, True)
    agreement = Agreement(
        *("small", "Small", "Test", 0, 1, (OWNER,), (), datasets, (query,), (RELEASE,), Limits(64, 1, 1))
    )
    found = fan_outs(compile_query(agreement, query))
    assert {
        name: (bound.row_reaches_rows, bound.unit_has_rows, bound.unit_reaches_rows)
        for name, bound in found.items()
    } == reach
