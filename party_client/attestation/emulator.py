"""UNSAFE: whether a document is exactly what QEMU's `nitro-enclave` machine writes, which signs nothing.

Reads a document that anybody could have written. What returns is shaped like a genuine one and says what it
likes: there is no certificate, no signature, and whoever runs the emulator reads all that is sent to it. It
serves to boot a real image where there is no AWS. `EmulatorUnsafe` stands *in place of* trusted roots and
never beside any; steps 1 and 3 and 6 to 11 of `verifier` are the same code as for signed documents, step 2 is
the comparison here, steps 4 and 5 cannot be made. A signed document is refused here, as one of these is
everywhere else. Followed: QEMU, hw/virtio/virtio-nsm.c; docs/protocol.md, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import cbor2

from party_client.attestation.cose_sign1 import four_parts_untrusted, require_document_size
from party_client.attestation.document import AttestationDocument, parse_payload_untrusted, shown
from party_client.attestation.errors import (
    EmulatorMixedError,
    EmulatorNotAcceptedError,
    NotTheEmulatorsError,
)
from party_client.attestation.roots import TrustedRoot, TrustedRoots
from protos.formats.participants import Release
from protos.release.roots import UNSIGNED_EMULATOR_SHA256, is_unsigned_emulator

PROTECTED_UNSIGNED: Final = bytes.fromhex("a10120")
"""{1: -1}: an algorithm that does not exist."""
PLACEHOLDER: Final = bytes(64)
"""In place of the signature, of the certificate and of the only entry of cabundle."""
UNSIGNED_EMULATOR: Final = "UNSIGNED EMULATOR"


@dataclass(frozen=True, slots=True)
class EmulatorUnsafe:
    """UNSAFE in place of trusted roots: the emulator's unsigned documents are taken, and no others.

    It is also what stands as the root of such a document, so that agreements can name it and people see it.
    """

    @property
    def name(self) -> str:
        """Nobody's name: what it is, in capitals."""
        return UNSIGNED_EMULATOR

    @property
    def sha256(self) -> bytes:
        """What the releases of an agreement for the emulator have in place of a root's fingerprint."""
        return UNSIGNED_EMULATOR_SHA256

    @property
    def is_aws(self) -> bool:
        """No."""
        return False

    @property
    def is_simulated(self) -> bool:
        """No: the simulated machine signs what it says."""
        return False

    @property
    def roots(self) -> NoReturn:
        """Raises `EmulatorMixedError`. Trusted roots look here for more of them: `TrustedRoots.__or__`."""
        raise _mixed_with_roots()

    def __or__(self, other: object) -> NoReturn:
        """Raises `EmulatorMixedError`, whatever `other` is."""
        raise _mixed_with_roots()


Anchor = TrustedRoot | EmulatorUnsafe
"""What stands above one document."""
Anchors = TrustedRoots | EmulatorUnsafe
"""What a caller accepts there: one or the other, and never both."""


def parse_unsigned_untrusted(document: bytes) -> AttestationDocument:
    """Steps 1 to 3: the emulator's document, to the byte where others are signed. Verifies nothing.

    Raises `NotTheEmulatorsError` or, for what is no document at all, the errors of signed ones.
    """
    require_document_size(document)
    protected, unprotected, payload, signature = four_parts_untrusted(document)
    _require_placeholder("protected header", protected, PROTECTED_UNSIGNED)
    _require_placeholder("signature", signature, PLACEHOLDER)
    if document != cbor2.dumps([PROTECTED_UNSIGNED, {}, payload, PLACEHOLDER]):
        raise NotTheEmulatorsError(
            f"got {len(unprotected)} unprotected header fields and perhaps a length in more bytes than it "
            "needs, expected neither"
        )
    parsed = parse_payload_untrusted(payload)
    _require_placeholder("certificate", parsed.certificate, PLACEHOLDER)
    if parsed.cabundle != (PLACEHOLDER,):
        raise NotTheEmulatorsError(
            f"cabundle: got {len(parsed.cabundle)} entries, expected the emulator's one of zeros"
        )
    return parsed


def require_unmixed(releases: Sequence[Release]) -> None:
    """All of `releases` are the emulator's, or none is. Raises `EmulatorMixedError`.

    Otherwise a party that meant real enclaves would have signed for the emulator as well.
    """
    unsigned = [release.name for release in releases if is_unsigned_emulator(release)]
    if unsigned and len(unsigned) != len(releases):
        others = [release.name for release in releases if not is_unsigned_emulator(release)]
        raise EmulatorMixedError(
            f"release {unsigned[0]!r} is of the {UNSIGNED_EMULATOR}, release {others[0]!r} is not"
        )


def require_fitting(releases: Sequence[Release], anchors: Anchors | None) -> None:
    """`releases` are the emulator's if the caller accepts it by name, and are not if it does not.

    `anchors` may be None where no root is looked at. Raises `EmulatorNotAcceptedError` or
    `EmulatorMixedError`.
    """
    require_unmixed(releases)
    for release in releases:
        if is_unsigned_emulator(release) and not isinstance(anchors, EmulatorUnsafe):
            raise EmulatorNotAcceptedError(
                f"release {release.name!r} is of the {UNSIGNED_EMULATOR}: nobody vouches for what it runs"
            )
        if isinstance(anchors, EmulatorUnsafe) and not is_unsigned_emulator(release):
            raise EmulatorMixedError(
                f"release {release.name!r}: got root {release.root_sha256.hex()}, expected the placeholder "
                f"of the {UNSIGNED_EMULATOR}, which is all that was asked for"
            )


def _mixed_with_roots() -> EmulatorMixedError:
    return EmulatorMixedError(f"{UNSIGNED_EMULATOR}: got roots of trust beside it, expected none")


def _require_placeholder(what: str, got: bytes, expected: bytes) -> None:
    if got != expected:
        raise NotTheEmulatorsError(
            f"{what}: got {shown(got)}, expected {shown(expected)}, as the {UNSIGNED_EMULATOR} writes it"
        )


def is_unsigned(parts: Sequence[Any], fields: Mapping[Any, Any]) -> bool:
    """For showing only: whether decoded parts and fields of the payload look like the emulator's."""
    found = [parts[0], parts[3], fields.get("certificate"), fields.get("cabundle")]
    return found == [PROTECTED_UNSIGNED, PLACEHOLDER, PLACEHOLDER, [PLACEHOLDER]]
