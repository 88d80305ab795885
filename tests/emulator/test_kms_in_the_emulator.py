"""The booted image fetches a key from the SIMULATED KMS, over its vsock and through its parent.

TLS, the document of its own security module, the signature and the answer are made and read by what is in the
image: nothing that it needs for that is missing there, and its key opens what KMS wrote.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from enclave_compute.image.eif import read_image
from party_client.attestation import TrustedRoots
from party_client.attestation.emulator import EmulatorUnsafe
from protos.formats.calls import Refusal
from protos.release.roots import UNSIGNED_EMULATOR_SHA256
from scenarios.machine.pki import load_or_create_root, root_path
from tests import kms_world, world
from tests.emulator.machines import Booted, image
from tests.enclave_fixtures import refused
from tests.envelope_world import Envelope, agreement, key_policy
from tests.errands_world import MemoryServer, authority, endpoint, http

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(900)]


def test_an_upload_opens_in_the_image_with_a_key_from_kms(machine: Booted, tmp_path: Path) -> None:
    pcr0 = read_image(image()).measurements.pcr0
    load_or_create_root(tmp_path / "unused")
    unused = TrustedRoots.from_pem(root_path(tmp_path / "unused").read_bytes(), name="unused")
    with kms_world.running(tmp_path, anchors=EmulatorUnsafe()) as kms, machine.connect() as stream:
        enclave = world.Parent(unused, world.asking(stream))
        agreed = agreement(kms, UNSIGNED_EMULATOR_SHA256)
        enclave.bind(agreed)
        closed = Envelope(enclave, kms, agreed, kms.key(key_policy(agreed, bytes(48))))
        closed.begin(closed.seal())
        impostor = MemoryServer(tmp_path, endpoint(authority(), "localhost"), lambda _: http(200, {}))
        with refused(Refusal.KMS_FAILED):
            closed.run_errand(impostor.connected())
        assert impostor.heard == b""
        with refused(Refusal.KMS_DENIED):
            closed.run_errand()
        envelope = Envelope(enclave, kms, agreed, kms.key(key_policy(agreed, pcr0)))
        upload = envelope.seal()
        envelope.begin(upload)
        envelope.run_errand()
        assert kms.records[-1]["attested PCR0"] == pcr0.hex()
        envelope.chunks(upload)
        envelope.finish(upload)
        assert envelope.result() == [{"segment": "sport", "purchases": 3, "total": 60}]
