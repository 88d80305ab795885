"""Every reason for which an attestation document is refused, each with its own name.

A refusal is about bytes that the coordinator or an enclave handed over. All of them derive from
`AttestationError`, the one family that leaves this package; `code` is stable and may be matched on. The
message says what was got and what was expected, the hint what to do next. The classes stand in the order of
the verification steps in `verifier`.
"""

from __future__ import annotations

from typing import ClassVar

from protos.formats.errors import ConcordatError


class AttestationError(ConcordatError):
    """An attestation document, or what it was to be checked against, is refused."""

    code = "attestation/refused"
    next_step: ClassVar[str] = "do not send anything to this enclave; ask its operator for another document"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint if hint is not None else self.next_step)


# What the caller asked for makes no sense; no document has been looked at.


class NoTrustedRootsError(AttestationError):
    """Nothing to trust: an empty set of roots would make every chain, or none, acceptable."""

    code = "attestation/no-trusted-roots"
    next_step = "use TrustedRoots.aws(), or TrustedRoots.from_pem for a root you obtained yourself"


class RootFileError(AttestationError):
    """A root certificate file is not one certificate, or not the certificate it is pinned to be."""

    code = "attestation/root-file"
    next_step = "obtain the root certificate again from its publisher and compare its SHA-256 fingerprint"


class ExpectationError(AttestationError):
    """An expected value is malformed, or one that nobody should ever expect (all zero)."""

    code = "attestation/expectation-malformed"
    next_step = "copy PCR0, PCR1 and PCR2 from the published measurements of the release"


class PolicyError(AttestationError):
    """A policy is empty, or leaves open which code may run."""

    code = "attestation/policy-incomplete"
    next_step = "name the allowed measurements, or say AnyMeasurementUnsafe() if that is what you mean"


class EmulatorMixedError(AttestationError):
    """The unsigned emulator beside something that is signed: whoever accepts both has checked neither."""

    code = "attestation/emulator-mixed"
    next_step = (
        "an agreement is for the emulator alone or for real enclaves; --unsafe-emulator goes with the first, "
        "roots of trust with the second"
    )


class EmulatorNotAcceptedError(AttestationError):
    """The agreement is for the unsigned emulator, which nobody accepts without saying so."""

    code = "attestation/emulator-not-accepted"
    next_step = (
        "never send real data under this agreement; for trials with data that may be seen by anybody, say "
        "--unsafe-emulator"
    )


# Step 1: size and CBOR shape.


class DocumentSizeError(AttestationError):
    """The document is empty or longer than an NSM can make it."""

    code = "attestation/size"


class MalformedCborError(AttestationError):
    """The bytes are not one well-formed CBOR item of bounded depth."""

    code = "attestation/cbor-malformed"
    next_step = "check that the file is the binary document itself (not hex, base64 or a truncated copy)"


class TrailingBytesError(MalformedCborError):
    """Bytes follow the end of the CBOR item."""

    code = "attestation/trailing-bytes"


class DuplicateKeyError(MalformedCborError):
    """A map has the same key twice, so two readers could see two documents."""

    code = "attestation/duplicate-key"


class TagError(MalformedCborError):
    """A CBOR tag other than one leading COSE_Sign1 tag (18)."""

    code = "attestation/cbor-tag"


class CoseShapeError(AttestationError):
    """Not the four-element array of COSE_Sign1 in its one definite encoding."""

    code = "attestation/cose-shape"


# Step 2: headers and signature encoding.


class AlgorithmError(AttestationError):
    """The protected header is not exactly {1: -35}, that is ES384."""

    code = "attestation/algorithm"


class UnprotectedHeaderError(AttestationError):
    """The unprotected header, which nobody signs, is not empty."""

    code = "attestation/unprotected-header"


class SignatureEncodingError(AttestationError):
    """The signature is not the 96 bytes r || s of ES384."""

    code = "attestation/signature-encoding"


class NotTheEmulatorsError(AttestationError):
    """Under `EmulatorUnsafe`: not exactly what QEMU's emulator writes where others have a signature."""

    code = "attestation/not-the-emulators"
    next_step = "a signed document is verified under its root of trust, without --unsafe-emulator"


# Step 3: fields.


class FieldError(AttestationError):
    """A field has the wrong type, length or value."""

    code = "attestation/field"


class MissingFieldError(FieldError):
    """A mandatory field is absent or null."""

    code = "attestation/field-missing"


