from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from coordinator.launchers import bounded_console
from coordinator.launchers.bounded_console import HEAD_BYTES, TAIL_BYTES, BoundedConsole

MOST_BYTES = HEAD_BYTES + TAIL_BYTES + 64


def kept(path: Path, parts: list[bytes], *, flush_each: bool = False) -> bytes:
    with BoundedConsole(path) as console:
        for part in parts:
            console.write(part)
            if flush_each:
                console.flush()
                assert path.stat().st_size <= MOST_BYTES
    return path.read_bytes()


def test_what_fits_is_kept_whole(tmp_path: Path) -> None:
    parts = [b"a" * HEAD_BYTES, b"b" * TAIL_BYTES]
    assert kept(tmp_path / "console", parts) == b"".join(parts)


def test_of_more_the_two_ends_are_kept_and_the_rest_is_counted(tmp_path: Path) -> None:
    parts = [b"a" * HEAD_BYTES, b"x" * 1_000_000, b"b" * TAIL_BYTES]
    text = kept(tmp_path / "console", parts)
    assert text == parts[0] + b"\n[1000000 bytes of the console dropped]\n" + parts[2]


def test_it_goes_on_behind_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "console").write_bytes(b"before\n")
    assert kept(tmp_path / "console", [b"after"]) == b"before\nafter"


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=30), st.booleans())
def test_however_it_comes_the_ends_are_kept(parts: list[bytes], flush_each: bool) -> None:
    import tempfile
    from unittest.mock import patch

    everything = b"".join(parts)
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(bounded_console, "HEAD_BYTES", 16),
        patch.object(bounded_console, "TAIL_BYTES", 32),
    ):
        text = kept(Path(folder) / "console", parts, flush_each=flush_each)
    dropped = max(0, len(everything) - 16 - 32)
    note = b"\n[%d bytes of the console dropped]\n" % dropped if dropped else b""
    assert text == everything[:16] + note + everything[16 + dropped :]
    assert len(re.findall(rb"bytes of the console dropped", text)) == bool(dropped)
