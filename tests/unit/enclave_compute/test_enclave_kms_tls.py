"""The enclave talks to the endpoint that was agreed on and to no other, and says nothing before it knows."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from enclave_compute.errors import RefusedError
from enclave_compute.kms.tls import TlsClient
from tests.errands_world import HOST, NOW, Certified, MemoryServer, authority, endpoint, http

ROOT = authority()
ANSWER = http(200, {})


def client(*authorities: Certified, host: str = HOST, now: datetime = NOW) -> TlsClient:
    return TlsClient(host, tuple(one.der for one in authorities), clock=lambda: now)


def server(folder: Path, certified: Certified, **more: Any) -> MemoryServer:
    return MemoryServer(folder, certified, lambda _: ANSWER, **more)


def shake(tls: TlsClient, peer: MemoryServer) -> None:
    """Carries the handshake until the client is content."""
    for _ in range(6):
        if tls.handshake():
            return
        tls.take_untrusted(peer.talk(tls.outgoing()))
    raise AssertionError("no end to the handshake")


def refused(tls: TlsClient, peer: MemoryServer, why: str) -> None:
    with pytest.raises(RefusedError, match=rf"^kms-failed: TLS: {why}$"):
        shake(tls, peer)
    peer.talk(tls.outgoing())
    assert peer.heard == b"", "whoever it is has been told nothing"
    with pytest.raises(RefusedError, match="nothing is sent to whom has not been verified"):
        tls.send(b"GET / HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_that_kms_speaks(tmp_path: Path, version: ssl.TLSVersion) -> None:
    peer = server(tmp_path, endpoint(ROOT), version=version)
    tls = client(ROOT)
    shake(tls, peer)
    tls.send(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}")
    tls.take_untrusted(peer.talk(tls.outgoing()))
    assert tls.received() == (ANSWER, False)
    assert peer.heard.endswith(b"{}")


def test_an_authority_may_vouch_for_another(tmp_path: Path) -> None:
    between = authority("Between", issuer=ROOT)
    shake(client(ROOT), server(tmp_path, endpoint(between), intermediates=(between,)))
    shake(client(authority("Other"), ROOT), server(tmp_path, endpoint(between), intermediates=(between,)))
    shake(client(between), server(tmp_path, endpoint(between)))
    refused(client(ROOT), server(tmp_path, endpoint(between)), "not the agreed endpoint by its certificate")


def test_an_authority_for_whom_others_vouch_is_the_agreed_one_still(tmp_path: Path) -> None:
    """As AWS sends it: behind the intermediate the root once more, by the word of an older root."""
    older = authority("Older")
    crossed = authority("An authority", issuer=older, key=ROOT.key)
    between = authority("Between", issuer=ROOT)
    sent = (between, crossed, older)
    shake(client(ROOT), server(tmp_path, endpoint(between), intermediates=sent))
    shake(client(older), server(tmp_path, endpoint(between), intermediates=sent))


def not_agreed() -> dict[str, tuple[Certified, dict[str, Any]]]:
    day = timedelta(days=1)
    return {
        "under another authority": (endpoint(authority("Other")), {}),
        "under an authority of the same name": (endpoint(authority()), {}),
        "for itself": (authority(), {}),
        "the authority": (ROOT, {}),
        "for another host": (endpoint(ROOT, "kms.us-east-1.amazonaws.com"), {}),
        "for a host below": (endpoint(ROOT, f"x.{HOST}"), {}),
        "for all hosts above": (endpoint(ROOT, "*.amazonaws.com"), {}),
        "ended": (endpoint(ROOT), {"now": NOW + 2 * day}),
        "not begun": (endpoint(ROOT, begins=NOW + day / 2), {}),
        "under an endpoint": (endpoint(endpoint(ROOT)), {}),
    }


@pytest.mark.parametrize("what", not_agreed())
def test_another_endpoint_is_told_nothing(tmp_path: Path, what: str) -> None:
    certified, more = not_agreed()[what]
    peer = server(tmp_path, certified)
    refused(client(ROOT, **more), peer, "not the agreed endpoint by its certificate")


def test_a_certificate_counts_by_the_given_time_alone(tmp_path: Path) -> None:
    """The clock of whoever runs the test says that it is valid, and the security module's that it is not."""
    shake(client(ROOT), server(tmp_path, endpoint(ROOT)))
    late, early = NOW + timedelta(days=30), NOW - timedelta(days=30)
    certified = endpoint(ROOT, ends=NOW + timedelta(days=29))
    for now in (late, early):
        refused(
            client(ROOT, now=now), server(tmp_path, certified), "not the agreed endpoint by its certificate"
        )
    shake(client(ROOT, now=NOW + timedelta(days=28)), server(tmp_path, certified))


def test_an_authority_that_is_no_certificate_vouches_for_nobody(tmp_path: Path) -> None:
    tls = TlsClient(HOST, (b"what no certificate is",), clock=lambda: NOW)
    refused(tls, server(tmp_path, endpoint(ROOT)), "not the agreed endpoint by its certificate")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_older_versions_are_not_spoken(tmp_path: Path, version: ssl.TLSVersion) -> None:
    peer = server(tmp_path, endpoint(ROOT), version=version)
    refused(client(ROOT), peer, "the handshake fails")


