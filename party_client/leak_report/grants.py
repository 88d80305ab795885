"""What every column of a dataset may be used for, and which queries do: the owner's grants as a table.

A grant that no query needs is shown as such: it could be taken back without refusing anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from party_client.agreements.plain_language import DOINGS
from party_client.agreements.privacy_budgets import owners_with_budget
from party_client.agreements.rules_text import rule_sentences
from protos.formats.agreement import Agreement
from protos.formats.schema import Dataset
from protos.plan import Plan


@dataclass(frozen=True)
class Grant:
    """One use that the owner grants for one column."""

    use: str
    doing: str
    """`use` in words."""
    rule: str
    queries: tuple[str, ...]
    """That make use of it; empty: it is granted for nothing."""


@dataclass(frozen=True)
class ColumnGrants:
    """One column."""

    column: str
    type: str
    is_unit: bool
    """Its distinct values are what thresholds count."""
    is_key: bool
    """Part of what identifies a row."""
    grants: tuple[Grant, ...]
    """Empty: no query may use it."""


@dataclass(frozen=True)
class DatasetGrants:
    """One dataset, with all its columns."""

    owner: str
    dataset: str
    rules: tuple[str, ...]
    """What the owner rules beyond the uses of columns, in words."""
    columns: tuple[ColumnGrants, ...]

    @property
    def uses(self) -> tuple[str, ...]:
        """Every use that is granted for some column, in the order of the alphabet."""
        return tuple(sorted({grant.use for column in self.columns for grant in column.grants}))


def dataset_grants(agreement: Agreement, plans: Iterable[Plan]) -> tuple[DatasetGrants, ...]:
    """The grants of every dataset, held against the queries that were compiled."""
    queries: dict[tuple[str, str, str], dict[str, None]] = {}
    for plan in plans:
        for usage in plan.usages:
            queries.setdefault((usage.dataset, usage.column, usage.use), {})[plan.query] = None
        for threshold in plan.thresholds:
            if (rule := agreement.dataset(threshold.dataset).rules.opt_out) is not None:
                queries.setdefault((rule.dataset, rule.column, "opt_out"), {})[plan.query] = None
    return tuple(
        DatasetGrants(
            dataset.owner,
            dataset.id,
            rule_sentences(dataset, has_budget=dataset.owner in owners_with_budget(agreement)),
            tuple(_columns(dataset, queries)),
        )
        for dataset in agreement.datasets
    )


def _columns(
    dataset: Dataset, queries: dict[tuple[str, str, str], dict[str, None]]
) -> Iterator[ColumnGrants]:
    for column in dataset.columns:
        yield ColumnGrants(
            column=column.name,
            type=column.type + (" or null" if column.nullable else ""),
            is_unit=column.name == dataset.privacy_unit,
            is_key=column.name in dataset.unique,
            grants=tuple(
                Grant(
                    use=use,
                    doing=DOINGS[use],
                    rule=f"{dataset.owner} lets {dataset.id}.{column.name} be used for {use}",
                    queries=tuple(queries.get((dataset.id, column.name, use), ())),
                )
                for use in sorted(column.uses)
            ),
        )
