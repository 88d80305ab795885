"""Uses of keys as an enclave lets them through: by whom, for what, how often, with whose consent."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from party_client.attestation import AgreementInPcr16, AllOf, AllowedReleases, Binding, verify_now
from party_client.attestation.errors import BindingMismatchError
from protos.formats import cose
from protos.formats.agreement import Agreement
from protos.formats.binding import attestation_user_data, public_keys_user_data
from protos.formats.budget import BUDGET_LABEL, BUDGET_REQUEST_LABEL, Budget, BudgetRequest
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import decode_untrusted
from protos.formats.key_answer import PublicKeys
from protos.formats.limits import BUDGET_MAX_BYTES, KEY_INPUT_MAX_BYTES, MIB
from tests import key_world, world
from tests.enclave_fixtures import refused
from tests.key_world import PARTIES, TOKENS, answered, identifiers, key, output, use
from tests.world import ADVERTISER, ANALYST, PUBLISHER, Enclave

MESSAGE = b"what is to be signed"


@pytest.fixture
def agreed(enclave: Enclave) -> Agreement:
    (root,) = enclave.roots
    return key_world.agreement(root.sha256)


def left(enclave: Enclave, agreed: Agreement, key_id: str) -> dict[str, int]:
    """Window → what is left of a key, by the enclave's signed word."""
    keys = enclave.keys()
    request = BudgetRequest(os.urandom(32), agreed.digest(), keys.enclave_id, ANALYST.id)
    signed = cose.sign(request.encode(), typ=BUDGET_REQUEST_LABEL, key=ANALYST.signing_key)
    payload = cose.verify_untrusted(
        enclave.call(Op.BUDGET, signed).body,
        typ=BUDGET_LABEL,
        public_key=keys.signing_key,
        max_bytes=BUDGET_MAX_BYTES,
    )
    found = {budget.key: budget.windows for budget in Budget.decode_untrusted(payload).keys}
    return {window.window: window.left for window in found[key_id]}


def test_a_use_is_answered_counted_and_shown_in_the_budget(bound: Enclave, agreed: Agreement) -> None:
    made = use(agreed, bound.keys(), "edwards", "sign", MESSAGE)
    answer = answered(bound, made)
    assert (answer.request_digest, answer.number) == (made.request.digest(), 1)
    assert answer.output is not None
    assert left(bound, agreed, "edwards") == {"uses": 2, "day": 1}
    second = answered(bound, use(agreed, bound.keys(), "edwards", "sign", MESSAGE, asker=ADVERTISER))
    assert second.number == 2
    assert second.output == answer.output
    assert left(bound, agreed, "edwards") == {"uses": 1, "day": 0}


def test_keys_need_no_datasets_and_no_queries(bound: Enclave, agreed: Agreement) -> None:
    assert not agreed.datasets
    assert not agreed.queries
    assert output(bound, agreed, "codes", "hmac", MESSAGE) is not None


def test_keys_stand_beside_datasets_that_nobody_has_sent(enclave: Enclave, agreed: Agreement) -> None:
    both = key_world.agreement(
        agreed.releases[0].root_sha256, datasets=(world.visits(), world.purchases()), queries=(world.query(),)
    )
    enclave.bind(both)
    assert output(enclave, both, "codes", "hmac", MESSAGE) is not None


def test_before_binding_there_are_no_keys(enclave: Enclave, agreed: Agreement) -> None:
    with refused(Refusal.WRONG_PHASE):
        enclave.call(Op.KEYS, nonce=bytes(32))
    with refused(Refusal.WRONG_PHASE):
        enclave.call(Op.KEY_USE, b"")


def test_the_same_request_is_one_use_with_one_output(bound: Enclave, agreed: Agreement) -> None:
    made = use(agreed, bound.keys(), "vault", "encrypt", MESSAGE)
    first, again = answered(bound, made), answered(bound, made)
    assert first == again
    assert left(bound, agreed, "vault") == {"uses": 99}


