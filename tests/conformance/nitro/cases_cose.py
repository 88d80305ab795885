"""Cases about the envelope and its encoding: verification steps 1, 2 and 5."""

from __future__ import annotations

import cbor2
from cryptography.hazmat.primitives import hashes

from tests.conformance.nitro.cases import VALID, Cases, Laboratory
from tests.conformance.nitro.signing import (
    ES384,
    Raw,
    der_signature,
    encode_map,
    pcr,
    raw_signature,
    sign,
)

COSE = Cases()
P384_ORDER = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
)


def _flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def _parts(lab: Laboratory) -> list[object]:
    parts: list[object] = cbor2.loads(lab.document())
    return parts


def _with_part(lab: Laboratory, index: int, value: object) -> bytes:
    parts = _parts(lab)
    parts[index] = value
    return cbor2.dumps(parts)


def _payload(lab: Laboratory) -> bytes:
    return encode_map(lab.fields())


def _negated_s(lab: Laboratory) -> bytes:
    signature = raw_signature(lab.chain.leaf, _payload(lab))
    s = P384_ORDER - int.from_bytes(signature[48:])
    return _with_part(lab, 3, signature[:48] + s.to_bytes(48))


def _as_qemu_writes_it(lab: Laboratory) -> bytes:
    nothing = bytes(64)
    payload = encode_map(lab.fields(certificate=nothing, cabundle=[nothing]), indefinite=False)
    return cbor2.dumps([bytes.fromhex("a10120"), {}, payload, nothing])


