"""What a suite of Debian holds, and what a package needs to be unpacked with.

The text comes from apt, which checked the suite's signature. It is read here for its hashes and
dependencies; what cannot be read is an error and never a package less. Format: deb-control(5), Debian
policy 7.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from enclave_compute.image.debian.errors import LockError
from enclave_compute.image.debian.lock import SOURCE, PinnedFile
from enclave_compute.image.debian.versions import version_key

_RELATION: Final = re.compile(
    r"\s*([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9]+)?\s*(?:\([^)]*\))?\s*(?:\[[^]]*\])?\s*"
)
_DESCRIPTION: Final = ".dsc"
_MAX_SIZE_DIGITS: Final = 15

Alternatives = tuple[str, ...]
"""Names of packages any one of which will do, the preferred one first."""


@dataclass(frozen=True)
class Package:
    """A binary package as a suite lists it."""

    file: PinnedFile
    depends: tuple[Alternatives, ...]


@dataclass
class Suite:
    """What a suite lists: paragraphs by the name of their package."""

    packages: dict[str, Mapping[str, str]] = field(default_factory=dict)
    providers: dict[str, set[str]] = field(default_factory=dict)
    """Virtual packages, and who provides them."""
    sources: dict[str, Mapping[str, str]] = field(default_factory=dict)


def read_suite(packages_text: str, sources_text: str) -> Suite:
    """The suite that apt's lists describe. Raises `LockError`."""
    suite = Suite()
    for paragraph in paragraphs(packages_text):
        name = _field(paragraph, "Package")
        _keep_newest(suite.packages, name, paragraph)
        for provided, *_ in _relations(paragraph.get("Provides", "")):
            suite.providers.setdefault(provided, set()).add(name)
    for paragraph in paragraphs(sources_text):
        # What is there only because some binary was built from it is no source of the suite.
        if paragraph.get("Extra-Source-Only") != "yes":
            _keep_newest(suite.sources, _field(paragraph, "Package"), paragraph)
    return suite


def closure(suite: Suite, wanted: Iterable[str]) -> dict[str, Package]:
    """`wanted` and all they depend on, by name; of alternatives the first that exists. Raises `LockError`."""
    chosen: dict[str, Package] = {}
    pending: list[Alternatives] = [(name,) for name in sorted(wanted, reverse=True)]
    while pending:
        alternatives = pending.pop()
        if any(name in chosen or chosen.keys() & suite.providers.get(name, set()) for name in alternatives):
            continue
        package = _first_that_exists(suite, alternatives)
        chosen[package.file.name] = package
        pending.extend(reversed(package.depends))
    return chosen


def package(suite: Suite, name: str) -> Package:
    """The package of that name, or one that provides it. Raises `LockError`."""
    return _first_that_exists(suite, (name,))


def source_files(suite: Suite, name: str) -> tuple[PinnedFile, ...]:
    """All files of the source package of that name but its description. Raises `LockError`."""
    if name not in suite.sources:
        raise LockError(f"the suite has no source package {name}", hint="correct locks/wanted.toml")
    return tuple(_source_files(suite.sources[name]))


def paragraphs(text: str) -> Iterator[Mapping[str, str]]:
    """The control paragraphs of `text`; continuation lines are joined with newlines."""
    for block in re.split(r"\n\n+", text.strip("\n")):
        fields: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if line[:1] in (" ", "\t") and name:
                fields[name] += "\n" + line.strip()
            else:
                name, colon, value = line.partition(":")
                if not colon:
                    raise LockError(f"not a line of a control paragraph: {line[:100]!r}")
                fields[name] = value.strip()
        if fields:
            yield fields


def _keep_newest(kept: dict[str, Mapping[str, str]], name: str, paragraph: Mapping[str, str]) -> None:
    """A suite also lists old versions that something else in it was built with."""
    known = kept.get(name)
    if known is None or _age(known) < _age(paragraph):
        kept[name] = paragraph


def _age(paragraph: Mapping[str, str]) -> tuple[object, ...]:
    return version_key(_field(paragraph, "Version"))


def _first_that_exists(suite: Suite, alternatives: Alternatives) -> Package:
    for name in alternatives:
        if name in suite.packages:
            return _package(suite.packages[name])
        if name in suite.providers:
            return _package(suite.packages[min(suite.providers[name])])
    raise LockError(f"the suite has no {' or '.join(alternatives)}", hint="correct locks/wanted.toml")


def _package(paragraph: Mapping[str, str]) -> Package:
    file = PinnedFile(
        name=_field(paragraph, "Package"),
        version=_field(paragraph, "Version"),
        architecture=_field(paragraph, "Architecture"),
        path=_field(paragraph, "Filename"),
        size_bytes=_size(_field(paragraph, "Size")),
        sha256=_field(paragraph, "SHA256"),
    )
    needed = [paragraph.get(name, "") for name in ("Pre-Depends", "Depends")]
    return Package(file, tuple(relation for text in needed for relation in _relations(text)))


def _relations(text: str) -> Iterator[Alternatives]:
    for group in filter(None, (part.strip() for part in text.split(","))):
        names = [_RELATION.fullmatch(part) for part in group.split("|")]
        if not all(names):
            raise LockError(f"not a relation between packages: {group[:100]!r}")
        yield tuple(match.group(1) for match in names if match)


def _source_files(paragraph: Mapping[str, str]) -> Iterator[PinnedFile]:
    for line in filter(None, _field(paragraph, "Checksums-Sha256").split("\n")):
        words = line.split()
        if len(words) != 3:
            raise LockError(f"not a file of a source package: {line[:100]!r}")
        sha256, size, name = words
        if not name.endswith(_DESCRIPTION):
            yield PinnedFile(
                name=_field(paragraph, "Package"),
                version=_field(paragraph, "Version"),
                architecture=SOURCE,
                path=f"{_field(paragraph, 'Directory')}/{name}",
                size_bytes=_size(size),
                sha256=sha256,
            )


def _field(paragraph: Mapping[str, str], name: str) -> str:
    if name not in paragraph:
        raise LockError(f"a paragraph of the suite's list has no {name}: {dict(paragraph)!r:.200}")
    return paragraph[name]


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_SIZE_DIGITS):
        raise LockError(f"not a size in bytes: {text[:100]!r}")
    return int(text)
