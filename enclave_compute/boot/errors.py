"""Why the machine is switched off before the enclave has started. The console shows the message."""

from __future__ import annotations

from protos.formats.errors import ConcordatError


class BootError(ConcordatError):
    """A promise of the image does not hold on this machine."""

    code = "boot/failed"
