"""Writes `vectors/`: run `python -m tests.conformance.nitro.generate` after changing a case.

Everything is deterministic, so an unchanged case gives unchanged bytes, and a test compares them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conformance.nitro.cases import Case, Laboratory
from tests.conformance.nitro.cases_chain import CHAIN
from tests.conformance.nitro.cases_cose import COSE
from tests.conformance.nitro.cases_fields import FIELDS

VECTORS = Path(__file__).parent / "vectors"
INDEX = "index.json"
ROOT = "root.pem"
SOURCE = "made for this repository by tests/conformance/nitro/generate.py; keys derived from public labels"


def all_cases() -> dict[str, Case]:
    """Every case by name, in the order of the verification steps."""
    return COSE.found | FIELDS.found | CHAIN.found


def index(cases: dict[str, Case]) -> dict[str, Any]:
    """What the index file says."""
    vectors = [
        {
            "file": f"{case.name}.cbor",
            "expect": case.expect,
            "allow_debug": case.allow_debug,
            "what": case.what,
        }
        for case in cases.values()
    ]
    return {
        "source": SOURCE,
        "root": ROOT,
        "verify": "at the signed time, any measurement",
        "vectors": vectors,
    }


def main() -> None:
    """Replaces all vectors."""
    laboratory, cases = Laboratory(), all_cases()
    VECTORS.mkdir(exist_ok=True)
    for old in VECTORS.glob("*.cbor"):
        old.unlink()
    for case in cases.values():
        (VECTORS / f"{case.name}.cbor").write_bytes(case.make(laboratory))
    (VECTORS / ROOT).write_bytes(laboratory.chain.root.pem)
    (VECTORS / INDEX).write_text(json.dumps(index(cases), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
