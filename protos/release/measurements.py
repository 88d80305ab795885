"""What a version of the image measures and is made from, as its builder publishes it; and who vouches.

The file is JSON that people read and there is one way to write it: a reader renders what it has parsed and
demands the same bytes, so no two readers read two things. A signature beside it is over the digest of exactly
those bytes; how many signers, and whose, is for the reader to choose. Files come from anybody.
Followed: protos/README.md, "Measurements of a version".
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protos.formats import cose, limits
from protos.formats.canonical import decode_map_untrusted, digest, encode, require_bytes, require_int
from protos.formats.errors import FormatError, LimitExceededError, SignatureError
from protos.formats.identifiers import DIGEST_BYTES, from_hex
from protos.formats.participants import Participant, Release

MEASUREMENTS_LABEL: Final = "concordat/measurements/v1"
MEASUREMENTS_SIGNATURE_LABEL: Final = "concordat/measurements-signature/v1"
MEASUREMENTS_MAX_BYTES: Final = 64 * limits.KIB
SIGNATURE_MAX_BYTES: Final = limits.APPROVAL_MAX_BYTES
INPUTS_MAX: Final = 256
_CODE: Final = ("pcr0", "pcr1", "pcr2")
_SIGNED: Final = "pcr8"
_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")
_INPUT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")
_INPUT_DIGEST: Final = re.compile(r"git:[0-9a-f]{40}|sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}")


@dataclass(frozen=True)
class PublishedMeasurements:
    """One version of the image: its registers (48 bytes each) and the digests of its inputs."""

    version: str
    built_on: str
    """A day, as 2026-01-31: when the statement was made, which is in no register."""
    pcr0: bytes
    pcr1: bytes
    pcr2: bytes
    pcr8: bytes | None = None
    """Of the certificate that a signed image names; None where it is not signed."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Name of an input to its digest: git:, sha256: or sha384: and hexadecimal digits."""

    def __post_init__(self) -> None:
        if not _is(_VERSION, self.version):
            raise FormatError(f"version: got {str(self.version)[:70]!r}, expected one like '1.2.0'")
        _require_day(self.built_on)
        for name, pcr in self.registers().items():
            require_bytes(pcr, what=name, length=DIGEST_BYTES)
            if not any(pcr):
                raise FormatError(f"{name} is all zero, which is what a debug-mode enclave reports")
        if not 1 <= len(self.inputs) <= INPUTS_MAX:
            raise FormatError(f"inputs: got {len(self.inputs)}, expected 1 to {INPUTS_MAX}")
        for name, value in self.inputs.items():
            if not _is(_INPUT_NAME, name):
                raise FormatError(f"input {str(name)[:70]!r}: expected a name like a path")
            if not _is(_INPUT_DIGEST, value):
                raise FormatError(
                    f"input {name}: got {str(value)[:70]!r}, expected git:, sha256: or sha384: and digits"
                )

    def registers(self) -> dict[str, bytes]:
        """`pcr0`, `pcr1`, `pcr2`, and `pcr8` if the image is signed."""
        values = {"pcr0": self.pcr0, "pcr1": self.pcr1, "pcr2": self.pcr2, _SIGNED: self.pcr8}
        return {name: value for name, value in values.items() if value is not None}

    def release(
        self, *, root_sha256: bytes, valid_from_s: int | None = None, valid_until_s: int | None = None
    ) -> Release:
        """As an agreement names it, under this root; without PCR8, which says who signed, not what runs."""
        return Release(
            name=self.version,
            pcr0=self.pcr0,
            pcr1=self.pcr1,
            pcr2=self.pcr2,
            root_sha256=root_sha256,
            valid_from_s=valid_from_s,
            valid_until_s=valid_until_s,
        )

    def encode(self) -> bytes:
        """The file."""
        fields = {
            "format": MEASUREMENTS_LABEL,
            "version": self.version,
            "built_on": self.built_on,
            "pcrs": {name: value.hex() for name, value in self.registers().items()},
            "inputs": dict(sorted(self.inputs.items())),
        }
        return (json.dumps(fields, indent=2) + "\n").encode()

    def digest(self) -> bytes:
        """The 48 bytes over the file that signers sign."""
        return digest(MEASUREMENTS_LABEL, self.encode())

    @classmethod
    def decode_untrusted(cls, data: bytes) -> PublishedMeasurements:
        """Inverse of `encode`; nobody vouches for what it says. Raises `FormatError`."""
        if len(data) > MEASUREMENTS_MAX_BYTES:
            raise LimitExceededError(
                f"measurements: got {len(data)} bytes, expected at most {MEASUREMENTS_MAX_BYTES}"
            )
        fields = _json_fields(data)
        found = cls(
            version=fields["version"],
            built_on=fields["built_on"],
            inputs=_table(fields["inputs"], what="inputs"),
            **_registers(_table(fields["pcrs"], what="pcrs")),
        )
        if found.encode() != data:
            raise FormatError(
                "measurements: not in the one form there is (written again, the bytes differ)",
                hint="take the file as it was published; an editor may have changed it",
            )
        return found


