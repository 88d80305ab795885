"""`concordat image`: build enclave image files, look into them, measure and sign them.

Each command is a module of `commands`.
"""

from __future__ import annotations

import click

from enclave_compute.image.commands.build import build_command
from enclave_compute.image.commands.explain import explain_command
from enclave_compute.image.commands.measure import measure_command
from enclave_compute.image.commands.sign import sign_command
from enclave_compute.image.commands.verify import verify_command


@click.group("image")
def group() -> None:
    """Enclave image files: build one, see what it measures, what is in it and who signed it."""


for _command in (build_command, measure_command, explain_command, sign_command, verify_command):
    group.add_command(_command)
