"""Errands between an enclave and an endpoint: the SIMULATED KMS behind a socket, or a TLS server in memory.

The server in memory takes what a real one would and answers what a test tells it to, so that everything
hostile can be tried without a network. The parent's part, carrying bytes, is `carry`.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from enclave_compute.clock import NsmClock
from enclave_compute.kms.errands import Errands
from enclave_compute.kms.request import KeyAnswer, KeyRequest
from enclave_compute.kms.signing import Credentials
from enclave_compute.nsm import Nsm, NsmStreamDevice
from protos.formats.kms import KeyService, encryption_context
from tests import world
from tests.kms_world import ACCOUNT, AGREEMENT, KmsWorld

HOST = "kms.eu-central-1.amazonaws.com"
KEY_ARN = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CREDENTIALS = Credentials("AKIAIOSFODNN7EXAMPLE", "a secret".replace(" ", "-"), "a-session-token")
NOW = datetime.now(UTC)
Server = Callable[[bytes], bytes]
"""Takes what a client sent and gives what it is sent; empty when the server has nothing more to say."""


# --- certificates ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certified:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        """As an agreement has it."""
        return self.certificate.public_bytes(Encoding.DER)


def authority(
    name: str = "An authority", issuer: Certified | None = None, key: ec.EllipticCurvePrivateKey | None = None
) -> Certified:
    """Somebody who vouches for endpoints: for itself, or by the word of `issuer`."""
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    validity = (NOW - timedelta(days=100), NOW + timedelta(days=100))
    return _certified(name, issuer, validity, constraints, key=key)


def endpoint(
    issuer: Certified, host: str = HOST, *, begins: datetime | None = None, ends: datetime | None = None
) -> Certified:
    """A certificate for `host`."""
    validity = (begins or NOW - timedelta(days=1), ends or NOW + timedelta(days=1))
    constraints = x509.BasicConstraints(ca=False, path_length=None)
    return _certified("An endpoint", issuer, validity, constraints, host=host)


def _certified(
    name: str,
    issuer: Certified | None,
    validity: tuple[datetime, datetime],
    constraints: x509.BasicConstraints,
    *,
    host: str | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Certified:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_key_usage(signs=constraints.ca), critical=True)
    )
    if issuer:
        of_issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        builder = builder.add_extension(of_issuer, critical=False)
    if host:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(usage, critical=False)
    return Certified(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
        **dict.fromkeys(others, False),
    )


# --- servers ---------------------------------------------------------------------------------------------


@dataclass
class MemoryServer:
    """A TLS server that answers every whole request with what `respond` makes of its body."""

    folder: Path
    certified: Certified
    respond: Callable[[dict[str, Any]], bytes]
    intermediates: tuple[Certified, ...] = ()
    version: ssl.TLSVersion | None = None
    """The only one that it speaks."""
    heard: bytes = b""
    """All that a client told it after the handshake."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    is_closing: bool = False
    """Whether it ends the connection after its answer."""

    def __post_init__(self) -> None:
        path = self.folder / f"{self.certified.certificate.serial_number:x}.pem"
        pem = self.certified.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = (self.certified, *self.intermediates)
        path.write_bytes(pem + b"".join(one.certificate.public_bytes(Encoding.PEM) for one in chain))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self.version is not None:
            context.minimum_version = context.maximum_version = self.version
            context.set_ciphers("ALL:@SECLEVEL=0")
        context.load_cert_chain(path)
        self._context = context
        self._connect()

    def allow(self, ciphers: str) -> None:
        """Nothing but these ciphers."""
        self._context.set_ciphers(ciphers)
        self._connect()

    def _connect(self) -> None:
        self._into, self._out_of = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = self._context.wrap_bio(self._into, self._out_of, server_side=True)
        self._request = b""

    def connected(self) -> Server:
        """A new connection to it."""
        self._connect()
        return self.talk

    def talk(self, sent: bytes) -> bytes:
        """Takes records, gives records."""
        self._into.write(sent)
        try:
            self._tls.do_handshake()
            while True:
                said = self._tls.read(2**16)
                if not said:
                    break
                self.heard += said
                self._request += said
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            return self._out_of.read()
        head, end, body = self._request.partition(b"\r\n\r\n")
        if end and len(body) == int(head.lower().rpartition(b"content-length: ")[2].split(b"\r\n")[0]):
            self.requests.append(json.loads(body))
            self._request = b""
            self._tls.write(self.respond(self.requests[-1]))
            if self.is_closing:
                with suppress(ssl.SSLWantReadError):
                    self._tls.unwrap()
        return self._out_of.read()


