"""Says in plain words what a query computes on the way: its derived tables, and whose rows theirs are.

From the compiled plan, never from the text. A reader who signs has to see that a row in between is about one
unit, and by which values it is chosen, put in order or added up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from party_client.agreements.plain_language import AGGREGATES, expression_text
from protos.plan import Plan
from protos.plan.expressions import Aggregate, Reference
from protos.plan.relations import AnySource, DerivedSource, Item, Pool, Selection, Window, selections_in

_WINDOWS: Final = {
    "avg": "the average of {}",
    "count": "how many of them have a value for {}",
    "dense_rank": "its rank, without gaps,",
    "first_value": "the first {}",
    "lag": "{} of the row {} before",
    "lead": "{} of the row {} after",
    "max": "the largest {}",
    "min": "the smallest {}",
    "rank": "its rank",
    "row_number": "its position",
    "sum": "the exact sum of {}",
}


def derived_sentences(plan: Plan) -> Iterator[str]:
    """ "s: one row for each orders.customer of shop, from orders, with n: the number of its rows"."""
    for alias, selection in selections_in(plan.sources):
        whose = f"one row for each {_units(selection)}, from" if selection.groups else "rows of"
        only = f", of those where {expression_text(selection.where)}" if selection.where is not None else ""
        items = "; ".join(f"{item.column.name}: {_item(item)}" for item in selection.items)
        yield f"{alias}: {whose} {_sources(selection)}{only}, with {items}"
    yield from _pools(plan.sources)


def _pools(sources: Iterable[AnySource]) -> Iterator[str]:
    for source in sources:
        if isinstance(source, DerivedSource):
            if isinstance(source.derived, Pool):
                datasets = " and of ".join(dataset.id for dataset in source.datasets)
                yield f"{source.alias} pools rows of {datasets}: each counts for its own dataset only"
            for _, selection in selections_in([source]):
                yield from _pools(selection.sources)


def inner_conditions(plan: Plan) -> Iterator[tuple[str, Selection]]:
    """The derived tables that choose rows, by alias."""
    for alias, selection in selections_in(plan.sources):
        if selection.where is not None:
            yield alias, selection


def per_unit_tables(plan: Plan) -> Iterator[tuple[str, str]]:
    """(alias, unit in words) of the derived tables that have one row for each unit."""
    for alias, selection in selections_in(plan.sources):
        if selection.groups:
            yield alias, _units(selection)


def _units(selection: Selection) -> str:
    return " and ".join(
        dict.fromkeys(
            f"{unit.dataset.id}.{unit.dataset.privacy_unit} of {unit.dataset.owner}"
            for unit in selection.units
        )
    )


def _sources(selection: Selection) -> str:
    return " joined with ".join(
        source.alias if isinstance(source, DerivedSource) else source.dataset.id
        for source in selection.sources
    )


def _item(item: Item) -> str:
    expression = item.expression
    if isinstance(expression, Window):
        return _window(expression)
    if not isinstance(expression, Aggregate):
        return expression_text(expression)
    if expression.argument is None:
        return "the number of its rows"
    return AGGREGATES[expression.function].format(expression_text(expression.argument))


def _window(window: Window) -> str:
    if window.argument is None:
        what = _WINDOWS[window.function] if window.function != "count" else "how many rows there are"
    else:
        what = _WINDOWS[window.function].format(expression_text(window.argument), window.offset)
    among = f"{what} among the rows with the same {_columns(window.partition)}"
    keys = (f"{_name(key.key)}{' descending' if key.is_descending else ''}" for key in window.order)
    return f"{among}, in the order of {', '.join(keys)}" if window.order else among


def _columns(columns: Iterable[Reference]) -> str:
    return ", ".join(map(_name, columns))


def _name(column: Reference) -> str:
    return expression_text(column)
