"""CiphertextForRecipient has AWS's bytes, and opens with two readers that are not ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from scenarios.kms.enveloped import assemble, envelop
from scenarios.kms.recipient import Recipient
from tests.kms_world import enclave_key, spki_of
from tests.unit.scenarios.kms.enveloped_reader import open_enveloped, parse

# One block, the most that fits one, the least that does not, one OCTET STRING, two of them, a private key.
LENGTHS = [1, 15, 16, 32, 991, 1000, 2400]


def message(plaintext: bytes) -> bytes:
    key = enclave_key()
    return envelop(plaintext, Recipient(key.public_key(), spki_of(key), {}))


@pytest.mark.parametrize("length_bytes", LENGTHS)
def test_it_opens_with_asn1crypto(length_bytes: int) -> None:
    plaintext = bytes(range(256)) * 10
    assert open_enveloped(message(plaintext[:length_bytes]), enclave_key()) == plaintext[:length_bytes]


@pytest.mark.parametrize("length_bytes", LENGTHS)
def test_it_opens_with_openssl(length_bytes: int, tmp_path: Path) -> None:
    key_file, plaintext = tmp_path / "key.pem", b"\x07" * length_bytes
    pem = enclave_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key_file.write_bytes(pem)
    opened = subprocess.run(
        ["openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", str(key_file), "-binary"],
        input=message(plaintext),
        capture_output=True,
        check=True,
    )
    assert opened.stdout == plaintext


def test_both_forms_of_content() -> None:
    single, several = message(b"x" * 15), message(b"x" * 2400)
    assert b"\x80\x10" + parse(single).ciphertext + bytes(8) in single
    assert single.endswith(parse(single).ciphertext + bytes(8))
    first = parse(several).ciphertext[:1000]
    assert b"\xa0\x80\x04\x82\x03\xe8" + first + b"\x04\x82\x03\xe8" in several
    assert several.endswith(bytes(10))


def test_every_byte_around_the_parts() -> None:
    """The bytes of AWS's test data, with the parts taken out."""
    parts = {"key_identifier": b"\x11" * 32, "encrypted_key": b"\x22" * 256, "iv": b"\x33" * 16}
    outside = (
        "3080 06092a864886f70d010703 a080 3080 020102 3182016b 30820167 020102 8020" + "11" * 32 + "303c"
        "06092a864886f70d010107 302f a00f 300d06096086480165030402010500 a11c 301a 06092a864886f70d010108"
        "300d06096086480165030402010500 04820100" + "22" * 256 + "3080 06092a864886f70d010701"
        "301d 060960864801650304012a 0410" + "33" * 16
    )
    short, long = b"\x44" * 16, b"\x44" * 48
    assert assemble(**parts, ciphertext=short) == bytes.fromhex(outside + "8010" + "44" * 16 + "0000" * 4)
    assert assemble(**parts, ciphertext=long) == bytes.fromhex(outside + "a0800430" + "44" * 48 + "0000" * 5)
