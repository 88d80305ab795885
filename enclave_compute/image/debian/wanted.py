"""Which packages each build asks for: `locks/wanted.toml`, read strictly."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from enclave_compute.image.debian.errors import LockError
from enclave_compute.image.debian.lock import LOCKS

WANTED: Final = LOCKS / "wanted.toml"
_KEYS: Final = {"suite", "packages", "sources", "with_dependencies"}


@dataclass(frozen=True)
class Request:
    """Packages of one suite."""

    suite: str
    packages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    """Source packages, all their files but the description."""
    with_dependencies: bool = False
    """Whether everything that `packages` depend on is wanted too."""


@dataclass(frozen=True)
class Wanted:
    """What one lock is made from."""

    name: str
    purpose: str
    requests: tuple[Request, ...]


def read_wanted(path: Path = WANTED) -> list[Wanted]:
    """Every build's wishes, in the order of the file. Raises `LockError`."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return [_wanted(name, table) for name, table in tables.items()]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise LockError(
            f"{path.name}: {error!r}", hint="each table: purpose, and [[NAME.from]] entries"
        ) from error


def _wanted(name: str, table: dict[str, Any]) -> Wanted:
    unknown = set(table) - {"purpose", "from"}
    if unknown:
        raise LockError(f"{name}: unknown {sorted(unknown)}; expected purpose and from")
    return Wanted(
        name, str(table["purpose"]).strip(), tuple(_request(name, entry) for entry in table["from"])
    )


def _request(name: str, entry: dict[str, Any]) -> Request:
    unknown = set(entry) - _KEYS
    if unknown:
        raise LockError(f"{name}: unknown {sorted(unknown)}; expected {sorted(_KEYS)}")
    return Request(
        suite=str(entry["suite"]),
        packages=tuple(map(str, entry.get("packages", ()))),
        sources=tuple(map(str, entry.get("sources", ()))),
        with_dependencies=entry.get("with_dependencies", False) is True,
    )
