"""The enclave as a process: confined by the simulated machine, spoken to through its socket, and looked at.

What it has loaded is looked at from outside: by the libraries that the kernel has mapped for the confined
process, and by the modules that the same image holds after a whole life in an interpreter started as the
machine starts it. There is no hook for that in the enclave.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from party_client.attestation import TrustedRoots
from party_client.attestation.errors import MeasurementMismatchError
from protos.formats.agreement import Agreement
from protos.formats.calls import Op
from protos.formats.participants import Release
from scenarios.machine import interpreter
from scenarios.machine.documents import ModuleId
from scenarios.machine.machine import Machine, MachineOptions
from scenarios.machine.measure import Measurements, measure
from scenarios.machine.staging import staged
from tests import kms_world, world
from tests.envelope_world import Envelope
from tests.world import PURCHASES, VISITS, Parent

REPOSITORY = Path(__file__).resolve().parents[2]
WAIT_S = 60
EXPECTED = [{"segment": "sport", "purchases": 3, "total": 60}]

# What would give it a network protocol, a second process, code in data, or a dataframe. (`urllib.parse` is
# there: duckdb looks up its own version with `importlib.metadata`, which brings `email` and that, for text.)
FORBIDDEN = {
    *("_multiprocessing", "_pickle", "_posixsubprocess", "_ssl", "asyncio", "concurrent", "dbm", "ftplib"),
    *(
        "google",
        "grpc",
        "http",
        "imaplib",
        "multiprocessing",
        "numpy",
        "pandas",
        "pickle",
        "poplib",
        "pyarrow",
    ),
    *("requests", "shelve", "smtplib", "socketserver", "sqlite3", "ssl", "subprocess", "telnetlib"),
    *("urllib.error", "urllib.request", "urllib.response", "webbrowser", "wsgiref", "xmlrpc"),
}
OURS = {"enclave_compute", "protos"}
DISTRIBUTED = {
    *("_cffi_backend", "_cython_3_2_9", "_duckdb", "_openssl", "cbor2", "cryptography", "cython_runtime"),
    *("OpenSSL", "backports", "duckdb", "nanoarrow", "sqlglot"),
    "typing_extensions",  # for OpenSSL on Python before 3.13
}
SYSTEM_LIBRARIES = {
    *("ld", "libbz2", "libc", "libcrypto", "libdl", "libffi", "libgcc_s", "liblzma", "libm", "libpthread"),
    *("libpython3", "librt", "libstdc++", "libutil", "libuuid", "libz"),
}
LIVE_AND_LIST = """
import sys
sys.path.append(sys.argv[1])
sys.argv[:2] = ["enclave_compute"]
from enclave_compute.__main__ import main
main()
sys.stdout.write("\\n".join(sorted(sys.modules)))
"""


@contextlib.contextmanager
def connected(path: Path, roots: TrustedRoots) -> Iterator[Parent]:
    """The parent's end of the enclave that listens at `path`."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(WAIT_S)
        connection.connect(str(path))
        yield Parent(roots, world.asking(connection))


@dataclass(frozen=True)
class Booted:
    """An enclave in a simulated machine, and its parent's end."""

    machine: Machine
    status: dict[str, Any]
    parent: Parent


@contextlib.contextmanager
def booted(folder: Path, source: Path = REPOSITORY) -> Iterator[Booted]:
    """An enclave from `source`."""
    options = MachineOptions(
        state=folder, socket=folder / "enclave.sock", source=source, module_id=ModuleId.random()
    )
    machine = Machine(options)
    status = machine.boot()
    try:
        roots = TrustedRoots.from_pem((folder / "root.pem").read_bytes(), name="simulated")
        with connected(options.socket, roots) as parent:
            yield Booted(machine, status, parent)
    finally:
        machine.stop()
        machine.wait()


def agreement_on(release: Measurements, roots: TrustedRoots) -> Agreement:
    """The agreement of the world, in which this code may run."""
    (root,) = roots
    return replace(
        world.agreement(root.sha256), releases=(Release("1.0", **vars(release), root_sha256=root.sha256),)
    )


def live(parent: Parent, agreed: Agreement) -> list[dict[str, Any]]:
    """Everything an enclave does between its start and its end; the result."""
    parent.bind(agreed)
    keys = parent.keys()
    for name, table in (("visits", VISITS), ("purchases", PURCHASES)):
        parent.upload(world.seal(agreed, keys, name, [table]))
    run_id = os.urandom(16)
    parent.call(Op.RUN, world.run_request(agreed, keys, run_id=run_id))
    rows: list[dict[str, Any]] = parent.result(run_id).to_pylist()
    parent.call(Op.RECEIPT, run=run_id)
    return rows


