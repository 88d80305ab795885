"""The simulated module answers as the real one: every request, every error, whatever is thrown at it."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_compute.nsm import Nsm, NsmInputTooLargeError, NsmReadOnlyIndexError, NsmStreamDevice
from scenarios.machine.documents import DocumentSigner, ModuleId
from scenarios.machine.nsm import SimulatedNsm, serve
from scenarios.machine.pcrs import PcrBank
from scenarios.machine.pki import load_or_create_root

MODULE = ModuleId("i-0123456789abcdef0", "0fedcba987654321")
ZERO = bytes(48)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def bank() -> PcrBank:
    return PcrBank(pcr0=b"\x00" * 47 + b"a", pcr1=b"b" * 48, pcr2=b"c" * 48, instance_id=MODULE.instance_id)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> DocumentSigner:
    root = load_or_create_root(Path(tmp_path_factory.mktemp("state")), clock=lambda: NOW)
    return DocumentSigner(root, MODULE, clock=lambda: NOW)


@pytest.fixture
def nsm(signer: DocumentSigner) -> SimulatedNsm:
    return SimulatedNsm(bank(), signer)


def ask(nsm: SimulatedNsm, request: object) -> Any:
    return cbor2.loads(nsm.answer_untrusted(cbor2.dumps(request)))


def test_it_describes_itself(nsm: SimulatedNsm) -> None:
    assert ask(nsm, "DescribeNSM") == {
        "DescribeNSM": {
            "version_major": 1,
            "version_minor": 0,
            "version_patch": 0,
            "module_id": "i-0123456789abcdef0-enc0fedcba987654321",
            "max_pcrs": 32,
            "locked_pcrs": list(range(16)),
            "digest": "SHA384",
        }
    }


def test_registers_at_boot(nsm: SimulatedNsm) -> None:
    shown = [ask(nsm, {"DescribePCR": {"index": index}})["DescribePCR"] for index in range(32)]
    assert [state["lock"] for state in shown] == [True] * 16 + [False] * 16
    assert [state["data"] for state in shown[:3]] == [b"\x00" * 47 + b"a", b"b" * 48, b"c" * 48]
    assert shown[4]["data"] == hashlib.sha384(ZERO + b"i-0123456789abcdef0").digest()
    assert {state["data"] for index, state in enumerate(shown) if index not in (0, 1, 2, 4)} == {ZERO}


def test_extending_hashes_the_old_value_and_the_raw_data(nsm: SimulatedNsm) -> None:
    first = hashlib.sha384(ZERO + b"one").digest()
    second = hashlib.sha384(first + b"two").digest()
    assert ask(nsm, {"ExtendPCR": {"index": 16, "data": b"one"}}) == {"ExtendPCR": {"data": first}}
    assert ask(nsm, {"ExtendPCR": {"index": 16, "data": b"two"}}) == {"ExtendPCR": {"data": second}}
    assert ask(nsm, {"DescribePCR": {"index": 16}}) == {"DescribePCR": {"lock": False, "data": second}}


def test_a_locked_register_stays_as_it_is(nsm: SimulatedNsm) -> None:
    assert ask(nsm, {"LockPCR": {"index": 20}}) == "LockPCR"
    assert ask(nsm, {"ExtendPCR": {"index": 20, "data": b"x"}}) == {"Error": "ReadOnlyIndex"}
    assert ask(nsm, {"LockPCR": {"index": 20}}) == {"Error": "ReadOnlyIndex"}
    assert ask(nsm, {"DescribePCR": {"index": 20}}) == {"DescribePCR": {"lock": True, "data": ZERO}}


def test_a_range_locks_what_lies_below_it(nsm: SimulatedNsm) -> None:
    assert ask(nsm, {"LockPCRs": {"range": 18}}) == "LockPCRs"
    assert ask(nsm, "DescribeNSM")["DescribeNSM"]["locked_pcrs"] == list(range(18))
    assert ask(nsm, {"LockPCRs": {"range": 32}}) == "LockPCRs"
    assert ask(nsm, {"LockPCRs": {"range": 33}}) == {"Error": "InvalidIndex"}


def test_random_bytes_are_256_and_differ(nsm: SimulatedNsm) -> None:
    first, second = (ask(nsm, "GetRandom")["GetRandom"]["random"] for _ in range(2))
    assert len(first) == len(second) == 256
    assert first != second


@pytest.mark.parametrize(
    ("request_value", "error"),
    [
        ({"DescribePCR": {"index": 32}}, "InvalidIndex"),
        ({"ExtendPCR": {"index": 65535, "data": b""}}, "InvalidIndex"),
        ({"LockPCR": {"index": 32}}, "InvalidIndex"),
        ({"ExtendPCR": {"index": 0, "data": b"x"}}, "ReadOnlyIndex"),
        ({"ExtendPCR": {"index": 15, "data": b"x"}}, "ReadOnlyIndex"),
        ({"LockPCR": {"index": 0}}, "ReadOnlyIndex"),
        ({"DescribePCR": {"index": -1}}, "InvalidOperation"),
        ({"DescribePCR": {"index": 65536}}, "InvalidOperation"),
        ({"DescribePCR": {"index": True}}, "InvalidOperation"),
        ({"DescribePCR": {}}, "InvalidOperation"),
        ({"ExtendPCR": {"index": 16}}, "InvalidOperation"),
        ({"ExtendPCR": {"index": 16, "data": "text"}}, "InvalidOperation"),
        ("DescribePCR", "InvalidOperation"),
        ("Reboot", "InvalidOperation"),
        ({}, "InvalidOperation"),
        ({"DescribeNSM": {}, "GetRandom": {}}, "InvalidOperation"),
        ({1: {}}, "InvalidOperation"),
        ({"Attestation": None}, "InvalidOperation"),
        ({"Attestation": {"nonce": "text"}}, "InvalidOperation"),
        ({"Attestation": {"nonce": bytes(513)}}, "InputTooLarge"),
        ({"Attestation": {"user_data": bytes(513)}}, "InputTooLarge"),
        ({"Attestation": {"public_key": bytes(1025)}}, "InputTooLarge"),
    ],
)
def test_errors_are_the_modules_own(request_value: object, error: str, nsm: SimulatedNsm) -> None:
    assert ask(nsm, request_value) == {"Error": error}


@pytest.mark.parametrize(
    "request_bytes", [b"", b"\xff", b"\x61", b"\x81" * 4000, cbor2.dumps("GetRandom") + b"\x00"]
)
def test_what_is_not_cbor_is_an_invalid_operation(request_bytes: bytes, nsm: SimulatedNsm) -> None:
    assert cbor2.loads(nsm.answer_untrusted(request_bytes)) == {"Error": "InvalidOperation"}


def test_an_attestation_carries_what_was_asked_and_the_locked_registers_alone(nsm: SimulatedNsm) -> None:
    ask(nsm, {"ExtendPCR": {"index": 16, "data": b"locked"}})
    ask(nsm, {"LockPCR": {"index": 16}})
    ask(nsm, {"ExtendPCR": {"index": 17, "data": b"open"}})
    fields = {"user_data": b"u" * 512, "nonce": b"", "public_key": None}
    document = ask(nsm, {"Attestation": fields})["Attestation"]["document"]
    payload = cbor2.loads(cbor2.loads(document)[2])
    assert {key: payload[key] for key in fields} == fields
    assert list(payload["pcrs"]) == list(range(17))
    assert payload["pcrs"][16] == hashlib.sha384(ZERO + b"locked").digest()


@given(data=st.binary(max_size=300))
def test_every_request_gets_an_answer(data: bytes, signer: DocumentSigner) -> None:
    answer = cbor2.loads(SimulatedNsm(bank(), signer).answer_untrusted(data))
    assert isinstance(answer, (dict, str))


@pytest.fixture
def enclave_end(nsm: SimulatedNsm) -> Iterator[socket.socket]:
    machine, enclave = socket.socketpair()
    server = threading.Thread(target=serve, args=(machine, nsm))
    server.start()
    with enclave:
        yield enclave
    server.join(timeout=10)
    assert not server.is_alive()


def test_the_enclaves_client_and_the_module_understand_each_other(enclave_end: socket.socket) -> None:
    client = Nsm(NsmStreamDevice(enclave_end))
    assert client.describe().module_id == str(MODULE)
    assert client.now_ms() == int(NOW.timestamp() * 1000)
    assert client.extend_pcr(16, b"digest") == hashlib.sha384(ZERO + b"digest").digest()
    client.lock_pcr(16)
    assert client.describe_pcr(16).locked
    assert len(client.seed(b"purpose")) == 32
    with pytest.raises(NsmReadOnlyIndexError):
        client.extend_pcr(16, b"again")


def test_a_message_over_the_limit_is_read_past_and_refused(enclave_end: socket.socket) -> None:
    enclave_end.sendall((0x1001).to_bytes(4, "big") + bytes(0x1001))
    length = int.from_bytes(enclave_end.recv(4), "big")
    assert cbor2.loads(enclave_end.recv(length)) == {"Error": "InputTooLarge"}
    client = Nsm(NsmStreamDevice(enclave_end))
    assert client.describe().max_pcrs == 32
    with pytest.raises(NsmInputTooLargeError):
        client.extend_pcr(16, bytes(0x1000))


@pytest.mark.parametrize("cut", [b"\x00", b"\x00\x00\x00\x05ab", b"\xff\xff\xff\xff" + bytes(100)])
def test_a_stream_cut_short_ends_the_module_quietly(cut: bytes, enclave_end: socket.socket) -> None:
    enclave_end.sendall(cut)
    enclave_end.shutdown(socket.SHUT_WR)
    assert enclave_end.recv(1) == b""
