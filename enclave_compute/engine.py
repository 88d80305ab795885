"""Holds the datasets in memory and computes what a plan says; DuckDB, with every door of it locked.

Reads chunks that parties made and plans that `protos.plan` compiled; no text from outside is ever part of a
statement. The engine is locked before the first foreign byte comes: no files, no network, no extensions, no
Python variables, no change of configuration. Whatever goes wrong inside, what comes out is a `RefusedError`
without a value in it. What it computes goes to `disclosure` and nowhere else.

Equal inputs give equal answers, with any number of threads and in any order of rows: sums are exact.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

import duckdb
import nanoarrow as na

from enclave_compute.columnar import Chunk, decode_chunk_untrusted, insert_expression, joined
from enclave_compute.errors import RefusedError
from protos.formats.calls import Refusal
from protos.formats.limits import MIB
from protos.formats.query import ParameterValue
from protos.formats.schema import Column, Dataset
from protos.plan import Plan
from protos.plan.hidden import COMPUTED
from protos.plan.noise_sql import cells_statement
from protos.plan.quoting import quoted
from protos.plan.sql import PRINT_KEY, aggregate_statement
from protos.plan.values import column_type

_BEFORE_FIRST_STATEMENT: Final = {
    "allow_community_extensions": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
# The order matters: some settings cannot be made any more once external access is off, and none at the end.
_LOCKS: Final = (
    "SET temp_directory = ''",
    "SET max_temp_directory_size = '0KB'",
    "SET disabled_filesystems = 'LocalFileSystem'",
    # Every statement counts distinct units: in one aggregate a quarter cheaper than as joins of several.
    "SET disabled_optimizers = 'distinct_aggregate_rewrite'",
    "SET default_collation = ''",
    "SET TimeZone = 'UTC'",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_CHUNK: Final = "_chunk"
_UNIQUE_ROWS_AT_ONCE: Final = 2**21
_WAITING_CHUNKS: Final = 64
_WAITING_BYTES: Final = 24 * MIB
"""Of all datasets together, so much may wait to be inserted: a statement costs as much as the rows of several
chunks. Decoded bytes, which are not in the engine's own memory limit; the chunk that comes last is on top."""


def locked_connection(
    memory_mib: int, threads: int, *, keeps_order: bool = False
) -> duckdb.DuckDBPyConnection:
    """An empty engine with every door locked. `keeps_order`: rows come out as they went in, which costs."""
    connection = duckdb.connect(":memory:", config=dict(_BEFORE_FIRST_STATEMENT))
    connection.execute(f"SET memory_limit = '{memory_mib}MiB'")
    connection.execute(f"SET threads = {threads}")
    connection.execute(f"SET preserve_insertion_order = {'true' if keeps_order else 'false'}")
    for statement in _LOCKS:
        connection.execute(statement)
    return connection


