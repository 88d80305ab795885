"""What the SIMULATED KMS refuses, each under the name that AWS gives it.

Unlike AWS, a refusal says which condition failed and what was got: this is a server for finding that out.
Values are those of policies, attestation documents and encryption contexts, which AWS logs too; never
plaintext.
"""

from __future__ import annotations

from typing import ClassVar

from protos.formats.errors import ConcordatError


class KmsError(ConcordatError):
    """Root of what this server refuses; `aws_name` is the `__type` of the answer."""

    code = "simulated-kms/failed"
    aws_name: ClassVar[str] = "KMSInternalException"
    status: ClassVar[int] = 400


class StateFolderError(KmsError):
    """The state folder holds something that this server did not put there, or another account."""

    code = "simulated-kms/state"


class PlanFileError(KmsError):
    """A file that `concordat kms plan` cannot have written."""

    code = "simulated-kms/plan"


class AddressError(KmsError):
    """The server cannot listen where it was asked to."""

    code = "simulated-kms/address"


class RequestShapeError(KmsError):
    """The body is not one JSON object of the kind that the protocol has."""

    code = "simulated-kms/request-shape"
    aws_name = "SerializationException"


class UnknownOperationError(KmsError):
    """No such operation, or one that is not modelled here."""

    code = "simulated-kms/unknown-operation"
    aws_name = "UnknownOperationException"


class NotSignedError(KmsError):
    """The request has no signature at all."""

    code = "simulated-kms/not-signed"
    aws_name = "MissingAuthenticationTokenException"


class IncompleteSignatureError(KmsError):
    """The Authorization header is not of the form that Signature Version 4 has."""

    code = "simulated-kms/incomplete-signature"
    aws_name = "IncompleteSignatureException"


class WrongSignatureError(KmsError):
    """The signature does not fit the request, the secret key, or the clock."""

    code = "simulated-kms/wrong-signature"
    aws_name = "InvalidSignatureException"


class UnknownCredentialError(KmsError):
    """No such access key, or another session token than the one it goes with."""

    code = "simulated-kms/unknown-credential"
    aws_name = "UnrecognizedClientException"


class ExpiredCredentialError(KmsError):
    """The session that the credential belongs to is over."""

    code = "simulated-kms/expired-credential"
    aws_name = "ExpiredTokenException"


class AccessDeniedError(KmsError):
    """No policy or grant allows it, or one denies it."""

    code = "simulated-kms/access-denied"
    aws_name = "AccessDeniedException"


class ParameterError(KmsError):
    """A parameter is missing, unknown, of another type, or out of its bounds."""

    code = "simulated-kms/parameter"
    aws_name = "ValidationException"


class AttestationRefusedError(ParameterError):
    """The attestation document in `Recipient` is not believed, or its key cannot be encrypted to."""

    code = "simulated-kms/attestation"


class MalformedPolicyError(KmsError):
    """A policy is outside the grammar, or uses what is not modelled here."""

    code = "simulated-kms/policy"
    aws_name = "MalformedPolicyDocumentException"


class PackedPolicyError(KmsError):
    """A session policy is longer than AWS takes."""

    code = "simulated-kms/packed-policy"
    aws_name = "PackedPolicyTooLargeException"


class KeyNotFoundError(KmsError):
    """No such key or alias here."""

    code = "simulated-kms/not-found"
    aws_name = "NotFoundException"


class AlreadyExistsError(KmsError):
    """There is an alias of that name."""

    code = "simulated-kms/already-exists"
    aws_name = "AlreadyExistsException"


class KeyDisabledError(KmsError):
    """The key is disabled."""

    code = "simulated-kms/disabled"
    aws_name = "DisabledException"


class KeyUsageError(KmsError):
    """The key is of another kind than the operation needs."""

    code = "simulated-kms/key-usage"
    aws_name = "InvalidKeyUsageException"


class NotModelledError(KmsError):
    """AWS may well be able to do this; this server is not."""

    code = "simulated-kms/not-modelled"
    aws_name = "UnsupportedOperationException"


class InvalidCiphertextError(KmsError):
    """The blob was not made here, was altered, or belongs to another encryption context."""

    code = "simulated-kms/invalid-ciphertext"
    aws_name = "InvalidCiphertextException"


class IncorrectKeyError(KmsError):
    """The blob belongs to another key than the one named."""

    code = "simulated-kms/incorrect-key"
    aws_name = "IncorrectKeyException"


class GrantNotFoundError(KmsError):
    """The key has no such grant."""

    code = "simulated-kms/grant"
    aws_name = "InvalidGrantIdException"


class GrantTokenError(KmsError):
    """No grant has that token."""

    code = "simulated-kms/grant-token"
    aws_name = "InvalidGrantTokenException"


class MarkerError(KmsError):
    """The marker of a list was not made here."""

    code = "simulated-kms/marker"
    aws_name = "InvalidMarkerException"


class DryRunError(KmsError):
    """The request would have succeeded; `DryRun` was asked for."""

    code = "simulated-kms/dry-run"
    aws_name = "DryRunOperationException"
    status = 412
