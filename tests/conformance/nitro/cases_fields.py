"""Cases about the fields of the payload: verification steps 3, 8 and 9. All are truly signed."""

from __future__ import annotations

from typing import Any

from tests.conformance.nitro.cases import VALID, Cases, Laboratory
from tests.conformance.nitro.pki import INSTANCE
from tests.conformance.nitro.signing import Raw, pcr, pcr_bank

FIELDS = Cases()
add = FIELDS.add
ZERO = bytes(48)


def _field(name: str, expect: str, what: str, **changes: Any) -> None:
    add(name, expect, what, lambda lab: lab.document(**changes))


def _without(field: str, expect: str, what: str) -> None:
    add(f"{field}-missing", expect, what, lambda lab: lab.without(field))


def _twice(lab: Laboratory, name: str) -> bytes:
    return lab.signed_fields([*lab.fields(), next(pair for pair in lab.fields() if pair[0] == name)])


for _name in ("module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"):
    _without(_name, "attestation/field-missing", f"no {_name}")
    _field(f"{_name}-null", "attestation/field-missing", f"{_name} is null", **{_name: None})
for _name in ("public_key", "user_data", "nonce"):
    _without(_name, VALID, f"no {_name}, not even null")
    _field(f"{_name}-empty", VALID, f"{_name} of no bytes, which is not absent", **{_name: b""})
    _field(f"{_name}-1024", VALID, f"{_name} of the greatest length", **{_name: bytes(1024)})
    _field(f"{_name}-1025", "attestation/field", f"{_name} too long", **{_name: bytes(1025)})
    _field(f"{_name}-text", "attestation/field", f"{_name} is text", **{_name: "text"})
    _field(
        f"{_name}-undefined", "attestation/field", f"{_name} is undefined, not null", **{_name: Raw(b"\xf7")}
    )

add(
    "key-twice",
    "attestation/duplicate-key",
    "digest twice, indefinite length",
    lambda lab: _twice(lab, "digest"),
)
add(
    "key-twice-definite",
    "attestation/duplicate-key",
    "digest twice, definite length",
    lambda lab: lab.signed_fields([*lab.fields(), ("digest", "SHA384")], indefinite=False),
)
add(
    "key-unknown",
    "attestation/field-unknown",
    "a tenth field",
    lambda lab: lab.signed_fields([*lab.fields(), ("extra", None)]),
)
add(
    "key-number",
    "attestation/field-unknown",
    "a field named 1",
    lambda lab: lab.signed_fields([*lab.fields(), (1, b"")]),
)
add(
    "keys-reordered",
    VALID,
    "another order of fields, truly signed",
    lambda lab: lab.signed_fields(lab.fields()[::-1]),
)
add(
    "nitrotpm",
    "attestation/not-an-enclave",
    "a NitroTPM document: nitrotpm_pcrs instead of pcrs",
    lambda lab: lab.signed_fields(
        [
            ("nitrotpm_pcrs" if key == "pcrs" else key, value)
            for key, value in lab.fields(module_id=f"{INSTANCE}-tpm0000000000000000")
        ]
    ),
)
_field(
    "module_id-tpm",
    "attestation/not-an-enclave",
    "a TPM's module id",
    module_id=f"{INSTANCE}-tpm0000000000000000",
)
_field("module_id-empty", "attestation/not-an-enclave", "an empty module id", module_id="")
_field(
    "module_id-newline",
    "attestation/not-an-enclave",
    "a line feed at its end",
    module_id=f"{INSTANCE}-enc01\n",
)
_field("module_id-bytes", "attestation/field", "a module id of bytes", module_id=b"i-0-enc0")
_field("digest-sha512", "attestation/field", "another digest", digest="SHA512")
_field("digest-bytes", "attestation/field", "the digest's name as bytes", digest=b"SHA384")
_field("timestamp-text", "attestation/field", "a timestamp of text", timestamp="2026-01-15")
_field("timestamp-float", "attestation/field", "a timestamp with a fraction", timestamp=1768478400125.0)
_field("timestamp-true", "attestation/field", "a truth value", timestamp=True)
_field("timestamp-zero", "attestation/field", "1970", timestamp=0)
_field("timestamp-negative", "attestation/field", "before 1970", timestamp=-1)
_field("timestamp-huge", "attestation/field", "2^64 - 1, a year that no calendar has", timestamp=2**64 - 1)
_field("timestamp-9999", "attestation/certificate-time", "the last year", timestamp=253_402_300_799_999)
_field("timestamp-10000", "attestation/field", "a millisecond later", timestamp=253_402_300_800_000)
_field("timestamp-seconds", "attestation/certificate-time", "seconds, not milliseconds", timestamp=1768478400)
_field("certificate-empty", "attestation/field", "a certificate of no bytes", certificate=b"")
_field(
    "certificate-1024", "attestation/certificate-malformed", "zeros, not too many", certificate=bytes(1024)
)
_field("certificate-1025", "attestation/field", "a certificate of 1,025 bytes", certificate=bytes(1025))
_field("certificate-text", "attestation/field", "a certificate of text", certificate="MII")
_field("cabundle-empty", "attestation/field", "no certificates", cabundle=[])
_field("cabundle-ten", "attestation/certificate-malformed", "ten, of no certificates", cabundle=[b"x"] * 10)
_field("cabundle-eleven", "attestation/field", "eleven certificates", cabundle=[b"x"] * 11)
_field("cabundle-not-array", "attestation/field", "one certificate, not in an array", cabundle=b"x")
_field("cabundle-map", "attestation/field", "a map whose keys are certificates", cabundle={b"x": 1})
_field("cabundle-of-text", "attestation/field", "certificates of text", cabundle=["x"] * 4)
_field("cabundle-item-empty", "attestation/field", "a certificate of no bytes", cabundle=[b"x", b""])
_field(
    "cabundle-item-1025", "attestation/field", "a certificate of 1,025 bytes", cabundle=[b"x", bytes(1025)]
)

