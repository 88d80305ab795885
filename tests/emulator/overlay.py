"""A test image: an image that was built, with a further ramdisk that puts files over it.

Everything else is the image's own, byte for byte: kernel, command line, both ramdisks. Its PCR0 and PCR2 are
others, so no party would ever send anything to it.
"""

from __future__ import annotations

import io
from pathlib import Path

from backports import zstd

from enclave_compute.image.cpio import write_cpio
from enclave_compute.image.eif import Image, read_image, write_eif
from enclave_compute.image.eif.sections import SECTION_HEADER_BYTES, SectionKind
from enclave_compute.image.tree import Tree, file

START = "\n\nfrom enclave_compute import probe  # of a test image\n\nprobe.start()\n"


def with_probe(image: Path, out: Path, *, source_root: Path) -> Path:
    """`image` with the probe beside the enclave, started when the enclave's `__main__` is imported."""
    main = (source_root / "enclave_compute/__main__.py").read_text() + START
    probe = Path(__file__).with_name("probe.py").read_bytes()
    return overlaid(
        image, out, {"app/enclave_compute/__main__.py": main.encode(), "app/enclave_compute/probe.py": probe}
    )


def overlaid(image: Path, out: Path, files: dict[str, bytes]) -> Path:
    """Writes to `out` what `image` is, with `files` over it; gives `out`."""
    tree = Tree()
    for name, content in files.items():
        tree.add(name, file(content))
    plain = io.BytesIO()
    write_cpio(tree, plain)
    extra = out.with_suffix(".overlay")
    extra.write_bytes(zstd.compress(plain.getvalue()))
    found = read_image(image)
    write_eif(
        out,
        kernel=contents_of(image, found, SectionKind.KERNEL, out)[0],
        cmdline=found.command_line,
        ramdisks=[*contents_of(image, found, SectionKind.RAMDISK, out), extra],
        metadata=found.metadata,
    )
    return out


def contents_of(image: Path, found: Image, kind: SectionKind, out: Path) -> list[Path]:
    """The contents of all sections of a kind, as files beside `out`."""
    made = []
    with image.open("rb") as source:
        for number, section in enumerate(found.sections):
            if section.kind is kind:
                source.seek(section.offset + SECTION_HEADER_BYTES)
                made.append(out.with_suffix(f".{number}"))
                made[-1].write_bytes(source.read(section.size_bytes))
    return made
