"""What has been verified: a value that only the verifier can make.

Holding a `VerifiedAttestation` is the proof that the steps were passed; there is no boolean to forget. It
says how it was verified (live or as a replay), when, under which root, and whether a nonce was compared.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from datetime import datetime
from typing import Final, Literal

from party_client.attestation.document import AttestationDocument
from party_client.attestation.emulator import Anchor, EmulatorUnsafe
from party_client.attestation.measurements import CODE_REGISTERS

_MINT: Final = object()
How = Literal["live", "replay"]


@dataclass(frozen=True, kw_only=True)
class VerifiedAttestation:
    """A document that passed every step. Made by `verify_now` and `verify_replay`, and nothing else.

    If it `is_unsigned_emulator`, every step but 4 and 5, which the caller renounced.
    """

    document: AttestationDocument
    root: Anchor
    """A trusted root; `EmulatorUnsafe` where nothing was signed and nobody vouches for the document."""
    how: How
    """`live`: fresh now. `replay`: was valid when it was signed, which says nothing about now."""
    verified_at: datetime
    """The caller's clock (live), or the document's own signed time (replay)."""
    nonce_compared: bool
    policy: str
    """The policy that held, in words."""
    mint: InitVar[object]

    def __post_init__(self, mint: object) -> None:
        if mint is not _MINT:
            raise TypeError(
                "a VerifiedAttestation comes from verify_now or verify_replay, and from nowhere else"
            )

    @property
    def is_unsigned_emulator(self) -> bool:
        """Whether steps 4 and 5 were left out, as asked: then anybody can have written the document."""
        return isinstance(self.root, EmulatorUnsafe)

    @property
    def measurements(self) -> tuple[bytes, bytes, bytes]:
        """PCR0, PCR1, PCR2, 48 bytes each; all zero for a debug enclave that the policy let through."""
        pcr0, pcr1, pcr2 = (self.document.require_pcr(index) for index in CODE_REGISTERS)
        return pcr0, pcr1, pcr2


def mint_verified(
    document: AttestationDocument,
    *,
    root: Anchor,
    how: How,
    verified_at: datetime,
    nonce_compared: bool,
    policy: str,
) -> VerifiedAttestation:
    """For `verifier` alone: states that `document` has passed every step."""
    return VerifiedAttestation(
        document=document,
        root=root,
        how=how,
        verified_at=verified_at,
        nonce_compared=nonce_compared,
        policy=policy,
        mint=_MINT,
    )
