"""An image file in words: sections, what covers them, registers, signature, and what nobody should believe.

Takes an `Image`, whose structure was checked; texts in it are somebody else's and are shown with everything
that could move a cursor written as an escape.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from cryptography.hazmat.primitives import hashes

from enclave_compute.image.eif import Image
from enclave_compute.image.eif.sections import Section, SectionKind
from enclave_compute.image.eif.signature import ImageSignature

UNMEASURED: Final = "NOT MEASURED: whoever hands over the file can write anything here"
_COVERED: Final = {
    "pcr0": "kernel, command line, all ramdisks",
    "pcr1": "kernel, command line, first ramdisk",
    "pcr2": "the other ramdisks",
    "pcr8": "the certificate of the signature",
}
_ONE_RAMDISK: Final = "no other ramdisk: the same for every such image"


def as_json(image: Image) -> dict[str, Any]:
    """All of it, for a program."""
    return {
        "size_bytes": image.size_bytes,
        "architecture": image.header.architecture,
        "crc32": f"{image.header.crc32:08x}",
        "sections": [
            {
                "kind": section.kind.label,
                "offset": section.offset,
                "size_bytes": section.size_bytes,
                "sha256": section.sha256.hex(),
                "measured_in": measured_in,
            }
            for section, measured_in in _with_registers(image)
        ],
        "command_line": image.command_line,
        "measurements": image.measurements.as_hex(),
        "signature": None if image.signature is None else _signature(image.signature),
        "unmeasured_metadata": image.metadata,
    }


def as_text(image: Image) -> str:
    """All of it, for a person."""
    return "\n".join(_lines(image))


def _lines(image: Image) -> Iterator[str]:
    header = image.header
    form = f"version 4, {header.architecture}, CRC32 {header.crc32:08x}"
    yield f"{'file':12} {image.size_bytes:,} bytes, {form}"
    yield ""
    yield f"{'section':13}{'offset':>10}{'bytes':>12}  {'measured in':11}  SHA-256"
    for section, registers in _with_registers(image):
        shown = " ".join(registers).upper() or "-"
        place = f"{section.offset:>10,}{section.size_bytes:>12,}"
        yield f"{section.kind.label:13}{place}  {shown:11}  {section.sha256.hex()}"
    yield ""
    yield f"{'command line':12} {_shown(image.command_line)}"
    yield ""
    yield from _registers(image)
    yield ""
    yield from _signed(image.signature)
    yield ""
    yield f"{'metadata':12} {UNMEASURED}"
    yield from ("  " + _shown(line) for line in json.dumps(image.metadata, indent=2).splitlines())


def _registers(image: Image) -> Iterator[str]:
    one_ramdisk = sum(section.kind is SectionKind.RAMDISK for section in image.sections) == 1
    for name, value in image.measurements.as_hex().items():
        yield f"{name:12} {value}"
        yield f"{'':12} {_ONE_RAMDISK if name == 'pcr2' and one_ramdisk else _COVERED[name]}"


def _signed(signature: ImageSignature | None) -> Iterator[str]:
    if signature is None:
        yield f"{'signature':12} none: PCR8 will be zero"
        return
    facts = _signature(signature)
    yield f"{'signature':12} {facts['algorithm']}, of PCR0, by the key of this certificate, whoever that is:"
    for key in ("subject", "issuer", "not_before", "not_after", "sha256"):
        yield f"  {key.replace('_', ' '):10} {_shown(facts[key])}"


def _signature(signature: ImageSignature) -> dict[str, str]:
    certificate = signature.certificate
    return {
        "algorithm": signature.algorithm,
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
    }


def _with_registers(image: Image) -> Iterator[tuple[Section, list[str]]]:
    """Each section with the registers that cover its content."""
    ramdisks = 0
    for section in image.sections:
        ramdisks += section.kind is SectionKind.RAMDISK
        if section.kind in (SectionKind.KERNEL, SectionKind.COMMAND_LINE):
            yield section, ["pcr0", "pcr1"]
        elif section.kind is SectionKind.RAMDISK:
            yield section, ["pcr0", "pcr1" if ramdisks == 1 else "pcr2"]
        else:
            yield section, []


def _shown(text: str) -> str:
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
