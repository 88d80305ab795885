"""The typed client: limits before asking, fresh secrets, and time from the module's own documents."""

from __future__ import annotations

import cbor2
import pytest

from enclave_compute.nsm import (
    Nsm,
    NsmInputTooLargeError,
    NsmInvalidIndexError,
    NsmResponseError,
    PcrState,
    nsm_time_ms,
)


class Recording:
    """A device that answers from a list and remembers what it was asked."""

    def __init__(self, *responses: object) -> None:
        self.responses = [cbor2.dumps(response) for response in responses]
        self.requests: list[object] = []

    def exchange(self, request: bytes) -> bytes:
        self.requests.append(cbor2.loads(request))
        return self.responses.pop(0)


def document(payload: object) -> bytes:
    return cbor2.dumps([b"\xa1\x01\x38\x22", {}, cbor2.dumps(payload), bytes(96)])


def test_random_asks_until_it_has_enough_and_gives_no_more() -> None:
    device = Recording(*({"GetRandom": {"random": bytes([n]) * 3}} for n in range(1, 4)))
    assert Nsm(device).random(7) == b"\x01\x01\x01\x02\x02\x02\x03"
    assert device.requests == ["GetRandom"] * 3


def test_seeds_differ_though_the_module_repeats_itself() -> None:
    same = {"GetRandom": {"random": bytes(256)}}
    nsm = Nsm(Recording(same, same))
    first, second = nsm.seed(b"hpke"), nsm.seed(b"hpke")
    assert first != second
    assert len(first) == len(second) == 32


def test_seeds_depend_on_the_module_and_on_what_they_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.urandom", bytes)
    zeros, ones = ({"GetRandom": {"random": bytes([n]) * 256}} for n in (0, 1))
    nsm = Nsm(Recording(zeros, zeros, zeros, ones))
    hpke = nsm.seed(b"hpke", 100)
    assert nsm.seed(b"hpke", 100) == hpke
    assert nsm.seed(b"signing", 100) != hpke
    assert nsm.seed(b"hpke", 100) != hpke


def test_a_seed_is_hkdf_sha512(monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives.hashes import SHA512
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    monkeypatch.setattr("os.urandom", lambda count: b"\x07" * count)
    seed = Nsm(Recording({"GetRandom": {"random": b"\x05" * 256}})).seed(b"info", 150)
    expected = HKDF(SHA512(), 150, salt=b"concordat/enclave-seed/v1", info=b"info")
    assert seed == expected.derive(b"\x05" * 256 + b"\x07" * 256)


@pytest.mark.parametrize("length", [0, -1, 255 * 64 + 1])
def test_a_seed_has_a_length_that_hkdf_can_give(length: int) -> None:
    with pytest.raises(ValueError, match=str(length)):
        Nsm(Recording()).seed(b"x", length)


def test_registers_are_read_extended_and_locked() -> None:
    device = Recording(
        {"DescribePCR": {"lock": True, "data": b"\x01" * 48}},
        {"ExtendPCR": {"data": b"\x02" * 48}},
        "LockPCR",
    )
    nsm = Nsm(device)
    assert nsm.describe_pcr(0) == PcrState(data=b"\x01" * 48, locked=True)
    assert nsm.extend_pcr(16, b"digest") == b"\x02" * 48
    nsm.lock_pcr(16)
    assert device.requests == [
        {"DescribePCR": {"index": 0}},
        {"ExtendPCR": {"index": 16, "data": b"digest"}},
        {"LockPCR": {"index": 16}},
    ]


@pytest.mark.parametrize("index", [-1, 32])
def test_registers_end_at_31(index: int) -> None:
    nsm = Nsm(Recording())
    for ask in (nsm.describe_pcr, nsm.lock_pcr, lambda number: nsm.extend_pcr(number, b"")):
        with pytest.raises(NsmInvalidIndexError, match=str(index)):
            ask(index)


def test_a_document_carries_what_was_given_and_null_for_the_rest() -> None:
    device = Recording({"Attestation": {"document": b"signed"}})
    assert Nsm(device).attest(user_data=b"u" * 512, nonce=b"") == b"signed"
    assert device.requests == [{"Attestation": {"user_data": b"u" * 512, "nonce": b"", "public_key": None}}]


def test_too_much_for_a_document_is_refused_before_asking() -> None:
    nsm = Nsm(Recording())
    with pytest.raises(NsmInputTooLargeError, match="user_data: got 513"):
        nsm.attest(user_data=bytes(513))
    with pytest.raises(NsmInputTooLargeError, match="nonce: got 513"):
        nsm.attest(nonce=bytes(513))
    with pytest.raises(NsmInputTooLargeError, match="public_key: got 1025"):
        nsm.attest(public_key=bytes(1025))


def test_time_is_the_documents_timestamp() -> None:
    signed = document({"timestamp": 1_795_451_873_702})
    assert Nsm(Recording({"Attestation": {"document": signed}})).now_ms() == 1_795_451_873_702
    assert nsm_time_ms(b"\xd2" + signed) == 1_795_451_873_702


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\xd2\xd2" + document({"timestamp": 1}),
        document({"timestamp": 1}) + b"\x00",
        document({"timestamp": 0}),
        document({"timestamp": -5}),
        document({"timestamp": True}),
        document({"timestamp": "1"}),
        document({"time": 1}),
        document([1]),
        cbor2.dumps([b"", {}, b"\xff", b""]),
        cbor2.dumps([b"", {}, {"timestamp": 1}, b""]),
        cbor2.dumps([b"", {}, cbor2.dumps({"timestamp": 1})]),
    ],
)
def test_a_document_without_a_time_has_none(broken: bytes) -> None:
    with pytest.raises(NsmResponseError):
        nsm_time_ms(broken)
