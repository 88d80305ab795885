"""Where the parent is on the vsock. It is the only peer, and not trusted."""

from __future__ import annotations

from typing import Final

PARENT_CIDS: Final = frozenset({2, 3})
"""Context ids of whoever started the machine: 3 is the parent instance on AWS, 2 the host everywhere else. No
other enclave and no other machine has either."""
