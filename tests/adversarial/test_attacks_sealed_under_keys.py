"""Attacks on datasets that wait sealed under a key in KMS: wrapped keys moved, blobs made by anybody, files
forged.

The SIMULATED KMS decides as AWS's does, under the policy that `kms plan` writes. What an enclave does with
such uploads is in `test_attacks_kms_errands`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from party_client.attestation.measurements import extended_once
from party_client.identity import Identity
from party_client.kms import plan
from party_client.seal_to_file import seal_dataset
from party_client.sealed_files import SealedFile, SealedFileError, SealedFileWriter, open_sealed_file
from party_client.sealed_files.reading import chunks_of
from protos.formats import cose
from protos.formats.errors import FormatError, SignatureError
from protos.formats.kms import encryption_context
from protos.formats.sealed import HEADER_LABEL, MANIFEST_LABEL, ChunkSealer, Manifest, SealedHeader
from tests.kms_world import ADMINISTRATOR, enclave_key, refused
from tests.sealing_world import SealingWorld, in_place, sealing_world
from tests.unit.scenarios.kms.enveloped_reader import open_enveloped
from tests.world import ADVERTISER, PUBLISHER, STRANGER

CSV = "email,segment\nann@x.org,sport\nbob@x.org,news\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SealingWorld]:
    with sealing_world(tmp_path_factory.mktemp("attacked")) as made:
        yield made


@pytest.fixture
def path(world: SealingWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """visits, sealed by the publisher."""
    data = tmp_path / "visits.csv"
    data.write_text(CSV)
    output = tmp_path / "visits.sealed"
    key = world.checked(monkeypatch)
    return seal_dataset(world.agreement, "visits", data, output, identity=PUBLISHER, key=key).path


def written(
    path: Path, header: SealedHeader, chunks: list[bytes], manifest: Manifest, key: Ed25519PrivateKey
) -> Path:
    """A sealed file of these pieces, all of it signed with `key`."""
    with path.open("wb") as file:
        writer = SealedFileWriter(file, cose.sign(header.encode(), typ=HEADER_LABEL, key=key))
        for chunk in chunks:
            writer.add(chunk)
        writer.finish(cose.sign(manifest.encode(), typ=MANIFEST_LABEL, key=key), key)
    return path


def pieces(path: Path, world: SealingWorld) -> tuple[SealedFile, list[bytes]]:
    with path.open("rb") as file:
        return open_sealed_file(path, world.agreement), list(chunks_of(file))


def in_another_agreement(world: SealingWorld) -> tuple[SealingWorld, dict[str, Any]]:
    """The same parties, data and key service under other terms, and one key that lets both agreements in.

    That is a mistake of the key's owner; what then refuses is the context alone.
    """
    other = in_place(world.kms, replace(world.agreement, purpose="Something else"))
    statements = [
        *plan(world.terms).key_policy["Statement"],
        *plan(other.terms).key_policy["Statement"],
    ]
    both = [
        {**one, "Sid": f"{one['Sid']}Of{number}"}
        for number, one in enumerate(statements)
        if one["Effect"] == "Allow"
    ]
    return replace(other, arn=world.arn), {"Version": "2012-10-17", "Statement": both}


@contextmanager
def under(world: SealingWorld, policy: dict[str, Any]) -> Iterator[None]:
    """The key has this policy while the block lasts."""
    administrator = world.kms.client(ADMINISTRATOR)
    administrator.put_key_policy(KeyId=world.arn, Policy=json.dumps(policy))
    try:
        yield
    finally:
        administrator.put_key_policy(KeyId=world.arn, Policy=json.dumps(plan(world.terms).key_policy))


def test_attack_13_a_dataset_is_replayed_under_another_agreement(world: SealingWorld, path: Path) -> None:
    """Its data key is bound to the agreement: even a key that lets both agreements in opens it for one."""
    sealed, _ = pieces(path, world)
    other, both = in_another_agreement(world)
    with under(world, both):
        blob = sealed.header.wrapped_key
        here = encryption_context(world.agreement.digest(), "publisher", "visits")
        there = encryption_context(other.agreement.digest(), "publisher", "visits")
        assert world.decrypt(blob, here, world.registers)["CiphertextForRecipient"]
        with refused("InvalidCiphertextException"):
            other.decrypt(blob, there, other.registers)
        with refused("AccessDeniedException"):
            other.decrypt(blob, here, other.registers)
    with pytest.raises(SealedFileError, match="sealed for agreement"):
        open_sealed_file(path, other.agreement)


@pytest.mark.parametrize("entry", [{"dataset": "purchases"}, {"party": "advertiser"}, {"dataset": "#state"}])
def test_attack_13_a_data_key_in_another_place(
    world: SealingWorld, path: Path, entry: dict[str, str]
) -> None:
    sealed, _ = pieces(path, world)
    context = encryption_context(world.agreement.digest(), "publisher", "visits")
    with refused("AccessDeniedException"):
        world.decrypt(sealed.header.wrapped_key, context | entry, world.registers)
    assert world.decrypt(sealed.header.wrapped_key, context, world.registers)["CiphertextForRecipient"]


def test_attack_13_an_enclave_under_another_agreement_asks(world: SealingWorld, path: Path) -> None:
    """In the right context, with a genuine document of the right code."""
    sealed, _ = pieces(path, world)
    other = replace(world.agreement, purpose="Something else")
    context = encryption_context(world.agreement.digest(), "publisher", "visits")
    registers = world.registers | {16: extended_once(other.digest())}
    with refused("AccessDeniedException"):
        world.decrypt(sealed.header.wrapped_key, context, registers)


def test_attack_14_a_blob_by_encrypt_opens_and_proves_nothing(
    world: SealingWorld, path: Path, tmp_path: Path
) -> None:
    """KMS opens what anybody who may Encrypt has made. Whose data it is, the owner's signature says alone."""
    policy = plan(world.terms).key_policy
    encrypting = {
        "Sid": "Mistake",
        "Effect": "Allow",
        "Principal": {"AWS": ADMINISTRATOR},
        "Action": "kms:Encrypt",
        "Resource": "*",
    }
    policy["Statement"] = [*policy["Statement"], encrypting]
    context = encryption_context(world.agreement.digest(), "publisher", "visits")
    attackers_key = bytes(range(32))
    with under(world, policy):
        made = world.kms.client(ADMINISTRATOR).encrypt(
            KeyId=world.arn, Plaintext=attackers_key, EncryptionContext=context
        )
    blob = made["CiphertextBlob"]
    answer = world.decrypt(blob, context, world.registers)
    assert open_enveloped(answer["CiphertextForRecipient"], enclave_key()) == attackers_key
    sealed, _ = pieces(path, world)
    header = replace(sealed.header, wrapped_key=blob)
    sealer = ChunkSealer(attackers_key, header.digest())
    chunks = [sealer.seal(b"invented rows", last=True)]
    manifest = Manifest(header.digest(), 1, sealer.plaintext_bytes, 1, sealer.tags_digest())
    for signer in (STRANGER, ADVERTISER, Identity.generate("publisher", "A publisher")):
        forged = written(tmp_path / signer.id, header, chunks, manifest, signer.signing_key)
        with pytest.raises(SignatureError):
            open_sealed_file(forged, world.agreement)


