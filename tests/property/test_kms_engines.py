"""Two readers of AWS's rules, written apart, give the same answers: `kms check` and the SIMULATED KMS."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from party_client.kms import evaluation, policy
from party_client.kms.request import Request
from scenarios.kms import grants
from scenarios.kms.authorization import AccessRequest, Rules, require_allowed
from scenarios.kms.errors import AccessDeniedError
from scenarios.kms.policies import parse_iam_policy_untrusted, parse_key_policy_untrusted
from scenarios.kms.principals import Caller

ACCOUNT = "111122223333"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1234"
READER, WRITER = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("reader", "writer"))
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
TEXTS = ["a", "b", "A", "a*", "*", "?", "1", "2"]
DATES = ["2026-06-01T00:00:00Z", "2026-06-01T00:00:01Z", "1780272000", "2027-01-01"]
ARNS = [READER, WRITER, ROOT, "arn:aws:iam::*:role/*", f"arn:aws:iam::{ACCOUNT}:role/rea?er"]
ADDRESSES = ["192.0.2.0/24", "192.0.2.7", "198.51.100.0/24"]
_REGISTER = "kms:RecipientAttestation:"
TEXT_KEYS = [f"{_REGISTER}{name}" for name in ("ImageSha384", "PCR0", "PCR1", "PCR16", "PCR8")] + [
    *("kms:EncryptionContext:party", "kms:encryptioncontext:PARTY", "kms:ViaService"),
]


def operators(*names: str) -> list[str]:
    return [f"{name}{ending}" for name in names for ending in ("", "IfExists")]


STRINGS = operators(
    *("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
    *("StringLike", "StringNotLike"),
)
ORDERS = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
SETS = [f"ForAllValues:{name}" for name in STRINGS] + [
    f"ForAnyValue:{name}" for name in STRINGS if not name.endswith("IfExists")
]
"""Without ForAnyValue and IfExists together: of a missing key the one makes no, the other yes. `kms check`
takes the worse answer."""


def block(names: list[str], keys: list[str], values: list[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """One operator with one key: of two keys that differ in case only, one reader refuses the second."""
    listed = st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)
    return st.builds(
        lambda name, key, found: {name: {key: found}}, st.sampled_from(names), st.sampled_from(keys), listed
    )


conditions = st.lists(
    st.one_of(
        block(STRINGS + SETS, TEXT_KEYS, TEXTS),
        block(SETS, ["kms:EncryptionContextKeys"], ["party", "Party", "other"]),
        block(operators("ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"), ["aws:PrincipalArn"], ARNS),
        block(operators(*(f"Date{name}" for name in ORDERS)), ["aws:CurrentTime"], DATES),
        block(operators(*(f"Numeric{name}" for name in ORDERS)), [f"{_REGISTER}PCR1"], [1, 2, "1.0"]),
        block(operators("IpAddress", "NotIpAddress"), ["aws:SourceIp"], ADDRESSES),
        block(operators("Bool"), ["aws:SecureTransport"], [True, "false"]),
        block(operators("StringEquals"), ["kms:CallerAccount"], [ACCOUNT, "999999999999"]),
        st.builds(
            lambda key, value: {"Null": {key: value}},
            st.sampled_from(TEXT_KEYS),
            st.sampled_from([True, "false"]),
        ),
    ),
    max_size=2,
).map(lambda found: {name: keys for one in found for name, keys in one.items()})
actions = st.lists(
    st.sampled_from(["kms:Decrypt", "kms:*", "*", "kms:De*", "KMS:decrypt".lower(), "kms:Encrypt", "s3:*"]),
    min_size=1,
    max_size=2,
)


@st.composite
def statements(draw: st.DrawFn, *, principals: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "Effect": draw(st.sampled_from(["Allow", "Allow", "Deny"])),
        draw(st.sampled_from(["Action", "Action", "NotAction"])): draw(actions),
        "Resource": draw(st.sampled_from(["*", "*", KEY, f"{KEY[:-1]}?", "arn:aws:kms:*:*:key/9*"])),
    }
    if found := draw(conditions):
        made["Condition"] = found
    if principals:
        named = st.lists(st.sampled_from([READER, WRITER, ROOT, ACCOUNT, "*"]), min_size=1, max_size=2)
        made["Principal"] = draw(st.just("*") | st.builds(lambda names: {"AWS": names}, named))
    return made


def documents(*, principals: bool) -> st.SearchStrategy[str]:
    return st.lists(statements(principals=principals), min_size=1, max_size=3).map(
        lambda found: json.dumps({"Version": "2012-10-17", "Statement": found})
    )


@st.composite
def requests(draw: st.DrawFn) -> Request:
    context = st.dictionaries(st.sampled_from(["party", "other"]), st.sampled_from(TEXTS))
    registers = st.dictionaries(st.sampled_from(["PCR0", "PCR1", "PCR16"]), st.sampled_from(TEXTS))
    values = {
        "aws:currenttime": (draw(st.sampled_from(DATES)),),
        "aws:sourceip": (draw(st.sampled_from(["192.0.2.7", "203.0.113.9"])),),
        "aws:securetransport": ("true",),
    }
    return Request(
        principal=draw(st.sampled_from([READER, WRITER])),
        action=draw(st.sampled_from(["kms:Decrypt", "kms:Encrypt"])),
        encryption_context=draw(context),
        registers=draw(st.none() | registers),
        values=values,
    )


def simulated_context(request: Request) -> dict[str, tuple[str, ...]]:
    """The same request as the SIMULATED KMS has it: keys in lower case, absent ones left out."""
    context = dict(request.encryption_context or {})
    found = {
        **request.values,
        "aws:principalarn": (request.principal,),
        "kms:calleraccount": (ACCOUNT,),
        **{f"kms:encryptioncontext:{name}": (value,) for name, value in context.items()},
    }
    if context:
        found["kms:encryptioncontextkeys"] = tuple(context)
    for name, value in (request.registers or {}).items():
        if value is not None:
            found[f"{_REGISTER}{name}".lower()] = (value,)
            if name == "PCR0":
                found[f"{_REGISTER}ImageSha384".lower()] = (value,)
    return found


def simulated_allows(request: Request, key_policy: str, iam_policy: str | None, granted: list[str]) -> bool:
    asked = AccessRequest(
        caller=Caller(request.principal),
        operation=request.action.removeprefix("kms:"),
        resource=KEY,
        context=simulated_context(request),
        encryption_context=dict(request.encryption_context or {}),
    )
    grant = grants.Grant(
        grant_id="g",
        token="t",
        grantee=READER,
        retiring=None,
        operations=tuple(granted),
        constraint="EncryptionContextSubset",
        constraint_context={"party": "a"},
        name="",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        issuing_account=ACCOUNT,
    )
    rules = Rules(
        resource_policy=parse_key_policy_untrusted(key_policy),
        grants=(grant,) if granted else (),
        iam_policy=parse_iam_policy_untrusted(iam_policy) if iam_policy else None,
        session_policy=None,
    )
    try:
        require_allowed(asked, rules)
    except AccessDeniedError:
        return False
    return True


def checked_allows(request: Request, key_policy: str, iam_policy: str | None, granted: list[str]) -> bool:
    own = policy.read_policy_untrusted(iam_policy, what="IAM", with_principals=False) if iam_policy else ()
    access = evaluation.KeyAccess(
        KEY,
        policy.read_policy_untrusted(key_policy, what="key policy", with_principals=True),
        (evaluation.Grant("g", READER, tuple(granted), context_subset={"party": "a"}),) if granted else (),
        {request.principal: own},
    )
    return evaluation.decide(access, request).is_allowed


@settings(max_examples=400, deadline=None)
@given(
    request=requests(),
    key_policy=documents(principals=True),
    iam_policy=st.none() | documents(principals=False),
    granted=st.sampled_from([[], ["Decrypt"], ["Encrypt"]]),
)
def test_both_readers_give_the_same_answer(
    request: Request, key_policy: str, iam_policy: str | None, granted: list[str]
) -> None:
    answer = checked_allows(request, key_policy, iam_policy, granted)
    assert answer is simulated_allows(request, key_policy, iam_policy, granted)
