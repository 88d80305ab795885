"""`concordat simulator`: everything SIMULATED, the machine and the KMS, under one name.

The machine's own program does not import this: it starts once per enclave and needs nothing of the KMS.
"""

from __future__ import annotations

import click

from scenarios.kms.cli import group as kms
from scenarios.machine.cli import group as machine


@click.group("simulator")
def group() -> None:
    """Play the Nitro machine and KMS, SIMULATED: for trying things out without AWS."""


for command in (*machine.commands.values(), kms):
    group.add_command(command)
