"""Reads an owner's rules for a dataset from the TOML that people write, and says them back in plain words.

The keys of `[[datasets]]` that are rules, and `clamp` of a column. A rule that is left out is not made; only
`analyses` has a default, which is to allow aggregations. Raises `AgreementTextError`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from party_client.agreements.errors import AgreementTextError
from party_client.agreements.table import Table, located
from protos.formats.rules import Clamp, OptOut, Rules
from protos.formats.schema import Column, Dataset

RULE_KEYS: Final = (
    *("analyses", "only_queries", "joined_with", "forbidden", "receivers", "single_units"),
    *("max_rows_per_unit", "min_rows", "min_units", "opt_out"),
)


def read_rules(place: str, table: Table) -> Rules:
    """The rules in a `[[datasets]]` table."""
    with located(place, "rules"):
        return Rules(
            analyses=table.text_set("analyses") if "analyses" in table else ("aggregation",),
            only_queries=table.text_set("only_queries"),
            joined_with=table.text_set("joined_with") if "joined_with" in table else None,
            forbidden=table.text_set("forbidden"),
            receivers=table.text_set("receivers") if "receivers" in table else None,
            single_units=table.flag("single_units"),
            max_rows_per_unit=(table.integer("max_rows_per_unit") if "max_rows_per_unit" in table else None),
            min_rows=table.integer("min_rows"),
            min_units=table.integer("min_units"),
            opt_out=_opt_out(place, table),
        )


def _opt_out(place: str, table: Table) -> OptOut | None:
    if "opt_out" not in table:
        return None
    rule = Table(dict(table.items("opt_out")), f"{place}, opt_out", required=("dataset", "column"))
    return OptOut(rule.text("dataset"), rule.text("column"))


def read_clamp(place: str, column: Table) -> Clamp | None:
    """The `clamp` of a column's table, written with the column's decimal places."""
    if "clamp" not in column:
        return None
    place = f"{place}, clamp"
    places = _places(column.text("type"))
    values = dict(column.items("clamp"))
    Table(values, place, required=("low", "high"))
    return Clamp(_end(place, values["low"], places), _end(place, values["high"], places))


def _end(place: str, value: object, places: int) -> str:
    """A whole number as such or any number as text: TOML's own fractions are rounded in binary."""
    if isinstance(value, str) or type(value) is int:
        try:
            written = Decimal(value)
        except ArithmeticError:
            written = Decimal("NaN")
        if written.is_finite() and len(written.as_tuple().digits) + abs(written.adjusted()) < _DIGITS_MAX:
            exact = f"{abs(written) if written.is_zero() else written:f}"
            whole, _, fraction = exact.partition(".")
            fraction = fraction.rstrip("0")
            if len(fraction) <= places:
                return f"{whole}.{fraction:0<{places}}" if places else whole
    raise AgreementTextError(
        f"{place}: got {str(value)[:50]!r}, expected a number of at most {places} decimal places",
        hint='write a whole number (low = 0), or text (high = "99.50")',
    )


_DIGITS_MAX: Final = 90


def _places(kind: str) -> int:
    # A type that is not one is refused when the column is made, with a better message than is possible here.
    _, _, scale = kind.removesuffix(")").partition(",")
    return int(scale) if scale.isascii() and scale.isdecimal() and len(scale) <= len("38") else 0


def rule_sentences(dataset: Dataset, *, has_budget: bool = False) -> tuple[str, ...]:
    """What the owner rules, one sentence for each rule that is made.

    `has_budget`: whether the owner has a privacy budget.
    """
    rules = dataset.rules
    sentences = [_analyses_sentence(rules)]
    if has_budget:
        sentences.append(
            "no exact result of it leaves: every figure is noisy, within the privacy budget of "
            f"{dataset.owner}"
        )
    if rules.joined_with is not None:
        sentences.append(f"is used only where it is inner-joined with {_one_of(rules.joined_with)}")
    if rules.forbidden:
        sentences.append(f"no query may mention {', '.join(rules.forbidden)}")
    if rules.receivers is not None:
        sentences.append(f"results go to {_one_of(rules.receivers)} and to nobody else")
    if rules.max_rows_per_unit is not None:
        sentences.append(
            f"at most {rules.max_rows_per_unit:,} rows of one {dataset.privacy_unit} enter a query, counted "
            "after its joins; the first ones in the order of all columns"
        )
    if rules.min_rows or rules.min_units:
        sentences.append(
            f"the enclave accepts no fewer than {rules.min_rows:,} rows and {rules.min_units:,} distinct "
            f"{dataset.privacy_unit}"
        )
    if rules.opt_out is not None:
        sentences.append(
            f"rows whose {dataset.privacy_unit} stands in {rules.opt_out.dataset}.{rules.opt_out.column} "
            "never enter a query"
        )
    if dataset.threshold == 1:
        sentences.append(
            "a threshold of 1 is meant: "
            + ("noise protects single units" if has_budget else "single units may be shown")
        )
    sentences += [sentence for column in dataset.columns if (sentence := _clamp_sentence(column))]
    return tuple(sentences)


def _analyses_sentence(rules: Rules) -> str:
    if "custom" in rules.analyses:
        return f"may be used by the queries {_one_of(rules.only_queries)} and by no others"
    words = {
        "aggregation": "aggregations (figures about groups)",
        "list": "lists (single rows of units that are in two datasets)",
    }
    return f"may be used for {' and '.join(words[item] for item in rules.analyses) or 'no query'}"


def _clamp_sentence(column: Column) -> str:
    if column.clamp is None:
        return ""
    return (
        f"{column.name} counts as {column.clamp.low} where it is less and as {column.clamp.high} where it is "
        "more, in sums, averages, minima and maxima"
    )


def _one_of(names: tuple[str, ...]) -> str:
    return " or ".join(names) or "nothing"
