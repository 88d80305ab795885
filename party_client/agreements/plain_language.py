"""Says in plain words what a compiled query outputs and what a run of it may choose."""

from __future__ import annotations

from math import prod
from typing import Final

from protos.formats.query import Parameter, Query
from protos.plan import Output
from protos.plan.clamps import is_clamped
from protos.plan.expressions import Aggregate, Apply, Case, ColumnRef, Constant, Expression, ParameterRef

DOINGS: Final = {
    "avg": "averaged",
    "count": "counted where it has a value",
    "count_distinct": "counted by distinct values",
    "filter": "compared, to choose which rows count",
    "group": "shown in the result",
    "join": "compared, to match rows",
    "max": "its largest value shown",
    "min": "its smallest value shown",
    "opt_out": "compared, to leave out whoever is in it",
    "output": "shown row by row",
    "sum": "added up",
}
_AGGREGATES: Final = {
    "avg": "the average of {}",
    "count": "how many rows have a value for {}",
    "count_distinct": "how many distinct values there are of {}",
    "max": "the largest value of {}",
    "min": "the smallest value of {}",
    "sum": "the exact sum of {}",
}
_CHOICES_SHOWN: Final = 8


def output_sentence(output: Output) -> str:
    """ "mean_delay (float64): the average of flights.dep_delay"."""
    return f"{output.name} ({output.type}): {_meaning(output.expression)}"


def parameter_sentence(parameter: Parameter) -> str:
    """ "min_year: a whole number from 1,950 to 2,013"."""
    if parameter.low is not None and parameter.high is not None:
        return f"{parameter.name}: a whole number from {parameter.low} to {parameter.high}"
    shown = ", ".join(repr(choice) for choice in parameter.choices[:_CHOICES_SHOWN])
    more = len(parameter.choices) - _CHOICES_SHOWN
    return f"{parameter.name}: one of {shown}" + (f" and {more} more" if more > 0 else "")


def window_sentences(query: Query) -> tuple[str, ...]:
    """ "at most 1 in any 24 hours" for each sliding window that the query has."""
    spans = ((query.per_day, "24 hours"), (query.per_week, "7 days"), (query.per_month, "30 days"))
    return tuple(f"at most {runs:,} in any {span}" for runs, span in spans if runs is not None)


def parameter_choices(parameters: tuple[Parameter, ...]) -> int:
    """In how many different ways a run can choose; 1 when there is nothing to choose."""
    return prod(
        parameter.high - parameter.low + 1
        if parameter.low is not None and parameter.high is not None
        else len(parameter.choices)
        for parameter in parameters
    )


def expression_text(expression: Expression) -> str:
    """An expression with columns by their datasets' names, as close to the query's SQL as the plan is."""
    match expression:
        case ColumnRef():
            return f"{expression.dataset}.{expression.column}"
        case Constant():
            return _constant_text(expression.value)
        case ParameterRef():
            return f"${expression.name}"
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


def _constant_text(value: object) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "NULL" if value is None else str(value).upper() if isinstance(value, bool) else str(value)


def _meaning(expression: Expression | Aggregate) -> str:
    if not isinstance(expression, Aggregate):
        text = expression_text(expression)
        return f"{text}, as it is" if isinstance(expression, ColumnRef) else text
    if expression.argument is None:
        return "the number of rows"
    return _AGGREGATES[expression.function].format(expression_text(expression.argument))