@pytest.mark.parametrize("ciphers", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "aNULL"])
def test_without_forward_secrecy_authentication_or_aead_nothing_is_spoken(
    tmp_path: Path, ciphers: str
) -> None:
    peer = server(tmp_path, endpoint(ROOT), version=ssl.TLSVersion.TLSv1_2)
    peer.allow(f"{ciphers}:@SECLEVEL=0")
    refused(client(ROOT), peer, "the handshake fails")


GARBAGE: dict[str, Callable[[bytes], bytes]] = {
    "another protocol": lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "zeros": lambda _: bytes(100),
    "an alert": lambda _: bytes.fromhex("15030300020228"),
    "its own words": lambda sent: sent,
    "a record that is too long": lambda _: bytes.fromhex("160303ffff") + bytes(0xFFFF),
    "application data": lambda _: bytes.fromhex("1703030005") + b"hello",
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_in_place_of_a_handshake(what: str) -> None:
    tls = client(ROOT)
    assert tls.handshake() is False
    tls.take_untrusted(GARBAGE[what](tls.outgoing()))
    with pytest.raises(RefusedError, match=r"^kms-failed: TLS: the handshake fails$"):
        tls.handshake()


def test_an_end_before_the_handshake_is_over(tmp_path: Path) -> None:
    tls = client(ROOT)
    tls.handshake()
    tls.take_untrusted(b"")
    with pytest.raises(RefusedError, match="the handshake fails"):
        tls.handshake()


def connected(folder: Path, **more: Any) -> tuple[TlsClient, MemoryServer]:
    tls, peer = client(ROOT), server(folder, endpoint(ROOT), **more)
    shake(tls, peer)
    tls.send(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}")
    return tls, peer


def test_an_end_with_notice_is_an_end(tmp_path: Path) -> None:
    tls, peer = connected(tmp_path, is_closing=True)
    tls.take_untrusted(peer.talk(tls.outgoing()))
    assert tls.received() == (ANSWER, True)


def test_an_end_without_notice_is_none(tmp_path: Path) -> None:
    """Whoever carries the records could have cut them off."""
    tls, peer = connected(tmp_path)
    tls.take_untrusted(peer.talk(tls.outgoing())[:-1])
    tls.take_untrusted(b"")
    with pytest.raises(RefusedError, match="a damaged record, or an end without notice"):
        tls.received()


@pytest.mark.parametrize("at", [0, 1, 4, 5, 20, -1])
def test_a_changed_record_is_refused(tmp_path: Path, at: int) -> None:
    tls, peer = connected(tmp_path)
    records = bytearray(peer.talk(tls.outgoing()))
    records[at] ^= 1
    tls.take_untrusted(bytes(records))
    with pytest.raises(RefusedError, match="kms-failed: TLS: "):
        tls.received()
        tls.take_untrusted(b"")
        tls.received()


def test_records_may_come_in_any_pieces(tmp_path: Path) -> None:
    tls, peer = client(ROOT), server(tmp_path, endpoint(ROOT))
    while not tls.handshake():
        for byte in peer.talk(tls.outgoing()):
            tls.take_untrusted(bytes([byte]))
            if tls.handshake():
                break
    tls.send(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}")
    said = b""
    for byte in peer.talk(tls.outgoing()):
        tls.take_untrusted(bytes([byte]))
        said += tls.received()[0]
    assert said == ANSWER


def test_what_is_offered() -> None:
    """AEAD with forward secrecy, 1.2 and 1.3, one host name; no tickets."""
    tls = client(ROOT)
    tls.handshake()
    suites, extensions = hello(tls.outgoing())
    assert suites == {*TLS_1_3_SUITES, *TLS_1_2_SUITES}
    assert extensions[SUPPORTED_VERSIONS] == bytes.fromhex("0403040303")
    assert extensions[SERVER_NAME].endswith(HOST.encode())
    assert SESSION_TICKET not in extensions


SERVER_NAME, SESSION_TICKET, SUPPORTED_VERSIONS = 0, 35, 43
TLS_1_3_SUITES = {0x1301, 0x1302, 0x1303}
TLS_1_2_SUITES = {0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9}
"""ECDHE with AES-GCM or ChaCha20-Poly1305, by ECDSA or RSA."""


def hello(record: bytes) -> tuple[set[int], dict[int, bytes]]:
    """(cipher suites, extensions) of a ClientHello (RFC 8446, section 4.1.2)."""
    rest = record[5 + 4 + 2 + 32 :]
    rest = rest[1 + rest[0] :]
    size = int.from_bytes(rest[:2])
    suites = {int.from_bytes(rest[at : at + 2]) for at in range(2, 2 + size, 2)}
    rest = rest[2 + size :]
    rest = rest[1 + rest[0] + 2 :]
    extensions = {}
    while rest:
        kind, size = int.from_bytes(rest[:2]), int.from_bytes(rest[2:4])
        extensions[kind], rest = rest[4 : 4 + size], rest[4 + size :]
    return suites, extensions
