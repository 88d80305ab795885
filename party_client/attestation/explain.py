"""Shows what an attestation document says, and verifies nothing.

Reads any bytes at all and gets as far as it can: what does not decode is reported in its place, so that a
refused document can be looked at. Nothing in an `Explanation` may be relied on; it says so itself.
Certificates are described but their signatures are not checked.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from party_client.attestation.cbor import MAX_DEPTH
from party_client.attestation.chain import load_certificate_untrusted
from party_client.attestation.cose_sign1 import PROTECTED_ES384
from party_client.attestation.document import (
    CABUNDLE_MAX_CERTIFICATES,
    EPOCH,
    MANDATORY,
    OPTIONAL,
    PCRS_MAX,
    TIMESTAMP_MAX_MS,
    parse_untrusted,
)
from party_client.attestation.emulator import PROTECTED_UNSIGNED, is_unsigned
from party_client.attestation.errors import AttestationError, CertificateMalformedError
from party_client.attestation.explain_text import render
from party_client.attestation.measurements import CODE_REGISTERS, ZERO_PCR
from party_client.attestation.roots import AWS_ROOT_G1_SHA256
from protos.formats.limits import ATTESTATION_DOCUMENT_MAX_BYTES

NOTICE: Final = "NOTHING here is verified: anybody can write a document that says this."
NOT_CHECKED: Final = (
    "the certificate chain and its root",
    "the signature",
    "age and nonce",
    "whether the measurements are those of an agreed release",
    "whether PCR16 and user_data bind the agreement and the keys",
)
PCR_MEANINGS: Final = {
    0: "the whole image",
    1: "kernel, command line, first ramdisk",
    2: "the other ramdisks; a constant when there are none",
    3: "IAM role of the parent instance",
    4: "id of the parent instance",
    8: "signing certificate of the image",
    16: "up to the application; in Concordat, the agreement",
}
_SHOWN_TEXT_MAX_CHARACTERS: Final = 200


@dataclass(frozen=True)
class Explanation:
    """A document in words. `facts` has only what JSON can hold."""

    facts: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """For machines; "verified" is always false."""
        return dict(self.facts)

    def to_text(self) -> str:
        """For people: several lines of plain text."""
        return render(self.facts)


def explain(document: bytes) -> Explanation:
    """What `document` says, whatever it is. Never raises for the content of `document`."""
    facts: dict[str, Any] = {
        "verified": False,
        "notice": NOTICE,
        "size_bytes": len(document),
        "format": _format(document),
        "not_checked": list(NOT_CHECKED),
    }
    parts = _decode_leniently(document)
    if isinstance(parts, list) and len(parts) >= 4:
        facts["envelope"] = _envelope(document, parts)
        fields = _decode_leniently(parts[2])
        if isinstance(fields, dict):
            facts |= _fields(fields) | {"unsigned_emulator": is_unsigned(parts, fields)}
    return Explanation(facts)


def _format(document: bytes) -> dict[str, Any]:
    try:
        parse_untrusted(document)
    except AttestationError as error:
        return {"well_formed": False, "code": error.code, "problem": error.message}
    return {"well_formed": True}


class _TagsDropped(Mapping[int, Callable[[Any, bool], Any]]):
    """Decoders for all tags there can be: what is tagged stands for itself, and no built-in decoder runs."""

    def __getitem__(self, tag: int) -> Callable[[Any, bool], Any]:
        return lambda tagged, _frozen: tagged

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 1


def _decode_leniently(data: Any) -> Any:
    """Lets duplicate keys, tags and trailing bytes through: the strict parser has named them already."""
    if not isinstance(data, bytes) or len(data) > ATTESTATION_DOCUMENT_MAX_BYTES:
        return None
    try:
        return cbor2.CBORDecoder(
            io.BytesIO(data), semantic_decoders=_TagsDropped(), max_depth=MAX_DEPTH
        ).decode()
    except Exception:  # hostile bytes; the strict parser says what is wrong with them
        return None


def _envelope(document: bytes, parts: list[Any]) -> dict[str, Any]:
    protected, unprotected, payload, signature = parts[:4]
    return {
        "tagged": document.startswith(b"\xd2"),
        "elements": len(parts),
        "protected_header": _value(protected),
        "algorithm": _algorithm(protected),
        "unprotected_header_empty": unprotected == {},
        "payload_bytes": len(payload) if isinstance(payload, bytes) else None,
        "payload_map": "indefinite length" if _begins_indefinite_map(payload) else "definite length",
        "signature_bytes": len(signature) if isinstance(signature, bytes) else None,
    }


def _algorithm(protected: Any) -> str:
    if protected == PROTECTED_ES384:
        return "ES384"
    return "UNSIGNED (-1)" if protected == PROTECTED_UNSIGNED else "not ES384"


def _begins_indefinite_map(payload: Any) -> bool:
    return isinstance(payload, bytes) and payload.startswith(b"\xbf")


def _fields(fields: dict[Any, Any]) -> dict[str, Any]:
    pcrs = fields.get("pcrs")
    pcrs = pcrs if isinstance(pcrs, dict) else {}
    return {
        "module_id": _value(fields.get("module_id")),
        "digest": _value(fields.get("digest")),
        "signed_at": _signed_at(fields.get("timestamp")),
        "debug_mode": _debug_mode(pcrs),
        "pcrs": [_pcr(index, pcrs[index]) for index in list(pcrs)[:PCRS_MAX]],
        **{name: _value(fields.get(name)) for name in OPTIONAL},
        "unknown_fields": [_value(name) for name in fields if name not in MANDATORY and name not in OPTIONAL],
        "certificates": _certificates(fields),
    }


def _value(value: Any) -> Any:
    """What JSON can hold and a terminal can show: bytes in hexadecimal, text without control characters."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, bytes):
        return {"bytes": len(value), "hex": value.hex()}
    if isinstance(value, str):
        text = value[:_SHOWN_TEXT_MAX_CHARACTERS]
        return text if text.isprintable() else ascii(text)
    return f"({type(value).__name__})"


