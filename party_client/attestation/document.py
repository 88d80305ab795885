"""The fields of an attestation document, with the types and sizes that the specification gives (step 3).

Reads the payload of a COSE_Sign1 message from anybody. What returns has every mandatory field and nothing
unknown; whether it is true is for the later steps. Followed: AWS "attestation_process.md" sections 2.2.2 and
3.2.2.1, and what AWS really signs where the two differ: unused optional fields are `null` (taken as absent),
may be empty (not the same), and `user_data` up to 1,024 bytes exists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from party_client.attestation.cbor import decode_untrusted
from party_client.attestation.cose_sign1 import CoseSign1, parse_cose_untrusted
from party_client.attestation.errors import (
    FieldError,
    MissingFieldError,
    NotAnEnclaveError,
    PcrBankError,
    PcrMissingError,
    UnknownFieldError,
)
from party_client.attestation.measurements import CODE_REGISTERS, PCR_BYTES, ZERO_PCR
from protos.formats.limits import USER_DATA_ACCEPT_MAX_BYTES

MANDATORY: Final = ("module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle")
OPTIONAL: Final = ("public_key", "user_data", "nonce")
CERTIFICATE_MAX_BYTES: Final = 1024
CABUNDLE_MAX_CERTIFICATES: Final = 10
PUBLIC_KEY_MAX_BYTES: Final = 1024
PCRS_MAX: Final = 32
TIMESTAMP_MAX_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, the last that a calendar date can hold."""

_SHOWN_BYTES: Final = 32
_NITROTPM_PCRS: Final = "nitrotpm_pcrs"
_ENCLAVE_MODULE: Final = re.compile(r"(i-[0-9a-f]{1,32})-enc[0-9a-f]{1,32}", re.ASCII)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AttestationDocument:
    """What a document says. Only in a `VerifiedAttestation` is it known who says so."""

    module_id: str
    """`i-<instance>-enc<enclave>`."""
    signed_at: datetime
    """By the hypervisor's clock, aware UTC, to the millisecond."""
    pcrs: Mapping[int, bytes]
    """The *locked* registers only, 48 bytes each; the bank may be sparse."""
    certificate: bytes
    """The leaf, DER."""
    cabundle: tuple[bytes, ...]
    """Root, region, zone, instance, DER. The first is never trusted, nor even parsed."""
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None

    @property
    def instance_id(self) -> str:
        """The parent instance, as `module_id` names it."""
        return self.module_id.partition("-enc")[0]

    @property
    def is_debug(self) -> bool:
        """Whether any of PCR0, PCR1, PCR2 is all zero. (Debug mode leaves PCR3 and PCR4 set.)"""
        return any(self.pcrs.get(index) == ZERO_PCR for index in CODE_REGISTERS)

    def require_pcr(self, index: int) -> bytes:
        """The 48 bytes of a register. Raises `PcrMissingError` when it is not listed, that is, not locked."""
        value = self.pcrs.get(index)
        if value is None:
            raise PcrMissingError(
                f"got no PCR{index} among the document's registers, expected it to be locked"
            )
        return value


def shown(value: bytes | None) -> str:
    """An optional field in an error: absent is not the same as empty, and long ones differ at their ends."""
    if value is None:
        return "none"
    text = value.hex() if len(value) <= _SHOWN_BYTES else f"{value[:8].hex()}...{value[-24:].hex()}"
    return f"h'{text}' ({len(value)} bytes)"


def parse_untrusted(document: bytes) -> tuple[CoseSign1, AttestationDocument]:
    """Steps 1 to 3: envelope and fields. Raises `AttestationError`s, nothing else; verifies nothing."""
    cose = parse_cose_untrusted(document)
    return cose, parse_payload_untrusted(cose.payload)


