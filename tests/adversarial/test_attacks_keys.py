"""Attack 52: keys that never leave, against all who want more of them than was agreed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from enclave_compute.key_ring.ring import Output
from party_client.client import Client
from party_client.identity import Identity
from party_client.keys.errors import PublicKeysError
from party_client.keys.job_keys import JobKeys
from protos.formats import cose
from protos.formats.agreement import Agreement
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import decode_untrusted, digest
from protos.formats.errors import SealError, SignatureError
from protos.formats.key_answer import PublicKeys, open_answer
from protos.formats.key_ring import AgreedKey
from protos.formats.key_use import KEY_INPUT_LABEL, KeyCall, sign_key_approval
from protos.formats.limits import KEY_INPUT_MAX_BYTES, MIB
from tests import key_world, world
from tests.enclave_fixtures import refused
from tests.key_world import KEYS, RSA_KEYS, answered, identifiers, key, output, use
from tests.unit.party_client.direct_coordinator import JOB, DirectCoordinator
from tests.world import ADVERTISER, ANALYST, PUBLISHER, STRANGER, Enclave, RefusedByEnclaveError

MESSAGE = b"what is to be signed"


@pytest.fixture
def agreed(enclave: Enclave) -> Agreement:
    (root,) = enclave.roots
    return key_world.agreement(root.sha256)


def bound_to(enclave: Enclave, *keys: AgreedKey) -> Agreement:
    """The agreement on these keys, to which `enclave` is bound now."""
    (root,) = enclave.roots
    agreed = key_world.agreement(root.sha256, keys)
    enclave.bind(agreed)
    return agreed


def keys_of(enclave: Enclave, agreed: Agreement) -> JobKeys:
    return Client(DirectCoordinator(enclave), PUBLISHER, roots=enclave.roots).keys(JOB, agreed)


def test_attack_52_public_keys_of_another_genuine_enclave(
    bound: Enclave, agreed: Agreement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second enclave under the same agreement is genuine; its keys are not those of this job."""
    keys = keys_of(bound, agreed)
    assert keys.public().keys.enclave_id == bound.keys().enclave_id
    with world.simulated_enclave(tmp_path) as other:
        other.bind(agreed)
        elsewhere = DirectCoordinator(other)
        monkeypatch.setattr(keys._client.coordinator, "get_public_keys", elsewhere.get_public_keys)
        with pytest.raises(PublicKeysError, match="got those of enclave"):
            keys.public()


def test_attack_52_a_request_is_replayed_to_another_enclave(
    bound: Enclave, agreed: Agreement, tmp_path: Path
) -> None:
    made = use(agreed, bound.keys(), "edwards", "sign", MESSAGE)
    with world.simulated_enclave(tmp_path) as other:
        other.bind(agreed)
        with refused(Refusal.WRONG_PLACE):
            other.call(Op.KEY_USE, made.call())


def test_attack_52_a_recorded_request_gives_its_asker_the_same_and_nobody_anything(
    bound: Enclave, agreed: Agreement
) -> None:
    made = use(agreed, bound.keys(), "edwards", "sign", MESSAGE)
    first = answered(bound, made)
    for _ in range(5):
        assert answered(bound, made) == first
    with pytest.raises(SealError):
        replace(made, asker=ADVERTISER).opened(bound.call(Op.KEY_USE, made.call()).body, bound.keys())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"agreement_digest": bytes(48)}, Refusal.WRONG_PLACE),
        ({"enclave_id": bytes(16)}, Refusal.WRONG_PLACE),
        ({"key": "master"}, Refusal.UNKNOWN),
        ({"use": "decrypt"}, Refusal.NOT_ALLOWED),
        ({"key": "one_way", "use": "decrypt"}, Refusal.NOT_ALLOWED),
        ({"requested_by": "advertiser"}, Refusal.NOT_ALLOWED),
        ({"input_digest": bytes(48)}, Refusal.DOES_NOT_OPEN),
    ],
)
def test_attack_52_a_request_asks_for_more_than_was_agreed(
    bound: Enclave, agreed: Agreement, changes: dict[str, object], code: Refusal
) -> None:
    made = use(agreed, bound.keys(), "edwards", "sign", MESSAGE, **changes)  # type: ignore[arg-type]
    with refused(code):
        answered(bound, made)


@pytest.mark.parametrize("who", [ANALYST, STRANGER], ids=lambda who: who.id)
def test_attack_52_somebody_who_may_not_use_the_key(bound: Enclave, agreed: Agreement, who: Identity) -> None:
    code = Refusal.BAD_SIGNATURE if who is STRANGER else Refusal.NOT_ALLOWED
    with refused(code):
        answered(bound, use(agreed, bound.keys(), "edwards", "sign", MESSAGE, asker=who))


