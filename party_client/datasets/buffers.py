"""Looks at the memory of Arrow arrays as numpy arrays, without copying (Arrow columnar format, "Buffers")."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Octets = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def fixed_width_octets(values: pa.Array[Any], width_bytes: int) -> Octets:
    """The values of a fixed-width array one after the other; under a null they are arbitrary."""
    start = values.offset * width_bytes
    return _octets(values.buffers()[1])[start : start + len(values) * width_bytes]


def text_bounds(values: pa.Array[Any]) -> npt.NDArray[np.int32]:
    """Where each text of a `string` array begins in its data, and where the last ends: one more than rows."""
    bounds = _octets(values.buffers()[1]).view(np.int32)
    if len(bounds) == 0:  # an empty array may come without offsets
        return np.zeros(1, dtype=np.int32)
    return bounds[values.offset : values.offset + len(values) + 1]


def text_octets(values: pa.Array[Any]) -> Octets:
    """The bytes of all texts, to be cut at `text_bounds`."""
    return _octets(values.buffers()[2])


def valid(values: pa.Array[Any]) -> Mask:
    """Which rows are not null."""
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)


def _octets(buffer: pa.Buffer | None) -> Octets:
    if buffer is None:
        return np.zeros(0, dtype=np.uint8)
    return np.frombuffer(cast(Any, buffer), dtype=np.uint8)  # the type stubs do not know that it is a buffer
