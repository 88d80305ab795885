"""Builds the emulator's folder: `python -m scenarios.emulator.build [--to DIR]`.

`bin` has two programs that run from anywhere, `lib` all they load (the dynamic linker too), `firmware` what
QEMU loads. Nothing is installed on this machine and nothing of it is used but its kernel. Inputs are pinned
in `locks/emulator.lock`; the folder is kept in the cache under a hash of them, and is there whole or not at
all.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from enclave_compute.image.debian.build_root import BuildRoot, make_build_root
from enclave_compute.image.debian.cache import cache_folder, made_whole
from enclave_compute.image.debian.lock import lock_path, read_lock
from enclave_compute.image.debian.mirror import Say, fetch
from protos.formats.errors import ConcordatError
from scenarios.errors import ScenarioError

LOCK: Final = "emulator"

_DEVICES: Final = "CONFIG_NITRO_ENCLAVE=y\nCONFIG_MICROVM=y\nCONFIG_VIRTIO_RNG=y\n"
_COMPILE: Final = """
mkdir source
tar --extract --no-same-owner --strip-components=1 --directory=source --file=qemu.orig.tar.xz
tar --extract --no-same-owner --directory=source --file=qemu.debian.tar.xz
cd source
while read -r name options; do
    case "$name" in '' | '#'*) ;; *) patch --silent --strip=1 <"debian/patches/$name" ;; esac
done <debian/patches/series
cp ../nitro.mak configs/devices/x86_64-softmmu/nitro.mak
mkdir build
cd build
../configure --python=/usr/bin/python3 --target-list=x86_64-softmmu \\
    --without-default-features --without-default-devices --with-devices-x86_64=nitro \\
    --enable-system --enable-tcg --enable-fdt=system --enable-libcbor --enable-gnutls --enable-vhost-user \\
    --disable-kvm --disable-tools --disable-docs --disable-install-blobs
ninja -j "$JOBS" qemu-system-x86_64
strip --strip-all qemu-system-x86_64
"""
_COLLECT: Final = """
mkdir -p emulator/bin emulator/firmware emulator/lib emulator/libexec
cp source/build/qemu-system-x86_64 /usr/bin/vhost-device-vsock emulator/libexec
linker=/usr/lib64/ld-linux-x86-64.so.2
for program in emulator/libexec/*; do "$linker" --list "$program"; done >loaded
awk '$2 == "=>" { print $3 }' loaded | sort --unique >libraries
while read -r library; do cp "$library" emulator/lib; done <libraries
cp "$linker" emulator/lib
for name in kvmvapic.bin linuxboot.bin linuxboot_dma.bin pvh.bin qboot.rom; do
    cp "/usr/share/qemu/$name" emulator/firmware
done
cp /usr/share/seabios/bios-microvm.bin emulator/firmware
"""
_PROGRAMS: Final = {"qemu-system-x86_64": '-L "$here/firmware" ', "vhost-device-vsock": ""}
"""What the folder is for, and the arguments that each always needs."""
# The programs bring their own linker and libraries, so the machine's C library need not fit theirs.
_WRAPPER: Final = """\
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")/..
exec "$here/lib/ld-linux-x86-64.so.2" --inhibit-cache --library-path "$here/lib" \\
    --argv0 "$0" "$here/libexec/{program}" {arguments}"$@"
"""


class EmulatorError(ScenarioError):
    """The emulator cannot be put where it was asked for."""

    code = "scenario/emulator"


def build_emulator(*, say: Say, cache: Path | None = None) -> Path:
    """The emulator's folder, from the cache or built now (some minutes). Raises `DebianError`."""
    base = cache or cache_folder()
    key = inputs_key()
    folder = base / "emulator" / key
    if not folder.is_dir():
        lock = read_lock(LOCK)
        files = fetch(lock.files, say=say, cache=base)
        with tempfile.TemporaryDirectory(prefix="emulator-", dir=base) as work, made_whole(folder) as fresh:
            say("Unpacking QEMU's source and its compiler")
            root = make_build_root([files[package] for package in lock.packages], Path(work) / "root")
            for source in lock.sources:
                kind = "debian" if source.file_name.endswith(".debian.tar.xz") else "orig"
                shutil.copyfile(files[source], root.work / f"qemu.{kind}.tar.xz")
            _build(root, fresh, log=folder.with_name(f"{key}.log"), say=say)
    return folder


def copy_to(folder: Path, target: Path) -> None:
    """A copy of the emulator as the new folder `target`. Raises `EmulatorError` when something is there."""
    if target.exists():
        raise EmulatorError(f"{target} is there already", hint="give a folder that does not exist")
    with made_whole(target) as fresh:
        shutil.copytree(folder, fresh, dirs_exist_ok=True)


def inputs_key() -> str:
    """Names everything that the result depends on: the folder of the cache that it lies in."""
    digest = hashlib.sha256()
    for part in (
        lock_path(LOCK).read_bytes(),
        repr((_DEVICES, _COMPILE, _COLLECT, _PROGRAMS, _WRAPPER)).encode(),
    ):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:32]


def _build(root: BuildRoot, target: Path, *, log: Path, say: Say) -> None:
    log.write_bytes(b"")
    (root.work / "nitro.mak").write_text(_DEVICES, encoding="ascii")
    say("Compiling QEMU (some minutes)")
    root.run(_COMPILE, log=log, variables={"JOBS": str(os.cpu_count() or 1), "SOURCE_DATE_EPOCH": "1"})
    root.run(_COLLECT, log=log)
    shutil.copytree(root.work / "emulator", target, dirs_exist_ok=True)
    for program, arguments in _PROGRAMS.items():
        wrapper = target / "bin" / program
        wrapper.write_text(_WRAPPER.format(program=program, arguments=arguments), encoding="ascii")
        wrapper.chmod(0o755)


def main(arguments: list[str]) -> int:
    """Build, copy when asked to, and print the folder."""
    parser = argparse.ArgumentParser(prog="python -m scenarios.emulator.build", description=__doc__)
    parser.add_argument("--to", type=Path, metavar="DIR", help="copy the folder there")
    options = parser.parse_args(arguments)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        folder = build_emulator(say=say)
        if options.to:
            copy_to(folder, options.to)
    except ConcordatError as error:
        print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return 1
    print(options.to or folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
