"""The security module as the enclave uses it: typed questions, checked answers, one source of time and keys.

The answers come from the enclave's own hypervisor, which is trusted to be right and not to be well-formed:
each is parsed strictly, and a wrong one is an `NsmError`. The clock here is the module's signed timestamp,
because the parent can influence the enclave's own clock.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

from enclave_compute.nsm import messages
from enclave_compute.nsm.device import NsmDevice
from enclave_compute.nsm.errors import NsmInputTooLargeError, NsmInvalidIndexError, NsmResponseError
from enclave_compute.nsm.messages import PCRS_MAX, NsmDescription, PcrState
from protos.formats.limits import USER_DATA_EMIT_MAX_BYTES

PUBLIC_KEY_MAX_BYTES: Final = 1024
_SEED_ENTROPY_BYTES: Final = 256
_SEED_SALT: Final = b"concordat/enclave-seed/v1"
_SEED_MAX_BYTES: Final = 255 * hashlib.sha512().digest_size
_COSE_TAG: Final = b"\xd2"
_COSE_PARTS: Final = 4


class Nsm:
    """One enclave's security module."""

    def __init__(self, device: NsmDevice) -> None:
        self._device = device

    def describe(self) -> NsmDescription:
        """Module id, version, number of registers and which are locked."""
        return messages.parse_description_untrusted(self._device.exchange(messages.describe_nsm()))

    def random(self, n_bytes: int) -> bytes:
        """Exactly `n_bytes` random bytes from the module's own source, in as many requests as it takes."""
        gathered = bytearray()
        while len(gathered) < n_bytes:
            gathered += messages.parse_random_untrusted(self._device.exchange(messages.get_random()))
        return bytes(gathered[:n_bytes])

    def seed(self, info: bytes, length_bytes: int = 32) -> bytes:
        """A secret for keys made inside: HKDF-SHA-512 (RFC 5869) over the module's and the kernel's bytes.

        Either source alone is enough: the parent could starve the kernel's pool at boot, but not the module.
        `info` says what the secret is for; every call gives another secret. 1..16,320 bytes.
        """
        if not 1 <= length_bytes <= _SEED_MAX_BYTES:
            raise ValueError(f"got {length_bytes} bytes, expected 1 to {_SEED_MAX_BYTES}")
        entropy = self.random(_SEED_ENTROPY_BYTES) + os.urandom(_SEED_ENTROPY_BYTES)
        extracted = hmac.digest(_SEED_SALT, entropy, "sha512")
        expanded, block = bytearray(), b""
        while len(expanded) < length_bytes:
            counter = len(expanded) // hashlib.sha512().digest_size + 1
            block = hmac.digest(extracted, block + info + bytes([counter]), "sha512")
            expanded += block
        return bytes(expanded[:length_bytes])

    def describe_pcr(self, index: int) -> PcrState:
        """Value and lock of register `index` (0..31)."""
        _require_index(index)
        return messages.parse_pcr_untrusted(self._device.exchange(messages.describe_pcr(index)))

    def extend_pcr(self, index: int, data: bytes) -> bytes:
        """Register `index` becomes SHA-384(old || `data`); gives the new 48 bytes."""
        _require_index(index)
        return messages.parse_extended_untrusted(self._device.exchange(messages.extend_pcr(index, data)))

    def lock_pcr(self, index: int) -> None:
        """Register `index` keeps its value until the enclave ends, and shows in documents from now on."""
        _require_index(index)
        messages.require_done_untrusted(self._device.exchange(messages.lock_pcr(index)), "LockPCR")

    def attest(
        self, *, user_data: bytes | None = None, nonce: bytes | None = None, public_key: bytes | None = None
    ) -> bytes:
        """A fresh attestation document over the locked registers and these values.

        At most 512 bytes of `user_data` and of `nonce`, 1,024 of `public_key`; None is absent, which is not
        the same as empty.
        """
        _require_fits(user_data, USER_DATA_EMIT_MAX_BYTES, "user_data")
        _require_fits(nonce, USER_DATA_EMIT_MAX_BYTES, "nonce")
        _require_fits(public_key, PUBLIC_KEY_MAX_BYTES, "public_key")
        request = messages.attestation(user_data, nonce, public_key)
        return messages.parse_document_untrusted(self._device.exchange(request))

    def now_ms(self) -> int:
        """Milliseconds since 1970 by the module's clock."""
        return nsm_time_ms(self.attest())


def nsm_time_ms(document: bytes) -> int:
    """The signed timestamp of `document`, in milliseconds since 1970.

    Nothing is verified: only for documents that the enclave has just been given by its own module.
    """
    parts = messages.load_untrusted(document.removeprefix(_COSE_TAG), what="attestation document")
    if type(parts) is not list or len(parts) != _COSE_PARTS or type(parts[2]) is not bytes:
        raise NsmResponseError("attestation document: not a COSE_Sign1 array of four")
    payload = messages.load_untrusted(parts[2], what="attestation payload")
    timestamp = payload.get("timestamp") if type(payload) is dict else None
    if type(timestamp) is not int or timestamp <= 0:
        raise NsmResponseError("attestation payload: no positive timestamp")
    return timestamp


def _require_index(index: int) -> None:
    if not 0 <= index < PCRS_MAX:
        raise NsmInvalidIndexError(f"got register {index}, expected 0 to {PCRS_MAX - 1}")


def _require_fits(value: bytes | None, max_bytes: int, what: str) -> None:
    if value is not None and len(value) > max_bytes:
        raise NsmInputTooLargeError(f"{what}: got {len(value)} bytes, expected at most {max_bytes}")
