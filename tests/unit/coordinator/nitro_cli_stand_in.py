"""A program that answers as nitro-cli 1.5.0's sources say, for tests: no test runs on AWS.

Like the real one, run-enclave leaves a process behind that keeps the enclave and is a copy of it, command
line included; describe-enclaves lists them, terminate-enclave ends one. The enclave is the fake one, on a
Unix socket named after its CID. What it does wrong is in the environment, TEST_NITRO.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import stat
import sys
import time
from pathlib import Path

from tests.unit.coordinator.fake_enclave import Behaviour, FakeEnclave, listen

ERRORS = {"E22": 22, "E27": 27, "E36": 36, "E41": 41, "E58": 58}


def stand_in(folder: Path) -> str:
    """Make the program, with its state beside it."""
    program = folder / "nitro-cli"
    (folder / "enclaves").mkdir(parents=True)
    root = Path(__file__).resolve().parents[3]
    program.write_text(
        f"#!/bin/sh\nPYTHONPATH='{root}' exec '{sys.executable}' -m {__name__} '{folder}/enclaves' \"$@\"\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def dial_in(folder: Path, cid: int, *, timeout_s: float) -> socket.socket:
    """In place of the vsock."""
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(timeout_s)
    try:
        peer.connect(str(folder / "enclaves" / f"{cid}.sock"))
    except BaseException:
        peer.close()
        raise
    return peer


def fail(code: str) -> None:
    """As `ok_or_exit_with_errno` does."""
    sys.stderr.write(f"[ {code} ] Something with /a/path in it.\n\nFor more details, please visit ...\n")
    sys.exit(ERRORS[code])


def described(state: Path, name: str, cid: int, options: argparse.Namespace) -> dict[str, object]:
    return {
        "EnclaveName": name,
        "EnclaveID": f"i-0123456789abcdef0-enc{cid:016x}",
        "ProcessID": os.getpid(),
        "EnclaveCID": cid,
        "NumberOfCPUs": options.cpu_count,
        "CPUIDs": list(range(1, options.cpu_count + 1)),
        "MemoryMiB": options.memory,
    }


def run_enclave(state: Path, options: argparse.Namespace) -> None:
    does = os.environ.get("TEST_NITRO", "")
    sys.stderr.write("Start allocating memory...\n")
    if does == "slow":
        time.sleep(1)
    if does == "hangs":
        time.sleep(60)
    if does == "huge":
        sys.stdout.write("[" * 10_000_000)
        return
    if does == "garbage":
        sys.stdout.write('{"EnclaveName": 7')
        return
    if does in ERRORS:
        fail(does)
    if does == "E39 after E27":
        sys.stderr.write("[ E27 ] Insufficient memory available.\n[ E39 ] Failed connection.\n")
        sys.exit(39)
    cid = options.enclave_cid + (does == "other cid")
    info = described(state, options.enclave_name, cid, options)
    listener = listen(state / f"{cid}.sock")
    sys.stdout.flush()
    if os.fork() == 0:
        keep(state, info, options, listener)
    sys.stdout.write(json.dumps(info, indent=2) + "\n")


def keep(state: Path, info: dict[str, object], options: argparse.Namespace, listener: socket.socket) -> None:
    """The process that keeps the enclave: daemonized, its output routed to nowhere."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
    flags = "DEBUG_MODE" if options.debug_mode else "NONE"
    listed = {**info, "ProcessID": os.getpid(), "State": "RUNNING", "Flags": flags}
    (state / f"{options.enclave_name}.json").write_text(json.dumps(listed))
    FakeEnclave(listener, Behaviour()).serve()
    os._exit(0)


def alive(state: Path) -> list[dict[str, object]]:
    found = []
    for path in sorted(state.glob("*.json")):
        enclave = json.loads(path.read_text())
        try:
            os.kill(enclave["ProcessID"], 0)
            command = Path(f"/proc/{enclave['ProcessID']}/cmdline").read_bytes()
        except (OSError, ProcessLookupError):
            command = b""
        if command:
            found.append(enclave)
    return found


def describe(state: Path) -> None:
    does = os.environ.get("TEST_NITRO_DESCRIBE", "")
    if does in ERRORS:
        fail(does)
    print(json.dumps(alive(state), indent=2))


def terminate(state: Path, options: argparse.Namespace) -> None:
    does = os.environ.get("TEST_NITRO_TERMINATE", "")
    if does in ERRORS:
        fail(does)
    for enclave in alive(state):
        if enclave["EnclaveName"] == options.enclave_name:
            os.kill(int(str(enclave["ProcessID"])), signal.SIGKILL)
            sys.stderr.write(f"Successfully terminated enclave {enclave['EnclaveID']}.\n")
            answer = {key: enclave[key] for key in ("EnclaveName", "EnclaveID")}
            print(json.dumps({**answer, "Terminated": True}))
            return
    fail("E58")


def console(state: Path, options: argparse.Namespace) -> None:
    sys.stdout.write("Successfully connected to the console.\n")
    for number in range(100_000):
        sys.stdout.write(f"console: line {number}\n")
    sys.stdout.flush()
    while any(enclave["EnclaveName"] == options.enclave_name for enclave in alive(state)):
        time.sleep(0.05)


def main() -> None:
    state = Path(sys.argv[1])
    parser = argparse.ArgumentParser(prog="nitro-cli", exit_on_error=False)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run-enclave")
    for name, kind in (("--eif-path", Path), ("--memory", int), ("--cpu-count", int), ("--enclave-cid", int)):
        run.add_argument(name, type=kind, required=True)
    run.add_argument("--enclave-name", required=True)
    run.add_argument("--debug-mode", action="store_true")
    commands.add_parser("describe-enclaves")
    for command in ("terminate-enclave", "console"):
        commands.add_parser(command).add_argument("--enclave-name", required=True)
    options = parser.parse_args(sys.argv[2:])
    if options.command == "run-enclave":
        run_enclave(state, options)
    elif options.command == "describe-enclaves":
        describe(state)
    elif options.command == "terminate-enclave":
        terminate(state, options)
    else:
        console(state, options)


if __name__ == "__main__":
    main()
