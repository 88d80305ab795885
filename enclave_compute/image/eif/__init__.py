"""Enclave image files (EIF): read as hostile bytes, written reproducibly, measured, signed.

`header` and `sections` are the fixed-size parts; `reader` walks a file of anybody's and answers with an
`Image`; `measure` is what PCR0, PCR1, PCR2 and PCR8 cover; `signature` and `metadata` are the two sections
that have a form of their own; `writer` makes a file and `sign` adds a signature to one, and both read back
what they wrote.

Layout: `writer` → `reader` → (`measure`, `signature`, `metadata`) → (`header`, `sections`) → (`limits`,
`errors`). AWS's specification is "Enclave Image File (EIF) Specification" in
aws-nitro-enclaves-image-format; `docs/image.md` says what is stricter here. Version 4 only: the emulator
takes no older one, and the tools write no older one.
"""

from enclave_compute.image.eif.errors import (
    ChecksumError,
    ContentError,
    ImageFileError,
    ImageSignatureError,
    SigningKeyError,
)
from enclave_compute.image.eif.measure import Measurements
from enclave_compute.image.eif.metadata import metadata_of
from enclave_compute.image.eif.reader import Image, read_image
from enclave_compute.image.eif.signature import Signer
from enclave_compute.image.eif.writer import sign_eif, write_eif

__all__ = [
    "ChecksumError",
    "ContentError",
    "Image",
    "ImageFileError",
    "ImageSignatureError",
    "Measurements",
    "Signer",
    "SigningKeyError",
    "metadata_of",
    "read_image",
    "sign_eif",
    "write_eif",
]
