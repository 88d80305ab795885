"""Mutual TLS over a real socket: who gets in, and who is who."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from grpc import StatusCode

from coordinator.daemon import Daemon, DaemonOptions
from coordinator.server import Transport
from protos.v1 import concordat_pb2 as messages
from protos.v1.concordat_pb2_grpc import CoordinatorStub
from tests.unit.coordinator import calls
from tests.unit.coordinator.calls import refused
from tests.unit.coordinator.thread_launcher import ThreadLauncher


@dataclass(frozen=True)
class Authority:
    """A certificate authority that lasts as long as the test."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        certificate = (
            _builder(name, name, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)

    def issue(self, folder: Path, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        hosts: list[x509.GeneralName] = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        certificate = (
            _builder(subject, self.certificate.subject, key)
            .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (folder / f"{name}.key.pem").write_bytes(private)
        (folder / "ca.pem").write_bytes(self.certificate.public_bytes(Encoding.PEM))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
    )


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority.create()
    for name in ("coordinator", "airline", "analyst", "operator", "Not A Slug"):
        authority.issue(folder, name)
    return folder


@pytest.fixture(scope="module")
def address(tls: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    options = DaemonOptions(
        tmp_path_factory.mktemp("state"),
        Transport.mutual_tls(("127.0.0.1:0",), tls),
        operators=frozenset({"operator"}),
    )
    daemon = Daemon(options, ThreadLauncher())
    (address,) = daemon.start()
    yield address
    daemon.stop(keep_enclaves=False)


@contextmanager
def stub_of(address: str, tls: Path, name: str) -> Iterator[Any]:
    key, certificate, authority = (
        (tls / file).read_bytes() for file in (f"{name}.key.pem", f"{name}.pem", "ca.pem")
    )
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    with grpc.secure_channel(address, credentials) as channel:
        yield CoordinatorStub(channel)  # type: ignore[no-untyped-call]


def test_a_result_is_given_to_its_receivers_certificate_only(address: str, tls: Path) -> None:
    with stub_of(address, tls, "airline") as airline, stub_of(address, tls, "analyst") as analyst:
        job_id = calls.running_job(airline)
        calls.request_run(airline, job_id)
        calls.ended_run(airline, job_id)
        with refused(StatusCode.PERMISSION_DENIED, "coordinator/not-allowed"):
            calls.fetch(airline, job_id, "analyst")
        assert calls.fetch(analyst, job_id, "analyst")[0]


def test_an_upload_belongs_to_the_certificate_that_began_it(address: str, tls: Path) -> None:
    chunks = calls.random_chunks(2)
    with stub_of(address, tls, "airline") as airline, stub_of(address, tls, "analyst") as analyst:
        job_id = calls.running_job(airline)
        calls.begin(airline, job_id)
        for attempt in (
            lambda: calls.begin(analyst, job_id),
            lambda: calls.send(analyst, calls.messages_of(job_id, chunks)),
            lambda: calls.finish(analyst, job_id, b"manifest"),
        ):
            with refused(StatusCode.PERMISSION_DENIED, "coordinator/not-allowed"):
                attempt()
        assert calls.send(airline, calls.messages_of(job_id, chunks))[-1] == 2


def test_a_job_is_closed_by_who_started_it_or_by_an_operator(address: str, tls: Path) -> None:
    with stub_of(address, tls, "airline") as airline:
        job_id = calls.running_job(airline, "to be closed")
    request = messages.CloseJobRequest(request_id="close", job_id=job_id)
    with (
        stub_of(address, tls, "analyst") as analyst,
        refused(StatusCode.PERMISSION_DENIED, "coordinator/not-allowed"),
    ):
        analyst.CloseJob(request)
    with stub_of(address, tls, "operator") as operator:
        job = operator.CloseJob(request)
    assert (job.state, job.detail) == (messages.JOB_STATE_CLOSED, "closed by operator")


def test_a_certificate_that_names_nobody_is_refused(address: str, tls: Path) -> None:
    with (
        stub_of(address, tls, "Not A Slug") as stub,
        refused(StatusCode.PERMISSION_DENIED, "coordinator/not-allowed"),
    ):
        stub.PutAgreement(messages.PutAgreementRequest(request_id="r", agreement=b"x"))


def test_without_a_certificate_of_this_authority_nobody_gets_in(
    address: str, tls: Path, tmp_path: Path
) -> None:
    Authority.create().issue(tmp_path, "airline")
    (tmp_path / "ca.pem").write_bytes((tls / "ca.pem").read_bytes())
    strangers = [
        grpc.secure_channel(address, grpc.ssl_channel_credentials((tls / "ca.pem").read_bytes())),
        grpc.insecure_channel(address),
    ]
    with stub_of(address, tmp_path, "airline") as forger:
        assert_unavailable(forger)
    for channel in strangers:
        with channel:
            assert_unavailable(CoordinatorStub(channel))  # type: ignore[no-untyped-call]


def assert_unavailable(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ListAgreements(messages.ListAgreementsRequest(), timeout=10)
    error: Any = caught.value
    assert error.code() == StatusCode.UNAVAILABLE
