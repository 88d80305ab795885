"""Writes `vectors.json`: run `python -m tests.conformance.release.generate` after a format has changed.

Everything is deterministic, so an unchanged format gives an unchanged file, and a test compares them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protos.formats.canonical import decode_untrusted
from protos.release.change import CHANGE_LABEL
from protos.release.history import CHANGED_AGREEMENT_MAX_BYTES
from protos.release.measurements import MEASUREMENTS_LABEL
from tests.conformance.formats import samples as people
from tests.conformance.formats.notation import to_json
from tests.conformance.release import refused, samples

VECTORS = Path(__file__).parent / "vectors.json"
SOURCE = "made for this repository by tests/conformance/release/generate.py; keys derived from public labels"


def messages() -> dict[str, bytes]:
    """One good message of every format in CBOR."""
    return {
        "release-change": samples.change().encode(),
        "release-change-approval": samples.word(people.AIRLINE),
        "changed-agreement": samples.changed().encode(),
        "measurements-signature": samples.measurements_signature(),
    }


def vectors() -> dict[str, Any]:
    """All of `vectors.json`."""
    return {
        "source": SOURCE,
        "specification": "protos/README.md",
        "notation": "bytes are hexadecimal; in a value, h'…' is a byte string and all else is itself",
        "signers": {person.id: person.signing_key.hex() for person in (people.AIRLINE, people.WEATHER)},
        "messages": [
            {
                "format": name,
                "value": to_json(decode_untrusted(data, max_bytes=CHANGED_AGREEMENT_MAX_BYTES, what=name)),
                "bytes": data.hex(),
            }
            for name, data in messages().items()
        ],
        "measurements": samples.measurements().encode().decode(),
        "digests": {
            CHANGE_LABEL: samples.change().digest().hex(),
            MEASUREMENTS_LABEL: samples.measurements().digest().hex(),
        },
        "releases": [
            {"name": release.name, "from": release.valid_from_s, "until": release.valid_until_s}
            for release in samples.changed().releases
        ],
        "refused": [
            {"format": case.format, "what": case.what, "expect": case.expect, "bytes": case.message.hex()}
            for case in refused.cases()
        ],
    }


def main() -> None:
    """Replaces the vectors."""
    VECTORS.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
