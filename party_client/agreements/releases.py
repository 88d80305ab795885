"""Who vouches for each enclave release that an agreement accepts: AWS, a simulation, or nobody we know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from party_client.attestation import Anchors, EmulatorUnsafe, TrustedRoots
from party_client.attestation.emulator import UNSIGNED_EMULATOR
from protos.formats.participants import Release

AWS: Final = "AWS"
SIMULATED: Final = "SIMULATED"
GIVEN: Final = "GIVEN ROOT"
UNKNOWN: Final = "UNKNOWN ROOT"
EMULATOR: Final = UNSIGNED_EMULATOR
MEANINGS: Final = {
    AWS: "AWS Nitro Enclaves, root G1",
    SIMULATED: "an ordinary computer that plays the enclave's part; no protection from its owner",
    GIVEN: "a root of trust that is not AWS's, believed because of --root",
    EMULATOR: "QEMU's emulator, which signs nothing: whoever runs it can read and change everything",
    UNKNOWN: "neither AWS's root of trust nor one given with --root",
}


@dataclass(frozen=True)
class ReleaseCheck:
    """One release, and what kind of root its attestation has to end at."""

    name: str
    kind: str
    """A key of `MEANINGS`."""
    pcr0: bytes
    root_sha256: bytes


def check_release(release: Release, roots: Anchors) -> ReleaseCheck:
    """`release` as it looks to somebody who believes `roots`."""
    kind = EMULATOR if release.is_unsigned_emulator else UNKNOWN
    # Whoever accepts the emulator believes no root; what AWS's is called does not depend on that.
    for root in TrustedRoots.aws() if isinstance(roots, EmulatorUnsafe) else roots:
        if root.sha256 == release.root_sha256:
            kind = AWS if root.is_aws else SIMULATED if root.is_simulated else GIVEN
    return ReleaseCheck(release.name, kind, release.pcr0, release.root_sha256)
