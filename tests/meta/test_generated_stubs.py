"""The committed stubs in protos/v1 are what protoc makes of the .proto today, byte for byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.meta.repository import ROOT, files, is_generated


def test_generated_stubs_fit_their_proto(tmp_path: Path) -> None:
    # `make protos` runs the same target, so the arguments of protoc stand in one place.
    made = subprocess.run(
        ["make", "--silent", "stubs", f"STUBS={tmp_path}", f"PY={sys.executable}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    generated = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*_pb2*")}
    committed = {path: (ROOT / path).read_bytes() for path in files() if is_generated(path)}
    assert {path.suffix for path in generated} == {".py", ".pyi"}
    assert committed.keys() == generated.keys(), "run `make protos`"
    drifted = [str(path) for path in generated if committed[path] != generated[path]]
    assert not drifted, "the .proto changed and the stubs did not: run `make protos`"