class UnknownFieldError(FieldError):
    """A field that no attestation document is known to have."""

    code = "attestation/field-unknown"


class PcrBankError(FieldError):
    """`pcrs` is not a map of 1 to 32 registers 0..31 with 48 bytes each."""

    code = "attestation/pcr-bank"


class NotAnEnclaveError(FieldError):
    """The module is not a Nitro Enclave's: a NitroTPM document of an ordinary instance, for example."""

    code = "attestation/not-an-enclave"
    next_step = "ask for a document of the enclave's NSM, not of the instance that runs it"


# Step 4: the chain.


class CertificateMalformedError(AttestationError):
    """A certificate of the document cannot be read."""

    code = "attestation/certificate-malformed"


class UntrustedRootError(AttestationError):
    """The chain does not begin at any of the trusted roots."""

    code = "attestation/untrusted-root"
    next_step = (
        "real enclaves chain to AWS's root; a simulated machine has its own: name it, for trials only, with "
        "--root (`concordat simulator root`)"
    )


class CertificateTimeError(AttestationError):
    """A certificate is not valid at the instant of verification."""

    code = "attestation/certificate-time"
    next_step = (
        "check this computer's clock, then ask for a fresh document; an archived one is verified at its own "
        "signed time (a replay)"
    )


class ChainError(AttestationError):
    """The certificates do not form a valid path to the root."""

    code = "attestation/chain"


class CertificateProfileError(ChainError):
    """The path is valid, but not of the kind that the Nitro PKI issues (P-384, SHA-384, key usage)."""

    code = "attestation/certificate-profile"


class ChainOrderError(ChainError):
    """`cabundle` does not list the path in order from the root down."""

    code = "attestation/chain-order"


# Step 5: the signature.


class SignatureInvalidError(AttestationError):
    """The signature does not fit the payload and the leaf certificate."""

    code = "attestation/signature-invalid"


# Steps 6 and 7: freshness.


class StaleDocumentError(AttestationError):
    """The document was signed longer ago than is allowed."""

    code = "attestation/stale"
    next_step = "check this computer's clock, then ask for a fresh document"


class FutureDocumentError(AttestationError):
    """The document was signed in the future."""

    code = "attestation/from-the-future"
    next_step = "check this computer's clock"


class NonceMismatchError(AttestationError):
    """The document answers another question than ours: its nonce is absent or different."""

    code = "attestation/nonce-mismatch"
    next_step = "send a new random nonce and verify the answer with that nonce; this may be a replay"


# Step 8: debug mode.


class DebugModeError(AttestationError):
    """The enclave runs in debug mode: its operator can read its console, and nothing is measured."""

    code = "attestation/debug-mode"
    next_step = "the operator must start the enclave without --debug-mode"


class PcrMissingError(AttestationError):
    """A register that has to be judged is not in the document."""

    code = "attestation/pcr-missing"


# Steps 9 to 11: is it the enclave that was agreed on?


class InstanceMismatchError(AttestationError):
    """PCR4 is not the measurement of the instance in `module_id`."""

    code = "attestation/instance-mismatch"


class MeasurementMismatchError(AttestationError):
    """PCR0, PCR1 and PCR2 are not those of any allowed release."""

    code = "attestation/measurement-mismatch"
    next_step = (
        "find out which code this is; if it is a newer release that the parties agreed on, use the "
        "agreement's file with their release change"
    )


class RootNotAllowedError(MeasurementMismatchError):
    """The measurements are allowed, but only under another root."""

    code = "attestation/root-not-allowed"
    next_step = "a release of simulated enclaves says nothing about real ones, nor the other way round"


class ReleaseNotValidError(MeasurementMismatchError):
    """The release is known, but not to be relied on at this time."""

    code = "attestation/release-not-valid"
    next_step = (
        "the operator must start an enclave of a release that is valid now: `concordat agreement show`"
    )


class AgreementMismatchError(AttestationError):
    """PCR16 does not hold the agreement: the enclave is bound to another one, or to none."""

    code = "attestation/agreement-mismatch"
    next_step = "compare the agreement's digest with the other parties; the enclave must be bound to that one"


class BindingMismatchError(AttestationError):
    """`user_data` does not bind the agreement, the keys and the enclave that were presented."""

    code = "attestation/binding-mismatch"
    next_step = "the keys you were given are not this enclave's; somebody may be standing in between"


class NoAlternativeError(AttestationError):
    """None of the alternatives of an `AnyOf` policy holds."""

    code = "attestation/no-alternative"
