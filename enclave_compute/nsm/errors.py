"""Why the security module did not do what the enclave asked of it.

Three kinds: the module cannot be reached (`NsmUnavailableError`), it answered something that is not an answer
(`NsmResponseError`), or it refused with one of its own error names (`NsmRefusedError` and below). The names
are those of the NSM's `ErrorCode` enumeration (aws-nitro-enclaves-nsm-api, `src/api/mod.rs`).
"""

from __future__ import annotations

from typing import Final

from protos.formats.errors import ConcordatError


class NsmError(ConcordatError):
    """Root of everything that can go wrong between the enclave and its security module."""

    code = "nsm/failed"


class NsmUnavailableError(NsmError):
    """The device or socket cannot be opened, or broke off."""

    code = "nsm/unavailable"


class NsmResponseError(NsmError):
    """The answer is not one that the request can have."""

    code = "nsm/malformed-response"


class NsmRefusedError(NsmError):
    """The module refused with an error name that has no class of its own here."""

    code = "nsm/refused"


class NsmInvalidArgumentError(NsmRefusedError):
    """`InvalidArgument`: a field has the wrong type or value."""

    code = "nsm/invalid-argument"


class NsmInvalidIndexError(NsmRefusedError):
    """`InvalidIndex`: there is no register of that number."""

    code = "nsm/invalid-index"


class NsmReadOnlyIndexError(NsmRefusedError):
    """`ReadOnlyIndex`: the register is locked."""

    code = "nsm/read-only-index"


class NsmInvalidOperationError(NsmRefusedError):
    """`InvalidOperation`: the module does not know this request."""

    code = "nsm/invalid-operation"


class NsmInputTooLargeError(NsmRefusedError):
    """`InputTooLarge`: the request, or a field of it, is over the module's limit."""

    code = "nsm/input-too-large"


REFUSALS: Final[dict[str, type[NsmRefusedError]]] = {
    "InvalidArgument": NsmInvalidArgumentError,
    "InvalidIndex": NsmInvalidIndexError,
    "ReadOnlyIndex": NsmReadOnlyIndexError,
    "InvalidOperation": NsmInvalidOperationError,
    "InputTooLarge": NsmInputTooLargeError,
    "InvalidResponse": NsmRefusedError,
    "BufferTooSmall": NsmRefusedError,
    "InternalError": NsmRefusedError,
}
