"""A machine with the image is switched off, and another one goes on with its state.

Both are the booted image: its security module and vsock, keys from the SIMULATED KMS under a policy for what
it measures, witnesses that verify each machine before they speak.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import cast

import pytest

from enclave_compute.image.eif import read_image
from party_client.attestation import TrustedRoots
from party_client.attestation.emulator import EmulatorUnsafe
from party_client.attestation.measurements import extended_once
from party_client.witnessing import StateBehindError
from protos.formats.agreement import Agreement
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import encode
from protos.formats.kms import STATE_SUBJECT, StateTerms
from protos.formats.participants import Release
from protos.release.roots import UNSIGNED_EMULATOR_SHA256
from tests import kms_world, world
from tests.emulator.machines import booted, image
from tests.enclave_fixtures import refused
from tests.errands_world import carry, credentials_of, dialled, service_of
from tests.kms_world import ADMINISTRATION, ADMINISTRATOR, ENCLAVE_ROLE, KmsWorld
from tests.state_world import WITNESSES, StateWorld

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(900)]


def test_another_machine_goes_on_where_the_first_was_switched_off(tmp_path: Path) -> None:
    with kms_world.running(tmp_path, anchors=EmulatorUnsafe()) as kms, contextlib.ExitStack() as stack:
        state = StateWorld(tmp_path, _agreement(kms), stack)
        _make_key(kms, state.agreed)
        with _machine(tmp_path / "first", state) as first:
            with refused(Refusal.STATE_WANTED):
                first.call(Op.BEGIN, b"", dataset="visits", upload=bytes(16))
            _take_up(first, state, kms)
            state.send(first)
            run_id = state.run(first)
            enclave_id, result, left = first.keys().enclave_id, first.result(run_id), state.left(first)
            state.shown(first, run_id, *WITNESSES)
        with _machine(tmp_path / "second", state) as second:
            state.offer(second, state.records[:-1])
            with pytest.raises(StateBehindError):
                state.statement(second, world.PUBLISHER)
            state.offer(second)
            _take_up(second, state, kms)
            assert second.keys().enclave_id == enclave_id
            state.send(second)
            assert state.left(second).queries == left.queries, "charged once"
            assert second.result(state.run(second)).equals(result)
        assert [one["operation"] for one in kms.records if one["operation"] != "CreateAlias"] == [
            *("CreateKey", "GenerateDataKey", "Decrypt"),
        ]


@contextlib.contextmanager
def _machine(folder: Path, state: StateWorld) -> Iterator[world.Parent]:
    """The image, running, bound to the agreement."""
    folder.mkdir()
    with booted(image(), folder) as machine, machine.connect() as stream:
        # In place of roots, as parties take it with --unsafe-emulator.
        enclave = world.Parent(cast(TrustedRoots, EmulatorUnsafe()), world.asking(stream))
        enclave.bind(state.agreed)
        yield enclave


def _take_up(enclave: world.Parent, state: StateWorld, kms: KmsWorld) -> None:
    """KMS lets go of the key, and every witness speaks."""
    given = encode(vars(credentials_of(kms, ENCLAVE_ROLE)))

    def step(number: int, received: bytes) -> tuple[bytes, bool]:
        answer = enclave.call(Op.ERRAND, received, subject=STATE_SUBJECT, step=number)
        return answer.body, answer.header["done"]

    with dialled(service_of(kms)) as server:
        carry(lambda: enclave.call(Op.ERRAND, given, subject=STATE_SUBJECT).body, step, server)
    for who in WITNESSES.values():
        state.witness(enclave, who)
    state.keep(enclave)


def _agreement(kms: KmsWorld) -> Agreement:
    """With state, for the image."""
    pcr0, pcr1, pcr2 = astuple(read_image(image()).measurements)[:3]
    release = Release("image", pcr0, pcr1, pcr2, UNSIGNED_EMULATOR_SHA256)
    terms = StateTerms("publisher", service_of(kms), tuple(sorted(WITNESSES)))
    return world.agreement(UNSIGNED_EMULATOR_SHA256, releases=(release,), state=terms)


def _make_key(kms: KmsWorld, agreed: Agreement) -> None:
    """A key for the image under the agreement, with the alias by which it is asked for."""
    registers = {
        "kms:RecipientAttestation:PCR0": agreed.releases[0].pcr0.hex(),
        "kms:RecipientAttestation:PCR16": extended_once(agreed.digest()).hex(),
    }
    key = kms.key(
        kms_world.policy(
            ADMINISTRATION,
            kms_world.statement(
                "Enclave",
                "Allow",
                {"AWS": ENCLAVE_ROLE},
                ["kms:Decrypt", "kms:GenerateDataKey"],
                {"StringEqualsIgnoreCase": registers},
            ),
        )
    )
    kms.client(ADMINISTRATOR).create_alias(
        AliasName=f"alias/concordat-{agreed.id}-publisher", TargetKeyId=key
    )
