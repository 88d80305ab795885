"""The worked examples of the wire specification are computed again from what they say they start from."""

from __future__ import annotations

import hashlib
import re

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protos.formats import cose
from protos.formats.canonical import digest, encode
from protos.formats.columns import (
    Buffers,
    Texts,
    Values,
    encoded_bytes,
    read_columns_untrusted,
    write_columns,
)
from protos.formats.frames import Frame
from protos.formats.identifiers import AGREEMENT_LABEL
from protos.formats.schema import Column
from protos.formats.sealed import ChunkSealer
from tests.conformance.formats.readers import read_only_frame
from tests.conformance.formats.samples import chunk_key
from tests.meta.repository import ROOT

PAGE = (ROOT / "protos/README.md").read_text(encoding="utf-8")
_EXAMPLE = re.compile(r"^<!-- example: (\w+) -->\n```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINE = re.compile(r"^(\S.*?)  +([0-9a-f]+)$((?:\n {2,}[0-9a-f]+$)*)", re.MULTILINE)


def fields(block: str) -> dict[str, bytes]:
    """`name  hexadecimal` lines, of which the long ones go on below."""
    return {name: bytes.fromhex(first + more) for name, first, more in _LINE.findall(block)}


EXAMPLES = {name: fields(block) for name, block in _EXAMPLE.findall(PAGE)}


def test_every_block_of_hexadecimal_is_an_example() -> None:
    assert EXAMPLES.keys() == {"digest", "signature", "chunk", "columns", "frame"}
    shown = sum(len(value) for example in EXAMPLES.values() for value in example.values())
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    digits = re.findall(r"(?:^|  )([0-9a-f]{2,})$", "\n".join(blocks), re.MULTILINE)
    assert shown == sum(map(len, digits)) // 2


def test_digest() -> None:
    example = EXAMPLES["digest"]
    assert encode([AGREEMENT_LABEL, example["part"]]) == example["hashed"]
    assert hashlib.sha384(example["hashed"]).digest() == example["digest"]
    assert digest(AGREEMENT_LABEL, example["part"]) == example["digest"]


def test_signature() -> None:
    example = EXAMPLES["signature"]
    key = Ed25519PrivateKey.from_private_bytes(example["secret key"])
    assert key.public_key().public_bytes_raw() == example["public key"]
    assert cose.key_id(example["public key"]) == example["key id"]
    label = "concordat/approval/v1"
    assert cose.protected_header(example["key id"], typ=label) == example["protected"]
    assert cose.sig_structure(example["protected"], encode({})) == example["signed"]
    assert cose.sign(encode({}), typ=label, key=key) == example["message"]
    read = cose.verify_untrusted(
        example["message"], typ=label, public_key=example["public key"], max_bytes=1000
    )
    assert read == encode({})


def test_chunk() -> None:
    example = EXAMPLES["chunk"]
    assert example["associated data"] == example["header digest"] + example["nonce"]
    sealer = ChunkSealer(example["data key"], example["header digest"])
    sealer.seal(b"the first chunk", last=False)
    assert sealer.seal(example["plaintext"], last=True) == example["sealed"]
    assert chunk_key(example["data key"], example["header digest"]) == example["chunk key"]
    opened = AESGCM(example["chunk key"]).decrypt(
        example["nonce"], example["sealed"], example["associated data"]
    )
    assert opened == example["plaintext"]


def test_columns() -> None:
    example = EXAMPLES["columns"]
    number = Column("n", "int64", nullable=False, uses=frozenset())
    text = Column("t", "text", nullable=True, uses=frozenset())
    parts = {name: memoryview(data) for name, data in example.items()}
    buffers: list[Buffers] = [
        Values(parts["values"]),
        Texts(parts["bounds"], parts["text"], codes=parts["codes"], valid=parts["validity"]),
    ]
    assert read_columns_untrusted((number, text), example["plaintext"]) == (2, buffers)
    written = bytearray(encoded_bytes((number, text), 2, buffers))
    write_columns((number, text), 2, buffers, memoryview(written))
    assert written == example["plaintext"]
    aligned = b"".join(
        part + bytes(-len(part) % 16)
        for part in (example[name] for name in ("sizes", "values", "validity", "codes", "bounds"))
    )
    assert aligned + example["text"] == example["plaintext"]


def test_frame() -> None:
    example = EXAMPLES["frame"]
    frame = Frame({"op": "run", "id": 1, "run": bytes(range(16))}, example["body"])
    assert encode(frame.header) == example["header"]
    assert frame.prefix() + frame.body == example["frame"]
    assert read_only_frame(example["frame"]) == frame


@pytest.mark.parametrize("label", sorted(set(re.findall(r"concordat/[a-z-]+/v1", PAGE))))
def test_every_label_of_the_specification_is_used(label: str) -> None:
    folders = ("protos/formats", "protos/release", "party_client/sealed_files")
    files = (path for folder in folders for path in (ROOT / folder).glob("*.py"))
    sources = (path.read_text(encoding="utf-8") for path in files)
    assert any(f'"{label}"' in source for source in sources)
