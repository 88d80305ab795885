"""What can keep the simulated machine from starting an enclave, each with the next step."""

from __future__ import annotations

from protos.formats.errors import ConcordatError


class MachineError(ConcordatError):
    """Root of the simulated machine's refusals."""

    code = "machine/failed"


class ImageError(MachineError):
    """The files of the enclave cannot be found, read or staged."""

    code = "machine/image"


class IsolationError(MachineError):
    """This computer cannot confine the enclave, and there is no weaker mode."""

    code = "machine/isolation"


class SocketPathError(MachineError):
    """The enclave's socket cannot be made where it was asked for."""

    code = "machine/socket-path"


class StateError(MachineError):
    """The state folder holds something that the machine did not put there."""

    code = "machine/state"
