"""Development certificates: they carry a mutual TLS connection, and nothing is overwritten or exposed."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from party_client.files import ExposedFileError, FileExistsAlreadyError
from party_client.tls import CertificateFolderError, make_development_certificates
from protos.formats.errors import FormatError

NOW = datetime.now(UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_development_certificates(tmp_path / "tls", ["airline"], hosts=["relay.example"], now=NOW)
    return tmp_path / "tls"


def handshake(folder: Path, *, client: str | None, host: str, authority: Path | None = None) -> str:
    """The common name that the server sees, over memory; raises what the TLS library raises."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(folder / "coordinator.pem", folder / "coordinator.key.pem")
    server_context.load_verify_locations(folder / "ca.pem")
    server_context.verify_mode = ssl.CERT_REQUIRED
    client_context = ssl.create_default_context(cafile=str((authority or folder) / "ca.pem"))
    if client is not None:
        client_context.load_cert_chain(folder / f"{client}.pem", folder / f"{client}.key.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client_context.wrap_bio(to_client, to_server, server_hostname=host),
        server_context.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    der = ends[1].getpeercert(binary_form=True)
    assert der is not None
    (name,) = x509.load_der_x509_certificate(der).subject
    return str(name.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "relay.example"])
def test_certificates_carry_mutual_tls(folder: Path, host: str) -> None:
    assert handshake(folder, client="airline", host=host) == "airline"


def test_other_host_other_authority_and_server_as_client_are_refused(folder: Path, tmp_path: Path) -> None:
    make_development_certificates(tmp_path / "other", ["airline"], now=NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="elsewhere"):
        handshake(folder, client="airline", host="elsewhere.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(folder, client="airline", host="localhost", authority=tmp_path / "other")
    with pytest.raises(ssl.SSLError, match=r"(?i)purpose|verify failed"):
        handshake(folder, client="coordinator", host="localhost")
    with pytest.raises(ssl.SSLError):
        handshake(folder, client=None, host="localhost")


def test_keys_are_their_owners_alone(folder: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {
        "ca.pem": 0o644,
        "ca.key.pem": 0o600,
        "coordinator.pem": 0o644,
        "coordinator.key.pem": 0o600,
        "airline.pem": 0o644,
        "airline.key.pem": 0o600,
    }


def test_names_are_added_under_the_same_authority(folder: Path) -> None:
    authority = (folder / "ca.pem").read_bytes()
    written = make_development_certificates(folder, ["weather_service"], now=NOW)
    assert [path.name for path in written] == ["weather_service.pem", "weather_service.key.pem"]
    assert (folder / "ca.pem").read_bytes() == authority
    assert handshake(folder, client="weather_service", host="localhost") == "weather_service"


def test_name_given_twice_is_one(tmp_path: Path) -> None:
    written = make_development_certificates(tmp_path, ["coordinator", "airline", "airline"], now=NOW)
    assert len(written) == len(list(tmp_path.iterdir())) == 6


def test_nothing_is_overwritten(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(FileExistsAlreadyError, match="airline"):
        make_development_certificates(folder, ["registry", "airline"], now=NOW)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_certificates_bear_a_clock_that_is_an_hour_behind(folder: Path) -> None:
    for name in ("ca", "coordinator", "airline"):
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
        assert certificate.not_valid_before_utc <= NOW - timedelta(hours=1)
        assert certificate.not_valid_after_utc >= NOW + timedelta(days=365)


@pytest.mark.parametrize("days", [-10, 4000])
def test_authority_outside_its_time_names_the_clock(folder: Path, days: int) -> None:
    with pytest.raises(CertificateFolderError, match="this computer's clock says"):
        make_development_certificates(folder, ["registry"], now=NOW + timedelta(days=days))


def test_exposed_or_foreign_authority_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "ca.key.pem").chmod(0o644)
    with pytest.raises(ExposedFileError):
        make_development_certificates(folder, ["registry"], now=NOW)
    (folder / "ca.key.pem").chmod(0o600)
    make_development_certificates(tmp_path / "other", ["x"], now=NOW)
    (folder / "ca.pem").write_bytes((tmp_path / "other/ca.pem").read_bytes())
    with pytest.raises(CertificateFolderError, match="is not the key"):
        make_development_certificates(folder, ["registry"], now=NOW)
    (folder / "ca.pem").write_text("nothing")
    with pytest.raises(CertificateFolderError, match="not the authority"):
        make_development_certificates(folder, ["registry"], now=NOW)


@pytest.mark.parametrize("name", ["ca", "Airline", "../airline", ""])
def test_names_that_cannot_be_files_of_ours_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises((CertificateFolderError, FormatError)):
        make_development_certificates(tmp_path / "tls", [name], now=NOW)
    assert not (tmp_path / "tls").exists()


def test_host_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CertificateFolderError, match="host"):
        make_development_certificates(tmp_path / "tls", ["coordinator"], hosts=["ﬀ"], now=NOW)
