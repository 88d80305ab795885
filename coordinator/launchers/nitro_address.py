"""Where an enclave on this EC2 instance is: its CID on the vsock and its name, chosen by us beforehand.

In the coordinator's store it is the text `vsock:CID:NAME`.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Final

from coordinator.errors import StateError

_LEAST_CID: Final = 2**16
_CIDS_END: Final = 2**31
"""0 to 3 and 2^32 - 1 have meanings of their own, and nitro-cli adds 10,000 to find the console's port."""
_TEXT: Final = re.compile(r"vsock:([1-9][0-9]{0,9}):(concordat-[0-9a-f]{16})")


@dataclass(frozen=True)
class NitroAddress:
    """One enclave's CID and name."""

    cid: int
    name: str

    @classmethod
    def new(cls) -> NitroAddress:
        """One that no other enclave has, as good as certainly."""
        cid = _LEAST_CID + secrets.randbelow(_CIDS_END - _LEAST_CID)
        return cls(cid, f"concordat-{secrets.token_hex(8)}")

    @classmethod
    def parse(cls, text: str) -> NitroAddress:
        """From the store. Raises `StateError`."""
        found = _TEXT.fullmatch(text)
        if found is None or not _LEAST_CID <= int(found[1]) < _CIDS_END:
            raise StateError(
                f"an enclave's address is {text[:60]!r}, expected vsock:CID:NAME",
                hint="this state is of a coordinator with another launcher: start it with that one",
            )
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"vsock:{self.cid}:{self.name}"
