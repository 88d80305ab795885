"""A small agreement about flights and weather for tests of the plan, the engine and disclosure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from enclave_compute.disclosure import Released, release
from enclave_compute.engine import Engine
from protos.formats import hpke
from protos.formats.agreement import Agreement, Limits
from protos.formats.participants import Participant
from protos.formats.participants import Release as CodeRelease
from protos.formats.query import Parameter, ParameterValue, Query
from protos.formats.rules import Rules
from protos.formats.schema import Column, Dataset
from protos.plan import Plan, compile_query
from tests.chunk_tables import arrow_type, chunk

MEMORY_MIB = 512
SINGLE = Rules(single_units=True)


def column(name: str, kind: str, *uses: str, nullable: bool = False, normalise: str = "none") -> Column:
    return Column(name, kind, nullable, frozenset(uses), normalise)


FLIGHTS = Dataset(
    id="flights",
    owner="airline",
    columns=(
        column("flight_id", "int64", "join", "count_distinct"),
        column("tailnum", "text", "count_distinct", "filter"),
        column("slot", "hex128", "join"),
        column("origin", "text", "group", "filter", "min", nullable=True),
        column("delay", "int64", "avg", "sum", "count", "min", "max", "filter", "group", nullable=True),
        column("fare", "decimal(10,2)", "sum", "avg", "min"),
        column("leaves", "timestamp", "group", "filter"),
        column("secret", "text"),
    ),
    privacy_unit="tailnum",
    threshold=3,
    unique=("flight_id",),
    max_rows=1_000_000,
    max_bytes=1_000_000_000,
)
WEATHER = Dataset(
    id="weather",
    owner="met",
    columns=(
        column("slot", "hex128", "join", "count_distinct"),
        column("wind", "float64", "group", "filter", "max", nullable=True),
        column("temp", "decimal(5,1)", "avg", "group", nullable=True),
        column("day", "date", "group", "filter"),
        column("wet", "bool", "group", "filter"),
        column("station", "text", "count_distinct"),
    ),
    privacy_unit="station",
    threshold=2,
    unique=("slot",),
    max_rows=1_000_000,
    max_bytes=1_000_000_000,
)
YEAR = Parameter("least", low=-1000, high=1000)
FROM = Parameter("origin", choices=("EWR", "JFK"))
JOINED = "FROM flights AS f JOIN weather AS w ON f.slot = w.slot"


def participant(name: str) -> Participant:
    key = name.encode().ljust(32, b"-")
    return Participant(name, name, key, key.ljust(hpke.PUBLIC_KEY_BYTES, b"-"))


def agreement(*datasets: Dataset) -> Agreement:
    """An agreement over `datasets`, with a query that nobody runs."""
    datasets = datasets or (FLIGHTS, WEATHER)
    owners = sorted({dataset.owner for dataset in datasets})
    return Agreement(
        id="delays",
        title="Delays",
        purpose="Delays by wind",
        valid_from_s=0,
        valid_until_s=2**40,
        parties=tuple(map(participant, owners)),
        analysts=(participant("analyst"),),
        datasets=datasets,
        queries=(query("SELECT COUNT(*) AS n FROM flights"),),
        releases=(CodeRelease("test", b"0" * 48, b"1" * 48, b"2" * 48, b"r" * 32),),
        limits=Limits(memory_mib=MEMORY_MIB, threads=2, max_runs=10),
    )


def query(sql: str, *parameters: Parameter, many_to_many: bool = False) -> Query:
    return Query("q", sql, parameters, ("analyst",), ("analyst",), 5, many_to_many)


def plan_of(
    sql: str, *parameters: Parameter, datasets: Sequence[Dataset] = (), many_to_many: bool = False
) -> Plan:
    return compile_query(agreement(*datasets), query(sql, *parameters, many_to_many=many_to_many))


def with_threshold(dataset: Dataset, threshold: int) -> Dataset:
    """1 is meant where a test asks for it."""
    return replace(dataset, threshold=threshold, rules=replace(dataset.rules, single_units=threshold == 1))


def with_column(dataset: Dataset, changed: Column) -> Dataset:
    """`dataset` with the column of that name replaced."""
    columns = tuple(changed if old.name == changed.name else old for old in dataset.columns)
    return replace(dataset, columns=columns)


def table(dataset: Dataset, rows: Iterable[Sequence[Any]]) -> pa.Table:
    """Rows of Python values, in the order of the columns, as the Arrow table that is sent."""
    schema = pa.schema([(item.name, arrow_type(item)) for item in dataset.columns])
    columns = list(zip(*rows, strict=True)) or [()] * len(dataset.columns)
    arrays = [pa.array(values, kind.type) for values, kind in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def load(engine: Engine, dataset: Dataset, rows: pa.Table, *, chunk_rows: int = 10_000) -> None:
    """A whole dataset into `engine`."""
    engine.create(dataset)
    for start in range(0, max(1, rows.num_rows), chunk_rows):
        engine.append_untrusted(dataset.id, chunk(rows.slice(start, chunk_rows)))
    engine.finish(dataset.id)


def run(
    sql: str,
    tables: Mapping[Dataset, pa.Table],
    *parameters: Parameter,
    given: Mapping[str, ParameterValue] | None = None,
    threads: int = 2,
    many_to_many: bool = False,
) -> Released:
    """What `sql` releases over `tables`."""
    engine = Engine(MEMORY_MIB, threads)
    for dataset, rows in tables.items():
        load(engine, dataset, rows)
    plan = plan_of(sql, *parameters, datasets=tuple(tables), many_to_many=many_to_many)
    return release(engine, plan, given or {})


def rows_of(released: Released) -> list[tuple[Any, ...]]:
    """The released rows as Python values, in their order."""
    read = pa.ipc.open_stream(released.table_ipc).read_all()
    return list(zip(*(read.column(index).to_pylist() for index in range(read.num_columns)), strict=True))


def slot(number: int) -> bytes:
    return number.to_bytes(16, "big")
