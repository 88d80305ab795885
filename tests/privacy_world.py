"""A small agreement under which an owner has a privacy budget, for tests of what leaves with noise."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from enclave_compute.engine import Engine
from protos.formats.agreement import Agreement
from protos.formats.privacy import PrivacyEntry, QueryNoise
from protos.formats.query import Parameter, Query
from protos.formats.rules import Clamp, OptOut, Rules
from protos.formats.schema import Column, Dataset
from protos.plan import Plan, compile_query
from tests.engine_world import MEMORY_MIB, column, load, table
from tests.engine_world import agreement as plain_agreement

REGIONS = ("north", "south", "west")
MEANT = Rules(single_units=True, max_rows_per_unit=2)


def clamped(name: str, kind: str, low: str, high: str, *uses: str, nullable: bool = False) -> Column:
    return Column(name, kind, nullable, frozenset(uses), clamp=Clamp(low, high))


CUSTOMERS = Dataset(
    id="customers",
    owner="shop",
    columns=(
        column("email", "text", "join", "count_distinct"),
        column("region", "text", "group", "filter"),
        column("joined", "date", "group"),
        column("age", "int64", "group", "count_distinct", "max", "sum", nullable=True),
    ),
    privacy_unit="email",
    threshold=1,
    unique=("email",),
    max_rows=100_000,
    max_bytes=100_000_000,
    rules=MEANT,
)
PAYMENTS = Dataset(
    id="payments",
    owner="bank",
    columns=(
        column("email", "text", "join", "count_distinct"),
        clamped("amount", "decimal(12,2)", "0.00", "100.00", "sum", "avg", "count", "filter", "min"),
        clamped("points", "int64", "-5", "10", "sum", "avg", "count", nullable=True),
        column("branch", "text", "join"),
    ),
    privacy_unit="email",
    threshold=1,
    unique=(),
    max_rows=100_000,
    max_bytes=100_000_000,
    rules=MEANT,
)
OPT_OUTS = Dataset(
    id="optouts",
    owner="bank",
    columns=(column("email", "text", "opt_out"),),
    privacy_unit="email",
    threshold=1,
    unique=(),
    max_rows=1000,
    max_bytes=1_000_000,
    rules=Rules(analyses=(), single_units=True),
)
OPTED = replace(PAYMENTS, rules=replace(MEANT, opt_out=OptOut("optouts", "email")))
BRANCHES = Dataset(
    id="branches",
    owner="registry",
    columns=(column("branch", "text", "join", "count_distinct"), column("town", "text", "group")),
    privacy_unit="branch",
    threshold=1,
    unique=("branch",),
    max_rows=100_000,
    max_bytes=100_000_000,
    rules=Rules(single_units=True),
)
SHOP = PrivacyEntry("shop", "2", "0.000001", "gaussian")
BANK = PrivacyEntry("bank", "4", "0.000001", "gaussian")
JOINED = "FROM customers AS c JOIN payments AS p ON c.email = p.email"
SQL = f"SELECT c.region AS region, COUNT(*) AS n, SUM(p.amount) AS total {JOINED} GROUP BY c.region"
DECLARED = QueryNoise("declared", (REGIONS,))
SELECTED = QueryNoise("selected")
ONE_CELL = QueryNoise("declared")


def asking(
    sql: str = SQL, noise: QueryNoise | None = DECLARED, *parameters: Parameter, **changes: Any
) -> Query:
    """A query of the agreement."""
    base = Query("q", sql, parameters, ("analyst",), ("analyst",), max_runs=4, noise=noise)
    return replace(base, **changes)


def agreement(
    *queries: Query,
    privacy: Sequence[PrivacyEntry] = (SHOP,),
    datasets: Sequence[Dataset] = (CUSTOMERS, PAYMENTS, BRANCHES),
) -> Agreement:
    """The agreement over `datasets` with these queries; by default `SQL` with declared regions."""
    base = plain_agreement(*datasets)
    return replace(base, queries=queries or (asking(),), privacy=tuple(privacy))


def plan_of(
    sql: str = SQL,
    noise: QueryNoise | None = DECLARED,
    *parameters: Parameter,
    privacy: Sequence[PrivacyEntry] = (SHOP,),
    datasets: Sequence[Dataset] = (CUSTOMERS, PAYMENTS, BRANCHES),
    **changes: Any,
) -> Plan:
    """The plan of one query, alone in its agreement."""
    query = asking(sql, noise, *parameters, **changes)
    return compile_query(agreement(query, privacy=privacy, datasets=datasets), query)


def with_rules(dataset: Dataset, **changes: Any) -> Dataset:
    """`dataset` with other rules."""
    return replace(dataset, rules=replace(dataset.rules, **changes))


def customer(number: int, region: str, *, email: str = "") -> tuple[Any, ...]:
    return email or f"c{number}@x.org", region, dt.date(2020, 1, 1), 30


def payment(number: int, amount: str = "10.00", points: int | None = 1) -> tuple[Any, ...]:
    return f"c{number}@x.org", Decimal(amount), points, "b"


def engine_with(customers: Iterable[Sequence[Any]] = (), payments: Iterable[Sequence[Any]] = ()) -> Engine:
    """A fresh engine with rows as `customer` and `payment` make them, and one branch."""
    engine = Engine(MEMORY_MIB, threads=2)
    load(engine, CUSTOMERS, table(CUSTOMERS, customers))
    load(engine, PAYMENTS, table(PAYMENTS, payments))
    load(engine, BRANCHES, table(BRANCHES, [("b", "bern")]))
    return engine
