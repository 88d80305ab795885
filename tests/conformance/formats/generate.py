"""Writes `vectors.json`: run `python -m tests.conformance.formats.generate` after a format has changed.

Everything is deterministic but HPKE. What it sealed is kept in `sealed_once.json` and made again only when it
no longer opens, so an unchanged format gives an unchanged file, and a test compares them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protos.formats import (
    binding,
    cose,
    hpke,
    identifiers,
    key_use,
    query,
    receipt,
    result,
    run_request,
    schema,
    sealed,
    state,
)
from protos.formats.canonical import Value, decode_untrusted, digest, encode
from protos.formats.errors import SealError
from protos.formats.key_answer import KEY_ANSWER_LABEL
from protos.formats.limits import MIB
from tests.chunk_tables import chunk
from tests.conformance.formats import refused, sample_keys, sample_state, samples
from tests.conformance.formats.notation import to_json
from tests.conformance.formats.sample_columns import COLUMNS
from tests.conformance.formats.sample_people import Person

VECTORS = Path(__file__).parent / "vectors.json"
SOURCE = "made for this repository by tests/conformance/formats/generate.py; keys derived from public labels"
SIGNERS = {
    "approval": samples.AIRLINE,
    "signed-header": samples.AIRLINE,
    "signed-manifest": samples.AIRLINE,
    "acceptance": samples.ENCLAVE,
    "signed-run-request": samples.ANALYST,
    "signed-budget-request": samples.ANALYST,
    "signed-budget": samples.ENCLAVE,
    "signed-state-proposal": sample_state.NEXT_ENCLAVE,
    "signed-state-statement": samples.AIRLINE,
    "signed-key-request": samples.ANALYST,
    "key-approval": samples.AIRLINE,
    "signed-key-answer": samples.ENCLAVE,
}
NOT_CBOR = frozenset({"padded-result", "frame"})


def keys() -> dict[str, dict[str, str]]:
    """Seeds and public keys of everybody, the enclave included."""
    return {
        person.id: {
            "signing_seed": person.signing_seed.hex(),
            "signing_key": person.signing_key.hex(),
            "receiving_seed": person.receiving_seed.hex(),
            "receiving_key": person.receiving.public_key.hex(),
        }
        for person in (
            *(samples.AIRLINE, samples.WEATHER, samples.ANALYST),
            *(samples.ENCLAVE, sample_state.NEXT_ENCLAVE),
        )
    }


def messages() -> list[dict[str, Any]]:
    """Every message without a signature: its value, and the one encoding of it."""
    unsigned = {
        name: data for name, data in samples.messages().items() if name not in SIGNERS.keys() | NOT_CBOR
    }
    unsigned["user-data of an enclave"] = samples.user_data()
    unsigned["user-data for KMS"] = binding.kms_recipient_user_data(
        samples.agreement().digest(), b"a public key, DER", samples.ENCLAVE_ID
    )
    unsigned["user-data of a receipt"] = binding.receipt_user_data(samples.claims().encode())
    public_keys = samples.messages()["public-keys"]
    unsigned["user-data of public keys"] = binding.public_keys_user_data(public_keys)
    return [
        {
            "format": name,
            "value": to_json(decode_untrusted(data, max_bytes=MIB, what=name)),
            "bytes": data.hex(),
        }
        for name, data in unsigned.items()
    ]


def parsed(message: bytes) -> Value:
    return decode_untrusted(message, max_bytes=MIB, what="sample")


def signatures() -> list[dict[str, str]]:
    """Every signed message: the payload, the bytes that are signed, the message."""
    return [
        {"format": name, "signer": SIGNERS[name].id, **signature(data)}
        for name, data in samples.messages().items()
        if name in SIGNERS
    ]


def signature(message: bytes) -> dict[str, str]:
    protected, _, payload, _ = parsed(message)
    label = parsed(payload)["label"]
    signed_bytes = cose.sig_structure(protected, payload)
    return {
        "type": label,
        "payload": payload.hex(),
        "signed_bytes": signed_bytes.hex(),
        "bytes": message.hex(),
    }


def digests() -> list[dict[str, Any]]:
    """Every use of H(label, part…)."""
    agreement, bundle = samples.agreement(), samples.key_bundle().encode()
    uses: list[tuple[str, list[bytes]]] = [
        (identifiers.AGREEMENT_LABEL, [b"\x01\x02"]),
        (identifiers.AGREEMENT_LABEL, [agreement.encode()]),
        (schema.SCHEMA_LABEL, [encode(samples.FLIGHTS.to_value())]),
        (query.QUERY_LABEL, [encode(samples.QUERY.to_value())]),
        (binding.ATTESTATION_LABEL, [agreement.digest(), bundle, samples.ENCLAVE_ID]),
        (binding.RECEIPT_BINDING_LABEL, [samples.claims().encode()]),
        (sealed.HEADER_LABEL, [samples.sealed_header().encode()]),
        (sealed.MANIFEST_LABEL, [samples.manifest().encode()]),
        (receipt.CLAIMS_LABEL, [samples.claims().encode()]),
        (result.RESULT_LABEL, [samples.RESULT]),
        (state.EVENT_LABEL, [sample_state.begun().encode()]),
        (binding.KEY_BUNDLE_LABEL, [bundle]),
        (run_request.RUN_REQUEST_LABEL, [samples.signed_run_request()]),
        (binding.PUBLIC_KEYS_LABEL, [samples.messages()["public-keys"]]),
        (key_use.KEY_REQUEST_LABEL, [samples.messages()["key-request"]]),
        (key_use.KEY_INPUT_LABEL, [sample_keys.SALT, sample_keys.INPUT]),
    ]
    return [
        {"label": label, "parts": [part.hex() for part in parts], "digest": digest(label, *parts).hex()}
        for label, parts in uses
    ]


def seals() -> list[dict[str, str]]:
    """What was sealed to a public key; it opens with the receiver's seed."""
    header, sealed_result = samples.sealed_header(), samples.sealed_result()
    opened = [
        ("enclave", header.context.info(), samples.DATA_KEY, header.wrapped_key),
        ("analyst", sealed_result.context.info(), result.pad(samples.RESULT), sealed_result.sealed),
        (
            "next_life",
            sample_state.unsealed().share_info(),
            sample_state.SHARES["airline"],
            sample_state.statement().share,
        ),
        ("enclave", *key_input(), samples.sealed_once("key_input")),
        ("analyst", *key_answer(), samples.sealed_once("key_answer")),
    ]
    return [
        {"receiver": receiver, "info": info.hex(), "plaintext": plaintext.hex(), "bytes": data.hex()}
        for receiver, info, plaintext, data in opened
    ]