@contextmanager
def dialled(service: KeyService) -> Iterator[Server]:
    """A connection over the network of this machine."""
    with socket.create_connection((service.host, service.port), timeout=20) as stream:

        def talk(sent: bytes) -> bytes:
            if sent:
                stream.sendall(sent)
            return stream.recv(2**16)

        yield talk


def in_pieces(server: Server, most_bytes: int) -> Server:
    """`server`, whose words are carried a few bytes at a time."""
    kept = bytearray()

    def talk(sent: bytes) -> bytes:
        if sent or not kept:
            kept.extend(server(sent))
        piece = bytes(kept[:most_bytes])
        del kept[:most_bytes]
        return piece

    return talk


def http(status: int, members: Any, *headers: str) -> bytes:
    """An answer as KMS's front writes it."""
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    head = [f"HTTP/1.1 {status} Something", "Content-Type: application/x-amz-json-1.1", *headers]
    if not any(header.lower().startswith("content-length") for header in headers):
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + body


# --- the enclave's side ----------------------------------------------------------------------------------


@dataclass
class Wanting:
    """Errands of an enclave whose security module is simulated, and what came of them."""

    errands: Errands
    nsm: Nsm
    answers: list[KeyAnswer] = field(default_factory=list)

    def want(self, request: KeyRequest) -> None:
        """Asks for a key."""
        self.errands.want(request, self.answers.append)

    def carry(
        self, server: Server, subject: str = "customers", credentials: Credentials = CREDENTIALS
    ) -> KeyAnswer:
        """Runs the errand to its end, as a parent does that hides nothing."""
        carry(
            lambda: self.errands.first(subject, credentials),
            lambda step, received: self.errands.step(subject, step, received),
            server,
        )
        return self.answers[-1]


def carry(
    first: Callable[[], bytes], step: Callable[[int, bytes], tuple[bytes, bool]], server: Server
) -> int:
    """Carries bytes both ways until the enclave says that it is done; how many steps it took."""
    to_send, number = first(), 0
    while True:
        number += 1
        to_send, done = step(number, server(to_send))
        if done:
            return number


@contextmanager
def wanting(state: Path, *, agreement_digest: bytes = AGREEMENT, **module: Any) -> Iterator[Wanting]:
    """Errands of an enclave that is bound; its machine's root is kept in `state`."""
    with world.simulated_module(state, **module) as (stream, _):
        nsm = Nsm(NsmStreamDevice(stream))
        nsm.extend_pcr(16, agreement_digest)
        nsm.lock_pcr(16)
        clock = NsmClock(nsm)
        yield Wanting(Errands(nsm, clock, agreement_digest=agreement_digest, enclave_id=bytes(16)), nsm)


def service_of(kms: KmsWorld) -> KeyService:
    """How an agreement names the SIMULATED KMS."""
    certificate = x509.load_pem_x509_certificate(kms.store.authority_path.read_bytes())
    port = kms.endpoint.rpartition(":")[2]
    return KeyService(
        account=kms.store.account,
        region=kms.store.region,
        role="enclave",
        endpoint=f"localhost:{port}",
        authorities=(certificate.public_bytes(Encoding.DER),),
    )


def service(*authorities: Certified, **changes: Any) -> KeyService:
    """An agreed endpoint for which `authorities` may vouch."""
    found = KeyService(
        account=ACCOUNT,
        region="eu-central-1",
        role="enclave",
        endpoint=f"{HOST}:443",
        authorities=tuple(one.der for one in authorities),
    )
    return replace(found, **changes)


def decrypting(
    where: KeyService, key_id: str = KEY_ARN, ciphertext: bytes = b"a blob", **changes: Any
) -> KeyRequest:
    """A request for the data key in `ciphertext`."""
    found = KeyRequest(
        operation="Decrypt",
        service=where,
        party="shop",
        subject="customers",
        key_id=key_id,
        context=encryption_context(AGREEMENT, "shop", "customers"),
        ciphertext=ciphertext,
    )
    return replace(found, **changes)


def credentials_of(kms: KmsWorld, arn: str, **more: Any) -> Credentials:
    """What the parent hands in for a principal of the SIMULATED KMS."""
    issued = kms.credential(arn, **more)
    return Credentials(issued.access_key_id, issued.secret_access_key, issued.session_token)
