"""Undoes zstd within a bound: a megabyte can say that it is thirty gigabytes of zeros, and is not believed.

Reads bytes that a party made. Exactly one frame, which ends where the bytes end (RFC 8878). The library is
Python's own `compression.zstd`, before 3.14 its backport. Raises `RefusedError`.
"""

from __future__ import annotations

import sys

from enclave_compute.errors import RefusedError
from protos.formats.calls import Refusal

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError


def decompress_untrusted(data: bytes, *, max_bytes: int) -> bytes:
    """What `data` was compressed from: 1 to `max_bytes` bytes. Raises `RefusedError`."""
    decompressor = ZstdDecompressor()
    try:
        plain = decompressor.decompress(data, max_length=max_bytes + 1)
    except (ZstdError, EOFError, MemoryError):
        raise RefusedError(Refusal.SCHEMA_MISMATCH, "a chunk that is not a zstd frame") from None
    if len(plain) > max_bytes:
        raise RefusedError(Refusal.OVER_LIMIT, f"a chunk of more than {max_bytes} bytes once decompressed")
    if not decompressor.eof or decompressor.unused_data:
        raise RefusedError(Refusal.SCHEMA_MISMATCH, "a chunk that is not one whole zstd frame")
    return plain
