"""`python -m scenarios.kms`: the same as `concordat simulator kms`."""

from __future__ import annotations

import sys

from protos.formats.errors import ConcordatError
from scenarios.kms.cli import group


def main() -> None:
    """Runs the command line; a refusal is two lines and status 1."""
    try:
        group(prog_name="python -m scenarios.kms")
    except ConcordatError as error:
        sys.stderr.write(f"error: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
