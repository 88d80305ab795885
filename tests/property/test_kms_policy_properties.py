"""What `kms check` rests on: an open request is let through at least where any closed one would be."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from party_client.kms.conditions import hold, matches
from party_client.kms.errors import PolicyTextError
from party_client.kms.evaluation import KeyAccess, decide
from party_client.kms.policy import Statement, read_json_untrusted, read_policy_untrusted
from party_client.kms.request import Request

ACCOUNT = "111122223333"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1234"
PEOPLE = [f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("reader", "writer")] + [
    f"arn:aws:iam::{ACCOUNT}:root",
    "arn:aws:iam::999999999999:role/stranger",
]
VALUES = ["a", "b", "A", "a*", "*", "true", "1"]
REGISTERS = ["PCR0", "PCR1", "PCR16"]
KEYS = [
    *(f"kms:RecipientAttestation:{name}" for name in ("ImageSha384", "PCR1", "PCR16", "PCR8")),
    *("kms:EncryptionContext:party", "kms:EncryptionContextKeys", "aws:SourceVpc", "kms:ViaService"),
]
OPERATORS = [
    f"{quantifier}{base}{ending}"
    for quantifier in ("", "ForAnyValue:", "ForAllValues:")
    for base in (
        *("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
        *("StringLike", "StringNotLike", "Bool", "NumericLessThan", "NumericNotEquals"),
    )
    for ending in ("", "IfExists")
] + ["Null"]

conditions = st.dictionaries(
    st.sampled_from(OPERATORS),
    st.dictionaries(
        st.sampled_from(KEYS), st.lists(st.sampled_from(VALUES), min_size=1, max_size=2), min_size=1
    ),
    max_size=2,
)


@st.composite
def statements(draw: st.DrawFn, effects: tuple[str, ...] = ("Allow", "Deny")) -> dict[str, Any]:
    return {
        "Effect": draw(st.sampled_from(effects)),
        draw(st.sampled_from(["Principal", "Principal", "NotPrincipal"])): {
            "AWS": draw(st.lists(st.sampled_from([*PEOPLE, "*"]), min_size=1, max_size=2))
        },
        draw(st.sampled_from(["Action", "Action", "NotAction"])): draw(
            st.lists(
                st.sampled_from(["kms:Decrypt", "kms:*", "kms:De*", "kms:Encrypt"]), min_size=1, max_size=2
            )
        ),
        "Resource": draw(st.sampled_from(["*", KEY, f"{KEY[:-1]}?", "arn:aws:kms:*:*:key/9"])),
        "Condition": draw(conditions),
    }


@st.composite
def closed_requests(draw: st.DrawFn) -> Request:
    registers = st.dictionaries(st.sampled_from(REGISTERS), st.sampled_from(VALUES))
    values = st.dictionaries(
        st.sampled_from(["aws:sourcevpc", "kms:viaservice"]), st.tuples(st.sampled_from(VALUES))
    )
    context = st.dictionaries(st.sampled_from(["party", "Party", "x"]), st.sampled_from(VALUES))
    return Request(
        principal=draw(st.sampled_from(PEOPLE)),
        action=draw(st.sampled_from(["kms:Decrypt", "kms:Encrypt"])),
        encryption_context=draw(context),
        registers=draw(st.none() | registers),
        values=draw(values),
    )


def opened(request: Request, forget: set[str]) -> Request:
    """The same, saying less: what is in `forget` is left to the caller."""
    registers = request.registers and {
        name: value for name, value in request.registers.items() if name not in forget
    }
    return replace(
        request,
        open=True,
        encryption_context=None if "context" in forget else request.encryption_context,
        registers=registers if request.registers is not None else None,
        values={name: value for name, value in request.values.items() if name not in forget},
    )


def read(*written: dict[str, Any]) -> tuple[Statement, ...]:
    return read_policy_untrusted({"Statement": list(written)}, what="policy", with_principals=True)


forgotten = st.sets(st.sampled_from([*REGISTERS, "context", "aws:sourcevpc", "kms:viaservice"]))


@settings(max_examples=100)
@given(statement=statements(), request=closed_requests(), forget=forgotten)
def test_an_open_answer_is_the_closed_one_or_none(
    statement: dict[str, Any], request: Request, forget: set[str]
) -> None:
    (found,) = read(statement)
    answer = hold(found.conditions, opened(request, forget))
    assert answer in (hold(found.conditions, request), None)


@settings(max_examples=100)
@given(policy=st.lists(statements(), min_size=1, max_size=4), request=closed_requests(), forget=forgotten)
def test_nothing_passes_that_an_open_request_does_not(
    policy: list[dict[str, Any]], request: Request, forget: set[str]
) -> None:
    access = KeyAccess(KEY, read(*policy))
    if decide(access, request).is_allowed:
        assert decide(access, opened(request, forget)).is_allowed


@settings(max_examples=100)
@given(
    policy=st.lists(statements(), max_size=3),
    denial=statements(effects=("Deny",)),
    allowance=statements(effects=("Allow",)),
    request=closed_requests(),
    is_open=st.booleans(),
)
def test_a_denial_never_widens_and_an_allowance_never_narrows(
    policy: list[dict[str, Any]],
    denial: dict[str, Any],
    allowance: dict[str, Any],
    request: Request,
    is_open: bool,
) -> None:
    asked = replace(request, open=is_open)

    def passes(*more: dict[str, Any]) -> bool:
        return decide(KeyAccess(KEY, read(*policy, *more)), asked).is_allowed

    assert passes() or not passes(denial)
    assert passes(allowance) or not passes()


@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="ab\n", max_size=8))
def test_patterns_are_those_of_regular_expressions(pattern: str, text: str) -> None:
    expression = "".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in pattern)
    assert matches(pattern, text) is (re.fullmatch(expression, text, re.DOTALL) is not None)


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    with contextlib.suppress(PolicyTextError):
        value = read_json_untrusted(text, what="policy")
        read_policy_untrusted(value, what="policy", with_principals=True)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Statement", "Effect", "Action", "Resource", "Principal", "Condition", "AWS", "Null"]
            ),
            inner | st.sampled_from(["Allow", "kms:*", "*"]),
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(_json)
def test_any_value_is_read_or_refused(value: Any) -> None:
    with contextlib.suppress(PolicyTextError):
        read_policy_untrusted(value, what="policy", with_principals=True)
