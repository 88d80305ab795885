"""The order in which the image comes to life, and its end with the enclave's.

Started by the kernel as process 1 (`/init` in the image). The enclave is its only child. When that ends, for
whatever reason, the machine does.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Final

from enclave_compute.boot.clock_source import HYPERVISOR_CLOCK, require_trusted_clock
from enclave_compute.boot.command_line import require_built_command_line
from enclave_compute.boot.entropy import require_module_as_source, seed_kernel
from enclave_compute.boot.heartbeat import send_heartbeat
from enclave_compute.boot.kernel import switch_off
from enclave_compute.boot.mounts import make_read_only, mount_windows, remove_devices
from enclave_compute.boot.privileges import give_up_privileges
from enclave_compute.nsm import Nsm, open_device
from enclave_compute.parent import PARENT_CIDS
from protos.formats.frames import ENCLAVE_PORT

NSM: Final = "/dev/nsm"
_PYTHON: Final = "/usr/bin/python3"
_START: Final = "import sys; sys.path.append('/app'); from enclave_compute.__main__ import main; main()"
COMMAND: Final = (
    _PYTHON,
    "-I",
    "-S",
    "-B",
    "-X",
    "utf8=1",
    "-c",
    _START,
    "--listen",
    f"vsock:{ENCLAVE_PORT}",
)
"""The enclave's command line: an interpreter without environment, user folders and site packages."""


def main() -> None:
    """Never returns: the machine is switched off."""
    try:
        prepare()
        status = _run_enclave()
        say(f"the enclave ended with status {status}")
    except BaseException:  # whatever it is: nothing may go on half prepared
        traceback.print_exc()
        say("error: the machine is switched off before the enclave has started")
    finally:
        switch_off()


def prepare() -> None:
    """Everything the enclave may rely on, in order. Raises if a part of it does not hold."""
    mount_windows()
    require_built_command_line()
    parent = send_heartbeat(sorted(PARENT_CIDS, reverse=True))
    say("nobody took the heartbeat" if parent is None else f"the parent is at context id {parent}")
    device = open_device(NSM)
    seed_kernel(Nsm(device))
    device.close()
    require_module_as_source()
    clock = require_trusted_clock()
    say(f"clock source {clock}" + ("" if clock == HYPERVISOR_CLOCK else ": not a clock of AWS Nitro"))
    remove_devices()
    make_read_only()


def say(message: str) -> None:
    """One line on the console, which a machine outside debug mode shows to nobody."""
    sys.stderr.write(f"init: {message}\n")
    sys.stderr.flush()


def _run_enclave() -> int:
    """Starts the enclave, buries whatever ends, and gives the enclave's exit status."""
    child = os.fork()
    if child == 0:
        _become_enclave()
    while True:
        ended, status = os.wait()
        if ended == child:
            return os.waitstatus_to_exitcode(status)


def _become_enclave() -> None:
    try:
        give_up_privileges()
        os.execve(_PYTHON, COMMAND, {})  # noqa: S606 - no shell is what there is
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(127)
