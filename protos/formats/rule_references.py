"""What the rules of datasets refer to is there and fits: other datasets, participants, queries.

Looks across an agreement that is being made. Raises `FormatError`, naming the dataset and its rule.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from protos.formats.errors import FormatError
from protos.formats.query import Query
from protos.formats.rules import OptOut
from protos.formats.schema import Dataset


def require_rule_references(
    datasets: Sequence[Dataset], queries: Sequence[Query], people: Collection[str]
) -> None:
    """Every name in every dataset's rules is one of this agreement's."""
    named = {dataset.id: dataset for dataset in datasets}
    asked = {query.id for query in queries} | {query.digest().hex() for query in queries}
    for dataset in datasets:
        rules = dataset.rules
        for rule, names, known in (
            ("only_queries", rules.only_queries, asked),
            ("joined_with", rules.joined_with, named.keys() - {dataset.id}),
            ("receivers", rules.receivers, people),
        ):
            if strangers := sorted(set(names or ()) - set(known)):
                raise FormatError(
                    f"dataset {dataset.id}: {rule} names {[name[:64] for name in strangers]}, "
                    "which are not in the agreement"
                )
        if rules.opt_out is not None:
            _require_opt_out(dataset, rules.opt_out, named)


def _require_opt_out(dataset: Dataset, rule: OptOut, named: Mapping[str, Dataset]) -> None:
    where = f"dataset {dataset.id}: opt_out"
    others = named.get(rule.dataset)
    if others is None or others is dataset:
        raise FormatError(f"{where}: {rule.dataset} is not another dataset of the agreement")
    if others.rules.opt_out is not None:
        raise FormatError(f"{where}: {rule.dataset} has an opt_out of its own, expected a plain list")
    try:
        column = others.column(rule.column)
    except KeyError:
        raise FormatError(f"{where}: {rule.dataset} has no column {rule.column}") from None
    unit = dataset.column(dataset.privacy_unit)
    if (column.type, column.normalise) != (unit.type, unit.normalise):
        raise FormatError(
            f"{where}: {rule.dataset}.{rule.column} is {column.type} ({column.normalise}) and the privacy "
            f"unit is {unit.type} ({unit.normalise})",
            hint="the two are compared: give them one type and one `normalise`",
        )
    if "opt_out" not in column.uses:
        raise FormatError(
            f"{where}: {others.owner} does not let {rule.dataset}.{rule.column} be used for it",
            hint=f'only {others.owner} can grant uses = ["opt_out"]',
        )
