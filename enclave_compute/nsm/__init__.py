"""The enclave's way to the Nitro Secure Module: measurements, attestation documents, randomness, time.

`open_device` takes what the launcher names (a device file or an inherited socket), `Nsm` speaks the protocol
over it. Nothing here knows whether the module at the other end is AWS's: the parties find out, from the root
that signed the document.
"""

from __future__ import annotations

from enclave_compute.nsm.client import Nsm, nsm_time_ms
from enclave_compute.nsm.device import NsmDevice, NsmIoctlDevice, NsmStreamDevice, open_device
from enclave_compute.nsm.errors import (
    NsmError,
    NsmInputTooLargeError,
    NsmInvalidArgumentError,
    NsmInvalidIndexError,
    NsmInvalidOperationError,
    NsmReadOnlyIndexError,
    NsmRefusedError,
    NsmResponseError,
    NsmUnavailableError,
)
from enclave_compute.nsm.messages import NsmDescription, PcrState

__all__ = [
    "Nsm",
    "NsmDescription",
    "NsmDevice",
    "NsmError",
    "NsmInputTooLargeError",
    "NsmInvalidArgumentError",
    "NsmInvalidIndexError",
    "NsmInvalidOperationError",
    "NsmIoctlDevice",
    "NsmReadOnlyIndexError",
    "NsmRefusedError",
    "NsmResponseError",
    "NsmStreamDevice",
    "NsmUnavailableError",
    "PcrState",
    "nsm_time_ms",
    "open_device",
]
