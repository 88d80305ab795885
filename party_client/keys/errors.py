"""The ways in which a key that the enclave keeps is not used, or not believed."""

from __future__ import annotations

from protos.formats.errors import ConcordatError


class KeyUseError(ConcordatError):
    """A use of a key gave nothing."""

    code = "keys/failed"


class KeyNotAgreedError(KeyUseError):
    """What was asked for is not in the agreement, or not for this identity."""

    code = "keys/not-agreed"

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="see what was agreed: `concordat keys list`")


class DoesNotDecryptError(KeyUseError):
    """The enclave could not decrypt it; it does not say why, and has counted the use."""

    code = "keys/does-not-decrypt"

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"key {key_id}: this does not decrypt with it",
            hint="was it encrypted to this very key, of this enclave? `concordat keys public`",
        )


class KeyAnswerError(KeyUseError):
    """What came back is no answer to what was asked."""

    code = "keys/answer"


class KeyInputError(KeyUseError):
    """What was given cannot be an input of a key."""

    code = "keys/input"


class PublicKeysError(ConcordatError):
    """Public keys that are attested are not those of the agreement."""

    code = "keys/public-keys"


class KeyFileError(ConcordatError):
    """A file of prepared uses, of approvals or of evidence is not what it should be."""

    code = "keys/file"
