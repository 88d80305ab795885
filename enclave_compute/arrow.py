"""Builds the one kind of Arrow array that nanoarrow has no constructor for: codes with a dictionary.

Memory is handed over as the Arrow C data interface says ("Moving an array"): the structure is copied, and the
original is marked released. Takes arrays of ours only; whether the codes fit the dictionary has been checked
before (`protos.formats.columns`).
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

import nanoarrow as na


class _ArrowArray(ctypes.Structure):
    """`struct ArrowArray` of the Arrow C data interface: a stable ABI."""

    _fields_ = (
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ctypes.c_void_p),
        ("children", ctypes.c_void_p),
        ("dictionary", ctypes.c_void_p),
        ("release", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("private_data", ctypes.c_void_p),
    )


_NEVER_RELEASED: Final = type(_ArrowArray().release)()


def dictionary_array(rows: int, codes: Any, dictionary: Any, *, valid: Any = None) -> Any:
    """An array of `rows` one-byte `codes` into `dictionary`, which is used up."""
    layout = na.dictionary(na.uint8(), dictionary.schema)
    array = na.c_array_from_buffers(layout, rows, [valid, codes], validation_level="none")
    source = _ArrowArray.from_address(dictionary._addr())
    place = _ArrowArray.from_address(array.dictionary._addr())
    place.release(ctypes.addressof(place))  # what nanoarrow put there: an array of nothing
    ctypes.memmove(ctypes.addressof(place), ctypes.addressof(source), ctypes.sizeof(_ArrowArray))
    source.release = _NEVER_RELEASED
    return array