def _signed_at(value: Any) -> str | None:
    if type(value) is not int or not 0 < value <= TIMESTAMP_MAX_MS:
        return None
    return (EPOCH + timedelta(milliseconds=value)).isoformat(timespec="milliseconds")


def _debug_mode(pcrs: dict[Any, Any]) -> bool | None:
    shown = [pcrs[index] for index in CODE_REGISTERS if index in pcrs]
    return any(value == ZERO_PCR for value in shown) if shown else None


def _pcr(index: Any, value: Any) -> dict[str, Any]:
    return {
        "index": index if type(index) is int else _value(index),
        "value": value.hex() if isinstance(value, bytes) else _value(value),
        "all_zero": isinstance(value, bytes) and not any(value),
        "meaning": PCR_MEANINGS.get(index) if type(index) is int else None,
    }


def _certificates(fields: dict[Any, Any]) -> list[dict[str, Any]]:
    bundle = fields.get("cabundle")
    bundle = bundle[: CABUNDLE_MAX_CERTIFICATES + 1] if isinstance(bundle, list) else []
    named = [(f"cabundle[{position}]", der) for position, der in enumerate(bundle)]
    return [_certificate(name, der) for name, der in [*named, ("certificate", fields.get("certificate"))]]


def _certificate(name: str, der: Any) -> dict[str, Any]:
    if not isinstance(der, bytes):
        return {"position": name, "problem": "not a byte string"}
    try:
        return {"position": name, **_description(load_certificate_untrusted(der, name))}
    except CertificateMalformedError as error:
        return {"position": name, "problem": error.message}
    except Exception as error:  # names, keys and times are parsed on first use
        return {"position": name, "problem": f"cannot be read ({type(error).__name__})"}


def _description(certificate: x509.Certificate) -> dict[str, Any]:
    key, sha256 = certificate.public_key(), certificate.fingerprint(hashes.SHA256())
    return {
        "subject": _value(certificate.subject.rfc4514_string()),
        "issuer": _value(certificate.issuer.rfc4514_string()),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "key": key.curve.name if isinstance(key, EllipticCurvePublicKey) else type(key).__name__,
        "sha256": sha256.hex(),
        "is_aws_nitro_root_g1": sha256 == AWS_ROOT_G1_SHA256,
    }
