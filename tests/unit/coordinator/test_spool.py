from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.errors import BadRequestError, DiskFullError, OutOfOrderError, StateError
from coordinator.spool import Spool, delete_spool, delete_spools
from protos.formats.limits import CHUNK_CIPHERTEXT_MAX_BYTES

CHUNKS = [bytes([number]) * (100 + number) for number in range(5)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "job"


def filled(folder: Path, *, chunks: list[bytes] = CHUNKS, complete: bool = True) -> Spool:
    spool = Spool(folder, "u")
    for number, chunk in enumerate(chunks):
        spool.append(number, chunk, last=complete and number == len(chunks) - 1)
    spool.commit()
    return spool


def contents(spool: Spool) -> list[tuple[bytes, bool]]:
    return [(chunk.sealed, chunk.last) for chunk in map(spool.read, range(spool.durable))]


def test_what_was_committed_is_read_back(folder: Path) -> None:
    spool = filled(folder)
    assert contents(spool) == [(chunk, chunk == CHUNKS[-1]) for chunk in CHUNKS]
    assert (spool.appended, spool.durable, spool.complete) == (5, 5, True)
    assert spool.stored_bytes == sum(map(len, CHUNKS))


def test_nothing_is_durable_before_it_is_committed(folder: Path) -> None:
    spool = Spool(folder, "u")
    spool.append(0, CHUNKS[0], last=False)
    assert (spool.appended, spool.durable) == (1, 0)
    assert spool.commit() == 1


def test_reopening_gives_exactly_what_was_committed(folder: Path) -> None:
    spool = filled(folder, complete=False)
    spool.append(5, b"not committed" * 10, last=True)
    again = Spool(folder, "u")
    assert contents(again) == [(chunk, False) for chunk in CHUNKS]
    assert (again.complete, again.stored_bytes) == (False, sum(map(len, CHUNKS)))
    again.append(5, CHUNKS[0], last=True)
    again.commit()
    assert contents(Spool(folder, "u"))[-1] == (CHUNKS[0], True)


def cut_index(index: bytes) -> bytes:
    return index[:-3]


def zero_last_entry(index: bytes) -> bytes:
    return index[:-8] + bytes(8)


def point_beyond_the_file(index: bytes) -> bytes:
    return index[:-8] + (2**40 << 1).to_bytes(8, "big")


@pytest.mark.parametrize("damage", [cut_index, zero_last_entry, point_beyond_the_file])
def test_a_damaged_index_entry_costs_what_comes_after_it_and_no_more(
    folder: Path, damage: Callable[[bytes], bytes]
) -> None:
    filled(folder)
    index = folder / "u.index"
    index.write_bytes(damage(index.read_bytes()))
    again = Spool(folder, "u")
    assert contents(again) == [(chunk, False) for chunk in CHUNKS[:-1]]
    assert (folder / "u.chunks").stat().st_size == sum(map(len, CHUNKS[:-1]))
    assert index.stat().st_size == 8 * 4


def test_chunks_that_the_disk_lost_are_not_vouched_for(folder: Path) -> None:
    filled(folder)
    os.truncate(folder / "u.chunks", len(CHUNKS[0]) + 1)
    assert contents(Spool(folder, "u")) == [(CHUNKS[0], False)]


@pytest.mark.parametrize("number", [4, 6, 2**64 - 1])
def test_a_gap_or_a_repeat_is_refused(folder: Path, number: int) -> None:
    spool = filled(folder, complete=False)
    with pytest.raises(OutOfOrderError, match="expected chunk 5"):
        spool.append(number, b"x" * 20, last=False)


def test_nothing_comes_after_the_last_chunk(folder: Path) -> None:
    spool = filled(folder)
    with pytest.raises(BadRequestError, match="after the last"):
        spool.append(5, b"x" * 20, last=False)


@pytest.mark.parametrize("n_bytes", [0, 16, CHUNK_CIPHERTEXT_MAX_BYTES + 1])
def test_a_chunk_of_a_size_that_no_chunk_has_is_refused(folder: Path, n_bytes: int) -> None:
    with pytest.raises(BadRequestError, match=f"got {n_bytes} bytes"):
        Spool(folder, "u").append(0, bytes(n_bytes), last=False)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_in_the_middle_of_a_chunk_leaves_no_trace(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    spool = filled(folder, complete=False)
    size = (folder / "u.chunks").stat().st_size
    pwrite = os.pwrite

    def half_then_full(descriptor: int, data: memoryview, offset: int) -> int:
        if offset > size:
            raise OSError(number, os.strerror(number))
        return pwrite(descriptor, data[: len(data) // 2], offset)

    monkeypatch.setattr(os, "pwrite", half_then_full)
    with pytest.raises(DiskFullError, match="no space left"):
        spool.append(5, b"x" * 100, last=True)
    monkeypatch.undo()
    assert (folder / "u.chunks").stat().st_size == size
    assert (spool.appended, spool.complete, spool.stored_bytes) == (5, False, size)
    spool.append(5, b"x" * 100, last=True)
    assert spool.commit() == 6


def test_a_chunk_whose_commit_fails_is_committed_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(folder, "u")
    spool.append(0, CHUNKS[0], last=True)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(StateError, match="Input/output error"):
        spool.commit()
    assert spool.durable == 0
    monkeypatch.undo()
    assert spool.commit() == 1
    assert contents(Spool(folder, "u")) == [(CHUNKS[0], True)]


def test_a_deleted_spool_can_still_be_read_by_who_holds_it(folder: Path) -> None:
    spool = filled(folder)
    delete_spool(folder, "u")
    assert list(folder.iterdir()) == []
    assert spool.read(0).sealed == CHUNKS[0]


def test_giving_back_memory_changes_nothing_that_is_read(folder: Path) -> None:
    chunks = [os.urandom(5000) for _ in range(40)]
    spool = filled(folder, chunks=chunks)
    for number in range(41):
        spool.taken(number)
    assert [sealed for sealed, _ in contents(spool)] == chunks


def test_only_spools_of_living_jobs_are_kept(tmp_path: Path) -> None:
    for job in ("living", "over"):
        filled(tmp_path / job)
    delete_spools(tmp_path, but_of={"living"})
    assert [path.name for path in tmp_path.iterdir()] == ["living"]
    delete_spools(tmp_path / "missing", but_of=set())
