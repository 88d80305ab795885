"""How strict an agreement is: a strictness is one function from queries to an agreement over the same data.

The clinic's data holds the secret. The insurer attacks, together with the analyst who runs the queries and
gets the results; it wrote the queries, and the clinic signed them. `rules_off` is an agreement in which every
rule is as loose as the format allows, `rules_on` an ordinary one, `rules_and_noise` the same with a privacy
budget of the clinic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from protos.formats.agreement import Agreement, Limits
from protos.formats.privacy import DomainValue, PrivacyEntry, QueryNoise
from protos.formats.query import RUNS_MAX, Parameter, Query
from protos.formats.rules import Clamp, Rules
from protos.formats.schema import AGGREGATE_USES, Column, Dataset
from tests import world
from tests.attacks_harness.population import COST_HIGH

Agree: TypeAlias = Callable[[Sequence[Query], bytes], Agreement]
"""From the attack's queries and the digest of the enclave's root."""


@dataclass(frozen=True)
class Strictness:
    """How queries become an agreement."""

    agree: Agree
    privacy: PrivacyEntry | None = None
    """The clinic's budget, where it has one: attacks then ask with noise."""


THRESHOLD: Final = 5
MIN_UNITS: Final = 20
RUNS: Final = 10
"""Of one query, under `rules_on`."""

JOINED: Final = "FROM patients AS p JOIN customers AS c ON p.person = c.person"
_KEY: Final = frozenset({"count_distinct", "join"})
_ANY: Final = AGGREGATE_USES | {"combine", "filter", "group", "order"}
_ORDINARY_USES: Final = {
    "person": _KEY,
    "town": frozenset({"filter", "group"}),
    "born": frozenset({"filter", "group"}),
    "ill": frozenset({"avg", "count", "filter", "group", "sum"}),
    "cost": frozenset({"avg", "sum"}),
}
_CLAMPS: Final = {"ill": Clamp("0", "1"), "cost": Clamp("0", str(COST_HIGH))}


def asked(query_id: str, sql: str, *parameters: Parameter) -> Query:
    """A query for the analyst, as often as the format allows."""
    return Query(query_id, sql, parameters, ("analyst",), ("analyst",), RUNS_MAX)


def noisy(
    query_id: str,
    sql: str,
    *parameters: Parameter,
    domains: Sequence[Sequence[DomainValue]] = (),
    **weights: int,
) -> Query:
    """The same where the clinic has a privacy budget. `weights`: what part of a run each output gets."""
    declared = tuple(tuple(domain) for domain in domains)
    noise = QueryNoise("declared", declared, tuple(sorted(weights.items())))
    return replace(asked(query_id, sql, *parameters), noise=noise)


def day(name: str) -> Parameter:
    """A parameter to compare `born` with."""
    return Parameter(name, low=-1, high=20_000)


def _patients() -> Dataset:
    columns = (
        Column("person", "int64", nullable=False, uses=_ANY | _KEY),
        Column("town", "text", nullable=False, uses=frozenset({"filter", "group"})),
        *(Column(name, "int64", nullable=False, uses=_ANY) for name in ("born", "ill", "cost")),
    )
    loose = Rules(single_units=True)
    return Dataset("patients", "publisher", columns, "person", 1, ("person",), 10_000, 10_000_000, loose)


def _customers() -> Dataset:
    """The attacker's own table: it grants itself everything, and its units are whatever it invents."""
    columns = (
        Column("account", "int64", nullable=False, uses=_ANY),
        Column("person", "int64", nullable=False, uses=_ANY | _KEY),
        Column("label", "text", nullable=False, uses=frozenset({"filter", "group"})),
        Column("weight", "int64", nullable=False, uses=_ANY),
    )
    loose = Rules(single_units=True)
    return Dataset("customers", "advertiser", columns, "account", 1, (), 10_000, 10_000_000, loose)


def rules_off(queries: Sequence[Query], root_sha256: bytes) -> Agreement:
    """Thresholds of 1, every use granted, no clamps, no least sizes, runs without end."""
    return world.agreement(
        root_sha256,
        datasets=(_patients(), _customers()),
        queries=tuple(queries),
        limits=Limits(memory_mib=256, threads=1, max_runs=RUNS_MAX),
    )


def rules_on(queries: Sequence[Query], root_sha256: bytes) -> Agreement:
    """An ordinary agreement: thresholds, and with them the guard against differences; only the uses that
    statistics need; clamps; one row of a patient; least sizes; ten runs of a query, twenty in all."""
    patients, customers = _patients(), _customers()
    columns = tuple(
        replace(column, uses=_ORDINARY_USES[column.name], clamp=_CLAMPS.get(column.name))
        for column in patients.columns
    )
    return world.agreement(
        root_sha256,
        datasets=(
            replace(
                patients,
                columns=columns,
                threshold=THRESHOLD,
                rules=Rules(max_rows_per_unit=1, min_units=MIN_UNITS),
            ),
            replace(customers, threshold=THRESHOLD, rules=Rules(min_units=MIN_UNITS)),
        ),
        queries=tuple(replace(query, max_runs=RUNS, per_day=RUNS) for query in queries),
        limits=Limits(memory_mib=256, threads=1, max_runs=2 * RUNS),
    )


def rules_and_noise(entry: PrivacyEntry) -> Agree:
    """`rules_on`, and a privacy budget of the clinic."""

    def agree(queries: Sequence[Query], root_sha256: bytes) -> Agreement:
        return replace(rules_on(queries, root_sha256), privacy=(entry,))

    return agree


ORDINARY_BUDGET: Final = PrivacyEntry("publisher", "1", "0.000001", "gaussian")
"""Epsilon 1 over all runs is a promise that means something: the odds that anybody is there change by less
than a factor of three. delta is far below one in sixty people. Gaussian, since there are ten runs and more,
over which its losses add up more slowly than those of laplace."""
GENEROUS_BUDGET: Final = replace(ORDINARY_BUDGET, epsilon="8")
"""What is sometimes called privacy: the odds may change by a factor of three thousand."""

STRICTNESSES: Final[dict[str, Strictness]] = {
    "rules off": Strictness(rules_off),
    "rules on": Strictness(rules_on),
    "rules and noise": Strictness(rules_and_noise(ORDINARY_BUDGET), ORDINARY_BUDGET),
    "noise at epsilon 8": Strictness(rules_and_noise(GENEROUS_BUDGET), GENEROUS_BUDGET),
}
