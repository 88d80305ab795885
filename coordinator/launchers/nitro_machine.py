"""`python -m coordinator.launchers.nitro_machine`: starts one enclave with `nitro-cli`.

A program of its own, so that a start goes on when the coordinator ends. Starts happen one after the other:
each nitro-cli listens at the same port for its enclave's heartbeat. In debug mode, which is unsafe, it
stays and keeps a bounded part of the enclave's console, which may be anything.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import selectors
import sys
import time
from pathlib import Path
from typing import Final

from coordinator.errors import NitroCliError
from coordinator.launchers.bounded_console import BoundedConsole
from coordinator.launchers.children import end, start_tied
from coordinator.launchers.nitro_address import NitroAddress
from coordinator.launchers.nitro_cli import RUN_DEADLINE_S, EnclaveSpec, NitroCli

_FAILED: Final = 1
_POLL_S: Final = 0.2
_READ_BYTES: Final = 64 * 1024
_FLUSH_S: Final = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; 0 once the enclave runs, in debug mode once its console has ended."""
    found = _parse(arguments)
    address = NitroAddress.parse(found.address)
    nitro_cli = NitroCli(found.nitro_cli)
    spec = EnclaveSpec(
        name=address.name,
        cid=address.cid,
        image=found.image,
        memory_mib=found.memory_mib,
        vcpus=found.vcpus,
        unsafe_debug_mode=found.unsafe_debug_mode,
    )
    try:
        with found.turn.open("ab") as turn:
            _take_turn(turn.fileno())
            started = nitro_cli.run(spec)
    except NitroCliError as error:
        sys.stderr.write(f"error: {error.message}\nhint: {error.hint}\n")
        return _FAILED
    sys.stderr.write(f"enclave {started.enclave_id} runs at CID {started.cid}\n")
    if spec.unsafe_debug_mode:
        sys.stderr.write("UNSAFE: debug mode, its console follows\n")
        sys.stderr.flush()
        _follow(nitro_cli.console_command(address.name), found.console)
    return 0


def _take_turn(turn: int) -> None:
    """Wait until no other start goes on here. Raises `NitroCliError`."""
    until = time.monotonic() + RUN_DEADLINE_S
    while True:
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise NitroCliError(
                    "another enclave is being started and does not get ready",
                    hint="see its job; nitro-cli starts one enclave at a time",
                ) from None
            time.sleep(_POLL_S)
        else:
            return


def _follow(command: list[str], path: Path) -> None:
    child = start_tied(command, folder=Path("/"))
    assert child.stdout is not None  # noqa: S101 - for mypy: a pipe was asked for
    with BoundedConsole(path) as console, selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        flush_at = 0.0
        while True:
            if selector.select(_FLUSH_S):
                data = os.read(child.stdout.fileno(), _READ_BYTES)
                if not data:
                    break
                console.write(data)
            if time.monotonic() > flush_at:
                console.flush()
                flush_at = time.monotonic() + _FLUSH_S
    end(child)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m coordinator.launchers.nitro_machine")
    parser.add_argument("--address", required=True)
    parser.add_argument("--nitro-cli", required=True)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--memory-mib", type=int, required=True)
    parser.add_argument("--vcpus", type=int, required=True)
    parser.add_argument("--turn", type=Path, required=True, help="a file that is locked during a start")
    parser.add_argument("--console", type=Path, required=True)
    parser.add_argument("--unsafe-debug-mode", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
