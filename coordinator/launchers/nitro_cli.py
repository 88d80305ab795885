"""Calls of AWS's `nitro-cli`, each with a deadline and a bound on what is read of its output.

Which command does what, and with which options, is nitro-cli 1.5.0's (`src/lib.rs`). An enclave is named by
us, `concordat-` and 16 hexadecimal digits, and has a CID of ours, so where it will be is known before it is
started.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.errors import NitroCliError
from coordinator.launchers.nitro_answers import (
    ANSWER_MAX_BYTES,
    NO_SUCH_NAME,
    EnclaveDescription,
    failure,
    parse_describe_untrusted,
    parse_run_untrusted,
    parse_terminate_untrusted,
)

DESCRIBE_DEADLINE_S: Final = 15.0
TERMINATE_DEADLINE_S: Final = 30.0
RUN_DEADLINE_S: Final = 280.0
"""nitro-cli itself waits 90 s and more for the heartbeat, by the sizes of image and memory."""
_READ_BYTES: Final = 64 * 1024
_AFTER_END_S: Final = 1.0


@dataclass(frozen=True)
class EnclaveSpec:
    """What an enclave is started with."""

    name: str
    cid: int
    image: Path
    memory_mib: int
    vcpus: int
    unsafe_debug_mode: bool = False
    """The console can be read, PCR0, 1 and 2 are zeros, and parties refuse it."""


@dataclass(frozen=True)
class NitroCli:
    """One program `nitro-cli`."""

    program: str

    def run(self, spec: EnclaveSpec) -> EnclaveDescription:
        """Start an enclave and wait until it has booted. Raises `NitroCliError`."""
        arguments = [
            *("run-enclave", "--eif-path", str(spec.image), "--memory", str(spec.memory_mib)),
            *("--cpu-count", str(spec.vcpus), "--enclave-cid", str(spec.cid), "--enclave-name", spec.name),
            *(["--debug-mode"] if spec.unsafe_debug_mode else []),
        ]
        started = parse_run_untrusted(self._call(arguments, deadline_s=RUN_DEADLINE_S))
        if (started.name, started.cid) != (spec.name, spec.cid):
            raise NitroCliError(
                f"nitro-cli run-enclave: got enclave {started.name} at CID {started.cid}, "
                f"expected {spec.name} at {spec.cid}",
                hint="end it: nitro-cli terminate-enclave --enclave-id, and start the job again",
            )
        return started

    def describe(self) -> list[EnclaveDescription]:
        """All enclaves of this instance that the user may see. Raises `NitroCliError`."""
        return parse_describe_untrusted(self._call(["describe-enclaves"], deadline_s=DESCRIBE_DEADLINE_S))

    def terminate(self, name: str) -> bool:
        """End an enclave; False if there is none of that name. Raises `NitroCliError`."""
        arguments = ["terminate-enclave", "--enclave-name", name]
        try:
            answer = self._call(arguments, deadline_s=TERMINATE_DEADLINE_S)
        except NitroCliError as error:
            if error.error_code == NO_SUCH_NAME:
                return False
            raise
        return parse_terminate_untrusted(answer)

    def console_command(self, name: str) -> list[str]:
        """The command that prints an enclave's console until it ends; of enclaves in debug mode only."""
        return [self.program, "console", "--enclave-name", name]

    def _call(self, arguments: list[str], *, deadline_s: float) -> bytes:
        status, printed, said = call_bounded([self.program, *arguments], deadline_s=deadline_s)
        if status != 0:
            raise failure(arguments[0], status, said)
        return printed


def call_bounded(command: list[str], *, deadline_s: float) -> tuple[int, bytes, bytes]:
    """Exit status, standard output and standard error. Raises `NitroCliError`; the program has ended then.

    Output that somebody else still holds open is not waited for once the program has ended.
    """
    name = command[1]
    until = time.monotonic() + deadline_s
    try:
        child = subprocess.Popen(  # noqa: S603 - no shell; every argument is ours
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
    except OSError as error:
        raise NitroCliError(
            f"nitro-cli {name}: {error.strerror}", hint="install it, or give its path: --nitro-cli FILE"
        ) from error
    with child, selectors.DefaultSelector() as selector:
        read: list[bytearray] = []
        for pipe in (child.stdout, child.stderr):
            assert pipe is not None  # noqa: S101 - for mypy: pipes were asked for
            os.set_blocking(pipe.fileno(), False)
            read.append(bytearray())
            selector.register(pipe, selectors.EVENT_READ, read[-1])
        try:
            _read_until_end(child, selector, until=until, what=f"nitro-cli {name}")
        finally:
            child.kill()
        return child.wait(), bytes(read[0]), bytes(read[1])


def _read_until_end(
    child: subprocess.Popen[bytes], selector: selectors.BaseSelector, *, until: float, what: str
) -> None:
    ended_at: float | None = None
    while selector.get_map():
        now = time.monotonic()
        if child.poll() is not None:
            ended_at = ended_at or now
            if now - ended_at > _AFTER_END_S:
                return
        elif now > until:
            raise NitroCliError(
                f"{what}: does not end, it was ended", hint="see /var/log/nitro_enclaves and the kernel's log"
            )
        for key, _ in selector.select(0.1):
            data = os.read(key.fd, _READ_BYTES)
            if not data:
                selector.unregister(key.fileobj)
            key.data.extend(data)
            if len(key.data) > ANSWER_MAX_BYTES:
                raise NitroCliError(
                    f"{what}: printed more than {ANSWER_MAX_BYTES} bytes, it was ended",
                    hint="check that the program is AWS's: nitro-cli --version",
                )
    _wait(child, until, what)


def _wait(child: subprocess.Popen[bytes], until: float, what: str) -> None:
    """It closed its output: then it ends, too."""
    try:
        child.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise NitroCliError(
            f"{what}: does not end, it was ended", hint="see /var/log/nitro_enclaves and the kernel's log"
        ) from None
