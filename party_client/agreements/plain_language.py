"""Says in plain words what a compiled query outputs and what a run of it may choose."""

from __future__ import annotations

from math import prod
from typing import Final

from protos.formats.query import Parameter, Query
from protos.plan import Output, Plan
from protos.plan.clamps import is_clamped
from protos.plan.expressions import (
    Aggregate,
    Apply,
    Case,
    ColumnRef,
    Constant,
    DerivedRef,
    Expression,
    ParameterRef,
    Reference,
)

DOINGS: Final = {
    "avg": "averaged",
    "combine": "computed with values of another owner, before it is added up",
    "count": "counted where it has a value",
    "count_distinct": "counted by distinct values",
    "filter": "compared, to choose which rows count",
    "group": "shown in the result",
    "join": "compared, to match rows",
    "max": "its largest value shown",
    "min": "its smallest value shown",
    "opt_out": "compared, to leave out whoever is in it",
    "output": "shown row by row",
    "order": "put in order, among the rows of one unit",
    "sum": "added up",
}
AGGREGATES: Final = {
    "avg": "the average of {}",
    "count": "how many rows have a value for {}",
    "count_distinct": "how many distinct values there are of {}",
    "max": "the largest value of {}",
    "min": "the smallest value of {}",
    "sum": "the exact sum of {}",
}
_CHOICES_SHOWN: Final = 8


def output_sentences(plan: Plan) -> tuple[str, ...]:
    """ "mean_delay (float64): the average of flights.dep_delay" for every column of the result."""
    noisy = () if plan.noise is None else plan.noise.visible
    return tuple(_output_sentence(output, is_noisy=output.name in noisy) for output in plan.outputs)


def _output_sentence(output: Output, *, is_noisy: bool) -> str:
    meaning = _meaning(output.expression)
    if is_noisy:
        meaning = f"{meaning.replace('the exact sum', 'the sum')}, with noise"
    return f"{output.name} ({output.type}): {meaning}"


def parameter_sentence(parameter: Parameter) -> str:
    """ "min_year: a whole number from 1,950 to 2,013"."""
    if parameter.low is not None:
        kinds = {"int64": "a whole number", "date": "a date"}
        kind = kinds.get(parameter.kind, f"a {parameter.kind}")
        return f"{parameter.name}: {kind} from {parameter.low} to {parameter.high}"
    shown = ", ".join(repr(choice) for choice in parameter.choices[:_CHOICES_SHOWN])
    more = len(parameter.choices) - _CHOICES_SHOWN
    return f"{parameter.name}: one of {shown}" + (f" and {more} more" if more > 0 else "")


def window_sentences(query: Query) -> tuple[str, ...]:
    """ "at most 1 in any 24 hours" for each sliding window that the query has."""
    spans = ((query.per_day, "24 hours"), (query.per_week, "7 days"), (query.per_month, "30 days"))
    return tuple(f"at most {runs:,} in any {span}" for runs, span in spans if runs is not None)


def parameter_choices(parameters: tuple[Parameter, ...]) -> int:
    """In how many different ways a run can choose; 1 when there is nothing to choose."""
    return prod(parameter.size for parameter in parameters)


def expression_text(expression: Expression) -> str:
    """An expression with columns by their datasets' names, as close to the query's SQL as the plan is."""
    match expression:
        case ColumnRef() | DerivedRef():
            return _column_text(expression)
        case Constant() | ParameterRef():
            return _given_text(expression)
        case Apply() if is_clamped(expression):
            return f"{expression_text(expression.arguments[0])} (clamped)"
        case Apply():
            return expression.template.format(*map(expression_text, expression.arguments))
        case Case():
            branches = [
                f"WHEN {expression_text(condition)} THEN {expression_text(value)}"
                for condition, value in expression.branches
            ]
            rest = [] if expression.otherwise is None else [f"ELSE {expression_text(expression.otherwise)}"]
            return " ".join(["CASE", *branches, *rest, "END"])


def _column_text(column: Reference) -> str:
    if isinstance(column, ColumnRef):
        return f"{column.dataset}.{column.column}"
    return f"{column.source}.{column.column}{' (clamped)' if column.is_clamped else ''}"


def _given_text(given: Constant | ParameterRef) -> str:
    if isinstance(given, ParameterRef):
        return f"${given.name}"
    value = given.value
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "NULL" if value is None else str(value).upper() if isinstance(value, bool) else str(value)


def _meaning(expression: Expression | Aggregate) -> str:
    if not isinstance(expression, Aggregate):
        text = expression_text(expression)
        return f"{text}, as it is" if isinstance(expression, ColumnRef) else text
    if expression.argument is None:
        return "the number of rows"
    return AGGREGATES[expression.function].format(expression_text(expression.argument))