add = COSE.add
add(
    "valid", VALID, "as the NSM writes it: untagged, indefinite-length map, nulls", lambda lab: lab.document()
)
add(
    "valid-definite",
    VALID,
    "definite-length map, as before August 2025",
    lambda lab: lab.document(indefinite=False),
)
add("valid-tag-18", VALID, "with the COSE_Sign1 tag", lambda lab: b"\xd2" + lab.document())
add("valid-negated-s", VALID, "signature (r, n - s): the same statement in other bytes", _negated_s)
add("empty-file", "attestation/size", "no bytes at all", lambda _: b"")
add(
    "over-12-kib",
    "attestation/size",
    "more than an NSM can answer",
    lambda lab: lab.document() + bytes(12 * 1024),
)
add("one-byte", "attestation/cose-shape", "the number 0", lambda _: b"\x00")
add(
    "12-kib",
    "attestation/cbor-malformed",
    "the greatest size, but nothing else",
    lambda _: b"\xff" * 12 * 1024,
)
add(
    "trailing-byte",
    "attestation/trailing-bytes",
    "a byte after the array",
    lambda lab: lab.document() + b"\x00",
)
add("truncated", "attestation/cbor-malformed", "the last byte is missing", lambda lab: lab.document()[:-1])
add("text", "attestation/cbor-malformed", "the document in base64, not the document", lambda _: b"hEShATgi")
add(
    "deeply-nested",
    "attestation/cbor-malformed",
    "200 arrays in each other",
    lambda _: b"\x81" * 200 + b"\x00",
)
add(
    "huge-length",
    "attestation/cbor-malformed",
    "a byte string of 2^63 bytes",
    lambda _: b"\x84\x5b" + b"\x7f" * 8,
)
add("tag-61", "attestation/cbor-tag", "tag 61 around the document", lambda lab: b"\xd8\x3d" + lab.document())
add("tag-18-twice", "attestation/cbor-tag", "tag 18 twice", lambda lab: b"\xd2\xd2" + lab.document())
add("tag-18-long", "attestation/cbor-tag", "tag 18 in two bytes", lambda lab: b"\xd8\x12" + lab.document())
add("not-an-array", "attestation/cose-shape", "a map instead of the array", lambda _: cbor2.dumps({1: 2}))
add("three-elements", "attestation/cose-shape", "no signature", lambda lab: cbor2.dumps(_parts(lab)[:3]))
add(
    "five-elements", "attestation/cose-shape", "a fifth element", lambda lab: cbor2.dumps([*_parts(lab), b""])
)
add(
    "indefinite-array",
    "attestation/cbor-malformed",
    "an envelope of indefinite length",
    lambda lab: b"\x9f" + lab.document()[1:] + b"\xff",
)
add(
    "long-length",
    "attestation/cose-shape",
    "a payload length in more bytes than needed",
    lambda lab: (
        b"\x84"
        + cbor2.dumps(ES384)
        + b"\xa0\x5a"
        + len(_payload(lab)).to_bytes(4)
        + _payload(lab)
        + cbor2.dumps(raw_signature(lab.chain.leaf, _payload(lab)))
    ),
)
add("payload-null", "attestation/cose-shape", "a detached payload", lambda lab: _with_part(lab, 2, None))
add("payload-text", "attestation/cose-shape", "a payload of text", lambda lab: _with_part(lab, 2, "payload"))
add(
    "protected-as-map",
    "attestation/cose-shape",
    "protected header not wrapped in a byte string",
    lambda lab: _with_part(lab, 0, {1: -35}),
)
add(
    "unprotected-array",
    "attestation/cose-shape",
    "unprotected header is an array",
    lambda lab: _with_part(lab, 1, []),
)
add("signature-null", "attestation/cose-shape", "no signature", lambda lab: _with_part(lab, 3, None))
add(
    "algorithm-es256",
    "attestation/algorithm",
    "truly signed under header {1: -7}",
    lambda lab: sign(lab.chain.leaf, _payload(lab), protected=bytes.fromhex("a10126")),
)
add(
    "algorithm-missing",
    "attestation/algorithm",
    "an empty protected header",
    lambda lab: sign(lab.chain.leaf, _payload(lab), protected=b""),
)
add(
    "algorithm-and-more",
    "attestation/algorithm",
    "ES384 and a key id in the protected header",
    lambda lab: sign(lab.chain.leaf, _payload(lab), protected=bytes.fromhex("a20138220441aa")),
)
add(
    "algorithm-long-form",
    "attestation/algorithm",
    "{1: -35} in a longer encoding",
    lambda lab: sign(lab.chain.leaf, _payload(lab), protected=bytes.fromhex("a101390022")),
)
add("qemu-unsigned", "attestation/algorithm", "QEMU's placeholder: algorithm -1, zeros", _as_qemu_writes_it)
add(
    "unprotected-key-id",
    "attestation/unprotected-header",
    "a key id in the unprotected header",
    lambda lab: sign(lab.chain.leaf, _payload(lab), unprotected={4: b"key"}),
)
add(
    "signature-der",
    "attestation/signature-encoding",
    "a true signature in DER",
    lambda lab: _with_part(lab, 3, der_signature(lab.chain.leaf, _payload(lab))),
)
add(
    "signature-95",
    "attestation/signature-encoding",
    "a byte short",
    lambda lab: _with_part(lab, 3, raw_signature(lab.chain.leaf, _payload(lab))[:-1]),
)
add("signature-empty", "attestation/signature-encoding", "no bytes", lambda lab: _with_part(lab, 3, b""))
add(
    "signature-zero",
    "attestation/signature-invalid",
    "96 zero bytes",
    lambda lab: _with_part(lab, 3, bytes(96)),
)
add(
    "signature-flipped",
    "attestation/signature-invalid",
    "one bit of s",
    lambda lab: _flip(lab.document(), len(lab.document()) - 1),
)
add(
    "signature-sha256",
    "attestation/signature-invalid",
    "the leaf's key, but over SHA-256",
    lambda lab: _with_part(
        lab, 3, _raw(der_signature(lab.chain.leaf, _payload(lab), hashed=hashes.SHA256()))
    ),
)
add(
    "signed-by-instance",
    "attestation/signature-invalid",
    "signed by the certificate above the leaf",
    lambda lab: sign(lab.chain.instance, _payload(lab)),
)
add(
    "payload-reencoded",
    "attestation/signature-invalid",
    "the payload written with definite length after signing",
    lambda lab: _with_part(lab, 2, encode_map(lab.fields(), indefinite=False)),
)
add(
    "payload-reordered",
    "attestation/signature-invalid",
    "the keys sorted after signing",
    lambda lab: _with_part(lab, 2, encode_map(sorted(lab.fields()))),
)
add(
    "payload-pcr-altered",
    "attestation/signature-invalid",
    "one bit of PCR0 changed after signing",
    lambda lab: _with_part(lab, 2, _payload(lab).replace(pcr("code 0"), _flip(pcr("code 0"), 0))),
)
add(
    "payload-timestamp-altered",
    "attestation/signature-invalid",
    "a minute later after signing",
    lambda lab: _with_part(lab, 2, encode_map(lab.fields(timestamp=lab.fields()[2][1] + 60_000))),
)
add("payload-not-a-map", "attestation/field", "a payload that is an array", lambda lab: lab.signed(b"\x80"))
add(
    "payload-trailing",
    "attestation/trailing-bytes",
    "a byte after the payload's map",
    lambda lab: lab.signed(_payload(lab) + b"\x00"),
)
add(
    "payload-unfinished",
    "attestation/cbor-malformed",
    "the payload's map does not end",
    lambda lab: lab.signed(_payload(lab)[:-1]),
)
add(
    "payload-tagged",
    "attestation/cbor-tag",
    "the self-described CBOR tag in front of the payload",
    lambda lab: lab.signed(b"\xd9\xd9\xf7" + _payload(lab)),
)
add(
    "payload-bignum",
    "attestation/cbor-tag",
    "the timestamp as a bignum",
    lambda lab: lab.document(timestamp=Raw(b"\xc2" + cbor2.dumps(b"\x01\x9b\xc0\x00\x00\x00"))),
)


def _raw(der: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    r, s = decode_dss_signature(der)
    return r.to_bytes(48) + s.to_bytes(48)
