"""What receivers could still work out, although every row was allowed to leave.

Rules on columns and thresholds limit what is shown, not what is concluded. Each sentence here is about a
construct that the query really has; none says that something is safe. Of queries with noise `noisy_queries`
says other things, because much of this is true of exact results only. See `docs/threat-model.md`, rows 15,
18, 26 and 29, for what is not prevented yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from party_client.agreements.derived_tables import inner_conditions, per_unit_tables
from party_client.agreements.noisy_queries import noisy_inferences, protected_owners
from party_client.agreements.plain_language import expression_text, parameter_choices
from party_client.agreements.releases import EMULATOR, SIMULATED, UNKNOWN
from protos.formats.agreement import Agreement
from protos.formats.query import Query
from protos.plan import Plan
from protos.plan.expressions import (
    Aggregate,
    Case,
    ColumnRef,
    DerivedRef,
    Expression,
    children,
    columns_of,
)
from protos.plan.relations import sources_in

LOW_THRESHOLD_UNITS: Final = 5


def query_inferences(agreement: Agreement, query: Query, plan: Plan) -> tuple[str, ...]:
    """Sentences about one query, none of them twice."""
    if plan.noise is not None:
        sentences = [
            *noisy_inferences(agreement, query, plan),
            *_from_clamps_and_bounds(plan),
            *_from_joins(query, plan),
        ]
    else:
        sentences = [
            *(_from_list(plan) if plan.analysis == "list" else _from_rows(plan)),
            *_from_clamps_and_bounds(plan),
            *_from_aggregates(plan),
            *_from_joins(query, plan),
            *_from_repetition(agreement, query, plan),
        ]
    return tuple(dict.fromkeys(sentences))


def agreement_warnings(agreement: Agreement, plans: Sequence[Plan], kinds: Collection[str]) -> Iterator[str]:
    """Sentences about all queries together and about the enclave they run in; `kinds` of its releases."""
    if SIMULATED in kinds:
        yield (
            f"{SIMULATED}: a release accepted here runs on an ordinary computer, whose owner can read "
            "everything. Never send real data under this agreement."
        )
    if EMULATOR in kinds:
        yield (
            f"{EMULATOR}: of a release accepted here no attestation is signed. Whoever runs the emulator, or "
            "stands between it and you, can read and change everything. Never send real data under this "
            "agreement."
        )
        if len(set(kinds)) > 1:
            yield (
                f"{EMULATOR} beside other releases: who signs for both accepts whatever the emulator says. "
                "Nobody can sign it here: make two agreements."
            )
    if UNKNOWN in kinds:
        yield (
            f"{UNKNOWN}: a release accepted here is vouched for by a root of trust that is neither AWS's nor "
            "given with --root. Find out whose it is before you sign."
        )
    yield from _from_common_data(plans)
    counted = "Runs, in all and in windows of time,"
    if agreement.privacy:
        counted = "Runs and privacy budgets"
    if agreement.queries:
        yield f"{counted} are counted per enclave. {_beyond_one_enclave(agreement)}"
    if agreement.keys and agreement.state is None:
        yield (
            "Keys live as long as the enclave that made them. With it goes whatever only they decrypt, and "
            "the next enclave has others, whose uses are counted from the beginning."
        )
    if agreement.logged != "nothing":
        yield "The operator sees the names of the phases that the enclave enters, and when."


def _beyond_one_enclave(agreement: Agreement) -> str:
    if agreement.state is None:
        return "If the parties send their data to another enclave of this agreement, the count begins again."
    witnesses = ", ".join(agreement.state.witnesses)
    return (
        f"Another enclave goes on with the count, if {witnesses} let it; what none of them has seen can be "
        "rolled back. It begins again only if all of them say so."
    )


def _from_common_data(plans: Sequence[Plan]) -> Iterator[str]:
    """Datasets that several queries read: exact results can be subtracted, noisy ones within a budget."""
    exact: defaultdict[str, list[str]] = defaultdict(list)
    noisy: defaultdict[str, list[str]] = defaultdict(list)
    for plan in plans:
        for dataset in plan.datasets:
            (exact if plan.noise is None else noisy)[dataset.id].append(plan.query)
    for name, queries in exact.items():
        if len(queries) > 1:
            yield (
                f"Queries {', '.join(queries)} all read {name}: whoever receives several results can "
                "subtract one from another. Within one enclave, rows that differ from an earlier release by "
                "fewer units than the threshold are held back; three or more are not looked at together."
            )
    for name, queries in noisy.items():
        if others := exact.get(name):
            yield (
                f"{name} is read with noise by {', '.join(queries)} and without by {', '.join(others)}: its "
                "owner has no privacy budget, and results with noise are not compared with exact ones."
            )
        elif len(queries) > 1:
            yield (
                f"Queries {', '.join(queries)} all read {name}, with noise: their results are not compared "
                "with each other. Privacy budgets bound what all of them show together."
            )


def _from_rows(plan: Plan) -> Iterator[str]:
    yield "Results are exact: no noise is added to them."
    required = plan.thresholds[0].required_units
    if required == 1:
        yield "A threshold of 1 protects nobody: a row may be about one single privacy unit."
    elif required < LOW_THRESHOLD_UNITS:
        yield f"A threshold of {required} is low: a row may be about as few as {required} privacy units."
    units = ", ".join(f"{threshold.dataset}.{threshold.unit.column}" for threshold in plan.thresholds)
    yield (
        f"Protection is counted in distinct values of {units}: somebody who stands behind several values of "
        "one of them counts as several."
    )
    if plan.groups:
        yield (
            f"A row that is missing has fewer than {required} units of some owner behind it, or none. "
            "The receipt says how many were withheld at most, a power of ten, and never that none was."
        )
    if shown := [output.name for output in plan.outputs if output.kind == "group"]:
        yield f"Every combination of {', '.join(shown)} that leaves is known to exist in the data."
    if plan.where is not None:
        columns = dict.fromkeys(f"{column.dataset}.{column.column}" for column in columns_of(plan.where))
        yield f"Everybody counted in a row meets the condition on {', '.join(columns)}."
    yield from _from_derived(plan)


def _from_derived(plan: Plan) -> Iterator[str]:
    for alias, selection in inner_conditions(plan):
        if selection.where is not None:
            columns = dict.fromkeys(f"{item.dataset}.{item.column}" for item in columns_of(selection.where))
            shown = ", ".join(columns) or "numbers of rows"
            yield f"Whoever counts by way of {alias} meets its condition on {shown}."
    for alias, unit in per_unit_tables(plan):
        yield (
            f"A value of {alias} is about one single {unit}: what is shown, compared or averaged of it is a "
            "fact about each of them, over all their rows."
        )


def _from_list(plan: Plan) -> Iterator[str]:
    (dataset,) = {column.dataset for output in plan.outputs for column in _columns(output.expression)}
    others = ", ".join(other.id for other in plan.datasets if other.id != dataset)
    yield (
        f"Every row of the list is about one unit of {dataset}, and says that it is in {others} as well. "
        "No threshold hides a single unit in a list that leaves."
    )
    required = plan.thresholds[0].required_units
    yield (
        f"A list with fewer than {required} units of some owner in it does not leave at all; whether it was "
        "empty is not said."
    )
    if plan.where is not None:
        columns = dict.fromkeys(f"{column.dataset}.{column.column}" for column in columns_of(plan.where))
        yield f"Every unit of the list meets the condition on {', '.join(columns)}."


def _columns(expression: Expression | Aggregate) -> list[ColumnRef]:
    return [] if isinstance(expression, Aggregate) else columns_of(expression)


def _from_clamps_and_bounds(plan: Plan) -> Iterator[str]:
    for dataset in plan.datasets:
        rules, unit = dataset.rules, dataset.privacy_unit
        if rules.max_rows_per_unit is not None:
            yield (
                f"Of a {dataset.id}.{unit} with more than {rules.max_rows_per_unit:,} rows, only the "
                "first ones in the order of all columns count, which are not a fair sample."
            )
        if rules.joined_with is not None:
            yield (
                f"That {dataset.id} has to be joined does not hide who is in it: the owner of the "
                "other dataset chooses whom it asks about. Only min_units and thresholds make that costly."
            )
        if rules.opt_out is not None and dataset.owner not in protected_owners(plan):
            yield f"Two results, before and after somebody opts out of {dataset.id}, differ by them."


def _from_aggregates(plan: Plan) -> Iterator[str]:
    aggregates = [output.expression for output in plan.outputs if isinstance(output.expression, Aggregate)]
    for aggregate in aggregates:
        if aggregate.argument is None:
            continue
        text = expression_text(aggregate.argument)
        if aggregate.function in ("max", "min"):
            extreme = "largest" if aggregate.function == "max" else "smallest"
            yield f"The {extreme} {text} of a row is one record's exact value, however many stand behind it."
        elif aggregate.function in ("sum", "avg"):
            yield (
                f"One extreme {text} can dominate its row: values are not bounded. "
                "Who knows all other values of a row can compute the last one."
                if not _is_bounded(aggregate.argument)
                else f"Who knows all other {text} of a row can compute the last one, within its range."
            )


def _is_bounded(value: Expression) -> bool:
    """Whether one value is within what owners agreed. A sum in a derived table is of many of them."""
    match value:
        case ColumnRef():
            return value.clamp is not None
        case DerivedRef():
            return value.is_clamped and all(column.clamp for column in columns_of(value))
        case Case():
            # Conditions choose a value and add nothing to it.
            values = [chosen for _, chosen in value.branches]
            return all(map(_is_bounded, values if value.otherwise is None else [*values, value.otherwise]))
        case _:
            return all(map(_is_bounded, children(value)))


def _from_joins(query: Query, plan: Plan) -> Iterator[str]:
    owners = {dataset.owner for dataset in plan.datasets}
    if any(source.join is not None and source.join.many_to_many for source in sources_in(plan.sources)):
        yield "A join matches several rows with several rows: one record can be counted many times in a row."
    counts = any(
        isinstance(output.expression, Aggregate) and output.expression.function.startswith("count")
        for output in plan.outputs
    )
    if counts and any(source.join is not None for source in sources_in(plan.sources)):
        yield "The counts in a row say how many records of the joined datasets match each other."
    for receiver in query.receivers:
        if receiver in owners and len(owners) > 1:
            others = ", ".join(sorted(owners - {receiver, *protected_owners(plan)}))
            if not others:
                continue  # what noise hides from a stranger it hides from somebody who knows more as well
            yield (
                f"{receiver} receives the result and knows its own records: it can conclude more about the "
                f"data of {others} than a stranger, for example when all its own records found a match."
            )


def _from_repetition(agreement: Agreement, query: Query, plan: Plan) -> Iterator[str]:
    runs = min(query.max_runs, agreement.limits.max_runs)
    choices = parameter_choices(query.parameters)
    if choices > 1 and runs > 1:
        yield (
            f"A run can be chosen in {choices:,} ways, and there may be {runs:,} runs: the difference of two "
            f"results can be about fewer than {plan.thresholds[0].required_units} privacy units. "
            "Rows for which this is so are held back, within one enclave."
        )
