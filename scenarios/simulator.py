"""`concordat simulator`: everything SIMULATED, the machine and the KMS, under one name.

The machine's own program does not import this: it starts once per enclave and needs nothing of the KMS.
"""

from __future__ import annotations

from scenarios.kms.cli import group as kms
from scenarios.machine.cli import group

group.add_command(kms)

__all__ = ["group"]
