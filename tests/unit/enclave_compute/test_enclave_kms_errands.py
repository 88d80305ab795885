"""What a parent can do to errands, which is stop them."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enclave_compute.errors import RefusedError
from enclave_compute.kms.request import KeyAnswer
from protos.formats import limits
from tests.errands_world import (
    CREDENTIALS,
    Certified,
    Wanting,
    authority,
    carry,
    decrypting,
    http,
    service,
    wanting,
)
from tests.kms_endpoint import DATA_KEY, Kms


@pytest.fixture(scope="module")
def root() -> Certified:
    return authority()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machine")


@pytest.fixture
def enclave(state: Path, root: Certified) -> Iterator[Wanting]:
    with wanting(state) as found:
        found.want(decrypting(service(root)))
        yield found


@pytest.fixture
def kms(tmp_path: Path, root: Certified) -> Kms:
    return Kms(tmp_path, root)


# --- the parent -------------------------------------------------------------------------------------------


def test_only_what_is_wanted_can_be_begun(enclave: Wanting) -> None:
    for subject in ("payments", "#state", ""):
        with pytest.raises(RefusedError, match=r"^unknown: "):
            enclave.errands.first(subject, CREDENTIALS)
        with pytest.raises(RefusedError, match=r"^unknown: "):
            enclave.errands.step(subject, 1, b"x")


def test_an_errand_is_begun_before_it_goes_on(enclave: Wanting) -> None:
    with pytest.raises(RefusedError, match=r"^unknown: no errand for this has begun"):
        enclave.errands.step("customers", 1, b"x")


def test_an_errand_can_be_begun_again_at_any_time(enclave: Wanting, kms: Kms) -> None:
    first = kms.server.connected()(enclave.errands.first("customers", CREDENTIALS))
    enclave.errands.step("customers", 1, first)
    assert enclave.carry(kms.server.connected()).plaintext == DATA_KEY


def test_records_of_an_earlier_errand_are_of_no_use(enclave: Wanting, kms: Kms) -> None:
    """A parent that recorded an answer cannot give it a second time, to this errand or another enclave."""
    recorded = []
    talk = kms.server.connected()

    def recording(sent: bytes) -> bytes:
        recorded.append(talk(sent))
        return recorded[-1]

    enclave.carry(recording)
    enclave.want(decrypting(service(kms.root)))
    replayed = iter(recorded)
    with pytest.raises(RefusedError, match=r"^kms-failed: TLS: "):
        enclave.carry(lambda _: next(replayed))


@pytest.mark.parametrize("step", [0, 2, 3, 64])
def test_steps_are_counted(enclave: Wanting, step: int) -> None:
    enclave.errands.first("customers", CREDENTIALS)
    with pytest.raises(RefusedError, match=r"^out-of-order: "):
        enclave.errands.step("customers", step, b"\x16")
    with pytest.raises(RefusedError, match=r"^unknown: "):
        enclave.errands.step("customers", 1, b"\x16")


def test_an_errand_has_64_steps(enclave: Wanting) -> None:
    enclave.errands.first("customers", CREDENTIALS)
    record = bytes.fromhex("1603030100") + bytes(100)
    for number in range(1, limits.ERRAND_STEPS_MAX + 1):
        assert enclave.errands.step("customers", number, record[number - 1 : number]) == (b"", False)
    with pytest.raises(RefusedError, match=r"^over-limit: "):
        enclave.errands.step("customers", limits.ERRAND_STEPS_MAX + 1, b"\0")


BEGUN = bytes.fromhex("1603034000") + bytes(100)
"""The beginning of a record of 16 KiB, which lets a client wait for more."""


def test_a_step_has_64_kib(enclave: Wanting, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.ERRAND_FRAME_MAX_BYTES == 64 * limits.KIB
    monkeypatch.setattr(limits, "ERRAND_FRAME_MAX_BYTES", 50)
    enclave.errands.first("customers", CREDENTIALS)
    assert enclave.errands.step("customers", 1, BEGUN[:50]) == (b"", False)
    with pytest.raises(RefusedError, match=r"^over-limit: more bytes than a step carries"):
        enclave.errands.step("customers", 2, bytes(51))


def test_an_errand_has_256_kib(enclave: Wanting, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.ERRAND_MAX_BYTES == 256 * limits.KIB
    monkeypatch.setattr(limits, "ERRAND_MAX_BYTES", 100)
    enclave.errands.first("customers", CREDENTIALS)
    assert enclave.errands.step("customers", 1, BEGUN[:60]) == (b"", False)
    assert enclave.errands.step("customers", 2, BEGUN[60:100]) == (b"", False)
    with pytest.raises(RefusedError, match=r"^over-limit: more steps or bytes than an errand has"):
        enclave.errands.step("customers", 3, b"\0")


def test_one_that_is_begun_again_ends_no_other(state: Path, root: Certified) -> None:
    with wanting(state) as enclave:
        names = [f"d{number}" for number in range(limits.ERRANDS_MAX)]
        for name in names:
            enclave.want(decrypting(service(root), subject=name))
            enclave.errands.first(name, CREDENTIALS)
        enclave.errands.first(names[-1], CREDENTIALS)
        for name in names:
            assert enclave.errands.step(name, 1, BEGUN) == (b"", False)


def test_of_too_many_at_once_the_oldest_ends(state: Path, root: Certified) -> None:
    with wanting(state) as enclave:
        names = [f"d{number}" for number in range(limits.ERRANDS_MAX + 1)]
        for name in names:
            enclave.want(decrypting(service(root), subject=name))
            enclave.errands.first(name, CREDENTIALS)
        with pytest.raises(RefusedError, match=r"^unknown: "):
            enclave.errands.step(names[0], 1, b"\x16")
        for name in names[1:]:
            assert enclave.errands.step(name, 1, b"\x16") == (b"", False)
        assert len(enclave.errands.wanted()) == len(names)


@pytest.mark.parametrize("at", range(1, 4))
def test_an_end_at_any_step_is_a_failure_and_may_come_again(enclave: Wanting, kms: Kms, at: int) -> None:
    calls = 0
    talk = kms.server.connected()

    def ending(sent: bytes) -> bytes:
        nonlocal calls
        calls += 1
        received = talk(sent)
        return b"" if calls == at else received

    if at == 3:
        kms.raw = http(200, {})[:-1]
    with pytest.raises(RefusedError, match=r"^kms-failed: "):
        enclave.carry(ending)
    kms.raw = None
    assert enclave.carry(kms.server.connected()).plaintext == DATA_KEY


def test_an_end_with_notice_amid_the_answer_is_a_failure(enclave: Wanting, kms: Kms) -> None:
    kms.raw, kms.server.is_closing = http(200, {}, "Content-Length: 100"), True
    with pytest.raises(RefusedError, match=r"^kms-failed: HTTP answer: cut off"):
        enclave.carry(kms.server.connected())


GARBAGE = st.binary(min_size=1, max_size=200)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.integers(1, 3),
    garbage=GARBAGE,
    how=st.sampled_from(["before", "instead", "inside"]),
    place=st.floats(0, 1),
)
def test_garbage_at_every_step_is_a_failure(
    *, enclave: Wanting, kms: Kms, at: int, garbage: bytes, how: str, place: float
) -> None:
    enclave.want(decrypting(service(kms.root)))
    calls = 0
    talk = kms.server.connected()

    def spoiling(sent: bytes) -> bytes:
        nonlocal calls
        calls += 1
        received = talk(sent)
        if calls != at:
            return received
        if how == "inside":
            cut = int(place * len(received))
            return received[:cut] + garbage + received[cut + len(garbage) :]
        return garbage + (received if how == "before" else b"")

    before = len(enclave.answers)
    try:
        enclave.carry(spoiling)
    except RefusedError as error:
        assert str(error).startswith("kms-failed: ")
        assert len(enclave.answers) == before
    else:
        assert enclave.answers[-1].plaintext == DATA_KEY


def test_another_want_takes_the_place_of_the_first(enclave: Wanting, kms: Kms) -> None:
    first = kms.server.connected()(enclave.errands.first("customers", CREDENTIALS))
    enclave.want(decrypting(service(kms.root), ciphertext=b"another"))
    with pytest.raises(RefusedError, match=r"^unknown: "):
        enclave.errands.step("customers", 1, first)
    assert len(enclave.errands.wanted()) == 1
    enclave.carry(kms.server.connected())
    assert kms.server.requests[-1]["CiphertextBlob"] == base64.b64encode(b"another").decode()


def test_what_is_dropped_is_not_wanted(enclave: Wanting, kms: Kms) -> None:
    first = kms.server.connected()(enclave.errands.first("customers", CREDENTIALS))
    enclave.errands.drop("customers")
    enclave.errands.drop("customers")
    with pytest.raises(RefusedError, match=r"^unknown: "):
        enclave.errands.step("customers", 1, first)
    assert enclave.errands.wanted() == []


def test_whoever_gets_an_answer_may_hold_a_lock_that_others_ask_under(enclave: Wanting, kms: Kms) -> None:
    """As a slot does: it asks while it holds its lock, and takes the answer under the same one."""
    lock = threading.Lock()

    def on_answer(_: KeyAnswer) -> None:
        with lock:
            pass

    enclave.errands.want(decrypting(service(kms.root)), on_answer)
    entered, done = threading.Event(), threading.Event()

    def asking() -> None:
        with lock:
            entered.set()
            enclave.errands.want(decrypting(service(kms.root), subject="payments"), on_answer)
        done.set()

    talk = kms.server.connected()
    other = threading.Thread(target=asking)

    def slowly(sent: bytes) -> bytes:
        received = talk(sent)
        if kms.server.requests:
            other.start()
            entered.wait(5)
        return received

    carry(
        lambda: enclave.errands.first("customers", CREDENTIALS),
        lambda step, received: enclave.errands.step("customers", step, received),
        slowly,
    )
    assert done.wait(5)
    other.join()