def test_attack_14_the_owners_header_over_somebody_elses_chunks(
    world: SealingWorld, path: Path, tmp_path: Path
) -> None:
    sealed, _ = pieces(path, world)
    sealer = ChunkSealer(bytes(32), sealed.header.digest())
    chunks = [sealer.seal(b"invented rows", last=True)]
    manifest = Manifest(sealed.header.digest(), 1, sealer.plaintext_bytes, 1, sealer.tags_digest())
    spliced = tmp_path / "spliced"
    with spliced.open("wb") as file:
        writer = SealedFileWriter(file, sealed.signed_header)
        writer.add(chunks[0])
        signed = cose.sign(manifest.encode(), typ=MANIFEST_LABEL, key=ADVERTISER.signing_key)
        writer.finish(signed, ADVERTISER.signing_key)
    with pytest.raises(SignatureError):
        open_sealed_file(spliced, world.agreement)
    whole = io.BytesIO()
    writer = SealedFileWriter(whole, sealed.signed_header)
    writer.add(chunks[0])
    writer.finish(sealed.signed_manifest, ADVERTISER.signing_key)
    spliced.write_bytes(whole.getvalue())
    with pytest.raises(SealedFileError, match="not of these chunks"):
        open_sealed_file(spliced, world.agreement)


def test_attack_14_another_account_behind_the_owners_header(
    world: SealingWorld, path: Path, tmp_path: Path
) -> None:
    """Even the owner's own signature names no key outside the account and region that were agreed."""
    sealed, chunks = pieces(path, world)
    arn = world.arn.replace(":111122223333:", ":444455556666:")
    header = replace(sealed.header, context=replace(sealed.header.context, kms_key=arn))
    manifest = replace(sealed.manifest, header_digest=header.digest())
    elsewhere = written(tmp_path / "elsewhere", header, chunks, manifest, PUBLISHER.signing_key)
    with pytest.raises(FormatError, match="kms key: got"):
        open_sealed_file(elsewhere, world.agreement)
