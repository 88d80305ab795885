"""Makes the locks again from what Debian has now: `python -m enclave_compute.image.debian.relock [NAME …]`.

This is where trust in Debian's archive is taken up, once: apt checks each suite's signature against
Debian's keyring, and the hashes it then reads are written down. Whoever builds later needs no signature,
only the lock.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from enclave_compute.image.debian import apt
from enclave_compute.image.debian.errors import MirrorError
from enclave_compute.image.debian.index import Suite, closure, package, read_suite, source_files
from enclave_compute.image.debian.lock import PinnedFile, format_lock, lock_path
from enclave_compute.image.debian.wanted import Request, Wanted, read_wanted
from protos.formats.errors import ConcordatError


class Suites:
    """Suites by name, each read when it is first asked for."""

    def __init__(self, folder: Path, base: str) -> None:
        self._folder = folder
        self._base = base
        self._read: dict[str, Suite] = {}

    def suite(self, name: str) -> Suite:
        """The suite called `name`. Raises `MirrorError` or `LockError`."""
        if name not in self._read:
            self._read[name] = read_suite(*apt.suite_index(self._folder, self._base, name))
        return self._read[name]


def resolve(wanted: Wanted, suites: Suites) -> str:
    """The lock for `wanted`, as text. Raises `MirrorError` or `LockError`."""
    files: set[PinnedFile] = set()
    for request in wanted.requests:
        files |= _requested(request, suites.suite(request.suite))
    names = ", ".join(sorted({request.suite for request in wanted.requests}))
    made = f"Made by `make image-lock` from wanted.toml and Debian {names}; not to be edited."
    return format_lock(f"{wanted.purpose}\n\n{made}", files)


def _requested(request: Request, suite: Suite) -> set[PinnedFile]:
    if request.with_dependencies:
        files = {found.file for found in closure(suite, request.packages).values()}
    else:
        files = {package(suite, name).file for name in request.packages}
    for name in request.sources:
        files |= set(source_files(suite, name))
    return files


def main(arguments: list[str]) -> int:
    """Write every lock, or those named."""
    try:
        base = apt.debian_base()
        if base is None:
            raise MirrorError(
                "locks are made on Debian: apt checks the signatures", hint="run this on Debian"
            )
        chosen = [wanted for wanted in read_wanted() if not arguments or wanted.name in arguments]
        with tempfile.TemporaryDirectory(prefix="concordat-suites-") as folder:
            suites = Suites(Path(folder), base)
            for wanted in chosen:
                text = resolve(wanted, suites)
                lock_path(wanted.name).write_text(text, encoding="ascii")
                count = sum(not line.startswith("#") for line in text.splitlines())
                print(f"{wanted.name}: {count} files", file=sys.stderr)
    except ConcordatError as error:
        print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
