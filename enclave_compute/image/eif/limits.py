"""How large the parts of an image file may be. Sizes are of the content, without the section header."""

from __future__ import annotations

from typing import Final

MIB: Final = 2**20
BUFFER_BYTES: Final = MIB
"""Read and written at once: whatever the size of a file, this much of it is in memory."""

MAX_FILE_BYTES: Final = 16 * 2**30
"""An enclave needs four times its image file in memory; this would need 64 GiB."""
MIN_SECTIONS: Final = 4
"""Kernel, command line, metadata and one ramdisk."""
MAX_SECTIONS: Final = 32
MAX_COMMAND_LINE_BYTES: Final = 2047
"""The kernel cuts off the rest: COMMAND_LINE_SIZE is 2048 with the final zero, on x86_64 and aarch64."""
MAX_METADATA_BYTES: Final = MIB
MAX_SIGNATURE_BYTES: Final = 32768
"""SIGNATURE_MAX_SIZE of the specification."""
