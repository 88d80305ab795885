"""Which owners' people a query has to protect with noise, and how much one of them can change in its result.

The bound on rows is `max_rows_per_unit`, which the statement keeps after all joins and WHERE. It bounds what
one unit changes only where the rows of a unit come and go by themselves: when the units of all owners with a
privacy budget are one column in every row, no other unit's rows are bounded beside them, and none of these
owners stands on the right of a LEFT JOIN. Everything else is refused, with the rule, its owner and a way out.
Follows `docs/privacy.md`, "What the statement must guarantee".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from protos.formats.agreement import Agreement
from protos.formats.privacy import PrivacyEntry
from protos.formats.query import Query
from protos.formats.schema import Dataset
from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import Reference
from protos.plan.plan import Plan
from protos.plan.relations import Source, datasets_in
from protos.privacy import Budget, Contribution, Loss, Stake


@dataclass(frozen=True)
class Protected:
    """The owners who demand noise of a query, and the one column that all their units are."""

    entries: tuple[PrivacyEntry, ...]
    unit: Reference
    rows: int
    """At most so many rows with one value of `unit` enter the aggregates."""

    @property
    def owner(self) -> str:
        """One of the owners, to speak about."""
        return self.entries[0].owner

    def stakes(self, agreement: Agreement, *, cells: int | None, required_units: int) -> tuple[Stake, ...]:
        """What every owner puts into one run. `cells`: the most groups there can be, where it is known."""
        groups = self.rows if cells is None else min(self.rows, cells)
        contribution = Contribution(self.rows, groups, self.rows)
        runs = runs_with_noise(agreement)
        return tuple(
            Stake(entry.owner, contribution, budget_of(entry).each_of(runs), required_units)
            for entry in self.entries
        )


def budget_of(entry: PrivacyEntry) -> Budget:
    """The budget that an owner's entry in the agreement is."""
    return Budget(Fraction(entry.epsilon), Fraction(entry.delta), entry.noise)


def allowance_of(entry: PrivacyEntry) -> Loss:
    """The loss that all runs together may cause an owner."""
    return budget_of(entry).allowance


def runs_with_noise(agreement: Agreement) -> int:
    """How many runs over data of owners with a budget there can be in one enclave life; 1 if there is none.

    Every owner's budget is shared evenly over so many. Each run with noise is one of `max_runs` of its query
    and one of the agreement's, and a query without noise reads no such data; so however runs are distributed
    over queries, their shares never add up to more than the budget.
    """
    asked = sum(query.max_runs for query in agreement.queries if query.noise is not None)
    return max(1, min(asked, agreement.limits.max_runs))


def entries_behind(agreement: Agreement, plan: Plan) -> tuple[PrivacyEntry, ...]:
    """The entries of all owners whose data decides on the result, opt-out lists included."""
    owners = {dataset.owner for dataset in plan.datasets}
    owners |= {opted_out.owner for _, opted_out in _opt_outs(agreement, plan)}
    return tuple(entry for entry in agreement.privacy if entry.owner in owners)


def protected_by(agreement: Agreement, query: Query, plan: Plan) -> Protected | None:
    """Whom `plan` has to protect; None where nobody asks for it. Raises `QueryRefusedError`."""
    entries = entries_behind(agreement, plan)
    if not entries:
        if query.noise is not None:
            raise QueryRefusedError(
                "`noise` is for queries over data of an owner with a privacy budget, and this reads none",
                hint="leave out `noise`; an owner asks for it with [[privacy]]",
            )
        return None
    if query.noise is None:
        owner = entries[0].owner
        raise QueryRefusedError(
            f"{owner} has a privacy budget in this agreement: no exact result of its data leaves",
            hint='give the query noise = { keys = "declared", domains = […] } or { keys = "selected" }; '
            f"only {owner} can take its [[privacy]] out",
        )
    _require_one_mechanism(entries)
    _require_rows_of_datasets(entries, plan)
    owners = {entry.owner for entry in entries}
    _require_own_lists(agreement, plan, owners)
    _require_not_optional(plan, owners)
    unit = _one_unit(plan, owners)
    return Protected(entries, unit, _bound(plan, owners, unit))


