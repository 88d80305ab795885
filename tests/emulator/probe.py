"""Runs inside a booted enclave, in the enclave's own process, and tells what it sees from there.

Put into a test image by `overlay`; never part of a released one. Whoever connects to its port gets one JSON
object. It says what is there, and what happened when it tried what must not work.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import resource
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from enclave_compute.nsm import Nsm, messages, nsm_time_ms, open_device

PORT = 5001
FLOOD_PORT = 5002
FORBIDDEN_MODULES = (
    "subprocess",
    "http",
    "ssl",
    "pickle",
    "tarfile",
    "pip",
    "ensurepip",
    "ctypes.util",
    "asyncio",
)


def start() -> None:
    """Serve the report in a thread, and a flood of the console in another."""
    for port, serve in ((PORT, _serve_report), (FLOOD_PORT, _serve_flood)):
        listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        listener.bind((socket.VMADDR_CID_ANY, port))
        listener.listen()
        threading.Thread(target=serve, args=(listener,), daemon=True).start()


def _serve_report(listener: socket.socket) -> None:
    while True:
        connection, peer = listener.accept()
        with connection:
            try:
                found: Any = {**report(), "peer": list(peer)}
            except Exception as error:  # the test shows it
                found = {"error": repr(error)}
            connection.sendall(json.dumps(found).encode() + b"\n")


def _serve_flood(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            line = b"flood " * 20 + b"\n"
            wanted, written = int(connection.makefile("rb").readline()), 0
            while written < wanted:
                written += os.write(2, line * 64)
            connection.sendall(b"done\n")


def report() -> dict[str, Any]:
    """What there is, and how attempts ended: the name of the error, or "allowed"."""
    return {
        "processes": list(_processes()),
        "mounts": [line.split()[:4] for line in Path("/proc/mounts").read_text().splitlines()],
        "interfaces": {path.name: _text(path / "flags") for path in Path("/sys/class/net").iterdir()},
        "sockets": list(_sockets()),
        "programs": sorted(_files(lambda mode: stat.S_ISREG(mode) and bool(mode & 0o111))),
        "set_id": sorted(_files(lambda mode: bool(mode & (stat.S_ISUID | stat.S_ISGID)))),
        "writable": sorted(_writable()),
        "devices": {path.name: oct(path.lstat().st_mode) for path in Path("/dev").iterdir()},
        "status": dict(_status()),
        "limits": {"core": _limit(resource.RLIMIT_CORE), "fsize": _limit(resource.RLIMIT_FSIZE)},
        "environment": dict(os.environ),
        "modules_found": [name for name in FORBIDDEN_MODULES if _can_find(name)],
        "attempts": {name: _outcome(attempt) for name, attempt in _ATTEMPTS.items()},
        "security_module": security_module(),
        "clock": _text(Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")),
        "random": _text(Path("/sys/class/misc/hw_random/rng_current")),
        "kernel": os.uname().release,
        "memory_kib": int(Path("/proc/meminfo").read_text().split()[1]),
        "own_peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


@functools.cache  # a register that it has locked stays locked: it can be looked at once
def security_module() -> dict[str, Any]:
    """Every request there is, through the device, and how it ends at and beyond its limits."""
    device = open_device("/dev/nsm")
    nsm = Nsm(device)
    described = nsm.describe()
    before = nsm.describe_pcr(20)
    extended = nsm.extend_pcr(20, b"probe")
    nsm.lock_pcr(20)
    document = nsm.attest(user_data=bytes(512), nonce=bytes(512), public_key=bytes(1024))
    found = {
        "max_pcrs": described.max_pcrs,
        "digest": described.digest,
        "locked": sorted(described.locked_pcrs),
        "locked_now": sorted(nsm.describe().locked_pcrs),
        "zero_before": before.data == bytes(48) and not before.locked,
        "extended": extended.hex(),
        "kept": nsm.describe_pcr(20).data == extended,
        "random_differs": nsm.random(1000) != nsm.random(1000),
        "range_locked": _outcome(
            lambda: messages.require_done_untrusted(device.exchange(messages.lock_pcrs(23)), "LockPCRs")
        ),
        "locked_at_last": sorted(nsm.describe().locked_pcrs),
        "document_bytes": len(document),
        "document_s": abs(nsm_time_ms(document) / 1000 - time.time()),
        "outcomes": {
            "extend a register that is locked": _outcome(lambda: nsm.extend_pcr(20, b"again")),
            "extend a register of the image": _outcome(lambda: nsm.extend_pcr(0, b"again")),
            "a register that there is not": _outcome(lambda: nsm.describe_pcr(32)),
            "the same, past our own check": _outcome(
                lambda: messages.parse_pcr_untrusted(device.exchange(messages.describe_pcr(32)))
            ),
            "user data of 513 bytes": _outcome(lambda: nsm.attest(user_data=bytes(513))),
            "a key of 1025 bytes": _outcome(lambda: nsm.attest(public_key=bytes(1025))),
            "a request of 4097 bytes": _outcome(lambda: device.exchange(bytes(4097))),
            "a request of nothing": _outcome(lambda: device.exchange(b"")),
            "a request that there is not": _outcome(
                lambda: messages.require_done_untrusted(device.exchange(b"\x65Nonce"), "Nonce")
            ),
            "what is no request": _outcome(
                lambda: messages.require_done_untrusted(device.exchange(b"\xff"), "Nonce")
            ),
        },
    }
    device.close()
    return found


def _processes() -> Iterator[dict[str, Any]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")[:-1]
            if words:  # threads of the kernel have none
                yield {
                    "pid": int(folder.name),
                    "user": folder.stat().st_uid,
                    "words": [word.decode() for word in words],
                    "threads": len(list((folder / "task").iterdir())),
                }


def _sockets() -> Iterator[dict[str, Any]]:
    for name in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(name.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(name.name))) as found:
                    listens = bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
                    yield {"family": found.family.name, "listens": listens, "name": list(found.getsockname())}


def _walk() -> Iterator[Path]:
    for folder, subfolders, names in os.walk("/"):
        subfolders[:] = [name for name in subfolders if Path(folder, name) != Path("/proc")]
        yield from (Path(folder, name) for name in (*subfolders, *names))


def _files(wanted: Callable[[int], bool]) -> Iterator[str]:
    return (str(path) for path in _walk() if wanted(path.lstat().st_mode))


def _writable() -> Iterator[str]:
    """Folders in which something can be made, and files that can be opened for writing."""
    for path in (Path("/"), *_walk()):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            with contextlib.suppress(OSError):
                (path / "probe").touch()
                yield str(path)
        elif stat.S_ISREG(mode):
            with contextlib.suppress(OSError):
                os.close(os.open(path, os.O_WRONLY))
                yield str(path)


def _status() -> Iterator[tuple[str, str]]:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.startswith("Cap") or name in {"Uid", "Gid", "Groups", "NoNewPrivs"}:
            yield name, value.strip()


def _text(path: Path) -> str:
    return path.read_text().strip()


def _limit(kind: int) -> list[int]:
    return list(resource.getrlimit(kind))


def _can_find(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except Exception as error:
        return type(error).__name__
    return "allowed"


def _bind_low() -> None:
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as low:
        low.bind((socket.VMADDR_CID_ANY, 80))


_ATTEMPTS: dict[str, Callable[[], object]] = {
    "become root": lambda: os.setuid(0),
    "change the host name": lambda: socket.sethostname("probe"),
    "read the kernel's log": lambda: os.close(os.open("/dev/kmsg", os.O_RDONLY)),
    "signal process 1": lambda: os.kill(1, 9),
    "internet socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close(),
    "raw packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "low vsock port": _bind_low,
    "change the clock": lambda: __import__("time").clock_settime(0, 1.0),
    "read process 1's memory": Path("/proc/1/mem").read_bytes,
}