def test_a_repeated_request_is_answered_when_no_use_is_left(enclave: Enclave, agreed: Agreement) -> None:
    agreed = key_world.agreement(
        agreed.releases[0].root_sha256, (key("once", "ed25519", "sign", max_uses=1),)
    )
    enclave.bind(agreed)
    made = use(agreed, enclave.keys(), "once", "sign", MESSAGE)
    first = answered(enclave, made)
    assert answered(enclave, made) == first
    with refused(Refusal.NO_USES_LEFT):
        answered(enclave, use(agreed, enclave.keys(), "once", "sign", MESSAGE))


def test_windows_slide_and_say_that_there_will_be_more(bound: Enclave, agreed: Agreement) -> None:
    for _ in range(2):
        output(bound, agreed, "edwards", "sign", MESSAGE)
    with refused(Refusal.NO_USES_NOW):
        output(bound, agreed, "edwards", "sign", MESSAGE)


def test_identifiers_are_counted_in_all_uses_together(bound: Enclave, agreed: Agreement) -> None:
    answered(bound, use(agreed, bound.keys(), "tokens", "tokenise", identifiers(*"abcdefg")))
    assert left(bound, agreed, "tokens") == {"uses": 4, "values": 3}
    with refused(Refusal.NO_USES_LEFT):
        output(bound, agreed, "tokens", "tokenise", identifiers(*"hijk"))
    assert left(bound, agreed, "tokens") == {"uses": 4, "values": 3}
    assert output(bound, agreed, "tokens", "tokenise", identifiers(*"hij")) is not None


def test_what_is_refused_costs_nothing(bound: Enclave, agreed: Agreement) -> None:
    with refused(Refusal.SCHEMA_MISMATCH):
        output(bound, agreed, "tokens", "tokenise", b"no column")
    assert left(bound, agreed, "tokens") == {"uses": 5, "values": 10}


def test_what_does_not_decrypt_costs_a_use(bound: Enclave, agreed: Agreement) -> None:
    assert output(bound, agreed, "vault", "decrypt", bytes(40)) is None
    assert left(bound, agreed, "vault") == {"uses": 99}


def test_every_party_that_has_to_approve_has_to_approve(bound: Enclave, agreed: Agreement) -> None:
    made = use(agreed, bound.keys(), "notary", "sign", MESSAGE)
    own, other = made.approved_by(PUBLISHER), made.approved_by(ADVERTISER)
    for approvals in ((), (own,), (other,), (own, own)):
        with refused(Refusal.NOT_APPROVED):
            answered(bound, made, *approvals)
    assert left(bound, agreed, "notary") == {"uses": 100}
    assert answered(bound, made, b"junk", other, own).output is not None


def test_the_largest_input_and_none_larger(bound: Enclave, agreed: Agreement) -> None:
    content = bytes(KEY_INPUT_MAX_BYTES)
    sealed = output(bound, agreed, "vault", "encrypt", content)
    assert sealed is not None
    assert len(sealed) == len(content) + 28
    made = use(agreed, bound.keys(), "vault", "encrypt", content)
    with refused(Refusal.OVER_LIMIT):
        bound.call(Op.KEY_USE, made.call() + bytes(MIB))


def test_answers_to_inputs_of_one_size_have_one_size(bound: Enclave, agreed: Agreement) -> None:
    """Whether something decrypted is not to be seen from outside."""
    good = output(bound, agreed, "vault", "encrypt", MESSAGE)
    assert good is not None
    sizes = set()
    for content in (good, bytes(len(good))):
        made = use(agreed, bound.keys(), "vault", "decrypt", content)
        sizes.add(len(bound.call(Op.KEY_USE, made.call()).body))
    assert len(sizes) == 1


