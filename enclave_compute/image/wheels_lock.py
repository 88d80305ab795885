"""Makes `requirements/image.lock`: `python -m enclave_compute.image.wheels_lock`.

Of each distribution of the image the one wheel that is taken: of those that `requirements/enclave.lock`
allows the one that pip finds best for the image's Python now. To be run after that lock has changed. A wheel
whose hash is not in the enclave's lock is not accepted.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
from pathlib import Path
from typing import Final

from enclave_compute.image.contents import DISTRIBUTIONS
from enclave_compute.image.errors import ImageBuildError
from enclave_compute.image.wheels import WHEELS_LOCK, fetch_wheels
from protos.formats.errors import ConcordatError

ENCLAVE_LOCK: Final = "requirements/enclave.lock"
_HEAD: Final = """\
# The one wheel of each distribution that the enclave's image is made from, for the image's Python.
# Made by `make image-wheels` from enclave.lock; not to be edited.
"""
_PIN: Final = re.compile(r"([a-z0-9-]+)==([0-9A-Za-z.!+]+)")
_HASH: Final = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def pins_of(lock: str) -> dict[str, tuple[str, list[str]]]:
    """Of each distribution of the image `NAME==VERSION` and the hashes that a lock allows.

    Without the conditions on the Python that installs it: the image has one Python. Raises `ImageBuildError`.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    names = {name.replace(".", "-"): name for name in DISTRIBUTIONS}
    for line in lock.replace("\\\n", " ").splitlines():
        pin = _PIN.match(line)
        if pin and pin[1] in names:
            if names[pin[1]] in found:
                raise ImageBuildError(f"{pin[1]}: stands in the lock twice, expected one version of it")
            found[names[pin[1]]] = (pin[0], _HASH.findall(line))
    if missing := DISTRIBUTIONS.keys() - found:
        raise ImageBuildError(f"the lock has no {', '.join(sorted(missing))}", hint="make lock")
    return found


def make_lock(lock: str) -> str:
    """The image's lock, of a wheel of each distribution that `lock` allows. Raises `ImageBuildError`."""
    pins = pins_of(lock)
    with tempfile.TemporaryDirectory(prefix="concordat-wheels-") as folder:
        allowed = Path(folder, "enclave.lock")
        allowed.write_text("".join(f"{pin} {' '.join(hashes)}\n" for pin, hashes in pins.values()))
        wheels = fetch_wheels(allowed, Path(folder))
        taken = {name: hashlib.sha256(wheel.read_bytes()).hexdigest() for name, wheel in wheels.items()}
    lines = (f"{pins[name][0]} \\\n    --hash=sha256:{taken[name]}\n" for name in sorted(taken))
    return _HEAD + "".join(lines)


def main() -> int:
    """Writes the lock of the checkout that this program runs from."""
    root = Path(__file__).resolve().parents[2]
    try:
        made = make_lock((root / ENCLAVE_LOCK).read_text(encoding="ascii"))
    except ConcordatError as error:
        print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return 1
    (root / WHEELS_LOCK).write_text(made, encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())
