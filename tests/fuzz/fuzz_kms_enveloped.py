"""Fuzz target: CiphertextForRecipient is refused, or read as another reader of CMS reads it."""

from __future__ import annotations

from asn1crypto import cms

from enclave_compute.errors import RefusedError
from enclave_compute.kms.enveloped import open_enveloped, parse_enveloped_untrusted
from enclave_compute.kms.recipient import Recipient
from protos.formats.calls import Refusal
from scenarios.kms import recipient as kms_recipient
from scenarios.kms.enveloped import assemble, envelop
from tests.fuzz.runner import run
from tests.unit.scenarios.kms.enveloped_reader import parse

RECIPIENT = Recipient.make()
FOR_KMS = kms_recipient.Recipient(RECIPIENT.private_key.public_key(), RECIPIENT.public_key, {})
PLAINTEXTS = (b"", bytes(range(32)), bytes(2500))
MESSAGES = [envelop(plaintext, FOR_KMS) for plaintext in PLAINTEXTS]
SEEDS = [*MESSAGES, *(cms.ContentInfo.load(message).dump(force=True) for message in MESSAGES)]


def one_input(data: bytes) -> None:
    """Reads `data` as a message, and opens it."""
    try:
        parts = parse_enveloped_untrusted(data)
        assert vars(parse(data)) == vars(parts)
        assert parse_enveloped_untrusted(assemble(**vars(parts))) == parts
        open_enveloped(data, RECIPIENT)
    except RefusedError as error:
        assert error.refusal is Refusal.KMS_FAILED


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
