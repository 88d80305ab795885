"""What a party expects of an enclave: its code, its agreement and the keys it speaks for (steps 9 to 11).

Each is a `Policy` over a document that has been found genuine. Expected values come from the agreement, which
the party has signed, or from a build of the release; all-zero ones are refused where they are stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from party_client.attestation.document import AttestationDocument, shown
from party_client.attestation.emulator import Anchor, require_unmixed
from party_client.attestation.errors import (
    AgreementMismatchError,
    BindingMismatchError,
    ExpectationError,
    MeasurementMismatchError,
    PolicyError,
    ReleaseNotValidError,
    RootNotAllowedError,
)
from party_client.attestation.measurements import (
    AGREEMENT_REGISTER,
    CODE_REGISTERS,
    PCR_BYTES,
    Measurements,
    extended_once,
)
from party_client.attestation.policy import Policy
from party_client.times import validity_text
from protos.formats.limits import USER_DATA_ACCEPT_MAX_BYTES
from protos.formats.participants import Release


@dataclass(frozen=True)
class AllowedMeasurements(Policy):
    """PCR0, PCR1 and PCR2 are, all three, those of one entry of `allowed`."""

    allowed: Sequence[Measurements]

    def __post_init__(self) -> None:
        object.__setattr__(self, "allowed", tuple(self.allowed))
        if not self.allowed:
            raise PolicyError("got an empty list of allowed measurements, which would let nothing through")

    @property
    def decides_measurements(self) -> bool:
        """Yes: these and no others."""
        return True

    def require(self, document: AttestationDocument, root: Anchor) -> None:  # noqa: ARG002
        """Raises `MeasurementMismatchError`."""
        require_measurements(document, self.allowed)

    def __str__(self) -> str:
        return "PCR0, PCR1, PCR2 of " + " or ".join(
            f"image {each.pcr0.hex()[:16]}..." for each in self.allowed
        )


@dataclass(frozen=True)
class AllowedReleases(Policy):
    """As `AllowedMeasurements`, under the root that the release names, inside the release's own validity.

    Simulated is not real, and the time is the one that the document is signed with.
    Releases of the unsigned emulator stand alone; beside others they raise `EmulatorMixedError`.
    """

    releases: Sequence[Release]

    def __post_init__(self) -> None:
        object.__setattr__(self, "releases", tuple(self.releases))
        if not self.releases:
            raise PolicyError("got an empty list of allowed releases, which would let nothing through")
        require_unmixed(self.releases)

    @property
    def decides_measurements(self) -> bool:
        """Yes: these and no others."""
        return True

    def require(self, document: AttestationDocument, root: Anchor) -> None:
        """Raises `MeasurementMismatchError`, `RootNotAllowedError` or `ReleaseNotValidError`."""
        require_release(document, root, self.releases)

    def __str__(self) -> str:
        return "release " + " or ".join(f"{release.name!r}" for release in self.releases)


@dataclass(frozen=True)
class AgreementInPcr16(Policy):
    """PCR16 was extended once, by `agreement_digest` (48 bytes), and locked: it serves that agreement."""

    agreement_digest: bytes

    def __post_init__(self) -> None:
        if len(self.agreement_digest) != PCR_BYTES:
            raise ExpectationError(
                f"agreement digest: got {len(self.agreement_digest)} bytes, expected {PCR_BYTES} (SHA-384)"
            )

    def require(self, document: AttestationDocument, root: Anchor) -> None:  # noqa: ARG002
        """Raises `PcrMissingError` or `AgreementMismatchError`."""
        got, expected = document.require_pcr(AGREEMENT_REGISTER), extended_once(self.agreement_digest)
        if got != expected:
            raise AgreementMismatchError(
                f"PCR16: got {got.hex()}, expected {expected.hex()} "
                f"for agreement {self.agreement_digest.hex()[:16]}..."
            )

    def __str__(self) -> str:
        return f"PCR16 of agreement {self.agreement_digest.hex()[:16]}..."


@dataclass(frozen=True)
class Binding(Policy):
    """`user_data` is exactly these bytes (1 to 1,024)."""

    user_data: bytes

    def __post_init__(self) -> None:
        if not 1 <= len(self.user_data) <= USER_DATA_ACCEPT_MAX_BYTES:
            raise ExpectationError(f"expected user_data: got {len(self.user_data)} bytes, expected 1 to 1024")

    def require(self, document: AttestationDocument, root: Anchor) -> None:  # noqa: ARG002
        """Raises `BindingMismatchError`."""
        if document.user_data != self.user_data:
            got, expected = shown(document.user_data), shown(self.user_data)
            raise BindingMismatchError(f"user_data: got {got}, expected {expected}")

    def __str__(self) -> str:
        return f"user_data {self.user_data.hex()[:16]}..."


def require_measurements(document: AttestationDocument, allowed: Sequence[Measurements]) -> None:
    """Step 9. Raises `MeasurementMismatchError` unless PCR0..2 are, together, those of one of `allowed`."""
    if not any(not _differing(document, each) for each in allowed):
        raise _mismatch(document, allowed)


def require_release(
    document: AttestationDocument, root: Anchor, releases: Sequence[Release], *, now: datetime | None = None
) -> Release:
    """Step 9. The release that `document` measures, under its own root and in its own time.

    It has to be valid when the document was signed and, where `now` is given, by that clock as well: of two
    clocks the stricter counts. Raises `MeasurementMismatchError`, `RootNotAllowedError` when only the root is
    another one, `ReleaseNotValidError` when only the time is.
    """
    measured = [(release, Measurements(release.pcr0, release.pcr1, release.pcr2)) for release in releases]
    fitting = [release for release, expected in measured if not _differing(document, expected)]
    if not fitting:
        raise _mismatch(document, [expected for _, expected in measured])
    under_root = [release for release in fitting if release.root_sha256 == root.sha256]
    if not under_root:
        raise RootNotAllowedError(
            f"release {fitting[0].name!r}: got root {root.sha256.hex()} ({root.name}), "
            f"expected {fitting[0].root_sha256.hex()}"
        )
    times = [document.signed_at, *([] if now is None else [now])]
    for release in under_root:
        if all(release.is_valid_at(time.timestamp()) for time in times):
            return release
    raise _not_valid(under_root[0], times)


def _not_valid(release: Release, times: Sequence[datetime]) -> ReleaseNotValidError:
    got = " and ".join(f"{time:%Y-%m-%d %H:%M:%S} UTC" for time in times)
    expected = validity_text(release.valid_from_s, release.valid_until_s)
    return ReleaseNotValidError(f"release {release.name!r}: got {got}, expected a time {expected}")


def _differing(document: AttestationDocument, expected: Measurements) -> list[str]:
    got = (document.require_pcr(index) for index in CODE_REGISTERS)
    return [
        name for value, (name, wanted) in zip(got, expected.named().items(), strict=True) if value != wanted
    ]


def _mismatch(document: AttestationDocument, allowed: Sequence[Measurements]) -> MeasurementMismatchError:
    got = ", ".join(f"PCR{index}={document.require_pcr(index).hex()}" for index in CODE_REGISTERS)
    nearest = min((_differing(document, each) for each in allowed), key=len)
    return MeasurementMismatchError(
        f"got {got}; expected those of one of {len(allowed)} allowed "
        f"(the nearest differs in {', '.join(nearest)})"
    )