def key_request() -> key_use.KeyRequest:
    return sample_keys.request(samples.agreement().digest(), samples.ENCLAVE_ID)


def key_input() -> tuple[bytes, bytes]:
    """(info, plaintext) of an input on its way to the enclave."""
    info = encode({"label": key_use.KEY_INPUT_LABEL, "request": key_request().digest()})
    return info, result.pad(sample_keys.SALT + sample_keys.INPUT)


def key_answer() -> tuple[bytes, bytes]:
    """(info, plaintext) of an answer on its way to whoever asked."""
    info = {"label": KEY_ANSWER_LABEL, "request": key_request().digest(), "receiver": "analyst"}
    return encode(info), result.pad(samples.messages()["signed-key-answer"])


def chunks() -> dict[str, Any]:
    """One upload's chunks: each with the nonce and the associated data of its place."""
    sealed_chunks, sealer = samples.sealed_chunks()
    header_digest = samples.sealed_header().digest()
    places = [
        number.to_bytes(11, "big") + bytes([number == len(sealed_chunks) - 1])
        for number in range(len(sealed_chunks))
    ]
    return {
        "key": samples.DATA_KEY.hex(),
        "header_digest": header_digest.hex(),
        "chunk_key": samples.chunk_key(samples.DATA_KEY, header_digest).hex(),
        "tags_digest": sealer.tags_digest().hex(),
        "chunks": [
            {
                "nonce": place.hex(),
                "associated_data": (header_digest + place).hex(),
                "plaintext": plaintext.hex(),
                "bytes": data.hex(),
            }
            for place, plaintext, data in zip(places, samples.CHUNKS, sealed_chunks, strict=True)
        ],
    }


