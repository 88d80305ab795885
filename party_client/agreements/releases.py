"""Who vouches for each enclave release that an agreement accepts, and when: AWS, a simulation, or nobody.

What is said here of changes is about the agreement as it would be signed; see `protos.release.history`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from party_client.attestation import Anchors, EmulatorUnsafe, TrustedRoots
from party_client.attestation.emulator import UNSIGNED_EMULATOR
from party_client.times import time_text, validity_text
from protos.formats.agreement import Agreement
from protos.formats.participants import Release
from protos.release.roots import is_unsigned_emulator

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
    validity: str
    """In words."""


def check_release(release: Release, roots: Anchors) -> ReleaseCheck:
    """`release` as it looks to somebody who believes `roots`."""
    kind = EMULATOR if is_unsigned_emulator(release) else UNKNOWN
    # Whoever accepts the emulator believes no root; what AWS's is called does not depend on that.
    for root in TrustedRoots.aws() if isinstance(roots, EmulatorUnsafe) else roots:
        if root.sha256 == release.root_sha256:
            kind = AWS if root.is_aws else SIMULATED if root.is_simulated else GIVEN
    validity = validity_text(release.valid_from_s, release.valid_until_s)
    return ReleaseCheck(release.name, kind, release.pcr0, release.root_sha256, validity)


def gaps(agreement: Agreement, releases: Sequence[Release]) -> list[tuple[int, int]]:
    """Times inside the agreement's validity, from and until (seconds), at which no release is valid."""
    found, covered_s = [], agreement.valid_from_s
    spans = sorted(
        (
            agreement.valid_from_s if release.valid_from_s is None else release.valid_from_s,
            agreement.valid_until_s if release.valid_until_s is None else release.valid_until_s,
        )
        for release in releases
    )
    for begin_s, end_s in [*spans, (agreement.valid_until_s, agreement.valid_until_s)]:
        if covered_s < min(begin_s, agreement.valid_until_s):
            found.append((covered_s, min(begin_s, agreement.valid_until_s)))
        covered_s = max(covered_s, end_s)
    return found


def quorum_sentence(agreement: Agreement) -> str:
    """Who may change which code is accepted."""
    quorum, parties = agreement.release_quorum, len(agreement.parties)
    if quorum is None:
        return "nobody: the releases stand as all parties sign them"
    return f"any {quorum} of {parties} parties together, without the signatures of the others"


def release_warnings(agreement: Agreement) -> Iterator[str]:
    """What somebody should know about when releases are valid and who may change them."""
    for begin_s, end_s in gaps(agreement, agreement.releases):
        yield (
            f"No release is valid from {time_text(begin_s)} until {time_text(end_s)}: no enclave is accepted "
            "in that time."
        )
    quorum, parties = agreement.release_quorum, len(agreement.parties)
    if quorum is None or quorum == parties:
        return
    yield (
        f"Any {quorum} of the {parties} parties can together accept other enclave code, under the roots "
        "named here, for everybody's data. Whoever relies on it has to have their change of releases."
    )
    if 2 * quorum <= parties:
        yield (
            f"{quorum} is no majority of {parties}: two groups of parties can change the releases in two "
            "ways, each signed by enough. No client takes both; which one it takes depends on whom it asks."
        )
