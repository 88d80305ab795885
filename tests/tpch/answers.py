"""Answers as text of which every byte follows from the values, and what of the published ones is kept here.

TPC publishes the answers at scale factor 1 with the generator's source, as `answers/q1.out` and so on: values
between bars, numbers with two decimal places. `published.toml` has the number of rows of each and a SHA-256
of it whole in the form below, but of the 22nd, which no query here asks. `python -m tests.tpch.answers
FOLDER` makes it again from the files, so anybody who has them can check that it is theirs.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Final

_FILE: Final = Path(__file__).parent / "published.toml"
_CENT: Final = Decimal("0.01")
_NUMBER: Final = re.compile(r"-?[0-9]+\.[0-9]+")


@dataclass(frozen=True)
class Published:
    """One answer as it is published."""

    rows: int
    sha256: str


@dataclass(frozen=True)
class Difference:
    """One row, exact and as it is published."""

    query: str
    exact: str
    published: str


def published() -> dict[str, Published]:
    """By query."""
    read = tomllib.loads(_FILE.read_text(encoding="utf-8"))["answers"]
    return {name: Published(**answer) for name, answer in read.items()}


def differences() -> list[Difference]:
    """The rows in which a published answer is not the exact one."""
    read = tomllib.loads(_FILE.read_text(encoding="utf-8"))["differences"]
    return [Difference(**row) for row in read]


def as_published(query: str, rows: Iterable[tuple[Any, ...]]) -> Published:
    """What would be published of the exact `rows`."""
    known = {row.exact: row.published for row in differences() if row.query == query}
    lines = ("|".join(map(_shown, row)) for row in rows)
    return _digest(known.get(line, line) for line in lines)


def _shown(value: object) -> str:
    """A value as the published files have it: two decimal places, no blanks around it."""
    if isinstance(value, float | Decimal):
        return str(Decimal(value).quantize(_CENT, ROUND_HALF_UP))
    return str(value).strip()


def _digest(lines: Iterable[str]) -> Published:
    text = [f"{line}\n" for line in lines]
    return Published(len(text), hashlib.sha256("".join(text).encode()).hexdigest())


def _lines_of(file: Path) -> Iterator[str]:
    """The rows of a published file, which begins with the names of the columns."""
    for line in file.read_text(encoding="utf-8").splitlines()[1:]:
        if line.strip():
            yield "|".join(
                _shown(Decimal(cell) if _NUMBER.fullmatch(cell) else cell) for cell in _cells(line)
            )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]


def _main(folder: Path) -> None:
    print("[answers]")
    for number in range(1, 22):
        answer = _digest(_lines_of(folder / f"q{number}.out"))
        print(f'q{number:02} = {{ rows = {answer.rows}, sha256 = "{answer.sha256}" }}')


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
