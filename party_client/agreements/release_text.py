"""`[[releases]]` of an agreement as people write them: here, in a file of such tables, or as published.

An entry gives the measurements themselves, or names a `file`: TOML with `[[releases]]` of its own, or the
`measurements.json` of a version, which counts only if enough of the named `signers` signed it. A validity
beside a file narrows what the file says and never widens it. Files come from others; every mistake is an
`AgreementTextError`, a `SignatureError` or a `FileAccessError`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from party_client.agreements.errors import AgreementTextError
from party_client.agreements.table import Table, located
from party_client.agreements.toml_file import read_toml
from party_client.identity import PublicIdentity
from party_client.published import load_measurements
from protos.formats.identifiers import DIGEST_BYTES, from_hex
from protos.formats.participants import FINGERPRINT_BYTES, Release
from protos.release.roots import AWS_NITRO_ROOT_G1_SHA256

_KEYS: Final = ("name", "pcr0", "pcr1", "pcr2", "root_sha256")
_VALIDITY: Final = ("valid_from", "valid_until")
_PUBLISHED: Final = ("signers", "signers_needed", "root_sha256")
MEASUREMENTS_SUFFIX: Final = ".json"


def read_releases(place: str, value: object, folder: Path) -> list[Release]:
    """The release written here, or those of the file named here; files are relative to `folder`."""
    if not (isinstance(value, dict) and "file" in value):
        return [_release(place, value)]
    is_published = str(value["file"]).endswith(MEASUREMENTS_SUFFIX)
    options = (*_VALIDITY, *(_PUBLISHED if is_published else ()))
    table = Table(value, place, required=("file",), optional=options)
    path = folder / table.text("file")
    found = [_published(table, path, folder)] if is_published else load_releases(path)
    return [_narrowed(table, release) for release in found]


def load_releases(path: Path) -> list[Release]:
    """What a TOML file of `[[releases]]` tables says."""
    file = Table(read_toml(path), path.name, required=("releases",))
    return [
        release
        for place, value in file.tables("releases")
        for release in read_releases(place, value, path.parent)
    ]


def _release(place: str, value: object) -> Release:
    table = Table(value, place, required=_KEYS, optional=_VALIDITY)

    def measured(key: str, length: int) -> bytes:
        return from_hex(table.text(key), length=length, what=key)

    with located(place, f"release {table.text('name')}"):
        return Release(
            name=table.text("name"),
            pcr0=measured("pcr0", DIGEST_BYTES),
            pcr1=measured("pcr1", DIGEST_BYTES),
            pcr2=measured("pcr2", DIGEST_BYTES),
            root_sha256=measured("root_sha256", FINGERPRINT_BYTES),
            valid_from_s=_seconds(table, "valid_from"),
            valid_until_s=_seconds(table, "valid_until"),
        )


def _published(table: Table, path: Path, folder: Path) -> Release:
    signers = [PublicIdentity.load(folder / name) for name in table.texts("signers")]
    if not signers:
        raise AgreementTextError(
            f"{table.place}: `signers` is missing",
            hint='say whose signatures count: signers = ["keys/builder.pub"]; anybody can write such a file',
        )
    root_sha256 = AWS_NITRO_ROOT_G1_SHA256
    with located(table.place):
        if "root_sha256" in table:
            root_sha256 = from_hex(table.text("root_sha256"), length=FINGERPRINT_BYTES, what="root_sha256")
        needed = table.integer("signers_needed", len(signers))
        measurements, _ = load_measurements(path, signers=signers, needed=needed)
        return measurements.release(root_sha256=root_sha256)


def _narrowed(table: Table, release: Release) -> Release:
    """The later beginning and the earlier end of the two."""
    begins = [time for time in (release.valid_from_s, _seconds(table, "valid_from")) if time is not None]
    ends = [time for time in (release.valid_until_s, _seconds(table, "valid_until")) if time is not None]
    with located(table.place):
        return replace(release, valid_from_s=max(begins, default=None), valid_until_s=min(ends, default=None))


def _seconds(table: Table, key: str) -> int | None:
    return table.seconds(key) if key in table else None
