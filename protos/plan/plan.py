"""What a compiled query is: everything needed to run it and to explain it, and nothing of its text.

A `Plan` is made by `compile_query` alone; it has passed every owner's rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from protos.formats.privacy import DomainValue
from protos.formats.query import Parameter
from protos.formats.schema import Dataset
from protos.plan.errors import Place
from protos.plan.expressions import Aggregate, ColumnRef, Expression, Reference
from protos.plan.relations import AnySource
from protos.plan.values import ValueType
from protos.privacy import NoisePlan


@dataclass(frozen=True)
class Usage:
    """One mention of a column, and the rule of its owner that lets it through."""

    owner: str
    dataset: str
    column: str
    use: str
    """Of `schema.USES`: what the query does with the column here."""
    place: Place | None

    @property
    def rule(self) -> str:
        """The owner's rule, for people."""
        return f"{self.owner} lets {self.dataset}.{self.column} be used for {self.use}"


@dataclass(frozen=True)
class Threshold:
    """A dataset whose distinct privacy units are counted behind every released row."""

    owner: str
    dataset: str
    unit: ColumnRef
    counted: Reference
    """What is counted for it: `unit`, a column that an inner join makes equal to it in every row, or the
    column in which a derived table keeps it."""
    own_units: int
    """What the owner asks for in the agreement."""
    required_units: int
    """What holds in this query: the strictest of all its datasets."""

    @property
    def rule(self) -> str:
        """The rule, for people and for the receipt."""
        return f"fewer than {self.required_units} distinct {self.dataset}.{self.unit.column} of {self.owner}"


@dataclass(frozen=True)
class Output:
    """One column of the result."""

    name: str
    kind: Literal["group", "aggregate", "listed"]
    """`listed`: a single value of a list query."""
    expression: Expression | Aggregate
    type: ValueType
    """As it is released; hex128 is released as text of 32 hexadecimal digits."""


@dataclass(frozen=True)
class Measured:
    """How the engine computes one exact column that noise is added to; never shown itself."""

    name: str
    """Of the `ExactColumn` in the noise plan."""
    function: Literal["rows", "units", "sum"]
    argument: Expression | None
    """rows: what is counted, None for all rows; units: the unit; sum: what is added up."""
    support: Expression | None = None
    """Of units: only over rows for which this is true."""


@dataclass(frozen=True)
class Noise:
    """What a query with noise computes, and what of it may be shown; made by `protos.plan.noise` alone."""

    plan: NoisePlan
    """Its outputs are the aggregates of the query by name, and hidden ones that begin with `_`."""
    measured: tuple[Measured, ...]
    """One for each column of the noise plan."""
    domains: tuple[tuple[DomainValue, ...], ...] | None
    """The values of each GROUP BY expression; None where keys are selected."""
    required_units: int
    """What the owners' thresholds ask for: a floor for noisy numbers of units."""
    row_floors: tuple[str, ...]
    """Outputs that have to reach it for a row's values to be shown."""
    value_floors: tuple[tuple[str, tuple[str, ...]], ...]
    """(aggregate, outputs that have to reach it for its value to be shown)."""

    @property
    def visible(self) -> tuple[str, ...]:
        """The outputs that the query names: those are off by noise."""
        return tuple(output.name for output in self.plan.outputs if not output.name.startswith("_"))


@dataclass(frozen=True)
class Plan:
    """A query that may be run, with any parameters in their agreed ranges."""

    query: str
    """The query's id in the agreement."""
    sources: tuple[AnySource, ...]
    where: Expression | None
    groups: tuple[Expression, ...]
    """Empty: one row over everything."""
    outputs: tuple[Output, ...]
    parameters: tuple[Parameter, ...]
    thresholds: tuple[Threshold, ...]
    """One per dataset, in the order of the sources."""
    usages: tuple[Usage, ...]
    noise: Noise | None = None
    """Where an owner of the data has a privacy budget: then nothing else of it may be shown."""

    @property
    def analysis(self) -> Literal["aggregation", "list"]:
        """Of `rules.ANALYSES`: what kind of query this is."""
        return "list" if any(output.kind == "listed" for output in self.outputs) else "aggregation"

    @property
    def counted(self) -> tuple[Reference, ...]:
        """The distinct columns to count for the thresholds."""
        return tuple(dict.fromkeys(threshold.counted for threshold in self.thresholds))

    @property
    def supports(self) -> tuple[Expression, ...]:
        """The distinct conditions under which rows take part in some aggregate; see `Aggregate.supports`."""
        found = {
            support: None
            for output in self.outputs
            if isinstance(output.expression, Aggregate)
            for support in output.expression.supports
        }
        return tuple(found)

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """Every dataset that is read, in the order of `thresholds`."""
        return tuple(dataset for source in self.sources for dataset in source.datasets)
