"""Turns columns of 32 hexadecimal digits into 16 bytes each, whole blocks at a time.

Upper and lower case are the same key. Works on the buffers of an Arrow array; a single row is looked at only
in a block in which something is not a digit.
"""

from __future__ import annotations

import binascii
from typing import Any, Final

import numpy as np
import pyarrow as pa

from party_client.datasets.buffers import Mask, Octets, fixed_width_octets, valid
from party_client.datasets.columns import HEX_BYTES, HEX_DIGITS

_ZERO: Final = ord("0")


def decode(digits: pa.Array[Any]) -> tuple[pa.Array[Any], Mask | None]:
    """16-byte values for an array of 32-byte digits, and which rows were no digits (None when none).

    Nulls stay null.
    """
    text = fixed_width_octets(digits, HEX_DIGITS)
    bad = None
    try:
        packed = binascii.a2b_hex(text.data)
    except binascii.Error:
        rows = text.reshape(-1, HEX_DIGITS)
        good: Mask = np.all(_are_digits(rows), axis=1)
        packed = binascii.a2b_hex(np.where(good[:, np.newaxis], rows, _ZERO).tobytes())
        bad = valid(digits) & ~good  # the bytes under a null are arbitrary
    decoded = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(HEX_BYTES),
        len(digits),
        [_validity(digits), pa.py_buffer(packed)],
        null_count=digits.null_count,
    )
    return decoded, bad if bad is not None and bad.any() else None


def _are_digits(text: Octets) -> Mask:
    # Bytes wrap around: one comparison tests both ends of a range.
    are: Mask = (text - 0x30 < 10) | ((text | 0x20) - 0x61 < 6)
    return are


def _validity(digits: pa.Array[Any]) -> pa.Buffer | None:
    """The validity bitmap from bit 0 on: a slice's bitmap starts in the middle of a byte."""
    if not digits.null_count:
        return None
    return pa.py_buffer(np.packbits(valid(digits), bitorder="little").data)