def mapped_files(pid: int) -> set[Path]:
    """The files that the kernel has mapped into a process."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {Path(line.split(maxsplit=5)[5]) for line in lines if "/" in line}


def test_a_whole_life_in_a_confined_process(tmp_path: Path) -> None:
    with booted(tmp_path) as enclave:
        assert enclave.status["isolation"]["seccomp"] is True
        agreed = agreement_on(measure(REPOSITORY), enclave.parent.roots)
        assert live(enclave.parent, agreed) == EXPECTED
        assert enclave.parent.verify(agreed).release_name == "1.0"
        require_nothing_else_mapped(enclave.status["enclave_pid"], image=tmp_path / "images")
        assert enclave.parent.call(Op.CLOSE).header["phase"] == "closed"
        assert enclave.machine.wait() == 0


def test_a_confined_process_fetches_a_key_from_kms(tmp_path: Path) -> None:
    """Without a socket of its own, which the filter forbids: the parent carries what it says."""
    with kms_world.running(tmp_path) as kms, booted(tmp_path / "simulator") as enclave:
        envelope = Envelope.bound(enclave.parent, kms, pcr0=measure(REPOSITORY).pcr0)
        upload = envelope.seal()
        envelope.begin(upload)
        envelope.run_errand()
        envelope.chunks(upload)
        envelope.finish(upload)
        assert envelope.result() == EXPECTED
        require_nothing_else_mapped(enclave.status["enclave_pid"], image=tmp_path / "simulator/images")


def require_nothing_else_mapped(pid: int, *, image: Path) -> None:
    """All native code of the process is the image's, the interpreter's or of the C library and its kin."""
    mapped = {path for path in mapped_files(pid) if ".so" in path.name}
    of_the_image = {path for path in mapped if path.is_relative_to(image)}
    assert {"_cbor2", "_duckdb", "_ipc_lib", "_rust"} <= {
        path.name.partition(".")[0] for path in of_the_image
    }
    assert not {part for path in mapped for part in path.parts} & FORBIDDEN
    library = interpreter.standard_library()
    rest = {path for path in mapped - of_the_image if not path.is_relative_to(library)}
    assert {re.split(r"[-.]", path.name)[0] for path in rest} <= SYSTEM_LIBRARIES


def test_enclave_process_has_no_forbidden_modules(tmp_path: Path) -> None:
    path = tmp_path / "enclave.sock"
    with (
        staged(REPOSITORY, tmp_path / "images") as image,
        world.simulated_module(tmp_path) as (nsm, roots),
        socket.socket(socket.AF_UNIX) as listener,
    ):
        listener.bind(str(path))
        listener.listen()
        words = ["--listen", f"fd:{listener.fileno()}", "--nsm", f"fd:{nsm.fileno()}"]
        process = subprocess.Popen(
            [interpreter.executable(), *interpreter.FLAGS, "-c", LIVE_AND_LIST, image.folder / "app", *words],
            env={},
            cwd="/",
            stdout=subprocess.PIPE,
            pass_fds=(listener.fileno(), nsm.fileno()),
        )
        with process, connected(path, roots) as parent:
            (root,) = roots
            assert live(parent, world.agreement(root.sha256)) == EXPECTED
            parent.call(Op.CLOSE)
            assert process.stdout is not None
            loaded = set(process.stdout.read().decode().split())
        assert process.returncode == 0
    assert {"enclave_compute.runs", "duckdb", "sqlglot", "nanoarrow.ipc"} <= loaded
    assert sorted(loaded & FORBIDDEN) == []
    top = {name.partition(".")[0] for name in loaded}
    assert top - sys.stdlib_module_names - OURS - DISTRIBUTED == {"__main__"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of what an image is made from."""
    folder = tmp_path / "source"
    for name in ("enclave_compute", "protos"):
        shutil.copytree(REPOSITORY / name, folder / name)
    return folder


def test_one_changed_byte_of_enclave_code_is_refused(tmp_path: Path, source: Path) -> None:
    agreed_code = measure(REPOSITORY)
    assert measure(source) == agreed_code, "a copy of the same code is the same code"
    with (source / "enclave_compute" / "clock.py").open("a") as file:
        file.write("#")
    with booted(tmp_path, source) as enclave:
        agreed = agreement_on(agreed_code, enclave.parent.roots)
        enclave.parent.bind(agreed)  # it serves as well as ever
        with pytest.raises(MeasurementMismatchError):
            enclave.parent.verify(agreed)
