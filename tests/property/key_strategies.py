"""Hypothesis strategies for keys of the enclave's ring, and for what is said about them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from protos.formats.key_answer import KeyAnswer, PublicKey, PublicKeys
from protos.formats.key_budget import KEY_WINDOWS, KeyBudget, KeyLeft
from protos.formats.key_ring import KINDS, PUBLIC_KINDS, USES, AgreedKey
from protos.formats.key_use import KeyRequest

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True)
COUNTS = st.integers(1, 1_000_000)
PURPOSES = {
    **{kind: ["sign"] for kind in PUBLIC_KINDS},
    "rsa-2048": ["sign", "decrypt"],
    "aes-256": ["encrypt", "decrypt", "encrypt decrypt"],
    "hmac-sha256": ["hmac", "tokenise"],
}


@st.composite
def agreed_keys(draw: st.DrawFn, *, name: str, parties: list[str], people: list[str]) -> AgreedKey:
    """A key that these people may use."""
    kind = draw(st.sampled_from(sorted(KINDS - {"rsa-3072", "rsa-4096"})))
    uses = frozenset(draw(st.sampled_from(PURPOSES[kind])).split())
    makes_tokens = "tokenise" in uses
    return AgreedKey(
        id=name,
        kind=kind,
        uses=uses,
        used_by=tuple(sorted(draw(st.lists(st.sampled_from(people), min_size=1, unique=True)))),
        max_uses=draw(COUNTS),
        approved_by=tuple(sorted(draw(st.lists(st.sampled_from(parties), unique=True)))),
        per_day=draw(st.none() | COUNTS),
        per_week=draw(st.none() | COUNTS),
        per_month=draw(st.none() | COUNTS),
        max_values=draw(st.integers(1, 10**12)) if makes_tokens else None,
        normalise=draw(st.sampled_from(["none", "email/v1"])) if makes_tokens else "none",
    )


KEY_REQUESTS = st.builds(
    KeyRequest,
    request_id=st.binary(min_size=16, max_size=16),
    agreement_digest=st.binary(min_size=48, max_size=48),
    enclave_id=st.binary(min_size=16, max_size=16),
    key=NAMES,
    use=st.sampled_from(sorted(USES)),
    requested_by=NAMES,
    input_digest=st.binary(min_size=48, max_size=48),
)
KEY_ANSWERS = st.builds(
    KeyAnswer,
    request_digest=st.binary(min_size=48, max_size=48),
    number=COUNTS,
    at_s=st.integers(0, 2**63 - 1),
    output=st.none() | st.binary(max_size=100),
)
PUBLIC_KEYS = st.builds(
    PublicKeys,
    agreement_digest=st.binary(min_size=48, max_size=48),
    enclave_id=st.binary(min_size=16, max_size=16),
    keys=st.lists(
        st.builds(PublicKey, NAMES, st.sampled_from(sorted(PUBLIC_KINDS)), st.binary(min_size=1)), max_size=3
    ).map(tuple),
)
KEY_MESSAGES: dict[str, st.SearchStrategy[Any]] = {
    "key-request": KEY_REQUESTS,
    "key-answer": KEY_ANSWERS,
    "public-keys": PUBLIC_KEYS,
}
KEY_BUDGETS = st.builds(
    KeyBudget,
    NAMES,
    st.lists(
        st.builds(
            lambda window, limit, left: KeyLeft(window, limit, min(limit, left)),
            st.sampled_from(KEY_WINDOWS),
            COUNTS,
            st.integers(0, 1_000_000),
        ),
        min_size=1,
        max_size=5,
    ).map(tuple),
)
