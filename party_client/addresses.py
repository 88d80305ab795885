"""Whether an address is on this machine: the one place that is spoken to without TLS."""

from __future__ import annotations

import ipaddress


def is_loopback(address: str) -> bool:
    """Whether `address` (HOST:PORT, [V6]:PORT or unix:PATH) cannot leave this machine.

    Names other than "localhost" do not count, whatever they resolve to now.
    """
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
