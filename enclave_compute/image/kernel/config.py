"""Decides whether a kernel was configured as `enclave.config` asks: every line of it must have survived.

Kconfig drops what it does not know and turns on what something else selects, without a word.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from enclave_compute.image.kernel.errors import KernelError

FRAGMENT: Final = Path(__file__).parent / "enclave.config"

_SET: Final = re.compile(r'(CONFIG_[A-Z0-9_]+)=(y|-?[0-9]+|0x[0-9a-f]+|"[^"]*")')
_NOT_SET: Final = re.compile(r"# (CONFIG_[A-Z0-9_]+) is not set")


def read_config(text: str) -> dict[str, str | None]:
    """Options and their values, None for one that is off. Raises `KernelError` for any other line."""
    options: dict[str, str | None] = {}
    for line in text.splitlines():
        is_set, is_not_set = _SET.fullmatch(line), _NOT_SET.fullmatch(line)
        if is_set:
            options[is_set[1]] = is_set[2]
        elif is_not_set:
            options[is_not_set[1]] = None
        elif line and not line.startswith("#"):
            raise KernelError(f"not a line of a kernel configuration: {line[:100]!r}")
    return options


def require_as_asked(asked: dict[str, str | None], final: dict[str, str | None]) -> None:
    """Raises `KernelError` when one of `asked` is missing, has another value, or is on and should be off."""
    differences = [
        f"{name}: asked {value or 'off'}, got {final.get(name) or 'off'}"
        for name, value in asked.items()
        if final.get(name) != value
    ]
    if differences:
        raise KernelError(
            "the kernel's configuration is not as asked: " + "; ".join(differences),
            hint="the source has renamed or removed it, or another option selects it: correct enclave.config",
        )
