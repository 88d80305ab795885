"""The SELECT list and the GROUP BY of one SELECT, outermost or in FROM: names, and what each item stands for.

Reads text that somebody else wrote; raises `QueryRefusedError` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sqlglot import exp

from protos.plan.aggregates import is_aggregate
from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import Expression, references_of
from protos.plan.scalars import ScalarReader
from protos.plan.syntax import name_in, place_of, refuse, require_only

OUTPUTS_MAX: Final = 200
_OUTPUT_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def named_outputs(select: exp.Select, reader: ScalarReader) -> dict[str, exp.Expr]:
    """The SELECT list by name, in order. A plain column is named after itself."""
    if len(select.expressions) > OUTPUTS_MAX:
        raise QueryRefusedError(
            f"got {len(select.expressions)} outputs, expected at most {OUTPUTS_MAX}",
            place=place_of(select, reader.sql),
        )
    named: dict[str, exp.Expr] = {}
    for node in select.expressions:
        if isinstance(node, exp.Alias):
            name, inner = name_in(node.args["alias"]), node.this
        elif isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier):
            name, inner = name_in(node.this), node
        elif isinstance(node, exp.Star | exp.Column):
            star = node.this if isinstance(node, exp.Column) else node
            raise refuse(star, reader.sql, hint="name what leaves, column by column")
        else:
            raise reader.mismatch(node, "an output without a name", hint="write … AS name")
        if not _OUTPUT_NAME.fullmatch(name):
            raise reader.mismatch(
                node,
                f"{name[:64]!r} is not a name for an output",
                hint="lower-case letters, digits and underscores, a letter first, at most 63",
            )
        if name in named:
            raise reader.mismatch(node, f"two outputs are called {name}")
        named[name] = inner
    return named


def read_groups(
    select: exp.Select, reader: ScalarReader, named: Mapping[str, exp.Expr]
) -> tuple[Expression, ...]:
    """The expressions of GROUP BY, none of them twice; empty when there is no GROUP BY."""
    clause = select.args.get("group")
    if clause is None:
        return ()
    require_only(clause, "expressions", sql=reader.sql)
    found: dict[Expression, None] = {}
    for node in clause.expressions:
        group = reader.read(_meant_output(node, reader, named))
        if not references_of(group):
            raise reader.mismatch(node, "GROUP BY needs an expression of columns")
        found[group] = None
    return tuple(found)


def _meant_output(node: exp.Expr, reader: ScalarReader, named: Mapping[str, exp.Expr]) -> exp.Expr:
    """What a GROUP BY item stands for: a number or a name may mean an output, as in the engine's SQL."""
    if isinstance(node, exp.Literal) and not node.is_string:
        position = int(node.this) if str(node.this).isdigit() else 0
        if not 1 <= position <= len(named):
            raise reader.mismatch(node, f"GROUP BY {str(node.this)[:20]}: there are {len(named)} outputs")
        meant = list(named.values())[position - 1]
    elif isinstance(node, exp.Column) and not node.args.get("table") and name_in(node.this) in named:
        meant = named[name_in(node.this)]
        if _is_column_elsewhere(node, meant, reader):
            raise reader.mismatch(
                node,
                f"GROUP BY {name_in(node.this)} could mean a column or the output of that name",
                hint="give the output another name",
            )
    else:
        return node
    if is_aggregate(meant):
        raise reader.mismatch(node, "GROUP BY cannot name an aggregate")
    return meant


def _is_column_elsewhere(node: exp.Column, meant: exp.Expr, reader: ScalarReader) -> bool:
    name = name_in(node.this)
    if not any(source.has(name) for source in reader.scope.sources):
        return False
    return not (isinstance(meant, exp.Column) and name_in(meant.this) == name)
