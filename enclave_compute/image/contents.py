"""Which of our files and which distributions the measured image consists of, and why each is there.

The one list, for the real image and for the SIMULATED machine: whatever is named here is trusted by every
party, and nothing else of ours or from the package index runs in an enclave. Code and its metadata only: no
byte-code, no tests, no documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

DISTRIBUTIONS: Final = {
    "backports.zstd": "undoes the compression of chunks, within a bound (PEP 784 for Python before 3.14)",
    "cbor2": "reads and writes every format that is signed, sealed or framed",
    "cffi": "cryptography is bound to its library by it",
    "cryptography": "AEAD, ML-KEM, X25519 and signatures; brings its own OpenSSL",
    "duckdb": "the engine: joins and aggregates in columns",
    "nanoarrow": "hands columns to the engine and takes them back without a copy",
    "pyopenssl": "TLS to parties' KMS, in memory, by the OpenSSL that cryptography brings",
    "sqlglot": "reads the agreed SQL into a syntax tree, which the plan is made of",
}
"""What the enclave imports, each with what it imports itself."""
OWN_FOLDERS: Final = ("enclave_compute", "protos")
NOT_OWN: Final = frozenset({"protos/v1", "protos/release", "enclave_compute/image"})
"""The gRPC service, which ends at the coordinator; what is said about images; how they are built."""
_OWN_SUFFIXES: Final = frozenset({".py", ".typed"})
_CODE_SUFFIXES: Final = frozenset({".py", ".so"})
_METADATA: Final = "METADATA"
"""duckdb asks for its own version at import, and importlib finds it there."""
_NOT_CODE: Final = frozenset({"tests", "testing", "experimental", "__pycache__"})


def own_files(source_root: Path) -> Iterator[tuple[str, Path]]:
    """(path in the image, file) of our own code below `source_root`, the folder of the packages."""
    for path in (path for folder in OWN_FOLDERS for path in (source_root / folder).rglob("*")):
        relative = path.relative_to(source_root)
        parents = {parent.as_posix() for parent in relative.parents}
        if path.suffix in _OWN_SUFFIXES and path.is_file() and not NOT_OWN & parents:
            yield relative.as_posix(), path


def is_distribution_code(name: str) -> bool:
    """Whether a distribution's file called `name` (posix, as installed) belongs into the image."""
    path = PurePosixPath(name)
    if ".." in path.parts or _NOT_CODE & set(path.parts):
        return False
    return path.suffix in _CODE_SUFFIXES or path.name == _METADATA
