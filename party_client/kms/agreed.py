"""Which KMS an agreement names for a party, and whether what somebody says of it agrees with that.

What stands in the agreement is what everybody signed, so what is said beside it can only confirm it or
choose among several: a contradiction is an error and never wins. Followed: protos/README.md, "Agreement".
"""

from __future__ import annotations

from typing import Final

from party_client.kms.authorities import amazon_authorities
from party_client.kms.errors import KeyServiceError, KmsTermsError
from protos.formats.agreement import Agreement
from protos.formats.kms import KeyService

_HTTPS_PORT: Final = 443
Whereabouts = tuple[str, str, str]
"""(account, region, name of the enclave's role)."""


def aws_endpoint(region: str) -> str:
    """Where AWS's own KMS of a region is."""
    return f"kms.{region}.amazonaws.com:{_HTTPS_PORT}"


def is_aws(service: KeyService) -> bool:
    """Whether it is at AWS's own endpoint, vouched for by AWS's own authority and nobody else."""
    at_aws = service.endpoint == aws_endpoint(service.region)
    return at_aws and set(service.authorities) <= set(amazon_authorities())


def agreed_services(agreement: Agreement, party: str) -> tuple[KeyService, ...]:
    """Of the party's datasets and of enclaves' state, if it is sealed under a key of this party's."""
    own = [dataset.kms for dataset in agreement.datasets if dataset.owner == party]
    if agreement.state is not None and agreement.state.party == party:
        own.append(agreement.state.kms)
    return tuple(dict.fromkeys(service for service in own if service is not None))


def agreed_whereabouts(
    agreement: Agreement, party: str, *, account: str | None, region: str | None, role: str | None
) -> Whereabouts:
    """Account, region and role of the party's key: as agreed, or as said where nothing was agreed.

    Raises `KeyServiceError` where what is said is something else, or does not choose among several, and
    `KmsTermsError` where nothing was agreed and not all of it is said.
    """
    said = (account, region, role)
    services = agreed_services(agreement, party)
    if not services:
        if account is None or region is None or role is None:
            raise KmsTermsError(
                f"{agreement.id} names no KMS of {party}'s, and not all of it was said",
                hint="give --account, --region and --role, or agree on them: `kms` in [[datasets]]",
            )
        return account, region, role
    agreed = list(dict.fromkeys((one.account, one.region, one.role) for one in services))
    fitting = [
        one for one in agreed if all(word in (None, value) for word, value in zip(said, one, strict=True))
    ]
    if not fitting:
        words = ", ".join(word for word in said if word is not None)
        raise KeyServiceError(
            f"got {words}, expected what {agreement.id} says of {party}: {_listed(agreed)}",
            hint="leave out --account, --region and --role: they are in the agreement",
        )
    if len(fitting) > 1:
        raise KeyServiceError(
            f"{agreement.id} names several of {party}: {_listed(fitting)}",
            hint="each has a key of its own: choose with --account, --region or --role",
        )
    return fitting[0]


def _listed(places: list[Whereabouts]) -> str:
    return "; ".join(" ".join(place) for place in places)
