"""On which terms a party's key opens: whom, which code, which agreement, which data, until when.

Made from an agreement with the releases that count under it, and from what the party says of its account.
Guarantees that no list that has to name somebody is empty: no release means no policy, never one that lets
anything in. Followed: docs/kms.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from party_client.attestation.measurements import extended_once
from party_client.kms.agreed import agreed_services
from party_client.kms.errors import KmsTermsError, NoReleaseError, ReleaseNotAwsError
from party_client.times import time_text
from protos.formats.agreement import Agreement
from protos.formats.kms import STATE_SUBJECT, KeyService, encryption_context
from protos.formats.participants import Release
from protos.release.history import AgreedReleases
from protos.release.roots import AWS_NITRO_ROOT_G1_SHA256

_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
_ROLE: Final = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")
_PRINCIPAL: Final = re.compile(r"arn:aws:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]{1,512}")
_OTHER_PARTITIONS: Final = ("cn-", "us-gov-")


@dataclass(frozen=True)
class Place:
    """Where a key lives and who may do what with it, besides the enclave."""

    account: str
    """Twelve digits."""
    region: str
    role: str
    """Name of the role that the parent instance takes on to bring the enclave's requests to KMS."""
    parents: tuple[str, ...]
    """Who may take that role on: ARNs in the operator's account. Empty where that is not asked."""
    administrators: tuple[str, ...]
    """Who may change the key and its policy, and with that everything here; never decrypts."""
    sealers: tuple[str, ...] = ()
    """Who may make data keys outside an enclave, to seal this party's data; never decrypts."""

    def __post_init__(self) -> None:
        for what, value, form, example in (
            ("account", self.account, _ACCOUNT, "111122223333"),
            ("region", self.region, _REGION, "eu-central-1"),
            ("role", self.role, _ROLE, "concordat-enclave"),
        ):
            if not form.fullmatch(value):
                raise KmsTermsError(f"{what}: got {value[:80]!r}, expected one like {example!r}")
        if self.region.startswith(_OTHER_PARTITIONS):
            raise KmsTermsError(
                f"region: got {self.region}, expected one of the partition aws",
                hint="in other partitions another root signs attestation documents; none of theirs is known",
            )
        if not self.administrators:
            raise KmsTermsError("administrator: got none, expected at least one ARN")
        for name in (*self.administrators, *self.parents, *self.sealers):
            if not _PRINCIPAL.fullmatch(name):
                raise KmsTermsError(
                    f"got principal {name[:120]!r}, expected a role or user like "
                    "arn:aws:iam::111122223333:role/key-admin",
                    hint="name people's roles one by one: neither an account nor a pattern",
                )
        for what, names in (("administrators", self.administrators), ("sealers", self.sealers)):
            if self.role_arn in names:
                raise KmsTermsError(f"the enclave's role {self.role!r} is among the {what} as well")

    @property
    def role_arn(self) -> str:
        """Of the enclave's role."""
        return f"arn:aws:iam::{self.account}:role/{self.role}"

    def is_at(self, service: KeyService) -> bool:
        """Whether `service` is KMS in this account and region, for this role."""
        return (service.account, service.region, service.role) == (self.account, self.region, self.role)

    def key_arn(self, key_id: str) -> str:
        """Of a key here; `*` stands for whichever it will be."""
        return f"arn:aws:kms:{self.region}:{self.account}:key/{key_id}"


@dataclass(frozen=True)
class KeyTerms:
    """See the module. What `plan` writes down and `check` holds a live key against."""

    agreement_id: str
    agreement_digest: bytes
    valid_from_s: int
    valid_until_s: int
    """Exclusive."""
    party: str
    datasets: tuple[str, ...]
    """Of this party: what its sealers make data keys for."""
    hosts_state: bool
    """Whether enclaves seal their state under this key as well."""
    releases: tuple[Release, ...]
    """What the key opens for, each under its own validity; distinct PCR0."""
    left_out: tuple[str, ...]
    """Releases of the agreement whose time is over, by name."""
    place: Place
    is_simulated: bool
    """For a SIMULATED KMS, which knows other roots than AWS's."""

    @property
    def agreement_register(self) -> str:
        """What PCR16 holds in an enclave that serves the agreement, in hexadecimal digits."""
        return extended_once(self.agreement_digest).hex()

    @property
    def subjects(self) -> tuple[str, ...]:
        """What an enclave's data keys may be for: what the entry `dataset` of their contexts may be."""
        return (*self.datasets, STATE_SUBJECT) if self.hosts_state else self.datasets

    @property
    def alias(self) -> str:
        """The key's name. For an enclave's state it decides which key is used, and else nothing."""
        return f"alias/{key_alias(self.agreement_id, self.party)}"

    def encryption_context(self, subject: str) -> dict[str, str]:
        """That the data key for one of `subjects` is bound to."""
        return encryption_context(self.agreement_digest, self.party, subject)