def test_attack_52_a_request_is_altered_on_the_way(bound: Enclave, agreed: Agreement) -> None:
    made = use(agreed, bound.keys(), "edwards", "sign", MESSAGE)
    altered = made.signed_request.replace(b"edwards", b"codes\x00\x00")
    with refused(Refusal.BAD_SIGNATURE):
        bound.call(Op.KEY_USE, KeyCall(altered, (), made.sealed_input).encode())
    other = cose.sign(made.request.encode(), typ="concordat/run-request/v1", key=PUBLISHER.signing_key)
    with refused(Refusal.BAD_SIGNATURE):
        bound.call(Op.KEY_USE, KeyCall(other, (), made.sealed_input).encode())


def test_attack_52_the_input_of_another_request_is_spliced_in(bound: Enclave, agreed: Agreement) -> None:
    mine = use(agreed, bound.keys(), "edwards", "sign", MESSAGE)
    other = use(agreed, bound.keys(), "edwards", "sign", b"another message")
    with refused(Refusal.DOES_NOT_OPEN):
        bound.call(Op.KEY_USE, KeyCall(mine.signed_request, (), other.sealed_input).encode())
    swapped = use(agreed, bound.keys(), "edwards", "sign", MESSAGE, sealed_content=b"another message")
    with refused(Refusal.DOES_NOT_OPEN):
        bound.call(Op.KEY_USE, swapped.call())


def test_attack_52_an_approval_of_another_request(bound: Enclave, agreed: Agreement) -> None:
    harmless = use(agreed, bound.keys(), "notary", "sign", b"harmless")
    wanted = use(agreed, bound.keys(), "notary", "sign", MESSAGE)
    reused = [harmless.approved_by(who) for who in (PUBLISHER, ADVERTISER)]
    with refused(Refusal.NOT_APPROVED):
        answered(bound, wanted, *reused)
    same_content = use(agreed, bound.keys(), "notary", "sign", b"harmless")
    with refused(Refusal.NOT_APPROVED):
        answered(bound, same_content, *reused)


def test_attack_52_one_party_approves_for_two(bound: Enclave, agreed: Agreement) -> None:
    made = use(agreed, bound.keys(), "notary", "sign", MESSAGE)
    forged = sign_key_approval(
        made.request.digest(), party="advertiser", key=PUBLISHER.signing_key, signed_at_s=0
    )
    with refused(Refusal.NOT_APPROVED):
        answered(bound, made, made.approved_by(PUBLISHER), forged)


def test_attack_52_the_count_is_bypassed_with_one_id(enclave: Enclave) -> None:
    agreed = bound_to(enclave, key("once", "ed25519", "sign", max_uses=1))
    made = use(agreed, enclave.keys(), "once", "sign", MESSAGE)
    answered(enclave, made)
    again = use(
        agreed, enclave.keys(), "once", "sign", b"another message", request_id=made.request.request_id
    )
    with refused(Refusal.WRONG_PLACE):
        answered(enclave, again)
    with refused(Refusal.WRONG_PLACE):
        answered(
            enclave,
            use(
                agreed,
                enclave.keys(),
                "once",
                "sign",
                MESSAGE,
                asker=ADVERTISER,
                request_id=made.request.request_id,
            ),
        )
    with refused(Refusal.NO_USES_LEFT):
        answered(enclave, use(agreed, enclave.keys(), "once", "sign", MESSAGE))


def test_attack_52_an_answer_is_for_its_asker_alone(bound: Enclave, agreed: Agreement) -> None:
    made = use(agreed, bound.keys(), "codes", "hmac", MESSAGE)
    sealed = bound.call(Op.KEY_USE, made.call()).body
    code = made.opened(sealed, bound.keys()).output
    assert code is not None
    assert code not in sealed
    for who in (ADVERTISER, ANALYST, STRANGER):
        for receiver in (PUBLISHER.id, who.id):
            with pytest.raises(SealError):
                open_answer(
                    sealed,
                    request_digest=made.request.digest(),
                    receiver=receiver,
                    key=who.receiving_key,
                    signing_key=bound.keys().signing_key,
                )


def test_attack_52_the_coordinator_reads_no_input(bound: Enclave, agreed: Agreement) -> None:
    made = use(agreed, bound.keys(), "codes", "hmac", MESSAGE)
    assert MESSAGE not in made.call()
    assert digest(KEY_INPUT_LABEL, MESSAGE) != made.request.input_digest
    assert (
        use(agreed, bound.keys(), "codes", "hmac", MESSAGE).request.input_digest != made.request.input_digest
    )


