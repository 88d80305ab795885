"""Pseudonyms for a column of identifiers: equal ones get equal tokens, and without the key nobody makes one.

Reads a column that the asker laid out as a chunk of a dataset is (`protos.formats.columns`); it is checked
and normalised by the very code that reads datasets, so that two parties' tokens meet where their rows would
join. A token is HMAC-SHA-256 of the normalised text in UTF-8, cut to 16 bytes; an empty text has none and
gets zeros.
"""

from __future__ import annotations

import hmac
import threading
from typing import Final

import duckdb

from enclave_compute.columnar import decode_chunk_untrusted, insert_expression
from enclave_compute.engine import locked_connection, refusing
from enclave_compute.errors import RefusedError
from protos.formats.calls import Refusal
from protos.formats.key_ring import TOKEN_BYTES, VALUES_IN_USE_MAX, identifier_column

_MEMORY_MIB: Final = 64
_NO_TOKEN: Final = bytes(TOKEN_BYTES)
_IDENTIFIERS: Final = "_identifiers"


class Normaliser:
    """An engine of its own, of one thread, in which identifiers are read; it sees no key and no dataset."""

    def __init__(self) -> None:
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._lock = threading.Lock()

    def read_untrusted(self, content: bytes, *, normalise: str) -> list[str]:
        """The identifiers in `content`, normalised, in their order. Raises `RefusedError`."""
        column = identifier_column(normalise)
        chunk = decode_chunk_untrusted((column,), content)
        if not 1 <= chunk.rows <= VALUES_IN_USE_MAX:
            raise RefusedError(Refusal.OVER_LIMIT, f"{chunk.rows} identifiers in one use")
        value = insert_expression(column, has_dictionary=bool(chunk.dictionaries))
        with self._lock, refusing(Refusal.SCHEMA_MISMATCH):
            if self._connection is None:
                self._connection = locked_connection(_MEMORY_MIB, 1, keeps_order=True)
            self._connection.register(_IDENTIFIERS, chunk)
            try:
                rows = self._connection.execute(f"SELECT {value} FROM {_IDENTIFIERS}").fetchall()  # noqa: S608
            finally:
                self._connection.unregister(_IDENTIFIERS)
        return [identifier for (identifier,) in rows]


def tokens(key: bytes, identifiers: list[str]) -> bytes:
    """`TOKEN_BYTES` for each of `identifiers`, end to end.

    One by one, because an HMAC is: the key is hashed once, and copying that costs half of hashing it again.
    """
    keyed = hmac.new(key, digestmod="sha256")
    made = bytearray()
    for identifier in identifiers:
        if not identifier:
            made += _NO_TOKEN
            continue
        one = keyed.copy()
        one.update(identifier.encode())
        made += one.digest()[:TOKEN_BYTES]
    return bytes(made)
