"""Lays out the facts of an explanation as plain text for a terminal.

Reads facts that `explain` has already made safe to show. Plain text rather than markup: nothing in a document
can then be taken for formatting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

UNSIGNED: Final = "EMULATOR: QEMU's placeholder in place of certificates and signature; anybody can write it"
_INDENT: Final = "  "
_LABEL_CHARACTERS: Final = 14
_HEX_SHOWN_CHARACTERS: Final = 48


def render(facts: Mapping[str, Any]) -> str:
    """The text; ends without a newline."""
    return "\n".join(_lines(facts))


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"Attestation document, {facts['size_bytes']} bytes"
    yield facts["notice"]
    yield ""
    form = facts["format"]
    if form["well_formed"]:
        yield _row("format", "well formed")
    else:
        yield _row("format", f"MALFORMED [{form['code']}]: {form['problem']}")
    if "envelope" in facts:
        yield _row("envelope", _envelope(facts["envelope"]))
    if "pcrs" in facts:
        yield from _payload(facts)
    yield ""
    yield "Not checked here:"
    yield from (f"{_INDENT}- {item}" for item in facts["not_checked"])


def _payload(facts: Mapping[str, Any]) -> Iterator[str]:
    if facts["unsigned_emulator"]:
        yield _row("UNSIGNED", UNSIGNED)
    yield _row("module", facts["module_id"])
    yield _row("signed at", _time(facts["signed_at"]))
    yield _row("debug mode", _debug_mode(facts["debug_mode"]))
    for name in ("public_key", "user_data", "nonce"):
        yield _row(name, facts[name])
    if facts["unknown_fields"]:
        yield _row("unknown fields", ", ".join(str(name) for name in facts["unknown_fields"]))
    yield ""
    yield "Registers (those that are locked)"
    yield from _registers(facts["pcrs"])
    yield ""
    yield "Certificates (root first; the first one is never trusted)"
    for certificate in facts["certificates"]:
        yield from _certificate(certificate)


def _envelope(envelope: Mapping[str, Any]) -> str:
    tagged = "COSE_Sign1, tag 18" if envelope["tagged"] else "COSE_Sign1, untagged"
    return (
        f"{tagged}, {envelope['algorithm']}, payload of {envelope['payload_bytes']} bytes "
        f"({envelope['payload_map']}), signature of {envelope['signature_bytes']} bytes"
    )


def _debug_mode(debug_mode: bool | None) -> str:
    if debug_mode is None:
        return "unknown: PCR0, PCR1 and PCR2 are not shown"
    return "YES: the operator can read its console, and its code is not measured" if debug_mode else "no"


def _registers(pcrs: list[Mapping[str, Any]]) -> Iterator[str]:
    zero = [str(pcr["index"]) for pcr in pcrs if pcr["all_zero"]]
    for pcr in pcrs:
        if not pcr["all_zero"]:
            meaning = f"  {pcr['meaning']}" if pcr["meaning"] else ""
            yield f"{_INDENT}PCR{pcr['index']}{meaning}"
            yield f"{_INDENT * 2}{_shown(pcr['value'])}"
    if zero:
        yield f"{_INDENT}all zero: {', '.join(zero)}"


def _certificate(certificate: Mapping[str, Any]) -> Iterator[str]:
    if "problem" in certificate:
        yield f"{_INDENT}{certificate['position']}: {certificate['problem']}"
        return
    aws = "  = AWS Nitro root G1" if certificate["is_aws_nitro_root_g1"] else ""
    yield f"{_INDENT}{certificate['position']}: {certificate['subject']}{aws}"
    yield f"{_INDENT * 2}valid {_time(certificate['not_before'])} to {_time(certificate['not_after'])}"
    yield f"{_INDENT * 2}{certificate['key']}"
    yield f"{_INDENT * 2}SHA-256 {certificate['sha256']}"


def _time(iso: str | None) -> str | None:
    """The same instant as people write it."""
    return iso and iso.replace("T", " ").replace("+00:00", " UTC")


def _row(label: str, value: Any) -> str:
    return f"{label:<{_LABEL_CHARACTERS}} {_shown(value)}"


def _shown(value: Any) -> str:
    if value is None:
        return "absent"
    if isinstance(value, Mapping):
        more = "..." if len(value["hex"]) > _HEX_SHOWN_CHARACTERS else ""
        return f"{value['bytes']} bytes {value['hex'][:_HEX_SHOWN_CHARACTERS]}{more}".rstrip()
    return str(value)
