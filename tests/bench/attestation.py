"""How long the verification of one attestation document takes: all steps, with the whole chain."""

from __future__ import annotations

import time
from typing import Final

from party_client.attestation import AllowedMeasurements, Measurements, TrustedRoots, verify_replay
from party_client.attestation.document import parse_untrusted
from tests.conformance.nitro.generate import VECTORS

_TIMES: Final = 200


def milliseconds() -> list[float]:
    """One figure for each of `_TIMES` verifications of a valid vector."""
    document = (VECTORS / "valid.cbor").read_bytes()
    roots = TrustedRoots.from_pem((VECTORS / "root.pem").read_bytes(), name="vectors")
    _, fields = parse_untrusted(document)
    pcrs = fields.pcrs
    policy = AllowedMeasurements([Measurements(pcrs[0], pcrs[1], pcrs[2])])
    taken = []
    for _ in range(_TIMES):
        began_s = time.perf_counter()
        verify_replay(document, roots=roots, policy=policy)
        taken.append(1000 * (time.perf_counter() - began_s))
    return taken
