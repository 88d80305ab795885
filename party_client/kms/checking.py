"""Who else could decrypt with a party's key, and why.

Pure, over a snapshot of the live key and the terms that it should keep. Finds weaknesses of the kinds in
`findings`; no finding means that the key opens for the releases of the terms and for nobody else, as far as
was read: what was not read, and who is trusted all the same, is said beside it. Followed: docs/kms.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from party_client.kms import probes
from party_client.kms.evaluation import Source
from party_client.kms.findings import Finding
from party_client.kms.policy import ANYBODY
from party_client.kms.probes import Passed
from party_client.kms.snapshot import Snapshot
from party_client.kms.terms import KeyTerms


@dataclass(frozen=True)
class KeyReport:
    """What came out of a check."""

    key_arn: str
    findings: tuple[Finding, ...]
    trusted: tuple[str, ...]
    """Who could undo all of it, as the terms say; a sentence each."""
    not_read: tuple[str, ...]
    """What this report says nothing about; a sentence each."""


def check_key(terms: KeyTerms, snapshot: Snapshot) -> KeyReport:
    """Holds the key against `terms`."""
    access = snapshot.access
    open_to = list(probes.unattested(access))
    by_statement = [source for passed in open_to for source in (passed.source,)]
    passed = [
        *open_to,
        *probes.attested(access, terms, by_statement),
        *probes.other_actions(access, terms),
    ]
    findings = [*_grouped(_most_telling(passed)), *_grants(snapshot), *_whole(terms, snapshot)]
    return KeyReport(
        key_arn=access.arn,
        findings=tuple(findings),
        trusted=tuple(_trusted(terms)),
        not_read=tuple(_not_read(snapshot)),
    )


def _most_telling(passed: Iterable[Passed]) -> Iterator[Passed]:
    """Without what follows from something worse by the same statement."""
    every = list(passed)
    any_image = {"other-code", "pcr8-alone", "not-an-enclave"}
    implied = {"debug-image", "old-image", "registers-apart"}
    worse = {_place(one.source) for one in every if one.code in any_image}
    any_agreement = {_place(one.source) for one in every if one.code == "other-agreement"}
    for one in every:
        place = _place(one.source)
        if one.code in implied and place in worse:
            continue
        if one.code == "listed-agreement" and place in any_agreement:
            continue
        yield one


def _place(source: Source) -> str:
    through = f" (through statement {source.delegated_by} of the key policy)" if source.delegated_by else ""
    return f"{source.kind}, {source.label}{through}"


def _grouped(passed: Iterable[Passed]) -> Iterator[Finding]:
    """One finding for each weakness of each statement, with everybody and everything it is about."""
    groups: dict[tuple[str, str], dict[str, None]] = {}
    for one in passed:
        who = one.principal if one.principal != ANYBODY else "anybody"
        detail = f"{who}: {one.detail}" if one.detail else who
        groups.setdefault((one.code, _place(one.source)), {})[detail] = None
    for (code, place), details in groups.items():
        yield Finding(code, place, tuple(details))


def _grants(snapshot: Snapshot) -> Iterator[Finding]:
    for grant in snapshot.access.grants:
        useful = [name for name in grant.operations if name not in ("DescribeKey", "RetireGrant", "Verify")]
        if useful:
            is_open = probes.opens_now(snapshot.access, grant.grantee, useful)
            held = "open today" if is_open else "held back today by the key policy's denials"
            yield Finding("grant", f"grant {grant.id}", (f"{grant.grantee}: {', '.join(useful)}: {held}",))


def _whole(terms: KeyTerms, snapshot: Snapshot) -> Iterator[Finding]:
    """What is about the policy or the key as a whole."""
    access, metadata = snapshot.access, snapshot.metadata
    if missing := probes.not_denied(access, terms):
        yield Finding("not-denied", "key policy", missing)
    if refused := probes.refused_releases(access, terms):
        yield Finding("release-refused", "key policy", tuple(dict.fromkeys(refused)))
    if access.arn.rpartition("/")[0] != terms.place.key_arn("").rstrip("/"):
        yield Finding("elsewhere", "key", (access.arn,))
    if metadata.get("MultiRegion") is not False:
        configuration = metadata.get("MultiRegionConfiguration") or {}
        yield Finding("multi-region", "key", (str(configuration.get("MultiRegionKeyType", "not told")),))
    yield from _material(snapshot)
    state = metadata.get("KeyState")
    if state != "Enabled":
        yield Finding("key-state", "key", (str(state),))
    if snapshot.rotates is False:
        yield Finding("rotation-off", "key")
    target = (snapshot.aliases or {}).get(terms.alias)
    if target is not None and target != access.arn.rpartition("/")[2]:
        yield Finding("alias-elsewhere", terms.alias, (f"leads to {target}",))
    if target is None and terms.hosts_state and snapshot.aliases is not None:
        yield Finding("alias-missing", terms.alias)


def _material(snapshot: Snapshot) -> Iterator[Finding]:
    """Where the key is from, and what it is."""
    metadata = snapshot.metadata
    origin = metadata.get("Origin")
    if origin == "EXTERNAL":
        yield Finding("imported-material", "key")
    elif origin != "AWS_KMS":
        yield Finding("external-store", "key", (str(origin),))
    expected = {"KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT", "KeyManager": "CUSTOMER"}
    other = {name: metadata.get(name) for name, value in expected.items() if metadata.get(name) != value}
    if other:
        yield Finding("key-kind", "key", tuple(f"{name} is {value}" for name, value in other.items()))


def _trusted(terms: KeyTerms) -> Iterator[str]:
    for name in terms.place.administrators:
        yield f"{name} administers the key: it can change the policy, and so undo all of this"
    for name in terms.place.sealers:
        yield f"{name} makes data keys in the clear, to seal {terms.party}'s own data"


def _not_read(snapshot: Snapshot) -> Iterator[str]:
    yield "who may take on the roles that are named, and what other accounts allow, is not looked at"
    if not snapshot.iam_was_read:
        yield "IAM policies of the account's users, groups and roles were not read"
    if snapshot.rotates is None:
        yield "whether the key is rotated was not read"
    if snapshot.aliases is None:
        yield "aliases were not read"
