"""The policies that keep a party's key to its terms: of the key, of the enclave's role, and who takes it on.

Pure. Every release has a statement of its own: values of one condition are alternatives, so one statement for
two releases would let PCR0 of the one in with PCR1 of the other. What is not allowed is denied as well, to
everybody and by conditions that hold where there is no attestation: then neither a grant nor another policy
can open the key. Nothing is handed to the account, so no IAM policy counts by itself.
Followed: docs/kms.md, "What each statement does"; "Condition keys for AWS Nitro Enclaves" (KMS Developer
Guide).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from party_client.kms.errors import KmsTermsError, PolicyTooLargeError
from party_client.kms.terms import KeyTerms, iso_time
from protos.formats.participants import Release

KEY_POLICY_MAX_BYTES: Final = 32 * 1024
SESSION_POLICY_MAX_BYTES: Final = 2048
VERSION: Final = "2012-10-17"
REGISTER: Final = "kms:RecipientAttestation:"
IMAGE: Final = f"{REGISTER}ImageSha384"
AGREEMENT: Final = f"{REGISTER}PCR16"
CONTEXT: Final = "kms:EncryptionContext:"
EQUAL, NOT_EQUAL = "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"
NOW: Final = "aws:CurrentTime"
ENCLAVE_ACTIONS: Final = ("kms:Decrypt", "kms:GenerateDataKey")
READING: Final = ("kms:Decrypt", "kms:DeriveSharedSecret")
MAKING: Final = ("kms:GenerateDataKey", "kms:GenerateDataKeyPair")
ADMINISTRATION: Final = (
    *("kms:DescribeKey", "kms:GetKeyPolicy", "kms:PutKeyPolicy", "kms:ListKeyPolicies"),
    *("kms:ListGrants", "kms:RevokeGrant", "kms:RetireGrant", "kms:EnableKey", "kms:DisableKey"),
    *("kms:EnableKeyRotation", "kms:DisableKeyRotation", "kms:GetKeyRotationStatus"),
    *("kms:RotateKeyOnDemand", "kms:ListKeyRotations", "kms:UpdateKeyDescription"),
    *("kms:CreateAlias", "kms:UpdateAlias", "kms:DeleteAlias"),
    *("kms:TagResource", "kms:UntagResource", "kms:ListResourceTags"),
    *("kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion"),
)
"""One by one. Nothing that decrypts, grants, copies the key or brings in key material from outside."""
NEVER: Final = (
    *("kms:CreateGrant", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:ReplicateKey"),
    *("kms:ImportKeyMaterial", "kms:UpdatePrimaryRegion"),
)
"""Needed by nobody here; each is a way around attestation or a way for the key to be in two places."""
NOT_FOR_THE_ROLE: Final = (
    *("kms:PutKeyPolicy", "kms:CreateGrant", "kms:ReEncrypt*", "kms:ScheduleKeyDeletion", "kms:DisableKey"),
    *("kms:Encrypt", "kms:TagResource", "kms:UpdateAlias"),
)

Policy = dict[str, Any]


@dataclass(frozen=True)
class KmsPlan:
    """What a party sets up for its key."""

    terms: KeyTerms
    key_policy: Policy
    role_trust: Policy
    """Who may take the enclave's role on."""
    role_policy: Policy
    """Of the enclave's role, and as session policy whenever it is taken on."""

    @property
    def alias(self) -> str:
        """The key's name."""
        return self.terms.alias


def plan(terms: KeyTerms, *, key_arn: str | None = None) -> KmsPlan:
    """The policies for `terms`; the role's names the key, or any of that account and region where None.

    Raises `PolicyTooLargeError`.
    """
    made = KmsPlan(
        terms, _key_policy(terms), _role_trust(terms), role_policy(terms, key_arn or terms.place.key_arn("*"))
    )
    _require_size("key policy", made.key_policy, KEY_POLICY_MAX_BYTES)
    _require_size("session policy", made.role_policy, SESSION_POLICY_MAX_BYTES)
    return made


def compact(policy: Policy) -> str:
    """The document as it is handed to AWS."""
    return json.dumps(policy, separators=(",", ":"))


def role_policy(terms: KeyTerms, key_arn: str) -> Policy:
    """What the role may ask for: the key decides the rest."""
    registers = {
        IMAGE: _values(one.pcr0.hex() for one in terms.releases),
        AGREEMENT: terms.agreement_register,
    }
    context = {f"{CONTEXT}agreement": terms.agreement_digest.hex(), f"{CONTEXT}party": terms.party}
    statement = {
        "Sid": "AttestedOnly",
        "Effect": "Allow",
        "Action": list(ENCLAVE_ACTIONS),
        "Resource": key_arn,
        "Condition": {EQUAL: registers, "StringEquals": context},
    }
    return {"Version": VERSION, "Statement": [statement]}


def _role_trust(terms: KeyTerms) -> Policy:
    if not terms.place.parents:
        raise KmsTermsError("parent: got none, expected at least one ARN")
    statement = {
        "Sid": "ParentForThisAgreement",
        "Effect": "Allow",
        "Principal": {"AWS": _values(terms.place.parents)},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": terms.agreement_digest.hex()}},
    }
    return {"Version": VERSION, "Statement": [statement]}


