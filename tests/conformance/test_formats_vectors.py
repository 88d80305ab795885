"""The golden vectors of every format: encoders make these bytes, readers give back these values.

What the vectors say is checked without the classes that made them wherever a general encoder or a primitive
of `cryptography` can do it, as a second implementation would have to.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from party_client.attestation import (
    AgreementInPcr16,
    AllOf,
    AllowedReleases,
    Binding,
    TrustedRoots,
    verify_replay,
)
from protos.formats import hpke
from protos.formats.agreement import Agreement
from protos.formats.approvals import Approval, verify_approvals_untrusted
from protos.formats.binding import receipt_user_data
from protos.formats.canonical import encode
from protos.formats.errors import ConcordatError
from protos.formats.result import SealedResult, open_result
from protos.formats.schema import Column
from protos.formats.sealed import ChunkOpener, acceptance_payload
from tests.chunk_tables import unpacked
from tests.conformance.formats import sample_keys, sample_state, samples
from tests.conformance.formats.generate import VECTORS, shown, vectors
from tests.conformance.formats.notation import from_json
from tests.conformance.formats.readers import READERS, read_cbor

GOLDEN: dict[str, Any] = json.loads(VECTORS.read_text(encoding="utf-8"))


def named(entry: dict[str, Any]) -> str:
    return " ".join(entry[key] for key in ("format", "what", "label", "receiver") if key in entry)


def test_the_generator_makes_the_same_file_again() -> None:
    assert vectors() == GOLDEN


def test_every_format_has_a_message_and_a_refusal() -> None:
    good = {entry["format"] for part in ("messages", "signatures") for entry in GOLDEN[part]}
    assert good | {"frame", "padded-result"} >= READERS.keys()
    assert {entry["format"] for entry in GOLDEN["refused"]} <= READERS.keys()
    unsigned = {"cbor", "agreement", "key-bundle", "sealed-header", "manifest", "run-request", "claims"}
    assert {entry["format"] for entry in GOLDEN["refused"]} >= unsigned | {"approval", "receipt", "frame"}


@pytest.mark.parametrize("entry", GOLDEN["messages"], ids=named)
def test_value_has_one_encoding(entry: dict[str, Any]) -> None:
    value, message = from_json(entry["value"]), bytes.fromhex(entry["bytes"])
    assert encode(value) == message
    assert READERS["cbor"](message) == value


@pytest.mark.parametrize("name", sorted(READERS))
def test_reader_accepts_the_golden_message(name: str) -> None:
    read = READERS[name](samples.messages()[name])
    expected: dict[str, object] = {
        "cbor": from_json(next(e["value"] for e in GOLDEN["messages"] if e["format"] == "cbor")),
        "approval": Approval(samples.agreement().digest(), "airline", samples.SIGNED_AT_S),
        "acceptance": acceptance_payload(samples.manifest().digest(), samples.ENCLAVE_ID),
        "agreement": samples.agreement(),
        "key-bundle": samples.key_bundle(),
        "sealed-header": samples.sealed_header(),
        "envelope-header": samples.envelope_header(),
        "manifest": samples.manifest(),
        "run-request": samples.run_request(),
        "sealed-result": samples.sealed_result(),
        "claims": samples.claims(),
        "receipt": samples.receipt(),
        "frame": samples.frame(),
        "padded-result": samples.RESULT,
        "signed-header": samples.sealed_header().encode(),
        "signed-manifest": samples.manifest().encode(),
        "signed-run-request": samples.run_request().encode(),
        "budget-request": samples.budget_request(),
        "budget": samples.budget(),
        "signed-budget-request": samples.budget_request().encode(),
        "signed-budget": samples.budget().encode(),
        "ledger-event": sample_state.begun(),
        "state-content": sample_state.content(),
        "state-record": sample_state.record(),
        "state-proposal": sample_state.proposal(),
        "signed-state-proposal": sample_state.proposal().encode(),
        "state-statement": sample_state.statement(),
        "signed-state-statement": sample_state.statement().encode(),
        **sample_keys.values(samples.agreement().digest(), samples.ENCLAVE_ID, samples.messages()),
    }
    assert read == expected[name]


@pytest.mark.parametrize("entry", GOLDEN["signatures"], ids=named)
def test_signature(entry: dict[str, Any]) -> None:
    keys = GOLDEN["keys"][entry["signer"]]
    message, signed = bytes.fromhex(entry["bytes"]), bytes.fromhex(entry["signed_bytes"])
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(keys["signing_key"])).verify(message[-64:], signed)
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(keys["signing_seed"]))
    assert private.sign(signed) == message[-64:]
    context, protected, nothing, payload = read_cbor(signed)
    assert (context, nothing, payload.hex()) == ("Signature1", b"", entry["payload"])
    kid = hashlib.sha256(bytes.fromhex(keys["signing_key"])).digest()
    assert protected == bytes.fromhex("a301320458 20") + kid + b"\x10" + encode(entry["type"])
    assert encode([protected, {}, payload, message[-64:]]) == message


@pytest.mark.parametrize("entry", GOLDEN["digests"], ids=named)
def test_digest(entry: dict[str, Any]) -> None:
    hashed = encode([entry["label"], *map(bytes.fromhex, entry["parts"])])
    assert hashlib.sha384(hashed).hexdigest() == entry["digest"]


@pytest.mark.parametrize("entry", GOLDEN["seals"], ids=named)
def test_sealed_value_opens_with_the_seed(entry: dict[str, Any]) -> None:
    key = hpke.PrivateKey(bytes.fromhex(GOLDEN["keys"][entry["receiver"]]["receiving_seed"]))
    opened = key.open(bytes.fromhex(entry["bytes"]), info=bytes.fromhex(entry["info"]))
    assert opened.hex() == entry["plaintext"]


def test_sealed_result_opens_to_the_unpadded_result() -> None:
    sealed = SealedResult.decode_untrusted(samples.messages()["sealed-result"])
    assert open_result(sealed, key=samples.ANALYST.receiving) == samples.RESULT


def test_a_record_of_state_is_aes_gcm_under_a_key_of_kms_and_witnesses() -> None:
    sealed = {name: bytes.fromhex(text) for name, text in GOLDEN["state"].items()}
    opened = AESGCM(sealed["key"]).decrypt(sealed["nonce"], sealed["bytes"], sealed["associated_data"])
    assert opened == sealed["plaintext"] == samples.messages()["state-content"]
    record = read_cbor(samples.messages()["state-record"])
    assert record.pop("sealed") == sealed["bytes"]
    assert encode(record) == sealed["associated_data"]
    info = ["concordat/state-key/v1", record["agreement"], record["enclave"], record["life"]]
    parts = sealed["data_key"] + sealed["shares"]
    assert HKDF(hashes.SHA384(), 32, salt=None, info=encode(info)).derive(parts) == sealed["key"]


def test_chunks_are_aes_gcm_in_their_places() -> None:
    upload = GOLDEN["upload"]
    key, header_digest = bytes.fromhex(upload["key"]), bytes.fromhex(upload["header_digest"])
    opener, tags = ChunkOpener(key, header_digest), hashlib.sha384()
    chunk_key = bytes.fromhex(upload["chunk_key"])
    assert chunk_key == samples.chunk_key(key, header_digest)
    for entry in upload["chunks"]:
        nonce, associated, plaintext, sealed = (
            bytes.fromhex(entry[name]) for name in ("nonce", "associated_data", "plaintext", "bytes")
        )
        assert AESGCM(chunk_key).encrypt(nonce, plaintext, associated) == sealed
        assert opener.open(sealed, last=entry is upload["chunks"][-1]) == plaintext
        tags.update(sealed[-16:])
    assert opener.finished
    assert opener.tags_digest().hex() == tags.hexdigest() == upload["tags_digest"]
    assert samples.manifest().tags_digest == tags.digest()


@pytest.mark.parametrize("entry", GOLDEN["columns"], ids=lambda entry: str(entry["type"]))
def test_columns(entry: dict[str, Any]) -> None:
    agreed = (Column("c", entry["type"], nullable=True, uses=frozenset()),)
    read = unpacked(agreed, bytes.fromhex(entry["bytes"])).column(0).to_pylist()
    assert list(map(shown, read)) == entry["values"]


def test_frame() -> None:
    entry = GOLDEN["frame"]
    header, body = encode(from_json(entry["header"])), bytes.fromhex(entry["body"])
    assert struct.pack(">HI", len(header), len(body)) + header + body == bytes.fromhex(entry["bytes"])


def test_padding() -> None:
    result, padded = (bytes.fromhex(GOLDEN["padding"][name]) for name in ("result", "bytes"))
    assert padded == len(result).to_bytes(4, "big") + result + bytes(4096 - 4 - len(result))


def test_the_agreement_is_in_force_and_its_receipt_holds() -> None:
    receipt = samples.receipt()
    in_force = verify_approvals_untrusted(Agreement.decode_untrusted(receipt.agreement), receipt.approvals)
    binding = Binding(receipt_user_data(receipt.claims))
    policy = AllOf([AllowedReleases(in_force.agreement.releases), AgreementInPcr16(in_force.digest), binding])
    roots = TrustedRoots.from_pem(samples.laboratory().chain.root.pem, name="test")
    verified = verify_replay(receipt.attestation, roots=roots, policy=policy)
    assert verified.document.user_data == binding.user_data


@pytest.mark.parametrize("entry", GOLDEN["refused"], ids=named)
def test_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(ConcordatError) as caught:
        READERS[entry["format"]](bytes.fromhex(entry["bytes"]))
    assert type(caught.value).__name__ == entry["expect"], caught.value