def key_terms(
    agreed: AgreedReleases, *, party: str, place: Place, now: datetime, simulated: bool = False
) -> KeyTerms:
    """The terms for `party`'s key under `agreed`, as of `now`. Raises `KmsTermsError`.

    With `simulated`, releases may be under any root, because the KMS is one to try things out with.
    """
    agreement = agreed.agreement
    require_party(agreement, party)
    datasets, hosts_state = _subjects(agreement, party, place)
    if not datasets and not hosts_state:
        raise KmsTermsError(
            f"{party} owns no dataset of {agreement.id} that could be sealed under a key there"
        )
    if place.sealers and not datasets:
        raise KmsTermsError(
            f"sealer: got {place.sealers[0]}, expected none: only enclaves seal under this key"
        )
    if agreement.valid_until_s <= now.timestamp():
        raise NoReleaseError(f"{agreement.id} ended at {time_text(agreement.valid_until_s)}")
    current = [one for one in agreed.releases if not _is_over(one, now)]
    if not current:
        raise NoReleaseError(
            f"{agreement.id}: got {len(agreed.releases)} releases, none of which is still valid at "
            f"{time_text(int(now.timestamp()))}; an empty list lets nothing in",
            hint="add a release to the agreement (`concordat agreement release-change`)",
        )
    if not simulated:
        _require_aws(current)
    _require_distinct(current)
    _require_calendar(agreement, current)
    return KeyTerms(
        agreement_id=agreement.id,
        agreement_digest=agreement.digest(),
        valid_from_s=agreement.valid_from_s,
        valid_until_s=agreement.valid_until_s,
        party=party,
        datasets=datasets,
        hosts_state=hosts_state,
        releases=tuple(current),
        left_out=tuple(one.name for one in agreed.releases if _is_over(one, now)),
        place=place,
        is_simulated=simulated,
    )


def key_alias(agreement_id: str, party: str) -> str:
    """What a party's key for an agreement is called, without `alias/`."""
    return f"concordat-{agreement_id}-{party}"


def require_party(agreement: Agreement, party: str) -> None:
    """Raises `KmsTermsError` unless `party` is one of the agreement's."""
    if party not in {person.id for person in agreement.parties}:
        raise KmsTermsError(f"party: got {party[:64]!r}, expected one of {agreement.id}'s parties")


def iso_time(seconds: int) -> str:
    """As policies write times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _subjects(agreement: Agreement, party: str, place: Place) -> tuple[tuple[str, ...], bool]:
    """(Datasets, whether enclaves' state too) that may be sealed under a key at `place`.

    All of the party's datasets where the agreement names no key service of the party's: then nothing can be
    sealed yet, and the key can be set up all the same.
    """
    own = [dataset for dataset in agreement.datasets if dataset.owner == party]
    services = agreed_services(agreement, party)
    if not services:
        return tuple(dataset.id for dataset in own), False
    state = agreement.state
    return (
        tuple(one.id for one in own if one.kms is not None and place.is_at(one.kms)),
        state is not None and state.party == party and place.is_at(state.kms),
    )


def _is_over(release: Release, now: datetime) -> bool:
    return release.valid_until_s is not None and release.valid_until_s <= now.timestamp()


def _require_aws(releases: Sequence[Release]) -> None:
    for release in releases:
        if release.root_sha256 != AWS_NITRO_ROOT_G1_SHA256:
            raise ReleaseNotAwsError(
                f"release {release.name!r}: got root {release.root_sha256.hex()[:16]}…, expected AWS's: AWS "
                "KMS lets nothing else in",
                hint="for a SIMULATED KMS, where trying out is all that is protected, add --simulated-kms",
            )


def _require_distinct(releases: Sequence[Release]) -> None:
    names: dict[bytes, str] = {}
    for release in releases:
        if release.pcr0 in names:
            raise KmsTermsError(
                f"releases {names[release.pcr0]!r} and {release.name!r} have the same PCR0: KMS cannot tell "
                "which of them asks",
                hint="agree on one release for each image",
            )
        names[release.pcr0] = release.name


def _require_calendar(agreement: Agreement, releases: Sequence[Release]) -> None:
    """Every time can be written in a policy."""
    times = [agreement.valid_from_s, agreement.valid_until_s]
    times += [time for one in releases for time in (one.valid_from_s, one.valid_until_s) if time is not None]
    try:
        for time in times:
            iso_time(time)
    except (ValueError, OverflowError, OSError) as error:
        raise KmsTermsError(f"{agreement.id}: a validity is beyond the calendar of policies") from error
