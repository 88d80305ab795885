from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.errors import ConflictError, NotKnownError, OverQuotaError
from coordinator.quotas import Quotas
from coordinator.store import Store
from coordinator.store.deposits import ACCEPTED, DepositRecord, Said
from coordinator.store.requests import Request

DIGEST, OTHER_DIGEST = b"d" * 48, b"e" * 48


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state.sqlite", Quotas(deposits=3))
    for digest in (DIGEST, OTHER_DIGEST):
        store.agreements.put(
            Request("airline", f"put {digest[:4].hex()}", "PutAgreement", digest),
            digest=digest,
            agreement=b"text of " + digest,
        )
    yield store
    store.close()


def add(
    store: Store,
    upload_id: bytes = b"1" * 16,
    *,
    dataset: str = "flights",
    sent_by: str = "airline",
    header: bytes = b"header",
    digest: bytes = DIGEST,
) -> tuple[DepositRecord, list[DepositRecord]]:
    return store.deposits.add(
        agreement_digest=digest, upload_id=upload_id, dataset=dataset, sent_by=sent_by, signed_header=header
    )


def complete(store: Store, *args: bytes, **where: str) -> DepositRecord:
    record, _ = add(store, *args, **where)  # type: ignore[arg-type]
    store.deposits.set_complete(record, signed_manifest=b"manifest")
    return store.deposits.get(record.agreement_digest, record.sent_by, record.upload_id)


def job(store: Store, request_id: str) -> str:
    return store.jobs.start(
        Request("airline", request_id, "StartJob", DIGEST),
        job_id=f"job {request_id}",
        agreement_digest=DIGEST,
        launcher="local",
    ).job_id


def remove(store: Store, record: DepositRecord, request_id: str = "remove") -> DepositRecord | None:
    request = Request("airline", request_id, "RemoveDeposit", record.upload_id)
    return store.deposits.remove(request, record.agreement_digest, record.sent_by, record.upload_id)


def test_a_deposit_is_noted_once(store: Store) -> None:
    record, given_up = add(store)
    assert (record.is_complete, given_up) == (False, [])
    assert add(store) == (record, [])
    with pytest.raises(ConflictError, match="another header"):
        add(store, header=b"other")
    with pytest.raises(ConflictError, match="another header"):
        add(store, dataset="weather")


def test_a_place_is_of_one_caller_for_one_dataset_under_one_agreement(store: Store) -> None:
    mine = complete(store)
    others = [
        complete(store, b"2" * 16, dataset="weather"),
        complete(store, b"3" * 16, sent_by="stranger"),
        add(store, b"1" * 16, sent_by="analyst")[0],  # the same id, by somebody else
    ]
    newer, given_up = add(store, b"4" * 16)
    assert given_up == [], "what is complete stays until the newer one is"
    assert store.deposits.set_complete(newer, signed_manifest=b"newer") == [mine]
    newer = store.deposits.get(DIGEST, "airline", b"4" * 16)
    assert store.deposits.under(DIGEST) == [*others, newer]
    assert store.deposits.under(OTHER_DIGEST) == []


def test_an_unfinished_one_gives_way_at_once(store: Store) -> None:
    first, _ = add(store)
    newer, given_up = add(store, b"2" * 16)
    assert given_up == [first]
    with pytest.raises(NotKnownError, match="not here any more"):
        store.deposits.set_complete(first, signed_manifest=b"late")
    assert store.deposits.under(DIGEST) == [newer]


def test_numbers_are_never_used_twice(store: Store) -> None:
    """The number names the files: what is left of an old deposit must not become part of a new one."""
    first, _ = add(store)
    remove(store, first)
    second, _ = add(store)
    assert second.number > first.number


def test_quotas_bound_the_deposits_of_a_caller(store: Store) -> None:
    for number, dataset in enumerate(("a", "b", "c")):
        add(store, bytes([number]) * 16, dataset=dataset)
    with pytest.raises(OverQuotaError, match="quota deposits:"):
        add(store, b"9" * 16, dataset="d", digest=OTHER_DIGEST)
    add(store, b"9" * 16, dataset="d", sent_by="weather")
    add(store, b"8" * 16, dataset="a")  # in place of an unfinished one


def test_a_removed_deposit_is_removed_once(store: Store) -> None:
    record = complete(store)
    assert remove(store, record) == record
    assert remove(store, record) is None
    with pytest.raises(NotKnownError, match="airline has no deposit"):
        remove(store, record, "again")
    with pytest.raises(NotKnownError):
        store.deposits.get(DIGEST, "airline", record.upload_id)


def test_what_was_said_is_kept_by_job_and_the_latest_job_is_the_last(store: Store) -> None:
    record = complete(store)
    first, second = job(store, "1"), job(store, "2")
    store.deposits.set_said(Said(record.number, second, "kms-denied"))
    store.deposits.set_said(Said(record.number, second, ACCEPTED, b"acceptance"))
    store.deposits.set_said(Said(record.number, first, "bad-signature"))
    assert store.deposits.said_in(first) == {record.number: Said(record.number, first, "bad-signature")}
    latest = {record.number: Said(record.number, second, ACCEPTED, b"acceptance")}
    assert store.deposits.last_said(DIGEST) == latest
    assert store.deposits.last_said(OTHER_DIGEST) == {}


def test_what_was_said_goes_with_the_deposit(store: Store) -> None:
    record, job_id = complete(store), job(store, "1")
    store.deposits.set_said(Said(record.number, job_id, ACCEPTED))
    remove(store, record)
    assert store.deposits.said_in(job_id) == {}
    store.deposits.set_said(Said(record.number, job_id, ACCEPTED))  # it was being brought meanwhile
    assert store.deposits.said_in(job_id) == {}
