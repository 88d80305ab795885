from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.errors import CannotServeError
from coordinator.server import Transport


@pytest.mark.parametrize("address", ["127.0.0.1:50051", "localhost:0", "[::1]:1", "127.8.9.10:65535"])
def test_plaintext_is_served_on_loopback(address: str) -> None:
    assert Transport.plaintext((address,)).credentials is None


@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "192.168.1.7:1", "coordinator.example:1"])
def test_plaintext_is_served_nowhere_else(address: str) -> None:
    with pytest.raises(CannotServeError, match="can be reached from elsewhere") as caught:
        Transport.plaintext(("127.0.0.1:1", address))
    assert "--tls" in str(caught.value.hint)


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1", "127.0.0.1:", ":80", "127.0.0.1:http", "h:65536", "h:-1"]
)
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(CannotServeError, match="expected HOST:PORT"):
        Transport.plaintext((address,))


def test_missing_certificates_are_named_with_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(CannotServeError, match=r"coordinator\.key\.pem: No such file") as caught:
        Transport.mutual_tls(("127.0.0.1:0",), tmp_path)
    assert "concordat tls dev" in str(caught.value.hint)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    for name in ("coordinator.key.pem", "coordinator.pem", "ca.pem"):
        (tmp_path / name).write_text("hello")
    with pytest.raises(CannotServeError, match="not a PEM file"):
        Transport.mutual_tls(("127.0.0.1:0",), tmp_path)
