"""What this participant may ask for under an agreement, and the ways in which a run has no result.

Looks at the agreement before anything is sent; the enclave decides by the same rules. That a run was refused
is the coordinator's word.
"""

from __future__ import annotations

from typing import Final

from party_client.refusals import first_line, next_step
from protos.formats.agreement import Agreement
from protos.formats.errors import ConcordatError
from protos.formats.query import Parameter, ParameterValue, Query
from protos.formats.schema import Dataset


class RunError(ConcordatError):
    """A run has no result."""

    code = "run/failed"


class RunRefusedError(RunError):
    """The enclave refused to run or to release. `refusal` is its code."""

    code = "run/refused"

    def __init__(self, refusal: str) -> None:
        super().__init__(
            f"the coordinator says: the enclave refused the run ({first_line(refusal)})",
            hint=next_step(refusal),
        )
        self.refusal: Final = refusal


class RunLostError(RunError):
    """The enclave was lost before it answered."""

    code = "run/lost"

    def __init__(self, run_id: bytes) -> None:
        super().__init__(
            f"run {run_id.hex()}: the enclave was lost before it answered",
            hint="start another job; the parties send their datasets anew to its enclave",
        )


class RunPendingError(RunError):
    """The run takes longer than anybody wanted to wait."""

    code = "run/pending"

    def __init__(self, run_id: bytes, waited_s: float) -> None:
        super().__init__(
            f"run {run_id.hex()}: not finished after {waited_s:.0f} s",
            hint=f"it goes on; fetch the result later: `concordat result get {run_id.hex()}`",
        )


class RunInterruptedError(RunError):
    """Nobody waits for the run any more; what became of it is at the coordinator."""

    code = "run/interrupted"

    def __init__(self, run_id: bytes, why: str) -> None:
        super().__init__(
            f"{why}; run {run_id.hex()} may go on all the same",
            hint=f"fetch its result later, it costs no further run: `concordat result get {run_id.hex()}`",
        )


class RequestError(RunError):
    """What was asked for is not in the agreement, or not for this identity."""

    code = "run/not-agreed"

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="see what was agreed: `concordat agreement show`")


def require_dataset(agreement: Agreement, dataset_id: str) -> Dataset:
    """The dataset called `dataset_id`, or `RequestError`."""
    try:
        return agreement.dataset(dataset_id)
    except KeyError:
        raise RequestError(
            f"the agreement has no dataset {dataset_id!r}, expected one of "
            f"{', '.join(dataset.id for dataset in agreement.datasets)}"
        ) from None


def require_query(agreement: Agreement, query_id: str) -> Query:
    """The query called `query_id`, or `RequestError`."""
    try:
        return agreement.query(query_id)
    except KeyError:
        raise RequestError(
            f"the agreement has no query {query_id!r}, expected one of "
            f"{', '.join(query.id for query in agreement.queries)}"
        ) from None


def require_runnable(agreement: Agreement, query_id: str, participant: str) -> Query:
    """The query, if `participant` may ask for it; else `RequestError`."""
    query = require_query(agreement, query_id)
    if participant not in query.run_by:
        raise RequestError(
            f"query {query_id}: {participant} may not ask for a run, the agreement lets "
            f"{', '.join(query.run_by)}"
        )
    return query


def parse_parameters(query: Query, texts: list[str]) -> dict[str, ParameterValue]:
    """`name=value` texts as the parameters of `query`. Raises `RequestError` or `FormatError`."""
    known = {parameter.name: parameter for parameter in query.parameters}
    values: dict[str, ParameterValue] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in values or name not in known:
            raise RequestError(
                f"parameter {text!r}: expected name=value, each once, with a name of "
                f"{', '.join(known) or 'nothing: this query has no parameters'}"
            )
        values[name] = _value(known[name], value)
    return query.require_parameters(values)


def _value(parameter: Parameter, text: str) -> ParameterValue:
    if not isinstance(parameter.low, int):
        return text
    try:
        return int(text)
    except ValueError:
        raise RequestError(
            f"parameter {parameter.name}: got {text!r}, expected a whole number from {parameter.low} to "
            f"{parameter.high}"
        ) from None
