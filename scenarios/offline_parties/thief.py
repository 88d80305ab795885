"""Somebody who has everything that the coordinator has, and wants the data keys without an agreed enclave.

That is: the deposits, the access key under which the owners' roles are taken on, and machines of their own.
Real enclaves with the wrong code ask as enclaves do, over TLS that they end themselves. For what no machine
does by itself, documents are signed with the simulator's root, which whoever owns this computer can. Every
attempt has to be refused by every owner's KMS, and for the reason that it should be.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError
from botocore.session import Session
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from coordinator.errors import EnclaveRefusedError
from coordinator.kms.endpoint import connected
from party_client.agreements import load_agreed
from party_client.attestation.measurements import extended_once
from party_client.sealed_files import SealedFile, open_sealed_file
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import encode
from protos.formats.kms import encryption_context
from protos.formats.limits import KIB
from scenarios.hostile.machines import Enclave, Machines
from scenarios.hostile.recordings import Pinned
from scenarios.machine.documents import DocumentSigner, ModuleId
from scenarios.machine.measure import measure
from scenarios.machine.pki import load_or_create_root
from scenarios.offline_parties.key_services import KeyService, KeyServices
from scenarios.offline_parties.refusals import NotRefusedError, Refused, require_refused
from scenarios.stage import COORDINATOR, Stage

NONCE_BYTES: Final = 32
DEADLINE_S: Final = 60.0
OAEP: Final = "RSAES_OAEP_SHA_256"
_FRAME_BYTES: Final = 64 * KIB
_DENIED, _INVALID = "AccessDeniedException", "ValidationException"
_OTHER_CODE: Final = "DenyReadingByOtherCode"
_OTHER_AGREEMENT: Final = "DenyReadingForOtherAgreements"
_OLD: Final = timedelta(minutes=6)


@dataclass(frozen=True)
class _Target:
    """One owner's deposit and the KMS that has its key."""

    dataset: str
    service: KeyService
    sealed: SealedFile