@dataclass
class _Table:
    dataset: Dataset
    connection: duckdb.DuckDBPyConnection
    waiting: list[Chunk] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Engine:
    """All datasets of one enclave life. Different datasets may be appended to at the same time."""

    def __init__(self, memory_mib: int, threads: int) -> None:
        self._connection = locked_connection(memory_mib, threads)
        self._tables: dict[str, _Table] = {}
        # 96 bits in 16 characters: with a privacy unit of 128 bits as text it is one block of the hash.
        self._secrets: Mapping[str, ParameterValue] = {PRINT_KEY: secrets.token_urlsafe(12)}

    def create(self, dataset: Dataset) -> None:
        """Make room for `dataset`, which must not be there."""
        columns = ", ".join(map(_column_definition, dataset.columns))
        connection = self._connection.cursor()
        with refusing():
            connection.execute(f"CREATE TABLE {quoted(dataset.id)} ({columns})")
        self._tables[dataset.id] = _Table(dataset, connection)

    def append_untrusted(self, dataset_id: str, chunk: bytes, *, compression: str = "none") -> int:
        """Take a chunk; how many rows it has. Raises `RefusedError`.

        Its form is checked at once, its values together with those of other chunks, by `finish` at the
        latest. After a refusal drop the dataset: the values may have been those of an earlier chunk.
        """
        table = self._tables[dataset_id]
        decoded = decode_chunk_untrusted(table.dataset.columns, chunk, compression=compression)
        with table.lock:
            if table.waiting and table.waiting[0].dictionaries != decoded.dictionaries:
                _insert_waiting(table)
            table.waiting.append(decoded)
            waiting_bytes = sum(waiting.held_bytes for waiting in table.waiting)
            share_bytes = _WAITING_BYTES // len(self._tables)
            if waiting_bytes >= share_bytes or len(table.waiting) >= _WAITING_CHUNKS:
                _insert_waiting(table)
        return decoded.rows

    def finish(self, dataset_id: str) -> int:
        """The rows of a complete dataset. Raises `RefusedError` when its `unique` columns repeat, or when
        there are fewer rows or units than its owner's rules ask for."""
        table = self._tables[dataset_id]
        name = quoted(dataset_id)
        with table.lock, refusing():
            _insert_waiting(table)
            rows = _count(table.connection, f"SELECT COUNT(*) FROM {name}")  # noqa: S608
            if table.dataset.unique:
                _require_unique(table, rows)
            _require_not_too_small(table, rows)
            return rows

    def drop(self, dataset_id: str) -> None:
        """Forget a dataset, so that it can be sent again."""
        table = self._tables.pop(dataset_id)
        with table.lock, refusing():
            table.connection.execute(f"DROP TABLE {quoted(dataset_id)}")
            table.connection.close()

    def execute(
        self, plan: Plan, parameters: Mapping[str, ParameterValue], *, with_sets: bool = False
    ) -> Computed:
        """Compute `plan` over all that was appended. Raises `RefusedError`; close what comes back.

        `with_sets` adds the hidden columns that releases are compared by. Of a plan with noise it computes
        the exact numbers that noise is added to, and not the query's outputs.
        """
        for table in self._tables.values():
            with table.lock:
                _insert_waiting(table)
        computed = Computed(self._connection.cursor(), {**parameters, **self._secrets})
        try:
            if plan.noise is not None:
                select = cells_statement(plan, plan.noise)
            else:
                select = aggregate_statement(plan, with_sets=with_sets)
            computed.make(f"CREATE TEMP TABLE {COMPUTED} AS {select}")
        except RefusedError:
            computed.close()
            raise
        return computed


class Computed:
    """The rows that a plan gave, hidden columns and all. Only what decides on disclosure may look at them."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, parameters: Mapping[str, ParameterValue]
    ) -> None:
        self._connection = connection
        self._parameters = parameters

    def __enter__(self) -> Computed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget the rows."""
        self.drop([COMPUTED])
        self._connection.close()

    def numbers(self, expressions: list[str]) -> tuple[int, ...]:
        """One row of whole numbers: each of `expressions` aggregated over all rows."""
        with refusing():
            select = f"SELECT {', '.join(expressions)} FROM {COMPUTED}"  # noqa: S608
            (row,) = self._connection.execute(select).fetchall()
        return tuple(int(number) for number in row)

    def make(self, statement: str, parameters: Mapping[str, ParameterValue] | None = None) -> None:
        """Lay down a table beside the rows, from them or the same data.

        `parameters` stand in for those of this run, where the statement is of another one.
        """
        known = {**self._parameters, **(parameters or {})}
        with refusing():
            (parsed,) = self._connection.extract_statements(statement)
            # Which the engine insists on: not one too many.
            named = {name: known[name] for name in parsed.named_parameters}
            self._connection.execute(parsed, named)

    def drop(self, tables: list[str]) -> None:
        """Forget temporary tables, made or not."""
        for table in tables:
            self._connection.execute(f"DROP TABLE IF EXISTS {table}")

    def numbers_of_rows(self, select: str) -> list[int]:
        """The one column of `select`, which is of whole numbers."""
        with refusing():
            return [int(number) for (number,) in self._connection.execute(select).fetchall()]

    def remove(self, delete: str) -> int:
        """How many of the rows `delete` took away."""
        with refusing():
            ((removed,),) = self._connection.execute(delete).fetchall()
        return int(removed)

    def texts(self, select: str) -> list[tuple[str, ...]]:
        """The rows of `select`, which reads FROM {rows} and gives whole numbers of any size as text."""
        with refusing():
            return self._connection.execute(select.format(rows=COMPUTED)).fetchall()

    def lay_down(self, name: str, stream: object) -> None:
        """Make a table of Arrow arrays of ours, for selects to read."""
        with refusing():
            self._connection.register(name, stream)

    def batches(self, select: str) -> list[Any]:
        """The rows of `select`, which reads FROM {rows}, as Arrow arrays of structs in their order."""
        with refusing():
            return list(na.c_array_stream(self._connection.sql(select.format(rows=COMPUTED))))


