"""Attacks among callers on datasets that wait at a coordinator: junk, floods, and other people's places.

Everybody has a certificate of the coordinator's authority. Enclaves are stand-ins that tell genuine headers
from others, as the real one does by the owner's signature.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from coordinator.daemon import Daemon, DaemonOptions
from coordinator.quotas import Quotas
from coordinator.server import Transport
from party_client.tls import make_development_certificates
from protos.v1.concordat_pb2_grpc import CoordinatorStub
from tests.unit.coordinator import calls
from tests.unit.coordinator.calls import UPLOAD_ID, eventually, refused
from tests.unit.coordinator.fake_enclave import manifest_of
from tests.unit.coordinator.thread_launcher import ThreadLauncher

NAMES = ("airline", "weather", "operator", *(f"stranger_{number}" for number in range(5)))
QUOTAS = Quotas(deposits=4, spool_bytes=200_000)
NOT_ALLOWED = (StatusCode.PERMISSION_DENIED, "coordinator/not-allowed")
UNKNOWN = (StatusCode.NOT_FOUND, "coordinator/unknown")
JUNK = b"badly signed"


@contextmanager
def met(folder: Path) -> Iterator[dict[str, Any]]:
    """A coordinator over mutual TLS, and a stub of each caller."""
    tls = folder / "tls"
    make_development_certificates(tls, ["coordinator", *NAMES], now=datetime.now(UTC))
    options = DaemonOptions(
        folder / "state",
        Transport.mutual_tls(("127.0.0.1:0",), tls),
        quotas=QUOTAS,
        operators=frozenset({"operator"}),
    )
    daemon = Daemon(options, ThreadLauncher())
    (address,) = daemon.start()
    stubs, channels = {}, []
    for name in NAMES:
        ca, key, certificate = ((tls / f).read_bytes() for f in ("ca.pem", f"{name}.key.pem", f"{name}.pem"))
        channels.append(grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, certificate)))
        stubs[name] = CoordinatorStub(channels[-1])  # type: ignore[no-untyped-call]
    yield stubs
    for channel in channels:
        channel.close()
    daemon.stop(keep_enclaves=False)


@pytest.fixture
def callers(tmp_path: Path) -> Iterator[dict[str, Any]]:
    with met(tmp_path) as callers:
        yield callers


def test_attack_49_junk_in_the_name_of_somebody_s_dataset(callers: dict[str, Any]) -> None:
    """Strangers were there first, with the same upload id; the enclave takes the owner's all the same."""
    owner, chunks = callers["airline"], calls.random_chunks(3)
    digest = calls.put_agreement(owner)
    strangers = [callers[name] for name in NAMES if name.startswith("stranger")]
    for stranger in strangers:
        calls.deposit(stranger, digest, calls.random_chunks(2), header=JUNK)
    calls.deposit(owner, digest, chunks)
    calls.running_job(owner)
    eventually(lambda: calls.deposits(owner, digest)[-1].said == "accepted")
    standing = calls.deposits(owner, digest)
    assert [deposit.said for deposit in standing] == [*len(strangers) * ["bad-signature"], "accepted"]
    assert standing[-1].deposited_by == "airline"
    assert standing[-1].acceptance == b"accepted " + manifest_of(chunks)


def test_attack_49_somebody_else_s_deposit_is_not_replaced_nor_removed(callers: dict[str, Any]) -> None:
    owner, stranger, chunks = callers["airline"], callers["stranger_0"], calls.random_chunks(3)
    digest = calls.put_agreement(owner)
    calls.deposit(owner, digest, chunks)
    with refused(*NOT_ALLOWED):
        calls.remove_deposit(stranger, digest, deposited_by="airline")
    with refused(*UNKNOWN):  # one's own, of which there is none
        calls.remove_deposit(stranger, digest)
    for attempt in (
        lambda: calls.send(stranger, calls.messages_of(digest, chunks)),
        lambda: calls.finish(stranger, digest, b"manifest"),
    ):
        with refused(*UNKNOWN):
            attempt()
    calls.deposit(stranger, digest, calls.random_chunks(1), header=JUNK)
    calls.remove_deposit(stranger, digest, request_id="its own")
    (kept,) = calls.deposits(stranger, digest)
    assert (kept.deposited_by, kept.upload_id, kept.complete) == ("airline", UPLOAD_ID, True)


def test_an_acceptance_is_for_its_depositor_and_junk_is_removed_by_an_operator(
    callers: dict[str, Any],
) -> None:
    owner = callers["airline"]
    digest = calls.put_agreement(owner)
    calls.deposit(owner, digest, calls.random_chunks(1))
    calls.deposit(callers["stranger_0"], digest, calls.random_chunks(1), header=JUNK)
    calls.running_job(owner)
    eventually(lambda: all(deposit.said for deposit in calls.deposits(owner, digest)))
    assert [bool(d.acceptance) for d in calls.deposits(owner, digest)] == [True, False]
    assert [bool(d.acceptance) for d in calls.deposits(callers["weather"], digest)] == [False, False]
    calls.remove_deposit(callers["operator"], digest, deposited_by="stranger_0")
    assert [d.deposited_by for d in calls.deposits(owner, digest)] == ["airline"]


def test_attack_49_a_flood_of_deposits_fills_one_caller_s_share(callers: dict[str, Any]) -> None:
    owner, stranger = callers["airline"], callers["stranger_0"]
    digest = calls.put_agreement(owner)
    over = (StatusCode.RESOURCE_EXHAUSTED, "coordinator/over-quota")
    for number in range(QUOTAS.deposits):
        upload_id = bytes([number]) * 16
        chunks = calls.random_chunks(1, n_bytes=45_000)
        calls.deposit(stranger, digest, chunks, upload_id=upload_id, dataset=f"junk_{number}")
    with refused(*over):
        calls.begin(stranger, digest, upload_id=b"x" * 16, dataset="more")
    calls.remove_deposit(stranger, digest, upload_id=b"\x00" * 16)
    calls.begin(stranger, digest, upload_id=b"x" * 16, dataset="more")
    with refused(*over):  # the disk, if not the number
        calls.send(
            stranger, calls.messages_of(digest, calls.random_chunks(2, n_bytes=45_000), upload_id=b"x" * 16)
        )
    calls.deposit(owner, digest, calls.random_chunks(4, n_bytes=45_000))
    calls.running_job(owner)
    eventually(
        lambda: [d.said for d in calls.deposits(owner, digest) if d.deposited_by == "airline"] == ["accepted"]
    )
