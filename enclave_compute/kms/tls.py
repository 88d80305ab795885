"""TLS to the agreed endpoint, in memory: records go in and come out as bytes, and no socket is touched.

Whoever carries the records is hostile, and so is whoever answers until its certificate has been verified:
under the authorities of the agreement, for the agreed host name, at the security module's time. Until
then nothing but the handshake is sent. TLS 1.2 with forward secrecy and authenticated encryption, or 1.3;
no resumption, no renegotiation. OpenSSL is the one that `cryptography` brings, and its own verification
is off: there is one verifier of certificates in the enclave. The only module of the enclave that may
import `OpenSSL`. (RFC 8446, RFC 5246; RFC 5280 and CA/Browser Forum profile by
`cryptography.x509.verification`.)
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store
from OpenSSL import SSL

from enclave_compute.errors import RefusedError
from protos.formats.calls import Refusal

_READ_BYTES: Final = 16 * 1024
_CIPHERS_1_2: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"


class TlsClient:
    """One connection. Raises `RefusedError` for whatever the other side does wrong."""

    def __init__(self, host: str, authorities: tuple[bytes, ...], *, clock: Callable[[], datetime]) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)  # no default of OpenSSL's decides
        context.set_cipher_list(_CIPHERS_1_2)
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        self._host = host
        self._authorities = authorities
        self._clock = clock
        self._verified = False
        self._connection = SSL.Connection(context, None)
        self._connection.set_tlsext_host_name(host.encode())
        self._connection.set_connect_state()

    def take_untrusted(self, records: bytes) -> None:
        """Records from the other side; none means that it closed."""
        if records:
            self._connection.bio_write(records)
        else:
            self._connection.bio_shutdown()

    def handshake(self) -> bool:
        """Goes on with the handshake; whether it is over and the other side is the agreed one."""
        if not self._verified:
            try:
                self._connection.do_handshake()
            except SSL.WantReadError:
                return False
            except SSL.Error as error:
                raise _failed("the handshake fails") from error
            self._verify()
            self._verified = True
        return True

    def send(self, data: bytes) -> None:
        """Encrypts `data` for the other side."""
        if not self._verified:
            raise _failed("nothing is sent to whom has not been verified")
        try:
            self._connection.sendall(data)
        except SSL.Error as error:
            raise _failed("the connection is over") from error

    def received(self) -> tuple[bytes, bool]:
        """(what the other side has said since, whether it has ended the connection)."""
        data = bytearray()
        while True:
            try:
                data += self._connection.recv(_READ_BYTES)
            except SSL.WantReadError:
                return bytes(data), False
            except SSL.ZeroReturnError:
                return bytes(data), True
            except SSL.Error as error:
                raise _failed("a damaged record, or an end without notice") from error

    def outgoing(self) -> bytes:
        """Records for the other side."""
        records = bytearray()
        while True:
            try:
                records += self._connection.bio_read(_READ_BYTES)
            except SSL.WantReadError:
                return bytes(records)

    def _verify(self) -> None:
        # OpenSSL has verified that the other side has the key of this certificate, and nothing else.
        try:
            leaf, *intermediates = self._connection.get_peer_cert_chain(as_cryptography=True) or []
            store = Store([x509.load_der_x509_certificate(one) for one in self._authorities])
            verifier = PolicyBuilder().store(store).time(self._clock())
            verifier.build_server_verifier(x509.DNSName(self._host)).verify(leaf, intermediates)
        except Exception as error:  # hostile certificates raise many types; one may leave here
            raise _failed("not the agreed endpoint by its certificate") from error


def _failed(what: str) -> RefusedError:
    return RefusedError(Refusal.KMS_FAILED, f"TLS: {what}")
