"""Keys that never leave, in the next life of their enclave: the same, and every use counted (15, 52)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from party_client.witnessing import StateBehindError
from protos.formats import limits
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import decode_untrusted
from protos.formats.key_answer import PublicKeys
from protos.formats.limits import MIB
from tests import key_world
from tests.enclave_fixtures import refused
from tests.key_world import RSA_KEYS, answered, identifiers, output, use
from tests.state_world import StateWorld, offered, state_world
from tests.world import PUBLISHER, Enclave

KEYS = (*key_world.KEYS, *RSA_KEYS)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateWorld]:
    with state_world(tmp_path, lambda agreed: replace(agreed, datasets=(), queries=(), keys=KEYS)) as state:
        yield state


def public(enclave: Enclave) -> PublicKeys:
    body = enclave.call(Op.KEYS, nonce=bytes(32)).body
    fields = decode_untrusted(body, max_bytes=MIB, what="public keys")
    return PublicKeys.decode_untrusted(fields["public_keys"])


def test_the_next_life_has_the_same_keys(state: StateWorld) -> None:
    first = state.taken_up()
    token = output(first, state.agreed, "tokens", "tokenise", identifiers("ann@x.org"))
    before = public(first)
    second = state.taken_up()
    assert public(second) == before
    assert output(second, state.agreed, "tokens", "tokenise", identifiers("ann@x.org")) == token


def test_attack_15_a_use_that_was_counted_is_counted_in_the_next_life(state: StateWorld) -> None:
    first = state.taken_up()
    made = use(state.agreed, first.keys(), "edwards", "sign", b"message")
    answer = answered(first, made)
    output(first, state.agreed, "tokens", "tokenise", identifiers(*(f"p{n}@x.org" for n in range(8))))
    state.keep(first)
    second = state.taken_up()
    assert answered(second, made) == answer, "the same request is the same use"
    assert answered(second, use(state.agreed, second.keys(), "edwards", "sign", b"other")).number == 2
    with refused(Refusal.NO_USES_NOW):  # two a day
        output(second, state.agreed, "edwards", "sign", b"a third")
    with refused(Refusal.NO_USES_LEFT):  # ten identifiers in all
        output(second, state.agreed, "tokens", "tokenise", identifiers("a@x.org", "b@x.org", "c@x.org"))
    left = {key.key: {one.window: one.left for one in key.windows} for key in state.left(second).keys}
    assert left["tokens"]["values"] == 2
    assert left["edwards"]["uses"] == 1


def test_attack_15_a_use_that_no_record_has_room_for_is_no_use(
    state: StateWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    enclave = state.taken_up()
    made = use(state.agreed, enclave.keys(), "edwards", "sign", b"message")
    monkeypatch.setattr(limits, "STATE_RECORDS_MAX", len(state.records))
    for _ in range(2):
        with refused(Refusal.OVER_LIMIT):
            answered(enclave, made)
    monkeypatch.undo()
    assert answered(enclave, made).number == 1
    state.keep(enclave)
    assert len(state.records) == 2


def test_attack_15_no_key_is_used_before_every_witness_has_spoken(state: StateWorld) -> None:
    enclave = state.bound()
    state.answer_key(enclave)
    with refused(Refusal.STATE_WANTED):
        public(enclave)
    with refused(Refusal.STATE_WANTED):
        output(enclave, state.agreed, "edwards", "sign", b"message")


def test_attack_15_a_use_that_was_seen_cannot_be_left_out(state: StateWorld) -> None:
    first = state.taken_up()
    old = list(state.records)
    output(first, state.agreed, "edwards", "sign", b"message")
    left = state.left(first)
    assert left.sequence == len(old) + 1
    state.memory("publisher").saw(left.enclave_id, sequence=left.sequence, head=left.head)
    with pytest.raises(StateBehindError):
        state.statement(offered(state, old), PUBLISHER)
