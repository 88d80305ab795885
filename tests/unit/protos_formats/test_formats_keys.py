"""What is said of keys: values check themselves, inputs open for one request, answers for one asker."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from protos.formats import hpke
from protos.formats.binding import attestation_user_data, public_keys_user_data, receipt_user_data
from protos.formats.errors import FormatError, LimitExceededError, SealError, SignatureError
from protos.formats.key_answer import KeyAnswer, open_answer, seal_answer
from protos.formats.key_budget import KeyLeft
from protos.formats.key_ring import AgreedKey
from protos.formats.key_use import KeyRequest, input_digest, open_input, seal_input
from protos.formats.limits import KEY_INPUT_MAX_BYTES, MIB
from tests.world import ADVERTISER, PUBLISHER

ENCLAVE = hpke.PrivateKey(bytes(range(96)))
SALT = bytes(32)


def request(content: bytes = b"input") -> KeyRequest:
    return KeyRequest(bytes(16), bytes(48), bytes(16), "k", "sign", "publisher", input_digest(SALT, content))


def test_an_input_opens_for_its_request_alone() -> None:
    sealed = seal_input(b"input", salt=SALT, request=request(), public_key=ENCLAVE.public_key)
    assert open_input(sealed, request=request(), key=ENCLAVE) == b"input"
    for other in (replace(request(), request_id=b"1" * 16), replace(request(), key="l")):
        with pytest.raises(SealError):
            open_input(sealed, request=other, key=ENCLAVE)


def test_what_was_not_signed_for_does_not_open() -> None:
    for salt, content in ((SALT, b"other"), (b"1" * 32, b"input"), (SALT[:31], b"\x00input"), (b"", b"")):
        sealed = seal_input(content, salt=salt, request=request(), public_key=ENCLAVE.public_key)
        if salt + content == SALT + b"input":
            continue
        with pytest.raises(SealError):
            open_input(sealed, request=request(), key=ENCLAVE)


def test_sizes_are_those_of_buckets() -> None:
    sizes = {
        len(seal_input(bytes(n_bytes), salt=SALT, request=request(), public_key=ENCLAVE.public_key))
        for n_bytes in (0, 1, 4000)
    }
    assert len(sizes) == 1
    largest = seal_input(
        bytes(KEY_INPUT_MAX_BYTES), salt=SALT, request=request(), public_key=ENCLAVE.public_key
    )
    assert len(largest) == MIB + hpke.OVERHEAD_BYTES
    with pytest.raises(LimitExceededError):
        seal_input(
            bytes(KEY_INPUT_MAX_BYTES + 1), salt=SALT, request=request(), public_key=ENCLAVE.public_key
        )


def test_an_answer_opens_for_its_asker_and_request_from_its_enclave() -> None:
    answer = KeyAnswer(request().digest(), 1, 2, None)
    sealed = seal_answer(
        answer,
        signing=ADVERTISER.signing_key,
        receiver=PUBLISHER.id,
        receiving_key=PUBLISHER.public.receiving_key,
    )

    def opened(digest: bytes, receiver: str, signing_key: bytes) -> KeyAnswer:
        return open_answer(
            sealed,
            request_digest=digest,
            receiver=receiver,
            key=PUBLISHER.receiving_key,
            signing_key=signing_key,
        )

    enclave_key = ADVERTISER.public.signing_key
    assert opened(request().digest(), PUBLISHER.id, enclave_key) == answer
    with pytest.raises(SealError):
        opened(os.urandom(48), PUBLISHER.id, enclave_key)
    with pytest.raises(SealError):
        opened(request().digest(), ADVERTISER.id, enclave_key)
    with pytest.raises(SignatureError):
        opened(request().digest(), PUBLISHER.id, PUBLISHER.public.signing_key)


def test_labels_tell_documents_apart() -> None:
    content = b"the same bytes"
    made = {
        public_keys_user_data(content),
        receipt_user_data(content),
        attestation_user_data(bytes(48), content, bytes(16)),
    }
    assert len(made) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id": "K"}, "key id"),
        ({"kind": 1}, "kind"),
        ({"max_uses": 10**6 + 1}, "max_uses"),
        ({"per_day": 0}, "per_day"),
        ({"used_by": ("b", "a")}, "ascending"),
        ({"approved_by": ("a", "a")}, "ascending"),
        ({"uses": frozenset({"tokenise"})}, "one purpose"),
        ({"normalise": "email/v1"}, "for keys that tokenise only"),
    ],
)
def test_a_key_checks_itself(changes: dict[str, object], said: str) -> None:
    key = AgreedKey("k", "ed25519", frozenset({"sign"}), ("a",), 1)
    with pytest.raises(FormatError, match=said):
        replace(key, **changes)  # type: ignore[arg-type]


def test_no_more_is_left_than_there_may_be() -> None:
    with pytest.raises(FormatError, match="left"):
        KeyLeft("uses", 1, 2)
    with pytest.raises(FormatError, match="limit"):
        KeyLeft("uses", 10**6 + 1, 2)
    assert KeyLeft("values", 10**12, 0).limit == 10**12