def parse_payload_untrusted(payload: bytes) -> AttestationDocument:
    """Step 3: the fields of `payload`. Raises `AttestationError` subclasses."""
    fields = decode_untrusted(payload, what="payload", allow_indefinite=True)
    if type(fields) is not dict:
        raise FieldError(f"payload: got {type(fields).__name__}, expected a map")
    present = {name: value for name, value in fields.items() if value is not None}
    _require_known_names(fields, present)
    if present["digest"] != "SHA384":
        raise FieldError("digest: got another value than SHA384, the one the NSM uses")
    return AttestationDocument(
        module_id=_module_id(present["module_id"]),
        signed_at=_signed_at(present["timestamp"]),
        pcrs=_pcrs(present["pcrs"]),
        certificate=_bytes(present["certificate"], "certificate", 1, CERTIFICATE_MAX_BYTES),
        cabundle=_cabundle(present["cabundle"]),
        public_key=_optional_bytes(present, "public_key", PUBLIC_KEY_MAX_BYTES),
        user_data=_optional_bytes(present, "user_data", USER_DATA_ACCEPT_MAX_BYTES),
        nonce=_optional_bytes(present, "nonce", USER_DATA_ACCEPT_MAX_BYTES),
    )


def _require_known_names(fields: dict[Any, Any], present: dict[Any, Any]) -> None:
    if _NITROTPM_PCRS in fields:
        raise NotAnEnclaveError("got a NitroTPM document of an instance, expected one of an enclave")
    unknown = [name for name in fields if name not in MANDATORY and name not in OPTIONAL]
    if unknown:
        raise UnknownFieldError(f"got {len(unknown)} unknown fields, the first {unknown[0]!r:.60}")
    missing = [name for name in MANDATORY if name not in present]
    if missing:
        raise MissingFieldError(f"got no {', '.join(missing)}, expected all of {', '.join(MANDATORY)}")


def _module_id(value: Any) -> str:
    if type(value) is not str:
        raise FieldError(f"module_id: got {type(value).__name__}, expected text")
    if not _ENCLAVE_MODULE.fullmatch(value):
        raise NotAnEnclaveError(f"module_id: got {value!r:.80}, expected i-<instance>-enc<enclave>")
    return value


def _signed_at(value: Any) -> datetime:
    if type(value) is not int:
        raise FieldError(f"timestamp: got {type(value).__name__}, expected an integer")
    if not 0 < value <= TIMESTAMP_MAX_MS:
        raise FieldError(f"timestamp: got {value} ms, expected 1 to {TIMESTAMP_MAX_MS}")
    return EPOCH + timedelta(milliseconds=value)


def _pcrs(value: Any) -> Mapping[int, bytes]:
    if type(value) is not dict:
        raise PcrBankError(f"pcrs: got {type(value).__name__}, expected a map")
    if not 1 <= len(value) <= PCRS_MAX:
        raise PcrBankError(f"pcrs: got {len(value)} registers, expected 1 to {PCRS_MAX}")
    for index, register in value.items():
        if type(index) is not int or not 0 <= index < PCRS_MAX:
            raise PcrBankError(f"pcrs: got index {index!r:.40}, expected 0 to {PCRS_MAX - 1}")
        if type(register) is not bytes or len(register) != PCR_BYTES:
            raise PcrBankError(
                f"PCR{index}: expected a byte string of {PCR_BYTES} bytes, the size of SHA-384"
            )
    return MappingProxyType(dict(sorted(value.items())))


def _cabundle(value: Any) -> tuple[bytes, ...]:
    if type(value) is not list:
        raise FieldError(f"cabundle: got {type(value).__name__}, expected an array")
    if not 1 <= len(value) <= CABUNDLE_MAX_CERTIFICATES:
        raise FieldError(
            f"cabundle: got {len(value)} certificates, expected 1 to {CABUNDLE_MAX_CERTIFICATES}"
        )
    return tuple(
        _bytes(item, f"cabundle[{position}]", 1, CERTIFICATE_MAX_BYTES) for position, item in enumerate(value)
    )


def _optional_bytes(present: dict[Any, Any], name: str, max_bytes: int) -> bytes | None:
    return _bytes(present[name], name, 0, max_bytes) if name in present else None


def _bytes(value: Any, name: str, min_bytes: int, max_bytes: int) -> bytes:
    if type(value) is not bytes:
        raise FieldError(f"{name}: got {type(value).__name__}, expected a byte string")
    if not min_bytes <= len(value) <= max_bytes:
        raise FieldError(f"{name}: got {len(value)} bytes, expected {min_bytes} to {max_bytes}")
    return value