def test_attack_52_a_padding_oracle(enclave: Enclave) -> None:
    """However it is wrong, the answer is the same nothing, as large as a right one, and costs a use."""
    agreed = bound_to(enclave, *RSA_KEYS)
    answer = decode_untrusted(enclave.call(Op.KEYS, nonce=bytes(32)).body, max_bytes=MIB, what="keys")
    halves = {half.key: half.spki for half in PublicKeys.decode_untrusted(answer["public_keys"]).keys}
    public = load_der_public_key(halves["rsa_open"])
    assert isinstance(public, rsa.RSAPublicKey)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    labelled = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"label")
    good = public.encrypt(MESSAGE, oaep)
    wrong = [
        public.encrypt(MESSAGE, padding.PKCS1v15()),
        public.encrypt(MESSAGE, labelled),
        bytes([good[0] ^ 1]) + good[1:],
        good[:-1],
        good + b"\x00",
        b"",
        b"\xff" * 256,
    ]
    sizes, outputs = set(), []
    for number, content in enumerate([good, *wrong], 1):
        made = use(agreed, enclave.keys(), "rsa_open", "decrypt", content)
        sealed = enclave.call(Op.KEY_USE, made.call()).body
        opened = made.opened(sealed, enclave.keys())
        sizes.add(len(sealed))
        outputs.append(opened.output)
        assert opened.number == number
    assert outputs == [MESSAGE, *[None] * len(wrong)]
    assert len(sizes) == 1


def test_attack_52_a_large_ciphertext_that_does_not_decrypt_has_as_large_an_answer(enclave: Enclave) -> None:
    agreed = bound_to(enclave, *KEYS)
    for size in (3_700, 4_068, 100_000, KEY_INPUT_MAX_BYTES - 28):
        good = output(enclave, agreed, "vault", "encrypt", bytes(size))
        assert good is not None
        sizes, outputs = set(), []
        for content in (good, good[:-1] + bytes([good[-1] ^ 1])):
            made = use(agreed, enclave.keys(), "vault", "decrypt", content)
            sealed = enclave.call(Op.KEY_USE, made.call()).body
            outputs.append(made.opened(sealed, enclave.keys()).output)
            sizes.add(len(sealed))
        assert outputs == [bytes(size), None]
        assert len(sizes) == 1


def test_attack_52_guesses_are_bounded_whoever_makes_them(enclave: Enclave) -> None:
    tokens = replace(key_world.TOKENS, max_uses=1000, max_values=7)
    agreed = bound_to(enclave, tokens)
    made = 0
    for number in range(10):
        who = (PUBLISHER, ADVERTISER)[number % 2]
        try:
            answered(
                enclave,
                use(agreed, enclave.keys(), "tokens", "tokenise", identifiers(f"{number}@x.org"), asker=who),
            )
            made += 1
        except RefusedByEnclaveError as error:
            assert error.code == Refusal.NO_USES_LEFT
    assert made == 7
    with refused(Refusal.NO_USES_LEFT):
        output(enclave, agreed, "tokens", "tokenise", identifiers("0@x.org"))


def test_attack_52_nothing_of_a_key_is_in_what_leaves_or_is_printed(
    enclave: Enclave, capfd: pytest.CaptureFixture[str]
) -> None:
    agreed = bound_to(enclave, *key_world.KEYS)
    state = enclave.life._state
    assert state is not None
    ring = state.key_uses._ring
    symmetric = [secret for secret in ring._secrets.values() if isinstance(secret, bytes)]
    assert len(symmetric) == 4
    seen = [repr(enclave.life), repr(ring), repr(state), *map(repr, ring.public_halves())]
    leaving = [enclave.call(Op.KEYS, nonce=bytes(32)).body, enclave.call(Op.STATUS).header]
    made = use(agreed, enclave.keys(), "vault", "encrypt", MESSAGE)
    answer = made.opened(enclave.call(Op.KEY_USE, made.call()).body, enclave.keys())
    seen += [repr(answer), str(leaving), *capfd.readouterr()]
    for secret in symmetric:
        for part in (secret[:32], secret[-32:]):
            assert not any(part.hex() in text or repr(part)[2:-1] in text for text in seen)
            assert part not in (answer.output or b"")


def test_attack_52_what_was_decrypted_is_not_printed(enclave: Enclave) -> None:
    agreed = bound_to(enclave, *key_world.KEYS)
    sealed = output(enclave, agreed, "vault", "encrypt", MESSAGE)
    answer = answered(enclave, use(agreed, enclave.keys(), "vault", "decrypt", sealed or b""))
    assert answer.output == MESSAGE
    assert MESSAGE.decode() not in repr(answer) + repr(Output(MESSAGE))


def test_attack_52_an_answer_of_another_enclave(bound: Enclave, agreed: Agreement, tmp_path: Path) -> None:
    """Whoever knows a receiving key can seal to it; what counts is who signed."""
    made = use(agreed, bound.keys(), "codes", "hmac", MESSAGE)
    sealed = bound.call(Op.KEY_USE, made.call()).body
    assert made.opened(sealed, bound.keys()).output is not None
    with world.simulated_enclave(tmp_path) as other:
        other.bind(agreed)
        with pytest.raises(SignatureError):
            made.opened(sealed, other.keys())
