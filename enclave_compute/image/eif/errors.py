"""Why an image file is refused, or cannot be written, each with the next step.

Image files hold code and no data of any party, so a message may quote what stands in one.
"""

from __future__ import annotations

from typing import ClassVar

from protos.formats.errors import ConcordatError


class ImageFileError(ConcordatError):
    """The bytes are not an enclave image file, or one that two readers could take for two images."""

    code = "eif/malformed"
    next_step: ClassVar[str] = "obtain the image file again, or build it from its source and compare"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint if hint is not None else self.next_step)


class ChecksumError(ImageFileError):
    """The CRC32 in the header is not that of the file: it was damaged, or changed by hand."""

    code = "eif/checksum"


class ImageSignatureError(ImageFileError):
    """The signature section is malformed, or does not sign this image with the certificate beside it."""

    code = "eif/signature"
    next_step = "do not run this image; ask whoever signed it for the file they signed"


class ContentError(ImageFileError):
    """What is to be put into an image file cannot be: missing, empty, too large, or changed meanwhile."""

    code = "eif/content"
    next_step = "look at the file that is named, and build again"


class SigningKeyError(ImageFileError):
    """The key and certificate to sign with cannot be used, or do not belong together."""

    code = "eif/signing-key"
    next_step = "give a PEM private key on P-256, P-384 or P-521, and the PEM certificate of that very key"
