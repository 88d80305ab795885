"""Of all records that anybody could put together, an enclave takes up one ledger, as it was written."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_compute.errors import RefusedError
from enclave_compute.state.chain import verified_heads
from enclave_compute.state.content import Content, StateKey
from enclave_compute.state.journal import Journal
from enclave_compute.state.offered import Offered
from protos.formats.errors import FormatError
from protos.formats.state import NOTHING_YET, LedgerEvent, StateRecord
from tests.conformance.formats.sample_kms import KEY_SERVICE, KMS_KEY
from tests.property.formats_strategies import edited

AGREEMENT, ENCLAVE = b"a" * 48, b"e" * 16
KEY = StateKey(b"k" * 32, [b"s" * 32])
ENTRIES = 5


def extended(records: list[bytes], head: bytes, life: bytes, count: int) -> tuple[list[bytes], bytes]:
    """`records` and `count` more of a life; the head after them."""
    place = StateRecord(AGREEMENT, ENCLAVE, life, len(records) + 1, KMS_KEY, b"blob", b"")
    journal, first = Journal(place, KEY), len(records)
    for number in range(first + 1, first + count + 1):
        event = LedgerEvent(AGREEMENT, ENCLAVE, number, head, "accepted", f"d{number}", life * 3)
        journal.write(Content(event.encode(), number))
        head = event.head()
    return [*records, *(journal.record(first + number + 1) for number in range(count))], head


@cache
def branches() -> tuple[list[bytes], list[bytes]]:
    """Two ledgers that begin alike: two lives went on from the same state."""
    common, head = extended([], NOTHING_YET, b"1" * 16, 2)
    one, _ = extended(common, head, b"2" * 16, ENTRIES - 2)
    other, _ = extended(common, head, b"3" * 16, ENTRIES - 2)
    return one, other


def taken_up(records: Sequence[bytes]) -> list[bytes]:
    """The entries that an enclave goes on with. Raises what it refuses with."""
    offered = Offered(AGREEMENT, KEY_SERVICE)
    for record in records:
        offered.add_untrusted(record)
    contents = [KEY.open_untrusted(record) for record in offered.records]
    verified_heads(contents, agreement_digest=AGREEMENT, enclave_id=ENCLAVE)
    return [content.entry for content in contents]


def test_both_branches_are_good() -> None:
    assert len(taken_up(branches()[0])) == len(taken_up(branches()[1])) == ENTRIES


@given(st.lists(st.sampled_from([0, 1]), min_size=ENTRIES, max_size=ENTRIES))
def test_entries_of_two_branches_are_no_ledger(choice: list[int]) -> None:
    mixed = [branches()[which][number] for number, which in enumerate(choice)]
    if mixed in branches():
        assert len(taken_up(mixed)) == ENTRIES
    else:
        with pytest.raises(RefusedError):
            taken_up(mixed)


@given(st.lists(st.sampled_from(range(2 * ENTRIES)), max_size=8))
def test_what_is_taken_up_is_the_beginning_of_a_branch(numbers: list[int]) -> None:
    """Left out, doubled, in another order: whatever is not refused is a prefix, as it was written."""
    everything = [record for branch in branches() for record in branch]
    try:
        entries = taken_up([everything[number] for number in numbers])
    except RefusedError:
        return
    assert any(entries == taken_up(branch)[: len(entries)] for branch in branches())


@settings(deadline=None)
@given(st.data(), st.integers(0, ENTRIES - 1))
def test_a_changed_record_is_never_taken_up(data: st.DataObject, number: int) -> None:
    records = list(branches()[0])
    records[number] = data.draw(edited(records[number]))
    with pytest.raises((RefusedError, FormatError)):
        taken_up(records)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=2), st.binary(min_size=32, max_size=32))
def test_no_other_key_opens_a_record(shares: list[bytes], data_key: bytes) -> None:
    record = StateRecord.decode_untrusted(branches()[0][0])
    if data_key + b"".join(shares) != b"k" * 32 + b"s" * 32:
        with pytest.raises(RefusedError):
            StateKey(data_key, shares).open_untrusted(record)


def test_two_lives_never_seal_under_one_key_and_nonce() -> None:
    """What a stream cipher seals twice alike shows both: two branches write at the same places."""
    content = Content(b"the same entry", 0)
    records = [
        KEY.seal(StateRecord(AGREEMENT, ENCLAVE, life * 16, 3, "arn", b"blob", b""), content)
        for life in (b"2", b"3")
    ]
    assert records[0].sealed[:-16] != records[1].sealed[:-16]
