"""Which columns of a result are off by noise, and by how much: so that nobody takes them for exact.

From the agreement that the receipt proves and the plan of its query, never from the values themselves. The
noise of a count or sum is the same in every row; that of a mean is less, the more rows are behind it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction

from party_client.expected_noise import preview
from protos.formats.agreement import Agreement
from protos.plan import compile_query
from protos.privacy import NoisyOutput


@dataclass(frozen=True)
class NoisyColumn:
    """The noise of one column, in the column's own unit."""

    column: str
    kind: str
    """`rows`, `units`, `sum` or `mean`."""
    standard_deviation: float
    half_width_95: float
    """At least 95 of 100 figures are off by no more; of means approximately."""
    per_rows: bool
    """Whether both are still to be divided by the number of rows behind a figure, as for a mean."""

    @property
    def sentence(self) -> str:
        """For people."""
        if self.per_rows:
            return (
                f"{self.column} is off by noise: standard deviation at most {self.standard_deviation:,.3g} "
                "divided by the number of rows behind it"
            )
        return (
            f"{self.column} is off by noise: standard deviation {self.standard_deviation:,.6g}, at least 95 "
            f"of 100 figures within ± {self.half_width_95:,.6g}"
        )


def noisy_columns(agreement: Agreement, query_id: str) -> tuple[NoisyColumn, ...]:
    """The noisy columns of the results of a query; none where they are exact. Raises `QueryRefusedError`."""
    query = agreement.query(query_id)
    if query.noise is None:
        return ()
    plan = compile_query(agreement, query)
    if plan.noise is None:
        return ()
    outputs = [output for output in plan.noise.plan.outputs if output.name in plan.noise.visible]
    typical = {output.name: _worst_mean(output) for output in outputs if output.kind == "mean"}
    expected = {item.output: item for item in preview(plan.noise.plan, rows=1, typical=typical).outputs}
    places = {output.name: output.type.scale for output in plan.outputs}
    found = []
    for output in outputs:
        # Sums are counted in the smallest unit of their values.
        unit = 10 ** places[output.name] if output.kind == "sum" else 1
        item = expected[output.name]
        found.append(
            NoisyColumn(
                column=output.name,
                kind=output.kind,
                standard_deviation=item.standard_deviation / unit,
                half_width_95=item.half_width_95 / unit,
                per_rows=output.kind == "mean",
            )
        )
    return tuple(found)


def as_facts(columns: Iterable[NoisyColumn]) -> dict[str, dict[str, object]]:
    """By column name, for JSON and for what lies beside a table."""
    return {
        item.column: {key: value for key, value in asdict(item).items() if key != "column"}
        for item in columns
    }


def as_json(columns: Iterable[NoisyColumn]) -> bytes:
    """The same as bytes of a file."""
    return (json.dumps({"noise": as_facts(columns)}, indent=2) + "\n").encode()


def _worst_mean(output: NoisyOutput) -> Fraction:
    """The mean in its clamp for which the noise of the number of rows matters most."""
    end = max(output.low, output.high, key=lambda value: abs(value - output.centre))
    return Fraction(end, 10**output.scale)
