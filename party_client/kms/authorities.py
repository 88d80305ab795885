"""Whose certificates an endpoint of KMS is believed by: those of AWS's own authority, or of a file.

Amazon Root CA 1 to 4 come with the package, as https://www.amazontrust.com/repository/ names them by the
digests of their public keys; a test compares. The older Starfield root there is left out: its serial number
is 0, which strict readers refuse, and the four have taken its place. A file is somebody's; what is no
certificate in it is an error, and so is an empty one, because nobody to believe means no endpoint.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from party_client import files
from party_client.kms.errors import AuthorityFileError
from protos.formats.kms import AUTHORITIES_MAX

FILE_MAX_BYTES: Final = 64 * 1024
_AMAZON_FILE: Final = "amazon_trust_services.pem"


@cache
def amazon_authorities() -> tuple[bytes, ...]:
    """Amazon Root CA 1 to 4 (DER), under which AWS's endpoints are."""
    return _certificates(resources.files(__package__).joinpath(_AMAZON_FILE).read_bytes(), _AMAZON_FILE)


def load_authorities(path: Path) -> tuple[bytes, ...]:
    """Every certificate of a PEM file (DER). Raises `AuthorityFileError` or `FileAccessError`."""
    return _certificates(files.read(path, max_bytes=FILE_MAX_BYTES, private=False), str(path))


def as_pem(authorities: tuple[bytes, ...]) -> bytes:
    """The certificates as the file that TLS libraries read."""
    return b"".join(x509.load_der_x509_certificate(one).public_bytes(Encoding.PEM) for one in authorities)


def _certificates(pem: bytes, name: str) -> tuple[bytes, ...]:
    try:
        found = [one.public_bytes(Encoding.DER) for one in x509.load_pem_x509_certificates(pem)]
    except Exception as error:  # the file is somebody's; one exception may leave
        raise AuthorityFileError(
            f"{name}: not certificates in PEM ({type(error).__name__})",
            hint="name the file with the certificates of those who vouch for the endpoint",
        ) from error
    if len(found) > AUTHORITIES_MAX:
        raise AuthorityFileError(f"{name}: got {len(found)} certificates, expected 1 to {AUTHORITIES_MAX}")
    return tuple(dict.fromkeys(found))
