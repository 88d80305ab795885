"""An agreement whose state outlives its enclaves, enclaves that take it up, and everybody around them.

The enclaves are the shipped code under simulated modules. KMS is a dictionary here, which lets go of every
key: what KMS refuses is tested elsewhere.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from enclave_compute.kms.request import KeyAnswer, KeyRequest
from party_client.attestation import TrustedRoots
from party_client.budgets import budget_request, verify_budget_untrusted
from party_client.identity import Identity
from party_client.state_memory import StateMemory
from party_client.witnessing import Decided, Statement, make_statement, verify_proposal_untrusted
from protos.formats import cose, hpke
from protos.formats.agreement import Agreement
from protos.formats.budget import Budget
from protos.formats.calls import Op
from protos.formats.kms import STATE_SUBJECT, KeyService, StateTerms
from protos.formats.receipt import Claims, Receipt
from protos.formats.state import STATEMENT_LABEL, KnownState, StateStatement
from scenarios.machine.pki import load_or_create_root
from tests import world

SERVICE = KeyService("111122223333", "eu-central-1", "enclave", "kms.example:443", (b"an authority",))
TERMS = StateTerms("publisher", SERVICE, ("advertiser", "publisher"))
WITNESSES = {"advertiser": world.ADVERTISER, "publisher": world.PUBLISHER}
KEY_ARN = "arn:aws:kms:eu-central-1:111122223333:key/0a1b2c3d"


def agreement(root_sha256: bytes, **changes: object) -> Agreement:
    """That of `world`, with state."""
    return world.agreement(root_sha256, **{"state": TERMS, **changes})


@dataclass
class StateWorld:
    """One agreement with state, its parent's disk, and what each witness remembers."""

    folder: Path
    agreed: Agreement
    stack: contextlib.ExitStack
    kms: dict[bytes, bytes] = field(default_factory=dict)
    """Data keys by their `CiphertextBlob`."""
    records: list[bytes] = field(default_factory=list)
    """What the parent keeps."""
    uploads: list[world.SealedUpload] = field(default_factory=list)
    tables: dict[str, pa.Table] = field(
        default_factory=lambda: {"visits": world.VISITS, "purchases": world.PURCHASES}
    )

    def bound(self) -> world.Enclave:
        """A new enclave under the agreement, which has taken nothing up."""
        enclave = self.stack.enter_context(world.simulated_enclave(self.folder / "machine"))
        enclave.bind(self.agreed)
        return enclave

    def memory(self, who: str) -> StateMemory:
        """What a party remembers."""
        return StateMemory(self.folder / "memories" / who, self.agreed.digest())

    def statement(self, enclave: world.Parent, who: Identity, decided: Decided | None = None) -> Statement:
        """What `who` says, if it says anything."""
        verified = enclave.verify(self.agreed)
        proposal = enclave.call(Op.PROPOSAL).body
        return make_statement(
            verify_proposal_untrusted(proposal, agreement=self.agreed, enclave=verified),
            agreement=self.agreed,
            enclave=verified,
            identity=who,
            memory=self.memory(who.id),
            decided=decided or Decided(),
        )

    def witness(self, enclave: world.Parent, who: Identity, decided: Decided | None = None) -> None:
        """`who` lets it go on."""
        enclave.call(Op.WITNESS, self.statement(enclave, who, decided).signed)

    def answer_key(self, enclave: world.Enclave, *, plaintext: bytes | None = None) -> None:
        """KMS lets go of the key that is wanted."""
        state = enclave.life._state
        assert state is not None
        want = state.errands._wants.pop(STATE_SUBJECT)
        want.on_answer(self._answer(want.request, plaintext))

    def offer(self, enclave: world.Parent, records: Sequence[bytes] | None = None) -> None:
        """The parent offers what it keeps, or `records`."""
        for record in self.records if records is None else records:
            enclave.call(Op.RESTORE, record)

    def taken_up(self, decided: Decided | None = None) -> world.Enclave:
        """A new enclave that has taken up what the parent keeps."""
        enclave = self.bound()
        self.offer(enclave)
        self.answer_key(enclave)
        for who in WITNESSES.values():
            self.witness(enclave, who, decided)
        self.keep(enclave)
        return enclave

    def keep(self, enclave: world.Parent) -> None:
        """The parent fetches what is new."""
        with contextlib.suppress(world.RefusedByEnclaveError):
            while True:
                self.records.append(enclave.call(Op.RECORD, sequence=len(self.records) + 1).body)

    def send(self, enclave: world.Parent) -> None:
        """Every dataset, the same uploads each time."""
        if not self.uploads:
            keys = enclave.keys()
            self.uploads = [
                world.seal(self.agreed, keys, name, [table]) for name, table in self.tables.items()
            ]
        for upload in self.uploads:
            enclave.upload(upload)
        self.keep(enclave)

    def ready(self) -> world.Enclave:
        """A new enclave that has taken up what is kept, and has all data."""
        enclave = self.taken_up()
        self.send(enclave)
        return enclave

    def run(self, enclave: world.Parent, run_id: bytes | None = None, **changes: Any) -> bytes:
        """A run is asked for and its record kept; its id."""
        run_id = run_id or os.urandom(16)
        request = world.run_request(self.agreed, enclave.keys(), run_id=run_id, **changes)
        enclave.call(Op.RUN, request, run=run_id)
        self.keep(enclave)
        return run_id

    def claims(self, enclave: world.Parent, run_id: bytes) -> Claims:
        """What a run's receipt claims, believed without verification."""
        receipt = Receipt.decode_untrusted(enclave.call(Op.RECEIPT, run=run_id).body)
        return Claims.decode_untrusted(receipt.claims)

    def shown(self, enclave: world.Parent, run_id: bytes, *who: str) -> None:
        """Those of `who` verify the receipt of a run."""
        claims = self.claims(enclave, run_id)
        for name in who:
            self.memory(name).saw(
                claims.enclave_id, sequence=claims.sequence, head=claims.head(), previous=claims.previous
            )

    def left(self, enclave: world.Parent) -> Budget:
        """What the enclave says is left, verified."""
        nonce, request = budget_request(self.agreed, verified := enclave.verify(self.agreed), world.ANALYST)
        answer = enclave.call(Op.BUDGET, request).body
        return verify_budget_untrusted(answer, nonce=nonce, agreement=self.agreed, enclave=verified)

    def _answer(self, request: KeyRequest, plaintext: bytes | None) -> KeyAnswer:
        if request.ciphertext is not None:
            return KeyAnswer(plaintext or self.kms[request.ciphertext], None, request.key_id)
        blob = b"blob " + os.urandom(16)
        self.kms[blob] = plaintext or os.urandom(32)
        return KeyAnswer(self.kms[blob], blob, KEY_ARN)


