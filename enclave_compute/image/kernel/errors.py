"""What can be wrong with the kernel's build."""

from __future__ import annotations

from protos.formats.errors import ConcordatError


class KernelError(ConcordatError):
    """The kernel's build did not give the kernel that is pinned."""

    code = "kernel/build"
