"""Set operations in FROM: which are allowed, and what a pool of several parties' rows carries.

UNION ALL is the one that keeps every row whose it was. UNION without ALL, INTERSECT and EXCEPT compare rows
of different people: what is left would depend on somebody who is not counted behind it, so they are refused.
A dataset stands in one branch only; in the rows of the others it has no unit, and they help it over nothing.
Follows `protos/plan/README.md`, "UNION ALL".
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import Provenance, Standing, merged
from protos.plan.relations import DerivedColumn, Pool, Selection, UnitColumn
from protos.plan.syntax import place_of, refuse, require_only

_REFUSED: Final[dict[type[exp.Expr], tuple[str, str]]] = {
    exp.Except: (
        "EXCEPT",
        "whether a row is left would depend on somebody who is not counted behind it; compare a count with "
        "a JOIN and one without",
    ),
    exp.Intersect: (
        "INTERSECT",
        "whether a row is left would depend on somebody who is not counted behind it; use a JOIN",
    ),
}


def is_set_operation(node: exp.Expr) -> bool:
    """Whether `node` is UNION, INTERSECT or EXCEPT."""
    return isinstance(node, exp.SetOperation)


def read_branches(node: exp.Expr, sql: str) -> list[exp.Select]:
    """The SELECTs of a UNION ALL, in order. Raises `QueryRefusedError` for other set operations."""
    if isinstance(node, exp.Select):
        return [node]
    if isinstance(node, exp.Subquery):
        require_only(node, "this", sql=sql)
        return read_branches(node.this, sql)
    if type(node) in _REFUSED:
        name, hint = _REFUSED[type(node)]
        raise QueryRefusedError(f"{name} is not allowed", place=place_of(node, sql), hint=hint)
    if not isinstance(node, exp.Union):
        raise refuse(node, sql, hint="UNION ALL is between SELECTs")
    require_only(node, "this", "expression", "distinct", sql=sql)
    if node.args.get("distinct"):
        raise QueryRefusedError(
            "UNION without ALL is not allowed",
            place=place_of(node, sql),
            hint="equal rows of two people would become one, and one of the two would not be counted; write "
            "UNION ALL, and around it GROUP BY the unit if each unit is to stand once",
        )
    return read_branches(node.this, sql) + read_branches(node.expression, sql)


def pool_of(branches: list[Selection], node: exp.Expr, sql: str) -> Pool:
    """The branches as one table. Raises `QueryRefusedError` when they do not fit together."""
    place = place_of(node, sql)
    first = branches[0].columns
    datasets = [unit.dataset for branch in branches for unit in branch.units]
    for index, dataset in enumerate(datasets):
        if dataset in datasets[:index]:
            raise QueryRefusedError(
                f"{dataset.id!r} stands twice",
                place=place,
                hint="a dataset stands in one branch: one row of somebody could hide among rows of others",
            )
    for number, branch in enumerate(branches[1:], 2):
        if len(branch.columns) != len(first):
            raise QueryRefusedError(
                f"UNION ALL: SELECT {number} has {len(branch.columns)} columns, the first has {len(first)}",
                place=place,
            )
        for mine, other in zip(first, branch.columns, strict=True):
            if mine.type != other.type:
                raise QueryRefusedError(
                    f"UNION ALL: {mine.name} is {mine.type} in the first SELECT and {other.type} in "
                    f"SELECT {number}",
                    place=place,
                    hint="CAST one of them",
                )
    columns = tuple(
        _pooled(index, tuple(branch.columns[index] for branch in branches)) for index in range(len(first))
    )
    return Pool(tuple(branches), columns, tuple(_units(branches)))


def _pooled(index: int, parts: tuple[DerivedColumn, ...]) -> DerivedColumn:
    made_of = Provenance()
    for part in parts:
        made_of = merged(made_of, part.made_of)
    return DerivedColumn(
        name=parts[0].name,
        type=parts[0].type,
        nullable=any(part.nullable for part in parts),
        made_of=made_of,
        passes=tuple(column for part in parts for column in part.passes)
        if all(part.passes for part in parts)
        else (),
        supports=(f"_support_{index}",) if any(part.supports for part in parts) else (),
        standing=_standing(parts),
        has_clamp=any(part.has_clamp for part in parts),
    )


def _standing(parts: tuple[DerivedColumn, ...]) -> Standing:
    """The strictest of all branches. One hidden column cannot say which branch of a CASE a row was in."""
    found = {part.standing for part in parts}
    if "never" in found or any(len(part.supports) > 1 for part in parts):
        return "never"
    return "alone" if "alone" in found else "freely"


def _units(branches: list[Selection]) -> list[UnitColumn]:
    names = [column.name for column in branches[0].columns]
    units: list[UnitColumn] = []
    for branch in branches:
        positions = {column.name: index for index, column in enumerate(branch.columns)}
        for unit in branch.units:
            fixed_by = frozenset(names[positions[name]] for name in unit.fixed_by)
            units.append(UnitColumn(unit.dataset, f"_unit_{len(units)}", fixed_by, may_miss=True))
    return units
