"""Debian's packages as inputs of a build: named by hash, fetched, unpacked, and run without being installed.

Layout: `wanted` says which packages a build asks for, `relock` and `index` turn that into a list once,
`lock` is that list; `mirror` fetches what a lock names (`apt`, `download`) and `deb` unpacks it;
`build_root` is a folder of unpacked packages in which a command runs with none of this machine's files.
"""

from enclave_compute.image.debian.lock import Lock, PinnedFile, read_lock
from enclave_compute.image.debian.unpacking import unpack_packages

__all__ = ["Lock", "PinnedFile", "read_lock", "unpack_packages"]
