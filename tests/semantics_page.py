"""The rows of the tables in `docs/semantics.md`, and what the enclave's own code makes of each of them.

A row is an expression, what it is of, and what it is: `i + 1` of `i = 7, NULL` is `8, NULL`. It is compiled,
computed and released as any query is; values are compared as they are written, so `1` is not `1.0`.
"""

from __future__ import annotations

import ast
import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

from enclave_compute.disclosure import release
from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from protos.formats.query import Parameter
from protos.formats.schema import AGGREGATE_USES, Column, Dataset
from protos.plan import QueryRefusedError
from tests import engine_world as world

PAGE: Final = Path(__file__).parents[1] / "docs" / "semantics.md"
REFUSED: Final = "refused"
_ROW: Final = re.compile(r"\| `(?P<asked>.+?)` \| (?:`(?P<given>.+?)`)? ?\| `(?P<expected>.+?)` \|")
_AGGREGATE: Final = re.compile(r"(AVG|COUNT|MAX|MIN|SUM)\(")
_TOKEN: Final = re.compile(r"\s*('(?:[^'\\]|\\.)*'|[^,']+)\s*(?:,|$)")
_KINDS: Final = {
    **dict.fromkeys(("i", "j", "unit", "k"), "int64"),
    **dict.fromkeys(("f", "g"), "float64"),
    **dict.fromkeys(("mail", "s", "t"), "text"),
    **dict.fromkeys(("b", "c"), "bool"),
    "at": "timestamp",
    "d": "decimal(10,2)",
    "day": "date",
    "e": "decimal(38,10)",
    "h": "hex128",
    "m": "decimal(26,0)",
    "n": "decimal(18,0)",
}
_OTHER_USES: Final = frozenset({"filter", "group", "join", "order"})
ENGINE: Final = Engine(world.MEMORY_MIB, 2)


@dataclass(frozen=True)
class PageRow:
    """One row of a table of the page."""

    asked: str
    given: str
    expected: str

    @property
    def sql(self) -> str:
        """The whole query that the expression stands for; over r, whose rows k numbers."""
        if self.asked.startswith(("SELECT", "WITH")):
            return self.asked
        if _AGGREGATE.match(self.asked):
            return f"SELECT {self.asked} AS v FROM r"
        return f"SELECT k, {self.asked} AS v FROM r GROUP BY k, {self.asked}"

    def computed(self) -> str:
        """What is released, written as on the page; `refused` for what is not even compiled or accepted."""
        tables, parameters, chosen = self._inputs()
        datasets = [_dataset(name, tuple(columns)) for name, columns in tables.items()]
        try:
            plan = world.plan_of(self.sql, *parameters, datasets=datasets, many_to_many=True)
            for dataset in datasets:
                world.load(ENGINE, dataset, world.table(dataset, _rows(dataset, tables[dataset.id])))
            rows = world.rows_of(release(ENGINE, plan, chosen))
        except (QueryRefusedError, RefusedError):
            return REFUSED
        finally:
            for dataset in datasets:
                if dataset.id in ENGINE._tables:
                    ENGINE.drop(dataset.id)
        if self.sql == self.asked and len(rows[:1]) and len(rows[0]) > 1:
            return ", ".join(f"({', '.join(map(written, row))})" for row in rows)
        return ", ".join(written(row[-1]) for row in rows) or "nothing"

    def _inputs(self) -> tuple[dict[str, dict[str, list[Any]]], list[Parameter], dict[str, Any]]:
        tables: dict[str, dict[str, list[Any]]] = {"r": {}}
        parameters, chosen = [], {}
        for part in filter(None, self.given.split("; ")):
            name, _, texts = part.partition(" = ")
            if name.startswith("$"):
                value = _parameter_value(texts)
                parameters.append(_parameter(name[1:], value))
                chosen[name[1:]] = value
                continue
            table, _, column = name.rpartition(".")
            values = [read(token, _KINDS[column]) for token in _tokens(texts)]
            tables.setdefault(table or "r", {})[column] = values
        return tables, parameters, chosen


@cache
def page_rows() -> tuple[PageRow, ...]:
    """Every row of every table of the page that has an expression in it."""
    return tuple(_found(PAGE.read_text()))


def _found(text: str) -> Iterator[PageRow]:
    for line in text.splitlines():
        if match := _ROW.fullmatch(line):
            yield PageRow(match["asked"], match["given"] or "i = 0", match["expected"])


def written(value: Any) -> str:
    """A released value as the page writes it."""
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).upper()
        case Decimal():
            return format(value, "f")
        case dt.datetime() | dt.date():
            return value.isoformat()
        case str():
            return "'" + value.encode("unicode_escape").decode().replace("'", "\\'") + "'"
        case _:
            return repr(value)


def read(token: str, kind: str) -> Any:
    """A value of the page as Python's value for a column of `kind`."""
    if token == "NULL":
        return None
    if kind.startswith("decimal"):
        return Decimal(token)
    return _READ[kind](token)


_READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "bool": {"FALSE": False, "TRUE": True}.__getitem__,
    "date": dt.date.fromisoformat,
    "float64": float,
    "hex128": bytes.fromhex,
    "int64": int,
    "text": ast.literal_eval,
    "timestamp": dt.datetime.fromisoformat,
}


def _tokens(texts: str) -> list[str]:
    return [] if texts == "nothing" else [match[1].strip() for match in _TOKEN.finditer(texts)]


def _parameter_value(text: str) -> int | str:
    return int(text) if re.fullmatch(r"-?[0-9]+", text) else text.strip("'")


def _parameter(name: str, value: int | str) -> Parameter:
    if isinstance(value, int):
        return Parameter(name, low=min(value, 0), high=max(value, 0))
    if re.fullmatch(r"[0-9]{4}-.*|-?[0-9.]+", value):
        return Parameter(name, low=value, high=value)
    return Parameter(name, choices=(value,))


def _dataset(name: str, columns: tuple[str, ...]) -> Dataset:
    own = [item for item in ("unit", "k") if item not in columns]
    return Dataset(
        name,
        f"owner_{name}",
        tuple(map(_column, (*own, *columns))),
        "unit",
        1,
        ("k",),
        *(1_000, 1_000_000),
        world.SINGLE,
    )


def _column(name: str) -> Column:
    kind = _KINDS[name]
    exact = kind == "int64" or kind.startswith("decimal")
    uses = AGGREGATE_USES if exact else AGGREGATE_USES - {"avg", "sum"}
    normalise = "email/v1" if name == "mail" else "none"
    return Column(name, kind, name not in ("unit", "k"), uses | _OTHER_USES, normalise)


def _rows(dataset: Dataset, columns: dict[str, list[Any]]) -> list[tuple[Any, ...]]:
    """Units and row numbers are 1, 2, … unless they are given."""
    count = max(map(len, columns.values()))
    given = {"unit": list(range(1, count + 1)), "k": list(range(1, count + 1)), **columns}
    return list(zip(*(given[column.name] for column in dataset.columns), strict=True))
