"""The queries of an agreement and the parameters a run may choose: what may be asked, by whom, for whom.

Pure values that check themselves; what the SQL may contain is decided in the enclave and in the party's
`agreement check`, not here. Raises `FormatError`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias

from protos.formats import limits
from protos.formats.canonical import (
    INT64_LOW,
    Value,
    digest,
    encode,
    require_fields,
    require_int,
    require_list,
    require_sorted_texts,
    require_text,
)
from protos.formats.errors import FormatError
from protos.formats.exact_text import digits_of, exact_value, places_of
from protos.formats.identifiers import require_slug
from protos.formats.privacy import QueryNoise

QUERY_LABEL: Final = "concordat/query/v1"
ParameterValue: TypeAlias = int | str
PARAMETERS_MAX: Final = 32
CHOICES_MAX: Final = 1_000
RUNS_MAX: Final = 1_000_000


@dataclass(frozen=True)
class Parameter:
    """A typed hole in a query: a value in low..high (inclusive), or one text of `choices`.

    The bounds are both whole numbers, both dates, or both decimals with equally many digits after the point;
    dates and decimals are text, see `exact_text`.
    """

    name: str
    low: int | str | None = None
    high: int | str | None = None
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_slug(self.name, what="parameter name")
        is_range = self.low is not None and self.high is not None
        if is_range == bool(self.choices) or (self.low is None) != (self.high is None):
            raise FormatError(f"parameter {self.name}: give either low and high, or choices")
        if self.low is not None and self.high is not None:
            low, high = self._bound(self.low, "low"), self._bound(self.high, "high")
            if _shape(low) != _shape(high):
                raise FormatError(
                    f"parameter {self.name}: low and high differ in type or in digits after the point"
                )
            if _is_less(high, low):
                raise FormatError(f"parameter {self.name}: low {self.low} is above high {self.high}")
        require_sorted_texts(
            list(self.choices), what=f"parameter {self.name}: choices", max_items=CHOICES_MAX
        )

    @property
    def kind(self) -> str:
        """The type of its values as of a column: int64, date, decimal(p,s) or text."""
        if self.low is None or self.high is None:
            return "text"
        low, high = self._bound(self.low, "low"), self._bound(self.high, "high")
        if isinstance(low, Decimal) and isinstance(high, Decimal):
            return f"decimal({max(digits_of(low), digits_of(high))},{places_of(low)})"
        return "int64" if isinstance(low, int) else "date"

    @property
    def size(self) -> int:
        """How many different values a run can choose."""
        if self.low is None or self.high is None:
            return len(self.choices)
        low, high = self._bound(self.low, "low"), self._bound(self.high, "high")
        if isinstance(low, Decimal) and isinstance(high, Decimal):
            return int((high - low).scaleb(places_of(low))) + 1
        if isinstance(low, dt.date) and isinstance(high, dt.date):
            return (high - low).days + 1
        return int(self.high) - int(self.low) + 1

    def require_allowed(self, value: ParameterValue) -> ParameterValue:
        """`value` if the agreement lets a run choose it."""
        if self.low is None or self.high is None:
            if value not in self.choices:
                raise FormatError(
                    f"parameter {self.name}: got a value that is not one of its {len(self.choices)} choices"
                )
            return value
        what = f"parameter {self.name}"
        if isinstance(self.low, int) and isinstance(self.high, int):
            return require_int(value, what=what, low=self.low, high=self.high)
        low, high, chosen = (exact_value(item, what=what) for item in (self.low, self.high, value))
        if _shape(chosen) != _shape(low) or _is_less(chosen, low) or _is_less(high, chosen):
            raise FormatError(f"{what}: expected {self.kind}, {self.low} to {self.high}, written like these")
        return value

    def _bound(self, bound: int | str, key: str) -> int | dt.date | Decimal:
        what = f"parameter {self.name}: {key}"
        if isinstance(bound, str):
            return exact_value(bound, what=what)
        return require_int(bound, what=what, low=INT64_LOW)

    def to_value(self) -> Value:
        """The parameter as it stands in the agreement."""
        return {"name": self.name, "low": self.low, "high": self.high, "choices": list(self.choices)}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> Parameter:
        """Inverse of `to_value`."""
        fields = require_fields(value, frozenset({"name", "low", "high", "choices"}), what="parameter")
        choices = require_list(fields["choices"], what="choices", max_items=CHOICES_MAX)
        return cls(name=fields["name"], low=fields["low"], high=fields["high"], choices=tuple(choices))


def _shape(value: int | dt.date | Decimal) -> tuple[type, int]:
    return type(value), places_of(value) if isinstance(value, Decimal) else 0


def _is_less(first: int | dt.date | Decimal, second: int | dt.date | Decimal) -> bool:
    """Of two values of one shape."""
    if isinstance(first, dt.date) or isinstance(second, dt.date):
        return isinstance(first, dt.date) and isinstance(second, dt.date) and first < second
    return first < second


@dataclass(frozen=True)
class Query:
    """One query: its SQL, who may ask for a run, who receives the result, and how many runs there may be."""

    id: str
    sql: str
    parameters: tuple[Parameter, ...]
    run_by: tuple[str, ...]
    receivers: tuple[str, ...]
    max_runs: int
    many_to_many: bool = False
    """Whether a join may match several rows with several rows; unless said, one side must be unique."""
    per_day: int | None = None
    per_week: int | None = None
    per_month: int | None = None
    """Runs in any 24 hours, 7 days, 30 days; None: as many as `max_runs`. See `budget.WINDOWS_S`."""
    noise: QueryNoise | None = None
    """For queries over data of an owner with a privacy budget, and only for them."""

    def __post_init__(self) -> None:
        require_slug(self.id, what="query id")
        where = f"query {self.id}"
        require_text(self.sql, what=f"{where}: sql", max_characters=limits.SQL_MAX_CHARACTERS)
        if not self.run_by or not self.receivers:
            raise FormatError(f"{where}: run_by and receivers must each name somebody (empty means nobody)")
        for what, people in (("run_by", self.run_by), ("receivers", self.receivers)):
            require_sorted_texts(list(people), what=f"{where}: {what}", max_items=limits.PARTIES_MAX)
        if not isinstance(self.many_to_many, bool):
            raise FormatError(f"{where}: many_to_many must be true or false")
        require_int(self.max_runs, what=f"{where}: max_runs", low=1, high=RUNS_MAX)
        for key, runs in (
            ("per_day", self.per_day),
            ("per_week", self.per_week),
            ("per_month", self.per_month),
        ):
            if runs is not None:
                require_int(runs, what=f"{where}: {key}", low=1, high=RUNS_MAX)
        names = [parameter.name for parameter in self.parameters]
        if len(set(names)) != len(names) or len(names) > PARAMETERS_MAX:
            raise FormatError(f"{where}: parameter names must be distinct, at most {PARAMETERS_MAX}")

    def require_parameters(self, given: Mapping[str, ParameterValue]) -> dict[str, ParameterValue]:
        """Exactly this query's parameters, each with a value in its agreed range."""
        expected = {parameter.name: parameter for parameter in self.parameters}
        if given.keys() != expected.keys():
            raise FormatError(f"query {self.id}: got parameters {sorted(given)}, expected {sorted(expected)}")
        return {name: expected[name].require_allowed(value) for name, value in sorted(given.items())}

    def digest(self) -> bytes:
        """48 bytes that name this query in receipts."""
        return digest(QUERY_LABEL, encode(self.to_value()))

    def to_value(self) -> Value:
        """The query as it stands in the agreement."""
        return {
            "id": self.id,
            "sql": self.sql,
            "parameters": [parameter.to_value() for parameter in self.parameters],
            "run_by": list(self.run_by),
            "receivers": list(self.receivers),
            "max_runs": self.max_runs,
            "many_to_many": self.many_to_many,
            "per_day": self.per_day,
            "per_week": self.per_week,
            "per_month": self.per_month,
            "noise": None if self.noise is None else self.noise.to_value(),
        }

    @classmethod
    def from_value_untrusted(cls, value: Value) -> Query:
        """Inverse of `to_value`."""
        fields = require_fields(value, _QUERY_KEYS, what="query")
        parameters = require_list(fields["parameters"], what="parameters", max_items=PARAMETERS_MAX)
        return cls(
            id=fields["id"],
            sql=fields["sql"],
            parameters=tuple(Parameter.from_value_untrusted(item) for item in parameters),
            run_by=tuple(require_list(fields["run_by"], what="run_by", max_items=limits.PARTIES_MAX)),
            receivers=tuple(
                require_list(fields["receivers"], what="receivers", max_items=limits.PARTIES_MAX)
            ),
            max_runs=fields["max_runs"],
            many_to_many=fields["many_to_many"],
            per_day=fields["per_day"],
            per_week=fields["per_week"],
            per_month=fields["per_month"],
            noise=None if fields["noise"] is None else QueryNoise.from_value_untrusted(fields["noise"]),
        )


_QUERY_KEYS: Final = frozenset(
    {
        *("id", "sql", "parameters", "run_by", "receivers", "max_runs", "many_to_many"),
        *("per_day", "per_week", "per_month", "noise"),
    }
)
