"""The one door through which anything computed from data leaves: a result that may be seen, or a code.

Works on what the engine computed for a plan. A row leaves when behind it there are at least as many distinct
privacy units of *every* dataset as the strictest owner asks for, counted in hidden columns that no query can
name; a single value leaves when as many stand behind the rows that take part in it. What is held back is
reported, rounded up to a power of ten that is the same for none as for some. Rows come in one order that
follows from their content. Where an owner has a privacy budget, `noisy_release` decides instead. As an error,
a code of the closed list leaves and nothing else.

Follows `protos/plan/README.md`, "What leaves".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from enclave_compute.differencing import Asked, Differencing
from enclave_compute.engine import Computed, Engine
from enclave_compute.errors import RefusedError
from enclave_compute.noisy_release import draw
from enclave_compute.samplers import Sampler
from enclave_compute.table import columns_sql, write_table
from protos.formats import limits
from protos.formats.calls import Refusal
from protos.formats.errors import FormatError, LimitExceededError, SealError, SignatureError
from protos.formats.query import ParameterValue
from protos.formats.receipt import Suppression
from protos.plan import Output, Plan, QueryRefusedError, Threshold
from protos.plan.expressions import Aggregate
from protos.plan.hidden import row_condition, support_column, units_column
from protos.plan.plan import Noise
from protos.plan.quoting import quoted

_REFUSALS: Final[tuple[tuple[type[Exception], Refusal], ...]] = (
    (QueryRefusedError, Refusal.QUERY_REFUSED),
    (LimitExceededError, Refusal.OVER_LIMIT),
    (FormatError, Refusal.MALFORMED),
    (SignatureError, Refusal.BAD_SIGNATURE),
    (SealError, Refusal.DOES_NOT_OPEN),
    (MemoryError, Refusal.OUT_OF_RESOURCES),
)


@dataclass(frozen=True)
class Released:
    """What may leave of one run."""

    table_ipc: bytes
    """An Arrow IPC stream: one schema, one record batch."""
    suppressed: tuple[Suppression, ...]
    rows: int


def release(
    engine: Engine,
    plan: Plan,
    parameters: Mapping[str, ParameterValue],
    *,
    guard: Differencing | None = None,
) -> Released:
    """Compute `plan` and let out what thresholds and `guard` allow. Raises `RefusedError`.

    What the guard is to compare later releases with, it is told by `Differencing.remember`. Of a plan with
    noise, what its noise allows: fresh noise each time, so ask once for each run.
    """
    if plan.noise is not None:
        return _release_with_noise(engine, plan, plan.noise, parameters)
    if guard is not None and not guard.is_needed(plan):
        guard = None
    with engine.execute(plan, parameters, with_sets=guard is not None) as computed:
        suppressed = _suppressed(plan, computed)
        if guard is not None:
            held_back = guard.hold_back(computed, Asked(plan, parameters))
            if held_back is not None:
                suppressed += (_difference(plan, held_back),)
        rows, least_bytes = computed.numbers(_sizes(plan))
        # What cannot fit is not even fetched: it would need memory outside the engine's limit.
        if least_bytes > limits.RESULT_MAX_BYTES:
            raise _too_large()
        table = write_table(plan.outputs, computed.batches(_released_select(plan)))
    if len(table) > limits.RESULT_MAX_BYTES:
        raise _too_large()
    return Released(table, suppressed, rows)


def _release_with_noise(
    engine: Engine, plan: Plan, noise: Noise, parameters: Mapping[str, ParameterValue]
) -> Released:
    with engine.execute(plan, parameters) as computed:
        noisy = draw(computed, plan, noise, Sampler())
    if len(noisy.table_ipc) > limits.RESULT_MAX_BYTES:
        raise _too_large()
    return Released(noisy.table_ipc, noisy.suppressed, noisy.rows)


def refusal_of(error: Exception) -> Refusal:
    """All that may be said about `error` outside: one code, the same whatever the data was."""
    if isinstance(error, RefusedError):
        return error.refusal
    for kind, refusal in _REFUSALS:
        if isinstance(error, kind):
            return refusal
    return Refusal.INTERNAL


def _sizes(plan: Plan) -> list[str]:
    """SQL for the number of released rows, and for a number of bytes that their values take at least."""
    texts = [
        f"COALESCE(octet_length(encode({quoted(output.name)})), 0)"
        for output in plan.outputs
        if output.expression.type.kind == "text"
    ]
    row_bytes = " + ".join([str(len(plan.outputs)), *texts])
    condition = row_condition(plan)
    return [
        f"COUNT(*) FILTER (WHERE {condition})",
        f"COALESCE(SUM({row_bytes}) FILTER (WHERE {condition}), 0)",
    ]


def _unit(plan: Plan, threshold: Threshold) -> int:
    return plan.counted.index(threshold.counted)


def _enough(threshold: Threshold, column: str) -> str:
    return f"{quoted(column)} >= {threshold.required_units}"


def _released_select(plan: Plan) -> str:
    """The visible columns of the rows that may leave, in the order of all their values."""
    values = ", ".join(f"{_value(plan, output)} AS {quoted(output.name)}" for output in plan.outputs)
    order = ", ".join(f"{quoted(output.name)} ASC NULLS LAST" for output in plan.outputs)
    visible = f"SELECT {values} FROM {{rows}} WHERE {row_condition(plan)}"  # noqa: S608
    return f"SELECT {columns_sql(plan.outputs)} FROM ({visible}) ORDER BY {order}"  # noqa: S608


def _value(plan: Plan, output: Output) -> str:
    name = quoted(output.name)
    expression = output.expression
    if expression.type.kind == "hex128":
        name = f"replace(CAST({name} AS VARCHAR), '-', '')"
    if not isinstance(expression, Aggregate) or not expression.supports:
        return name
    supports = map(plan.supports.index, expression.supports)
    enough = " AND ".join(_support_condition(plan, support) for support in supports)
    return f"CASE WHEN {enough} THEN {name} END"


def _support_condition(plan: Plan, support: int) -> str:
    return " AND ".join(
        _enough(threshold, support_column(support, _unit(plan, threshold))) for threshold in plan.thresholds
    )


def _suppressed(plan: Plan, computed: Computed) -> tuple[Suppression, ...]:
    """How many groups each threshold held back, then how many released groups lost a value."""
    counts = [_held_back(plan, threshold) for threshold in plan.thresholds]
    rules = [threshold.rule for threshold in plan.thresholds]
    if plan.supports:
        supported = " AND ".join(_support_condition(plan, index) for index in range(len(plan.supports)))
        counts.append(f"COUNT(*) FILTER (WHERE {row_condition(plan)} AND NOT ({supported}))")
        rules.append(f"a value with fewer than {plan.thresholds[0].required_units} distinct units behind it")
    numbers = computed.numbers(counts)
    return tuple(Suppression(rule, _bucket(number)) for rule, number in zip(rules, numbers, strict=True))


def _difference(plan: Plan, rows: int) -> Suppression:
    rule = f"a difference of fewer than {plan.thresholds[0].required_units} units from an earlier release"
    # As above: of a list not even the length is told.
    return Suppression(rule, _bucket(min(rows, 1) if plan.analysis == "list" else rows))


def _held_back(plan: Plan, threshold: Threshold) -> str:
    enough = _enough(threshold, units_column(_unit(plan, threshold)))
    if plan.analysis == "list":
        # A list is held back whole, and counts as one: neither how long it would have been nor whether it
        # was empty is told.
        return f"CASE WHEN COUNT(*) FILTER (WHERE {enough}) > 0 THEN 0 ELSE 1 END"
    # Of groups that do not leave not even the existence is told: none and some are reported alike, and so is
    # every number that somebody could make up who knows of fewer units than a released row needs.
    return f"greatest({threshold.required_units}, COUNT(*) FILTER (WHERE NOT {enough}))"


def _bucket(count: int) -> int:
    """`count` rounded up to 10, 100, 1000, …; 0 stays 0."""
    return 0 if count == 0 else 10 ** max(1, len(str(count - 1)))


def _too_large() -> RefusedError:
    return RefusedError(Refusal.OVER_LIMIT, f"a result of more than {limits.RESULT_MAX_BYTES} bytes")