@dataclass(frozen=True)
class MeasurementsSignature:
    """Somebody's signed word that exactly these bytes are what the version measures."""

    signer: str
    signed_at_s: int
    """When the signer says it signed; informative."""


def sign_measurements(data: bytes, *, signer: str, key: Ed25519PrivateKey, signed_at_s: int) -> bytes:
    """A signature of `signer` over the file `data`, to be kept beside it."""
    payload = encode(
        {
            "label": MEASUREMENTS_SIGNATURE_LABEL,
            "measurements": digest(MEASUREMENTS_LABEL, data),
            "signer": signer,
            "signed_at_s": signed_at_s,
        }
    )
    return cose.sign(payload, typ=MEASUREMENTS_SIGNATURE_LABEL, key=key)


def verify_measurements_untrusted(
    data: bytes, signatures: Sequence[bytes], *, signers: Sequence[Participant], needed: int
) -> tuple[PublishedMeasurements, tuple[MeasurementsSignature, ...]]:
    """What `data` says, if at least `needed` of `signers` signed exactly these bytes.

    Of `signatures` those count that are by one of `signers`, each signer once; strangers' are left out.
    Raises `SignatureError` or `FormatError`.
    """
    keys = {cose.key_id(signer.signing_key): signer for signer in signers}
    if not 1 <= needed <= len(keys):
        raise SignatureError(
            f"measurements: got {len(keys)} signers to choose from, {needed} needed; expected at least one, "
            "and no more needed than there are",
            hint="name whose signatures count; without one, anybody could have written the file",
        )
    found: dict[str, MeasurementsSignature] = {}
    for message in signatures:
        kid = cose.signer_untrusted(message, max_bytes=SIGNATURE_MAX_BYTES, what="signature of measurements")
        if kid in keys:
            signature = _verify(data, message, keys[kid])
            found.setdefault(signature.signer, signature)
    if len(found) < needed:
        raise SignatureError(
            f"measurements: signed by {', '.join(found) or 'none'} of the {len(keys)} signers that count, "
            f"expected {needed}",
            hint="get the missing signature files, and put them beside the measurements",
        )
    return PublishedMeasurements.decode_untrusted(data), tuple(found.values())


def _verify(data: bytes, message: bytes, signer: Participant) -> MeasurementsSignature:
    payload = cose.verify_untrusted(
        message,
        typ=MEASUREMENTS_SIGNATURE_LABEL,
        public_key=signer.signing_key,
        max_bytes=SIGNATURE_MAX_BYTES,
    )
    fields = decode_map_untrusted(
        payload,
        label=MEASUREMENTS_SIGNATURE_LABEL,
        keys=frozenset({"measurements", "signer", "signed_at_s"}),
        max_bytes=SIGNATURE_MAX_BYTES,
    )
    signed_at_s = require_int(fields["signed_at_s"], what="signed_at_s")
    if fields["measurements"] != digest(MEASUREMENTS_LABEL, data):
        raise SignatureError(
            f"measurements: {signer.id} signed another file than this one",
            hint="get file and signature from the same place again; if it stays so, rely on neither",
        )
    if fields["signer"] != signer.id:
        raise SignatureError(f"measurements: the key is {signer.id}'s, the signature says another name")
    return MeasurementsSignature(signer.id, signed_at_s)


def _json_fields(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"measurements: not JSON in ASCII ({type(error).__name__})") from error
    fields = _table(value, what="measurements")
    if fields.get("format") != MEASUREMENTS_LABEL:
        raise FormatError(
            f"measurements: got format {str(fields.get('format'))[:70]!r}, expected {MEASUREMENTS_LABEL!r}",
            hint="give the published file: measurements.json of a version",
        )
    expected = {"format", "version", "built_on", "pcrs", "inputs"}
    if fields.keys() != expected:
        wrong = sorted(str(key)[:40] for key in fields.keys() ^ expected)
        raise FormatError(f"measurements: missing or unknown keys {wrong[:5]}")
    return fields


def _registers(pcrs: Mapping[str, Any]) -> dict[str, bytes]:
    if pcrs.keys() - {_SIGNED} != set(_CODE):
        raise FormatError("pcrs: expected pcr0, pcr1 and pcr2, and perhaps pcr8")
    for name, value in pcrs.items():
        if not isinstance(value, str):
            raise FormatError(f"{name}: got {type(value).__name__}, expected text")
    return {name: from_hex(value, length=DIGEST_BYTES, what=name) for name, value in pcrs.items()}


def _table(value: Any, *, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FormatError(f"{what}: got {type(value).__name__}, expected a table")
    return value


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _require_day(text: object) -> None:
    try:
        if isinstance(text, str) and dt.date.fromisoformat(text).isoformat() == text:
            return
    except ValueError:
        pass
    raise FormatError(f"built_on: got {str(text)[:20]!r}, expected a day like 2026-01-31")
