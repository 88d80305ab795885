"""A party's KMS in an agreement: how people write it, and what sealing data under its keys means.

`kms` of `[[datasets]]` and `[state]` of the agreement. Files that they name are relative to the agreement's.
Raises `AgreementTextError`, `AuthorityFileError` or `FileAccessError`. The sentences follow from the
agreement alone; what the owner's key policy lets in is for `concordat kms` and not said here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from party_client.agreements.table import Table, located
from party_client.kms.agreed import aws_endpoint, is_aws
from party_client.kms.authorities import amazon_authorities, load_authorities
from protos.formats.agreement import Agreement
from protos.formats.kms import KeyService, StateTerms
from protos.formats.schema import Dataset

_REQUIRED: Final = ("account", "region", "role")
_OPTIONAL: Final = ("endpoint", "authorities")


def read_kms(place: str, table: Table, folder: Path) -> KeyService | None:
    """The `kms` of a table; None where there is none."""
    if "kms" not in table:
        return None
    place = f"{place}, kms"
    entry = Table(dict(table.items("kms")), place, required=_REQUIRED, optional=_OPTIONAL)
    given = "authorities" in entry
    authorities = load_authorities(folder / entry.text("authorities")) if given else amazon_authorities()
    with located(place, "kms"):
        return KeyService(
            account=entry.text("account"),
            region=entry.text("region"),
            role=entry.text("role"),
            endpoint=entry.text("endpoint", aws_endpoint(entry.text("region"))),
            authorities=authorities,
        )


def read_state(place: str, value: object, folder: Path) -> StateTerms:
    """`[state]` of an agreement."""
    table = Table(value, place, required=("party", "kms", "witnesses"))
    service = read_kms(place, table, folder)
    assert service is not None  # noqa: S101 - it is among the required keys
    with located(place, "state"):
        return StateTerms(party=table.text("party"), kms=service, witnesses=table.text_set("witnesses"))


def service_sentence(service: KeyService) -> str:
    """Where it is and who vouches for that."""
    where = f"AWS account {service.account}, {service.region}, for the role {service.role}"
    if is_aws(service):
        return where
    vouched = (
        "under AWS's authority"
        if set(service.authorities) <= set(amazon_authorities())
        else (
            f"NOT AWS: under {len(service.authorities)} other authorities"
            if len(service.authorities) > 1
            else "NOT AWS: under another authority"
        )
    )
    return f"{where}, at {service.endpoint} ({vouched})"


def key_service_sentences(dataset: Dataset) -> tuple[str, ...]:
    """What it means that `dataset` may be sealed under a key in its owner's KMS; empty where it may not."""
    if dataset.kms is None:
        return ()
    return (
        f"may be sealed under a key of {dataset.owner}'s in KMS ({service_sentence(dataset.kms)}); "
        "which key, the owner signs with the data",
        f"{dataset.owner} need not be there when it is used: any enclave under this agreement, of a release "
        f"that counts then, opens it if {dataset.owner}'s key policy lets that enclave in",
    )


def state_sentence(agreement: Agreement) -> str | None:
    """How an enclave's state may outlive it; None where it does not."""
    terms = agreement.state
    if terms is None:
        return None
    witnesses, several = _listed(terms.witnesses), len(terms.witnesses) > 1
    says, shares = ("say", "shares") if several else ("says", "share")
    return (
        f"an enclave's state (its keys, what it has counted) may outlive it: it opens only with a key of "
        f"{terms.party}'s in KMS ({service_sentence(terms.kms)}) together with the {shares} of {witnesses}; "
        f"an enclave under this agreement takes data only when {witnesses} {says} which state is the latest"
    )


def _state_warnings(agreement: Agreement) -> Iterator[str]:
    terms = agreement.state
    if terms is not None and set(terms.witnesses) <= {terms.party}:
        yield (
            f"{terms.party} has the key of enclaves' state and is its only witness: with the coordinator it "
            "can open the state, and with that what was sealed to the enclave. Name a witness beside it."
        )
    if terms is not None and not is_aws(terms.kms):
        yield (
            f"The key service of enclaves' state is not AWS's own: {service_sentence(terms.kms)}. Whoever "
            "runs it has that key; the shares of the witnesses are what is left to keep the state shut."
        )


def key_service_warnings(agreement: Agreement) -> Iterator[str]:
    """What should be kept in mind about it."""
    yield from _state_warnings(agreement)
    under_keys = [dataset for dataset in agreement.datasets if dataset.kms is not None]
    if not under_keys:
        return
    names = _listed([dataset.id for dataset in under_keys])
    counts = "counts of runs and privacy budgets" if agreement.privacy else "counts of runs"
    if agreement.state is None:
        yield (
            f"{names} may be deposited under keys in KMS. Whoever can start enclaves under this agreement "
            f"can then start many, with the same data and without asking its owner, and the {counts} begin "
            "again in each. What ends that is the owner's key: its policy, its time, or disabling it."
        )
    yield (
        f"What was deposited stays usable as long as the agreement and the key are: to replace or withdraw "
        f"{names}, the owner has to see to it that its key no longer opens what was deposited before."
    )
    for dataset in under_keys:
        if dataset.kms is not None and not is_aws(dataset.kms):
            yield (
                f"The key service of {dataset.id} is not AWS's own: {service_sentence(dataset.kms)}. "
                f"Whoever runs it can open {dataset.id}."
            )


def _listed(names: list[str] | tuple[str, ...]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