_BANK = "attestation/pcr-bank"
_field("pcrs-empty", _BANK, "no registers", pcrs={})
_field("pcrs-one", "attestation/pcr-missing", "PCR0 alone", pcrs={0: pcr("code 0")})
_field("pcrs-array", _BANK, "registers in an array", pcrs=[pcr("a")])
_field("pcrs-32", VALID, "all 32 registers", pcrs=dict.fromkeys(range(32), ZERO) | pcr_bank())
_field("pcrs-33", _BANK, "33 registers", pcrs=dict.fromkeys(range(33), ZERO) | pcr_bank())
_field("pcrs-sparse", VALID, "registers 0, 1, 2 and 31", pcrs={i: pcr(f"code {i}") for i in (0, 1, 2, 31)})
_field("pcrs-index-32", _BANK, "register 32", pcrs=pcr_bank(pcr32=ZERO))
_field("pcrs-index-negative", _BANK, "register -1", pcrs=pcr_bank() | {-1: ZERO})
_field("pcrs-index-text", _BANK, "a register named by text", pcrs=pcr_bank() | {"16": ZERO})
_field("pcrs-index-true", _BANK, "a register named true", pcrs={0: pcr("a"), True: pcr("b"), 2: pcr("c")})
_field("pcrs-index-float", _BANK, "a register named 16.0", pcrs=pcr_bank() | {16.0: ZERO})
_field(
    "pcrs-index-twice",
    "attestation/duplicate-key",
    "PCR0 twice",
    pcrs=Raw(b"\xa2" + (b"\x00\x58\x30" + pcr("a")) + (b"\x00\x58\x30" + pcr("b"))),
)
_field(
    "pcrs-index-twice-in-long-form",
    "attestation/duplicate-key",
    "PCR0 twice, once as a two-byte integer",
    pcrs=Raw(b"\xbf" + (b"\x00\x58\x30" + pcr("a")) + (b"\x18\x00\x58\x30" + pcr("b")) + b"\xff"),
)
_field("pcrs-47-bytes", _BANK, "a register a byte short", pcrs=pcr_bank(pcr0=bytes([1] * 47)))
_field("pcrs-32-bytes", _BANK, "SHA-256 registers", pcrs={index: bytes([1] * 32) for index in range(16)})
_field("pcrs-64-bytes", _BANK, "SHA-512 registers", pcrs={index: bytes([1] * 64) for index in range(16)})
_field("pcrs-text", _BANK, "a register of 48 characters", pcrs=pcr_bank() | {0: "x" * 48})
_field("pcrs-null-register", _BANK, "a register that is null", pcrs=pcr_bank() | {0: None})

_DEBUG = "attestation/debug-mode"
for _index in (0, 1, 2):
    _field(f"debug-pcr{_index}", _DEBUG, f"PCR{_index} alone is zero", pcrs=pcr_bank() | {_index: ZERO})
    _shown = {index: value for index, value in pcr_bank().items() if index != _index}
    _field(
        f"pcr{_index}-not-shown", "attestation/pcr-missing", f"PCR{_index} is not in the bank", pcrs=_shown
    )
_all_zero = pcr_bank(pcr0=ZERO, pcr1=ZERO, pcr2=ZERO)
_field("debug", _DEBUG, "debug mode: PCR0 to PCR2 zero, PCR4 set", pcrs=_all_zero)
add(
    "debug-allowed",
    VALID,
    "the same where debug mode is allowed",
    lambda lab: lab.document(pcrs=_all_zero),
    allow_debug=True,
)
_field(
    "pcr4-other-instance",
    "attestation/instance-mismatch",
    "PCR4 of another instance",
    pcrs=pcr_bank(pcr4=pcr("b")),
)
_field("pcr4-zero", VALID, "PCR4 zero: nothing to compare", pcrs=pcr_bank(pcr4=ZERO))