def _column_definition(column: Column) -> str:
    return f"{quoted(column.name)} {column_type(column).sql()}{'' if column.nullable else ' NOT NULL'}"


def _count(connection: duckdb.DuckDBPyConnection, statement: str) -> int:
    ((count,),) = connection.execute(statement).fetchall()
    return int(count)


def _insert_waiting(table: _Table) -> None:
    if not table.waiting:
        return
    chunks, table.waiting = joined(table.waiting), []
    with refusing(Refusal.SCHEMA_MISMATCH):
        table.connection.register(_CHUNK, chunks)
        try:
            table.connection.execute(_insert_statement(table.dataset, chunks))
        finally:
            table.connection.unregister(_CHUNK)


def _insert_statement(dataset: Dataset, chunks: Chunk) -> str:
    values = ", ".join(
        insert_expression(column, has_dictionary=column.name in chunks.dictionaries)
        for column in dataset.columns
    )
    return f"INSERT INTO {quoted(dataset.id)} SELECT {values} FROM {_CHUNK}"  # noqa: S608


def _require_unique(table: _Table, rows: int) -> None:
    """The `unique` columns never repeat, NULL equal to NULL. In parts, to need little memory at once."""
    key = ", ".join(map(quoted, table.dataset.unique))
    parts = 1 + rows // _UNIQUE_ROWS_AT_ONCE
    for part in range(parts):
        repeated = (
            f"SELECT 1 FROM {quoted(table.dataset.id)} WHERE hash({key}) % {parts} = {part} "  # noqa: S608
            f"GROUP BY {key} HAVING COUNT(*) > 1 LIMIT 1"
        )
        if table.connection.execute(repeated).fetchall():
            raise RefusedError(Refusal.SCHEMA_MISMATCH, f"{table.dataset.id}: a unique key stands twice")


def _require_not_too_small(table: _Table, rows: int) -> None:
    """As many rows and distinct units came as the agreement asks for, whatever opts out of it later."""
    dataset, rules = table.dataset, table.dataset.rules
    if rows < rules.min_rows:
        raise RefusedError(Refusal.TOO_SMALL, f"{dataset.id}: fewer rows than its min_rows")
    if rules.min_units:
        unit, name = quoted(dataset.privacy_unit), quoted(dataset.id)
        units = _count(table.connection, f"SELECT COUNT(DISTINCT {unit}) FROM {name}")  # noqa: S608
        if units < rules.min_units:
            raise RefusedError(Refusal.TOO_SMALL, f"{dataset.id}: fewer privacy units than its min_units")


@contextmanager
def refusing(refusal: Refusal = Refusal.INTERNAL) -> Iterator[None]:
    """Turns whatever the engine says, which may quote a value, into a code and no more."""
    try:
        yield
    except (duckdb.Error, MemoryError, RuntimeError) as error:
        if _is_out_of_memory(error):
            raise RefusedError(Refusal.OUT_OF_RESOURCES, "the engine is out of memory") from None
        raise RefusedError(refusal, f"the engine refused: {type(error).__name__}") from None


def _is_out_of_memory(error: Exception) -> bool:
    # Memory that runs out during a commit or a fetch has the error of what was going on, of DuckDB or of
    # nanoarrow; only the text says why.
    is_memory = isinstance(error, duckdb.OutOfMemoryException | MemoryError)
    return is_memory or "could not allocate" in str(error) or "failed to allocate" in str(error)
