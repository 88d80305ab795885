"""Requests that must not pass, and the few that must, tried against a key's policies.

Pure. Each probe is a question to `evaluation` that leaves open whatever an attacker could choose, asked for
everybody whom the key or the account names, and for a stranger. What passes is named by the statement that
lets it; who passes without attestation through a statement is not reported again for lesser reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from party_client.kms.evaluation import GRANT, IAM, KeyAccess, Source, decide
from party_client.kms.policy import ANYBODY, Condition, Statement
from party_client.kms.request import IMAGE, REGISTER_KEY, Request
from party_client.kms.terms import KeyTerms, iso_time
from protos.formats.participants import Release

DECRYPT: Final = "kms:Decrypt"
OTHER: Final = "fe" * 48
"""A register that nothing known has."""
ZERO: Final = "00" * 48
STRANGER: Final = "arn:aws:iam::000000000000:role/stranger"
"""Of an account that nothing names."""
_IMAGE_KEYS: Final = (f"{REGISTER_KEY}{IMAGE}", f"{REGISTER_KEY}pcr0")
_AGREEMENT_KEY: Final = f"{REGISTER_KEY}pcr16"
_REGISTER_DIGITS: Final = 96

Registers = Mapping[str, str | None]


@dataclass(frozen=True)
class Passed:
    """A request that was let through."""

    code: str
    source: Source
    principal: str
    detail: str = ""


def principals(access: KeyAccess) -> tuple[str, ...]:
    """Everybody whom policies and grants name, who has a policy that could matter, and whoever else."""
    found = dict.fromkeys([ANYBODY, f"arn:aws:iam::{access.account}:root"])
    found |= dict.fromkeys(
        name
        for name, statements in access.identities.items()
        if any(one.allows and may_be_about_keys(one) for one in statements)
    )
    found |= dict.fromkeys(grant.grantee for grant in access.grants)
    for statement in access.policy:
        names = () if statement.principals is None or not statement.allows else statement.principals
        found |= dict.fromkeys(names)
    return tuple(found)


def may_be_about_keys(statement: Statement) -> bool:
    """Whether an IAM statement could allow anything in KMS: most of an account's do not."""
    return statement.not_actions or any(
        name.startswith(("kms:", "*", "?", "k*", "k?", "km")) for name in statement.actions
    )


def unattested(access: KeyAccess) -> Iterator[Passed]:
    """Who decrypts without a document; grants are reported by themselves."""
    for principal in principals(access):
        decision = decide(access, Request(principal, DECRYPT, open=True))
        for source in decision.sources if decision.is_allowed else ():
            if source.kind != GRANT:
                yield Passed(_cause(source, principal), source, principal)


def attested(access: KeyAccess, terms: KeyTerms, known: Iterable[Source]) -> Iterator[Passed]:
    """Which enclaves get in that should not, by other statements than `known`."""
    reported = {(source.kind, source.label) for source in known}
    for code, registers, detail in _wrong_registers(access, terms):
        for principal in principals(access):
            decision = decide(access, Request(principal, DECRYPT, registers=registers, open=True))
            for source in decision.sources if decision.is_allowed else ():
                where = (source.kind, source.label)
                if where in reported or source.kind == GRANT:
                    continue
                yield Passed(
                    _why_other_code(source) if code == "other-code" else code, source, principal, detail
                )
    for code, request in _wrong_surroundings(access, terms):
        decision = decide(access, request)
        for source in decision.sources if decision.is_allowed else ():
            if (source.kind, source.label) not in reported and source.kind != GRANT:
                yield Passed(code, source, request.principal)


def other_actions(access: KeyAccess, terms: KeyTerms) -> Iterator[Passed]:
    """Who may do what makes attestation moot."""
    place = terms.place
    for code, actions, intended in (
        ("re-encrypt", ("kms:ReEncryptFrom",), ()),
        ("grant-maker", ("kms:CreateGrant",), ()),
        ("policy-editable", ("kms:PutKeyPolicy",), place.administrators),
        ("deletable", ("kms:ScheduleKeyDeletion", "kms:DisableKey"), place.administrators),
        (
            "data-keys-outside",
            ("kms:GenerateDataKey", "kms:GenerateDataKeyPair", "kms:Encrypt"),
            place.sealers,
        ),
    ):
        for action in actions:
            for principal in principals(access):
                decision = decide(access, Request(principal, action, open=True))
                if principal in intended or not decision.is_allowed:
                    continue
                for source in decision.sources:
                    if source.kind != GRANT:
                        yield Passed(code, source, principal, action)


def not_denied(access: KeyAccess, terms: KeyTerms) -> tuple[str, ...]:
    """What no statement denies to somebody whom the policy does not know, in words."""
    spared = {
        value
        for statement in access.policy
        if not statement.allows
        for condition in statement.conditions
        if condition.key == "aws:principalarn"
        for value in condition.values
    }
    people = [STRANGER, f"arn:aws:iam::{access.account}:role/stranger", *sorted(spared)]
    good = _registers(terms, terms.releases[0])
    found = []
    for what, registers in (
        ("Decrypt without attestation", None),
        ("Decrypt by other code", good | {"PCR0": OTHER}),
        ("Decrypt under another agreement", good | {"PCR16": OTHER}),
    ):
        requests = [Request(one, DECRYPT, registers=registers, open=True) for one in people]
        if not all(decide(access, request).denied_by for request in requests):
            found.append(what)
    return tuple(found)


def refused_releases(access: KeyAccess, terms: KeyTerms) -> tuple[str, ...]:
    """Releases of the terms that do not get all of their data keys, by name."""
    return tuple(
        release.name
        for release in terms.releases
        for subject in terms.subjects
        if not decide(access, _agreed_request(terms, release, subject)).is_allowed
    )