def state_seal() -> dict[str, str]:
    """What is sealed in a record of state, and with what."""
    record = sample_state.record()
    info = encode([state.KEY_LABEL, record.agreement_digest, record.enclave_id, record.life])
    parts = sample_state.STATE_DATA_KEY + b"".join(sample_state.SHARES.values())
    key = HKDF(hashes.SHA384(), 32, salt=None, info=info).derive(parts)
    return {
        "data_key": sample_state.STATE_DATA_KEY.hex(),
        "shares": "".join(share.hex() for share in sample_state.SHARES.values()),
        "key": key.hex(),
        "nonce": record.sequence.to_bytes(12, "big").hex(),
        "associated_data": record.head().hex(),
        "plaintext": sample_state.content().encode().hex(),
        "bytes": record.sealed.hex(),
    }


def columns() -> list[dict[str, Any]]:
    """Three rows of one nullable column `c` of every type, as the plaintext of a chunk."""
    return [
        {
            "type": kind.partition(" ")[0],
            "values": list(map(shown, values)),
            "bytes": chunk(pa.table({"c": pa.array(values, layout)})).hex(),
        }
        for kind, (values, layout) in COLUMNS.items()
    ]


def shown(value: object) -> str | None:
    """A value of a column as the vectors write it: bytes in hexadecimal, all else as Python prints it."""
    if value is None:
        return None
    return value.hex() if isinstance(value, bytes) else str(value)


def vectors() -> dict[str, Any]:
    """All of `vectors.json`."""
    frame = samples.frame()
    return {
        "source": SOURCE,
        "specification": "protos/README.md",
        "notation": "bytes are hexadecimal; in a value, h'…' is a byte string and all else is itself",
        "keys": keys(),
        "messages": messages(),
        "signatures": signatures(),
        "digests": digests(),
        "seals": seals(),
        "upload": chunks(),
        "state": state_seal(),
        "columns": columns(),
        "frame": {
            "header": to_json(frame.header),
            "body": frame.body.hex(),
            "bytes": samples.messages()["frame"].hex(),
        },
        "padding": {"result": samples.RESULT.hex(), "bytes": samples.messages()["padded-result"].hex()},
        "refused": [
            {"format": case.format, "what": case.what, "expect": case.expect, "bytes": case.message.hex()}
            for case in refused.cases()
        ],
    }


def seal_once() -> None:
    """Seals again what does not open any more, each before what has it inside."""
    enclave, analyst, next_life = samples.ENCLAVE, samples.ANALYST, sample_state.NEXT_ENCLAVE
    share = sample_state.SHARES["airline"]
    wanted: dict[str, tuple[Person, Callable[[], tuple[bytes, bytes]]]] = {
        "wrapped_key": (enclave, lambda: (samples.sealed_context().info(), samples.DATA_KEY)),
        "sealed_result": (analyst, lambda: (samples.result_context().info(), result.pad(samples.RESULT))),
        "share": (next_life, lambda: (sample_state.unsealed().share_info(), share)),
        "key_input": (enclave, key_input),
        "key_answer": (analyst, key_answer),
    }
    kept: dict[str, str] = {}
    for name, (receiver, how) in wanted.items():
        kept[name] = sealed_again(name, receiver, *how()).hex()
        samples.SEALED_ONCE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    samples.sealed_result.cache_clear()


def sealed_again(name: str, receiver: Person, info: bytes, plaintext: bytes) -> bytes:
    """What is kept under `name` if it opens, else sealed now."""
    try:
        kept = samples.sealed_once(name)
        receiver.receiving.open(kept, info=info)
    except (FileNotFoundError, KeyError, SealError):
        return hpke.seal(plaintext, public_key=receiver.receiving.public_key, info=info)
    return kept


def main() -> None:
    """Replaces the vectors."""
    seal_once()
    VECTORS.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
