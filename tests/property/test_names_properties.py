"""For any data: what parties, datasets, columns and aliases are called changes no decision and no byte.

Names of outputs are kept: they are in the result. Texts of rules and refusals have the new names in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from enclave_compute.disclosure import release
from enclave_compute.engine import Engine
from protos.formats.agreement import Agreement
from protos.formats.rules import OptOut, Rules
from protos.formats.schema import Column, Dataset
from protos.plan import QueryRefusedError, compile_query
from tests import engine_world as world

NAMES = (
    *("shop", "club", "visits", "members", "gone", "v", "m", "w", "person", "place"),
    *("spent", "house", "level", "left_on", "who"),
)
BOTH = "FROM {visits} AS {v} JOIN {members} AS {m} ON {v}.{person} = {m}.{house}"
QUERIES = {
    "groups": "SELECT {v}.{place} AS out_a, COUNT(*) AS out_b, SUM({v}.{spent}) AS out_c, "
    "MAX({v}.{spent}) AS out_d FROM {visits} AS {v} GROUP BY {v}.{place}",
    "join": f"SELECT {{m}}.{{level}} AS out_a, COUNT(*) AS out_b, AVG({{v}}.{{spent}}) AS out_c {BOTH} "
    "WHERE {v}.{spent} >= 0 GROUP BY 1",
    "case": f"SELECT SUM(CASE WHEN {{m}}.{{level}} = 1 THEN {{v}}.{{spent}} ELSE 0 END) AS out_a {BOTH}",
    "derived": "SELECT {w}.{left_on} AS out_a, COUNT(*) AS out_b, SUM({w}.{who}) AS out_c FROM (SELECT "
    "{v}.{person} AS {level}, COUNT(*) AS {left_on}, SUM({v}.{spent}) AS {who} FROM {visits} AS {v} "
    "GROUP BY {v}.{person}) AS {w} GROUP BY 1",
    "window": "SELECT {w}.{left_on} AS out_a, COUNT(*) AS out_b FROM (SELECT rank() OVER (PARTITION BY "
    "{v}.{person} ORDER BY {v}.{spent}) AS {left_on} FROM {visits} AS {v}) AS {w} GROUP BY 1",
    "no grant": f"SELECT SUM({{m}}.{{level}}) AS out_a {BOTH}",
    "join column": f"SELECT {{v}}.{{person}} AS out_a, COUNT(*) AS out_b {BOTH} GROUP BY 1",
    "list": f"SELECT DISTINCT {{v}}.{{place}} AS out_a {BOTH}",
    "other unit": "SELECT SUM({w}.{left_on}) AS out_a FROM (SELECT COUNT(*) AS {left_on} "
    "FROM {visits} AS {v} "
    "GROUP BY {v}.{place}) AS {w}",
}
PERSONS = st.integers(0, 6)
DATA = st.fixed_dictionaries(
    {
        "visits": st.lists(
            st.tuples(PERSONS, st.sampled_from(["x", "y", None]), st.none() | st.integers(-3, 9)), max_size=30
        ),
        "members": st.dictionaries(PERSONS, st.integers(0, 1)).map(lambda found: list(found.items())),
        "gone": st.lists(st.tuples(PERSONS), max_size=2),
    }
)
RULES = st.sampled_from(
    [
        {},
        {"max_rows_per_unit": 2},
        {"opt_out": True},
        {"analyses": ("aggregation", "list")},
        {"joined_with": True},
        {"forbidden": True},
    ]
)
SLUGS = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True).filter(
    lambda name: not name.startswith("out_")
)
KEYWORDS = st.sampled_from(
    ["select", "from", "order", "group", "a", "b", "main", "rowid", "value", "x", "row"]
)
Renaming = Mapping[str, str]
RENAMINGS = st.lists(SLUGS | KEYWORDS, min_size=len(NAMES), max_size=len(NAMES), unique=True).map(
    lambda names: dict(zip(NAMES, names, strict=True))
)
SAME: Renaming = {name: name for name in NAMES}
ENGINE = Engine(128, 1)


@dataclass(frozen=True)
class Decided:
    """What became of a query; None where it is refused. Names are those that things had at first."""

    rules: frozenset[tuple[str, str, str]] | None = None
    """Dataset, column and use of every grant that lets the query through."""
    required_units: tuple[int, ...] = ()
    held_back: tuple[int | None, ...] = ()
    table_ipc: bytes = b""


def agreed(rules: Mapping[str, Any], new: Renaming) -> Agreement:
    """The same agreement under other names."""
    ruled: dict[str, Any] = dict(rules)
    if ruled.get("opt_out"):
        ruled["opt_out"] = OptOut(new["gone"], new["who"])
    if ruled.get("joined_with"):
        ruled["joined_with"] = (new["members"],)
    if ruled.get("forbidden"):
        ruled["forbidden"] = (new["spent"],)
    all_uses = frozenset(
        {"avg", "combine", "count", "count_distinct", "filter", "group", "max", "order", "sum"}
    )
    visits = Dataset(
        new["visits"],
        new["shop"],
        (
            Column(new["person"], "int64", False, frozenset({"join", "count_distinct"})),
            Column(new["place"], "text", True, frozenset({"group", "output"})),
            Column(new["spent"], "int64", True, all_uses),
        ),
        *(new["person"], 2, (), 1_000, 1_000_000, Rules(**ruled)),
    )
    members = Dataset(
        new["members"],
        new["club"],
        (
            Column(new["house"], "int64", False, frozenset({"join", "count_distinct"})),
            Column(new["level"], "int64", False, frozenset({"group", "filter"})),
        ),
        *(new["house"], 2, (new["house"],), 1_000, 1_000_000, Rules(analyses=("aggregation", "list"))),
    )
    gone = Dataset(
        new["gone"],
        new["club"],
        (Column(new["who"], "int64", False, frozenset({"opt_out"})),),
        *(new["who"], 2, (), 1_000, 1_000_000),
    )
    return world.agreement(visits, members, gone)


def decided(sql: str, rules: Mapping[str, Any], data: Mapping[str, list[Any]], new: Renaming) -> Decided:
    quoted = {name: f'"{name_now}"' for name, name_now in new.items()}
    agreement = agreed(rules, new)
    query = world.query(sql.format(**quoted))
    try:
        plan = compile_query(replace(agreement, queries=(query,)), query)
    except QueryRefusedError:
        return Decided()
    for dataset, old in zip(agreement.datasets, ("visits", "members", "gone"), strict=True):
        world.load(ENGINE, dataset, world.table(dataset, data[old]))
    try:
        found = release(ENGINE, plan, {})
    finally:
        for dataset in agreement.datasets:
            ENGINE.drop(dataset.id)
    first = {name_now: name for name, name_now in new.items()}
    return Decided(
        frozenset((first[usage.dataset], first[usage.column], usage.use) for usage in plan.usages),
        tuple(threshold.required_units for threshold in plan.thresholds),
        tuple(item.groups_at_most for item in found.suppressed),
        found.table_ipc,
    )


@pytest.mark.parametrize("sql", QUERIES.values(), ids=QUERIES)
@settings(max_examples=8)
@given(RULES, DATA, RENAMINGS)
def test_other_names_change_no_decision_and_no_byte(
    sql: str, rules: Mapping[str, Any], data: Mapping[str, list[Any]], new: Renaming
) -> None:
    first = decided(sql, rules, data, SAME)
    event("refused" if first.rules is None else "released")
    assert decided(sql, rules, data, new) == first
