"""Opens the result of a run for its receiver, once the receipt proves that it is the one that was asked for.

Reads a sealed result and a receipt from the coordinator. A `Result` exists only when the receipt has been
verified in full, fits the request, names the receiver, and holds the digest of exactly the bytes that were
opened. Followed: protos/README.md, "Results" and "Receipt".
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, ipc

from party_client import files
from party_client.attestation import Anchors
from party_client.identity import Identity
from party_client.noisy_columns import NoisyColumn, as_facts, as_json, noisy_columns
from party_client.receipts import ReceiptMismatchError, VerifiedReceipt, verify_receipt
from protos.formats.errors import ConcordatError, FormatError, SealError
from protos.formats.query import ParameterValue
from protos.formats.receipt import Suppression
from protos.formats.result import ResultContext, SealedResult, open_result, result_digest
from protos.release.history import Agreed

if TYPE_CHECKING:
    from pandas import DataFrame

NOISE_METADATA: Final = b"concordat.noise"
_SUFFIXES: Final = (".csv", ".parquet")


class ResultFileError(ConcordatError):
    """A result cannot be written to the file that was named."""

    code = "result/file"


@dataclass(frozen=True)
class Expected:
    """What the receiver knows about the run whose result it wants."""

    agreement: Agreed
    run_id: bytes
    query: str | None = None
    parameters: Mapping[str, ParameterValue] | None = None
    """Both None when somebody else asked for the run and the receiver does not know with what."""


@dataclass(frozen=True)
class Result:
    """A released table, with the proof of where it comes from. Made by `open_verified`."""

    table: pa.Table
    receipt: VerifiedReceipt
    receipt_bytes: bytes
    """The receipt file, to be kept."""

    @property
    def suppressed(self) -> tuple[Suppression, ...]:
        """What was held back, by which rule; counts are rounded up to powers of ten."""
        return self.receipt.claims.suppressed

    @cached_property
    def noise(self) -> tuple[NoisyColumn, ...]:
        """The columns that are off by noise, and by how much; empty: the result is exact."""
        return noisy_columns(self.receipt.agreement, self.receipt.claims.query)

    @cached_property
    def frame(self) -> DataFrame:
        """As a pandas DataFrame; integers stay integers where there are nulls, decimals stay exact.

        Which columns are off by noise, and by how much, stands in `frame.attrs["noise"]`.
        """
        import pandas as pd  # noqa: PLC0415 - takes longer than most commands

        nullable: dict[Any, Any] = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
        frame = self.table.to_pandas(types_mapper=nullable.get)
        if self.noise:
            frame.attrs["noise"] = as_facts(self.noise)
        return frame

    def save(self, path: Path | str) -> None:
        """Writes the table to a new file, .csv or .parquet by its name, for its owner alone.

        Raises `ResultFileError` or `FileAccessError`.
        """
        path = Path(path)
        require_format(path)
        self.to_csv(path) if path.suffix.lower() == ".csv" else self.to_parquet(path)

    def to_csv(self, path: Path) -> None:
        """Writes CSV in UTF-8 (RFC 4180); an existing file is not overwritten.

        CSV has no place to say that columns are off by noise, so that stands in a file beside it.
        """
        if self.noise:
            files.require_absent(path, beside(path))
            files.create(beside(path), as_json(self.noise))
        files.create(path, _csv(self.table))

    def to_parquet(self, path: Path) -> None:
        """Writes Parquet; an existing file is not overwritten. Noise is in the metadata `concordat.noise`."""
        from pyarrow import parquet  # noqa: PLC0415 - not needed by most

        file, table = io.BytesIO(), self.table
        if self.noise:
            metadata = {**(table.schema.metadata or {}), NOISE_METADATA: as_json(self.noise)}
            table = table.replace_schema_metadata(metadata)
        parquet.write_table(table, file)
        files.create(path, file.getvalue())


def beside(path: Path) -> Path:
    """Where the noise of a result in a CSV file is described: delays.csv, delays.noise.json."""
    return path.with_suffix(".noise.json")


def require_format(path: Path) -> None:
    """Raises `ResultFileError` unless the name of `path` says a format that can be written."""
    if path.suffix.lower() not in _SUFFIXES:
        raise ResultFileError(
            f"{path}: the name does not say which format, expected one of {', '.join(_SUFFIXES)}"
        )


def open_verified(
    sealed: bytes, receipt: bytes, *, expected: Expected, identity: Identity, roots: Anchors
) -> Result:
    """The result in `sealed` for `identity`, proved by `receipt`.

    Raises `FormatError`, `SealError`, `SignatureError`, `ReceiptError` or `AttestationError`.
    """
    verified = verify_receipt(receipt, roots=roots, agreement=expected.agreement)
    claims = verified.claims
    _require("run", claims.run_id.hex(), expected.run_id.hex())
    if expected.query is not None:
        _require("query", claims.query, expected.query)
    if expected.parameters is not None:
        _require("parameters", dict(claims.parameters), dict(expected.parameters))
    if identity.id not in claims.receivers:
        raise ReceiptMismatchError(f"receipt: does not name {identity.id} among its receivers")
    result = SealedResult.decode_untrusted(sealed)
    context = ResultContext(
        agreement_digest=claims.agreement_digest,
        enclave_id=claims.enclave_id,
        run_id=claims.run_id,
        receiver=identity.id,
    )
    if result.context != context:
        raise ReceiptMismatchError(
            "the sealed result belongs to another run, enclave or receiver than the receipt"
        )
    try:
        opened = open_result(result, key=identity.receiving_key)
    except SealError as error:
        raise SealError(
            f"the sealed result does not open for {identity.id}: {error.message}",
            hint="fetch it again; if it stays so, the coordinator hands out one that was not made for you",
        ) from error
    if result_digest(opened) != claims.result_digest:
        raise ReceiptMismatchError("receipt: is for another result than the one that was opened")
    return Result(table=_table(opened), receipt=verified, receipt_bytes=receipt)


def _csv(table: pa.Table) -> bytes:
    """Quotes where they are needed. pyarrow quotes every text and every name, or none and refuses those."""
    file = io.BytesIO()
    names = table.column_names
    # Without quotation marks an empty text would read like a null.
    texts = [column for column in table.columns if pa.types.is_string(column.type)]
    has_empty = any(pc.min(pc.binary_length(column)).as_py() == 0 for column in texts)
    if all(name.isidentifier() for name in names) and not has_empty:
        try:
            file.write((",".join(names) + "\n").encode())
            csv.write_csv(table, file, csv.WriteOptions(include_header=False, quoting_style="none"))
        except pa.ArrowInvalid:  # a text with a comma, a quotation mark or a line break
            file = io.BytesIO()
        else:
            return file.getvalue()
    csv.write_csv(table, file)
    return file.getvalue()


def _table(opened: bytes) -> pa.Table:
    try:
        table = ipc.open_stream(opened).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise FormatError(f"result: not an Arrow IPC stream ({type(error).__name__})") from error
    return table


def _require(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise ReceiptMismatchError(f"receipt: {what}: got {got}, expected {wanted}")
