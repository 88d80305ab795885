"""A column of identifiers on its way to the enclave, and its tokens on the way back.

Each different identifier is sent once, in as few uses as its bounds allow, laid out as in a chunk of a
dataset; the column gets its tokens from those, whole columns at a time. A null has no token. Raises
`KeyInputError` and `KeyAnswerError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from party_client.datasets.buffers import text_bounds
from party_client.datasets.packing import packed
from party_client.keys.errors import KeyAnswerError, KeyInputError
from protos.formats.columns import encoded_bytes, write_columns
from protos.formats.key_ring import TOKEN_BYTES, VALUES_IN_USE_MAX, identifier_column
from protos.formats.limits import CELL_MAX_BYTES, KEY_INPUT_MAX_BYTES

if TYPE_CHECKING:
    from pandas import Series

_COLUMN: Final = identifier_column("none")
_BOUND_BYTES: Final = 4
_FRAME_BYTES: Final = 64
"""Of a chunk beside bounds and text: sizes, and what aligns the buffers."""


class Identifiers:
    """A column as it was given, and the different identifiers in it."""

    def __init__(self, values: Series[Any] | pa.Array[Any] | pa.ChunkedArray[Any]) -> None:
        encoded = _texts(values).dictionary_encode()
        self._codes: Final = encoded.indices
        self._different: Final[Any] = encoded.dictionary

    def __len__(self) -> int:
        """How many different ones there are: so many values are counted."""
        return len(self._different)

    def contents(self) -> Iterator[bytes]:
        """The inputs of the uses that it takes, one after another."""
        bounds = text_bounds(self._different)
        # What the identifiers before one take, as if all were in one chunk.
        taken = bounds - bounds[0] + _BOUND_BYTES * np.arange(len(bounds))
        start = 0
        while start < len(self):
            room = taken[start] + KEY_INPUT_MAX_BYTES - _FRAME_BYTES
            end = min(int(np.searchsorted(taken, room, side="right")) - 1, start + VALUES_IN_USE_MAX)
            yield _content(self._different.slice(start, end - start))
            start = end

    def with_tokens(self, outputs: Sequence[bytes]) -> pa.Array[Any]:
        """A token for each value of the column: 32 hexadecimal digits, or null."""
        tokens = b"".join(outputs)
        if len(tokens) != TOKEN_BYTES * len(self):
            raise KeyAnswerError(f"tokens: got {len(tokens)} bytes, expected {TOKEN_BYTES * len(self)}")
        octets: Any = np.frombuffer(tokens, np.uint8).reshape(-1, TOKEN_BYTES)
        digits = pa.py_buffer(tokens.hex().encode())
        fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(2 * TOKEN_BYTES), len(self), [None, digits])
        texts = fixed.cast(pa.binary()).cast(pa.string())
        compute: Any = pc
        has_token = pa.array(octets.any(axis=1).tolist(), pa.bool_())
        tokens_of: pa.Array[Any] = compute.if_else(has_token, texts, None).take(self._codes)
        return tokens_of


def _texts(values: Any) -> Any:
    is_arrow = isinstance(values, pa.Array | pa.ChunkedArray)
    try:
        array: Any = values if is_arrow else pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise KeyInputError("identifiers: cells of different types, expected text in all") from error
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    kind: Any = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if not any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)):
        raise KeyInputError(
            f"identifiers: got a column of {kind}, expected text",
            hint="tokens are made of text: write numbers and dates the way everybody writes them",
        )
    texts: Any = array.cast(pa.string())
    compute: Any = pc
    longest = compute.max(compute.binary_length(texts)).as_py() or 0
    if longest > CELL_MAX_BYTES:
        raise KeyInputError(f"identifiers: one has {longest} bytes, expected at most {CELL_MAX_BYTES}")
    return texts


def _content(texts: Any) -> bytes:
    buffers = [packed(_COLUMN, texts)]
    plaintext = bytearray(encoded_bytes((_COLUMN,), len(texts), buffers))
    write_columns((_COLUMN,), len(texts), buffers, memoryview(plaintext))
    return bytes(plaintext)