@contextlib.contextmanager
def state_world(
    folder: Path, change: Callable[[Agreement], Agreement] = lambda same: same
) -> Iterator[StateWorld]:
    """Nothing has begun; the agreement is as `change` makes it."""
    load_or_create_root(folder / "machine")
    pem = (folder / "machine" / "root.pem").read_bytes()
    (root,) = TrustedRoots.from_pem(pem, name="simulated")
    with contextlib.ExitStack() as stack:
        yield StateWorld(folder, change(agreement(root.sha256)), stack)


def known(state: StateWorld, who: str = "advertiser") -> KnownState:
    """What a witness knows, honestly."""
    memory = state.memory(who)
    witnessed = memory.witnessed()
    assert witnessed is not None
    seen = memory.newest(witnessed.enclave_id)
    return KnownState(witnessed.enclave_id, witnessed.life, seen.sequence, seen.head)


def said(
    state: StateWorld,
    enclave: world.Enclave,
    *,
    signer: Identity = world.ADVERTISER,
    share: bytes = bytes(32),
    **changes: Any,
) -> bytes:
    """A statement that no client would make."""
    keys = enclave.keys()
    fields = {
        "agreement_digest": state.agreed.digest(),
        "party": signer.id,
        "life": keys.enclave_id,
        "known": None,
        **changes,
    }
    unsealed = StateStatement(**fields, share=b"")
    sealed = hpke.seal(share, public_key=keys.hpke_public_key, info=unsealed.share_info())
    return cose.sign(replace(unsealed, share=sealed).encode(), typ=STATEMENT_LABEL, key=signer.signing_key)


def offered(state: StateWorld, records: list[bytes] | None = None) -> world.Enclave:
    """A new enclave that was offered what is kept, or `records`, and has the key."""
    enclave = state.bound()
    state.offer(enclave, records)
    state.answer_key(enclave)
    return enclave


def share_of(state: StateWorld, who: Identity, enclave_id: bytes) -> bytes:
    """What that witness alone can make."""
    return who.secret_for(f"state {state.agreed.digest().hex()} {enclave_id.hex()}", 32)