def _key_policy(terms: KeyTerms) -> Policy:
    place = terms.place
    statements = [
        _statement("Administration", place.administrators, ADMINISTRATION),
        *_sealing(terms),
        *(_release(terms, number, one) for number, one in enumerate(terms.releases, 1)),
        *_denials(terms),
        _statement("NeverForAnybody", "*", NEVER, effect="Deny"),
        _statement("NeverForTheEnclavesRole", (place.role_arn,), NOT_FOR_THE_ROLE, effect="Deny"),
    ]
    name = f"concordat {terms.agreement_id} {terms.party}"
    return {
        "Version": VERSION,
        "Id": f"SIMULATED {name}" if terms.is_simulated else name,
        "Statement": statements,
    }


def _sealing(terms: KeyTerms) -> Iterable[Policy]:
    if terms.place.sealers:
        condition = _context(terms, terms.datasets) | {"DateLessThan": {NOW: iso_time(terms.valid_until_s)}}
        yield _statement("Sealing", terms.place.sealers, ("kms:GenerateDataKey",), condition)


def _release(terms: KeyTerms, number: int, release: Release) -> Policy:
    """All registers of one release, this agreement, this party's data, and the time of both."""
    begin_s = max(terms.valid_from_s, release.valid_from_s or 0)
    end_s = min(terms.valid_until_s, release.valid_until_s or terms.valid_until_s)
    condition = {
        EQUAL: {
            IMAGE: release.pcr0.hex(),
            f"{REGISTER}PCR1": release.pcr1.hex(),
            f"{REGISTER}PCR2": release.pcr2.hex(),
            AGREEMENT: terms.agreement_register,
        },
        **_context(terms, terms.subjects),
        "DateGreaterThanEquals": {NOW: iso_time(begin_s)},
        "DateLessThan": {NOW: iso_time(end_s)},
    }
    return _statement(f"Release{number}", (terms.place.role_arn,), ENCLAVE_ACTIONS, condition)


def _context(terms: KeyTerms, subjects: Sequence[str]) -> dict[str, Any]:
    """The three entries, with these names to the letter, and no others."""
    return {
        "StringEquals": {
            f"{CONTEXT}agreement": terms.agreement_digest.hex(),
            f"{CONTEXT}party": terms.party,
            f"{CONTEXT}dataset": _values(subjects),
        },
        "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["agreement", "party", "dataset"]},
    }


def _denials(terms: KeyTerms) -> Iterable[Policy]:
    """One block for all actions, unless there are sealers: those may make data keys, and read none."""
    if terms.place.sealers:
        yield from _denied(terms, "Reading", READING, exempt=())
        yield from _denied(terms, "Making", MAKING, exempt=terms.place.sealers)
    else:
        yield from _denied(terms, "Use", (*READING, *MAKING), exempt=())


def _denied(terms: KeyTerms, name: str, actions: Sequence[str], *, exempt: Sequence[str]) -> Iterable[Policy]:
    """Everything but the releases, each with its own registers; `exempt` principals are left alone."""
    spared = {"ArnNotEquals": {"aws:PrincipalArn": _values(exempt)}} if exempt else {}

    def deny(what: str, condition: dict[str, Any]) -> Policy:
        return _statement(f"Deny{name}{what}", "*", actions, {**condition, **spared}, effect="Deny")

    # A negated comparison also holds where there is no attestation at all.
    images = _values(one.pcr0.hex() for one in terms.releases)
    yield deny("ByOtherCode", {NOT_EQUAL: {IMAGE: images}})
    yield deny("ForOtherAgreements", {NOT_EQUAL: {AGREEMENT: terms.agreement_register}})
    yield deny("BeforeTheAgreement", {"DateLessThan": {NOW: iso_time(terms.valid_from_s)}})
    yield deny("AfterTheAgreement", {"DateGreaterThanEquals": {NOW: iso_time(terms.valid_until_s)}})
    for number, one in enumerate(terms.releases, 1):
        image = {IMAGE: one.pcr0.hex()}
        for register, value in (("PCR1", one.pcr1), ("PCR2", one.pcr2)):
            other = {NOT_EQUAL: {f"{REGISTER}{register}": value.hex()}}
            yield deny(f"ByRelease{number}WithOther{register}", {EQUAL: image, **other})
        if one.valid_from_s is not None:
            begin = {"DateLessThan": {NOW: iso_time(one.valid_from_s)}}
            yield deny(f"ByRelease{number}BeforeItsTime", {EQUAL: image, **begin})
        if one.valid_until_s is not None:
            end = {"DateGreaterThanEquals": {NOW: iso_time(one.valid_until_s)}}
            yield deny(f"ByRelease{number}AfterItsTime", {EQUAL: image, **end})


def _statement(
    sid: str,
    principals: Sequence[str],
    actions: Sequence[str],
    condition: dict[str, Any] | None = None,
    *,
    effect: str = "Allow",
) -> Policy:
    """A statement of the key's own policy, where `*` as resource means this key."""
    made: Policy = {
        "Sid": sid,
        "Effect": effect,
        "Principal": {"AWS": principals if isinstance(principals, str) else _values(principals)},
        "Action": list(actions),
        "Resource": "*",
    }
    return made | ({"Condition": condition} if condition else {})


def _values(values: Iterable[str]) -> str | list[str]:
    """One value by itself, as AWS shows it."""
    listed = list(values)
    return listed[0] if len(listed) == 1 else listed


def _require_size(what: str, policy: Policy, most_bytes: int) -> None:
    if (got := len(compact(policy))) > most_bytes:
        raise PolicyTooLargeError(
            f"{what}: got {got} bytes, and AWS takes {most_bytes}",
            hint="end releases that are no longer needed (`concordat agreement release-change`)",
        )
