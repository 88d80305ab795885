"""An enclave that tries to get out: boots as `enclave_compute` and does what it is asked by name.

Each line it reads names one attempt (and its argument, after a blank); the answer is one line of JSON, with
the value or the name of the error number that the kernel gave.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from enclave_compute.nsm import Nsm, open_device

LIBC = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"


def call(x86_64: int, aarch64: int, *arguments: int) -> int:
    """A system call by number, past every wrapper."""
    words = (ctypes.c_long(word) for word in (x86_64 if X86 else aarch64, *arguments))
    result: int = LIBC.syscall(*words)
    if result == -1:
        raise OSError(ctypes.get_errno(), "")
    return result


def connect_tcp(port: str) -> None:
    """To a listener that is really there."""
    socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()


def open_for_writing(path: str) -> None:
    """In the ordinary way."""
    Path(path).write_text("out")


def thread() -> str:
    """A thread of its own, which a process would not be."""
    said: list[str] = []
    worker = threading.Thread(target=said.append, args=("done",))
    worker.start()
    worker.join()
    return said[0]


def pair() -> str:
    """Two sockets that know each other alone, as an event loop makes to wake itself."""
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"wake")
        return other.recv(4).decode()


def raise_limit() -> None:
    """From no file at all to one of a byte; past Python, which has an error of its own for it."""
    limits = (ctypes.c_ulong * 2)(1, 1)
    call(302, 261, 0, resource.RLIMIT_FSIZE, ctypes.addressof(limits), 0)


def descriptors() -> list[int]:
    """All that are open, whatever they are."""
    found = []
    for number in range(256):
        try:
            os.fstat(number)
        except OSError:
            continue
        found.append(number)
    return found


def compute() -> Any:
    """What the enclave is for: the engine with two threads, a result through Arrow, and no way to a file."""
    import duckdb
    import nanoarrow

    connection = duckdb.connect(":memory:", config={"threads": 2})
    connection.execute("create table t as select range % 7 as k, range as v from range(1000000)")
    result = connection.sql("select k, sum(v)::bigint as total from t group by k order by k limit 2")
    return nanoarrow.ArrayStream(result).read_all().to_pylist()


def noise() -> list[int]:
    """Noise as the enclave draws it, so wide that no value comes twice."""
    from enclave_compute.samplers import Sampler

    return Sampler().gaussian(Fraction(10**30), 4)


def imports() -> list[str]:
    """What is loaded once everything that the enclave uses is."""
    import cbor2
    import cryptography.hazmat.primitives.asymmetric.ed25519
    import duckdb
    import nanoarrow
    import sqlglot.optimizer.qualify

    used = (cbor2, cryptography, duckdb, nanoarrow, sqlglot)
    return sorted({*sys.modules} | {module.__name__ for module in used})


def from_byte_code() -> list[str]:
    """Modules whose code was not compiled from their source in this process."""
    specifications = (getattr(module, "__spec__", None) for module in [*sys.modules.values()])
    cached = (getattr(specification, "cached", None) for specification in specifications)
    return [path for path in cached if path and Path(path).exists()]


ATTEMPTS: dict[str, Callable[..., Any]] = {
    "tcp": connect_tcp,
    "vsock": lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM),
    "udp": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "socketpair": pair,
    "io_uring": lambda: call(425, 425, 8, 0),
    "read": lambda path: len(Path(path).read_bytes()),
    "list": lambda path: len([*Path(path).iterdir()]),
    "write": open_for_writing,
    "append": lambda path: os.open(path, os.O_WRONLY | os.O_APPEND),
    "truncate": lambda path: os.truncate(path, 0),
    "mkdir": os.mkdir,
    "unlink": os.unlink,
    "chmod": lambda path: Path(path).chmod(0o600),
    "utime": os.utime,
    "link": lambda path: os.link(path, path + ".link"),
    "memory_file": lambda: os.memfd_create("x"),
    "shared_memory": lambda: call(29, 194, 0, 4096, 0o1600),
    "exec": lambda path: os.execv(path, [path]),  # noqa: S606  # never succeeds
    "spawn": lambda path: os.posix_spawn(path, [path], {}),
    "fork": os.fork,
    "kill": lambda pid: os.kill(int(pid), 0),
    "ptrace": lambda pid: call(101, 117, 16, int(pid)),
    "process_memory": lambda pid: call(310, 270, int(pid), 0, 0, 0, 0, 0),
    "unshare": lambda: call(272, 97, 0x10000000),
    "mount": lambda: call(165, 40, 0, 0, 0, 0, 0),
    "bpf": lambda: call(321, 280, 0, 0, 0),
    "setuid": lambda: os.setuid(0),
    "raise_limit": raise_limit,
    "outlive": lambda: call(157, 167, 1, 0),
    "loosen_seccomp": lambda: call(317, 277, 0, 0, 0),
    "thread": thread,
    "compute": compute,
    "noise": noise,
    "imports": imports,
    "byte_code": from_byte_code,
    "environment": lambda: dict(os.environ),
    "path": lambda: sys.path,
    "folder": os.getcwd,
    "descriptors": descriptors,
    "limits": lambda: [resource.getrlimit(kind) for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE)],
    "allocate": lambda mib: mmap.mmap(-1, int(mib) << 20).close(),
    "end": lambda code: os._exit(int(code)),
}


def answer(line: str, nsm: Nsm) -> dict[str, Any]:
    """What came of the attempt that `line` names."""
    name, *arguments = line.split()
    try:
        if name == "attest":
            return {"value": nsm.attest(nonce=bytes.fromhex(arguments[0])).hex()}
        return {"value": ATTEMPTS[name](*arguments)}
    except OSError as error:
        return {"error": errno.errorcode.get(error.errno or 0, str(error))}
    except MemoryError:
        return {"error": "MemoryError"}


def main() -> None:
    """Serves one connection after the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--nsm", required=True)
    options = parser.parse_args()
    nsm = Nsm(open_device(options.nsm))
    with socket.socket(fileno=int(options.listen.removeprefix("fd:"))) as listener:
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rw") as stream:
                for line in stream:
                    stream.write(json.dumps(answer(line, nsm)) + "\n")
                    stream.flush()


if __name__ == "__main__":
    main()
