"""What the security module will say about an image: PCR0, PCR1, PCR2 and PCR8.

`Registers` is fed the contents of the sections in file order, in pieces of any size. PCRn = SHA-384(0^48 ||
SHA-384(content)); PCR0 covers kernel, command line and all ramdisks, PCR1 those with the first ramdisk
only, PCR2 the other ramdisks, PCR8 the certificate (DER) of a signed image. Section headers, metadata and
the signature are in none of them, nor is where one section ends and the next begins. EIF specification,
"EIF Measurements".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from enclave_compute.image.eif.sections import MEASURED, SectionKind

PCR_BYTES: Final = 48
_ZERO: Final = bytes(PCR_BYTES)
Piece = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Measurements:
    """What identifies an image: 48 bytes each."""

    pcr0: bytes
    pcr1: bytes
    pcr2: bytes
    pcr8: bytes | None
    """Of the signing certificate; None where the image is not signed, and the module then says zero."""

    def as_hex(self) -> dict[str, str]:
        """`pcr0`, `pcr1`, `pcr2`, and `pcr8` if the image is signed, in lower-case hex."""
        values = {"pcr0": self.pcr0, "pcr1": self.pcr1, "pcr2": self.pcr2, "pcr8": self.pcr8}
        return {name: value.hex() for name, value in values.items() if value is not None}


class Registers:
    """The registers of one image while its file is read."""

    def __init__(self) -> None:
        self._image, self._boot, self._application = (hashlib.sha384() for _ in range(3))
        self._ramdisks = 0

    def begin(self, kind: SectionKind) -> None:
        """A section of this kind begins."""
        self._ramdisks += kind is SectionKind.RAMDISK

    def update(self, kind: SectionKind, piece: Piece) -> None:
        """The next bytes of the section that has begun."""
        if kind not in MEASURED:
            return
        self._image.update(piece)
        if self._ramdisks <= 1:
            self._boot.update(piece)
        else:
            self._application.update(piece)

    def measurements(self, *, certificate_der: bytes | None = None) -> Measurements:
        """What the module will say when all has been fed; the certificate is that of a verified signature."""
        return Measurements(
            pcr0=_pcr(self._image.digest()),
            pcr1=_pcr(self._boot.digest()),
            pcr2=_pcr(self._application.digest()),
            pcr8=None if certificate_der is None else _pcr(hashlib.sha384(certificate_der).digest()),
        )


def _pcr(digest: bytes) -> bytes:
    return hashlib.sha384(_ZERO + digest).digest()
