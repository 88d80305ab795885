"""Options of `concordat coordinator serve` that say where enclaves run, and the launcher that they amount to.

An option that does not belong to the chosen launcher is refused: it would have no effect, and somebody would
believe that it has one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from coordinator.launchers import Launcher
from coordinator.launchers.local import LocalLauncher, simulated_machine
from coordinator.launchers.nitro import NitroLauncher, NitroOptions
from coordinator.launchers.qemu import QemuLauncher, QemuOptions

EMULATOR_VARIABLE: Final = "CONCORDAT_EMULATOR"
_NAMES: Final = ("local", "qemu", "nitro")
_MEMORY_MIB: Final = {"local": 4096, "qemu": 1024, "nitro": 4096}
_VCPUS: Final = 2
_BELONGS_TO: Final = {
    "simulator": {"local"},
    "enclave_source": {"local"},
    "image": {"qemu", "nitro"},
    "enclave_vcpus": {"qemu", "nitro"},
    "emulator": {"qemu"},
    "nitro_cli": {"nitro"},
    "unsafe_debug_mode": {"nitro"},
}
_FOLDER: Final = click.Path(path_type=Path, file_okay=False)
_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class LauncherChoice:
    """What was given on the command line; None and False where nothing was."""

    launcher: str
    enclave_memory_mib: int | None
    simulator: Path | None
    enclave_source: Path | None
    image: Path | None
    enclave_vcpus: int | None
    emulator: Path | None
    nitro_cli: str | None
    unsafe_debug_mode: bool

    def make(self, home: Path) -> Launcher:
        """The launcher. Raises `click.UsageError`, or `CannotServeError` if it cannot work here."""
        for option, launchers in _BELONGS_TO.items():
            if getattr(self, option) and self.launcher not in launchers:
                raise click.UsageError(
                    f"{_spelled(option)} is for {' and '.join(sorted(launchers))}, "
                    f"not for --launcher {self.launcher}"
                )
        memory_mib = self.enclave_memory_mib or _MEMORY_MIB[self.launcher]
        if self.launcher == "local":
            return self._local(home, memory_mib)
        if self.launcher == "qemu":
            return self._qemu(memory_mib)
        return self._nitro(memory_mib)

    def _local(self, home: Path, memory_mib: int) -> Launcher:
        machine = simulated_machine(
            state=(self.simulator or home / "simulator").absolute(),
            memory_mib=memory_mib,
            source=self.enclave_source.absolute() if self.enclave_source else None,
        )
        return LocalLauncher(machine)

    def _qemu(self, memory_mib: int) -> Launcher:
        given = self.emulator or os.environ.get(EMULATOR_VARIABLE)
        if not given:
            raise click.UsageError(
                f"--launcher qemu needs --emulator DIR, or {EMULATOR_VARIABLE}: what `make emulator` prints"
            )
        options = QemuOptions(
            emulator=Path(given).absolute(),
            image=self._required_image(),
            memory_mib=memory_mib,
            vcpus=self.enclave_vcpus or _VCPUS,
        )
        return QemuLauncher(options)

    def _nitro(self, memory_mib: int) -> Launcher:
        options = NitroOptions(
            image=self._required_image(),
            memory_mib=memory_mib,
            vcpus=self.enclave_vcpus or _VCPUS,
            nitro_cli=self.nitro_cli or "nitro-cli",
            unsafe_debug_mode=self.unsafe_debug_mode,
        )
        return NitroLauncher(options)

    def _required_image(self) -> Path:
        if self.image is None:
            raise click.UsageError(f"--launcher {self.launcher} needs --image FILE.eif")
        return self.image.absolute()


def launcher_options(command: _Command) -> _Command:
    """Options that `chosen` takes out again."""
    for option in (
        click.option(
            "--unsafe-debug-mode",
            is_flag=True,
            help="UNSAFE: nitro only; consoles can be read, and parties refuse the enclaves.",
        ),
        click.option("--nitro-cli", metavar="FILE", help="AWS's nitro-cli; default: the one on PATH."),
        click.option(
            "--emulator",
            type=_FOLDER,
            metavar="DIR",
            help=f"Folder of the emulator for qemu; default: {EMULATOR_VARIABLE}.",
        ),
        click.option(
            "--enclave-source",
            type=_FOLDER,
            metavar="DIR",
            help="Local: a folder with other enclave code; parties refuse what they did not agree on.",
        ),
        click.option(
            "--simulator",
            type=_FOLDER,
            metavar="DIR",
            help="State folder of the local enclaves' simulator; default: ~/.concordat/simulator.",
        ),
        click.option(
            "--enclave-vcpus",
            type=click.IntRange(min=1),
            metavar="N",
            help=f"Processors of each enclave, whole cores on nitro; default: {_VCPUS}.",
        ),
        click.option(
            "--enclave-memory-mib",
            type=click.IntRange(min=256),
            metavar="MIB",
            help="Memory of each enclave; agreements name what they need. Default: 4096, 1024 on qemu.",
        ),
        click.option(
            "--image", type=_FILE, metavar="FILE", help="Enclave image (EIF) that qemu and nitro boot."
        ),
        click.option(
            "--launcher",
            type=click.Choice(_NAMES),
            default="local",
            show_default=True,
            help="Where enclaves run. Local ones are SIMULATED; qemu's documents are signed by nobody.",
        ),
    ):
        command = option(command)
    return command


def chosen(options: dict[str, Any]) -> LauncherChoice:
    """The choice, taken out of a command's `options`."""
    return LauncherChoice(**{each.name: options.pop(each.name) for each in fields(LauncherChoice)})


def _spelled(option: str) -> str:
    return "--" + option.replace("_", "-")
