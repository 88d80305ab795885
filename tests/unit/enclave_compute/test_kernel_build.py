"""The kernel is the one that is pinned, configured as asked; what is asked keeps the enclave's promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_compute.image.kernel import build
from enclave_compute.image.kernel.build import PINS, Kernel, build_kernel, format_pins, read_pins
from enclave_compute.image.kernel.config import FRAGMENT, read_config, require_as_asked
from enclave_compute.image.kernel.errors import KernelError

HEAD = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.12.117 Kernel Configuration\n#\n"
TEXT = f'{HEAD}CONFIG_NET=y\n\n# CONFIG_INET is not set\nCONFIG_X=0xdead0\nCONFIG_LSM="landlock"\n'
OPTIONS = {"CONFIG_NET": "y", "CONFIG_INET": None, "CONFIG_X": "0xdead0", "CONFIG_LSM": '"landlock"'}


def test_a_configuration_is_read() -> None:
    assert read_config(TEXT) == OPTIONS


@pytest.mark.parametrize("line", ["CONFIG_NET=m", "CONFIG_NET=n", "CONFIG_NET", "NET=y", "config_net=y"])
def test_a_line_that_is_none_of_a_configuration_is_refused(line: str) -> None:
    with pytest.raises(KernelError, match="not a line"):
        read_config(line)


@given(st.text(st.sampled_from('CONFIG_NET=y# is not set"0x\n'), max_size=60))
def test_whatever_is_read_gives_options_or_our_error(text: str) -> None:
    try:
        options = read_config(text)
    except KernelError:
        return
    assert all(name.startswith("CONFIG_") for name in options)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"CONFIG_NSM": "y"}, "CONFIG_NSM: asked y, got off"),
        ({"CONFIG_INET": "y"}, "CONFIG_INET: asked y, got off"),
        ({"CONFIG_NET": None}, "CONFIG_NET: asked off, got y"),
        ({"CONFIG_X": "1"}, "CONFIG_X: asked 1, got 0xdead0"),
    ],
    ids=str,
)
def test_an_option_that_did_not_survive_is_named(asked: dict[str, str | None], named: str) -> None:
    with pytest.raises(KernelError, match=named):
        require_as_asked(asked, OPTIONS)


def test_what_survived_is_accepted_and_an_option_that_vanished_is_off() -> None:
    require_as_asked({**OPTIONS, "CONFIG_KEXEC": None}, OPTIONS)


OFF = (
    *(
        "MODULES",
        "KEXEC",
        "KEXEC_FILE",
        "BPF_SYSCALL",
        "USER_NS",
        "CGROUPS",
        "IO_URING",
        "INET",
        "NETDEVICES",
    ),
    *(
        "PCI",
        "ACPI",
        "BLOCK",
        "SWAP",
        "DEVMEM",
        "PROC_KCORE",
        "MAGIC_SYSRQ",
        "DEBUG_FS",
        "FTRACE",
        "COREDUMP",
    ),
)
ON = (
    *(
        "NSM",
        "HW_RANDOM",
        "VIRTIO_MMIO_CMDLINE_DEVICES",
        "VIRTIO_VSOCKETS",
        "BLK_DEV_INITRD",
        "RD_ZSTD",
        "PVH",
    ),
    *("KVM_GUEST", "SECCOMP_FILTER", "SECURITY_LANDLOCK", "STRICT_KERNEL_RWX", "RANDOMIZE_BASE"),
    *("STACKPROTECTOR_STRONG", "INIT_ON_ALLOC_DEFAULT_ON", "HARDENED_USERCOPY", "PANIC_ON_OOPS"),
)


def test_what_the_enclaves_promises_rest_on_is_asked_for() -> None:
    asked = read_config(FRAGMENT.read_text())
    assert [name for name in ON if asked.get(f"CONFIG_{name}") != "y"] == []
    assert [name for name in OFF if asked.get(f"CONFIG_{name}", "missing") is not None] == []


def test_every_group_of_options_says_why() -> None:
    groups = FRAGMENT.read_text().split("\n\n")
    assert [group for group in groups if not group.startswith("#")] == []


def made(folder: Path, *, image: bytes = b"kernel") -> Kernel:
    (folder / "bzImage").write_bytes(image)
    (folder / "config").write_text(TEXT)
    return Kernel(folder / "bzImage", folder / "config")


def test_the_version_is_in_the_configuration(tmp_path: Path) -> None:
    assert made(tmp_path).version == "6.12.117"


def test_pins_are_read_as_they_were_written(tmp_path: Path) -> None:
    digests = made(tmp_path).digests()
    assert set(digests) == {"bzImage", "config"}
    assert read_pins(format_pins(digests)) == digests
    for text in ("", format_pins(digests) * 2, format_pins(digests).replace("bzImage", "vmlinux")):
        with pytest.raises(KernelError):
            read_pins(text)


def test_the_pins_that_ship_can_be_read() -> None:
    assert set(read_pins(PINS.read_text())) == {"bzImage", "config"}


def test_only_the_pinned_kernel_is_given_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the cache as from a build: what is compared is what is given."""
    folder = tmp_path / "kernel" / build.inputs_key()
    folder.mkdir(parents=True)
    kernel = made(folder)
    monkeypatch.setattr(build, "PINS", tmp_path / "pins")
    (tmp_path / "pins").write_text(format_pins(kernel.digests()))
    assert build_kernel(say=lambda _: None, cache=tmp_path) == kernel
    made(folder, image=b"another")
    with pytest.raises(KernelError, match="another kernel than is pinned") as raised:
        build_kernel(say=lambda _: None, cache=tmp_path)
    assert f"do not use it: remove {folder}" in (raised.value.hint or "")


@pytest.mark.parametrize("part", ["FRAGMENT", "PATCH"])
def test_a_change_of_an_input_is_another_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    before = build.inputs_key()
    changed = tmp_path / "changed"
    changed.write_bytes(getattr(build, part).read_bytes() + b"\n")
    monkeypatch.setattr(build, part, changed)
    assert build.inputs_key() != before
