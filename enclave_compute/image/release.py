"""An image's measurements as an agreement names them: one entry of its `releases`.

Takes what was measured, and the fingerprint of the root that the documents of such an enclave end at; both
are public. Agreement, `release` (protos/README.md, section 4).
"""

from __future__ import annotations

import json
from collections.abc import Mapping


def release_toml(release: Mapping[str, str]) -> str:
    """`release` as an entry in TOML; a JSON string is a TOML string as well."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in release.items()]
    return "\n".join(["[[releases]]", *lines, ""])
