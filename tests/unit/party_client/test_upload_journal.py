"""A journal on a disk that is full: said clearly, and what was written before is kept."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from party_client.sealing import SealingSecrets
from party_client.upload_journal import JournalError, create_journal, open_journal
from protos.formats import cose, hpke, sealed
from tests.world import PUBLISHER

TAG = bytes(range(16))


@contextmanager
def room_for(n_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond `n_bytes`: the nearest to a full disk that needs no privilege."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def upload() -> SealingSecrets:
    context = sealed.SealedContext(
        agreement_digest=bytes(48),
        enclave_id=bytes(16),
        party=PUBLISHER.id,
        dataset="visits",
        schema_digest=bytes(48),
        upload_id=bytes(16),
        compression="none",
    )
    key = os.urandom(sealed.KEY_BYTES)
    wrapped = hpke.seal(key, public_key=PUBLISHER.receiving_key.public_key, info=context.info())
    header = sealed.SealedHeader(context, wrapped)
    signed = cose.sign(header.encode(), typ=sealed.HEADER_LABEL, key=PUBLISHER.signing_key)
    return SealingSecrets(data_key=key, signed_header=signed, header=header)


def test_no_journal_is_left_where_a_whole_one_does_not_fit(tmp_path: Path, upload: SealingSecrets) -> None:
    path = tmp_path / "one.journal"
    with room_for(100), pytest.raises(JournalError, match="cannot be written") as refused:
        create_journal(path, upload, source=None)
    assert "free some space" in (refused.value.hint or "")
    assert not path.exists()


def test_tags_that_do_not_fit_are_written_when_there_is_room(tmp_path: Path, upload: SealingSecrets) -> None:
    path = tmp_path / "one.journal"
    with create_journal(path, upload, source=None) as journal:
        with room_for(path.stat().st_size + 20), pytest.raises(JournalError, match="cannot be written"):
            for number in range(3):
                journal.record(number, TAG)
                journal.sync()
        journal.sync()
    again = open_journal(path, signing_key=PUBLISHER.public.signing_key)
    assert again is not None
    with again:
        assert again.chunks == 2
