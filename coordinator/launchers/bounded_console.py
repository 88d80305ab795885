"""What is kept of an enclave's console: its beginning and its end, whatever it prints in between.

The console is whatever the enclave writes, which may be anything and never end: the first part shows how it
started, the last part what happened in the end, and a line between them says how much was dropped. Neither
memory nor the file grows beyond that.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Final

from protos.formats.limits import KIB

HEAD_BYTES: Final = 64 * KIB
TAIL_BYTES: Final = 256 * KIB


class BoundedConsole:
    """A file with the first `HEAD_BYTES` and the last `TAIL_BYTES` of what is written. For one thread.

    The end of it is brought up to date by `flush`, and when it is closed.
    """

    def __init__(self, path: Path) -> None:
        """Goes on behind what the file has already."""
        path.touch(mode=0o600)
        self._file = path.open("r+b", buffering=0)
        self._head_left_bytes = HEAD_BYTES
        self._tail = bytearray()
        self._tail_starts_at = self._file.seek(0, 2)
        self._dropped_bytes = 0
        self._is_stale = False

    def __enter__(self) -> BoundedConsole:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Take more of the console."""
        head, rest = data[: self._head_left_bytes], data[self._head_left_bytes :]
        if head:
            self._file.seek(self._tail_starts_at)
            self._file.write(head)
            self._tail_starts_at += len(head)
            self._head_left_bytes -= len(head)
        if rest:
            self._tail += rest
            self._is_stale = True
            if len(self._tail) > 2 * TAIL_BYTES:
                self._cut()

    def flush(self) -> None:
        """Write the end as it is now behind the beginning."""
        if not self._is_stale:
            return
        self._cut()
        self._file.seek(self._tail_starts_at)
        self._file.truncate()
        if self._dropped_bytes:
            self._file.write(b"\n[%d bytes of the console dropped]\n" % self._dropped_bytes)
        self._file.write(self._tail)
        self._is_stale = False

    def close(self) -> None:
        """Write the end and close the file."""
        try:
            self.flush()
        finally:
            self._file.close()

    def _cut(self) -> None:
        surplus_bytes = len(self._tail) - TAIL_BYTES
        if surplus_bytes > 0:
            del self._tail[:surplus_bytes]
            self._dropped_bytes += surplus_bytes
