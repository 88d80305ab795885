"""What can keep pinned packages from being had, unpacked or used, each with the next step."""

from __future__ import annotations

from protos.formats.errors import ConcordatError


class DebianError(ConcordatError):
    """Root of what can go wrong with Debian's packages."""

    code = "debian/failed"


class LockError(DebianError):
    """A list of pinned packages, or what it was made from, is not as this project writes them."""

    code = "debian/lock"


class MirrorError(DebianError):
    """A pinned file cannot be fetched, or what came is not that file."""

    code = "debian/mirror"


class GoneError(MirrorError):
    """The mirror no longer has a pinned file."""

    code = "debian/gone"


class ArchiveError(DebianError):
    """A package's bytes are not an archive that may be unpacked."""

    code = "debian/archive"


class BuildRootError(DebianError):
    """A command cannot be run among the unpacked packages, or it failed."""

    code = "debian/build-root"
