"""The first code of the SIMULATED enclave's process: confines it for good, then becomes the enclave.

Started by the machine with the image's folder and one JSON argument. Reports over a pipe what holds it (or
why it cannot be held, and then nothing of the enclave runs), closes the pipe, and runs `enclave_compute` as
`python -m` would, with the standard library and the image's `app` folder to import from and nothing else.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import sysconfig
from pathlib import Path
from typing import Any

from . import landlock, process, seccomp
from .kernel import ConfinementError

_SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
_RESOURCES = ("/dev/urandom", "/sys/devices/system/cpu/online", "/proc/self/cgroup", "/sys/fs/cgroup")
"""How much computer there is. DuckDB aborts when its control group's limits exist and cannot be read."""


def main() -> None:
    """Arguments: the image's folder; the JSON of `machine_pid`, `report_fd`, `memory_bytes` and `argv`."""
    image, orders = Path(sys.argv[1]), json.loads(sys.argv[2])
    with os.fdopen(orders["report_fd"], "w") as report:
        try:
            isolation = confine(image, orders["machine_pid"], orders["memory_bytes"])
        except (ConfinementError, OSError) as error:
            hint = getattr(error, "hint", "see what the machine needs in scenarios/machine/boot")
            json.dump({"error": str(error), "hint": hint}, report)
            return
        json.dump({"isolation": isolation}, report)
    sys.path[:] = [*(entry for entry in sys.path if entry != str(image)), str(image / "app")]
    os.environ.clear()  # Python has put the character set of its choice there
    sys.argv = ["enclave_compute", *orders["argv"]]
    runpy.run_module("enclave_compute", run_name="__main__", alter_sys=True)


def confine(image: Path, machine_pid: int, memory_bytes: int | None) -> dict[str, Any]:
    """Takes away everything the enclave does not need, for good; gives the report."""
    seccomp.require_architecture()
    own_network = process.enter_namespaces()
    os.chdir(image)
    process.limit_resources(memory_bytes)
    process.drop_privileges()
    process.die_with(machine_pid)
    landlock_abi = landlock.restrict_to_reading([image, *_readable_outside()])
    seccomp.install()
    return {
        "seccomp": True,
        "landlock_abi": landlock_abi,
        "network_namespace": own_network,
        "memory_limit_bytes": memory_bytes,
    }


def _readable_outside() -> list[Path]:
    """The standard library, the libraries it is linked to (some builds bring their own), the system's."""
    own = (sysconfig.get_path("stdlib"), sysconfig.get_config_var("LIBDIR"))
    return [Path(path) for path in (*own, *_SYSTEM_LIBRARIES, *_RESOURCES) if path]
