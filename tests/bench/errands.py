"""How long a key from KMS takes: opening its answer, and a whole errand to the SIMULATED KMS.

Beside each errand the same call by botocore, with a document made before and over a connection of its
own: the difference is the enclave's document, its own TLS, signature and verification. What the network
to AWS adds, and AWS itself, is not in it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

from enclave_compute.kms.enveloped import open_enveloped
from enclave_compute.kms.recipient import Recipient
from protos.formats.kms import encryption_context
from scenarios.kms import recipient as kms_recipient
from scenarios.kms.enveloped import envelop
from tests import kms_world
from tests.errands_world import credentials_of, decrypting, dialled, service_of, wanting
from tests.kms_world import AGREEMENT, ENCLAVE_ROLE, KmsWorld

_TIMES: Final = 100


def milliseconds() -> dict[str, list[float]]:
    """`_TIMES` figures of each."""
    taken: dict[str, list[float]] = {"a recipient key": [], "opening CiphertextForRecipient": []}
    for _ in range(_TIMES // 10):
        began_s = time.perf_counter()
        recipient = Recipient.make()
        taken["a recipient key"].append(_since_ms(began_s))
    for_kms = kms_recipient.Recipient(recipient.private_key.public_key(), recipient.public_key, {})
    for _ in range(_TIMES):
        message = envelop(bytes(32), for_kms)
        began_s = time.perf_counter()
        open_enveloped(message, recipient)
        taken["opening CiphertextForRecipient"].append(_since_ms(began_s))
    with tempfile.TemporaryDirectory() as folder, kms_world.running(Path(folder)) as kms:
        return taken | _errands(kms)


def _errands(kms: KmsWorld) -> dict[str, list[float]]:
    allowed = kms_world.statement(
        "Enclave", "Allow", {"AWS": ENCLAVE_ROLE}, ["kms:Decrypt", "kms:GenerateDataKey"]
    )
    arn = kms.key(kms_world.policy(kms_world.ADMINISTRATION, allowed))
    context = encryption_context(AGREEMENT, "shop", "customers")
    blob = kms.client(ENCLAVE_ROLE).generate_data_key(
        KeyId=arn, KeySpec="AES_256", EncryptionContext=context
    )["CiphertextBlob"]
    service, credentials = service_of(kms), credentials_of(kms, ENCLAVE_ROLE)
    errands, by_botocore = [], []
    with wanting(kms.folder / "simulator") as enclave:
        for _ in range(_TIMES):
            enclave.want(decrypting(service, arn, blob))
            began_s = time.perf_counter()
            with dialled(service) as server:
                enclave.carry(server, credentials=credentials)
            errands.append(_since_ms(began_s))
            client, recipient = kms.client(ENCLAVE_ROLE), kms.recipient()
            began_s = time.perf_counter()
            client.decrypt(KeyId=arn, CiphertextBlob=blob, EncryptionContext=context, Recipient=recipient)
            by_botocore.append(_since_ms(began_s))
    return {"an errand": errands, "the same call by botocore": by_botocore}


def _since_ms(began_s: float) -> float:
    return 1000 * (time.perf_counter() - began_s)