def _require_one_mechanism(entries: tuple[PrivacyEntry, ...]) -> None:
    first = entries[0]
    for other in entries[1:]:
        if other.noise != first.noise:
            raise QueryRefusedError(
                f"{first.owner} asks for {first.noise} noise and {other.owner} for {other.noise}: their "
                "losses cannot be counted together",
                hint="agree on one kind of noise for the owners of data in one query",
            )


def _require_rows_of_datasets(entries: tuple[PrivacyEntry, ...], plan: Plan) -> None:
    owner = entries[0].owner
    if plan.analysis == "list":
        raise QueryRefusedError(
            f"a list shows single units, and {owner} has a privacy budget: nothing of it leaves exactly",
            hint="count them instead, with noise",
        )
    for source in plan.sources:
        if not isinstance(source, Source):
            raise QueryRefusedError(
                f"the derived table {source.alias} in a query over data of {owner}, who has a privacy "
                "budget: how much one unit changes in it is not known",
                hint="write the query over the datasets themselves, with joins, WHERE and GROUP BY",
            )


def _opt_outs(agreement: Agreement, plan: Plan) -> Iterator[tuple[Dataset, Dataset]]:
    """(dataset of the query, the list of those who opted out of it)."""
    for dataset in plan.datasets:
        if dataset.rules.opt_out is not None:
            yield dataset, agreement.dataset(dataset.rules.opt_out.dataset)


def _require_own_lists(agreement: Agreement, plan: Plan, owners: set[str]) -> None:
    """A unit that leaves a list brings rows back: only those of the same unit, of the same owner."""
    for dataset, opted_out in _opt_outs(agreement, plan):
        rule = dataset.rules.opt_out
        if rule is None or opted_out.owner not in owners:
            continue
        if opted_out.owner != dataset.owner or rule.column != opted_out.privacy_unit:
            raise QueryRefusedError(
                f"{opted_out.owner} has a privacy budget, and its list {opted_out.id} decides which rows of "
                f"{dataset.id} there are: how many a unit of the list decides on is not known",
                hint=f"take the opt-outs from a list of {dataset.owner}'s own, by its privacy unit",
            )


def _require_not_optional(plan: Plan, owners: set[str]) -> None:
    for source in datasets_in(plan.sources):
        if source.dataset.owner in owners and source.join is not None and source.join.is_left:
            raise QueryRefusedError(
                f"{source.dataset.id} of {source.dataset.owner}, who has a privacy budget, stands on the "
                "right of a LEFT JOIN: without one of its units any number of other rows would find no match",
                hint=f"use JOIN, or begin FROM with {source.dataset.id}",
            )


def _one_unit(plan: Plan, owners: set[str]) -> Reference:
    counted = {threshold.counted: threshold for threshold in plan.thresholds if threshold.owner in owners}
    first, *others = counted.values()
    if others:
        raise QueryRefusedError(
            f"the privacy units {first.dataset}.{first.unit.column} of {first.owner} and "
            f"{others[0].dataset}.{others[0].unit.column} of {others[0].owner} are not one column: taking "
            "one unit out would move rows of others, without a bound",
            hint="inner-join the datasets on their privacy units, or query one of them alone",
        )
    return first.counted


def _bound(plan: Plan, owners: set[str], unit: Reference) -> int:
    """The strictest `max_rows_per_unit` for `unit`."""
    datasets = {dataset.id: dataset for dataset in plan.datasets}
    bounds = []
    for threshold in plan.thresholds:
        bound = datasets[threshold.dataset].rules.max_rows_per_unit
        if bound is None:
            continue
        if threshold.counted != unit:
            raise QueryRefusedError(
                f"{threshold.owner} bounds the rows of {threshold.dataset}.{threshold.unit.column}, which is "
                f"another unit than that of {', '.join(sorted(owners))}, who have a privacy budget: taking "
                "one of theirs out would move rows of others, without a bound",
                hint=f"take `max_rows_per_unit` out of {threshold.dataset}, or join on the privacy units",
            )
        bounds.append(bound)
    if not bounds:
        dataset = next(dataset for dataset in plan.datasets if dataset.owner in owners)
        raise QueryRefusedError(
            f"{dataset.owner} has a privacy budget, and {dataset.id} has no `max_rows_per_unit`: noise has "
            "to be as large as what all rows of one unit can change",
            hint=f"{dataset.owner} sets max_rows_per_unit for {dataset.id}; as small as the question allows",
        )
    return min(bounds)