def test_after_the_agreement_no_key_is_used(tmp_path: Path) -> None:
    with world.simulated_enclave(tmp_path, clock=datetime(2026, 1, 1, tzinfo=UTC)) as enclave:
        (root,) = enclave.roots
        agreed = key_world.agreement(root.sha256)
        enclave.bind(agreed)
        made = use(agreed, enclave.keys(), "codes", "hmac", MESSAGE)
        answered(enclave, made)
        enclave.life._clock._latest_ms = world.VALID_UNTIL_S * 1000
        with refused(Refusal.NOT_VALID_NOW):
            answered(enclave, made)


def public_keys(enclave: Enclave, nonce: bytes) -> tuple[bytes, bytes]:
    answer = decode_untrusted(enclave.call(Op.KEYS, nonce=nonce).body, max_bytes=MIB, what="keys")
    return answer["document"], answer["public_keys"]


def test_public_halves_are_attested_for_the_nonce_under_a_label_of_their_own(
    bound: Enclave, agreed: Agreement
) -> None:
    document, encoded = public_keys(bound, b"n" * 32)
    policy = [AllowedReleases(agreed.releases), AgreementInPcr16(agreed.digest())]
    verify_now(
        document,
        roots=bound.roots,
        nonce=b"n" * 32,
        now=datetime.now(UTC),
        policy=AllOf([*policy, Binding(public_keys_user_data(encoded))]),
    )
    for_a_party = attestation_user_data(agreed.digest(), encoded, bound.keys().enclave_id)
    with pytest.raises(BindingMismatchError):
        verify_now(
            document,
            roots=bound.roots,
            nonce=b"n" * 32,
            now=datetime.now(UTC),
            policy=AllOf([*policy, Binding(for_a_party)]),
        )
    keys = PublicKeys.decode_untrusted(encoded)
    assert (keys.agreement_digest, keys.enclave_id) == (agreed.digest(), bound.keys().enclave_id)
    assert [half.key for half in keys.keys] == ["p256", "p384", "edwards", "notary"]
    loaded = load_der_public_key(keys.keys[2].spki)
    assert isinstance(loaded, Ed25519PublicKey)
    loaded.verify(output(bound, agreed, "edwards", "sign", MESSAGE) or b"", MESSAGE)


def test_no_two_lives_have_the_same_keys(bound: Enclave, agreed: Agreement, tmp_path: Path) -> None:
    with world.simulated_enclave(tmp_path) as other:
        other.bind(agreed)
        ours, theirs = (PublicKeys.decode_untrusted(public_keys(one, bytes(32))[1]) for one in (bound, other))
        assert not {half.spki for half in ours.keys} & {half.spki for half in theirs.keys}
        tokens = [
            output(one, agreed, "tokens", "tokenise", identifiers("ann@x.org")) for one in (bound, other)
        ]
        assert tokens[0] != tokens[1]


def test_both_parties_make_the_same_tokens(bound: Enclave, agreed: Agreement) -> None:
    made = [
        answered(bound, use(agreed, bound.keys(), "tokens", "tokenise", identifiers(text), asker=who)).output
        for text, who in (("ann@x.org", PUBLISHER), (" ANN@x.org ", ADVERTISER))
    ]
    assert made[0] == made[1]


def test_rsa_keys_are_made_with_the_others(enclave: Enclave, agreed: Agreement) -> None:
    root = agreed.releases[0].root_sha256
    mine = replace(key_world.RSA_KEYS[0], used_by=PARTIES)
    agreed = key_world.agreement(root, (mine, TOKENS))
    enclave.bind(agreed)
    assert output(enclave, agreed, "rsa_sign", "sign", MESSAGE) is not None


def test_what_has_no_use_left_is_not_even_opened(enclave: Enclave, agreed: Agreement) -> None:
    agreed = key_world.agreement(
        agreed.releases[0].root_sha256, (key("once", "ed25519", "sign", max_uses=1),)
    )
    enclave.bind(agreed)
    output(enclave, agreed, "once", "sign", MESSAGE)
    with refused(Refusal.NO_USES_LEFT):
        answered(enclave, use(agreed, enclave.keys(), "once", "sign", MESSAGE, sealed_content=b"another"))