class Thief:
    """See the module."""

    def __init__(
        self,
        stage: Stage,
        services: KeyServices,
        machines: Machines,
        *,
        agreement: Path,
        sealed: Mapping[str, Path],
    ) -> None:
        self._own = stage[COORDINATOR].settings
        self._machines = machines
        self._agreement = load_agreed(agreement).agreement
        approvals = (stage.table / f"{party.id}.approval" for party in self._agreement.parties)
        self._pinned = Pinned(self._agreement.encode(), tuple(path.read_bytes() for path in approvals))
        self._targets = [
            _Target(
                dataset.id,
                services.by_owner[dataset.owner],
                open_sealed_file(sealed[dataset.id], self._agreement),
            )
            for dataset in self._agreement.datasets
        ]

    def attempts(self) -> Iterator[Refused]:
        """One after the other. Raises `NotRefusedError` at the first that is not refused as it should be."""
        yield self._by_enclave("an image with one changed line asks", self._machines.altered)
        yield self._by_enclave("the agreed image asks, in debug mode", self._machines.debug)
        other = bytes(reversed(self._agreement.digest()))
        yield self._by_document(
            "a document of the agreed image is shown, bound to another agreement",
            because=_OTHER_AGREEMENT,
            register=extended_once(other),
        )
        yield self._by_document(
            "a document of the agreed enclave is shown again, six minutes later",
            outcome=_INVALID,
            because="attestation/stale",
            age=_OLD,
        )

    def with_ended_release(self) -> Refused:
        """The very image that got the keys before."""
        return self._by_enclave("the image of the ended release asks", self._machines.genuine)

    def _by_enclave(self, deed: str, boot: Callable[[], Enclave]) -> Refused:
        enclave = boot()
        enclave.bind(self._pinned)
        document = enclave.attest(secrets.token_bytes(NONCE_BYTES)).document
        said = {}
        for target in self._targets:
            context = target.sealed.header.context
            enclave.call(
                Op.BEGIN, target.sealed.signed_header, dataset=target.dataset, upload=context.upload_id
            )
            try:
                self._carry(enclave, target)
            except EnclaveRefusedError as error:
                if error.refusal is not Refusal.KMS_DENIED:
                    raise
            else:
                raise NotRefusedError(f"{deed}: the KMS of {target.service.owner} gave the key away")
            said[target.service.role.id] = _reason(target, deed, _DENIED, _OTHER_CODE)
        enclave.end()
        return Refused(deed, said, document)

    def _carry(self, enclave: Enclave, target: _Target) -> None:
        """As a coordinator does, with its credentials, and without its session policy."""
        answer = enclave.call(Op.ERRAND, encode(self._credentials(target.service)), subject=target.dataset)
        step = 0
        with connected("localhost", int(target.service.port), within_s=DEADLINE_S) as endpoint:
            while answer.header["done"] is not True:
                if answer.body:
                    endpoint.send(answer.body)
                step += 1
                received = endpoint.receive(_FRAME_BYTES)
                answer = enclave.call(Op.ERRAND, received, subject=target.dataset, step=step)

    def _by_document(
        self,
        deed: str,
        *,
        because: str,
        outcome: str = _DENIED,
        register: bytes | None = None,
        age: timedelta = timedelta(0),
    ) -> Refused:
        document = self._document(register or extended_once(self._agreement.digest()), age)
        said = {}
        for target in self._targets:
            context = target.sealed.header.context
            try:
                self._client("kms", target.service, self._credentials(target.service)).decrypt(
                    KeyId=target.service.key,
                    CiphertextBlob=target.sealed.header.wrapped_key,
                    EncryptionContext=encryption_context(
                        self._agreement.digest(), context.party, context.dataset
                    ),
                    Recipient={"AttestationDocument": document, "KeyEncryptionAlgorithm": OAEP},
                )
            except ClientError:
                said[target.service.role.id] = _reason(target, deed, outcome, because)
            else:
                raise NotRefusedError(f"{deed}: the KMS of {target.service.owner} gave the key away")
        return Refused(deed, said)

    def _document(self, register: bytes, age: timedelta) -> bytes:
        measured = measure(self._machines.source)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        root = load_or_create_root(self._machines.state)
        signer = DocumentSigner(root, ModuleId.random(), clock=lambda: datetime.now(UTC) - age)
        pcrs = {0: measured.pcr0, 1: measured.pcr1, 2: measured.pcr2, 16: register}
        return signer.sign(pcrs, public_key=spki)

    def _credentials(self, service: KeyService) -> dict[str, str]:
        """The owner's role, taken on for this agreement."""
        own = {
            "access_key_id": self._own["AWS_ACCESS_KEY_ID"],
            "secret_access_key": self._own["AWS_SECRET_ACCESS_KEY"],
            "session_token": self._own["AWS_SESSION_TOKEN"],
        }
        given = self._client("sts", service, own).assume_role(
            RoleArn=service.role_arn,
            RoleSessionName="thief",
            ExternalId=self._agreement.digest().hex(),
        )["Credentials"]
        return {
            "access_key_id": given["AccessKeyId"],
            "secret_access_key": given["SecretAccessKey"],
            "session_token": given["SessionToken"],
        }

    def _client(self, name: str, service: KeyService, credentials: Mapping[str, str]) -> Any:
        return Session().create_client(
            name,
            region_name=service.region,
            endpoint_url=service.endpoint,
            verify=str(service.authority),
            aws_access_key_id=credentials["access_key_id"],
            aws_secret_access_key=credentials["secret_access_key"],
            aws_session_token=credentials["session_token"],
        )


def _reason(target: _Target, deed: str, outcome: str, because: str) -> str:
    return require_refused(target.service.records()[-1], outcome=outcome, because=because, deed=deed)
