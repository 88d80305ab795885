"""Hypothesis strategies for what of an enclave's state leaves it, and what witnesses say of it."""

from __future__ import annotations

from hypothesis import strategies as st

from enclave_compute.state.content import Content
from protos.formats.state import (
    EVENTS,
    NOTHING_YET,
    KnownState,
    LedgerEvent,
    OfferedState,
    StateProposal,
    StateRecord,
    StateStatement,
)

IDS = st.binary(min_size=16, max_size=16)
DIGESTS = st.binary(min_size=48, max_size=48)
SEQUENCES = st.integers(1, 2**16)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True)
KNOWN = st.builds(
    lambda enclave, life, sequence, head: KnownState(
        enclave, life, sequence, head if sequence else NOTHING_YET
    ),
    IDS,
    IDS,
    st.integers(0, 2**16),
    DIGESTS.filter(any),
)
EVENTS_IN_LEDGERS = st.builds(
    LedgerEvent,
    agreement_digest=DIGESTS,
    enclave_id=IDS,
    sequence=st.integers(1, 2**63 - 1),
    previous=DIGESTS,
    kind=st.sampled_from(sorted(EVENTS)),
    subject=NAMES,
    digest=DIGESTS,
)
OfState = LedgerEvent | Content | StateRecord | StateProposal | StateStatement
STATE_MESSAGES: dict[str, st.SearchStrategy[OfState]] = {
    "ledger-event": EVENTS_IN_LEDGERS,
    "state-content": st.builds(
        Content,
        entry=st.binary(min_size=1, max_size=100),
        at_s=st.integers(0, 2**63 - 1),
        request=st.none() | st.binary(min_size=1, max_size=100),
        secrets=st.dictionaries(NAMES, st.binary(min_size=1, max_size=100), max_size=3),
    ),
    "state-record": st.builds(
        StateRecord,
        agreement_digest=DIGESTS,
        enclave_id=IDS,
        life=IDS,
        sequence=SEQUENCES,
        kms_key=st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=256),
        wrapped_key=st.binary(min_size=1, max_size=200),
        sealed=st.binary(min_size=1, max_size=200),
    ),
    "state-proposal": st.builds(
        StateProposal,
        agreement_digest=DIGESTS,
        life=IDS,
        offered=st.none() | st.builds(OfferedState, IDS, IDS, SEQUENCES),
    ),
    "state-statement": st.builds(
        StateStatement,
        agreement_digest=DIGESTS,
        party=NAMES,
        life=IDS,
        known=st.none() | KNOWN,
        share=st.binary(min_size=1168, max_size=1168),
    ),
}
