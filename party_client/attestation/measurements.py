"""What a Nitro Enclave measures: the registers that identify code, and how a register is extended.

PCR0 is the whole image, PCR1 kernel, command line and first ramdisk, PCR2 the other ramdisks; PCR3 the
parent's IAM role, PCR4 the parent instance, PCR8 the image's signing certificate, PCR16 and up belong to the
application. None of PCR0..2 stands by itself: PCR1 is AWS's stock bootstrap for most images, PCR2 of a single
ramdisk is a constant. Followed: AWS "Cryptographic attestation" and "attestation_process.md".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from party_client.attestation.errors import ExpectationError

PCR_BYTES: Final = 48
ZERO_PCR: Final = bytes(PCR_BYTES)
CODE_REGISTERS: Final = (0, 1, 2)
INSTANCE_REGISTER: Final = 4
AGREEMENT_REGISTER: Final = 16


@dataclass(frozen=True, slots=True)
class Measurements:
    """PCR0, PCR1 and PCR2 of one release, 48 bytes each. All zero means debug mode: never expected."""

    pcr0: bytes
    pcr1: bytes
    pcr2: bytes

    def __post_init__(self) -> None:
        for name, value in self.named().items():
            if len(value) != PCR_BYTES:
                raise ExpectationError(
                    f"expected value of {name}: got {len(value)} bytes, expected {PCR_BYTES}"
                )
            if value == ZERO_PCR:
                raise ExpectationError(
                    f"expected value of {name}: got all zeros, which is what an enclave in debug mode shows",
                    hint="take the measurements from the build of the release, not from a debug run",
                )

    @classmethod
    def from_hex(cls, pcr0: str, pcr1: str, pcr2: str) -> Measurements:
        """From 96 hexadecimal digits each, as nitro-cli prints them. Raises `ExpectationError`."""
        try:
            return cls(bytes.fromhex(pcr0), bytes.fromhex(pcr1), bytes.fromhex(pcr2))
        except ValueError as error:
            raise ExpectationError(
                "expected measurements: got something else than hexadecimal digits"
            ) from error

    def named(self) -> dict[str, bytes]:
        """The values by register name."""
        return {"PCR0": self.pcr0, "PCR1": self.pcr1, "PCR2": self.pcr2}


def extended_once(data: bytes) -> bytes:
    """A register that was zero and then extended by `data`: SHA-384(0^48 || data), 48 bytes."""
    return hashlib.sha384(ZERO_PCR + data).digest()
