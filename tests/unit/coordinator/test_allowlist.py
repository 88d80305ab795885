from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.errors import AllowlistFileError, EndpointNotAllowedError
from coordinator.kms.allowlist import ENTRIES_MAX, FILE_MAX_BYTES, Allowlist, read_allowlist

# As /etc/nitro_enclaves/vsock-proxy.yaml has it.
AS_AWS_HAS_IT = """\
allowlist:
- {address: kms.us-east-1.amazonaws.com, port: 443}
- {address: kms.eu-central-1.amazonaws.com, port: 443}
"""
NESTED = "[" * 5000


def read(folder: Path, text: str | bytes) -> Allowlist:
    path = folder / "endpoints.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_allowlist(path)


def test_a_file_for_vsock_proxy_is_taken_as_it_is(tmp_path: Path) -> None:
    allowed = read(tmp_path, AS_AWS_HAS_IT)
    allowed.require("kms.eu-central-1.amazonaws.com", 443)
    allowed.require("KMS.eu-central-1.amazonaws.com", 443)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("kms.eu-central-1.amazonaws.com", 8443),
        ("kms.eu-central-1.amazonaws.com.", 443),
        ("evil.kms.eu-central-1.amazonaws.com", 443),
        ("eu-central-1.amazonaws.com", 443),
        ("127.0.0.1", 443),
        ("", 443),
    ],
)
def test_what_is_not_listed_letter_for_letter_is_refused(tmp_path: Path, host: str, port: int) -> None:
    with pytest.raises(EndpointNotAllowedError, match="not one of the 2 endpoints"):
        read(tmp_path, AS_AWS_HAS_IT).require(host, port)


def test_an_empty_list_allows_nothing(tmp_path: Path) -> None:
    with pytest.raises(EndpointNotAllowedError):
        read(tmp_path, "allowlist: []").require("kms.us-east-1.amazonaws.com", 443)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "allowlist:",
        "[]",
        "allowlist: []\nother: 1",
        "whitelist: []",
        "allowlist: {address: kms.example, port: 443}",
        "allowlist: [kms.example]",
        "allowlist: [{address: kms.example}]",
        "allowlist: [{address: kms.example, port: 443, more: 1}]",
        "allowlist: [{address: '', port: 443}]",
        "allowlist: [{address: 1, port: 443}]",
        "allowlist: [{address: 'kms.example:443', port: 443}]",
        f"allowlist: [{{address: {'a' * 254}, port: 443}}]",
        "allowlist: [{address: kms.example, port: 0}]",
        "allowlist: [{address: kms.example, port: 65536}]",
        "allowlist: [{address: kms.example, port: '443'}]",
        "allowlist: [{address: kms.example, port: true}]",
        "allowlist: [{address: kms.example, port: 443.0}]",
        "allowlist: [{? [address] : 1}]",
        "allowlist: [" + ENTRIES_MAX * "{address: a, port: 1}, " + "{address: a, port: 2}]",
        "allowlist: !!python/object/apply:os.system ['true']",
        "allowlist: [",
        f"allowlist: {NESTED}",
        b"\xff\xfe\x00",
        b"allowlist: []\x00",
        "#" * (FILE_MAX_BYTES + 1),
        "when: 2026-99-99",
    ],
)
def test_anything_else_is_refused(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(AllowlistFileError) as caught:
        read(tmp_path, text)
    assert "endpoints.yaml" in caught.value.message
    assert caught.value.hint


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(AllowlistFileError, match="No such file"):
        read_allowlist(tmp_path / "missing")
