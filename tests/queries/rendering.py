"""A plan as text that a person can read and compare: what is read, how rows are chosen, what is behind them.

Nothing of a plan is left out that decides on what leaves: expressions as the engine gets them (`try(…)` is
NULL where the inside would fail), the units that are counted, what a value needs beside its row, what noise
is added to and which noisy numbers have to reach what, and the grants. A derived table is shown inside its
FROM, further to the right.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

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
from protos.plan.plan import Noise
from protos.plan.relations import AnySource, Item, Ordering, Pool, Selection, Source, UnitColumn, Window
from protos.privacy import NoisyColumn, mean_sum_column

_INDENT = "    "


def shown(plan: Plan) -> str:
    """The whole plan, one line for each thing."""
    lines = list(_rows(plan.sources, plan.where))
    lines += _group_by(plan.groups)
    lines += map(_output, plan.outputs)
    lines += _behind(plan)
    lines += _noise(plan)
    lines += _grants(plan)
    return "".join(f"{line}\n" for line in lines)


def _rows(sources: Iterable[AnySource], where: Expression | None) -> Iterator[str]:
    for source in sources:
        yield from _source(source)
    if where is not None:
        yield f"where {_text(where)}"


def _source(source: AnySource) -> Iterator[str]:
    word, on = "from", ""
    if source.join is not None:
        word = f"{'left ' if source.join.is_left else ''}join"
        pairs = (f"{_text(left)} = {_text(right)}" for left, right in source.join.equalities)
        on = f" on {' and '.join(pairs)}" + (", many to many" if source.join.many_to_many else "")
    if isinstance(source, Source):
        yield f"{word} {source.dataset.id} as {source.alias}{on}"
        yield from _rules(source)
        return
    yield f"{word} {source.alias}{on}, which is"
    if isinstance(source.derived, Selection):
        yield from _indented(_selection(source.derived))
        return
    for number, branch in enumerate(source.derived.branches):
        if number:
            yield f"{_INDENT}and all of"
        yield from _indented(_selection(branch))
    yield from _indented(_pooled(source.derived))


def _rules(source: Source) -> Iterator[str]:
    rules = source.dataset.rules
    if rules.opt_out is not None:
        yield f"{_INDENT}without units in {rules.opt_out.dataset}.{rules.opt_out.column}"
    if rules.max_rows_per_unit is not None:
        yield f"{_INDENT}at most {rules.max_rows_per_unit} rows of one {source.dataset.privacy_unit}"


def _selection(selection: Selection) -> Iterator[str]:
    yield from _rows(selection.sources, selection.where)
    yield from _group_by(selection.groups)
    yield from (_item(item, selection) for item in selection.items)
    yield from map(_unit, selection.units)


def _pooled(pool: Pool) -> Iterator[str]:
    yield f"together {', '.join(f'{column.name} {column.type}' for column in pool.columns)}"
    yield from map(_unit, pool.units)


def _group_by(groups: Iterable[Expression]) -> Iterator[str]:
    texts = list(map(_text, groups))
    if texts:
        yield f"group by {', '.join(texts)}"


def _item(item: Item, selection: Selection) -> str:
    line = f"{item.column.name} {item.column.type} = {_computed(item.expression, selection)}"
    if item.supports:
        line += f", somebody's where {' or '.join(map(_text, item.supports))}"
    return line + ("" if item.column.standing == "freely" else f", stands {item.column.standing}")


def _unit(unit: UnitColumn) -> str:
    where = "hidden" if unit.column.startswith("_") else f"in {unit.column}"
    fixed = f", fixed by {', '.join(sorted(unit.fixed_by))}" if unit.fixed_by else ""
    return f"unit {unit.dataset.id}.{unit.dataset.privacy_unit} {where}{fixed}" + (
        ", or of nobody" if unit.may_miss else ""
    )


def _output(output: Output) -> str:
    line = f"{output.name} {output.type} = {_computed(output.expression, None)}"
    if isinstance(output.expression, Aggregate) and output.expression.supports:
        line += f", with enough units where {', and where '.join(map(_text, output.expression.supports))}"
    return line


def _behind(plan: Plan) -> Iterator[str]:
    what = "the whole list" if plan.analysis == "list" else "each row"
    for threshold in plan.thresholds:
        unit = f"{threshold.dataset}.{threshold.unit.column}"
        counted = _text(threshold.counted)
        yield f"behind {what}: {threshold.required_units} {unit}, counted as {counted}"


def _noise(plan: Plan) -> Iterator[str]:
    noise = plan.noise
    if noise is None:
        return
    keys = "selected"
    if noise.domains is not None:
        keys = "declared" + "".join(f" {list(domain)}" for domain in noise.domains)
    yield f"noise for {', '.join(owner for owner, _ in noise.plan.costs)}, keys {keys}"
    for column in noise.plan.columns:
        yield f"{_INDENT}{_measured(column, noise)}"
    for output in noise.plan.outputs:
        if output.kind == "mean":
            yield f"{_INDENT}{output.name} = middle + {mean_sum_column(output.name)} / {output.rows_column()}"
    for key in noise.plan.thresholds:
        yield f"{_INDENT}a row needs {key.least} in {key.column}, for {key.owner}"
    if noise.row_floors:
        yield f"{_INDENT}a row needs {noise.required_units} in {' and '.join(noise.row_floors)}"
    for name, floors in noise.value_floors:
        yield f"{_INDENT}{name} needs {noise.required_units} in {' and '.join(floors)}"


def _measured(column: NoisyColumn, noise: Noise) -> str:
    """An exact number, and the standard deviation of the noise that is added to it."""
    exact = column.exact
    (measured,) = (one for one in noise.measured if one.name == exact.name)
    argument = "*" if measured.argument is None else _text(measured.argument)
    line = f"{exact.name} = {measured.function}({argument})"
    if measured.support is not None:
        line += f" where {_text(measured.support)}"
    if exact.measure == "sum":
        middle = "0" if exact.name in noise.visible else "the middle"
        line += f", each at most {exact.largest} from {middle}"
    return f"{line}, ± {math.sqrt(column.noise.variance):.3g}"


def _grants(plan: Plan) -> Iterator[str]:
    uses: dict[str, dict[str, None]] = {}
    for usage in plan.usages:
        uses.setdefault(usage.owner, {})[f"{usage.dataset}.{usage.column} {usage.use}"] = None
    for owner in sorted(uses):
        yield f"{owner} grants {', '.join(sorted(uses[owner]))}"


def _computed(computed: Expression | Aggregate | Window, selection: Selection | None) -> str:
    match computed:
        case Aggregate(function="count_rows"):
            return "count(*)"
        case Aggregate() if computed.argument is not None:
            return f"{computed.function}({_text(computed.argument)})"
        case Window():
            return _window(computed, selection)
        case _:
            return _text(computed)  # type: ignore[arg-type]


def _window(window: Window, selection: Selection | None) -> str:
    given = ["*"] if window.function == "count" else []
    given = given if window.argument is None else [_text(window.argument)]
    given += [str(window.offset)] if window.offset else []
    parts = [f"partition by {', '.join(map(_text, window.partition))}"]
    if window.order:
        parts.append(f"order by {', '.join(map(_ordering, window.order))}")
    if selection is not None and selection.tiebreak:
        parts.append(f"then by {', '.join(map(_text, selection.tiebreak))}")
    return f"{window.function}({', '.join(given)}) over ({' '.join(parts)})"


def _ordering(ordering: Ordering) -> str:
    nulls = "first" if ordering.nulls_first else "last"
    return f"{_text(ordering.key)} {'desc' if ordering.is_descending else 'asc'} nulls {nulls}"


def _text(expression: Expression) -> str:
    match expression:
        case ColumnRef() | DerivedRef():
            return _column(expression)
        case ParameterRef() | Constant():
            return _given(expression)
        case Case():
            branches = (f"when {_text(when)} then {_text(then)}" for when, then in expression.branches)
            rest = "" if expression.otherwise is None else f" else {_text(expression.otherwise)}"
            return f"case {' '.join(branches)}{rest} end"
        case Apply() if is_clamped(expression):
            return f"clamped({_text(expression.arguments[0])})"
        case Apply() if "_pair.a = _pair.b" in expression.template:
            return f"nullif({', '.join(map(_text, expression.arguments))})"
        case Apply():
            text = expression.template.format(*map(_text, expression.arguments))
            return (
                f"try{text}"
                if expression.fallible and text.startswith("(")
                else (f"try({text})" if expression.fallible else text)
            )


def _column(column: Reference) -> str:
    is_clamped_inside = isinstance(column, DerivedRef) and column.is_clamped
    return f"{column.source}.{column.column}{' clamped inside' if is_clamped_inside else ''}"


def _given(constant: Constant | ParameterRef) -> str:
    if isinstance(constant, ParameterRef):
        return f"${constant.name}"
    if constant.value is None:
        return "null"
    text = str(constant.value)
    if isinstance(constant.value, bool):
        return text.lower()
    if isinstance(constant.value, str):
        text = "'" + text.replace("'", "''") + "'"
    return text if constant.type.kind in ("text", "int64", "decimal") else f"{constant.type} {text}"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"{_INDENT}{line}" for line in lines)
