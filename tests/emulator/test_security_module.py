"""The security module through the kernel's own device: every request, and each at its limits."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.emulator.machines import Booted

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def found(probed: Booted) -> dict[str, Any]:
    module: dict[str, Any] = probed.first_report["security_module"]
    return module


def test_it_describes_itself(found: dict[str, Any]) -> None:
    assert (found["max_pcrs"], found["digest"]) == (32, "SHA384")
    assert found["locked"] == list(range(16))


def test_a_register_is_extended_locked_and_kept(found: dict[str, Any]) -> None:
    assert found["zero_before"]
    assert found["extended"] == hashlib.sha384(bytes(48) + b"probe").hexdigest()
    assert found["kept"]
    assert found["locked_now"] == [*range(16), 20]


def test_a_range_of_registers_is_locked(found: dict[str, Any]) -> None:
    assert found["range_locked"] == "allowed"
    assert found["locked_at_last"] == list(range(23))


def test_it_gives_randomness_and_documents(found: dict[str, Any]) -> None:
    assert found["random_differs"]
    assert 2_000 < found["document_bytes"] < 12_288
    assert found["document_s"] < 10


def test_what_cannot_be_asked_is_refused_by_name(found: dict[str, Any]) -> None:
    assert found["outcomes"] == {
        "extend a register that is locked": "NsmReadOnlyIndexError",
        "extend a register of the image": "NsmReadOnlyIndexError",
        "a register that there is not": "NsmInvalidIndexError",
        "the same, past our own check": "NsmInvalidIndexError",
        "user data of 513 bytes": "NsmInputTooLargeError",
        "a key of 1025 bytes": "NsmInputTooLargeError",
        "a request of 4097 bytes": "NsmInputTooLargeError",
        "a request of nothing": "NsmInputTooLargeError",
        "a request that there is not": "NsmInvalidOperationError",
        "what is no request": "NsmInvalidOperationError",
    }
