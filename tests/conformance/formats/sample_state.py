"""State that outlives its enclave, in the computation of `samples`: one life ended, another is to go on."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from enclave_compute.state.content import Content, StateKey
from protos.formats import cose
from protos.formats.binding import KEY_BUNDLE_LABEL
from protos.formats.canonical import digest
from protos.formats.state import (
    NOTHING_YET,
    PROPOSAL_LABEL,
    SHARE_BYTES,
    STATEMENT_LABEL,
    KnownState,
    LedgerEvent,
    OfferedState,
    StateProposal,
    StateRecord,
    StateStatement,
)
from tests.conformance.formats import samples
from tests.conformance.formats.sample_kms import KMS_KEY
from tests.conformance.formats.sample_people import Person, derived

NEXT_LIFE = derived("id of the next life", 16)
NEXT_ENCLAVE = Person("next_life")
STATE_DATA_KEY = derived("state's data key", 32)
SHARES = {who: derived(f"share of {who}", SHARE_BYTES) for who in ("airline", "weather")}


def begun() -> LedgerEvent:
    """The first entry of the first life."""
    return LedgerEvent(
        agreement_digest=samples.agreement().digest(),
        enclave_id=samples.ENCLAVE_ID,
        sequence=1,
        previous=NOTHING_YET,
        kind="begun",
        subject=samples.ENCLAVE_ID.hex(),
        digest=digest(KEY_BUNDLE_LABEL, samples.key_bundle().encode()),
    )


def content() -> Content:
    """What is sealed with it."""
    secrets = {"hpke": samples.ENCLAVE.receiving_seed, "signing": samples.ENCLAVE.signing_seed}
    return Content(begun().encode(), samples.SIGNED_AT_S, secrets=secrets)


@cache
def record() -> StateRecord:
    """As it leaves."""
    place = StateRecord(
        agreement_digest=samples.agreement().digest(),
        enclave_id=samples.ENCLAVE_ID,
        life=samples.ENCLAVE_ID,
        sequence=1,
        kms_key=KMS_KEY,
        wrapped_key=b"CiphertextBlob of KMS stands here",
        sealed=b"",
    )
    return StateKey(STATE_DATA_KEY, list(SHARES.values())).seal(place, content())


def proposal() -> StateProposal:
    """Of the next life."""
    offered = OfferedState(samples.ENCLAVE_ID, samples.ENCLAVE_ID, 1)
    return StateProposal(samples.agreement().digest(), NEXT_LIFE, offered)


def unsealed() -> StateStatement:
    """The airline's, without its share."""
    known = KnownState(samples.ENCLAVE_ID, samples.ENCLAVE_ID, 1, begun().head())
    return StateStatement(samples.agreement().digest(), "airline", NEXT_LIFE, known, b"")


def statement() -> StateStatement:
    """The airline's."""
    return replace(unsealed(), share=samples.sealed_once("share"))


def messages() -> dict[str, bytes]:
    """By the names in `readers.READERS`."""
    return {
        "ledger-event": begun().encode(),
        "state-content": content().encode(),
        "state-record": record().encode(),
        "state-proposal": proposal().encode(),
        "signed-state-proposal": cose.sign(proposal().encode(), typ=PROPOSAL_LABEL, key=NEXT_ENCLAVE.signing),
        "state-statement": statement().encode(),
        "signed-state-statement": cose.sign(
            statement().encode(), typ=STATEMENT_LABEL, key=samples.AIRLINE.signing
        ),
    }
