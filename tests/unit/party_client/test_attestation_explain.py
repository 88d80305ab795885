"""An explanation shows what is there, verifies nothing, and never gives up on a bad document."""

from __future__ import annotations

import json

import cbor2
import pytest

from party_client.attestation import explain
from tests.conformance.nitro.generate import VECTORS
from tests.conformance.nitro.pki import MODULE_ID, make_chain
from tests.conformance.nitro.signing import AT, document, encode_map, fields, pcr_bank, sign

CHAIN = make_chain(AT)
DOCUMENT = document(CHAIN, AT, user_data=b"\x01\x02", nonce=b"")


def test_the_facts_of_a_document() -> None:
    facts = explain(DOCUMENT).to_dict()
    assert facts["verified"] is False
    assert facts["format"] == {"well_formed": True}
    assert facts["module_id"] == MODULE_ID
    assert facts["signed_at"] == "2026-01-15T12:00:00.125+00:00"
    assert facts["debug_mode"] is False
    assert facts["user_data"] == {"bytes": 2, "hex": "0102"}
    assert facts["nonce"] == {"bytes": 0, "hex": ""}
    assert facts["public_key"] is None
    assert facts["envelope"]["algorithm"] == "ES384"
    assert facts["envelope"]["payload_map"] == "indefinite length"
    assert len(facts["pcrs"]) == 16
    assert facts["pcrs"][0]["meaning"] == "the whole image"
    assert [each["position"] for each in facts["certificates"]] == [
        *(f"cabundle[{position}]" for position in range(4)),
        "certificate",
    ]
    assert facts["certificates"][0]["key"] == "secp384r1"
    assert facts["unknown_fields"] == []


def test_the_text_says_that_nothing_is_verified() -> None:
    text = explain(DOCUMENT).to_text()
    assert text.splitlines()[1] == "NOTHING here is verified: anybody can write a document that says this."
    assert "Not checked here:" in text
    assert f"module         {MODULE_ID}" in text
    assert "nonce          0 bytes" in text
    assert "public_key     absent" in text


def test_debug_mode_is_pointed_out() -> None:
    debug = explain(document(CHAIN, AT, pcrs=pcr_bank(pcr1=bytes(48))))
    assert debug.to_dict()["debug_mode"] is True
    assert "debug mode     YES" in debug.to_text()
    unknown = explain(document(CHAIN, AT, pcrs={3: bytes(48)}))
    assert unknown.to_dict()["debug_mode"] is None
    assert "debug mode     unknown" in unknown.to_text()


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.cbor")), ids=lambda path: path.stem)
def test_every_vector_can_be_shown(path: object) -> None:
    data = path.read_bytes()  # type: ignore[attr-defined]
    explanation = explain(data)
    assert json.loads(json.dumps(explanation.to_dict())) == explanation.to_dict()
    text = explanation.to_text()
    assert text.startswith(f"Attestation document, {len(data)} bytes")
    assert all(line.isprintable() for line in text.splitlines())


@pytest.mark.parametrize(
    "name",
    [
        "tag-61",
        "key-twice",
        "five-elements",
        "algorithm-es256",
        "pcrs-47-bytes",
        "payload-trailing",
        "payload-tagged",
        "nitrotpm",
    ],
)
def test_a_malformed_document_is_named_and_still_shown(name: str) -> None:
    facts = explain((VECTORS / f"{name}.cbor").read_bytes()).to_dict()
    assert facts["format"]["well_formed"] is False
    assert facts["format"]["code"].startswith("attestation/")
    assert facts["module_id"].startswith("i-0123456789abcdef0")


def test_control_characters_are_not_sent_to_the_terminal() -> None:
    text = explain(document(CHAIN, AT, module_id="i-0\x1b[2J-enc0")).to_text()
    assert "\x1b" not in text
    assert "\\x1b" in text


def test_odd_types_are_shown_by_their_names() -> None:
    payload = encode_map(
        [*fields(CHAIN, AT, pcrs={0: 1, "x": b""}, certificate=7, cabundle=[8], nonce=9.5), (1, 2)]
    )
    facts = explain(sign(CHAIN.leaf, payload)).to_dict()
    assert facts["nonce"] == "(float)"
    assert facts["unknown_fields"] == ["(int)"]
    assert [each["problem"] for each in facts["certificates"]] == ["not a byte string"] * 2
    assert facts["pcrs"][0]["value"] == "(int)"
    assert "cannot" not in explain(sign(CHAIN.leaf, payload)).to_text()


@pytest.mark.parametrize(
    "parts", [[1, 2, 3, 4], [b"", {}, [], b""], [b"", {}, "text", None], {1: 2}, 5], ids=repr
)
def test_an_envelope_of_anything_is_shown_as_far_as_it_goes(parts: object) -> None:
    explanation = explain(cbor2.dumps(parts))
    assert "MALFORMED" in explanation.to_text()
    assert "pcrs" not in explanation.to_dict()


def test_the_last_timestamp_of_the_calendar_is_shown() -> None:
    facts = explain(document(CHAIN, AT, timestamp=253_402_300_799_999)).to_dict()
    assert facts["signed_at"] == "9999-12-31T23:59:59.999+00:00"
    assert explain(document(CHAIN, AT, timestamp=253_402_300_800_000)).to_dict()["signed_at"] is None
