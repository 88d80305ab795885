"""Fingerprints of roots that attestation documents end at, as the releases of an agreement name them.

A fingerprint is the SHA-256 of the certificate (DER). It only names a root: parties decide by the
certificate that they hold themselves. Agreement, `release` (protos/README.md, section 4).
"""

from __future__ import annotations

from typing import Final

from protos.formats.participants import Release

AWS_NITRO_ROOT_G1_SHA256: Final = bytes.fromhex(
    "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
)
"""Of AWS's root G1, partition `aws`, as published in "Verifying the root of trust" (Nitro Enclaves user
guide); not of the zip file that it is published in, whose digest stands on the same page."""
UNSIGNED_EMULATOR_SHA256: Final = bytes.fromhex(
    "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"
)
"""In place of a root's fingerprint: SHA-256 of the 64 zero bytes that QEMU's emulator has as certificate."""


def is_unsigned_emulator(release: Release) -> bool:
    """Whether whoever signs `release` accepts an emulator whose documents anybody could write."""
    return release.root_sha256 == UNSIGNED_EMULATOR_SHA256
