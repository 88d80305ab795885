"""Envelope mode: an enclave, a party's SIMULATED KMS, a key that lets this image under this agreement in.

Everybody's part can be played, the coordinator's by hand: it begins an upload, runs the errand and sends
chunks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from party_client.attestation.measurements import extended_once
from protos.formats.agreement import Agreement
from protos.formats.calls import Op
from protos.formats.canonical import encode
from protos.formats.kms import encryption_context
from tests import kms_world, world
from tests.errands_world import Server, carry, credentials_of, dialled, service_of
from tests.kms_world import ADMINISTRATION, ENCLAVE_ROLE, KmsWorld, policy, statement
from tests.world import PCRS, PURCHASES, VISITS, Parent, SealedUpload

SEALING_ROLE = f"arn:aws:iam::{kms_world.ACCOUNT}:role/shop"


def agreement(kms: KmsWorld, root_sha256: bytes, **changes: Any) -> Agreement:
    """That of the world, in which the publisher has a KMS for its visits."""
    base = world.agreement(root_sha256, **changes)
    visits, purchases = base.datasets
    return replace(base, datasets=(replace(visits, kms=service_of(kms)), purchases))


def key_policy(agreed: Agreement, pcr0: bytes = PCRS[0]) -> str:
    """Of a key for an image under an agreement; sealing needs no enclave."""
    attested = {
        "kms:RecipientAttestation:PCR0": pcr0.hex(),
        "kms:RecipientAttestation:PCR16": extended_once(agreed.digest()).hex(),
    }
    enclave, condition = {"AWS": ENCLAVE_ROLE}, {"StringEqualsIgnoreCase": attested}
    return policy(
        ADMINISTRATION,
        statement("Sealing", "Allow", {"AWS": SEALING_ROLE}, "kms:GenerateDataKey"),
        statement("Enclave", "Allow", enclave, "kms:Decrypt", condition),
    )


@dataclass
class Envelope:
    """An enclave that is bound, seen by its coordinator, and the publisher's side of the agreement."""

    enclave: Parent
    kms: KmsWorld
    agreed: Agreement
    key: str
    """ARN of the publisher's key."""

    @classmethod
    def bound(cls, enclave: Parent, kms: KmsWorld, *, pcr0: bytes = PCRS[0]) -> Envelope:
        """Under the agreement of this world, with a key for the image that `pcr0` is of."""
        (root,) = enclave.roots
        agreed = agreement(kms, root.sha256)
        enclave.bind(agreed)
        return cls(enclave, kms, agreed, kms.key(key_policy(agreed, pcr0)))

    def data_key(self, **context: str) -> tuple[bytes, bytes]:
        """A new one of the publisher's key, and what it is wrapped in; `context` can be falsified."""
        bound_to = encryption_context(self.agreed.digest(), "publisher", "visits") | context
        made = self.kms.client(SEALING_ROLE).generate_data_key(
            KeyId=self.key, KeySpec="AES_256", EncryptionContext=bound_to
        )
        return made["Plaintext"], made["CiphertextBlob"]

    def seal(self, *tables: Any, **changes: Any) -> SealedUpload:
        """As the publisher would, who is not asked again; everything can be falsified."""
        changes = {"enclave_id": None, "kms_key": self.key, **changes}
        if "data_key" not in changes:
            changes["data_key"] = self.data_key()
        return world.seal(self.agreed, self.enclave.keys(), "visits", tables or [VISITS], **changes)

    def begin(self, upload: SealedUpload) -> dict[str, Any]:
        """The answer's header."""
        names = {"dataset": upload.header.context.dataset, "upload": upload.upload_id}
        return self.enclave.call(Op.BEGIN, upload.signed_header, **names).header

    def run_errand(self, server: Server | None = None, *, subject: str = "visits", **more: Any) -> int:
        """Fetches the key as a coordinator does, from the SIMULATED KMS or `server`; the number of steps."""
        given = encode(vars(credentials_of(self.kms, ENCLAVE_ROLE, **more)))

        def first() -> bytes:
            answer = self.enclave.call(Op.ERRAND, given, subject=subject)
            assert answer.header["done"] is False
            return answer.body

        def step(number: int, received: bytes) -> tuple[bytes, bool]:
            answer = self.enclave.call(Op.ERRAND, received, subject=subject, step=number)
            return answer.body, answer.header["done"]

        if server is not None:
            return carry(first, step, server)
        with dialled(service_of(self.kms)) as found:
            return carry(first, step, found)

    def wanted(self) -> list[dict[str, Any]]:
        """What status says."""
        errands: list[dict[str, Any]] = self.enclave.call(Op.STATUS).header["errands"]
        return errands

    def chunks(self, upload: SealedUpload) -> None:
        """Sends all of them."""
        for number, sealed_chunk in enumerate(upload.chunks):
            self.enclave.chunk(upload, number, sealed_chunk)

    def finish(self, upload: SealedUpload) -> bytes:
        """The acceptance."""
        return self.enclave.call(Op.FINISH, upload.signed_manifest, upload=upload.upload_id).body

    def result(self, tables: Sequence[Any] = (PURCHASES,)) -> list[dict[str, Any]]:
        """What the query gives over the visits that were accepted."""
        self.enclave.upload(world.seal(self.agreed, self.enclave.keys(), "purchases", tables))
        run_id = os.urandom(16)
        self.enclave.call(Op.RUN, world.run_request(self.agreed, self.enclave.keys(), run_id=run_id))
        rows: list[dict[str, Any]] = self.enclave.result(run_id).to_pylist()
        return rows
