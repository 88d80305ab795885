"""Compiles every module of the image ahead of time, by the image's own interpreter.

An enclave would otherwise compile at each start, into memory, because its file system is read-only. The
byte-code is of the kind that the interpreter checks against the source's hash when it imports (PEP 552), so
the sources in the image are what runs. Order, hash seed and file names are fixed: the same sources give the
same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from enclave_compute.image import interpreter
from enclave_compute.image.system import BYTECODE_TAG

_COMPILE: Final = """
import importlib.util, marshal, os, sys
root = sys.argv[1]
for line in sys.stdin:
    name, target = line.rstrip("\\n").split("\\t")
    with open(os.path.join(root, name), "rb") as stream:
        source = stream.read()
    code = compile(source, "/" + name, "exec", dont_inherit=True, optimize=0)
    hash_based_and_checked = (3).to_bytes(4, "little")
    head = importlib.util.MAGIC_NUMBER + hash_based_and_checked + importlib.util.source_hash(source)
    os.makedirs(os.path.dirname(os.path.join(root, target)), exist_ok=True)
    with open(os.path.join(root, target), "wb") as stream:
        stream.write(head + marshal.dumps(code))
"""


def compile_all(root: Path, sources: Iterable[str]) -> list[str]:
    """Compiles `sources`, paths below `root`, where the image lies; the paths of the byte-code.

    Raises `ImageBuildError`.
    """
    targets = {name: _target(name) for name in sorted(sources)}
    fed = "".join(f"{name}\t{target}\n" for name, target in targets.items())
    interpreter.run(root, _COMPILE, str(root), fed=fed)
    return list(targets.values())


def _target(name: str) -> str:
    path = PurePosixPath(name)
    return (path.parent / "__pycache__" / f"{path.stem}.{BYTECODE_TAG}.pyc").as_posix()
