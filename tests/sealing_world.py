"""A party that seals under its own key: a SIMULATED KMS with a planned policy, and an agreement with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from party_client.kms import KeyTerms, Place, SealingKey, checked_key, key_terms, plan
from party_client.kms.access import Reach, reached
from party_client.kms.live import Reader
from party_client.kms.snapshot import read_snapshot_untrusted
from protos.formats.agreement import Agreement
from protos.formats.kms import KeyService
from protos.release.history import agreed_releases
from scenarios.machine.pki import fingerprint
from tests.kms_world import ACCOUNT, ADMINISTRATOR, KmsWorld, running
from tests.world import agreement, purchases, visits

REGION = "us-east-1"
SEALER = f"arn:aws:iam::{ACCOUNT}:role/sealer"
PARENT = "arn:aws:iam::444455556666:role/parent"
PLACE = Place(ACCOUNT, REGION, "enclave", (PARENT,), (ADMINISTRATOR,), (SEALER,))


def service_at(world: KmsWorld) -> KeyService:
    """The running server, as an agreement names it."""
    certificate = x509.load_pem_x509_certificate(world.store.authority_path.read_bytes())
    port = world.endpoint.rpartition(":")[2]
    return KeyService(
        ACCOUNT, REGION, "enclave", f"localhost:{port}", (certificate.public_bytes(Encoding.DER),)
    )


def log_in(monkeypatch: pytest.MonkeyPatch, world: KmsWorld, arn: str) -> None:
    """Commands and libraries find the credentials of `arn` where AWS's tools look for them."""
    credential = world.credential(arn)
    for name, value in {
        "AWS_ACCESS_KEY_ID": credential.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credential.secret_access_key,
        "AWS_SESSION_TOKEN": str(credential.session_token),
        "AWS_CONFIG_FILE": str(world.folder / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(world.folder / "no-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


@dataclass
class SealingWorld:
    """The publisher's KMS, with one key that was set up as planned."""

    kms: KmsWorld
    agreement: Agreement
    terms: KeyTerms
    arn: str

    @property
    def service(self) -> KeyService:
        """As agreed for the publisher's dataset."""
        found = self.agreement.dataset("visits").kms
        assert found is not None
        return found

    def checked(self, monkeypatch: pytest.MonkeyPatch, arn: str | None = None) -> SealingKey:
        """The key, checked by its administrator; leaves the sealer logged in."""
        log_in(monkeypatch, self.kms, ADMINISTRATOR)
        with reached(self.service, Reach()) as access:
            value = Reader.of(access).read(self.arn)
        log_in(monkeypatch, self.kms, SEALER)
        snapshot = read_snapshot_untrusted(value)
        return checked_key(arn or self.arn, self.service, terms=self.terms, snapshot=snapshot)

    def exported(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """What the administrator reads of the key, as a file."""
        log_in(monkeypatch, self.kms, ADMINISTRATOR)
        with reached(self.service, Reach()) as access:
            path.write_text(json.dumps(Reader.of(access).read(self.arn), default=str))
        log_in(monkeypatch, self.kms, SEALER)
        return path

    def decrypt(self, blob: bytes, context: dict[str, str], pcrs: dict[int, bytes] | None) -> Any:
        """As the enclave's role, from an enclave with these registers."""
        more = {} if pcrs is None else {"Recipient": self.kms.recipient(pcrs)}
        return self.kms.client(self.terms.place.role_arn).decrypt(
            KeyId=self.arn, CiphertextBlob=blob, EncryptionContext=context, **more
        )

    @property
    def registers(self) -> dict[int, bytes]:
        """Of the agreed release under the agreement."""
        (release,) = self.terms.releases
        register = bytes.fromhex(self.terms.agreement_register)
        return {0: release.pcr0, 1: release.pcr1, 2: release.pcr2, 16: register}


@contextmanager
def sealing_world(folder: Path) -> Iterator[SealingWorld]:
    """Until the block ends."""
    with running(folder, region=REGION) as world:
        service = service_at(world)
        agreed = agreement(
            fingerprint(world.root.certificate), datasets=(replace(visits(), kms=service), purchases())
        )
        yield in_place(world, agreed)


def in_place(world: KmsWorld, agreed: Agreement, place: Place = PLACE) -> SealingWorld:
    """A key of the publisher's for `agreed`, set up as `kms plan` says."""
    terms = key_terms(
        agreed_releases(agreed), party="publisher", place=place, now=datetime.now(UTC), simulated=True
    )
    return SealingWorld(world, agreed, terms, world.key(json.dumps(plan(terms).key_policy)))
