"""What a party has seen of an enclave's state is kept, and never replaced by something older."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from party_client.state_memory import (
    SeenEntry,
    StateForkedError,
    StateMemory,
    StatementMeanwhileError,
    Witnessed,
)
from protos.formats.errors import FormatError
from protos.formats.state import NOTHING_YET

ENCLAVE, OTHER = b"e" * 16, b"o" * 16


def head(number: int) -> bytes:
    return number.to_bytes(48, "big")


def test_the_newest_entry_is_remembered_for_each_enclave(tmp_path: Path) -> None:
    memory = StateMemory(tmp_path / "states", b"a" * 48)
    assert memory.newest(ENCLAVE) == SeenEntry(0, NOTHING_YET)
    for sequence in (3, 7, 5):
        memory.saw(ENCLAVE, sequence=sequence, head=head(sequence))
    memory.saw(ENCLAVE, sequence=0, head=NOTHING_YET)
    again = StateMemory(tmp_path / "states", b"a" * 48)
    assert again.newest(ENCLAVE) == SeenEntry(7, head(7))
    assert again.newest(OTHER).sequence == 0
    assert StateMemory(tmp_path / "states", b"b" * 48).newest(ENCLAVE).sequence == 0


def test_another_entry_in_the_same_place_is_a_fork(tmp_path: Path) -> None:
    memory = StateMemory(tmp_path, b"a" * 48)
    memory.saw(ENCLAVE, sequence=3, head=head(3))
    memory.saw(ENCLAVE, sequence=3, head=head(3))
    with pytest.raises(StateForkedError, match="entry 3"):
        memory.saw(ENCLAVE, sequence=3, head=head(4))
    with pytest.raises(StateForkedError, match="entry 3"):
        memory.saw(ENCLAVE, sequence=4, head=head(4), previous=head(9))
    memory.saw(ENCLAVE, sequence=9, head=head(9), previous=head(8))  # what lies between is not known
    assert memory.newest(ENCLAVE).sequence == 9


def test_statements_are_remembered(tmp_path: Path) -> None:
    memory = StateMemory(tmp_path, b"a" * 48)
    assert memory.witnessed() is None
    last = None
    for statement in (Witnessed(ENCLAVE, ENCLAVE, None), Witnessed(ENCLAVE, OTHER, ENCLAVE)):
        memory.will_witness(statement, last=last)
        assert memory.witnessed() == statement
        last = statement


def test_of_two_statements_at_once_one_is_made(tmp_path: Path) -> None:
    memory = StateMemory(tmp_path, b"a" * 48)

    def say(life: bytes) -> bool:
        with contextlib.suppress(StatementMeanwhileError):
            memory.will_witness(Witnessed(ENCLAVE, life, None), last=None)
            return True
        return False

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(say, [bytes([life]) * 16 for life in range(20)])) == 1


def test_two_commands_at_once_leave_the_newer(tmp_path: Path) -> None:
    memory = StateMemory(tmp_path, b"a" * 48)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: memory.saw(ENCLAVE, sequence=n, head=head(n)), range(1, 60)))
    assert memory.newest(ENCLAVE) == SeenEntry(59, head(59))


def test_a_damaged_file_is_an_error_and_no_memory_is_made_up(tmp_path: Path) -> None:
    memory = StateMemory(tmp_path, b"a" * 48)
    memory.saw(ENCLAVE, sequence=3, head=head(3))
    (path,) = tmp_path.glob("*.seen")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FormatError):
        memory.saw(ENCLAVE, sequence=4, head=head(4))