def opens_now(access: KeyAccess, grantee: str, operations: Iterable[str]) -> bool:
    """Whether a grant is of use to its grantee without attestation, or the policy's denials hold it back."""
    return any(decide(access, Request(grantee, f"kms:{name}", open=True)).is_allowed for name in operations)


def _agreed_request(terms: KeyTerms, release: Release, subject: str) -> Request:
    begin_s = max(terms.valid_from_s, release.valid_from_s or 0)
    return Request(
        terms.place.role_arn,
        DECRYPT,
        encryption_context=terms.encryption_context(subject),
        registers=_registers(terms, release),
        values={"aws:currenttime": (iso_time(begin_s),)},
    )


def _registers(terms: KeyTerms, release: Release) -> dict[str, str | None]:
    return {
        "PCR0": release.pcr0.hex(),
        "PCR1": release.pcr1.hex(),
        "PCR2": release.pcr2.hex(),
        "PCR16": terms.agreement_register,
    }


def _wrong_registers(access: KeyAccess, terms: KeyTerms) -> Iterator[tuple[str, Registers, str]]:
    """(code, registers, detail) of enclaves that nobody agreed on."""
    agreement = {"PCR16": terms.agreement_register}
    yield "other-code", {"PCR0": OTHER, **agreement}, ""
    yield "debug-image", {"PCR0": ZERO, "PCR1": ZERO, "PCR2": ZERO, **agreement}, ""
    agreed = {release.pcr0.hex() for release in terms.releases}
    for value in sorted(_listed(access, _IMAGE_KEYS) - agreed - {ZERO}):
        yield "old-image", {"PCR0": value, **agreement}, f"PCR0 {value[:16]}…"
    for release in terms.releases:
        good = _registers(terms, release)
        yield "other-agreement", good | {"PCR16": OTHER}, f"release {release.name}"
        yield "other-agreement", good | {"PCR16": None}, f"release {release.name}, not bound to any"
        for listed in sorted(_listed(access, (_AGREEMENT_KEY,)) - {terms.agreement_register}):
            yield "listed-agreement", good | {"PCR16": listed}, f"PCR16 {listed[:16]}…"
        for name in ("PCR1", "PCR2"):
            yield "registers-apart", good | {name: OTHER}, f"release {release.name}, another {name}"
            for other in terms.releases:
                if (theirs := _registers(terms, other)[name]) != good[name]:
                    detail = f"PCR0 of {release.name} with {name} of {other.name}"
                    yield "registers-apart", good | {name: theirs}, detail


def _wrong_surroundings(access: KeyAccess, terms: KeyTerms) -> Iterator[tuple[str, Request]]:
    """Enclaves of the agreement, with other data or at another time."""
    for release in terms.releases:
        registers = _registers(terms, release)
        for principal in principals(access):
            for subject in terms.subjects:
                right = terms.encryption_context(subject)
                for wrong in (
                    {},
                    *(right | {entry: OTHER} for entry in right),
                    right | {"further": "entry"},
                    {name.upper(): value for name, value in right.items()},
                ):
                    yield "other-context", Request(principal, DECRYPT, wrong, registers, open=True)
                for time_s in _wrong_times(terms, release):
                    values = {"aws:currenttime": (iso_time(time_s),), "aws:epochtime": (str(time_s),)}
                    yield "outside-validity", Request(principal, DECRYPT, right, registers, values, open=True)


def _wrong_times(terms: KeyTerms, release: Release) -> Iterator[int]:
    yield max(0, terms.valid_from_s - 1)
    yield terms.valid_until_s
    if release.valid_from_s is not None:
        yield max(0, release.valid_from_s - 1)
    if release.valid_until_s is not None:
        yield release.valid_until_s


def _listed(access: KeyAccess, keys: Iterable[str]) -> set[str]:
    """Registers that conditions of allowing statements name; of a pattern, one that fits it."""
    return {
        _fitting(value.lower())
        for statement in _allowing(access)
        for condition in statement
        if condition.key in keys and not condition.negated and condition.comparison != "Null"
        for value in condition.values
    }


def _allowing(access: KeyAccess) -> Iterator[tuple[Condition, ...]]:
    for statements in (access.policy, *access.identities.values()):
        yield from (statement.conditions for statement in statements if statement.allows)


def _fitting(pattern: str) -> str:
    missing = max(0, _REGISTER_DIGITS - len(pattern) + pattern.count("*"))
    return pattern.replace("?", "e").replace("*", "e" * missing, 1).replace("*", "")


def _cause(source: Source, principal: str) -> str:
    """Which kind of hole lets somebody through without attestation."""
    statement = source.statement
    if source.kind == IAM or statement is None:
        return "iam-decrypt"
    if statement.not_principals or ANYBODY in (statement.principals or ()):
        return "wildcard-principal"
    if principal.endswith(":root"):
        return "iam-delegation"
    keys = {condition.key for condition in statement.conditions}
    if "kms:viaservice" in keys:
        return "via-service"
    if any(key.startswith(REGISTER_KEY) for key in keys):
        return "passes-without-attestation"
    return "unattested-decrypt"


def _why_other_code(source: Source) -> str:
    keys = {condition.key for condition in source.statement.conditions} if source.statement else set()
    if f"{REGISTER_KEY}pcr8" in keys:
        return "pcr8-alone"
    if any(key.startswith(f"{REGISTER_KEY}nitrotpm") for key in keys):
        return "not-an-enclave"
    return "other-code"
