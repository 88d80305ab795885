"""The enclave's kernel: its options (`enclave.config`), and a build that gives the same bytes twice.

Linux as Debian ships its source, compiled by Debian's compiler, both pinned; nothing of the machine it is
built on counts. The result's hash is pinned too, so a build that differs is an error and not another
kernel.
"""

from enclave_compute.image.kernel.build import Kernel, build_kernel

__all__ = ["Kernel", "build_kernel"]
