"""What may be asked of the security module, byte for byte, and what counts as an answer.

A request without fields is its name as a text; one with fields is {name: {field: value}}, the fields in the
order of AWS's declarations. Answers have the same shapes; {"Error": name} is the third. They are not
canonical (the maker may order and length-encode as it likes), so they are read leniently in form and strictly
in content: no duplicate keys, no tags, no trailing bytes, exact types. aws-nitro-enclaves-nsm-api,
`src/api/mod.rs`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Final

import cbor2

from enclave_compute.nsm.errors import REFUSALS, NsmRefusedError, NsmResponseError

PCR_BYTES: Final = 48
PCRS_MAX: Final = 32
_DEPTH_MAX: Final = 5
_U16_MAX: Final = 0xFFFF


@dataclass(frozen=True)
class NsmDescription:
    """What the module says of itself (`DescribeNSM`)."""

    module_id: str
    version: tuple[int, int, int]
    digest: str
    max_pcrs: int
    locked_pcrs: frozenset[int]


@dataclass(frozen=True)
class PcrState:
    """One platform configuration register: 48 bytes, and whether it is locked until the enclave ends."""

    data: bytes
    locked: bool


def describe_nsm() -> bytes:
    """Asks for `NsmDescription`."""
    return _encode("DescribeNSM")


def get_random() -> bytes:
    """Asks for some random bytes; the module decides how many."""
    return _encode("GetRandom")


def describe_pcr(index: int) -> bytes:
    """Asks for the state of register `index`."""
    return _encode({"DescribePCR": {"index": index}})


def extend_pcr(index: int, data: bytes) -> bytes:
    """Asks for register `index` to become SHA-384(old value || data)."""
    return _encode({"ExtendPCR": {"index": index, "data": data}})


def lock_pcr(index: int) -> bytes:
    """Asks for register `index` to keep its value for good."""
    return _encode({"LockPCR": {"index": index}})


def lock_pcrs(count: int) -> bytes:
    """Asks for registers 0..`count`-1 to keep their values for good."""
    return _encode({"LockPCRs": {"range": count}})


def attestation(user_data: bytes | None, nonce: bytes | None, public_key: bytes | None) -> bytes:
    """Asks for a signed document that carries the three values."""
    fields = {"user_data": user_data, "nonce": nonce, "public_key": public_key}
    return _encode({"Attestation": fields})


def parse_description_untrusted(response: bytes) -> NsmDescription:
    """Raises `NsmRefusedError` or `NsmResponseError`."""
    fields = _fields_untrusted(response, "DescribeNSM")
    locked = fields.get("locked_pcrs")
    if type(locked) is not list:
        raise NsmResponseError("DescribeNSM: locked_pcrs is not a list")
    major, minor, patch = (_u16(fields, f"version_{part}") for part in ("major", "minor", "patch"))
    return NsmDescription(
        module_id=_text(fields, "module_id"),
        version=(major, minor, patch),
        digest=_text(fields, "digest"),
        max_pcrs=_u16(fields, "max_pcrs"),
        locked_pcrs=frozenset(_require_u16(item, "locked_pcrs") for item in locked),
    )


def parse_random_untrusted(response: bytes) -> bytes:
    """The random bytes of the answer, at least one."""
    random = _bytes(_fields_untrusted(response, "GetRandom"), "random")
    if not random:
        raise NsmResponseError("GetRandom: got no bytes, expected at least 1")
    return random


def parse_pcr_untrusted(response: bytes) -> PcrState:
    """The state of the register that was asked for."""
    fields = _fields_untrusted(response, "DescribePCR")
    locked = fields.get("lock")
    if type(locked) is not bool:
        raise NsmResponseError("DescribePCR: lock is not true or false")
    return PcrState(data=_pcr(fields), locked=locked)


def parse_extended_untrusted(response: bytes) -> bytes:
    """The register's new value: 48 bytes."""
    return _pcr(_fields_untrusted(response, "ExtendPCR"))


def parse_document_untrusted(response: bytes) -> bytes:
    """The attestation document, still unread."""
    document = _bytes(_fields_untrusted(response, "Attestation"), "document")
    if not document:
        raise NsmResponseError("Attestation: got an empty document")
    return document


def require_done_untrusted(response: bytes, name: str) -> None:
    """Raises unless the answer is the bare `name`, as for the two lock requests."""
    value = load_untrusted(response, what=name)
    _raise_if_refused(value, name)
    if value != name or type(value) is not str:
        raise NsmResponseError(f"{name}: the answer is not {name!r}")


def load_untrusted(data: bytes, *, what: str) -> Any:
    """One CBOR value without duplicate keys and trailing bytes. Raises `NsmResponseError`."""
    stream = io.BytesIO(data)
    try:
        value = cbor2.CBORDecoder(stream, max_depth=_DEPTH_MAX, allow_duplicate_keys=False).decode()
    except Exception as error:  # cbor2 raises many types on hostile input; one may leave here
        raise NsmResponseError(f"{what}: not CBOR ({type(error).__name__})") from error
    if stream.tell() != len(data):
        raise NsmResponseError(f"{what}: {len(data) - stream.tell()} bytes too many after the CBOR value")
    return value


def _encode(value: object) -> bytes:
    return cbor2.dumps(value)


def _fields_untrusted(response: bytes, name: str) -> dict[Any, Any]:
    value = load_untrusted(response, what=name)
    _raise_if_refused(value, name)
    fields = value.get(name) if type(value) is dict and len(value) == 1 else None
    if type(fields) is not dict:
        raise NsmResponseError(f"{name}: the answer is not {{{name!r}: fields}}")
    return fields


def _raise_if_refused(value: Any, name: str) -> None:
    if type(value) is not dict or list(value) != ["Error"]:
        return
    reason = value["Error"]
    if type(reason) is not str:
        raise NsmResponseError(f"{name}: an error without a name")
    raise REFUSALS.get(reason, NsmRefusedError)(f"{name}: the security module says {reason[:40]!r}")


def _u16(fields: dict[Any, Any], key: str) -> int:
    return _require_u16(fields.get(key), key)


def _require_u16(value: Any, key: str) -> int:
    if type(value) is not int or not 0 <= value <= _U16_MAX:
        raise NsmResponseError(f"{key}: not an unsigned 16-bit integer")
    return value


def _text(fields: dict[Any, Any], key: str) -> str:
    value = fields.get(key)
    if type(value) is not str or not value:
        raise NsmResponseError(f"{key}: not a text")
    return value


def _bytes(fields: dict[Any, Any], key: str) -> bytes:
    value = fields.get(key)
    if type(value) is not bytes:
        raise NsmResponseError(f"{key}: not a byte string")
    return value


def _pcr(fields: dict[Any, Any]) -> bytes:
    value = _bytes(fields, "data")
    if len(value) != PCR_BYTES:
        raise NsmResponseError(f"got a register of {len(value)} bytes, expected {PCR_BYTES}")
    return value
