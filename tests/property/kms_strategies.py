"""Hypothesis strategies for what an agreement says of KMS."""

from __future__ import annotations

from hypothesis import strategies as st

from protos.formats.kms import KeyService, StateTerms

KEY_SERVICES = st.builds(
    KeyService,
    account=st.from_regex(r"[0-9]{12}", fullmatch=True),
    region=st.sampled_from(["eu-central-1", "us-east-1", "ap-southeast-4"]),
    role=st.from_regex(r"[A-Za-z0-9+=,.@_-]{1,64}", fullmatch=True),
    endpoint=st.builds(
        "{}:{}".format,
        st.from_regex(r"([a-z0-9][a-z0-9.-]{0,30})?[a-z]", fullmatch=True),
        st.integers(1, 65535),
    ),
    authorities=st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=8, unique=True).map(tuple),
)


def state_terms(parties: list[str]) -> st.SearchStrategy[StateTerms]:
    """Terms for state among these parties."""
    return st.builds(
        StateTerms,
        party=st.sampled_from(parties),
        kms=KEY_SERVICES,
        witnesses=st.lists(st.sampled_from(parties), min_size=1, unique=True).map(sorted).map(tuple),
    )
