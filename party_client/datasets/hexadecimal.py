"""Turns columns of 32 hexadecimal digits into 16 bytes each, whole blocks at a time.

Upper and lower case are the same key. Works on the buffers of an Arrow array; nothing here looks at one row.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from party_client.datasets.buffers import Mask, Octets, fixed_width_octets, valid
from party_client.datasets.columns import HEX_BYTES, HEX_DIGITS
from protos.formats.limits import KIB

_BLOCK_BYTES: Final = 128 * KIB
"""Decoded at once: the intermediate arrays stay in the processor's cache."""


def decode(digits: pa.Array[Any]) -> tuple[pa.Array[Any], Mask | None]:
    """16-byte values for an array of 32-byte digits, and which rows were no digits (None when none).

    Nulls stay null.
    """
    text = fixed_width_octets(digits, HEX_DIGITS)
    packed = np.empty(len(text) // 2, dtype=np.uint8)
    all_digits = True
    for start in range(0, len(text), _BLOCK_BYTES):
        block = text[start : start + _BLOCK_BYTES]
        packed[start // 2 : (start + len(block)) // 2] = _packed(block)
        all_digits = all_digits and bool(_are_digits(block).all())
    bad = None if all_digits else _rows_without_digits(digits, text)
    decoded = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(HEX_BYTES),
        len(digits),
        [_validity(digits), pa.py_buffer(packed.data)],
        null_count=digits.null_count,
    )
    return decoded, bad


def _packed(text: Octets) -> Octets:
    """Half as many bytes; meaningless where `text` is not digits."""
    is_letter = (text >> 6) & 1  # 0x41.. and 0x61.. have this bit, 0x30..0x39 do not
    nibbles = (text & 0x0F) + is_letter * np.uint8(9)
    pairs = nibbles.view("<u2")
    return ((pairs << 4) | (pairs >> 8)).astype(np.uint8)


def _are_digits(text: Octets) -> Mask:
    # Bytes wrap around: one comparison tests both ends of a range.
    are: Mask = (text - 0x30 < 10) | ((text | 0x20) - 0x61 < 6)
    return are


def _rows_without_digits(digits: pa.Array[Any], text: Octets) -> Mask | None:
    good = _are_digits(text).reshape(-1, HEX_DIGITS).all(axis=1)
    bad = valid(digits) & ~good  # the bytes under a null are arbitrary
    return bad if bad.any() else None


def _validity(digits: pa.Array[Any]) -> pa.Buffer | None:
    """The validity bitmap from bit 0 on: a slice's bitmap starts in the middle of a byte."""
    if not digits.null_count:
        return None
    return pa.py_buffer(np.packbits(valid(digits), bitorder="little").data)
