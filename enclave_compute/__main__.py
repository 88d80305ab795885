"""Starts the enclave: which security module and which socket it is given is all that differs between places.

    python -m enclave_compute --listen vsock:5000 --nsm /dev/nsm        on AWS Nitro Enclaves
    python -m enclave_compute --listen fd:3 --nsm fd:4                  where a launcher hands both over

There is no option that changes what the enclave computes or releases: that is the agreement's to say.
"""

from __future__ import annotations

import argparse
import socket

from enclave_compute.life import Life
from enclave_compute.nsm import Nsm, open_device
from enclave_compute.parent import PARENT_CIDS
from enclave_compute.server import Server

_BACKLOG = 16


def main() -> None:
    """Serve one life, then end."""
    parser = argparse.ArgumentParser(
        prog="enclave_compute", description="One enclave life under one agreement."
    )
    parser.add_argument(
        "--listen", required=True, help="vsock:PORT, or fd:N for an inherited listening socket"
    )
    parser.add_argument(
        "--nsm", default="/dev/nsm", help="device file, or fd:N for an inherited stream socket"
    )
    arguments = parser.parse_args()
    listener = _listen(arguments.listen)
    Server(Life(Nsm(open_device(arguments.nsm))), listener, parent_cids=PARENT_CIDS).serve()


def _listen(spec: str) -> socket.socket:
    kind, _, value = spec.partition(":")
    if kind == "fd":
        return socket.socket(fileno=int(value))
    if kind != "vsock":
        raise SystemExit(f"--listen: got {spec!r}, expected vsock:PORT or fd:N")
    listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    listener.bind((socket.VMADDR_CID_ANY, int(value)))
    listener.listen(_BACKLOG)
    return listener


if __name__ == "__main__":
    main()
