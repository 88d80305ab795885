"""The published measurements of a version as files: `measurements.json`, and each signature beside it.

A signature of NAME over FILE is FILE.NAME.sig, so several people can sign without touching each other's
files. Nothing beside a file counts because of its name: who signed is what the signature proves. Raises
`FileAccessError`, `FormatError` and `SignatureError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from party_client import files
from party_client.identity import Identity, PublicIdentity
from protos.formats import cose
from protos.formats.errors import FormatError
from protos.formats.limits import PARTIES_MAX
from protos.release.measurements import (
    MEASUREMENTS_MAX_BYTES,
    SIGNATURE_MAX_BYTES,
    MeasurementsSignature,
    PublishedMeasurements,
    sign_measurements,
    verify_measurements_untrusted,
)

SIGNATURE_SUFFIX: Final = ".sig"


def read_measurements(path: Path) -> PublishedMeasurements:
    """What the file says, whoever wrote it."""
    return PublishedMeasurements.decode_untrusted(_read(path))


def load_measurements(
    path: Path, *, signers: Sequence[PublicIdentity], needed: int
) -> tuple[PublishedMeasurements, tuple[MeasurementsSignature, ...]]:
    """What the file says, signed by at least `needed` of `signers`, and who of them signed."""
    signatures = [_read_signature(beside) for beside in signature_files(path)]
    participants = [signer.participant() for signer in signers]
    return verify_measurements_untrusted(_read(path), signatures, signers=participants, needed=needed)


def _read_signature(path: Path) -> bytes:
    """What could be somebody's signature, of which nothing is verified yet."""
    message = files.read(path, max_bytes=SIGNATURE_MAX_BYTES, private=False)
    try:
        cose.signer_untrusted(message, max_bytes=SIGNATURE_MAX_BYTES, what=str(path))
    except FormatError as error:
        raise files.FileAccessError(
            f"{path}: is no signature ({error.message})",
            hint="get it again from whoever signed, or move it away: what ends in .sig here is read",
        ) from error
    return message


def write_signature(path: Path, identity: Identity, *, now: datetime) -> Path:
    """Signs the file as it is, if it is well-formed; where the signature is."""
    data = _read(path)
    PublishedMeasurements.decode_untrusted(data)
    signature = sign_measurements(
        data, signer=identity.id, key=identity.signing_key, signed_at_s=int(now.timestamp())
    )
    beside = path.with_name(f"{path.name}.{identity.id}{SIGNATURE_SUFFIX}")
    files.replace(beside, signature)
    return beside


def signature_files(path: Path) -> list[Path]:
    """The signature files beside `path`, in order; at most as many as an agreement has parties."""
    names = f"{path.name}."
    found = sorted(
        each
        for each in path.parent.iterdir()
        if each.name.startswith(names) and each.name.endswith(SIGNATURE_SUFFIX)
    )
    if len(found) > PARTIES_MAX:
        raise files.FileAccessError(
            f"{path}: got {len(found)} signature files beside it, expected at most {PARTIES_MAX}"
        )
    return found


def _read(path: Path) -> bytes:
    return files.read(path, max_bytes=MEASUREMENTS_MAX_BYTES, private=False)
