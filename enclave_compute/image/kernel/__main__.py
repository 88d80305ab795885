"""`python -m enclave_compute.image.kernel [--pin] [--to DIR]`: build it, say where it is and its hash."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from enclave_compute.image.kernel.build import PINS, build_kernel, build_unpinned, format_pins
from protos.formats.errors import ConcordatError


def main(arguments: list[str]) -> int:
    """Build, pin when asked to, and print one line a file."""
    parser = argparse.ArgumentParser(prog="python -m enclave_compute.image.kernel", description=__doc__)
    parser.add_argument("--pin", action="store_true", help="write down the hash of what comes out")
    parser.add_argument("--to", type=Path, metavar="DIR", help="copy bzImage and config there")
    options = parser.parse_args(arguments)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        if options.pin:
            PINS.write_text(format_pins(build_unpinned(say=say).digests()), encoding="ascii")
        kernel = build_kernel(say=say)
    except ConcordatError as error:
        print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return 1
    for path in (kernel.image, kernel.config):
        print(f"{kernel.digests()[path.name]}  {path}")
        if options.to:
            options.to.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, options.to / path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
