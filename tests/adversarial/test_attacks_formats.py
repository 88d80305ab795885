"""Attacks that the formats alone have to stop, whoever plays them: row numbers are the threat model's.

The attacker here holds every byte that ever went over the wire, honest uploads of several lives included, and
may hand any of it to any reader. It has no party's and no enclave's private key.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import cbor2
import pytest

from protos.formats.agreement import Agreement
from protos.formats.approvals import verify_approval_untrusted, verify_approvals_untrusted
from protos.formats.canonical import decode_untrusted, encode
from protos.formats.errors import FormatError, SignatureError
from protos.formats.limits import MIB
from tests.conformance.formats.readers import READERS
from tests.conformance.formats.refused import SHARED_VALUES, Refused, cases
from tests.conformance.formats.sample_kms import KEY_SERVICE, STATE_TERMS
from tests.conformance.formats.sample_people import derived
from tests.conformance.formats.samples import (
    AIRLINE,
    STRANGER,
    WEATHER,
    agreement,
    approval,
    approvals,
    messages,
)


def big_bignum(length: int) -> bytes:
    return b"\xc2\x5a" + length.to_bytes(4, "big") + b"\xff" * length


# Each of the first five kept cbor2 6.3 busy for more than twenty seconds, or ended the process by memory.
BOMBS = {
    "a decimal with a mantissa of 900,000 bytes": b"\xc4\x82\x0a" + big_bignum(900_000),
    "a bigfloat with a mantissa of 900,000 bytes": b"\xc5\x82\x00" + big_bignum(900_000),
    "shared values in shared values": SHARED_VALUES,
    "65,535 references to one text of 60,000": (
        b"\xd9\x01\x00\x82\x79\xea\x60" + b"a" * 60_000 + b"\x99\xff\xff" + b"\xd8\x19\x00" * 65_535
    ),
    "60,000 keys with one hash": (
        b"\xb9\xea\x60"
        + b"".join(
            b"\xc2\x4a" + (number * (2**61 - 1) * 8).to_bytes(10, "big") + b"\x00"
            for number in range(10, 60_010)
        )
    ),
    "a million empty lists": b"\x9a\x00\x0f\x42\x3b" + b"\x80" * 999_995,
    "half a million levels": b"\x81" * 500_000 + b"\x00",
    "a list of 2^62 items": b"\x9b\x40" + bytes(7),
    "a text of 4 GiB": b"\x7a\xff\xff\xff\xff" + b"a" * 1000,
}


def leaves(value: object, known: dict[int, int]) -> int:
    """How many values a reader meets in `value` that goes into a shared list each time."""
    if not isinstance(value, list):
        return 1
    if id(value) not in known:
        known[id(value)] = sum(leaves(item, known) for item in value)
    return known[id(value)]


def test_attack_07_a_general_decoder_alone_is_not_enough() -> None:
    assert len(SHARED_VALUES) < 1000
    assert leaves(cbor2.loads(SHARED_VALUES), {}) > 10**16


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("wrap", [b"", b"\xa1\x65label"], ids=["alone", "in a message"])
def test_attack_07_few_bytes_that_stand_for_many(bomb: bytes, wrap: bytes) -> None:
    started_s = time.process_time()
    with pytest.raises(FormatError):
        decode_untrusted(wrap + bomb, max_bytes=2 * MIB, what="message")
    assert time.process_time() - started_s < 2


@pytest.mark.parametrize(
    "case", [case for case in cases() if case.format == "cbor"], ids=lambda case: case.what
)
@pytest.mark.parametrize("name", sorted(READERS.keys() - {"padded-result"}))
def test_attack_07_lax_cbor_in_every_format(name: str, case: Refused) -> None:
    """No reader has a second, laxer way in: each refuses what the one decoder refuses."""
    frame_prefix = len(case.message).to_bytes(2, "big") + bytes(4) if name == "frame" else b""
    with pytest.raises(FormatError):
        READERS[name](frame_prefix + case.message)


@pytest.mark.parametrize("name", ["agreement", "key-bundle", "manifest", "run-request", "claims", "receipt"])
def test_attack_07_the_same_values_in_other_bytes(name: str) -> None:
    """A message with its keys turned round, or with a longer length, says the same and is refused."""
    good = messages()[name]
    fields: dict[str, Any] = decode_untrusted(good, max_bytes=MIB, what=name)
    pairs = [encode(key) + encode(value) for key, value in fields.items()]
    turned = good[:1] + b"".join(reversed(pairs))
    longer = b"\xb8" + bytes([len(pairs)]) + b"".join(pairs)
    indefinite = b"\xbf" + b"".join(pairs) + b"\xff"
    twice = bytes([good[0] + 1]) + b"".join([*pairs, pairs[-1]])
    assert good == good[:1] + b"".join(pairs)
    for other in (turned, longer, indefinite, twice, good + b"\x00", good + good):
        with pytest.raises(FormatError):
            READERS[name](other)


def changed_agreements() -> dict[str, Agreement]:
    """What somebody might want changed after the others have signed."""
    agreed = agreement()
    flights, query = agreed.datasets[0], agreed.queries[0]
    open_column = replace(flights.columns[4], uses=frozenset({"group"}))
    more_uses = replace(flights, columns=(*flights.columns[:4], open_column))
    release, (signing, tokens) = agreed.releases[0], agreed.keys
    mine = STRANGER.participant()
    new_release = replace(release, name="0.1.1", pcr0=derived("new image", 48))
    return {
        "another member": replace(agreed, parties=(*agreed.parties, mine)),
        "a member fewer": replace(
            agreed,
            parties=agreed.parties[:1],
            datasets=agreed.datasets[:1],
            release_quorum=1,
            state=None,
            keys=agreed.keys[:1],
        ),
        "a key more people may use": replace(
            agreed, keys=(replace(signing, used_by=("airline", "analyst")), tokens)
        ),
        "a key that needs no consent": replace(agreed, keys=(replace(signing, approved_by=()), tokens)),
        "tokens of more people": replace(agreed, keys=(signing, replace(tokens, max_values=5001))),
        "one key fewer": replace(agreed, keys=(signing,)),
        "another witness": replace(agreed, state=replace(STATE_TERMS, witnesses=("weather",))),
        "another key service": replace(
            agreed, state=replace(STATE_TERMS, kms=replace(KEY_SERVICE, account="999999999999"))
        ),
        "fewer who change releases": replace(agreed, release_quorum=1),
        "a release for longer": replace(agreed, releases=(replace(release, valid_until_s=None),)),
        "another key of a member": replace(
            agreed, parties=(replace(mine, id="airline", name="Airline"), agreed.parties[1])
        ),
        "another key for results": replace(
            agreed, analysts=(replace(agreed.analysts[0], receiving_key=mine.receiving_key),)
        ),
        "another analyst": replace(agreed, analysts=(*agreed.analysts, mine)),
        "another receiver": replace(agreed, queries=(replace(query, receivers=("airline", "weather")),)),
        "another query": replace(agreed, queries=(replace(query, sql=query.sql + "\nLIMIT 1"),)),
        "more runs": replace(agreed, queries=(replace(query, max_runs=6),)),
        "a lower threshold": replace(agreed, datasets=(replace(flights, threshold=9), *agreed.datasets[1:])),
        "more uses of a column": replace(agreed, datasets=(more_uses, *agreed.datasets[1:])),
        "another image": replace(agreed, releases=(replace(release, pcr0=derived("other image", 48)),)),
        "another root": replace(agreed, releases=(replace(release, root_sha256=derived("other root", 32)),)),
        "one image more": replace(agreed, releases=(release, new_release)),
        "more time": replace(agreed, valid_until_s=agreed.valid_until_s + 1),
        "a chattier console": replace(agreed, logged="phases"),
        "another order": replace(agreed, parties=agreed.parties[::-1]),
    }


@pytest.mark.parametrize("change", changed_agreements())
def test_attack_10_genuine_image_under_another_agreement(change: str) -> None:
    """Whatever changes what the enclave does changes the digest, which PCR16 and user_data carry."""
    other = changed_agreements()[change]
    assert Agreement.decode_untrusted(other.encode()) == other
    assert other.digest() != agreement().digest()


@pytest.mark.parametrize("change", changed_agreements())
def test_attack_35_approval_of_a_text_that_changed_afterwards(change: str) -> None:
    other = changed_agreements()[change]
    with pytest.raises(SignatureError):
        verify_approvals_untrusted(other, approvals())
    for message in approvals():
        with pytest.raises(SignatureError):
            verify_approval_untrusted(other, message)


def signed_positions(encoded: bytes) -> list[int]:
    """Every position but those inside the long receiving keys, of which every hundredth."""
    people = (*agreement().parties, *agreement().analysts)
    starts = [encoded.index(person.receiving_key) for person in people]
    inside = {at for start in starts for at in range(start, start + len(people[0].receiving_key))}
    return [at for at in range(len(encoded)) if at not in inside or at % 100 == 0]


def test_attack_35_every_byte_of_an_agreement_is_signed() -> None:
    """Each byte in turn, a bit of it flipped: not an agreement any more, or one that nobody approved."""
    encoded, readable = agreement().encode(), 0
    for index in signed_positions(encoded):
        flipped = bytearray(encoded)
        flipped[index] ^= 1
        try:
            other = Agreement.decode_untrusted(bytes(flipped))
        except FormatError:
            continue
        readable += 1
        assert other.encode() == flipped != encoded
        with pytest.raises(SignatureError):
            verify_approvals_untrusted(other, approvals())
    assert readable > 500, "many bytes are of texts, numbers and digests, which others could be as well"


def test_attack_34_parties_shown_different_agreements() -> None:
    """Each signs what it was shown; the two signatures fit neither text together."""
    shown_to_weather = replace(agreement(), purpose="Something else")
    messages = [approval(AIRLINE), approval(WEATHER, agreed=shown_to_weather)]
    for agreed in (agreement(), shown_to_weather):
        with pytest.raises(SignatureError, match="signed agreement"):
            verify_approvals_untrusted(agreed, messages)


def test_attack_34_one_signature_for_two_parties() -> None:
    with pytest.raises(SignatureError, match="signed twice"):
        verify_approvals_untrusted(agreement(), [approval(AIRLINE), approval(AIRLINE)])
