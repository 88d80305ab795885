"""Reads the text of a query into sqlglot's tree, within bounds, and takes the tree apart strictly.

The text is agreed but not trusted: length, depth and every argument of every node are checked, and anything
that nobody asked for (a hint, a sample, a lock, an ordering) is a refusal, never ignored. sqlglot's tree does
not leave this package.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from protos.formats import limits
from protos.plan.errors import Place, QueryRefusedError

_CLAUSES: Final = {
    "distinct": "SELECT DISTINCT",
    "having": "HAVING",
    "laterals": "LATERAL",
    "limit": "LIMIT",
    "offset": "OFFSET",
    "order": "ORDER BY",
    "qualify": "QUALIFY",
    "sample": "SAMPLE",
    "windows": "WINDOW",
    "with_": "WITH",
}
_CLAUSE_HINTS: Final = {
    "distinct": "in a derived table, group by the columns and the unit instead",
    "having": "thresholds are applied to every result; filter the rest at the receiver. Of a derived table, "
    "give the aggregate a name inside and filter on it with WHERE outside",
    "limit": "a result is released whole",
    "order": "a result's rows come in one fixed order; sort them at the receiver",
    "qualify": "number the rows in a derived table and filter on the number with WHERE outside",
    "windows": "write each window where it is used: OVER (PARTITION BY …)",
    "with_": "write all of WITH once, at the beginning",
}


def read_select_untrusted(sql: str) -> tuple[exp.Select, dict[str, exp.Expr]]:
    """The one SELECT that `sql` is, and what WITH names in front of it, in order.

    Raises `QueryRefusedError` for anything else.
    """
    if len(sql) > limits.SQL_MAX_CHARACTERS:
        raise QueryRefusedError(
            f"got {len(sql)} characters of SQL, expected at most {limits.SQL_MAX_CHARACTERS}"
        )
    statement = _parse(sql)
    if not isinstance(statement, exp.Select):
        raise QueryRefusedError(
            "expected one plain SELECT outermost",
            hint="a UNION ALL stands in FROM, and the SELECT around it aggregates over it",
        )
    _require_depth(statement)
    _require_whole(statement, sql)
    named = _named_queries(statement, sql)
    require_clauses(statement, sql, "distinct", "with_")
    return statement, named


def require_clauses(select: exp.Select, sql: str, *more: str) -> None:
    """`select` has FROM, JOIN, WHERE and GROUP BY, `more`, and no other clause."""
    for clause, name in _CLAUSES.items():
        found = select.args.get(clause)
        if found and clause not in more:
            first = found[0] if isinstance(found, list) else found
            # Some clauses carry no place of their own: then the SELECT that they are part of says where.
            place = (place_of(first, sql) if isinstance(first, exp.Expr) else None) or place_of(select, sql)
            raise QueryRefusedError(f"{name} is not allowed", place=place, hint=_CLAUSE_HINTS.get(clause))
    require_only(select, "expressions", "from_", "joins", "where", "group", *more, sql=sql)


def _named_queries(select: exp.Select, sql: str) -> dict[str, exp.Expr]:
    named: dict[str, exp.Expr] = {}
    clause = select.args.get("with_")
    if clause is None:
        return named
    require_only(clause, "expressions", sql=sql)
    for query in clause.expressions:
        require_only(query, "this", "alias", sql=sql)
        require_only(query.args["alias"], "this", sql=sql)
        name = name_in(query.args["alias"].this)
        if name in named:
            raise QueryRefusedError(f"WITH names {name[:64]!r} twice", place=place_of(query, sql))
        named[name] = query.this
    return named


def _parse(sql: str) -> exp.Expr | None:
    dialect = DuckDB()
    try:
        tokens = dialect.tokenize(sql)
        # Anything else, sqlglot may take for a command that it does not know and pass on unread.
        if not tokens or tokens[0].token_type not in (TokenType.SELECT, TokenType.WITH):
            raise QueryRefusedError("expected the text to begin with SELECT or WITH")
        statements = dialect.parser().parse(tokens, sql)
    except SqlglotError as error:
        raise QueryRefusedError(_first_complaint(error), hint="the dialect is DuckDB's SQL") from error
    except RecursionError as error:
        raise QueryRefusedError(
            "nested too deeply to be read", hint=f"at most {limits.SQL_MAX_DEPTH} levels are allowed"
        ) from error
    if len(statements) != 1:
        raise QueryRefusedError(f"got {len(statements)} statements, expected one SELECT")
    return statements[0]


def _first_complaint(error: SqlglotError) -> str:
    details = getattr(error, "errors", None)
    if not details:
        return "not SQL that can be read"
    first = details[0]
    return f"not SQL that can be read near {Place(first['line'] or 1, first['col'] or 1)}"


def _require_depth(statement: exp.Select) -> None:
    level: list[exp.Expr] = [statement]
    for _ in range(limits.SQL_MAX_DEPTH):
        level = [child for node in level for child in node.iter_expressions()]
        if not level:
            return
    raise QueryRefusedError(
        f"nested deeper than {limits.SQL_MAX_DEPTH} levels",
        hint="each AND, OR and operator in a row counts as a level",
    )


def _require_whole(statement: exp.Select, sql: str) -> None:
    """No clause or operator lacks what it is about: the parser lets `WHERE @` through, with nothing in it."""
    for node in statement.walk():
        if node.error_messages():
            place = place_of(node, sql) or place_of(statement, sql)
            raise QueryRefusedError(f"{name_of(node)} of nothing", place=place)


def require_only(node: exp.Expr, *allowed: str, sql: str) -> None:
    """`node` carries nothing beyond the arguments `allowed`; what is empty or false is not carried."""
    extra = sorted(name for name, value in node.args.items() if value and name not in allowed)
    if extra:
        raise QueryRefusedError(
            f"{name_of(node)} with {', '.join(name.strip('_') for name in extra)} is not allowed",
            place=place_of(node, sql),
        )


def refuse(node: exp.Expr, sql: str, *, hint: str | None = None) -> QueryRefusedError:
    """The refusal of a construct that is not in the grammar, to be raised by the caller."""
    return QueryRefusedError(f"{name_of(node)} is not allowed here", place=place_of(node, sql), hint=hint)


def name_in(identifier: exp.Identifier) -> str:
    """The name an identifier stands for: unquoted names are lower case, as all of the agreement's are."""
    name = str(identifier.this)
    return name if identifier.args.get("quoted") else name.lower()


def name_of(node: exp.Expr) -> str:
    """What a person would call a node of sqlglot's tree."""
    if isinstance(node, exp.Anonymous):
        return f"the function {str(node.this)[:64]}"
    if isinstance(node, exp.Func):
        return node.sql_name()
    return {"Star": "*", "DPipe": "||"}.get(type(node).__name__, type(node).__name__.upper())


def place_of(node: exp.Expr, sql: str) -> Place | None:
    """Where the first piece of `node` that knows its place stands in `sql`."""
    starts = [part.meta["start"] for part in node.walk() if "start" in part.meta]
    if not starts:
        return None
    before = sql[: min(starts)]
    return Place(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
