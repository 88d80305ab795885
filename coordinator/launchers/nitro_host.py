"""Whether this EC2 instance can hold the enclaves that it is asked for, said before one is started.

Reads what the kernel and AWS's allocator say of reserved memory and CPUs. The rules are those of nitro-cli
1.5.0 and of the driver: memory in hugepages, a multiple of 2 MiB, at least 64 MiB and four times the image;
whole cores; at most four enclaves on an instance. What was reserved is the kernel's word; `allocator.yaml`
only says what to do about it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.errors import AllocatorFileError, CannotServeError, LaunchError
from coordinator.launchers import allocator
from coordinator.launchers.allocator import Reservation, parse_cpu_list_untrusted
from coordinator.launchers.nitro_answers import EnclaveDescription
from protos.formats.limits import KIB

ENCLAVES_MAX: Final = 4
MEMORY_STEP_MIB: Final = 2
MEMORY_LEAST_MIB: Final = 64
MEMORY_PER_IMAGE: Final = 4
_MIB: Final = KIB * KIB
_DEVICE: Final = "dev/nitro_enclaves"
_CPU_POOL: Final = "sys/module/nitro_enclaves/parameters/ne_cpus"
_SIBLINGS: Final = "sys/devices/system/cpu/cpu0/topology/thread_siblings_list"
_HUGEPAGES: Final = "sys/kernel/mm/hugepages"
_FILE_MAX_BYTES: Final = 64 * KIB
_RESTART: Final = f"systemctl restart {allocator.SERVICE} (no enclave may run meanwhile)"


@dataclass(frozen=True)
class EnclaveSize:
    """What each enclave is to have."""

    memory_mib: int
    vcpus: int
    image_bytes: int

    def least_memory_mib(self) -> int:
        """What the image alone asks for."""
        return max(MEMORY_LEAST_MIB, -(-MEMORY_PER_IMAGE * self.image_bytes // _MIB))


@dataclass(frozen=True)
class NitroHost:
    """The instance; `root` is where its file system is, for tests."""

    root: Path = Path("/")

    def require_ready(self, size: EnclaveSize, program: str) -> None:
        """Raises `CannotServeError` unless one enclave of this size can be started on an idle instance."""
        if shutil.which(program) is None:
            raise CannotServeError(
                f"{program}: no such program, expected AWS's nitro-cli",
                hint="dnf install aws-nitro-enclaves-cli, or give its path: --nitro-cli FILE",
            )
        self._require_device()
        self._require_memory_rules(size)
        self._require_whole_cores(size.vcpus)
        pool, memory_mib = len(self._cpu_pool()), self._hugepages_mib("nr_hugepages")
        if pool < size.vcpus:
            raise CannotServeError(
                f"got {pool} CPUs that are reserved for enclaves, expected at least {size.vcpus}",
                hint=self._advice(size),
            )
        if memory_mib < size.memory_mib:
            raise CannotServeError(
                f"got {memory_mib} MiB in hugepages, expected at least {size.memory_mib} for one enclave",
                hint=self._advice(size),
            )

    def require_room(self, size: EnclaveSize, running: list[EnclaveDescription]) -> None:
        """Raises `LaunchError` unless there is room for another one beside those that are `running`."""
        if len(running) >= ENCLAVES_MAX:
            raise LaunchError(
                f"got {len(running)} enclaves on this instance, expected at most {ENCLAVES_MAX - 1} besides",
                hint="close a job first, or use another instance",
            )
        free = len(self._cpu_pool()) - sum(enclave.vcpus for enclave in running)
        if free < size.vcpus:
            raise LaunchError(
                f"got {max(free, 0)} reserved CPUs that no enclave has, expected {size.vcpus}",
                hint="close a job first, or reserve more CPUs: `concordat coordinator plan`",
            )
        free_mib = self._hugepages_mib("free_hugepages")
        if free_mib < size.memory_mib:
            raise LaunchError(
                f"got {free_mib} MiB of free hugepages, expected {size.memory_mib}",
                hint="close a job first, or reserve more memory: `concordat coordinator plan`",
            )

    # --- What there is ----------------------------------------------------------------------------------

    def _require_device(self) -> None:
        device = self.root / _DEVICE
        if not device.exists():
            raise CannotServeError(
                "/dev/nitro_enclaves is not there",
                hint="launch the instance with --enclave-options Enabled=true, and load nitro_enclaves",
            )
        if not os.access(device, os.R_OK | os.W_OK):
            raise CannotServeError(
                "/dev/nitro_enclaves may not be used by this user",
                hint="usermod -aG ne USER, then log in again or restart the service",
            )

    def _require_memory_rules(self, size: EnclaveSize) -> None:
        least_mib = size.least_memory_mib()
        if size.memory_mib < least_mib or size.memory_mib % MEMORY_STEP_MIB:
            raise CannotServeError(
                f"--enclave-memory-mib: got {size.memory_mib}, expected a multiple of {MEMORY_STEP_MIB} "
                f"of at least {least_mib} ({MEMORY_PER_IMAGE} times the image)",
                hint="`concordat coordinator plan --image FILE` says what agreements of a size need",
            )

    def _require_whole_cores(self, vcpus: int) -> None:
        try:
            threads = len(parse_cpu_list_untrusted(self._read(_SIBLINGS)))
        except (OSError, AllocatorFileError):
            return  # the kernel does not say; the driver does when the enclave is started
        if vcpus % threads:
            raise CannotServeError(
                f"--enclave-vcpus: got {vcpus}, expected a multiple of {threads}, the threads of a core",
                hint="an enclave has whole cores only",
            )

    def _cpu_pool(self) -> list[int]:
        """The CPUs that are set aside, those of running enclaves included."""
        try:
            text = self._read(_CPU_POOL)
        except OSError as error:
            raise CannotServeError(
                f"/{_CPU_POOL}: {error.strerror}", hint="load the driver: modprobe nitro_enclaves"
            ) from error
        return parse_cpu_list_untrusted(text) if text.strip() else []

    def _hugepages_mib(self, name: str) -> int:
        """All sizes of hugepages together; `name` says which count."""
        found_kib = 0
        for folder in (self.root / _HUGEPAGES).glob("hugepages-*kB"):
            page_kib = folder.name.removeprefix("hugepages-").removesuffix("kB")
            count = self._read(str((folder / name).relative_to(self.root))).strip()
            if page_kib.isdecimal() and count.isdecimal():
                found_kib += int(page_kib) * int(count)
        return found_kib // KIB

    def _advice(self, size: EnclaveSize) -> str:
        """What to do so that enough is reserved."""
        enough = Reservation(size.memory_mib, size.vcpus)
        wanted = f"set memory_mib: {enough.memory_mib} and cpu_count: {enough.cpu_count} (or more)"
        try:
            text = self._read(allocator.PATH).encode()
        except OSError:
            return f"{wanted} in /{allocator.PATH}, then {_RESTART}"
        try:
            found = allocator.parse_allocator_untrusted(text)
        except AllocatorFileError as error:
            return f"{error.message}; {wanted}, then {_RESTART}"
        if found.memory_mib >= enough.memory_mib and found.cpu_count >= enough.cpu_count:
            return f"/{allocator.PATH} reserves enough but is not in force: {_RESTART}"
        return f"{wanted} in /{allocator.PATH}, then {_RESTART}"

    def _read(self, name: str) -> str:
        with (self.root / name).open("rb") as file:
            return file.read(_FILE_MAX_BYTES).decode("ascii", errors="replace")
