"""Which of two versions of a Debian package is newer. Rules: deb-version(7)."""

from __future__ import annotations

import re
from typing import Final

_RUN: Final = re.compile(r"(\D*)(\d*)")
_END: Final = 0
"""How the end of a run of characters sorts: after `~`, before everything else."""


def version_key(version: str) -> tuple[object, ...]:
    """A key by which versions sort from old to new."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, "0"
    return (int(epoch) if epoch.isdigit() else 0, _part_key(upstream), _part_key(revision))


def _part_key(part: str) -> tuple[object, ...]:
    """Runs without digits and numbers, in turn."""
    key: list[object] = []
    for text, number in _RUN.findall(part):
        key.append((*map(_order, text), _END))
        key.append(int(number or "0"))
    return tuple(key)


def _order(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
