"""Why a key policy cannot be planned, or a live one not be judged: one name for each reason."""

from __future__ import annotations

from protos.formats.errors import ConcordatError


class KmsError(ConcordatError):
    """Something about a key in a party's own KMS; the root of this package's errors."""

    code = "kms/refused"


class KmsTermsError(KmsError):
    """The terms asked for are none that a key should have: nothing is planned and nothing checked."""

    code = "kms/terms"


class NoReleaseError(KmsTermsError):
    """No release is left that the key could open for. An empty list means deny, and is no policy."""

    code = "kms/no-release"


class ReleaseNotAwsError(KmsTermsError):
    """A release that is not under AWS's root: AWS KMS never sees a document of it."""

    code = "kms/release-not-aws"


class PolicyTooLargeError(KmsError):
    """AWS takes no policy of this size."""

    code = "kms/policy-too-large"


class PolicyTextError(KmsError):
    """A policy that AWS's documented grammar has no place for. It is not judged in part."""

    code = "kms/policy-text"


class SnapshotError(KmsError):
    """What was read of a key is incomplete or not what AWS's operations answer."""

    code = "kms/snapshot"


class KmsReadError(KmsError):
    """AWS, or what stands in its place, did not answer what was asked."""

    code = "kms/read"


class AuthorityFileError(KmsError):
    """A file that should have the certificates of those who vouch for an endpoint, and has not."""

    code = "kms/authorities"


class KeyServiceError(KmsError):
    """What was said about a key is not what the agreement says about its owner's KMS."""

    code = "kms/other-service"


class NoKeyServiceError(KmsError):
    """The agreement does not let this dataset be sealed under a key in KMS."""

    code = "kms/not-agreed"


class UnsoundKeyError(KmsError):
    """The key opens for somebody else than the agreed code: nothing is sealed under it."""

    code = "kms/unsound-key"


class DataKeyError(KmsError):
    """KMS made no data key, or another one than was asked for."""

    code = "kms/data-key"
